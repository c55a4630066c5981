"""Equal-width bins at several scales, the very bins of ``np.histogram2d``."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .._validation import check_number

DEFAULT_BINS = (5, 10, 20, 40, 80, 160)

# The table of one pair of columns then takes 32 MiB.
_MOST_BINS = 2048


class BinFamily(NamedTuple):
    """Scales of which each halves the finer one, so that one table gives all of them."""

    root: int  # bins of the finest scale
    scales: tuple[tuple[int, int], ...]  # (halvings of the root, place in `bins`), finest first


def check_bins(bins: Any) -> tuple[int, ...]:
    """Return the numbers of bins as a tuple; one number is one scale."""
    sequence = bins if isinstance(bins, Sequence | np.ndarray) else (bins,)
    if not len(sequence) or isinstance(sequence, str):
        raise ValueError(f"bins must be numbers of bins such as {DEFAULT_BINS}, got {bins!r}.")
    for each in sequence:
        check_number("bins", each, minimum=2, maximum=_MOST_BINS, integer=True)
    return tuple(int(each) for each in sequence)


def bin_families(bins: tuple[int, ...]) -> list[BinFamily]:
    """Group scales whose numbers of bins differ by powers of two.

    The edges ``low + j * (width / n)`` of numpy are then bit for bit those of the finer scale, for
    a division by two is exact; of 5 and 15 bins they are not. Nor are they where the width of a
    bin is below 2e-308, the smallest normal number.
    """
    found: dict[int, list[tuple[int, int]]] = {}
    for place in sorted(range(len(bins)), key=lambda place: -bins[place]):
        for root, scales in found.items():
            halvings = (root // bins[place]).bit_length() - 1
            if bins[place] << halvings == root:
                scales.append((halvings, place))
                break
        else:
            found[bins[place]] = [(0, place)]
    return [BinFamily(root, tuple(scales)) for root, scales in found.items()]


def bin_index(values: np.ndarray, n_bins: int) -> np.ndarray:
    """Bin of each value, shape (n_rows,), exactly as ``np.histogram2d`` bins float64.

    The bins are of equal width between the smallest and the largest value; each holds its lower
    edge, the last one its upper edge too. Of a constant all values are in one bin.
    """
    values = np.asarray(values, dtype=np.float64)
    low, high = values.min(), values.max()
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, n_bins + 1)
    # A guess, of which the few that rounding put on the wrong side of an edge are looked up.
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        guess = (values - low) * (n_bins / (high - low))
    index = np.clip(np.nan_to_num(guess), 0, n_bins - 1).astype(np.int32)
    upper = edges[1:].copy()
    upper[-1] = np.inf
    wrong = np.flatnonzero((values < edges[index]) | (values >= upper[index]))
    index[wrong] = np.clip(np.searchsorted(edges, values[wrong], side="right") - 1, 0, n_bins - 1)
    return index
