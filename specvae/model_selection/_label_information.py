"""Information of all codes with the labels that are known in the same rows, and its null."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
from sklearn.utils import check_random_state

from ..metrics._histogram_information import PairInformation, bin_columns
from ..metrics._ksg import ksg_pair, spread_out
from ..metrics._permutation_null import PermutationTest, StarPermutation, permutation_test


class PermutedLabels(NamedTuple):
    """Labels and how their null is drawn."""

    labels: np.ndarray  # (n_rows, n_labels), all known
    permutation: StarPermutation
    n_permutations: int
    seeds: list[list[int]]  # for each label
    quantiles: np.ndarray  # (n_quantiles,)
    correction: str


class LabelInformation(NamedTuple):
    """What is found for one label."""

    plug_in: np.ndarray  # (n_scales, n_latents), nats
    corrected: np.ndarray  # (n_scales, n_latents), nats
    test: PermutationTest
    null_best: float  # mean over permutations of the largest corrected value, nats
    entropy: np.ndarray  # (n_scales,), nats
    n_rows: int


def exchange_stars(
    star: np.ndarray | None, n_rows: int, rng: np.random.Generator, *, fewest: int, label: str
) -> StarPermutation:
    """Say how to permute the rows where a label is known, if enough can be."""
    if n_rows < fewest:
        raise ValueError(
            f"Label column {label} of y is known, after clipping, in n_samples = {n_rows} rows; "
            f"MutualInfoScorer needs {fewest}. Leave the column out."
        )
    permutation = StarPermutation(star, n_rows, rng)
    if permutation.n_stars == 0:
        n_stars = n_rows if star is None else len(np.unique(star))
        raise ValueError(
            f"groups has {n_stars} star(s) for label column {label} of y, and no two "
            "with about as many spectra; the null exchanges such stars. Give more stars, or leave "
            "groups out to exchange spectra."
        )
    if len(permutation.kept) < fewest:
        raise ValueError(
            f"Label column {label} of y keeps {len(permutation.kept)} rows after the stars were "
            f"thinned to equal numbers; MutualInfoScorer needs {fewest}."
        )
    return permutation


def histogram_information(
    codes: np.ndarray, tested: PermutedLabels, bins: tuple[int, ...], binning: str, by_star: bool
) -> Iterator[LabelInformation]:
    """Yield what histograms say of each label; codes are (n_rows, n_latents)."""
    weight = tested.permutation.star_weight if by_star else None
    if weight is not None and np.ptp(weight) == 0:
        weight = None  # whole counts, of which more of the bias can be removed
    estimate = "grassberger" if weight is None else "plug-in"
    counter = PairInformation(bin_columns(codes, bins, binning=binning), len(bins), weight=weight)
    for label, seed in zip(tested.labels.T, tested.seeds, strict=True):
        binned = bin_columns(label[:, None], bins, binning=binning)
        yield _compare(
            counter.information(binned),
            partial(counter.information, binned, estimate=estimate),
            counter.entropy(binned),
            tested,
            seed,
        )


def ksg_information(
    codes: np.ndarray, tested: PermutedLabels, n_neighbors: int, entropy_bins: int
) -> Iterator[LabelInformation]:
    """Yield what neighbours say of each label; codes are (n_rows, n_latents)."""
    noise = check_random_state(tested.seeds[0][0])
    of_codes = [spread_out(code.astype(np.float64), noise) for code in codes.T]
    for label, seed in zip(tested.labels.T, tested.seeds, strict=True):
        spread = spread_out(label, noise)

        def estimate(rows, spread=spread):
            moved = spread if spread is None or rows is None else spread[rows]
            return np.array([[ksg_pair(code, moved, n_neighbors) for code in of_codes]])

        entropy = np.array([_entropy(label, entropy_bins)])
        yield _compare(estimate(None), estimate, entropy, tested, seed)


def _compare(
    plug_in: np.ndarray,
    estimate: Callable[[np.ndarray | None], np.ndarray],
    entropy: np.ndarray,
    tested: PermutedLabels,
    seed: list[int],
) -> LabelInformation:
    rng = np.random.default_rng(seed)
    n_permutations = tested.n_permutations
    null = np.stack([estimate(tested.permutation.draw(rng)) for _ in range(n_permutations)])
    observed = estimate(None)
    test = permutation_test(
        observed, null, quantiles=tested.quantiles, correction=tested.correction
    )
    null_best = np.nan
    if n_permutations > 1:
        # The mean knows each permutation but not the observed value, whose scatter about it is
        # larger by this factor.
        widen = np.sqrt((n_permutations + 1) / (n_permutations - 1))
        null_best = float(widen * (null - test.mean).max(axis=(1, 2)).mean())
    corrected = observed - test.mean
    return LabelInformation(plug_in, corrected, test, null_best, entropy, len(tested.labels))


def _entropy(label: np.ndarray, n_bins: int) -> float:
    """Entropy of a label in bins of equal width, in nats."""
    share = np.histogram(label, n_bins)[0] / len(label)
    share = share[share > 0]
    return float(-(share * np.log(share)).sum())
