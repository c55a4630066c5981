import numpy as np
import pytest

from specvae.simulation._star._atmosphere import Layer
from specvae.simulation._star._hydrogen import (
    air_wavelength_aa,
    collision_width,
    hydrogen_lines,
    hydrogen_profile,
    oscillator_strength,
    stark_coefficient,
)

HOT = Layer(10_000.0, 1e4, 500.0, 1e15, 0.7, 0.3)
COOL = Layer(5900.0, 1e5, 15.0, 1e17, 1.0, 0.0)


@pytest.mark.parametrize(
    ("name", "wavelength_aa"),
    [("H alpha", 6562.79), ("H beta", 4861.33), ("H gamma", 4340.46), ("H delta", 4101.73)],
)
def test_balmer_lines_are_where_they_are(name, wavelength_aa):
    (line,) = [line for line in hydrogen_lines(4000.0, 7000.0) if line.name == name]
    assert air_wavelength_aa(line) == pytest.approx(wavelength_aa, abs=0.015)
    assert line.excitation_ev == pytest.approx(10.199, abs=0.001)


def test_brackett_lines_lie_in_the_h_band():
    uppers = [line.upper for line in hydrogen_lines(15_500.0, 16_900.0)]
    assert uppers == list(range(11, 17))
    (line,) = [line for line in hydrogen_lines(16_000.0, 17_000.0) if line.upper == 11]
    assert line.vacuum_aa == pytest.approx(16_811.1, abs=0.3)


@pytest.mark.parametrize(
    ("lower", "upper", "strength"),
    # Wiese & Fuhr: multiplets of hydrogen.
    [(1, 2, 0.4162), (2, 3, 0.6407), (2, 4, 0.1193), (2, 5, 0.04467), (3, 4, 0.8421)],
)
def test_oscillator_strengths(lower, upper, strength):
    assert oscillator_strength(lower, upper) == pytest.approx(strength, rel=2e-3)


def test_stark_coefficients_join_their_asymptote():
    # Rounded from the table of Kurucz's ATLAS, which goes further than that of SYNTHE.
    assert stark_coefficient(2, 6) == pytest.approx(0.0348, rel=0.03)
    assert stark_coefficient(3, 7) == pytest.approx(0.261, rel=0.03)
    assert stark_coefficient(4, 8) == pytest.approx(1.19, rel=0.03)


@pytest.mark.parametrize("layer", [HOT, COOL])
def test_profiles_have_unit_integral(layer):
    offset_aa = np.linspace(-3000.0, 3000.0, 3_000_001)
    step_aa = offset_aa[1] - offset_aa[0]
    for line in hydrogen_lines(4800.0, 7000.0):
        profile = hydrogen_profile(offset_aa, line, layer, 0.3)
        assert (profile > 0).all()
        assert profile.sum() * step_aa == pytest.approx(1.0, abs=0.01)


def test_wings_fall_as_holtsmark_says_and_grow_with_the_ions():
    (beta,) = [line for line in hydrogen_lines(4800.0, 5000.0) if line.name == "H beta"]
    near, far = hydrogen_profile(np.array([20.0, 40.0]), beta, HOT, 0.3)
    assert near / far == pytest.approx(2.0**2.5, rel=0.05)
    denser = HOT._replace(electron_pressure=1000.0)
    assert hydrogen_profile(np.array([20.0]), beta, denser, 0.3)[0] / near == pytest.approx(
        2.0, rel=0.05
    )


def test_collision_width_of_sodium():
    # Na D: sigma 407, alpha 0.273 gives log gamma per atom of -7.53 at 10,000 K (VALD).
    full = 2.0 * collision_width(407.0, 0.273, 10_000.0, 1.008 * 22.99 / (1.008 + 22.99))
    assert np.log10(full) == pytest.approx(-7.53, abs=0.03)
