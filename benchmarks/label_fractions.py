"""How many labelled stars are enough: supervised, semi-supervised and unsupervised networks.

About 3,000 simulated spectra of 400 stars of the catalogue design, 4,096 pixels of 0.1 Angstrom
around H-beta and Mg b as HARPS sees them. For each seed a fifth of the stars is the test; of the
others 1, 10 or 100 % have labels, chosen star by star, and a fifth watches (for the variational
autoencoder a tenth). Every model sees every
training spectrum, labelled or not, if it can use it. Errors are mean absolute errors over test
stars, each star counting once; "normalised" is the mean over labels of the ratio to the constant
predictor's. Settings were chosen on seeds 100 and 101: other splits of the same 400 stars, so that
most of the stars reported had a part in that choice, by their errors or in training.

Beside: the linear probe of the 128-latent VAE, which sees no label, against PCA(128) + least
squares and the constant predictor; and how predictions change when a fifth of the pixels and 30
Angstrom are missing; and, on a shorter and larger set, how many stars the stated intervals hold.
Run ``python benchmarks/label_fractions.py [--seeds 0 1 2] [--epochs 60]``; it
writes benchmarks/results/label_fractions.json.
"""

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from specvae.estimators import (
    PartialLabelRegressor,
    SemiSupervisedVAE,
    SpectralRegressor,
    SpectralVAE,
)
from specvae.exceptions import CollapsedLatentsWarning
from specvae.metrics import compare_models, mean_by_star
from specvae.preprocessing import MedianNormalizer
from specvae.simulation import StellarSpectrumSimulator, catalogue_design, simulate_spectra
from specvae.spectra import WavelengthGrid

RESULT = Path(__file__).parent / "results/label_fractions.json"
GRID = WavelengthGrid(4820.0, 0.1, 4096)
N_STARS, N_SPECTRA = 400, 3000
LABELS = ["teff_k", "logg_dex", "mh_dex", "rv_kms"]
FRACTIONS = (0.01, 0.1, 1.0)
DATA_SEED = 2026
PATIENCE = 20
NETWORKS = ("supervised", "semi-supervised", "semi-supervised, shifting")


def make_data():
    design = catalogue_design(n_stars=N_STARS, mean_spectra_per_star=15, random_state=DATA_SEED)
    rng = np.random.default_rng(DATA_SEED)
    # One spectrum of each star, and of the others as many as are wanted.
    first = np.unique(design.groups, return_index=True)[1]
    others = np.setdiff1d(np.arange(len(design.groups)), first)
    rows = np.sort(np.r_[first, rng.choice(others, N_SPECTRA - len(first), replace=False)])
    labels, groups = design.labels.iloc[rows].reset_index(drop=True), design.groups[rows]
    simulated = StellarSpectrumSimulator(GRID, instrument="harps").simulate(
        labels, DATA_SEED, groups=groups
    )
    flux = MedianNormalizer().fit_transform(simulated.flux)
    snr = np.nanmedian(simulated.noiseless_flux / simulated.sigma, axis=1)
    print(
        f"{len(flux)} spectra of {len(set(groups))} stars, median S/N "
        f"{np.median(snr):.0f} per pixel (16 to 84 %: {np.quantile(snr, 0.16):.0f} to "
        f"{np.quantile(snr, 0.84):.0f})"
    )
    return np.clip(flux, -5.0, 5.0), labels[LABELS], groups


def split(groups, seed):
    stars = np.random.default_rng(seed).permutation(np.unique(groups))
    is_test = np.isin(groups, stars[: len(stars) // 5])
    return np.flatnonzero(~is_test), np.flatnonzero(is_test), stars[len(stars) // 5 :]


def known_labels(labels, groups, training_stars, fraction):
    n_known = max(2, round(fraction * len(training_stars)))
    return labels.where(pd.Series(np.isin(groups, training_stars[:n_known])), axis=0)


def gaussian_process():
    kernel = ConstantKernel(1.0) * RBF(5.0) + WhiteKernel(0.1)
    process = GaussianProcessRegressor(kernel, normalize_y=True, random_state=0)
    return make_pipeline(PCA(30, random_state=0), StandardScaler(), PartialLabelRegressor(process))


def networks(seed, epochs, fraction=1.0):
    common = {
        "grid": GRID,
        "batch_size": 32,
        "learning_rate": 2e-3,
        "random_missing": 0.5,
        "validation_fraction": 0.2,
        "random_state": seed,
    }
    semi_supervised = SemiSupervisedVAE(
        4,
        labelled_share=0.5,
        label_weight=2.0,
        kl_weight=1e-3,
        max_epochs=epochs,
        patience=PATIENCE,
        **common,
    )
    # An epoch of few labelled spectra has few steps: up to ten times as many epochs, so that the
    # supervised network is not stopped before it has learnt.
    more = min(10.0, 1.0 / fraction)
    supervised = SpectralRegressor(
        max_epochs=round(more * epochs), patience=round(more * PATIENCE), **common
    )
    shifting = clone(semi_supervised).set_params(velocity_label="rv_kms")
    return dict(zip(NETWORKS, (supervised, semi_supervised, shifting), strict=True))


def one_per_star(rows, groups, n_most):
    """At most so many rows, of as many stars as possible: a Gaussian process cannot take all."""
    order = np.random.default_rng(0).permutation(rows)
    seen: dict = {}
    turn = np.array(
        [seen.setdefault(groups[row], []).append(row) or len(seen[groups[row]]) for row in order]
    )
    return np.sort(order[np.argsort(turn, kind="stable")[:n_most]])


def errors(predicted, truth, groups):
    result = mean_by_star(np.abs(predicted - truth.to_numpy()), groups)
    return result.mean, result.standard_error


class Errors:
    """Errors of all models on the test stars of one seed."""

    def __init__(self, labels, groups, test):
        self.labels, self.groups, self.test = labels, groups, test
        self.found: dict = {}
        self.normalised: dict = {}  # of each spectrum, to compare models star by star

    def record(self, name, fraction, predicted):
        truth, star = self.labels.iloc[self.test], self.groups[self.test]
        mean, standard_error = errors(predicted, truth, star)
        key = f"{name} {fraction:g}"
        self.found[key] = {"mae": mean.tolist(), "error": standard_error.tolist()}
        constant = self.found[f"constant {fraction:g}"]["mae"]
        self.normalised[key] = (np.abs(predicted - truth.to_numpy()) / constant).mean(axis=1)


def evaluate(flux, labels, groups, seed, fraction, epochs):
    """Errors of all models with one share of the labels, and with all of them more."""
    torch.set_num_threads(1)
    train, test, stars = split(groups, seed)
    table = Errors(labels, groups, test)
    filled = np.where(np.isnan(flux), np.nanmean(flux[train], axis=0), flux)
    y = known_labels(labels, groups, stars, fraction).iloc[train]
    has = np.flatnonzero(y.notna().all(axis=1))
    median = y.iloc[has].median().to_numpy()
    table.record("constant", fraction, np.tile(median, (len(test), 1)))
    n_components = min(32, len(has) - 1)
    # Components of all training spectra; least squares on those with labels.
    components = PCA(32, random_state=0).fit(filled[train])
    codes = components.transform(filled[train[has]])[:, :n_components]
    linear = LinearRegression().fit(codes, y.iloc[has])
    test_codes = components.transform(filled[test])[:, :n_components]
    table.record("PCA(32)+OLS", fraction, linear.predict(test_codes))
    chosen = one_per_star(train[has], groups, 600)
    with warnings.catch_warnings(action="ignore"):  # bounds of the kernel
        process = gaussian_process().set_params(pca__n_components=min(30, len(chosen)))
        process.fit(filled[chosen], labels.iloc[chosen])
    table.record("PCA(30)+GP", fraction, process.predict(filled[test]))
    for name, model in networks(seed, epochs, fraction).items():
        start = time.perf_counter()
        model.fit(flux[train], y, groups=groups[train])
        predicted, std = model.predict(flux[test], return_std=True)
        table.record(name, fraction, predicted)
        print(
            f"  seed {seed} {fraction:5.0%} {name:16s} {model.n_iter_:3d} epochs "
            f"{time.perf_counter() - start:5.0f} s  "
            + " ".join(f"{x:.3g}" for x in table.found[f"{name} {fraction:g}"]["mae"]),
            flush=True,
        )
        if fraction == 1.0:
            truth, star = labels.iloc[test], groups[test]
            table.found[f"{name} intervals"] = coverage(predicted, std, truth, star)
            table.found[f"{name} missing"] = missing(model, flux[test], predicted, std, star)
    if fraction == 1.0:
        probe(flux, filled, table, train, seed, epochs)
    return table.found, table.normalised


def probe(flux, filled, table, train, seed, epochs):
    """Labels read off codes of a network that saw none, beside as many principal components."""
    labels, groups, test = table.labels, table.groups, table.test
    vae = SpectralVAE(
        128, grid=GRID, kl_weight=1e-5, max_epochs=epochs, patience=PATIENCE, learning_rate=2e-3,
        random_state=seed,
    )  # fmt: skip
    with warnings.catch_warnings(action="ignore", category=CollapsedLatentsWarning):
        vae.fit(flux[train], groups=groups[train])
    components = PCA(128, random_state=0).fit(filled[train])
    for name, codes in (
        ("VAE(128)+OLS", [vae.transform(flux[rows]) for rows in (train, test)]),
        ("PCA(128)+OLS", [components.transform(filled[rows]) for rows in (train, test)]),
    ):
        linear = LinearRegression().fit(codes[0], labels.iloc[train])
        table.record(name, 1.0, linear.predict(codes[1]))
    n_alive = int((vae.latent_kl_ >= 0.01).sum())
    print(f"  seed {seed} VAE(128): {vae.n_iter_} epochs, {n_alive} latents carry 0.01 nats")


def coverage(predicted, std, truth, groups):
    """Share of stars whose label lies within one standard deviation, for each label."""
    inside = (np.abs(predicted - truth.to_numpy()) <= std).astype(float)
    return mean_by_star(inside, groups).mean.tolist()


def missing(model, flux, predicted, std, groups):
    """Mean change of the prediction over its uncertainty with pixels missing, for each label."""
    rng = np.random.default_rng(0)
    holed = np.where(rng.random(flux.shape) < 0.2, np.nan, flux)
    holed[:, GRID.slice(5000.0, 5030.0)] = np.nan
    change = np.abs(model.predict(holed) - predicted) / std
    return mean_by_star(change, groups).mean.tolist()


def held_by_intervals(seed):
    """Share of 2,000 stars within the stated uncertainty, of networks trained on 2,000 others.

    The 320 training stars of the other tables give 64 to calibrate with and 80 to count on: too few
    to tell 68 % from 62 or 74.
    """
    spectra = simulate_spectra(
        12_000, WavelengthGrid(5150.0, 0.2, 512), random_state=seed, spectra_per_star=3
    )
    flux = MedianNormalizer().fit_transform(spectra.flux)
    train = spectra.groups < 2000
    labels, star = spectra.labels, spectra.groups
    common = {
        "encoder": "dense",
        "max_epochs": 15,
        "batch_size": 64,
        "validation_fraction": 0.2,
        "random_state": seed,
    }
    models = {
        "supervised": SpectralRegressor(**common),
        "semi-supervised": SemiSupervisedVAE(decoder="dense", **common),
    }
    shares = {}
    for name, model in models.items():
        model.fit(flux[train], labels[train], groups=star[train])
        predicted, std = model.predict(flux[~train], return_std=True)
        shares[name] = coverage(predicted, std, labels[~train], star[~train])
    return shares


def star_by_star(normalised):
    """Differences of the normalised errors of two networks, over the test stars of all seeds.

    The errors and p-values hold for these fits: they count stars, not trainings, of which there is
    one for each seed, with one draw of the labelled stars. `by_seed` shows how those scatter.
    """
    star = np.concatenate([one["star"] for one in normalised])
    found: dict = {}
    for ours in NETWORKS[1:]:
        rows = found[f"{ours} - supervised"] = {}
        for fraction in FRACTIONS:
            keys = [f"{name} {fraction:g}" for name in (ours, "supervised")]
            pair = {
                name: np.concatenate([one[key] for one in normalised])
                for name, key in zip((ours, "supervised"), keys, strict=True)
            }
            row = compare_models(pair, star).iloc[0]
            sign = 1.0 if row["model"] == ours else -1.0
            rows[f"{fraction:g}"] = {
                "difference": sign * row["difference"],
                "standard_error": row["standard_error"],
                "p_value": row["p_value"],
                "by_seed": [
                    round(float(np.mean(one[keys[0]] - one[keys[1]])), 4) for one in normalised
                ],
            }
    return found


def summary(record):
    """Table of errors averaged over seeds, and the normalised error."""
    names = [name for name in record[0] if "mae" in record[0][name]]
    rows = {}
    for name in names:
        mae = np.mean([one[name]["mae"] for one in record], axis=0)
        error = np.mean([one[name]["error"] for one in record], axis=0)
        fraction = name.rsplit(" ", 1)[1]
        ratios = [
            np.mean(np.array(one[name]["mae"]) / np.array(one[f"constant {fraction}"]["mae"]))
            for one in record
        ]
        rows[name] = [f"{m:.3g}+-{e:.2g}" for m, e in zip(mae, error, strict=True)]
        rows[name] += [f"{np.mean(ratios):.3f}", f"{np.std(ratios):.3f}"]
    columns = [*LABELS, "normalised", "over seeds"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--jobs", type=int, default=2, help="processes of one thread each")
    options = parser.parse_args()
    torch.set_num_threads(1)
    start = time.perf_counter()
    flux, labels, groups = make_data()
    intervals = [held_by_intervals(seed) for seed in options.seeds]
    for name in ("supervised", "semi-supervised"):
        shares = np.array([one[name] for one in intervals])
        print(f"{name}: intervals hold of 2,000 stars, seed by seed, {shares.round(3).tolist()}")
    # The longest first, so that no core waits for them at the end.
    tasks = [(seed, fraction) for fraction in FRACTIONS[::-1] for seed in options.seeds]
    results = Parallel(n_jobs=options.jobs)(
        delayed(evaluate)(flux, labels, groups, *task, options.epochs) for task in tasks
    )
    record, normalised = [], []
    for seed in options.seeds:
        _, test, _ = split(groups, seed)
        # Fractions in the order of the table.
        of_seed = [results[tasks.index((seed, fraction))] for fraction in FRACTIONS]
        record.append({name: each for found, _ in of_seed for name, each in found.items()})
        by_model = {name: each for _, errors in of_seed for name, each in errors.items()}
        normalised.append({"star": groups[test], **by_model})
    minutes = (time.perf_counter() - start) / 60.0
    print(summary(record).to_string())
    differences = star_by_star(normalised)
    for pair, rows in differences.items():
        print(f"normalised error, {pair}, star by star:", json.dumps(rows))
    content = {
        "labels": LABELS,
        "seeds": options.seeds,
        "minutes": minutes,
        "jobs": options.jobs,
        "intervals, 2000 stars": intervals,
        "differences": differences,
    }
    RESULT.write_text(json.dumps({**content, "results": record}, indent=1) + "\n")
    for name in NETWORKS:
        for kind in ("intervals", "missing"):
            value = np.mean([one[f"{name} {kind}"] for one in record], axis=0)
            print(f"{name} {kind}:", dict(zip(LABELS, value.round(3).tolist(), strict=True)))
    print(f"{minutes:.0f} minutes, {options.jobs} processes, seeds {options.seeds}")


if __name__ == "__main__":
    main()
