"""Permutations of whole stars, and what they say about many statistics at once."""

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

CORRECTIONS = ("max", "holm", "none")

# A number of spectra that so many stars share is a stratum of its own.
_FREQUENT = 10

# Statistics are sums of many rounded terms: what differs by less is the same.
_ROUNDING_NATS = 1e-12
_ROUNDING = 1e-9


class StarPermutation:
    """Draws rows whose labels the spectra get, all spectra of a star from one star.

    Parameters
    ----------
    star : ndarray of int, shape (n_rows,), or None
        Star of each row. None permutes the rows.
    n_rows : int
    rng : Generator
        Chooses the rows that are kept.

    Attributes
    ----------
    kept : ndarray of int
        Rows that take part, increasing. All further row numbers count these only.
    n_stars : int
        Number of stars that have a kept row; each has as many as at least one other.

    Notes
    -----
    Spectra of one star share codes and labels, so only stars can be exchanged, and only stars with
    as many spectra: labels that are repeated to fill a larger star fall into fewer bins than its
    own did, and fine bins would call that dependence. Stars are therefore thinned at random to the
    next lower of 1, 2, 3, 4, 6, 8, 12, ... spectra, or to a number that ten stars have; at most a
    third of a star is lost. In each permutation one star of a stratum keeps its labels on average:
    of a small stratum much real dependence would stay in the null. Larger ones than the median
    star's are therefore thinned on, until ten share a stratum. A star without an equal is dropped.
    The labels of a star arrive in random order, so its spectra must be exchangeable among
    themselves; a code and a label that both drift with time within a star are not covered.
    """

    def __init__(self, star: np.ndarray | None, n_rows: int, rng: np.random.Generator):
        star = np.arange(n_rows) if star is None else np.unique(star, return_inverse=True)[1]
        n_kept = _thinned(np.bincount(star))
        shuffled = rng.permutation(n_rows)
        by_star = shuffled[np.argsort(star[shuffled], kind="stable")]
        self.kept = np.sort(by_star[_rank(star[by_star]) < n_kept[star[by_star]]])
        self._star = (np.cumsum(n_kept > 0) - 1)[star[self.kept]]
        self._size = size = n_kept[n_kept > 0]
        self._start = np.cumsum(size) - size
        self._place = np.empty(len(self.kept), dtype=np.intp)  # of each row within its star
        order = np.argsort(self._star, kind="stable")
        self._place[order] = _rank(self._star[order])
        self._by_size = np.argsort(size, kind="stable")
        self.n_stars = len(size)

    @property
    def star_weight(self) -> np.ndarray:
        """Weight of each kept row such that every star weighs 1."""
        return (1.0 / self._size)[self._star]

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Row of the label of each kept row, shape (n_kept,)."""
        n_rows = len(self._star)
        if self.n_stars == n_rows:
            return rng.permutation(n_rows)
        shuffled = rng.permutation(self.n_stars)
        donor = np.empty(self.n_stars, dtype=np.intp)
        donor[self._by_size] = shuffled[np.argsort(self._size[shuffled], kind="stable")]
        rows = rng.permutation(n_rows)
        of_star = rows[np.argsort(self._star[rows], kind="stable")]
        return of_star[self._start[donor[self._star]] + self._place]


def _thinned(size: np.ndarray) -> np.ndarray:
    """Return the number of rows that each star keeps, 0 where no other keeps as many."""
    powers = 2 ** np.arange(int(size.max()).bit_length())
    frequent = np.flatnonzero(np.bincount(size) >= _FREQUENT)
    rungs = np.unique(np.concatenate([powers, 3 * powers // 2, frequent]))
    rungs = rungs[rungs > 0]
    kept = rungs[np.searchsorted(rungs, size, side="right") - 1]
    taken, middle = np.unique(kept)[::-1], np.median(kept)
    for rung, lower in pairwise(taken):
        stratum = kept == rung
        if lower >= middle and stratum.sum() < _FREQUENT:
            kept[stratum] = lower
    return np.where(np.bincount(kept)[kept] > 1, kept, 0)


def _rank(ordered: np.ndarray) -> np.ndarray:
    """Place of each element within its run of equal ones."""
    first = np.flatnonzero(np.diff(ordered, prepend=-1))
    return np.arange(len(ordered)) - np.repeat(first, np.diff(first, append=len(ordered)))


class PermutationTest(NamedTuple):
    """What the statistics of some permutations say about the observed one."""

    mean: np.ndarray  # (n_scales, n_latents), of the permutations
    quantiles: np.ndarray  # (n_quantiles, n_scales, n_latents), of the permutations less their mean
    p_single: np.ndarray  # (n_scales, n_latents), of each test alone
    p_family: np.ndarray  # (n_scales, n_latents), for all latents at that scale
    p_latent: np.ndarray  # (n_latents,), for all latents and all scales


def permutation_test(
    observed: np.ndarray, null: np.ndarray, *, quantiles: Any, correction: str
) -> PermutationTest:
    """P-values of many statistics under one permutation null.

    Parameters
    ----------
    observed : ndarray of shape (n_scales, n_latents)
    null : ndarray of shape (n_permutations, n_scales, n_latents)
        The same permutations for all statistics of a row.
    quantiles : sequence of float
    correction : {"max", "holm", "none"}
        "max": the share of permutations in which any latent reaches the observed statistic, after
        each has been put in units of its own mean and scatter. Knows that latents are correlated.

    Notes
    -----
    Mean and scatter are taken with the observed value among the permuted ones, so that it is as
    likely as any of them to be the largest; p = (1 + number as large) / (n_permutations + 1).
    The scales are combined by their largest statistic, whatever `correction`.

    References
    ----------
    Westfall, P. H., Young, S. S. 1993, Resampling-Based Multiple Testing, section 2.3 (single
    step); Holm, S. 1979, Scand. J. Stat. 6, 65; Phipson, B., Smyth, G. K. 2010, Stat. Appl. Genet.
    Mol. Biol. 9, 39 (the added one).
    """
    every = np.concatenate([observed[None], null])
    mean = every.mean(axis=0)
    scatter = every.std(axis=0)
    varies = scatter > _ROUNDING_NATS
    z = np.where(varies, (every - mean) / np.where(varies, scatter, 1.0), 0.0)
    over_scales = z.max(axis=1)
    p_single = _tail(z[0], z[1:])
    p_latent = _tail(over_scales[0], over_scales[1:])
    if correction == "max":
        p_family = _tail(z[0], z[1:].max(axis=2, keepdims=True))
        p_latent = _tail(over_scales[0], over_scales[1:].max(axis=1, keepdims=True))
    elif correction == "holm":
        p_family, p_latent = np.stack([holm(p) for p in p_single]), holm(p_latent)
    else:
        p_family = p_single
    null_mean = null.mean(axis=0)
    of_null = np.quantile(null, quantiles, axis=0) - null_mean
    return PermutationTest(null_mean, of_null, p_single, p_family, p_latent)


def holm(p_values: np.ndarray) -> np.ndarray:
    """Holm's step-down adjustment of a vector of p-values."""
    order = np.argsort(p_values)
    factors = np.arange(len(order), 0, -1)
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * p_values[order]), 1.0)
    return adjusted


def _tail(observed: np.ndarray, null: np.ndarray) -> np.ndarray:
    """(1 + number of permutations as large) / (number of permutations + 1)."""
    return (1.0 + (null >= observed - _ROUNDING).sum(axis=0)) / (len(null) + 1.0)
