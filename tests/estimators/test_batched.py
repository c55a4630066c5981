import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.decomposition import PCA, IncrementalPCA
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import specvae
from specvae.estimators import BatchedTransformer, PartialLabelRegressor
from specvae.exceptions import GridMismatchError, SpectrumError
from specvae.model_selection import StarGroupKFold, nan_r2
from specvae.preprocessing import MedianNormalizer, PixelMasker
from specvae.simulation import simulate_spectra
from specvae.spectra import NpyStore, SpectraArray, WavelengthGrid

GRID = WavelengthGrid(5150.0, 0.25, 120)


@pytest.fixture(scope="module")
def simulated():
    return simulate_spectra(70, GRID, random_state=0, spectra_per_star=5)


@pytest.fixture(scope="module")
def flux(simulated):
    return (simulated.flux / np.median(simulated.flux, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def gappy(flux):
    """Flux with scattered gaps and a pixel that no spectrum has."""
    gappy = flux.copy()
    gappy[np.random.default_rng(0).random(flux.shape) < 0.05] = np.nan
    gappy[:, 7] = np.nan
    return gappy


@parametrize_with_checks(
    [
        BatchedTransformer(IncrementalPCA(1), batch_size=16),
        BatchedTransformer(StandardScaler(), batch_size=8),
        BatchedTransformer(),
    ]
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equals_incremental_pca_on_the_array(flux, dtype):
    X = flux.astype(dtype)
    ours = BatchedTransformer(IncrementalPCA(5), batch_size=16).fit(X)
    theirs = IncrementalPCA(5, batch_size=16).fit(X)
    np.testing.assert_array_equal(ours.transformer_.components_, theirs.components_)
    assert ours.transformer_.n_samples_seen_ == len(X)
    np.testing.assert_allclose(ours.transform(X), theirs.transform(X), rtol=1e-5, atol=1e-6)
    codes = theirs.transform(X)
    np.testing.assert_allclose(ours.inverse_transform(codes), theirs.inverse_transform(codes))


def test_equals_pca_where_all_components_are_kept(flux):
    ours = BatchedTransformer(IncrementalPCA(40), batch_size=40).fit(flux)
    pca = PCA(6, svd_solver="full").fit(flux)
    variance = ours.transformer_.explained_variance_[:6]
    np.testing.assert_allclose(variance, pca.explained_variance_, rtol=1e-2)
    overlap = np.abs(ours.transformer_.components_[:3] @ pca.components_[:3].T)
    np.testing.assert_allclose(overlap, np.eye(3), atol=0.02)
    whole = BatchedTransformer(IncrementalPCA(6), batch_size=70).fit(flux)
    np.testing.assert_allclose(whole.transform(flux), pca.transform(flux), atol=1e-4)


def test_a_lazy_matrix_gives_what_the_array_gives(gappy, tmp_path):
    np.save(tmp_path / "flux.npy", gappy)
    lazy = SpectraArray(NpyStore(tmp_path / "flux.npy"), grid=GRID)
    ours = BatchedTransformer(IncrementalPCA(3), batch_size=16)
    codes = [clone(ours).fit(X).transform(X) for X in (gappy, lazy)]
    np.testing.assert_array_equal(*codes)
    assert ours.fit(lazy).grid_ == GRID
    with pytest.raises(GridMismatchError, match="the red grid"):
        ours.transform(SpectraArray(gappy, grid=WavelengthGrid(6000.0, 0.25, 120, name="red")))


def test_no_more_than_a_batch_is_read_at_once(flux):
    most = []

    class Counted:
        shape, dtype = flux.shape, flux.dtype

        def __getitem__(self, rows):
            most.append(len(rows))
            return flux[rows]

    X = SpectraArray(Counted())
    # Blocks of the pass for the mean are as large as those of the networks.
    fitted = BatchedTransformer(IncrementalPCA(3), batch_size=16).fit(X)
    most.clear()
    fitted.transform(X)
    assert most == [16, 16, 16, 16, 6]


def test_missing_pixels_are_filled_by_the_mean_spectrum(gappy):
    ours = BatchedTransformer(IncrementalPCA(3), batch_size=70).fit(gappy)
    imputed = SimpleImputer(keep_empty_features=True).fit_transform(gappy)
    theirs = IncrementalPCA(3, batch_size=70).fit(imputed)
    np.testing.assert_allclose(ours.transform(gappy), theirs.transform(imputed), atol=1e-5)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(ours.mean_)), [7])


def test_a_pixel_that_no_training_spectrum_has_counts_nothing(gappy, flux):
    ours = BatchedTransformer(IncrementalPCA(3), batch_size=20).fit(gappy)
    later = gappy.copy()
    later[:, 7] = 99.0
    np.testing.assert_array_equal(ours.transform(later), ours.transform(gappy))
    decoded = ours.inverse_transform(ours.transform(gappy))
    assert np.isnan(decoded[:, 7]).all() and np.isnan(decoded).sum() == len(gappy)


@pytest.mark.parametrize(("n_spectra", "batch_size"), [(21, 10), (23, 10), (20, 3), (5, 64)])
def test_a_small_last_batch_joins_the_one_before(flux, n_spectra, batch_size):
    sizes = []

    class Watched(IncrementalPCA):
        def partial_fit(self, X, y=None, check_input=True):
            sizes.append(len(X))
            return super().partial_fit(X, y, check_input)

    n_components = min(5, n_spectra)
    ours = BatchedTransformer(Watched(n_components), batch_size=batch_size)
    codes = ours.fit(flux[:n_spectra]).transform(flux[:n_spectra])
    assert codes.shape == (n_spectra, n_components)
    assert min(sizes) >= n_components and sum(sizes) == n_spectra
    assert max(sizes) < max(batch_size, n_components) + n_components


def test_search_by_star_over_the_number_of_components(simulated):
    masked = ("mask", PixelMasker([(5160.0, 5161.0)], grid=GRID))
    code = BatchedTransformer(IncrementalPCA(), batch_size=16)
    labels = PartialLabelRegressor(LinearRegression())
    pipeline = Pipeline(
        [masked, ("median", MedianNormalizer()), ("code", code), ("labels", labels)]
    )
    y = simulated.labels[["teff_k", "rv_kms"]].mask(np.tile(np.arange(70)[:, None] % 7 == 0, 2))
    scores = [
        GridSearchCV(
            pipeline,
            {"code__transformer__n_components": [1, 4]},
            scoring=nan_r2,
            cv=StarGroupKFold(2, random_state=0),
            error_score="raise",
            return_train_score=True,
        )
        .fit(X, y, groups=simulated.groups)
        .cv_results_["mean_train_score"]
        for X in (SpectraArray(simulated.flux, grid=GRID), simulated.flux.astype(np.float32))
    ]
    np.testing.assert_allclose(*scores, rtol=1e-6)
    assert scores[0][1] > scores[0][0]


def test_outputs_have_the_names_that_the_transformer_gives(flux):
    frame = pd.DataFrame(flux, columns=[f"pixel{i}" for i in range(120)])
    codes = (
        BatchedTransformer(IncrementalPCA(2)).set_output(transform="pandas").fit_transform(frame)
    )
    assert list(codes.columns) == ["incrementalpca0", "incrementalpca1"]
    scaled = BatchedTransformer(StandardScaler()).fit(frame)
    assert list(scaled.get_feature_names_out()) == list(frame.columns)


def test_refusals(flux):
    with pytest.raises(TypeError, match=r"PCA has no partial_fit: give IncrementalPCA"):
        BatchedTransformer(PCA(2)).fit(flux)
    with pytest.raises(TypeError, match=r"KMeans has no partial_fit"):
        BatchedTransformer(KMeans(2)).fit(flux)
    with pytest.raises(ValueError, match=r"batch_size must be an integer >= 1, got 0"):
        BatchedTransformer(batch_size=0).fit(flux)
    empty = flux.copy()
    empty[33] = np.nan
    for X in (empty, SpectraArray(empty)):
        unfitted = BatchedTransformer(IncrementalPCA(2))
        with pytest.raises(SpectrumError, match=r"spectrum 33 has no valid pixel \(all NaN\)"):
            unfitted.fit(X)
        with pytest.raises(NotFittedError):
            unfitted.transform(flux)
        with pytest.raises(SpectrumError, match="spectrum 33 has no valid pixel"):
            BatchedTransformer(IncrementalPCA(2), batch_size=8).fit(flux).transform(X)
    assert not hasattr(BatchedTransformer(MiniBatchKMeans(2)), "inverse_transform")


def test_a_file_keeps_it(gappy, tmp_path):
    lazy = SpectraArray(gappy, grid=GRID)
    fitted = make_pipeline(
        MedianNormalizer(), BatchedTransformer(IncrementalPCA(3), batch_size=16)
    ).fit(lazy)
    specvae.save(fitted, tmp_path / "control.safetensors")
    joblib.dump(fitted, tmp_path / "control.joblib")
    for loaded in (
        specvae.load(tmp_path / "control.safetensors", grid=GRID),
        joblib.load(tmp_path / "control.joblib"),
    ):
        np.testing.assert_array_equal(loaded.transform(lazy), fitted.transform(lazy))
        codes = fitted.transform(lazy)
        np.testing.assert_array_equal(
            loaded[-1].inverse_transform(codes), fitted[-1].inverse_transform(codes)
        )


def test_a_file_refuses_a_transformer_that_it_does_not_know(flux, tmp_path):
    class Mine(IncrementalPCA):
        pass

    fitted = BatchedTransformer(Mine(2)).fit(flux)
    with pytest.raises(TypeError, match="is a Mine, which is not among the classes"):
        specvae.save(fitted, tmp_path / "mine.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_results_stream_out(gappy, tmp_path):
    lazy = SpectraArray(gappy, grid=GRID)
    fitted = BatchedTransformer(IncrementalPCA(3), batch_size=16).fit(lazy)
    codes = fitted.transform(lazy)
    written = fitted.transform(lazy, out=tmp_path / "codes.npy")
    np.testing.assert_array_equal(written, codes)
    assert isinstance(written, np.memmap)
    flux = fitted.inverse_transform(codes, out=tmp_path / "flux.npy")
    assert isinstance(flux, SpectraArray) and flux.grid == GRID
    expected = fitted.inverse_transform(codes).astype(np.float32)
    np.testing.assert_array_equal(flux.to_numpy(), expected)
