"""How near in the code a star's chemical twin lies."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.metrics.pairwise import paired_distances
from sklearn.neighbors import BallTree

from .._validation import check_choice, check_codes, check_number
from ._labels import mean_by_star
from ._whitening import whiten_codes

# Distances closer than this, relatively, are the same: tree and pair sum in different order.
_TIE = 1e-10
# Stars that settle cheaply which ranks exceed the cap.
_N_SCOUTS = 5_000


@dataclass(frozen=True)
class TwinRank:
    """Ranks of twins among the neighbours; shares of pairs beside their chance values."""

    ranks: np.ndarray  # (n_spectra,) int, 0 where the twin is the nearest, -1 without a twin
    thresholds: np.ndarray  # (n_thresholds,), shares of the other stars
    n_nearest: np.ndarray  # (n_thresholds,) int, neighbours among which the twin is looked for
    fractions: np.ndarray  # (n_thresholds,), share of pairs with the twin among them
    standard_error: np.ndarray  # (n_thresholds,), by pair
    chance: np.ndarray  # (n_thresholds,), of a code that knows nothing
    n_others: int  # stars beside the star itself, its twin among them


def twin_rank(
    codes: Any,
    twin: Any,
    *,
    metric: str = "euclidean",
    whiten: bool = False,
    thresholds: Sequence[float] = (0.0, 0.001, 0.01),
    max_rank: int | None = None,
) -> TwinRank:
    """Count the stars whose code is as close to a star's as its twin's.

    Twins share their composition and differ in Teff and log g. A code that holds the chemistry
    and nothing else makes them each other's nearest neighbour.

    Parameters
    ----------
    codes : array-like of shape (n_spectra, n_latents)
        Encoder means; one row a star, so average repeated spectra first.
    twin : array-like of int, shape (n_spectra,)
        Row of each row's twin; -1 for a star without one, which only competes with the twins of
        others.
    metric : {"euclidean", "manhattan"}, default="euclidean"
        The paper of 2019 uses "manhattan", the sum of absolute differences.
    whiten : bool, default=False
        Whether to measure distances between whitened codes, see `whiten_codes`.
    thresholds : sequence of float, default=(0.0, 0.001, 0.01)
        Shares of the other stars among which the twin counts as found; 0 asks for the nearest.
    max_rank : int, optional
        Count no further: a higher rank is given as `max_rank`. The shares stay exact. Saves most
        of the time of a poor code.

    Returns
    -------
    result : TwinRank
        A share counts pairs: both stars of a pair weigh one half, and error bars count pairs.

    Raises
    ------
    ValueError
        If a code is not finite, `twin` points to no row or to its own, no row has a twin, or
        `max_rank` is below what a threshold needs.

    See Also
    --------
    specvae.simulation.twin_design : Simulated twins; its `partner_row` is `twin`.

    Notes
    -----
    A star at the distance of the twin, to 1e-10, counts as closer: a collapsed code, in which all
    distances are zero, would else rank every twin first.

    Each count is a query of a ball tree with the twin's distance as the radius, so that no matrix
    of distances exists and memory stays near that of the codes: 50,000 stars in 14 to 20 dimensions
    take some 10 to 35 s on one core and 20 MB. In 14 to 32 dimensions a k-d tree
    is up to ten times as fast for a good code and twice as slow for a poor one. With `max_rank`,
    a random 5,000 of the stars are counted first: where they alone exceed it, the rest need not
    be.

    References
    ----------
    de Mijolla, Ness & Viti 2019, "Identifying chemically identical stars using adverserial
    disentanglement"; their 0, 0.1 and 1 % are the 1, 25 and 250 nearest of 25,000.

    Examples
    --------
    >>> result = twin_rank([[0.0], [0.1], [3.0], [9.0]], [1, 0, 3, 2], thresholds=[0.0])
    >>> result.ranks
    array([0, 0, 2, 0])
    >>> result.fractions, result.chance
    (array([0.75]), array([0.333]))
    """
    check_choice("metric", metric, ("euclidean", "manhattan"))
    codes = check_codes(codes).astype(np.float64, copy=False)
    n_others = len(codes) - 1
    twin = check_twin(twin, len(codes))
    if not (twin >= 0).any():
        raise ValueError("twin is -1 in all rows; without any twin there is nothing to rank.")
    shares, n_nearest = _nearest_of(thresholds, n_others)
    if max_rank is not None:
        check_number("max_rank", max_rank, minimum=int(n_nearest.max()), integer=True)
    if whiten:
        codes = whiten_codes(codes)
    rows = np.flatnonzero(twin >= 0)
    other = twin[rows]
    radius = paired_distances(codes[rows], codes[other], metric=metric) * (1.0 + _TIE)
    ranks = np.full(len(codes), -1)
    ranks[rows] = _count(codes, rows, radius, metric, max_rank)
    found = ranks[rows, None] < n_nearest
    # Twins that name each other are one pair; ranks of a pair are not independent.
    by_pair = mean_by_star(found, np.minimum(rows, other))
    return TwinRank(
        ranks=ranks,
        thresholds=shares,
        n_nearest=n_nearest,
        fractions=by_pair.mean,
        standard_error=by_pair.standard_error,
        chance=n_nearest / n_others,
        n_others=n_others,
    )


def _count(
    codes: np.ndarray, rows: np.ndarray, radius: np.ndarray, metric: str, max_rank: int | None
) -> np.ndarray:
    """Others within the radius of each row, without the twin; at most `max_rank`."""
    beside = 2  # a star and its twin lie within the radius too
    todo = np.arange(len(rows))
    count = np.empty(len(rows), dtype=int)
    if max_rank is not None:
        count[:] = max_rank
        if len(codes) > 2 * _N_SCOUTS:
            # Any sample gives a lower bound, so its seed changes the time alone, not the result.
            scouts = np.random.default_rng(0).choice(len(codes), _N_SCOUTS, replace=False)
            tree = BallTree(codes[scouts], metric=metric)
            fewest = tree.query_radius(codes[rows], radius, count_only=True) - beside
            todo = np.flatnonzero(fewest < max_rank)
    if len(todo):
        tree = BallTree(codes, metric=metric)
        count[todo] = tree.query_radius(codes[rows[todo]], radius[todo], count_only=True) - beside
    return count if max_rank is None else np.minimum(count, max_rank)


def check_twin(twin: Any, n_spectra: int) -> np.ndarray:
    """Return the row of each row's twin, -1 for none."""
    twin = np.asarray(twin)
    if twin.shape != (n_spectra,) or twin.dtype.kind not in "iu":
        raise ValueError(
            f"twin must be {n_spectra} row numbers, one for each row, got shape {twin.shape} of "
            f"{twin.dtype}; give -1 for a star without a twin."
        )
    twin = twin.astype(int)
    own = twin == np.arange(n_spectra)
    wrong = own | (twin < -1) | (twin >= n_spectra)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(
            f"twin of row {row} is {twin[row]}; wanted another row from 0 to {n_spectra - 1}, or "
            "-1 for none."
        )
    return twin


def _nearest_of(thresholds: Sequence[float], n_others: int) -> tuple[np.ndarray, np.ndarray]:
    """Thresholds and the numbers of neighbours they stand for, at least one."""
    shares = np.asarray(thresholds, dtype=float)
    if shares.ndim != 1 or not len(shares) or not ((shares >= 0) & (shares <= 1)).all():
        raise ValueError(f"thresholds must be shares from 0 to 1, got {thresholds!r}.")
    # Rounded, because 0.01 * 700 is a little more than 7.
    n_nearest = np.ceil(np.round(shares * n_others, 9)).astype(int)
    return shares, np.maximum(n_nearest, 1)
