"""What networks make of spectra and of codes, some rows at a time."""

from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any, NamedTuple

import numpy as np
import torch

from .._validation import is_lazy
from ..exceptions import SpectrumError
from ._compute import Compute
from ._data import read_flux, row_blocks
from ._prefetch import prefetch


class Blocks(NamedTuple):
    """A result in parts, each with the rows on axis 0, of which any block can be computed."""

    read: Callable[[np.ndarray], Any]  # row numbers -> what a block is computed from
    compute: Callable[[np.ndarray, Any], tuple[np.ndarray, ...]]  # and that -> parts of the result
    rows: list[np.ndarray]  # row numbers that are computed together, in order
    reads_ahead: bool = False  # on a thread, while a block is computed

    def computed(self, first: int = 0) -> Generator[tuple[np.ndarray, tuple[np.ndarray, ...]]]:
        """Yield the row numbers and the parts of each block, from block `first` on."""
        rest = self.rows[first:]
        read = (self.read(rows) for rows in rest)
        with closing(prefetch(read) if self.reads_ahead else read) as given:
            for rows, each in zip(rest, given, strict=True):
                yield rows, self.compute(rows, each)


def encoded_blocks(
    network: Any, X: Any, compute: Compute, function: Any, conditions: Any = None
) -> Blocks:
    """Give spectra to a function of (network, flux), block by block.

    Each block is computed under these settings, which are put back after it. The conditions, one
    row for each spectrum, are given to the function as well where there are any.

    Raises
    ------
    SpectrumError
        While blocks are computed: if a spectrum has no valid pixel where the training spectra
        have one.
    """
    network = network.eval()
    device = next(network.parameters()).device
    seen = network.scaler.seen.cpu().numpy()

    def read_block(rows: np.ndarray) -> np.ndarray:
        return check_covered(read_flux(X, rows), seen, rows)

    def compute_block(rows: np.ndarray, flux: np.ndarray) -> tuple[np.ndarray, ...]:
        with torch.inference_mode(), compute.on(network):
            on_device = torch.from_numpy(flux).to(device)
            found = function(network, on_device, *_of_rows(conditions, rows, device))
            found = found if isinstance(found, tuple) else (found,)
            return tuple(part.cpu().numpy() for part in found)

    return Blocks(read_block, compute_block, row_blocks(X.shape[0], X.shape[1]), is_lazy(X))


def decoded_blocks(
    network: Any,
    decode: Any,
    inputs: np.ndarray,
    n_pixels: int,
    compute: Compute,
    conditions: Any = None,
) -> Blocks:
    """Give codes or labels to `decode`, block by block; NaN in pixels that training never saw.

    Conditions are given to `decode` as well where there are any.
    """
    network = network.eval()
    device = next(network.parameters()).device
    unseen = ~network.scaler.seen.cpu().numpy()

    def compute_block(rows: np.ndarray, given: np.ndarray) -> tuple[np.ndarray, ...]:
        with torch.inference_mode(), compute.on(network):
            on_device = torch.from_numpy(given).to(device)
            flux = decode(on_device, *_of_rows(conditions, rows, device)).float().cpu().numpy()
        flux[:, unseen] = np.nan
        return (flux,)

    return Blocks(inputs.__getitem__, compute_block, row_blocks(len(inputs), n_pixels))


def check_covered(flux: np.ndarray, seen: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return flux of these rows if each has a pixel that training has seen.

    Raises
    ------
    SpectrumError
        Of the first that has none: encoded all the same it would pass for a perfect mean spectrum.
    """
    known = ~np.isnan(flux[:, seen]).all(axis=1)
    if not known.all():
        raise SpectrumError(
            int(rows[np.argmin(known)]),
            "has no valid pixel where the training spectra have one; remove it, or fit on spectra "
            "that cover its wavelengths.",
        )
    return flux


def _of_rows(conditions: Any, rows: np.ndarray, device: torch.device) -> tuple[torch.Tensor, ...]:
    """Float32 conditions of some rows on a device; nothing where there are none."""
    if conditions is None:
        return ()
    return (torch.from_numpy(conditions[rows].astype(np.float32)).to(device),)
