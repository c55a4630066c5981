import numpy as np
import pytest

from specvae.simulation._observing._sky import (
    _moonlight_nanolambert,
    _v_photons,
    extinction_mag,
    extinction_transmission,
    fibre_transmission,
    sky_photons,
)


def test_extinction_is_that_of_the_published_table():
    known = {3100: 1.53, 3600: 0.46, 4000: 0.30, 4500: 0.19, 5000: 0.13, 5600: 0.11, 6600: 0.05}
    np.testing.assert_allclose(
        extinction_mag(np.array(list(known))), list(known.values()), atol=0.006
    )


def test_extinction_between_two_entries_is_linear():
    assert extinction_mag(4900.0) == pytest.approx(0.145)  # halfway between 0.16 and 0.13


def test_extinction_beyond_the_table_is_held():
    assert extinction_mag(16_000.0) == pytest.approx(0.01)


@pytest.mark.parametrize("wavelength_aa", [3099.0, 25_001.0, np.nan])
def test_extinction_is_refused_where_it_is_unknown(wavelength_aa):
    with pytest.raises(ValueError, match=r"wavelength_aa must lie in 3100 to 25000"):
        extinction_mag(np.array([5000.0, wavelength_aa]))


def test_transmission_at_airmass_two():
    # 2 * 0.30 mag: 10**-0.24.
    assert extinction_transmission(4000.0, 2.0) == pytest.approx(0.57544, abs=1e-5)


def test_airmass_reddens():
    wavelength_aa = np.array([4000.0, 6800.0])
    blue, red = extinction_transmission(wavelength_aa, 2.0) / extinction_transmission(
        wavelength_aa, 1.0
    )
    assert blue < red < 1.0


def test_dark_sky_at_zenith_is_of_magnitude_21_8():
    # 1005 photons of V = 0, 10**-8.72 of them; a new Moon adds less than one in a hundred.
    assert sky_photons(5500.0, 0.0, 1.0) == pytest.approx(1005.0 * 10**-8.72, rel=0.01)


def test_colours_of_the_dark_sky_are_those_of_a_dark_site():
    # Photons of a star of magnitude 0 in B, V, R: 1365, 1005, 702; the sky of Paranal has
    # B - V = 1.0 and V - R = 0.7 (Patat 2003).
    zero = np.array([1365.0, 1005.0, 702.0])
    blue, visual, red = -2.5 * np.log10(
        sky_photons(np.array([4400.0, 5500, 6400]), 0.0, 1.0) / zero
    )
    assert blue - visual == pytest.approx(1.0, abs=0.2)
    assert visual - red == pytest.approx(0.7, abs=0.2)


def test_moonlight_of_a_worked_example():
    # Moon 70, star 20 degrees from the zenith, 50 apart, phase angle 45, k = 0.15 in V:
    # 19.855 mag/arcsec2, the example of the documentation of specsim.
    airmass, moon_airmass = (1.0 - 0.96 * np.sin(np.radians([20.0, 70.0])) ** 2) ** -0.5
    illumination = (1.0 + np.cos(np.radians(45.0))) / 2.0
    light = _moonlight_nanolambert(illumination, airmass, moon_airmass, 50.0, 0.15)
    assert -2.5 * np.log10(_v_photons(light) / 1005.0) == pytest.approx(19.855, abs=0.001)


def test_moon_brightens_the_sky_and_most_in_the_blue():
    wavelength_aa = np.array([4200.0, 6600.0])
    dark, half, full = (sky_photons(wavelength_aa, lit, 1.2) for lit in (0.0, 0.5, 1.0))
    assert (half > dark).all() and (full > 3 * half).all()
    assert (full / dark)[0] > 5 * (full / dark)[1] > 5


def test_full_moon_sky_is_about_18_mag():
    magnitude = -2.5 * np.log10(sky_photons(5500.0, 1.0, 1.0) / 1005.0)
    assert 17.5 < magnitude < 19.0


def test_dark_sky_brightens_with_airmass():
    # Equation 2: 2 * 10**(-0.4 * 0.1075), k interpolated at 5500.
    ratio = sky_photons(5500.0, 0.0, 2.0) / sky_photons(5500.0, 0.0, 1.0)
    assert ratio == pytest.approx(2.0 * 10**-0.043, rel=0.002)


@pytest.mark.parametrize(
    ("seeing_arcsec", "fibre_arcsec", "expected"),
    [(1.0, 1.0, 0.5), (0.5, 1.0, 1.0 - 2.0**-4), (2.0, 1.0, 1.0 - 2.0**-0.25), (1.0, 2.0, 15 / 16)],
)
def test_fibre_by_hand(seeing_arcsec, fibre_arcsec, expected):
    assert fibre_transmission(seeing_arcsec, 1.0, None, fibre_arcsec) == pytest.approx(expected)


def test_fibre_with_airmass_and_wavelength():
    # A disc 2**0.6 wider: 2**-1.2 = 0.43528 of its exponent.
    assert fibre_transmission(1.0, 2.0) == pytest.approx(1.0 - 2.0**-0.435275, abs=1e-6)
    blue, green, red = fibre_transmission(1.0, 1.0, np.array([4000.0, 5000.0, 6800.0]))
    assert blue < green == 0.5 < red


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: sky_photons(5500.0, 1.1, 1.0), "moon_illumination"),
        (lambda: sky_photons(5500.0, 0.0, 0.9), "airmass"),
        (lambda: extinction_transmission(5500.0, 0.5), "airmass"),
        (lambda: fibre_transmission(0.0, 1.0), "seeing_arcsec"),
        (lambda: fibre_transmission(1.0, 1.0, None, 0.0), "fibre_arcsec"),
    ],
)
def test_impossible_values_are_refused(call, name):
    with pytest.raises(ValueError, match=f"{name} must be a number"):
        call()
