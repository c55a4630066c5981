import numpy as np
import pytest

from specvae.metrics import cumulative_share

NAN = np.nan


def test_shares_by_hand():
    result = cumulative_share([3.0, 1.0, NAN, 3.0, 2.0])
    np.testing.assert_array_equal(result.value, [1.0, 2.0, 3.0])
    np.testing.assert_allclose(result.share, [0.25, 0.5, 1.0])
    assert result.counted == "spectra"


def test_each_star_counts_once():
    # Half of star a lies at 1; the unknown spectrum of b leaves b whole.
    result = cumulative_share([1.0, 4.0, 2.0, NAN], groups=["a", "a", "b", "b"])
    np.testing.assert_array_equal(result.value, [1.0, 2.0, 4.0])
    np.testing.assert_allclose(result.share, [0.25, 0.75, 1.0])
    assert result.counted == "stars"


def test_share_ends_at_one_exactly():
    assert cumulative_share(np.arange(7.0), groups=[0, 0, 0, 1, 1, 1, 2]).share[-1] == 1.0


def test_share_of_uniform_values_is_the_value():
    values = np.random.default_rng(0).uniform(size=10_000)
    result = cumulative_share(values)
    np.testing.assert_allclose(result.share, result.value, atol=0.03)


def test_bad_values_are_refused():
    with pytest.raises(ValueError, match="values contains infinity, first in row 0"):
        cumulative_share([np.inf, 1.0])
    with pytest.raises(ValueError, match="none is known"):
        cumulative_share([NAN])
    with pytest.raises(ValueError, match="2 spectra, 3 groups"):
        cumulative_share([1.0, 2.0], groups=[1, 2, 3])
