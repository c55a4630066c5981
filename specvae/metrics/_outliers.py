"""Spectra whose code lies by itself."""

from typing import Any

import numpy as np

from .._validation import check_choice, check_codes, check_groups, check_number
from ._nearest import nearest_of_others
from ._whitening import whiten_codes


def outlier_score(
    codes: Any,
    *,
    k: int = 10,
    groups: Any = None,
    metric: str = "euclidean",
    whiten: bool = True,
) -> np.ndarray:
    """Distance to the k-th nearest code of another star: high for a spectrum like no other.

    Parameters
    ----------
    codes : array-like of shape (n_spectra, n_latents)
        Encoder means, all finite.
    k : int, default=10
        Which neighbour; a clump of up to `k` odd spectra is found, a larger one is not.
    groups : array-like of shape (n_spectra,), optional
        Id of the star. A star's own spectra are no neighbours of each other: an odd star observed
        a thousand times is still odd. By default every spectrum is a star of its own.
    metric : {"euclidean", "manhattan"}, default="euclidean"
    whiten : bool, default=True
        Whether to measure distances between whitened codes, see `whiten_codes`; in units of the
        scatter of a direction.

    Returns
    -------
    score : ndarray of shape (n_spectra,)

    Raises
    ------
    ValueError
        If a code is not finite, there are fewer than `k` spectra of other stars, or whitening
        finds no scatter.

    See Also
    --------
    sklearn.neighbors.LocalOutlierFactor : Against the density nearby; knows no stars.
    sklearn.covariance.EllipticEnvelope : Robust Mahalanobis distance from one centre, for codes
        that form one cloud.
    sklearn.ensemble.IsolationForest : For many latents, of which few matter.

    Notes
    -----
    The members of a clump of `k` have only `k` - 1 near them, so that the next is far; the mean
    distance to all `k`, another common choice, would be small.

    Nothing is trimmed before whitening: a row far beyond all others widens the scatter of its
    direction, and hides odd rows in that direction. Leave it out and look again.

    Examples
    --------
    >>> codes = [[0.0], [0.1], [0.2], [5.0], [5.0]]
    >>> outlier_score(codes, k=1, groups=["a", "b", "c", "odd", "odd"], whiten=False)
    array([0.1, 0.1, 0.1, 4.8, 4.8])
    """
    check_choice("metric", metric, ("euclidean", "manhattan"))
    check_number("k", k, minimum=1, integer=True)
    codes = check_codes(codes).astype(np.float64, copy=False)
    rows = np.arange(len(codes))
    star = rows if groups is None else check_groups(groups, len(codes))
    if whiten:
        codes = whiten_codes(codes)
    return nearest_of_others(codes, rows, star, int(k), metric).distances[:, -1]
