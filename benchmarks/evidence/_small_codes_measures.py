"""What a code tells, and what moves it; errors by star."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from _evidence import Verdict
from scipy.ndimage import gaussian_filter1d
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from specvae.metrics import ratio_by_star
from specvae.model_selection import StarGroupKFold

__all__ = ["Measured", "average", "caused_within", "explained", "judge", "shares_drawn"]

N_FOLDS = 5
N_NEIGHBOURS = 10


class Measured(NamedTuple):
    """A number and its standard error by star."""

    value: float
    error: float


def explained(inputs: np.ndarray, targets: np.ndarray, groups: np.ndarray) -> Measured:
    """R2 of neighbours in `inputs`, on stars that they do not hold; targets' variances add up."""
    targets = np.asarray(targets, dtype=float).reshape(len(inputs), -1)
    reader = make_pipeline(StandardScaler(), KNeighborsRegressor(N_NEIGHBOURS))
    return _r2(reader, np.asarray(inputs, dtype=float), targets, groups)


def caused_within(codes: np.ndarray, changed: np.ndarray, groups: np.ndarray) -> Measured:
    """Share of the scatter within stars that is gone where `changed` lacks some cause."""
    codes, changed = whitened(codes, changed)
    within = [np.square(each - star_means(each, groups)).sum(axis=1) for each in (changed, codes)]
    return _share(*within, groups)


def whitened(codes: np.ndarray, changed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both in the axes and units in which `codes` have covariance one."""
    values, axes = np.linalg.eigh(np.atleast_2d(np.cov(codes, rowvar=False)))
    known = values > 1e-10 * values.max()  # a dead latent has no unit
    scale = axes[:, known] / np.sqrt(values[known])
    return codes @ scale, changed @ scale


def shares_drawn(
    flux: np.ndarray, drawn: np.ndarray, mean: np.ndarray, groups: np.ndarray, sigma: float
) -> tuple[Measured, Measured]:
    """Shares of the variance about the mean spectrum that are drawn: broad shape, narrow lines.

    Broad is what a Gaussian of `sigma` pixels leaves, narrow what it takes away.
    """
    both = []
    for is_broad in (True, False):
        parts = []
        for each in (flux - drawn, flux - mean):
            broad = gaussian_filter1d(each, sigma, axis=1, mode="nearest")
            parts.append(np.square(broad if is_broad else each - broad).mean(axis=1))
        both.append(_share(parts[0], parts[1], groups))
    return both[0], both[1]


def average(values: Sequence[Measured]) -> Measured:
    """Mean of independent sets of stars."""
    array = np.array(values, dtype=float)
    return Measured(
        float(array[:, 0].mean()), float(np.sqrt(np.square(array[:, 1]).sum()) / len(array))
    )


def judge(values: Sequence[Measured], limit: float, *, above: bool) -> Verdict:
    """Ask whether all values are on one side of the limit by two standard errors, or the other."""
    sign = 1.0 if above else -1.0
    distances = [(sign * (each.value - limit), 2.0 * each.error) for each in values]
    if all(distance > margin for distance, margin in distances):
        return "holds"
    if all(-distance > margin for distance, margin in distances):
        return "fails"
    return "cannot be told here"


def _r2(reader, inputs: np.ndarray, targets: np.ndarray, groups: np.ndarray) -> Measured:
    predicted = np.empty_like(targets)
    folds = StarGroupKFold(N_FOLDS, random_state=0)
    for train, test in folds.split(inputs, groups=groups):
        predicted[test] = reader.fit(inputs[train], targets[train]).predict(inputs[test])
    missed = np.square(targets - predicted).sum(axis=1)
    return _share(missed, np.square(targets - targets.mean(axis=0)).sum(axis=1), groups)


def _share(missed: np.ndarray, total: np.ndarray, groups: np.ndarray) -> Measured:
    ratio = ratio_by_star(missed, total, groups)
    return Measured(1.0 - ratio.ratio, ratio.standard_error)


def star_means(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Mean of each row's star, shape of `values`."""
    star = np.unique(groups, return_inverse=True)[1]
    total = np.zeros((star.max() + 1, values.shape[1]))
    np.add.at(total, star, values)
    return (total / np.bincount(star)[:, None])[star]
