import math

import numpy as np
import pytest

from specvae.simulation._lines._atoms import ionisation_fractions
from specvae.simulation._lines._line_list import LineList
from specvae.simulation._lines._molecular_bands import (
    KELVIN_PER_CM,
    SYSTEMS,
    Band,
    band_lines,
    honl_london,
)
from specvae.simulation._star._atmosphere import BOLTZMANN_ERG_K, Layer
from specvae.simulation._star._molecules import (
    MOLECULES,
    log10_equilibrium_constant,
    log10_molecular_partition,
    molecular_densities,
    molecular_lines,
    molecular_mass_u,
    molecular_partial_pressures,
)

SOLAR = {"C": 2.69e-4, "N": 6.76e-5, "O": 4.90e-4, "Mg": 3.98e-5, "Ti": 8.9e-8}
CARBON_STAR = {**SOLAR, "C": 7.0e-4}

# Neutral shares of the free atoms, roughly as in dwarfs of these temperatures.
NEUTRAL = {
    3000: {},
    3200: {"Ti": 0.99},
    4200: {"Ti": 0.6, "Mg": 0.97},
    4500: {"Ti": 0.3, "Mg": 0.9},
    6500: {"C": 0.99, "Mg": 0.01, "Ti": 0.003},
}

CH, CN, C2, MGH, *TIO = SYSTEMS
*_, BETA = TIO

# Nuclei of each element in each thing that holds it.
NUCLEI = {
    "C": {"C": 1, "CO": 1, "CH": 1, "CN": 1, "C2": 2},
    "N": {"N": 1, "N2": 2, "CN": 1},
    "O": {"O": 1, "CO": 1, "OH": 1, "H2O": 1, "TiO": 1},
    "Mg": {"Mg": 1, "MgH": 1},
    "Ti": {"Ti": 1, "TiO": 1},
}


def complete(system, upper, lower):
    (band,) = [one for one in system.bands if (one.upper, one.lower) == (upper, lower)]
    return band_lines(system, band._replace(step=1))


# Observed heads in air, as in Pearse & Gaydon (The Identification of Molecular Spectra), rounded.
@pytest.mark.parametrize(
    "system, upper, lower, head_aa",
    [
        (CN, 0, 0, 3883.4),
        (CN, 1, 1, 3871.4),
        (CN, 2, 2, 3861.9),
        (CN, 0, 1, 4216.0),
        (CN, 1, 2, 4197.2),
        (C2, 0, 0, 5165.2),
        (C2, 1, 1, 5129.3),
        (C2, 1, 0, 4737.1),
        (C2, 2, 1, 4715.2),
        (C2, 0, 1, 5635.5),
        (MGH, 0, 0, 5211.1),
        (MGH, 1, 1, 5182.0),
    ],
)
def test_heads_of_bands_that_run_to_the_violet(system, upper, lower, head_aa):
    assert complete(system, upper, lower)["wavelength_aa"].max() == pytest.approx(head_aa, abs=0.5)


@pytest.mark.parametrize(
    "systems, upper, lower, head_aa",
    [
        (TIO[0:3], 2, 0, 4761.3),  # alpha
        (TIO[0:3], 1, 0, 4954.6),
        (TIO[0:3], 0, 0, 5166.8),
        (TIO[0:3], 0, 1, 5448.2),
        (TIO[3:4], 1, 0, 5847.6),  # gamma'
        (TIO[3:4], 0, 0, 6158.5),
        (TIO[4:5], 0, 0, 6186.3),
        (TIO[5:6], 0, 0, 6214.9),
        (TIO[6:7], 1, 0, 6714.5),  # gamma
        (TIO[7:8], 1, 0, 6681.1),
        (TIO[8:9], 1, 0, 6651.3),
        ([BETA], 0, 0, 5597.7),
        ([BETA], 1, 1, 5629.3),
    ],
)
def test_heads_of_titanium_oxide_which_runs_to_the_red(systems, upper, lower, head_aa):
    head = min(complete(system, upper, lower)["wavelength_aa"].min() for system in systems)
    assert head == pytest.approx(head_aa, abs=0.7)


def line_aa(system, branch, j, spin=0):
    """Air wavelength of a line of the 0-0 band from level j."""
    j = np.array(float(j))
    level = system.lower.rotational_cm(0, j, spin)
    wavenumber = system.origin_cm + system.upper.rotational_cm(0, j + branch, spin) - level
    # The refractive index of air is 1.000282 here.
    return 1e8 / float(wavenumber) / 1.000282


def test_lines_of_cold_clouds():
    # The well-known interstellar lines from the lowest levels, in air: CH A-X R2(1), CN B-X R(0),
    # R(1) and P(1).
    assert line_aa(CH, 1, 1, spin=-1) == pytest.approx(4300.313, abs=0.05)
    assert line_aa(CN, 1, 0) == pytest.approx(3874.608, abs=0.03)
    assert line_aa(CN, 1, 1) == pytest.approx(3873.998, abs=0.03)
    assert line_aa(CN, -1, 1) == pytest.approx(3875.763, abs=0.03)


def test_the_g_band_lies_between_4290_and_4315():
    lines = LineList.from_table(complete(CH, 0, 0))
    strength = 10.0 ** (lines.log_gf - lines.excitation_ev * 5040.0 / 5000.0)
    inside = (lines.wavelength_aa > 4290) & (lines.wavelength_aa < 4315)
    # Q lines, half of the strength, crowd there; the whole band is 200 Angstrom wide.
    assert strength[inside].sum() > 0.4 * strength.sum()
    # Q lines of 2-2 turn round at 4323.
    q_lines = complete(CH, 2, 2)["wavelength_aa"].between(4322.0, 4324.5)
    assert q_lines.sum() >= 15


def test_the_table_is_a_line_list_of_about_2500_lines():
    table = molecular_lines()
    assert 2000 <= len(table) <= 3000
    assert list(table) == [
        "species",
        "wavelength_aa",
        "excitation_ev",
        "log_gf",
        "damping",
        "name",
    ]
    assert set(table["species"]) == {f"{molecule} 1" for molecule in MOLECULES}
    assert (np.diff(table["wavelength_aa"]) >= 0).all()
    assert table["wavelength_aa"].between(3700, 7000).all()
    assert table["excitation_ev"].between(0, 3).all()
    assert (table["damping"] == 0).all() and (table["name"] == "").all()
    assert len(LineList.from_table(table)) == len(table)


@pytest.mark.parametrize("lower, upper", [(0, 0), (1, 1), (3, 3), (0, 1), (2, 3), (1, 0), (3, 2)])
def test_strengths_of_the_branches_add_up(lower, upper):
    j = np.arange(lower, lower + 40.0)
    branches = [honl_london(branch, lower, upper, j) for branch in (-1, 0, 1)]
    np.testing.assert_allclose(sum(branches), 2.0 * j + 1.0)
    for branch, strength in zip((-1, 0, 1), branches, strict=True):
        assert (strength >= 0).all()
        # No line leads to a level that is not there.
        assert (strength[j + branch < upper] == 0).all()


def test_strengths_worked_out_by_hand():
    j = np.array([1.0, 2.0])
    # Sigma - Sigma: P has J and R has J + 1.
    np.testing.assert_allclose(honl_london(-1, 0, 0, j), [1.0, 2.0])
    np.testing.assert_allclose(honl_london(0, 0, 0, j), 0.0)
    np.testing.assert_allclose(honl_london(1, 0, 0, j), [2.0, 3.0])
    # Pi - Sigma: P (J - 1) / 2, Q (2 J + 1) / 2, R (J + 2) / 2.
    np.testing.assert_allclose(honl_london(-1, 0, 1, j), [0.0, 0.5])
    np.testing.assert_allclose(honl_london(0, 0, 1, j), [1.5, 2.5])
    np.testing.assert_allclose(honl_london(1, 0, 1, j), [1.5, 2.0])


def test_gf_of_one_level_adds_up_to_weight_times_f():
    # Level N = 10 of CN X has the weight 2 (2 N + 1) = 42; f = 0.034.
    table = complete(CN, 0, 0)
    level_ev = (1.8911 * 110.0 - 6.41e-6 * 110.0**2) / 8065.5
    of_level = table[(table["excitation_ev"] - level_ev).abs() < 1e-4]
    assert len(of_level) == 2
    assert (10.0 ** of_level["log_gf"]).sum() == pytest.approx(42 * 0.034, rel=1e-6)


def absorption(table, temperature_k):
    """Sum of gf times the Boltzmann factors."""
    theta = 11_604.5 / temperature_k
    return float(np.sum(10.0 ** table["log_gf"] * np.exp(-theta * table["excitation_ev"])))


def test_the_lines_of_a_band_add_up_to_its_f():
    # Over Q they make f times the share of all molecules in v'' = 0 of the lower state; a rigid
    # rotor has the partition function kT / hc B. Lines below a fifth of the strongest lack.
    thermal_cm = 4500.0 / KELVIN_PER_CM
    for system, b in ((CN, 1.891), (CH, 14.19), (MGH, 5.733)):
        band = system.bands[0]
        table = complete(system, 0, 0)
        expected = band.f * system.weight * thermal_cm / b
        assert 0.85 * expected < absorption(table, 4500.0) < 1.01 * expected, system.species


@pytest.mark.parametrize("step", [2, 5, 12])
def test_fewer_lines_absorb_as_much(step):
    for system in (CN, BETA):
        band = system.bands[0]
        few = band_lines(system, band._replace(step=step))
        many = band_lines(system, band._replace(step=1))
        assert len(few) < 1.2 * len(many) / step
        assert absorption(few, 4000.0) == pytest.approx(absorption(many, 4000.0), rel=0.06)


def test_dicarbon_has_every_other_level():
    # 12C has no spin: 3 (2 N + 1) states in a level of a 3Pi, not 6 (2 N + 1), and sigma = 2.
    band = Band(0, 0, 1.0, 1)
    table = band_lines(C2, band)
    assert C2.weight == 3
    # X, a, b and A at 5040 K, kT / hc = 3503.0: worked out term by term.
    terms = [(0, 1, 1854.7, 1.820), (716, 6, 1641.4, 1.632), (6434, 3, 1470.4, 1.499)]
    terms += [(8391, 2, 1608.4, 1.616), (20022, 6, 1788.2, 1.753)]
    total = sum(
        g * math.exp(-t / 3503.0) * 3503.0 / b / (1 - math.exp(-w / 3503.0)) for t, g, w, b in terms
    )
    assert log10_molecular_partition("C2", 5040.0) == pytest.approx(math.log10(total / 2), abs=1e-4)
    # a holds most of it, of which v'' = 0 has 1 - exp(-1641 / 3503).
    share = absorption(table, 5040.0) / (total / 2)
    of_a = 6 * math.exp(-716 / 3503.0) * 3503.0 / 1.632 / total
    assert share == pytest.approx(of_a, rel=0.15)


def test_partition_functions_worked_out_by_hand():
    # CO at 5040 K: 3503.0 / 1.931 = 1814.1 over 1 - exp(-2169.8 / 3503.0) = 0.4618.
    assert 10 ** log10_molecular_partition("CO", 5040.0) == pytest.approx(3928, rel=2e-3)
    # H2: 3503.0 / (2 * 60.85) = 28.78 over 1 - exp(-4401.2 / 3503.0) = 0.7153.
    assert 10 ** log10_molecular_partition("H2", 5040.0) == pytest.approx(40.2, rel=2e-3)


# log10 of K in dyn/cm2 at theta = 1: the polynomials of Tsuji 1973 (A&A 23, 411) for H2, CO, N2 and
# H2O; for CH and OH a0 - D0 of Sauval & Tatum 1984 (ApJS 56, 193), 10.5263 - 3.465 and
# 10.7881 - 4.392, and 1 from pascal.
@pytest.mark.parametrize(
    "species, published",
    [
        ("H2", 12.739 - 5.1172 + 0.12572 - 0.014149 + 0.00063),
        ("CO", 13.820 - 11.795 + 0.17217 - 0.022888 + 0.00113),
        ("N2", 13.590 - 10.585 + 0.22067 - 0.029997 + 0.00150),
        ("H2O", 25.420 - 10.522 + 0.16939 - 0.018368 + 0.00082),
        ("CH", 8.061),
        ("OH", 7.396),
    ],
)
def test_equilibrium_constants_as_published(species, published):
    assert log10_equilibrium_constant(species, 5040.0) == pytest.approx(published, abs=0.07)


def test_equilibrium_constant_worked_out_by_hand():
    # CO at 5040 K: 4.414 + 1.5 log 6.857 + 2.5 log 5040 + log(9.2 * 8.85 / 3928) - 11.09, where 9.2
    # and 8.85 are the partition functions of C and O.
    expected = 4.414 + 1.5 * 0.8361 + 2.5 * 3.7024 + math.log10(9.2 * 8.85 / 3928) - 11.09
    assert log10_equilibrium_constant("CO", 5040.0) == pytest.approx(expected, abs=0.01)


def test_the_law_of_mass_action_and_the_pressure():
    temperature_k, gas_pressure = 4000.0, 1e5
    numbers = molecular_partial_pressures(temperature_k, gas_pressure, SOLAR, {})
    particles = numbers["H"] + numbers["H2"] + 10.0**-1.07
    pressure = {name: number * gas_pressure / particles for name, number in numbers.items()}
    for name, first, second in (
        ("H2", "H", "H"),
        ("CO", "C", "O"),
        ("CN", "C", "N"),
        ("N2", "N", "N"),
        ("TiO", "Ti", "O"),
        ("MgH", "Mg", "H"),
    ):
        ratio = math.log10(pressure[first] * pressure[second] / pressure[name])
        expected = log10_equilibrium_constant(name, temperature_k)
        assert ratio == pytest.approx(expected, abs=1e-3), name


@pytest.mark.parametrize("abundances", [SOLAR, CARBON_STAR, {**SOLAR, "C": SOLAR["O"]}])
@pytest.mark.parametrize("temperature_k", [1700, 2500, 3000, 4500, 6500, 12_000])
def test_nuclei_are_conserved(temperature_k, abundances):
    neutral = NEUTRAL.get(temperature_k, {})
    for gas_pressure in (1e2, 1e4, 1e6):
        numbers = molecular_partial_pressures(temperature_k, gas_pressure, abundances, neutral)
        assert all(0 < number <= 1 and math.isfinite(number) for number in numbers.values())
        assert numbers["H"] + 2 * numbers["H2"] == pytest.approx(1, rel=1e-9)
        for element, holders in NUCLEI.items():
            held = sum(count * numbers[name] for name, count in holders.items())
            assert held == pytest.approx(abundances[element], rel=1e-6), element


def test_carbon_monoxide_locks_the_scarcer_of_its_atoms():
    oxygen_rich = molecular_partial_pressures(3000, 1e5, SOLAR, NEUTRAL[3000])
    carbon_rich = molecular_partial_pressures(3000, 1e5, CARBON_STAR, NEUTRAL[3000])
    assert oxygen_rich["CO"] > 0.999 * SOLAR["C"]
    assert carbon_rich["CO"] > 0.999 * SOLAR["O"]
    # Carbon molecules take over, oxides go.
    assert carbon_rich["C2"] > 1e8 * oxygen_rich["C2"]
    assert carbon_rich["CN"] > 1e4 * oxygen_rich["CN"]
    assert carbon_rich["TiO"] < 1e-4 * oxygen_rich["TiO"]


def test_molecules_rise_where_stars_are_cool():
    at = {
        temperature_k: molecular_partial_pressures(temperature_k, 1e5, SOLAR, neutral)
        for temperature_k, neutral in NEUTRAL.items()
    }
    assert at[3200]["TiO"] > 100 * at[4200]["TiO"]
    # At 3000 K a good part of all titanium is in it.
    assert at[3000]["TiO"] > 0.2 * SOLAR["Ti"]
    assert at[4500]["CH"] > 2 * at[6500]["CH"]
    assert at[3000]["H2"] > 0.2 > 0.01 > at[4500]["H2"]


def test_a_layer_gives_the_same_as_its_pressure_and_ions():
    temperature_k, gas_pressure, electron_pressure = 4500.0, 5e4, 0.5
    neutral = {
        symbol: float(ionisation_fractions(symbol, temperature_k, math.log10(electron_pressure))[0])
        for symbol in SOLAR
    }
    expected = molecular_partial_pressures(temperature_k, gas_pressure, SOLAR, neutral)
    particles = expected["H"] + expected["H2"] + 10.0**-1.07
    nuclei = gas_pressure / particles / (BOLTZMANN_ERG_K * temperature_k)
    layer = Layer(temperature_k, gas_pressure, electron_pressure, nuclei, expected["H"], 0.0)
    densities = molecular_densities(layer, SOLAR)
    for name, number in expected.items():
        assert densities[name] == pytest.approx(number, rel=2e-3), name


def test_ions_form_no_molecules():
    neutral = molecular_partial_pressures(4500, 1e5, SOLAR, {})
    half = molecular_partial_pressures(4500, 1e5, SOLAR, {"Ti": 0.5})
    assert half["TiO"] == pytest.approx(0.5 * neutral["TiO"], rel=1e-3)


def test_masses():
    assert molecular_mass_u("CO") == pytest.approx(28.010)
    assert molecular_mass_u("TiO") == pytest.approx(63.866, abs=1e-3)
