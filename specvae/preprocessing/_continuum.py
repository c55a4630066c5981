"""Division by a slowly varying level, or subtraction of a constant one."""

from functools import partial
from typing import NamedTuple

import numpy as np
from sklearn.base import OneToOneFeatureMixin

from .._validation import check_choice, check_number, refuse_infinity
from ..exceptions import SpectrumError
from ..spectra import WavelengthGrid
from ._median import valid_median
from ._rows import REMEDY, AbstractRowTransformer, RowTransform

# A quantile of fewer pixels says little; a window may be smaller only if it is the whole spectrum.
_MIN_WINDOW = 10
# Without a window: 102 Angstrom on HARPS, 59 on APOGEE.
_DEFAULT_WINDOWS = 32
# A window with a smaller fraction of valid pixels is bridged.
_MIN_VALID_FRACTION = 0.25


class ContinuumNormalizer(OneToOneFeatureMixin, AbstractRowTransformer):
    """Divide each spectrum by a running quantile, or subtract its median.

    Parameters
    ----------
    mode : {"quantile", "constant"}, default="quantile"
        "quantile" divides by a high quantile of the flux in a running window, a rough continuum.
        "constant" subtracts the median of the valid pixels, the DC level, as the ESCAPE networks
        did; slope and depth of the lines are kept.
    quantile : float, default=0.9
        Which quantile of the valid pixels in a window counts as continuum: lower where noise
        dominates, higher where lines crowd.
    window_aa : float, optional
        Width of the window in Angstrom, wider than any line. It needs a known grid; on a
        logarithmic one the number of pixels is that at its middle.
    window_pixels : int, optional
        The same in pixels, for use without a grid. Give one of the two; by default the window is
        a thirty-second of the spectrum. At least 10 pixels, or the whole spectrum.
    grid : WavelengthGrid, optional
        Grid of the spectra. By default that of the `SpectraArray`, and otherwise unknown.
    invalid : {"raise", "nan"}, default="raise"
        What to do with a spectrum whose level is unknown for want of valid pixels, or, in mode
        "quantile", not positive everywhere. "nan" makes all its pixels missing, so that a long
        run is not stopped; the estimators of this package refuse it later.

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
    MedianNormalizer : Divide by one number, which keeps the colour of the star.

    Notes
    -----
    Quantiles are taken in windows that overlap by half, placed at the mean pixel of their valid
    pixels, joined by straight lines, and constant beyond the first and the last. Windows with
    less than a quarter of valid pixels are bridged. No iterative clipping is done and nothing is
    fitted: this is for networks and The Cannon, not for abundances.

    Examples
    --------
    >>> import numpy as np
    >>> from specvae.preprocessing import ContinuumNormalizer
    >>> flux = np.full((1, 100), 4.0)
    >>> flux[0, 50] = 1.0
    >>> ContinuumNormalizer(window_pixels=20).fit_transform(flux)[0, 49:52]
    array([1.  , 0.25, 1.  ])
    """

    def __init__(
        self,
        *,
        mode: str = "quantile",
        quantile: float = 0.9,
        window_aa: float | None = None,
        window_pixels: int | None = None,
        grid: WavelengthGrid | None = None,
        invalid: str = "raise",
    ):
        self.mode = mode
        self.quantile = quantile
        self.window_aa = window_aa
        self.window_pixels = window_pixels
        self.grid = grid
        self.invalid = invalid

    def _row_transform(self, n_pixels: int, grid: WavelengthGrid | None) -> RowTransform:
        check_choice("mode", self.mode, ("quantile", "constant"))
        check_choice("invalid", self.invalid, ("raise", "nan"))
        check_number("quantile", self.quantile, minimum=0.0, maximum=1.0, open_below=True)
        window = self._window(n_pixels, grid)
        if self.mode == "constant":
            return RowTransform(partial(subtract_median, invalid=self.invalid), n_pixels, grid)
        function = partial(
            divide_by_continuum,
            quantile=float(self.quantile),
            window=window,
            invalid=self.invalid,
        )
        return RowTransform(function, n_pixels, grid)

    def _window(self, n_pixels: int, grid: WavelengthGrid | None) -> int:
        """Width of the window in pixels, at most that of the spectrum."""
        if self.window_aa is not None and self.window_pixels is not None:
            raise ValueError(
                f"give window_aa or window_pixels, not both: got {self.window_aa!r} and "
                f"{self.window_pixels!r}."
            )
        if self.window_pixels is not None:
            check_number("window_pixels", self.window_pixels, minimum=1, integer=True)
            window, given = int(self.window_pixels), f"window_pixels={self.window_pixels}"
        elif self.window_aa is not None:
            check_number("window_aa", self.window_aa, minimum=0.0, open_below=True)
            if grid is None:
                raise ValueError(
                    "window_aa is a width in Angstrom, but the grid of X is not known: give the "
                    "parameter grid, a SpectraArray that has one, or window_pixels."
                )
            middle_aa = (grid.start_aa + grid.end_aa) / 2.0
            half = min(self.window_aa, grid.end_aa) / 2.0
            ends = grid.pixel_at(np.array([middle_aa - half, middle_aa + half]))
            window, given = round(float(ends[1] - ends[0])), f"window_aa={self.window_aa:g}"
        else:
            window, given = max(_MIN_WINDOW, n_pixels // _DEFAULT_WINDOWS), "the default"
        if window < min(_MIN_WINDOW, n_pixels):
            raise ValueError(
                f"{given} makes a window of {window} pixels, too few for a quantile; it must hold "
                f"at least {min(_MIN_WINDOW, n_pixels)} of the {n_pixels} pixels."
            )
        return min(window, n_pixels)


def subtract_median(flux: np.ndarray, invalid: str = "raise") -> np.ndarray:
    """Flux less the median of its valid pixels, row by row, (n_spectra, n_pixels).

    Raises
    ------
    SpectrumError
        If a row holds infinity; with ``invalid="raise"`` also if it has no valid pixel.
    """
    refuse_infinity(flux)
    median = valid_median(flux)
    if invalid == "raise" and np.isnan(median).any():
        row = int(np.argmax(np.isnan(median)))
        raise SpectrumError(row, f"has no valid pixel (all NaN); {REMEDY}")
    return flux - median[:, None]


def divide_by_continuum(
    flux: np.ndarray, quantile: float, window: int, invalid: str = "raise"
) -> np.ndarray:
    """Flux over its running quantile, row by row, (n_spectra, n_pixels).

    Raises
    ------
    SpectrumError
        If a row holds infinity; with ``invalid="raise"`` also if its continuum is not positive or
        no window has enough valid pixels.
    """
    refuse_infinity(flux)
    knots = window_quantiles(flux, quantile, window)
    normalized = np.full_like(flux, np.nan)
    pixel = np.arange(flux.shape[1], dtype=float)
    for row in range(len(flux)):
        known = ~np.isnan(knots.level[row])
        level, position = knots.level[row, known], knots.position[row, known]
        if len(level) and level.min() > 0:
            normalized[row] = flux[row] / np.interp(pixel, position, level).astype(flux.dtype)
        elif invalid == "raise":
            raise SpectrumError(row, f"{_fault(level, position, window)}; {REMEDY}")
    return normalized


def _fault(level: np.ndarray, position: np.ndarray, window: int) -> str:
    if len(level) == 0:
        return (
            f"has less than {_MIN_VALID_FRACTION:.0%} valid pixels in every window of {window} "
            "pixels"
        )
    worst = int(np.argmin(level))
    return (
        f"has a continuum of {level[worst]:.3g} near pixel {position[worst]:.0f}, by which it "
        "cannot be divided; widen the window"
    )


class Knots(NamedTuple):
    """Quantiles in windows along each spectrum."""

    position: np.ndarray  # (n_spectra, n_windows), mean valid pixel, does not decrease
    level: np.ndarray  # (n_spectra, n_windows), NaN where too few pixels are valid


def window_quantiles(flux: np.ndarray, quantile: float, window: int) -> Knots:
    """Quantile of the valid pixels in windows that overlap by half, cut off at the ends.

    The same as ``np.nanquantile`` of each window. One partition per window is far less work than
    a filter that moves pixel by pixel.
    """
    slices = _window_slices(flux.shape[1], window)
    shape = len(flux), len(slices)
    position, level = np.full(shape, np.nan), np.full(shape, np.nan)
    rows = np.arange(len(flux))
    for index, pixels in enumerate(slices):
        inside = flux[:, pixels]
        valid = ~np.isnan(inside)
        n_valid = np.count_nonzero(valid, axis=1)
        enough = n_valid >= max(1.0, _MIN_VALID_FRACTION * inside.shape[1])
        last = np.maximum(n_valid - 1, 0)
        rank = quantile * last
        below = np.floor(rank).astype(int)
        above = np.minimum(below + 1, last)
        # NaN goes to the end; spectra with the same missing pixels share their ranks.
        ordered = np.partition(inside, np.unique([below, above]), axis=1)
        low, high = ordered[rows, below].astype(float), ordered[rows, above].astype(float)
        level[:, index] = np.where(enough, low + (rank - below) * (high - low), np.nan)
        numbers = np.arange(pixels.start, pixels.stop, dtype=float)
        position[:, index] = np.where(valid, numbers, 0.0).sum(axis=1) / np.maximum(n_valid, 1)
    return Knots(position, level)


def _window_slices(n_pixels: int, window: int) -> list[slice]:
    """Windows centred at most half a window apart, from the first edge to the last."""
    if window >= n_pixels:
        return [slice(0, n_pixels)]
    n_steps = int(np.ceil(2.0 * n_pixels / window))
    centres = np.linspace(0.0, n_pixels, n_steps + 1)
    starts = np.clip(np.floor(centres - window / 2.0), 0, n_pixels).astype(int)
    stops = np.clip(np.ceil(centres + window / 2.0), 0, n_pixels).astype(int)
    return [slice(int(start), int(stop)) for start, stop in zip(starts, stops, strict=True)]
