import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter1d

from specvae.metrics import telluric_rejection
from specvae.simulation import StellarSpectrumSimulator
from specvae.spectra import SpectraArray, WavelengthGrid

GRID = WavelengthGrid(6260.0, 0.02, 3000)  # the gamma band of oxygen and lines of iron
LABELS = pd.DataFrame(
    {
        "teff_k": [5200.0, 5800.0, 6300.0],
        "logg_dex": [4.4, 4.3, 4.2],
        "mh_dex": [0.1, 0.0, -0.2],
        "rv_kms": [10.0, -20.0, 30.0],
        "airmass": [1.2, 1.6, 1.9],
        "exposure_s": 600.0,
    }
)


@pytest.fixture(scope="module")
def simulated():
    """Flux with noise, without, the star behind the atmosphere, and the transmission."""
    seen = StellarSpectrumSimulator(GRID).simulate(LABELS, 0)
    star = StellarSpectrumSimulator(GRID, atmosphere=False).simulate(LABELS, 0).noiseless_flux
    passed = seen.noiseless_flux / star
    extinction = np.percentile(passed, 95, axis=1, keepdims=True)
    transmission = np.minimum(passed / extinction, 1.0)
    assert (transmission.min(axis=1) < 0.65).all()
    return seen.flux, seen.noiseless_flux, star * extinction, transmission


def test_copy_gets_zero_and_star_gets_one(simulated):
    _, flux, star, transmission = simulated
    copy = telluric_rejection(flux, flux, transmission)
    np.testing.assert_allclose(copy.by_spectrum, 0.0, atol=1e-6)
    np.testing.assert_allclose(copy.telluric_slope, 1.0, atol=1e-6)
    result = telluric_rejection(flux, star, transmission)
    np.testing.assert_allclose(result.by_spectrum, 1.0, atol=2e-3)
    np.testing.assert_allclose(result.telluric_slope, 0.0, atol=2e-3)
    np.testing.assert_allclose(result.stellar_slope, 1.0, atol=0.01)
    assert (result.n_pixels > 100).all() and result.n_stars == 3


class Counted:
    """A store that notes how many rows are asked for at once."""

    def __init__(self, flux):
        self.flux, self.asked = flux, []
        self.shape, self.dtype = flux.shape, flux.dtype

    def __getitem__(self, rows):
        self.asked.append(len(rows))
        return self.flux[rows]


def test_lazy_spectra_are_read_many_rows_at_a_time(simulated):
    _, flux, star, transmission = simulated
    half = (0.5 * (flux + star)).astype(np.float32)
    stores = Counted(flux.astype(np.float32)), Counted(half)
    lazy = telluric_rejection(*map(SpectraArray, stores), transmission)
    assert stores[0].asked == [3] and stores[1].asked == [3, 3]  # once for the widths of lines
    wanted = telluric_rejection(stores[0].flux, half, transmission)
    np.testing.assert_array_equal(lazy.by_spectrum, wanted.by_spectrum)


def test_between_them_it_is_in_proportion(simulated):
    _, flux, star, transmission = simulated
    for share in (0.25, 0.5, 0.75):
        drawn = share * star + (1 - share) * flux
        result = telluric_rejection(flux, drawn, transmission)
        np.testing.assert_allclose(result.by_spectrum, share, atol=0.01)


@pytest.mark.parametrize(("sigma", "within"), [(1.0, 0.03), (3.0, 0.05), (6.0, 0.05), (12.0, 0.1)])
def test_blurry_model_is_not_blamed(simulated, sigma, within):
    _, flux, star, transmission = simulated
    copy = telluric_rejection(flux, gaussian_filter1d(flux, sigma, axis=1), transmission)
    np.testing.assert_allclose(copy.by_spectrum, 0.0, atol=within)
    clean = telluric_rejection(flux, gaussian_filter1d(star, sigma, axis=1), transmission)
    np.testing.assert_allclose(clean.by_spectrum, 1.0, atol=0.02)


def test_without_smoothing_a_blurry_model_would_be_blamed(simulated):
    _, flux, _, transmission = simulated
    blurry = gaussian_filter1d(flux, 6.0, axis=1)
    assert telluric_rejection(flux, blurry, transmission, smoothing_pixels=0.0).rejection > 0.3


def test_shallow_lines_and_another_level_do_not_count(simulated):
    _, flux, _, transmission = simulated
    shallow = 0.4 * np.median(flux, axis=1, keepdims=True) + 0.6 * flux
    for scale in (1.0, 1.1):
        result = telluric_rejection(flux, scale * shallow, transmission)
        np.testing.assert_allclose(result.by_spectrum, 0.0, atol=0.02)
        np.testing.assert_allclose(result.stellar_slope, 0.6 * scale, atol=0.02)


def test_noise_of_the_flux_does_little(simulated):
    noisy, flux, star, transmission = simulated
    assert telluric_rejection(noisy, noisy, transmission).rejection == pytest.approx(0, abs=0.01)
    assert telluric_rejection(noisy, flux, transmission).rejection == pytest.approx(0, abs=0.03)
    assert telluric_rejection(noisy, star, transmission).rejection == pytest.approx(1, abs=0.02)


def test_mask_in_place_of_a_transmission(simulated):
    _, flux, star, transmission = simulated
    mask = transmission < 0.98
    assert telluric_rejection(flux, flux, mask).rejection == pytest.approx(0.0, abs=1e-6)
    # Stellar lines under the mask count as telluric.
    assert 0.8 < telluric_rejection(flux, star, mask).rejection < 1.01


def test_missing_pixels_are_left_out(simulated):
    _, flux, star, transmission = simulated
    holed, drawn = flux.copy(), star.copy()
    holed[:, 500:600], drawn[:, 2000:2010] = np.nan, np.nan
    before = holed.copy()
    result = telluric_rejection(holed, drawn, transmission)
    np.testing.assert_allclose(result.by_spectrum, 1.0, atol=5e-3)
    np.testing.assert_array_equal(holed, before)


def test_masked_pixels_are_missing(simulated):
    _, flux, star, transmission = simulated
    holed = flux.copy()
    holed[:, 500:600] = np.nan
    masked = np.ma.masked_invalid(holed)
    masked.data[masked.mask] = 1e6
    expected = telluric_rejection(holed, star, transmission)
    result = telluric_rejection(masked, star, transmission)
    np.testing.assert_array_equal(result.by_spectrum, expected.by_spectrum)
    opaque = np.where(np.arange(GRID.n_pixels) < 50, np.nan, transmission)
    passed = np.ma.masked_invalid(opaque)
    passed.data[passed.mask] = 1.0
    expected, result = (telluric_rejection(flux, star, each) for each in (opaque, passed))
    np.testing.assert_array_equal(result.n_pixels, expected.n_pixels)


def test_slope_of_the_flux_changes_little(simulated):
    _, flux, star, transmission = simulated
    flat = telluric_rejection(flux, flux, transmission).smoothing_pixels
    for tilt in (0.3, 1.0):
        slope = 1.0 + tilt * (np.linspace(0.0, 1.0, GRID.n_pixels) - 0.5)
        copy, half, clean = (
            telluric_rejection(slope * flux, slope * drawn, transmission)
            for drawn in (flux, 0.5 * (flux + star), star)
        )
        assert copy.smoothing_pixels == pytest.approx(flat, rel=0.15)
        np.testing.assert_allclose(copy.by_spectrum, 0.0, atol=1e-6)
        np.testing.assert_allclose(half.by_spectrum, 0.5, atol=0.01)
        np.testing.assert_allclose(clean.by_spectrum, 1.0, atol=5e-3)


def line(at, depth, sigma=4.0):
    return depth * np.exp(-0.5 * ((np.arange(1000) - at) / sigma) ** 2)


STAR = 1.0 - line(200, 0.4) - line(300, 0.4)
EARTH = 1.0 - line(600, 0.4) - line(700, 0.4)


def test_stars_are_counted_once():
    flux = np.repeat((STAR * EARTH)[None], 4, axis=0)
    drawn = np.array([flux[0], flux[0], flux[0], STAR])
    result = telluric_rejection(flux, drawn, EARTH, groups=["a", "a", "a", "b"])
    np.testing.assert_allclose(result.by_spectrum, [0.0, 0.0, 0.0, 1.0], atol=0.01)
    assert result.rejection == pytest.approx(0.5, abs=0.01) and result.n_stars == 2
    assert result.standard_error == pytest.approx(0.5, abs=0.01)
    one = telluric_rejection(flux[:3], drawn[:3], EARTH, groups=["a"] * 3)
    assert one.n_stars == 1 and np.isnan(one.standard_error)


def test_depths_are_matched():
    # A model that draws stellar lines deeper than 0.6 well and shallow ones not at all: telluric
    # lines, all shallow, must be held against the shallow ones.
    star = 1.0 - line(200, 0.9) - line(300, 0.9) - line(400, 0.3) - line(500, 0.3)
    earth = 1.0 - line(700, 0.3) - line(800, 0.3)
    drawn = 1.0 - line(200, 0.9) - line(300, 0.9) - 0.5 * (line(400, 0.3) + line(500, 0.3))
    drawn = drawn - 0.5 * (line(700, 0.3) + line(800, 0.3))
    result = telluric_rejection((star * earth)[None], drawn[None], earth, smoothing_pixels=2.0)
    assert result.telluric_slope[0] == pytest.approx(0.5, abs=0.02)
    # The wings of the deep lines are as shallow, so that the slope is not all of 0.5.
    assert 0.5 < result.stellar_slope[0] < 0.8


def test_spectrum_that_cannot_be_judged_is_nan():
    flux = np.stack([STAR * EARTH, EARTH, STAR * EARTH])
    drawn = np.stack([STAR, EARTH, np.ones(1000)])  # the second star has no lines
    result = telluric_rejection(flux, drawn, EARTH)
    np.testing.assert_array_equal(np.isnan(result.by_spectrum), [False, True, True])
    assert result.n_stars == 1
    with pytest.raises(ValueError, match=r"no spectrum can be judged.* smoothing_pixels=\d"):
        telluric_rejection(flux[1:], drawn[1:], EARTH)


def test_atmosphere_without_lines_is_refused():
    with pytest.raises(ValueError, match="no spectrum can be judged: 0 of 1 have 5"):
        telluric_rejection(STAR[None], STAR[None], np.ones(1000))


def test_opaque_pixels_are_left_out():
    earth = 1.0 - line(600, 1.0) - line(700, 0.4)
    flux = (STAR * earth)[None]
    result = telluric_rejection(flux, STAR[None], earth)
    assert result.rejection == pytest.approx(1.0, abs=0.01)
    assert telluric_rejection(flux, flux, earth).rejection == pytest.approx(0.0, abs=0.01)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"telluric": EARTH[:5]}, r"telluric has shape \(5,\); wanted is \(1000,\)"),
        ({"telluric": 3.0 * EARTH}, "transmission from 0 to 1, or a boolean mask; it goes from"),
        ({"reconstruction": STAR[None, :5]}, r"reconstruction has shape \(1, 5\)"),
        ({"flux": STAR[None][:0]}, "flux is empty"),
        ({"groups": []}, "groups is empty"),
        ({"groups": [1, 2]}, "1 spectra, 2 groups"),
        ({"min_depth": 0.0}, "min_depth must be a number > 0"),
        ({"smoothing_pixels": -1.0}, "smoothing_pixels must be a number >= 0"),
        ({"reconstruction": STAR[None] + np.inf}, "reconstruction contains infinity"),
    ],
)
def test_what_cannot_be_used_is_refused(change, message):
    arguments = {
        "flux": (STAR * EARTH)[None],
        "reconstruction": STAR[None],
        "telluric": EARTH,
    }
    with pytest.raises(ValueError, match=message):
        telluric_rejection(**(arguments | change))
