"""A small forward model for demos and tests: right in kind, not in detail.

Black body times absorption lines. Their strengths follow Boltzmann and Saha at one temperature
and one electron pressure, over H- opacity; see Gray, The Observation and Analysis of Stellar
Photospheres, 3rd edition, chapters 1, 8 and 13. The weak lines lie at random wavelengths, so no
number measured on these spectra says anything about a real line.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import voigt_profile
from sklearn.utils import check_random_state

from ..spectra import SPEED_OF_LIGHT_KMS, WavelengthGrid, air_to_vacuum, doppler_factor

_SUN_TEFF_K, _SUN_LOGG = 5772.0, 4.44
_LABELS = ("teff_k", "logg_dex", "mh_dex", "rv_kms")
_LINES_PER_AA = 0.8
_CORE_FLUX = 0.15  # even a saturated line shows the cool upper photosphere
_WIDTH_KMS = 15.0  # rotation, turbulence and instrument together
_LINE_SEED = 2021  # one line list for all calls: another seed would be another universe


@dataclass(frozen=True)
class SimulatedSpectra:
    """Spectra and what caused them; axis 0 is the spectrum everywhere."""

    flux: np.ndarray  # (n_spectra, n_pixels), float32, with noise
    noiseless_flux: np.ndarray  # (n_spectra, n_pixels), float32
    sigma: np.ndarray  # (n_spectra, n_pixels), float32, standard deviation of the noise
    labels: pd.DataFrame  # (n_spectra, 4): teff_k, logg_dex, mh_dex, rv_kms
    groups: np.ndarray  # (n_spectra,), id of the star


@dataclass(frozen=True)
class _Lines:
    rest_aa: np.ndarray  # (n_lines,), in the medium of the grid
    strength: np.ndarray  # optical depth at the centre in the Sun
    excitation_ev: np.ndarray
    ionisation_ev: np.ndarray
    is_ion: np.ndarray
    is_metal: np.ndarray
    damping_aa: np.ndarray  # Lorentz half width in the Sun


def simulate_spectra(
    n_spectra: int,
    grid: WavelengthGrid,
    random_state: Any = None,
    *,
    spectra_per_star: int = 5,
    snr: float = 100.0,
) -> SimulatedSpectra:
    """Simulate spectra of stars with random labels, several spectra of each star.

    Parameters
    ----------
    n_spectra : int
        Number of spectra.
    grid : WavelengthGrid
        Pixels on which they are computed.
    random_state : int, RandomState or None, default=None
        Seed of labels and noise; the line list is always the same.
    spectra_per_star : int, default=5
        A star's spectra share Teff, log g and [M/H]; velocity, brightness and noise differ.
    snr : float, default=100.0
        Signal to noise ratio per pixel at the median flux; elsewhere it goes as the square root
        of the flux.

    Returns
    -------
    simulated : SimulatedSpectra
        Labels are uniform: Teff 4000 to 7000 K, log g 1 to 5 (dex, cgs), [M/H] -1.5 to 0.5 dex,
        velocity of the star -30 to 30 km/s plus -10 to 10 km/s for each spectrum.

    Raises
    ------
    ValueError
        If a count or the S/N is not positive.

    Notes
    -----
    Left out: limb darkening, molecules, broadening by rotation and instrument (a fixed Gaussian
    of 15 km/s stands for all), departures from one temperature, tellurics.

    Examples
    --------
    >>> simulated = simulate_spectra(10, WavelengthGrid(5000.0, 0.1, 500), random_state=0)
    >>> simulated.flux.shape, len(set(simulated.groups))
    ((10, 500), 2)
    """
    for name, value in (("n_spectra", n_spectra), ("spectra_per_star", spectra_per_star)):
        if int(value) != value or value < 1:
            raise ValueError(f"{name} must be an integer >= 1, got {value!r}.")
    if not snr > 0:
        raise ValueError(f"snr must be positive, got {snr!r}.")
    rng = check_random_state(random_state)
    groups = np.arange(n_spectra) // spectra_per_star
    labels = _draw_labels(groups, rng)
    brightness = 10.0 ** rng.uniform(2.0, 4.0, size=n_spectra)

    lines = _line_list(grid)
    noiseless = np.empty((n_spectra, grid.n_pixels), dtype=np.float32)
    for row, (teff_k, logg_dex, mh_dex, rv_kms) in enumerate(labels.to_numpy()):
        depth = _optical_depth(grid, lines, teff_k, logg_dex, mh_dex, rv_kms)
        transmission = _CORE_FLUX + (1.0 - _CORE_FLUX) * np.exp(-depth)
        noiseless[row] = brightness[row] * _continuum(grid, teff_k) * transmission
    median = np.median(noiseless, axis=1, keepdims=True)
    sigma = np.sqrt(noiseless * median) / np.float32(snr)
    flux = noiseless + sigma * rng.standard_normal(noiseless.shape).astype(np.float32)
    return SimulatedSpectra(flux, noiseless, sigma, labels, groups)


def _draw_labels(groups: np.ndarray, rng: np.random.RandomState) -> pd.DataFrame:
    n_stars = groups[-1] + 1
    of_star = np.column_stack(
        [
            rng.uniform(4000.0, 7000.0, n_stars),
            rng.uniform(1.0, 5.0, n_stars),
            rng.uniform(-1.5, 0.5, n_stars),
            rng.uniform(-30.0, 30.0, n_stars),
        ]
    )
    labels = of_star[groups]
    labels[:, 3] += rng.uniform(-10.0, 10.0, len(groups))
    return pd.DataFrame(labels, columns=list(_LABELS))


def _line_list(grid: WavelengthGrid) -> _Lines:
    """Balmer and Mg b lines where they are, weak metal lines at random."""
    rng = np.random.default_rng(_LINE_SEED)
    # Drawn over a fixed range, so that two grids see the same lines where they overlap.
    low, high = 3000.0, 18000.0
    n_weak = int(_LINES_PER_AA * (high - low))
    weak = _Lines(
        rest_aa=rng.uniform(low, high, n_weak),
        strength=10.0 ** rng.normal(-0.7, 0.6, n_weak),
        excitation_ev=rng.uniform(0.0, 5.0, n_weak),
        ionisation_ev=np.full(n_weak, 7.9),  # iron
        is_ion=rng.random(n_weak) < 0.15,
        is_metal=np.ones(n_weak, dtype=bool),
        damping_aa=np.full(n_weak, 0.005),
    )
    famous = _Lines(
        rest_aa=np.array([6562.80, 4861.32, 4340.46, 4101.73, 5183.60, 5172.68, 5167.32]),
        strength=np.array([4.0, 3.0, 2.5, 2.0, 40.0, 30.0, 15.0]),
        excitation_ev=np.array([10.2, 10.2, 10.2, 10.2, 2.72, 2.71, 2.71]),
        ionisation_ev=np.array([13.6, 13.6, 13.6, 13.6, 7.65, 7.65, 7.65]),
        is_ion=np.zeros(7, dtype=bool),
        is_metal=np.array([False] * 4 + [True] * 3),
        damping_aa=np.array([0.6, 0.6, 0.6, 0.6, 0.05, 0.05, 0.05]),
    )
    together = [
        np.concatenate([getattr(weak, name), getattr(famous, name)])
        for name in _Lines.__dataclass_fields__
    ]
    # Beyond this distance neither a shift of 40 km/s nor a wing reaches the grid.
    if grid.medium == "vacuum":
        together[0] = air_to_vacuum(together[0])
    near = (together[0] > grid.start_aa - 30.0) & (together[0] < grid.end_aa + 30.0)
    return _Lines(*(column[near] for column in together))


def _optical_depth(
    grid: WavelengthGrid,
    lines: _Lines,
    teff_k: float,
    logg_dex: float,
    mh_dex: float,
    rv_kms: float,
) -> np.ndarray:
    """Sum of the lines' Voigt profiles, shape (n_pixels,)."""
    log_pressure = _log_electron_pressure(teff_k, logg_dex)
    log_change = (
        _log_population(lines, teff_k, log_pressure)
        - _log_population(lines, _SUN_TEFF_K, _log_electron_pressure(_SUN_TEFF_K, _SUN_LOGG))
        # H- opacity goes with the electron pressure (Gray, chapter 8).
        - (log_pressure - _log_electron_pressure(_SUN_TEFF_K, _SUN_LOGG))
        + mh_dex * lines.is_metal
    )
    strength = lines.strength * 10.0 ** np.clip(log_change, -4.0, 3.0)
    # Collisions broaden with the gas pressure, about gravity**(2/3) (Gray, chapter 9).
    damping_aa = lines.damping_aa * 10.0 ** (0.66 * (logg_dex - _SUN_LOGG))

    centre_aa = lines.rest_aa * doppler_factor(rv_kms)
    doppler_aa = lines.rest_aa * _WIDTH_KMS / SPEED_OF_LIGHT_KMS
    depth = np.zeros(grid.n_pixels)
    wavelength_aa = grid.wavelength_aa
    reach_aa = np.where(lines.damping_aa > 0.1, 25.0, np.where(lines.strength > 5.0, 8.0, 1.0))
    first = np.searchsorted(wavelength_aa, centre_aa - reach_aa)
    last = np.searchsorted(wavelength_aa, centre_aa + reach_aa)
    for line in np.flatnonzero(last > first):
        pixels = slice(first[line], last[line])
        profile = voigt_profile(
            wavelength_aa[pixels] - centre_aa[line], doppler_aa[line], damping_aa[line]
        )
        peak = voigt_profile(0.0, doppler_aa[line], lines.damping_aa[line])
        depth[pixels] += strength[line] * profile / peak
    return depth


def _log_electron_pressure(teff_k: float, logg_dex: float) -> float:
    """Rough log10 of the electron pressure in dyn/cm2 where lines form; the Sun has 1.3."""
    return 1.3 + 0.33 * (logg_dex - _SUN_LOGG) + 9.0 * np.log10(teff_k / _SUN_TEFF_K)


def _log_population(lines: _Lines, teff_k: float, log_pressure: float) -> np.ndarray:
    """Log10 of the share of atoms in the lower level: Boltzmann times Saha."""
    theta = 5040.0 / teff_k
    log_ion_to_neutral = 2.5 * np.log10(teff_k) - 0.48 - theta * lines.ionisation_ev - log_pressure
    share_log = np.where(
        lines.is_ion,
        -np.log10(1.0 + 10.0**-log_ion_to_neutral),
        -np.log10(1.0 + 10.0**log_ion_to_neutral),
    )
    return share_log - theta * lines.excitation_ev


def _continuum(grid: WavelengthGrid, teff_k: float) -> np.ndarray:
    """Planck's law over the grid, divided by its value in the middle."""
    wavelength_aa = grid.wavelength_aa
    exponent = 1.4388e8 / (wavelength_aa * teff_k)  # hc/k in Angstrom kelvin
    planck = wavelength_aa**-5.0 / np.expm1(exponent)
    return planck / planck[grid.n_pixels // 2]
