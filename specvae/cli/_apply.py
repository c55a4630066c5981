"""``specvae encode`` and ``specvae predict``: a model on a store, into a table."""

from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

from .. import preprocessing
from ..distributed._archive import filled_archive
from ..estimators._persistence import load
from ..estimators._persistence._save import grid_of, labels_of, steps_of
from ..exceptions import GridMismatchError, SpectrumError
from ..spectra import SpectraArray, read_meta
from ..spectra._part import journal_path
from ._columns import check_columns, prediction_columns, states_errors
from ._output import SUFFIXES, check_writable, identity_columns, write_table
from ._target import check_target, told_when_full


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
    target = options.to
    _check_target(target)
    model, spectra = load(options.model, device=options.device), SpectraArray.open(options.store)
    _check_grid(model, spectra, options)
    estimator, method, names = _task(model, spectra.shape[1], options)
    is_table = target.suffix != ".npy"
    # The numbers are computed into a file from which an interrupted call goes on; the table is
    # made of them at once.
    numbers = target.with_name(f"{target.name}.rows.npy") if is_table else target
    if is_table:
        identity = identity_columns(read_meta(options.store), target.suffix)
        check_columns(names, list(map(str, identity.columns)))
        check_writable(target.suffix, identity, names)
    try:
        with filled_archive(
            estimator,
            spectra,
            numbers,
            method=method,
            block_rows=options.block_rows,
            invalid="nan" if options.keep_going else "raise",
        ) as values:
            if is_table:
                columns = values.reshape(len(values), -1).T
                with told_when_full(target):
                    write_table(target, identity.assign(**dict(zip(names, columns, strict=True))))
                del values, columns
                numbers.unlink()
    except SpectrumError as error:
        if not options.keep_going:
            error.add_note("On the command line that is --keep-going.")
        raise
    print(f"Wrote {target}: {len(spectra)} spectra, {', '.join(names)}.")


def _task(model: Any, n_pixels: int, options: Namespace) -> tuple[Any, str, list[str]]:
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
    last = steps_of(model)[-1]
    names = _label_names(model, n_pixels)
    columns = prediction_columns(last, names)
    if states_errors(last):
        return PredictionWithError(model), "predict", columns
    print(
        f"{type(last).__name__} states no uncertainties; --model regressor and semi-supervised do."
    )
    return model, "predict", columns


def _label_names(model: Any, n_pixels: int) -> list[str]:
    """Return the names that the last step knows, or numbers where it learnt from a plain array."""
    names, _ = labels_of(steps_of(model)[-1])
    if names:
        return names
    n_labels = np.asarray(model.predict(np.ones((1, n_pixels), dtype=np.float32))).size
    return [f"label{number}" for number in range(n_labels)]


def _check_target(target: Path) -> None:
    if target.suffix not in SUFFIXES:
        raise ValueError(f"--to must end in {', '.join(SUFFIXES)}, got {target.name!r}.")
    # Numbers with a journal beside them belong to an unfinished call.
    if target.suffix != ".npy" or not journal_path(target).exists():
        check_target(target, "table")


def _check_grid(model: Any, spectra: SpectraArray, options: Namespace) -> None:
    wanted = grid_of(model)
    if wanted is not None and spectra.grid is not None and wanted != spectra.grid:
        raise GridMismatchError(
            f"{options.model} was trained on {wanted}, {options.store} is on {spectra.grid}; pack "
            "the files again on the grid of the model."
        )
