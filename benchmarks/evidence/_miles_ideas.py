"""Ways to better labels that were tried on the development stars, each alone."""

from typing import Any

import numpy as np
from _baselines import gaussian_process, pca_gaussian_process
from _miles_gp import N_COMPONENTS, WIDTHS, MultiScaleGP, band_axes
from _miles_networks import RegressorEnsemble, SmallEncoder, mean_of_pixels
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from specvae.estimators import (
    PartialLabelRegressor,
    SemiSupervisedVAE,
    SpectralAutoencoder,
    SpectralRegressor,
)
from specvae.preprocessing import ContinuumNormalizer

__all__ = ["ideas"]

# The readers of simulated spectra must bear what the simulation lacks.
SIMULATED_NOISE = 0.01
NETWORK: dict[str, Any] = {"device": "cpu", "patience": None, "validation_fraction": 0.0}


def ideas(
    simulated: tuple[np.ndarray, np.ndarray],
    unlabelled_flux: np.ndarray,
    n_epochs: int,
    n_members: int,
    n_components: int,
) -> dict[str, Any]:
    """Return makers of estimators by what they try; each takes a seed."""
    simulated_axes = band_axes(simulated[0], WIDTHS, N_COMPONENTS)
    reader = _read_simulation(*simulated, n_epochs=max(1, n_epochs // 3))
    unlabelled_axes = band_axes(unlabelled_flux, WIDTHS, N_COMPONENTS)

    def networks(n_members: int = 1, **changes: Any) -> Any:
        return lambda seed: RegressorEnsemble(
            seed=seed, n_members=n_members, n_epochs=n_epochs, **changes
        )

    def code(seed: int) -> Any:
        autoencoder = SpectralAutoencoder(
            min(20, n_components),
            encoder="dense",
            decoder="dense",
            linear_path=True,
            max_epochs=max(1, n_epochs // 2),
            random_state=seed,
            **NETWORK,
        )
        head = PartialLabelRegressor(gaussian_process())
        return make_pipeline(FunctionTransformer(_pairs), autoencoder, head)

    return {
        "reference: PCA(30) and a Gaussian process": lambda seed: pca_gaussian_process(
            n_components
        ),
        "reference: the same, continuum divided out": lambda seed: make_pipeline(
            ContinuumNormalizer(window_pixels=300), pca_gaussian_process(n_components)
        ),
        "multi-scale kernel: a length for each of six scales, Student's t": lambda seed: (
            MultiScaleGP()
        ),
        "the same, components keep their own deviations": lambda seed: MultiScaleGP(exponent=1.0),
        "simulation: that kernel on axes of simulated spectra": lambda seed: MultiScaleGP(
            exponent=1.0, axes=simulated_axes
        ),
        "simulation: a network trained on it gives three inputs to the kernel": lambda seed: (
            WithReader(reader)
        ),
        "unlabelled stars: that kernel on axes of 180 other MILES stars": lambda seed: MultiScaleGP(
            exponent=1.0, axes=unlabelled_axes
        ),
        "unlabelled stars: SemiSupervisedVAE, dense, with those stars": lambda seed: WithUnlabelled(
            unlabelled_flux, n_epochs, seed
        ),
        "Gaussian process head on 20 codes of SpectralAutoencoder": code,
        "one SpectralRegressor": networks(),
        "augmentation: one SpectralRegressor, pixels hidden": networks(random_missing=0.2),
        "scaling: one SpectralRegressor, one scale for all pixels": networks(by_pixel=False),
        "ensemble: five SpectralRegressors": networks(n_members),
    }


def _pairs(flux: np.ndarray) -> np.ndarray:
    return mean_of_pixels(flux, 2)


def _read_simulation(flux: np.ndarray, labels: np.ndarray, n_epochs: int) -> SpectralRegressor:
    """Train a network on simulated spectra alone."""
    rng = np.random.default_rng(0)
    flux = _pairs(flux)
    flux = flux - flux.mean(axis=0) + SIMULATED_NOISE * rng.normal(size=flux.shape)
    reader = SpectralRegressor(
        encoder=SmallEncoder, max_epochs=n_epochs, learning_rate=2e-3, random_state=0, **NETWORK
    )
    return reader.fit(flux.astype(np.float32), labels)


class WithReader(RegressorMixin, BaseEstimator):
    """Kernel with one more band: labels as a network trained on simulation reads them."""

    def __init__(self, reader: SpectralRegressor):
        self.reader = reader

    def fit(self, X: np.ndarray, y: np.ndarray) -> "WithReader":
        # Mean spectra are taken off on both sides: the simulated one is not the real one.
        self.mean_ = X.mean(axis=0)
        read = self._read(X)
        self.centre_, self.scale_ = read.mean(axis=0), read.std(axis=0)
        self.process_ = MultiScaleGP().fit(X, y, extra=self._scaled(X))
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        return self.process_.predict(X, extra=self._scaled(X))

    def _scaled(self, X: np.ndarray) -> np.ndarray:
        return (self._read(X) - self.centre_) / self.scale_

    def _read(self, X: np.ndarray) -> np.ndarray:
        return self.reader.predict(_pairs(X - self.mean_).astype(np.float32)).astype(float)


class WithUnlabelled(RegressorMixin, BaseEstimator):
    """Semi-supervised autoencoder that also sees spectra without labels."""

    def __init__(self, unlabelled_flux: np.ndarray, n_epochs: int, seed: int):
        self.unlabelled_flux = unlabelled_flux
        self.n_epochs = n_epochs
        self.seed = seed

    def fit(self, X: np.ndarray, y: np.ndarray) -> "WithUnlabelled":
        flux = _pairs(np.concatenate([X, self.unlabelled_flux])).astype(np.float32)
        unknown = np.full((len(self.unlabelled_flux), y.shape[1]), np.nan)
        self.model_ = SemiSupervisedVAE(
            8,
            encoder="dense",
            decoder="dense",
            max_epochs=self.n_epochs,
            random_missing=0.0,
            random_state=self.seed,
            **NETWORK,
        ).fit(flux, np.concatenate([y, unknown]))
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        return self.model_.predict(_pairs(X).astype(np.float32))
