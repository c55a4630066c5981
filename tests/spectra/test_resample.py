import numpy as np
import pytest

from specvae.spectra import HARPS_GRID, WavelengthGrid, resample_flux
from specvae.spectra._resample import interpolate_flux, rebin_flux

NAN = np.nan


def pixels(first_aa, n_pixels, step=1.0):
    return first_aa + step * np.arange(n_pixels)


def integral(flux, edges_aa):
    return np.sum(flux * np.diff(edges_aa))


def test_shift_by_whole_pixels_is_exact():
    flux = np.random.default_rng(0).normal(size=50).astype(np.float32)
    shifted = resample_flux(flux, pixels(5000.0, 50), WavelengthGrid(5003.0, 1.0, 50))
    np.testing.assert_array_equal(shifted[:47], flux[3:])
    assert np.isnan(shifted[47:]).all()


def test_identity_keeps_every_bit():
    flux = np.random.default_rng(0).normal(size=HARPS_GRID.n_pixels).astype(np.float32)
    flux[1000:1100] = NAN
    same = resample_flux(flux, HARPS_GRID.wavelength_aa, HARPS_GRID)
    np.testing.assert_array_equal(same, flux)


def test_quarter_pixel_shift_by_hand():
    grid = WavelengthGrid(5000.25, 1.0, 4)
    out = resample_flux(np.array([0.0, 4.0, 8.0, 4.0]), pixels(5000.0, 4), grid)
    np.testing.assert_allclose(out, [1.0, 5.0, 7.0, NAN])


@pytest.mark.parametrize("first_aa, step, n_pixels", [(5001.3, 1.0, 40), (5002.0, 2.5, 15)])
def test_linear_ramp_is_reproduced(first_aa, step, n_pixels):
    wavelength_aa = pixels(5000.0, 50)
    grid = WavelengthGrid(first_aa, step, n_pixels)
    out = resample_flux(2.0 * wavelength_aa + 7.0, wavelength_aa, grid)
    # A mean over a pixel that ends inside an old one takes that one as constant: 1/8 step at most.
    tolerance = 1e-8 if step == 1.0 else 0.25
    np.testing.assert_allclose(out, 2.0 * grid.wavelength_aa + 7.0, rtol=0, atol=tolerance)


def test_linear_ramp_is_exact_where_new_pixels_hold_whole_old_ones():
    wavelength_aa = pixels(5000.0, 50)
    grid = WavelengthGrid(5001.0, 3.0, 16)
    out = resample_flux(2.0 * wavelength_aa, wavelength_aa, grid)
    np.testing.assert_allclose(out, 2.0 * grid.wavelength_aa, rtol=1e-12)


def test_rebin_by_hand():
    # New pixels of 1.5: the first holds pixel 0 and half of 1, the second half of 1 and pixel 2.
    out = rebin_flux(np.array([3.0, 6.0, 9.0]), np.arange(4.0), np.array([0.0, 1.5, 3.0]))
    np.testing.assert_allclose(out, [(3 + 3) / 1.5, (3 + 9) / 1.5])


def test_rebin_to_finer_pixels_by_hand():
    out = rebin_flux(np.array([3.0, 6.0]), np.arange(3.0), np.array([0.0, 0.5, 1.0, 1.5, 2.0]))
    np.testing.assert_allclose(out, [3.0, 3.0, 6.0, 6.0])


@pytest.mark.parametrize("n_pixels", [7, 110, 990, 3001])
def test_integral_is_conserved(n_pixels):
    grid = WavelengthGrid(5000.0, 0.1, 1000)
    flux = np.random.default_rng(1).uniform(0.5, 1.5, 1000)
    coarse = grid.resampled(n_pixels)
    out = resample_flux(flux, grid.wavelength_aa, coarse)
    assert integral(out, coarse.edges_aa) == pytest.approx(integral(flux, grid.edges_aa), rel=1e-9)


@pytest.mark.parametrize("value", [1e20, -1e20, np.inf])
@pytest.mark.parametrize("n_pixels", [250, 333, 1500, 3001])
def test_bright_pixel_changes_no_new_pixel_beside_it(value, n_pixels):
    grid = WavelengthGrid(5000.0, 0.1, 1000)
    coarse = grid.resampled(n_pixels)
    flux = np.ones((2, 1000))
    flux[0, 100] = value
    # Old pixel 100 lies between edges 100 and 101 of 1000.
    ratio = n_pixels / 1000
    first, last = int(100 * ratio + 1e-9), int(np.ceil(101 * ratio - 1e-9)) - 1
    out = resample_flux(flux, grid.wavelength_aa, coarse)
    changed = np.flatnonzero(np.abs(out[0] - 1.0) > 1e-12)
    np.testing.assert_array_equal(changed, np.arange(first, last + 1))
    np.testing.assert_allclose(out[1], 1.0, rtol=1e-12)
    if np.isfinite(value):
        wanted = integral(flux[0], grid.edges_aa)
        assert integral(out[0], coarse.edges_aa) == pytest.approx(wanted, rel=1e-9)


def test_integral_of_any_pixels_is_that_of_the_overlaps():
    rng = np.random.default_rng(4)
    for n_old, n_new in rng.integers(1, 40, size=(100, 2)):
        edges_aa = np.cumsum(rng.uniform(0.1, 2.0, n_old + 1))
        new_edges_aa = np.cumsum(rng.uniform(0.1, 2.0, n_new + 1)) + rng.uniform(-3.0, 3.0)
        flux = rng.normal(size=n_old)
        flux[rng.random(n_old) < 0.2] = NAN
        low = np.maximum.outer(new_edges_aa[:-1], edges_aa[:-1])
        high = np.minimum.outer(new_edges_aa[1:], edges_aa[1:])
        overlap = np.clip(high - low, 0.0, None) * ~np.isnan(flux)  # (new pixel, old pixel)
        covered = overlap.sum(axis=1)
        known = covered >= 0.3 * np.diff(new_edges_aa)
        wanted = np.full(n_new, NAN)
        wanted[known] = (overlap @ np.nan_to_num(flux))[known] / covered[known]
        out = rebin_flux(flux, edges_aa, new_edges_aa, min_coverage=0.3)
        np.testing.assert_allclose(out, wanted, rtol=1e-9, atol=1e-9)


def test_missing_pixel_spoils_its_neighbours_only():
    flux = np.ones(20)
    flux[10] = NAN
    half = resample_flux(flux, pixels(5000.0, 20), WavelengthGrid(5000.5, 1.0, 19))
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(half)), [9, 10])
    whole = resample_flux(flux, pixels(5000.0, 20), WavelengthGrid(5000.0, 1.0, 20))
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(whole)), [10])


def test_rebin_leaves_missing_pixels_out_of_the_mean():
    flux = np.array([2.0, NAN, 4.0, NAN, NAN, 6.0])
    edges_aa, new_edges_aa = np.arange(7.0), np.array([0.0, 3.0, 6.0])
    np.testing.assert_allclose(rebin_flux(flux, edges_aa, new_edges_aa), [3.0, NAN])
    np.testing.assert_allclose(
        rebin_flux(flux, edges_aa, new_edges_aa, min_coverage=0.3), [3.0, 6.0]
    )


def test_nothing_stands_outside_the_data():
    flux, wavelength_aa = np.full(10, 5.0), pixels(5000.0, 10)
    same_step = resample_flux(flux, wavelength_aa, WavelengthGrid(4990.5, 1.0, 30))
    np.testing.assert_array_equal(np.flatnonzero(~np.isnan(same_step)), np.arange(10, 19))
    coarse = resample_flux(flux, wavelength_aa, WavelengthGrid(4988.5, 2.0, 20))
    np.testing.assert_array_equal(np.flatnonzero(~np.isnan(coarse)), np.arange(6, 11))
    assert np.nanmax(coarse) == np.nanmin(coarse) == 5.0
    elsewhere = resample_flux(flux, wavelength_aa, WavelengthGrid(7000.0, 1.0, 5))
    assert np.isnan(elsewhere).all()


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_gap_in_the_wavelengths_is_not_bridged(shift):
    wavelength_aa = np.delete(pixels(5000.0, 30), [10, *range(20, 24)])
    flux = np.ones(len(wavelength_aa))
    out = resample_flux(flux, wavelength_aa, WavelengthGrid(5000.0 + shift, 1.0, 29))
    missing = [10, *range(20, 24)] if shift == 0 else [9, 10, *range(19, 24)]
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(out)), missing)


def test_gap_in_the_wavelengths_is_not_bridged_by_coarser_pixels():
    wavelength_aa = np.delete(pixels(5000.0, 40), range(12, 24))
    out = resample_flux(np.ones(28), wavelength_aa, WavelengthGrid(5001.5, 4.0, 10))
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(out)), [3, 4, 5])


def test_change_of_step_is_no_gap():
    wavelength_aa = np.concatenate([pixels(5000.0, 10), pixels(5010.0, 10, step=2.0)])
    out = resample_flux(np.ones(20), wavelength_aa, WavelengthGrid(5001.0, 3.0, 9))
    np.testing.assert_array_equal(out, np.ones(9))


def test_matrix_is_resampled_row_by_row():
    rng = np.random.default_rng(2)
    flux = rng.normal(size=(3, 40)).astype(np.float32)
    flux[1, 5] = NAN
    wavelength_aa = pixels(5000.0, 40)
    for grid in (WavelengthGrid(5000.3, 1.0, 40), WavelengthGrid(5001.0, 3.0, 12)):
        rows = [resample_flux(row, wavelength_aa, grid) for row in flux]
        np.testing.assert_array_equal(resample_flux(flux, wavelength_aa, grid), rows)


def test_dtype_stays_and_integers_become_floats():
    wavelength_aa, grid = pixels(5000.0, 4), WavelengthGrid(5000.5, 1.0, 4)
    big_endian = np.arange(4.0).astype(">f4")
    assert resample_flux(np.float32([0, 1, 2, 3]), wavelength_aa, grid).dtype == np.float32
    np.testing.assert_allclose(resample_flux(big_endian, wavelength_aa, grid), [0.5, 1.5, 2.5, NAN])
    np.testing.assert_allclose(
        resample_flux(np.arange(4), wavelength_aa, grid), [0.5, 1.5, 2.5, NAN]
    )


def test_single_pixel():
    assert resample_flux(np.array([3.0]), np.array([5000.0]), WavelengthGrid(5000.0, 1.0, 1)) == 3.0
    missed = interpolate_flux(np.array([3.0]), np.array([5000.0]), np.array([5000.1]))
    assert np.isnan(missed).all()


def test_grid_of_another_kind_is_named():
    with pytest.raises(TypeError, match="grid must be a WavelengthGrid, got None: give one of"):
        resample_flux(np.ones(3), pixels(5000.0, 3), None)


@pytest.mark.parametrize(
    "wavelength_aa, message",
    [
        ([5000.0, 5002.0, 5001.0], "must increase; it goes from 5002 to 5001 at pixel 2 of 3"),
        ([5000.0, 5000.0, 5001.0], "must increase; it goes from 5000 to 5000 at pixel 1 of 3"),
        ([5000.0, 5001.0, NAN], "must be finite; it is nan at pixel 2 of 3"),
        ([5000.0, 5001.0, np.inf], "must be finite; it is inf at pixel 2 of 3"),
        ([5000.0, 5001.0], r"has shape \(2,\), flux has 3 pixels"),
    ],
)
def test_bad_wavelengths_are_named(wavelength_aa, message):
    with pytest.raises(ValueError, match=message):
        resample_flux(np.ones(3), np.array(wavelength_aa), WavelengthGrid(5000.0, 1.0, 3))
