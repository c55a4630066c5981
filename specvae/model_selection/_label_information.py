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
    entropy: np.ndarray  # (n_scales,), nats
    n_rows: int


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
    null = [estimate(tested.permutation.draw(rng)) for _ in range(tested.n_permutations)]
    observed = estimate(None)
    test = permutation_test(
        observed, np.stack(null), quantiles=tested.quantiles, correction=tested.correction
    )
    return LabelInformation(plug_in, observed - test.mean, test, entropy, len(tested.labels))


def _entropy(label: np.ndarray, n_bins: int) -> float:
    """Entropy of a label in bins of equal width, in nats."""
    share = np.histogram(label, n_bins)[0] / len(label)
    share = share[share > 0]
    return float(-(share * np.log(share)).sum())
