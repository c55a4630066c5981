"""What estimators with labels share: the checks of labels, and intervals that hold."""

from typing import Any

import numpy as np

from .._validation import check_groups, check_labels


def check_label_matrix(y: Any, n_spectra: int, estimator: Any) -> tuple[np.ndarray, Any, bool]:
    """Return labels as a float64 matrix, their names or None, and whether there was one column.

    Raises
    ------
    ValueError
        If there is no `y`, its length differs, or a label is unknown for every spectrum.
    """
    if y is None:
        raise ValueError(
            f"{type(estimator).__name__} requires y to be passed, but the target y is None."
        )
    labels, names = check_labels(y, n_spectra)
    return labels.reshape(len(labels), -1), names, labels.ndim == 1


def check_known_in_training(labels: np.ndarray, rows: np.ndarray) -> None:
    """Raise unless each label is known for one of the training rows at least."""
    unknown = np.isnan(labels[rows]).all(axis=0)
    if unknown.any():
        raise ValueError(
            f"label column {int(np.argmax(unknown))} of y is NaN in all training rows, and "
            "known at weight zero or in the validation share only: lower validation_fraction (0 "
            "trains on all), or leave the column out."
        )


def record_labels(estimator: Any, names: Any, n_labels: int, one_dimensional: bool) -> None:
    """Set `label_names_in_` where labels have names, and how many there are."""
    if names is not None:
        estimator.label_names_in_ = np.array(names, dtype=object)
    elif hasattr(estimator, "label_names_in_"):
        del estimator.label_names_in_
    estimator.n_labels_ = n_labels
    estimator._one_dimensional = one_dimensional


def label_dtype(y: Any) -> str:
    """Precision of predictions: float64 where `y` has it, else the float32 of the network."""
    return "float64" if np.asarray(y).dtype in (np.float64, object) else "float32"


def calibrate(
    error: np.ndarray, std: np.ndarray, groups: Any, *, level: float = 0.6827
) -> np.ndarray:
    """Factors by which standard deviations are multiplied so that intervals hold their share.

    For each label the `level` quantile of |error| / std, every star counting once, however many
    spectra it has.

    Parameters
    ----------
    error, std : ndarray of shape (n_spectra, n_labels)
        NaN where a label is unknown.
    groups : array-like of shape (n_spectra,) or None
        None takes each spectrum for a star of its own.
    level : float

    Returns
    -------
    factor : ndarray of shape (n_labels,)
        1 for a label that no spectrum has.
    """
    star = np.arange(len(error)) if groups is None else check_groups(groups, len(error))
    factor = np.ones(error.shape[1])
    for column in range(error.shape[1]):
        known = np.flatnonzero(np.isfinite(error[:, column]))
        if not len(known):
            continue
        ratio = np.abs(error[known, column]) / std[known, column]
        weight = 1.0 / np.bincount(star[known])[star[known]]
        order = np.argsort(ratio)
        # As for a conformal interval: the star to come counts as well.
        share = np.cumsum(weight[order]) / (weight.sum() + 1.0)
        place = min(int(np.searchsorted(share, level)), len(order) - 1)
        factor[column] = max(float(ratio[order][place]), 1e-6)
    return factor
