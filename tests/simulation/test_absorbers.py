import numpy as np
import pytest

from specvae.simulation._lines._atoms import ionisation_fractions, log10_partition
from specvae.simulation._star._absorbers import Absorbers, unsoeld_log_gamma
from specvae.simulation._star._atmosphere import solve_photosphere
from specvae.simulation._star._model import abundances_of
from specvae.simulation._star._molecules import molecular_densities


def test_atoms_in_molecules_absorb_no_atomic_lines():
    abundances = abundances_of({"mh_dex": 0.0}, ("Fe", "Ti"))
    layer = solve_photosphere(3000.0, 5.0, abundances).metals
    free = molecular_densities(layer, abundances)["Ti"]
    assert free < 0.7 * abundances["Ti"]
    fraction = ionisation_fractions("Ti", layer.temperature_k, np.log10(layer.electron_pressure))
    expected = np.log10(free * fraction[0]) - log10_partition("Ti", 1, layer.temperature_k)
    for species in (("Fe 1", "Ti 1"), ("Fe 1", "Ti 1", "TiO 1")):
        number = Absorbers(species).log10_per_weight(layer, abundances)
        assert number[1] == pytest.approx(expected, abs=0.01)


def test_width_of_unsoeld_by_hand():
    # A level 4 eV below the limit and one 2 eV: C6 = 0.3e-30 (1/4 - 1/16) = 5.625e-32, and iron
    # meets hydrogen at 1.4624e6 cm/s; 1.3 * 17 * 1.4624e6**0.6 * 5.625e-32**0.4.
    one = (12_398.42 / 2.0, 3.9, 7.9, 1.0, 55.845)
    log_gamma = unsoeld_log_gamma(*(np.array([value]) for value in one))
    assert log_gamma[0] == pytest.approx(-7.457, abs=0.002)
