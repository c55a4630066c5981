"""The first pipeline on simulated spectra: ``python -m specvae.demo``.

Simulates 1,500 spectra of 300 stars, reads labels off the code of a convolutional autoencoder and
off as many principal components, cross-validated by star, prints the errors beside those of a
constant, and draws three pictures. A semi-supervised model with the labels in its code is saved
with the spectra, and the command that opens the explorer on them is printed. Needs the extras
`plot` and `save`.
"""

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn import config_context
from sklearn.decomposition import PCA
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import Pipeline

from ._optional import import_optional
from .estimators import PartialLabelRegressor, SemiSupervisedVAE, SpectralAutoencoder
from .estimators._persistence import save
from .metrics import mean_by_star
from .model_selection import StarGroupKFold
from .plotting import plot_history, plot_predictions, plot_reconstruction
from .preprocessing import MedianNormalizer, PixelMasker
from .simulation import SimulatedSpectra, simulate_spectra
from .spectra import WavelengthGrid, write_spectra

GRID = WavelengthGrid(4820.0, 0.1, 4096)  # H-beta and Mg b
GAP_AA = ((4990.0, 5000.0),)  # as between two detectors
SEED = 0
N_LATENTS = 8
N_FOLDS = 4

EXPLORE = """
Look at the spectra, and at what Teff does to them (needs the extra `explorer`):

    {command} explore {folder}/stars.specvae {folder}/stars.npy --labels {folder}/labels.csv
"""

OWN_FILES = """
Your own FITS files (docs/index.md says more):

    from specvae.spectra import HARPS_GRID, group_targets, pack_spectra, read_meta
    spectra = pack_spectra(paths, "stars.npy", HARPS_GRID)    # a SpectraArray, read lazily
    meta = read_meta("stars.npy")
    groups = group_targets(meta["ra_deg"], meta["dec_deg"], meta["object"])
    pipeline.fit(spectra, labels)                             # labels: NaN where unknown
"""


def make_pipeline(code: Any, *, action: str) -> Pipeline:
    """Mask, normalise, encode with `code`, read labels off the code."""
    return Pipeline(
        [
            ("mask", PixelMasker(GAP_AA, grid=GRID, action=action)),
            ("median", MedianNormalizer()),
            ("code", code),
            ("labels", PartialLabelRegressor(LinearRegression())),
        ]
    )


def make_candidates(*, max_epochs: int) -> dict[str, Any]:
    """Build the estimators that are compared, by name; the autoencoder comes last."""
    autoencoder = SpectralAutoencoder(
        N_LATENTS, grid=GRID, max_epochs=max_epochs, batch_size=16, random_state=SEED
    )
    return {
        "constant": DummyRegressor(strategy="median"),
        f"PCA({N_LATENTS})": make_pipeline(PCA(N_LATENTS, random_state=SEED), action="drop"),
        f"autoencoder({N_LATENTS})": make_pipeline(
            autoencoder.set_fit_request(groups=True), action="nan"
        ),
    }


def cross_validate_by_star(
    pipeline: Any, simulated: SimulatedSpectra, *, n_jobs: int
) -> np.ndarray:
    """Predict each spectrum's labels by a pipeline that has not seen its star."""
    folds = StarGroupKFold(N_FOLDS, random_state=SEED)
    return cross_val_predict(
        pipeline,
        simulated.flux,
        simulated.labels,
        cv=folds,
        params={"groups": simulated.groups},
        n_jobs=n_jobs,
    )


def error_table(predictions: dict[str, np.ndarray], simulated: SimulatedSpectra) -> pd.DataFrame:
    """Mean absolute error of each label, with its standard error by star, one row a pipeline."""
    rows = {}
    for name, predicted in predictions.items():
        error = mean_by_star(np.abs(predicted - simulated.labels.to_numpy()), simulated.groups)
        rows[name] = [
            f"{mean:.3g} +- {sigma:.2g}"
            for mean, sigma in zip(error.mean, error.standard_error, strict=True)
        ]
    return pd.DataFrame.from_dict(rows, orient="index", columns=simulated.labels.columns)


def draw_pictures(
    predictions: dict[str, np.ndarray],
    simulated: SimulatedSpectra,
    folder: Path,
    *,
    max_epochs: int,
) -> float:
    """Save the three pictures; return the reconstruction error of stars not trained on."""
    pyplot = import_optional("matplotlib.pyplot", caller="The demo", extra="plot")
    train, test = next(
        StarGroupKFold(N_FOLDS, random_state=SEED).split(simulated.flux, groups=simulated.groups)
    )
    *_, pipeline = make_candidates(max_epochs=max_epochs).values()
    encoder = pipeline[:-1].fit(simulated.flux[train], groups=simulated.groups[train])
    autoencoder = encoder[-1]
    flux = encoder[:-1].transform(simulated.flux[test])
    reconstruction = autoencoder.inverse_transform(autoencoder.transform(flux))

    folder.mkdir(parents=True, exist_ok=True)
    shown = int(np.argmin(np.abs(simulated.labels["teff_k"].to_numpy()[test] - 5500.0)))
    figure, axes = pyplot.subplots(2, 1, figsize=(10, 6), layout="constrained")
    for ax, window_aa in zip(axes, (None, (5150.0, 5200.0)), strict=True):
        plot_reconstruction(
            GRID.wavelength_aa, flux[shown], reconstruction[shown], ax, window_aa=window_aa
        )
    axes[0].legend(loc="lower right")
    axes[0].set_title("A star that the network has not seen, and its Mg b lines")
    figure.savefig(folder / "reconstruction.png", dpi=120)

    (name, predicted) = list(predictions.items())[-1]
    figure, axes = pyplot.subplots(2, 2, figsize=(8, 8), layout="constrained")
    for ax, label, column in zip(axes.flat, simulated.labels, predicted.T, strict=True):
        plot_predictions(simulated.labels[label], column, ax, label=str(label))
    figure.suptitle(f"{name}, cross-validated by star")
    figure.savefig(folder / "predictions.png", dpi=120)

    figure, ax = pyplot.subplots(figsize=(6, 4), layout="constrained")
    plot_history(autoencoder.history_, ax)
    figure.savefig(folder / "learning_curve.png", dpi=120)
    return float(autoencoder.reconstruction_error(flux).mean())


def save_for_explorer(simulated: SimulatedSpectra, folder: Path, *, max_epochs: int) -> None:
    """Save spectra, labels, and a model with a slider for each label."""
    meta = pd.DataFrame(
        {
            "path": [f"spectrum-{row:04}.fits" for row in range(len(simulated.flux))],
            "object": [f"SIM {star + 1}" for star in simulated.groups],
        }
    )
    for name in ("stars.npy", "stars.json"):
        (folder / name).unlink(missing_ok=True)  # of an earlier run
    write_spectra(
        lambda row: simulated.flux[row], folder / "stars.npy", GRID, meta=meta, progress=False
    )
    known = simulated.labels.round({"teff_k": 1, "logg_dex": 3, "mh_dex": 3, "rv_kms": 3})
    known.insert(0, "file", meta["path"])
    known.to_csv(folder / "labels.csv", index=False)
    model = Pipeline(
        [
            ("mask", PixelMasker(GAP_AA, grid=GRID)),
            ("median", MedianNormalizer()),
            (
                "labels",
                SemiSupervisedVAE(
                    # The labels are all causes here: free latents would take part of Teff.
                    n_free_latents=0,
                    velocity_label="rv_kms",
                    grid=GRID,
                    max_epochs=max_epochs,
                    batch_size=16,
                    random_state=SEED,
                ),
            ),
        ]
    )
    model.fit(simulated.flux, simulated.labels, labels__groups=simulated.groups)
    save(model, folder / "stars.specvae")


def _command() -> str:
    """Return how ``specvae`` is called from here: by its path in an environment that is not on."""
    beside = Path(sys.executable).with_name("specvae")
    path = os.path.relpath(beside)
    return path if beside.exists() and not path.startswith("..") else "specvae"


def main(arguments: list[str] | None = None) -> None:
    """Run the demo; see the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m specvae.demo", description=__doc__)
    parser.add_argument("--n-stars", type=int, default=300, help="stars, five spectra each")
    parser.add_argument("--max-epochs", type=int, default=25, help="epochs of the autoencoder")
    parser.add_argument("--jobs", type=int, default=2, help="folds fitted at a time")
    parser.add_argument("--output", type=Path, default=Path("demo_output"), help="folder")
    options = parser.parse_args(arguments)
    # Before the work, not after.
    import_optional("matplotlib", caller="The demo", extra="plot")
    import_optional("safetensors", caller="The demo", extra="save")

    start = time.perf_counter()
    simulated = simulate_spectra(5 * options.n_stars, GRID, random_state=SEED)
    print(
        f"Simulated {len(simulated.flux)} spectra of {options.n_stars} stars, {GRID.n_pixels} "
        f"pixels, S/N 100; seed {SEED}."
    )
    predictions = {}
    with config_context(enable_metadata_routing=True):
        for name, pipeline in make_candidates(max_epochs=options.max_epochs).items():
            print(f"Cross-validating {name} in {N_FOLDS} folds of whole stars ...", flush=True)
            predictions[name] = cross_validate_by_star(pipeline, simulated, n_jobs=options.jobs)
        error = draw_pictures(predictions, simulated, options.output, max_epochs=options.max_epochs)
        print("Training the model for the explorer ...", flush=True)
    save_for_explorer(simulated, options.output, max_epochs=options.max_epochs)
    print("\nMean absolute error on stars not trained on, +- standard error by star:\n")
    print(error_table(predictions, simulated).to_string())
    print(f"\nReconstruction of stars not trained on: mean |flux - reconstruction| = {error:.4f}")
    print(f"Pictures: {options.output}/reconstruction.png, predictions.png, learning_curve.png")
    print(f"Took {time.perf_counter() - start:.0f} s.")
    print(OWN_FILES, end="")
    print(EXPLORE.format(command=_command(), folder=options.output))


if __name__ == "__main__":
    main()
