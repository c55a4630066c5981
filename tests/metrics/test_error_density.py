import numpy as np
import pytest
from scipy.stats import gaussian_kde, norm

from specvae.metrics import error_density

NAN = np.nan


def test_one_error_gives_the_kernel():
    result = error_density([2.0], bandwidth=0.5, limits=(0.0, 4.0), n_points=9)
    np.testing.assert_allclose(result.position, np.linspace(0.0, 4.0, 9))
    np.testing.assert_allclose(result.density, norm.pdf(result.position, 2.0, 0.5))
    assert (result.bandwidth, result.outside, result.counted) == (0.5, 0.0, "spectra")


def test_agreement_with_scipy_given_the_bandwidth():
    error = np.random.default_rng(0).normal(size=300)
    oracle = gaussian_kde(error)
    result = error_density(error, bandwidth=float(np.sqrt(oracle.covariance[0, 0])))
    np.testing.assert_allclose(result.density, oracle(result.position), rtol=1e-10)


def test_density_of_a_normal_is_found():
    error = 5.0 + 40.0 * np.random.default_rng(1).normal(size=20_000)
    result = error_density(error)
    expected = norm.pdf(result.position, 5.0, np.hypot(40.0, result.bandwidth))
    np.testing.assert_allclose(result.density, expected, atol=0.03 * expected.max())
    assert result.bandwidth == pytest.approx(0.9 * 40.0 * 20_000**-0.2, rel=0.03)
    step = result.position[1] - result.position[0]
    assert result.density.sum() * step == pytest.approx(1.0, abs=0.01)


def test_outliers_do_not_widen_the_kernel():
    error = np.random.default_rng(2).normal(size=1000)
    wild = np.concatenate([error, [1e4, -1e4]])
    result = error_density(wild)
    assert result.bandwidth == pytest.approx(error_density(error).bandwidth, rel=0.02)
    assert result.position.max() < 10.0
    assert 2 / 1002 <= result.outside <= 0.01


def test_each_star_counts_once():
    errors, groups = [0.0, 0.0, 0.0, 4.0], ["a", "a", "a", "b"]
    options = {"bandwidth": 0.1, "limits": (0.0, 4.0), "n_points": 2}
    by_star = error_density(errors, groups=groups, **options)
    assert by_star.density[0] == pytest.approx(by_star.density[1])
    assert by_star.counted == "stars"
    by_spectrum = error_density(errors, **options)
    assert by_spectrum.density[0] == pytest.approx(3 * by_spectrum.density[1])


def test_bandwidth_counts_stars():
    error = np.random.default_rng(3).normal(size=200)
    once = error_density(error, groups=np.arange(200))
    often = error_density(np.repeat(error, 50), groups=np.repeat(np.arange(200), 50))
    assert often.bandwidth == pytest.approx(once.bandwidth)
    assert error_density(np.repeat(error, 50)).bandwidth < 0.5 * once.bandwidth


def test_limits_say_what_lies_outside():
    result = error_density([NAN, -5.0, 0.0, 1.0, 7.0], limits=(-2.0, 2.0), bandwidth=1.0)
    assert result.outside == 0.5
    assert (result.position[0], result.position[-1]) == (-2.0, 2.0)


def test_mostly_equal_errors_fall_back_to_the_standard_deviation():
    error = np.array([0.0] * 9 + [1.0])  # quartiles agree
    assert error_density(error).bandwidth == pytest.approx(0.9 * 0.3 * 10**-0.2)


def test_bad_errors_are_refused():
    with pytest.raises(ValueError, match=r"errors are all 0.1 \(3 known\).*bandwidth"):
        error_density([0.1, 0.1, 0.1, NAN])
    with pytest.raises(ValueError, match="none is known"):
        error_density([NAN, NAN])
    with pytest.raises(ValueError, match=r"limits must be \(low, high\)"):
        error_density([1.0, 2.0], limits=(3.0, 1.0))
    with pytest.raises(ValueError, match="bandwidth must be a number > 0"):
        error_density([1.0, 2.0], bandwidth=0.0)
    with pytest.raises(ValueError, match="n_points must be an integer >= 2"):
        error_density([1.0, 2.0], n_points=1)


def test_positions_reach_three_bandwidths_beyond_the_tails():
    result = error_density(np.arange(1001.0), bandwidth=2.0)
    # Of 0 .. 1000, 0.5 % lie below 5 and above 995.
    np.testing.assert_allclose(result.position[[0, -1]], [5.0 - 6.0, 995.0 + 6.0])
