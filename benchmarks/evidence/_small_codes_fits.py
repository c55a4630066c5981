"""Fit what makes small codes, and measure codes and drawn spectra of test stars."""

import time
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from _small_codes_gplvm import GaussianProcessLatents
from _small_codes_measures import Measured, caused_within, explained, shares_drawn
from _small_codes_spectra import Split, as_seen
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA, KernelPCA
from sklearn.metrics import pairwise_distances

from specvae.estimators import SpectralAutoencoder, SpectralVAE
from specvae.exceptions import CollapsedLatentsWarning
from specvae.metrics import mean_by_star, repeat_consistency, telluric_rejection

if TYPE_CHECKING:
    from small_codes import Sizes

__all__ = [
    "AE",
    "ARCHIVE",
    "CONV",
    "DENSE",
    "FACTORS",
    "N_LATENTS",
    "SEVERAL",
    "VAE",
    "measure_codes",
    "measure_tellurics",
]

FACTORS = {
    "tilt": "continuum_tilt",
    "ripple": "blaze_residual",
    "Teff": "teff_k",
    "velocity": "rv_kms",
}
DENSE, CONV = "dense autoencoder, 2", "conv autoencoder, 8"
BROAD_PIXELS = 50.0  # 14 Angstrom at 11,000 channels: between metal lines and Balmer wings
AE, VAE = "conv autoencoder", "conv VAE"
FROM_PCA = "conv autoencoder from PCA"  # linear_path=True
N_LATENTS = (2, 8, 32)
SEVERAL = (8, 32)  # "8 or above"
KL_WEIGHT = 1e-5
ARCHIVE = "archive"
# Standard deviations at which depths are measured: twice that of the lines of these spectra; and
# what hides a blur by velocities of 25 km/s, about the largest that a model asked for on the stars
# to choose on.
SMOOTHINGS_AA = {"narrow": 0.125, "wide": 0.5}


def kernel_components(flux: np.ndarray) -> KernelPCA:
    """Return a Gaussian kernel as wide as the typical distance of spectra."""
    distance = np.median(pairwise_distances(flux))
    return KernelPCA(2, kernel="rbf", gamma=0.5 / distance**2, random_state=0)


def coders(sizes: "Sizes", flux: np.ndarray, prepared: str, seed: int) -> dict[str, Any]:
    """Return unfitted estimators by name."""
    networks = {"random_state": seed, "device": sizes.device, "n_threads": 1}
    dense = SpectralAutoencoder(
        2, encoder="dense", decoder="dense", max_epochs=sizes.dense_epochs, **networks
    )
    found = {
        "PCA, 2": PCA(2, random_state=0),
        "kernel PCA, 2": kernel_components(flux),
        "GPLVM, 2": GaussianProcessLatents(2),
        DENSE: dense,
    }
    if prepared == "median":
        conv = SpectralAutoencoder(8, max_epochs=sizes.conv_epochs, **networks)
        found |= {"PCA, 8": PCA(8, random_state=0), CONV: conv}
    return found


def measure_codes(sizes: "Sizes", split: Split, prepared: str, seed: int) -> dict[str, Any]:
    """Fit all on the training spectra of one seed; figures of the test spectra by name."""
    unit = float(np.median(split.train.flux))
    flux, _ = as_seen(split.train, prepared, unit)
    seen, noiseless = as_seen(split.test, prepared, unit)
    changed = {name: as_seen(each, prepared, unit)[0] for name, each in split.changed.items()}
    groups, causes = split.test.groups, split.test.causes
    seconds: dict[str, float] = {}
    results = {}
    for name, coder in coders(sizes, flux, prepared, seed).items():
        some = flux[: sizes.n_gplvm] if isinstance(coder, GaussianProcessLatents) else flux
        start = time.perf_counter()
        coder.fit(some)
        seconds[name] = time.perf_counter() - start
        codes = np.asarray(coder.transform(seen), dtype=float)
        repeats = repeat_consistency(codes, groups, n_permutations=0)
        result = {
            "distance": Measured(repeats.distance_ratio, repeats.distance_ratio_error),
            "own nearest": Measured(repeats.own_nearest, repeats.own_nearest_error),
            "chance": repeats.own_nearest_chance,
            "R2": {key: explained(codes, causes[each], groups) for key, each in FACTORS.items()},
            "caused": {
                cause: caused_within(codes, np.asarray(coder.transform(each), dtype=float), groups)
                for cause, each in changed.items()
            },
            "to PCA": seconds[name] / seconds["PCA, 2"],
            "seconds": seconds[name],
        }
        if hasattr(coder, "inverse_transform") and not isinstance(coder, KernelPCA):
            drawn = np.asarray(coder.inverse_transform(codes), dtype=float)
            result["drawn"] = shares_drawn(
                noiseless, drawn, flux.mean(axis=0), groups, BROAD_PIXELS
            )
        results[name] = result
        print(f"seed {seed}, {prepared}, {name}: {seconds[name]:.1f} s", flush=True)
    return results


class ConstantSpectrum(BaseEstimator):
    """Draws the mean of the training spectra, whatever it is given: what a code adds nothing to."""

    def fit(self, X, y=None):
        self.mean_ = X.mean(axis=0)
        return self

    def transform(self, X):
        return np.zeros((len(X), 1))

    def inverse_transform(self, X):
        return np.repeat(self.mean_[None], len(X), axis=0)


def fine_models(sizes: "Sizes", frame: str, seed: int) -> dict[tuple[str, int], Any]:
    """Return unfitted estimators that draw spectra, by kind and length of the code."""
    networks = {
        "random_state": seed,
        "device": sizes.device,
        "n_threads": 1,
        "max_epochs": sizes.fine_epochs,
    }
    kinds = {
        "PCA": lambda n: PCA(n, random_state=0),
        AE: lambda n: SpectralAutoencoder(n, **networks),
        FROM_PCA: lambda n: SpectralAutoencoder(n, linear_path=True, **networks),
        VAE: lambda n: SpectralVAE(n, kl_weight=KL_WEIGHT, **networks),
    }
    lengths = {"PCA": N_LATENTS, AE: N_LATENTS, FROM_PCA: (8,), VAE: SEVERAL}
    if frame != ARCHIVE:
        lengths = {"PCA": (8,), AE: (8,)}
    return {("constant", 0): ConstantSpectrum()} | {
        (kind, n): kinds[kind](n) for kind, several in lengths.items() for n in several
    }


def measure_tellurics(
    sizes: "Sizes", split: Split, frame: str, seed: int
) -> dict[tuple[str, int], Any]:
    """Fit and draw with all models of one seed; what they draw of both kinds of lines."""
    flux, _ = as_seen(split.train, "median", 1.0)
    seen, noiseless = as_seen(split.test, "median", 1.0)
    groups = split.test.groups
    results = {}
    for (kind, n_latents), model in fine_models(sizes, frame, seed).items():
        # Networks keep all spectra of a star on one side of their validation.
        fit_options = {"groups": split.train.groups} if kind in (AE, FROM_PCA, VAE) else {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CollapsedLatentsWarning)
            model.fit(flux, **fit_options)
        drawn = np.asarray(model.inverse_transform(model.transform(seen)), dtype=float)
        results[kind, n_latents] = {
            "error": by_star(np.abs(drawn - noiseless).mean(axis=1), groups),
            **{
                name: rejection_of(
                    noiseless, drawn, split.transmission, groups, width_aa / sizes.fine_grid.step
                )
                for name, width_aa in SMOOTHINGS_AA.items()
            },
        }
        print(f"seed {seed}, {frame}, {kind}, {n_latents} latents", flush=True)
    return results


def rejection_of(
    flux: np.ndarray,
    drawn: np.ndarray,
    transmission: np.ndarray,
    groups: np.ndarray,
    smoothing_pixels: float | None,
) -> dict[str, Measured]:
    """Rejection and the slopes behind it; NaN where the metric has no answer."""
    nothing = Measured(np.nan, np.nan)
    try:
        result = telluric_rejection(
            flux, drawn, transmission, groups=groups, smoothing_pixels=smoothing_pixels
        )
    except ValueError as error:
        if "no spectrum can be judged" not in str(error):
            raise
        return {"rejection": nothing, "telluric": nothing, "stellar": nothing}
    return {
        "rejection": Measured(result.rejection, result.standard_error),
        "telluric": by_star(result.telluric_slope, groups),
        "stellar": by_star(result.stellar_slope, groups),
    }


def by_star(values: np.ndarray, groups: np.ndarray) -> Measured:
    result = mean_by_star(values, groups)
    return Measured(float(result.mean[0]), float(result.standard_error[0]))
