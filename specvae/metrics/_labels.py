"""Errors of predicted labels, of which some are unknown."""

from typing import Any, NamedTuple

import numpy as np
from sklearn.utils import check_consistent_length

from .._validation import check_groups, check_same_names, column_names, label_matrix


class StarMean(NamedTuple):
    """A mean over stars and its standard error; NaN where no star has a value."""

    mean: np.ndarray  # (n_labels,)
    standard_error: np.ndarray  # (n_labels,), NaN for fewer than two stars
    n_stars: np.ndarray  # (n_labels,), stars with at least one value


def nan_mean_absolute_error(
    y_true: Any, y_pred: Any, *, sample_weight: Any = None, multioutput: str = "uniform_average"
) -> Any:
    """Mean absolute error over the known labels.

    Parameters
    ----------
    y_true : array-like of shape (n_spectra,) or (n_spectra, n_labels)
        Labels; NaN where unknown.
    y_pred : array-like of the same shape
        Predictions, all known.
    sample_weight : array-like of shape (n_spectra,), optional
    multioutput : {"uniform_average", "raw_values"}, default="uniform_average"
        The mean over labels, whatever their units, or one value for each label.

    Returns
    -------
    error : float or ndarray of shape (n_labels,)
        In the units of the labels; a label without any value gives NaN, and is left out of the
        average.

    Raises
    ------
    ValueError
        If shapes or column names differ, or a prediction is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> nan_mean_absolute_error([[5000.0, 4.0], [6000.0, np.nan]], [[5100.0, 4.5], [6000.0, 1.0]],
    ...                         multioutput="raw_values")
    array([50. ,  0.5])
    """
    true, pred, weight = _check_pairs(y_true, y_pred, sample_weight)
    error = _weighted_mean(np.abs(true - pred), weight)
    return _over_labels(error, multioutput)


def nan_r2_score(
    y_true: Any, y_pred: Any, *, sample_weight: Any = None, multioutput: str = "uniform_average"
) -> Any:
    """Coefficient of determination over the known labels: 1 - residual / total sum of squares.

    Free of units, so that a mean over labels makes sense.

    Parameters
    ----------
    y_true : array-like of shape (n_spectra,) or (n_spectra, n_labels)
        Labels; NaN where unknown.
    y_pred : array-like of the same shape
        Predictions, all known.
    sample_weight : array-like of shape (n_spectra,), optional
    multioutput : {"uniform_average", "raw_values"}, default="uniform_average"
        The mean over labels, or one value for each label.

    Returns
    -------
    r2 : float or ndarray of shape (n_labels,)
        1 is perfect, 0 is as good as the mean; NaN where fewer than two different labels are
        known.

    Examples
    --------
    >>> import numpy as np
    >>> nan_r2_score([1.0, 2.0, 3.0, np.nan], [1.0, 2.0, 4.0, 9.0])
    0.5
    """
    true, pred, weight = _check_pairs(y_true, y_pred, sample_weight)
    residual = _weighted_mean((true - pred) ** 2, weight)
    total = _weighted_mean((true - _weighted_mean(true, weight)) ** 2, weight)
    counts = ~np.isnan(true) & (weight > 0)[:, None]
    highest = np.where(counts, true, -np.inf).max(axis=0)
    lowest = np.where(counts, true, np.inf).min(axis=0)
    # Of equal labels the sum of squares is rounding, not zero.
    with np.errstate(invalid="ignore", divide="ignore"):
        r2 = np.where(highest > lowest, 1.0 - residual / total, np.nan)
    return _over_labels(r2, multioutput)


def mean_by_star(values: Any, groups: Any) -> StarMean:
    """Mean over stars of each star's mean, with its standard error.

    Spectra of one star are not independent: error bars that count spectra are too small by up to
    the square root of the number of spectra a star.

    Parameters
    ----------
    values : array-like of shape (n_spectra,) or (n_spectra, n_labels)
        Absolute errors, say; NaN where unknown.
    groups : array-like of shape (n_spectra,)
        Id of the star.

    Returns
    -------
    result : StarMean
        Arrays of shape (n_labels,), (1,) for one-dimensional values. The standard error is the
        scatter of the stars' means over the square root of their number.

    Raises
    ------
    ValueError
        If the lengths differ or an id is missing.

    Examples
    --------
    >>> mean_by_star([1.0, 3.0, 4.0], ["Sun", "Sun", "Vega"]).mean
    array([3.])
    """
    values = label_matrix(values)
    star = check_groups(groups, len(values))
    known = ~np.isnan(values)
    n_stars = int(star.max()) + 1
    count, total = np.zeros((2, n_stars, values.shape[1]))
    np.add.at(count, star, known)
    np.add.at(total, star, np.where(known, values, 0.0))
    with np.errstate(invalid="ignore", divide="ignore"):
        of_star = total / count
        n_known = (count > 0).sum(axis=0)
        mean = np.nansum(of_star, axis=0) / n_known
        scatter = np.nansum((of_star - mean) ** 2, axis=0) / (n_known - 1)
        error = np.where(n_known > 1, np.sqrt(scatter / n_known), np.nan)
    return StarMean(mean, error, n_known)


def _check_pairs(y_true: Any, y_pred: Any, sample_weight: Any) -> tuple[np.ndarray, ...]:
    check_same_names("y_pred", column_names(y_pred), "y_true", column_names(y_true))
    true, pred = label_matrix(y_true), label_matrix(y_pred)
    if true.shape != pred.shape:
        raise ValueError(f"y_true has shape {true.shape}, y_pred {pred.shape}; they must agree.")
    if not np.isfinite(pred).all():
        raise ValueError(
            f"y_pred holds {int((~np.isfinite(pred)).sum())} values that are not finite."
        )
    weight = np.ones(len(true)) if sample_weight is None else np.asarray(sample_weight, float)
    check_consistent_length(true, weight)
    return true, pred, weight


def _weighted_mean(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Mean of the known values of each column, NaN where there are none."""
    known = ~np.isnan(values)
    total = (weight[:, None] * np.where(known, values, 0.0)).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return total / (weight[:, None] * known).sum(axis=0)


def _over_labels(of_label: np.ndarray, multioutput: str) -> Any:
    if multioutput == "raw_values":
        return of_label
    if multioutput != "uniform_average":
        raise ValueError(
            f"multioutput must be 'uniform_average' or 'raw_values', got {multioutput!r}."
        )
    known = of_label[~np.isnan(of_label)]
    return float(known.mean()) if len(known) else float("nan")
