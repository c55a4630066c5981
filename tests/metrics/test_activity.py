import numpy as np
import pytest
from scipy.stats import median_abs_deviation

from specvae.metrics import latent_mad


def test_by_hand():
    # medians 2 and 7; deviations 2 1 0 1 8 and zeros
    codes = [[0.0, 7.0], [1.0, 7.0], [2.0, 7.0], [3.0, 7.0], [10.0, 7.0]]
    np.testing.assert_array_equal(latent_mad(codes), [1.0, 0.0])


def test_of_normal_codes():
    scale = np.array([1.0, 0.01])
    codes = np.random.default_rng(0).normal(3.0, scale, size=(20_000, 2))
    np.testing.assert_allclose(latent_mad(codes), 0.6745 * scale, rtol=0.03)
    np.testing.assert_allclose(latent_mad(codes), median_abs_deviation(codes, axis=0))


def test_float32_codes_are_summed_in_float64():
    codes = np.float32([[1e8], [1e8 + 8], [1e8 + 24]])
    assert latent_mad(codes).dtype == np.float64
    np.testing.assert_array_equal(latent_mad(codes), [8.0])


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        ([[0.0, np.nan]], "codes contains NaN"),
        ([[0.0, np.inf]], "codes contains infinity"),
        ([0.0, 1.0], "Expected 2D array"),
        (np.empty((0, 2)), r"0 sample\(s\)"),
    ],
)
def test_bad_codes_are_refused(codes, message):
    with pytest.raises(ValueError, match=message):
        latent_mad(codes)
