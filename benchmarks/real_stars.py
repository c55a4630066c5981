"""Labels of real stars from codes: ``python benchmarks/real_stars.py``.

684 stars of the MILES library v9.1 (Sanchez-Blazquez et al. 2006, Falcon-Barroso et al. 2011),
those from 4000 to 7000 K, 5 folds by star, three seeds. Each row of the table is one way to the
labels;
each error is a mean over stars with its standard error, each star's error being its mean over the
seeds. Below stand the differences from PCA with as many components, star by star.

The first half of the stars in a fixed random order are development stars: only these were looked
at when the settings of the autoencoder were chosen. The second table holds the other half alone,
in the same folds.

"autoencoder" is `SpectralAutoencoder` with its published convolutional network; "linear path" adds
principal components beside it, `linear_path=True`.

Prints the tables, writes benchmarks/results/real_stars.json.
"""

import argparse
import json
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
import torch
from joblib import Parallel, delayed
from sklearn.decomposition import PCA
from sklearn.dummy import DummyRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from specvae.estimators import PartialLabelRegressor, SpectralAutoencoder
from specvae.metrics import mean_by_star
from specvae.model_selection import StarGroupKFold
from specvae.preprocessing import MedianNormalizer

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared/data/miles/miles_stars.npz"
LABELS = ("teff_k", "logg_dex", "feh_dex")
SEEDS = (0, 1, 2)
N_FOLDS = 5
DEVELOPMENT_SEED = 12345


def load_stars(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Flux, labels, and which stars are development stars."""
    miles = np.load(path)
    teff_k = miles["labels"][:, 0]
    in_range = (teff_k > 4000.0) & (teff_k < 7000.0)
    flux, labels = miles["flux"][in_range], miles["labels"][in_range].astype(float)
    order = np.random.default_rng(DEVELOPMENT_SEED).permutation(len(flux))
    development = np.zeros(len(flux), dtype=bool)
    development[order[: len(flux) // 2]] = True
    return flux, labels, development


def make_candidates(seed: int, max_epochs: int) -> dict[str, Any]:
    kernel = ConstantKernel(1.0) * RBF(10.0) + WhiteKernel(0.1)
    gaussian_process = make_pipeline(
        StandardScaler(), GaussianProcessRegressor(kernel, normalize_y=True, random_state=seed)
    )

    def through(code: Any, regressor: Any) -> Any:
        return make_pipeline(MedianNormalizer(), code, PartialLabelRegressor(regressor))

    candidates = {"constant": PartialLabelRegressor(DummyRegressor(strategy="median"))}
    for k in (8, 20):
        candidates[f"PCA({k})+OLS"] = through(PCA(k, random_state=seed), LinearRegression())
    candidates["PCA(30)+GP"] = through(PCA(30, random_state=seed), gaussian_process)
    for k in (8, 20):
        common = {"batch_size": 8, "device": "cpu", "random_state": seed}
        published = SpectralAutoencoder(k, max_epochs=max_epochs, **common)
        candidates[f"autoencoder({k})+OLS"] = through(published, LinearRegression())
        # The path starts as PCA: a few epochs suffice, and the validation share can train too.
        linear = SpectralAutoencoder(
            k,
            linear_path=True,
            max_epochs=15,
            learning_rate=1e-3,
            validation_fraction=0.0,
            **common,
        )
        candidates[f"autoencoder({k}, linear path)+OLS"] = through(linear, LinearRegression())
    return candidates


def errors_of_fold(name, seed, train, test, flux, labels, max_epochs):
    """Absolute errors on the test stars of one fold, and the seconds that it took."""
    torch.set_num_threads(1)
    start = time.perf_counter()
    model = make_candidates(seed, max_epochs)[name].fit(flux[train], labels[train])
    error = np.abs(model.predict(flux[test]) - labels[test])
    epochs = getattr(model[1], "n_iter_", None) if hasattr(model, "steps") else None
    return name, seed, test, error, time.perf_counter() - start, epochs


def run(flux, labels, max_epochs, n_jobs):
    """Mean absolute error of each star over the seeds, by candidate; seconds; epochs."""
    stars = np.arange(len(flux))
    names = list(make_candidates(0, 1))
    tasks = [
        delayed(errors_of_fold)(name, seed, train, test, flux, labels, max_epochs)
        for name in reversed(names)  # the longest first
        for seed in SEEDS
        for train, test in StarGroupKFold(N_FOLDS, random_state=seed).split(flux, groups=stars)
    ]
    error = {name: np.full((len(SEEDS), *labels.shape), np.nan) for name in names}
    seconds, epochs = dict.fromkeys(names, 0.0), {name: [] for name in names}
    for name, seed, test, of_fold, took, n_epochs in Parallel(n_jobs, return_as="generator")(tasks):
        error[name][SEEDS.index(seed), test] = of_fold
        seconds[name] += took
        if n_epochs is not None:
            epochs[name].append(n_epochs)
            print(f"  {name}, seed {seed}: {n_epochs} epochs, {took:.0f} s", flush=True)
    return {name: of.mean(axis=0) for name, of in error.items()}, seconds, epochs


def summarise(error: dict[str, np.ndarray], chosen: np.ndarray) -> dict[str, Any]:
    """Means by star, and differences from PCA with as many components, for some stars."""
    stars = np.arange(int(chosen.sum()))
    table = {name: mean_by_star(of[chosen], stars) for name, of in error.items()}
    differences = {}
    for k in (8, 20):
        for name in (f"autoencoder({k})", f"autoencoder({k}, linear path)"):
            difference = error[f"{name}+OLS"] - error[f"PCA({k})+OLS"]
            differences[f"{name} - PCA({k})"] = mean_by_star(difference[chosen], stars)
    return {
        part: {
            name: {"mean": one.mean.tolist(), "standard_error": one.standard_error.tolist()}
            for name, one in rows.items()
        }
        for part, rows in (("mae", table), ("difference", differences))
    }


def print_table(title: str, summary: dict[str, Any]) -> None:
    print(f"\n{title}\n{'':34}" + "".join(f"{label:>20}" for label in LABELS))
    for part in ("mae", "difference"):
        for name, row in summary[part].items():
            cells = [
                f"{mean:.1f} +- {sigma:.1f}" if label == "teff_k" else f"{mean:.3f} +- {sigma:.3f}"
                for label, mean, sigma in zip(LABELS, *row.values(), strict=True)
            ]
            print(f"{name:34}" + "".join(f"{cell:>20}" for cell in cells))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--max-epochs", type=int, default=150)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    if not options.data.exists():
        print(f"Skipped: {options.data} is absent; --data names the MILES stars.")
        return
    flux, labels, development = load_stars(options.data)
    start = time.perf_counter()
    error, seconds, epochs = run(flux, labels, options.max_epochs, options.jobs)
    record = {
        "n_stars": len(flux),
        "seeds": SEEDS,
        "n_folds": N_FOLDS,
        "max_epochs": options.max_epochs,
        "epochs": epochs,
        "seconds_in_all_fits": seconds,
        "wall_seconds": time.perf_counter() - start,
        "labels": LABELS,
        "all_stars": summarise(error, np.ones(len(flux), dtype=bool)),
        "stars_not_used_in_development": summarise(error, ~development),
        "versions": {"torch": torch.__version__, "scikit-learn": sklearn.__version__},
        "machine": platform.processor() or platform.machine(),
    }
    print_table(
        f"Mean absolute error, {len(flux)} stars, {N_FOLDS} folds by star, seeds {SEEDS}",
        record["all_stars"],
    )
    print_table(
        f"The same on the {int((~development).sum())} stars not used in development",
        record["stars_not_used_in_development"],
    )
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    (results / "real_stars.json").write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
