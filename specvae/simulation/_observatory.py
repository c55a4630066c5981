"""From the light of a star outside the atmosphere to a spectrum as it lies in an archive."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter1d

from ..spectra import (
    SPEED_OF_LIGHT_KMS,
    WavelengthGrid,
    air_to_vacuum,
    doppler_factor,
    vacuum_to_air,
)
from ._axis import VelocityAxis, ramp
from ._broadening import line_spread_sigma_kms
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
from ._sky import extinction_transmission, fibre_transmission, sky_photons
from ._tellurics import TelluricModel

_NODE_PIXELS = 256

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
        width_aa = np.diff(grid.edges_aa)
        self._width_aa = width_aa.astype(np.float32)
        self._middle_kms = float(
            width_aa[grid.n_pixels // 2]
            / grid.wavelength_aa[grid.n_pixels // 2]
            * SPEED_OF_LIGHT_KMS
        )
        axis_aa = axis.wavelength_at(np.arange(axis.n_pixels))
        even, odd = self.instrument.blaze(self._to_instrument(axis_aa))
        self._blaze_even, self._blaze_odd = even.astype(np.float32), odd.astype(np.float32)
        self._is_echelle = bool(odd.any())
        recorded = (even > 0) | (odd > 0)
        self.sees_grid = bool(recorded[self._pixel].any())
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
        electrons_per_s = self._electrons_per_s(rest_flux, labels, unknown)
        sky_per_s = self._sky_per_s(labels)
        even, odd = self._orders(electrons_per_s, sky_per_s, labels["berv_kms"])
        n_detector = self.instrument.n_spatial_pixels * self._middle_kms / self.instrument.pixel_kms
        exposure_s = labels["exposure_s"]
        if np.isnan(exposure_s):
            a_second = self._detector(n_detector, 1.0)
            exposure_s = exposure_for_snr(labels["snr"], even, odd, a_second)
        exposed = np.float32(exposure_s)
        for order in (even, odd):
            order.signal[...] *= exposed
            order.background[...] *= exposed
        expected = combine_orders(even, odd, self._detector(n_detector, exposure_s))
        flux = draw_flux(expected, generator)
        if unknown.get("cosmic_rays", 0.0):
            self._hit(flux, even, odd, unknown["cosmic_rays"] * exposure_s, generator)
        return Observation(flux, expected.flux, np.sqrt(expected.variance))

    def _detector(self, n_detector: float, exposure_s: float) -> DetectorNoise:
        return constant_noise(
            n_detector, 1, exposure_s, self.instrument.dark_e_per_s, self.instrument.readout_e
        )

    def _electrons_per_s(
        self, rest_flux: np.ndarray, labels: Mapping[str, float], unknown: Mapping[str, float]
    ) -> np.ndarray:
        """Electrons a second in each pixel if its blaze were 1."""
        if unknown.get("line_spread", 0.0):
            # The spectra have the nominal width already: what is missing adds in quadrature.
            wider = np.sqrt((1.0 + unknown["line_spread"]) ** 2 - 1.0)
            rest_flux = gaussian_filter1d(
                rest_flux, wider * self.sigma_kms / self.axis.step_kms, mode="nearest"
            )
        flux = self._shifted(rest_flux, labels["rv_kms"])
        if self._atmosphere:
            self._absorb(flux, labels)
        berv = doppler_factor(labels["berv_kms"])
        observed_aa = self._node_aa / berv
        smooth = self.instrument.efficiency(self._to_instrument(observed_aa))
        smooth *= self.instrument.collecting_area_cm2 * 10.0 ** (-0.4 * labels["vmag"])
        if self._atmosphere:
            smooth *= extinction_transmission(observed_aa, labels["airmass"])
        if self._has_fibre:
            smooth *= fibre_transmission(
                labels["seeing_arcsec"],
                labels["airmass"],
                observed_aa,
                fibre_arcsec=self.instrument.fibre_arcsec,
            )
        smooth *= _tilt(len(smooth), unknown.get("continuum_tilt", 0.0))
        flux *= ramp(smooth, _NODE_PIXELS, self.n_pixels)
        flux *= self._width_aa
        if unknown.get("blaze_residual", 0.0):
            flux *= self._ripple(unknown["blaze_residual"], float(berv))
        return flux

    def _shifted(self, rest_flux: np.ndarray, rv_kms: float) -> np.ndarray:
        """Flux at the pixels of the grid when the star recedes: cubic convolution (Keys 1981)."""
        shift = self._axis_pixels(rv_kms)
        whole = int(np.floor(shift))
        t = self._fraction - np.float32(shift - whole)
        below = t < 0
        t += below
        first = self._pixel - below
        first -= whole + 1
        # 0.5 (2 b + (c - a) t + (2 a - 5 b + 4 c - d) t**2 + (3 b - a - 3 c + d) t**3), Horner.
        a, b, c, d = (rest_flux[offset:].take(first) for offset in range(4))
        d -= a
        inner = b - c
        inner *= np.float32(3.0)
        inner += d  # cubic term
        value = inner * t
        # 2a - 5b + 4c - d = -(3b - a - 3c + d) + (a - 2b + c)
        value -= inner
        value += a
        value -= b
        value += c
        value -= b
        value *= t
        c -= a
        value += c
        value *= t
        value *= np.float32(0.5)
        value += b
        return value

    def _absorb(self, flux: np.ndarray, labels: Mapping[str, float]) -> None:
        """Multiply by the telluric transmission, at rest in the frame of the observatory."""
        shift = self._axis_pixels(labels["berv_kms"])
        for pixels, passed in self._tellurics.transmission(labels["airmass"], labels["pwv_mm"]):
            # Pixels of the grid whose place on the axis of the observatory lies in the window;
            # with whole numbers, or searchsorted would copy all pixels as floats.
            inside = [pixels.start + math.ceil(shift), pixels.stop + math.floor(shift) - 1]
            first, last = np.searchsorted(self._pixel, inside)
            if last <= first:
                continue
            place = self._pixel[first:last] + (self._fraction[first:last] - shift - pixels.start)
            at = place.astype(np.intp)
            right = (place - at).astype(np.float32)
            left = passed.take(at)
            flux[first:last] *= left + right * (passed.take(at + 1) - left)

    def _sky_per_s(self, labels: Mapping[str, float]) -> np.ndarray:
        """Electrons a second of the sky in each pixel if its blaze were 1."""
        if not (self._atmosphere and self._has_fibre):
            return np.zeros(self.n_pixels, dtype=np.float32)
        observed_aa = self._node_aa / doppler_factor(labels["berv_kms"])
        sky = sky_photons(observed_aa, labels["moon_illumination"], labels["airmass"])
        sky *= np.pi / 4.0 * self.instrument.fibre_arcsec**2 * self.instrument.collecting_area_cm2
        sky *= self.instrument.efficiency(self._to_instrument(observed_aa))
        per_aa = ramp(sky, _NODE_PIXELS, self.n_pixels)
        per_aa *= self._width_aa
        return per_aa

    def _orders(
        self, electrons_per_s: np.ndarray, sky_per_s: np.ndarray, berv_kms: float
    ) -> tuple[Order, Order]:
        # The blaze varies slowly: that of the nearest point of the axis will do.
        at = self._pixel - round(self._axis_pixels(berv_kms))
        orders = []
        for blaze in (self._blaze_even, self._blaze_odd):
            here = blaze.take(at)
            orders.append(Order(electrons_per_s * here, sky_per_s * here, here * self._width_aa))
        return orders[0], orders[1]

    def _hit(
        self, flux: np.ndarray, even: Order, odd: Order, rate: float, generator: np.random.Generator
    ) -> None:
        """Add cosmic rays to a share of the orders, as one order records them."""
        for order in (even, odd) if self._is_echelle else (even,):
            pixel, electrons = draw_cosmic_rays(
                self.n_pixels, COSMIC_RAYS_PER_PIXEL_S, rate, generator
            )
            both = (even.response[pixel] > 0).astype(int) + (odd.response[pixel] > 0)
            response = order.response[pixel] * np.maximum(both, 1)
            seen = order.response[pixel] > 0
            np.add.at(flux, pixel[seen], electrons[seen] / response[seen])

    def _ripple(self, amplitude: float, berv: float) -> np.ndarray:
        """A blaze that was taken out imperfectly: a wave of one order, or of a twelfth grid."""
        constant_aa = self.instrument.order_constant_aa
        if constant_aa is None:
            phase = np.linspace(0.0, 12.0, len(self._node_aa))
        else:
            phase = constant_aa * berv / self._node_aa
        nodes = 1.0 + amplitude * np.cos(2.0 * np.pi * phase)
        return ramp(nodes, _NODE_PIXELS, self.n_pixels)

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
    cosmic_rays: log-normal about 1 with 0.5, the rate of hits over the usual one.
    """
    # All are drawn, so that switching one on leaves the others as they were.
    drawn = {
        "continuum_tilt": 0.1 * generator.standard_normal(),
        "blaze_residual": 0.01 * generator.standard_normal(),
        "line_spread": generator.uniform(0.0, 0.2),
        "cosmic_rays": float(np.exp(0.5 * generator.standard_normal())),
    }
    return {name: float(drawn[name]) for name in factors}


def _tilt(n_nodes: int, slope: float) -> np.ndarray:
    return 1.0 + slope * np.linspace(-1.0, 1.0, n_nodes)
