"""Rows of a flux matrix as float32 tensors, at the speed of the memory."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from .._validation import check_flux, is_lazy, row_chunks
from ..exceptions import SpectrumError
from ._kept_memory import KeptMemory

# Rows are read, checked and turned into float32 in pieces of this size, or one by one: what has
# just been read still lies in the cache.
_PIECE_BYTES = 1_048_576
# Copies of at most so many numbers stay on the thread that asks for them; others wake the threads
# of torch, which a training step needs more.
_COPIED_PIXELS = 32_768
# Positive and negative infinity as the integers of the same bits: numpy compares integers twenty
# times as fast as it finds infinities among float16.
_INFINITIES = {
    np.dtype(np.float16): (np.int16, 0x7C00, 0x7C00 - 2**15),
    np.dtype(np.float32): (np.int32, 0x7F800000, 0x7F800000 - 2**31),
}


class FluxReader:
    """Checked float32 flux of rows of a matrix, in memory that is used again.

    Parameters
    ----------
    X : ndarray or SpectraArray of shape (n_spectra, n_pixels)
        An array was checked before, and is not checked again.
    is_flux : bool, default=True
        Whether infinity and spectra without a valid pixel are refused.
    """

    def __init__(self, X: Any, *, is_flux: bool = True):
        self.X, self.is_flux = X, is_flux
        # Apart, since a batch is much larger than what is at hand of it.
        self._batches, self._scratch, self._blocks = KeptMemory(4), KeptMemory(2), KeptMemory(16)
        self._held: dict[int, np.ndarray] = {}  # row -> what is stored

    def read(self, rows: np.ndarray) -> Tensor:
        """Return the flux of some rows, in their order: (len(rows), n_pixels).

        Raises
        ------
        SpectrumError
            If a spectrum cannot be used, with its row in `X`.
        OSError
            If a row cannot be read, with its number in the store.
        """
        flux = self._batches.take((len(rows), self.X.shape[1]), torch.float32)
        rows = np.asarray(rows)
        if not is_lazy(self.X):
            with np.errstate(over="ignore"):  # infinity was refused before
                _gather(self.X, rows, flux.numpy())
            return flux
        row_bytes = self.X.stored_pixels * self.X.stored_dtype.itemsize
        # Of a chunk that is decoded as a whole, all rows are taken at once.
        most = _PIECE_BYTES if self.X.chunk_rows == 1 else len(rows) * row_bytes
        stored = self._empty(self.X[rows[: max(1, most // max(1, row_bytes))]], self._scratch)
        for piece in row_chunks(len(rows), row_bytes, max_pixels=most):
            try:
                self._read_piece(rows[piece], stored[: piece.stop - piece.start], flux[piece])
            except SpectrumError as error:
                raise SpectrumError(int(rows[piece.start + error.row]), error.reason) from error
        return flux

    def hold(self, blocks: list[np.ndarray]) -> None:
        """Read these blocks of rows, each at once, for the calls to come, and let go of others.

        Parameters
        ----------
        blocks : list of ndarray of int
            Rows of each block; together they are few enough for the memory.
        """
        if not is_lazy(self.X):
            return
        kept = {row for rows in blocks for row in rows.tolist()}
        self._held = {row: stored for row, stored in self._held.items() if row in kept}
        for rows in blocks:
            if int(rows[0]) not in self._held:
                self._held.update(self._read_block(rows))

    def _read_block(self, rows: np.ndarray) -> dict[int, np.ndarray]:
        view = self.X[rows]
        span = view.span()
        places = view.store_rows - span.store_rows[0]
        if len(span) <= 2 * len(rows):
            try:
                stored = span.read_stored(self._block_memory(span))
                return {int(row): stored[place] for row, place in zip(rows, places, strict=True)}
            except OSError:
                pass  # perhaps of a row that nobody asked for
        stored = view.read_stored(self._block_memory(view))
        return dict(zip(rows.tolist(), stored, strict=True))

    def _read_piece(self, rows: np.ndarray, stored: np.ndarray, flux: Tensor) -> None:
        view = self.X[rows]
        stored = self._read_stored(view, rows, stored)
        if view.is_mapped:
            # In memory of its own: a map may keep what it was given.
            unmapped = torch.empty(stored.shape)
            _as_float32(stored, unmapped, view.row_factors)
            with np.errstate(over="ignore"):  # infinity is refused next
                mapped = view.map_flux(unmapped.numpy())
            self._check(mapped)
            _as_float32(mapped, flux, None)
            return
        factors = view.row_factors
        # What is stored, if float32 can hold it all: fewer bytes, and still in the cache.
        if factors is None and stored.dtype in _INFINITIES:
            self._check(stored)
            _as_float32(stored, flux, None)
        else:
            _as_float32(stored, flux, factors)
            self._check(flux.numpy())

    def _check(self, flux: np.ndarray) -> None:
        if self.is_flux and not self._is_usable(flux):
            check_flux(flux.astype(np.float32))

    def _read_stored(self, view: Any, rows: np.ndarray, out: np.ndarray) -> np.ndarray:
        """Rows as they are stored, from the blocks that are held as far as those have them."""
        held = [self._held.get(row) for row in rows.tolist()]
        if len(held) == 1 and held[0] is not None:
            return held[0][None]
        if all(each is None for each in held):
            return view.read_stored(out)
        for place, each in enumerate(held):
            if each is None:
                view[place : place + 1].read_stored(out[place : place + 1])
            else:
                out[place] = each
        return out

    def _empty(self, view: Any, memory: KeptMemory) -> np.ndarray:
        """Memory for what is stored of a view, which it holds."""
        n_bytes = view.stored_pixels * view.stored_dtype.itemsize
        return memory.take((len(view), n_bytes), torch.uint8).numpy().view(view.stored_dtype)

    def _block_memory(self, view: Any) -> np.ndarray:
        # Of few sizes: blocks differ a little, and one of any size must find what another left.
        n_rows = 1 << (len(view) - 1).bit_length()
        n_bytes = n_rows * view.stored_pixels * view.stored_dtype.itemsize
        memory = self._blocks.take((n_bytes,), torch.uint8).numpy().view(view.stored_dtype)
        return memory.reshape(n_rows, view.stored_pixels)[: len(view)]

    def _is_usable(self, flux: np.ndarray) -> bool:
        """Whether no pixel is infinite, and each row has one that is not missing."""
        some = flux[:, :: max(1, flux.shape[1] // 64)]
        if np.isnan(some).all(axis=1).any() and np.isnan(flux).all(axis=1).any():
            return False
        kind, *infinities = _INFINITIES[flux.dtype]
        is_infinite = self._scratch.take(flux.shape, torch.bool).numpy()
        return not any(
            np.equal(flux.view(kind), bits, out=is_infinite).any() for bits in infinities
        )


def _gather(X: np.ndarray, rows: np.ndarray, flux: np.ndarray) -> None:
    """Copy rows of an array, each straight to its place."""
    if X.dtype == flux.dtype and X.flags.c_contiguous:
        np.take(X, rows, axis=0, out=flux, mode="clip")  # "raise" would copy once more
    else:
        flux[:] = X[rows]


def _as_float32(stored: np.ndarray, flux: Tensor, factors: np.ndarray | None) -> None:
    """Turn stored numbers into float32, infinity where they are beyond its range."""
    plain = stored.flags.c_contiguous and stored.flags.writeable  # as torch wants them
    if plain and stored.dtype.isnative and stored.dtype.itemsize <= 8:
        numbers = torch.from_numpy(stored).reshape(-1)
        most = len(numbers) if torch.get_num_threads() == 1 else _COPIED_PIXELS
        for piece, into in zip(numbers.split(most), flux.view(-1).split(most), strict=True):
            into.copy_(piece)  # numpy takes ten times as long for float16
    else:
        with np.errstate(over="ignore"):
            flux.numpy()[:] = stored
    if factors is not None:
        with np.errstate(over="ignore"):
            np.multiply(flux.numpy(), factors[:, None], out=flux.numpy())
