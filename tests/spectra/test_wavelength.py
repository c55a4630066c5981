import numpy as np
import pytest

from specvae.spectra import (
    SPEED_OF_LIGHT_KMS,
    air_to_vacuum,
    doppler_factor,
    doppler_shift,
    vacuum_to_air,
)
from specvae.spectra._wavelength import to_medium

# Air and vacuum wavelengths of lines from the NIST atomic spectra database, in Angstrom.
LINES = {"H alpha": (6562.79, 6564.61), "H beta": (4861.35, 4862.71), "Na D2": (5889.95, 5891.58)}


@pytest.mark.parametrize("air_aa, vacuum_aa", LINES.values(), ids=LINES)
def test_air_and_vacuum_of_known_lines(air_aa, vacuum_aa):
    assert float(vacuum_to_air(vacuum_aa)) == pytest.approx(air_aa, abs=0.01)
    assert float(air_to_vacuum(air_aa)) == pytest.approx(vacuum_aa, abs=0.01)


def test_air_to_vacuum_inverts_vacuum_to_air():
    vacuum_aa = np.linspace(2100.0, 20_000.0, 1000)
    back_aa = air_to_vacuum(vacuum_to_air(vacuum_aa))
    np.testing.assert_allclose(back_aa, vacuum_aa, rtol=0, atol=1e-9)


def test_to_medium_converts_what_is_known_and_differs():
    wavelength_aa = np.array([2000.0, 5000.0])
    converted_aa = to_medium(wavelength_aa, "vacuum", "air")
    np.testing.assert_array_equal(converted_aa, vacuum_to_air(wavelength_aa))
    converted_aa = to_medium(wavelength_aa, "air", "vacuum")
    np.testing.assert_array_equal(converted_aa, air_to_vacuum(wavelength_aa))
    for media in (("air", "air"), ("vacuum", "vacuum"), ("", "air"), ("vacuum", "")):
        assert to_medium(wavelength_aa, *media) is wavelength_aa


def test_to_medium_refuses_wavelengths_below_2000():
    with pytest.raises(ValueError, match=r"from 1999\.90 Angstrom on .* air to vacuum"):
        to_medium(np.array([1999.9, 5000.0]), "air", "vacuum")
    assert to_medium(np.array([1000.0]), "air", "air") == 1000.0


def test_doppler_factor_is_relativistic():
    # beta = 3/5 gives sqrt(1.6 / 0.4) = 2 exactly; the classical formula would give 1.6.
    assert float(doppler_factor(0.6 * SPEED_OF_LIGHT_KMS)) == pytest.approx(2.0, rel=1e-14)
    assert float(doppler_factor(-0.6 * SPEED_OF_LIGHT_KMS)) == pytest.approx(0.5, rel=1e-14)


def test_receding_source_is_red():
    # At 30 km/s v/c is 1.00069e-4, and the second order adds half its square.
    beta = 30.0 / SPEED_OF_LIGHT_KMS
    expected = 5000.0 * (1.0 + beta + beta**2 / 2.0)
    assert float(doppler_shift(5000.0, 30.0)) == pytest.approx(expected, abs=1e-8)
    assert float(doppler_shift(5000.0, 30.0)) > 5000.0 > float(doppler_shift(5000.0, -30.0))


def test_shift_and_shift_back():
    wavelength_aa = np.linspace(3785.0, 6910.0, 50)
    back = doppler_shift(doppler_shift(wavelength_aa, 123.4), -123.4)
    np.testing.assert_allclose(back, wavelength_aa, rtol=1e-14)


@pytest.mark.parametrize("velocity_kms", [SPEED_OF_LIGHT_KMS, -3e5, np.nan, np.inf])
def test_impossible_velocity_is_refused(velocity_kms):
    with pytest.raises(ValueError, match="velocity_kms must be"):
        doppler_shift(5000.0, velocity_kms)
