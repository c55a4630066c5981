"""What is wrong with predicted labels: size, bias, scatter and outliers of their errors."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from .._validation import (
    check_groups,
    check_number,
    check_same_names,
    column_names,
    label_matrix,
)
from ._bootstrap import bootstrap_by_star
from ._weighted_quantile import weighted_quantile

_STATISTICS = [
    "mae",
    "nmae_std",
    "nmae_mad",
    "bias",
    "bias_median",
    "scatter_std",
    "scatter_mad",
    "outlier_fraction",
]
# Standard deviation of a normal distribution over its median absolute deviation.
_STD_PER_MAD = 1.4826


@dataclass(frozen=True)
class LabelErrors:
    """Statistics of the errors, prediction less truth, one row a label; NaN where unknown.

    The columns, each star counting once, in the unit of the label unless said otherwise:

    - `mae`: mean absolute error.
    - `nmae_std`, `nmae_mad`: the same over the standard deviation, or over the raw median absolute
      deviation, of the reference labels; pure numbers.
    - `bias`, `bias_median`: mean and median error.
    - `scatter_std`, `scatter_mad`: standard deviation of the error, and 1.4826 times its median
      absolute deviation, which outliers do not touch.
    - `outlier_fraction`: share of the errors beyond the limit; a pure number.
    """

    values: pd.DataFrame  # (n_labels, 8)
    standard_error: pd.DataFrame  # (n_labels, 8), bootstrap by star
    low: pd.DataFrame  # (n_labels, 8), lower end of the central 68.3 %
    high: pd.DataFrame  # (n_labels, 8), upper end
    counts: pd.DataFrame  # (n_labels, 2): n_spectra and n_stars with the label
    divisors: pd.DataFrame  # (n_labels, 2): std and mad of the reference labels


def label_errors(
    y_true: Any,
    y_pred: Any,
    *,
    groups: Any = None,
    label_names: Sequence[str] | None = None,
    reference: Any = None,
    outlier_limit: Any = None,
    n_resamples: int = 200,
    random_state: Any = 0,
) -> LabelErrors:
    """Summarise the errors of predicted labels, with error bars that count stars.

    Parameters
    ----------
    y_true : array-like or DataFrame of shape (n_spectra,) or (n_spectra, n_labels)
        Labels; NaN where unknown, which is left out.
    y_pred : array-like of the same shape
        Predictions, all known.
    groups : array-like of shape (n_spectra,), optional
        Id of the star: each star counts once, whatever its number of spectra. By default every
        spectrum is a star of its own.
    label_names : sequence of str, optional
        One for each label; by default the columns of `y_true` where it is a DataFrame, else
        "label0", "label1", ...
    reference : array-like of shape (n_reference,) or (n_reference, n_labels), optional
        Labels whose spread divides the normalised errors; by default `y_true`. Comparisons of
        test sets need one reference, the whole catalogue say. Every row counts once.
    outlier_limit : float or sequence of shape (n_labels,), optional
        Absolute error beyond which a spectrum is an outlier, in the unit of the label; by default
        3 times `scatter_mad`.
    n_resamples : int, default=200
        Bootstrap resamples; 0 leaves the errors NaN.
    random_state : int, RandomState or None, default=0
        Seed of the resamples.

    Returns
    -------
    result : LabelErrors
        A label that no spectrum has gives a row of NaN; a reference without spread gives NaN
        in place of the normalised errors.

    Raises
    ------
    ValueError
        If shapes or column names differ, a prediction is not finite, a label is infinite, no
        label at all is known, or names or limits are of the wrong number.

    See Also
    --------
    nan_mean_absolute_error : As a score, spectra weighted alike.

    Notes
    -----
    Cvrcek et al. 2025 define the normalised error by the standard deviation (their equation 13)
    and print it, in tables 4 to 6 under "All", by the raw median absolute deviation of the whole
    catalogue, as their code does: 401.2 K for Teff. Their MAE counts every spectrum once: leave
    `groups` out for that.

    References
    ----------
    Cvrcek, V., et al. 2025, A&A 693, A256.

    Examples
    --------
    >>> import numpy as np
    >>> result = label_errors([[5000.0], [5400.0], [6000.0]], [[5010.0], [5390.0], [6040.0]],
    ...                       label_names=["teff_k"], groups=["a", "a", "b"])
    >>> result.values.loc["teff_k", ["mae", "bias", "nmae_mad"]].to_dict()
    {'mae': 25.0, 'bias': 20.0, 'nmae_mad': 0.0625}
    """
    check_number("n_resamples", n_resamples, minimum=0, integer=True)
    true, pred = _check_labels(y_true, y_pred)
    n_labels = true.shape[1]
    names = _check_names(label_names, y_true, n_labels)
    check_same_names("reference", column_names(reference), "y_true", column_names(y_true))
    divisors = _check_reference(true if reference is None else reference, n_labels)
    limit = _check_limit(outlier_limit, n_labels)
    star = np.arange(len(true)) if groups is None else check_groups(groups, len(true))
    known = ~np.isnan(true)
    if not known.any():
        raise ValueError(f"y_true is NaN in all {true.size} entries; give at least one label.")
    n_of_star = np.zeros((int(star.max()) + 1, n_labels))
    np.add.at(n_of_star, star, known)
    # Whole stars are drawn, so that the weight of a spectrum is the same in every resample.
    weight = known / np.maximum(n_of_star[star], 1.0)
    error = np.where(known, pred - true, 0.0)

    def statistics(error, weight):
        return [
            _of_label(error[:, k], weight[:, k], divisors[k], limit[k]) for k in range(n_labels)
        ]

    counts = np.column_stack([known.sum(axis=0), (n_of_star > 0).sum(axis=0)])
    if n_resamples:
        result = bootstrap_by_star(statistics, (error, weight), star, n_resamples, random_state)
        spread = np.stack([result.standard_error, result.low, result.high])
    else:
        spread = np.full((3, n_labels, len(_STATISTICS)), np.nan)
    # One star drawn again and again has no scatter, and no error bar.
    spread[:, counts[:, 1] < 2] = np.nan
    values, error_bar, low, high = (
        pd.DataFrame(each, index=names, columns=_STATISTICS)
        for each in (np.array(statistics(error, weight)), *spread)
    )
    return LabelErrors(
        values=values,
        standard_error=error_bar,
        low=low,
        high=high,
        counts=pd.DataFrame(counts, index=names, columns=["n_spectra", "n_stars"]),
        divisors=pd.DataFrame(divisors, index=names, columns=["std", "mad"]),
    )


def _of_label(
    error: np.ndarray, weight: np.ndarray, divisors: np.ndarray, limit: float
) -> list[float]:
    """Return the statistics of one label, in the order of `_STATISTICS`."""
    error, weight = error[weight > 0], weight[weight > 0]
    if not len(error):
        return [np.nan] * len(_STATISTICS)
    mae = np.average(np.abs(error), weights=weight)
    bias = np.average(error, weights=weight)
    median = weighted_quantile(error, weight, 0.5)
    scatter = np.sqrt(np.average((error - bias) ** 2, weights=weight))
    robust = _STD_PER_MAD * weighted_quantile(np.abs(error - median), weight, 0.5)
    beyond = np.abs(error) > (3.0 * robust if np.isnan(limit) else limit)
    outliers = np.average(beyond, weights=weight)
    return [mae, *(mae / divisors), bias, median, scatter, robust, outliers]


def _check_labels(y_true: Any, y_pred: Any) -> tuple[np.ndarray, np.ndarray]:
    check_same_names("y_pred", column_names(y_pred), "y_true", column_names(y_true))
    true, pred = label_matrix(y_true), label_matrix(y_pred)
    if true.shape != pred.shape:
        raise ValueError(
            f"y_true has shape {true.shape}, y_pred {pred.shape}; give one prediction for each "
            "label of each spectrum."
        )
    if not np.isfinite(pred).all():
        raise ValueError(
            f"y_pred holds {int((~np.isfinite(pred)).sum())} values that are not finite; predict "
            "every label, also unknown ones."
        )
    if np.isinf(true).any():
        raise ValueError("y_true contains infinity; mark missing labels as NaN.")
    return true, pred


def _check_names(label_names: Sequence[str] | None, y_true: Any, n_labels: int) -> list[str]:
    columns = getattr(y_true, "columns", None)
    if label_names is None:
        label_names = [f"label{k}" for k in range(n_labels)] if columns is None else columns
    names = [str(name) for name in label_names]
    if len(names) != n_labels:
        raise ValueError(
            f"label_names has {len(names)} entries for {n_labels} labels; give each one."
        )
    return names


def _check_reference(reference: Any, n_labels: int) -> np.ndarray:
    """Return standard and median absolute deviation, NaN where zero, shape (n_labels, 2)."""
    labels = label_matrix(reference)
    if labels.shape[1] != n_labels:
        raise ValueError(
            f"reference has {labels.shape[1]} labels, y_true {n_labels}; give the same ones in the "
            "same order."
        )
    if np.isinf(labels).any():
        raise ValueError("reference contains infinity; mark missing labels as NaN.")
    spread = np.full((n_labels, 2), np.nan)
    for k, column in enumerate(labels.T):
        column = column[~np.isnan(column)]
        # Of equal labels the standard deviation is rounding, not zero.
        if len(column) and column.max() > column.min():
            mad = np.median(np.abs(column - np.median(column)))
            spread[k] = column.std(), mad if mad > 0 else np.nan
    return spread


def _check_limit(outlier_limit: Any, n_labels: int) -> np.ndarray:
    if outlier_limit is None:
        return np.full(n_labels, np.nan)
    limit = np.asarray(outlier_limit, dtype=float)
    if limit.shape not in ((), (n_labels,)) or not (limit > 0).all():
        raise ValueError(
            f"outlier_limit must be one positive number or {n_labels}, one for each label, got "
            f"{outlier_limit!r}."
        )
    return np.broadcast_to(limit, n_labels)
