"""Continuous opacity of a stellar photosphere, in cm2 per hydrogen nucleus.

H- and neutral hydrogen absorb, hydrogen atoms and electrons scatter; in M stars one assumed factor,
of all wavelengths alike, stands for molecules. Left out: metals (they matter below 3,500 Angstrom),
helium, H2+, and scattering by H2.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

# Polynomials of Gray, The Observation and Analysis of Stellar Photospheres, 3rd edition,
# equations 8.11 and 8.12 (bound-free, fitted to Wishart 1979) and 8.13 (free-free, Bell &
# Berrington 1987).
_H_MINUS_BOUND_FREE = (
    1.99654,
    -1.18267e-5,
    2.64243e-6,
    -4.40524e-10,
    3.23992e-14,
    -1.39568e-18,
    2.78701e-23,
)
_H_MINUS_FREE_FREE = (
    (-2.2763, -1.6850, 0.76661, -0.053346),
    (15.2827, -9.2846, 1.99381, -0.142631),
    (-197.789, 190.266, -67.9775, 10.6913, -0.625151),
)
_BOUND_FREE_FITTED_TO_AA, _BOUND_FREE_EDGE_AA = 15_000.0, 16_421.0

IONISATION_ENERGY_EV = 13.598
_LYMAN_LIMIT_AA = 911.75
_LOG_E = np.log10(np.e)
THOMSON_CM2 = 6.652e-25

EDGES_AA = tuple(_LYMAN_LIMIT_AA * n**2 for n in range(2, 6))
"""Limits of the Balmer, Paschen, Brackett and Pfund series, in vacuum."""


def continuous_opacity(
    wavelength_aa: np.ndarray,
    temperature_k: float,
    electron_pressure: float,
    neutral: float,
    ionised: float,
) -> np.ndarray:
    """Opacity with stimulated emission, cm2 per hydrogen nucleus, shape of `wavelength_aa`.

    Parameters
    ----------
    wavelength_aa : ndarray
        Angstrom.
    temperature_k : float
    electron_pressure : float
        dyn/cm2.
    neutral : float
        Share of the hydrogen nuclei that are neutral atoms.
    ionised : float
        Share of them that lost the electron; the rest, in H2, is taken to be transparent.
    """
    theta = 5040.0 / temperature_k
    # Gray's expressions for H- contain or need the factor of stimulated emission as here.
    induced = 1.0 - 10.0 ** (-theta * 12_398.42 / wavelength_aa)
    bound_free = _h_minus_bound_free(wavelength_aa, theta) * induced
    free_free = _h_minus_free_free(wavelength_aa, theta)
    hydrogen = _neutral_hydrogen(wavelength_aa, theta) * induced
    rayleigh = 5.799e-13 / wavelength_aa**4 + 1.422e-6 / wavelength_aa**6 + 2.784 / wavelength_aa**8
    absorbed = electron_pressure * (bound_free + free_free) + hydrogen + rayleigh
    # Where hydrogen is ionised its electrons outnumber those of the metals.
    return _molecular_factor(temperature_k) * neutral * absorbed + ionised * THOMSON_CM2


def _molecular_factor(temperature_k: float) -> float:
    """Opacity with the countless lines of molecules that no list has, over that without.

    Bands of TiO and water fill the gaps of M stars: assumed to equal the rest at 3500 K, and to
    grow tenfold in 400 K. It brings the pressure of M dwarfs down to that of detailed models.
    """
    return 1.0 + 10.0 ** min((3500.0 - temperature_k) / 400.0, 2.0)


def _h_minus_bound_free(wavelength_aa: np.ndarray, theta: float) -> np.ndarray:
    """Gray, equations 8.11 and 8.12, per neutral atom and unit of electron pressure."""
    inside = np.minimum(wavelength_aa, _BOUND_FREE_FITTED_TO_AA)
    cross_section = 1e-18 * _polynomial(_H_MINUS_BOUND_FREE, inside)
    # The fit ends before the edge: straight down to zero from there.
    fade = (_BOUND_FREE_EDGE_AA - wavelength_aa) / (_BOUND_FREE_EDGE_AA - _BOUND_FREE_FITTED_TO_AA)
    cross_section *= np.clip(fade, 0.0, 1.0)
    return 4.158e-10 * np.maximum(cross_section, 0.0) * theta**2.5 * 10.0 ** (0.754 * theta)


def _h_minus_free_free(wavelength_aa: np.ndarray, theta: float) -> np.ndarray:
    """Gray, equation 8.13, per neutral atom and unit of electron pressure."""
    log_wavelength, log_theta = np.log10(wavelength_aa), np.log10(theta)
    terms = [_polynomial(coefficients, log_wavelength) for coefficients in _H_MINUS_FREE_FREE]
    return 1e-26 * 10.0 ** (terms[0] + terms[1] * log_theta + terms[2] * log_theta**2)


def _neutral_hydrogen(wavelength_aa: np.ndarray, theta: float) -> np.ndarray:
    """Bound-free and free-free absorption of H, Gray's equations 8.8 to 8.10, Gaunt factors 1.

    The three lowest levels that absorb are summed, those above are integrated over (Unsöld).
    """
    first = np.maximum(np.ceil(np.sqrt(wavelength_aa / _LYMAN_LIMIT_AA)), 1.0)
    total = np.zeros_like(wavelength_aa)
    for level in (first, first + 1.0, first + 2.0):
        excitation_ev = IONISATION_ENERGY_EV * (1.0 - 1.0 / level**2)
        total += 10.0 ** (-theta * excitation_ev) / level**3
    above_ev = IONISATION_ENERGY_EV * (1.0 - 1.0 / (first + 3.0) ** 2)
    # The last term, 10**(-theta I), of the levels above cancels against the free-free absorption.
    total += _LOG_E / (2.0 * theta * IONISATION_ENERGY_EV) * 10.0 ** (-theta * above_ev)
    return 1.0449e-26 * wavelength_aa**3 * total


def _polynomial(coefficients: Sequence[float], x: Any) -> Any:
    return np.polynomial.polynomial.polyval(x, coefficients)
