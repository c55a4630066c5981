"""The fits of label_recovery: which rows and labels each sees, and what it predicts."""

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from _baselines import constant, pca_gaussian_process, pca_least_squares
from _harps import Spectra
from sklearn.exceptions import ConvergenceWarning

from specvae.estimators import (
    PartialLabelRegressor,
    SemiSupervisedVAE,
    SpectralRegressor,
    SpectralVAE,
)
from specvae.exceptions import CollapsedLatentsWarning

ALL, TENTH, OF_LABELS, OF_STARS = "100 %", "10 % of labels", "1 % of labels", "1 % of stars"
WAYS = (ALL, TENTH, OF_LABELS, OF_STARS)
UNSUPERVISED = "beta-VAE code + OLS"
ZERO = "AE, u to zero"
# So few labels that a fit must stay possible, at the smallest size.
FEWEST_STARS, FEWEST_LABELS = 4, 8
MOST_EPOCHS = 600


@dataclass(frozen=True)
class Settings:
    """What the models are given."""

    visits: int  # spectra shown to a network in all, whatever their number
    gp_rows: int  # a Gaussian process takes no more
    unsupervised_latents: int = 128
    free_latents: int = 3
    info_latents: int = 26
    decoder: str = "conv"
    learning_rate: float = 1e-2
    random_missing: float = 0.0
    validation_fraction: float = 0.1
    labelled_share: float = 0.5
    label_weight: float = 2.0
    kl_weight: float = 1e-4
    mutual_info_weight: float = 0.9
    mmd_weight: float = 0.01
    unsupervised_kl_weight: float = 1e-5


@dataclass(frozen=True)
class Fit:
    """One model, the spectra that it is trained on, and how many of the real ones have labels."""

    model: str
    data: str  # "real", "mix" or "ETC"
    labels: str

    @property
    def name(self) -> str:
        return f"{self.model} ({self.data})"


@dataclass(frozen=True)
class Sky:
    """The stars of one seed."""

    seed: int
    train: Spectra
    test: Spectra
    modelled: Spectra
    known: dict[str, pd.DataFrame]  # labels of the training spectra, NaN where withheld
    mad: np.ndarray  # (n_labels,) median absolute deviation over the training stars


class Pairs:
    """Simulated rows as a data set: given as arrays, a label that all of them lack is refused."""

    def __init__(self, spectra: Spectra):
        self.flux = spectra.flux
        self.labels = spectra.labels.to_numpy(np.float32)
        self.label_names = list(spectra.labels)

    def __len__(self) -> int:
        return len(self.flux)

    def __getitems__(self, rows: list[int]) -> list[tuple[np.ndarray, np.ndarray]]:
        return [(self.flux[row], self.labels[row]) for row in rows]


@dataclass(frozen=True)
class Outcome:
    """Absolute errors on the test spectra; NaN for a label that the model does not predict."""

    errors: np.ndarray  # (n_test, n_labels)
    epochs: int
    seconds: float


def all_fits() -> list[Fit]:
    """Return every fit of a seed, the baselines first."""
    both = [(data, labels) for labels in WAYS for data in ("real", "mix")]
    fits = [Fit("constant", "real", labels) for labels in WAYS]
    fits += [Fit("PCA(32)+OLS", *each) for each in both]
    fits += [Fit("PCA(30)+GP", "real", labels) for labels in WAYS]
    fits += [Fit(UNSUPERVISED, "real", ALL), Fit("CNN", "ETC", ALL)]
    fits += [Fit(model, *each) for model in ("CNN", "AE") for each in both]
    fits += [Fit(ZERO, "mix", labels) for labels in WAYS]
    return [*fits, Fit("infoVAE", "mix", ALL)]


def make_sky(spectra: Spectra, modelled: Spectra, seed: int) -> Sky:
    """Split by star, a fifth for the test, and withhold labels."""
    rng = np.random.default_rng(seed)
    stars = rng.permutation(np.unique(spectra.groups))
    is_test = np.isin(spectra.groups, stars[: len(stars) // 5])
    train = spectra.rows(~is_test)
    known = {
        ALL: train.labels,
        TENTH: keep_labels(train.labels, 0.1, rng),
        OF_LABELS: keep_labels(train.labels, 0.01, rng),
        OF_STARS: keep_stars(train.labels, train.groups, 0.01, rng),
    }
    # One spectrum of each star: a few stars have most of the spectra.
    one_each = train.labels.iloc[np.unique(train.groups, return_index=True)[1]]
    mad = (one_each - one_each.median()).abs().median().to_numpy()
    return Sky(seed, train, spectra.rows(is_test), modelled, known, mad)


def keep_stars(
    labels: pd.DataFrame, groups: np.ndarray, share: float, rng: np.random.Generator
) -> pd.DataFrame:
    """Keep all labels of a share of the stars, none of the others."""
    stars = rng.permutation(np.unique(groups))
    kept = stars[: max(FEWEST_STARS, round(share * len(stars)))]
    return labels.where(pd.Series(np.isin(groups, kept)), axis=0)


def keep_labels(labels: pd.DataFrame, share: float, rng: np.random.Generator) -> pd.DataFrame:
    """Keep a share of the values of each label, spectrum by spectrum, as published."""
    n_kept = max(FEWEST_LABELS, round(share * len(labels)))
    kept = np.argsort(rng.random(labels.shape), axis=0).argsort(axis=0) < n_kept
    return labels.where(kept)


def training_rows(sky: Sky, fit: Fit) -> Spectra:
    """Return the flux, labels and stars that a fit sees; modelled stars are none of the real."""
    real = Spectra(sky.train.flux, sky.known[fit.labels], sky.train.groups)
    if fit.data == "real":
        return real
    if fit.data == "ETC":
        # BERV is not modelled: a label that no row has.
        return Spectra(
            sky.modelled.flux, sky.modelled.labels.dropna(axis=1, how="all"), sky.modelled.groups
        )
    return Spectra(
        np.concatenate([real.flux, sky.modelled.flux]),
        pd.concat([real.labels, sky.modelled.labels], ignore_index=True),
        np.concatenate([real.groups, sky.modelled.groups]),
    )


def evaluate(sky: Sky, fit: Fit, settings: Settings) -> Outcome:
    """Train once and predict the test spectra."""
    torch.set_num_threads(1)
    start = time.perf_counter()
    rows = training_rows(sky, fit)
    with warnings.catch_warnings():
        # Bounds of the kernel, of which few labels say nothing; unused latents of 128.
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", CollapsedLatentsWarning)
        predict, epochs = _PREDICTORS.get(fit.model, _network)(rows, fit, sky.seed, settings)
    errors = np.full(sky.test.labels.shape, np.nan)
    columns = [sky.test.labels.columns.get_loc(name) for name in rows.labels]
    truth = sky.test.labels[list(rows.labels)].to_numpy()
    errors[:, columns] = np.abs(predict(sky.test.flux) - truth)
    seconds = time.perf_counter() - start
    print(
        f"  seed {sky.seed} {fit.name:26s} {fit.labels:13s} {epochs:4d} epochs {seconds:5.1f} s "
        + " ".join(f"{error:.3g}" for error in errors.mean(axis=0)),
        flush=True,
    )
    return Outcome(errors, epochs, seconds)


Predict = Callable[[np.ndarray], np.ndarray]


def _constant(rows: Spectra, fit: Fit, seed: int, settings: Settings) -> tuple[Predict, int]:
    return constant().fit(rows.flux, rows.labels).predict, 0


def _least_squares(rows: Spectra, fit: Fit, seed: int, settings: Settings) -> tuple[Predict, int]:
    """Components of all training spectra, a third as many as the rarest label has values."""
    n_known = int(rows.labels.notna().sum().min())
    model = pca_least_squares(min(32, max(1, n_known // 3)))
    return model.fit(rows.flux, rows.labels).predict, 0


def _process(rows: Spectra, fit: Fit, seed: int, settings: Settings) -> tuple[Predict, int]:
    """Components of all training spectra; at most so many values of each label, of many stars."""
    index = np.arange(len(rows.flux))

    def of_few(label: pd.Series) -> pd.Series:
        known = np.flatnonzero(label.notna())
        return label.where(np.isin(index, one_per_star(known, rows.groups, settings.gp_rows)))

    model = pca_gaussian_process(min(30, len(rows.flux)))
    return model.fit(rows.flux, rows.labels.apply(of_few)).predict, 0


def one_per_star(rows: np.ndarray, groups: np.ndarray, n_most: int) -> np.ndarray:
    """Return at most so many rows, of as many stars as possible."""
    order = np.random.default_rng(0).permutation(rows)
    turn = pd.Series(groups[order]).groupby(groups[order]).cumcount().to_numpy()
    return np.sort(order[np.argsort(turn, kind="stable")[: max(0, n_most)]])


def _unsupervised(rows: Spectra, fit: Fit, seed: int, settings: Settings) -> tuple[Predict, int]:
    """Least squares on the code of a network that saw no label."""
    model = SpectralVAE(
        settings.unsupervised_latents,
        kl_weight=settings.unsupervised_kl_weight,
        **_common(len(rows.flux), seed, settings),
    )
    codes = model.fit(rows.flux, groups=rows.groups).transform(rows.flux)
    linear = PartialLabelRegressor().fit(codes, rows.labels)
    return lambda flux: linear.predict(model.transform(flux)), model.n_iter_


def _network(rows: Spectra, fit: Fit, seed: int, settings: Settings) -> tuple[Predict, int]:
    n_labelled = int(rows.labels.notna().any(axis=1).sum())
    model: Any
    if fit.model == "CNN":
        model = SpectralRegressor(
            random_missing=settings.random_missing, **_common(n_labelled, seed, settings)
        )
    else:
        is_info = fit.model == "infoVAE"
        model = SemiSupervisedVAE(
            settings.info_latents if is_info else settings.free_latents,
            variational=is_info,
            decoder=settings.decoder,
            random_missing=settings.random_missing,
            labelled_share=settings.labelled_share,
            label_weight=settings.label_weight,
            kl_weight=settings.kl_weight,
            mutual_info_weight=settings.mutual_info_weight if is_info else 0.0,
            mmd_weight=settings.mmd_weight if is_info else 0.0,
            **_common(len(rows.flux), seed, settings),
        )
    if fit.model == ZERO:
        # As published: one ETC row for each real one, its free latents drawn to zero.
        is_real = rows.groups >= 0
        real, etc = rows.rows(is_real), rows.rows(~is_real)
        model.set_params(max_epochs=max(1, round(settings.visits / (2 * len(real.flux)))))
        model.fit(real.flux, real.labels, groups=real.groups, simulated=Pairs(etc))
    else:
        model.fit(rows.flux, rows.labels, groups=rows.groups)
    return model.predict, model.n_iter_


def _common(n_spectra: int, seed: int, settings: Settings) -> dict[str, Any]:
    """Return as many epochs as show a network the same number of spectra, few or many."""
    epochs = min(MOST_EPOCHS, max(1, round(settings.visits / n_spectra)))
    return {
        "max_epochs": epochs,
        "patience": max(5, epochs // 2),
        "learning_rate": settings.learning_rate,
        "validation_fraction": settings.validation_fraction,
        "random_state": seed,
    }


_PREDICTORS = {
    "constant": _constant,
    "PCA(32)+OLS": _least_squares,
    "PCA(30)+GP": _process,
    UNSUPERVISED: _unsupervised,
}
