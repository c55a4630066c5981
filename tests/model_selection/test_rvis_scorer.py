import pickle

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline

from specvae.metrics import rvis
from specvae.model_selection import StarGroupKFold, make_rvis_scorer
from specvae.preprocessing import MedianNormalizer
from specvae.simulation import simulate_spectra
from specvae.spectra import WavelengthGrid, doppler_factor

GRID = WavelengthGrid(6100.0, 0.05, 2000)
VELOCITIES_KMS = np.linspace(-30.0, 30.0, 12)
WINDOW_AA = (6110.0, 6190.0)


def line_spectra(velocities_kms):
    centre_aa = 6150.0 * doppler_factor(np.asarray(velocities_kms))[:, None]
    return 1.0 - 0.5 * np.exp(-0.5 * ((GRID.wavelength_aa - centre_aa) / 0.3) ** 2)


class LineModel(TransformerMixin, BaseEstimator):
    """Knows the velocity of a line from its centre, and draws a share of what it is told."""

    def __init__(self, share=1.0):
        self.share = share

    def fit(self, X, y=None):
        self.grid_ = GRID
        return self

    def transform(self, X):
        depth = 1.0 - np.asarray(X)
        centre_aa = (depth * GRID.wavelength_aa).sum(axis=1) / depth.sum(axis=1)
        beta = np.log(centre_aa / 6150.0)  # of the relativistic factor, exp(artanh(v / c))
        return 299_792.458 * np.tanh(beta)[:, None]

    def inverse_transform(self, codes):
        return line_spectra(np.asarray(codes)[:, 0])

    def intervene(self, X, label, delta):
        codes = self.transform(X)
        still = self.inverse_transform(codes)
        return self.share * self.inverse_transform(codes + delta) + (1 - self.share) * still


FLUX = line_spectra(VELOCITIES_KMS)


@pytest.mark.parametrize("share", [1.0, 0.6, 0.0])
def test_score_is_minus_the_ratio(share):
    scorer = make_rvis_scorer(window_aa=WINDOW_AA)
    assert scorer(LineModel(share).fit(FLUX), FLUX) == pytest.approx(share - 1.0, abs=1e-3)


def test_absolute_score_is_in_units_of_the_flux():
    model = LineModel(0.5).fit(FLUX)
    scorer = make_rvis_scorer(window_aa=WINDOW_AA, velocities_kms=[20.0], relative=False)
    moved = model.intervene(FLUX, "rv_kms", 20.0)
    expected = rvis(GRID, FLUX, [moved], [20.0], window_aa=WINDOW_AA).score
    assert scorer(model, FLUX) == pytest.approx(-expected)


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_a_search_finds_the_better_model(n_jobs):
    search = GridSearchCV(
        LineModel(), {"share": [0.2, 0.9, 0.5]}, cv=3, n_jobs=n_jobs,
        scoring=make_rvis_scorer(window_aa=WINDOW_AA),
    )  # fmt: skip
    search.fit(FLUX)
    assert search.best_params_ == {"share": 0.9}
    np.testing.assert_allclose(search.cv_results_["mean_test_score"], [-0.8, -0.1, -0.5], atol=1e-3)


def test_scorer_pickles():
    scorer = pickle.loads(pickle.dumps(make_rvis_scorer(window_aa=WINDOW_AA, grid=GRID)))
    assert scorer(LineModel().fit(FLUX), FLUX) > -1e-3
    assert "window_aa=(6110.0, 6190.0)" in repr(scorer)


def test_network_in_a_pipeline_is_cross_validated():
    from specvae.estimators import SemiSupervisedVAE  # here: workers import this file, not torch

    grid = WavelengthGrid(6100.0, 0.1, 120)
    spectra = simulate_spectra(45, grid, random_state=0)
    model = SemiSupervisedVAE(1, encoder="dense", decoder="dense", max_epochs=2, random_state=0)
    pipeline = Pipeline([("median", MedianNormalizer()), ("code", model)])
    scorer = make_rvis_scorer(window_aa=(6102.0, 6110.0), velocities_kms=[-20.0, 20.0], grid=grid)
    scores = cross_val_score(
        pipeline, spectra.flux, spectra.labels, cv=2, scoring=scorer, error_score="raise"
    )
    assert np.isfinite(scores).all() and (scores < 0).all()


def test_what_cannot_be_scored_is_refused():
    model = LineModel().fit(FLUX)
    for change, message in (
        ({"window_aa": (1.0, 2.0)}, "holds no pixel of"),
        ({"window_aa": (6150.0,)}, r"window_aa must be \(low, high\)"),
        ({"grid": WavelengthGrid(6100.0, 0.05, 5)}, "works on 2000 pixels, but grid is"),
    ):
        with pytest.raises(ValueError, match=message):
            make_rvis_scorer(**change)(model, FLUX)
    with pytest.raises(ValueError, match="X has no spectra"):
        make_rvis_scorer()(model, FLUX[:0])
    with pytest.raises(ValueError, match="PCA has no labels in its code"):
        make_rvis_scorer(grid=GRID, window_aa=WINDOW_AA)(PCA(2).fit(FLUX), FLUX)


def test_bad_arguments_are_refused_when_the_scorer_is_made():
    with pytest.raises(ValueError, match="velocities_kms must be a list"):
        make_rvis_scorer(velocities_kms=[])
    with pytest.raises(TypeError, match="grid must be a WavelengthGrid"):
        make_rvis_scorer(grid=GRID.wavelength_aa)


def test_works_where_metadata_is_routed():
    with config_context(enable_metadata_routing=True):
        scores = cross_val_score(
            LineModel(0.5), FLUX, cv=StarGroupKFold(3), params={"groups": np.arange(12) // 2},
            scoring=make_rvis_scorer(window_aa=WINDOW_AA), error_score="raise",
        )  # fmt: skip
    np.testing.assert_allclose(scores, -0.5, atol=1e-3)
