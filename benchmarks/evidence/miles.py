"""Labels of real stars: networks and kernels against strong baselines by nested cross-validation.

684 stars of the MILES library v9.1 (Sanchez-Blazquez et al. 2006, Falcon-Barroso et al. 2011), one
spectrum each, labels from the literature (Cenarro et al. 2007). First the 504 stars from 4000 to
7000 K: five outer folds of stars, three seeds; what is chosen is chosen in inner folds of the
training stars alone (see `_nested`). Then all 652 stars with three labels, from 2819 to 36,000 K,
with log Teff as label, and one seed.

The settings, the way in which kernels and networks are joined, and what was tried were decided on
the development stars, half of all; `--choose` sees only these. The first tables and all claims are
on the other half; tables of both halves together follow for comparison.

Methods whose name begins with "specvae" are the package's, "benchmark" those written here.

Run ``python benchmarks/evidence/miles.py``; it needs the MILES stars.
"""

import time
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from _evidence import Claim, Evidence, Options, Table, parse_options
from _miles_baselines import baselines
from _miles_gp import N_COMPONENTS, WIDTHS, MultiScaleGP, band_axes
from _miles_ideas import ideas
from _miles_networks import RegressorEnsemble
from _miles_report import (
    choices_table,
    errors_by_star,
    mae_table,
    paired_table,
    paired_tests,
    range_table,
    score_claim,
)
from _miles_stars import MILES, Stars, load_stars, other_flux, reported_stars, simulated_flux
from _miles_words import DOES_NOT_SHOW, NAMES, PAIRED
from _nested import Method, Nested, nested_predictions

OWN = "benchmark: multi-scale kernel"
SIMULATED = "benchmark: multi-scale kernel, simulated axes"
OWN_DEVIATIONS = "benchmark: multi-scale kernel, deviations as they are"
NETWORKS = "specvae: five SpectralRegressors"
RIDGE = "kernel ridge"
CNNS = "five CNNs"
LIKE = "kernel ridge and five CNNs, mean"
KERNELS = "joined: three kernels"
BEST = "joined: three kernels and five SpectralRegressors"
NETWORK_SHARE = 0.4
OF_WHOLE_RANGE = ("constant", "PCA + Gaussian process", RIDGE, CNNS)
EDGES_K = (2000.0, 4000.0, 7000.0, 10_000.0, 40_000.0)


@dataclass(frozen=True)
class Sizes:
    """How many stars, networks, epochs."""

    seeds: tuple[int, ...]
    n_folds: int
    n_members: int
    n_epochs: int
    n_simulated: int
    n_steps: int = 50  # of the Gaussian process
    n_trees: int = 100
    n_grid: int = 4  # values of each parameter of kernel ridge
    most_components: int = 150  # of baselines; few stars allow few
    n_stars: int | None = None  # of all, for tests


SIZES = {
    "test": Sizes((0,), 2, 1, 1, 30, n_steps=2, n_trees=2, n_grid=1, most_components=4, n_stars=24),
    "cpu": Sizes((0, 1, 2), 5, 5, 60, 1500),
    "full": Sizes((0, 1, 2), 10, 20, 150, 5000),
}


def run(options: Options) -> Evidence | None:
    if not MILES.exists():
        print(f"Skipped: {MILES} is absent.")
        return None
    sizes = SIZES[options.size]
    stars = _fewer(load_stars(options.purpose), sizes)
    simulated = simulated_flux(options.purpose, sizes.n_simulated)
    print(f"{len(stars.flux)} stars, {sizes.n_simulated} simulated", flush=True)

    ours = specvae_methods(band_axes(simulated[0], WIDTHS, N_COMPONENTS), sizes)
    plain = plain_methods(sizes)
    found = {
        name: _all_seeds(name, method, stars, sizes, options)
        for name, method in {**plain, **ours}.items()
    }
    predictions = with_means({name: _stacked(of) for name, of in found.items()})
    errors = {name: errors_by_star(of, stars.labels) for name, of in predictions.items()}
    every = np.ones(len(stars.flux), dtype=bool)
    reported, words = reported_stars(stars, options.purpose)
    rivals, parts = (*plain, LIKE), (*ours, KERNELS)
    tests, own, alone, simulated_alone = (
        paired_tests({name: errors[name] for name in (*others, one)}, one, reported)
        for one, others in ((BEST, rivals), (BEST, parts), (NETWORKS, rivals), (SIMULATED, rivals))
    )

    less = "less that of each other method"
    tables = [
        mae_table(f"Mean absolute error, {words}, 4000 to 7000 K", errors, reported, NAMES),
        paired_table(f"Error of {BEST!r} {less}, {words}", tests, PAIRED),
        paired_table(
            f"The same against its parts, {words}", own, "Kernel ridge, one of them, is above."
        ),
        paired_table(f"Error of {NETWORKS!r} alone {less}, {words}", alone, PAIRED),
        paired_table(
            f"Error of {SIMULATED!r} alone {less}, {words}",
            simulated_alone,
            "Singled out after a look at the errors above, so that these p-values are too small.",
        ),
    ]
    source = f"here: MILES, {words}, 4000 to 7000 K"
    claims = [
        score_claim(
            source,
            "Three kernels joined with five SpectralRegressors are ahead of every baseline on all "
            "three labels, with paired p < 0.01 by star on at least two.",
            tests,
        ),
        score_claim(
            source,
            "The same, ahead on all three labels, p < 0.01 not asked for.",
            tests,
            n_significant=0,
        ),
        score_claim(
            source,
            "Five SpectralRegressors alone are ahead of every baseline on all three labels, with "
            "p < 0.01 on at least two.",
            alone,
        ),
        score_claim(
            source,
            "The joined ones are ahead of each of their parts on all three labels, with p < 0.01 "
            "on at least one.",
            own,
            n_significant=1,
        ),
    ]
    if options.purpose == "report":
        all_words = f"all {len(every)} stars, half of them developed on"
        against = {name: errors[name] for name in (*rivals, BEST)}
        joined = {name: errors[name] for name in (*parts, BEST)}
        tables += [
            mae_table(
                f"For comparison, {all_words}",
                errors,
                every,
                "Settings, weights and kernels were decided on half of these stars.",
            ),
            paired_table(
                f"Error of {BEST!r} {less}, {all_words}",
                paired_tests(against, BEST, every),
                PAIRED,
            ),
            paired_table(
                f"The same against its parts, {all_words}",
                paired_tests(joined, BEST, every),
                "No claim rests on these three tables.",
            ),
        ]
    tables.append(choices_table(found))
    tables.append(try_ideas(stars.rows(stars.development), simulated, sizes, options))
    whole_tables, whole_claim, whole_numbers, whole_words = whole_range(sizes, options)
    numbers = {
        **{
            f"mae_by_seed, {part}": {
                name: np.nanmean(np.abs(of - stars.labels)[:, rows], axis=1).tolist()
                for name, of in predictions.items()
            }
            for part, rows in ((words, reported), ("all stars", every))
        },
        "p_values": tests[["other", "label", "p_value", "p_corrected"]].to_dict("records"),
        **whole_numbers,
    }
    return Evidence(
        name="miles",
        title="Labels of real stars: MILES",
        question=(
            "Do networks of specvae, alone or joined with kernels, read Teff, log g and [Fe/H] of "
            "real stars better than strong baselines?\n"
            "504 MILES stars from 4000 to 7000 K, then 652 from 2819 to 36,000 K; nested "
            "cross-validation by star. Settings were decided on half of the stars; first come the "
            "others. Spectra are divided by their median. The multi-scale kernel, which is not in "
            "the package, is that of a Gaussian process: it splits a spectrum into six bands of "
            "scales, each with its own length, and weighs stars by Student's t. Each band is "
            "projected on principal axes, of the training stars or of stars of specvae's "
            "simulator. The joined method is 0.6 of the mean of these two and of scikit-learn's "
            "kernel ridge, and 0.4 of the mean of five SpectralRegressors of specvae with a small "
            "encoder."
        ),
        seeds=list(sizes.seeds),
        chosen_on=["MILES, development half"],
        reported_on=[f"MILES, {words}", f"MILES, 2819 to 36,000 K, {whole_words}"]
        if options.purpose == "report"
        else ["MILES, none"],
        does_not_show=DOES_NOT_SHOW,
        settings={
            "outer folds": sizes.n_folds,
            "inner folds": 3,
            "networks of each ensemble": sizes.n_members,
            "epochs": sizes.n_epochs,
            "simulated stars": sizes.n_simulated,
        },
        tables=[*tables, *whole_tables],
        claims=[*claims, whole_claim],
        numbers=numbers,
    )


def plain_methods(sizes: Sizes) -> dict[str, Method]:
    """Return the baselines."""
    return baselines(
        sizes.n_epochs, sizes.n_members, sizes.n_trees, sizes.n_grid, sizes.most_components
    )


def specvae_methods(axes: list[np.ndarray] | None, sizes: Sizes) -> dict[str, Method]:
    """Return what is joined with kernel ridge, each with one setting."""
    process = partial(_process, n_steps=sizes.n_steps)
    networks = partial(_networks, n_members=sizes.n_members, n_epochs=sizes.n_epochs)
    return {
        OWN: {"deviations to the power 0.5": partial(process, exponent=0.5)},
        SIMULATED: {"deviations as they are": partial(process, exponent=1.0, axes=axes)},
        NETWORKS: {"small encoder": networks},
    }


def _process(seed: int, **settings: Any) -> MultiScaleGP:
    return MultiScaleGP(**settings)


def _networks(seed: int, n_members: int, n_epochs: int) -> RegressorEnsemble:
    return RegressorEnsemble(seed=seed, n_members=n_members, n_epochs=n_epochs)


def with_means(predictions: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Add what is joined, with the weights that were decided on development stars."""
    kernels = np.mean([predictions[name] for name in (OWN, SIMULATED, RIDGE)], axis=0)
    ours = (OWN, SIMULATED, NETWORKS)
    plain = {name: of for name, of in predictions.items() if name not in ours}
    return {
        **plain,
        LIKE: _joined(predictions[RIDGE], predictions[CNNS]),
        **{name: predictions[name] for name in ours},
        KERNELS: kernels,
        BEST: _joined(kernels, predictions[NETWORKS]),
    }


def _joined(kernels: np.ndarray, networks: np.ndarray) -> np.ndarray:
    return (1.0 - NETWORK_SHARE) * kernels + NETWORK_SHARE * networks


def try_ideas(
    stars: Stars, simulated: tuple[np.ndarray, np.ndarray], sizes: Sizes, options: Options
) -> Table:
    """Measure each idea alone on the development stars, one seed."""
    tried = ideas(
        simulated, other_flux(), sizes.n_epochs, sizes.n_members, min(30, sizes.most_components)
    )
    one = replace(sizes, seeds=sizes.seeds[:1])
    predictions = {
        name: _stacked(_all_seeds(name, {"": make}, stars, one, options))
        for name, make in tried.items()
    }
    own, simulated_axes, networks = (
        next(of for name, of in predictions.items() if name.startswith(start))
        for start in ("multi-scale kernel", "simulation: that kernel", "ensemble")
    )
    kernels = 0.5 * (own + simulated_axes)
    joined = _joined(kernels, networks)
    predictions["joined: two kernels, own and simulated axes, and the ensemble"] = joined
    errors = {name: errors_by_star(of, stars.labels) for name, of in predictions.items()}
    return mae_table(
        f"What was tried, on the {len(stars.flux)} development stars alone",
        errors,
        np.ones(len(stars.flux), dtype=bool),
        "One seed, five folds, training and test stars being development stars.",
    )


def whole_range(sizes: Sizes, options: Options) -> tuple[list[Table], Claim, dict[str, Any], str]:
    """Measure hot and cool stars too, with log Teff as the label, one seed."""
    stars = _fewer(load_stars(options.purpose, whole_range=True), sizes)
    teff_k = stars.labels[:, 0].copy()
    logged = np.column_stack([np.log10(teff_k), stars.labels[:, 1:]])
    stars = Stars(stars.flux, logged, stars.groups, stars.development)
    one = replace(sizes, seeds=sizes.seeds[:1])
    plain = {name: of for name, of in plain_methods(one).items() if name in OF_WHOLE_RANGE}
    # No axes of simulated stars: the simulation ends at 11,000 K. The training stars' serve twice.
    methods = {**plain, **specvae_methods(None, one)}
    predictions = with_means(
        {
            name: _stacked(_all_seeds(f"whole range, {name}", method, stars, one, options))
            for name, method in methods.items()
        }
    )
    predictions = {
        OWN_DEVIATIONS if name == SIMULATED else name: predictions[name] for name in predictions
    }
    errors = {name: errors_by_star(of, stars.labels) for name, of in predictions.items()}
    every = np.ones(len(teff_k), dtype=bool)
    reported, words = reported_stars(stars, options.purpose)
    rivals = (*plain, LIKE)
    tests = paired_tests({name: errors[name] for name in (*rivals, BEST)}, BEST, reported)
    columns = ["log Teff (dex)", "log g (dex)", "[Fe/H] (dex)"]
    log_teff = {name: of[:, reported, 0] for name, of in predictions.items()}
    note = (
        "Seed 0. None of the joined kernels has simulated axes: the simulation ends at 11,000 K. "
        "The axes of the training stars serve twice."
    )
    title = f"Whole range, 2819 to 36,000 K, {words}"
    tables = [
        mae_table(title, errors, reported, note, columns),
        paired_table(
            f"{title}: error of {BEST!r} less that of each other method", tests, PAIRED, columns
        ),
        range_table(
            f"{title}: error of Teff by range", EDGES_K, log_teff, teff_k[reported], "Seed 0."
        ),
    ]
    if options.purpose == "report":
        title = f"For comparison, whole range, all {len(teff_k)} stars, half of them developed on"
        tables.append(mae_table(title, errors, every, "Seed 0. No claim rests on it.", columns))
    statement = (
        "Three kernels, none with simulated axes, joined with five SpectralRegressors are ahead of "
        f"the {len(rivals)} baselines measured there ({', '.join(plain)}, mean of the last two) on "
        "all three labels, log Teff in place of Teff, with p < 0.01 on at least two."
    )
    numbers = {
        f"mae_whole_range, {part}": {
            name: np.nanmean(of[rows], axis=0).tolist() for name, of in errors.items()
        }
        for part, rows in ((words, reported), ("all stars", every))
    }
    source = f"here: MILES, {words}, 2819 to 36,000 K"
    return tables, score_claim(source, statement, tests), numbers, words


def _all_seeds(
    name: str, method: Method, stars: Stars, sizes: Sizes, options: Options
) -> list[Nested]:
    started = time.perf_counter()
    of_seeds = [
        nested_predictions(
            method,
            stars.flux,
            stars.labels,
            stars.groups,
            seed=seed,
            n_folds=sizes.n_folds,
            n_jobs=options.n_jobs,
        )
        for seed in sizes.seeds
    ]
    print(f"  {name}: {time.perf_counter() - started:.0f} s", flush=True)
    return of_seeds


def _stacked(of_seeds: list[Nested]) -> np.ndarray:
    return np.stack([nested.predictions for nested in of_seeds])  # (n_seeds, n_stars, 3)


def _fewer(stars: Stars, sizes: Sizes) -> Stars:
    return stars if sizes.n_stars is None else stars.rows(np.arange(sizes.n_stars))


def main() -> None:
    options = parse_options(__doc__)
    evidence = run(options)
    if evidence is not None:
        evidence.write(options)


if __name__ == "__main__":
    main()
