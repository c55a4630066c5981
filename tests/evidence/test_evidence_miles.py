import numpy as np
import pandas as pd
import pytest
from _miles_baselines import QuadraticModel
from _miles_gp import MultiScaleGP, band_axes, scale_bands
from _miles_networks import PlainNetworks, RegressorEnsemble, mean_of_pixels
from _miles_report import ahead_verdict, errors_by_star, range_table
from miles import BEST, CNNS, KERNELS, LIKE, NETWORKS, OWN, RIDGE, SIMULATED, with_means

from specvae.metrics import compare_models
from specvae.metrics._permutation_null import holm


def paired(differences, p_values):
    names = ["Teff", "log g", "[Fe/H]"]
    return pd.DataFrame(
        [
            {"other": other, "label": label, "difference": difference, "p_corrected": p_value}
            for other in differences
            for label, difference, p_value in zip(
                names, differences[other], p_values[other], strict=True
            )
        ]
    )


@pytest.mark.parametrize(
    ("difference", "p_value", "verdict"),
    [
        ([-1, -1, -1], [0.001, 0.001, 0.5], "holds"),
        ([-1, -1, -1], [0.001, 0.02, 0.5], "fails"),
        ([-1, -1, 1], [0.001, 0.001, 0.5], "fails"),
        ([-1, -1, 1], [0.001, 0.001, 0.001], "fails"),
    ],
)
def test_verdict_asks_each_baseline_for_all_labels(difference, p_value, verdict):
    tests = paired(
        {"weak": [-9, -9, -9], "strong": difference}, {"weak": [1e-4] * 3, "strong": p_value}
    )
    assert ahead_verdict(tests) == verdict


def test_holm_is_that_of_compare_models():
    rng = np.random.default_rng(0)
    errors = {f"{i}": rng.uniform(0.1 * i, 1.0, 50) for i in range(4)}
    table = compare_models(errors, np.arange(50))
    np.testing.assert_allclose(holm(table["p_value"].to_numpy()), table["p_corrected"])
    np.testing.assert_allclose(holm(np.array([0.04, 0.01, 0.03])), [0.06, 0.03, 0.06])


def test_errors_are_averaged_over_seeds_not_predictions():
    predictions = np.array([[[1.0]], [[-1.0]]])
    np.testing.assert_array_equal(errors_by_star(predictions, np.array([[0.0]])), [[1.0]])


def test_what_is_joined_has_the_weights_that_are_stated():
    single = {RIDGE: 3.0, CNNS: 10.0, OWN: 0.0, SIMULATED: 6.0, NETWORKS: 1.0}
    found = with_means({name: np.full((1, 2, 3), value) for name, value in single.items()})
    expected = {**single, KERNELS: 3.0, LIKE: 0.6 * 3 + 0.4 * 10, BEST: 0.6 * 3 + 0.4 * 1}
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value)


def test_range_table_gives_per_cent_and_kelvin():
    teff_k = np.array([5000.0, 5000.0, 10_000.0])
    log_teff = {"one": np.log10(teff_k * 1.1)[None]}
    row = range_table("", (4000.0, 7000.0, 20_000.0), log_teff, teff_k, "").rows[0]
    assert row == ["one", "10 % (500 K)", "-"]


def test_bands_sum_to_the_flux_and_part_scales():
    pixel = np.arange(2000)
    fine, coarse = np.sin(pixel * 2 * np.pi / 4), np.sin(pixel * 2 * np.pi / 800)
    flux = (fine + coarse)[None]
    bands = scale_bands(flux, (2.0, 60.0))
    np.testing.assert_allclose(sum(bands), flux, atol=1e-12)
    inside = slice(300, 1700)
    np.testing.assert_allclose(bands[0][0, inside], fine[inside], atol=0.02)
    np.testing.assert_allclose(bands[2][0, inside], coarse[inside], atol=0.15)


def test_band_axes_are_orthonormal():
    axes = band_axes(np.random.default_rng(0).normal(size=(20, 100)), (3.0,), 5)
    for of_band in axes:
        np.testing.assert_allclose(of_band @ of_band.T, np.eye(5), atol=1e-8)


def made_stars(n_stars):
    rng = np.random.default_rng(1)
    labels = rng.uniform(-1.0, 1.0, size=(n_stars, 3))
    shapes = rng.normal(size=(3, 200))
    flux = 2.0 + 0.1 * labels @ shapes + 0.05 * (labels**2) @ np.roll(shapes, 50, axis=1)
    return flux, labels


def test_quadratic_model_inverts_what_is_quadratic():
    flux, labels = made_stars(80)
    with_gap = labels[:60].copy()
    with_gap[3, 1] = np.nan
    model = QuadraticModel(ridge=1e-6).fit(flux[:60], with_gap)
    np.testing.assert_allclose(model.predict(flux[60:]), labels[60:], atol=0.01)


def test_kernel_bears_wrong_labels():
    flux, labels = made_stars(120)
    wrong = labels[:90].copy()
    wrong[:6] += 20.0 * np.std(labels, axis=0)
    wrong[7, 2] = np.nan
    model = MultiScaleGP((3.0, 20.0), 8).fit(flux[:90], wrong)
    error = np.abs(model.predict(flux[90:]) - labels[90:]).mean(axis=0)
    assert (error < 0.15).all()  # 0.5 for the constant


@pytest.mark.parametrize("ensemble", [PlainNetworks, RegressorEnsemble])
def test_members_differ_and_repeat(ensemble):
    flux, labels = made_stars(30)
    labels[4, 0] = np.nan
    state = np.random.get_state()[1].copy()
    one, two = (ensemble(n_members=2, n_epochs=2, seed=5).fit(flux, labels) for _ in range(2))
    np.testing.assert_array_equal(one.predict(flux), two.predict(flux))
    np.testing.assert_array_equal(np.random.get_state()[1], state)
    single = ensemble(n_members=1, n_epochs=2, seed=5).fit(flux, labels).predict(flux)
    assert np.isfinite(single).all() and not np.array_equal(single, one.predict(flux))


def test_mean_of_pixels_drops_the_rest():
    np.testing.assert_array_equal(mean_of_pixels(np.arange(7.0)[None], 2), [[0.5, 2.5, 4.5]])
