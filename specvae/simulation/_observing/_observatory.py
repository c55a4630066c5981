"""From the light of a star outside the atmosphere to a spectrum as it lies in an archive."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter1d

from ...spectra import (
    SPEED_OF_LIGHT_KMS,
    WavelengthGrid,
    air_to_vacuum,
    doppler_factor,
    vacuum_to_air,
)
from .._axis import VelocityAxis, ramp
from .._star._broadening import line_spread_sigma_kms
from ._instrument import Spectrograph
from ._noise import (
    COSMIC_RAYS_PER_PIXEL_S,
    DetectorNoise,
    Order,
    combine_orders,
    constant_noise,
    draw_cosmic_rays,
    draw_flux,
    exposure_for_snr,
)
from ._sky import EXTINCTION_AA, extinction_transmission, fibre_transmission, sky_photons
from ._tellurics import TelluricModel

_NODE_PIXELS = 256

# Arrays of so many pixels stay in the cache, and the allocator keeps them: 128 KiB each.
_BLOCK_PIXELS = 128 * _NODE_PIXELS

_SNR_PIXELS = 4000

# The longest exposure that may be asked for; S/N may want longer ones of faint stars, which would
# be more cosmic rays than pixels.
_LONGEST_HIT_S = 1e6

# Without an instrument: a telescope of one square metre that loses nothing, and no detector.
IDEAL = Spectrograph(
    name="no instrument",
    resolving_power=1e9,
    collecting_area_cm2=1e4,
    efficiency_table=((1.0, 1.0), (1e9, 1.0)),
    fibre_arcsec=1.0,
    pixel_kms=1.0,
    n_spatial_pixels=1.0,
    dark_e_per_s=0.0,
    readout_e=0.0,
    first_aa=1.0,
    last_aa=1e9,
)

UNKNOWN_FACTORS = ("continuum_tilt", "blaze_residual", "line_spread", "cosmic_rays")
"""What can be switched on and is told by no label."""


class Observation(NamedTuple):
    """One spectrum, float32 arrays of shape (n_pixels,); NaN where nothing is recorded."""

    flux: np.ndarray
    noiseless_flux: np.ndarray
    sigma: np.ndarray


class _Light(NamedTuple):
    """What reaches the detector, before it is cut into pixels."""

    rest_flux: np.ndarray  # on the axis
    rv_pixels: float  # pixels of the axis by which the star is shifted
    berv_pixels: float  # and the atmosphere and the instrument
    windows: list[tuple[slice, np.ndarray]]  # telluric transmission, on the axis
    star: np.ndarray  # electrons per photon of the star, at the nodes of the grid
    sky: np.ndarray  # electrons of the sky per Angstrom, likewise
    tilt: float  # change of the flux from the middle to an end of the grid
    ripple: float  # amplitude of the wave that is left of the blaze


class Observatory:
    """Telescope, atmosphere and spectrograph in front of one grid.

    Parameters
    ----------
    grid : WavelengthGrid
        In the barycentric frame.
    axis : VelocityAxis
        Of the stars at rest; it reaches beyond the grid by the largest velocity.
    instrument : Spectrograph, optional
        None for a perfect telescope of one square metre.
    atmosphere : bool
        Whether tellurics and extinction are there.
    resolving_power : float
        Of the spectra.

    Attributes
    ----------
    recorded_aa : ndarray of shape (2,), or None
        First and last wavelength of the grid that the instrument records; None if it records none.
    """

    def __init__(
        self,
        grid: WavelengthGrid,
        axis: VelocityAxis,
        instrument: Spectrograph | None,
        *,
        atmosphere: bool,
        resolving_power: float,
    ):
        self.instrument = IDEAL if instrument is None else instrument
        self._has_fibre = instrument is not None
        self._atmosphere = atmosphere
        self.axis = axis
        self.n_pixels = grid.n_pixels
        self.sigma_kms = line_spread_sigma_kms(resolving_power, SPEED_OF_LIGHT_KMS)

        place = axis.pixel_at(grid.wavelength_aa)
        self._pixel = np.floor(place).astype(np.intp)
        self._fraction = (place - self._pixel).astype(np.float32)
        # The last node lies beyond the grid.
        n_nodes = -(-grid.n_pixels // _NODE_PIXELS) + 1
        reaching = replace(grid, n_pixels=(n_nodes - 1) * _NODE_PIXELS + 1)
        self._node_aa = reaching.wavelength_aa[::_NODE_PIXELS]
        self._waves = self._waves_at(grid.wavelength_aa)
        width_aa = np.diff(grid.edges_aa)
        self._width_aa = width_aa.astype(np.float32)
        middle = grid.n_pixels // 2
        middle_kms = width_aa[middle] / grid.wavelength_aa[middle] * SPEED_OF_LIGHT_KMS
        # Pixels of the detector that are summed to one of the grid, maybe a fraction.
        self._n_detector = float(
            self.instrument.n_spatial_pixels * middle_kms / self.instrument.pixel_kms
        )
        axis_aa = axis.wavelength_at(np.arange(axis.n_pixels))
        even, odd = self.instrument.blaze(self._to_instrument(axis_aa))
        self._blaze_even, self._blaze_odd = even.astype(np.float32), odd.astype(np.float32)
        recorded = (even > 0) | (odd > 0)
        seen = np.flatnonzero(recorded[self._pixel])
        self.recorded_aa = grid.wavelength_aa[seen[[0, -1]]] if len(seen) else None
        if atmosphere:
            self._tellurics = TelluricModel(axis_aa, axis.medium, resolving_power)

    def observe(
        self,
        rest_flux: np.ndarray,
        labels: Mapping[str, float],
        unknown: Mapping[str, float],
        generator: np.random.Generator,
    ) -> Observation:
        """Draw one spectrum.

        Appendix A of Cvrcek et al. 2025: signal, sky, dark current and read-out in even and odd
        orders, merged to their mean. `rest_flux` are photons s-1 cm-2 Angstrom-1 at V = 0 on the
        axis, broadened already.
        """
        light = self._light(rest_flux, labels, unknown)
        exposure_s = labels["exposure_s"]
        if np.isnan(exposure_s):
            some = slice(None, None, -(-self.n_pixels // _SNR_PIXELS))
            orders = self._orders(light, some)
            exposure_s = exposure_for_snr(labels["snr"], *orders, self._detector(1.0))
        light = light._replace(star=light.star * exposure_s, sky=light.sky * exposure_s)
        detector = self._detector(exposure_s)
        seen = Observation(*np.empty((3, self.n_pixels), dtype=np.float32))
        for start in range(0, self.n_pixels, _BLOCK_PIXELS):
            pixels = slice(start, min(start + _BLOCK_PIXELS, self.n_pixels))
            expected = combine_orders(*self._orders(light, pixels), detector)
            seen.flux[pixels] = draw_flux(expected, generator)
            seen.noiseless_flux[pixels] = expected.flux
            np.sqrt(expected.variance, out=seen.sigma[pixels])
        if unknown.get("cosmic_rays", 0.0):
            exposed_s = unknown["cosmic_rays"] * min(exposure_s, _LONGEST_HIT_S)
            self._hit(seen.flux, light, exposed_s, generator)
        return seen

    def _detector(self, exposure_s: float) -> DetectorNoise:
        seen_by = self.instrument
        return constant_noise(
            self._n_detector, 1, exposure_s, seen_by.dark_e_per_s, seen_by.readout_e
        )

    def _light(
        self, rest_flux: np.ndarray, labels: Mapping[str, float], unknown: Mapping[str, float]
    ) -> _Light:
        observed_aa = self._node_aa / doppler_factor(labels["berv_kms"])
        electrons = self.instrument.efficiency(self._to_instrument(observed_aa))
        electrons *= self.instrument.collecting_area_cm2
        star = electrons * 10.0 ** (-0.4 * labels["vmag"])
        sky = np.zeros_like(star)
        windows = []
        # Where the extinction is unknown nothing is recorded, but for what the Earth's motion does.
        known_aa = np.clip(observed_aa, *EXTINCTION_AA)
        if self._atmosphere:
            star *= extinction_transmission(known_aa, labels["airmass"])
            windows = self._tellurics.transmission(labels["airmass"], labels["pwv_mm"])
        if unknown.get("line_spread", 0.0):
            rest_flux = self._widened(rest_flux, unknown["line_spread"])
            windows = [
                (window, self._widened(passed, unknown["line_spread"]))
                for window, passed in windows
            ]
        if self._has_fibre:
            fibre_arcsec = self.instrument.fibre_arcsec
            star *= fibre_transmission(
                labels["seeing_arcsec"], labels["airmass"], observed_aa, fibre_arcsec=fibre_arcsec
            )
            if self._atmosphere:
                sky = sky_photons(known_aa, labels["moon_illumination"], labels["airmass"])
                sky *= electrons * (np.pi / 4.0 * fibre_arcsec**2)
        return _Light(
            rest_flux,
            self._axis_pixels(labels["rv_kms"]),
            self._axis_pixels(labels["berv_kms"]),
            windows,
            star,
            sky,
            unknown.get("continuum_tilt", 0.0),
            unknown.get("blaze_residual", 0.0),
        )

    def _widened(self, spectrum: np.ndarray, part: float) -> np.ndarray:
        """Return a spectrum on the axis with its line spread wider by `part`."""
        # It has the nominal width already: what is missing adds in quadrature.
        wider = np.sqrt((1.0 + part) ** 2 - 1.0)
        return gaussian_filter1d(
            spectrum, wider * self.sigma_kms / self.axis.step_kms, mode="nearest"
        )

    def _orders(self, light: _Light, pixels: slice) -> tuple[Order, Order]:
        """Electrons of some pixels in the even and in the odd orders."""
        width_aa = self._width_aa[pixels]
        star = self._shifted(light, pixels)
        self._absorb(star, light, pixels)
        star *= self._smooth(light.star, pixels)
        if light.tilt:
            middle = 0.5 * (self.n_pixels - 1)
            across = np.arange(*pixels.indices(self.n_pixels)) - middle
            star *= 1.0 + (light.tilt / max(middle, 0.5) * across).astype(np.float32)
        if light.ripple:
            star *= 1.0 + np.float32(light.ripple) * np.cos(2.0 * np.pi * self._waves[pixels])
        star *= width_aa
        sky = self._smooth(light.sky, pixels)
        sky *= width_aa
        # The blaze varies slowly: that of the nearest point of the axis will do.
        at = self._pixel[pixels] - round(light.berv_pixels)
        even, odd = self._blaze_even.take(at), self._blaze_odd.take(at)
        return (
            Order(star * even, sky * even, even * width_aa),
            Order(star * odd, sky * odd, odd * width_aa),
        )

    def _smooth(self, nodes: np.ndarray, pixels: slice) -> np.ndarray:
        start, stop, step = pixels.indices(self.n_pixels)
        if step > 1:
            place = np.arange(start, stop, step) / _NODE_PIXELS
            return np.interp(place, np.arange(len(nodes)), nodes).astype(np.float32)
        first = start // _NODE_PIXELS  # blocks begin at nodes
        return ramp(nodes[first : -(-stop // _NODE_PIXELS) + 1], _NODE_PIXELS, stop - start)

    def _shifted(self, light: _Light, pixels: slice) -> np.ndarray:
        """Flux at the pixels of the grid when the star recedes: cubic convolution (Keys 1981)."""
        whole = math.floor(light.rv_pixels)
        t = self._fraction[pixels] - np.float32(light.rv_pixels - whole)
        below = t < 0
        t += below
        first = self._pixel[pixels] - below
        first -= whole + 1
        # With a, b, c, d at -1, 0, 1, 2 and place t:
        # b + 0.5 ((c - a) t + (2 a - 5 b + 4 c - d) t**2 + (3 b - a - 3 c + d) t**3).
        a, b, c, d = (light.rest_flux[offset:].take(first) for offset in range(4))
        cubic = b - c
        cubic *= np.float32(3.0)
        cubic -= a
        cubic += d
        linear = c - a
        # The second coefficient is -(third) + (a - b) - (b - c).
        value = cubic * t
        value -= cubic
        value += a
        value -= b
        value -= b
        value += c
        value *= t
        value += linear
        value *= t
        value *= np.float32(0.5)
        value += b
        # Beside an emission line the cubic may swing below zero, where no noise is defined.
        return np.maximum(value, np.float32(0.0), out=value)

    def _absorb(self, flux: np.ndarray, light: _Light, pixels: slice) -> None:
        """Multiply by the telluric transmission, at rest in the frame of the observatory."""
        shift = light.berv_pixels
        pixel, fraction = self._pixel[pixels], self._fraction[pixels]
        # Pixels of the grid whose place on the axis of the observatory lies in each window; asked
        # with whole numbers, or searchsorted would copy all pixels as floats.
        edges = [(window.start, window.stop - 1) for window, _ in light.windows]
        edges_of_star = np.array(edges, dtype=np.intp).reshape(-1, 2)
        edges_of_star += np.array([math.ceil(shift), math.floor(shift)])
        for (first, last), (window, passed) in zip(
            np.searchsorted(pixel, edges_of_star), light.windows, strict=True
        ):
            if last <= first:
                continue
            # Whole numbers first: in float32 a place far along the axis would lose its fraction.
            place = (pixel[first:last] - window.start) + (fraction[first:last] - shift)
            at = place.astype(np.intp)
            right = (place - at).astype(np.float32)
            left = passed.take(at)
            # A fraction that is rounded to 1 may ask for one beyond the end, with no weight.
            flux[first:last] *= left + right * (passed.take(at + 1, mode="clip") - left)

    def _hit(
        self, flux: np.ndarray, light: _Light, exposed_s: float, generator: np.random.Generator
    ) -> None:
        """Add cosmic rays: each hits one set of orders, and half counts where two are merged."""
        at = self._pixel - round(light.berv_pixels)
        even, odd = self._blaze_even.take(at), self._blaze_odd.take(at)
        n_orders = np.maximum((even > 0).astype(int) + (odd > 0), 1)
        for blaze in (even, odd):
            if not blaze.any():
                continue
            pixel, electrons = draw_cosmic_rays(
                self.n_pixels, self._n_detector * COSMIC_RAYS_PER_PIXEL_S, exposed_s, generator
            )
            pixel, electrons = pixel[blaze[pixel] > 0], electrons[blaze[pixel] > 0]
            response = blaze[pixel] * self._width_aa[pixel] * n_orders[pixel]
            np.add.at(flux, pixel, electrons / response)

    def _waves_at(self, wavelength_aa: np.ndarray) -> np.ndarray:
        """Waves up to each pixel: one to an order, or 12 on the grid where there is no echelle.

        The Earth moves the orders by a fiftieth of one at most, which is left out.
        """
        constant_aa = self.instrument.order_constant_aa
        if constant_aa is None:
            return np.linspace(0.0, 12.0, len(wavelength_aa), dtype=np.float32)
        return (constant_aa / self._to_instrument(wavelength_aa)).astype(np.float32)

    def _axis_pixels(self, velocity_kms: float) -> float:
        """Pixels of the axis by which a velocity moves a spectrum."""
        return float(np.log(doppler_factor(velocity_kms))) * SPEED_OF_LIGHT_KMS / self.axis.step_kms

    def _to_instrument(self, wavelength_aa: np.ndarray) -> np.ndarray:
        """Wavelengths in the medium in which the instrument is described."""
        if self.axis.medium == self.instrument.medium or self.instrument is IDEAL:
            return wavelength_aa
        convert = vacuum_to_air if self.instrument.medium == "air" else air_to_vacuum
        return convert(wavelength_aa)


def draw_unknown(factors: tuple[str, ...], generator: np.random.Generator) -> dict[str, float]:
    """Draw the factors that are switched on; all distributions are assumed.

    continuum_tilt: normal, 0.1, the change of the flux from the middle to an end of the grid;
    blaze_residual: normal, 0.01, the amplitude of the wave that is left of the blaze;
    line_spread: uniform, 0 to 0.2, by which the line spread is wider than it should be;
    cosmic_rays: log-normal about 1 with 0.5, the rate of hits over the usual one; those after the
    first 1e6 s are left out.
    """
    # All are drawn, so that switching one on leaves the others as they were.
    drawn = {
        "continuum_tilt": 0.1 * generator.standard_normal(),
        "blaze_residual": 0.01 * generator.standard_normal(),
        "line_spread": generator.uniform(0.0, 0.2),
        "cosmic_rays": float(np.exp(0.5 * generator.standard_normal())),
    }
    return {name: float(drawn[name]) for name in factors}
