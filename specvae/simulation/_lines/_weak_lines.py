"""Weak atomic lines with the statistics of a solar spectrum, and nothing else of it."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri
from sklearn.utils import check_random_state

from ...spectra import SPEED_OF_LIGHT_KMS
from ._atoms import ELEMENTS, ionisation_energy_ev, ionisation_fractions, log10_partition
from ._species import split_species

DRAWN = "drawn"  # name of every line that is invented

_SEED = 1814  # one list for all: another seed would be another universe


class _Kind(NamedTuple):
    """Lines of one species in the Sun; all numbers are assumed, as the eye finds them in atlases.

    The excitation energies have a triangular distribution.
    """

    species: str
    share: float  # of all weak lines, in percent
    low_ev: float
    mode_ev: float
    high_ev: float
    median_ma: float  # equivalent width


class _Range(NamedTuple):
    low_aa: float
    high_aa: float
    n_lines: int
    scale_aa: float  # over this distance the density falls by a factor of e
    kinds: tuple[_Kind, ...]


_OPTICAL = _Range(
    3700.0,
    7000.0,
    1000,
    2367.0,  # three times as many lines at 3900 as at 6500 Angstrom
    (
        _Kind("Fe 1", 46.0, 0.0, 4.0, 5.1, 14.0),
        _Kind("Ti 1", 8.0, 0.0, 1.2, 2.5, 10.0),
        _Kind("Cr 1", 6.5, 0.9, 3.0, 4.6, 11.0),
        _Kind("Ni 1", 6.0, 1.6, 3.8, 5.5, 13.0),
        _Kind("V 1", 4.0, 0.0, 0.8, 2.4, 8.0),
        _Kind("Co 1", 4.0, 0.0, 2.2, 4.3, 9.0),
        _Kind("Fe 2", 3.5, 2.6, 3.2, 4.0, 12.0),
        _Kind("Mn 1", 3.0, 2.1, 3.0, 4.7, 10.0),
        _Kind("Ti 2", 3.0, 0.5, 1.6, 3.1, 14.0),
        _Kind("Si 1", 3.0, 4.9, 5.6, 6.2, 14.0),
        _Kind("Ca 1", 2.0, 1.9, 2.7, 4.7, 14.0),
        _Kind("Cr 2", 2.0, 3.1, 3.9, 4.3, 10.0),
        _Kind("Ce 2", 2.0, 0.0, 0.6, 1.3, 4.0),
        _Kind("Nd 2", 2.0, 0.0, 0.6, 1.4, 4.0),
        _Kind("Sc 2", 1.0, 0.3, 1.4, 1.8, 12.0),
        _Kind("Y 2", 1.0, 0.1, 1.0, 1.9, 8.0),
        _Kind("Zr 2", 1.0, 0.1, 0.9, 2.4, 6.0),
        _Kind("Mg 1", 0.8, 4.3, 5.1, 5.9, 12.0),
        _Kind("La 2", 0.8, 0.0, 0.4, 1.3, 6.0),
        _Kind("Zr 1", 0.7, 0.0, 0.3, 1.5, 3.0),
        _Kind("C 1", 0.7, 7.5, 7.7, 8.8, 8.0),
    ),
)
_H_BAND = _Range(
    15_000.0,
    17_050.0,
    300,
    np.inf,
    (
        _Kind("Fe 1", 50.0, 4.2, 6.0, 6.6, 14.0),
        _Kind("Si 1", 12.0, 5.0, 6.7, 7.1, 16.0),
        _Kind("Ni 1", 9.0, 4.1, 5.4, 6.3, 14.0),
        _Kind("Mg 1", 5.0, 5.4, 6.2, 6.7, 16.0),
        _Kind("Ca 1", 5.0, 3.9, 4.6, 5.1, 14.0),
        _Kind("C 1", 5.0, 7.7, 9.0, 9.8, 12.0),
        _Kind("Ti 1", 4.0, 1.4, 1.9, 3.3, 10.0),
        _Kind("Cr 1", 4.0, 4.4, 4.7, 5.9, 10.0),
        _Kind("Mn 1", 3.0, 4.7, 4.9, 5.8, 12.0),
        _Kind("S 1", 2.0, 7.8, 8.0, 8.4, 12.0),
        _Kind("Al 1", 1.0, 4.0, 4.1, 5.1, 14.0),
    ),
)

# Equivalent widths: the scatter of ln W about a species' median, and what no drawn line exceeds,
# so that the strong lines of a star are real ones.
_WIDTH_SCATTER = 0.75
_LARGEST_WIDTH_MA = 70.0
_LARGEST_REDUCED_WIDTH = 1.2e-5  # W / wavelength: where saturation sets in
_LARGEST_TO_MEDIAN = 4.0
_CLOSEST_AA = 0.05

# Where weak lines form in the Sun, and what broadens them there (assumed).
_LAYER_K, _LAYER_LOG_PE = 5300.0, 0.9
_DOPPLER_KMS = 1.6  # iron at 5300 K with a microturbulence of 1 km/s
_DEEPEST = 0.85
# Opacity of H- there against that at 6000 Angstrom, rounded from equations 8.12 and 8.13 of Gray,
# The Observation and Analysis of Stellar Photospheres, 3rd edition.
_OPACITY_AA = (3700.0, 4500.0, 6000.0, 8500.0, 15_000.0, 16_400.0, 17_050.0)
_OPACITY = (0.62, 0.77, 1.0, 1.16, 0.39, 0.26, 0.27)
# Fe I 6270.225: lower level in eV, log gf, and equivalent width in the Sun in mA (rounded).
_KNOWN_AA, _KNOWN_EV, _KNOWN_LOG_GF, _KNOWN_MA = 6270.225, 2.858, -2.61, 52.0


def draw_weak_lines(taken_aa: np.ndarray) -> pd.DataFrame:
    """Return 1,300 invented lines, the columns those of `LineList.from_table`, in air.

    Real are only their statistics: how many lines lie in an Angstrom (three times as many at 3900
    as at 6500), of which species they are, from which levels they come, and that their equivalent
    widths in the Sun scatter log-normally, most between 5 and 40 mA and none above 70. The
    wavelengths mean nothing: no line here says anything about a line of a real star. Every call
    draws the same lines, but for those that came within 0.05 Angstrom of `taken_aa`, which are
    moved.

    The oscillator strength is the one that gives the equivalent width drawn, by Boltzmann, Saha
    and a curve of growth, in one layer of 5,300 K, on a scale set by Fe I 6270.225.
    """
    rng = check_random_state(_SEED)
    tables = [_draw(lines, rng.uniform(size=(4, lines.n_lines))) for lines in (_OPTICAL, _H_BAND)]
    # Only now, so that the lines known elsewhere leave all draws above as they are.
    for table, lines in zip(tables, (_OPTICAL, _H_BAND), strict=True):
        wavelength_aa = table["wavelength_aa"].to_numpy(copy=True)
        while (close := _is_close(wavelength_aa, taken_aa)).any():
            wavelength_aa[close] = _place(lines, rng.uniform(size=int(close.sum())))
        table["wavelength_aa"] = wavelength_aa
    table = pd.concat(tables, ignore_index=True)
    table["log_gf"] = np.round(_log_gf(table), 3)
    table["damping"], table["name"] = 0.0, DRAWN
    return table.drop(columns="width_ma").sort_values("wavelength_aa", ignore_index=True)


def _draw(lines: _Range, uniform: np.ndarray) -> pd.DataFrame:
    """Turn uniform numbers, shape (4, n_lines), into lines of one range of wavelengths."""
    wavelength_aa = _place(lines, uniform[0])
    shares = np.cumsum([kind.share for kind in lines.kinds])
    chosen = np.searchsorted(shares, uniform[1] * shares[-1], side="right")
    species, _, low_ev, mode_ev, high_ev, median_ma = (
        np.array(column)[chosen] for column in zip(*lines.kinds, strict=True)
    )
    # The upper level must be bound.
    ionisation_ev = np.array([ionisation_energy_ev(*split_species(name)) for name in species])
    limit_ev = ionisation_ev - 12_398.4 / wavelength_aa
    low_ev, mode_ev, high_ev = (np.minimum(x, limit_ev) for x in (low_ev, mode_ev, high_ev))
    return pd.DataFrame(
        {
            "species": species,
            "wavelength_aa": wavelength_aa,
            "excitation_ev": np.round(_triangular(low_ev, mode_ev, high_ev, uniform[2]), 3),
            "width_ma": _width_ma(median_ma, wavelength_aa, uniform[3]),
        }
    )


def _place(lines: _Range, uniform: np.ndarray) -> np.ndarray:
    """Wavelengths whose density falls exponentially, to 0.001 Angstrom."""
    length_aa = lines.high_aa - lines.low_aa
    if np.isfinite(lines.scale_aa):
        from_low_aa = -lines.scale_aa * np.log1p(uniform * np.expm1(-length_aa / lines.scale_aa))
    else:
        from_low_aa = uniform * length_aa
    return np.round(lines.low_aa + from_low_aa, 3)


def _is_close(wavelength_aa: np.ndarray, taken_aa: np.ndarray) -> np.ndarray:
    """Whether each wavelength lies too near to one of `taken_aa`."""
    bounds_aa = np.concatenate([[-np.inf], np.sort(taken_aa), [np.inf]])
    right = np.searchsorted(bounds_aa, wavelength_aa)
    distance_aa = np.minimum(bounds_aa[right] - wavelength_aa, wavelength_aa - bounds_aa[right - 1])
    return distance_aa < _CLOSEST_AA


def _triangular(
    low: np.ndarray, mode: np.ndarray, high: np.ndarray, uniform: np.ndarray
) -> np.ndarray:
    """Inverse of the cumulative triangular distribution; where all three are equal, that number."""
    rising, falling, length = mode - low, high - mode, high - low
    up = low + np.sqrt(uniform * length * rising)
    down = high - np.sqrt((1.0 - uniform) * length * falling)
    return np.where(uniform * length < rising, up, down)


def _width_ma(median_ma: np.ndarray, wavelength_aa: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Equivalent widths in the Sun: log-normal, cut off above."""
    largest_ma = np.minimum(_LARGEST_WIDTH_MA, 1e3 * _LARGEST_REDUCED_WIDTH * wavelength_aa)
    largest_ma = np.minimum(largest_ma, _LARGEST_TO_MEDIAN * median_ma)
    below = ndtr(np.log(largest_ma / median_ma) / _WIDTH_SCATTER)
    return median_ma * np.exp(_WIDTH_SCATTER * ndtri(uniform * below))


def _log_gf(table: pd.DataFrame) -> np.ndarray:
    wavelength_aa = table["wavelength_aa"].to_numpy()
    depth = _optical_depth(1e-3 * table["width_ma"].to_numpy() / wavelength_aa)
    known_depth = _optical_depth(1e-3 * _KNOWN_MA / np.array([_KNOWN_AA]))[0]
    scale = np.log10(known_depth) - _log_absorbers("Fe 1", _KNOWN_EV, _KNOWN_AA) - _KNOWN_LOG_GF
    log_gf = np.log10(depth) - scale
    for name, rows in table.groupby("species").groups.items():
        log_gf[rows] -= _log_absorbers(
            str(name), table["excitation_ev"].to_numpy()[rows], wavelength_aa[rows]
        )
    return log_gf


def _log_absorbers(
    species: str, excitation_ev: np.ndarray | float, wavelength_aa: np.ndarray | float
) -> np.ndarray:
    """log10 of the optical depth in the centre of a solar line with gf = 1, but for a constant.

    Atoms in the lower level (Boltzmann, Saha) times the wavelength over the continuous opacity;
    Gray, The Observation and Analysis of Stellar Photospheres, 3rd edition, chapter 13. The mass of
    the atom, which enters the Doppler width, is left out.
    """
    symbol, stage = split_species(species)
    share = ionisation_fractions(symbol, _LAYER_K, _LAYER_LOG_PE)[stage - 1]
    atoms = ELEMENTS[symbol].abundance_dex + np.log10(share)
    populated = -5040.0 / _LAYER_K * excitation_ev - log10_partition(symbol, stage, _LAYER_K)
    opacity = np.interp(wavelength_aa, _OPACITY_AA, _OPACITY)
    return np.asarray(atoms + populated + np.log10(wavelength_aa / opacity))


def _optical_depth(reduced_width: np.ndarray) -> np.ndarray:
    """Optical depth at the centre of lines of given equivalent width over wavelength.

    The inverse of a curve of growth: a Doppler profile tau(v), and depths 1 / (1 / tau + 1 / Rc)
    with the depth Rc of a saturated line, the interpolation of Minnaert.
    """
    log_depth = np.linspace(-4.0, 2.0, 241)
    velocity = np.linspace(-6.0, 6.0, 601)  # in Doppler widths
    depth = 10.0 ** log_depth[:, None] * np.exp(-(velocity**2))  # (n_depths, n_velocities)
    widths = (depth / (1.0 + depth / _DEEPEST)).sum(axis=1) * (velocity[1] - velocity[0])
    in_doppler_widths = reduced_width * SPEED_OF_LIGHT_KMS / _DOPPLER_KMS
    return 10.0 ** np.interp(np.log10(in_doppler_widths), np.log10(widths), log_depth)
