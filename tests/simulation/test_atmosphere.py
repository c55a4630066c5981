import numpy as np
import pytest

from specvae.simulation._star._atmosphere import (
    _MASS_PER_HYDROGEN_G,
    DONORS,
    Layer,
    _reference_opacity,
    solve_photosphere,
    temperature_at,
    temperature_k,
)
from specvae.simulation._star._model import abundances_of
from specvae.simulation._star._opacity import continuous_opacity


def photosphere(teff_k=5772.0, logg_dex=4.44, mh_dex=0.0):
    return solve_photosphere(teff_k, logg_dex, abundances_of({"mh_dex": mh_dex}, DONORS))


def test_temperature_is_that_of_the_sun():
    # Krishna Swamy's relation: 4,630 K on top; Holweger & Mueller have 6,390 K at 1 (5000 A).
    assert temperature_at(5772.0, 0.0) == pytest.approx(4626.0, abs=5.0)
    assert temperature_at(5772.0, 0.312) == pytest.approx(5772.0, rel=0.003)
    depth = np.array([0.1, 1.0])
    np.testing.assert_allclose(
        temperature_k(5772.0, depth), [temperature_at(5772.0, float(x)) for x in depth]
    )


def test_solar_pressures_are_those_of_detailed_models():
    sun = photosphere()
    # Holweger & Mueller 1974 at tau 0.1: log Pg 4.66, log Pe 0.65; here to 0.15 dex.
    assert np.log10(sun.metals.gas_pressure) == pytest.approx(4.66, abs=0.15)
    assert np.log10(sun.metals.electron_pressure) == pytest.approx(0.65, abs=0.25)
    assert sun.metals.neutral == pytest.approx(1.0, abs=0.01)


def test_pressure_rises_with_gravity_and_falls_with_metals():
    low, high = photosphere(logg_dex=2.0).metals, photosphere(logg_dex=4.5).metals
    # With kappa as Pe, and Pe between Pg (metals all ionised) and its root, Pg goes as a power of
    # gravity between 1/2 and 2/3 and Pe as one between 1/3 and 1/2 (Gray, chapter 9).
    slope = np.log10(high.gas_pressure / low.gas_pressure) / 2.5
    assert 0.5 < slope < 0.667
    slope = np.log10(high.electron_pressure / low.electron_pressure) / 2.5
    assert 0.333 < slope < 0.5
    assert photosphere(mh_dex=-2.0).metals.gas_pressure > 1.5 * photosphere().metals.gas_pressure


def test_hot_gas_is_ionised_and_cool_gas_molecular():
    assert photosphere(11_000.0, 4.0).metals.ionised > 0.5
    assert photosphere(3000.0, 5.0).metals.neutral < 0.6


@pytest.mark.parametrize("teff_k", [3000.0, 4000.0, 5772.0, 8000.0, 11_000.0])
@pytest.mark.parametrize("logg_dex", [0.0, 2.5, 5.5])
@pytest.mark.parametrize("mh_dex", [-2.5, 0.5])
def test_charge_is_conserved_in_the_whole_range(teff_k, logg_dex, mh_dex):
    for layer in photosphere(teff_k, logg_dex, mh_dex):
        assert all(np.isfinite(layer))
        assert 0 < layer.electron_pressure < 0.51 * layer.gas_pressure
        assert 0 <= layer.neutral <= 1 and 0 <= layer.ionised <= 1
        # Ions of hydrogen cannot give more electrons than there are.
        from_hydrogen = layer.ionised * layer.nuclei_per_cm3 * 1.380649e-16 * layer.temperature_k
        assert from_hydrogen <= layer.electron_pressure * 1.001
    depths = [layer.gas_pressure for layer in photosphere(teff_k, logg_dex, mh_dex)]
    assert (np.diff(depths) > 0).all()


@pytest.mark.parametrize("temperature", [2650.0, 3120.0, 4500.0, 6055.0, 9990.0])
def test_the_table_of_opacities_is_the_function(temperature):
    layer = Layer(temperature, 1e5, 30.0, 1e17, 0.9, 0.01)
    direct = continuous_opacity(np.array([5000.0]), temperature, 30.0, 0.9, 0.01)[0]
    assert _reference_opacity(layer) == pytest.approx(direct, rel=0.01)


def test_mass_that_goes_with_a_hydrogen_nucleus():
    # Asplund et al. 2009: hydrogen is 0.7381 of the mass of the solar photosphere.
    assert _MASS_PER_HYDROGEN_G / 1.6605e-24 == pytest.approx(1.008 / 0.7381, rel=0.005)
