"""What every transformer of the folder must do, whatever it does to the flux."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from specvae.exceptions import GridMismatchError
from specvae.preprocessing import (
    ContinuumNormalizer,
    MedianNormalizer,
    PixelMasker,
    SpectraLoader,
    SpectrumResampler,
)
from specvae.spectra import SpectraArray, WavelengthGrid

GRID = WavelengthGrid(5000.0, 1.0, 60)
GAP = ((5010.0, 5013.0),)

TRANSFORMERS = [
    ContinuumNormalizer(window_aa=20.0, grid=GRID),
    ContinuumNormalizer(window_pixels=20),
    ContinuumNormalizer(mode="constant"),
    MedianNormalizer(),
    PixelMasker(GAP, grid=GRID),
    PixelMasker(GAP, grid=GRID, action="zero"),
    PixelMasker(GAP, grid=GRID, action="drop"),
    SpectraLoader(),
    SpectrumResampler(),
    SpectrumResampler(GRID.resampled(12), input_grid=GRID),
]
each_transformer = pytest.mark.parametrize("transformer", TRANSFORMERS, ids=repr)


@parametrize_with_checks(
    [
        # The checks hold rows of zeros and of negative numbers, which "raise" refuses.
        ContinuumNormalizer(invalid="nan"),
        ContinuumNormalizer(mode="constant"),
        MedianNormalizer(invalid="nan"),
        PixelMasker(),
        SpectraLoader(),
        SpectrumResampler(),
    ]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.fixture
def flux():
    rng = np.random.default_rng(0)
    flux = (100.0 + 10.0 * rng.random((7, GRID.n_pixels))).astype(np.float32)
    flux[:, 30:33] = np.nan
    return flux


@each_transformer
def test_lazy_equals_eager(transformer, flux):
    eager = clone(transformer).fit(flux)
    lazy = clone(transformer).fit(SpectraArray(flux, grid=GRID))
    result = lazy.transform(SpectraArray(flux, grid=GRID)[[4, 0, 2]])
    if not isinstance(transformer, SpectraLoader):
        assert isinstance(result, SpectraArray)
        assert result.grid == lazy.output_grid_
        result = result.to_numpy()
    np.testing.assert_array_equal(result, eager.transform(flux)[[4, 0, 2]])
    assert lazy.get_feature_names_out().shape == (result.shape[1],)


@each_transformer
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_is_kept_and_input_unchanged(transformer, flux, dtype):
    X = flux.astype(dtype)
    before = X.copy()
    assert clone(transformer).fit_transform(X).dtype == dtype
    np.testing.assert_array_equal(X, before)


@each_transformer
def test_pickled_lazy_result(transformer, flux):
    fitted = pickle.loads(pickle.dumps(clone(transformer).fit(flux)))
    lazy = fitted.transform(SpectraArray(flux, grid=GRID))
    if isinstance(lazy, SpectraArray):
        lazy = pickle.loads(pickle.dumps(lazy)).to_numpy()
    np.testing.assert_array_equal(lazy, fitted.transform(flux))


@each_transformer
def test_works_without_fit(transformer, flux):
    unfitted = clone(transformer)
    lazy = unfitted.transform(SpectraArray(flux, grid=GRID))
    if isinstance(lazy, SpectraArray):
        lazy = lazy.to_numpy()
    np.testing.assert_array_equal(lazy, unfitted.transform(flux))


@each_transformer
def test_pandas_output_is_named(transformer, flux):
    output = clone(transformer).set_output(transform="pandas").fit(flux)
    frame = output.transform(flux)
    assert list(frame.columns) == list(output.get_feature_names_out())
    np.testing.assert_array_equal(frame, clone(transformer).fit_transform(flux))


@each_transformer
def test_a_table_of_lazy_spectra_must_be_asked_for(transformer, flux):
    output = clone(transformer).set_output(transform="pandas").fit(flux)
    lazy = SpectraArray(flux, grid=GRID)
    if isinstance(transformer, SpectraLoader):
        assert list(output.transform(lazy).columns) == list(output.get_feature_names_out())
        return
    with pytest.raises(TypeError, match=r"set_output\(transform='pandas'\).*SpectraLoader"):
        output.transform(lazy)


@each_transformer
def test_another_grid_is_refused(transformer, flux):
    other = WavelengthGrid(5000.5, 1.0, GRID.n_pixels, name="shifted")
    fitted = clone(transformer).fit(SpectraArray(flux, grid=GRID))
    with pytest.raises(GridMismatchError, match=r"shifted.*SpectrumResampler"):
        fitted.transform(SpectraArray(flux, grid=other))


@each_transformer
def test_another_number_of_pixels_is_refused(transformer, flux):
    fitted = clone(transformer).fit(flux)
    for X in (flux[:, :50], SpectraArray(flux[:, :50])):
        with pytest.raises(ValueError, match="X has 50 features"):
            fitted.transform(X)


@each_transformer
def test_failed_fit_leaves_no_trace(transformer, flux):
    infinite = flux.copy()
    infinite[3, 5] = np.inf
    unfitted = clone(transformer)
    with pytest.raises(ValueError, match=r"infinity.*spectrum 3 at pixel 5"):
        unfitted.fit(infinite)
    assert not [name for name in vars(unfitted) if name.endswith("_")]

    fitted = clone(transformer).fit(SpectraArray(flux, grid=GRID))
    with pytest.raises(ValueError, match="infinity"):
        fitted.fit(infinite)
    assert fitted.grid_ == GRID


@pytest.mark.parametrize("name", ["grid", "input_grid"])
def test_grid_in_conflict_with_the_parameter(name, flux):
    other = WavelengthGrid(5000.5, 1.0, GRID.n_pixels)
    transformer = {
        "grid": PixelMasker(GAP, grid=other),
        "input_grid": SpectrumResampler(GRID, input_grid=other),
    }[name]
    with pytest.raises(GridMismatchError, match=r"5000\.50"):
        transformer.fit(SpectraArray(flux, grid=GRID))
    assert not hasattr(transformer, "n_features_in_")


def test_grid_of_another_length_is_refused(flux):
    with pytest.raises(ValueError, match=r"59 pixels.*X has 60 pixels"):
        PixelMasker(GAP, grid=WavelengthGrid(5000.0, 1.0, 59)).fit(flux)


@pytest.mark.parametrize(
    "transformer", [PixelMasker(grid=3.0), SpectrumResampler(3.0), ContinuumNormalizer(grid="x")]
)
def test_grid_of_another_type_is_refused(transformer, flux):
    with pytest.raises(TypeError, match="must be a WavelengthGrid or None"):
        transformer.fit(flux)


def test_steps_can_be_chained_lazily(flux):
    spectra = SpectraArray(flux, grid=GRID)
    for step in (
        PixelMasker(GAP),
        ContinuumNormalizer(window_aa=20.0),
        SpectrumResampler(GRID.resampled(30)),
        MedianNormalizer(),
    ):
        spectra = step.fit_transform(spectra)
    result = spectra.to_numpy()
    assert result.shape == (7, 30)
    assert np.isnan(result[:, [5, 6]]).all()
    np.testing.assert_allclose(np.nanmedian(result, axis=1), 1.0, rtol=1e-6)
