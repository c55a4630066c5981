"""Small networks for a few hundred spectra: plain ensembles, and an encoder for specvae."""

from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from specvae.estimators import SpectralRegressor

__all__ = ["PlainNetworks", "RegressorEnsemble", "SmallEncoder", "mean_of_pixels", "small_cnn"]

N_HIDDEN = 64
DROPOUT = 0.2


def mean_of_pixels(flux: np.ndarray, n_pixels: int) -> np.ndarray:
    """Means of successive pixels; those that are left over at the end are dropped."""
    n_means = flux.shape[1] // n_pixels
    return flux[:, : n_means * n_pixels].reshape(len(flux), n_means, n_pixels).mean(axis=2)


def small_cnn(n_pixels: int, n_outputs: int) -> nn.Sequential:
    """Three convolutions with stride 4, then one hidden layer."""
    layers: list[nn.Module] = [nn.Unflatten(1, (1, n_pixels))]
    n_channels = 1
    for width in (16, 32, 32):
        layers += [nn.Conv1d(n_channels, width, 9, stride=4, padding=4), nn.ReLU()]
        n_channels, n_pixels = width, (n_pixels - 1) // 4 + 1
    hidden = [nn.Dropout(DROPOUT), nn.Linear(n_channels * n_pixels, N_HIDDEN), nn.ReLU()]
    return nn.Sequential(
        *layers, nn.Flatten(), *hidden, nn.Dropout(DROPOUT), nn.Linear(N_HIDDEN, n_outputs)
    )


def small_mlp(n_pixels: int, n_outputs: int) -> nn.Sequential:
    """Two hidden layers."""
    return nn.Sequential(
        *(nn.Linear(n_pixels, 128), nn.GELU(), nn.Dropout(DROPOUT)),
        *(nn.Linear(128, N_HIDDEN), nn.GELU(), nn.Dropout(DROPOUT)),
        nn.Linear(N_HIDDEN, n_outputs),
    )


class SmallEncoder(nn.Module):
    """The same convolutions as an encoder of `SpectralRegressor`."""

    def __init__(self, n_pixels: int, n_outputs: int, *, n_conditions: int = 0):
        super().__init__()
        self.layers = small_cnn(n_pixels, n_outputs)

    def forward(self, flux: Tensor, conditions: Tensor | None = None) -> Tensor:
        return self.layers(flux)  # (batch, n_outputs)


class PlainNetworks(RegressorMixin, BaseEstimator):
    """Mean of several networks that differ by their seed; absolute error, AdamW, one cycle.

    Parameters
    ----------
    kind : {"cnn", "mlp"}
    seed : int, default=0
    n_members, n_epochs, batch_size : int
    learning_rate : float
    """

    def __init__(
        self,
        kind: str = "cnn",
        seed: int = 0,
        n_members: int = 5,
        n_epochs: int = 100,
        batch_size: int = 32,
        learning_rate: float = 2e-3,
    ):
        self.kind = kind
        self.seed = seed
        self.n_members = n_members
        self.n_epochs = n_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate

    def fit(self, X: np.ndarray, y: np.ndarray) -> "PlainNetworks":
        flux = mean_of_pixels(np.asarray(X), 2)
        self.input_ = flux.mean(axis=0), flux.std(axis=0)
        self.output_ = np.nanmean(y, axis=0), np.nanstd(y, axis=0)
        x, target = self._scaled(flux), torch.as_tensor((y - self.output_[0]) / self.output_[1])
        seeds = range(self.n_members * self.seed, self.n_members * (self.seed + 1))
        self.networks_ = [self._train(x, target.float(), seed) for seed in seeds]
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        x = self._scaled(mean_of_pixels(np.asarray(X), 2))
        with torch.no_grad():
            scaled = torch.stack([network(x) for network in self.networks_]).mean(dim=0)
        return scaled.numpy() * self.output_[1] + self.output_[0]

    def _scaled(self, flux: np.ndarray) -> Tensor:
        return torch.as_tensor((flux - self.input_[0]) / self.input_[1], dtype=torch.float32)

    def _train(self, x: Tensor, target: Tensor, seed: int) -> nn.Module:
        make = {"cnn": small_cnn, "mlp": small_mlp}[self.kind]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = make(x.shape[1], target.shape[1])
            optimiser = torch.optim.AdamW(network.parameters(), weight_decay=1e-3)
            n_batches = -(-len(x) // self.batch_size)
            cycle = torch.optim.lr_scheduler.OneCycleLR(
                optimiser, self.learning_rate, total_steps=self.n_epochs * n_batches
            )
            for _ in range(self.n_epochs):
                for rows in torch.randperm(len(x)).split(self.batch_size):
                    optimiser.zero_grad()
                    _absolute_error(network(x[rows]), target[rows]).backward()
                    optimiser.step()
                    cycle.step()
        return network.eval()


def _absolute_error(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean over the known labels."""
    known = ~target.isnan()
    return (predicted - target.nan_to_num()).abs()[known].mean()


class RegressorEnsemble(RegressorMixin, BaseEstimator):
    """Mean of several `SpectralRegressor` that differ by their seed.

    Parameters
    ----------
    by_pixel : bool, default=True
        Give every pixel unit variance in the training rows; else one scale serves all pixels.
    seed : int, default=0
    n_members, n_epochs, batch_size : int
    random_missing : float, default=0.0
        Augmentation: share of the pixels hidden in training.
    """

    def __init__(
        self,
        by_pixel: bool = True,
        seed: int = 0,
        n_members: int = 5,
        n_epochs: int = 60,
        batch_size: int = 32,
        random_missing: float = 0.0,
    ):
        self.by_pixel = by_pixel
        self.seed = seed
        self.n_members = n_members
        self.n_epochs = n_epochs
        self.batch_size = batch_size
        self.random_missing = random_missing

    def fit(self, X: np.ndarray, y: np.ndarray) -> "RegressorEnsemble":
        flux = mean_of_pixels(np.asarray(X, dtype=np.float32), 2)
        seeds = range(self.n_members * self.seed, self.n_members * (self.seed + 1))
        self.members_ = [self._member(seed).fit(flux, y) for seed in seeds]
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        flux = mean_of_pixels(np.asarray(X, dtype=np.float32), 2)
        return np.mean([member.predict(flux) for member in self.members_], axis=0)

    def _member(self, seed: int) -> Any:
        regressor = SpectralRegressor(
            encoder=SmallEncoder,
            random_missing=self.random_missing,
            max_epochs=self.n_epochs,
            batch_size=self.batch_size,
            learning_rate=2e-3,
            # A few hundred stars are too few to lay some aside; the one cycle ends by itself.
            validation_fraction=0.0,
            patience=None,
            device="cpu",
            random_state=seed,
        )
        return make_pipeline(StandardScaler(), regressor) if self.by_pixel else regressor
