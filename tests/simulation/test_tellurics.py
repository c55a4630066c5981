from pathlib import Path

import numpy as np
import pytest

from specvae.simulation._observing._tellurics import (
    TelluricModel,
    _oxygen,
    _windows,
    telluric_lines,
)
from specvae.spectra import SPEED_OF_LIGHT_KMS, air_to_vacuum, doppler_factor, read_spectrum

SHARED_DATA = Path(__file__).parents[2].parent / "shared/data"


def log_axis(low_aa, high_aa, step_kms=0.5):
    step = step_kms / SPEED_OF_LIGHT_KMS
    return np.exp(np.arange(np.log(low_aa), np.log(high_aa), step))


def spread(model, wavelength_aa, airmass, pwv_mm):
    """Transmission on the whole axis."""
    whole = np.ones(len(wavelength_aa))
    for pixels, transmission in model.transmission(airmass, pwv_mm):
        whole[pixels] = transmission
    return whole


def test_oxygen_positions_are_those_of_the_laboratory():
    # P9P9 and P9Q8 of the A band, 13091.7104 and 13093.6557 1/cm in HITRAN.
    _, wavelength_aa, _ = _oxygen(13120.92, 1.39125, 5.36e-6, 1.0)
    for known_cm in (13091.7104, 13093.6557):
        known_aa = 1e8 / known_cm
        assert np.abs(air_to_vacuum(wavelength_aa) - known_aa).min() < 0.01


def test_named_lines_are_there():
    lines = telluric_lines()
    # B band: head and P1; gamma band: head; water beside Na D and H alpha.
    named = {"O2": (6867.2, 6883.83, 6276.6), "H2O": (5919.64, 5932.09, 6543.90, 6557.17)}
    for gas, wavelengths_aa in named.items():
        of_gas = lines.wavelength_air_aa[lines.gas == gas]
        for wavelength_aa in wavelengths_aa:
            assert np.abs(of_gas - wavelength_aa).min() < 0.03


def test_near_infrared_lines_are_there():
    # CO2 R(16) of the band at 6348 1/cm, 6359.97 in HITRAN; CH4 R(0) of 2 nu3, 6015.66.
    lines = telluric_lines()
    for gas, known_cm, within_cm in (("CO2", 6359.97, 0.05), ("CH4", 6015.66, 0.1)):
        wavenumber_cm = 1e8 / air_to_vacuum(lines.wavelength_air_aa[lines.gas == gas])
        assert np.abs(wavenumber_cm - known_cm).min() < within_cm


def test_oxygen_bands_have_their_strength():
    lines = telluric_lines()
    oxygen = lines.gas == "O2"
    for low_aa, high_aa, band_strength in ((6860, 7000, 1.5e-23), (6270, 6400, 5.4e-25)):
        band = oxygen & (lines.wavelength_air_aa > low_aa) & (lines.wavelength_air_aa < high_aa)
        # Back from Angstrom to 1/cm, over 0.2095 * 1.63e25 molecules per cm2.
        total_cm = (lines.strength[band] * 1e8 / lines.wavelength_air_aa[band] ** 2).sum()
        assert total_cm / (0.2095 * 1.63e25) == pytest.approx(band_strength, rel=0.002)


def test_a_water_line_has_the_strength_of_hitran():
    # 6514.73: 2.73e-24 cm/molecule at 296 K, 3.34e21 molecules per cm2 in a mm, 1/cm to Angstrom.
    expected_aa = 2.73e-24 * 3.34e21 * 6514.73**2 * 1e-8
    lines = telluric_lines()
    found = lines.strength[np.argmin(np.abs(lines.wavelength_air_aa - 6514.73))]
    assert found == pytest.approx(expected_aa, rel=0.2)


def test_table_is_sorted_frozen_and_the_same_again():
    lines = telluric_lines()
    assert (np.diff(lines.wavelength_air_aa) >= 0).all() and (lines.strength > 0).all()
    with pytest.raises(ValueError, match="read-only"):
        lines.strength[0] = 1.0
    again = telluric_lines.__wrapped__()
    np.testing.assert_array_equal(again.wavelength_air_aa, lines.wavelength_air_aa)


def test_equivalent_width_of_a_weak_line_is_its_strength():
    # 5901.46 stands free; at airmass 1 and 1 mm its optical depth stays below 0.05.
    wavelength_aa = log_axis(5890, 5915)
    lines = telluric_lines()
    near = np.abs(lines.wavelength_air_aa - 5901.46) < 0.4
    transmission = spread(TelluricModel(wavelength_aa, "air"), wavelength_aa, 1.0, 1.0)
    pixels = np.abs(wavelength_aa - 5901.46) < 0.4
    width_aa = np.trapezoid(1.0 - transmission[pixels], wavelength_aa[pixels])
    assert width_aa == pytest.approx(lines.strength[near].sum(), rel=0.06)


def test_line_spread_keeps_the_equivalent_width():
    wavelength_aa = log_axis(6285, 6320)
    sharp, broad = (
        1.0 - spread(TelluricModel(wavelength_aa, "air", power), wavelength_aa, 1.5, 2.0)
        for power in (None, 40_000)
    )
    assert broad.sum() == pytest.approx(sharp.sum(), rel=0.005)
    assert broad.max() < 0.8 * sharp.max()


def test_airmass_squares_the_transmission():
    wavelength_aa = log_axis(6270, 6330)
    model = TelluricModel(wavelength_aa, "air")
    once, twice = (spread(model, wavelength_aa, airmass, 1.0) for airmass in (1.0, 2.0))
    np.testing.assert_allclose(twice, once**2, atol=1e-6)


def test_water_moves_water_lines_only():
    wavelength_aa = log_axis(5880, 6912)
    model = TelluricModel(wavelength_aa, "air", 115_000)
    dry, wet = (spread(model, wavelength_aa, 1.2, pwv_mm) for pwv_mm in (0.0, 8.0))
    at = {aa: np.argmin(np.abs(wavelength_aa - aa)) for aa in (5919.64, 6543.90, 6295.96, 6886.75)}
    assert dry[at[5919.64]] == dry[at[6543.90]] == 1.0
    assert max(wet[at[5919.64]], wet[at[6543.90]]) < 0.8
    assert dry[at[6295.96]] < 0.9 and dry[at[6886.75]] < 0.1
    np.testing.assert_allclose(wet[at[6295.96]], dry[at[6295.96]], atol=0.002)


def test_vacuum_axis_holds_the_same_lines():
    air_aa = log_axis(6285, 6300, 0.1)
    air = spread(TelluricModel(air_aa, "air"), air_aa, 1.0, 1.0)
    vacuum_aa = log_axis(6286, 6302, 0.1)
    vacuum = spread(TelluricModel(vacuum_aa, "vacuum"), vacuum_aa, 1.0, 1.0)
    shifted = np.interp(air_to_vacuum(air_aa), vacuum_aa, vacuum)
    np.testing.assert_allclose(shifted, air, atol=0.005)


def test_step_of_the_axis_keeps_the_absorption():
    widths = []
    for step_kms in (0.25, 1.0):
        wavelength_aa = log_axis(6285, 6320, step_kms)
        absorbed = 1.0 - spread(TelluricModel(wavelength_aa, "air"), wavelength_aa, 1.0, 1.0)
        widths.append((absorbed * wavelength_aa).sum() * step_kms)
    assert widths[1] == pytest.approx(widths[0], rel=0.02)


def test_windows_leave_out_what_does_not_matter():
    wavelength_aa = log_axis(4000, 6912)
    model = TelluricModel(wavelength_aa, "air", 115_000)
    covered = np.zeros(len(wavelength_aa), dtype=int)
    for pixels, transmission in model.transmission(3.5, 15.0):
        covered[pixels] += 1
        assert transmission.dtype == np.float32
        assert transmission.shape == wavelength_aa[pixels].shape
        assert (transmission >= 0).all() and (transmission <= 1).all()
    assert covered.max() == 1 and covered.mean() < 0.25
    assert not covered[wavelength_aa < 5000].any()
    dry, water = model.transmission(1.0, 0.0), model.transmission(1.0, 15.0)
    edges = [abs(1 - one[1][i]) for one in (*dry, *water) for i in (0,) if one[0].start > 0]
    assert max(edges) < 1e-3


def test_windows_join_where_their_margins_touch():
    absorbs = np.zeros(30, dtype=bool)
    absorbs[[3, 4, 8, 20]] = True
    assert _windows(absorbs, 2) == [slice(1, 11), slice(18, 23)]
    assert _windows(np.zeros(5, dtype=bool), 2) == []
    assert _windows(np.ones(5, dtype=bool), 2) == [slice(0, 5)]


def test_no_lines_no_windows():
    assert TelluricModel(log_axis(4000, 4010), "air", 115_000).transmission(1.0, 1.0) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.linspace(5000, 6000, 100), "air"), "uniform in its logarithm"),
        ((np.array([5000.0]), "air"), "at least 2 pixels"),
        ((log_axis(5000, 5001)[::-1], "air"), "must increase"),
        ((log_axis(5000, 5001), "water"), "medium must be one of 'air', 'vacuum'"),
        ((log_axis(5000, 5001), "air", 0.0), "resolving_power must be a number > 0"),
    ],
)
def test_impossible_axes_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        TelluricModel(*arguments)


@pytest.mark.parametrize(
    ("airmass", "pwv_mm", "message"),
    [(0.9, 1.0, "airmass"), (3.6, 1.0, "airmass"), (1.0, -1.0, "pwv_mm"), (1.0, np.nan, "pwv_mm")],
)
def test_impossible_air_is_refused(airmass, pwv_mm, message):
    model = TelluricModel(log_axis(6290, 6300), "air")
    with pytest.raises(ValueError, match=f"{message} must be a number"):
        model.transmission(airmass, pwv_mm)


# Of O2, apart from other lines, where HARPS sees them: gamma band, then B band.
GAMMA_AA = (6287.749, 6295.175, 6295.960, 6298.456, 6299.229, 6306.567, 6310.638)
B_BAND_AA = (6883.836, 6886.748, 6889.908, 6893.315, 6896.045, 6904.126, 6909.438)


@pytest.fixture(scope="module")
def exposures():
    """Twelve exposures of one star in one night, on wavelengths of the observatory."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real observations are not at hand in {SHARED_DATA}")
    spectra = [read_spectrum(path) for path in SHARED_DATA.glob("harps/HARPS.2007-08-29*")]
    assert len(spectra) == 12
    return [
        (one.wavelength_aa / doppler_factor(one.meta["berv_kms"]), one.flux, one.meta["airmass"])
        for one in spectra
    ]


def centre_and_depth(wavelength_aa, flux, line_aa):
    """Minimum of a parabola through the bottom of a line, and its depth below its surroundings."""
    inside = np.flatnonzero(np.abs(wavelength_aa - line_aa) < 0.12)
    lowest = inside[np.argmin(flux[inside])]
    pixels = slice(lowest - 3, lowest + 4)
    offset_aa = wavelength_aa[pixels] - wavelength_aa[lowest]
    curvature, slope, bottom = np.polyfit(offset_aa, flux[pixels], 2)
    centre = -slope / (2 * curvature)
    distance = np.abs(wavelength_aa - line_aa)
    around = flux[(distance > 0.2) & (distance < 0.5)]
    return wavelength_aa[lowest] + centre, 1 - (bottom + slope * centre / 2) / np.quantile(
        around, 0.8
    )


def test_real_lines_stand_where_they_should(exposures):
    model_aa = log_axis(6270, 6912)
    model = TelluricModel(model_aa, "air", 115_000)
    for wavelength_aa, flux, airmass in exposures:
        simulated = spread(model, model_aa, airmass, 2.0)
        for line_aa in GAMMA_AA + B_BAND_AA:
            real = centre_and_depth(wavelength_aa, flux, line_aa)
            ours = centre_and_depth(model_aa, simulated, line_aa)
            assert ours[0] == pytest.approx(real[0], abs=0.01)
            assert 1 / 1.3 < ours[1] / real[1] < 1.3


def test_real_lines_deepen_with_airmass_as_they_should(exposures):
    model_aa = log_axis(6270, 6330)
    model = TelluricModel(model_aa, "air", 115_000)
    airmass, real, ours = [], [], []
    for wavelength_aa, flux, each in exposures:
        simulated = spread(model, model_aa, each, 2.0)
        airmass.append(each)
        real.append(np.mean([centre_and_depth(wavelength_aa, flux, aa)[1] for aa in GAMMA_AA]))
        ours.append(np.mean([centre_and_depth(model_aa, simulated, aa)[1] for aa in GAMMA_AA]))
    assert max(airmass) - min(airmass) > 0.4
    slopes = np.polyfit(airmass, np.transpose([real, ours]), 1)[0]
    assert slopes[1] == pytest.approx(slopes[0], rel=0.2)
