"""Which latent knows what: ``python docs/examples/what_the_latents_know.py [folder]``.

Trains a variational autoencoder on 2,000 simulated spectra around H-beta without any label, keeps
the latents that move, and asks on stars it has not seen which of them tells Teff, log g, [M/H] and
the radial velocity. The first 128 principal components are asked the same. Needs the extra `plot`.
"""

import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.decomposition import PCA

from specvae.estimators import MADSelector, SpectralVAE
from specvae.exceptions import CollapsedLatentsWarning
from specvae.metrics import running_median
from specvae.model_selection import MutualInfoScorer
from specvae.plotting import (
    plot_activity,
    plot_information,
    plot_latent_label,
    plot_latent_pair,
)
from specvae.preprocessing import MedianNormalizer
from specvae.simulation import simulate_spectra
from specvae.spectra import WavelengthGrid

SEED = 0
folder = Path(sys.argv[1] if len(sys.argv) > 1 else "demo_output/examples")
folder.mkdir(parents=True, exist_ok=True)

grid = WavelengthGrid(4836.0, 0.1, 512)
stars = simulate_spectra(3000, grid, random_state=SEED)  # velocities of -40 to 40 km/s
flux = MedianNormalizer().fit_transform(stars.flux)
train, test = stars.groups < 400, stars.groups >= 400
labels, groups = stars.labels[test], stars.groups[test]

vae = SpectralVAE(
    16,
    encoder="dense",
    decoder="dense",
    kl_weight=2e-3,  # dear enough that a cause gets few latents, and the others collapse
    kl_warmup_epochs=0,
    max_epochs=60,
    patience=None,
    random_state=SEED,
)
# MADSelector says below which latents collapsed.
warnings.filterwarnings("ignore", category=CollapsedLatentsWarning)
codes = {
    "VAE": vae.fit(flux[train], groups=stars.groups[train]),
    "PCA": PCA(128, random_state=SEED).fit(flux[train]),
}
codes = {
    name: coder.set_output(transform="pandas").transform(flux[test])
    for name, coder in codes.items()
}
selector = MADSelector("auto").fit(codes["VAE"])
kept = selector.get_feature_names_out()
print(f"The VAE uses {len(kept)} of 16 latents, MAD above {selector.threshold_:.2g}: {list(kept)}.")

# 1999 permutations of whole stars: p-values down to 0.0005. A thousand spectra fill no finer bins.
asked = {
    name: MutualInfoScorer((5, 10, 20, 40), n_permutations=1999, random_state=SEED).fit(
        code, labels, groups=groups
    )
    for name, code in codes.items()
}
columns = {}
for name, scorer in asked.items():
    best = scorer.best_latent_
    information = scorer.information_
    columns[name, "latent"] = scorer.best_latent_name_
    columns[name, "nats"] = information.max(axis=1).round(2)
    columns[name, "p"] = scorer.p_latent_[np.arange(len(best)), best]
    columns[name, "half as good"] = (information > information.max(axis=1)[:, None] / 2).sum(1) - 1
table = pd.DataFrame(columns, index=labels.columns)
print(
    f"\nMutual information of the best latent with each label, {len(set(groups))} stars not trained"
    f"\non; p by permutation of stars, corrected for latents and scales; seed {SEED}."
    "\n'half as good': further latents that know at least half as much.\n"
)
print(table.to_string())

figure = Figure(figsize=(10, 8), layout="constrained")
halves = figure.subfigures(1, 2)
for half, (name, scorer) in zip(halves, asked.items(), strict=True):
    half.suptitle(f"{name}, {scorer.n_features_in_} latents")
    plot_information(scorer, half.subplots(len(table), 1), alpha=0.001, shared_scale=True)
figure.savefig(folder / "information.png", dpi=120)

figure = Figure(figsize=(10, 8), layout="constrained")
axes = figure.subplots(2, 2)
plot_activity(selector, axes[0, 0])
for ax, label in zip(axes[:, 1], ("teff_k", "rv_kms"), strict=True):
    latent = table.loc[label, ("VAE", "latent")]
    course = running_median(labels[label], codes["VAE"][latent], groups=groups)
    plot_latent_label(codes["VAE"], labels[label], ax, latent=latent, running=course, label=label)
# A latent may rise and fall with the velocity: then a second one tells the sides apart.
pair = np.argsort(asked["VAE"].information_[labels.columns.get_loc("rv_kms")])[-2:]
plot_latent_pair(codes["VAE"], labels["rv_kms"], axes[1, 0], latents=pair, label="rv_kms")
figure.savefig(folder / "latents.png", dpi=120)
print(f"\nPictures: {folder / 'information.png'}, latents.png")
