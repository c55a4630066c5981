"""Training, batches and checks that all networks on spectra share."""

import copy
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import _check_sample_weight, check_array, check_is_fitted

from .._device import resolve_device
from .._random import spawn_seeds
from .._validation import (
    check_choice,
    check_groups,
    check_number,
    check_same_grid,
    check_spectra,
    check_spectra_like_fit,
    is_lazy,
    record_features,
)
from ..exceptions import GridMismatchError, SpectrumError
from ..spectra._grid import check_grid_type
from ._blocks import Blocks, decoded_blocks, encoded_blocks
from ._build import DECODERS, ENCODERS, check_part, check_same_network
from ._checkpoint import Checkpoint, check_identity, digest, read_checkpoint
from ._compute import PRECISIONS, Compute
from ._data import SpectraDataset, TrainingData, read_flux, row_blocks
from ._flux_error import identify_flux_error
from ._net import TrainingPlan, history_table, train_network
from ._objective import Objective
from ._precision import settle_precision, training_precision
from ._share import Share, check_accelerator
from ._simulated import identify_simulated
from ._split import split_rows
from ._stream import collect, digest_of_arrays, digest_of_rows, is_path, write_flux
from ._versions import versions

# Spectra on which answers in two precisions are compared.
_N_COMPARED = 512


class Trained(NamedTuple):
    """A network after training, before the estimator takes it over."""

    net: Any
    X: Any  # as checked
    history: pd.DataFrame
    grid: Any
    train: np.ndarray  # rows that trained
    valid: np.ndarray  # rows that watched
    interrupted: bool
    n_stars: int | None = None  # None where groups were not given
    compute: Compute = Compute()


def _compared(data: TrainingData, rows: np.ndarray) -> np.ndarray:
    """At most 512 of the rows, those with most labels first, else evenly spread."""
    n_compared = min(len(rows), _N_COMPARED)
    spread = rows[np.linspace(0, len(rows) - 1, n_compared).astype(int)]
    if data.labels is None:
        return spread
    candidates = np.concatenate([spread, np.setdiff1d(rows, spread)])
    n_labels = np.isfinite(data.labels[candidates]).sum(axis=1)
    return candidates[np.argsort(-n_labels, kind="stable")[:n_compared]]


class AbstractSpectralEstimator(BaseEstimator, ABC):
    """Subclasses say which network is built and what it is trained for."""

    @property
    def _is_continued(self) -> bool:
        """Whether fit may go on from the previous weights."""
        return False

    @abstractmethod
    def _network_parameters(self) -> dict[str, Any]:
        """Parameters that decide the shape of the network."""

    @abstractmethod
    def _build(self, data: TrainingData, rows: np.ndarray, seed: int | None) -> torch.nn.Module:
        """Return a new network for these training rows; without a seed, one without weights."""

    @abstractmethod
    def _objective(self) -> Objective:
        """Return what the network is trained for."""

    def save(self, path: Any) -> None:
        """Write what was learnt to one file, which `specvae.load` reads without running any of it.

        Parameters
        ----------
        path : str or Path
            Written whole or not at all. It needs the extra "save".
        """
        from ._persistence import save  # it knows all estimators, this one included

        save(self, path)

    def model_card(self, *, metrics: Any = None, licence: str | None = None) -> str:
        """Describe the fitted estimator in Markdown, to publish beside its file.

        Parameters
        ----------
        metrics : DataFrame or dict, optional
            Errors on spectra that did not train it, by star.
        licence : str, optional
            Of the weights.

        Returns
        -------
        card : str
        """
        from ._persistence import model_card

        return model_card(self, metrics=metrics, licence=licence)

    def __sklearn_is_fitted__(self):
        return hasattr(self, "net_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _train(
        self,
        X: Any,
        *,
        groups: Any = None,
        sample_weight: Any = None,
        previous: Any = None,
        one_epoch: bool = False,
        resume_from: Any = None,
        simulated: Any = None,
        n_simulated: float = 0.0,
        labelled_share: float = 0.0,
        labelled: np.ndarray | None = None,
        **extra: Any,
    ) -> Trained:
        """Check everything, build the network or go on from one, train it; set nothing."""
        self._check_parameters()
        features, X = X, check_spectra(X, self)
        if previous is not None:
            check_spectra_like_fit(features, self)
            check_same_network(previous.module_, **self._network_parameters())
        grid = self._check_grid(X, continues=previous is not None)
        weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        share = Share(self.accelerator)
        share.check_labels(extra.get("labels"))
        seeds = share.same(spawn_seeds(self.random_state, 3))
        checkpoint = None
        if not one_epoch and (self.checkpoint_path is not None or resume_from is not None):
            beside = {
                "labels": digest(extra.get("labels")),
                "conditions": digest(extra.get("conditions")),
                "groups": digest(None if groups is None else check_groups(groups, X.shape[0])),
                "weights": digest(weight),
                "simulated": identify_simulated(simulated),
                "flux_error": identify_flux_error(extra.get("flux_error")),
            }
            checkpoint = self._checkpoint(X, seeds, resume_from, beside)
        if checkpoint is not None:
            seeds = checkpoint.identity["seeds"]
        split_seed, network_seed, batch_seed = seeds
        fraction = 0.0 if one_epoch else self.validation_fraction
        train, valid = split_rows(X.shape[0], fraction, groups, split_seed, labelled=labelled)
        if not is_lazy(X):
            for rows in row_blocks(*X.shape):
                read_flux(X, rows)  # a spectrum that cannot be used is named at once
        # A spectrum of weight zero is as good as absent.
        train, valid = train[weight[train] > 0], valid[weight[valid] > 0]
        if not len(train):
            raise ValueError(
                "sample_weight is zero for every training spectrum; give one a weight."
            )
        # Mean weight 1, so that the loss keeps its scale whatever the weights add up to.
        data = TrainingData(X, weight / weight[train].mean(), **extra)
        if previous is None:
            network = self._build(data, train, network_seed)
        else:
            # A copy: if this training fails, the estimator keeps the weights that it has.
            network = copy.deepcopy(previous.module_).cpu()

        net, interrupted = train_network(
            network,
            self._objective(),
            SpectraDataset(
                data,
                train,
                simulated=simulated,
                n_simulated=n_simulated,
                labelled_share=labelled_share,
                seed=share.seed(batch_seed),
            ),
            SpectraDataset(data, valid) if len(valid) else None,
            self._plan(batch_seed, one_epoch=one_epoch, checkpoint=checkpoint),
            previous=previous,
        )
        history = history_table(net)
        if interrupted and (history.empty or not self._is_continued):
            raise KeyboardInterrupt
        earlier = [] if previous is None else [getattr(self, "history_")]  # noqa: B009
        history = pd.concat([*earlier, history], ignore_index=True)
        history["epoch"] = np.arange(1, len(history) + 1)
        star = None if groups is None else check_groups(groups, X.shape[0])
        n_stars = None if star is None else len(np.unique(star[np.concatenate([train, valid])]))
        precision = self.precision
        if precision == "auto":
            compared = SpectraDataset(data, _compared(data, valid if len(valid) else train))
            n_together = len(row_blocks(len(compared), X.shape[1])[0])
            precision = settle_precision(net.module_, compared.in_order(n_together))
        compute = self._compute(precision)
        return Trained(net, X, history, grid, train, valid, interrupted, n_stars, compute)

    def _empty_network(self, shapes: dict[str, tuple[int, ...]]) -> torch.nn.Module:
        """Build the network whose tensors have these shapes, to be filled from a file."""
        n_pixels = shapes["scaler.mean"][0]
        labels, conditions = (
            np.zeros((1, *shapes[name])) if name in shapes else None
            for name in ("label_scaler.centre", "condition_scaler.centre")
        )
        # One row stands for the training spectra, of which the file has all that was learnt.
        flux = np.zeros((1, n_pixels), dtype=np.float32)
        data = TrainingData(flux, np.ones(1), labels=labels, conditions=conditions)
        return self._build(data, np.arange(1), None)

    def _take_over(self, trained: Trained, features: Any, *, first: bool = True) -> None:
        """Set what every fitted estimator has; the last thing that a fit does."""
        if first:
            record_features(features, self)
        self.net_, self.history_ = trained.net, trained.history
        self.n_iter_, self.grid_ = len(trained.history), trained.grid
        self.precision_ = trained.compute.precision
        self._training = {
            "n_train": len(trained.train),
            "n_valid": len(trained.valid),
            "n_stars": trained.n_stars,
            "versions": versions(),
        }
        if trained.interrupted:
            raise KeyboardInterrupt

    def _compute(self, precision: str) -> Compute:
        return Compute(precision, self.n_threads, self.compile)

    def _plan(self, seed: int, *, one_epoch: bool, checkpoint: Checkpoint | None) -> TrainingPlan:
        device = (
            resolve_device(self.device) if self.accelerator is None else self.accelerator.device
        )
        return TrainingPlan(
            max_epochs=1 if one_epoch else self.max_epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            patience=self.patience,
            device=device,
            seed=seed,
            verbose=self.verbose,
            one_cycle=not one_epoch,
            checkpoint=checkpoint,
            compute=self._compute(training_precision(self.precision, device)),
            shuffle_block=self.shuffle_block,
            accelerator=self.accelerator,
        )

    def _checkpoint(
        self, X: Any, seeds: list[int], resume_from: Any, beside: dict[str, Any]
    ) -> Checkpoint:
        resume = None if resume_from is None else read_checkpoint(resume_from)
        if resume is not None and self.random_state is None:
            seeds = resume["identity"].get("seeds", seeds)
        identity = {
            "estimator": type(self).__name__,
            "parameters": {name: repr(value) for name, value in self._identity().items()},
            "spectra": list(X.shape),
            "seeds": seeds,
            **beside,
        }
        if resume is not None:
            check_identity(resume["identity"], identity, resume_from)
        path = resume_from if self.checkpoint_path is None else self.checkpoint_path
        read_from = None if resume_from is None else Path(resume_from)
        return Checkpoint(Path(path), self.checkpoint_minutes, identity, resume, read_from)

    def _identity(self) -> dict[str, Any]:
        """Parameters that decide the course of a training."""
        beside = (
            "device",
            "compile",
            "n_threads",
            "accelerator",
            "verbose",
            "random_state",
            "checkpoint_path",
            "checkpoint_minutes",
        )
        return {
            name: value for name, value in self.get_params(deep=False).items() if name not in beside
        }

    def _check_parameters(self) -> None:
        check_part("encoder", getattr(self, "encoder", "conv"), ENCODERS)
        check_part("decoder", getattr(self, "decoder", "conv"), DECODERS)
        check_number("max_epochs", self.max_epochs, minimum=1, integer=True)
        check_number("batch_size", self.batch_size, minimum=1, integer=True)
        check_number("learning_rate", self.learning_rate, minimum=0, open_below=True)
        if self.patience is not None:
            check_number("patience", self.patience, minimum=1, integer=True)
        check_number("validation_fraction", self.validation_fraction, minimum=0, maximum=0.9)
        check_number("checkpoint_minutes", self.checkpoint_minutes, minimum=0)
        check_choice("precision", self.precision, PRECISIONS)
        if self.n_threads is not None:
            check_number("n_threads", self.n_threads, minimum=1, integer=True)
        check_number("shuffle_block", self.shuffle_block, minimum=1, integer=True)
        check_accelerator(self.accelerator)

    def _check_grid(self, X: Any, *, continues: bool) -> Any:
        check_grid_type("grid", self.grid)
        known = getattr(X, "grid", None)
        check_same_grid(known, self.grid, self)
        if self.grid is not None and self.grid.n_pixels != X.shape[1]:
            raise GridMismatchError(
                f"X has {X.shape[1]} pixels, but grid is {self.grid}; put the spectra on it with "
                "SpectrumResampler, or, where PixelMasker dropped pixels, leave grid out."
            )
        if known is None:
            known = self.grid
        if not continues:
            return known
        check_same_grid(known, self.grid_, self)
        return self.grid_ if known is None else known

    def _decode_codes(self, X: Any, out: Any = None) -> Any:
        """Flux of codes, after checking their width, where `out` says."""
        check_is_fitted(self)
        network = self.net_.module_
        codes = check_array(X, dtype=np.float32, input_name="X", estimator=self)
        if codes.shape[1] != network.n_latents:
            raise ValueError(
                f"X has {codes.shape[1]} columns; inverse_transform wants codes of "
                f"{network.n_latents} latents."
            )
        compute = self._compute(self.precision_)
        blocks = decoded_blocks(network, network.decode, codes, self.n_features_in_, compute)
        return self._flux(blocks, out, "inverse_transform", codes)

    def _apply(
        self, X: Any, function: Any, *, conditions: Any = None, outs: Any = None
    ) -> list[Any]:
        """Arrays that a function of (network, flux) gives, block by block, joined.

        `function` returns one tensor or a tuple of them, with the batch on axis 0; with conditions
        it takes those of the block as well. `outs` says where each goes, see `collect`.
        """
        check_is_fitted(self)
        X = check_spectra_like_fit(X, self)
        return collect(self._blocks(X, function, conditions), outs, [X, conditions])

    def _blocks(self, X: Any, function: Any, conditions: Any = None) -> Blocks:
        compute = self._compute(self.precision_)
        return encoded_blocks(self.net_.module_, X, compute, function, conditions)

    def _flux(self, blocks: Blocks, out: Any, method: str, *given: Any) -> Any:
        """Flux of blocks, where `out` says; `given` is what the method computes it from."""
        if not is_path(out):
            return collect(blocks, [out], given)[0]
        state = self.net_.module_.state_dict()
        identity = {
            "estimator": type(self).__name__,
            "method": method,
            "precision": self.precision_,
            "weights": digest_of_arrays(*(tensor.cpu().numpy() for tensor in state.values())),
            "given": [digest_of_rows(each) for each in given],
        }
        return write_flux(blocks, out, self.grid_, identity, progress=bool(self.verbose))


def apply_to_rows(function: Any, trained: Trained, rows: np.ndarray) -> list[np.ndarray]:
    """Float64 arrays that a function of (network, flux) gives for some rows of the training.

    Raises
    ------
    SpectrumError
        Naming the row of `X`.
    """
    blocks = encoded_blocks(trained.net.module_, trained.X[rows], trained.compute, function)
    try:
        return [part.astype(np.float64) for part in collect(blocks)]
    except SpectrumError as error:
        raise SpectrumError(int(rows[error.row]), error.reason) from error
