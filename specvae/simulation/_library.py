"""Spectra of a library as photons on the velocity axis."""

import hashlib
from typing import Any

import numpy as np
import pandas as pd
from scipy.integrate import trapezoid

from ..exceptions import GridMismatchError
from ..spectra import SPEED_OF_LIGHT_KMS, air_to_vacuum, vacuum_to_air
from ._axis import VelocityAxis
from ._star._model import HC_ERG_AA, V_ZERO_FLUX

_V_BAND_AA = (5400.0, 5500.0)
# More than the difference of the refractive index of air from 1.
_MEDIUM_MARGIN = 1e-3


class SpectralLibrary:
    """Weighted means of the spectra of a library, on a velocity axis.

    Parameters
    ----------
    wavelength_aa : ndarray of shape (n_wavelengths,)
        Checked already.
    flux : sequence of ndarray of shape (n_wavelengths,)
        Flux per unit of wavelength of each model, in any unit. A row is read when it is needed.
    medium : {"air", "vacuum"}
        Of `wavelength_aa`.
    axis : VelocityAxis
        Where the spectra are wanted.
    needed_aa : tuple of (float, float)
        Wavelengths, in the medium of the axis, that the library must cover. Beyond its ends the
        flux goes on as it ends.

    Raises
    ------
    GridMismatchError
        If the library does not cover `needed_aa`.
    """

    def __init__(
        self,
        wavelength_aa: np.ndarray,
        flux: Any,
        medium: str,
        axis: VelocityAxis,
        needed_aa: tuple[float, float],
    ):
        self._flux = flux
        ends_aa = np.array([axis.start_aa, axis.end_aa]) * [1 - _MEDIUM_MARGIN, 1 + _MEDIUM_MARGIN]
        self._on_axis = slice(*np.searchsorted(wavelength_aa, ends_aa))
        knots_aa = _to_medium(wavelength_aa[self._on_axis], medium, axis.medium)
        _check_coverage(wavelength_aa, medium, knots_aa, axis.medium, needed_aa)

        edges_aa = axis.wavelength_at(np.arange(axis.n_pixels + 1) - 0.5)
        self._mean_on_axis = LinearMean(knots_aa, edges_aa)
        self._photons = axis.wavelength_at(np.arange(axis.n_pixels)) / HC_ERG_AA
        within = slice(*np.searchsorted(knots_aa, needed_aa))
        step_kms = np.diff(np.log(knots_aa[within])) * SPEED_OF_LIGHT_KMS
        self.coarsest_kms = float(step_kms.max())
        # Linear interpolation is a convolution with a triangle, of variance step**2 / 6 in the
        # mean over all phases; the pixel of the axis, with a box, of variance step**2 / 12.
        self.blur_kms = float(np.sqrt(np.median(step_kms) ** 2 / 6.0 + axis.step_kms**2 / 12.0))

        self.covers_v = bool(
            wavelength_aa[0] <= _V_BAND_AA[0] and wavelength_aa[-1] >= _V_BAND_AA[1]
        )
        self._for_scale = (
            slice(*np.searchsorted(wavelength_aa, _V_BAND_AA))
            if self.covers_v
            else slice(self._on_axis.start + within.start, self._on_axis.start + within.stop)
        )
        self._scale_aa = wavelength_aa[self._for_scale]

    def photon_flux(self, rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Photons s-1 cm-2 Angstrom-1 outside the atmosphere at V = 0, float32 (n_pixels,).

        Each model is brought to V = 0 before the weighted sum: its mean over 5400 to 5500 Angstrom
        to the flux of V = 0 at 5450 Angstrom, or, where the library does not reach there, its
        median over the wavelengths needed.
        """
        total = np.zeros(self._on_axis.stop - self._on_axis.start)
        for row, weight in zip(rows, weights, strict=True):
            flux = np.asarray(self._flux[int(row)])
            total += weight * self._scale(flux, int(row)) * flux[self._on_axis]
        if not np.isfinite(total).all():
            raise ValueError(
                f"flux of the models {', '.join(map(str, rows))} holds pixels that are not finite: "
                "leave such models or wavelengths out of the library, or interpolate over them."
            )
        return (self._mean_on_axis(total) * self._photons).astype(np.float32)

    def digest(self) -> str:
        """Return a short name for the first and the last spectrum: all would take too long."""
        digest = hashlib.sha256()
        for row in (0, len(self._flux) - 1):
            flux = np.asarray(self._flux[row])[self._on_axis]
            digest.update(np.ascontiguousarray(flux, dtype=float).tobytes())
        return digest.hexdigest()[:16]

    def _scale(self, flux: np.ndarray, row: int) -> float:
        """Return what brings a model to V = 0."""
        band = np.asarray(flux[self._for_scale], dtype=float)
        if self.covers_v:
            level = trapezoid(band, self._scale_aa) / (self._scale_aa[-1] - self._scale_aa[0])
        else:
            level = np.median(band)
        if not level > 0:
            raise ValueError(
                f"flux of model {row} has the {'mean' if self.covers_v else 'median'} {level:g} "
                f"over {self._scale_aa[0]:.1f} to {self._scale_aa[-1]:.1f} Angstrom, which must be "
                "positive: it is to be brought to magnitude zero there; leave the model out."
            )
        return V_ZERO_FLUX / level


class LinearMean:
    """Means over pixels of the straight lines between knots: the integral is conserved.

    One formula where the pixels are narrower and where they are wider than the distances of the
    knots. Beyond the knots the line goes on level.

    Parameters
    ----------
    knots_aa : ndarray of shape (n_knots,)
    edges_aa : ndarray of shape (n_pixels + 1,)
    """

    def __init__(self, knots_aa: np.ndarray, edges_aa: np.ndarray):
        first = min(knots_aa[0], edges_aa[0]) - 1.0
        last = max(knots_aa[-1], edges_aa[-1]) + 1.0
        knots_aa = np.concatenate([[first], knots_aa, [last]])
        self._left = np.searchsorted(knots_aa, edges_aa, side="right") - 1
        self._into_aa = edges_aa - knots_aa[self._left]
        self._distance_aa = np.diff(knots_aa)
        self._width_aa = np.diff(edges_aa)

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Means over the pixels, (n_pixels,), of values at the knots."""
        values = np.concatenate([values[:1], values, values[-1:]])
        trapezes = 0.5 * (values[1:] + values[:-1]) * self._distance_aa
        until_knot = np.concatenate([[0.0], np.cumsum(trapezes)])
        slope = np.diff(values) / self._distance_aa
        beyond_knot = self._into_aa * (values[self._left] + 0.5 * slope[self._left] * self._into_aa)
        return np.diff(until_knot[self._left] + beyond_knot) / self._width_aa


def check_library_wavelength(wavelength_aa: Any) -> np.ndarray:
    """Return the wavelengths in float64 if they are positive and increase."""
    wavelength_aa = np.asarray(wavelength_aa, dtype=float)
    if wavelength_aa.ndim != 1 or len(wavelength_aa) < 2:
        raise ValueError(
            "wavelength_aa must have shape (n_wavelengths,), two or more; got shape "
            f"{wavelength_aa.shape}."
        )
    wrong = ~(np.diff(wavelength_aa, prepend=0.0) > 0)
    if wrong.any():
        pixel = int(np.argmax(wrong))
        raise ValueError(
            f"wavelength_aa must be positive and increase; it is {wavelength_aa[pixel]:g} at pixel "
            f"{pixel} of {len(wavelength_aa)}: sort or flip wavelengths and flux together."
        )
    return wavelength_aa


def check_library_flux(flux: Any, n_models: int, n_wavelengths: int) -> Any:
    """Return the spectra, unread but for the first, if their number and length are right."""
    flux = flux.to_numpy() if isinstance(flux, pd.DataFrame) else flux
    shape = (len(flux), *(np.shape(flux[0]) if len(flux) else ()))
    if shape != (n_models, n_wavelengths):
        raise ValueError(
            f"flux must have shape (n_models, n_wavelengths) = ({n_models}, {n_wavelengths}), as "
            f"labels and wavelength_aa have; got {shape}."
        )
    return flux


def _to_medium(wavelength_aa: np.ndarray, medium: str, wanted: str) -> np.ndarray:
    if medium == wanted:
        return wavelength_aa
    return vacuum_to_air(wavelength_aa) if wanted == "air" else air_to_vacuum(wavelength_aa)


def _check_coverage(
    wavelength_aa: np.ndarray,
    medium: str,
    knots_aa: np.ndarray,
    wanted_medium: str,
    needed_aa: tuple[float, float],
) -> None:
    low_aa, high_aa = needed_aa
    inside = (knots_aa >= low_aa) & (knots_aa <= high_aa)
    if inside.sum() >= 2 and knots_aa[0] <= low_aa and knots_aa[-1] >= high_aa:
        return
    overlap = "not all" if inside.any() else "empty overlap: nothing"
    raise GridMismatchError(
        f"the library covers {wavelength_aa[0]:.1f} to {wavelength_aa[-1]:.1f} Angstrom "
        f"({medium}), {overlap} of the {low_aa:.1f} to {high_aa:.1f} Angstrom ({wanted_medium}) "
        "that the instrument records of the grid, with 100 km/s to either side: give a library "
        "that reaches further, or a smaller grid."
    )
