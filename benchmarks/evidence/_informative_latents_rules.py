"""Statistics of codes that know causes, and the rules by which published claims are judged."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from _evidence import Verdict

from specvae.metrics import (
    histogram_mutual_information,
    latent_mutual_information,
    mutual_information_gap,
)

__all__ = [
    "CANNOT_BE_TOLD",
    "concentration",
    "entanglement",
    "jackknife",
    "judge_agreement",
    "judge_difference",
    "judge_fewer",
    "judge_number",
    "judge_trend",
    "stands_out",
]

CANNOT_BE_TOLD: Verdict = "cannot be told here"
_BINS = 10
_N_FOLDS = 20
# More pairs than those of the latents that move most say nothing more about disentanglement.
_MOST_PAIRED = 12
_N_SHUFFLES = 20


def concentration(codes: np.ndarray, causes: np.ndarray) -> np.ndarray:
    """Lead of the best latent over the second, as a share of each cause's entropy.

    Counted in ten bins of equally many spectra on both axes, without the leading bias.
    """
    information = histogram_mutual_information(
        codes, causes, _BINS, binning="frequency", estimate="grassberger"
    )[:, 0]
    entropy = np.full(len(information), np.log(_BINS))
    return mutual_information_gap(np.maximum(information, 0.0), entropy)


def jackknife(
    statistic: Callable[..., np.ndarray], *arrays: np.ndarray, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Return a statistic and its standard error over stars, a twentieth of them left out in turn.

    One row a star. Stars drawn twice, as in a bootstrap, would look like dependence.
    """
    n_rows = len(arrays[0])
    n_folds = min(_N_FOLDS, n_rows)
    fold = np.random.default_rng(seed).permutation(n_rows) % n_folds
    without = np.array(
        [statistic(*(each[fold != number] for each in arrays)) for number in range(n_folds)]
    )
    scatter = ((without - without.mean(axis=0)) ** 2).sum(axis=0)
    error = np.sqrt(scatter * (n_folds - 1) / n_folds)
    return np.asarray(statistic(*arrays)), error


def entanglement(codes: np.ndarray, mads: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """Return the largest information between two informative latents, and what chance gives.

    Chance is the largest of the same pairs, each latent shuffled by itself, on average; zeros for
    fewer than two latents.
    """
    loudest = np.argsort(-mads, kind="stable")[: min(_MOST_PAIRED, int((mads > 0.02).sum()))]
    if len(loudest) < 2:
        return 0.0, 0.0
    kept = codes[:, loudest]
    rng = np.random.default_rng(seed)
    shuffled = [_largest_pair(rng.permuted(kept, axis=0)) for _ in range(_N_SHUFFLES)]
    return _largest_pair(kept), float(np.mean(shuffled))


def _largest_pair(codes: np.ndarray) -> float:
    pairs = latent_mutual_information(codes, bins=_BINS, binning="frequency")
    return float(pairs[np.triu_indices(len(pairs), 1)].max())


def stands_out(information: np.ndarray, p_latent: np.ndarray) -> bool:
    """Whether one latent knows a cause (p < 0.01), at least twice as well as any other."""
    best = int(information.argmax())
    second = np.delete(information, best).max(initial=0.0)
    return bool(p_latent[best] < 0.01 and information[best] >= 2.0 * second)


def judge_number(
    counts: Sequence[int], published: int, other_readings: Mapping[str, Sequence[int]]
) -> Verdict:
    """Judge a published number of latents.

    Holds if each seed gives it within two; else it cannot be told where the readings of the
    published weight lie on both sides of it, for then the reading decides; else it fails.
    """
    if all(abs(count - published) <= 2 for count in counts):
        return "holds"
    means = [np.mean(counts), *(np.mean(of_reading) for of_reading in other_readings.values())]
    return CANNOT_BE_TOLD if min(means) < published < max(means) else "fails"


def judge_agreement(pairs: Mapping[str, Sequence[tuple[int, int]]]) -> Verdict:
    """Judge whether two sizes of the code have as many informative latents.

    A reading agrees if on every seed both have some and the numbers differ by one at most. Holds
    if all readings agree, fails if none does.
    """
    agrees = [
        all(min(pair) > 0 and abs(pair[0] - pair[1]) <= 1 for pair in of_reading)
        for of_reading in pairs.values()
    ]
    return "holds" if all(agrees) else CANNOT_BE_TOLD if any(agrees) else "fails"


def judge_trend(counts: Sequence[Sequence[int]], errors: Sequence[Sequence[float]]) -> Verdict:
    """Judge that a higher weight leaves fewer latents and larger errors, on every seed.

    One sequence a seed, from the lowest weight to the highest; a single step the other way is
    enough for "fails".
    """
    fewer = all((np.diff(of_seed) <= 0).all() and of_seed[0] > of_seed[-1] for of_seed in counts)
    worse = all((np.diff(of_seed) > 0).all() for of_seed in errors)
    return "holds" if fewer and worse else "fails"


def judge_difference(difference: float, error: float) -> Verdict:
    """Judge that a difference is positive: two standard errors either way decide."""
    if abs(difference) <= 2.0 * error:
        return CANNOT_BE_TOLD
    return "holds" if difference > 0.0 else "fails"


def judge_fewer(one: Sequence[Any], other: Sequence[Any]) -> Verdict:
    """Judge that the first is smaller: holds on every seed, fails on none, else untold."""
    smaller = [a < b for a, b in zip(one, other, strict=True)]
    return "holds" if all(smaller) else CANNOT_BE_TOLD if any(smaller) else "fails"


def unless_unfinished(verdict: str, errors: dict[int, float]) -> str:
    """Return the verdict, unless twice the epochs still lower the error by a tenth.

    Parameters
    ----------
    verdict : str
    errors : dict
        Epochs -> error of the flux; with fewer than two lengths nothing is known of it.
    """
    longest = sorted(errors)[-2:]
    if len(longest) == 2 and errors[longest[1]] < 0.9 * errors[longest[0]]:
        return CANNOT_BE_TOLD
    return verdict
