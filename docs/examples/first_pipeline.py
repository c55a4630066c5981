"""Labels read off the code of an autoencoder: ``python docs/examples/first_pipeline.py [folder]``.

Simulates 600 spectra of 120 stars and predicts the labels of stars that were not trained on, by a
constant, by PCA and least squares, and by an autoencoder and least squares. So few spectra teach a
network no more than PCA finds. Needs the extra `plot`.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.decomposition import PCA
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import Pipeline

from specvae.estimators import PartialLabelRegressor, SpectralAutoencoder
from specvae.metrics import label_errors
from specvae.model_selection import StarGroupKFold
from specvae.plotting import plot_predictions
from specvae.preprocessing import MedianNormalizer, PixelMasker
from specvae.simulation import simulate_spectra
from specvae.spectra import WavelengthGrid

SEED = 0
N_LATENTS = 8
folder = Path(sys.argv[1] if len(sys.argv) > 1 else "demo_output/examples")

grid = WavelengthGrid(4836.0, 0.2, 512)  # H-beta
stars = simulate_spectra(600, grid, random_state=SEED)
labels = stars.labels.copy()
labels.loc[stars.groups % 3 == 0, "mh_dex"] = np.nan  # a third of the stars without [M/H]


def make_pipeline(code):
    """Mask bad pixels, divide by the median, encode, read labels off the code."""
    return Pipeline(
        [
            ("mask", PixelMasker([(4900.0, 4905.0)], grid=grid, action="drop")),
            ("median", MedianNormalizer()),
            ("code", code),
            ("labels", PartialLabelRegressor(LinearRegression())),
        ]
    )


autoencoder = SpectralAutoencoder(N_LATENTS, linear_path=True, max_epochs=10, random_state=SEED)
models = {
    "constant": PartialLabelRegressor(DummyRegressor()),
    f"PCA({N_LATENTS})": make_pipeline(PCA(N_LATENTS, random_state=SEED)),
    f"autoencoder({N_LATENTS})": make_pipeline(autoencoder),
}
folds = StarGroupKFold(3, random_state=SEED)
predicted = {
    name: cross_val_predict(model, stars.flux, labels, groups=stars.groups, cv=folds)
    for name, model in models.items()
}
errors = {
    name: label_errors(labels, prediction, groups=stars.groups, random_state=SEED)
    for name, prediction in predicted.items()
}

table = pd.DataFrame(
    {
        name: error.values["mae"].map("{:.3g}".format)
        + error.standard_error["mae"].map(" +- {:.2g}".format)
        for name, error in errors.items()
    }
)
print(f"Mean absolute error on stars not trained on, +- standard error by star; seed {SEED}.\n")
print(table.to_string())

folder.mkdir(parents=True, exist_ok=True)
figure = Figure(figsize=(7, 7), layout="constrained")
for ax, label, prediction in zip(
    figure.subplots(2, 2).flat, labels, list(predicted.values())[-1].T, strict=True
):
    plot_predictions(labels[label], prediction, ax, label=label)
figure.suptitle(f"autoencoder({N_LATENTS}), cross-validated by star")
figure.savefig(folder / "first_pipeline.png", dpi=120)
print(f"\nPicture: {folder / 'first_pipeline.png'}")
