"""Lines of molecules from the constants of their band systems.

Molecular constants are rounded from Huber & Herzberg 1979 (Molecular Spectra and Molecular
Structure IV, Constants of Diatomic Molecules) unless a comment says otherwise.
"""

import math
from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd

from ...spectra import vacuum_to_air

KELVIN_PER_CM = 1.438777
CM_PER_EV = 8065.544

# Energies of the three components of the ground state of TiO.
TIO_X_CM = (0.0, 96.4, 197.5)


class State(NamedTuple):
    """An electronic state in 1/cm: B_v = b - alpha (v + 1/2) + gamma (v + 1/2)**2."""

    omega: int  # Lambda, or Omega of one component of a triplet of TiO
    vibration: float
    anharmonicity: float
    b: float
    alpha: float
    gamma: float
    d: float  # centrifugal distortion
    spin_orbit: float = 0.0
    doubling: float = 0.0  # q of Lambda doubling, which splits a level by q N (N + 1)

    def vibrational_cm(self, v: int) -> float:
        """Energy above v = 0."""
        return v * self.vibration - v * (v + 1) * self.anharmonicity

    def rotational_cm(self, v: int, j: np.ndarray, spin: int) -> np.ndarray:
        """B j (j + 1) - D (j (j + 1))**2; for a doublet the formula of Hill and Van Vleck.

        `spin` is 1 and -1 for the components J = N + 1/2 and N - 1/2 with N for j, 0 where spin is
        left out (Herzberg, Spectra of Diatomic Molecules, chapter V).
        """
        b = self.b - self.alpha * (v + 0.5) + self.gamma * (v + 0.5) ** 2
        energy = b * j * (j + 1.0) - self.d * (j * (j + 1.0)) ** 2
        if spin and self.spin_orbit:
            y = self.spin_orbit / b
            n = j + 1.0 if spin > 0 else j
            root = np.sqrt(4.0 * n**2 + y * (y - 4.0) * self.omega**2)
            energy += b * (n**2 - spin * 0.5 * root - j * (j + 1.0))
        return energy


class Band(NamedTuple):
    """A band v' - v'' with its oscillator strength in absorption; every `step`-th line is kept."""

    upper: int
    lower: int
    f: float
    step: int


class System(NamedTuple):
    """Bands between two electronic states."""

    species: str
    origin_cm: float  # of the 0-0 band, where j (j + 1) would be zero in both states
    energy_cm: float  # of v = 0 of the lower state above the ground level
    weight: int  # of a level of the lower state over 2 j + 1
    upper: State
    lower: State
    bands: tuple[Band, ...]


# CH X and v = 0 of A after Zachwieja 1995 (J. Mol. Spectrosc. 170, 285), CN after Ram and others
# 2006 (J. Mol. Spectrosc. 237, 225), rounded. The cubic terms of B of CN and d of C2 are in the
# first two numbers, for v up to 2.
_CH_X = State(1, 2858.5, 63.0, 14.457, 0.531, 0.0, 1.46e-3, spin_orbit=28.1, doubling=0.0387)
_CH_A = State(2, 2930.7, 96.65, 14.893, 0.614, -0.0285, 1.57e-3, spin_orbit=-1.1)
_CN_X = State(0, 2068.6, 13.09, 1.89978, 0.01736, -3e-5, 6.41e-6)
_CN_B = State(0, 2163.7, 20.08, 1.9690, 0.0203, -4e-4, 6.6e-6)
_C2_A = State(1, 1641.35, 11.67, 1.63246, 0.01661, 0.0, 6.44e-6)
_C2_D = State(1, 1791.1, 18.71, 1.7527, 0.01608, -1.27e-3, 6.74e-6)
_MGH_X = State(0, 1495.2, 31.6, 5.8257, 0.1859, 0.0, 3.5e-4)
_MGH_A = State(1, 1599.5, 32.5, 6.1913, 0.1931, 0.0, 3.5e-4, spin_orbit=35.0)

# As many lines of TiO as the list can afford: one in so many.
_TIO_STEP = 5


def _tio(omega: int, vibration: float, anharmonicity: float, b: float, alpha: float) -> State:
    return State(omega, vibration, anharmonicity, b, alpha, 0.0, 6.5e-7)


def _tio_bands(*strengths: tuple[int, int, float]) -> tuple[Band, ...]:
    return tuple(Band(*one, _TIO_STEP) for one in strengths)


def _tio_systems() -> Iterator[System]:
    """Alpha (C - X), gamma' (B - X) and gamma (A - X), each three sub-bands, and beta (c - a).

    The origins of gamma' and its B are set so that its heads lie at 6158.5, 6186.3 and 6214.9; the
    coupling of the three sub-bands is left out.
    """
    alpha = _tio_bands((2, 0, 0.03), (1, 0, 0.05), (0, 0, 0.05), (0, 1, 0.05))
    gamma_prime = _tio_bands((1, 0, 0.03), (0, 0, 0.07))
    gamma = _tio_bands((1, 0, 0.03), (2, 1, 0.04))
    triplets = (
        (alpha, 0, (19341.7, 19343.7, 19334.0), (838.3, 4.76, 0.4899, 0.0031)),
        (gamma_prime, -1, (16223.7, 16150.8, 16076.3), (875.0, 5.0, 0.5077, 0.0031)),
        (gamma, 1, (14019.4, 14095.9, 14163.0), (867.8, 3.94, 0.5074, 0.0032)),
    )
    for bands, change, origins_cm, constants in triplets:
        for omega, energy_cm, origin_cm in zip((1, 2, 3), TIO_X_CM, origins_cm, strict=True):
            lower = _tio(omega, 1009.0, 4.5, 0.5354, 0.0030)
            upper = _tio(omega + change, *constants)
            yield System("TiO 1", origin_cm, energy_cm, 2, upper, lower, bands)
    upper = _tio(3, 918.0, 4.2, 0.5230, 0.0031)
    lower = _tio(2, 1017.2, 3.93, 0.5376, 0.0030)
    bands = _tio_bands((0, 0, 0.16), (1, 1, 0.12))
    yield System("TiO 1", 17840.6, 3450.0, 2, upper, lower, bands)


# Oscillator strengths: literature values of the 0-0 band or of the system times Franck-Condon
# factors, all rounded; those of TiO are uncertain by tens of percent.
SYSTEMS = (
    System(
        "CH 1",
        23173.5,
        0.0,
        4,
        _CH_A,
        _CH_X,
        (Band(0, 0, 0.0053, 1), Band(1, 1, 0.005, 3), Band(2, 2, 0.005, 4)),
    ),
    System(
        "CN 1",
        25797.87,
        0.0,
        2,
        _CN_B,
        _CN_X,
        (
            Band(0, 0, 0.034, 1),
            Band(1, 1, 0.030, 2),
            Band(2, 2, 0.026, 3),
            Band(0, 1, 0.0026, 3),
            Band(1, 2, 0.0045, 3),
        ),
    ),
    # Of the two components of Lambda doubling only one exists: weight 3, of the spin alone.
    System(
        "C2 1",
        19378.4,
        610.0,
        3,
        _C2_D,
        _C2_A,
        (
            Band(0, 0, 0.025, 2),
            Band(1, 1, 0.012, 5),
            Band(1, 0, 0.009, 4),
            Band(2, 1, 0.013, 5),
            Band(0, 1, 0.007, 5),
        ),
    ),
    # The origin puts the head at 5211.1.
    System("MgH 1", 19276.3, 0.0, 2, _MGH_A, _MGH_X, (Band(0, 0, 0.15, 2), Band(1, 1, 0.14, 5))),
    *_tio_systems(),
)

# Lines that absorb less than this part of the strongest of their band, at this temperature, go.
_KEPT_FROM, _KEPT_AT_K = 0.2, 4000.0
_KEPT_AA = (3700.0, 7000.0)


def molecular_lines() -> pd.DataFrame:
    """Return the lines of CH, CN, C2, MgH and TiO between 3700 and 7000 Angstrom.

    They follow from molecular constants: nu = nu_0 + F'(j') - F''(j'') with F = B j (j + 1)
    - D (j (j + 1))**2, which makes Fortrat's parabola nu_0 + (B' + B'') m + (B' - B'') m**2
    (Herzberg, Spectra of Diatomic Molecules, chapter IV). Bands are real, their heads within an
    Angstrom; single lines of CH A-X 0-0 and CN B-X 0-0 are good to some 0.05 Angstrom, others
    roughly so.

    Each line has gf = g f S: g is the weight of the lower electronic state (spin and Lambda
    doubling; no spins of nuclei, as in `log10_molecular_partition`), f the oscillator strength of
    the band, S the factor of Hönl and London, `honl_london`.

    So that the list stays short, only CH and CN 0-0 are complete. Of other bands every k-th
    rotational line is kept with k times the gf: k is 5 for TiO, whose lines overlap anyway, and 2
    to 5 else. Such a line saturates before the k that it stands for, so that strong bands come out
    too weak. Left out are isotopes, other bands, lines that absorb less than a fifth of the
    strongest of their band at 4000 K, satellite branches, and the spin of CN and C2, whose
    components nearly coincide.

    Returns
    -------
    lines : DataFrame of shape (n_lines, 6)
        Columns species, wavelength_aa (in air, increasing), excitation_ev, log_gf, damping (0) and
        name ("").
    """
    lines = pd.concat(
        [band_lines(system, band) for system in SYSTEMS for band in system.bands],
        ignore_index=True,
    )
    lines = lines[lines["wavelength_aa"].between(*_KEPT_AA)]
    return lines.sort_values("wavelength_aa", kind="stable", ignore_index=True)


def honl_london(branch: int, lower: int, upper: int, j: np.ndarray) -> np.ndarray:
    """Strength of the line from j to j + branch; those of P, Q and R add up to 2 j + 1.

    `lower` and `upper` are Lambda of the states with N for j, or Omega with J. The formulas of Hönl
    and London as in Herzberg, Spectra of Diatomic Molecules, section IV,3, normalised to this sum.
    """
    above = np.maximum(j, 1.0)
    if upper == lower:
        p = (j + lower) * (j - lower) / above
        r = (j + 1.0 + lower) * (j + 1.0 - lower) / (j + 1.0)
    else:
        # What takes Lambda one down takes -Lambda one up.
        k = lower if upper > lower else -lower
        p = (j - 1.0 - k) * (j - k) / (2.0 * above)
        r = (j + 2.0 + k) * (j + 1.0 + k) / (2.0 * (j + 1.0))
    return {-1: p, 0: 2.0 * j + 1.0 - p - r, 1: r}[branch]


def band_lines(system: System, band: Band) -> pd.DataFrame:
    """Return the lines of one band in the columns of `molecular_lines`, in no order."""
    upper, lower = system.upper, system.lower
    # Beyond, the centrifugal terms that are left out count.
    j_max = min(160.0, math.sqrt(0.15 * lower.b / lower.d))
    j = np.arange(lower.omega + band.step // 2, j_max, band.step)
    spins = (1, -1) if upper.spin_orbit else (0,)
    sides = (1, -1) if lower.doubling else (0,)
    components = []
    for spin, side in product(spins, sides):
        level_cm = lower.rotational_cm(band.lower, j, spin)
        level_cm += 0.5 * side * lower.doubling * j * (j + 1.0)
        # 2 J + 1 of this component over that of all, 2 J + 1 being 2 N + 1 + spin.
        share = (1.0 + spin / (2.0 * j + 1.0)) / (len(spins) * len(sides))
        for branch in (-1, 0, 1):
            line_cm = upper.rotational_cm(band.upper, j + branch, spin) - level_cm
            strength = share * honl_london(branch, lower.omega, upper.omega, j)
            components.append((line_cm, level_cm, strength))
    line_cm, level_cm, strength = map(np.concatenate, zip(*components, strict=True))
    line_cm += system.origin_cm + upper.vibrational_cm(band.upper)
    line_cm -= lower.vibrational_cm(band.lower)
    lowest_cm = float(lower.rotational_cm(band.lower, np.array(float(lower.omega)), 0))
    excitation_cm = system.energy_cm + lower.vibrational_cm(band.lower) + level_cm - lowest_cm
    absorbed = strength * np.exp(-KELVIN_PER_CM * level_cm / _KEPT_AT_K)
    kept = absorbed > _KEPT_FROM * absorbed.max()
    return pd.DataFrame(
        {
            "species": system.species,
            "wavelength_aa": vacuum_to_air(1e8 / line_cm[kept]),
            # The lowest of a doublet may lie a little below the level that counts as zero.
            "excitation_ev": np.maximum(excitation_cm[kept], 0.0) / CM_PER_EV,
            "log_gf": np.log10(system.weight * band.f * band.step * strength[kept]),
            "damping": 0.0,
            "name": "",
        }
    )
