"""The distribution of errors as a smooth curve."""

from typing import Any, NamedTuple

import numpy as np

from .._validation import check_number, row_chunks
from ._star_weight import KnownRows, known_rows
from ._weighted_quantile import weighted_quantile

_TAIL = 0.005
_STD_PER_QUARTILES = 1.0 / 1.349


class ErrorDensity(NamedTuple):
    """Kernel density of one model's errors."""

    position: np.ndarray  # (n_points,), errors, in the unit of the label
    density: np.ndarray  # (n_points,), per unit of the label; its integral over all errors is 1
    bandwidth: float  # standard deviation of the kernel, in the unit of the label
    outside: float  # share of the errors beyond the positions
    counted: str  # what the density counts: "stars", or "spectra" without groups


def error_density(
    errors: Any,
    *,
    groups: Any = None,
    bandwidth: float | None = None,
    limits: tuple[float, float] | None = None,
    n_points: int = 256,
) -> ErrorDensity:
    r"""Estimate the density of errors with a Gaussian kernel.

    .. math:: f(e) = \sum_i w_i\, \mathcal{N}(e \mid e_i, h^2), \quad \sum_i w_i = 1.

    Parameters
    ----------
    errors : array-like of shape (n_spectra,)
        Predicted minus true label; NaN is left out.
    groups : array-like of shape (n_spectra,), optional
        Id of the star: each star counts once, whatever its number of spectra. By default every
        spectrum is a star of its own.
    bandwidth : float, optional
        Standard deviation of the kernel, in the unit of the label; by default Silverman's rule,
        see Notes.
    limits : (low, high), optional
        Errors between which the density is given; by default all but 0.5 % at either end, and 3
        bandwidths more. To compare models, give them the same.
    n_points : int, default=256

    Returns
    -------
    result : ErrorDensity

    Raises
    ------
    ValueError
        If no error is known, all are equal and no bandwidth is given, one is infinite, or lengths
        or limits do not fit.

    Notes
    -----
    The rule is h = 0.9 min(standard deviation, quartile distance / 1.349) / n^0.2, with n the
    number of stars: the spectra of one are no independent draws. Outliers do not widen it.
    Errors that are never negative spill over zero; their density is better seen in
    `cumulative_share`.

    References
    ----------
    Silverman, B. W. 1986, Density Estimation for Statistics and Data Analysis, equation 3.31.

    Examples
    --------
    >>> result = error_density([-1.0, 1.0], bandwidth=0.5, limits=(-2.0, 2.0), n_points=5)
    >>> result.position
    array([-2., -1.,  0.,  1.,  2.])
    >>> result.density.round(3)
    array([0.054, 0.399, 0.108, 0.399, 0.054])
    """
    check_number("n_points", n_points, minimum=2, integer=True)
    if bandwidth is not None:
        check_number("bandwidth", bandwidth, minimum=0, open_below=True)
    known = known_rows(groups, errors=errors)
    (error,) = known.columns
    width = _silverman(known) if bandwidth is None else float(bandwidth)
    if limits is None:
        low, high = weighted_quantile(error, known.weight, np.array([_TAIL, 1.0 - _TAIL]))
        low, high = low - 3.0 * width, high + 3.0 * width
    else:
        low, high = _check_limits(limits)
    position = np.linspace(low, high, n_points)
    density = np.zeros(n_points)
    for rows in row_chunks(len(error), n_points):
        steps = (position - error[rows, None]) / width
        density += known.weight[rows] @ np.exp(-0.5 * steps**2)
    density /= known.weight.sum() * width * np.sqrt(2.0 * np.pi)
    beyond = np.average((error < low) | (error > high), weights=known.weight)
    return ErrorDensity(position, density, width, float(beyond), known.counted)


def _silverman(known: KnownRows) -> float:
    (error,) = known.columns
    mean = np.average(error, weights=known.weight)
    scatter = np.sqrt(np.average((error - mean) ** 2, weights=known.weight))
    lower, upper = weighted_quantile(error, known.weight, np.array([0.25, 0.75]))
    robust = (upper - lower) * _STD_PER_QUARTILES
    # Of equal errors the standard deviation is rounding, not zero.
    if np.ptp(error) == 0:
        raise ValueError(
            f"errors are all {error[0]:g} ({len(error)} known): there is no scatter to take a "
            "bandwidth from; give one."
        )
    return float(0.9 * (min(scatter, robust) if robust > 0 else scatter) * known.n_stars**-0.2)


def _check_limits(limits: Any) -> tuple[float, float]:
    ends = np.asarray(limits, dtype=np.float64)
    if ends.shape != (2,) or not np.isfinite(ends).all() or not ends[0] < ends[1]:
        raise ValueError(f"limits must be (low, high), two finite numbers, got {limits!r}.")
    return float(ends[0]), float(ends[1])
