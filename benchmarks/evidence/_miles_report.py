"""Tables and verdicts from errors by star."""

from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from _evidence import Claim, Table, Verdict, plus_minus
from _nested import Nested

from specvae.metrics import compare_models, mean_by_star
from specvae.metrics._permutation_null import holm

__all__ = [
    "ahead_verdict",
    "choices_table",
    "errors_by_star",
    "holm",
    "mae_table",
    "paired_table",
    "paired_tests",
    "range_table",
    "score_claim",
]

COLUMNS = ["Teff (K)", "log g (dex)", "[Fe/H] (dex)"]
Errors = Mapping[str, np.ndarray]
LEVEL = 0.01
N_PERMUTATIONS = 19_999


def errors_by_star(predictions: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Absolute errors, the mean over seeds: (n_seeds, n_stars, 3) becomes (n_stars, 3)."""
    return np.abs(predictions - labels).mean(axis=0)


def mae_table(
    title: str, errors: Errors, stars: np.ndarray, note: str = "", columns: list[str] | None = None
) -> Table:
    """Mean absolute error of each method on the stars marked."""
    rows = []
    for name, error in errors.items():
        of = mean_by_star(error[stars], np.arange(int(stars.sum())))
        cells = zip(of.mean, of.standard_error, strict=True)
        rows.append([name, *(plus_minus(mean, sigma) for mean, sigma in cells)])
    return Table(title, ["Method", *(columns or COLUMNS)], rows, note)


def paired_tests(errors: Errors, reference: str, stars: np.ndarray) -> pd.DataFrame:
    """Compare one method with each other one on each label; Holm over the whole table."""
    tables = []
    for label, column in enumerate(COLUMNS):
        of_label = {name: error[stars, label] for name, error in errors.items()}
        tests = compare_models(
            of_label,
            np.arange(int(stars.sum())),
            reference=reference,
            correction="none",
            n_permutations=N_PERMUTATIONS,
        )
        tables.append(tests.assign(label=column))
    every = pd.concat(tables, ignore_index=True)
    return every.assign(p_corrected=holm(every["p_value"].to_numpy()))


def paired_table(
    title: str, tests: pd.DataFrame, note: str, columns: list[str] | None = None
) -> Table:
    rows = [
        [
            other,
            *(
                f"{plus_minus(one.difference, one.standard_error)} (p = {one.p_corrected:.2g})"
                for one in (of.iloc[i] for i in range(len(COLUMNS)))
            ),
        ]
        for other, of in tests.groupby("other", sort=False)
    ]
    return Table(title, ["Less the error of", *(columns or COLUMNS)], rows, note)


def ahead_verdict(tests: pd.DataFrame, n_significant: int = 2) -> Verdict:
    """Hold where every other method is behind on all labels, clearly so on `n_significant`."""
    for _, of in tests.groupby("other"):
        clear = (of["difference"] < 0.0) & (of["p_corrected"] < LEVEL)
        if not (of["difference"] < 0.0).all() or clear.sum() < n_significant:
            return "fails"
    return "holds"


def score_claim(source: str, statement: str, tests: pd.DataFrame, n_significant: int = 2) -> Claim:
    """Return the claim with what was found against each of the other methods."""
    parts = []
    for other, of in tests.groupby("other", sort=False):
        ahead = int((of["difference"] < 0.0).sum())
        clear = int(((of["difference"] < 0.0) & (of["p_corrected"] < LEVEL)).sum())
        parts.append(f"{other}: ahead on {ahead}, clearly on {clear}")
    measured = f"Of {tests['label'].nunique()} labels, against " + "; ".join(parts) + "."
    return Claim(source, statement, measured, ahead_verdict(tests, n_significant))


def choices_table(results: Mapping[str, list[Nested]]) -> Table:
    """Say how often the inner folds chose each setting."""
    rows: list[list[Any]] = []
    for method, of_seeds in results.items():
        folds = [chosen for nested in of_seeds for chosen in nested.choices]
        settings = Counter(name for chosen in folds for name in chosen)
        if len(settings) < 2:
            continue
        for name in settings:
            counts = [sum(chosen[label] == name for chosen in folds) for label in range(3)]
            rows.append([method, name, *counts])
    columns = ["Method", "Setting", *(column.split(" (")[0] for column in COLUMNS)]
    return Table(
        "Outer folds in which the inner folds chose a setting",
        columns,
        rows or [["-", "-", 0, 0, 0]],
        "Methods of which one setting was always chosen, or that have only one, are left out.",
    )


def range_table(
    title: str,
    edges_k: tuple[float, ...],
    log_teff: Mapping[str, np.ndarray],
    teff_k: np.ndarray,
    note: str,
) -> Table:
    """Error of Teff in per cent, and in K below it, by range of Teff."""
    rows = []
    inside = [(teff_k > low) & (teff_k <= high) for low, high in pairwise(edges_k)]
    counts = [
        f"{low:.0f} to {high:.0f} K ({int(stars.sum())} stars)"
        for (low, high), stars in zip(pairwise(edges_k), inside, strict=True)
    ]
    for name, predicted in log_teff.items():
        error_k = np.abs(10.0**predicted - teff_k).mean(axis=0)
        cells = []
        for stars in inside:
            if stars.sum() < 2:
                cells.append("-")
                continue
            of = mean_by_star(
                np.column_stack([100.0 * error_k / teff_k, error_k])[stars],
                np.arange(int(stars.sum())),
            )
            percent = plus_minus(of.mean[0], of.standard_error[0])
            cells.append(f"{percent} % ({plus_minus(of.mean[1], of.standard_error[1])} K)")
        rows.append([name, *cells])
    return Table(title, ["Method", *counts], rows, note)
