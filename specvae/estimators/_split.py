"""The rows that train and the rows that watch."""

from typing import Any

import numpy as np

from .._validation import check_groups


def split_rows(
    n_spectra: int, fraction: float, groups: Any, seed: int, *, labelled: Any = None
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
    labelled : ndarray of bool, shape (n_spectra,), optional
        Which spectra have labels. Stars with and without any are then shared out each by
        themselves: with few labels none might watch otherwise.

    Returns
    -------
    train, valid : ndarray of int
        Increasing rows.
    """
    star = np.arange(n_spectra) if groups is None else check_groups(groups, n_spectra)
    rng = np.random.default_rng(seed)
    if labelled is None:
        kinds = [np.arange(int(star.max()) + 1)]
    else:
        has_any = np.bincount(star, weights=labelled) > 0
        kinds = [np.flatnonzero(has_any), np.flatnonzero(~has_any)]
    chosen = []
    for stars in kinds:
        n_valid = min(max(1, round(fraction * len(stars))), len(stars) - 1) if fraction > 0 else 0
        chosen.append(rng.permutation(stars)[: max(0, n_valid)])
    watches = np.isin(star, np.concatenate(chosen))
    return np.flatnonzero(~watches), np.flatnonzero(watches)
