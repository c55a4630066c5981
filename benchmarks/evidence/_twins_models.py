"""Pairs of red giants of one composition, and ways to a code of it without Teff and log g."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from _evidence import Purpose, star_seed
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from torch import nn

from specvae.estimators import AdversarialAutoencoder
from specvae.simulation import TWIN_GRID, StellarSpectrumSimulator, twin_design

__all__ = [
    "CONDITIONS",
    "SNRS",
    "Method",
    "Stars",
    "principal_components",
    "simulate_pairs",
    "train_autoencoder",
    "with_noise",
]

CONDITIONS = ["teff_k", "logg_dex"]
SNRS = (None, 100, 50, 30)
RESOLVING_POWER = 22_500
N_COMPONENTS, WIDTH = 64, 256


@dataclass(frozen=True)
class Stars:
    """Noiseless flux over its median, Teff and log g; the twin of row i is row ``i ^ 1``."""

    flux: np.ndarray  # (n_stars, n_pixels)
    known: np.ndarray  # (n_stars, 2)
    binning: int  # pixels of the instrument in one of `flux`

    @property
    def twin(self) -> np.ndarray:
        return np.arange(len(self.flux)) ^ 1


@dataclass(frozen=True)
class Method:
    """A code of spectra under known conditions, and the way back."""

    encode: Callable[[np.ndarray, np.ndarray], np.ndarray]
    decode: Callable[[np.ndarray, np.ndarray], np.ndarray]
    scaled: bool  # whether distances are taken of codes divided by their scatter


def simulate_pairs(purpose: Purpose, seed: int, n_pairs: int, binning: int) -> Stars:
    """Simulate pairs at rest, without instrument or atmosphere, averaged over `binning` pixels."""
    simulator = StellarSpectrumSimulator(
        TWIN_GRID, instrument=None, atmosphere=False, resolving_power=RESOLVING_POWER
    )
    seed = star_seed(purpose, seed)
    labels = twin_design(n_pairs, random_state=seed).labels
    n_pixels = TWIN_GRID.n_pixels // binning
    flux = np.empty((len(labels), n_pixels), dtype=np.float32)
    for start in range(0, len(labels), 1000):
        rows = slice(start, start + 1000)
        fine = simulator.simulate(labels.iloc[rows], seed).noiseless_flux
        fine = fine[:, : n_pixels * binning].reshape(len(fine), n_pixels, binning)
        flux[rows] = fine.mean(axis=2)
    flux /= np.median(flux, axis=1, keepdims=True)
    return Stars(flux, labels[CONDITIONS].to_numpy(), binning)


def noise_of(snr: float, binning: int) -> np.float32:
    """Return the noise of an averaged pixel at a signal to noise ratio of one before."""
    return np.float32(1.0 / (snr * np.sqrt(binning)))


def with_noise(stars: Stars, snr: float | None, seed: int) -> np.ndarray:
    """Return the flux with photon noise; `snr` is that of a pixel before averaging."""
    if snr is None:
        return stars.flux
    deviate = np.random.default_rng(seed).standard_normal(stars.flux.shape, dtype=np.float32)
    return stars.flux * (1 + deviate * noise_of(snr, stars.binning))


def principal_components(
    flux: np.ndarray, known: np.ndarray, n_components: int, degree: int, *, scaled: bool
) -> Method:
    """Fit components of what a polynomial of the conditions leaves; degree 0 is plain PCA."""
    expand = PolynomialFeatures(degree, include_bias=False) if degree else PolynomialFeatures(0)
    polynomial = make_pipeline(StandardScaler(), expand, LinearRegression()).fit(known, flux)
    pca = PCA(n_components, random_state=0).fit(flux - polynomial.predict(known))
    return Method(
        lambda seen, known: pca.transform(seen - polynomial.predict(known)),
        lambda codes, known: pca.inverse_transform(codes) + polynomial.predict(known),
        scaled,
    )


class Stack(nn.Sequential):
    """Two hidden layers."""

    def __init__(self, n_inputs: int, n_outputs: int):
        super().__init__(
            nn.Linear(n_inputs, WIDTH),
            nn.LeakyReLU(0.1),
            nn.Linear(WIDTH, WIDTH),
            nn.LeakyReLU(0.1),
            nn.Linear(WIDTH, n_outputs),
        )


def component_networks(flux: np.ndarray) -> tuple[type, type]:
    """Make encoder and decoder that work on principal components of the flux, of unit scatter.

    Flux is in units of the noise; components weaker than it keep the scale of the noise.
    """
    pca = PCA(min(N_COMPONENTS, len(flux)), random_state=0).fit(flux)
    components = torch.from_numpy(pca.components_.astype(np.float32))
    # The scatter of all pixels is about the unit in which the network sees the flux.
    scatter = np.sqrt(np.maximum(pca.explained_variance_, 1.0)) / flux.std(axis=0).mean()
    scatter = torch.from_numpy(scatter.astype(np.float32))

    class Encoder(nn.Module):
        def __init__(self, n_pixels: int, n_outputs: int, *, n_conditions: int):
            super().__init__()
            self.register_buffer("project", components.T / scatter)
            self.body = Stack(len(components) + n_conditions, n_outputs)

        def forward(self, flux: torch.Tensor, conditions: torch.Tensor) -> torch.Tensor:
            return self.body(torch.cat([flux @ self.project, conditions], dim=1))

    class Decoder(nn.Module):
        def __init__(self, n_inputs: int, n_pixels: int, *, n_conditions: int):
            super().__init__()
            self.register_buffer("expand", scatter[:, None] * components)
            self.body = Stack(n_inputs + n_conditions, len(components))

        def forward(self, code: torch.Tensor, conditions: torch.Tensor) -> torch.Tensor:
            return self.body(torch.cat([code, conditions], dim=1)) @ self.expand

    return Encoder, Decoder


def train_autoencoder(
    flux: np.ndarray,
    known: np.ndarray,
    unit: np.float32,
    *,
    scaled: bool,
    adversary_weight: float,
    kl_weight: float,
    seed: int,
    **settings: Any,
) -> tuple[Method, AdversarialAutoencoder]:
    """Train on flux in units of its noise, where a nat is worth 2 / n_pixels of squared error."""
    nat = 2.0 / flux.shape[1]
    encoder, decoder = component_networks(flux / unit)
    autoencoder = AdversarialAutoencoder(
        encoder=encoder,
        decoder=decoder,
        adversary_weight=adversary_weight * nat,
        kl_weight=kl_weight * nat,
        reconstruction="l2",
        patience=None,
        random_state=seed,
        **settings,
    )
    autoencoder.fit(flux / unit, conditions=known, groups=np.arange(len(flux)) // 2)
    method = Method(
        lambda seen, known: autoencoder.transform(seen / unit, conditions=known),
        lambda codes, known: autoencoder.decode(codes, known) * unit,
        scaled,
    )
    return method, autoencoder
