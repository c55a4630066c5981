"""The course of one quantity along another."""

from typing import Any, NamedTuple

import numpy as np

from .._validation import check_number
from ._star_weight import known_rows
from ._weighted_quantile import weighted_quantile


class RunningMedian(NamedTuple):
    """Median and central band of one quantity in windows along another."""

    position: np.ndarray  # (n_windows,), median of x in the window, increasing
    median: np.ndarray  # (n_windows,), of y
    low: np.ndarray  # (n_windows,), lower end of the band
    high: np.ndarray  # (n_windows,), upper end
    n_stars: np.ndarray  # (n_windows,) int, stars with a spectrum there
    share: float  # of the values in a window that lie in the band


def running_median(
    x: Any,
    y: Any,
    *,
    groups: Any = None,
    n_windows: int = 20,
    min_stars: int = 10,
    share: float = 0.683,
) -> RunningMedian:
    """Median and scatter of y in windows along x that hold equally many stars.

    Parameters
    ----------
    x, y : array-like of shape (n_spectra,)
        A label and its error, or a label and a latent; rows with NaN in either are left out.
    groups : array-like of shape (n_spectra,), optional
        Id of the star: each star counts once, whatever its number of spectra. By default every
        spectrum is a star of its own.
    n_windows : int, default=20
        Windows that do not overlap; fewer where they would hold less than `min_stars`.
    min_stars : int, default=10
        Stars that a window should hold.
    share : float, default=0.683
        Share of the values between `low` and `high`, as many above as below.

    Returns
    -------
    result : RunningMedian
        The band is the scatter of the values, not the error of their median.

    Raises
    ------
    ValueError
        If lengths differ, no row is known, a value is infinite, or a number is out of range.

    Notes
    -----
    Equal values of `x` share a window, so that a label with two values gives two. Values are
    ranked by the weight of their stars, and window i holds the ranks from i to i + 1 of
    `n_windows`; windows without a value are left out.

    References
    ----------
    Quantiles are the averaged inverted distribution function, definition 2 of Hyndman, R. J., Fan,
    Y. 1996, Am. Stat. 50, 361.

    Examples
    --------
    >>> x = [1.0, 2.0, 3.0, 11.0, 12.0, 13.0]
    >>> y = [0.0, 5.0, 1.0, 7.0, 6.0, 9.0]
    >>> result = running_median(x, y, n_windows=2, min_stars=3)
    >>> result.position, result.median
    (array([ 2., 12.]), array([1., 7.]))
    """
    check_number("n_windows", n_windows, minimum=1, integer=True)
    check_number("min_stars", min_stars, minimum=1, integer=True)
    check_number("share", share, minimum=0, maximum=1, open_below=True)
    known = known_rows(groups, x=x, y=y)
    x, y = known.columns
    window = _window_of(x, known.weight, max(1, min(n_windows, known.n_stars // min_stars)))
    tails = 0.5 * np.array([1.0 - share, 1.0, 1.0 + share])
    position, quantiles, n_stars = [], [], []
    for number in np.unique(window):
        rows = window == number
        position.append(weighted_quantile(x[rows], known.weight[rows], 0.5))
        quantiles.append(weighted_quantile(y[rows], known.weight[rows], tails))
        n_stars.append(len(np.unique(known.star[rows])))
    low, median, high = np.array(quantiles).T
    return RunningMedian(np.array(position), median, low, high, np.array(n_stars), float(share))


def _window_of(x: np.ndarray, weight: np.ndarray, n_windows: int) -> np.ndarray:
    """Window of each row, from 0 up, by the rank of its value."""
    value = np.unique(x, return_inverse=True)[1]
    of_value = np.bincount(value, weight)
    middle = np.cumsum(of_value) - 0.5 * of_value
    # A rank on the edge between two windows belongs to the upper one, whatever the rounding.
    rank = n_windows * middle / of_value.sum() + 1e-9
    return np.minimum(rank.astype(int), n_windows - 1)[value]
