import numpy as np
import pytest

from specvae.exceptions import GridMismatchError
from specvae.simulation._axis import VelocityAxis
from specvae.simulation._library import LinearMean, SpectralLibrary
from specvae.spectra import air_to_vacuum

AXIS = VelocityAxis.covering(5430.0, 5470.0, 1.0, "air")
NEEDED_AA = (5432.0, 5468.0)
ONE_MODEL = np.array([0]), np.array([1.0])
# 3.631e-9 erg s-1 cm-2 A-1 at 5450 Angstrom over the energy of such a photon, 3.6449e-12 erg.
PHOTONS_AT_V = 996.2


def library(flux_of, *, step_aa=0.05, low_aa=5390.0, high_aa=5510.0, medium="air"):
    wavelength_aa = np.arange(low_aa, high_aa, step_aa)
    flux = np.stack([np.broadcast_to(f(wavelength_aa), wavelength_aa.shape) for f in flux_of])
    return SpectralLibrary(wavelength_aa, flux, medium, AXIS, NEEDED_AA)


def axis_aa():
    return AXIS.wavelength_at(np.arange(AXIS.n_pixels))


def test_means_of_a_line_by_hand():
    # 0 at 0, 4 at 2, level beyond: means over 0 to 1, 1 to 3 and 3 to 4.
    mean = LinearMean(np.array([0.0, 2.0]), np.array([0.0, 1.0, 3.0, 4.0]))
    np.testing.assert_allclose(mean(np.array([0.0, 4.0])), [1.0, (3.0 + 4.0) / 2.0, 4.0])


@pytest.mark.parametrize("n_pixels", [7, 100, 1003])
def test_means_conserve_the_integral(n_pixels):
    knots = np.linspace(0.0, 10.0, 101)
    values = np.random.default_rng(0).uniform(size=101)
    mean = LinearMean(knots, np.linspace(0.0, 10.0, n_pixels + 1))(values)
    integral = 0.1 * (values.sum() - 0.5 * values[0] - 0.5 * values[-1])
    assert mean.sum() * 10.0 / n_pixels == pytest.approx(integral)


def test_flux_becomes_photons_at_v_zero():
    flux = library([lambda w: 7e5]).photon_flux(*ONE_MODEL)
    assert flux.dtype == np.float32
    np.testing.assert_allclose(flux, PHOTONS_AT_V * axis_aa() / 5450.0, rtol=1e-4)


def test_each_model_is_scaled_before_the_sum():
    both = library([lambda w: 1e10, lambda w: 1e-3 * (w - 5350.0) / 100.0])
    flux = both.photon_flux(np.array([0, 1]), np.array([0.25, 0.75]))
    wanted = 0.25 + 0.75 * (axis_aa() - 5350.0) / 100.0
    np.testing.assert_allclose(flux, PHOTONS_AT_V * wanted * axis_aa() / 5450.0, rtol=5e-4)


def test_without_the_v_band_the_median_is_scaled():
    # Half of the pixels at 3, a third at 2, the rest at 50: the median is 3.
    low_aa, high_aa = NEEDED_AA
    third, sixth = low_aa + (high_aa - low_aa) / 3.0, low_aa + 5.0 * (high_aa - low_aa) / 6.0
    made = library(
        [lambda w: np.where(w < third, 2.0, np.where(w < sixth, 3.0, 50.0))], low_aa=5425.0
    )
    assert not made.covers_v
    flux = made.photon_flux(*ONE_MODEL)
    middle = np.argmin(np.abs(axis_aa() - 5450.0))
    assert flux[middle] == pytest.approx(PHOTONS_AT_V, rel=1e-4)


def test_wavelengths_are_converted_to_the_medium_of_the_axis():
    line_aa = 5450.0
    made = library(
        [lambda w: 1.0 - np.exp(-0.5 * ((w - air_to_vacuum(line_aa)) / 0.1) ** 2)],
        step_aa=0.01,
        medium="vacuum",
    )
    energy = made.photon_flux(*ONE_MODEL) / axis_aa()
    depth = 1.0 - energy / np.median(energy)
    near = np.abs(axis_aa() - line_aa) < 1.0
    centre_aa = np.sum(depth[near] * axis_aa()[near]) / np.sum(depth[near])
    assert centre_aa == pytest.approx(line_aa, abs=2e-3)


def test_flux_goes_on_level_beyond_the_library():
    flux = library([lambda w: 1.0], low_aa=5431.9, high_aa=5468.2).photon_flux(*ONE_MODEL)
    np.testing.assert_allclose(flux / axis_aa(), flux[0] / axis_aa()[0], rtol=1e-5)


def test_only_wanted_rows_are_read():
    class Rows(list):
        read = ()

        def __getitem__(self, row):
            self.read = (*self.read, row)
            return super().__getitem__(row)

    wavelength_aa = np.arange(5390.0, 5510.0, 0.05)
    rows = Rows([np.ones(len(wavelength_aa))] * 5)
    made = SpectralLibrary(wavelength_aa, rows, "air", AXIS, NEEDED_AA)
    assert rows.read == ()
    made.photon_flux(np.array([3, 1]), np.array([0.5, 0.5]))
    assert rows.read == (3, 1)


@pytest.mark.parametrize(
    "low_aa, high_aa, message",
    [
        (5440.0, 5510.0, r"covers 5440.0 to 5510.0 Angstrom \(air\), not all of the 5432.0 to"),
        (5390.0, 5460.0, "not all of the 5432.0 to 5468.0"),
        (6000.0, 6100.0, "empty overlap: nothing of the 5432.0 to 5468.0"),
        (5469.0, 6100.0, "empty overlap"),
    ],
)
def test_a_library_that_does_not_reach(low_aa, high_aa, message):
    with pytest.raises(GridMismatchError, match=message):
        library([lambda w: 1.0], low_aa=low_aa, high_aa=high_aa + 0.01)


def test_spectra_without_light_or_with_holes():
    with pytest.raises(ValueError, match=r"flux of model 0 has the mean 0 over 5400.0 to 5500.0"):
        library([lambda w: 0.0]).photon_flux(*ONE_MODEL)
    holed = library([lambda w: 1.0, lambda w: np.where(np.abs(w - 5431.0) < 1.0, np.nan, 1.0)])
    with pytest.raises(ValueError, match=r"not finite|the mean nan"):
        holed.photon_flux(np.array([0, 1]), np.array([0.5, 0.5]))
