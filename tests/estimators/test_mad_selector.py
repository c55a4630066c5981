import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_is_fitted

from specvae.estimators import MADSelector, PartialLabelRegressor
from specvae.exceptions import DataQualityWarning

RNG = np.random.default_rng(0)


def codes_with(mads):
    """Codes of exactly these deviations: a median of 0, and half of the rows on either side."""
    return np.outer([-2.0, -1.0, 0.0, 1.0, 2.0], mads)


# The checks' features scatter by about 1, none of which "null" could call collapsed.
@parametrize_with_checks([MADSelector(), MADSelector("auto"), MADSelector(max_features=1)])
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def test_threshold_is_exceeded_not_reached():
    fitted = MADSelector().fit(codes_with([0.02, 0.021, 0.0, 0.5]))
    np.testing.assert_allclose(fitted.mads_, [0.02, 0.021, 0.0, 0.5])
    assert fitted.get_support(indices=True).tolist() == [1, 3]
    assert fitted.threshold_ == 0.02
    assert MADSelector(0.0).fit(codes_with([0.0, 1e-9])).get_support().tolist() == [False, True]


def test_max_features_keeps_those_that_move_most():
    codes = codes_with([0.3, 0.5, 0.01, 0.4, 0.5])
    assert MADSelector(max_features=2).fit(codes).get_support(indices=True).tolist() == [1, 4]
    assert MADSelector(max_features=1).fit(codes).get_support(indices=True).tolist() == [1]
    assert MADSelector(max_features=9).fit(codes).get_support().sum() == 4


@pytest.mark.parametrize(
    ("mads", "kept", "threshold"),
    [
        # between 0.004 and 0.4: the middle of the logarithms
        ([0.4, 0.002, 0.7, 0.004, 0.003], [0, 2], 0.04),
        # neighbours less than a factor of 3 apart: no break
        ([0.5, 0.2, 1.0, 0.45], [0, 1, 2, 3], 0.0),
        # zeros are a thousandth of 0.8, and the break is above them
        ([0.0, 0.8, 0.0, 0.6], [1, 3], 0.8 * np.sqrt(1e-3 * 0.75)),
        # the abyss below 1e-3 of the largest is no break
        ([1e-9, 1e-4, 2e-4, 0.05, 0.5], [3, 4], np.sqrt(0.05 * 5e-4)),
        ([0.0, 0.0], [], 0.0),
        ([0.3], [0], 0.0),
    ],
)
def test_break_by_hand(mads, kept, threshold):
    fitted = MADSelector("auto").fit(codes_with(mads))
    assert fitted.get_support(indices=True).tolist() == kept
    assert fitted.threshold_ == pytest.approx(threshold)


@pytest.mark.parametrize("n_latents", [24, 128])
def test_null_lets_a_collapsed_latent_through_in_one_fit_of_twenty(n_latents):
    n_trials, passed = 600, 0
    for seed in range(n_trials):
        mads = 0.005 * np.exp(0.4 * np.random.default_rng(seed).normal(size=n_latents))
        mads[: n_latents // 8] = 0.5
        support = MADSelector("null").fit(codes_with(mads)).get_support()
        assert support[: n_latents // 8].all()
        passed += support[n_latents // 8 :].any()
    # 5 % of the fits, less the eighth of the latents that are active; 4 standard errors.
    assert passed / n_trials == pytest.approx(0.045, abs=4 * np.sqrt(0.045 / n_trials))


def test_null_with_zeros():
    fitted = MADSelector("null").fit(codes_with([0.0, 0.0, 0.3]))
    assert fitted.threshold_ == 0.0 and fitted.get_support().tolist() == [False, False, True]
    with pytest.raises(ValueError, match=r"at least 10 latents that move.*got 3"):
        MADSelector("null").fit(codes_with([0.01, 0.02, 0.3]))


def test_null_warns_where_most_latents_are_active():
    rng = np.random.default_rng(0)
    active, collapsed = (
        0.7 * np.exp(0.3 * rng.normal(size=14)),
        0.004 * np.exp(0.3 * rng.normal(size=6)),
    )
    codes = codes_with(np.r_[active, collapsed])
    with pytest.warns(DataQualityWarning, match=r"none of 20 .*14 move far more.*'auto'"):
        fitted = MADSelector("null").fit(codes)
    assert fitted.threshold_ > fitted.mads_.max() and not fitted.get_support().any()
    assert MADSelector("auto").fit(codes).get_support(indices=True).tolist() == list(range(14))
    # All collapsed, or all zero, is what "null" is made for: no warning.
    for quiet in (0.004 * np.exp(0.4 * rng.normal(size=128)), np.zeros(12)):
        assert not MADSelector("null").fit(codes_with(quiet)).get_support().any()


def test_nothing_selected_warns_as_scikit_learn_does():
    codes = codes_with([0.0, 0.01])
    fitted = MADSelector().fit(codes)
    with pytest.warns(UserWarning, match="No features were selected"):
        assert fitted.transform(codes).shape == (5, 0)


def test_feature_names_are_kept():
    frame = pd.DataFrame(codes_with([0.5, 0.001, 0.2]), columns=["teff_k", "latent0", "latent1"])
    selector = MADSelector().set_output(transform="pandas")
    assert list(selector.fit_transform(frame).columns) == ["teff_k", "latent1"]
    assert list(selector.get_feature_names_out()) == ["teff_k", "latent1"]
    assert list(pickle.loads(pickle.dumps(selector)).get_feature_names_out()) == [
        "teff_k",
        "latent1",
    ]


def test_threshold_is_searched_in_a_pipeline():
    # Both quiet latents know the label; a threshold between or above them loses it.
    codes = RNG.normal(size=(120, 6)) * [1.0, 0.5, 0.1, 0.002, 0.001, 0.0]
    labels = np.column_stack([30.0 * codes[:, 2] + codes[:, 0], codes[:, 1]])
    labels[::5, 0] = np.nan
    search = GridSearchCV(
        make_pipeline(MADSelector(), PartialLabelRegressor(LinearRegression())),
        {"madselector__threshold": [0.02, 0.2, "auto"]},
        cv=3,
        error_score="raise",
    ).fit(codes, labels)
    assert search.best_params_ == {"madselector__threshold": 0.02}
    scores = search.cv_results_["mean_test_score"]
    assert scores[0] == pytest.approx(1.0) and scores[2] == pytest.approx(1.0) and scores[1] < 0.7


@pytest.mark.parametrize(
    ("parameters", "codes", "message"),
    [
        ({"threshold": "largest"}, codes_with([1.0]), "'auto' or 'null', got 'largest'"),
        ({"threshold": -1}, codes_with([1.0]), "threshold must be a number >= 0"),
        ({"max_features": 0}, codes_with([1.0]), "max_features must be an integer >= 1"),
        ({}, [[np.nan]], "X contains NaN"),
        ({}, [[np.inf]], "X contains infinity"),
    ],
)
def test_bad_input_leaves_no_trace(parameters, codes, message):
    selector = MADSelector(**parameters)
    with pytest.raises(ValueError, match=message):
        selector.fit(codes)
    with pytest.raises(NotFittedError):
        check_is_fitted(selector)
    assert sorted(vars(selector)) == ["max_features", "threshold"]
