"""The layers of a photosphere where continuum and lines form.

Temperature against optical depth follows one closed form scaled with the effective temperature;
pressure follows from hydrostatic equilibrium; electrons from the ionisation of hydrogen and of the
metals that give them. Left out: convection, and the feedback of lines on the temperature, which in
M dwarfs is large; what molecules add to the opacity there is one assumed factor.
"""

import math
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

import numpy as np

from .._lines._atoms import ionisation_energy_ev, log10_partition
from ._opacity import THOMSON_CM2, continuous_opacity

BOLTZMANN_ERG_K = 1.380649e-16
_MASS_PER_HYDROGEN_G = 2.27e-24  # with 0.085 helium atoms and the Sun's metals by mass
_HELIUM = 10.0**-1.07
REFERENCE_AA = 5000.0

# What gives the electrons of cool stars, with the temperature for the ratio of the partition
# functions: it enters weakly.
DONORS = ("H", "C", "Na", "Mg", "Al", "Si", "K", "Ca", "Fe")
_DONOR_TEMPERATURE_K = 5500.0

CONTINUUM_DEPTH = 2.0 / 3.0  # Eddington and Barbier: the flux is that of the source function here
METAL_DEPTH = 0.1  # where lines of metals have the strength that the whole photosphere gives them
_TOP_DEPTH = 1e-4


class Layer(NamedTuple):
    """A layer of the photosphere; pressures in dyn/cm2."""

    temperature_k: float
    gas_pressure: float
    electron_pressure: float
    nuclei_per_cm3: float  # hydrogen nuclei
    neutral: float  # share of them in neutral atoms
    ionised: float  # share of them that lost the electron; the rest is in H2


class Photosphere(NamedTuple):
    """The layers that are used."""

    metals: Layer
    hydrogen: Layer
    continuum: Layer


def temperature_k(teff_k: float, depth: np.ndarray) -> np.ndarray:
    """Temperature at optical depths, Krishna Swamy 1966 (ApJ 145, 174), fitted to the Sun.

    T**4 = 3/4 Teff**4 (tau + 1.39 - 0.815 exp(-2.54 tau) - 0.025 exp(-30 tau)).
    """
    fourth = depth + 1.39 - 0.815 * np.exp(-2.54 * depth) - 0.025 * np.exp(-30.0 * depth)
    return teff_k * (0.75 * fourth) ** 0.25


def temperature_at(teff_k: float, depth: float) -> float:
    """`temperature_k` at one depth, ten times as fast."""
    fourth = depth + 1.39 - 0.815 * math.exp(-2.54 * depth) - 0.025 * math.exp(-30.0 * depth)
    return teff_k * (0.75 * fourth) ** 0.25


def hydrogen_depth(teff_k: float) -> float:
    """Optical depth that stands for the photosphere in the lines of hydrogen.

    They need 10 eV and form deep, at 0.4, in the Sun; where hydrogen is excited more they are
    strong over tens of Angstrom and form further out, at 0.15 from 9,000 K on. Chosen by the
    equivalent widths of H-gamma: 2.7 Angstrom in the Sun (measured 2.9), 17 in Vega (14).
    """
    share = min(max((teff_k - 6000.0) / 3000.0, 0.0), 1.0)
    return 0.4 * (0.15 / 0.4) ** share


def solve_photosphere(
    teff_k: float, logg_dex: float, abundances: Mapping[str, float]
) -> Photosphere:
    """Integrate the pressure from the top of the photosphere inwards.

    dP / dtau = g / kappa, with kappa per gram at 5000 Angstrom (Gray, The Observation and Analysis
    of Stellar Photospheres, 3rd edition, equation 9.14), by Heun's method in ln tau.

    Parameters
    ----------
    teff_k, logg_dex : float
    abundances : mapping of str to float
        Number of nuclei of each of `DONORS` for one of hydrogen.
    """
    gravity = 10.0**logg_dex
    donors = [(abundances[symbol], *_donor(symbol)) for symbol in DONORS]

    def gain(depth: float, pressure: float) -> float:
        """Pressure gained for a unit of ln tau."""
        layer = solve_layer(temperature_at(teff_k, depth), pressure, donors)
        return gravity * depth * _MASS_PER_HYDROGEN_G / _reference_opacity(layer)

    # At the top kappa goes about with the pressure, so P = sqrt(2 tau g / (kappa / P)).
    pressure = 10.0 ** (2.0 + 0.6 * (logg_dex - 4.44))
    for _ in range(4):
        pressure = math.sqrt(2.0 * gain(_TOP_DEPTH, pressure) * pressure)
    depth, layers = _TOP_DEPTH, []
    for target, n_steps in (
        (METAL_DEPTH, 7),
        (hydrogen_depth(teff_k), 2),
        (CONTINUUM_DEPTH, 1),
    ):
        ratio = (target / depth) ** (1.0 / n_steps)
        step = math.log(ratio)
        for _ in range(n_steps):
            before = gain(depth, pressure)
            # The slope changes by orders of magnitude on the way: Heun on ln P, not on P.
            first = before / pressure
            predicted = pressure * math.exp(min(step * first, 5.0))
            depth *= ratio
            second = gain(depth, predicted) / predicted
            pressure *= math.exp(step * 0.5 * (first + second))
        layers.append(solve_layer(temperature_at(teff_k, target), pressure, donors))
    return Photosphere(*layers)


def solve_layer(
    temperature: float, gas_pressure: float, donors: list[tuple[float, float, float]]
) -> Layer:
    """Electron pressure from the conservation of charge (Gray, chapter 9), by a secant in its log.

    `donors` holds abundance, ionisation energy in eV and log10 of 2 U1/U0, hydrogen first.
    """
    theta = 5040.0 / temperature
    saha = 2.5 * math.log10(temperature) - 0.4772
    # p(ion) p(electron) / p(atom) of each donor.
    givers = [
        (abundance, 10.0 ** (saha - theta * energy_ev + log_weight))
        for abundance, energy_ev, log_weight in donors
    ]
    hydrogen = givers[0][1]
    molecular = _hydrogen_molecule(theta)

    def nuclei(electrons: float) -> tuple[float, float]:
        """Pressure that all hydrogen nuclei would have as atoms, and that of the atoms."""
        left = max(gas_pressure - electrons, 1e-6 * gas_pressure)
        # Atoms, ions, H2 and helium: a p + b p**2 = left.
        a = (1.0 + _HELIUM) * (1.0 + hydrogen / electrons)
        b = (1.0 + 2.0 * _HELIUM) / molecular
        atoms = 2.0 * left / (a + math.sqrt(a * a + 4.0 * b * left))
        return atoms * (1.0 + hydrogen / electrons) + 2.0 * atoms * atoms / molecular, atoms

    def excess(log_electrons: float) -> float:
        electrons = 10.0**log_electrons
        all_nuclei, atoms = nuclei(electrons)
        given = atoms * hydrogen / electrons
        given += all_nuclei * sum(
            abundance * constant / (constant + electrons) for abundance, constant in givers[1:]
        )
        return math.log10(given) - log_electrons

    low, high = math.log10(gas_pressure) - 14.0, math.log10(gas_pressure)
    guess = math.log10(gas_pressure) - 3.5
    slope = -1.5
    value = excess(guess)
    for _ in range(30):
        low, high = (guess, high) if value > 0 else (low, guess)
        step = guess - value / slope
        new = step if low < step < high else 0.5 * (low + high)
        new_value = excess(new)
        if abs(new_value) < 1e-7:
            guess = new
            break
        if new != guess:
            slope = min((new_value - value) / (new - guess), -0.5)
        guess, value = new, new_value
    electrons = 10.0**guess
    all_nuclei, atoms = nuclei(electrons)
    return Layer(
        temperature,
        gas_pressure,
        electrons,
        all_nuclei / (BOLTZMANN_ERG_K * temperature),
        atoms / all_nuclei,
        atoms * hydrogen / electrons / all_nuclei,
    )


def _hydrogen_molecule(theta: float) -> float:
    """Equilibrium p(H)**2 / p(H2) in dyn/cm2, the polynomial of Tsuji 1973 (A&A 23, 411)."""
    theta = min(theta, 2.5)
    log_constant = 12.739 - theta * (
        5.1172 - theta * (0.12572 - theta * (1.4149e-2 - theta * 6.3021e-4))
    )
    return 10.0**log_constant


@cache
def _donor(symbol: str) -> tuple[float, float]:
    ratio = log10_partition(symbol, 2, _DONOR_TEMPERATURE_K) - log10_partition(
        symbol, 1, _DONOR_TEMPERATURE_K
    )
    return ionisation_energy_ev(symbol, 1), float(np.log10(2.0) + ratio)


def _reference_opacity(layer: Layer) -> float:
    """`continuous_opacity` at 5000 Angstrom from a table, fast enough for an integration."""
    log_hydrogen, log_h_minus = _reference_table()
    place = (layer.temperature_k - _TABLE_FROM_K) / _TABLE_STEP_K
    cell = min(max(int(place), 0), len(log_hydrogen) - 2)
    right = place - cell
    hydrogen = math.exp(log_hydrogen[cell] * (1.0 - right) + log_hydrogen[cell + 1] * right)
    h_minus = math.exp(log_h_minus[cell] * (1.0 - right) + log_h_minus[cell + 1] * right)
    scattered = layer.ionised * THOMSON_CM2
    return layer.neutral * (layer.electron_pressure * h_minus + hydrogen) + scattered


_TABLE_FROM_K, _TABLE_STEP_K = 1500.0, 100.0


@cache
def _reference_table() -> tuple[list[float], list[float]]:
    """Ln of the opacity of H at 5000 Angstrom, and of H- for a unit of electron pressure."""
    at = np.array([REFERENCE_AA])
    hydrogen, h_minus = [], []
    for temperature in np.arange(_TABLE_FROM_K, 18_000.0, _TABLE_STEP_K):
        without = continuous_opacity(at, temperature, 0.0, 1.0, 0.0)[0]
        hydrogen.append(math.log(without))
        with_electrons = continuous_opacity(at, temperature, 1.0, 1.0, 0.0)[0]
        h_minus.append(math.log(with_electrons - without))
    return hydrogen, h_minus
