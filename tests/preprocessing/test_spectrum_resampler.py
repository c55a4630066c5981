import numpy as np
import pandas as pd
import pytest

from specvae.exceptions import SpectrumError
from specvae.preprocessing import SpectrumResampler
from specvae.spectra import HARPS_GRID, SpectraArray, WavelengthGrid, air_to_vacuum

GRID = WavelengthGrid(5000.0, 1.0, 6)
FLUX = np.array([[1.0, 3.0, 5.0, 7.0, 2.0, 4.0]])


def test_mean_over_wider_pixels_by_hand():
    resampler = SpectrumResampler(GRID.resampled(3), input_grid=GRID)
    np.testing.assert_allclose(resampler.fit_transform(FLUX), [[2.0, 6.0, 3.0]])
    assert resampler.grid_ == GRID
    assert resampler.output_grid_ == GRID.resampled(3)


def test_half_a_pixel_later_by_hand():
    shifted = WavelengthGrid(5000.5, 1.0, 6)
    np.testing.assert_allclose(
        SpectrumResampler(shifted, input_grid=GRID).fit_transform(FLUX),
        [[2.0, 4.0, 6.0, 4.5, 3.0, np.nan]],
    )


def test_coverage():
    flux = np.array([[1.0, np.nan, 5.0, 7.0, np.nan, np.nan]])
    wide = GRID.resampled(3)
    half = SpectrumResampler(wide, input_grid=GRID).fit_transform(flux)
    np.testing.assert_allclose(half, [[1.0, 6.0, np.nan]])
    full = SpectrumResampler(wide, input_grid=GRID, min_coverage=1.0).fit_transform(flux)
    np.testing.assert_allclose(full, [[np.nan, 6.0, np.nan]])


def test_escape_sub_sampling():
    grid = HARPS_GRID.resampled(11_000)
    slope = HARPS_GRID.wavelength_aa[None, :] / 5000.0
    resampled = SpectrumResampler(grid).fit_transform(SpectraArray(slope, grid=HARPS_GRID))
    assert resampled.shape == (1, 11_000)
    assert resampled.grid == grid
    # The mean of a straight line over a pixel is its value at the centre.
    np.testing.assert_allclose(resampled.to_numpy()[0], grid.wavelength_aa / 5000.0, rtol=1e-6)


@pytest.mark.parametrize("media", [("air", "vacuum"), ("vacuum", "air")])
def test_line_keeps_its_place_when_the_medium_changes(media):
    source, target = media
    air = WavelengthGrid(5000.0, 0.05, 400)
    vacuum = WavelengthGrid(float(air_to_vacuum(5000.0)), 0.05, 400, medium="vacuum")
    centre_aa = {"air": 5010.0, "vacuum": float(air_to_vacuum(5010.0))}
    grids = {"air": air, "vacuum": vacuum}

    def line(medium):
        return 1.0 - 0.5 * np.exp(
            -0.5 * ((grids[medium].wavelength_aa - centre_aa[medium]) / 0.3) ** 2
        )

    resampler = SpectrumResampler(grids[target], input_grid=grids[source])
    result = resampler.fit_transform(line(source)[None, :])[0]
    inner = slice(5, -5)
    # Without the conversion the line would be 1.4 Angstrom away.
    np.testing.assert_allclose(result[inner], line(target)[inner], atol=2e-3)


def test_same_grid_passes_on_and_no_grid_is_the_identity():
    same = WavelengthGrid(5000.0 + 1e-7, 1.0, 6, name="same")
    for resampler in (SpectrumResampler(same, input_grid=GRID), SpectrumResampler()):
        np.testing.assert_array_equal(resampler.fit_transform(FLUX), FLUX)
        assert list(resampler.get_feature_names_out()) == ["x0", "x1", "x2", "x3", "x4", "x5"]


def test_new_pixels_are_named():
    frame = pd.DataFrame(FLUX, columns=list("abcdef"))
    resampler = SpectrumResampler(GRID.resampled(3), input_grid=GRID)
    resampler.set_output(transform="pandas")
    assert list(resampler.fit_transform(frame).columns) == ["pixel0", "pixel1", "pixel2"]


def test_lazy_infinity_is_refused_when_read():
    flux = np.array([FLUX[0], FLUX[0] * np.inf])
    lazy = SpectrumResampler(GRID.resampled(3)).fit_transform(SpectraArray(flux, grid=GRID))
    with pytest.raises(SpectrumError, match="spectrum 1 contains infinity"):
        lazy.to_numpy()


def test_spectrum_without_valid_pixels_stays_so():
    result = SpectrumResampler(GRID.resampled(3), input_grid=GRID).fit_transform(FLUX * np.nan)
    assert np.isnan(result).all()


def test_unknown_input_grid_is_refused():
    with pytest.raises(ValueError, match="give the parameter input_grid"):
        SpectrumResampler(GRID).fit(FLUX)


def test_grids_apart_are_refused():
    far = WavelengthGrid(6000.0, 1.0, 6)
    with pytest.raises(ValueError, match="no wavelength in common"):
        SpectrumResampler(far, input_grid=GRID).fit(FLUX)


@pytest.mark.parametrize("min_coverage", [-0.1, 1.5, "all"])
def test_coverage_out_of_range_is_refused(min_coverage):
    with pytest.raises(ValueError, match="min_coverage must be a number"):
        SpectrumResampler(min_coverage=min_coverage).fit(FLUX)
