import numpy as np
import pytest
from _calibration_models import Prediction, Stars, of_ensemble
from _calibration_report import near
from calibration import (
    conformal_factor,
    half_widths,
    interval_score,
    name_of,
    numbers_of,
    places_of,
    score,
)


def gaussian_stars(n_stars, seed):
    labels = np.random.default_rng(seed).normal(size=(n_stars, 3))
    return Stars(np.zeros((n_stars, 1)), labels, np.arange(n_stars), np.zeros(n_stars, bool))


def stated(n_stars, std):
    return Prediction(
        np.zeros((n_stars, 3)), np.full((n_stars, 3), std), np.full((n_stars, 3), 1.0)
    )


def test_conformal_factor_counts_the_star_to_come():
    error, std = np.array([1.0, 2.0, 3.0, -4.0]), np.full(4, 2.0)
    # 3 of 4 stars are 60 % of 5, 4 of 4 are 80 %.
    assert conformal_factor(error, std, np.arange(4), 0.6) == 1.5
    assert conformal_factor(error, std, np.arange(4), 0.8) == 2.0
    assert conformal_factor(error, std, np.arange(4), 0.9) == np.inf


def test_conformal_factor_counts_a_star_once():
    error, star = np.array([1.0, 5.0, 5.0, 5.0, 2.0]), np.array([0, 1, 1, 1, 2])
    # Two of three stars are half of four.
    assert conformal_factor(error, np.ones(5), star, 0.5) == 2.0


def test_interval_score_by_hand():
    found = interval_score(np.array([0.5, -3.0]), np.array([1.0, 1.0]), 0.95)
    np.testing.assert_allclose(found, [2.0, 2.0 + 40.0 * 2.0])


def test_every_kind_of_interval_covers_what_it_should():
    aside, test = gaussian_stars(2000, 0), gaussian_stars(4000, 1)
    halves = half_widths(stated(4000, 0.5), stated(2000, 0.5), aside)
    means, keys = {"model": np.zeros((4000, 3))}, list(halves)
    assert keys == ["raw", "stated", "conformal", "one sigma"]
    found = score(
        test, means, {("model", key): halves[key] for key in keys}, np.ones(4000, dtype=bool)
    )
    for kind in ("raw", "conformal", "one sigma"):
        coverage = found[f"model, {kind}"]["coverage"]
        np.testing.assert_allclose(coverage, [[0.6827] * 3, [0.95] * 3], atol=0.03)
    np.testing.assert_allclose(found["model, stated"]["coverage"][0], 0.383, atol=0.03)
    np.testing.assert_allclose(found["model, stated"]["error"][0], 0.0077, atol=0.001)
    np.testing.assert_allclose(found["model, raw"]["width"][0], 1.0)
    np.testing.assert_allclose(found["model, raw"]["mae"], np.sqrt(2 / np.pi), atol=0.03)


def test_unknown_labels_are_left_out():
    stars = gaussian_stars(50, 0)
    stars.labels[:40, 1] = np.nan
    stars.labels[40:, 1] = 100.0
    halves = half_widths(stated(50, 1.0), stated(50, 1.0), stars)
    assert all(np.isfinite(half[0]).all() for half in halves.values())
    found = score(
        stars, {"m": np.zeros((50, 3))}, {("m", "raw"): halves["raw"]}, np.ones(50, dtype=bool)
    )
    assert found["m, raw"]["coverage"][0, 1] == 0.0


def test_members_that_disagree_state_more():
    members = [
        lambda flux, mean=mean: Prediction(np.full((2, 3), mean), np.ones((2, 3)))
        for mean in (-2.0, 2.0)
    ]
    found = of_ensemble(members)(np.zeros((2, 1)))
    np.testing.assert_allclose(found.mean, 0.0)
    np.testing.assert_allclose(found.std, np.sqrt(5.0))


def test_places_outside_the_range():
    edges_k = (0.0, 250.0)
    teff_k = np.array([4100.0, 4300.0, 4500.0, 5000.0, 6500.0, 6501.0, 6900.0])
    places = places_of(teff_k, edges_k)
    assert places.tolist() == [-2, -1, 0, 0, 0, 1, 2]
    assert name_of(-2, edges_k) == "below by over 250 K"
    assert name_of(1, edges_k) == "above by 0 to 250 K"
    assert name_of(0, edges_k) == "inside"


@pytest.mark.parametrize(
    ("share", "error", "level", "expected"),
    [(0.64, 0.01, 0, True), (0.62, 0.01, 0, False), (0.62, 0.04, 0, True), (1.0, 0.0, 1, False)],
)
def test_near(share, error, level, expected):
    assert near(share, error, level) is expected


def test_infinite_numbers_become_none():
    assert numbers_of({"a": np.array([1.0, np.inf]), "b": 3}) == {"a": [1.0, None], "b": 3}
