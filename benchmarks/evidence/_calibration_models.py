"""Spectra with labels, and models that state an uncertainty for each label."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from _baselines import gaussian_process
from _evidence import DATA, Purpose
from _harps import observed
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import Pipeline, make_pipeline
from torch import nn

from specvae.estimators import SemiSupervisedVAE, SpectralRegressor
from specvae.preprocessing import MedianNormalizer

__all__ = [
    "NETWORKS",
    "N_MEMBERS",
    "Prediction",
    "Stars",
    "fit_models",
    "miles_stars",
    "simulated_stars",
    "unlike",
]

MILES = DATA / "miles/miles_stars.npz"
RANGE_K = (4000.0, 7000.0)
DEVELOPMENT_SEED = 12345
N_MEMBERS = 5
WIDTH = 64
N_FOR_DISTANCE = 10  # components; in 30 noise hides more of the distances
NETWORKS = ("SpectralRegressor", "SemiSupervisedVAE")


@dataclass(frozen=True)
class Stars:
    """Median-normalised flux, labels, the star of each row, and which were developed on."""

    flux: np.ndarray  # (n_spectra, n_pixels), NaN for missing pixels
    labels: np.ndarray  # (n_spectra, 3), NaN where unknown
    groups: np.ndarray
    development: np.ndarray  # (n_spectra,) bool

    def rows(self, chosen: np.ndarray) -> "Stars":
        return Stars(
            self.flux[chosen], self.labels[chosen], self.groups[chosen], self.development[chosen]
        )


class Prediction(NamedTuple):
    """Labels with a stated standard deviation; `raw` is that of the network before calibration."""

    mean: np.ndarray  # (n_spectra, n_labels)
    std: np.ndarray | None  # the same; None for a model that states none
    raw: np.ndarray | None = None


Predictor = Callable[[np.ndarray], Prediction]


def simulated_stars(purpose: Purpose, seed: int, n_stars: int, n_spectra: int) -> Stars:
    """Simulate HARPS spectra of catalogue stars."""
    spectra = observed(purpose, seed, n_stars, n_spectra)
    labels = spectra.labels[["teff_k", "logg_dex", "mh_dex"]].to_numpy(np.float64)
    return Stars(spectra.flux, labels, spectra.groups, np.zeros(len(labels), dtype=bool))


def miles_stars(purpose: Purpose) -> Stars | None:
    """Read the MILES stars from 4000 to 7000 K; only half of them may be developed on."""
    if not MILES.exists():
        return None
    with np.load(MILES) as miles:
        flux, labels = miles["flux"], miles["labels"].astype(np.float64)
    in_range = (labels[:, 0] > RANGE_K[0]) & (labels[:, 0] < RANGE_K[1])
    flux, labels = flux[in_range], labels[in_range]
    flux = MedianNormalizer().fit_transform(np.where(flux > 0.0, flux, np.nan))
    order = np.random.default_rng(DEVELOPMENT_SEED).permutation(len(flux))
    development = np.zeros(len(flux), dtype=bool)
    development[order[: len(flux) // 2]] = True
    stars = Stars(flux, labels, np.arange(len(flux)), development)
    return stars.rows(development) if purpose == "choose" else stars


def of_network(network: SpectralRegressor | SemiSupervisedVAE) -> Predictor:
    def predict(flux: np.ndarray) -> Prediction:
        mean, std = network.predict(flux, return_std=True)
        return Prediction(mean, std, std / network.std_factor_)

    return predict


def of_ensemble(members: list[Predictor]) -> Predictor:
    """Mixture of the members: their own variance, and that between them."""

    def predict(flux: np.ndarray) -> Prediction:
        predicted = [member(flux) for member in members]
        means = np.array([one.mean for one in predicted])
        stds = np.array([one.std for one in predicted])
        return Prediction(means.mean(axis=0), np.sqrt((stds**2).mean(axis=0) + means.var(axis=0)))

    return predict


def of_components(train: Stars, n_components: int) -> dict[str, Predictor]:
    """Least squares and a Gaussian process for each label on the same components."""
    n_components = min(n_components, len(train.flux) // 2)
    reduce = make_pipeline(SimpleImputer(), PCA(n_components, random_state=0)).fit(train.flux)
    codes = reduce.transform(train.flux)
    lines: list[LinearRegression] = []
    processes: list[Pipeline] = []
    for label in train.labels.T:
        known = np.isfinite(label)
        lines.append(LinearRegression().fit(codes[known], label[known]))
        with warnings.catch_warnings():
            # A length at its bound is as good an answer as any within.
            warnings.simplefilter("ignore", ConvergenceWarning)
            processes.append(gaussian_process().fit(codes[known], label[known]))

    def least_squares(flux: np.ndarray) -> Prediction:
        seen = reduce.transform(flux)
        return Prediction(np.column_stack([line.predict(seen) for line in lines]), None)

    def processed(flux: np.ndarray) -> Prediction:
        seen = reduce.transform(flux)
        means, stds = zip(*(one.predict(seen, return_std=True) for one in processes), strict=True)
        return Prediction(np.column_stack(means), np.column_stack(stds))

    return {"PCA + least squares": least_squares, "PCA + Gaussian process": processed}


def component_networks(train: Stars, n_components: int) -> tuple[type, type]:
    """Make a small encoder and decoder that work on principal components of unit scatter.

    A few hundred stars are too few for a network to find them by itself.
    """
    flux = SimpleImputer().fit_transform(train.flux)
    pca = PCA(min(n_components, len(flux) // 2), random_state=0).fit(flux)
    components = torch.from_numpy(pca.components_.astype(np.float32))
    # The scatter of all pixels is about the unit in which a network sees the flux.
    scatter = np.sqrt(pca.explained_variance_) / flux.std(axis=0).mean()
    scatter = torch.from_numpy(scatter.astype(np.float32))

    def stack(n_inputs: int, n_outputs: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Linear(n_inputs, WIDTH),
            nn.LeakyReLU(0.1),
            nn.Linear(WIDTH, WIDTH),
            nn.LeakyReLU(0.1),
            nn.Linear(WIDTH, n_outputs),
        )

    class Encoder(nn.Module):
        def __init__(self, n_pixels: int, n_outputs: int):
            super().__init__()
            self.register_buffer("project", components.T / scatter)
            self.body = stack(len(components), n_outputs)

        def forward(self, flux: torch.Tensor) -> torch.Tensor:
            return self.body(flux @ self.project)

    class Decoder(nn.Module):
        def __init__(self, n_inputs: int, n_pixels: int):
            super().__init__()
            self.register_buffer("expand", scatter[:, None] * components)
            self.body = stack(n_inputs, len(components))

        def forward(self, code: torch.Tensor) -> torch.Tensor:
            return self.body(code) @ self.expand

    return Encoder, Decoder


def unlike(fit: Stars, aside: Stars, flux: np.ndarray) -> np.ndarray:
    """Whether the tenth nearest in the training is farther than for 95 % of those aside."""
    n_components = min(N_FOR_DISTANCE, len(fit.flux) // 2)
    reduce = make_pipeline(SimpleImputer(), PCA(n_components, whiten=True, random_state=0))
    nearest = NearestNeighbors(n_neighbors=10).fit(reduce.fit_transform(fit.flux))

    def distance(seen: np.ndarray) -> np.ndarray:
        return nearest.kneighbors(reduce.transform(seen))[0][:, -1]

    return (distance(flux) > np.quantile(distance(aside.flux), 0.95)).astype(float)


def constant(train: Stars) -> Predictor:
    median = np.nanmedian(train.labels, axis=0)
    return lambda flux: Prediction(np.tile(median, (len(flux), 1)), None)


def fit_models(
    train: Stars, *, max_epochs: int, n_components: int, raw_encoder: str, device: str
) -> dict[str, Predictor]:
    """Fit all models to the same stars."""
    encoder, decoder = component_networks(train, n_components)
    common = {
        "max_epochs": max_epochs,
        "batch_size": 16,
        "learning_rate": 1e-3,
        # A tenth of 300 stars would leave the factor of the uncertainty to 30.
        "validation_fraction": 0.2,
        "device": device,
    }
    # A hidden gap moves all components; hardly a pixel is missing here.
    common_components = {**common, "encoder": encoder, "random_missing": 0.0}

    def fitted(network: Any) -> Predictor:
        return of_network(network.fit(train.flux, train.labels, groups=train.groups))

    members = [
        fitted(SpectralRegressor(**common_components, random_state=seed))
        for seed in range(N_MEMBERS)
    ]
    vae = SemiSupervisedVAE(4, decoder=decoder, **common_components, random_state=0)
    return {
        "constant": constant(train),
        **of_components(train, n_components),
        "SpectralRegressor": members[0],
        "SpectralRegressor, five": of_ensemble(members),
        "SemiSupervisedVAE": fitted(vae),
        f"SpectralRegressor, {raw_encoder}": fitted(
            SpectralRegressor(**common, encoder=raw_encoder, random_state=0)
        ),
    }
