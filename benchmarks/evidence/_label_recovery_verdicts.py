"""Comparisons by star of label_recovery, and the rules by which a published claim is judged."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from _evidence import Verdict
from scipy.stats import norm

from specvae.metrics import bootstrap_by_star, compare_models, mean_by_star

P_VALUE = 0.01
# "No difference" is a difference below this part of the error.
TOLERANCE = 0.1
# Enough for the smallest p-value to pass the correction of some seventy comparisons.
N_PERMUTATIONS = 29_999
# Standard errors on each side of a 95 % interval.
N_ERRORS = 1.96
UNKNOWN: Verdict = "cannot be told here"


@dataclass(frozen=True)
class Errors:
    """Absolute errors of one quantity on the test spectra of all seeds."""

    values: np.ndarray  # (n_spectra,)
    stars: np.ndarray  # (n_spectra,), those of different seeds being different stars
    seeds: np.ndarray  # (n_spectra,)

    def mean(self) -> tuple[float, float]:
        """Return mean and standard error by star."""
        result = mean_by_star(self.values, self.stars)
        return float(result.mean[0]), float(result.standard_error[0])


@dataclass(frozen=True)
class Comparison:
    """Error of a model less that of another; negative where the first is better."""

    model: str
    other: str
    quantity: str
    mean: float
    other_mean: float
    difference: float
    standard_error: float
    p_value: float
    by_seed: tuple[float, ...]
    p_corrected: float = float("nan")
    n_compared: int = 1  # comparisons that are judged together

    @property
    def interval(self) -> tuple[float, float]:
        """Interval of 95 % of the difference, by star."""
        half = N_ERRORS * self.standard_error
        return self.difference - half, self.difference + half

    @property
    def interval_of_all(self) -> tuple[float, float]:
        """Interval that holds with 95 % for all comparisons together (Bonferroni)."""
        half = norm.ppf(1.0 - 0.025 / self.n_compared) * self.standard_error
        return self.difference - half, self.difference + half

    @property
    def agrees(self) -> bool:
        """Whether the difference has one sign in all seeds, of which each is one training."""
        return all(np.sign(each) == np.sign(self.difference) for each in self.by_seed)


def compare(name: str, one: Errors, other_name: str, other: Errors, quantity: str) -> Comparison:
    """Compare two models on the same spectra."""
    errors = {"model": one.values, "other": other.values}
    row = compare_models(errors, one.stars, correction="none", n_permutations=N_PERMUTATIONS).iloc[
        0
    ]
    by_seed = [
        mean_by_star((one.values - other.values)[chosen], one.stars[chosen]).mean[0]
        for chosen in (one.seeds == seed for seed in np.unique(one.seeds))
    ]
    return Comparison(
        name,
        other_name,
        quantity,
        mean=float(row["mean"]),
        other_mean=float(row["other_mean"]),
        difference=float(row["difference"]),
        standard_error=float(row["standard_error"]),
        p_value=float(row["p_value"]),
        by_seed=tuple(map(float, by_seed)),
    )


def smaller(comparison: Comparison) -> Verdict:
    """Judge the claim that the model has a smaller error than the other."""
    if comparison.p_corrected < P_VALUE and comparison.agrees:
        return "holds" if comparison.difference < 0 else "fails"
    if within_tolerance(comparison):
        return "fails"  # no difference that matters
    return UNKNOWN


def same(comparison: Comparison) -> Verdict:
    """Judge the claim that two models have the same error, up to `TOLERANCE` of the other's."""
    if within_tolerance(comparison):
        return "holds"
    low, high = comparison.interval_of_all
    limit = TOLERANCE * comparison.other_mean
    beyond = low > limit or high < -limit
    return "fails" if beyond and comparison.agrees else UNKNOWN


def within_tolerance(comparison: Comparison) -> bool:
    low, high = comparison.interval_of_all
    return bool(max(-low, high) <= TOLERANCE * comparison.other_mean)


def factor(interval: tuple[float, float], most: float, published: tuple[float, float]) -> Verdict:
    """Judge a claimed ratio of two errors, of which half is granted.

    The better model may have too few spectra here: the claim fails only if the worse one is at
    `most` so bad that even the published error of the better one leaves less than half.
    """
    half = 0.5 * published[0] / published[1]
    if interval[0] > half:
        return "holds"
    return "fails" if interval[1] < half and most / published[1] < half else UNKNOWN


def carried(verdict: Verdict, etc: float, constant: float) -> Verdict:
    """Judge nothing by ETC spectra from which less is learnt than a constant knows."""
    return UNKNOWN if etc > constant else verdict


def at_most(mean: float, standard_error: float, limit: float) -> Verdict:
    """Judge a claimed accuracy, which a smaller set may miss without contradicting it."""
    return "holds" if mean + N_ERRORS * standard_error <= limit else UNKNOWN


def all_of(verdicts: Sequence[Verdict]) -> Verdict:
    """Judge a claim of several parts: it fails with one of them, and holds with all."""
    if "fails" in verdicts:
        return "fails"
    return "holds" if all(each == "holds" for each in verdicts) else UNKNOWN


def ratio(one: Errors, other: Errors) -> tuple[float, float, float]:
    """Return the ratio of two mean errors, and the 95 % interval by star."""
    stars = np.unique(one.stars)
    means = np.array(
        [[each.values[one.stars == star].mean() for each in (one, other)] for star in stars]
    )
    result = bootstrap_by_star(
        lambda rows: rows[:, 0].mean() / rows[:, 1].mean(), means, stars, confidence_level=0.95
    )
    return float(result.value), float(result.low), float(result.high)
