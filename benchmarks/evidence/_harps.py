"""Simulated HARPS twice: as an archive would be, and as an imperfect forward model says it is.

After Cvrcek et al. 2025, section 3. "Observed" stands for their real spectra: stars of the
catalogue design, unevenly many spectra of each, with four factors that no label tells. "Modelled"
stands for their exposure time calculator: labels uniform and independent, none of those factors,
and a line list with errors, so that what is learnt from it does not quite hold for the observed.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from _evidence import Purpose, star_seed

from specvae.preprocessing import MedianNormalizer
from specvae.simulation import (
    LineList,
    StellarSpectrumSimulator,
    catalogue_design,
    default_line_list,
    mixed_design,
)
from specvae.spectra import WavelengthGrid

__all__ = ["GRID", "LABELS", "RVIS_WINDOW_AA", "Spectra", "imperfect_lines", "modelled", "observed"]

# Na D, water and oxygen of the Earth (which tell BERV and airmass), and the window of RVIS.
GRID = WavelengthGrid(5880.0, 0.1, 4096)
RVIS_WINDOW_AA = (6050.0, 6250.0)
LABELS = ["teff_k", "mh_dex", "logg_dex", "rv_kms", "berv_kms", "airmass"]
UNKNOWN = ("continuum_tilt", "blaze_residual", "line_spread", "cosmic_rays")
# Cosmic rays reach far beyond; the encoder's first layer would see nothing else.
HIGHEST_FLUX = 5.0

# Assumed errors of a line list: lines missing, strengths in dex, wavelengths in Angstrom.
SHARE_MISSING, ERROR_LOG_GF, ERROR_AA = 0.15, 0.25, 0.01
LINES_SEED = 5


@dataclass(frozen=True)
class Spectra:
    """Median-normalised flux, labels by name, and the star of each row."""

    flux: np.ndarray
    labels: pd.DataFrame
    groups: np.ndarray

    def rows(self, chosen: np.ndarray) -> "Spectra":
        labels = self.labels.iloc[np.arange(len(self.flux))[chosen]].reset_index(drop=True)
        return Spectra(self.flux[chosen], labels, self.groups[chosen])


def observed(
    purpose: Purpose, seed: int, n_stars: int, n_spectra: int, grid: WavelengthGrid = GRID
) -> Spectra:
    """Simulate an archive: at least one spectrum of each star, `n_spectra` in all."""
    seed = star_seed(purpose, seed)
    mean = max(2.0, 3.0 * n_spectra / n_stars)
    design = catalogue_design(n_stars=n_stars, mean_spectra_per_star=mean, random_state=seed)
    rng = np.random.default_rng(seed)
    first = np.unique(design.groups, return_index=True)[1]
    others = np.setdiff1d(np.arange(len(design.groups)), first)
    n_others = min(max(0, n_spectra - len(first)), len(others))
    rows = np.sort(np.r_[first, rng.choice(others, n_others, replace=False)])
    labels, groups = design.labels.iloc[rows].reset_index(drop=True), design.groups[rows]
    simulator = StellarSpectrumSimulator(grid, instrument="harps", unknown=UNKNOWN)
    simulated = simulator.simulate(labels, seed, groups=groups)
    return _normalised(simulated.flux, labels[LABELS], groups)


def modelled(purpose: Purpose, seed: int, n_spectra: int, grid: WavelengthGrid = GRID) -> Spectra:
    """Simulate as the forward model with its errors does; BERV, which it lacks, has no label."""
    seed = star_seed(purpose, seed)
    design = mixed_design(n_spectra, {"berv_kms": 0.0}, random_state=seed)
    simulator = StellarSpectrumSimulator(grid, imperfect_lines(), instrument="harps")
    simulated = simulator.simulate(design.labels, seed, groups=design.groups)
    labels = design.labels[LABELS].assign(berv_kms=np.nan)
    # Numbers of their own: a modelled star is none of the observed ones.
    return _normalised(simulated.flux, labels, -1 - design.groups)


def imperfect_lines() -> LineList:
    """Return the default line list as a laboratory might know it."""
    lines = default_line_list()
    rng = np.random.default_rng(LINES_SEED)
    known = np.flatnonzero(rng.random(len(lines)) >= SHARE_MISSING)
    wavelength_aa = lines.wavelength_aa[known] + rng.normal(0.0, ERROR_AA, len(known))
    order = np.argsort(wavelength_aa, kind="stable")
    known = known[order]
    return replace(
        lines,
        species=lines.species[known],
        wavelength_aa=wavelength_aa[order],
        excitation_ev=lines.excitation_ev[known],
        log_gf=lines.log_gf[known] + rng.normal(0.0, ERROR_LOG_GF, len(known)),
        damping=lines.damping[known],
        name=lines.name[known],
    )


def _normalised(flux: np.ndarray, labels: pd.DataFrame, groups: np.ndarray) -> Spectra:
    flux = np.clip(MedianNormalizer().fit_transform(flux), -HIGHEST_FLUX, HIGHEST_FLUX)
    return Spectra(flux.astype(np.float32), labels.reset_index(drop=True), np.asarray(groups))
