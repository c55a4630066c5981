"""The rows that train and the rows that watch."""

from typing import Any

import numpy as np
from sklearn.utils import check_consistent_length, column_or_1d


def split_rows(
    n_spectra: int, fraction: float, groups: Any, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Split rows into training and validation share, whole groups where they are given.

    Parameters
    ----------
    n_spectra : int
    fraction : float
        Share of the groups that validates; at least one group trains.
    groups : array-like of shape (n_spectra,) or None
        None takes each spectrum for a star of its own.
    seed : int

    Returns
    -------
    train, valid : ndarray of int
        Increasing rows; `valid` is empty where the share rounds to no group.
    """
    if groups is None:
        star = np.arange(n_spectra)
    else:
        groups = column_or_1d(np.asarray(groups))
        check_consistent_length(np.empty(n_spectra), groups)
        star = np.unique(groups, return_inverse=True)[1]
    n_stars = int(star.max()) + 1
    n_valid = min(int(fraction * n_stars), n_stars - 1)
    chosen = np.random.default_rng(seed).permutation(n_stars)[:n_valid]
    watches = np.isin(star, chosen)
    return np.flatnonzero(~watches), np.flatnonzero(watches)
