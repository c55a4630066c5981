"""Labels as an archive has them: correlated, unevenly populated, a few stars with most spectra."""

import warnings
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri
from sklearn.utils import check_random_state

from ..._validation import check_number
from ...exceptions import DataQualityWarning
from .._labels import LABELS
from ._random_designs import STAR_LABELS, Design

_REQUIRED = ("teff_k", "logg_dex", "mh_dex")
_ALPHA = ("o_fe_dex", "mg_fe_dex", "si_fe_dex", "ca_fe_dex", "ti_fe_dex")

# Dwarfs in the middle of their life; rounded, the Sun's 4.44 among them. Teff, log g.
_MAIN_SEQUENCE = np.array(
    [
        [3000.0, 5.10],
        [3300.0, 4.92],
        [3600.0, 4.80],
        [3900.0, 4.69],
        [4500.0, 4.62],
        [5300.0, 4.55],
        [5770.0, 4.44],
        [6500.0, 4.25],
        [8100.0, 4.18],
        [11_000.0, 4.05],
    ]
)
_LOG_COUNT_SIGMA = 2.0  # of the number of spectra of a star: the median is an eighth of the mean
_MAX_AIRMASS = 2.2
_LATITUDE_RAD = np.deg2rad(-29.26)  # La Silla, rounded
_OBLIQUITY_RAD = np.deg2rad(23.44)
_EARTH_SPEED_KMS = 29.8  # mean orbital speed, rounded


def catalogue_design(
    catalogue: pd.DataFrame | None = None,
    n_stars: int = 1000,
    *,
    mean_spectra_per_star: float = 35,
    random_state: Any = None,
) -> Design:
    """Draw stars from a catalogue, and as unevenly many spectra of each as an archive has.

    Parameters
    ----------
    catalogue : DataFrame, optional
        One row for each star with `teff_k`, `logg_dex` and `mh_dex`. Other labels of a star that
        it has (abundances, `vsini_kms`, `vmag`, `rv_kms` of the system, ...) are used as well;
        where one is missing it is drawn as below, or else the simulator's default. Columns of any
        other name are ignored. Default is the population described below.
    n_stars : int, default=1000
        Number of stars drawn: without replacement as long as the catalogue has enough of them.
        Of a smaller one rows are drawn again; such a row is still one star, with more spectra.
    mean_spectra_per_star : float, default=35
        Expected number of spectra of a star.
    random_state : int, RandomState or None, default=None
        Seed of the draws.

    Returns
    -------
    design : Design
        Rows of one star follow each other; about ``n_stars * mean_spectra_per_star`` rows.

    Raises
    ------
    ValueError
        If a count is below 1, the catalogue lacks a column, a column holds no numbers, or no row
        can be used.

    Warns
    -----
    DataQualityWarning
        If rows of the catalogue were left out: a required label missing, or any label outside
        its physical range.

    Notes
    -----
    Only the mean is measured: the archive of [1]_ has 267,361 spectra of 7,274 targets, and its
    labels lie in the range of [M/H] used here. All else is assumed, to be like it in kind.

    - Spectra of a star: 1 + Poisson of a log-normal mean with a sigma of 2 in the natural
      logarithm. Half of the stars have at most about five, a few in a thousand over a thousand.
    - Stars: 76 % dwarfs around 5500 +- 500 K, 10 % M dwarfs around 3600 +- 250 K, 4 % dwarfs
      hotter than 6800 K with an exponential tail of 1000 K, 10 % giants along a straight branch
      with log g 2.6 +- 0.4. Dwarfs scatter by 0.08 dex around a main sequence.
    - [M/H] normal, -0.1 +- 0.25, cut at -1.2 and 0.4. O, Mg, Si, Ca and Ti rise together by 0.3
      dex from [M/H] = 0 to -1 and stay there, with a common scatter of 0.03 dex.
    - Rotation log-normal with median 2.5 km/s up to 6000 K, 120 km/s above 9000 K.
    - `rv_kms`: normal with 30 km/s for the system, plus a sine at random phase whose amplitude is
      log-normal with median 0.01 km/s (planets and companions together).
    - `berv_kms`: 29.8 km/s times the cosine of the star's ecliptic latitude times the sine of
      a random season. Stars are uniform on the sky south of declination +30. The Earth's
      rotation (below 0.5 km/s) and eccentricity are left out, and so is that a star is up at
      night in half of the year only.
    - `airmass`: secant of the zenith distance at La Silla at hour angles of 0 +- 1.5 h, up to 2.2.
    - `pwv_mm` log-normal with median 2.5, `seeing_arcsec` log-normal with median 0.9, phase of
      the Moon uniform; each spectrum is a night of its own.
    - `vmag` normal, 8 +- 1.8, cut at 4 and 12, and independent of the kind of star; `exposure_s`
      as needed for equal light (60 s at magnitude 6) within 0.3 in the logarithm, between 30 and
      1800 s.

    References
    ----------
    .. [1] Cvrcek et al. 2025, A&A 693, A256, section 3.1 and table 1.

    Examples
    --------
    >>> design = catalogue_design(n_stars=50, random_state=0)
    >>> len(set(design.groups)), bool(design.labels["airmass"].max() < 2.2)
    (50, True)
    >>> sun = pd.DataFrame({"teff_k": [5772.0], "logg_dex": [4.44], "mh_dex": [0.0]})
    >>> catalogue_design(sun, n_stars=1, random_state=0).labels["teff_k"].unique().tolist()
    [5772.0]
    """
    check_number("n_stars", n_stars, minimum=1, integer=True)
    check_number("mean_spectra_per_star", mean_spectra_per_star, minimum=1, maximum=1e6)
    known = None if catalogue is None else _usable_stars(catalogue)
    rng = check_random_state(random_state)
    n_spectra = _draw_counts(n_stars, mean_spectra_per_star, rng)
    if known is None:
        stars = _draw_population(n_stars, rng)
    else:
        drawn = rng.choice(len(known), n_stars, replace=n_stars > len(known))
        kept, star_of_draw = np.unique(drawn, return_inverse=True)
        n_spectra = np.bincount(star_of_draw, weights=n_spectra).astype(int)
        stars = known.iloc[kept].reset_index(drop=True)
    stars = _fill_labels(stars, _draw_rest(stars, rng))

    groups = np.repeat(np.arange(len(stars)), n_spectra)
    labels = stars.iloc[groups].reset_index(drop=True)
    labels["rv_kms"] += _draw_orbit(groups, rng)
    for name, values in _draw_observations(groups, labels["vmag"].to_numpy(), rng).items():
        labels[name] = values
    labels["rv_kms"] = labels["rv_kms"].clip(LABELS["rv_kms"].low, LABELS["rv_kms"].high)
    return Design(labels[[name for name in LABELS if name in labels]], groups)


def _usable_stars(catalogue: Any) -> pd.DataFrame:
    """Return the labels of the stars that can be simulated, as float64; warn of the others."""
    if not isinstance(catalogue, pd.DataFrame):
        raise ValueError(f"catalogue must be a DataFrame, got {type(catalogue).__name__}.")
    lacking = [name for name in _REQUIRED if name not in catalogue]
    if lacking:
        raise ValueError(
            f"catalogue lacks {', '.join(lacking)}; it has "
            f"{', '.join(map(str, catalogue.columns)) or 'no columns'}. Rename its columns."
        )
    columns: dict[str, np.ndarray] = {}
    for name in (name for name in STAR_LABELS if name in catalogue):
        try:
            columns[name] = catalogue[name].to_numpy(np.float64, na_value=np.nan)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"catalogue column {name!r} must hold numbers, NaN where unknown: {error}."
            ) from error
    stars = pd.DataFrame(columns)
    missing = stars[list(_REQUIRED)].isna().any(axis=1)
    outside = {
        name: (values < LABELS[name].low) | (values > LABELS[name].high)
        for name, values in columns.items()
    }
    usable = ~missing & ~np.any(list(outside.values()), axis=0)
    if usable.all() and len(stars):
        return stars
    reasons = [f"{missing.sum()} without one of {', '.join(_REQUIRED)}"]
    reasons += [
        f"{wrong.sum()} with {name} outside {LABELS[name].low:g} to {LABELS[name].high:g}"
        for name, wrong in outside.items()
        if wrong.any()
    ]
    message = (
        f"{len(stars) - usable.sum()} of {len(stars)} rows of the catalogue cannot be simulated: "
        f"{', '.join(reasons)}"
    )
    if not usable.any():
        raise ValueError(f"{message}; give at least one row that can.")
    warnings.warn(f"{message}; they were left out.", DataQualityWarning, stacklevel=3)
    return stars[usable].reset_index(drop=True)


def _draw_counts(n_stars: int, mean: float, rng: np.random.RandomState) -> np.ndarray:
    """Draw the number of spectra of each star: at least 1, `mean` expected, heavy tail."""
    log_median = -0.5 * _LOG_COUNT_SIGMA**2  # of a log-normal variable with mean 1
    relative = rng.lognormal(log_median, _LOG_COUNT_SIGMA, n_stars)
    return 1 + rng.poisson((mean - 1.0) * relative)


def _draw_population(n_stars: int, rng: np.random.RandomState) -> pd.DataFrame:
    """Teff, log g and [M/H] of the default stars."""
    kind = rng.choice(4, n_stars, p=[0.76, 0.10, 0.04, 0.10])
    of_kind = [
        _draw_normal(5500.0, 500.0, 3900.0, 6800.0, n_stars, rng),
        _draw_normal(3600.0, 250.0, 3000.0, 3900.0, n_stars, rng),
        # The exponential tail ends at 10,800 K, by the inverse of its distribution.
        6800.0 - 1000.0 * np.log1p(-rng.uniform(0.0, 1.0 - np.exp(-4.0), n_stars)),
    ]
    giant_logg = _draw_normal(2.6, 0.4, 1.0, 3.6, n_stars, rng)
    giant_teff = 4850.0 + 350.0 * (giant_logg - 2.6) + rng.normal(0.0, 80.0, n_stars)
    teff_k = np.choose(kind, [*of_kind, giant_teff])
    dwarf_logg = np.interp(teff_k, *_MAIN_SEQUENCE.T) + rng.normal(0.0, 0.08, n_stars)
    return pd.DataFrame(
        {
            "teff_k": teff_k,
            "logg_dex": np.where(kind == 3, giant_logg, np.minimum(dwarf_logg, 5.5)),
            "mh_dex": _draw_normal(-0.1, 0.25, -1.2, 0.4, n_stars, rng),
        }
    )


def _fill_labels(stars: pd.DataFrame, drawn: dict[str, np.ndarray]) -> pd.DataFrame:
    """Add the drawn labels where the catalogue has no value; then the model's defaults."""
    columns = {str(name): stars[name].to_numpy() for name in stars}
    for name, values in drawn.items():
        given = columns.get(name, np.full(len(stars), np.nan))
        columns[name] = np.where(np.isnan(given), values, given)
    for name in columns.keys() - set(_REQUIRED):
        default = np.float64(LABELS[name].default)
        columns[name] = np.where(np.isnan(columns[name]), default, columns[name])
    return pd.DataFrame(columns)


def _draw_rest(stars: pd.DataFrame, rng: np.random.RandomState) -> dict[str, np.ndarray]:
    """Labels of a star that follow, with scatter, from Teff and [M/H], or from nothing."""
    n_stars = len(stars)
    alpha_dex = 0.3 * np.clip(-stars["mh_dex"].to_numpy(), 0.0, 1.0)
    alpha_dex = alpha_dex + rng.normal(0.0, 0.03, n_stars)
    log_vsini = np.interp(
        stars["teff_k"], [6000.0, 6500.0, 7500.0, 9000.0], np.log([2.5, 10.0, 60.0, 120.0])
    ) + rng.normal(0.0, 0.5, n_stars)
    return {
        **{name: alpha_dex for name in _ALPHA},
        "vsini_kms": np.clip(np.exp(log_vsini), 0.5, LABELS["vsini_kms"].high),
        "rv_kms": rng.normal(0.0, 30.0, n_stars),
        "vmag": _draw_normal(8.0, 1.8, 4.0, 12.0, n_stars, rng),
    }


def _draw_orbit(groups: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    amplitude_kms = rng.lognormal(np.log(0.01), 1.5, groups[-1] + 1)
    return amplitude_kms[groups] * np.sin(rng.uniform(0.0, 2.0 * np.pi, len(groups)))


def _draw_observations(
    groups: np.ndarray, vmag: np.ndarray, rng: np.random.RandomState
) -> dict[str, np.ndarray]:
    """Labels that differ from spectrum to spectrum."""
    n_stars, n_spectra = groups[-1] + 1, len(groups)
    declination = np.arcsin(rng.uniform(-1.0, 0.5, n_stars))
    right_ascension = rng.uniform(0.0, 2.0 * np.pi, n_stars)
    # Spherical triangle of star, pole of the equator and pole of the ecliptic.
    sin_beta = np.sin(declination) * np.cos(_OBLIQUITY_RAD) - np.cos(declination) * np.sin(
        _OBLIQUITY_RAD
    ) * np.sin(right_ascension)
    season = rng.uniform(0.0, 2.0 * np.pi, n_spectra)
    phase = rng.uniform(0.0, 2.0 * np.pi, n_spectra)
    exposure_s = 60.0 * 10.0 ** (0.4 * (vmag - 6.0)) * rng.lognormal(0.0, 0.3, n_spectra)
    return {
        "berv_kms": _EARTH_SPEED_KMS * np.sqrt(1.0 - sin_beta**2)[groups] * np.sin(season),
        "airmass": _draw_airmass(declination[groups], rng),
        "pwv_mm": np.exp(_draw_normal(np.log(2.5), 0.5, np.log(0.3), np.log(20), n_spectra, rng)),
        "moon_illumination": 0.5 * (1.0 - np.cos(phase)),
        "seeing_arcsec": np.exp(
            _draw_normal(np.log(0.9), 0.3, np.log(0.4), np.log(3.0), n_spectra, rng)
        ),
        "exposure_s": np.clip(exposure_s, 30.0, 1800.0),
    }


def _draw_airmass(declination: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """Secant of the zenith distance at random hour angles that keep it below the largest.

    cos z = sin(latitude) sin(declination) + cos(latitude) cos(declination) cos(hour angle).
    """
    constant = np.sin(_LATITUDE_RAD) * np.sin(declination)
    amplitude = np.cos(_LATITUDE_RAD) * np.cos(declination)
    # Every star drawn culminates above the limit; one near the pole never falls below it.
    cosine = np.clip((1.0 / _MAX_AIRMASS - constant) / amplitude, -1.0, 1.0)
    latest_h = np.arccos(cosine) * 12.0 / np.pi
    hour = _draw_normal(0.0, 1.5, -latest_h, latest_h, len(declination), rng)
    return 1.0 / (constant + amplitude * np.cos(hour * np.pi / 12.0))


def _draw_normal(
    mean: float, sigma: float, low: Any, high: Any, n_values: int, rng: np.random.RandomState
) -> np.ndarray:
    """Draw normal values cut at both ends by the inverse distribution: nothing piles up."""
    ends = ndtr((low - mean) / sigma), ndtr((high - mean) / sigma)
    return mean + sigma * ndtri(rng.uniform(*ends, n_values))
