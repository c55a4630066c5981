"""Batches of spectra for the network, from arrays and lazy matrices alike."""

from typing import Any

import numpy as np
import torch
from sklearn.utils.extmath import randomized_svd
from torch.utils.data import Dataset

from .._validation import check_flux, is_lazy
from ..exceptions import SpectrumError
from ..networks import FluxScaler, LinearPath

# Rows from which mean and scale of the flux are taken: more would not change them.
_MAX_STATISTICS_ROWS = 4096
# Pixels from which principal components are taken: half a gigabyte.
_MAX_COMPONENT_PIXELS = 134_217_728
# The most variable pixels hold order edges and cosmic rays, which must not set the scale.
_QUIET_SHARE = 0.99


class SpectraDataset(Dataset):
    """Flux and weight of chosen rows; whole batches are fetched at once.

    Parameters
    ----------
    X : ndarray or SpectraArray of shape (n_spectra, n_pixels)
    rows : ndarray of int
        Which spectra belong to the data set.
    weight : ndarray of shape (n_spectra,)
        One for each row of `X`.
    """

    def __init__(self, X: Any, rows: np.ndarray, weight: np.ndarray):
        self.X, self.rows, self.weight = X, rows, weight

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Any:
        flux, weight = self.__getitems__([index])
        return flux[0], weight[0]

    def __getitems__(self, indices: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        rows = self.rows[indices]
        weight = torch.from_numpy(self.weight[rows].astype(np.float32))
        return torch.from_numpy(read_flux(self.X, rows)), weight


def as_is(batch: Any) -> Any:
    """Collate nothing: the data set gives whole batches."""
    return batch


def read_flux(X: Any, rows: np.ndarray) -> np.ndarray:
    """Return checked float32 flux of some rows; an error names the row of `X`."""
    flux = X[rows].to_numpy() if is_lazy(X) else X[rows].astype(np.float32, copy=False)
    try:
        return check_flux(flux)
    except SpectrumError as error:
        raise SpectrumError(int(rows[error.row]), error.reason) from error


def row_blocks(n_rows: int, n_pixels: int, *, max_pixels: int = 1_048_576) -> list[np.ndarray]:
    """Row numbers in blocks of about `max_pixels` pixels, at least one row each."""
    size = max(1, max_pixels // max(1, n_pixels))
    return [np.arange(start, min(start + size, n_rows)) for start in range(0, n_rows, size)]


def flux_statistics(X: Any, rows: np.ndarray) -> tuple[np.ndarray, float]:
    """Mean spectrum and typical deviation from it, in one pass over at most 4096 rows.

    Returns
    -------
    mean : ndarray of float32, shape (n_pixels,)
        NaN where no row has a valid pixel.
    scale : float
        Root mean square deviation over all but the 1 % most variable pixels; 1 if there is none.
    """
    rows = _spread(rows, _MAX_STATISTICS_ROWS)
    count, total, squares = np.zeros((3, X.shape[1]))
    shift = None
    for block in row_blocks(len(rows), X.shape[1]):
        flux = read_flux(X, rows[block]).astype(np.float64)
        if shift is None:
            # Sums of squares about a guess of the mean: no cancellation where the flux is large.
            shift = np.nan_to_num(flux[0])
        valid = ~np.isnan(flux)
        flux = np.where(valid, flux - shift, 0.0)
        count += valid.sum(axis=0)
        total += flux.sum(axis=0)
        squares += np.square(flux).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / count
        variance = squares / count - mean**2
    quiet = variance[variance <= np.nanquantile(variance, _QUIET_SHARE)]
    scale = float(np.sqrt(max(quiet.mean(), 0.0)))
    mean_flux = (mean + shift).astype(np.float32)
    # Constant spectra leave rounding errors only: any scale serves them.
    smallest = 1e-6 * float(np.nanmax(np.abs(mean_flux)))
    return mean_flux, scale if scale > smallest else 1.0


def principal_path(
    X: Any, rows: np.ndarray, scaler: FluxScaler, n_latents: int, seed: int
) -> LinearPath:
    """First principal components of the scaled spectra, from as many rows as half a gigabyte holds.

    Fewer rows or pixels than latents leave the other components zero.
    """
    rows = _spread(rows, max(n_latents, _MAX_COMPONENT_PIXELS // X.shape[1]))
    deviation = np.empty((len(rows), X.shape[1]), dtype=np.float32)
    for block in row_blocks(len(rows), X.shape[1]):
        deviation[block] = scaler(torch.from_numpy(read_flux(X, rows[block]))).numpy()
    n_found = min(n_latents, *deviation.shape)
    _, length, found = randomized_svd(deviation, n_found, random_state=seed)
    components = np.zeros((n_latents, X.shape[1]), dtype=np.float32)
    scatter = np.ones(n_latents, dtype=np.float32)
    components[:n_found] = found
    # Components of rounding errors would be blown up to unit scatter.
    scatter[:n_found] = np.maximum(length / np.sqrt(len(rows)), 1e-6)
    return LinearPath(torch.from_numpy(components), torch.from_numpy(scatter))


def _spread(rows: np.ndarray, n_most: int) -> np.ndarray:
    """At most `n_most` of the rows, evenly spread."""
    if len(rows) <= n_most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, n_most).astype(int)]
