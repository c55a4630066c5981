"""How many molecules a layer of a cool star holds.

Molecular constants are rounded from Huber & Herzberg 1979 (Molecular Spectra and Molecular
Structure IV, Constants of Diatomic Molecules) unless a comment says otherwise.
"""

import math
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

import numpy as np

from .._lines._atoms import ELEMENTS, ionisation_energy_ev, log10_partition, saha_log10_ratio
from .._lines._molecular_bands import CM_PER_EV, KELVIN_PER_CM, TIO_X_CM, molecular_lines
from .._lines._species import MOLECULES
from ._atmosphere import BOLTZMANN_ERG_K, Layer

__all__ = [
    "BOUND_ELEMENTS",
    "MOLECULES",
    "log10_equilibrium_constant",
    "log10_molecular_partition",
    "molecular_densities",
    "molecular_lines",
    "molecular_mass_u",
    "molecular_partial_pressures",
]

_HELIUM = 10.0**-1.07
# log10(e) of an electronvolt over k, in kelvin.
_THETA_K = math.log10(math.e) * KELVIN_PER_CM * CM_PER_EV


class Term(NamedTuple):
    """An electronic state as a harmonic oscillator and rigid rotor; energies in 1/cm."""

    energy_cm: float
    weight: int
    vibration_cm: float
    rotation_cm: float


class Molecule(NamedTuple):
    """What the equilibrium of a molecule needs."""

    atoms: tuple[str, ...]
    dissociation_ev: float  # of the lowest level into atoms
    symmetry: int
    terms: tuple[Term, ...]


# Dissociation energies are rounded from the literature; that of MgH is of Shayesteh and others 2007
# (J. Phys. Chem. A 111, 12495). Rotation and vibration of high terms are partly assumed.
_DIATOMICS: dict[str, Molecule] = {
    "H2": Molecule(("H", "H"), 4.478, 2, (Term(0, 1, 4401.2, 60.85),)),
    "CO": Molecule(("C", "O"), 11.09, 1, (Term(0, 1, 2169.8, 1.931),)),
    "N2": Molecule(("N", "N"), 9.76, 2, (Term(0, 1, 2358.6, 1.998),)),
    "OH": Molecule(("O", "H"), 4.39, 1, (Term(0, 2, 3737.8, 18.91), Term(139, 2, 3737.8, 18.91))),
    "CH": Molecule(
        ("C", "H"),
        3.465,
        1,
        (Term(0, 4, 2858.5, 14.46), Term(5840, 4, 3150, 15.4), Term(23190, 4, 2930.7, 14.93)),
    ),
    "CN": Molecule(
        ("C", "N"),
        7.74,
        1,
        (Term(0, 2, 2068.6, 1.900), Term(9245, 4, 1812.6, 1.715), Term(25752, 2, 2163.9, 1.973)),
    ),
    "C2": Molecule(
        ("C", "C"),
        6.21,
        2,
        (
            Term(0, 1, 1854.7, 1.820),
            Term(716, 6, 1641.4, 1.632),
            Term(6434, 3, 1470.4, 1.499),
            Term(8391, 2, 1608.4, 1.616),
            Term(20022, 6, 1788.2, 1.753),
        ),
    ),
    "MgH": Molecule(
        ("Mg", "H"), 1.285, 1, (Term(0, 2, 1495.2, 5.826), Term(19227, 4, 1598.0, 6.191))
    ),
    "TiO": Molecule(
        ("Ti", "O"),
        6.87,
        1,
        (
            *(Term(energy_cm, 2, 1009.0, 0.535) for energy_cm in TIO_X_CM),
            Term(3450, 2, 1017.0, 0.538),
            Term(5660, 1, 1024.0, 0.549),
            Term(12025, 6, 924.0, 0.517),
            Term(14260, 6, 867.8, 0.507),
            Term(14770, 2, 919.0, 0.513),
            Term(16310, 6, 875.0, 0.508),
            Term(19520, 6, 838.3, 0.490),
        ),
    ),
}

# Water takes much of the oxygen of M dwarfs: rotations A, B, C, vibrations and energy, rounded.
_WATER_ROTATIONS_CM = (27.88, 14.51, 9.29)
_WATER_VIBRATIONS_CM = (3657.0, 1595.0, 3756.0)
_WATER_ATOMS, _WATER_EV, _WATER_SYMMETRY = ("H", "H", "O"), 9.512, 2

BOUND_ELEMENTS = ("C", "N", "O", "Mg", "Ti")
"""What molecules hold beside hydrogen."""
_COMPOUNDS = (*_DIATOMICS, "H2O")


def molecular_mass_u(species: str) -> float:
    """Mass of a molecule in atomic units."""
    return sum(ELEMENTS[symbol].mass_u for symbol in _atoms_of(species))


def log10_molecular_partition(species: str, temperature_k: float) -> float:
    """Decimal logarithm of the partition function, from the lowest level on.

    Q = sum over states of g exp(-hc T_e / kT) [kT / (hc B sigma)] / (1 - exp(-hc omega / kT)), that
    of rigid rotors and harmonic oscillators (Herzberg, Spectra of Diatomic Molecules). Spins of
    nuclei are left out, here as in the gf of `molecular_lines`; sigma = 2 counts only the levels
    that a molecule of two like nuclei has.
    """
    thermal_cm = temperature_k / KELVIN_PER_CM
    if species == "H2O":
        rotation = math.sqrt(math.pi * thermal_cm**3 / math.prod(_WATER_ROTATIONS_CM))
        vibration = math.prod(1.0 - math.exp(-one / thermal_cm) for one in _WATER_VIBRATIONS_CM)
        return math.log10(rotation / vibration / _WATER_SYMMETRY)
    molecule = _DIATOMICS[species]
    total = sum(
        term.weight
        * math.exp(-term.energy_cm / thermal_cm)
        * thermal_cm
        / (term.rotation_cm * -math.expm1(-term.vibration_cm / thermal_cm))
        for term in molecule.terms
    )
    return math.log10(total / molecule.symmetry)


def log10_equilibrium_constant(species: str, temperature_k: float) -> float:
    """Decimal logarithm of p(A) p(B) / p(AB), or p(H)**2 p(O) / p(H2O), pressures in dyn/cm2.

    K = (2 pi mu k T / h**2)**1.5 kT (Q_A Q_B / Q_AB) exp(-D0 / kT) with the reduced mass mu
    (Sauval & Tatum 1984, ApJS 56, 193).
    """
    energy_ev = _WATER_EV if species == "H2O" else _DIATOMICS[species].dissociation_ev
    atoms = sum(
        _log10_pressure_per_state(ELEMENTS[symbol].mass_u, temperature_k)
        + float(log10_partition(symbol, 1, temperature_k))
        for symbol in _atoms_of(species)
    )
    molecule = _log10_pressure_per_state(molecular_mass_u(species), temperature_k)
    molecule += log10_molecular_partition(species, temperature_k)
    return atoms - molecule - _THETA_K * energy_ev / temperature_k


def molecular_partial_pressures(
    temperature_k: float,
    gas_pressure: float,
    abundances: Mapping[str, float],
    neutral_fractions: Mapping[str, float],
) -> dict[str, float]:
    """Numbers of molecules, and of atoms left free, for one hydrogen nucleus.

    Parameters
    ----------
    temperature_k, gas_pressure : float
        Pressure in dyn/cm2.
    abundances : mapping of str to float
        Nuclei of C, N, O, Mg and Ti for one of hydrogen; He is 0.085 unless given.
    neutral_fractions : mapping of str to float
        Neutral share of the free atoms of these and of H; 1 where none is given.

    Returns
    -------
    numbers : dict of str to float
        "H2", "CO", "N2", "OH", "CH", "CN", "C2", "MgH", "TiO" and "H2O"; and as "H", "C", "N",
        "O", "Mg" and "Ti" the free atoms with their ions.
    """
    constants = _constants(temperature_k)
    neutral = neutral_fractions.get("H", 1.0)
    helium = abundances.get("He", _HELIUM)
    # Atoms, ions, as many electrons, H2 and helium make the pressure: a p + b p**2 = gas_pressure.
    a = (2.0 - neutral + helium) / neutral
    b = (1.0 + 2.0 * helium) / constants["H2"]
    atoms = _positive_root(b, a, gas_pressure)
    nuclei_pressure = atoms / neutral + 2.0 * atoms**2 / constants["H2"]
    return _associate(constants, nuclei_pressure, atoms, neutral, abundances, neutral_fractions)


def molecular_densities(layer: Layer, abundances: Mapping[str, float]) -> dict[str, float]:
    """`molecular_partial_pressures` of a layer whose hydrogen and electrons are known."""
    constants = _constants(layer.temperature_k)
    # Atoms that lost a second electron are left out: where they are many there are no molecules.
    neutral_fractions = {
        symbol: layer.electron_pressure / (layer.electron_pressure + constants[symbol])
        for symbol in BOUND_ELEMENTS
    }
    nuclei_pressure = layer.nuclei_per_cm3 * BOLTZMANN_ERG_K * layer.temperature_k
    return _associate(
        constants,
        nuclei_pressure,
        layer.neutral * nuclei_pressure,
        layer.neutral / (layer.neutral + layer.ionised),
        abundances,
        neutral_fractions,
    )


def _associate(
    constants: Mapping[str, float],
    nuclei_pressure: float,
    hydrogen: float,
    neutral_hydrogen: float,
    abundances: Mapping[str, float],
    neutral_fractions: Mapping[str, float],
) -> dict[str, float]:
    """Solve the conservation of C, N, O, Mg and Ti for given pressures of hydrogen.

    Carbon and oxygen are one quadratic, nitrogen another; what their trace molecules take is
    brought in by repetition, so that nuclei are conserved also where C2 or CN hold much.
    """
    k = constants
    total = {symbol: abundances[symbol] * nuclei_pressure for symbol in BOUND_ELEMENTS}
    per_neutral = {symbol: 1.0 / neutral_fractions.get(symbol, 1.0) for symbol in BOUND_ELEMENTS}
    # Per neutral atom: all that is bound to hydrogen, which is plenty, goes with the atom.
    alone_c = per_neutral["C"] + hydrogen / k["CH"]
    alone_o = per_neutral["O"] + hydrogen / k["OH"] + hydrogen**2 / k["H2O"]
    p = {"H": hydrogen, "C": 0.0, "N": 0.0, "O": 0.0, "Ti": 0.0}
    p["Mg"] = total["Mg"] / (per_neutral["Mg"] + hydrogen / k["MgH"])
    for _ in range(100):
        before = p["C"]
        each_c = alone_c + p["N"] / k["CN"] + 2.0 * before / k["C2"]
        each_o = alone_o + p["Ti"] / k["TiO"]
        b = each_c * each_o + (total["O"] - total["C"]) / k["CO"]
        p["C"] = _positive_root(each_c / k["CO"], b, total["C"] * each_o)
        # Where C2 holds most carbon the bare repetition would swing for ever.
        if before:
            p["C"] = math.sqrt(before * p["C"])
        p["O"] = total["O"] / (each_o + p["C"] / k["CO"])
        p["Ti"] = total["Ti"] / (per_neutral["Ti"] + p["O"] / k["TiO"])
        p["N"] = _positive_root(2.0 / k["N2"], per_neutral["N"] + p["C"] / k["CN"], total["N"])
        if abs(p["C"] - before) < 1e-9 * before:
            break
    numbers = {
        name: math.prod(p[symbol] for symbol in _atoms_of(name)) / k[name] / nuclei_pressure
        for name in _COMPOUNDS
    }
    numbers["H"] = hydrogen / neutral_hydrogen / nuclei_pressure
    for symbol in BOUND_ELEMENTS:
        numbers[symbol] = p[symbol] * per_neutral[symbol] / nuclei_pressure
    return numbers


def _positive_root(a: float, b: float, c: float) -> float:
    """Return the positive x with a x**2 + b x = c, without cancellation."""
    root = math.sqrt(b * b + 4.0 * a * c)
    return 2.0 * c / (b + root) if b > 0 else (root - b) / (2.0 * a)


def _atoms_of(species: str) -> tuple[str, ...]:
    return _WATER_ATOMS if species == "H2O" else _DIATOMICS[species].atoms


def _log10_pressure_per_state(mass_u: float, temperature_k: float) -> float:
    """Log10 of (2 pi m k T / h**2)**1.5 kT in dyn/cm2."""
    return 4.41405 + 1.5 * math.log10(mass_u) + 2.5 * math.log10(temperature_k)


# The logarithms are nearly linear in theta = 5040 K / T: steps of 0.02 are good to 0.0002 dex.
_THETA = np.arange(0.3, 3.001, 0.02)


@cache
def _constants_table() -> tuple[tuple[str, ...], np.ndarray]:
    """Log10 of dissociation constants, and of ionisation ones under the symbols of atoms."""
    temperatures = 5040.0 / _THETA
    rows = {
        name: [log10_equilibrium_constant(name, float(one)) for one in temperatures]
        for name in _COMPOUNDS
    }
    for symbol in BOUND_ELEMENTS:
        ratio = log10_partition(symbol, 2, temperatures) - log10_partition(symbol, 1, temperatures)
        energy_ev = ionisation_energy_ev(symbol, 1)
        rows[symbol] = np.asarray(saha_log10_ratio(temperatures, energy_ev, ratio)).tolist()
    return tuple(rows), np.array(list(rows.values()))


def _constants(temperature_k: float) -> dict[str, float]:
    names, table = _constants_table()
    place = (5040.0 / temperature_k - _THETA[0]) / (_THETA[1] - _THETA[0])
    cell = min(max(int(place), 0), len(_THETA) - 2)
    right = min(max(place - cell, 0.0), 1.0)
    values = 10.0 ** ((1.0 - right) * table[:, cell] + right * table[:, cell + 1])
    return dict(zip(names, values.tolist(), strict=True))
