import numpy as np
import pytest

from specvae.simulation._star._broadening import (
    broaden,
    line_spread_sigma_kms,
    macroturbulence_kernel,
    rotation_kernel,
)

VELOCITY_KMS = np.arange(-2000, 2001) * 0.1


def variance(kernel):
    return float((kernel * VELOCITY_KMS**2).sum())


def test_kernels_have_unit_sum_and_known_variance():
    rotation = rotation_kernel(VELOCITY_KMS, 30.0)
    assert rotation.sum() == pytest.approx(1.0)
    # Without limb darkening v**2/4, with all of it v**2/5, in shares of light 1 - e and 2e/3.
    share = 2.0 * 0.6 / 3.0 / (1.0 - 0.6 / 3.0)
    assert variance(rotation) == pytest.approx(
        30.0**2 * ((1.0 - share) / 4.0 + share / 5.0), rel=0.02
    )
    macro = macroturbulence_kernel(VELOCITY_KMS, 5.0)
    assert macro.sum() == pytest.approx(1.0)
    # Radial motion along mu with mu-weighted light: zeta**2 <mu**2> / 2, half of it each way.
    assert variance(macro) == pytest.approx(5.0**2 / 4.0, rel=0.02)


def test_kernels_at_rest_do_nothing():
    for kernel in (rotation_kernel(VELOCITY_KMS, 0.0), macroturbulence_kernel(VELOCITY_KMS, 0.0)):
        assert kernel[2000] == 1.0 and kernel.sum() == 1.0


def test_broadening_convolves():
    spike = np.ones(4001)
    spike[2000] = 2.0
    result = broaden(spike, 0.1, vsini_kms=10.0, vmac_kms=3.0, sigma_kms=2.0)
    assert result.dtype == np.float32
    added = result.astype(float) - 1.0
    assert added.sum() == pytest.approx(1.0, abs=2e-3)
    share = 0.4 / 0.8
    expected = 10.0**2 * ((1 - share) / 4 + share / 5) + 3.0**2 / 4.0 + 2.0**2
    width = float((added * (0.1 * np.arange(-2000, 2001)) ** 2)[1500:2501].sum())
    assert width == pytest.approx(expected, rel=0.03)


def test_ends_go_on_and_do_not_wrap():
    step = np.concatenate([np.ones(500), np.full(500, 2.0)])
    result = broaden(step, 1.0, vsini_kms=50.0, vmac_kms=0.0, sigma_kms=3.0)
    np.testing.assert_allclose(result[:400], 1.0, rtol=1e-5)
    np.testing.assert_allclose(result[600:], 2.0, rtol=1e-5)


def test_resolving_power():
    assert line_spread_sigma_kms(115_000, 299_792.458) == pytest.approx(1.107, abs=0.001)
