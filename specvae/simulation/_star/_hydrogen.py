"""Hydrogen lines: wavelengths, strengths and Stark profiles in closed form."""

from typing import NamedTuple

import numpy as np
from scipy.special import gammaln, hyp2f1

from ...spectra import vacuum_to_air
from ._atmosphere import BOLTZMANN_ERG_K, Layer
from ._opacity import IONISATION_ENERGY_EV

_RYDBERG_PER_CM, _FINE_STRUCTURE = 109_677.58, 7.2974e-3  # of hydrogen, finite mass
_SERIES = {2: 40, 3: 40, 4: 40}  # Balmer, Paschen, Brackett: lower level to highest upper one
_GREEK = ("alpha", "beta", "gamma", "delta", "epsilon")

# Stark coefficients of Griem's asymptotic wing for the first members, as in Kurucz's program
# SYNTHE; further ones by Griem 1960 (ApJ 132, 883).
_STARK = {
    (2, 3): 0.009019,
    (2, 4): 0.01772,
    (2, 5): 0.02507,
    (3, 4): 0.1001,
    (3, 5): 0.1710,
    (3, 6): 0.2230,
    (4, 5): 0.5820,
    (4, 6): 0.8660,
    (4, 7): 1.0200,
}
# Broadening by hydrogen atoms, cross section in atomic units at 10 km/s and exponent of velocity:
# Barklem, Piskunov & O'Mara 2000 (A&A 355, L5). Higher members: Stark wings win.
_SELF_BROADENING = {3: (1180.0, 0.677), 4: (2320.0, 0.455), 5: (4208.0, 0.380)}
# Integral of (x**2 + 1)**(-5/4) over all x: sqrt(pi) Gamma(3/4) / Gamma(5/4).
_HOLTSMARK_AREA = float(np.exp(0.5 * np.log(np.pi) + gammaln(0.75) - gammaln(1.25)))


class HydrogenLine(NamedTuple):
    """A line of hydrogen; `vacuum_aa` is its wavelength."""

    lower: int
    upper: int
    vacuum_aa: float
    excitation_ev: float
    oscillator_strength: float
    stark: float  # Angstrom in the Holtsmark field for one unit of it
    name: str


def hydrogen_lines(low_aa: float, high_aa: float) -> list[HydrogenLine]:
    """Lines of the Balmer, Paschen and Brackett series in a range of vacuum wavelengths."""
    lines = []
    for lower, highest in _SERIES.items():
        for upper in range(lower + 1, highest + 1):
            vacuum_aa = 1e8 / (_term_per_cm(lower) - _term_per_cm(upper))
            if low_aa < vacuum_aa < high_aa:
                excitation_ev = IONISATION_ENERGY_EV * (1.0 - 1.0 / lower**2)
                strength = oscillator_strength(lower, upper)
                lines.append(
                    HydrogenLine(
                        lower, upper, vacuum_aa, excitation_ev, strength,
                        stark_coefficient(lower, upper), _name(lower, upper),
                    )
                )  # fmt: skip
    return lines


def _term_per_cm(level: int) -> float:
    """Binding energy of a level, averaged over its fine structure (Dirac to second order)."""
    fine = _FINE_STRUCTURE**2 / level**2 * (1.25 - 1.0 / level)
    return _RYDBERG_PER_CM / level**2 * (1.0 + fine)


def oscillator_strength(lower: int, upper: int) -> float:
    """Absorption oscillator strength, Menzel & Pekeris 1935 (MNRAS 96, 77).

    Kramers' value times the Gaunt factor pi sqrt(3) [(n'-n)/(n'+n)]**(2n+2n') n n' / (n'-n) D, with
    D the difference of two squared hypergeometric polynomials.
    """
    kramers = 32.0 / (3.0 * np.pi * np.sqrt(3.0)) / lower**5 / upper**3
    kramers /= (1.0 / lower**2 - 1.0 / upper**2) ** 3
    argument = -4.0 * lower * upper / (upper - lower) ** 2
    first = hyp2f1(1 - lower, -upper, 1, argument)
    second = hyp2f1(1 - upper, -lower, 1, argument)
    log_ratio = (2 * lower + 2 * upper) * np.log((upper - lower) / (upper + lower))
    difference = abs(first**2 - second**2)
    gaunt = np.pi * np.sqrt(3.0) * lower * upper / (upper - lower)
    return float(kramers * gaunt * np.exp(log_ratio + np.log(difference)))


def stark_coefficient(lower: int, upper: int) -> float:
    """Angstrom for a unit of electric field; 5.5e-5 (n n')**4 / (n'**2 - n**2) for high members."""
    if (lower, upper) in _STARK:
        return _STARK[lower, upper]
    product = (lower * upper) ** 4 / (upper**2 - lower**2)
    return 5.5e-5 * product / (1.0 + 0.13 / (upper - lower))


def hydrogen_profile(
    offset_aa: np.ndarray, line: HydrogenLine, layer: Layer, doppler_aa: float
) -> np.ndarray:
    """Profile of a line, per Angstrom and of unit integral, at distances from its centre.

    Holtsmark's wing K**(3/2) / offset**(5/2) of ions, doubled for electrons, as in Griem 1960, goes
    over into a core of finite height, (offset**2 + core**2)**(-5/4): where pressure rules the core
    is as wide as the unit integral asks, where it does not the Doppler core takes what is left.
    Collisions with hydrogen atoms add a Lorentz wing.
    """
    ions_per_cm3 = layer.electron_pressure / (BOLTZMANN_ERG_K * layer.temperature_k)
    field = 1.25e-9 * ions_per_cm3 ** (2.0 / 3.0)
    wing = 2.0 * 1.5 * (line.stark * field) ** 1.5
    core_aa = max((_HOLTSMARK_AREA * wing) ** (2.0 / 3.0), doppler_aa)
    square = offset_aa**2
    profile = wing * (square + core_aa**2) ** -1.25
    in_core = 1.0 - _HOLTSMARK_AREA * wing / core_aa**1.5

    lorentz_aa = _self_broadening_aa(line, layer)
    if lorentz_aa > 0:
        softened = square + doppler_aa**2
        profile += lorentz_aa / np.pi / softened
        in_core -= lorentz_aa / doppler_aa
    if in_core > 0:
        profile += in_core / (np.sqrt(np.pi) * doppler_aa) * np.exp(-square / doppler_aa**2)
    return profile


def _self_broadening_aa(line: HydrogenLine, layer: Layer) -> float:
    """Half width at half maximum by collisions with hydrogen atoms, in Angstrom."""
    if line.lower != 2 or line.upper not in _SELF_BROADENING:
        return 0.0
    cross_section, exponent = _SELF_BROADENING[line.upper]
    per_atom = float(collision_width(cross_section, exponent, layer.temperature_k, 0.504))
    atoms = layer.nuclei_per_cm3 * layer.neutral
    return per_atom * atoms * (line.vacuum_aa * 1e-8) ** 2 / (2.0 * np.pi * 2.998e10) * 1e8


def collision_width(
    cross_section: np.ndarray | float,
    exponent: np.ndarray | float,
    temperature_k: float,
    reduced_mass_u: np.ndarray | float,
) -> np.ndarray:
    """Half width at half maximum in rad/s for one perturber in cm3.

    Anstee & O'Mara 1995 (MNRAS 276, 859): w/N = (4/pi)**(a/2) Gamma((4-a)/2) v0 sigma0
    (v/v0)**(1-a), with the cross section sigma0 in atomic units at v0 = 10 km/s and the mean
    relative speed v of atoms of `reduced_mass_u`.
    """
    mean_speed = np.sqrt(
        8.0 * BOLTZMANN_ERG_K * temperature_k / (np.pi * reduced_mass_u * 1.6605e-24)
    )
    gamma = np.exp(gammaln((4.0 - exponent) / 2.0))
    per_speed = (4.0 / np.pi) ** (exponent / 2.0) * gamma * cross_section * 2.8003e-17
    return per_speed * 1e6 * (mean_speed / 1e6) ** (1.0 - exponent)


def _name(lower: int, upper: int) -> str:
    if lower == 2 and upper - 3 < len(_GREEK):
        return f"H {_GREEK[upper - 3]}"
    return f"H {lower}-{upper}"


def air_wavelength_aa(line: HydrogenLine) -> float:
    """Wavelength in air, Angstrom."""
    return float(vacuum_to_air(line.vacuum_aa))
