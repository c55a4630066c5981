"""Whether spectra of one star fall together in the code."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._random import spawn_seeds
from .._validation import check_choice, check_codes, check_groups, check_number
from ._labels import mean_by_star
from ._nearest import nearest_of_others
from ._weighted_quantile import weighted_quantile
from ._whitening import whiten_codes

# Pairs of different stars that are drawn: their mean distance is known to better than 1 %.
_N_RANDOM_PAIRS = 5_000
# Median of |difference| of two unit normal deviates.
_MEDIAN_DIFFERENCE = 0.674490 * np.sqrt(2.0)


@dataclass(frozen=True)
class RepeatConsistency:
    """Scatter within stars against scatter between stars; a star counts once."""

    within: np.ndarray  # (n_latents,), scatter of one star's spectra, in code units
    between: np.ndarray  # (n_latents,), scatter of stars, in code units; without that within
    distance_ratio: float  # mean distance of a star's spectra / of spectra of different stars
    distance_ratio_error: float  # by star; NaN for a single star with repeats
    null: np.ndarray  # (n_permutations,), distance_ratio of spectra shuffled among the stars
    p_value: float  # of a ratio as low by chance; NaN without permutations or scatter
    own_nearest: float  # share of spectra whose nearest neighbour is of their own star
    own_nearest_error: float  # by star
    own_nearest_chance: float  # that share if neighbours were random
    n_stars: int  # stars with two spectra or more; the others make up the scatter between

    @property
    def ratio(self) -> np.ndarray:
        """Scatter within over scatter between of each latent, NaN where both are zero."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.within / self.between

    @property
    def intraclass_correlation(self) -> np.ndarray:
        """Share of each latent's variance that lies between stars, 1 for perfect repeats.

        NaN for a constant latent.
        """
        with np.errstate(invalid="ignore"):
            return self.between**2 / (self.between**2 + self.within**2)


def repeat_consistency(
    codes: Any,
    groups: Any,
    *,
    robust: bool = False,
    metric: str = "euclidean",
    whiten: bool = True,
    n_permutations: int = 200,
    random_state: Any = 0,
) -> RepeatConsistency:
    """Compare the scatter of one star's spectra with the scatter between stars.

    Spectra of one star differ by noise, weather and the velocity of the Earth. In a code of the
    star's own properties they fall together.

    Parameters
    ----------
    codes : array-like of shape (n_spectra, n_latents)
        Encoder means, all finite.
    groups : array-like of shape (n_spectra,)
        Id of the star. Stars with a single spectrum count for the scatter between stars.
    robust : bool, default=False
        Take `within` and `between` from the median difference of two spectra in place of variances,
        so that a few variable stars or bad spectra do not decide.
    metric : {"euclidean", "manhattan"}, default="euclidean"
        Of `distance_ratio` and `own_nearest`.
    whiten : bool, default=True
        Whether these measure distances between whitened codes, see `whiten_codes`.
    n_permutations : int, default=200
        Shuffles of the spectra among the stars behind `null`; 0 leaves them out.
    random_state : int, RandomState or None, default=0
        Seed of the pairs and shuffles.

    Returns
    -------
    result : RepeatConsistency

    Raises
    ------
    ValueError
        If a code is not finite, lengths differ, there are fewer than two stars, or no star has two
        spectra.

    Notes
    -----
    `within` squared is the mean over stars of the unbiased variance of a star's spectra; `between`
    squared is the variance of the stars' means less what `within` adds to it, zero where that is
    negative: the one-way analysis of variance with random effects, stars weighted alike.

    For distances a star's spectra, in random order, are paired with the next one round a ring, so
    that the cost grows with the number of spectra and not its square. Spectra of different stars
    are 5,000 random pairs. A shuffle keeps these pairs and permutes the codes beneath them.

    References
    ----------
    Shrout & Fleiss 1979, Psychological Bulletin 86, 420: the intraclass correlation ICC(1).

    Examples
    --------
    >>> codes = [[0.0], [0.2], [5.0], [5.2], [9.0], [9.2]]
    >>> result = repeat_consistency(codes, ["a", "a", "b", "b", "c", "c"])
    >>> result.within, result.intraclass_correlation.round(3)
    (array([0.141]), array([0.999]))
    >>> result.own_nearest, result.own_nearest_chance
    (1.0, 0.2)
    """
    check_choice("metric", metric, ("euclidean", "manhattan"))
    check_number("n_permutations", n_permutations, minimum=0, integer=True)
    codes = check_codes(codes).astype(np.float64, copy=False)
    star = check_groups(groups, len(codes))
    n_of_star = np.bincount(star)
    if len(n_of_star) < 2:
        raise ValueError("groups names one star; a scatter between stars needs two at least.")
    if n_of_star.max() < 2:
        raise ValueError(
            f"groups gives each of {len(codes)} spectra a star of its own; without repeats there "
            "is no scatter within stars. See specvae.spectra.group_targets."
        )
    rng = np.random.default_rng(spawn_seeds(random_state, 1)[0])
    same, different = _ring_pairs(star, rng), _random_pairs(star, rng)
    scatter = _robust_scatter if robust else _scatter
    within, between = scatter(codes, star, same, different)
    if whiten:
        codes = whiten_codes(codes)
    ratio, error = _distance_ratio(codes, star, same, different, metric)
    null = np.array(
        [
            _distance_ratio(codes[rng.permutation(len(codes))], star, same, different, metric)[0]
            for _ in range(n_permutations)
        ]
    )
    rows = np.flatnonzero(n_of_star[star] > 1)
    nearest = nearest_of_others(codes, rows, np.arange(len(codes)), 1, metric).rows[:, 0]
    own = mean_by_star(star[nearest] == star[rows], star[rows])
    chance = mean_by_star((n_of_star[star[rows]] - 1) / (len(codes) - 1), star[rows])
    return RepeatConsistency(
        within=within,
        between=between,
        distance_ratio=ratio,
        distance_ratio_error=error,
        null=null,
        p_value=_p_value(ratio, null),
        own_nearest=float(own.mean[0]),
        own_nearest_error=float(own.standard_error[0]),
        own_nearest_chance=float(chance.mean[0]),
        n_stars=int((n_of_star > 1).sum()),
    )


def _p_value(ratio: float, null: np.ndarray) -> float:
    if not len(null) or np.isnan(ratio):
        return np.nan
    return float((1 + (null <= ratio).sum()) / (1 + len(null)))


def _ring_pairs(star: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each spectrum and the next of its star, shape (n_pairs, 2); two spectra pair twice."""
    shuffled = rng.permutation(len(star))
    order = shuffled[np.argsort(star[shuffled], kind="stable")]
    n_of_star = np.bincount(star)
    first = np.cumsum(n_of_star) - n_of_star
    place = np.arange(len(star)) - np.repeat(first, n_of_star)
    size = np.repeat(n_of_star, n_of_star)
    following = np.repeat(first, n_of_star) + (place + 1) % size
    return np.column_stack([order, order[following]])[size > 1]


def _random_pairs(star: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Random spectra of two different random stars, shape (n_pairs, 2)."""
    n_of_star = np.bincount(star)
    order, first = np.argsort(star, kind="stable"), np.cumsum(n_of_star) - n_of_star
    one = rng.integers(len(n_of_star), size=_N_RANDOM_PAIRS)
    other = (one + rng.integers(1, len(n_of_star), size=len(one))) % len(n_of_star)
    stars = np.column_stack([one, other])
    return order[first[stars] + rng.integers(n_of_star[stars])]


def _scatter(
    codes: np.ndarray, star: np.ndarray, same: np.ndarray, different: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Scatter within and between stars by the analysis of variance."""
    n_of_star = np.bincount(star)[:, None]
    mean = np.zeros((len(n_of_star), codes.shape[1]))
    squares = np.zeros_like(mean)
    np.add.at(mean, star, codes)
    mean /= n_of_star
    np.add.at(squares, star, (codes - mean[star]) ** 2)
    repeated = n_of_star[:, 0] > 1
    within = (squares[repeated] / (n_of_star[repeated] - 1)).mean(axis=0)
    between = mean.var(axis=0, ddof=1) - within * (1.0 / n_of_star).mean()
    return np.sqrt(within), np.sqrt(np.maximum(between, 0.0))


def _robust_scatter(
    codes: np.ndarray, star: np.ndarray, same: np.ndarray, different: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Take them from the median difference of a pair, each star counting once."""
    star_of_pair = star[same[:, 0]]
    weight = 1.0 / np.bincount(star_of_pair)[star_of_pair]
    difference = np.abs(codes[same[:, 0]] - codes[same[:, 1]])
    within = np.array([weighted_quantile(each, weight, 0.5) for each in difference.T])
    total = np.median(np.abs(codes[different[:, 0]] - codes[different[:, 1]]), axis=0)
    within, total = within / _MEDIAN_DIFFERENCE, total / _MEDIAN_DIFFERENCE
    return within, np.sqrt(np.maximum(total**2 - within**2, 0.0))


def _distance_ratio(
    codes: np.ndarray, star: np.ndarray, same: np.ndarray, different: np.ndarray, metric: str
) -> tuple[float, float]:
    """Mean distance of repeats over that of random pairs, and its standard error by star."""
    near = mean_by_star(_pair_distance(codes, same, metric), star[same[:, 0]])
    far = _pair_distance(codes, different, metric).mean()
    if far == 0:  # a collapsed code, not whitened
        return np.nan, np.nan
    return float(near.mean[0] / far), float(near.standard_error[0] / far)


def _pair_distance(codes: np.ndarray, pairs: np.ndarray, metric: str) -> np.ndarray:
    difference = codes[pairs[:, 0]] - codes[pairs[:, 1]]
    if metric == "manhattan":
        return np.abs(difference).sum(axis=1)
    return np.sqrt(np.square(difference).sum(axis=1))
