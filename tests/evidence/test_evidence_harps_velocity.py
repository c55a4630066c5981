"""Cross-correlation, the error of a shift, and the verdicts of harps_velocity.py."""

import numpy as np
import pytest
from _harps_velocity_correlation import (
    PERIOD_DAYS,
    TRANSIT_JD,
    dip_centre,
    mask_velocity,
    orbit_ms,
    shift_errors,
    template_velocity,
)
from _harps_velocity_spectra import Observed
from _harps_velocity_tables import (
    better,
    enough_stars,
    of_size,
    reached,
    repeats_verdict,
    rvis_verdict,
    together,
)

from specvae.spectra import WavelengthGrid, doppler_factor

GRID = WavelengthGrid(6045.0, 0.07, 3000)
LINE_AA = np.array([6070.3, 6091.1, 6137.7, 6180.2, 6230.7])
WEIGHT = np.array([1.0, 0.5, 2.0, 1.0, 0.3])


def spectrum(wavelength_aa, velocity_kms=0.0):
    rest_aa = wavelength_aa / doppler_factor(velocity_kms)
    depth = 0.3 * WEIGHT[:, None] * np.exp(-0.5 * ((rest_aa - LINE_AA[:, None]) / 0.1) ** 2)
    return 1.0 - depth.sum(axis=0)


@pytest.mark.parametrize("velocity_kms", [-31.7, -0.4, 0.0, 12.3])
def test_both_correlations_find_the_velocity(velocity_kms):
    flux = spectrum(GRID.wavelength_aa, velocity_kms)
    flux[[0, 900, 901]] = np.nan
    fine_aa = np.arange(6030.0, 6270.0, 0.01)
    by_mask = mask_velocity(flux, GRID.wavelength_aa, LINE_AA, WEIGHT)
    by_template = template_velocity(flux, GRID.wavelength_aa, spectrum(fine_aa), fine_aa)
    assert by_mask == pytest.approx(velocity_kms, abs=0.15)
    assert by_template == pytest.approx(velocity_kms, abs=0.02)


def test_dip_without_a_fit_gives_its_lowest_point():
    velocity_kms = np.arange(-20.0, 20.5, 0.5)
    depth = np.ones_like(velocity_kms)
    depth[30] = 0.0
    assert dip_centre(velocity_kms, depth) == pytest.approx(velocity_kms[30], abs=0.5)


def test_an_injected_shift_moves_the_lines_away():
    native_aa = np.arange(6030.0, 6270.0, 0.01)
    exposure = Observed("Sun", native_aa, spectrum(native_aa), 0.0)
    expected = spectrum(GRID.wavelength_aa, 20.0)
    np.testing.assert_allclose(exposure.on(GRID, 20.0), expected, atol=0.03)
    assert np.abs(exposure.on(GRID, -20.0) - expected).max() > 0.3


def test_shift_errors_take_the_zero_point_off():
    velocity = [[4.0, 5.0, 7.5], [-1.0, 0.0, 1.0]]
    np.testing.assert_allclose(shift_errors(velocity, [-1.0, 0.0, 2.0]), [[0.0, 0.5], [0.0, -1.0]])
    with pytest.raises(ValueError, match="zero once"):
        shift_errors(velocity, [-1.0, 1.0, 2.0])


def test_the_star_comes_towards_us_after_transit():
    quarter = TRANSIT_JD + PERIOD_DAYS * np.array([0.0, 0.25, 0.75])
    np.testing.assert_allclose(orbit_ms(quarter), [0.0, -200.56, 200.56], atol=1e-3)


def test_verdicts():
    low, high = {"a": [1.0, 2.0], "b": [1.0]}, {"a": [3.0], "b": [4.0]}
    assert better(low, high) == "holds"
    assert better(high, low) == "fails"
    assert better(low, {"a": [1.5], "b": [4.0]}) == "cannot be told here"
    assert [enough_stars("holds", n) for n in (2, 10)] == ["cannot be told here", "holds"]
    assert reached(1.8, 1.9) == "holds"
    assert reached(2.0, 1.9) == "cannot be told here"
    assert [of_size(each, 10.0) for each in (4.0, 6.0, 21.0)] == ["fails", "holds", "fails"]
    assert rvis_verdict(0.02, 0.4) == "holds"
    assert rvis_verdict(0.02, 0.9) == rvis_verdict(0.03, 0.4) == "fails"
    assert repeats_verdict(0.6) == "holds"
    assert repeats_verdict(0.01) == "cannot be told here"
    assert together([0.05, 0.09], [1.0, 1.0]) == "holds"
    assert together([0.05, 0.2], [1.0, 1.0]) == together([0.05], [0.9]) == "fails"
