"""How much of the Earth's lines a reconstruction keeps, beside stellar lines as deep."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter1d

from .._validation import check_groups, check_number, row_chunks, unmask
from ._flux_errors import flux_matrix, rows_of
from ._labels import mean_by_star

# Below this transmission too little of the star is left to say what it looks like there.
_OPAQUE = 0.1
# A smoothed pixel of which the atmosphere takes less than this is the star's alone.
_CLEAN = 1e-3
_N_DEPTHS = 8
_FEWEST_PIXELS = 5
# Pixels over which the continuum is taken where line widths are not known yet: more than lines,
# which it must not follow, and fewer than a blaze.
_MORE_THAN_LINES = 200
# Of a model that draws less than this part of the stellar lines nothing can be said.
_LEAST_STELLAR_SLOPE = 0.1


@dataclass(frozen=True)
class TelluricRejection:
    """How much of the telluric lines a model leaves out, against stellar lines of equal depth."""

    rejection: float  # 1: no telluric line is drawn; 0: they are drawn as stellar lines are
    standard_error: float  # of `rejection`, from the scatter of the stars; NaN for one star
    n_stars: int  # stars that have a value
    by_spectrum: np.ndarray  # (n_spectra,), 1 - telluric slope / stellar slope; NaN where unknown
    telluric_slope: np.ndarray  # (n_spectra,), reconstructed over true depth in telluric lines
    stellar_slope: np.ndarray  # (n_spectra,), the same in stellar pixels of the same depths
    n_pixels: np.ndarray  # (n_spectra,), telluric pixels that have stellar ones as deep
    smoothing_pixels: float  # standard deviation of the Gaussian at which depths were measured


class _Depths(NamedTuple):
    """True and reconstructed depths of one kind of pixel of one spectrum."""

    true: np.ndarray  # (n_chosen,)
    drawn: np.ndarray  # (n_chosen,)
    beside: np.ndarray  # (n_chosen,), depth of the star where the true depth is the atmosphere's


def telluric_rejection(
    flux: Any,
    reconstruction: Any,
    telluric: Any,
    *,
    groups: Any = None,
    min_depth: float = 0.01,
    smoothing_pixels: float | None = None,
) -> TelluricRejection:
    r"""Measure how much of the telluric depth a model reconstructs, against stellar lines as deep.

    .. math:: 1 - b_\oplus / b_\star,

    with b the slope of reconstructed against true depth. 1 is the star without atmosphere, 0 a
    model that draws telluric lines as well as stellar ones, however well that is.

    Parameters
    ----------
    flux : array-like or SpectraArray of shape (n_spectra, n_pixels)
        What was encoded, in any scale; NaN is a missing pixel.
    reconstruction : array-like or SpectraArray of shape (n_spectra, n_pixels)
        What came out, on the same scale.
    telluric : array-like of shape (n_pixels,) or (n_spectra, n_pixels)
        Transmission of the atmosphere, from 0 to 1, as of molecfit; or a boolean mask, True in
        telluric pixels. In the frame and at the resolution of the flux.
    groups : array-like of shape (n_spectra,), optional
        Star of each spectrum; None takes each spectrum for a star of its own.
    min_depth : float, default=0.01
        Smallest smoothed depth that counts as a line, as a fraction of the flux.
    smoothing_pixels : float, optional
        Standard deviation of the Gaussian with which flux and reconstruction are smoothed before
        depths are measured, in pixels; 0 smooths nothing. By default twice the width of the lines
        of the reconstructions, which differs from model to model: to compare models, give all of
        them one number, the largest of their `smoothing_pixels`.

    Returns
    -------
    result : TelluricRejection
        A spectrum is NaN, and left out of the mean, where fewer than 5 telluric pixels have stellar
        ones as deep, or the model draws less than a tenth of the stellar depth.

    Raises
    ------
    ValueError
        If shapes disagree, a number is out of range, or no spectrum has telluric and stellar lines
        to compare.

    Notes
    -----
    Depths are parts of the continuum, a running quantile. The telluric one is what the atmosphere
    takes of the star, which is flux / transmission, and the reconstructed one what the model has
    less than the star; the slope between them is fitted together with the depth of the star and a
    constant, so that stellar lines under telluric ones and the level of the continuum do not count.
    A mask does not tell the star there: it is taken to have its continuum, and stellar lines under
    the mask count as telluric; give a transmission where there is one. Stellar slopes come from
    pixels that the atmosphere leaves alone, weighted so that their depths are distributed as those
    of the telluric pixels.

    Telluric lines are narrower than stellar ones, so that a blurred reconstruction loses more of
    their depth; but not of their area. After smoothing depths measure areas, and a model that is
    only blurry gets about 0, if the smoothing is wide against the blur. This is why it goes by the
    width of the reconstructed lines: by that of the lines of `flux`, a model blurred by three times
    that width gets 0.2 to 0.5. Pixels with a transmission below 0.1 are left out. Noise of the
    smoothed flux must be well below `min_depth`, or it passes for stellar lines that the model does
    not draw, and the rejection comes out too small.

    References
    ----------
    The question is that of the ESCAPE notes on HARPS autoencoders of January 2020, which saw by eye
    that the networks reconstruct stellar lines and not telluric ones; the definition is ours.

    Examples
    --------
    >>> import numpy as np
    >>> pixel = np.arange(600)
    >>> line = lambda at, sigma: 0.4 * np.exp(-0.5 * ((pixel - at) / sigma) ** 2)
    >>> star = 1.0 - line(100, 6.0) - line(200, 6.0)
    >>> transmission = 1.0 - line(400, 3.0) - line(500, 3.0)
    >>> flux = (star * transmission)[None]
    >>> half = 0.5 * (flux + star)
    >>> for model in (flux, half, star[None]):
    ...     print(round(telluric_rejection(flux, model, transmission).rejection, 2))
    0.0
    0.5
    1.0
    """
    flux = flux_matrix("flux", flux, (None, None))
    drawn = flux_matrix("reconstruction", reconstruction, flux.shape)
    telluric = _check_telluric(telluric, flux.shape)
    star_id = np.arange(len(flux)) if groups is None else check_groups(groups, len(flux))
    check_number("min_depth", min_depth, minimum=0.0, open_below=True, maximum=1.0)
    if smoothing_pixels is None:
        smoothing_pixels = 2.0 * _line_width(drawn)
    check_number("smoothing_pixels", smoothing_pixels, minimum=0.0)

    slopes = np.full((2, len(flux)), np.nan)
    n_pixels = np.zeros(len(flux), dtype=int)
    for rows in row_chunks(*flux.shape):
        chunk = zip(rows_of(flux, rows), rows_of(drawn, rows), telluric[rows], strict=True)
        for row, spectrum in enumerate(chunk, start=rows.start):
            depths = _depths(*spectrum, smoothing_pixels)
            if depths is not None:
                slopes[:, row], n_pixels[row] = _matched_slopes(*depths, min_depth)
    with np.errstate(invalid="ignore", divide="ignore"):
        rejection = np.where(slopes[1] > _LEAST_STELLAR_SLOPE, 1.0 - slopes[0] / slopes[1], np.nan)
    if np.isnan(rejection).all():
        raise ValueError(
            "no spectrum can be judged: "
            f"{int((n_pixels >= _FEWEST_PIXELS).sum())} of {len(flux)} have {_FEWEST_PIXELS} "
            f"telluric pixels deeper than min_depth={min_depth:g} with stellar pixels as deep, and "
            "of these no reconstruction has stellar lines, both smoothed by "
            f"smoothing_pixels={smoothing_pixels:.3g}; give wavelengths with both kinds of lines, "
            "a smaller min_depth or a smaller smoothing_pixels."
        )
    over_stars = mean_by_star(rejection, star_id)
    return TelluricRejection(
        rejection=float(over_stars.mean[0]),
        standard_error=float(over_stars.standard_error[0]),
        n_stars=int(over_stars.n_stars[0]),
        by_spectrum=rejection,
        telluric_slope=slopes[0],
        stellar_slope=slopes[1],
        n_pixels=n_pixels,
        smoothing_pixels=float(smoothing_pixels),
    )


def _check_telluric(telluric: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Return a transmission or a mask, one row for each spectrum."""
    given = np.asarray(telluric)
    telluric = given if given.dtype == bool else np.asarray(unmask(telluric))
    if telluric.shape not in (shape, shape[1:]):
        raise ValueError(
            f"telluric has shape {telluric.shape}; wanted is ({shape[1]},), the same for all "
            f"spectra, or {shape}, one row for each."
        )
    if telluric.dtype != bool:
        telluric = telluric.astype(np.float64)
        # Models of the transmission ring by a little where they are interpolated.
        with np.errstate(invalid="ignore"):
            wrong = (telluric < -0.05) | (telluric > 1.05)
        if wrong.any():
            raise ValueError(
                "telluric must be a transmission from 0 to 1, or a boolean mask; it goes from "
                f"{np.nanmin(telluric):g} to {np.nanmax(telluric):g}: divide by its continuum."
            )
    return np.broadcast_to(telluric, shape)


def _line_width(drawn: Any) -> float:
    """Typical standard deviation of the lines of spectra, in pixels, at least half a pixel.

    For Gaussian lines of depth d and width s, the sums of d**2 and of its derivative squared are
    as 2 s**2 to 1. Depths are below the continuum of a neighbourhood: below one level, the slope
    of a blaze would pass for a line as broad as the spectrum.
    """
    widths = []
    for row in (row for rows in row_chunks(*drawn.shape) for row in rows_of(drawn, rows)):
        known = ~np.isnan(row)
        if known.sum() < 3:
            continue
        filled = np.interp(np.arange(len(row)), np.flatnonzero(known), row[known])
        continuum = _continuum(filled, np.ones(len(row), dtype=bool), 0.0, _MORE_THAN_LINES)
        level = np.divide(filled, continuum, out=np.ones(len(row)), where=continuum > 0)
        depth = 1.0 - level
        steepness = np.mean(np.diff(depth) ** 2)
        if steepness > 0:
            widths.append(np.sqrt(0.5 * np.mean(depth**2) / steepness))
    return max(float(np.median(widths)), 0.5) if widths else 0.5


def _depths(
    flux: np.ndarray, drawn: np.ndarray, telluric: np.ndarray, sigma: float
) -> tuple[_Depths, _Depths] | None:
    """Depths in telluric pixels and in those of the star alone; None without such pixels."""
    is_mask = telluric.dtype == bool
    valid = np.isfinite(flux) & np.isfinite(drawn)
    if not is_mask:
        valid &= telluric >= _OPAQUE
    clean = valid & ~telluric if is_mask else valid
    if clean.sum() < _FEWEST_PIXELS:
        return None
    n_block = max(int(20 * sigma), 50)
    if is_mask:
        continuum = _continuum(flux, clean, sigma, n_block)
        star = np.where(telluric, continuum, flux)
    else:
        star = np.divide(flux, telluric, out=np.full(flux.shape, np.nan), where=valid)
        continuum = _continuum(star, valid, sigma, n_block)
    lit, seen, copied = (_smooth(each, valid, sigma)[valid] for each in (star, flux, drawn))
    absorbed = _smooth(telluric, valid, sigma)[valid] if is_mask else 1.0 - seen / lit
    of_earth, of_star = np.abs(absorbed) >= _CLEAN, np.abs(absorbed) < _CLEAN
    level = continuum[valid]
    taken, missing, depth = (lit - seen) / level, (lit - copied) / level, 1.0 - lit / level
    return (
        _Depths(taken[of_earth], missing[of_earth], depth[of_earth]),
        _Depths(
            (1.0 - seen / level)[of_star],
            (1.0 - copied / level)[of_star],
            np.zeros(of_star.sum()),
        ),
    )


def _continuum(flux: np.ndarray, known: np.ndarray, sigma: float, n_block: int) -> np.ndarray:
    """90 % quantile of each block of known pixels, interpolated between their middles.

    Of smoothed flux: the quantile of noise would lie above the continuum.
    """
    smooth = _smooth(flux, known, max(sigma, 2.0))
    pixels = np.flatnonzero(known)
    n_blocks = max(1, len(pixels) // n_block)
    middles, levels = [], []
    for block in np.array_split(pixels, n_blocks):
        middles.append(block.mean())
        levels.append(np.quantile(smooth[block], 0.9))
    return np.interp(np.arange(len(flux)), middles, levels)


def _smooth(values: np.ndarray, known: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian mean of the known pixels around each; of use at known pixels only."""
    if sigma == 0:
        return values.astype(np.float64)
    weight = gaussian_filter1d(known.astype(np.float64), sigma, mode="constant")
    total = gaussian_filter1d(
        np.where(known, values, 0.0).astype(np.float64), sigma, mode="constant"
    )
    return np.divide(total, weight, out=np.full(len(values), np.nan), where=weight > 0)


def _matched_slopes(
    earth: _Depths, star: _Depths, min_depth: float
) -> tuple[tuple[float, float], int]:
    """Slopes in telluric and stellar pixels of the same depths, and how many telluric ones."""
    unknown = (np.nan, np.nan)
    deepest = earth.true.max(initial=0.0)
    if deepest <= min_depth:
        return unknown, 0
    # What is shallower than a line makes the first bin: it holds the intercept.
    edges = np.concatenate([[-np.inf], np.linspace(min_depth, deepest, _N_DEPTHS)])
    edges[-1] = np.nextafter(deepest, np.inf)
    of_earth, of_star = (
        np.searchsorted(edges, kind.true, side="right") - 1 for kind in (earth, star)
    )
    n_earth, n_star = (np.bincount(bins, minlength=_N_DEPTHS + 1) for bins in (of_earth, of_star))
    both = (n_earth > 0) & (n_star > 0)
    both[_N_DEPTHS:] = False  # stellar pixels deeper than any telluric one
    n_matched = int(n_earth[1:][both[1:]].sum())
    if n_matched < _FEWEST_PIXELS:
        return unknown, n_matched
    share = np.divide(n_earth, n_star, out=np.zeros(len(both)), where=both)
    slopes = (
        _slope(earth, both[of_earth].astype(np.float64)),
        _slope(star, share[of_star]),
    )
    return slopes, n_matched


def _slope(depths: _Depths, weight: np.ndarray) -> float:
    """Weighted least squares of the drawn depth on the true one, the other and an intercept."""
    root = np.sqrt(weight)[:, None]
    causes = np.column_stack([depths.true, depths.beside, np.ones(len(root))])
    slope, *_ = np.linalg.lstsq(causes * root, depths.drawn * root[:, 0], rcond=1e-6)
    return float(slope[0])
