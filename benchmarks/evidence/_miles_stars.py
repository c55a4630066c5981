"""The stars of the MILES library, and simulated ones at its resolution."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from _evidence import DATA, Purpose, star_seed
from _nested import development_rows

from specvae.preprocessing import MedianNormalizer
from specvae.simulation import StellarSpectrumSimulator
from specvae.spectra import WavelengthGrid

__all__ = [
    "LABELS",
    "MILES",
    "Stars",
    "load_stars",
    "other_flux",
    "reported_stars",
    "simulated_flux",
]

MILES = DATA / "miles/miles_stars.npz"
GRID = WavelengthGrid(3540.5, 0.9, 4300)
RESOLUTION_AA = 2.5
LABELS = ("teff_k", "logg_dex", "feh_dex")
RANGE_K = (4000.0, 7000.0)
DEVELOPMENT_SEED = 12345
# Least flux over its median; below lie pixels that were badly observed, some of them negative.
FLOOR = 0.01


@dataclass(frozen=True)
class Stars:
    """Median-normalised spectra, one a star, their labels, and which were developed on."""

    flux: np.ndarray  # (n_stars, n_pixels)
    labels: np.ndarray  # (n_stars, 3), NaN where unknown
    groups: np.ndarray  # (n_stars,), the MILES number
    development: np.ndarray  # (n_stars,), bool

    def rows(self, chosen: np.ndarray) -> "Stars":
        return Stars(
            self.flux[chosen], self.labels[chosen], self.groups[chosen], self.development[chosen]
        )


def load_stars(purpose: Purpose, path: Path = MILES, *, whole_range: bool = False) -> Stars:
    """Return stars from 4000 to 7000 K, or all that have three labels.

    To choose settings there are the development stars alone: half of the stars of that range, and
    half of those outside.
    """
    miles = np.load(path)
    labels = miles["labels"].astype(float)
    flux = prepare(miles["flux"])
    in_range = (labels[:, 0] > RANGE_K[0]) & (labels[:, 0] < RANGE_K[1])
    development = np.zeros(len(labels), dtype=bool)
    for part in (in_range, ~in_range):
        development[part] = development_rows(int(part.sum()), DEVELOPMENT_SEED)
    stars = Stars(flux, labels, miles["miles_id"].astype(int), development)
    stars = stars.rows(~np.isnan(labels).any(axis=1) if whole_range else in_range)
    return stars.rows(stars.development) if purpose == "choose" else stars


def reported_stars(stars: Stars, purpose: Purpose) -> tuple[np.ndarray, str]:
    """Mark the stars of tables and claims, and say which: to report, those not developed on."""
    if purpose == "choose":
        return np.ones(len(stars.flux), dtype=bool), f"{len(stars.flux)} development stars"
    return ~stars.development, f"{int((~stars.development).sum())} stars not developed on"


def other_flux(path: Path = MILES) -> np.ndarray:
    """Return spectra of the stars outside 4000 to 7000 K or without a temperature."""
    miles = np.load(path)
    teff_k = miles["labels"][:, 0]
    return prepare(miles["flux"][~((teff_k > RANGE_K[0]) & (teff_k < RANGE_K[1]))])


def prepare(flux: np.ndarray) -> np.ndarray:
    """Divide each spectrum by its median, and lift pixels without light to a floor."""
    return np.maximum(MedianNormalizer().fit_transform(flux.astype(np.float64)), FLOOR)


def simulated_flux(purpose: Purpose, n_stars: int) -> tuple[np.ndarray, np.ndarray]:
    """Simulate stars as MILES would see them: prepared flux, and the labels of MILES."""
    # One resolving power stands for the constant width in Angstrom.
    simulator = StellarSpectrumSimulator(
        GRID,
        instrument=None,
        atmosphere=False,
        resolving_power=GRID.wavelength_aa.mean() / RESOLUTION_AA,
    )
    seed = star_seed(purpose, 0)
    rng = np.random.default_rng(seed)
    labels = {
        "teff_k": rng.uniform(3700.0, 7400.0, n_stars),
        "logg_dex": rng.uniform(0.0, 5.2, n_stars),
        "mh_dex": np.clip(0.6 - 3.1 * rng.beta(1.0, 1.6, n_stars), -2.5, 0.5),
        "rv_kms": rng.normal(0.0, 8.0, n_stars),
        "vsini_kms": rng.exponential(5.0, n_stars),
    }
    alpha = np.clip(-0.4 * labels["mh_dex"], 0.0, 0.4) + rng.normal(0.0, 0.08, n_stars)
    nuisance = {f"{name}_fe_dex": alpha for name in ("o", "mg", "si", "ca", "ti")}
    spread = {f"{name}_fe_dex": rng.normal(0.0, 0.12, n_stars) for name in ("c", "n")}
    simulated = simulator.simulate({**labels, **nuisance, **spread}, random_state=seed)
    wanted = [labels[name] for name in ("teff_k", "logg_dex", "mh_dex")]
    return prepare(simulated.noiseless_flux), np.column_stack(wanted)
