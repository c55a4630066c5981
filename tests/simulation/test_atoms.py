import numpy as np
import pytest

from specvae.simulation._labels import ABUNDANCE_LABELS
from specvae.simulation._lines._atoms import (
    ELEMENTS,
    ionisation_energy_ev,
    ionisation_fractions,
    log10_partition,
    saha_log10_ratio,
)

# Rounded; at 5040 K tables agree to some percent.
PARTITION_AT_5040_K = {
    ("H", 1): 2.0,
    ("Na", 1): 2.07,
    ("Mg", 1): 1.02,
    ("Mg", 2): 2.0,
    ("Al", 1): 5.85,
    ("Si", 1): 9.5,
    ("K", 1): 2.2,
    ("Ca", 1): 1.18,
    ("Ca", 2): 2.2,
    ("Sc", 2): 23.0,
    ("Ti", 1): 30.0,
    ("Ti", 2): 56.0,
    ("V", 1): 48.0,
    ("Cr", 1): 10.4,
    ("Cr", 2): 7.2,
    ("Mn", 1): 6.4,
    ("Fe", 1): 27.5,
    ("Fe", 2): 43.0,
    ("Co", 1): 33.0,
    ("Ni", 1): 30.5,
    ("Ni", 2): 10.8,
    ("Sr", 1): 1.26,
    ("Sr", 2): 2.2,
    ("Y", 2): 16.0,
    ("Ba", 2): 4.2,
}


def test_elements_are_in_order_and_complete_up_to_zinc():
    numbers = [element.number for element in ELEMENTS.values()]
    assert numbers == sorted(numbers) and numbers[:30] == list(range(1, 31))
    assert {"Rb", "Sr", "Y", "Zr", "Nb", "Mo", "Ba", "La", "Ce", "Pr", "Nd", "Sm", "Eu", "Gd", "Dy",
            "Pb", "U"} <= set(ELEMENTS)  # fmt: skip


@pytest.mark.parametrize(
    "symbol, number, mass_u, first_ev, second_ev, abundance_dex, label",
    [
        ("H", 1, 1.008, 13.598, np.inf, 12.0, ""),
        ("He", 2, 4.003, 24.587, 54.418, 10.93, ""),
        ("C", 6, 12.011, 11.260, 24.383, 8.43, "c_fe_dex"),
        ("Na", 11, 22.990, 5.139, 47.286, 6.24, "na_fe_dex"),
        ("Ca", 20, 40.078, 6.113, 11.872, 6.34, "ca_fe_dex"),
        ("Fe", 26, 55.845, 7.902, 16.199, 7.50, ""),
        ("Ni", 28, 58.693, 7.640, 18.169, 6.22, "ni_fe_dex"),
        ("Ba", 56, 137.33, 5.212, 10.004, 2.18, "ba_fe_dex"),
    ],
)
def test_constants_of_an_element(symbol, number, mass_u, first_ev, second_ev, abundance_dex, label):
    element = ELEMENTS[symbol]
    assert element.number == number
    assert element.mass_u == pytest.approx(mass_u, abs=0.003)
    assert element.ionisation_ev == pytest.approx((first_ev, second_ev), abs=0.001)
    assert element.abundance_dex == abundance_dex
    assert element.label == label


def test_constants_are_plausible():
    for symbol, element in ELEMENTS.items():
        first_ev, second_ev = element.ionisation_ev
        assert 3.8 < first_ev < second_ev, symbol
        assert 1.0 <= element.mass_u / element.number < 2.7, symbol
        assert -1.0 < element.abundance_dex <= 12.0, symbol


def test_labels_move_the_elements_that_they_name():
    moved = {}
    for symbol, element in ELEMENTS.items():
        moved.setdefault(element.label, []).append(symbol)
    assert set(moved) - {""} == set(ABUNDANCE_LABELS)
    assert moved["iron_peak_fe_dex"] == ["Sc", "V", "Mn", "Co", "Cu", "Zn"]
    assert {"Fe", "Ne", "P", "S", "Cl", "Ar", "K"} <= set(moved[""])
    assert {"Sr", "Y", "Zr", "La", "Ce", "Nd", "Eu"} <= set(moved["ba_fe_dex"])
    assert [s for s, element in ELEMENTS.items() if not element.follows_metallicity] == ["H", "He"]


@pytest.mark.parametrize("species", PARTITION_AT_5040_K, ids=lambda one: f"{one[0]}{one[1]}")
def test_partition_functions_of_the_sun(species):
    expected = PARTITION_AT_5040_K[species]
    assert 10.0 ** log10_partition(*species, 5040.0) == pytest.approx(expected, rel=0.05)


def test_partition_functions_at_the_ends_of_the_range():
    # From the levels of the ground term and the first above it alone: Ca I at 3000 K has its
    # ground state and a little of 4s4p 3P at 1.89 eV, weight 9; Sr II at 3000 K 4d at 1.82 eV.
    calcium = 1.0 + 9.0 * 10.0 ** (-5040.0 / 3000.0 * 1.89)
    assert 10.0 ** log10_partition("Ca", 1, 3000.0) == pytest.approx(calcium, rel=0.03)
    # Na I at 6000 K: 3s, 3p at 2.10 eV (6), 4s at 3.19 (2), 3d at 3.62 (10), 4p at 3.75 (6).
    theta = 5040.0 / 6000.0
    sodium = 2.0 + sum(
        weight * 10.0 ** (-theta * energy_ev)
        for weight, energy_ev in ((6, 2.10), (2, 3.19), (10, 3.62), (6, 3.75))
    )
    assert 10.0 ** log10_partition("Na", 1, 6000.0) == pytest.approx(sodium, rel=0.06)


@pytest.mark.parametrize("symbol", ELEMENTS)
def test_partition_functions_grow_and_stay_constant_beyond_the_fit(symbol):
    temperature_k = np.linspace(2000.0, 10_000.0, 81)
    for stage in (1, 2, 3):
        value = log10_partition(symbol, stage, temperature_k)
        assert value.shape == (81,)
        # A polynomial may dip by some percent where the function is flat.
        assert (value - np.maximum.accumulate(value) > -0.03).all(), stage
        assert log10_partition(symbol, stage, 1000.0) == value[0]
        assert log10_partition(symbol, stage, 20_000.0) == value[-1]


def test_saha_by_hand():
    # Hydrogen at 10080 K: theta 0.5, 2.5 log T = 10.0087, I theta = 6.7992, U1/U0 = 1/2.
    ratio = saha_log10_ratio(10_080.0, ionisation_energy_ev("H", 1), np.log10(0.5))
    assert ratio == pytest.approx(10.0087 - 6.7992 - 0.3010 - 0.1762, abs=1e-3)


def test_saha_constant_follows_from_nature():
    electron_g, boltzmann, planck = 9.10938e-28, 1.380649e-16, 6.62607e-27
    constant = 2.0 * (2.0 * np.pi * electron_g) ** 1.5 * boltzmann**2.5 / planck**3
    assert saha_log10_ratio(1.0, 0.0, 0.0) == pytest.approx(np.log10(constant), abs=3e-4)


def test_ionisation_in_the_sun():
    # Textbook: iron is 90 % ionised where the lines of the Sun form, sodium 99.9 %, carbon hardly.
    assert ionisation_fractions("Fe", 5300.0, 0.9)[1] == pytest.approx(0.9, abs=0.03)
    assert ionisation_fractions("Na", 5300.0, 0.9)[0] < 2e-3
    assert ionisation_fractions("C", 5300.0, 0.9)[0] > 0.99


def test_ionisation_fractions_sum_to_one_and_follow_temperature_and_pressure():
    temperature_k = np.linspace(2000.0, 15_000.0, 14)[:, np.newaxis]
    log10_electron_pressure = np.array([-4.0, 0.0, 4.0])
    for symbol in ELEMENTS:
        fractions = ionisation_fractions(symbol, temperature_k, log10_electron_pressure)
        assert fractions.shape == (3, 14, 3)
        assert np.isfinite(fractions).all() and (fractions >= 0.0).all(), symbol
        np.testing.assert_allclose(fractions.sum(axis=0), 1.0)
        assert (np.diff(fractions[0], axis=0) <= 1e-12).all(), symbol  # heat ionises
        assert (np.diff(fractions[0], axis=1) >= -1e-12).all(), symbol  # electrons recombine


def test_hydrogen_has_no_second_ion():
    neutral, ion, none = ionisation_fractions("H", np.array([5000.0, 12_000.0]), 1.0)
    assert neutral[0] > 0.999 and ion[1] > 0.99
    np.testing.assert_array_equal(none, 0.0)
