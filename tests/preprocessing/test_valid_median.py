"""The exact median of valid pixels, by sorting, partition and bracketing."""

import numpy as np
import pytest

from specvae.preprocessing import _median, valid_median
from specvae.spectra import SpectraArray


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_pixels", [1, 2, 7, 8, 2047, 2048, 16_383, 16_384, 16_385, 50_000])
@pytest.mark.parametrize("missing", [0.0, 0.06, 0.9])
def test_equals_nanmedian(dtype, n_pixels, missing):
    rng = np.random.default_rng(n_pixels)
    flux = rng.normal(size=(5, n_pixels)).astype(dtype)
    flux[rng.random(flux.shape) < missing] = np.nan
    flux[:, 0] = 1.0
    median = valid_median(flux)
    assert median.dtype == dtype
    np.testing.assert_array_equal(median, np.nanmedian(flux, axis=1))


HARD = {
    "rising": lambda pixel: pixel,
    "falling": lambda pixel: -pixel,
    "constant": lambda pixel: 0.0 * pixel + 3.0,
    "two levels": lambda pixel: np.where(pixel < 20_000, 1.0, 2.0),
    "few levels": lambda pixel: pixel % 5,
    # Period of the sampling stride, 40,000 // 4096 = 9: the sample sees one phase alone.
    "aliased": lambda pixel: np.where(pixel % 9 == 0, 1000.0 + pixel, pixel),
    "wide range": lambda pixel: 10.0 ** (60.0 * pixel / 40_000 - 30.0),
    "one valid": lambda pixel: np.where(pixel == 77, 5.0, np.nan),
    "sample all missing": lambda pixel: np.where(pixel % 9 == 0, np.nan, pixel),
    "valid at the end": lambda pixel: np.where(pixel < 39_000, np.nan, pixel),
    "some infinite": lambda pixel: np.where(pixel < 30_000, np.inf, pixel),
}


@pytest.mark.parametrize("shape", HARD)
@pytest.mark.parametrize("n_pixels", [40_000, 39_999])
def test_long_rows_that_are_hard_to_bracket(shape, n_pixels):
    flux = HARD[shape](np.arange(n_pixels, dtype=float)).astype(np.float32)[None, :]
    np.testing.assert_array_equal(valid_median(flux), np.nanmedian(flux, axis=1))


def test_every_way_to_the_median_is_taken(monkeypatch):
    """A bracket that holds, a narrow one that misses, and both missing."""
    tried = []
    between = _median._median_between

    def spy(flux, low, high):
        found = between(flux, low, high)
        tried.append(found is not None)
        return found

    monkeypatch.setattr(_median, "_median_between", spy)
    pixel = np.arange(40_000.0, dtype=np.float32)
    valid_median(pixel[None, :])
    assert tried == [True]
    tried.clear()
    valid_median(HARD["aliased"](pixel)[None, :])
    assert tried == [False, True]
    tried.clear()
    valid_median(np.where(pixel % 9 == 0, 1e6 + pixel, pixel)[None, :])
    assert tried == [False, False]


@pytest.mark.parametrize("n_pixels", [4, 3000, 40_000])
def test_no_valid_pixel_gives_nan_silently(n_pixels):
    flux = np.full((2, n_pixels), np.nan, dtype=np.float32)
    flux[1, 1] = 2.0
    np.testing.assert_array_equal(valid_median(flux), [np.nan, 2.0])


@pytest.mark.parametrize("n_pixels", [4, 3000, 40_000])
def test_input_is_not_reordered(n_pixels):
    flux = np.random.default_rng(0).random((2, n_pixels))
    before = flux.copy()
    valid_median(flux)
    np.testing.assert_array_equal(flux, before)


def test_rows_in_several_chunks(monkeypatch):
    monkeypatch.setattr("specvae._validation._CHUNK_PIXELS", 20)
    flux = np.random.default_rng(0).random((11, 8))
    np.testing.assert_array_equal(valid_median(flux), np.median(flux, axis=1))


@pytest.mark.parametrize("n_pixels", [0, 1, 7, 8, 9, 1000])
@pytest.mark.parametrize("fraction", [0.0, 0.02, 1.0])
def test_values_where(n_pixels, fraction):
    rng = np.random.default_rng(n_pixels)
    flux = rng.random(n_pixels).astype(np.float32)
    chosen = rng.random(n_pixels) < fraction
    np.testing.assert_array_equal(_median._values_where(flux, chosen), flux[chosen])


def test_row_that_is_not_contiguous():
    flux = np.random.default_rng(0).random((50_003, 2))
    np.testing.assert_array_equal(valid_median(flux.T), np.median(flux, axis=0))


def test_bracket_that_misses_by_one_rank():
    """The middle ranks of 1, 2, 3, 4 are 2 and 3; a bracket must hold both."""
    flux = np.array([4.0, 1.0, np.nan, 3.0, 2.0])
    assert _median._median_between(flux, 2.0, 3.0) == 2.5
    assert _median._median_between(flux, 1.0, 2.0) is None
    assert _median._median_between(flux, 3.0, 4.0) is None


def test_median_of_no_spectrum_is_empty():
    empty = SpectraArray(np.ones((3, 20), dtype=np.float32))[:0]
    found = valid_median(empty)
    assert found.shape == (0,) and found.dtype == np.float32
