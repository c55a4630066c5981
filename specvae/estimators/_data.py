"""Batches of spectra for the network, from arrays and lazy matrices alike."""

from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from .._validation import check_flux, is_lazy, row_chunks
from ..exceptions import SpectrumError

_BLOCK_PIXELS = 1_048_576


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
    try:
        # A lazy matrix may find a spectrum unusable while it is read.
        with np.errstate(over="ignore"):  # infinity is refused next
            flux = X[rows].to_numpy() if is_lazy(X) else X[rows].astype(np.float32, copy=False)
        return check_flux(flux)
    except SpectrumError as error:
        raise SpectrumError(int(rows[error.row]), error.reason) from error


def row_blocks(n_rows: int, n_pixels: int) -> list[np.ndarray]:
    """Row numbers in blocks that a network takes at once: a million pixels at most, or one row."""
    chunks = row_chunks(n_rows, n_pixels, max_pixels=_BLOCK_PIXELS)
    return [np.arange(chunk.start, chunk.stop) for chunk in chunks]
