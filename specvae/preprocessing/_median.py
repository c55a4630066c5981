"""Division by the median of the valid pixels."""

from functools import partial
from typing import Any

import numpy as np
from sklearn.base import OneToOneFeatureMixin

from .._validation import check_choice, is_lazy, refuse_infinity, row_chunks
from ..exceptions import SpectrumError
from ..spectra import WavelengthGrid
from ._rows import REMEDY, AbstractRowTransformer, RowTransform

# Shorter rows are sorted together; longer ones are worth a loop.
_LOOP_FROM = 2048
# From here on a row is worth a guess at the median before anything is partitioned.
_GUESS_FROM = 16_384
# Values looked at for the guess.
_N_SAMPLED = 4096
# Half widths of the guess, in standard deviations of the rank of the median of a random sample.
# Neighbouring pixels are alike, so the narrow one mostly holds, and leaves few values to partition.
_GUESS_WIDTHS = (1.0, 3.0)


class MedianNormalizer(OneToOneFeatureMixin, AbstractRowTransformer):
    """Divide each spectrum by the median of its valid pixels.

    Afterwards the median of every spectrum is 1. Missing pixels (NaN) do not enter the median and
    stay missing. Mask first: padding and gaps that still hold zeros would enter the median.

    Parameters
    ----------
    invalid : {"raise", "nan"}, default="raise"
        What to do with a spectrum that has no valid pixel, or whose median is not positive:
        divided by such a number it would not be a spectrum any more. "nan" makes all its pixels
        missing, so that a long run is not stopped; the estimators of this package refuse it later.

    Attributes
    ----------
    n_features_in_ : int
        Number of pixels seen in `fit`.
    feature_names_in_ : ndarray of str, shape (n_pixels,)
        Names of the pixels, if `X` had names.
    grid_ : WavelengthGrid or None
        Grid of the spectra seen in `fit`, if known.
    output_grid_ : WavelengthGrid or None
        The same.

    See Also
    --------
    PixelMasker : The step before this one.
    ContinuumNormalizer : Divide by a slowly varying level instead of one number.
    quality_report : Find the spectra that cannot be normalised.

    Notes
    -----
    The public code of Sedaghat et al. [1]_ lets masked pixels enter the median as zeros; on HARPS
    its divisor is the 47th percentile of the valid pixels, below the median used here.

    References
    ----------
    .. [1] Sedaghat et al. 2021, MNRAS 501, 6026.

    Examples
    --------
    >>> import numpy as np
    >>> from specvae.preprocessing import MedianNormalizer
    >>> MedianNormalizer().fit_transform(np.array([[2.0, 4.0, np.nan, 8.0]]))
    array([[0.5, 1. , nan, 2. ]])
    """

    def __init__(self, *, invalid: str = "raise"):
        self.invalid = invalid

    def _row_transform(self, n_pixels: int, grid: WavelengthGrid | None) -> RowTransform:
        check_choice("invalid", self.invalid, ("raise", "nan"))
        return RowTransform(partial(divide_by_median, invalid=self.invalid), n_pixels, grid)


def divide_by_median(flux: np.ndarray, invalid: str = "raise") -> np.ndarray:
    """Flux over the median of its valid pixels, row by row, (n_spectra, n_pixels).

    Raises
    ------
    SpectrumError
        If a row holds infinity; with ``invalid="raise"`` also if its median is not positive or it
        has no valid pixel.
    """
    refuse_infinity(flux)
    median = valid_median(flux)
    usable = median > 0
    if invalid == "raise" and not usable.all():
        row = int(np.argmin(usable))
        found = (
            "has no valid pixel (all NaN)"
            if np.isnan(median[row])
            else f"has a median flux of {median[row]:.3g}, by which it cannot be divided"
        )
        raise SpectrumError(row, f"{found}; {REMEDY}")
    return flux / np.where(usable, median, np.nan).astype(flux.dtype)[:, None]


def valid_median(flux: Any) -> np.ndarray:
    """Exact median of the valid pixels of each spectrum.

    Equal to ``np.nanmedian(flux, axis=1)``, several times faster on long spectra, and silent.

    Parameters
    ----------
    flux : ndarray or SpectraArray of shape (n_spectra, n_pixels)
        Flux in float32 or float64; NaN is a missing pixel.

    Returns
    -------
    median : ndarray of shape (n_spectra,)
        In the dtype of `flux`; NaN for a spectrum without a valid pixel.

    Notes
    -----
    Long rows: quantiles of a strided sample bracket the median, the values below the bracket are
    counted and only those inside it are partitioned, after the idea of Floyd and Rivest [1]_. If
    the bracket misses the rank, a wider one is tried, then all values are partitioned.

    References
    ----------
    .. [1] Floyd and Rivest 1975, Communications of the ACM 18, 165.

    Examples
    --------
    >>> import numpy as np
    >>> valid_median(np.array([[1.0, np.nan, 2.0], [7.0, 5.0, 6.0]]))
    array([1.5, 6. ])
    """
    if is_lazy(flux):
        found = [valid_median(block) for block in flux.iter_batches()]
        return np.concatenate(found) if found else np.empty(0, dtype=flux.dtype)
    n_spectra, n_pixels = flux.shape
    if n_pixels >= _LOOP_FROM:
        return np.array([_partitioned_median(row) for row in flux], dtype=flux.dtype)
    median = np.empty(n_spectra, dtype=flux.dtype)
    for rows in row_chunks(n_spectra, n_pixels):
        median[rows] = _sorted_medians(flux[rows])
    return median


def _sorted_medians(flux: np.ndarray) -> np.ndarray:
    """Medians of short rows."""
    ordered = np.sort(flux, axis=1)  # NaN last
    n_valid = np.count_nonzero(~np.isnan(flux), axis=1)
    row = np.arange(len(flux))
    low = ordered[row, np.maximum(n_valid - 1, 0) // 2]
    return (low + ordered[row, np.minimum(n_valid // 2, flux.shape[1] - 1)]) / 2


def _partitioned_median(flux: np.ndarray) -> Any:
    """Median of one long row."""
    if len(flux) >= _GUESS_FROM:
        sample = flux[:: len(flux) // _N_SAMPLED]
        sample = sample[~np.isnan(sample)]
        for width in _GUESS_WIDTHS:
            half = int(width * np.sqrt(len(sample)) / 2.0) + 1
            first, last = len(sample) // 2 - half, len(sample) // 2 + half
            if first < 0 or last >= len(sample):
                break
            sample.partition((first, last))
            median = _median_between(flux, sample[first], sample[last])
            if median is not None:
                return median
    valid = flux[~np.isnan(flux)]
    if len(valid) == 0:
        return np.nan
    return _middle(valid, (len(valid) - 1) // 2, len(valid) // 2)


def _median_between(flux: np.ndarray, low: Any, high: Any) -> Any:
    """Median of one row if both its middle values lie in [low, high], otherwise None."""
    # NaN fails both comparisons; every valid pixel passes at least one.
    inside, not_above = flux >= low, flux <= high
    n_not_below, n_not_above = np.count_nonzero(inside), np.count_nonzero(not_above)
    inside &= not_above
    candidates = _values_where(flux, inside)
    n_valid = n_not_below + n_not_above - len(candidates)
    n_below = n_valid - n_not_below
    lower, upper = int(n_valid - 1) // 2 - n_below, int(n_valid) // 2 - n_below
    if lower < 0 or upper >= len(candidates):
        return None
    return _middle(candidates, int(lower), int(upper))


def _values_where(flux: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Return ``flux[chosen]``, in half the time where few are chosen.

    Eight truth values make a word of 64 bits, and most words are zero.
    """
    n_whole = len(flux) // 8 * 8
    words = chosen[:n_whole].view(np.uint64)
    found = np.flatnonzero(words != 0)
    values = flux[:n_whole].reshape(-1, 8).take(found, axis=0).ravel()
    rest = flux[n_whole:].compress(chosen[n_whole:])
    return np.concatenate([values.compress(words.take(found).view(bool)), rest])


def _middle(values: np.ndarray, lower: int, upper: int) -> Any:
    """Mean of the values of two neighbouring ranks, or of one rank; reorders `values`."""
    values.partition(upper)
    # One rank and a maximum take less time than a partition at two ranks.
    low = values[upper] if lower == upper else values[:upper].max()
    return (low + values[upper]) / 2
