"""Doppler shift of decoded spectra, as the simulation does it."""

import numpy as np

from ..spectra import WavelengthGrid, doppler_factor


def shift_flux(
    grid: WavelengthGrid, flux: np.ndarray, velocity_kms: float, pixels: slice
) -> np.ndarray:
    """Flux in some pixels after the source recedes by `velocity_kms` more.

    Parameters
    ----------
    grid : WavelengthGrid
    flux : ndarray of shape (n_spectra, n_pixels)
    velocity_kms : float
    pixels : slice

    Returns
    -------
    shifted : ndarray of float64, shape (n_spectra, stop - start)
        NaN where one of the four pixels that cubic convolution takes is missing or outside.
    """
    return at_places(flux, source_places(grid, velocity_kms, pixels))


def source_places(grid: WavelengthGrid, velocity_kms: float, pixels: slice) -> np.ndarray:
    """Fractional pixels from which the flux comes."""
    return grid.pixel_at(grid.wavelength_aa[pixels] / doppler_factor(velocity_kms))


def neighbours(place: np.ndarray, n_pixels: int) -> tuple[int, int]:
    """First and last but one of the pixels that interpolation at these places takes."""
    start = int(np.clip(np.floor(place.min()) - 1, 0, n_pixels))
    stop = int(np.clip(np.floor(place.max()) + 3, start, n_pixels))
    return start, stop


def at_places(flux: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Cubic convolution at fractional pixels, shape (n_spectra, n_places); NaN outside."""
    shifted = np.full((len(flux), len(place)), np.nan)
    first = np.floor(place).astype(np.intp) - 1
    inside = np.flatnonzero((first >= 0) & (first + 3 < flux.shape[1]))
    if not len(inside):
        return shifted
    first = first[inside]
    t = place[inside] - (first + 1)
    a, b, c, d = (flux[:, first + offset].astype(np.float64) for offset in range(4))
    cubic = 3.0 * (b - c) + d - a
    square = 2.0 * a - 5.0 * b + 4.0 * c - d
    shifted[:, inside] = b + 0.5 * t * ((c - a) + t * (square + t * cubic))
    return shifted
