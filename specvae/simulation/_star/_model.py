"""The spectrum of a star at rest, from its labels."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ...spectra import SPEED_OF_LIGHT_KMS
from .._axis import VelocityAxis, ramp
from .._lines._atoms import ELEMENTS, ionisation_energy_ev
from .._lines._line_list import LineList
from .._lines._species import MOLECULES
from ._absorbers import Absorbers, Damping
from ._atmosphere import (
    BOLTZMANN_ERG_K,
    CONTINUUM_DEPTH,
    DONORS,
    REFERENCE_AA,
    Layer,
    Photosphere,
    solve_photosphere,
    temperature_k,
)
from ._hydrogen import HydrogenLine, air_wavelength_aa, hydrogen_lines, hydrogen_profile
from ._molecules import BOUND_ELEMENTS
from ._opacity import continuous_opacity
from ._profiles import CUTOFF, sum_voigt_profiles

# pi e**2 / (m c**2) in cm2 Angstrom for a wavelength of one Angstrom.
_AREA_PER_F = 8.8528e-21
_HC_PER_K = 1.438777e8  # Angstrom kelvin
HC_ERG_AA = 1.98645e-8

# Flux at V = 0 in erg/s/cm2/Angstrom at the middle of the band (Bessell, Castelli & Plez 1998).
V_ZERO_FLUX, V_AA = 3.631e-9, 5450.0

# So far the wings of lines go (assumed); lines further than this from the axis are left out.
_REACH_AA = 150.0
_NODE_PIXELS = 256

# Where profiles of hydrogen are computed: from node to node they fall by less than 15 %.
_PROFILE_AA = np.concatenate([np.linspace(0.0, 2.0, 81)[:-1], np.geomspace(2.0, 300.0, 90)])


class Continuum(NamedTuple):
    """What varies slowly, at the nodes of an axis."""

    wavelength_aa: np.ndarray
    log_opacity_metals: np.ndarray  # ln of cm2 per hydrogen nucleus
    log_opacity_hydrogen: np.ndarray
    depth: np.ndarray  # optical depth at 5000 Angstrom where the continuum has 2/3
    scale: np.ndarray  # photons s-1 cm-2 Angstrom-1 at V = 0 for 1 / (exp(hc / lambda kT) - 1)


class StarModel:
    """Photon flux of a star on a velocity axis, from its labels.

    Parameters
    ----------
    axis : VelocityAxis
    line_list : LineList
        In the medium of the axis. Lines of hydrogen in it are not used: they are computed.
    """

    def __init__(self, axis: VelocityAxis, line_list: LineList):
        self.axis = axis
        lines = line_list.within(axis.start_aa - _REACH_AA, axis.end_aa + _REACH_AA)
        lines = lines.select(lines.species != "H 1")
        self.n_lines = len(lines)
        species, of_species = np.unique(lines.species, return_inverse=True)
        self._absorbers = Absorbers(tuple(species)) if len(species) else None
        self._of_species = of_species
        self._excitation_ev = lines.excitation_ev
        self._wavelength_aa = lines.wavelength_aa
        self._pixel = axis.pixel_at(lines.wavelength_aa)
        self._log_area = np.log10(_AREA_PER_F * lines.wavelength_aa**2) + lines.log_gf
        if self._absorbers is not None:
            self._mass_u = self._absorbers.mass_u[of_species]
            self._damping = _damping(lines, self._absorbers, of_species)
        low_aa, high_aa = axis.start_aa - 400.0, axis.end_aa + 400.0
        self._hydrogen = [
            (line, air_wavelength_aa(line) if axis.medium == "air" else line.vacuum_aa)
            for line in hydrogen_lines(max(low_aa, 3000.0), high_aa)
        ]

    def photon_flux(self, labels: Mapping[str, float]) -> np.ndarray:
        """Photons s-1 cm-2 Angstrom-1 outside the atmosphere at V = 0, float32 (n_pixels,).

        At each wavelength Planck's law at the temperature where the optical depth of continuum and
        lines together is 2/3 (Eddington and Barbier; Gray, The Observation and Analysis of Stellar
        Photospheres, 3rd edition, section 7.4). The ratio of the two opacities is that of one
        layer, another for hydrogen than for the rest.
        """
        abundances = abundances_of(labels, self._elements)
        photosphere = solve_photosphere(labels["teff_k"], labels["logg_dex"], abundances)
        continuum = self._continuum(labels, photosphere)
        eta = self._line_opacity(labels, photosphere.metals, abundances, continuum)
        self._add_hydrogen(eta, labels["vmic_kms"], photosphere.hydrogen, continuum)
        n_pixels = self.axis.n_pixels
        depth = ramp(continuum.depth, _NODE_PIXELS, n_pixels)
        depth /= eta.astype(np.float32) + np.float32(1.0)
        exponent = ramp(_HC_PER_K / continuum.wavelength_aa, _NODE_PIXELS, n_pixels)
        exponent /= temperature_k(float(labels["teff_k"]), depth)
        flux = ramp(continuum.scale, _NODE_PIXELS, n_pixels)
        flux /= np.expm1(exponent, out=exponent)
        return flux

    @property
    def _elements(self) -> tuple[str, ...]:
        return () if self._absorbers is None else self._absorbers.elements

    def _continuum(self, labels: Mapping[str, float], photosphere: Photosphere) -> Continuum:
        nodes = np.arange(0, self.axis.n_pixels + _NODE_PIXELS, _NODE_PIXELS)
        wavelength_aa = np.append(self.axis.wavelength_at(nodes), [REFERENCE_AA, V_AA])
        opacity = _opacity_at(wavelength_aa, photosphere.continuum)
        depth = CONTINUUM_DEPTH * opacity[-2] / opacity
        depth /= 1.0 + _blanketing(wavelength_aa, labels)
        v_exponent = _HC_PER_K / (V_AA * temperature_k(labels["teff_k"], depth[-1:]))
        scale = (wavelength_aa / V_AA) ** -4.0 * V_ZERO_FLUX * V_AA / HC_ERG_AA
        return Continuum(
            wavelength_aa[:-2],
            np.log(_opacity_at(wavelength_aa[:-2], photosphere.metals)),
            np.log(_opacity_at(wavelength_aa[:-2], photosphere.hydrogen)),
            depth[:-2],
            scale[:-2] * np.expm1(v_exponent),
        )

    def _line_opacity(
        self,
        labels: Mapping[str, float],
        layer: Layer,
        abundances: Mapping[str, float],
        continuum: Continuum,
    ) -> np.ndarray:
        """Opacity of all lines but those of hydrogen over the continuous one, (n_pixels,)."""
        if self._absorbers is None:
            return np.zeros(self.axis.n_pixels)
        number = self._absorbers.log10_per_weight(layer, abundances)[self._of_species]
        theta = 5040.0 / layer.temperature_k
        induced = 1.0 - np.exp(-_HC_PER_K / (self._wavelength_aa * layer.temperature_k))
        opacity = np.interp(
            self._wavelength_aa, continuum.wavelength_aa, continuum.log_opacity_metals
        )
        area = 10.0 ** (self._log_area + number - theta * self._excitation_ev) * induced
        pixel_aa = self._wavelength_aa * self.axis.step_kms / SPEED_OF_LIGHT_KMS
        area /= np.exp(opacity) * pixel_aa
        doppler_kms = _doppler_kms(layer.temperature_k, self._mass_u, labels["vmic_kms"])
        # Half width at half maximum of the Lorentz profile as a velocity.
        lorentz_kms = self._damping.rate_per_s(layer) * self._wavelength_aa * 1e-13 / (4.0 * np.pi)
        return sum_voigt_profiles(
            self.axis.n_pixels,
            self._pixel,
            area,
            doppler_kms / self.axis.step_kms,
            lorentz_kms / doppler_kms,
            max_reach=_REACH_AA / pixel_aa,
        )

    def _add_hydrogen(
        self, eta: np.ndarray, vmic_kms: float, layer: Layer, continuum: Continuum
    ) -> None:
        doppler_kms = float(_doppler_kms(layer.temperature_k, np.array(1.008), vmic_kms))
        theta = 5040.0 / layer.temperature_k
        for line, wavelength_aa in self._hydrogen:
            induced = 1.0 - np.exp(-_HC_PER_K / (wavelength_aa * layer.temperature_k))
            # Weight 2 n**2 over the partition function 2.
            number = layer.neutral * line.lower**2 * 10.0 ** (-theta * line.excitation_ev)
            area = _AREA_PER_F * wavelength_aa**2 * line.oscillator_strength * number * induced
            at = np.interp(wavelength_aa, continuum.wavelength_aa, continuum.log_opacity_hydrogen)
            area *= np.exp(-at)
            doppler_aa = wavelength_aa * doppler_kms / SPEED_OF_LIGHT_KMS
            _add_profile(eta, self.axis, line, wavelength_aa, area, layer, doppler_aa)


def abundances_of(labels: Mapping[str, float], elements: tuple[str, ...]) -> dict[str, float]:
    """Nuclei for one of hydrogen: of `elements`, the electron donors and those in molecules."""
    metals = 10.0 ** labels["mh_dex"]
    result = {}
    for symbol in {*elements, *DONORS, *BOUND_ELEMENTS}:
        element = ELEMENTS[symbol]
        scale = metals * 10.0 ** labels.get(element.label, 0.0) if element.number > 2 else 1.0
        result[symbol] = scale * 10.0 ** (element.abundance_dex - 12.0)
    return result


def _damping(lines: LineList, absorbers: Absorbers, of_species: np.ndarray) -> Damping:
    # Molecules have no tabulated energy here: 10 eV makes their small widths small.
    energy_ev = np.array(
        [
            10.0 if symbol in MOLECULES else ionisation_energy_ev(symbol, min(stage, 2))
            for symbol, stage in zip(absorbers.symbols, absorbers.stages, strict=True)
        ]
    )
    return Damping(
        lines.wavelength_aa,
        lines.excitation_ev,
        lines.damping,
        energy_ev[of_species],
        np.array(absorbers.stages, dtype=float)[of_species],
        absorbers.mass_u[of_species],
    )


def _add_profile(
    eta: np.ndarray,
    axis: VelocityAxis,
    line: HydrogenLine,
    wavelength_aa: float,
    area: float,
    layer: Layer,
    doppler_aa: float,
) -> None:
    """Add a line of hydrogen: exact near the core, interpolated in the smooth wings."""
    value = area * hydrogen_profile(_PROFILE_AA, line, layer, doppler_aa)
    seen = value > CUTOFF
    if not seen.any():
        return
    reach_aa = _PROFILE_AA[min(int(np.flatnonzero(seen)[-1]) + 1, len(_PROFILE_AA) - 1)]
    pixels = axis.pixels_between(wavelength_aa - reach_aa, wavelength_aa + reach_aa)
    if pixels.stop > pixels.start:
        offset_aa = np.abs(axis.wavelength_at(np.arange(pixels.start, pixels.stop)) - wavelength_aa)
        eta[pixels] += np.interp(offset_aa, _PROFILE_AA, value)


def _opacity_at(wavelength_aa: np.ndarray, layer: Layer) -> np.ndarray:
    return continuous_opacity(
        wavelength_aa,
        layer.temperature_k,
        layer.electron_pressure,
        layer.neutral,
        layer.ionised,
    )


def _blanketing(wavelength_aa: np.ndarray, labels: Mapping[str, float]) -> np.ndarray:
    """Opacity of the many lines too weak for a list over the continuous one, without structure.

    0.2 at 4000 Angstrom in the Sun, going with the square root of the metals, with wavelength**-5
    and a factor of ten in 4,000 K: assumed, so that the Sun loses about a tenth at 4000 Angstrom
    and nothing in the red.
    """
    log_ratio = 0.5 * labels["mh_dex"] - (labels["teff_k"] - 5772.0) / 4000.0
    return 0.2 * 10.0**log_ratio * (4000.0 / wavelength_aa) ** 5


def _doppler_kms(temperature: float, mass_u: np.ndarray, vmic_kms: float) -> np.ndarray:
    """Half width at 1/e by heat and microturbulence."""
    return np.sqrt(
        2.0 * BOLTZMANN_ERG_K * temperature / (mass_u * 1.6605e-24) * 1e-10 + vmic_kms**2
    )
