import numpy as np
import pytest

from specvae.metrics import running_median
from specvae.metrics._weighted_quantile import weighted_quantile

NAN = np.nan


def test_windows_by_hand():
    # Two windows of four: 1 2 3 4 and 5 6 7 8.
    result = running_median(
        [5.0, 1.0, 6.0, 2.0, 7.0, 3.0, 8.0, 4.0],
        [10.0, 0.0, 20.0, 1.0, 30.0, 2.0, 90.0, 9.0],
        n_windows=2,
        min_stars=4,
        share=0.5,
    )
    np.testing.assert_allclose(result.position, [2.5, 6.5])
    np.testing.assert_allclose(result.median, [1.5, 25.0])
    # Quarters of 0 1 2 9 and 10 20 30 90 fall between two values.
    np.testing.assert_allclose(result.low, [0.5, 15.0])
    np.testing.assert_allclose(result.high, [5.5, 60.0])
    assert result.n_stars.tolist() == [4, 4]
    assert result.share == 0.5


def test_windows_hold_equally_many_rows():
    x = np.random.default_rng(0).normal(size=400) ** 3
    assert running_median(x, x, n_windows=8).n_stars.tolist() == [50] * 8


def test_band_of_normal_scatter_around_a_line():
    rng = np.random.default_rng(1)
    x = rng.uniform(size=20_000)
    result = running_median(x, 3.0 * x + rng.normal(scale=0.2, size=20_000))
    np.testing.assert_allclose(result.median, 3.0 * result.position, atol=0.03)
    # 68.3 % of a normal lie within one standard deviation.
    width = np.mean(result.high - result.low) / 2
    assert width == pytest.approx(np.hypot(0.2, 0.15 / np.sqrt(12)), rel=0.02)


def test_each_star_counts_once():
    # One star with 97 spectra at y = 9, and ten with one spectrum each at y = 0 .. 9.
    x, y = np.zeros(107), np.concatenate([np.full(97, 9.0), np.arange(10.0)])
    groups = np.concatenate([np.zeros(97, int), np.arange(1, 11)])
    assert running_median(x, y).median[0] == 9.0
    result = running_median(x, y, groups=groups)
    assert result.median[0] == 5.0  # of 0 .. 9 and 9
    assert result.n_stars.tolist() == [11]


def test_equal_values_share_a_window():
    x = np.repeat([0.0, 1.0], [30, 70])
    result = running_median(x, x + 5.0, n_windows=20, min_stars=1)
    np.testing.assert_allclose(result.position, [0.0, 1.0])
    np.testing.assert_allclose(result.median, [5.0, 6.0])
    assert result.n_stars.tolist() == [30, 70]


def test_few_stars_make_few_windows():
    x = np.arange(25.0)
    assert len(running_median(x, x).median) == 2
    assert len(running_median(x[:3], x[:3]).median) == 1


def test_unknown_rows_are_left_out():
    result = running_median([1.0, NAN, 3.0, 4.0], [5.0, 6.0, 7.0, NAN])
    assert (result.position[0], result.median[0], result.n_stars[0]) == (2.0, 6.0, 2)


@pytest.mark.parametrize("share", [0.0, 0.16, 0.25, 0.5, 0.9, 1.0])
def test_equal_weights_give_the_quantiles_of_numpy(share):
    values = np.random.default_rng(2).normal(size=37).round(1)
    expected = np.quantile(values, share, method="averaged_inverted_cdf")
    assert weighted_quantile(values, np.full(37, 1 / 3), np.array(share)) == expected


def test_whole_weights_are_repeats():
    values, weight = np.array([3.0, 1.0, 2.0]), np.array([1, 2, 4])
    shares = np.array([0.1, 2 / 7, 0.5, 6 / 7, 1.0])
    expected = np.quantile(np.repeat(values, weight), shares, method="averaged_inverted_cdf")
    np.testing.assert_array_equal(weighted_quantile(values, weight, shares), expected)


def test_bad_rows_are_refused():
    with pytest.raises(ValueError, match="y has 2 values, x 3; give one for each spectrum"):
        running_median([1.0, 2.0, 3.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="x and y of 2 spectra: none is known"):
        running_median([1.0, NAN], [NAN, 1.0])
    with pytest.raises(ValueError, match="x contains infinity, first in row 1"):
        running_median([1.0, np.inf], [1.0, 1.0])
    with pytest.raises(ValueError, match="2 spectra, 1 groups"):
        running_median([1.0, 2.0], [1.0, 1.0], groups=["a"])
    with pytest.raises(ValueError, match="groups has no star for 1 spectra"):
        running_median([1.0, NAN], [1.0, 1.0], groups=[1.0, NAN])
    with pytest.raises(ValueError, match="share must be a number > 0 and <= 1"):
        running_median([1.0], [1.0], share=1.5)
    with pytest.raises(ValueError, match="n_windows must be an integer"):
        running_median([1.0], [1.0], n_windows=0)
    with pytest.raises(ValueError, match="min_stars must be an integer"):
        running_median([1.0], [1.0], min_stars=0)
