import _informative_latents_rules as rules
import numpy as np
import pytest
from _informative_latents_data import Range
from _informative_latents_fits import READINGS
from _informative_latents_study import Sizes

UNTOLD = rules.CANNOT_BE_TOLD


def test_readings_of_the_published_weight():
    found = [READINGS[name](0.3, 128) for name in READINGS]
    np.testing.assert_allclose(found, [0.00234375, 0.3, 9.155e-7], rtol=1e-4)


def test_windows_are_evenly_spaced_and_reach_both_ends():
    pixels = Range(1.0, 2000.0, 4, 10)
    assert pixels.pixels[0] == 0 and pixels.pixels[-1] == pixels.grid.n_pixels - 1
    starts = pixels.pixels.reshape(4, 10)[:, 0]
    assert np.ptp(np.diff(starts)) <= 1
    assert len(np.unique(pixels.pixels)) == 40


def test_same_price_gives_the_small_code_what_a_nat_costs_the_large_one():
    sizes = Sizes((0,), Range(1.0, 2000.0, 4, 10), 1, 1, 1, 1, 1)
    assert sizes.same_price[0.3].n_latents == 8
    assert sizes.same_price[0.3].kl_weight == sizes.published.kl_weight == 0.3 / 128


@pytest.mark.parametrize(
    ("errors", "verdict"),
    [
        ({300: 18.0}, "fails"),
        ({75: 24.0, 300: 18.0, 600: 17.0}, "fails"),
        ({75: 24.0, 600: 12.0, 300: 18.0}, UNTOLD),
    ],
)
def test_training_that_goes_on_to_improve_leaves_the_verdict_open(errors, verdict):
    assert rules.unless_unfinished("fails", errors) == verdict


def test_jackknife_of_a_mean_is_its_standard_error():
    values = np.random.default_rng(0).normal(size=2000)
    mean, error = rules.jackknife(np.mean, values)
    assert mean == pytest.approx(values.mean())
    assert error == pytest.approx(1 / np.sqrt(2000), rel=0.5)


def test_jackknife_with_one_row_a_fold_is_exact():
    values = np.array([1.0, 2.0, 4.0, 9.0])
    error = rules.jackknife(np.mean, values)[1]
    assert error == pytest.approx(values.std(ddof=1) / 2.0)


def test_concentration_of_one_latent_and_of_two_that_share():
    rng = np.random.default_rng(0)
    cause = rng.normal(size=4000)
    noise = rng.normal(size=4000)
    alone = rules.concentration(np.column_stack([cause, noise]), cause[:, None])
    shared = rules.concentration(np.column_stack([cause, -cause, noise]), cause[:, None])
    assert alone[0] == pytest.approx(1.0, abs=0.01)
    assert shared[0] == pytest.approx(0.0, abs=0.01)


def test_entanglement_sees_a_copy_and_chance_where_there_is_none():
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(1000, 4))
    found, chance = rules.entanglement(codes, np.ones(4))
    assert found < 0.05 and chance < 0.05
    codes[:, 3] = codes[:, 0]
    assert rules.entanglement(codes, np.ones(4))[0] == pytest.approx(np.log(10), abs=0.01)
    assert rules.entanglement(codes[:, :1], np.ones(1)) == (0.0, 0.0)


def test_stands_out_needs_twice_the_second_and_significance():
    assert rules.stands_out(np.array([0.1, 0.4, 0.2]), np.array([0.5, 0.005, 0.5]))
    assert not rules.stands_out(np.array([0.1, 0.4, 0.3]), np.array([0.5, 0.005, 0.5]))
    assert not rules.stands_out(np.array([0.1, 0.4, 0.1]), np.array([0.5, 0.05, 0.5]))


def test_number_holds_within_two_and_is_untold_where_readings_decide():
    assert rules.judge_number([5, 8], 6, {"other": [128, 128]}) == "holds"
    assert rules.judge_number([20, 30], 6, {"other": [1, 1]}) == UNTOLD
    assert rules.judge_number([20, 30], 6, {"other": [128, 128]}) == "fails"


def test_agreement_does_not_count_two_dead_codes():
    assert rules.judge_agreement({"a": [(5, 6)], "b": [(3, 3)]}) == "holds"
    assert rules.judge_agreement({"a": [(0, 0)], "b": [(3, 9)]}) == "fails"
    assert rules.judge_agreement({"a": [(5, 6), (5, 5)], "b": [(8, 128)]}) == UNTOLD


def test_trend_fails_by_one_step_the_other_way():
    errors = [[1.0, 2.0, 3.0]]
    assert rules.judge_trend([[9, 6, 6]], errors) == "holds"
    assert rules.judge_trend([[9, 6, 7]], errors) == "fails"
    assert rules.judge_trend([[6, 6, 6]], errors) == "fails"
    assert rules.judge_trend([[9, 6, 1]], [[1.0, 3.0, 2.0]]) == "fails"


def test_difference_is_judged_by_two_errors_either_way():
    assert [rules.judge_difference(value, 1.0) for value in (2.1, 1.9, -1.9, -2.1)] == [
        "holds",
        UNTOLD,
        UNTOLD,
        "fails",
    ]


def test_fewer_on_all_on_some_and_on_no_seed():
    assert rules.judge_fewer([5, 5], [6, 7]) == "holds"
    assert rules.judge_fewer([5, 7], [6, 7]) == UNTOLD
    assert rules.judge_fewer([6, 7], [6, 7]) == "fails"
