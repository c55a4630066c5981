"""Stars of one composition by their spectra: ``python docs/examples/chemical_twins.py [folder]``.

Simulates pairs of red giants of one composition and different Teff and log g in the H band. An
adversary takes Teff and log g out of the code of an autoencoder that is not told which stars are
twins; then a star's twin should be the star nearest to it. Needs the extra `plot`.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from torch import nn

from specvae.estimators import AdversarialAutoencoder
from specvae.metrics import cumulative_share, doppelganger_rate, swap_error, twin_rank
from specvae.plotting import plot_error_ecdf
from specvae.simulation import TWIN_GRID, StellarSpectrumSimulator, twin_design
from specvae.spectra import WavelengthGrid

SEED = 0
SNR = 150
N_LATENTS, N_COMPONENTS, WIDTH = 14, 64, 256
folder = Path(sys.argv[1] if len(sys.argv) > 1 else "demo_output/examples")

# The range of TWIN_GRID in pixels eight times as wide.
grid = WavelengthGrid(TWIN_GRID.start_aa, 48e-6, 968, spacing="log", medium="vacuum")
simulator = StellarSpectrumSimulator(grid, instrument=None, atmosphere=False, resolving_power=9000)


def simulate(n_pairs, seed):
    """Return flux in units of its noise, Teff and log g, and which stars are twins."""
    design = twin_design(n_pairs, {"snr": SNR}, random_state=seed)
    flux = simulator.simulate(design.labels, random_state=seed).flux
    flux *= SNR / np.median(flux, axis=1, keepdims=True)
    return flux, design.labels[["teff_k", "logg_dex"]], design


train, train_known, train_design = simulate(1000, SEED)
test, known, design = simulate(300, SEED + 1)

# The networks work on principal components of unit scatter, down to the noise: weak lines, which
# tell most elements, would take a network of pixels far longer to find.
pca = PCA(N_COMPONENTS, random_state=SEED).fit(train)
components = torch.from_numpy(pca.components_)
scatter = np.maximum(np.sqrt(pca.explained_variance_), 1.0) / train.std(axis=0).mean()
scatter = torch.from_numpy(scatter.astype(np.float32))


def stack(n_inputs, n_outputs):
    """Two hidden layers."""
    return nn.Sequential(
        nn.Linear(n_inputs, WIDTH),
        nn.LeakyReLU(0.1),
        nn.Linear(WIDTH, WIDTH),
        nn.LeakyReLU(0.1),
        nn.Linear(WIDTH, n_outputs),
    )


class Encoder(nn.Module):
    """From flux, Teff and log g to the code."""

    def __init__(self, n_pixels, n_outputs, *, n_conditions):
        super().__init__()
        self.register_buffer("project", components.T / scatter)
        self.body = stack(N_COMPONENTS + n_conditions, n_outputs)

    def forward(self, flux, conditions):
        """Return (n_spectra, n_outputs)."""
        return self.body(torch.cat([flux @ self.project, conditions], dim=1))


class Decoder(nn.Module):
    """From the code, Teff and log g to flux."""

    def __init__(self, n_inputs, n_pixels, *, n_conditions):
        super().__init__()
        self.register_buffer("expand", scatter[:, None] * components)
        self.body = stack(n_inputs + n_conditions, N_COMPONENTS)

    def forward(self, code, conditions):
        """Return (n_spectra, n_pixels)."""
        return self.body(torch.cat([code, conditions], dim=1)) @ self.expand


def train_network(adversary_weight):
    """Prices are in nats: of squared error in units of the noise a nat is worth 2 / n_pixels."""
    return AdversarialAutoencoder(
        N_LATENTS,
        encoder=Encoder,
        decoder=Decoder,
        adversary_weight=adversary_weight * 2 / grid.n_pixels,
        adversary_warmup_epochs=2,
        kl_weight=2 / grid.n_pixels,
        reconstruction="l2",
        max_epochs=60,
        learning_rate=2e-3,
        patience=None,
        random_state=SEED,
    ).fit(train, conditions=train_known, groups=train_design.pair)


quadratic = make_pipeline(StandardScaler(), PolynomialFeatures(2), LinearRegression())
quadratic.fit(train_known, train)
residual = PCA(N_LATENTS, random_state=SEED).fit(train - quadratic.predict(train_known))
networks = {"adversary": train_network(20.0), "no adversary": train_network(0.0)}
# Components whitened or not, whichever finds more twins.
codes = {
    **{name: network.transform(test, conditions=known) for name, network in networks.items()},
    "PCA of residuals": residual.transform(test - quadratic.predict(known)),
    "PCA": PCA(N_LATENTS, whiten=True, random_state=SEED).fit(train).transform(test),
}
# A hundred pairs are clusters of two, all other stars the field.
clusters = np.where(design.pair < 100, design.pair, -1)
rows, ranks = {}, {}
for name, code in codes.items():
    ranks[name] = found = twin_rank(code, design.partner_row, thresholds=(0.0, 0.01))
    alike = doppelganger_rate(code, clusters, velocity=None, extinction=None, whiten=False)
    rows[name] = {
        "twin nearest": f"{found.fractions[0]:.3f} +- {found.standard_error[0]:.3f}",
        "in nearest 1 %": f"{found.fractions[1]:.3f} +- {found.standard_error[1]:.3f}",
        "field within": f"{alike.rate:.4f} +- {alike.standard_error:.4f}",
    }
rows["chance"] = {
    "twin nearest": f"{found.chance[0]:.3f}",
    "in nearest 1 %": f"{found.chance[1]:.3f}",
    "field within": f"{alike.chance:.4f}",
}
swaps = {}
for name, network in networks.items():
    swapped = network.decode(codes[name][design.partner_row], known)
    own = network.reconstruct(test, conditions=known)
    swaps[name] = error = swap_error(swapped, test, design.partner_row, reconstruction=own)
    rows[name]["swap error"] = f"{error.score:.2f} +- {error.standard_error:.2f}"
    rows[name]["own code"] = f"{error.own_code:.2f}"
rows["chance"]["swap error"] = f"{error.constant:.0f} (mean spectrum)"
print(
    f"""Stars not trained on at S/N {SNR}, 300 pairs, +- standard error by pair; seed {SEED}.
'field within': share of other stars nearer than the twin, of 100 pairs; 'swap error': of flux
decoded from the twin's code, squared, in units of the noise, so that 1 is perfect.
"""
)
print(pd.DataFrame.from_dict(rows, orient="index").fillna("").to_string())

folder.mkdir(parents=True, exist_ok=True)
figure = Figure(figsize=(6, 4.5), layout="constrained")
places = {
    name: cumulative_share(found.ranks + 1, groups=design.pair) for name, found in ranks.items()
}
ax = plot_error_ecdf(places, figure.subplots())
ax.set(xlabel="place of the twin among the neighbours", ylabel="share of stars", xscale="log")
figure.savefig(folder / "twins.png", dpi=120)
print(f"\nPicture: {folder / 'twins.png'}")
