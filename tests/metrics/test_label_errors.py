import numpy as np
import pandas as pd
import pytest

from specvae.metrics import bootstrap_by_star, label_errors
from specvae.metrics._weighted_quantile import weighted_quantile

NAN = np.nan
TRUE = pd.DataFrame({"teff_k": [5000.0, 5200.0, 6000.0, 4000.0], "logg_dex": [4.0, NAN, 4.5, 3.0]})
PREDICTED = np.array([[5010.0, 4.1], [5170.0, 9.0], [6000.0, 4.3], [4100.0, 3.0]])


def test_statistics_by_hand():
    result = label_errors(TRUE, PREDICTED, n_resamples=0)
    teff = result.values.loc["teff_k"]
    error = np.array([10.0, -30.0, 0.0, 100.0])
    # median 5; absolute deviations 5, 35, 5, 95; labels 4000, 5000, 5200, 6000 about 5100
    assert teff["mae"] == 35.0
    assert teff["bias"] == 20.0 and teff["bias_median"] == 5.0
    assert teff["scatter_std"] == pytest.approx(error.std())
    assert teff["scatter_mad"] == pytest.approx(1.4826 * 20.0)
    assert teff["outlier_fraction"] == 0.25  # 100 > 3 * 29.7
    assert teff["nmae_std"] == pytest.approx(35.0 / TRUE["teff_k"].std(ddof=0))
    assert teff["nmae_mad"] == pytest.approx(35.0 / 500.0)
    logg = result.values.loc["logg_dex"]  # 0.1, -0.2, 0: the missing one is left out
    assert logg["mae"] == pytest.approx(0.1)
    assert logg["bias"] == pytest.approx(-0.1 / 3)
    assert logg["bias_median"] == pytest.approx(0.0)
    assert result.counts.loc["logg_dex"].tolist() == [3, 3]
    assert result.standard_error.isna().all(axis=None)


def test_each_star_counts_once():
    result = label_errors(TRUE, PREDICTED, groups=["a", "a", "b", "b"], n_resamples=0)
    # teff: weights 1/2 each; logg: a has one value, b two
    assert result.values.loc["teff_k", "mae"] == 35.0
    assert result.values.loc["logg_dex", "mae"] == pytest.approx((0.1 + 0.2 / 2) / 2)
    assert result.values.loc["logg_dex", "bias"] == pytest.approx((0.1 - 0.2 / 2) / 2)
    assert result.counts.loc["logg_dex"].tolist() == [3, 2]


def test_repeating_a_star_changes_nothing():
    rng = np.random.default_rng(0)
    true, error = rng.normal(size=(2, 40, 2))
    often = np.repeat(np.arange(40), rng.integers(1, 20, size=40))
    once = label_errors(true, true + error, groups=np.arange(40), reference=true)
    more = label_errors(true[often], (true + error)[often], groups=often, reference=true)
    for field in ("values", "standard_error", "low", "high", "divisors"):
        pd.testing.assert_frame_equal(getattr(once, field), getattr(more, field))
    assert more.counts.loc["label0"].tolist() == [len(often), 40]


def test_reference_and_limit():
    reference = pd.DataFrame({"teff_k": [0.0, 100.0, 400.0], "logg_dex": [1.0, 1.0, 1.0]})
    result = label_errors(
        TRUE, PREDICTED, reference=reference, outlier_limit=[20.0, 0.15], n_resamples=0
    )
    assert result.values.loc["teff_k", "nmae_mad"] == pytest.approx(0.35)
    assert result.values.loc["teff_k", "nmae_std"] == pytest.approx(
        35.0 / np.std([0.0, 100.0, 400.0])
    )
    # equal labels divide nothing, whatever their rounding
    assert result.values.loc["logg_dex", ["nmae_std", "nmae_mad"]].isna().all()
    np.testing.assert_allclose(result.values["outlier_fraction"], [2 / 4, 1 / 3])
    assert result.divisors.loc["teff_k", "mad"] == 100.0


@pytest.mark.parametrize(
    ("mad", "mae", "published"),
    [
        ([401.2, 0.1855, 0.1325], [43.68, 0.03424, 0.04005], 0.1986),
        ([401.2, 0.1855, 0.1325], [273.1, 0.1222, 0.4994], 1.7029),
        ([15.64, 11.26, 0.1374], [1.94, 0.1214, 0.00885], 0.0664),
    ],
)
def test_published_normalisation(mad, mae, published):
    # Cvrcek et al. 2025, table 4, columns "All": labels whose raw MADs are those of the catalogue.
    reference = np.array([-1.0, 0.0, 1.0])[:, None] * mad
    true = np.zeros((3, 3))
    result = label_errors(true, true + mae, reference=reference, n_resamples=0)
    assert result.values["nmae_mad"].mean() == pytest.approx(published, abs=3e-4)


def test_normal_errors_have_known_statistics():
    rng = np.random.default_rng(0)
    true = rng.normal(5000.0, 300.0, size=20_000)
    result = label_errors(true, true + rng.normal(20.0, 50.0, size=20_000), n_resamples=30)
    values, error = result.values.loc["label0"], result.standard_error.loc["label0"]
    expected = {
        "bias": 20.0,
        "bias_median": 20.0,
        "scatter_std": 50.0,
        "scatter_mad": 50.0,
        "nmae_std": values["mae"] / 300.0,
        "nmae_mad": values["mae"] / (300.0 * 0.6745),
        "outlier_fraction": 0.0054,  # beyond -170/50 and 130/50 of a normal
    }
    for name, value in expected.items():
        assert values[name] == pytest.approx(value, abs=5 * error[name] + 0.02 * abs(value)), name
    assert error["bias"] == pytest.approx(50.0 / np.sqrt(20_000), rel=0.4)


def test_label_without_any_value_is_a_row_of_nan():
    true = TRUE.assign(vsini=NAN)
    predicted = np.column_stack([PREDICTED, np.zeros(4)])
    result = label_errors(true, predicted, n_resamples=10)
    assert result.values.loc["vsini"].isna().all()
    assert result.counts.loc["vsini"].tolist() == [0, 0]
    assert result.values.loc["teff_k"].notna().all()
    with pytest.raises(ValueError, match="NaN in all 8 entries"):
        label_errors(np.full((4, 2), NAN), PREDICTED)


def test_one_star_has_no_error_bar():
    result = label_errors(TRUE, PREDICTED, groups=["a"] * 4)
    assert result.values.loc["teff_k", "mae"] == 35.0
    for frame in (result.standard_error, result.low, result.high):
        assert frame.isna().all(axis=None)
    # of two stars only one has logg
    true = TRUE.assign(logg_dex=[4.0, 4.0, NAN, NAN])
    result = label_errors(true, PREDICTED, groups=["a", "a", "b", "b"])
    assert result.standard_error.loc["logg_dex"].isna().all()
    assert result.standard_error.loc["teff_k", "mae"] > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((TRUE, PREDICTED[:3]), r"y_true has shape \(4, 2\), y_pred \(3, 2\)"),
        ((TRUE, np.where(PREDICTED == 3.0, NAN, PREDICTED)), "y_pred holds 1 values"),
        ((TRUE.replace(4.0, np.inf), PREDICTED), "y_true contains infinity"),
    ],
)
def test_bad_labels_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        label_errors(*arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": []}, "groups is empty"),
        ({"groups": ["a"]}, "4 spectra, 1 groups"),
        ({"label_names": ["teff_k"]}, "1 entries for 2 labels"),
        ({"reference": [1.0, 2.0]}, "reference has 1 labels, y_true 2"),
        ({"reference": [[1.0, np.inf]]}, "reference contains infinity"),
        ({"outlier_limit": [1.0, 2.0, 3.0]}, "one positive number or 2"),
        ({"outlier_limit": 0.0}, "one positive number or 2"),
        ({"n_resamples": -1}, "n_resamples must be an integer >= 0"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        label_errors(TRUE, PREDICTED, **options)


def test_weighted_median():
    rng = np.random.default_rng(0)
    for size in (1, 2, 7, 10):
        values = rng.normal(size=size)
        for equal in (1.0, 1.0 / 3.0):
            assert weighted_quantile(values, np.full(size, equal), 0.5) == np.median(values)
        counts = rng.integers(1, 5, size=size)
        median = np.median(np.repeat(values, counts))
        assert weighted_quantile(values, counts / 3.0, 0.5) == median


def test_columns_in_another_order_are_refused():
    swapped = TRUE[["logg_dex", "teff_k"]]
    for arguments, options, name in (
        ((TRUE, swapped.fillna(1.0)), {}, "y_pred"),
        ((TRUE, PREDICTED), {"reference": swapped}, "reference"),
        ((TRUE, pd.DataFrame(PREDICTED, columns=["teff_k", "mh_dex"])), {}, "y_pred"),
    ):
        with pytest.raises(
            ValueError, match=f"{name} has the columns .* y_true teff_k, logg_dex; give the same"
        ):
            label_errors(*arguments, n_resamples=0, **options)
    # Numbered columns are no names.
    numbered = label_errors(TRUE, pd.DataFrame(PREDICTED), n_resamples=0)
    named = label_errors(TRUE, pd.DataFrame(PREDICTED, columns=TRUE.columns), n_resamples=0)
    pd.testing.assert_frame_equal(numbered.values, named.values)


def test_bootstrap_of_a_mean_has_the_error_of_a_mean():
    of_star = np.random.default_rng(0).normal(size=400)
    result = bootstrap_by_star(np.mean, of_star, np.arange(400))
    error = of_star.std() / 20.0
    assert result.value == pytest.approx(of_star.mean())
    assert result.standard_error == pytest.approx(error, rel=0.08)
    assert result.low == pytest.approx(of_star.mean() - error, abs=0.2 * error)
    assert result.high == pytest.approx(of_star.mean() + error, abs=0.2 * error)
    wide = bootstrap_by_star(np.mean, of_star, np.arange(400), confidence_level=0.954)
    assert wide.high - wide.low == pytest.approx(4.0 * error, rel=0.1)


def test_bootstrap_draws_whole_stars():
    star = np.array([2, 0, 1, 0, 2, 2])
    seen = []

    def statistic(rows, stars):
        seen.append(stars)
        return [rows.mean(), len(rows)]

    result = bootstrap_by_star(statistic, (np.arange(6.0), star), star, 50)
    assert result.resamples.shape == (50, 2)
    for stars in seen[1:]:
        n_of_star = np.bincount(stars, minlength=3)
        assert (n_of_star % [2, 1, 3] == 0).all() and (n_of_star // [2, 1, 3]).sum() == 3
    # spectra that are copies add nothing
    often = np.repeat(np.arange(30.0), 20)
    copies = bootstrap_by_star(np.mean, often, often, 100)
    alone = bootstrap_by_star(np.mean, np.arange(30.0), np.arange(30), 100)
    assert copies.standard_error == pytest.approx(alone.standard_error)


def test_bootstrap_leaves_out_what_is_nan_and_repeats():
    def statistic(rows):
        return [NAN, rows.mean() if rows.min() < 1 else NAN]

    result = bootstrap_by_star(statistic, np.arange(6.0), np.arange(6), 200)
    assert np.isnan(result.standard_error[0]) and result.standard_error[1] > 0
    before = np.random.get_state()[1].copy()
    again = bootstrap_by_star(statistic, np.arange(6.0), np.arange(6), 200)
    np.testing.assert_array_equal(again.resamples, result.resamples)
    np.testing.assert_array_equal(np.random.get_state()[1], before)
    other = bootstrap_by_star(statistic, np.arange(6.0), np.arange(6), 200, random_state=1)
    assert (other.resamples[:, 1] != result.resamples[:, 1]).any()


def test_bootstrap_of_one_star_has_no_error():
    result = bootstrap_by_star(np.mean, [1.0, 2.0], ["a", "a"])
    assert result.value == 1.5 and np.isnan([result.standard_error, result.low]).all()


def test_bad_bootstraps_are_refused():
    with pytest.raises(ValueError, match="groups is empty"):
        bootstrap_by_star(np.mean, [], [])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        bootstrap_by_star(np.mean, (np.ones(3), np.ones(2)), [1, 2, 3])
    with pytest.raises(ValueError, match="n_resamples must be an integer >= 1"):
        bootstrap_by_star(np.mean, np.ones(3), [1, 2, 3], 0)
    with pytest.raises(ValueError, match="confidence_level"):
        bootstrap_by_star(np.mean, np.ones(3), [1, 2, 3], confidence_level=68)
