"""Velocities without a network: cross-correlation with a mask or a template, and what is known."""

import warnings

import numpy as np
from scipy.optimize import OptimizeWarning, curve_fit

from specvae.spectra import doppler_factor

__all__ = [
    "KNOWN_KMS",
    "MASK",
    "MASK_NATIVE",
    "NOTHING",
    "SHIFTS_KMS",
    "TEMPLATE",
    "dip_centre",
    "mask_velocity",
    "orbit_ms",
    "shift_errors",
    "template_velocity",
]

NOTHING, MASK, TEMPLATE = "doing nothing", "mask", "simulated template"
MASK_NATIVE = "mask, 0.01 Angstrom"

SHIFTS_KMS = np.array([0.25, 0.5, 1.0, 2.0, 4.0, 7.0, 11.0, 16.0, 22.0, 30.0])
SHIFTS_KMS = np.r_[-SHIFTS_KMS[::-1], 0.0, SHIFTS_KMS]
# Velocities that the files say themselves: a header of HD 189733; the Sun's file is at rest.
KNOWN_KMS = {"HD189733": -2.3, "Sun": 0.0}

SEARCHED_KMS = np.arange(-100.0, 100.25, 0.5)
# A dip of a slow star is 7 km/s wide at half its depth; the fit sees little beyond it.
HALF_WIDTH_KMS = 10.0

# HD 189733 b. Bakos et al. 2006, ApJ 650, 1160: period and transit; Boisse et al. 2009, A&A 495,
# 959: amplitude. A circular orbit.
PERIOD_DAYS, TRANSIT_JD, AMPLITUDE_MS = 2.218573, 2_453_629.39420, 200.56


def mask_velocity(flux, wavelength_aa, line_aa, weight) -> float:
    """Return the velocity at which lines of a mask meet the least flux, in km/s.

    The mask is a sum of needles of the given weights; flux is interpolated linearly.
    """
    place_aa = line_aa * doppler_factor(SEARCHED_KMS)[:, None]  # (n_velocities, n_lines)
    seen = np.isfinite(flux)
    met = np.interp(place_aa, wavelength_aa[seen], flux[seen])
    return dip_centre(SEARCHED_KMS, met @ weight / weight.sum())


def template_velocity(flux, wavelength_aa, template, template_aa) -> float:
    """Return the velocity at which a spectrum at rest correlates best, in km/s."""
    seen = np.isfinite(flux)
    rest_aa = wavelength_aa[seen] / doppler_factor(SEARCHED_KMS)[:, None]
    moved = np.interp(rest_aa, template_aa, template)  # (n_velocities, n_pixels)
    moved -= moved.mean(axis=1, keepdims=True)
    level = flux[seen] - flux[seen].mean()
    correlation = moved @ level / np.linalg.norm(moved, axis=1) / np.linalg.norm(level)
    return dip_centre(SEARCHED_KMS, -correlation)


def dip_centre(velocity_kms, depth) -> float:
    """Centre of a Gaussian fitted to the deepest dip; its lowest point where no fit is found."""
    lowest = velocity_kms[np.argmin(depth)]
    near = np.abs(velocity_kms - lowest) <= HALF_WIDTH_KMS
    x, y = velocity_kms[near] - lowest, depth[near]
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("error", OptimizeWarning)
            (centre, *_), _ = curve_fit(_dip, x, y, p0=(0.0, 3.0, np.ptp(y), y.max()))
    except (RuntimeError, OptimizeWarning):
        return float(lowest)
    return float(lowest + centre) if abs(centre) < HALF_WIDTH_KMS else float(lowest)


def _dip(x, centre, sigma, contrast, level):
    return level - contrast * np.exp(-0.5 * ((x - centre) / sigma) ** 2)


def shift_errors(velocity_kms, shift_kms):
    """Recovered less injected shift, (n_spectra, n_shifts), with the zero point taken off.

    The zero point of a spectrum is its velocity without a shift, `shift_kms` being zero there.
    """
    velocity_kms, shift_kms = np.asarray(velocity_kms, float), np.asarray(shift_kms, float)
    zero = np.flatnonzero(shift_kms == 0.0)
    if len(zero) != 1:
        raise ValueError(f"shift_kms must hold zero once, not {len(zero)} times.")
    others = np.delete(np.arange(len(shift_kms)), zero)
    recovered = velocity_kms - velocity_kms[:, zero]
    return recovered[:, others] - shift_kms[others]


def orbit_ms(jd):
    """Velocity of HD 189733 by its planet, in m/s: zero at transit, towards us after it."""
    phase = (np.asarray(jd, float) - TRANSIT_JD) / PERIOD_DAYS
    return -AMPLITUDE_MS * np.sin(2.0 * np.pi * phase)
