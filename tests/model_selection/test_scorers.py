import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score
from sklearn.model_selection import cross_validate

from specvae.estimators import PartialLabelRegressor
from specvae.model_selection import label_scorers, nan_r2, neg_nan_mae

CODES = np.arange(40.0).reshape(20, 2) ** 1.5
LABELS = pd.DataFrame({"teff_k": 5000.0 + CODES[:, 0], "logg_dex": np.sin(CODES[:, 1])})
LABELS.loc[::4, "teff_k"] = np.nan


def test_scorers_leave_missing_labels_out():
    fitted = PartialLabelRegressor(LinearRegression()).fit(CODES, LABELS)
    predicted = fitted.predict(CODES)
    error = np.nanmean(np.abs(predicted - LABELS.to_numpy()), axis=0)
    assert neg_nan_mae(fitted, CODES, LABELS) == pytest.approx(-error.mean())
    of_logg = r2_score(LABELS["logg_dex"], predicted[:, 1])
    assert nan_r2(fitted, CODES, LABELS) == pytest.approx((1.0 + of_logg) / 2)
    scorers = label_scorers(LABELS.columns)
    assert scorers["neg_mae_logg_dex"](fitted, CODES, LABELS) == pytest.approx(-error[1])
    assert scorers["r2_teff_k"](fitted, CODES, LABELS) == pytest.approx(1.0)


def test_scorers_in_cross_validate():
    scores = cross_validate(
        PartialLabelRegressor(), CODES, LABELS, scoring=label_scorers(LABELS.columns), cv=2
    )
    assert scores["test_neg_mae_teff_k"].shape == (2,)
    assert (scores["test_neg_mae_logg_dex"] < 0).all()


def test_wrong_number_of_names_is_refused():
    fitted = PartialLabelRegressor().fit(CODES, LABELS)
    with pytest.raises(ValueError, match="y has 2 labels, label_names has 1"):
        label_scorers(["teff_k"])["r2_teff_k"](fitted, CODES, LABELS)
