"""Autoencoders of `interventions.py`, and what moves a label along a line in any other code."""

import time
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from _harps import RVIS_WINDOW_AA
from _interventions_spectra import CHANGED, LABELS, Data, Sizes
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression

from specvae.estimators import SemiSupervisedVAE, SpectralVAE
from specvae.exceptions import CollapsedLatentsWarning
from specvae.inspection import (
    generative_intervention,
    latent_slope,
    radial_velocity_intervention,
)
from specvae.metrics import GenerativeScore, InterventionScore, rvis
from specvae.spectra import WavelengthGrid

__all__ = [
    "AE_MIX",
    "AE_REAL",
    "ALL_LATENTS",
    "BLANK",
    "INFO_VAE",
    "MEAN",
    "PCA_MIX",
    "SHIFTING",
    "TRUTH",
    "UNSUPERVISED",
    "MovedAlongLine",
    "Scores",
    "score_models",
    "score_of_constant",
    "score_of_truth",
    "with_free",
]

AE_REAL, AE_MIX, INFO_VAE = "AE (real)", "AE (mix)", "infoVAE (mix)"
UNSUPERVISED, ALL_LATENTS = "VAE (U), one latent", "VAE (U), all latents"
SHIFTING = "AE (mix), decoder shifts"
PCA_MIX = "PCA (mix), all components"
MEAN, BLANK, TRUTH = "mean spectrum", "blank continuum", "truth, not moved"
VELOCITIES_KMS = tuple(float(v) for v in np.linspace(-40.0, 40.0, 21) if v != 0.0)


@dataclass(frozen=True)
class Scores:
    """What one model does; `gis` by design and label, empty where not measured."""

    rvis: InterventionScore
    gis: dict[str, dict[str, GenerativeScore]]
    groups: np.ndarray  # of the test spectra
    reconstruction: np.ndarray | None = None  # (n_spectra,), mean |error|
    velocity_errors: np.ndarray | None = None  # (n_spectra,), km/s
    seconds: float = 0.0


class MovedAlongLine:
    """A code in which labels are moved along the directions in which they move all latents.

    Parameters
    ----------
    coder : fitted transformer with inverse_transform
    codes : ndarray of shape (n_spectra, n_latents)
    labels : DataFrame of shape (n_spectra, n_labels)
        Of the codes; directions are those of least squares on all labels together.
    """

    def __init__(self, coder: Any, codes: np.ndarray, labels: Any):
        self.coder = coder
        scatter = labels.std().to_numpy()
        fitted = LinearRegression().fit(labels.to_numpy() / scatter, codes)
        slopes = fitted.coef_ / scatter  # (n_latents, n_labels)
        self.slopes = dict(zip(labels.columns, slopes.T, strict=True))

    def transform(self, flux: np.ndarray) -> np.ndarray:
        return self.coder.transform(flux)

    def inverse_transform(self, codes: np.ndarray) -> np.ndarray:
        return self.coder.inverse_transform(codes)

    def intervene(self, flux: np.ndarray, label: str, delta: Any) -> np.ndarray:
        delta = np.broadcast_to(np.asarray(delta, dtype=np.float64), len(flux))
        moved = self.transform(flux) + delta[:, None] * self.slopes[label]
        return self.inverse_transform(moved.astype(np.float32))


def with_free(n_free: int, penalised: bool) -> str:
    return f"{n_free} free, {'zero penalty' if penalised else 'no penalty'}"


def score_models(data: Data, sizes: Sizes, seed: int, pretrained: dict[str, Any]) -> dict:
    """Train all autoencoders of a seed; return the scores of each by its name."""
    own, resnet = pretrained[sizes.decoder], pretrained["resnet"]
    mixed = {"decoder_pretrained": own, "n_free_latents": sizes.n_free}
    models = {
        AE_REAL: {"n_free_latents": sizes.n_free, "mixed": False},
        AE_MIX: mixed,
        f"{AE_MIX}, not pretrained": {**mixed, "decoder_pretrained": None},
        INFO_VAE: {
            "n_free_latents": sizes.n_codes - len(LABELS),
            "decoder_pretrained": own,
            "variational": True,
            "mutual_info_weight": 0.9,
            "mmd_weight": 1.0,
        },
        SHIFTING: {"n_free_latents": sizes.n_free, "velocity_label": "rv_kms"},
    }
    if resnet is not None and sizes.decoder != "resnet":
        models[f"{AE_MIX}, ResNet decoder"] = {
            **mixed, "decoder": "resnet", "decoder_pretrained": resnet
        }  # fmt: skip
    for n_free in sizes.free_sizes:
        for penalised in (True, False):
            # Where nothing is free there is nothing to penalise.
            if n_free or penalised:
                models[with_free(n_free, penalised)] = {
                    **mixed, "n_free_latents": n_free, "zero_weight": float(penalised)
                }  # fmt: skip
    same = with_free(sizes.n_free, True)
    models.pop(same, None)
    scores = {}
    for name, settings in models.items():
        scores[name] = score_autoencoder(data, sizes, seed, **settings)
        report(seed, name, scores[name])
    if sizes.n_free in sizes.free_sizes:
        scores[same] = scores[AE_MIX]  # the same model
    scores |= score_unsupervised(data, sizes, seed)
    for name in (UNSUPERVISED, ALL_LATENTS, PCA_MIX):
        report(seed, name, scores[name])
    return scores


def report(seed: int, name: str, scores: Scores) -> None:
    ratios = [score.ratio for of_design in scores.gis.values() for score in of_design.values()]
    found = " ".join(f"{ratio:.2f}" for ratio in ratios)
    print(
        f"  seed {seed} {name}: RVIS {scores.rvis.score:.4f}, over doing nothing "
        f"{scores.rvis.ratio:.2f}; GIS over doing nothing {found}; {scores.seconds:.0f} s",
        flush=True,
    )


def score_autoencoder(
    data: Data, sizes: Sizes, seed: int, *, mixed: bool = True, **settings: Any
) -> Scores:
    start = time.perf_counter()
    chosen = {"variational": False, "decoder": sizes.decoder, **settings}
    model = SemiSupervisedVAE(
        grid=sizes.grid,
        max_epochs=sizes.epochs,
        batch_size=sizes.batch_size,
        patience=None,
        random_missing=0.0,
        random_state=seed,
        **chosen,
    )
    simulated = (data.modelled.flux, data.modelled.labels) if mixed else None
    train = data.train
    model.fit(train.flux, train.labels[LABELS], groups=train.groups, simulated=simulated)
    seconds = time.perf_counter() - start
    velocity = model.predict(data.test.flux)[:, LABELS.index("rv_kms")]
    errors = np.abs(velocity - data.test.labels["rv_kms"].to_numpy())
    return evaluated(model, data, sizes, velocity_errors=errors, seconds=seconds)


def score_unsupervised(data: Data, sizes: Sizes, seed: int) -> dict[str, Scores]:
    """Score codes without labels: moved in one latent as published, or in all of them."""
    start = time.perf_counter()
    train = data.train
    model = SpectralVAE(
        sizes.n_codes,
        decoder=sizes.decoder,
        grid=sizes.grid,
        kl_weight=1e-4,
        max_epochs=sizes.epochs,
        batch_size=sizes.batch_size,
        patience=None,
        random_state=seed,
    )
    with warnings.catch_warnings(action="ignore", category=CollapsedLatentsWarning):
        model.fit(train.flux, groups=train.groups)
    seconds = time.perf_counter() - start
    codes, labels = model.transform(train.flux), train.labels[LABELS]
    latent, slope = velocity_latent(codes, labels["rv_kms"].to_numpy())
    one = radial_velocity_intervention(
        model,
        data.test.flux,
        latent=latent,
        slope=slope,
        window_aa=RVIS_WINDOW_AA,
        grid=sizes.grid,
        groups=data.test.groups,
    )
    flux = np.vstack([train.flux, data.modelled.flux])
    components = PCA(min(sizes.n_codes, len(flux) - 1), random_state=0).fit(flux)
    of_both = pd.concat([labels, data.modelled.labels[LABELS]], ignore_index=True)
    on_line = MovedAlongLine(model, codes, labels)
    pca = MovedAlongLine(components, components.transform(flux), of_both)
    return {
        UNSUPERVISED: Scores(one, {}, data.test.groups, seconds=seconds),
        ALL_LATENTS: evaluated(on_line, data, sizes, seconds=seconds),
        PCA_MIX: evaluated(pca, data, sizes),
    }


def velocity_latent(codes: np.ndarray, velocity_kms: np.ndarray) -> tuple[int, float]:
    """Return the latent that follows the velocity best, by correlation, and its slope."""
    spread = codes.std(axis=0)
    alive = np.where(spread > 0.0, spread, 1.0)
    centred = (codes - codes.mean(axis=0)) / alive
    correlation = np.abs(centred.T @ (velocity_kms - velocity_kms.mean()))
    latent = int(np.argmax(correlation))
    return latent, latent_slope(codes[:, latent], velocity_kms)


def evaluated(
    model: Any,
    data: Data,
    sizes: Sizes,
    *,
    velocity_errors: np.ndarray | None = None,
    seconds: float = 0.0,
) -> Scores:
    """Score a model that can move labels: RVIS on the archive, GIS on both designs."""
    test = data.test
    score = radial_velocity_intervention(
        model, test.flux, window_aa=RVIS_WINDOW_AA, grid=sizes.grid, groups=test.groups
    )
    changed = {
        name: {
            label: generative_intervention(
                model, each.flux, each.design, label, truth=each.flux
            ).score
            for label in CHANGED
        }
        for name, each in data.designed.items()
    }
    drawn = model.inverse_transform(model.transform(test.flux))
    errors = np.abs(drawn - test.flux).mean(axis=1)
    return Scores(score, changed, test.groups, errors, velocity_errors, seconds)


def score_of_constant(data: Data, sizes: Sizes) -> dict[str, Scores]:
    """Score a decoder that draws the same spectrum whatever the code."""
    n_spectra = len(data.test.flux)
    found = {}
    for name, flux in (
        (MEAN, data.train.flux.mean(axis=0)),
        (BLANK, np.ones(sizes.n_pixels, dtype=np.float32)),
    ):
        drawn = np.broadcast_to(flux, (n_spectra, sizes.n_pixels))
        moved = (drawn for _ in VELOCITIES_KMS)
        score = rvis(
            sizes.grid,
            drawn,
            moved,
            VELOCITIES_KMS,
            window_aa=RVIS_WINDOW_AA,
            groups=data.test.groups,
        )
        errors = np.abs(drawn - data.test.flux).mean(axis=1)
        found[name] = Scores(score, {}, data.test.groups, errors)
    return found


def score_of_truth(grid: WavelengthGrid, flux: np.ndarray) -> InterventionScore:
    """Score true spectra that are not moved at all."""
    moved = (flux for _ in VELOCITIES_KMS)
    return rvis(grid, flux, moved, VELOCITIES_KMS, window_aa=RVIS_WINDOW_AA)
