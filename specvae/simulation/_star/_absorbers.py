"""How many atoms of each kind and stage a layer holds, and how wide collisions make their lines."""

from collections.abc import Mapping

import numpy as np

from .._lines._atoms import ELEMENTS, log10_partition, saha_log10_ratio
from .._lines._species import MOLECULES, split_species
from ._atmosphere import BOLTZMANN_ERG_K, Layer
from ._hydrogen import collision_width
from ._molecules import (
    BOUND_ELEMENTS,
    log10_molecular_partition,
    molecular_densities,
    molecular_mass_u,
)

_TABLE_K = np.arange(2000.0, 16_001.0, 250.0)


class Absorbers:
    """The species of a line list, ready to be counted in a layer.

    Parameters
    ----------
    species : sequence of str
        Such as "Fe 1", "Ca 2" or "CH 1"; each once.
    """

    def __init__(self, species: tuple[str, ...]):
        self.species = species
        self.symbols, self.stages = zip(*(split_species(one) for one in species), strict=True)
        is_molecule = np.array([symbol in MOLECULES for symbol in self.symbols])
        self._molecules = [(int(i), self.symbols[i]) for i in np.flatnonzero(is_molecule)]
        self._atoms = np.flatnonzero(~is_molecule)
        self.elements = tuple(dict.fromkeys(self.symbols[i] for i in self._atoms))
        self._binds = bool(self._molecules) or not set(BOUND_ELEMENTS).isdisjoint(self.elements)
        self._element = np.array([self.elements.index(self.symbols[i]) for i in self._atoms], int)
        self._stage = np.array([self.stages[i] - 1 for i in self._atoms], int)
        # (stage, element, temperature)
        self._log_partition = np.array(
            [
                [log10_partition(element, stage, _TABLE_K) for element in self.elements]
                for stage in (1, 2, 3)
            ]
        ).reshape(3, len(self.elements), len(_TABLE_K))
        self._energy_ev = (
            np.array([ELEMENTS[element].ionisation_ev for element in self.elements])
            .reshape(-1, 2)
            .T
        )
        self.mass_u = np.array(
            [
                molecular_mass_u(symbol) if symbol in MOLECULES else ELEMENTS[symbol].mass_u
                for symbol in self.symbols
            ]
        )

    def log10_per_weight(self, layer: Layer, abundances: Mapping[str, float]) -> np.ndarray:
        """Log10 of number over partition function of each species, for one hydrogen nucleus.

        Times the statistical weight and the Boltzmann factor of a level it is the level's number.
        Shape (n_species,); -inf where there is none.
        """
        fraction, log_partition = self._ionisation(layer)
        densities = molecular_densities(layer, abundances) if self._binds else {}
        # Atoms that molecules hold absorb no atomic lines.
        free = [densities.get(element, abundances[element]) for element in self.elements]
        number = np.zeros(len(self.species))
        log_weight = np.zeros(len(self.species))
        number[self._atoms] = (fraction * np.array(free))[self._stage, self._element]
        log_weight[self._atoms] = log_partition[self._stage, self._element]
        for i, symbol in self._molecules:
            number[i] = densities[symbol]
            log_weight[i] = log10_molecular_partition(symbol, layer.temperature_k)
        with np.errstate(divide="ignore"):
            return np.log10(number) - log_weight

    def _ionisation(self, layer: Layer) -> tuple[np.ndarray, np.ndarray]:
        """Share and log10 of the partition function of stages 1 to 3, each (stage, element)."""
        place = (layer.temperature_k - _TABLE_K[0]) / (_TABLE_K[1] - _TABLE_K[0])
        cell = int(np.clip(place, 0, len(_TABLE_K) - 2))
        right = place - cell
        log_partition = (1.0 - right) * self._log_partition[..., cell]
        log_partition = log_partition + right * self._log_partition[..., cell + 1]
        log_ratio = saha_log10_ratio(
            layer.temperature_k, self._energy_ev, np.diff(log_partition, axis=0)
        ) - np.log10(layer.electron_pressure)
        share = np.ones((3, len(self.elements)))
        share[1:] = 10.0 ** np.cumsum(np.clip(log_ratio, -50.0, 50.0), axis=0)
        return share / share.sum(axis=0), log_partition


class Damping:
    """Widths of lines by collisions with hydrogen atoms and by radiation.

    Parameters
    ----------
    wavelength_aa, excitation_ev, damping : ndarray of shape (n_lines,)
        As in a line list.
    ionisation_ev : ndarray of shape (n_lines,)
        Energy that ionises the absorber.
    charge : ndarray of shape (n_lines,)
        Charge that the electron sees: 1 for a neutral atom.
    mass_u : ndarray of shape (n_lines,)
    """

    def __init__(
        self,
        wavelength_aa: np.ndarray,
        excitation_ev: np.ndarray,
        damping: np.ndarray,
        ionisation_ev: np.ndarray,
        charge: np.ndarray,
        mass_u: np.ndarray,
    ):
        # Radiation: the classical oscillator, 0.2223 / wavelength**2 (cm).
        self._radiative = 0.2223e16 / wavelength_aa**2
        unknown = damping == 0
        log_gamma = damping.copy()
        log_gamma[unknown] = unsoeld_log_gamma(
            wavelength_aa[unknown],
            excitation_ev[unknown],
            ionisation_ev[unknown],
            charge[unknown],
            mass_u[unknown],
        )
        self._per_atom = 10.0 ** np.where(damping > 0, -9.0, log_gamma)
        self._packed = np.flatnonzero(damping > 0)
        self._cross_section = np.floor(damping[self._packed])
        self._exponent = damping[self._packed] - self._cross_section
        self._reduced_mass_u = 1.008 * mass_u[self._packed] / (1.008 + mass_u[self._packed])

    def rate_per_s(self, layer: Layer) -> np.ndarray:
        """Full width at half maximum in rad/s, shape (n_lines,)."""
        per_atom = self._per_atom * (layer.temperature_k / 1e4) ** 0.3
        per_atom[self._packed] = 2.0 * collision_width(
            self._cross_section, self._exponent, layer.temperature_k, self._reduced_mass_u
        )
        # Helium adds 0.42 of what as many hydrogen atoms would (Gray, section 11.5).
        atoms_per_cm3 = layer.nuclei_per_cm3 * (layer.neutral + 0.42 * 0.085)
        return self._radiative + atoms_per_cm3 * per_atom


def unsoeld_log_gamma(
    wavelength_aa: np.ndarray,
    excitation_ev: np.ndarray,
    ionisation_ev: np.ndarray,
    charge: np.ndarray,
    mass_u: np.ndarray,
) -> np.ndarray:
    """Log10 of the van der Waals width per hydrogen atom at 10,000 K, rad/s cm3: 1.3 Unsöld's.

    gamma = 17 v**(3/5) C6**(2/5) N with C6 = 0.3e-30 Z**2 [(I - chi_upper)**-2 - (I - chi)**-2]
    (Gray, section 11.5). The factor is assumed: measured lines of iron are wider than Unsöld says.
    """
    upper_ev = excitation_ev + 12_398.42 / wavelength_aa
    # A level at the limit or beyond it would be infinitely large.
    above = np.maximum(ionisation_ev - upper_ev, 0.5)
    below = np.maximum(ionisation_ev - excitation_ev, above + 0.1)
    c6 = 0.3e-30 * charge**2 * (1.0 / above**2 - 1.0 / below**2)
    speed = np.sqrt(8.0 * BOLTZMANN_ERG_K * 1e4 / np.pi * (1.0 / 1.008 + 1.0 / mass_u) / 1.6605e-24)
    return np.log10(1.3 * 17.0 * speed**0.6 * c6**0.4)
