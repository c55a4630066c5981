"""Decoders alone, of table 7, and what needs no network: labels in, spectrum out."""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from _interventions_spectra import Data, Sizes
from sklearn.compose import TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LinearRegression
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from specvae.estimators import SpectralSimulator
from specvae.networks import DopplerShift
from specvae.spectra import WavelengthGrid

__all__ = ["CNN", "MORE_CNN", "RESNET", "AtRest", "DecoderScore", "score_decoders", "simulator"]

VELOCITY = "rv_kms"
CNN, MORE_CNN, RESNET = "CNN", "CNN, more epochs", "ResNet"
DENSE = "dense"


@dataclass(frozen=True)
class DecoderScore:
    """Errors of one decoder on the test spectra of the forward model."""

    errors: np.ndarray  # (n_spectra,), mean |predicted - noise-free|
    errors_noisy: np.ndarray  # (n_spectra,), mean |predicted - noisy|
    groups: np.ndarray  # (n_spectra,)
    seconds: float
    n_epochs: int | None = None
    n_parameters: int | None = None


class AtRest:
    """A decoder that sees all spectra at rest and is shifted by the velocity afterwards.

    Parameters
    ----------
    decoder : regressor
        From labels without velocity to spectra.
    grid : WavelengthGrid
    """

    def __init__(self, decoder: Any, grid: WavelengthGrid):
        self.decoder = decoder
        self.shift = DopplerShift(torch.from_numpy(grid.wavelength_aa), grid.step)

    def fit(self, labels: pd.DataFrame, flux: np.ndarray) -> "AtRest":
        at_rest = self._shifted(flux, -labels[VELOCITY])
        self.decoder.fit(labels.drop(columns=VELOCITY), at_rest)
        return self

    def predict(self, labels: pd.DataFrame) -> np.ndarray:
        return self._shifted(self.decoder.predict(labels.drop(columns=VELOCITY)), labels[VELOCITY])

    def _shifted(self, flux: np.ndarray, velocity_kms: pd.Series) -> np.ndarray:
        velocities = torch.from_numpy(velocity_kms.to_numpy(dtype=np.float32))
        return self.shift(torch.from_numpy(flux.astype(np.float32)), velocities).numpy()


def simulator(sizes: Sizes, decoder: str, epochs: int, seed: int) -> SpectralSimulator:
    return SpectralSimulator(
        decoder=decoder,
        max_epochs=epochs,
        patience=None,
        batch_size=sizes.batch_size,
        random_state=seed,
    )


def polynomial(n_components: int) -> TransformedTargetRegressor:
    """Return principal components of the flux as quadratic functions of the labels."""
    quadratic = make_pipeline(StandardScaler(), PolynomialFeatures(2), LinearRegression())
    components = PCA(n_components, random_state=0)
    return TransformedTargetRegressor(quadratic, transformer=components, check_inverse=False)


def nearest() -> Any:
    return make_pipeline(StandardScaler(), KNeighborsRegressor(1))


def score_decoders(
    data: Data, sizes: Sizes, seed: int
) -> tuple[dict[str, DecoderScore], dict[str, Any]]:
    """Train all decoders; return their scores, and those fitted to all labels as published."""
    grid = sizes.grid
    n_components = min(32, len(data.decoder_train.flux) - 1, sizes.n_pixels)
    few, many, most = sizes.epochs_decoder, sizes.more_epochs, sizes.epochs_pretraining
    decoders = {
        "mean spectrum": DummyRegressor(),
        "nearest in labels": nearest(),
        "PCA(32), quadratic": polynomial(n_components),
        CNN: simulator(sizes, "conv", few, seed),
        MORE_CNN: simulator(sizes, "conv", many, seed),
        RESNET: simulator(sizes, "resnet", few, seed),
        DENSE: simulator(sizes, "dense", most, seed),
        "nearest in labels, at rest": AtRest(nearest(), grid),
        "PCA(32), quadratic, at rest": AtRest(polynomial(n_components), grid),
        "CNN, at rest": AtRest(simulator(sizes, "conv", few, seed), grid),
        "dense, at rest": AtRest(simulator(sizes, "dense", most, seed), grid),
    }
    if seed not in sizes.decoder_seeds:
        needed = {DENSE: decoders[DENSE], RESNET: decoders[RESNET]}
        decoders = {name: each for name, each in needed.items() if name.lower() == sizes.decoder}
    scores = {name: score_decoder(decoder, data) for name, decoder in decoders.items()}
    for name, score in scores.items():
        print(f"  seed {seed} decoder {name}: {score.errors.mean():.4f}, {score.seconds:.0f} s",
              flush=True)  # fmt: skip
    return scores, {"dense": decoders.get(DENSE), "resnet": decoders.get(RESNET)}


def score_decoder(decoder: Any, data: Data) -> DecoderScore:
    start = time.perf_counter()
    decoder.fit(data.decoder_train.labels, data.decoder_train.flux)
    seconds = time.perf_counter() - start
    predicted = decoder.predict(data.decoder_test.labels)
    network = getattr(decoder, "decoder", decoder) if isinstance(decoder, AtRest) else decoder
    is_network = isinstance(network, SpectralSimulator)
    parameters = network.net_.module_.parameters() if is_network else ()
    return DecoderScore(
        errors=np.abs(predicted - data.decoder_test.flux).mean(axis=1),
        errors_noisy=np.abs(predicted - data.decoder_noisy).mean(axis=1),
        groups=data.decoder_test.groups,
        seconds=seconds,
        n_epochs=network.n_iter_ if is_network else None,
        n_parameters=sum(each.numel() for each in parameters) if is_network else None,
    )
