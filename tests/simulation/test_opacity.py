import numpy as np
import pytest

from specvae.simulation._star._opacity import continuous_opacity

MASS_G = 2.3e-24


def test_solar_photosphere_is_as_opaque_as_in_textbooks():
    # Gray, figure 8.5: about 0.25 to 0.4 cm2/g between 4000 and 8000 A at theta 0.84, Pe 20.
    opacity = (
        continuous_opacity(np.array([4000.0, 5000.0, 8500.0]), 6000.0, 20.0, 1.0, 0.0) / MASS_G
    )
    assert (opacity > 0.2).all() and (opacity < 0.5).all()
    assert opacity[2] > opacity[0]  # H- peaks near 8500 A


def test_h_minus_has_its_minimum_at_1_6_micrometres():
    wavelength_aa = np.linspace(8000.0, 25_000.0, 500)
    opacity = continuous_opacity(wavelength_aa, 6000.0, 20.0, 1.0, 0.0)
    assert wavelength_aa[np.argmin(opacity)] == pytest.approx(16_400.0, abs=400.0)


def test_h_minus_goes_with_the_electron_pressure():
    at = np.array([5000.0])
    one, two = (continuous_opacity(at, 5000.0, pressure, 1.0, 0.0)[0] for pressure in (1.0, 2.0))
    none = continuous_opacity(at, 5000.0, 0.0, 1.0, 0.0)[0]
    assert two - none == pytest.approx(2.0 * (one - none))


def test_balmer_edge_of_hot_gas():
    below, above = continuous_opacity(np.array([3640.0, 3660.0]), 10_000.0, 300.0, 0.5, 0.5)
    assert below > 10.0 * above


def test_ionised_hydrogen_scatters_by_its_electrons():
    opacity = continuous_opacity(np.array([5000.0]), 20_000.0, 1.0, 0.0, 1.0)[0]
    assert opacity == pytest.approx(6.652e-25)


def test_hydrogen_in_molecules_has_no_electrons_to_scatter():
    # Half of the nuclei in H2: half of what all of them absorb as atoms, and nothing else.
    at = np.array([5000.0])
    atoms = continuous_opacity(at, 2700.0, 0.1, 1.0, 0.0)[0]
    assert continuous_opacity(at, 2700.0, 0.1, 0.5, 0.0)[0] == pytest.approx(0.5 * atoms)
