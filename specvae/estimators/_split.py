"""The rows that train and the rows that watch."""

from typing import Any

import numpy as np

from .._validation import check_groups


def split_rows(
    n_spectra: int, fraction: float, groups: Any, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Split rows into training and validation share, whole groups where they are given.

    Parameters
    ----------
    n_spectra : int
    fraction : float
        Share of the groups that validates: at least one, unless it is 0 or there is but one.
    groups : array-like of shape (n_spectra,) or None
        None takes each spectrum for a star of its own.
    seed : int

    Returns
    -------
    train, valid : ndarray of int
        Increasing rows.
    """
    star = np.arange(n_spectra) if groups is None else check_groups(groups, n_spectra)
    n_stars = int(star.max()) + 1
    n_valid = min(max(1, round(fraction * n_stars)), n_stars - 1) if fraction > 0 else 0
    chosen = np.random.default_rng(seed).permutation(n_stars)[:n_valid]
    watches = np.isin(star, chosen)
    return np.flatnonzero(~watches), np.flatnonzero(watches)
