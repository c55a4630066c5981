"""Nested cross-validation by star: what is chosen and what is fitted sees training stars only.

The guarantee rests on one function. `_predict_fold` is all that happens in an outer fold; it gets
the training stars and the test stars' flux, and nothing from which a test label could be had.
Flux and labels are copies of their rows, so that writing into them reaches nothing else. A copy of
the estimator is fitted: one that a factory returns twice and that remembers its data tells the next
fold nothing. The seed depends on the number of the fold alone. The inner folds of a choice split
the training stars.
"""

import copy
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from joblib import Parallel, delayed
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import has_fit_parameter

from specvae.metrics import mean_by_star
from specvae.model_selection import StarGroupKFold

__all__ = ["Method", "Nested", "development_rows", "nested_predictions"]

# The ways that one method can be set, by name; each makes an estimator from a seed.
Method = Mapping[str, Callable[[int], Any]]


@dataclass(frozen=True)
class Nested:
    """Predictions of every star by a model that never saw it, and what was chosen for it."""

    predictions: np.ndarray  # (n_spectra, n_labels)
    fold: np.ndarray  # (n_spectra,), the outer fold in which a spectrum was predicted
    choices: list[list[str]]  # for each outer fold, the name of the setting of each label


class Training(NamedTuple):
    """All that a choice and a fit may see."""

    flux: np.ndarray  # (n_training, n_pixels)
    labels: np.ndarray  # (n_training, n_labels)
    groups: np.ndarray  # (n_training,)

    def rows(self, rows: np.ndarray) -> "Training":
        # Indexing by integers copies.
        return Training(self.flux[rows], self.labels[rows], self.groups[rows])


def nested_predictions(
    method: Method,
    flux: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    *,
    seed: int,
    n_folds: int = 5,
    n_inner: int = 3,
    n_jobs: int = 1,
) -> Nested:
    """Predict each star once, from folds without it.

    Parameters
    ----------
    method : dict of callables
        Settings to choose among, by name: each takes a seed and returns an unfitted regressor. One
        setting alone is fitted without a choice. Several are compared by mean absolute error by
        star in `n_inner` folds of the training stars, label by label; those chosen are fitted to
        all training stars.
    flux : ndarray of shape (n_spectra, n_pixels)
    labels : ndarray of shape (n_spectra, n_labels)
        NaN where unknown. They do not enter the outer folds.
    groups : ndarray of shape (n_spectra,)
        Id of the star.
    seed : int
        Of folds and estimators.
    n_folds, n_inner : int
        Outer and inner folds.
    n_jobs : int, default=1
        Outer folds at a time.

    Returns
    -------
    result : Nested
    """
    every = Training(np.asarray(flux), np.asarray(labels, dtype=float), np.asarray(groups))
    splits = list(_split(every.groups, n_folds, seed))
    # No two folds of several seeds share one, or their networks would be alike.
    seeds = [1000 * seed + number for number in range(n_folds)]
    tasks = (
        delayed(_predict_fold)(method, every.rows(train), every.flux[test], n_inner, seeds[number])
        for number, (train, test) in enumerate(splits)
    )
    predictions = np.full(every.labels.shape, np.nan)
    fold = np.full(len(predictions), -1)
    choices = []
    for number, (predicted, chosen) in enumerate(Parallel(n_jobs)(tasks)):
        test = splits[number][1]
        predictions[test], fold[test] = predicted, number
        choices.append(chosen)
    return Nested(predictions, fold, choices)


def _predict_fold(
    method: Method, training: Training, test_flux: np.ndarray, n_inner: int, seed: int
) -> tuple[np.ndarray, list[str]]:
    """Choose on the training stars, fit to them, predict the others."""
    torch.set_num_threads(1)
    chosen = _choose(method, training, n_inner, seed)
    predictions = np.empty((len(test_flux), len(chosen)))
    for name in dict.fromkeys(chosen):
        of_setting = _fit(method[name](seed), training).predict(test_flux)
        for_labels = [label for label, of_label in enumerate(chosen) if of_label == name]
        predictions[:, for_labels] = of_setting[:, for_labels]
    return predictions, chosen


def _choose(method: Method, training: Training, n_inner: int, seed: int) -> list[str]:
    """Name of the setting with the smallest inner error, for each label."""
    names = list(method)
    if len(names) == 1:
        return names * training.labels.shape[1]
    errors = [_inner_errors(method[name], training, n_inner, seed) for name in names]
    return [names[best] for best in np.argmin(errors, axis=0)]


def _inner_errors(
    make: Callable[[int], Any], training: Training, n_inner: int, seed: int
) -> np.ndarray:
    """Mean absolute error by star of each label, predicted from inner folds without the star."""
    predictions = np.empty_like(training.labels)
    for train, test in _split(training.groups, n_inner, seed):
        model = _fit(make(seed), training.rows(train))
        predictions[test] = model.predict(training.flux[test])
    return mean_by_star(np.abs(predictions - training.labels), training.groups).mean


def _fit(model: Any, training: Training) -> Any:
    by_star = {"groups": training.groups} if has_fit_parameter(model, "groups") else {}
    with warnings.catch_warnings():
        # A length or noise at its bound is a model all the same; the folds say how good it is.
        warnings.simplefilter("ignore", ConvergenceWarning)
        # The model may be shared by folds and remember what it was fitted to.
        return copy.deepcopy(model).fit(training.flux, training.labels, **by_star)


def _split(groups: np.ndarray, n_folds: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    folds = StarGroupKFold(n_folds, random_state=seed)
    return folds.split(np.empty((len(groups), 1)), groups=groups)


def development_rows(n_stars: int, seed: int) -> np.ndarray:
    """Mark the first half of the stars in a fixed random order: settings are chosen on these."""
    development = np.zeros(n_stars, dtype=bool)
    development[np.random.default_rng(seed).permutation(n_stars)[: n_stars // 2]] = True
    return development
