"""What estimators with labels share: the checks of labels, and intervals that hold."""

from typing import Any

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted

from .._validation import check_groups, check_labels
from ..metrics import nan_r2_score
from ._base import Trained, apply_to_rows


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


class CalibratedLabelsMixin(RegressorMixin):
    """Adds to an `AbstractSpectralEstimator` labels with standard deviations that hold.

    A subclass says what its network gives: `_labels_and_std` of (network, flux), in the units of
    the labels.
    """

    _apply: Any
    _labels_and_std: Any
    std_factor_: np.ndarray
    _label_dtype: str
    _one_dimensional: bool

    def predict(self, X: Any, *, return_std: bool = False) -> Any:
        """Predict the labels of each spectrum.

        Parameters
        ----------
        X : array-like or SpectraArray of shape (n_spectra, n_pixels)
        return_std : bool, default=False
            Whether to give the calibrated standard deviation as well.

        Returns
        -------
        labels : ndarray of shape (n_spectra,) or (n_spectra, n_labels)
            In physical units, as `y` was in `fit`; float64 where that was, else float32.
        std : ndarray of the same shape
            Only with `return_std`: 68 % of the stars lie within.
        """
        mean, std = self._apply(X, self._labels_and_std)
        dtype = self._label_dtype
        mean, std = mean.astype(dtype), (std * self.std_factor_).astype(dtype)
        if self._one_dimensional:
            mean, std = mean[:, 0], std[:, 0]
        return (mean, std) if return_std else mean

    def score(self, X: Any, y: Any, *, sample_weight: Any = None) -> float:
        """Mean over the labels of the coefficient of determination, on the spectra that have each.

        Parameters
        ----------
        X : array-like or SpectraArray of shape (n_spectra, n_pixels)
        y : array-like of shape (n_spectra,) or (n_spectra, n_labels)
            Labels; NaN where unknown.
        sample_weight : array-like of shape (n_spectra,), optional

        Returns
        -------
        score : float
            1 is perfect, 0 is as good as the mean.
        """
        check_is_fitted(self)
        return nan_r2_score(y, self.predict(X), sample_weight=sample_weight)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _calibrated(self, trained: Trained, labels: np.ndarray, groups: Any) -> np.ndarray:
        """Factors of the standard deviations, from the spectra that watched and have a label."""
        known = trained.valid[~np.isnan(labels[trained.valid]).all(axis=1)]
        if not len(known):
            return np.ones(labels.shape[1])
        mean, std = apply_to_rows(self._labels_and_std, trained, known)
        of_known = None if groups is None else np.asarray(groups)[known]
        return calibrate(mean - labels[known], std, of_known)


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
