"""Broadening that moves no energy: rotation, macroturbulence, line spread and pixel."""

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft
from scipy.special import erfc

_LIMB_DARKENING = 0.6  # linear, of the Sun in the visible (Gray, chapter 17)
FWHM_PER_SIGMA = 2.0 * np.sqrt(2.0 * np.log(2.0))


def rotation_kernel(velocity_kms: np.ndarray, vsini_kms: float) -> np.ndarray:
    """Profile of a sharp line on a rotating sphere with linear limb darkening, unit sum.

    Gray, The Observation and Analysis of Stellar Photospheres, 3rd edition, equation 18.14.
    """
    if vsini_kms <= 0:
        return _spike(velocity_kms)
    square = np.clip(1.0 - (velocity_kms / vsini_kms) ** 2, 0.0, None)
    kernel = (
        2.0 * (1.0 - _LIMB_DARKENING) * np.sqrt(square) + np.pi * _LIMB_DARKENING / 2.0 * square
    )
    return kernel / kernel.sum()


def macroturbulence_kernel(velocity_kms: np.ndarray, vmac_kms: float) -> np.ndarray:
    """Radial-tangential macroturbulence with equal shares, seen over the disc, unit sum.

    Gray, chapter 17: the integral of exp(-1/u**2) over u is done, which leaves
    exp(-y**2) - sqrt(pi) y erfc(y) with y = |v| / vmac.
    """
    if vmac_kms <= 0:
        return _spike(velocity_kms)
    y = np.abs(velocity_kms) / vmac_kms
    kernel = np.exp(-(y**2)) - np.sqrt(np.pi) * y * erfc(y)
    return kernel / kernel.sum()


def broaden(
    flux: np.ndarray, step_kms: float, *, vsini_kms: float, vmac_kms: float, sigma_kms: float
) -> np.ndarray:
    """Convolve flux on an axis of equal velocity steps with all kernels at once.

    Parameters
    ----------
    flux : ndarray of shape (n_pixels,)
    step_kms : float
        Width of a pixel.
    vsini_kms, vmac_kms : float
        Rotation and macroturbulence; zero leaves one out.
    sigma_kms : float
        Standard deviation of a Gaussian, for the line spread of the spectrograph.

    Returns
    -------
    broadened : ndarray of float32, shape (n_pixels,)
        Beyond both ends the flux is taken to go on as it ends.
    """
    # Beyond 3 vmac lies 1e-6 of a kernel, beyond 6 sigma 1e-9.
    reach = int(np.ceil((vsini_kms + 3.0 * vmac_kms + 6.0 * sigma_kms) / step_kms)) + 1
    velocity_kms = step_kms * np.arange(-reach, reach + 1)
    n_fast = next_fast_len(len(flux) + 2 * reach, real=True)
    padded = np.empty(n_fast, dtype=np.float32)
    padded[: len(flux)] = flux
    padded[len(flux) : len(flux) + reach] = flux[-1]
    padded[len(flux) + reach :] = flux[0]

    # A kernel's transform is smooth: the product of the short ones needs one long transform.
    kernel = rotation_kernel(velocity_kms, vsini_kms)
    kernel = np.convolve(kernel, macroturbulence_kernel(velocity_kms, vmac_kms), mode="same")
    wrapped = np.zeros(n_fast, dtype=np.float32)
    wrapped[: reach + 1], wrapped[n_fast - reach :] = kernel[reach:], kernel[:reach]
    response = rfft(wrapped)
    frequency = np.arange(len(response), dtype=np.float32) * np.float32(
        2.0 * np.pi * sigma_kms / (step_kms * n_fast)
    )
    response *= np.exp(np.float32(-0.5) * frequency * frequency)
    return irfft(rfft(padded) * response, n_fast)[: len(flux)]


def line_spread_sigma_kms(resolving_power: float, speed_of_light_kms: float) -> float:
    """Return the standard deviation of a Gaussian with R = wavelength / FWHM."""
    return speed_of_light_kms / (resolving_power * FWHM_PER_SIGMA)


def _spike(velocity_kms: np.ndarray) -> np.ndarray:
    spike = np.zeros_like(velocity_kms)
    spike[len(spike) // 2] = 1.0
    return spike
