"""What is trained on simulated spectra of one seed, and what it says of all others."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from _baselines import pca_least_squares
from _evidence import Purpose
from _harps_velocity_correlation import template_velocity
from _harps_velocity_spectra import LABELS, normalised, simulate
from sklearn.decomposition import PCA

from specvae.estimators import SemiSupervisedVAE, SpectralAutoencoder, SpectralRegressor
from specvae.inspection import radial_velocity_intervention
from specvae.metrics import InterventionScore
from specvae.spectra import WavelengthGrid

__all__ = [
    "AE",
    "AE_SHIFT",
    "ENCODER",
    "PCA_LINEAR",
    "REFINED",
    "OfSeed",
    "Stacks",
    "networks",
    "train",
]

ENCODER, AE_SHIFT, AE = "encoder", "AE, Doppler layer", "AE, no Doppler layer"
PCA_LINEAR = "PCA + least squares"
REFINED = "AE, Doppler layer, then correlation with what it draws at rest"
RVIS_WINDOW_AA = (6050.0, 6250.0)
RV = LABELS.index("rv_kms")


@dataclass(frozen=True)
class Stacks:
    """Normalised spectra on the grid of the networks."""

    grid: WavelengthGrid
    shifted: np.ndarray  # (n_exposures * n_shifts, n_pixels), of the targets
    real: np.ndarray  # (n_real, n_pixels), every exposure, without a shift
    real_by_median: np.ndarray  # the same over the median alone
    stars: np.ndarray  # (n_real,), star of each of them


@dataclass
class OfSeed:
    """What the models of one seed say."""

    velocity: dict[str, np.ndarray] = field(default_factory=dict)  # of `Stacks.shifted`
    simulated: dict[str, np.ndarray] = field(default_factory=dict)  # of the simulated test rows
    truth: np.ndarray | None = None  # velocities of those
    groups: np.ndarray | None = None
    codes: dict[str, np.ndarray] = field(default_factory=dict)  # of `Stacks.real`
    rvis: dict[tuple[str, str], InterventionScore] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=dict)


def networks(grid: WavelengthGrid, max_epochs: int, seed: int) -> dict[str, Any]:
    common = {"grid": grid, "max_epochs": max_epochs, "device": "auto", "random_state": seed}
    # Two free latents: the published autoencoder's nine, of which seven are labels.
    autoencoder = {"n_free_latents": 2, "variational": False, **common}
    return {
        ENCODER: SpectralRegressor(**common),
        AE_SHIFT: SemiSupervisedVAE(velocity_label="rv_kms", **autoencoder),
        AE: SemiSupervisedVAE(**autoencoder),
    }


def train(
    stacks: Stacks, sizes: Any, purpose: Purpose, seed: int, names: tuple[str, ...] | None = None
) -> OfSeed:
    """Train on simulated stars of one seed, and ask of other simulated stars and real ones."""
    torch.set_num_threads(1)
    grid = stacks.grid
    spectra = simulate(grid, purpose, seed, sizes.n_stars + sizes.n_test, sizes.per_star)
    test = spectra.groups >= sizes.n_stars
    flux = normalised(spectra.flux, grid)
    found = OfSeed(truth=spectra.labels["rv_kms"].to_numpy()[test], groups=spectra.groups[test])
    labels, groups = spectra.labels[~test], spectra.groups[~test]
    moved = {"shifted": stacks.shifted, "simulated": flux[test]}

    linear = pca_least_squares(sizes.n_components).fit(flux[~test], labels)
    found.velocity[PCA_LINEAR] = np.asarray(linear.predict(moved["shifted"]))[:, RV]
    found.simulated[PCA_LINEAR] = np.asarray(linear.predict(moved["simulated"]))[:, RV]
    for name, model in networks(grid, sizes.max_epochs, seed).items():
        if names is not None and name not in names:
            continue
        model.fit(flux[~test], labels, groups=groups)
        found.epochs[name] = int(model.n_iter_)
        found.velocity[name] = np.asarray(model.predict(moved["shifted"]))[:, RV]
        found.simulated[name] = np.asarray(model.predict(moved["simulated"]))[:, RV]
        print(f"  seed {seed}: {name} trained, {model.n_iter_} epochs", flush=True)
        if name == AE_SHIFT:
            found.velocity[REFINED] = _refined(model, moved["shifted"], grid)
            found.simulated[REFINED] = _refined(model, moved["simulated"], grid)
        if name == ENCODER:
            code, spread = np.asarray(model.predict(stacks.real)), labels.to_numpy().std(axis=0)
            found.codes["labels of the encoder"] = code / spread
        else:
            spread = model.transform(flux[~test]).std(axis=0)
            found.codes[name] = model.transform(stacks.real) / spread
            found.rvis[name, "real"] = _rvis(model, stacks.real, stacks.stars)
            found.rvis[name, "simulated"] = _rvis(model, flux[test], spectra.groups[test])
    by_median = normalised(spectra.flux[~test], grid, continuum=False)
    found.codes |= _unsupervised_codes(flux[~test], stacks.real, sizes, seed, grid, "")
    found.codes |= _unsupervised_codes(
        by_median, stacks.real_by_median, sizes, seed, grid, ", continuum kept"
    )
    return found


def _refined(model, flux, grid):
    velocity = np.asarray(model.predict(flux))[:, RV]
    at_rest = model.intervene(flux, "rv_kms", -velocity)
    wavelength_aa = grid.wavelength_aa
    return np.array(
        [
            template_velocity(row, wavelength_aa, drawn, wavelength_aa)
            for row, drawn in zip(flux, at_rest, strict=True)
        ]
    )


def _rvis(model, flux, stars):
    return radial_velocity_intervention(model, flux, window_aa=RVIS_WINDOW_AA, groups=stars)


def _unsupervised_codes(train_flux, real, sizes, seed, grid, suffix):
    """Codes in units of the scatter of simulated stars."""
    dense = SpectralAutoencoder(
        2,
        encoder="dense",
        decoder="dense",
        grid=grid,
        max_epochs=sizes.dense_epochs,
        random_state=seed,
    )
    models = {"dense AE(2)": dense, "PCA(2)": PCA(2, random_state=0)}
    if not suffix:
        models["PCA(8)"] = PCA(8, random_state=0)
    codes = {}
    for name, model in models.items():
        spread = model.fit(train_flux).transform(train_flux).std(axis=0)
        # A latent that never moves says nothing of a star.
        codes[name + suffix] = model.transform(real) / np.where(spread > 0, spread, np.inf)
    return codes
