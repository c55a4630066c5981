"""Nearest rows of a code matrix, without those of the same star."""

from typing import NamedTuple

import numpy as np
from sklearn.neighbors import NearestNeighbors

from .._validation import row_chunks

# Neighbours held at a time: 8 bytes each for number and distance.
_CHUNK = 4_000_000


class Nearest(NamedTuple):
    """Neighbours of some rows, the nearest first."""

    rows: np.ndarray  # (n_queries, k) int
    distances: np.ndarray  # (n_queries, k)


def nearest_of_others(
    codes: np.ndarray, rows: np.ndarray, star: np.ndarray, k: int, metric: str
) -> Nearest:
    """Find the `k` nearest of each of `rows` among the spectra of other stars.

    `star` counts from 0 up. With every row its own star, a row alone is left out.
    """
    n_own = np.bincount(star)[star[rows]]
    fewest = len(codes) - int(n_own.max(initial=0))
    if fewest < k:
        raise ValueError(
            f"k={k} neighbours are wanted, but a star has only {fewest} spectra of others beside "
            f"its own among {len(codes)}; ask for fewer or give more spectra."
        )
    index = NearestNeighbors(metric=metric).fit(codes)
    found = Nearest(np.empty((len(rows), k), dtype=int), np.empty((len(rows), k)))
    # Stars with as many spectra together: who has 20,000 of them needs as many neighbours more.
    for size in np.unique(n_own):
        alike = np.flatnonzero(n_own == size)
        for chunk in row_chunks(len(alike), k + int(size), max_pixels=_CHUNK):
            place = alike[chunk]
            distance, near = index.kneighbors(codes[rows[place]], n_neighbors=k + int(size))
            own = star[near] == star[rows[place], None]
            # Stable: of the others, the nearest stay first.
            order = np.argsort(own, axis=1, kind="stable")[:, :k]
            found.rows[place] = np.take_along_axis(near, order, axis=1)
            found.distances[place] = np.take_along_axis(distance, order, axis=1)
    return found
