"""Rows of a flux matrix on disk, read by position."""

import io
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np

from ._row_store import RowStore


class NpyStore(RowStore):
    """Rows of a two-dimensional .npy file, read by position and never mapped into memory.

    Positional reads were measured faster than a memory map on a cold disk, and leave nothing of
    the file in the process. A pickle holds the path and the scales, so workers open the file
    themselves.

    Parameters
    ----------
    path : str or Path
        A C-ordered, two-dimensional .npy file of floats.
    scale : ndarray of shape (n_rows,), optional
        Factor that gives each stored row its physical flux back.

    Raises
    ------
    ValueError
        If the file is no such matrix or is shorter than its header says.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/flux.npy", np.ones((3, 20), dtype=np.float32))
    ...     NpyStore(f"{folder}/flux.npy").shape
    (3, 20)
    """

    def __init__(self, path: str | Path, scale: np.ndarray | None = None):
        self.path = Path(path).absolute()
        self.scale = scale
        with open(self.path, "rb") as file:
            try:
                version = np.lib.format.read_magic(file)
                read_header = (
                    np.lib.format.read_array_header_1_0
                    if version == (1, 0)
                    else np.lib.format.read_array_header_2_0
                )
                self.shape, fortran_order, self.dtype = read_header(file)
            except ValueError as error:
                raise ValueError(f"{self.path} is not a .npy file: {error}") from error
            self._offset = file.tell()
        if len(self.shape) != 2 or fortran_order or self.dtype.kind != "f":
            raise ValueError(
                f"{self.path} must hold a C-ordered matrix of floats, one spectrum a row; it holds "
                f"{self.dtype} of shape {self.shape}."
            )
        wanted = self._offset + self.shape[0] * self.row_bytes
        found = self.path.stat().st_size
        if found < wanted:
            raise ValueError(
                f"{self.path} is cut short: {found} bytes, {wanted} wanted for {self.shape[0]} "
                "spectra; pack it again."
            )
        self._file: io.FileIO | None = None
        self._lock = threading.Lock()

    def _read_into(self, flux: np.ndarray, row: int) -> None:
        # As bytes, since a buffer of another byte order than the machine's cannot be cast.
        view = memoryview(flux.view(np.uint8).reshape(-1))  # type: ignore[arg-type]
        position = self._offset + row * self.row_bytes
        while len(view):
            n_read = self._read_at(view, position)
            if n_read == 0:
                raise OSError("the file ends before it is complete")
            view, position = view[n_read:], position + n_read

    def _read_at(self, view: memoryview, position: int) -> int:
        """Fill the start of `view` from a position in the file, and say how far."""
        with self._lock:
            if self._file is None:
                self._file = io.FileIO(self.path)
            if not hasattr(os, "preadv"):  # Windows, where threads take turns
                self._file.seek(position)
                return self._file.readinto(view)
        return os.preadv(self._file.fileno(), [view], position)

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        del state["_file"], state["_lock"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _file=None, _lock=threading.Lock())

    def __del__(self) -> None:
        file = getattr(self, "_file", None)
        if file is not None:
            file.close()
