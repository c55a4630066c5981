import numpy as np
import pytest
from scipy.special import voigt_profile

from specvae.simulation._star._profiles import CUTOFF, sum_voigt_profiles


def direct(n_pixels, centre, area, doppler, damping):
    pixel = np.arange(n_pixels)
    return sum(
        a * voigt_profile(pixel - c, d / np.sqrt(2.0), h * d)
        for c, a, d, h in zip(centre, area, doppler, damping, strict=True)
    )


def test_one_weak_line_is_a_voigt_profile():
    line = [np.array([x]) for x in (100.3, 5.0, 3.0, 0.1)]
    total = sum_voigt_profiles(201, *line)
    np.testing.assert_allclose(total, direct(201, *line), atol=CUTOFF)
    assert total.sum() == pytest.approx(5.0, rel=0.05)


def test_many_lines_of_all_strengths_agree_with_the_direct_sum():
    rng = np.random.default_rng(0)
    n_lines, n_pixels = 300, 4000
    centre = rng.uniform(-200, n_pixels + 200, n_lines)
    area = 10.0 ** rng.uniform(-2, 4, n_lines)
    doppler = rng.uniform(2.0, 5.0, n_lines)
    damping = 10.0 ** rng.uniform(-3, 0, n_lines)
    total = sum_voigt_profiles(n_pixels, centre, area, doppler, damping)
    expected = direct(n_pixels, centre, area, doppler, damping)
    # Each line may leave out CUTOFF; the wings' expansion is good to half a percent.
    np.testing.assert_allclose(total, expected, rtol=0.006, atol=n_lines * CUTOFF)


def test_lines_off_the_axis_reach_in_with_their_wings():
    line = [np.array([x]) for x in (-50.0, 1e4, 3.0, 0.5)]
    total = sum_voigt_profiles(100, *line)
    np.testing.assert_allclose(total, direct(100, *line), rtol=0.006)


def test_wings_of_a_line_that_pressure_rules():
    # As in metal-poor M dwarfs: the Lorentz profile is wider than the Doppler core.
    line = [np.array([x]) for x in (200.3, 1e6, 3.0, 2.0)]
    total = sum_voigt_profiles(401, *line)
    np.testing.assert_allclose(total, direct(401, *line), rtol=0.01)


def test_a_wing_is_cut_at_the_reach():
    line = [np.array([x]) for x in (500.0, 1e6, 3.0, 0.5)]
    total = sum_voigt_profiles(1001, *line, max_reach=100)
    assert total[390] == 0.0 and total[405] > 0.0
    # Without a step: at the end of the reach the wing is as faint as any line's end.
    assert total[401] < 0.05 * total[450] and total[450] > 10.0


def test_a_strong_line_of_little_damping_keeps_its_gaussian_core():
    # The core of a line as strong as this is followed beyond the usual four Doppler widths.
    line = [np.array([x]) for x in (100.0, 1e8, 3.0, 1e-8)]
    total = sum_voigt_profiles(201, *line)
    inside = slice(100 - 15, 100 + 16)
    np.testing.assert_allclose(total[inside], direct(201, *line)[inside], rtol=0.01)


def test_no_line_gives_zeros():
    nothing = np.zeros(0)
    np.testing.assert_array_equal(sum_voigt_profiles(5, *[nothing] * 4), np.zeros(5))
