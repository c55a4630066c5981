import numpy as np
import pandas as pd
import pytest

from specvae.preprocessing import PixelMasker
from specvae.spectra import HARPS_GRID, HARPS_MISSING, SpectraArray, WavelengthGrid

GRID = WavelengthGrid(5000.0, 1.0, 6)
FLUX = np.array([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]])


@pytest.mark.parametrize(
    ("action", "wanted"),
    [
        ("nan", [[1.0, np.nan, np.nan, 4.0, np.nan, 6.0]]),
        ("zero", [[1.0, 0.0, 0.0, 4.0, 0.0, 6.0]]),
        ("drop", [[1.0, 4.0, 6.0]]),
    ],
)
def test_by_hand(action, wanted):
    # Both ends of a range belong to it; a range may hold one pixel, and run beyond the grid.
    ranges_aa = [(5001.0, 5002.0), (5003.9, 5004.1)]
    masker = PixelMasker(ranges_aa, grid=GRID, action=action)
    np.testing.assert_array_equal(masker.fit_transform(FLUX), wanted)


def test_published_mask_of_harps():
    flux = np.ones((1, HARPS_GRID.n_pixels), dtype=np.float32)
    masked = np.isnan(PixelMasker(HARPS_MISSING, grid=HARPS_GRID).fit_transform(flux)[0])
    wanted = np.zeros(HARPS_GRID.n_pixels, dtype=bool)
    wanted[:7589] = wanted[320_090:] = wanted[159_453:162_894] = True
    np.testing.assert_array_equal(masked, wanted)


def test_no_ranges_pass_everything_on():
    for action in ("nan", "zero", "drop"):
        np.testing.assert_array_equal(PixelMasker(action=action).fit_transform(FLUX), FLUX)


def test_grid_after_dropping_the_ends():
    masker = PixelMasker([(4000.0, 5000.5), (5005.0, 6000.0)], action="drop")
    lazy = masker.fit_transform(SpectraArray(FLUX, grid=GRID))
    assert lazy.grid == masker.output_grid_ == WavelengthGrid(5001.0, 1.0, 4)
    np.testing.assert_array_equal(lazy.to_numpy(), [[2.0, 3.0, 4.0, 5.0]])


def test_grid_after_dropping_the_middle_is_unknown():
    masker = PixelMasker([(5002.0, 5003.0)], action="drop")
    lazy = masker.fit_transform(SpectraArray(FLUX, grid=GRID))
    assert lazy.grid is None
    assert masker.output_grid_ is None
    assert lazy.shape == (1, 4)


def test_grid_is_kept_without_dropping():
    lazy = PixelMasker([(5002.0, 5003.0)]).fit_transform(SpectraArray(FLUX, grid=GRID))
    assert lazy.grid == GRID


def test_grid_of_the_training_spectra_serves_for_arrays():
    masker = PixelMasker([(5001.0, 5004.0)], action="drop").fit(SpectraArray(FLUX, grid=GRID))
    np.testing.assert_array_equal(masker.transform(FLUX), [[1.0, 6.0]])


def test_names_of_the_pixels_that_are_left():
    frame = pd.DataFrame(FLUX, columns=list("abcdef"))
    masker = PixelMasker([(5001.0, 5003.0)], grid=GRID, action="drop").fit(frame)
    assert list(masker.get_feature_names_out()) == ["a", "e", "f"]
    masker.set_output(transform="pandas")
    assert list(masker.transform(frame).columns) == ["a", "e", "f"]
    assert list(masker.set_params(action="nan").get_feature_names_out()) == list("abcdef")


def test_infinity_may_be_masked_lazily():
    flux = np.array([[1.0, np.inf, 3.0, 4.0, 5.0, 6.0]])
    lazy = PixelMasker([(5001.0, 5001.0)]).fit_transform(SpectraArray(flux, grid=GRID))
    np.testing.assert_array_equal(lazy.to_numpy(), [[1.0, np.nan, 3.0, 4.0, 5.0, 6.0]])


@pytest.mark.parametrize(
    ("ranges_aa", "message"),
    [
        ([(5003.0, 5002.0)], r"holds \(5003, 5002\); the first must not exceed"),
        ([(np.nan, 5002.0)], r"holds \(nan, 5002\)"),
        ([(5001.0, 5002.0), (6000.0, 6010.0)], r"range \(6000, 6010\) .* holds no pixel centre"),
        ([(5001.2, 5001.8)], r"range \(5001\.2, 5001\.8\) .* holds no pixel centre"),
        ([(4999.0, 5010.0)], "masks all 6 pixels"),
        ((5001.0, 5002.0), "must be a sequence of pairs"),
        ([(5001.0, 5002.0, 5003.0)], "must be a sequence of pairs"),
    ],
)
def test_ranges_that_are_refused(ranges_aa, message):
    masker = PixelMasker(ranges_aa, grid=GRID)
    with pytest.raises(ValueError, match=message):
        masker.fit(FLUX)
    assert not hasattr(masker, "n_features_in_")


@pytest.mark.parametrize("X", [FLUX, SpectraArray(FLUX)], ids=["array", "lazy"])
def test_ranges_without_a_grid_are_refused(X):
    with pytest.raises(ValueError, match="grid of X is not known: give the parameter grid"):
        PixelMasker([(5001.0, 5002.0)]).fit(X)


def test_unknown_action_is_refused():
    with pytest.raises(ValueError, match="action must be one of 'nan', 'zero', 'drop', got 'cut'"):
        PixelMasker(action="cut").fit(FLUX)
