"""From a fitted estimator to a description in JSON and tensors."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from ...networks import LabelDecoder
from ...spectra import WavelengthGrid
from .._versions import versions
from ._classes import NOT_LEARNT, PLACES, full_name, is_known
from ._format import FORMAT, VERSION, write_file

_UNITS = {
    "k": "K",
    "dex": "dex",
    "kms": "km/s",
    "mm": "mm",
    "arcsec": "arcsec",
    "s": "s",
    "aa": "Angstrom",
}


def save(estimator: Any, path: Any) -> None:
    """Write a fitted estimator, or a pipeline of them, to one file that `load` reads.

    Parameters
    ----------
    estimator : estimator or Pipeline
        Any of specvae, and of scikit-learn Pipeline, FrozenEstimator, PCA, IncrementalPCA,
        StandardScaler, SimpleImputer, MissingIndicator, LinearRegression and Ridge.
    path : str or Path
        Written whole or not at all; an older file stays until then.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    TypeError
        If it holds something that is no plain data.
    ValueError
        If the network has weights that are not finite.
    ImportError
        If safetensors is not installed; the extra "save" brings it.

    Notes
    -----
    The file is safetensors with a description in JSON: parameters, what was learnt, grid, names
    and units of the labels, the training in figures, versions, and the SHA-256 of it all.
    `checkpoint_path` and the `memory` of a pipeline are not kept, nor are metadata requests or the
    moments of Adam: a training that goes on starts with fresh ones.

    Examples
    --------
    >>> import tempfile, specvae
    >>> from specvae.estimators import SpectralAutoencoder
    >>> flux = np.random.default_rng(0).normal(1.0, 0.1, (20, 50))
    >>> model = SpectralAutoencoder(2, encoder="dense", decoder="dense", max_epochs=2).fit(flux)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     specvae.save(model, f"{folder}/model.safetensors")
    ...     loaded = specvae.load(f"{folder}/model.safetensors")
    >>> bool((loaded.transform(flux) == model.transform(flux)).all())
    True
    """
    check_is_fitted(estimator)
    encoder = Encoder()
    tree = encoder.encode(estimator, type(estimator).__name__)
    grid = grid_of(estimator)
    description = {
        "format": FORMAT,
        "version": VERSION,
        "versions": versions(),
        "grid": None if grid is None else grid.to_dict(),
        "labels": [{"name": name, "unit": unit_of(name)} for name in labels_of(estimator)[0]],
        "training": training_summary(estimator),
        "estimator": tree,
    }
    write_file(Path(path), description, encoder.tensors)


class Encoder:
    """Turns values into JSON, with arrays set aside as tensors.

    What JSON has no word for becomes an object with one key that begins with a dollar sign.
    """

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self._n_arrays = self._n_networks = 0

    def encode(self, value: Any, where: str) -> Any:
        """Return a value in JSON.

        Raises
        ------
        TypeError
            If it is no plain data; `where` says where it was found.
        """
        if value is None or isinstance(value, bool | str) or type(value) is int:
            return str(value) if isinstance(value, np.str_) else value
        if type(value) is float:
            return value if math.isfinite(value) else {"$float": str(value)}
        if isinstance(value, list | tuple):
            found = [self.encode(each, where) for each in value]
            return found if isinstance(value, list) else {"$tuple": found}
        if isinstance(value, dict):
            pairs = [[self.encode(each, where) for each in pair] for pair in value.items()]
            return {"$dict": pairs}
        if isinstance(value, np.generic) and value.dtype.kind in "biuf":
            return {"$scalar": value.dtype.str, "value": self.encode(value.item(), where)}
        if isinstance(value, np.ndarray):
            return self._array(value, where)
        if isinstance(value, np.dtype) and value.kind in "biufOU":
            return {"$dtype": value.str}
        if isinstance(value, type) and issubclass(value, np.number):
            return {"$type": np.dtype(value).str}
        if isinstance(value, WavelengthGrid):
            return {"$grid": value.to_dict()}
        if isinstance(value, pd.DataFrame):
            columns = [
                [str(name), self.encode(value[name].to_numpy(), where)] for name in value.columns
            ]
            return {"$table": columns}
        if isinstance(value, np.random.RandomState):
            return {"$random_state": self.encode(value.get_state(legacy=False), where)}
        if isinstance(value, type) and issubclass(value, nn.Module):
            return {"$module": full_name(value)}
        if isinstance(value, BaseEstimator):
            return self._estimator(value, where)
        raise TypeError(
            f"{where} is of {type(value)}, which save does not know: it keeps plain data only. "
            "joblib.dump keeps everything, in a file that runs code when it is read."
        )

    def _array(self, value: np.ndarray, where: str) -> Any:
        if value.dtype.kind in "OU":
            kept = [self.encode(each, where) for each in value.ravel().tolist()]
            return {"$objects": kept, "shape": list(value.shape), "dtype": value.dtype.str}
        if value.dtype.kind not in "biuf" or value.dtype.itemsize > 8:
            raise TypeError(f"{where} is an array of {value.dtype}, which save does not know.")
        name = f"array.{self._n_arrays}"
        self._n_arrays += 1
        # In one order in the file; the order in memory decides how sums are rounded later.
        by_columns = value.ndim > 1 and value.strides[0] < value.strides[-1]
        native = value.astype(value.dtype.newbyteorder("="), order="C", copy=True)
        self.tensors[name] = torch.from_numpy(native)
        return {"$array": name, "by_columns": by_columns}

    def _estimator(self, estimator: Any, where: str) -> Any:
        if not is_known(estimator):
            hint = "; save its best_estimator_" if hasattr(estimator, "best_estimator_") else ""
            raise TypeError(
                f"{where} is a {type(estimator).__name__}, which is not among the classes that "
                f"save knows{hint}."
            )
        parameters = estimator.get_params(deep=False)
        kept = {
            name: self.encode(value, f"{where}.{name}")
            for name, value in parameters.items()
            if name not in PLACES
        }
        fitted = {
            name: self.encode(value, f"{where}.{name}")
            for name, value in vars(estimator).items()
            if name not in parameters and name not in NOT_LEARNT
        }
        tree = {"$estimator": type(estimator).__name__, "parameters": kept, "fitted": fitted}
        # Its own: a FrozenEstimator lends the attributes of what it holds.
        if "net_" in vars(estimator):
            tree["network"] = self._network(estimator, where)
        return tree

    def _network(self, estimator: Any, where: str) -> Any:
        prefix = f"network{self._n_networks}"
        self._n_networks += 1
        network = estimator.net_.module_
        check_finite(network)
        state = network.state_dict()
        for name, value in state.items():
            if not isinstance(value, Tensor):
                raise TypeError(f"{where} has the state {name} in its network, no tensor.")
            # A copy, because safetensors refuses tensors that share memory.
            self.tensors[f"{prefix}.{name}"] = value.detach().cpu().clone().contiguous()
        shapes = {name: tuple(value.shape) for name, value in state.items()}
        try:
            check_state(estimator._empty_network(shapes).state_dict(), state)
        except ValueError as error:
            raise ValueError(
                f"the parameters of {where} are no longer those of its network, so that no file "
                f"could be read back ({error}); set them as they were in fit."
            ) from error
        return {"tensors": prefix, "unit": float(network.scaler.unit)}


def check_finite(network: nn.Module) -> None:
    """Raise if a weight is NaN or infinite."""
    for name, weight in network.named_parameters():
        if not torch.isfinite(weight).all():
            raise ValueError(f"the weights {name} of the network hold NaN or infinity")


def check_state(expected: dict[str, Tensor], found: dict[str, Tensor]) -> None:
    """Raise unless the tensors are those of the network, by name, shape and kind."""
    missing, unknown = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    if missing or unknown:
        raise ValueError(
            f"its tensors are not those of its network: {len(missing)} are missing "
            f"({', '.join(missing[:3])}), {len(unknown)} are unknown ({', '.join(unknown[:3])})"
        )
    for name, tensor in expected.items():
        came, wanted = found[name], tensor
        if came.shape != wanted.shape or came.dtype != wanted.dtype:
            raise ValueError(
                f"tensor {name} is {came.dtype} of shape {tuple(came.shape)}; its network has "
                f"{wanted.dtype} of shape {tuple(wanted.shape)}"
            )
        if came.dtype == torch.bool and came.numel() and came.view(torch.uint8).max() > 1:
            raise ValueError(f"tensor {name} holds what is neither true nor false")


def steps_of(estimator: Any) -> list[Any]:
    """Return the fitted steps of a pipeline, in order, or the estimator alone."""
    if not isinstance(estimator, Pipeline):
        return [estimator]
    return [
        part for _, step in estimator.steps if not isinstance(step, str) for part in steps_of(step)
    ]


def grid_of(estimator: Any) -> WavelengthGrid | None:
    """Grid of the spectra that go in, where it is known."""
    grids = [getattr(step, "grid_", None) for step in steps_of(estimator)]
    return next((grid for grid in grids if grid is not None), None)


def labels_of(estimator: Any) -> tuple[list[str], Any]:
    """Names of the labels of the last step that has any, and the scaler of its network or None."""
    names, scaler = [], None
    for step in steps_of(estimator):
        network = step.net_.module_ if hasattr(step, "net_") else None
        of_network = getattr(network, "label_scaler", None)
        # A simulator takes labels in, the others give them.
        attribute = "feature_names_in_" if isinstance(network, LabelDecoder) else "label_names_in_"
        known = getattr(step, attribute, None)
        if known is None and of_network is not None:
            known = [f"label {number}" for number in range(len(of_network.centre))]
        if known is not None:
            names, scaler = [str(name) for name in known], of_network
    return names, scaler


def unit_of(name: str) -> str:
    """Return the unit that ends a name, as in teff_k; empty where there is none."""
    return _UNITS.get(name.rpartition("_")[2], "") if "_" in name else ""


def training_summary(estimator: Any) -> dict[str, Any]:
    """Epochs, best loss and rows of the last network in a pipeline; empty without one."""
    networks = [step for step in steps_of(estimator) if hasattr(step, "net_")]
    if not networks:
        return {}
    trained = networks[-1]
    history = getattr(trained, "history_", None)
    found: dict[str, Any] = {"epochs": int(getattr(trained, "n_iter_", 0))}
    if history is not None and len(history):
        watched = "valid_loss" if "valid_loss" in history else "train_loss"
        found |= {"best_loss": float(history[watched].min()), "loss": watched}
    return found | getattr(trained, "_training", {})
