"""Errors of any statistic from stars drawn again."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils import check_consistent_length

from .._random import spawn_seeds
from .._validation import check_groups, check_number


class StarBootstrap(NamedTuple):
    """A statistic with its standard error and interval; NaN for a single star."""

    value: np.ndarray  # of all stars; shape () or whatever the statistic gives
    standard_error: np.ndarray  # scatter of the resamples
    low: np.ndarray  # lower end of the interval
    high: np.ndarray  # upper end
    resamples: np.ndarray  # (n_resamples, ...)


def bootstrap_by_star(
    statistic: Callable[..., Any],
    values: Any,
    groups: Any,
    n_resamples: int = 1000,
    random_state: Any = 0,
    *,
    confidence_level: float = 0.683,
) -> StarBootstrap:
    """Bootstrap a statistic over stars: draw as many stars as there are, each with all its spectra.

    Parameters
    ----------
    statistic : callable
        Called as ``statistic(values)`` with rows of some stars, a star drawn twice being there
        twice; gives a number or an array of fixed shape.
    values : array-like of shape (n_spectra, ...), or tuple of such
        A tuple is passed as several arguments: ``statistic(errors, weights)``.
    groups : array-like of shape (n_spectra,)
        Id of the star.
    n_resamples : int, default=1000
    random_state : int, RandomState or None, default=0
        Seed of the draws.
    confidence_level : float, default=0.683
        Share of the resamples between `low` and `high`, as many above as below.

    Returns
    -------
    result : StarBootstrap
        Resamples for which the statistic is NaN are left out, element by element.

    Raises
    ------
    ValueError
        If lengths differ, an id is missing, or a number is out of range.

    Notes
    -----
    The percentile interval, without correction for bias or skewness; see `scipy.stats.bootstrap`
    for those, on one value a star. With fewer than about 10 stars the error comes out too small,
    by the square root of (n - 1) / n for a mean.

    References
    ----------
    Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapters 6 and 13.

    Examples
    --------
    >>> import numpy as np
    >>> result = bootstrap_by_star(np.median, [1.0, 1.1, 5.0, 9.0], ["a", "a", "b", "c"])
    >>> float(result.value)
    3.05
    >>> bool(result.low <= result.value <= result.high)
    True
    """
    check_number("n_resamples", n_resamples, minimum=1, integer=True)
    check_number("confidence_level", confidence_level, minimum=0, maximum=1, open_below=True)
    arrays = tuple(
        np.asarray(each) for each in (values if isinstance(values, tuple) else (values,))
    )
    check_consistent_length(*arrays)
    star = check_groups(groups, len(arrays[0]))
    value = np.asarray(statistic(*arrays), dtype=float)
    rng = np.random.default_rng(spawn_seeds(random_state, 1)[0])
    n_of_star = np.bincount(star)
    order, first = np.argsort(star, kind="stable"), np.cumsum(n_of_star) - n_of_star
    resamples = np.empty((n_resamples, *value.shape))
    for number in range(n_resamples):
        drawn = rng.integers(len(n_of_star), size=len(n_of_star))
        size = n_of_star[drawn]
        # Rows of the drawn stars one after the other.
        place = np.arange(size.sum()) + np.repeat(first[drawn] - (np.cumsum(size) - size), size)
        rows = order[place]
        resamples[number] = statistic(*(each[rows] for each in arrays))
    return StarBootstrap(value, *_spread(resamples, len(n_of_star), confidence_level), resamples)


def _spread(
    resamples: np.ndarray, n_stars: int, confidence_level: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scatter and interval of each element over the resamples that know it."""
    shape = resamples.shape[1:]
    spread = np.full((3, int(np.prod(shape))), np.nan)
    tails = 0.5 * (1.0 - confidence_level)
    for element, drawn in enumerate(resamples.reshape(len(resamples), -1).T):
        known = drawn[~np.isnan(drawn)]
        if n_stars > 1 and len(known) > 1:
            spread[0, element] = known.std(ddof=1)
            spread[1:, element] = np.quantile(known, [tails, 1.0 - tails])
    error, low, high = spread.reshape(3, *shape)
    return error, low, high
