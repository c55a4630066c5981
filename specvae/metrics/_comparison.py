"""Whether one model's errors are smaller than another's."""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import mannwhitneyu, wilcoxon

from .._random import spawn_seeds
from .._validation import check_choice, check_groups, check_number, unmask
from ._permutation_null import holm

_COLUMNS = [
    "model",
    "other",
    "mean",
    "other_mean",
    "difference",
    "standard_error",
    "effect_size",
    "p_value",
    "p_corrected",
    "n_stars",
    "n_spectra",
]
# Differences below this part of the larger error come from rounding of labels of thousands.
_ROUNDING = 1e-9
# Signs held at a time.
_CHUNK = 4_000_000


def compare_models(
    errors: Any,
    groups: Any,
    *,
    reference: Any = None,
    test: str = "paired",
    correction: str = "holm",
    n_permutations: int = 9999,
    random_state: Any = 0,
) -> pd.DataFrame:
    """Test which models differ in the absolute error of one label, paired by star.

    Parameters
    ----------
    errors : dict or DataFrame
        Absolute errors of each model, by its name: arrays of shape (n_spectra,), row i of all
        models being the same spectrum. NaN where a model has no value: a pair of models is
        compared on the spectra that both have.
    groups : array-like of shape (n_spectra,)
        Id of the star.
    reference : name of a model, optional
        Compare this model with each other one; by default all pairs are compared. Naming the best
        one after a look at the errors makes the p-values too small.
    test : {"paired", "wilcoxon", "mann-whitney"}, default="paired"
        "paired": permutation test of the mean over stars of the difference, each star's sign
        being flipped at random; exact where all combinations of signs are fewer than
        `n_permutations`. "wilcoxon": signed ranks of the stars' differences, which hardly sees
        stars with large errors. "mann-whitney": as the paper of 2025 did; it ignores that both
        models saw the same spectra and takes spectra of one star for independent, so that it
        misses differences that pairing shows and, with many spectra a star, finds ones that are
        not there. For comparison with published tables only.
    correction : {"holm", "none"}, default="holm"
        Holm-Bonferroni over the rows of the table, or `p_corrected` the same as `p_value`. Over
        several labels too, correct the p-values of all tables together.
    n_permutations : int, default=9999
        Of "paired"; no p-value lies below 1 / (n_permutations + 1).
    random_state : int, RandomState or None, default=0
        Seed of the permutations.

    Returns
    -------
    table : DataFrame
        One row a pair, with

        - `model`, `other`: names.
        - `mean`, `other_mean`: mean over stars of each star's mean error.
        - `difference`, `standard_error`: mean over stars of model less other, and its error by
          star; negative where `model` is better.
        - `effect_size`: for "paired" the mean difference over its scatter from star to star
          (Cohen's d_z), NaN where it has none; for the others the rank-biserial correlation, from
          -1 where `model` is always better to 1.
        - `p_value`, two-sided, and `p_corrected`.
        - `n_stars`, `n_spectra`: that both models have.

        Models that share fewer than two stars have NaN in place of errors and p-values.

    Raises
    ------
    ValueError
        If there are fewer than two models or stars, lengths differ, an error is negative or
        infinite, a model has no value, or an option is unknown.

    Notes
    -----
    Under the null hypothesis of "paired", the two models are interchangeable for each star.
    Errors are differences of labels and hold their rounding: two errors that differ by less than
    1e-9 of the larger one count as equal, and so do two differences where it comes to scatter.

    References
    ----------
    Holm 1979, Scand. J. Stat. 6, 65. Kerby 2014, Comprehensive Psychology 3, 1: the rank-biserial
    correlation of matched pairs. Mann & Whitney 1947, as used by Cvrcek, V., et al. 2025, A&A 693,
    A256.

    Examples
    --------
    >>> errors = {"cnn": [1.0, 1.2, 3.0, 2.0, 1.5, 2.5], "pca": [2.0, 2.5, 3.5, 2.9, 2.2, 3.0]}
    >>> table = compare_models(errors, [1, 1, 2, 3, 4, 5])
    >>> table.loc[0, ["model", "other", "difference", "p_value", "n_stars"]].to_dict()
    {'model': 'cnn', 'other': 'pca', 'difference': -0.75, 'p_value': 0.0625, 'n_stars': 5}
    """
    check_choice("test", test, ("paired", "wilcoxon", "mann-whitney"))
    check_choice("correction", correction, ("holm", "none"))
    check_number("n_permutations", n_permutations, minimum=1, integer=True)
    models = _check_errors(errors)
    star = check_groups(groups, len(next(iter(models.values()))))
    if star.max() < 1:
        raise ValueError("groups names one star; a test by star needs two at least.")
    pairs = list(combinations(models, 2))
    if reference is not None:
        if reference not in models:
            raise ValueError(f"reference must be one of {list(models)}, got {reference!r}.")
        pairs = [(reference, name) for name in models if name != reference]
    seeds = spawn_seeds(random_state, len(pairs))
    rows = []
    for (name, other), seed in zip(pairs, seeds, strict=True):
        rng = np.random.default_rng(seed)
        row = _compare(models[name], models[other], star, test, n_permutations, rng)
        rows.append({"model": name, "other": other, **row})
    table = pd.DataFrame(rows, columns=_COLUMNS)
    corrected = table["p_value"].to_numpy(copy=True)
    known = ~np.isnan(corrected)
    if correction == "holm" and known.any():
        corrected[known] = holm(corrected[known])
    return table.assign(p_corrected=corrected)


def _compare(
    one: np.ndarray,
    other: np.ndarray,
    star: np.ndarray,
    test: str,
    n_permutations: int,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Return the row of one pair, without names and correction."""
    both = ~np.isnan(one) & ~np.isnan(other)
    one, other = one[both], other[both]
    one = np.where(_is_rounding(one - other, one, other), other, one)
    of_star = _star_means(np.column_stack([one, other]), star[both])
    n_stars = len(of_star)
    mean, other_mean = of_star.mean(axis=0) if n_stars else (np.nan, np.nan)
    difference = of_star[:, 0] - of_star[:, 1]
    difference[_is_rounding(difference, *of_star.T)] = 0.0
    scatter = effect = p_value = np.nan
    if n_stars > 1:
        scatter = difference.std(ddof=1)
        if scatter <= _ROUNDING * of_star.max():
            scatter = 0.0
        if test == "paired":
            effect = difference.mean() / scatter if scatter > 0 else np.nan
            p_value = _sign_flip_p_value(difference, n_permutations, rng)
        elif test == "wilcoxon":
            effect, p_value = _signed_rank(difference)
        else:
            u, p_value = mannwhitneyu(one, other, alternative="two-sided")
            effect = 2.0 * u / (len(one) * len(other)) - 1.0
    return {
        "mean": float(mean),
        "other_mean": float(other_mean),
        "difference": float(difference.mean()) if n_stars else np.nan,
        "standard_error": float(scatter / np.sqrt(max(n_stars, 1))),
        "effect_size": float(effect),
        "p_value": float(p_value),
        "n_stars": n_stars,
        "n_spectra": len(one),
    }


def _is_rounding(difference: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.abs(difference) <= _ROUNDING * np.maximum(one, other)


def _star_means(values: np.ndarray, star: np.ndarray) -> np.ndarray:
    """Mean of each star that has a value, shape (n_stars, n_columns)."""
    ids, star = np.unique(star, return_inverse=True)
    total = np.zeros((len(ids), values.shape[1]))
    np.add.at(total, star, values)
    return total / np.bincount(star, minlength=len(ids))[:, None]


def _sign_flip_p_value(
    difference: np.ndarray, n_permutations: int, rng: np.random.Generator
) -> float:
    """Two-sided p-value of the mean under random signs; exact where all signs can be tried."""
    # Equal means that differ by rounding count as equal, else a tie would depend on the order.
    observed = np.abs(difference.sum()) - 1e-12 * np.abs(difference).sum()
    n_stars = len(difference)
    exact = n_stars < 63 and 2**n_stars <= n_permutations
    n_signs = 2**n_stars if exact else n_permutations
    as_large = 0
    step = max(1, _CHUNK // n_stars)
    for start in range(0, n_signs, step):
        size = min(step, n_signs - start)
        if exact:
            numbers = np.arange(start, start + size)[:, None]
            flips = (numbers >> np.arange(n_stars)) & 1
        else:
            flips = rng.integers(2, size=(size, n_stars), dtype=np.int8)
        sums = (1.0 - 2.0 * flips) @ difference
        as_large += int((np.abs(sums) >= observed).sum())
    # The observed signs are one of all; of random ones they are one more.
    return as_large / n_signs if exact else (1 + as_large) / (1 + n_signs)


def _signed_rank(difference: np.ndarray) -> tuple[float, float]:
    """Return the matched rank-biserial correlation and Wilcoxon's p-value."""
    changed = difference[difference != 0]
    if not len(changed):
        return 0.0, 1.0
    ranks = pd.Series(np.abs(changed)).rank().to_numpy()
    effect = (np.sign(changed) * ranks).sum() / ranks.sum()
    return float(effect), float(wilcoxon(changed).pvalue)


def _check_errors(errors: Any) -> dict[Any, np.ndarray]:
    if not isinstance(errors, Mapping | pd.DataFrame):
        raise ValueError(
            f"errors must be a dict or DataFrame of models, got {type(errors).__name__}; give "
            "{'name': absolute errors, ...}."
        )
    models = {name: np.asarray(unmask(errors[name]), dtype=float) for name in errors}
    if len(models) < 2:
        raise ValueError(f"errors has {len(models)} models; a comparison needs two at least.")
    n_spectra = next(iter(models.values())).shape[:1]
    for name, error in models.items():
        if error.ndim != 1 or error.shape != n_spectra:
            raise ValueError(
                f"errors of {name!r} have shape {error.shape}, wanted is (n_spectra,), the same "
                "for all models: one label at a time, NaN where a model has no value."
            )
        if np.isinf(error).any() or (error < 0).any():
            raise ValueError(
                f"errors of {name!r} hold negative or infinite values; give absolute errors, NaN "
                "where the model has no value."
            )
        if np.isnan(error).all():
            raise ValueError(f"errors of {name!r} are NaN in all {len(error)} rows; leave it out.")
    return models
