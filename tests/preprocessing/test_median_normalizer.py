import numpy as np
import pytest
from sklearn.pipeline import make_pipeline

from specvae.exceptions import SpectrumError
from specvae.preprocessing import MedianNormalizer, PixelMasker
from specvae.spectra import SpectraArray, WavelengthGrid


def test_by_hand():
    flux = np.array([[1.0, 2.0, np.nan, 4.0], [-1.0, 3.0, 1.0, 7.0]])
    np.testing.assert_array_equal(
        MedianNormalizer().fit_transform(flux),
        [[0.5, 1.0, np.nan, 2.0], [-0.5, 1.5, 0.5, 3.5]],
    )


def test_masked_zeros_do_not_enter_the_median():
    """The public code divides by the median of flux times mask, 1 here instead of 2."""
    grid = WavelengthGrid(5000.0, 1.0, 5)
    flux = np.array([[0.0, 0.0, 1.0, 2.0, 3.0]])
    masked = PixelMasker([(5000.0, 5001.0)], grid=grid).fit_transform(flux)
    np.testing.assert_array_equal(
        MedianNormalizer().fit_transform(masked), [[np.nan, np.nan, 0.5, 1.0, 1.5]]
    )


@pytest.mark.parametrize("action", ["nan", "drop"])
def test_after_the_mask_in_a_lazy_pipeline(action):
    # The gap lies in the middle, so that dropping leaves no known grid.
    grid = WavelengthGrid(5000.0, 1.0, 6)
    flux = np.array([[1.0, 0.0, 0.0, 0.0, 2.0, 6.0], [5.0, 0.0, 0.0, 0.0, 8.0, np.nan]])
    pipeline = make_pipeline(PixelMasker([(5001.0, 5003.0)], action=action), MedianNormalizer())
    lazy = pipeline.fit(SpectraArray(flux, grid=grid)).transform(SpectraArray(flux, grid=grid))
    wanted = np.float32([[0.5, 1.0, 3.0], [5.0 / 6.5, 8.0 / 6.5, np.nan]])
    result = lazy.to_numpy()
    if action == "nan":
        assert np.isnan(result[:, 1:4]).all()
        result = result[:, [0, 4, 5]]
    np.testing.assert_array_equal(result, wanted)


BAD = {
    "no valid pixel": ([np.nan] * 3, r"spectrum 2 has no valid pixel \(all NaN\); .*PixelMasker"),
    "zero": ([0.0, 0.0, 5.0], r"spectrum 2 has a median flux of 0, .*quality_report"),
    "negative": ([-4.0, -3.0, 5.0], r"spectrum 2 has a median flux of -3, .*invalid='nan'"),
}


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("lazy", [False, True])
def test_spectra_that_cannot_be_normalised(bad, lazy):
    row, message = BAD[bad]
    flux = np.array([[1.0, 2.0, 3.0], [2.0, 2.0, 2.0], row, [1.0, 1.0, 1.0]])
    X = SpectraArray(flux) if lazy else flux
    with pytest.raises(SpectrumError, match=message) as caught:
        result = MedianNormalizer().fit(X).transform(X)
        result.to_numpy()
    assert caught.value.row == 2

    result = MedianNormalizer(invalid="nan").fit(X).transform(X)
    result = result.to_numpy() if lazy else result
    np.testing.assert_array_equal(np.isnan(result).all(axis=1), [False, False, True, False])
    np.testing.assert_array_equal(np.median(result[[0, 1, 3]], axis=1), 1.0)


def test_rows_are_counted_across_chunks(monkeypatch):
    monkeypatch.setattr("specvae._validation._CHUNK_PIXELS", 6)
    flux = np.ones((9, 3))
    flux[7] = 0.0
    with pytest.raises(SpectrumError, match="spectrum 7"):
        MedianNormalizer().fit_transform(flux)


@pytest.mark.parametrize("invalid", ["raise", "nan"])
def test_infinity_in_a_lazy_row_is_refused_when_read(invalid):
    flux = np.array([[1.0, 2.0, 3.0], [1.0, np.inf, 3.0]])
    lazy = MedianNormalizer(invalid=invalid).fit_transform(SpectraArray(flux))
    with pytest.raises(SpectrumError, match=r"spectrum 1 contains infinity; .*NaN"):
        lazy.to_numpy()


def test_fit_does_not_read_a_lazy_matrix():
    class Unread:
        shape, dtype = (3, 4), np.dtype(np.float32)

        def __getitem__(self, rows):
            raise AssertionError("read")

    lazy = MedianNormalizer().fit_transform(SpectraArray(Unread()))
    assert lazy.shape == (3, 4)
    with pytest.raises(AssertionError, match="read"):
        lazy.to_numpy()


def test_unknown_choice_is_refused():
    with pytest.raises(ValueError, match="invalid must be one of 'raise', 'nan', got 'drop'"):
        MedianNormalizer(invalid="drop").fit(np.ones((2, 3)))
