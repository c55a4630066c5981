import json

import numpy as np
import pytest

from specvae.spectra import APOGEE_GRID, HARPS_GRID, HARPS_MISSING, WavelengthGrid
from specvae.spectra._grid import check_grid_type


def test_harps_grid_has_the_published_pixels():
    assert HARPS_GRID.n_pixels == 2**18 + 2**16 == 327_680
    assert HARPS_GRID.index_of(3785.00) == 7589
    assert HARPS_GRID.index_of(6910.00) == 320_089
    assert HARPS_GRID.end_aa == pytest.approx(6985.90, abs=1e-9)


def test_harps_missing_masks_both_pads_and_the_gap():
    slices = [HARPS_GRID.slice(low, high) for low, high in HARPS_MISSING]
    assert [s.stop - s.start for s in slices] == [7589, 3441, 7590]
    assert (slices[0].start, slices[0].stop) == (0, 7589)
    assert (slices[2].start, slices[2].stop) == (320_090, 327_680)


def test_apogee_grid_ends_near_17000():
    assert APOGEE_GRID.wavelength_aa[0] == pytest.approx(15100.80, abs=0.01)
    assert APOGEE_GRID.end_aa == pytest.approx(16999.81, abs=0.01)
    assert APOGEE_GRID.medium == "vacuum"


def test_log_grid_has_constant_ratio_and_edges_half_a_step_away():
    grid = WavelengthGrid(1000.0, 0.1, 4, spacing="log")
    np.testing.assert_allclose(grid.wavelength_aa, 1000.0 * 10.0 ** np.array([0, 0.1, 0.2, 0.3]))
    np.testing.assert_allclose(grid.edges_aa[0], 1000.0 * 10.0**-0.05)
    np.testing.assert_allclose(grid.edges_aa[-1], 1000.0 * 10.0**0.35)
    assert len(grid.edges_aa) == 5


def test_pixel_at_inverts_wavelength_aa():
    for grid in (WavelengthGrid(5000.0, 0.5, 7), WavelengthGrid(5000.0, 1e-4, 7, spacing="log")):
        np.testing.assert_allclose(grid.pixel_at(grid.wavelength_aa), np.arange(7), atol=1e-6)


def test_index_of_takes_the_nearest_pixel_and_refuses_the_outside():
    grid = WavelengthGrid(5000.0, 1.0, 3)
    assert [grid.index_of(w) for w in (4999.6, 5000.4, 5000.6, 5002.4)] == [0, 0, 1, 2]
    for outside in (4999.4, 5002.6):
        with pytest.raises(ValueError, match="lies outside a grid"):
            grid.index_of(outside)


def test_slice_holds_centres_between_the_limits():
    grid = WavelengthGrid(5000.0, 1.0, 10)
    assert grid.slice(5002.0, 5004.0) == slice(2, 5)
    assert grid.slice(5001.5, 5004.5) == slice(2, 5)
    assert grid.slice(4000.0, 5000.0) == slice(0, 1)
    for low, high in ((5001.2, 5001.8), (4000.0, 4001.0), (6000.0, 6001.0)):
        empty = grid.slice(low, high)
        assert empty.start == empty.stop
    with pytest.raises(ValueError, match="must not exceed"):
        grid.slice(5002.0, 5001.0)


@pytest.mark.parametrize("spacing, step", [("linear", 0.5), ("log", 1e-4)])
def test_resampled_covers_the_same_wavelengths(spacing, step):
    grid = WavelengthGrid(5000.0, step, 1000, spacing=spacing, medium="vacuum")
    coarse = grid.resampled(125)
    assert (coarse.n_pixels, coarse.spacing, coarse.medium) == (125, spacing, "vacuum")
    np.testing.assert_allclose(coarse.edges_aa[[0, -1]], grid.edges_aa[[0, -1]], rtol=1e-12)


def test_matches_within_a_thousandth_of_a_pixel_in_one_medium():
    grid = WavelengthGrid(5000.0, 0.01, 1000)
    assert grid.matches(WavelengthGrid(5000.000005, 0.01, 1000, name="other name"))
    assert not grid.matches(WavelengthGrid(5000.0001, 0.01, 1000))
    assert not grid.matches(WavelengthGrid(5000.0, 0.0100001, 1000))
    assert not grid.matches(WavelengthGrid(5000.0, 0.01, 999))
    assert not grid.matches(WavelengthGrid(5000.0, 0.01, 1000, medium="vacuum"))


def test_name_plays_no_part_in_comparison():
    assert WavelengthGrid(1.0, 1.0, 1, name="a") == WavelengthGrid(1.0, 1.0, 1, name="b")
    assert hash(HARPS_GRID) == hash(WavelengthGrid(3709.11, 0.01, 327_680))


def test_goes_through_json_even_from_numpy_numbers():
    grid = WavelengthGrid(np.float32(5000.0), np.float32(0.5), np.int64(5), medium="vacuum")
    assert WavelengthGrid.from_dict(json.loads(json.dumps(grid.to_dict()))) == grid
    assert WavelengthGrid(5000.0, 0.5, 5.0).wavelength_aa.shape == (5,)


@pytest.mark.parametrize(
    "arguments, named",
    [
        ((0.0, 1.0, 3), "start_aa"),
        ((np.inf, 1.0, 3), "start_aa"),
        ((5000.0, -0.5, 3), "step"),
        ((5000.0, np.nan, 3), "step"),
        ((5000.0, 0.5, 0), "n_pixels"),
        ((5000.0, 0.5, 2.5), "n_pixels"),
        ((5000.0, 0.5, np.nan), "n_pixels"),
        ((5000.0, 0.5, 3, "cubic"), "spacing"),
        ((5000.0, 0.5, 3, "linear", "water"), "medium"),
    ],
)
def test_bad_argument_is_named(arguments, named):
    with pytest.raises(ValueError, match=f"^{named} must be"):
        WavelengthGrid(*arguments)


@pytest.mark.parametrize("n_pixels", [0, -3, 2.5, np.nan])
def test_resampled_to_no_number_of_pixels(n_pixels):
    with pytest.raises(ValueError, match=r"^n_pixels must be an integer >= 1, got"):
        HARPS_GRID.resampled(n_pixels)


def test_check_grid_type():
    check_grid_type("grid", HARPS_GRID)
    check_grid_type("grid", None)
    check_grid_type("grid", HARPS_GRID, required=True)
    with pytest.raises(TypeError, match=r"^grid must be a WavelengthGrid, got None: give one of"):
        check_grid_type("grid", None, required=True)
    with pytest.raises(
        TypeError, match=r"^input_grid must be a WavelengthGrid or None, got 'HARPS'"
    ):
        check_grid_type("input_grid", "HARPS")
    with pytest.raises(TypeError, match="HARPS_GRID, or make one") as caught:
        check_grid_type("grid", np.arange(1e6))
    assert len(str(caught.value)) < 250


def test_str_says_what_it_covers():
    assert str(HARPS_GRID) == (
        "the HARPS grid (327680 pixels from 3709.11 to 6985.90 Angstrom, step 0.01 Angstrom, air)"
    )
