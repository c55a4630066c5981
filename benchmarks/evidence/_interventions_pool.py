"""Scores of `interventions.py` over all seeds, compared star by star."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from _evidence import Verdict, plus_minus
from _interventions_models import Scores

from specvae.metrics import compare_models, mean_by_star, ratio_by_star

P_VALUE = 0.01
# Two-sided p = 0.01 of a normal distribution.
N_ERRORS = 2.58
# More stars than a seed has, so that those of different seeds are different stars.
MANY = 10_000_000


@dataclass(frozen=True)
class Errors:
    """An intervention score over all seeds: errors, those of doing nothing, and the stars."""

    errors: np.ndarray
    nothing: np.ndarray
    stars: np.ndarray
    by_seed: tuple[float, ...]  # ratio of each seed

    @property
    def score(self) -> tuple[float, float]:
        return mean_and_error(self.errors, self.stars)

    @property
    def do_nothing(self) -> float:
        return mean_and_error(self.nothing, self.stars)[0]

    @property
    def ratio(self) -> tuple[float, float]:
        found = ratio_by_star(self.errors, self.nothing, self.stars)
        return float(found.ratio), float(found.standard_error)

    @property
    def relative(self) -> np.ndarray:
        return self.errors / self.do_nothing


def mean_and_error(values: np.ndarray, stars: np.ndarray) -> tuple[float, float]:
    """Return mean and standard error by star."""
    found = mean_by_star(values, stars)
    return float(found.mean[0]), float(found.standard_error[0])


def stars_of_seeds(groups: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([each + number * MANY for number, each in enumerate(groups)])


def pool_rvis(scores: Sequence[Scores]) -> Errors:
    """Return the RVIS of one model, one entry for each seed, as one."""
    found = [each.rvis for each in scores]
    return Errors(
        np.concatenate([each.by_spectrum for each in found]),
        np.concatenate([each.do_nothing_by_spectrum for each in found]),
        stars_of_seeds([each.groups for each in scores]),
        tuple(each.ratio for each in found),
    )


def pool_gis(scores: Sequence[Scores], design: str, label: str) -> Errors:
    """Return the GIS of one model, one entry for each seed, as one; cores count as stars."""
    found = [each.gis[design][label] for each in scores]
    return Errors(
        np.concatenate([each.by_intervention for each in found]),
        np.concatenate([each.do_nothing_by_intervention for each in found]),
        stars_of_seeds([each.core_rows for each in found]),
        tuple(each.ratio for each in found),
    )


def pool(scores: Sequence[Scores], name: str) -> tuple[float, float] | None:
    """Return mean and error of reconstruction or velocity_errors, if it was measured."""
    values = [getattr(each, name) for each in scores]
    if values[0] is None:
        return None
    stars = stars_of_seeds([each.groups for each in scores])
    return mean_and_error(np.concatenate(values), stars)


def p_of(ours: np.ndarray, other: np.ndarray, stars: np.ndarray) -> float:
    """Return p of the paired difference by star."""
    table = compare_models({"ours": ours, "other": other}, stars)
    return float(table["p_value"].iloc[0])


def judged(holds: bool) -> Verdict:
    return "holds" if holds else "fails"


def lower(ours: np.ndarray, other: np.ndarray, stars: np.ndarray) -> tuple[Verdict, float]:
    """Judge "ours are lower", star by star at p < 0.01 either way; return p too."""
    p_value = p_of(ours, other, stars)
    if p_value >= P_VALUE:
        return "cannot be told here", p_value
    return judged(mean_and_error(ours - other, stars)[0] < 0.0), p_value


def all_hold(verdicts: Sequence[Verdict]) -> Verdict:
    """Judge a claim of several parts: it fails with one of them."""
    if "fails" in verdicts:
        return "fails"
    return "cannot be told here" if "cannot be told here" in verdicts else "holds"


def beats_nothing(score: Errors) -> Verdict:
    """Judge "the ratio to doing nothing is below 1", by 2.58 standard errors either way."""
    ratio, error = score.ratio
    if abs(ratio - 1.0) <= N_ERRORS * error:
        return "cannot be told here"
    return judged(ratio < 1.0)


def of_limit(scores: Sequence[float], nothing: Sequence[float], limit: float) -> Verdict:
    """Judge "at most `limit`", which tells nothing where doing nothing stays below it as well."""
    if max(scores) > limit:
        return "fails"
    return "holds" if max(nothing) > limit else "cannot be told here"


def both(pair: tuple[float, float] | None) -> str:
    if pair is None:
        return "-"
    mean, error = pair
    # Stars that agree but for rounding have no scatter.
    return plus_minus(mean, 0.0 if error < 1e-9 * abs(mean) else error)
