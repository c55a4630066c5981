"""Twin stars found by a code without Teff and log g: ``python benchmarks/twins.py``.

Red giants in pairs of one composition and different Teff and log g (`twin_design`: metallicity and
13 abundances, each uniform), seen from 15152 to 16863 Angstrom at R = 22,500, sampled like APOGEE
and then averaged over 8 pixels to 968, so that the whole runs on one core within 40 minutes. No
instrument, no atmosphere: photon noise only. S/N is that of a pixel before averaging. Networks are
trained on noisy spectra at S/N 50 of pairs other than those of the test; which stars are twins is
not told, except that both stars of a pair watch or both train.

A star's twin is found where no other of the 10,000 test stars has a code closer to its own, in
Euclidean distance, taken of the codes as they are or divided by their scatter, whichever does
better for that row of the table. Swap error: mean squared error of the flux of each star decoded
from its twin's code under its own Teff and log g.

"without adversary" has adversary_weight=0 and is the same otherwise; "plain" has no price on the
code either (kl_weight=0): a conditional autoencoder without any disentanglement, which is the
published baseline. "PCA residuals" are principal components of what a quadratic in Teff and log g
leaves. Published: de Mijolla, Ness & Viti 2019, 25,000 noiseless
training pairs and 12,500 test pairs of other simulations with about 7000 pixels.

Prints the tables, writes benchmarks/results/twins.json.
"""

import argparse
import json
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from torch import nn

from specvae.estimators import AdversarialAutoencoder
from specvae.metrics import swap_error, twin_rank
from specvae.simulation import TWIN_GRID, StellarSpectrumSimulator, twin_design

RESULTS = Path(__file__).parent / "results/twins.json"
BINNING = 8
N_PIXELS = TWIN_GRID.n_pixels // BINNING
SNRS = (None, 100, 50, 30)
TRAIN_SNR = 50
# Settings were chosen on the pairs of seed 1; those that are reported were not looked at.
TRAIN_SEED, TEST_SEED, NOISE_SEED = 2, 11, 7
N_LATENTS, N_COMPONENTS, WIDTH = 14, 64, 256
PUBLISHED = {
    "share of pairs with the twin nearest": (0.607, 0.081),
    "twin among the nearest 0.1 %": (0.823, 0.144),
    "twin among the nearest 1 %": (0.937, 0.248),
    "mean squared error": (2.2e-6, 4.1e-7),
    "mean squared error, codes swapped": (3.7e-4, 9.7e-3),
}


def simulate(n_pairs: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noiseless flux over its median, and Teff and log g; twins follow each other."""
    simulator = StellarSpectrumSimulator(
        TWIN_GRID, instrument=None, atmosphere=False, resolving_power=22_500
    )
    labels = twin_design(n_pairs, random_state=seed).labels
    flux = np.empty((len(labels), N_PIXELS), dtype=np.float32)
    for start in range(0, len(labels), 1000):
        rows = slice(start, start + 1000)
        fine = simulator.simulate(labels.iloc[rows], random_state=seed).noiseless_flux
        fine = fine[:, : N_PIXELS * BINNING].reshape(len(fine), N_PIXELS, BINNING)
        flux[rows] = fine.mean(axis=2)
    flux /= np.median(flux, axis=1, keepdims=True)
    return flux, labels[["teff_k", "logg_dex"]].to_numpy()


def with_noise(flux: np.ndarray, snr: float | None, seed: int) -> np.ndarray:
    """Add photon noise of a signal to noise ratio in each pixel before averaging."""
    if snr is None:
        return flux
    deviate = np.random.default_rng(seed).standard_normal(flux.shape, dtype=np.float32)
    return flux * (1 + deviate / np.float32(snr * np.sqrt(BINNING)))


class Stack(nn.Sequential):
    """Two hidden layers."""

    def __init__(self, n_inputs, n_outputs):
        super().__init__(
            nn.Linear(n_inputs, WIDTH),
            nn.LeakyReLU(0.1),
            nn.Linear(WIDTH, WIDTH),
            nn.LeakyReLU(0.1),
            nn.Linear(WIDTH, n_outputs),
        )


def component_networks(flux: np.ndarray, noise: float) -> tuple[type, type]:
    """Make encoder and decoder that work on principal components of the flux, of unit scatter.

    Components weaker than the noise keep the scale of the noise.
    """
    pca = PCA(N_COMPONENTS, random_state=0).fit(flux)
    components = torch.from_numpy(pca.components_.astype(np.float32))
    scatter = np.sqrt(np.maximum(pca.explained_variance_, noise**2))
    # The scatter of all pixels is about the unit in which the network sees the flux.
    unit = flux.std(axis=0).mean()
    scatter = torch.from_numpy((scatter / unit).astype(np.float32))

    class Encoder(nn.Module):
        def __init__(self, n_pixels, n_outputs, *, n_conditions):
            super().__init__()
            self.register_buffer("project", components.T / scatter)
            self.body = Stack(N_COMPONENTS + n_conditions, n_outputs)

        def forward(self, flux, conditions):
            return self.body(torch.cat([flux @ self.project, conditions], dim=1))

    class Decoder(nn.Module):
        def __init__(self, n_inputs, n_pixels, *, n_conditions):
            super().__init__()
            self.register_buffer("expand", scatter[:, None] * components)
            self.body = Stack(n_inputs + n_conditions, N_COMPONENTS)

        def forward(self, code, conditions):
            return self.body(torch.cat([code, conditions], dim=1)) @ self.expand

    return Encoder, Decoder


def train(flux, known, *, adversary_weight, kl_weight, seed, max_epochs):
    """Flux is in units of the noise, where a nat is worth 2 / n_pixels of squared error."""
    encoder, decoder = component_networks(flux, 1.0)
    autoencoder = AdversarialAutoencoder(
        N_LATENTS,
        encoder=encoder,
        decoder=decoder,
        adversary_weight=adversary_weight * 2.0 / N_PIXELS,
        adversary_warmup_epochs=2,
        kl_weight=kl_weight * 2.0 / N_PIXELS,
        reconstruction="l2",
        max_epochs=max_epochs,
        batch_size=128,
        learning_rate=2e-3,
        patience=None,
        device="cpu",
        random_state=seed,
    )
    return autoencoder.fit(flux, conditions=known, groups=np.arange(len(flux)) // 2)


def twin_shares(codes: np.ndarray) -> dict[str, float]:
    """Share of stars whose twin is the nearest, and among the nearest 0.1 % and 1 %."""
    result = twin_rank(codes, np.arange(len(codes)) ^ 1, thresholds=(0.0, 0.001, 0.01))
    return dict(zip(list(PUBLISHED)[:3], result.fractions.tolist(), strict=True))


def best_shares(codes: np.ndarray) -> dict[str, float]:
    """Shares with the codes as they are or divided by their scatter."""
    codes = codes.astype(np.float64)
    found = [twin_shares(codes), twin_shares(codes / np.maximum(codes.std(axis=0), 1e-12))]
    return max(found, key=lambda shares: next(iter(shares.values())))


def teff_from_codes(codes: np.ndarray, known: np.ndarray) -> float:
    """Coefficient of determination of Teff from the 20 nearest codes, on the second half."""
    codes, half = StandardScaler().fit_transform(codes), len(codes) // 2
    neighbours = KNeighborsRegressor(20).fit(codes[:half], known[:half, 0])
    return float(neighbours.score(codes[half:], known[half:, 0]))


def measure_network(autoencoder, flux, known, unit):
    """All figures of a trained network on test spectra."""
    result: dict[str, Any] = {"twins": {}}
    for snr in SNRS:
        seen = with_noise(flux, snr, NOISE_SEED) / unit
        codes = autoencoder.transform(seen, conditions=known)
        result["twins"][str(snr)] = best_shares(codes)
        if snr is None:
            twin = np.arange(len(codes)) ^ 1
            own, swapped = (autoencoder.decode(code, known) * unit for code in (codes, codes[twin]))
            errors = swap_error(swapped, flux, twin, reconstruction=own)
            result["mean squared error"] = errors.own_code
            result["mean squared error, codes swapped"] = errors.score
            result["r2 of Teff"] = teff_from_codes(codes, known)
    history = autoencoder.history_
    result["epochs"], result["best epoch"] = len(history), int(np.flatnonzero(history["best"])[-1])
    if "valid_knowledge" in history:
        result["adversary knows, nats"] = float(history["valid_knowledge"].iloc[-1])
    return result


def measure_components(n_components, train_flux, train_known, flux, known):
    """Shares of PCA, and of PCA of residuals from a quadratic in the conditions."""
    quadratic = make_pipeline(StandardScaler(), PolynomialFeatures(2), LinearRegression())
    quadratic.fit(train_known, train_flux)
    plain = PCA(n_components, random_state=0).fit(train_flux)
    residual = PCA(n_components, random_state=0).fit(train_flux - quadratic.predict(train_known))
    results: dict[str, Any] = {"PCA": {"twins": {}}, "PCA residuals": {"twins": {}}}
    for snr in SNRS:
        seen = with_noise(flux, snr, NOISE_SEED)
        codes = residual.transform(seen - quadratic.predict(known))
        results["PCA"]["twins"][str(snr)] = best_shares(plain.transform(seen))
        results["PCA residuals"]["twins"][str(snr)] = best_shares(codes)
    return results


def print_tables(results: dict[str, Any]) -> None:
    names = list(PUBLISHED)
    print(f"\n{'twin nearest, %':36}" + "".join(f"{snr or 'noiseless':>12}" for snr in SNRS))
    for method, result in results.items():
        shares = [result["twins"][str(snr)][names[0]] for snr in SNRS]
        print(f"{method:36}" + "".join(f"{100 * share:12.1f}" for share in shares))
    ours, other = results["adversary, seed 0"], results["without adversary, seed 0"]
    plain = results["plain, seed 0"]
    print(f"\n{'':36}{'published':>22}{'ours, noiseless test':>33}")
    print(
        f"{'':36}{'adversary':>11}{'baseline':>11}{'adversary':>11}{'no advers.':>11}{'plain':>11}"
    )
    for name, published in PUBLISHED.items():
        row = [
            each[name] if name in each else each["twins"]["None"][name]
            for each in (ours, other, plain)
        ]
        small = name.startswith("mean squared")
        cells = [f"{x:11.1e}" if small else f"{100 * x:10.1f}%" for x in (*published, *row)]
        print(f"{name:36}" + "".join(cells))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=10_000, help="training pairs")
    parser.add_argument("--test-pairs", type=int, default=5_000)
    parser.add_argument("--epochs", type=int, default=70)
    parser.add_argument("--seeds", type=int, default=1, help="trainings with the adversary")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    start = time.perf_counter()
    flux, known = simulate(arguments.test_pairs, TEST_SEED)
    train_flux, train_known = simulate(arguments.pairs, TRAIN_SEED)
    train_flux = with_noise(train_flux, TRAIN_SNR, TRAIN_SEED)
    unit = np.float32(1.0 / (TRAIN_SNR * np.sqrt(BINNING)))
    print(f"simulated, {time.perf_counter() - start:.0f} s", flush=True)

    ways = {f"adversary, seed {seed}": (20.0, 1.0, seed) for seed in range(arguments.seeds)}
    ways |= {"without adversary, seed 0": (0.0, 1.0, 0), "plain, seed 0": (0.0, 0.0, 0)}
    results: dict[str, Any] = {}
    for name, (adversary_weight, kl_weight, seed) in ways.items():
        began = time.perf_counter()
        autoencoder = train(
            train_flux / unit,
            train_known,
            adversary_weight=adversary_weight,
            kl_weight=kl_weight,
            seed=seed,
            max_epochs=arguments.epochs,
        )
        results[name] = measure_network(autoencoder, flux, known, unit)
        results[name]["seconds"] = round(time.perf_counter() - began)
        print(name, json.dumps(results[name]), flush=True)
    for k in (N_LATENTS, 2 * N_LATENTS):
        measured = measure_components(k, train_flux, train_known, flux, known)
        results |= {f"{name}({k})": result for name, result in measured.items()}
    print_tables(results)

    ours = results["adversary, seed 0"]
    ratios = {
        name: ours["mean squared error, codes swapped"]
        / results[name]["mean squared error, codes swapped"]
        for name in ("without adversary, seed 0", "plain, seed 0")
    }
    for name, ratio in ratios.items():
        print(f"swap error over that of {name}: {ratio:.3f}")
    record = {
        "machine": f"{platform.machine()}, {platform.python_version()}, torch {torch.__version__}",
        "training pairs": arguments.pairs,
        "test pairs": arguments.test_pairs,
        "pixels": N_PIXELS,
        "training S/N": TRAIN_SNR,
        "seeds": {"train": TRAIN_SEED, "test": TEST_SEED, "noise": NOISE_SEED},
        "published": PUBLISHED,
        "results": results,
        "swap error ratio": ratios,
        "seconds": round(time.perf_counter() - start),
    }
    RESULTS.write_text(json.dumps(record, indent=1) + "\n")
    print(f"{record['seconds']} s; wrote {RESULTS.name}")
    shares = ours["twins"]
    first = next(iter(PUBLISHED))
    if (arguments.pairs, arguments.test_pairs, arguments.epochs) == (10_000, 5_000, 70):
        assert shares["None"][first] >= 0.9, "the twin of 90 % of the noiseless stars"
        assert shares["50"][first] >= 0.4, "the twin of 40 % of the stars at S/N 50"
        assert ratios["plain, seed 0"] <= 0.1, "a tenth of the swap error of the baseline"


if __name__ == "__main__":
    main()
