"""Do intervals hold what they state? ``python benchmarks/evidence/calibration.py``.

Simulated HARPS spectra of catalogue stars, several of a star, and the 504 stars of the MILES
library (Falcon-Barroso et al. 2011) from 4000 to 7000 K; folds by star. Within each fold a fifth of
the training stars is kept from all models; it calibrates the intervals that need it.

Four intervals of each model. "stated": one and 1.96 standard deviations of
`predict(return_std=True)`, for a Gaussian process its own. "raw": the same before `std_factor_`,
which the networks take from their own validation stars. "conformal": the stated ones, multiplied
for each label and level so that they hold their share of the stars kept aside. "one sigma": the
root mean square residual of the stars kept aside, the same for every star; a model that states
nothing has this alone.

Coverage is the share of a star's spectra whose true label lies within, mean over stars with its
standard error. Width is half the mean interval of 68 %. The interval score (Gneiting & Raftery
2007) of 95 %, in units of the label, adds 40 times what is missed to the whole width: lower is
better, and neither wide nor missing intervals win.

Outside the training range: trained on stars from 4500 to 6500 K, tested on those below and above. A
spectrum is flagged as unlike those of the training where its tenth nearest among them, in 10
whitened principal components, is farther than for 95 % of the stars kept aside.
"""

import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from _calibration_models import (
    N_MEMBERS,
    Prediction,
    Stars,
    fit_models,
    miles_stars,
    simulated_stars,
    unlike,
)
from _calibration_report import SHOWN, claims_of, tables_of
from _evidence import Evidence, Options, parse_options
from joblib import Parallel, delayed

from specvae.metrics import mean_by_star
from specvae.model_selection import StarGroupKFold

LEVELS = (0.6827, 0.95)
GAUSSIAN = (1.0, 1.96)
TRAIN_RANGE_K = (4500.0, 6500.0)
# Distances from that range, K.
EDGES_K = {"simulated": (0.0, 500.0, 1000.0), "MILES": (0.0, 250.0)}

QUESTION = """Do 68 % and 95 % of the stars lie within the uncertainties that models state for them?

Simulated HARPS spectra of catalogue stars, and the MILES stars from 4000 to 7000 K, folds by star,
then stars outside the range of the training. Four intervals of each model: "stated" by
`predict(return_std=True)`; "raw", the same before the networks' own calibration; "conformal", the
stated ones scaled to hold their share of training stars that were kept aside; "one sigma", the
scatter of the residuals of those, alike for every star. Width is half the mean interval; the
interval score, in units of the label, adds to the whole width 40 times what lies beyond it."""
DOES_NOT_SHOW = [
    "The published convolutional networks, which a few hundred stars and minutes of one core do "
    "not train: networks start from 30 principal components, but for the dense one.",
    "The scatter of training and of the stars kept aside: one training of each fold. A coverage "
    "that rests on 50 to 100 stars to calibrate on scatters by some 5 points beside the errors "
    "given, which count tested stars alone.",
    "Coverage star by star or in parts of the label range, other than outside the training range.",
    "Other ways to leave the training range than in Teff: other metallicities, instruments, noise.",
    "The true labels of MILES: their own errors, some 60 K, 0.13 and 0.05 dex, are part of what "
    "the intervals must hold.",
    "MILES stars all untouched: half of them were developed on, and are part of the training of "
    "folds and of the columns 'all stars'; the verdicts are on the other half.",
]


@dataclass(frozen=True)
class Sizes:
    """Stars, spectra, folds and epochs of a run."""

    n_stars: int
    n_spectra: int
    n_folds_simulated: int
    n_folds_miles: int
    max_epochs: int
    n_components: int = 30
    raw_encoder: str = "dense"
    device: str = "cpu"
    n_miles: int | None = None


SIZES = {
    "test": Sizes(40, 44, 2, 2, 1, 4, n_miles=60),
    "cpu": Sizes(800, 1100, 2, 5, 60),
    "full": Sizes(3000, 9000, 5, 5, 100, raw_encoder="conv", device="auto"),
}


def conformal_factor(error: np.ndarray, std: np.ndarray, star: np.ndarray, level: float) -> float:
    """Return the factor by which intervals hold `level` of the stars, and of one to come.

    Each star counts once. Infinite where there are too few stars for the level.
    """
    ratio = np.abs(error) / std
    weight = 1.0 / np.unique(star, return_counts=True)[1][np.unique(star, return_inverse=True)[1]]
    order = np.argsort(ratio)
    share = np.cumsum(weight[order]) / (weight.sum() + 1.0)
    place = int(np.searchsorted(share, level - 1e-12))
    return float(ratio[order][place]) if place < len(order) else np.inf


def interval_score(error: np.ndarray, half: np.ndarray, level: float) -> np.ndarray:
    """Return the width of the intervals and what is missed, times 2 over the share to be missed."""
    missed = np.maximum(np.abs(error) - half, 0.0)
    return 2.0 * half + 2.0 / (1.0 - level) * missed


def half_widths(test: Prediction, aside: Prediction, stars: Stars) -> dict[str, np.ndarray]:
    """Half intervals of each kind, shape (n_levels, n_spectra, n_labels).

    `stars` were kept aside, and `aside` is what the model predicts of them.
    """
    error = stars.labels - aside.mean
    sigma = np.sqrt(np.nanmean(error**2, axis=0))
    gaussian = np.array(GAUSSIAN)[:, None, None]
    kinds = {}
    if test.raw is not None:
        kinds["raw"] = gaussian * test.raw
    if test.std is not None and aside.std is not None:
        kinds["stated"] = gaussian * test.std
        factors = np.empty((len(LEVELS), error.shape[1]))
        for column in range(error.shape[1]):
            known = np.isfinite(error[:, column])
            of_known = (error[known, column], aside.std[known, column], stars.groups[known])
            factors[:, column] = [conformal_factor(*of_known, level) for level in LEVELS]
        kinds["conformal"] = factors[:, None, :] * test.std
    kinds["one sigma"] = gaussian * np.broadcast_to(sigma, test.mean.shape)
    return kinds


Intervals = dict[tuple[str, str], np.ndarray]


def keep_aside(train: Stars, seed: int) -> tuple[Stars, Stars]:
    """Return four fifths of the stars to fit, and a fifth to calibrate."""
    fit, aside = next(StarGroupKFold(5, random_state=seed).split(train.flux, groups=train.groups))
    return train.rows(fit), train.rows(aside)


def intervals_of(train: Stars, test: Stars, sizes: Sizes, seed: int) -> tuple[dict, Intervals]:
    """Means of each model, and half intervals of each model and kind, on `test`."""
    torch.set_num_threads(1)
    fit, kept = keep_aside(train, seed)
    models = fit_models(
        fit,
        raw_encoder=sizes.raw_encoder,
        max_epochs=sizes.max_epochs,
        n_components=sizes.n_components,
        device=sizes.device,
    )
    means, halves = {}, {}
    for name, predict in models.items():
        predicted = predict(test.flux)
        means[name] = predicted.mean
        for kind, half in half_widths(predicted, predict(kept.flux), kept).items():
            halves[name, kind] = half
    return means, halves


def cross_validated(stars: Stars, n_folds: int, sizes: Sizes, n_jobs: int) -> tuple[dict, dict]:
    """Means and half intervals of all stars, each from models that know nothing of the star."""
    folds = list(StarGroupKFold(n_folds, random_state=0).split(stars.flux, groups=stars.groups))
    found = Parallel(n_jobs)(
        delayed(intervals_of)(stars.rows(train), stars.rows(test), sizes, fold)
        for fold, (train, test) in enumerate(folds)
    )
    rows = np.argsort(np.concatenate([test for _, test in folds]))
    means = {name: np.concatenate([of[0][name] for of in found])[rows] for name in found[0][0]}
    halves = {
        key: np.concatenate([of[1][key] for of in found], axis=1)[:, rows] for key in found[0][1]
    }
    return means, halves


def score(stars: Stars, means: dict, halves: Intervals, chosen: np.ndarray) -> dict[str, Any]:
    """Coverage, width and interval score of each model and kind, for some spectra."""
    scores = {}
    for (name, kind), half in halves.items():
        error = (stars.labels - means[name])[chosen]
        half, star = half[:, chosen], stars.groups[chosen]
        covered = np.where(np.isnan(error), np.nan, np.abs(error) <= half)  # (2, n, n_labels)
        by_level = [mean_by_star(of_level, star) for of_level in covered]
        unknown = np.where(np.isnan(error), np.nan, 1.0)
        scores[f"{name}, {kind}"] = {
            "coverage": np.array([one.mean for one in by_level]),
            "error": np.array([one.standard_error for one in by_level]),
            "width": np.array([mean_by_star(of * unknown, star).mean for of in half]),
            "interval score": mean_by_star(interval_score(error, half[1], LEVELS[1]), star).mean,
            "mae": mean_by_star(np.abs(error), star).mean,
        }
    return scores


def outside(stars: Stars, sizes: Sizes, edges_k: tuple[float, ...], *, report: bool) -> dict:
    """Error and stated uncertainty of stars by their distance from the training range."""
    teff_k = stars.labels[:, 0]
    inside = (teff_k >= TRAIN_RANGE_K[0]) & (teff_k <= TRAIN_RANGE_K[1])
    within = np.flatnonzero(inside)
    folds = StarGroupKFold(5, random_state=0)
    train, held = next(folds.split(within, groups=stars.groups[within]))
    test = stars.rows(np.sort(np.concatenate([within[held], np.flatnonzero(~inside)])))
    if report:
        test = test.rows(~test.development)
    trained = stars.rows(within[train])
    means, halves = intervals_of(trained, test, sizes, seed=0)
    halves = {key: half for key, half in halves.items() if ", ".join(key) in SHOWN}
    flagged = unlike(*keep_aside(trained, 0), test.flux)
    place = places_of(test.labels[:, 0], edges_k)
    results = {"outside": place != 0}
    results |= {name_of(index, edges_k): place == index for index in np.unique(place).tolist()}
    return {
        name: {
            "stars": len(set(test.groups[chosen])),
            "flagged": mean_by_star(flagged[chosen], test.groups[chosen]),
            "scores": score(test, means, halves, chosen),
        }
        for name, chosen in results.items()
        if len(set(test.groups[chosen])) >= 2
    }


def places_of(teff_k: np.ndarray, edges_k: tuple[float, ...]) -> np.ndarray:
    """Return 0 inside the training range, else the distance's place: negative below it."""
    distance = np.minimum(teff_k - TRAIN_RANGE_K[0], 0.0)
    distance += np.maximum(teff_k - TRAIN_RANGE_K[1], 0.0)
    # A distance of 0 is place 0, since `edges_k` starts with it.
    return (np.sign(distance) * np.searchsorted(edges_k, np.abs(distance))).astype(int)


def name_of(place: int, edges_k: tuple[float, ...]) -> str:
    if place == 0:
        return "inside"
    side, place = ("below", -place) if place < 0 else ("above", place)
    if place == len(edges_k):
        return f"{side} by over {edges_k[-1]:g} K"
    return f"{side} by {edges_k[place - 1]:g} to {edges_k[place]:g} K"


def measure(options: Options, sizes: Sizes) -> dict[str, dict[str, Any]] | None:
    """Scores within and outside the training range, simulated and of MILES."""
    miles = miles_stars(options.purpose)
    if miles is None:
        return None
    simulated = simulated_stars(options.purpose, 0, sizes.n_stars, sizes.n_spectra)
    if sizes.n_miles is not None:
        miles = miles.rows(np.arange(len(miles.flux)) < sizes.n_miles)
    sets = {
        "simulated": (simulated, sizes.n_folds_simulated),
        "MILES": (miles, sizes.n_folds_miles),
    }
    results = {}
    for name, (stars, n_folds) in sets.items():
        means, halves = cross_validated(stars, n_folds, sizes, options.n_jobs)
        # Verdicts are on stars that nobody developed on, where there are others.
        other = ~stars.development if options.purpose == "report" else stars.development | True
        results[name] = {
            "stars": len(set(stars.groups[other])),
            "scores": score(stars, means, halves, other),
            "all stars": score(stars, means, halves, np.ones(len(stars.flux), dtype=bool)),
        }
        report = options.purpose == "report"
        results[name]["outside"] = outside(stars, sizes, EDGES_K[name], report=report)
        seconds = time.perf_counter() - options.started
        print(f"{name}: {len(stars.flux)} spectra, {seconds:.0f} s", flush=True)
    return results


def numbers_of(value: Any) -> Any:
    """Return nested figures as lists, None where one is infinite: too few stars were kept aside."""
    if isinstance(value, tuple):
        value = value._asdict()
    if isinstance(value, dict):
        return {name: numbers_of(one) for name, one in value.items()}
    if isinstance(value, np.ndarray):
        return [numbers_of(one) for one in value]
    if isinstance(value, (float, np.floating)):
        return round(float(value), 5) if np.isfinite(value) else None
    return value


def run(options: Options) -> Evidence | None:
    """Measure on both sets of stars."""
    sizes = SIZES[options.size]
    results = measure(options, sizes)
    if results is None:
        print("Skipped: the MILES stars are absent.")
        return None
    return Evidence(
        name="calibration",
        title="Coverage of stated uncertainties",
        question=QUESTION,
        seeds=[0],
        chosen_on=["simulated, purpose choose, seed 0", "MILES, development half"],
        reported_on=["simulated, purpose report, seed 0", "MILES, other half"],
        does_not_show=DOES_NOT_SHOW,
        settings={**asdict(sizes), "training range, K": TRAIN_RANGE_K, "members": N_MEMBERS},
        tables=tables_of(results),
        claims=claims_of(results),
        numbers=numbers_of(results),
    )


def main() -> None:
    options = parse_options(__doc__)
    evidence = run(options)
    if evidence is not None:
        evidence.write(options)


if __name__ == "__main__":
    main()
