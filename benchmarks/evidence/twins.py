"""Twin stars found by a code without Teff and log g: ``python benchmarks/evidence/twins.py``.

Table 1 of de Mijolla, Ness & Viti 2019, and the noise of their paper of 2021. Red giants in pairs
of one composition and different Teff and log g (`twin_design`: metallicity and 13 abundances, each
uniform), seen from 15152 to 16863 Angstrom at R = 22,500, sampled like APOGEE and then averaged
over 8 pixels to 968 (not with --full), without instrument and atmosphere. S/N is that of a pixel
before averaging. All are fitted to noisy spectra at S/N 50 of pairs other than those of the test;
which stars are twins is not told, except that both stars of a pair watch or both train.

A star's twin is found where no other test star has a code closer to its own, in Euclidean distance
of the codes as they are, or divided by their scatter where that did better on the stars to choose
on. Swap error: mean squared error of the flux of each star decoded from its twin's code under its
own Teff and log g. Errors count pairs.

Networks: a conditional autoencoder with and without the adversary (`adversary_weight`) and with and
without a price on the code (`kl_weight`). "Adversary alone" is the published method, "neither" its
baseline. PCA, and PCA of what a polynomial in Teff and log g leaves ("PolyDis" of 2021 has degree
4 but is told three more parameters), know no network.
"""

import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from _evidence import Evidence, Options, parse_options, star_seed
from _twins_models import (
    SNRS,
    Method,
    Stars,
    noise_of,
    principal_components,
    simulate_pairs,
    train_autoencoder,
    with_noise,
)
from _twins_report import claims_of, tables_of
from sklearn.linear_model import LinearRegression
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.preprocessing import StandardScaler

from specvae.metrics import swap_error, twin_rank

TRAIN_SNR = 50
TRAIN_PAIRS, TEST_PAIRS, NOISE = 0, 1, 2  # seeds, given to `star_seed`
SHARES = (0.0, 0.001, 0.01)
# name: (adversary_weight, kl_weight, seed, scaled); prices of a nat against that of the noise
NETWORKS = {
    "adversary and price": (100.0, 1.0, 0, False),
    "adversary alone": (100.0, 0.0, 0, True),
    "price alone": (0.0, 1.0, 0, False),
    "neither": (0.0, 0.0, 0, True),
}
# name: (degree, n_components, scaled)
COMPONENTS = {
    "PCA": (0, 14, True),
    "degree 2 and PCA": (2, 14, True),
    "degree 4 and PCA": (4, 14, False),
}
QUESTION = """Does an adversary make a code in which stars of one composition are neighbours?

Table 1 of de Mijolla, Ness & Viti 2019 again, on simulated pairs of red giants that share their
composition and differ in Teff and log g: conditional autoencoders with and without an adversary and
with and without a price on the code, and principal components of what a polynomial in Teff and log
g leaves. "Adversary alone" is the published method, "neither" its baseline. All were fitted at S/N
50 to other pairs. Errors count pairs."""
DOES_NOT_SHOW = [
    "Published spectra: these come from a simpler line list, with 13 abundances that vary alone, "
    "968 averaged pixels instead of some 7000 and 8,000 test stars instead of 25,000.",
    "The published networks, which have 100 million parameters and trained on noiseless spectra "
    "for a day; these have under a million, and saw S/N 50 in training whatever the test.",
    "The scatter of training: one training of each network. Errors are those of the test pairs.",
    "PolyDis of 2021 as it was: that one was told [M/H], alpha and C besides Teff and log g.",
    "Real stars: no velocity, rotation, instrument, sky or continuum, and Teff and log g known "
    "exactly.",
    "A code without Teff and log g in the strict sense: other readers than the three here might "
    "find more.",
]


@dataclass(frozen=True)
class Sizes:
    """Pairs, pixels and epochs of a run."""

    n_train_pairs: int
    n_test_pairs: int
    binning: int
    max_epochs: int
    n_latents: int = 14
    device: str = "cpu"


SIZES = {
    "test": Sizes(60, 30, 32, 1),
    "cpu": Sizes(8_000, 4_000, 8, 60),
    "full": Sizes(25_000, 12_500, 1, 150, device="auto"),
}


def twin_figures(codes: np.ndarray, twin: np.ndarray, scaled: bool) -> dict[str, Any]:
    """Ranks of the twins, and in how many pairs the twin is the nearest, or nearly."""
    codes = codes.astype(np.float64)
    if scaled:
        codes = codes / np.maximum(codes.std(axis=0), 1e-12)
    most = max(1, int(np.ceil(SHARES[-1] * len(codes))))
    result = twin_rank(codes, twin, thresholds=SHARES, max_rank=most)
    return {"ranks": result.ranks, "share": result.fractions, "error": result.standard_error}


def recovered(codes: np.ndarray, known: np.ndarray) -> dict[str, list[float]]:
    """R2 of Teff and log g from codes of stars that the readers have not seen."""
    codes = StandardScaler().fit_transform(codes)
    known = StandardScaler().fit_transform(known)
    half = len(codes) // 4 * 2  # whole pairs
    readers = {
        "linear": LinearRegression(),
        "neighbours": KNeighborsRegressor(20),
        "network": MLPRegressor(
            hidden_layer_sizes=(64, 64), early_stopping=True, max_iter=300, random_state=0
        ),
    }
    result = {}
    for name, reader in readers.items():
        error = known[half:] - reader.fit(codes[:half], known[:half]).predict(codes[half:])
        result[name] = (1 - error.var(axis=0) / known[half:].var(axis=0)).tolist()
    return result


def measure(method: Method, stars: Stars, noise_seed: int) -> dict[str, Any]:
    """All figures of a method on test stars; swap and R2 on noiseless spectra."""
    result: dict[str, Any] = {"twins": {}, "other distance": {}}
    for snr in SNRS:
        seen = with_noise(stars, snr, noise_seed)
        codes = method.encode(seen, stars.known)
        result["twins"][snr] = twin_figures(codes, stars.twin, method.scaled)
        other = twin_figures(codes, stars.twin, not method.scaled)
        result["other distance"][snr] = other["share"]
        if snr is None:
            own, swapped = (method.decode(code, stars.known) for code in (codes, codes[stars.twin]))
            result["swap"] = swap_error(swapped, stars.flux, stars.twin, reconstruction=own)
            result["r2"] = recovered(codes, stars.known)
    return result


def measure_all(options: Options, sizes: Sizes) -> dict[str, dict[str, Any]]:
    """Fit and measure all methods."""
    stars = simulate_pairs(options.purpose, TEST_PAIRS, sizes.n_test_pairs, sizes.binning)
    train = simulate_pairs(options.purpose, TRAIN_PAIRS, sizes.n_train_pairs, sizes.binning)
    seeds = [star_seed(options.purpose, seed) for seed in (TRAIN_PAIRS, NOISE)]
    flux, unit = with_noise(train, TRAIN_SNR, seeds[0] + 1), noise_of(TRAIN_SNR, train.binning)
    print(f"simulated, {time.perf_counter() - options.started:.0f} s", flush=True)
    results = {}
    for name, (adversary_weight, kl_weight, seed, scaled) in NETWORKS.items():
        method, autoencoder = train_autoencoder(
            flux,
            train.known,
            unit,
            scaled=scaled,
            adversary_weight=adversary_weight,
            kl_weight=kl_weight,
            seed=seed,
            latent_dim=sizes.n_latents,
            adversary_warmup_epochs=2,
            max_epochs=sizes.max_epochs,
            batch_size=128,
            learning_rate=2e-3,
            device=sizes.device,
        )
        results[name] = measure(method, stars, seeds[1])
        if "valid_knowledge" in autoencoder.history_:
            results[name]["knows"] = float(autoencoder.history_["valid_knowledge"].iloc[-1])
        report_progress(name, results[name], options)
    for name, (degree, n_components, scaled) in COMPONENTS.items():
        method = principal_components(flux, train.known, n_components, degree, scaled=scaled)
        results[name] = measure(method, stars, seeds[1])
        report_progress(name, results[name], options)
    return results


def report_progress(name: str, result: dict[str, Any], options: Options) -> None:
    nearest = [f"{100 * result['twins'][snr]['share'][0]:.1f}" for snr in SNRS]
    other = [f"{100 * result['other distance'][snr][0]:.1f}" for snr in SNRS]
    print(
        f"{name}: nearest % {nearest}, other distance {other}, swap {result['swap'].score:.2e}, "
        f"own {result['swap'].own_code:.2e}, r2 {result['r2']}, knows {result.get('knows')}, "
        f"{time.perf_counter() - options.started:.0f} s",
        flush=True,
    )


def numbers_of(results: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return figures without those of single stars."""
    numbers = {}
    for name, result in results.items():
        swap = result["swap"]
        numbers[name] = {
            "twins": {
                str(snr): {key: one[key] for key in ("share", "error")}
                for snr, one in result["twins"].items()
            },
            "share, other distance": {
                str(snr): share for snr, share in result["other distance"].items()
            },
            "mse, own code": swap.own_code,
            "mse, twin's code": [swap.score, swap.standard_error],
            "mse, mean spectrum": swap.constant,
            "r2": result["r2"],
            "adversary knows, nats": result.get("knows"),
        }
    return numbers


def run(options: Options) -> Evidence:
    """Fit all, and hold them against the published figures."""
    sizes = SIZES[options.size]
    results = measure_all(options, sizes)
    sets = "simulated pairs, purpose {}, seeds 0 (training) and 1 (test)"
    return Evidence(
        name="twins",
        title="Twin stars by a code without Teff and log g",
        question=QUESTION,
        seeds=[0],
        chosen_on=["simulated pairs of twin_design seed 1", sets.format("choose")],
        reported_on=[sets.format("report")],
        does_not_show=DOES_NOT_SHOW,
        settings={
            **asdict(sizes),
            "training S/N": TRAIN_SNR,
            "adversary_weight, kl_weight, seed, scaled": NETWORKS,
            "degree, n_components, scaled": COMPONENTS,
        },
        tables=tables_of(results),
        claims=claims_of(results),
        numbers=numbers_of(results),
    )


def main() -> None:
    options = parse_options(__doc__)
    run(options).write(options)


if __name__ == "__main__":
    main()
