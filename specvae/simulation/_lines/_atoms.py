"""Constants of the elements, and the share of their atoms in each stage of ionisation.

Stages count as astronomers do: 1 is the neutral atom, 2 and 3 its first two ions. Higher ions do
not live in the photospheres that the model knows.
"""

import csv
from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

N_STAGES = 3

# The partition functions were fitted in between; beyond they stay as they are at the ends, since
# a polynomial would run away.
PARTITION_FITTED_K = (2000.0, 10_000.0)


class Element(NamedTuple):
    """What is known of an element; data/elements.csv says where each number comes from."""

    number: int
    mass_u: float
    ionisation_ev: tuple[float, float]  # of the atom and of its ion; infinite for that of hydrogen
    abundance_dex: float  # log10 of nuclei in the Sun for 10**12 of hydrogen
    label: str  # label that moves the abundance beside mh_dex, "" for none
    log10_partition: tuple[tuple[float, ...], ...]  # of each stage, powers of log10(5040 K / T)

    @property
    def follows_metallicity(self) -> bool:
        """Whether mh_dex moves the abundance: all but hydrogen and helium."""
        return self.number > 2


def _read_elements() -> Mapping[str, Element]:
    text = resources.files(__package__).joinpath("data/elements.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    return MappingProxyType({row["symbol"]: _element(row) for row in rows})


def _element(row: Mapping[str, str]) -> Element:
    columns = [row[f"log10_u{stage}"].split() for stage in range(1, N_STAGES + 1)]
    return Element(
        number=int(row["number"]),
        mass_u=float(row["mass_u"]),
        ionisation_ev=(
            float(row["ionisation_1_ev"]),
            float(row["ionisation_2_ev"] or "inf"),
        ),
        abundance_dex=float(row["abundance_dex"]),
        label=row["label"],
        log10_partition=tuple(tuple(map(float, column)) for column in columns),
    )


ELEMENTS: Mapping[str, Element] = _read_elements()
"""The elements by symbol, in the order of their atomic numbers."""


def ionisation_energy_ev(symbol: str, stage: int) -> float:
    """Energy that takes an electron from stage 1 or 2, in eV."""
    return ELEMENTS[symbol].ionisation_ev[stage - 1]


def log10_partition(
    symbol: str, stage: int, temperature_k: np.ndarray | float
) -> np.ndarray | float:
    """Decimal logarithm of the partition function, same shape as `temperature_k`.

    log U = sum of c_i (log10 theta)**i with theta = 5040 K / T, the form of Bolton 1970
    (ApJ 161, 1187), with coefficients fitted to the sums over levels of Barklem & Collet 2016
    (A&A 588, A96). The lowering of the ionisation energy in dense gas is left out.
    """
    log_theta = np.log10(5040.0 / np.clip(temperature_k, *PARTITION_FITTED_K))
    value = np.zeros_like(log_theta)
    for coefficient in reversed(ELEMENTS[symbol].log10_partition[stage - 1]):
        value = value * log_theta + coefficient
    return value


def saha_log10_ratio(
    temperature_k: np.ndarray | float,
    ionisation_ev: np.ndarray | float,
    log10_partition_ratio: np.ndarray | float,
) -> np.ndarray | float:
    """Decimal logarithm of N1/N0 times the electron pressure in dyn/cm2.

    log (N1/N0) Pe = 2.5 log T - 5040 I / T + log(U1/U0) - 0.1762: the equation of Saha as in Gray,
    The Observation and Analysis of Stellar Photospheres, 3rd edition, equation 1.20; the constant
    holds the factor 2 of the free electron.
    """
    theta = 5040.0 / temperature_k
    return 2.5 * np.log10(temperature_k) - theta * ionisation_ev + log10_partition_ratio - 0.1762


def ionisation_fractions(
    symbol: str, temperature_k: np.ndarray | float, log10_electron_pressure: np.ndarray | float
) -> np.ndarray:
    """Share of the atoms of an element in stages 1, 2 and 3, shape (3, ...); they sum to one.

    `temperature_k` and `log10_electron_pressure` (dyn/cm2) are broadcast against each other.
    """
    ratios = [
        saha_log10_ratio(
            temperature_k,
            ionisation_energy_ev(symbol, stage),
            log10_partition(symbol, stage + 1, temperature_k)
            - log10_partition(symbol, stage, temperature_k),
        )
        - log10_electron_pressure
        for stage in (1, 2)
    ]
    logs = np.cumsum(np.stack([np.zeros_like(ratios[0]), *ratios]), axis=0)
    # Against the largest, so that no power overflows.
    numbers = 10.0 ** (logs - logs.max(axis=0))
    return numbers / numbers.sum(axis=0)
