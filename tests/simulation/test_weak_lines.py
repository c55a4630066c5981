import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from specvae.simulation._lines import _weak_lines
from specvae.simulation._lines._atoms import ionisation_energy_ev
from specvae.simulation._lines._line_list import LineList
from specvae.simulation._lines._species import split_species
from specvae.simulation._lines._weak_lines import draw_weak_lines

# Lines of the Sun: species, wavelength, lower level in eV, log gf, equivalent width in mA; all
# rounded from what several line lists and atlases give.
SOLAR_LINES = pd.DataFrame(
    [
        ("Fe 1", 6240.646, 2.223, -3.23, 48.0),
        ("Fe 1", 5852.219, 4.548, -1.30, 41.0),
        ("Fe 2", 6432.680, 2.891, -3.57, 42.0),
        ("Ca 1", 6166.439, 2.521, -1.14, 70.0),
        ("Ti 1", 5866.451, 1.067, -0.79, 47.0),
        ("Ti 2", 5418.768, 1.582, -2.00, 48.0),
        ("Cr 1", 5287.178, 3.438, -0.90, 11.0),
        ("Ni 1", 6176.807, 4.088, -0.30, 64.0),
        ("V 1", 6090.214, 1.081, -0.06, 34.0),
        ("Co 1", 5352.045, 3.576, 0.06, 26.0),
        ("Sc 2", 6245.637, 1.507, -1.02, 36.0),
        ("Y 2", 5200.406, 0.992, -0.57, 37.0),
        ("Nd 2", 5319.815, 0.550, -0.14, 12.0),
    ],
    columns=["species", "wavelength_aa", "excitation_ev", "log_gf", "width_ma"],
)


@pytest.fixture(scope="module")
def drawn():
    return draw_weak_lines(np.array([5000.0]))


@pytest.fixture(scope="module")
def optical(drawn):
    return drawn[drawn["wavelength_aa"] < 10_000.0]


def test_numbers_and_ranges(drawn, optical):
    assert len(drawn) == 1300 and len(optical) == 1000
    assert optical["wavelength_aa"].between(3700.0, 7000.0).all()
    infrared = drawn.drop(optical.index)
    assert infrared["wavelength_aa"].between(15_000.0, 17_050.0).all()
    assert len(LineList.from_table(drawn)) == 1300  # passes its checks
    assert drawn["wavelength_aa"].is_monotonic_increasing


def test_three_times_as_many_lines_at_3900_as_at_6500(optical):
    blue = optical["wavelength_aa"].between(3700.0, 4100.0).sum()
    red = optical["wavelength_aa"].between(6300.0, 6700.0).sum()
    assert blue / red == pytest.approx(3.0, rel=0.2)


def test_species_come_in_their_shares(optical):
    share = optical["species"].value_counts(normalize=True)
    assert share["Fe 1"] == pytest.approx(0.455, abs=0.045)
    for species, expected in (("Ti 1", 0.08), ("Cr 1", 0.065), ("Ni 1", 0.06), ("Fe 2", 0.035)):
        assert share[species] == pytest.approx(expected, abs=0.025)
    assert {"V 1", "Co 1", "Mn 1", "Ti 2", "Ca 1", "Si 1", "Ce 2", "Nd 2", "Y 2", "Sc 2",
            "Zr 1"} <= set(share.index)  # fmt: skip


def test_excitation_of_the_species(optical):
    of = optical.groupby("species")["excitation_ev"]
    assert of.get_group("Fe 1").between(0.0, 5.1).all()
    # More than half from the upper two fifths of the range.
    assert of.get_group("Fe 1").median() == pytest.approx(3.1, abs=0.2)
    assert of.get_group("Ti 1").between(0.0, 2.5).all()
    assert of.get_group("Ti 1").mean() == pytest.approx((0.0 + 1.2 + 2.5) / 3.0, abs=0.1)
    for species in ("Fe 2", "Ti 2", "Y 2", "Nd 2"):
        assert of.get_group(species).between(0.0, 4.1).all()


def test_upper_levels_are_bound(drawn):
    ionisation_ev = np.array([ionisation_energy_ev(*split_species(s)) for s in drawn["species"]])
    upper_ev = drawn["excitation_ev"] + 12_398.4 / drawn["wavelength_aa"]
    assert (upper_ev < ionisation_ev + 0.002).all()


def test_equivalent_widths_are_those_of_weak_lines():
    uniform = np.random.default_rng(0).uniform(size=100_000)
    width_ma = _weak_lines._width_ma(np.full(100_000, 14.0), np.full(100_000, 6000.0), uniform)
    assert width_ma.max() <= 56.0  # four times the median
    assert ((width_ma > 5.0) & (width_ma < 40.0)).mean() > 0.75
    assert np.median(width_ma) == pytest.approx(14.0, rel=0.1)
    strong_ma = _weak_lines._width_ma(np.full(9, 50.0), np.full(9, 6000.0), np.linspace(0.1, 1, 9))
    assert strong_ma.max() == pytest.approx(70.0)
    blue_ma = _weak_lines._width_ma(np.full(9, 50.0), np.full(9, 3900.0), np.linspace(0.1, 1, 9))
    assert blue_ma.max() == pytest.approx(46.8)  # 1.2e-5 of the wavelength


def test_oscillator_strengths_of_real_lines_of_the_sun():
    expected = SOLAR_LINES["log_gf"]
    found = _weak_lines._log_gf(SOLAR_LINES.drop(columns="log_gf"))
    np.testing.assert_allclose(found, expected, rtol=0, atol=0.3)
    assert np.abs(np.median(found - expected)) < 0.15


def test_oscillator_strengths_are_possible(drawn):
    assert drawn["log_gf"].max() < 1.0 and drawn["log_gf"].min() > -8.0


def test_curve_of_growth_is_linear_then_flat():
    width = 1e-8 * np.array([1.0, 2.0])
    depth = _weak_lines._optical_depth(width)
    # W / lambda = sqrt(pi) tau0 b / c with b = 1.6 km/s.
    np.testing.assert_allclose(depth, width * 299_792.458 / 1.6 / np.sqrt(np.pi), rtol=5e-3)
    strong = _weak_lines._optical_depth(1e-6 * np.array([8.0, 12.0]))
    assert strong[1] / strong[0] > 2.0


def test_triangular_distribution():
    low, mode, high = (np.full(1001, x) for x in (0.0, 4.0, 5.0))
    uniform = np.linspace(0.0, 1.0, 1001)
    value = _weak_lines._triangular(low, mode, high, uniform)
    assert (value[0], value[-1]) == (0.0, 5.0)
    assert value[800] == pytest.approx(4.0)  # four fifths lie below the mode
    assert value.mean() == pytest.approx(3.0, abs=1e-3)
    np.testing.assert_array_equal(_weak_lines._triangular(mode, mode, mode, uniform), 4.0)


def test_drawn_lines_keep_away_from_taken_ones_and_only_those_move(drawn):
    taken_aa = drawn["wavelength_aa"].to_numpy()[::10] + 0.04
    again = draw_weak_lines(taken_aa)
    distance_aa = np.abs(again["wavelength_aa"].to_numpy()[:, np.newaxis] - taken_aa).min(axis=1)
    assert distance_aa.min() >= 0.05
    stayed = np.isin(drawn["wavelength_aa"], again["wavelength_aa"])
    assert 0.5 < stayed.mean() < 0.9
    assert sorted(again["species"]) == sorted(drawn["species"])
    assert len(draw_weak_lines(np.array([]))) == 1300


def test_every_process_draws_the_same_lines(drawn):
    before = np.random.get_state()[1].copy()
    code = (
        "import numpy as np, pandas as pd\n"
        "from specvae.simulation._lines._weak_lines import draw_weak_lines\n"
        "table = draw_weak_lines(np.array([5000.0]))\n"
        "print(pd.util.hash_pandas_object(table).sum())\n"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert int(run.stdout) == int(pd.util.hash_pandas_object(drawn).sum())
    pd.testing.assert_frame_equal(draw_weak_lines(np.array([5000.0])), drawn)
    np.testing.assert_array_equal(np.random.get_state()[1], before)
