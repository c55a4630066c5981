"""``specvae encode`` and ``specvae predict``: a model on a store, into a table."""

import errno
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

from .. import preprocessing
from ..distributed import transform_archive
from ..estimators._persistence import load
from ..estimators._persistence._save import grid_of, labels_of, steps_of
from ..exceptions import GridMismatchError, SpectrumError
from ..spectra import SpectraArray, read_meta
from ._output import SUFFIXES, write_table


class PredictionWithError(BaseEstimator):
    """Predictions and their standard deviations side by side, as one array.

    Parameters
    ----------
    estimator : estimator
        Fitted; its last step has ``predict(X, return_std=True)``.
    """

    def __init__(self, estimator: Any):
        self.estimator = estimator

    def fit(self, X: Any, y: Any = None) -> "PredictionWithError":
        """Return self, which is fitted as it is."""
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def predict(self, X: Any) -> np.ndarray:
        """Return labels, then their errors, of shape (n_spectra, 2 n_labels)."""
        labels, errors = self.estimator.predict(X, return_std=True)
        return np.hstack([np.asarray(part).reshape(len(X), -1) for part in (labels, errors)])


def run(options: Namespace) -> None:
    """Compute a row for each spectrum and write the table."""
    target = _check_target(options.to)
    model, spectra = load(options.model, device=options.device), SpectraArray.open(options.store)
    _check_grid(model, spectra, options)
    meta = read_meta(options.store)
    estimator, method, names = _task(model, options)
    # The numbers are computed into a file from which an interrupted call goes on; the table is
    # made of them at once.
    numbers = target if target.suffix == ".npy" else target.with_name(f"{target.name}.rows.npy")
    try:
        values = transform_archive(
            estimator,
            spectra,
            numbers,
            method=method,
            block_rows=options.block_rows,
            invalid="nan" if options.keep_going else "raise",
        )
    except SpectrumError as error:
        error.add_note("On the command line that is --keep-going.")
        raise
    values = values.reshape(len(values), -1)
    if numbers != target:
        write_table(target, meta, dict(zip(names, values.T, strict=True)))
        del values
        numbers.unlink()
    print(f"Wrote {target}: {len(spectra)} spectra, {', '.join(names)}.")


def _task(model: Any, options: Namespace) -> tuple[Any, str, list[str]]:
    """Return what to apply, the method of it, and the names of the columns."""
    if options.command == "encode":
        coder = model
        if isinstance(model, Pipeline) and not hasattr(model, "transform"):
            coder = model[:-1]
        # Flux that is masked and normalised is no code.
        last = type(steps_of(coder)[-1])
        if not hasattr(coder, "transform") or last.__module__.startswith(preprocessing.__name__):
            raise ValueError(f"{options.model} has no code; `specvae predict` gives its labels.")
        return coder, "transform", [str(name) for name in coder.get_feature_names_out()]
    if not hasattr(model, "predict"):
        raise ValueError(
            f"{options.model} was trained without labels and predicts none; `specvae encode` gives "
            "its code."
        )
    names, _ = labels_of(model)
    last = steps_of(model)[-1]
    if _states_errors(last):
        errors = [f"{name}_error" for name in names]
        return PredictionWithError(model), "predict", [*names, *errors]
    print(
        f"{type(last).__name__} states no uncertainties; --model regressor and semi-supervised do."
    )
    return model, "predict", names


def _states_errors(estimator: Any) -> bool:
    return type(estimator).__name__ in ("SpectralRegressor", "SemiSupervisedVAE")


def _check_target(target: Path) -> Path:
    if target.suffix not in SUFFIXES:
        raise ValueError(f"--to must end in {', '.join(SUFFIXES)}, got {target.name!r}.")
    if target.exists():
        raise FileExistsError(
            errno.EEXIST, "the table exists; delete it, or give --to another name", str(target)
        )
    return target


def _check_grid(model: Any, spectra: SpectraArray, options: Namespace) -> None:
    wanted = grid_of(model)
    if wanted is not None and spectra.grid is not None and wanted != spectra.grid:
        raise GridMismatchError(
            f"{options.model} was trained on {wanted}, {options.store} is on {spectra.grid}; pack "
            "the files again on the grid of the model."
        )
