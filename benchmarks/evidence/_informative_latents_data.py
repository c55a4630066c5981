"""An archive with all its causes: windows over the range of HARPS, training and test stars."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from _evidence import Purpose, star_seed
from _harps import HIGHEST_FLUX, UNKNOWN

from specvae.preprocessing import MedianNormalizer
from specvae.simulation import StellarSpectrumSimulator, catalogue_design
from specvae.spectra import WavelengthGrid

__all__ = ["CAUSES", "Archive", "Range", "simulate_archive"]

# Everything that differs between two spectra of the design and that a latent might follow.
CAUSES = [
    "teff_k",
    "logg_dex",
    "mh_dex",
    "vsini_kms",
    "rv_kms",
    "berv_kms",
    "airmass",
    "pwv_mm",
    "snr",
    *UNKNOWN,
]

_ROWS_AT_ONCE = 256


@dataclass(frozen=True)
class Range:
    """Pixels of the spectra: windows of equal size, evenly spaced from 3785 to 6910 Angstrom."""

    step_aa: float
    resolving_power: float
    n_windows: int
    window_pixels: int

    @property
    def grid(self) -> WavelengthGrid:
        return WavelengthGrid(3785.0, self.step_aa, int((6909.9 - 3785.0) / self.step_aa))

    @property
    def pixels(self) -> np.ndarray:
        first = np.linspace(0, self.grid.n_pixels - self.window_pixels, self.n_windows).astype(int)
        return (first[:, None] + np.arange(self.window_pixels)).ravel()


@dataclass(frozen=True)
class Archive:
    """Median-normalised flux and causes; of a test star there is one spectrum."""

    flux: np.ndarray
    causes: pd.DataFrame
    groups: np.ndarray
    is_test: np.ndarray

    @property
    def tested(self) -> pd.DataFrame:
        return self.causes[self.is_test].reset_index(drop=True)


def simulate_archive(
    purpose: Purpose, seed: int, n_stars: int, n_spectra: int, n_test_stars: int, pixels: Range
) -> Archive:
    """Simulate unevenly many spectra of training stars, and one of each test star.

    As in `_harps.observed`, with all causes kept. The test set is the paper's "unique subset",
    of stars that did not train.
    """
    seed = star_seed(purpose, seed)
    n_all = n_stars + n_test_stars
    mean = max(2.0, 3.0 * n_spectra / n_stars)
    design = catalogue_design(n_stars=n_all, mean_spectra_per_star=mean, random_state=seed)
    rng = np.random.default_rng(seed)
    first = np.unique(design.groups, return_index=True)[1]
    others = np.setdiff1d(np.flatnonzero(design.groups < n_stars), first)
    n_others = min(max(0, n_spectra - n_stars), len(others))
    rows = np.sort(np.r_[first, rng.choice(others, n_others, replace=False)])
    labels, groups = design.labels.iloc[rows].reset_index(drop=True), design.groups[rows]
    simulator = StellarSpectrumSimulator(
        pixels.grid,
        instrument="harps",
        resolving_power=pixels.resolving_power,
        unknown=UNKNOWN,
    )
    flux, snr, unknown = [], [], []
    for start in range(0, len(labels), _ROWS_AT_ONCE):
        part = range(start, min(start + _ROWS_AT_ONCE, len(labels)))
        simulated = simulator.simulate(labels, seed, groups=groups, rows=part)
        flux.append(simulated.flux[:, pixels.pixels])
        snr.append(np.nanmedian(simulated.flux / simulated.sigma, axis=1))
        unknown.append(simulated.unknown)
    normal = MedianNormalizer().fit_transform(np.concatenate(flux))
    causes = pd.concat([labels, pd.concat(unknown, ignore_index=True)], axis=1)
    causes["snr"] = np.concatenate(snr)
    return Archive(
        np.clip(normal, -HIGHEST_FLUX, HIGHEST_FLUX).astype(np.float32),
        causes[CAUSES],
        groups,
        groups >= n_stars,
    )
