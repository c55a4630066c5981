"""The autoencoders of one seed: which are trained, and what is kept of each."""

import time
import warnings
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from _informative_latents_data import Archive
from joblib import Parallel, delayed
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline

from specvae.estimators import SpectralVAE, visibility_weights
from specvae.exceptions import CollapsedLatentsWarning
from specvae.metrics import latent_mad

__all__ = ["LAMBDAS", "PUBLISHED_PIXELS", "READINGS", "Coded", "Fit", "fit_all", "fit_components"]

LAMBDAS = (0.03, 0.1, 0.3, 1.0)
PUBLISHED_PIXELS = 327_680
# `kl_weight` of the package for a published weight and a number of latents. The public code lacks
# the loss. The port of Cvrcek et al. averages over latents; equation 5 beside equation 2 sums over
# latents; equation 1 has an L1 norm, which sums over pixels too.
READINGS = {
    "mean over latents": lambda weight, n_latents: weight / n_latents,
    "sum over latents": lambda weight, n_latents: weight,
    "sum over latents and pixels": lambda weight, n_latents: weight / PUBLISHED_PIXELS,
}


class Fit(NamedTuple):
    """What one autoencoder is trained with."""

    n_latents: int
    kl_weight: float
    max_epochs: int
    batch_size: int
    learning_rate: float
    network: str = "dense"
    balanced: bool = True


@dataclass(frozen=True)
class Coded:
    """Codes of the test stars and how well they give the flux back."""

    codes: np.ndarray
    latent_kl: np.ndarray
    error: np.ndarray
    seconds: float

    @property
    def mads(self) -> np.ndarray:
        return latent_mad(self.codes)

    @property
    def n_moving(self) -> int:
        return int((self.mads > 0.02).sum())

    @property
    def n_paid(self) -> int:
        return int((self.latent_kl > 0.01).sum())


def fit_all(archive: Archive, fits: list[Fit], seed: int, n_jobs: int) -> dict[Fit, Coded]:
    """Train each once, however often it is asked for."""
    each = list(dict.fromkeys(fits))
    found = Parallel(n_jobs=n_jobs)(delayed(_fit)(archive, fit, seed) for fit in each)
    return dict(zip(each, found, strict=True))


def _fit(archive: Archive, fit: Fit, seed: int) -> Coded:
    torch.set_num_threads(1)
    start = time.perf_counter()
    train = ~archive.is_test
    groups = archive.groups[train]
    vae = SpectralVAE(
        fit.n_latents,
        encoder=fit.network,
        decoder=fit.network,
        kl_weight=fit.kl_weight,
        kl_warmup_epochs=fit.max_epochs // 2,
        max_epochs=fit.max_epochs,
        batch_size=fit.batch_size,
        learning_rate=fit.learning_rate,
        patience=None,
        random_state=seed,
    )
    weight = visibility_weights(groups) if fit.balanced else None
    with warnings.catch_warnings():
        # How many collapse is what is measured.
        warnings.simplefilter("ignore", CollapsedLatentsWarning)
        vae.fit(archive.flux[train], groups=groups, sample_weight=weight)
    tested = archive.flux[archive.is_test]
    coded = Coded(
        vae.transform(tested),
        vae.latent_kl_,
        vae.reconstruction_error(tested),
        time.perf_counter() - start,
    )
    print(
        f"  {fit.network}, {fit.n_latents} latents, kl_weight {fit.kl_weight:.2g}, "
        f"{fit.max_epochs} epochs, {'' if fit.balanced else 'un'}balanced: {coded.n_moving} move, "
        f"{coded.n_paid} pay, error {coded.error.mean():.4f}, {coded.seconds:.0f} s",
        flush=True,
    )
    return coded


def fit_components(archive: Archive, n_components: int) -> Coded:
    """Return principal components of the same training spectra, one of each star."""
    start = time.perf_counter()
    train = np.flatnonzero(~archive.is_test)
    # Balanced as the autoencoders are: a PCA takes no weights.
    train = train[np.unique(archive.groups[train], return_index=True)[1]]
    n_components = min(n_components, len(train) - 1, archive.flux.shape[1])
    pca = make_pipeline(SimpleImputer(), PCA(n_components, random_state=0))
    pca.fit(archive.flux[train])
    tested = archive.flux[archive.is_test]
    codes = pca.transform(tested)
    error = np.nanmean(np.abs(pca[-1].inverse_transform(codes) - tested), axis=1)
    return Coded(codes, np.full(n_components, np.nan), error, time.perf_counter() - start)
