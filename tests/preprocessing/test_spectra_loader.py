import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

from specvae.preprocessing import MedianNormalizer, SpectraLoader
from specvae.spectra import SpectraArray


def test_reads_into_float32():
    flux = np.arange(12.0).reshape(3, 4)
    loaded = SpectraLoader().fit_transform(SpectraArray(flux)[[2, 0]])
    assert type(loaded) is np.ndarray
    assert loaded.dtype == np.float32
    np.testing.assert_array_equal(loaded, flux[[2, 0]])


def test_array_is_passed_on_whatever_its_size():
    flux = np.ones((3, 4))
    assert SpectraLoader(max_gb=1e-9).fit_transform(flux) is flux


def test_pipeline_with_steps_that_know_only_arrays():
    flux = 1.0 + np.random.default_rng(0).random((12, 6)).astype(np.float32)
    flux[3, 2] = np.nan
    steps = [MedianNormalizer(), SpectraLoader(), SimpleImputer(), PCA(2)]
    lazy = make_pipeline(*steps).fit_transform(SpectraArray(flux))
    eager = make_pipeline(*steps).fit_transform(flux)
    np.testing.assert_allclose(lazy, eager, rtol=1e-5, atol=1e-6)
    scores = cross_val_score(make_pipeline(*steps), SpectraArray(flux), cv=3)
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("method", ["fit", "transform"])
def test_too_large_is_refused(method):
    spectra = SpectraArray(np.zeros((1000, 50)))  # 200 kB in float32
    loader = SpectraLoader(max_gb=1e-4)
    if method == "transform":
        loader.fit(spectra[:10])
    with pytest.raises(MemoryError, match=r"1000 spectra of 50 pixels, 0\.0002 GB.*max_gb=0\.0001"):
        getattr(loader, method)(spectra)
    assert SpectraLoader(max_gb=2e-4).fit_transform(spectra).shape == (1000, 50)


def test_infinity_is_refused_when_read():
    flux = np.ones((3, 4))
    flux[1, 2] = np.inf
    with pytest.raises(ValueError, match="first in spectrum 1 at pixel 2"):
        SpectraLoader().fit_transform(SpectraArray(flux))


@pytest.mark.parametrize("max_gb", [0, -1.0, "4"])
def test_size_out_of_range_is_refused(max_gb):
    with pytest.raises(ValueError, match="max_gb must be a number > 0"):
        SpectraLoader(max_gb=max_gb).fit(np.ones((2, 2)))
