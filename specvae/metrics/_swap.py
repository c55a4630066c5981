"""Spectra decoded from the twin's code."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from .._validation import check_choice, check_groups, row_chunks
from ..exceptions import SpectrumError
from ._flux_errors import flux_matrix, rows_of
from ._labels import StarMean, mean_by_star
from ._twins import check_twin


@dataclass(frozen=True)
class SwapError:
    """Error of spectra from the twin's code, beside those of doing nothing."""

    score: float  # mean over pairs of twins
    standard_error: float  # by pair; NaN for a single one
    by_spectrum: np.ndarray  # (n_spectra,)
    constant: float  # the mean spectrum in place of every spectrum: what a code must beat
    constant_by_spectrum: np.ndarray  # (n_spectra,)
    own_code: float | None  # reconstruction from the star's own code: what a swap cannot beat
    own_code_by_spectrum: np.ndarray | None  # (n_spectra,)
    excess: float | None  # score - own_code, the price of the swap; 0 for perfect disentanglement
    excess_standard_error: float | None  # by pair, smaller than that of either score
    n_pairs: int  # of stars: two rows that are each other's twins are one pair


def swap_error(
    swapped: Any,
    truth: Any,
    twin: Any,
    *,
    reconstruction: Any = None,
    groups: Any = None,
    error: str = "squared",
) -> SwapError:
    """Error of each star's spectrum decoded from its twin's code under its own nuisance labels.

    Where the code holds the composition, which twins share, and nothing of Teff and log g, which
    the decoder is told, it matters not whose code is decoded.

    Parameters
    ----------
    swapped : array-like or SpectraArray of shape (n_spectra, n_pixels)
        Flux of row i decoded from the code of i's twin and the labels of i; finite.
    truth : array-like or SpectraArray of shape (n_spectra, n_pixels)
        Flux of row i; NaN is a missing pixel, which is left out.
    twin : array-like of int, shape (n_spectra,)
        Row whose code was decoded for row i. Rows that are linked so make a pair: the errors of
        its stars go together, so that a pair counts once and error bars count pairs.
    reconstruction : array-like or SpectraArray of shape (n_spectra, n_pixels), optional
        Flux of row i decoded from its own code: the error without a swap.
    groups : array-like of shape (n_spectra,), optional
        Star of each row, where stars have several spectra: all spectra of two twins are one pair.
    error : {"squared", "absolute"}, default="squared"
        What is averaged over the pixels of a spectrum.

    Returns
    -------
    result : SwapError
        In squared units of flux, or in units of flux.

    Raises
    ------
    ValueError
        If shapes differ, a decoded pixel is not finite, a true one is infinite, a spectrum has
        no valid pixel, or a row has no twin.

    See Also
    --------
    specvae.simulation.twin_design : Simulated twins; its `partner_row` is `twin`.

    References
    ----------
    de Mijolla, Ness & Viti 2019, "Identifying chemically identical stars using adverserial
    disentanglement", table 1: the mean squared error, with and without the swap.

    Examples
    --------
    >>> truth = [[1.0, 0.5], [1.0, 0.7]]
    >>> result = swap_error([[1.0, 0.6], [1.0, 0.6]], truth, [1, 0], reconstruction=truth)
    >>> result.score, result.own_code, result.constant, result.n_pairs
    (0.005, 0.0, 0.005, 1)
    """
    check_choice("error", error, ("squared", "absolute"))
    truth = flux_matrix("truth", truth, (None, None))
    pair = _pair_of(twin, groups, len(truth))
    constant = _mean_spectrum(truth, pair)
    decoded = {"swapped": swapped, "reconstruction": reconstruction}
    decoded = {
        name: flux_matrix(name, flux, truth.shape)
        for name, flux in decoded.items()
        if flux is not None
    }
    constant_by_spectrum = np.empty(len(truth))
    errors = {name: np.empty(len(truth)) for name in decoded}
    for rows in row_chunks(*truth.shape):
        true = rows_of(truth, rows).astype(np.float64)
        constant_by_spectrum[rows] = _pixel_mean(constant, true, error)
        for name, flux in decoded.items():
            errors[name][rows] = _pixel_mean(_decoded(name, flux, true, rows), true, error)
    by_spectrum = errors["swapped"]
    swap = mean_by_star(by_spectrum, pair)
    own = excess = own_by_spectrum = None
    if reconstruction is not None:
        own_by_spectrum = errors["reconstruction"]
        own = mean_by_star(own_by_spectrum, pair)
        excess = mean_by_star(by_spectrum - own_by_spectrum, pair)
    return SwapError(
        score=float(swap.mean[0]),
        standard_error=float(swap.standard_error[0]),
        by_spectrum=by_spectrum,
        constant=float(mean_by_star(constant_by_spectrum, pair).mean[0]),
        constant_by_spectrum=constant_by_spectrum,
        own_code=_first(own, "mean"),
        own_code_by_spectrum=own_by_spectrum,
        excess=_first(excess, "mean"),
        excess_standard_error=_first(excess, "standard_error"),
        n_pairs=int(swap.n_stars[0]),
    )


def _pair_of(twin: Any, groups: Any, n_spectra: int) -> np.ndarray:
    """Return the pair of each row, from 0 up: rows linked by `twin` or by their star."""
    twin = check_twin(twin, n_spectra)
    if (twin < 0).any():
        raise ValueError(
            f"twin of row {int(np.argmax(twin < 0))} is -1; leave out stars without a twin, whose "
            "code was not swapped."
        )
    rows = np.arange(n_spectra)
    first_of_star = rows
    if groups is not None:
        star = check_groups(groups, n_spectra)
        first_of_star = np.unique(star, return_index=True)[1][star]
    start, end = np.concatenate([rows, rows]), np.concatenate([twin, first_of_star])
    links = coo_array((np.ones(len(start)), (start, end)), shape=(n_spectra, n_spectra))
    return connected_components(links, directed=False)[1]


def _first(result: StarMean | None, field: str) -> float | None:
    return None if result is None else float(getattr(result, field)[0])


def _pixel_mean(flux: np.ndarray, truth: np.ndarray, error: str) -> np.ndarray:
    difference = np.abs(flux - truth)
    return np.nanmean(difference**2 if error == "squared" else difference, axis=1)


def _mean_spectrum(truth: Any, pair: np.ndarray) -> np.ndarray:
    """Mean flux of each pixel, every pair once; NaN where no star has it."""
    weight = (1.0 / np.bincount(pair))[pair]
    total, count = np.zeros((2, truth.shape[1]))
    for rows in row_chunks(*truth.shape):
        true = rows_of(truth, rows).astype(np.float64)
        known = ~np.isnan(true)
        for row in np.flatnonzero(~known.any(axis=1))[:1]:
            raise SpectrumError(
                int(row + rows.start), "of truth has no valid pixel (all NaN); remove it."
            )
        total += weight[rows] @ np.nan_to_num(true)
        count += weight[rows] @ known
    with np.errstate(invalid="ignore", divide="ignore"):
        return total / count


def _decoded(name: str, flux: Any, true: np.ndarray, rows: slice) -> np.ndarray:
    """Return some rows of decoded flux, which must have each pixel that the truth has."""
    decoded = rows_of(flux, rows).astype(np.float64)
    bad = np.isnan(decoded) & ~np.isnan(true)
    if bad.any():
        row = rows.start + int(np.argmax(bad.any(axis=1)))
        raise ValueError(
            f"{name} holds {int(bad[row - rows.start].sum())} values that are not finite in row "
            f"{row}; a decoder must give every pixel that truth has."
        )
    return decoded
