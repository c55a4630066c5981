import numpy as np
import pandas as pd
import pytest

from specvae.metrics import mean_by_star, nan_mean_absolute_error, nan_r2_score

NAN = np.nan
TRUE = np.array([[1.0, 10.0], [2.0, NAN], [3.0, 30.0], [NAN, NAN]])
PREDICTED = np.array([[2.0, 10.0], [2.0, 5.0], [1.0, 40.0], [9.0, 9.0]])


def test_mean_absolute_error_by_hand():
    # |1 - 2|, |2 - 2|, |3 - 1| and |10 - 10|, |30 - 40|
    error = nan_mean_absolute_error(TRUE, PREDICTED, multioutput="raw_values")
    np.testing.assert_allclose(error, [1.0, 5.0])
    assert nan_mean_absolute_error(TRUE, PREDICTED) == pytest.approx(3.0)
    weighted = nan_mean_absolute_error(
        TRUE, PREDICTED, sample_weight=[1, 1, 2, 5], multioutput="raw_values"
    )
    np.testing.assert_allclose(weighted, [(1 + 0 + 4) / 4, 20 / 3])


def test_r2_by_hand():
    # residuals 1, 0, 4 over total 1, 0, 1; and 0, 100 over 100, 100
    r2 = nan_r2_score(TRUE, PREDICTED, multioutput="raw_values")
    np.testing.assert_allclose(r2, [1 - 5 / 2, 1 - 100 / 200])


def test_unknown_label_is_left_out_of_the_average():
    true = np.column_stack([TRUE[:, 0], np.full(4, NAN)])
    assert nan_mean_absolute_error(true, PREDICTED) == pytest.approx(1.0)
    assert np.isnan(nan_r2_score([5.0, NAN], [5.0, 5.0]))


def test_agreement_with_scikit_learn_without_gaps():
    from sklearn.metrics import mean_absolute_error, r2_score

    rng = np.random.default_rng(0)
    true, predicted, weight = rng.normal(size=(2, 40, 3)).tolist() + [rng.random(40)]
    for ours, theirs in ((nan_mean_absolute_error, mean_absolute_error), (nan_r2_score, r2_score)):
        assert ours(true, predicted, sample_weight=weight) == pytest.approx(
            theirs(true, predicted, sample_weight=weight)
        )


@pytest.mark.parametrize("labels", [[5777.3] * 7, [0.1] * 3, [0.1, NAN, 0.1], [NAN, NAN]])
def test_r2_of_equal_labels_is_nan(labels):
    # Their sum of squares is rounding: -1e30 would decide the mean over folds.
    assert np.isnan(nan_r2_score(labels, np.linspace(0.0, 1.0, len(labels))))


def test_labels_of_any_kind_are_scored():
    nullable = pd.DataFrame({"teff_k": pd.array([1.0, None, 3.0], dtype="Float64")})
    assert nan_mean_absolute_error(nullable, np.array([1.0, 5.0, 4.0])) == pytest.approx(0.5)
    masked = np.ma.array([1.0, 1e20, 3.0], mask=[False, True, False])
    assert nan_mean_absolute_error(masked, [1.0, 5.0, 4.0]) == pytest.approx(0.5)


def test_bad_pairs_are_refused():
    with pytest.raises(ValueError, match=r"shape \(4, 2\), y_pred \(3, 2\)"):
        nan_mean_absolute_error(TRUE, PREDICTED[:3])
    with pytest.raises(ValueError, match="1 values that are not finite"):
        nan_r2_score([1.0, 2.0], [1.0, NAN])
    with pytest.raises(ValueError, match="multioutput"):
        nan_r2_score([1.0, 2.0], [1.0, 2.0], multioutput="mean")


def test_mean_by_star_by_hand():
    # stars a: mean 2, b: 4, c: 6; scatter of (2, 4, 6) is 2
    values = np.array([1.0, 3.0, 4.0, 6.0, NAN])
    result = mean_by_star(values, ["a", "a", "b", "c", "d"])
    np.testing.assert_allclose(result.mean, [4.0])
    np.testing.assert_allclose(result.standard_error, [2.0 / np.sqrt(3)])
    assert result.n_stars == [3]


def test_repeating_a_spectrum_does_not_shrink_the_error_bar():
    values = np.random.default_rng(0).random(20)
    once = mean_by_star(values, np.arange(20))
    often = mean_by_star(np.repeat(values, 50), np.repeat(np.arange(20), 50))
    np.testing.assert_allclose(often.standard_error, once.standard_error)


def test_names_in_another_order_are_refused():
    true = pd.DataFrame(TRUE, columns=["teff_k", "logg_dex"])
    predicted = pd.DataFrame(PREDICTED, columns=["teff_k", "logg_dex"])
    for score in (nan_mean_absolute_error, nan_r2_score):
        assert score(true, predicted) == score(TRUE, PREDICTED)
        with pytest.raises(ValueError, match="y_pred has the columns logg_dex, teff_k, but y_tru"):
            score(true, predicted[["logg_dex", "teff_k"]])


@pytest.mark.parametrize("missing", [NAN, None, pd.NA])
def test_missing_star_in_a_list_of_names_is_no_star(missing):
    with pytest.raises(ValueError, match="groups has no star for 2 spectra, the first in row 2"):
        mean_by_star([1.0, 2.0, 3.0, 4.0], ["a", "b", missing, missing])


def test_mean_by_star_of_nothing_is_nan():
    result = mean_by_star([[NAN, 1.0]], ["a"])
    np.testing.assert_array_equal(result.mean, [NAN, 1.0])
    np.testing.assert_array_equal(result.standard_error, [NAN, NAN])
