import numpy as np
import pandas as pd
import pytest
from scipy import stats

from specvae.metrics import compare_models

NAN = np.nan


def errors_of(n_stars, shift, *, seed=0, n_each=1):
    """Errors of two models that share what makes a star difficult."""
    rng = np.random.default_rng(seed)
    star = np.repeat(np.arange(n_stars), n_each)
    difficulty = rng.exponential(10.0, size=n_stars)[star] + 5.0
    return {
        "a": difficulty + rng.random(len(star)),
        "b": difficulty + rng.random(len(star)) + shift,
    }, star


def test_table_by_hand():
    # stars: differences (1 - 2) and (3 - 5) make -1.5; 4 - 1 makes 3; 2 - 2 makes 0
    errors = {"a": [1.0, 3.0, 4.0, 2.0], "b": [2.0, 5.0, 1.0, 2.0]}
    table = compare_models(errors, ["x", "x", "y", "z"])
    row = table.loc[0]
    assert (row["model"], row["other"]) == ("a", "b")
    assert row["mean"] == pytest.approx((2.0 + 4.0 + 2.0) / 3)
    assert row["other_mean"] == pytest.approx((3.5 + 1.0 + 2.0) / 3)
    difference = np.array([-1.5, 3.0, 0.0])
    assert row["difference"] == pytest.approx(difference.mean())
    assert row["standard_error"] == pytest.approx(difference.std(ddof=1) / np.sqrt(3))
    assert row["effect_size"] == pytest.approx(difference.mean() / difference.std(ddof=1))
    # sums of all signs: 4.5, -4.5, 1.5, -1.5, each with 0 twice; all are as large as 1.5
    assert row["p_value"] == 1.0
    assert (row["n_stars"], row["n_spectra"]) == (3, 4)


def test_exact_p_value_counts_signs():
    errors = {"a": np.zeros(6), "b": np.array([1.0, 2.0, 3.0, 4.0, 5.0, 1.0])}
    table = compare_models(errors, np.arange(6))
    assert table.loc[0, "p_value"] == pytest.approx(2 / 2**6)
    errors["b"][5], errors["a"][5] = 0.0, 1.0  # one star the other way: sums of 14 and more
    sums = np.array([np.array(s) @ [1, 2, 3, 4, 5, 1] for s in np.ndindex(*[2] * 6)]) * 2 - 16
    assert compare_models(errors, np.arange(6)).loc[0, "p_value"] == pytest.approx(
        (np.abs(sums) >= 14).mean()
    )


def test_random_signs_agree_with_all_signs_and_with_scipy():
    errors, star = errors_of(12, 0.1)
    exact = compare_models(errors, star).loc[0, "p_value"]
    drawn = compare_models(errors, star, n_permutations=4000).loc[0, "p_value"]
    assert 0.02 < exact < 0.5
    assert drawn == pytest.approx(exact, abs=4 * np.sqrt(exact / 4000))
    difference = errors["a"] - errors["b"]
    theirs = stats.permutation_test(
        (difference,), np.mean, permutation_type="samples", n_resamples=5000
    )
    assert exact == pytest.approx(theirs.pvalue)


def test_pairing_sees_what_mann_whitney_does_not():
    errors, star = errors_of(60, 0.5)
    paired, ranks, unpaired = (
        compare_models(errors, star, test=test).loc[0]
        for test in ("paired", "wilcoxon", "mann-whitney")
    )
    assert paired["p_value"] < 0.001 and ranks["p_value"] < 0.001
    assert unpaired["p_value"] > 0.3
    assert paired["difference"] == unpaired["difference"] < 0


def test_spectra_of_one_star_are_no_evidence():
    # one star of five is better by a model, with 200 spectra
    star = np.append(np.arange(4), np.full(200, 4))
    rng = np.random.default_rng(0)
    errors = {"a": 1.0 + 0.1 * rng.random(204), "b": 1.0 + 0.1 * rng.random(204)}
    errors["a"][4:] -= 0.5
    assert compare_models(errors, star).loc[0, "p_value"] > 0.05
    assert compare_models(errors, star, test="mann-whitney").loc[0, "p_value"] < 1e-10


def test_false_alarms_are_as_frequent_as_they_should_be():
    p_value = [
        compare_models(*errors_of(15, 0.0, seed=seed, n_each=3), n_permutations=199).loc[
            0, "p_value"
        ]
        for seed in range(300)
    ]
    assert 0.02 < np.mean(np.array(p_value) <= 0.05) < 0.09


def test_wilcoxon_and_mann_whitney_are_those_of_scipy():
    errors, star = errors_of(30, 0.2, n_each=2)
    of_star = {name: error.reshape(30, 2).mean(axis=1) for name, error in errors.items()}
    row = compare_models(errors, star, test="wilcoxon").loc[0]
    assert row["p_value"] == pytest.approx(stats.wilcoxon(of_star["a"], of_star["b"]).pvalue)
    difference = of_star["a"] - of_star["b"]
    ranks = stats.rankdata(np.abs(difference))
    favour, against = ranks[difference > 0].sum(), ranks[difference < 0].sum()
    assert row["effect_size"] == pytest.approx((favour - against) / ranks.sum())
    row = compare_models(errors, star, test="mann-whitney").loc[0]
    theirs = stats.mannwhitneyu(errors["a"], errors["b"])
    assert row["p_value"] == pytest.approx(theirs.pvalue)
    wins = np.sign(errors["a"][:, None] - errors["b"]).mean()
    assert row["effect_size"] == pytest.approx(wins)


def test_effect_size_of_one_that_always_wins():
    errors = {"a": np.arange(8.0), "b": np.arange(8.0) + 10.0}
    for test in ("wilcoxon", "mann-whitney"):
        assert compare_models(errors, np.arange(8), test=test).loc[0, "effect_size"] == -1.0


def test_holm_by_hand():
    rng = np.random.default_rng(0)
    errors = pd.DataFrame(
        {name: rng.random(40) + shift for name, shift in zip("abc", (0.0, 0.2, 0.3), strict=True)}
    )
    table = compare_models(errors, np.arange(40))
    assert list(zip(table["model"], table["other"], strict=True)) == [
        ("a", "b"),
        ("a", "c"),
        ("b", "c"),
    ]
    first, second, third = np.argsort(table["p_value"].to_numpy())
    p_value, corrected = table["p_value"], table["p_corrected"]
    assert corrected[first] == pytest.approx(3 * p_value[first])
    assert corrected[second] == pytest.approx(max(2 * p_value[second], corrected[first]))
    assert corrected[third] == pytest.approx(max(p_value[third], corrected[second]))
    plain = compare_models(errors, np.arange(40), correction="none")
    pd.testing.assert_series_equal(plain["p_corrected"], plain["p_value"], check_names=False)


def test_reference_is_compared_with_each_other():
    errors = {name: np.random.default_rng(seed).random(9) for seed, name in enumerate("abcd")}
    table = compare_models(errors, np.arange(9), reference="c")
    assert table["model"].tolist() == ["c"] * 3 and table["other"].tolist() == ["a", "b", "d"]


def test_rows_that_both_models_have():
    errors = {
        "a": [1.0, NAN, 3.0, 4.0, 9.0],
        "b": [2.0, 2.0, NAN, 3.0, 9.5],
        "c": [NAN, NAN, 1.0, NAN, NAN],
    }
    table = compare_models(errors, ["x", "x", "y", "z", "z"])
    assert table.loc[0, "n_spectra"] == 3 and table.loc[0, "n_stars"] == 2
    assert table.loc[0, "difference"] == pytest.approx((-1.0 + (1.0 - 0.5) / 2) / 2)
    # a and c share one star, b and c none
    assert table["n_stars"].tolist() == [2, 1, 0]
    assert table.loc[1:, ["standard_error", "p_value", "p_corrected"]].isna().all(axis=None)
    assert table.loc[1, "difference"] == 2.0 and np.isnan(table.loc[2, "difference"])
    assert table.loc[0, "p_corrected"] == table.loc[0, "p_value"]


@pytest.mark.parametrize("test", ["paired", "wilcoxon", "mann-whitney"])
def test_equal_models_do_not_differ(test):
    error = np.random.default_rng(0).random(20)
    row = compare_models({"a": error, "b": error}, np.arange(20) // 2, test=test).loc[0]
    assert row["p_value"] == pytest.approx(1.0) and row["difference"] == 0.0


@pytest.mark.parametrize("test", ["paired", "wilcoxon", "mann-whitney"])
def test_rounding_is_no_difference(test):
    # 0.1 + 0.2 lies one bit above 0.3, and a label of thousands rounds an error more.
    error = np.random.default_rng(0).random(30)
    for one, other in (
        (np.full(30, 0.1 + 0.2), np.full(30, 0.3)),
        ((5000.3 + error) - 5000.3, error),
    ):
        assert (one != other).sum() > 20
        row = compare_models({"a": one, "b": other}, np.arange(30), test=test).loc[0]
        assert row["p_value"] == pytest.approx(1.0) and row["difference"] == 0.0
        assert row["standard_error"] == 0.0 and not abs(row["effect_size"]) > 0


def test_small_differences_count():
    errors = {"a": np.arange(1.0, 9.0), "b": np.arange(1.0, 9.0) * (1 + 1e-7)}
    assert compare_models(errors, np.arange(8)).loc[0, "p_value"] == 2 / 2**8


def test_means_of_a_star_may_differ_by_rounding():
    errors = {"a": np.tile([0.1, 0.2], 9), "b": np.tile([0.3, 0.0], 9)}
    row = compare_models(errors, np.arange(18) // 2, test="wilcoxon").loc[0]
    assert row["p_value"] == 1.0 and row["difference"] == 0.0


def test_a_constant_difference_has_no_scatter():
    error = np.array([1.1, 2.1, 3.1, 4.3, 0.7])
    row = compare_models({"a": error + 0.1, "b": error}, np.arange(5)).loc[0]
    assert np.isnan(row["effect_size"]) and row["standard_error"] == 0.0
    assert row["difference"] == pytest.approx(0.1) and row["p_value"] == 2 / 2**5


def test_same_seed_same_p_value():
    errors, star = errors_of(30, 0.1)
    before = np.random.get_state()[1].copy()
    first, again, other = (
        compare_models(errors, star, n_permutations=500, random_state=seed).loc[0, "p_value"]
        for seed in (0, 0, 1)
    )
    assert first == again != other
    np.testing.assert_array_equal(np.random.get_state()[1], before)


@pytest.mark.parametrize(
    ("errors", "options", "message"),
    [
        ([[1.0, 2.0]], {}, "dict or DataFrame of models, got list"),
        ({"a": [1.0, 2.0]}, {}, "1 models"),
        ({"a": [1.0, 2.0], "b": [1.0]}, {}, r"errors of 'b' have shape \(1,\)"),
        ({"a": [[1.0, 2.0]] * 2, "b": [[1.0, 2.0]] * 2}, {}, r"shape \(2, 2\).*one label"),
        ({"a": 1.0, "b": 2.0}, {}, r"shape \(\)"),
        ({"a": [1.0, -2.0], "b": [1.0, 2.0]}, {}, "negative or infinite"),
        ({"a": [1.0, 2.0], "b": [1.0, np.inf]}, {}, "negative or infinite"),
        ({"a": [1.0, 2.0], "b": [NAN, NAN]}, {}, "'b' are NaN in all 2 rows"),
        ({"a": [1.0, 2.0], "b": [1.0, 3.0]}, {"reference": "c"}, "reference must be one of"),
        ({"a": [1.0, 2.0], "b": [1.0, 3.0]}, {"test": "t"}, "test must be one of"),
        ({"a": [1.0, 2.0], "b": [1.0, 3.0]}, {"correction": "fdr"}, "correction must be one of"),
        ({"a": [1.0, 2.0], "b": [1.0, 3.0]}, {"n_permutations": 0}, "n_permutations"),
    ],
)
def test_bad_comparisons_are_refused(errors, options, message):
    with pytest.raises(ValueError, match=message):
        compare_models(errors, ["x", "y"], **options)


def test_bad_groups_are_refused():
    errors = {"a": [1.0, 2.0], "b": [1.0, 3.0]}
    for groups, message in (
        ([], "groups is empty"),
        (["x"], "2 spectra, 1 groups"),
        (["x", "x"], "one star"),
        (["x", None], "no star for 1 spectra"),
    ):
        with pytest.raises(ValueError, match=message):
            compare_models(errors, groups)
