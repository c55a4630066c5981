"""How many free latents: ``python docs/examples/choose_the_bottleneck.py [folder]``.

A semi-supervised autoencoder learns Teff and radial velocity as labels, and what else varies in
free latents. Too many of them learn the velocity a second time: then moving the label no longer
moves the lines. Errors of labels and flux do not show it, which rather fall with more latents; the
radial velocity intervention score (RVIS) does. Needs the extra `plot`.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from specvae.estimators import SemiSupervisedVAE
from specvae.inspection import radial_velocity_intervention
from specvae.metrics import label_errors, ratio_by_star
from specvae.model_selection import StarGroupKFold, make_rvis_scorer
from specvae.plotting import plot_rvis, plot_rvis_by_size
from specvae.preprocessing import MedianNormalizer
from specvae.simulation import simulate_spectra
from specvae.spectra import WavelengthGrid

SEED = 0
SIZES = [0, 1, 2, 4]  # free latents, beside those of the two labels
SHIFTS = {"velocities_kms": (-20.0, -10.0, -5.0, 5.0, 10.0, 20.0), "window_aa": (6095.0, 6160.0)}
folder = Path(sys.argv[1] if len(sys.argv) > 1 else "demo_output/examples")

grid = WavelengthGrid(6090.0, 0.15, 512)
stars = simulate_spectra(1200, grid, random_state=SEED)
flux = MedianNormalizer().fit_transform(stars.flux)
labels = stars.labels[["teff_k", "rv_kms"]]  # log g and [M/H] are left to the free latents
train, test = stars.groups < 180, stars.groups >= 180

model = SemiSupervisedVAE(
    encoder="dense",
    decoder="dense",
    grid=grid,
    max_epochs=40,
    patience=None,
    random_state=SEED,
)
search = GridSearchCV(
    model,
    {"n_free_latents": SIZES},
    scoring=make_rvis_scorer(**SHIFTS),
    cv=StarGroupKFold(2, random_state=SEED),
    refit=False,
).fit(flux[train], labels[train], groups=stars.groups[train])
chosen = search.best_params_["n_free_latents"]

groups = stars.groups[test]


def error_cells(predicted, reconstruction):
    """Errors of labels and flux on stars that the search has not seen."""
    errors = label_errors(labels[test], predicted, groups=groups)
    mae, mae_error = errors.values["mae"], errors.standard_error["mae"]
    return {
        "Teff (K)": f"{mae['teff_k']:.0f} +- {mae_error['teff_k']:.0f}",
        "velocity (km/s)": f"{mae['rv_kms']:.2f} +- {mae_error['rv_kms']:.2f}",
        "flux": f"{np.abs(flux[test] - reconstruction).mean():.4f}",
    }


scores, ratios, rows = {}, {}, {}
for size in SIZES:
    fitted = clone(model).set_params(n_free_latents=size)
    fitted.fit(flux[train], labels[train], groups=stars.groups[train])
    score = radial_velocity_intervention(fitted, flux[test], groups=groups, **SHIFTS)
    ratio = ratio_by_star(score.by_spectrum, score.do_nothing_by_spectrum, groups)
    scores[size], ratios[size] = score, ratio
    rows[str(size)] = {
        "searched": f"{-search.cv_results_['mean_test_score'][SIZES.index(size)]:.3f}",
        "RVIS ratio": f"{ratio.ratio:.3f} +- {ratio.standard_error:.3f}",
        "floor": f"{score.floor / score.do_nothing:.3f}",
        **error_cells(fitted.predict(flux[test]), fitted.reconstruct(flux[test])),
    }
constant = labels[train].median().to_frame().T.iloc[np.zeros(test.sum(), dtype=int)]
rows["baseline"] = {
    "searched": "1",
    "RVIS ratio": "1 (do nothing)",
    "floor": "",
    **error_cells(constant, np.median(flux[train], axis=0)),
}
print(
    f"""Stars not trained on, +- standard error by star; seed {SEED}. 'RVIS ratio': error of spectra
whose velocity was moved in the code, over that of doing nothing; 'floor': what interpolation
alone costs; 'searched': the ratio in the search. Then mean absolute errors. The baseline is a
decoder that ignores the velocity, constant labels, the median spectrum.
"""
)
print(pd.DataFrame.from_dict(rows, orient="index").rename_axis("free latents").to_string())
print(f"\nThe search, with folds of whole stars, chose {chosen} free latents.")

folder.mkdir(parents=True, exist_ok=True)
figure = Figure(figsize=(10, 4), layout="constrained")
left, right = figure.subplots(1, 2)
plot_rvis_by_size(
    [labels.shape[1] + size for size in SIZES],
    [ratio.ratio for ratio in ratios.values()],
    left,
    standard_error=[ratio.standard_error for ratio in ratios.values()],
)
plot_rvis(scores[chosen], right)
figure.savefig(folder / "bottleneck.png", dpi=120)
print(f"Picture: {folder / 'bottleneck.png'}")
