"""Flux on other pixels: linear on the same step, exact integrals when the step changes.

Missing pixels (NaN), gaps in the wavelengths and wavelengths beyond the data give NaN, never an
edge value nor a bridge.
"""

import numpy as np
from scipy.ndimage import median_filter

from ._grid import PIXEL_TOLERANCE, WavelengthGrid, check_grid_type

# Steps that agree to this fraction count as the same; CDELT1 of real files scatters by 1e-4.
_SAME_STEP = 1e-3

# A new edge this close to an old one, in pixels, is on it: rounding moves edges by 1e-10 pixels,
# and so little of a very bright neighbour would still be seen.
_SAME_EDGE = 1e-8

# A distance between pixels this many times the usual one around it is a gap: one lost pixel gives
# 2, and single-precision wavelengths scatter by a tenth.
_GAP = 1.75


def resample_flux(
    flux: np.ndarray,
    wavelength_aa: np.ndarray,
    grid: WavelengthGrid,
    *,
    min_coverage: float = 0.5,
) -> np.ndarray:
    """Put spectra on a wavelength grid.

    Where the pixels are as wide as those of the grid, flux is interpolated linearly, as for a
    shift. Where the width changes, each new pixel holds the exact mean of the flux over it, so
    that the integral is conserved.

    Parameters
    ----------
    flux : ndarray of shape (n_pixels,) or (n_spectra, n_pixels)
        Flux density; NaN is a missing pixel.
    wavelength_aa : ndarray of shape (n_pixels,)
        Increasing pixel centres in Angstrom, in the medium of the grid. Where a distance is 1.75
        times the usual one around it, pixels were left out: nothing is interpolated over that.
    grid : WavelengthGrid
        Where the flux is wanted.
    min_coverage : float, default=0.5
        With a change of step, a new pixel of which a smaller fraction is covered by valid pixels
        is NaN.

    Returns
    -------
    resampled : ndarray of shape (grid.n_pixels,) or (n_spectra, grid.n_pixels)
        In the dtype of `flux`; integers become float64.

    Raises
    ------
    ValueError
        If the wavelengths do not increase or are not as many as the pixels.
    TypeError
        If `grid` is no `WavelengthGrid`.

    Notes
    -----
    Linear interpolation smooths by up to half a pixel and correlates the noise of neighbours; no
    higher order is offered, since it rings at cosmic rays and at the edges of gaps.

    Examples
    --------
    >>> import numpy as np
    >>> grid = WavelengthGrid(5000.5, 2.0, 3)
    >>> resample_flux(np.array([1.0, 3.0, 5.0, 7.0]), np.array([5000.0, 5001, 5002, 5003]), grid)
    array([ 2.,  6., nan])
    """
    check_grid_type("grid", grid, required=True)
    flux = np.asarray(flux)
    if flux.dtype.kind != "f":
        flux = flux.astype(np.float64)
    wavelength_aa = check_wavelength(wavelength_aa, flux.shape[-1])
    flux, wavelength_aa = mark_gaps(flux, wavelength_aa)
    if _same_step(wavelength_aa, grid):
        return interpolate_flux(flux, wavelength_aa, grid.wavelength_aa)
    return rebin_flux(flux, pixel_edges(wavelength_aa), grid.edges_aa, min_coverage=min_coverage)


def check_wavelength(wavelength_aa: np.ndarray, n_pixels: int) -> np.ndarray:
    """Return the wavelengths in float64 if they are finite, increasing and `n_pixels` many."""
    wavelength_aa = np.asarray(wavelength_aa, dtype=np.float64)
    if wavelength_aa.shape != (n_pixels,):
        raise ValueError(
            f"wavelength_aa has shape {wavelength_aa.shape}, flux has {n_pixels} pixels."
        )
    if not np.isfinite(wavelength_aa).all():
        first = int(np.argmin(np.isfinite(wavelength_aa)))
        raise ValueError(
            f"wavelength_aa must be finite; it is {wavelength_aa[first]} at pixel {first} of "
            f"{n_pixels}: leave such pixels out."
        )
    increases = np.diff(wavelength_aa) > 0
    if not increases.all():
        first = int(np.argmin(increases))
        raise ValueError(
            f"wavelength_aa must increase; it goes from {wavelength_aa[first]:g} to "
            f"{wavelength_aa[first + 1]:g} at pixel {first + 1} of {n_pixels}: sort or flip "
            "wavelength and flux together."
        )
    return wavelength_aa


def mark_gaps(flux: np.ndarray, wavelength_aa: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return flux and wavelengths with missing pixels put in where pixels were left out.

    One pixel in the middle of a gap, or one beside each of its ends if two have room.
    """
    distance = np.diff(wavelength_aa)
    if len(distance) < 3:
        return flux, wavelength_aa
    usual = median_filter(distance, size=5, mode="mirror")
    gap = np.flatnonzero(distance > _GAP * usual)
    if not len(gap):
        return flux, wavelength_aa
    inset = np.minimum(usual[gap], distance[gap] / 2.0)
    ends = np.stack([wavelength_aa[gap] + inset, wavelength_aa[gap + 1] - inset], axis=1)
    has_room = ends[:, 1] - ends[:, 0] > usual[gap] / 2.0
    ends[~has_room] = ends[~has_room].mean(axis=1, keepdims=True)
    wanted = np.stack([np.ones_like(has_room), has_room], axis=1)
    position = np.stack([gap + 1, gap + 1], axis=1)[wanted]
    marked = np.insert(flux, position, np.nan, axis=-1)
    return marked, np.insert(wavelength_aa, position, ends[wanted])


def interpolate_flux(
    flux: np.ndarray, wavelength_aa: np.ndarray, new_wavelength_aa: np.ndarray
) -> np.ndarray:
    """Linear interpolation along the last axis; NaN beyond the data and beside missing pixels."""
    n_pixels = len(wavelength_aa)
    if n_pixels == 1:
        left, weight = np.zeros(len(new_wavelength_aa), dtype=int), new_wavelength_aa * 0.0
        inside = new_wavelength_aa == wavelength_aa[0]
        right = left
    else:
        left = np.clip(np.searchsorted(wavelength_aa, new_wavelength_aa) - 1, 0, n_pixels - 2)
        right = left + 1
        width = wavelength_aa[right] - wavelength_aa[left]
        weight = (new_wavelength_aa - wavelength_aa[left]) / width
        # On a pixel centre only that pixel counts, so that a missing neighbour does not spread.
        weight = np.where(
            np.abs(weight - np.rint(weight)) < PIXEL_TOLERANCE, np.rint(weight), weight
        )
        inside = (weight >= 0) & (weight <= 1)
    weight = weight.astype(flux.dtype)
    low, high = flux[..., left], flux[..., right]
    interpolated = np.where(
        weight == 0, low, np.where(weight == 1, high, low + weight * (high - low))
    )
    interpolated[..., ~inside] = np.nan
    return interpolated


def rebin_flux(
    flux: np.ndarray, edges_aa: np.ndarray, new_edges_aa: np.ndarray, *, min_coverage: float = 0.5
) -> np.ndarray:
    """Mean flux over each new pixel, by exact integration over the valid part of the old ones.

    Parameters
    ----------
    flux : ndarray of shape (..., n_pixels)
    edges_aa : ndarray of shape (n_pixels + 1,)
    new_edges_aa : ndarray of shape (n_new + 1,)
    min_coverage : float, default=0.5
        A new pixel of which a smaller fraction is covered by valid pixels is NaN.

    Returns
    -------
    rebinned : ndarray of shape (..., n_new)
    """
    width = np.diff(edges_aa)
    position = np.clip(new_edges_aa, edges_aa[0], edges_aa[-1])
    left = np.clip(np.searchsorted(edges_aa, position, side="right") - 1, 0, len(width) - 1)
    fraction = (position - edges_aa[left]) / width[left]
    fraction = np.where(
        np.abs(fraction - np.rint(fraction)) < _SAME_EDGE, np.rint(fraction), fraction
    )
    missing = np.isnan(flux)
    total = flux * width
    total[missing] = 0.0
    total = integrate_pixels(total, left, fraction)
    covered = integrate_pixels(np.where(missing, 0.0, width), left, fraction)
    enough = covered >= np.maximum(min_coverage, 1e-9) * np.diff(new_edges_aa) * (1 - 1e-6)
    mean = np.divide(total, covered, out=np.full_like(total, np.nan), where=enough)
    return mean.astype(flux.dtype)


def integrate_pixels(content: np.ndarray, left: np.ndarray, fraction: np.ndarray) -> np.ndarray:
    """Sum the content of old pixels between neighbouring new edges.

    Each sum holds the pixels it needs and no others. A difference of two running sums would lose
    them beside one bright pixel anywhere before, and spread an infinite one.

    Parameters
    ----------
    content : ndarray of shape (..., n_pixels)
    left : ndarray of int, shape (n_new + 1,)
        Old pixel in which each new edge lies; does not decrease.
    fraction : ndarray of shape (n_new + 1,)
        How far into that pixel it lies, from 0 to 1.

    Returns
    -------
    integral : ndarray of shape (..., n_new)
    """
    low, high = left[:-1], left[1:]
    first = np.where(low == high, fraction[1:], 1.0) - fraction[:-1]
    last = np.where(low == high, 0.0, fraction[1:])
    # Whole pixels between the two that an edge cuts; `reduceat` wants starts and stops in turn.
    bounds = np.stack([np.minimum(low + 1, content.shape[-1] - 1), high], axis=1)
    whole = np.add.reduceat(content, bounds.ravel(), axis=-1)[..., ::2]
    whole = np.where(high > low + 1, whole, 0.0)
    # Nothing of an infinite pixel is nothing, not NaN.
    start = np.where(first > 0, content[..., low], 0.0) * first
    return start + whole + np.where(last > 0, content[..., high], 0.0) * last


def pixel_edges(wavelength_aa: np.ndarray) -> np.ndarray:
    """Edges halfway between pixel centres, shape (n_pixels + 1,); the outer ones mirrored."""
    if len(wavelength_aa) == 1:
        return wavelength_aa[0] + np.array([-0.5, 0.5])
    middle = (wavelength_aa[1:] + wavelength_aa[:-1]) / 2.0
    first = 2 * wavelength_aa[0] - middle[0]
    last = 2 * wavelength_aa[-1] - middle[-1]
    return np.concatenate([[first], middle, [last]])


def _same_step(wavelength_aa: np.ndarray, grid: WavelengthGrid) -> bool:
    """Whether old and new pixels are equally wide at both ends of their overlap."""
    new_aa = grid.wavelength_aa
    if len(wavelength_aa) < 2 or len(new_aa) < 2:
        return len(wavelength_aa) == len(new_aa)
    low, high = max(wavelength_aa[0], new_aa[0]), min(wavelength_aa[-1], new_aa[-1])
    if low >= high:
        return True  # nothing overlaps: every pixel becomes NaN either way

    def width_at(axis, position):
        index = int(np.clip(np.searchsorted(axis, position), 1, len(axis) - 1))
        # The median, so that a gap at this place does not count.
        return np.median(np.diff(axis[max(0, index - 3) : index + 3]))

    return all(
        abs(width_at(wavelength_aa, at) / width_at(new_aa, at) - 1.0) < _SAME_STEP
        for at in (low, (low + high) / 2.0, high)
    )
