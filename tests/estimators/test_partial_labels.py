import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.ensemble import RandomForestRegressor
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import KFold, cross_validate
from sklearn.neighbors import KNeighborsRegressor
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_is_fitted

from specvae.estimators import PartialLabelRegressor

CODES = np.random.default_rng(0).normal(size=(50, 3))
TRUE = CODES @ np.array([[1.0, 2.0], [0.0, -1.0], [3.0, 0.5]]) + np.array([5000.0, 4.0])


@parametrize_with_checks([PartialLabelRegressor(), PartialLabelRegressor(Ridge())])
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def with_gaps(labels, share, seed=1):
    known = np.random.default_rng(seed).random(labels.shape) >= share
    return np.where(known, labels, np.nan)


def test_each_label_is_fitted_on_the_rows_that_have_it():
    labels = with_gaps(TRUE, 0.4)
    fitted = PartialLabelRegressor(LinearRegression()).fit(CODES, labels)
    np.testing.assert_allclose(fitted.predict(CODES), TRUE)
    for column, each in enumerate(fitted.estimators_):
        known = ~np.isnan(labels[:, column])
        alone = LinearRegression().fit(CODES[known], labels[known, column])
        np.testing.assert_allclose(each.coef_, alone.coef_)


def test_no_gaps_gives_the_regressor_itself():
    noisy = TRUE + np.random.default_rng(2).normal(size=TRUE.shape)
    np.testing.assert_allclose(
        PartialLabelRegressor(Ridge()).fit(CODES, noisy).predict(CODES),
        Ridge().fit(CODES, noisy).predict(CODES),
    )


def test_shapes_follow_y():
    assert PartialLabelRegressor().fit(CODES, TRUE[:, 0]).predict(CODES).shape == (50,)
    assert PartialLabelRegressor().fit(CODES, TRUE[:, :1]).predict(CODES).shape == (50, 1)
    fitted = PartialLabelRegressor().fit(CODES, pd.DataFrame(TRUE, columns=["teff_k", "logg"]))
    assert list(fitted.label_names_in_) == ["teff_k", "logg"] and fitted.n_labels_ == 2
    fitted.fit(CODES, TRUE)
    assert not hasattr(fitted, "label_names_in_")


def test_sample_weight_counts_for_each_label():
    labels = with_gaps(TRUE, 0.3)
    labels[:5] += 1000.0
    weight = np.r_[np.zeros(5), np.ones(45)]
    fitted = PartialLabelRegressor(LinearRegression()).fit(CODES, labels, sample_weight=weight)
    np.testing.assert_allclose(fitted.predict(CODES), TRUE)
    with pytest.raises(ValueError, match="KNeighborsRegressor takes no sample_weight"):
        PartialLabelRegressor(KNeighborsRegressor()).fit(CODES, TRUE, sample_weight=weight)


def test_masked_labels_are_missing_labels():
    known = with_gaps(TRUE, 0.3)
    masked = np.ma.array(np.where(np.isnan(known), 1e20, known), mask=np.isnan(known))
    np.testing.assert_allclose(PartialLabelRegressor().fit(CODES, masked).predict(CODES), TRUE)


def test_any_regressor_will_do():
    forest = RandomForestRegressor(n_estimators=5, random_state=0)
    predicted = PartialLabelRegressor(forest).fit(CODES, with_gaps(TRUE, 0.5)).predict(CODES)
    assert predicted.shape == TRUE.shape and np.isfinite(predicted).all()


def test_score_leaves_missing_labels_out():
    fitted = PartialLabelRegressor().fit(CODES, TRUE)
    assert fitted.score(CODES, with_gaps(TRUE, 0.5)) == pytest.approx(1.0)


def test_weights_are_routed_to_fit_and_score():
    weight = np.r_[np.zeros(25), np.ones(25)]
    labels = TRUE.copy()
    labels[:25] += np.random.default_rng(3).normal(scale=1000.0, size=(25, 2))
    with config_context(enable_metadata_routing=True):
        regressor = PartialLabelRegressor(
            LinearRegression().set_fit_request(sample_weight=True)
        ).set_score_request(sample_weight=True)
        scores = cross_validate(
            regressor,
            CODES,
            labels,
            cv=KFold(2, shuffle=True, random_state=0),
            params={"sample_weight": weight},
            error_score="raise",
        )
    np.testing.assert_allclose(scores["test_score"], 1.0)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (TRUE[:10], "X has 50 spectra, y has 10 rows"),
        (
            np.column_stack([TRUE[:, 0], np.full(50, np.nan)]),
            "column 1 of y is NaN in all 50",
        ),
        (np.where(np.arange(100).reshape(50, 2) == 7, np.inf, TRUE), r"infinity.*row 3, column 1"),
        (None, "requires y"),
    ],
)
def test_bad_labels_are_named_and_leave_no_trace(labels, message):
    regressor = PartialLabelRegressor()
    with pytest.raises(ValueError, match=message):
        regressor.fit(CODES, labels)
    with pytest.raises(NotFittedError):
        check_is_fitted(regressor)
    assert list(vars(regressor)) == ["estimator"]


def test_bad_column_names_leave_no_trace():
    regressor = PartialLabelRegressor()
    codes = pd.DataFrame(CODES, columns=["latent0", 1, 2])
    with pytest.raises(TypeError, match="all input features have string names"):
        regressor.fit(codes, pd.DataFrame({"teff_k": TRUE[:, 0]}))
    assert list(vars(regressor)) == ["estimator"]


def test_bad_label_column_is_named():
    frame = pd.DataFrame({"teff_k": TRUE[:, 0], "vsini_kms": np.nan})
    with pytest.raises(ValueError, match="'vsini_kms' of y is NaN"):
        PartialLabelRegressor().fit(CODES, frame)
