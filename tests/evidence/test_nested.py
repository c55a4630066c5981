"""Nothing that is chosen or fitted may depend on a star of the outer fold."""

from functools import partial
from typing import ClassVar

import numpy as np
import pytest
from _baselines import pca_least_squares
from _miles_baselines import QuadraticModel
from _miles_gp import N_COMPONENTS, WIDTHS, MultiScaleGP, band_axes
from _miles_networks import PlainNetworks, RegressorEnsemble
from _miles_stars import load_stars, reported_stars
from _nested import development_rows, nested_predictions
from miles import SIZES, plain_methods, specvae_methods
from sklearn.base import BaseEstimator, RegressorMixin

from specvae.model_selection import StarGroupKFold

N_STARS, N_FOLDS = 30, 3


def make_stars(seed=0):
    """Spectra of which labels are nearly linear; some labels are unknown."""
    rng = np.random.default_rng(seed)
    labels = rng.normal(size=(N_STARS, 3))
    flux = 1.0 + 0.02 * labels @ rng.normal(size=(3, 240)) + 0.01 * rng.normal(size=(N_STARS, 240))
    labels += 0.1 * rng.normal(size=labels.shape)
    labels[rng.random(labels.shape) < 0.05] = np.nan
    return flux, labels, np.arange(100, 100 + N_STARS)


def least_squares(n_components, seed):
    return pca_least_squares(n_components)


METHODS = {
    "chosen components": {f"{k}": partial(least_squares, k) for k in (1, 3, 6)},
    "quadratic model": {
        f"{ridge}": lambda seed, ridge=ridge: QuadraticModel(ridge) for ridge in (0.1, 10.0)
    },
    "kernel": {
        f"{power}": lambda seed, power=power: MultiScaleGP((3.0,), 4, power, n_steps=3)
        for power in (0.5, 1.0)
    },
    "plain networks": {
        kind: lambda seed, kind=kind: PlainNetworks(kind, seed, n_members=1, n_epochs=1)
        for kind in ("cnn", "mlp")
    },
    "SpectralRegressor": {
        f"{scaled}": lambda seed, scaled=scaled: RegressorEnsemble(scaled, seed, 1, 1)
        for scaled in (True, False)
    },
}


@pytest.mark.parametrize(
    ("name", "wrong"), [(name, 1e6) for name in METHODS] + [("chosen components", np.nan)]
)
def test_test_labels_and_other_test_spectra_change_nothing(name, wrong):
    check_that_test_stars_change_nothing(METHODS[name], wrong)


def check_that_test_stars_change_nothing(method, wrong, folds=(0, N_FOLDS - 1)):
    flux, labels, groups = make_stars()
    predict = partial(nested_predictions, method, seed=3, n_folds=N_FOLDS)
    before = predict(flux, labels, groups)
    for fold in folds:
        test = np.flatnonzero(before.fold == fold)
        changed_flux, changed_labels = flux.copy(), labels.copy()
        changed_labels[test] = wrong
        changed_flux[test[1:]] = wrong  # only the first of them keeps its spectrum
        after = predict(changed_flux, changed_labels, groups)
        assert after.choices[fold] == before.choices[fold]
        np.testing.assert_array_equal(after.predictions[test[0]], before.predictions[test[0]])
        assert np.isfinite(before.predictions[test]).all()


def reported_methods():
    """All that miles.py compares, at the size of a test."""
    sizes = SIZES["test"]
    simulated = make_stars(seed=7)[0]
    axes = band_axes(simulated, WIDTHS, N_COMPONENTS)
    return {**plain_methods(sizes), **specvae_methods(axes, sizes)}


@pytest.mark.parametrize("name", reported_methods())
def test_test_stars_change_nothing_in_the_methods_that_are_reported(name):
    check_that_test_stars_change_nothing(reported_methods()[name], 1e6, folds=(1,))


def test_the_comparison_above_can_fail():
    flux, labels, groups = make_stars()
    predict = partial(nested_predictions, METHODS["chosen components"], seed=3, n_folds=N_FOLDS)
    before = predict(flux, labels, groups)
    training, test = before.fold != 0, before.fold == 0
    changed = labels.copy()
    changed[np.flatnonzero(training)[0]] = 1e6
    after = predict(flux, changed, groups)
    assert not np.array_equal(after.predictions[test], before.predictions[test])


class Recorder(RegressorMixin, BaseEstimator):
    """Remembers the stars that it was given; the first pixel and the first label name the star."""

    fitted: ClassVar[list] = []
    predicted: ClassVar[list] = []

    def fit(self, X, y, groups):
        np.testing.assert_array_equal(X[:, 0], groups)
        np.testing.assert_array_equal(y[:, 0], groups)
        self.fitted.append(set(groups.tolist()))
        return self

    def predict(self, X):
        # What was fitted last is what predicts now.
        self.predicted.append((self.fitted[-1], X[:, 0].tolist()))
        return np.zeros((len(X), 2))


@pytest.mark.parametrize("n_settings", [1, 3])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_model_sees_a_star_that_it_predicts_and_none_of_the_outer_fold(n_settings, seed):
    groups = np.repeat(np.arange(25), np.arange(25) % 3 + 1)
    named = np.column_stack([groups, groups]).astype(float)
    Recorder.fitted, Recorder.predicted = [], []
    method = {f"{i}": lambda seed: Recorder() for i in range(n_settings)}
    result = nested_predictions(method, named, named, groups, seed=seed, n_folds=5, n_inner=3)
    assert all(not fitted & set(stars) for fitted, stars in Recorder.predicted)

    # Of each outer fold first come the inner fits of every setting, then the fit to all others.
    n_inner = 3 * n_settings if n_settings > 1 else 0
    outer = [Recorder.predicted[i] for i in range(n_inner, len(Recorder.predicted), n_inner + 1)]
    assert len(outer) == 5
    folds = StarGroupKFold(5, random_state=seed).split(named, groups=groups)
    for number, (_, test) in enumerate(folds):
        held_out = set(groups[test].tolist())
        calls = Recorder.predicted[number * (n_inner + 1) : (number + 1) * (n_inner + 1)]
        for fitted, stars in calls[:-1]:
            assert not held_out & (fitted | set(stars))
        assert calls[-1][0] == set(range(25)) - held_out and set(calls[-1][1]) == held_out
        assert (result.fold[test] == number).all()
    predicted = np.concatenate([stars for _, stars in outer])
    np.testing.assert_array_equal(np.sort(predicted), np.sort(groups))


class Remembering(RegressorMixin, BaseEstimator):
    """Keeps all stars that it was ever fitted to, and returns the labels of the nearest."""

    def __init__(self):
        self.flux, self.labels = [], []

    def fit(self, X, y):
        self.flux.extend(X)
        self.labels.extend(y)
        return self

    def predict(self, X):
        distance = ((X[:, None] - np.array(self.flux)) ** 2).sum(axis=2)
        return np.array(self.labels)[distance.argmin(axis=1)]


@pytest.mark.parametrize("n_settings", [1, 2])
def test_one_estimator_shared_by_all_folds_tells_the_next_nothing(n_settings):
    flux, labels, groups = make_stars()
    labels = np.nan_to_num(labels)
    shared = Remembering()
    names = [f"{i}" for i in range(n_settings)]
    of_shared, of_fresh = (
        nested_predictions({name: make for name in names}, flux, labels, groups, seed=0)
        for make in (lambda seed: shared, lambda seed: Remembering())
    )
    np.testing.assert_array_equal(of_shared.predictions, of_fresh.predictions)
    assert of_shared.choices == of_fresh.choices and shared.flux == []
    # Its own star's labels are what it would have remembered.
    assert not (of_shared.predictions == labels).all(axis=1).any()


def test_every_star_is_predicted_once_a_seed_and_seeds_differ():
    flux, labels, groups = make_stars()
    method = METHODS["chosen components"]
    results = [nested_predictions(method, flux, labels, groups, seed=seed) for seed in (0, 1)]
    for result in results:
        assert np.isfinite(result.predictions).all()
        np.testing.assert_array_equal(np.bincount(result.fold), [N_STARS // 5] * 5)
        assert len(result.choices) == 5
    assert not np.array_equal(results[0].fold, results[1].fold)


def test_a_fit_that_writes_into_its_data_reaches_no_other():
    class Vandal(BaseEstimator):
        def fit(self, X, y):
            self.mean_ = np.nanmean(y, axis=0)
            X[:], y[:] = 0.0, 0.0
            return self

        def predict(self, X):
            return np.tile(self.mean_, (len(X), 1)) + 0.0 * X[:, :1]

    flux, labels, groups = make_stars()
    kept = flux.copy(), labels.copy()
    method = {"a": lambda seed: Vandal(), "b": lambda seed: Vandal()}
    result = nested_predictions(method, flux, labels, groups, seed=0)
    np.testing.assert_array_equal(flux, kept[0])
    np.testing.assert_array_equal(labels, kept[1])
    for fold in range(5):
        expected = np.nanmean(labels[result.fold != fold], axis=0)
        np.testing.assert_allclose(result.predictions[result.fold == fold][0], expected)


@pytest.fixture
def library(tmp_path):
    """Write a library of 90 stars, of which 60 lie from 4000 to 7000 K, and return its arrays."""
    rng = np.random.default_rng(0)
    teff_k = np.concatenate(
        [rng.uniform(4001, 6999, 60), rng.uniform(8000, 20_000, 25), [np.nan] * 5]
    )
    arrays = {
        "flux": rng.uniform(0.5, 1.5, size=(90, 30)),
        "labels": np.column_stack([teff_k, rng.normal(size=(90, 2))]),
        "miles_id": np.array([f"{i:04d}" for i in rng.permutation(90)]),
    }
    path = tmp_path / "stars.npz"
    np.savez(path, **arrays)
    return path, arrays


@pytest.mark.parametrize("whole_range", [False, True])
def test_to_choose_there_are_development_stars_alone(library, whole_range):
    path, arrays = library
    every = load_stars("report", path, whole_range=whole_range)
    chosen = load_stars("choose", path, whole_range=whole_range)
    assert chosen.development.all() and len(chosen.flux) < 0.6 * len(every.flux)
    assert len(every.flux) == (85 if whole_range else 60)
    assert set(chosen.groups) == set(every.groups[every.development])
    assert not set(chosen.groups) & set(every.groups[~every.development])

    other = np.isin(arrays["miles_id"].astype(int), every.groups[~every.development])
    arrays["flux"][other] = 1e6
    arrays["labels"][other, 1:] = 1e6
    np.savez(path, **arrays)
    again = load_stars("choose", path, whole_range=whole_range)
    np.testing.assert_array_equal(again.flux, chosen.flux)
    np.testing.assert_array_equal(again.labels, chosen.labels)


@pytest.mark.parametrize("whole_range", [False, True])
def test_reported_are_the_stars_that_no_choice_saw(library, whole_range):
    path, _ = library
    seen = load_stars("choose", path, whole_range=whole_range)
    every = load_stars("report", path, whole_range=whole_range)
    reported, words = reported_stars(every, "report")
    assert words == f"{reported.sum()} stars not developed on"
    assert not set(every.groups[reported]) & set(seen.groups)
    assert set(every.groups[reported]) | set(seen.groups) == set(every.groups)
    of_choice, words = reported_stars(seen, "choose")
    assert of_choice.all() and words.endswith("development stars")


def test_development_stars_are_a_fixed_half():
    development = development_rows(504, 12345)
    assert development.sum() == 252
    np.testing.assert_array_equal(development, development_rows(504, 12345))
