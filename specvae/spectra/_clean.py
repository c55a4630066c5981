"""Missing pixels become NaN, and a damaged spectrum is refused."""

import numpy as np

from ..exceptions import SpectrumReadError
from ._axis import check_axis
from ._spectrum import Spectrum

# Shorter runs of exact zeros occur in real flux that was clipped or counted in integers.
_MIN_ZERO_RUN = 16
_HARPS_GAP_AA = (5303.6, 5338.1)
# Spikes beyond this many medians are 0.02 % of the pixels at most in 19 good HARPS spectra.
_SPIKE_MEDIANS = 1000.0
_MAX_SPIKE_FRACTION = 0.01


def clean_spectrum(spectrum: Spectrum) -> Spectrum:
    """Return the spectrum with NaN in missing and flagged pixels.

    Raises
    ------
    SpectrumReadError
        If the wavelengths cannot be used, no pixel is left, or the flux is damaged.
    """
    check_axis(spectrum.wavelength_aa)
    flux = spectrum.flux.copy()
    flux[_without_data(spectrum)] = np.nan
    if spectrum.mask is not None:
        flux[spectrum.mask] = np.nan
    check_flux_values(flux)
    error = spectrum.error
    if error is not None:
        known = np.isfinite(error) & (error > 0) & np.isfinite(flux)
        error = np.where(known, error, np.nan).astype(error.dtype) if known.any() else None
    return Spectrum(spectrum.wavelength_aa, flux, error, spectrum.mask, spectrum.meta)


def _without_data(spectrum: Spectrum) -> np.ndarray:
    zero = spectrum.flux == 0
    missing = zero_runs(zero, _MIN_ZERO_RUN)
    if spectrum.meta.get("instrument") == "HARPS":
        low, high = _HARPS_GAP_AA
        missing |= zero & (spectrum.wavelength_aa >= low) & (spectrum.wavelength_aa <= high)
    return missing


def zero_runs(zero: np.ndarray, min_length: int) -> np.ndarray:
    """Return where `zero` is True in a run of at least `min_length`, shape (n_pixels,)."""
    edges = np.flatnonzero(np.diff(zero.astype(np.int8), prepend=0, append=0))
    starts, stops = edges[::2], edges[1::2]
    in_run = np.zeros(len(zero), dtype=bool)
    for start, stop in zip(starts, stops, strict=True):
        if stop - start >= min_length:
            in_run[start:stop] = True
    return in_run


def check_flux_values(flux: np.ndarray) -> None:
    """Raise if no pixel is valid, any is infinite, or too many are absurd."""
    valid = flux[~np.isnan(flux)]
    if not len(valid):
        raise SpectrumReadError(
            f"none of its {len(flux)} pixels is valid (NaN, zero without data, or flagged): "
            "leave the file out."
        )
    n_infinite = int(np.isinf(valid).sum())
    if n_infinite:
        raise SpectrumReadError(
            f"{n_infinite} pixels are infinite: reduce the spectrum again, or write NaN there."
        )
    size = np.abs(valid)
    median = float(np.median(size))
    if median == 0:
        return
    fraction = float(np.mean(size > _SPIKE_MEDIANS * median))
    if fraction > _MAX_SPIKE_FRACTION:
        raise SpectrumReadError(
            f"the flux is damaged: {fraction:.1%} of the pixels exceed {_SPIKE_MEDIANS:g} times "
            f"the median of {median:.4g}, up to {size.max():.1e}: leave the file out or reduce it "
            "again."
        )
