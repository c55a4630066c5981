import numpy as np
import pandas as pd
import pytest

from specvae.exceptions import GridMismatchError
from specvae.simulation import GridSimulator, StellarSpectrumSimulator
from specvae.simulation._labels import complete_labels
from specvae.spectra import HARPS_GRID, WavelengthGrid

SUN = {"teff_k": 5772.0, "logg_dex": 4.44, "mh_dex": 0.0}


def noiseless(simulator, **labels):
    simulated = simulator.simulate(SUN | {"exposure_s": 60.0} | labels, 0)
    values = {name: simulated.unknown[name].item() for name in simulated.unknown}
    return simulated.noiseless_flux[0], values


def effect_of(factor, grid, **arguments):
    """What one unknown factor multiplies the flux by, and its value."""
    plain, _ = noiseless(StellarSpectrumSimulator(grid, **arguments))
    flux, values = noiseless(StellarSpectrumSimulator(grid, unknown=factor, **arguments))
    return flux / plain, values[factor]


# Tellurics -------------------------------------------------------------------------------------


def test_tellurics_keep_their_places_far_along_the_axis():
    observatory = StellarSpectrumSimulator(HARPS_GRID)._observatory
    place = observatory.axis.pixel_at(HARPS_GRID.wavelength_aa)
    rest = np.ones(observatory.axis.n_pixels, dtype=np.float32)
    for berv_kms in (-17.3, 0.0, 25.1):
        light = observatory._light(rest, complete_labels(SUN | {"berv_kms": berv_kms}).iloc[0], {})
        passed = np.ones(observatory.axis.n_pixels)
        for window, transmission in light.windows:
            passed[window] = transmission
        flux = np.ones(HARPS_GRID.n_pixels, dtype=np.float32)
        observatory._absorb(flux, light, slice(None))
        expected = np.interp(place - light.berv_pixels, np.arange(len(passed)), passed)
        # Windows end where the transmission is 1 to that.
        np.testing.assert_allclose(flux, expected, atol=5e-5)


def test_a_pixel_rounded_onto_the_end_of_a_telluric_window_passes():
    grid = WavelengthGrid(3790.0, 0.02, 150_000)
    flux, _ = noiseless(StellarSpectrumSimulator(grid))
    assert np.isfinite(flux).mean() > 0.9


# Unknown factors -------------------------------------------------------------------------------


@pytest.mark.parametrize("n_pixels", [2, 101, 3001])
def test_the_tilt_reaches_its_value_at_both_ends(n_pixels):
    grid = WavelengthGrid(5160.0, 0.01, n_pixels)
    ratio, tilt = effect_of("continuum_tilt", grid, instrument=None)
    np.testing.assert_allclose(ratio - 1.0, np.linspace(-tilt, tilt, n_pixels), atol=1e-6)


@pytest.mark.parametrize(
    ("grid", "instrument", "n_waves"),
    [
        (WavelengthGrid(5160.0, 0.01, 3001), None, 12),
        (WavelengthGrid(15200.0, 0.2, 2000, medium="vacuum"), "apogee", 12),
        # Orders 133 to 122, 12 of the order constant over the wavelength.
        (WavelengthGrid(4600.0, 0.5, 800), "harps", 10.6),
    ],
)
def test_the_blaze_residual_is_a_wave_on_any_grid(grid, instrument, n_waves):
    ratio, amplitude = effect_of("blaze_residual", grid, instrument=instrument)
    wave = (ratio - 1.0) / amplitude
    assert wave.max() == pytest.approx(1.0, abs=0.01)
    assert wave.min() == pytest.approx(-1.0, abs=0.01)
    crossings = np.count_nonzero(np.diff(np.sign(wave)))
    assert crossings == pytest.approx(2 * n_waves, abs=1)


def test_a_wider_line_spread_widens_tellurics_too():
    grid = WavelengthGrid(6278.0, 0.01, 300)  # oxygen, and hardly a star's line
    ratio, _ = effect_of("line_spread", grid)
    flux, _ = noiseless(StellarSpectrumSimulator(grid))
    still, _ = noiseless(StellarSpectrumSimulator(grid, atmosphere=False))
    deepest = np.argmin(flux / still)
    assert ratio[deepest] > 1.005
    assert ratio.mean() == pytest.approx(1.0, abs=0.002)


def hit_electrons(grid, **labels):
    """Electrons that cosmic rays leave on the pixels of a grid, without the blaze, and how many."""
    drawn = []
    for unknown in ((), "cosmic_rays"):
        simulator = StellarSpectrumSimulator(grid, unknown=unknown, instrument="apogee")
        drawn.append(simulator.simulate(SUN | {"vmag": 25.0} | labels, 0).flux[0].astype(float))
    gained = np.nan_to_num(drawn[1] - drawn[0]) * np.diff(grid.edges_aa)
    return gained.sum(), np.count_nonzero(gained)


def test_cosmic_rays_hit_the_detector_and_not_the_grid():
    fine = WavelengthGrid(15_200.0, 0.05, 10_000, medium="vacuum")
    coarse = WavelengthGrid(15_200.0, 0.5, 1000, medium="vacuum")
    few, _ = hit_electrons(coarse, exposure_s=1e6)
    many, _ = hit_electrons(fine, exposure_s=1e6)
    assert few > 0 and few == pytest.approx(many, rel=0.3)


def test_an_endless_exposure_is_not_full_of_cosmic_rays():
    # S/N of 100 at magnitude 25 takes longer than any exposure that may be asked for.
    grid = WavelengthGrid(15_200.0, 0.2, 2000, medium="vacuum")
    _, n_pixels = hit_electrons(grid, snr=100.0)
    assert 0 < n_pixels < 1900


# Flux and wavelengths --------------------------------------------------------------------------


def test_flux_beside_an_emission_line_is_not_negative():
    wavelength_aa = np.arange(5380.0, 5520.0, 0.01)
    flux = np.full((2, len(wavelength_aa)), 1e-3)
    flux[:, 7000] = 1e6
    models = pd.DataFrame({"teff_k": [5000.0, 6000.0]})
    grid = WavelengthGrid(5440.0, 0.01, 3000)
    simulator = GridSimulator(
        wavelength_aa, flux, models, grid, medium="air", library_resolving_power=115_000
    )
    for rv_kms in (0.0, 0.3):
        simulated = simulator.simulate({"teff_k": 5500.0, "vmac_kms": 0.0, "rv_kms": rv_kms}, 0)
        assert (simulated.noiseless_flux >= 0.0).all() and np.isfinite(simulated.sigma).all()


def test_a_grid_wider_than_the_instrument_is_missing_beyond_it():
    grid = WavelengthGrid(3000.0, 1.0, 23_000)
    flux, _ = noiseless(StellarSpectrumSimulator(grid), berv_kms=30.0)
    recorded = grid.wavelength_aa[np.isfinite(flux)]
    assert 3781.0 < recorded.min() < 3784.0 and 6911.0 < recorded.max() < 6915.0


@pytest.mark.parametrize("start_aa", [3000.0, 24_900.0])
def test_wavelengths_of_unknown_extinction_are_refused_at_once(start_aa):
    grid = WavelengthGrid(start_aa, 1.0, 1000)
    with pytest.raises(GridMismatchError, match=r"3100 to 25000 .*atmosphere=False"):
        StellarSpectrumSimulator(grid, instrument=None)


def test_the_last_wavelengths_of_known_extinction_pass():
    flux, _ = noiseless(
        StellarSpectrumSimulator(WavelengthGrid(3100.0, 0.1, 8000), instrument=None), berv_kms=30.0
    )
    assert (flux > 0).all()
