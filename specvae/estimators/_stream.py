"""Results that are computed some rows at a time, and where they go: arrays, a file or a store."""

import errno
import hashlib
import os
import uuid
from bisect import bisect_right
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .._validation import is_lazy
from ..exceptions import SpectrumError
from ..spectra import SpectraArray, WavelengthGrid, write_spectra
from ..spectra._part import FULL_DISK, give_name, journal_path, npy_header
from ._blocks import Blocks

# Of an input, as many rows are compared when a call goes on; all rows of most codes.
_IDENTIFYING_BYTES = 2**26


def collect(
    blocks: Blocks, outs: Sequence[Any] | None = None, given: Sequence[Any] = ()
) -> list[Any]:
    """Compute all blocks and join the rows of each part of the result.

    Parameters
    ----------
    blocks : Blocks
    outs : sequence, optional
        For each part None, which makes a new array; an array, or what takes rows as one does, to
        be filled; or the name of a .npy file to be written, of which a read-only memory map comes
        back. Files get their names together, when all rows are there.
    given : sequence, optional
        What the blocks are computed from, which may not share memory with an array of `outs`.

    Raises
    ------
    ValueError
        If an array does not fit, or shares memory with another one or with what is given; if a
        file is named twice.
    FileExistsError
        If a file exists.
    OSError
        If the disk is full.
    """
    n_rows = int(blocks.rows[-1][-1]) + 1
    _check_apart([] if outs is None else [out for out in outs if out is not None], given)
    with ExitStack() as opened:
        targets: list[Any] = []
        for rows, parts in blocks.computed():
            for number, part in enumerate(parts):
                if number == len(targets):  # the first block tells the widths
                    out = None if outs is None else outs[number]
                    targets.append(_open(out, (n_rows, *part.shape[1:]), part.dtype))
                    opened.callback(targets[number].close)
                targets[number].put(rows, part)
        for target in targets:
            target.complete()
        with ExitStack() as undo:
            for target in targets:
                target.publish()
                undo.callback(target.withdraw)
            undo.pop_all()
        return [target.result() for target in targets]


def write_flux(
    blocks: Blocks,
    out: Any,
    grid: WavelengthGrid | None,
    identity: dict[str, Any],
    *,
    progress: bool = False,
) -> SpectraArray:
    """Write flux that is computed block by block into a store, or go on writing it.

    A store and not a bare .npy file as for codes: it is large, so that a call that was cut short
    must not begin anew, and it is spectra, which `SpectraArray.open` gives to any estimator.

    Parameters
    ----------
    blocks : Blocks
        Of one part.
    out : str or Path
    grid : WavelengthGrid or None
        Of the flux.
    identity : dict
        What decides the flux, fit for JSON: a call goes on from where another stopped only if it
        agrees.
    progress : bool

    Raises
    ------
    ValueError
        If the grid is not known, or the name is none of a .npy file.
    """
    path = _npy_path(out)
    n_rows = int(blocks.rows[-1][-1]) + 1
    if grid is None:
        raise ValueError(
            f"out={str(path)!r} names a store of spectra, which has their wavelengths, and these "
            "are not known here: fit with a grid, or on a SpectraArray that has one, or give as "
            "out an array, such as np.lib.format.open_memmap(path, 'w+', 'float32', shape)."
        )
    with closing(_RowByRow(blocks)) as row_flux:
        return write_spectra(
            row_flux,
            path,
            grid,
            meta=pd.DataFrame(index=range(n_rows)),
            settings=identity,
            progress=progress,
        )


def is_path(out: Any) -> bool:
    """Whether `out` names a file."""
    return isinstance(out, str | os.PathLike)


def digest_of_arrays(*arrays: np.ndarray) -> str:
    """Digest of some arrays, in their order."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def digest_of_rows(X: Any) -> str:
    """Digest of a matrix that may be large: of its shape and of rows, evenly spread, of 64 MB."""
    n_rows, n_pixels = X.shape
    n_compared = min(n_rows, max(2, _IDENTIFYING_BYTES // (n_pixels * np.dtype(X.dtype).itemsize)))
    rows = np.unique(np.linspace(0, n_rows - 1, n_compared).astype(int))
    try:
        some = X[rows].to_numpy() if is_lazy(X) else X[rows]
    except SpectrumError as error:
        raise SpectrumError(int(rows[error.row]), error.reason) from error
    return digest_of_arrays(np.array(X.shape), some)


class _RowByRow:
    """Gives successive rows, from any one on, of blocks that are computed when they are needed."""

    def __init__(self, blocks: Blocks):
        self._blocks = blocks
        self._computed: Any = None
        self._start, self._flux = 0, np.empty((0, 0))

    def __call__(self, row: int) -> np.ndarray:
        if self._computed is None:
            # The whole block also where a call goes on within one: what a row gives may depend on
            # its company by rounding, and must not depend on where the first call stopped.
            starts = [int(rows[0]) for rows in self._blocks.rows]
            self._computed = self._blocks.computed(bisect_right(starts, row) - 1)
        while row >= self._start + len(self._flux):
            self._flux = np.empty((0, 0))  # not two blocks at once
            rows, (self._flux,) = next(self._computed)
            self._start = int(rows[0])
        return self._flux[row - self._start]

    def close(self) -> None:
        if self._computed is not None:
            self._computed.close()


def _open(out: Any, shape: tuple[int, ...], dtype: np.dtype) -> Any:
    if out is None:
        return _Filled(np.empty(shape, dtype=dtype))
    if is_path(out):
        return _NpyFile(_npy_path(out), shape, dtype)
    _check_array(out, shape)
    return _Filled(out)


class _Filled:
    """An array, or what takes rows as one does, such as an HDF5 data set or a Zarr array."""

    def __init__(self, out: Any):
        self._out, self._dtype = out, np.dtype(out.dtype)

    def put(self, rows: np.ndarray, values: np.ndarray) -> None:
        try:
            with np.errstate(over="raise"):
                values = values.astype(self._dtype, copy=False)
        except FloatingPointError:
            largest = float(np.nanmax(np.abs(values)))
            raise ValueError(
                f"out holds {self._dtype}, which does not reach {largest:g} as rows {rows[0]} to "
                f"{rows[-1]} do: give an out of float32."
            ) from None
        self._out[int(rows[0]) : int(rows[-1]) + 1] = values

    def complete(self) -> None:
        pass

    def publish(self) -> None:
        pass

    def withdraw(self) -> None:
        pass

    def result(self) -> Any:
        return self._out

    def close(self) -> None:
        pass


class _NpyFile:
    """A matrix that is written beside its final name, which it gets when it is complete."""

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: np.dtype):
        # A name of its own: another call for the same file must not write into this one.
        self._path = path
        self._part = path.with_name(f"{path.name}.{uuid.uuid4().hex[:12]}.part")
        self._dtype = dtype.newbyteorder("<")
        self._file = open(self._part, "xb", buffering=0)
        try:
            self._write(npy_header((shape[0], shape[1]), self._dtype))
        except BaseException:
            self.close()
            raise

    def put(self, rows: np.ndarray, values: np.ndarray) -> None:
        self._write(np.ascontiguousarray(values, dtype=self._dtype).tobytes())

    def complete(self) -> None:
        """Wait until the rows are on disk."""
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._explained(error) from error
        self._file.close()

    def publish(self) -> None:
        give_name(self._part, self._path)

    def withdraw(self) -> None:
        """Take the name away again."""
        self._path.unlink(missing_ok=True)

    def result(self) -> np.ndarray:
        return np.load(self._path, mmap_mode="r")

    def close(self) -> None:
        self._file.close()
        self._part.unlink(missing_ok=True)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while len(view):
                view = view[self._file.write(view) :]
        except OSError as error:
            raise self._explained(error) from error

    def _explained(self, error: OSError) -> OSError:
        if error.errno not in FULL_DISK:
            return error
        return OSError(
            error.errno,
            f"the disk of {self._path} is full, and nothing of it was kept: free some space and "
            "repeat the call",
        )


def _npy_path(out: Any) -> Path:
    path = Path(out)
    if path.suffix != ".npy":
        raise ValueError(f"out must be an array or the name of a .npy file, got {str(out)!r}.")
    return path


def _check_apart(outs: Sequence[Any], given: Sequence[Any]) -> None:
    """Raise if what is written would overwrite itself, what is read, or an existing file."""
    paths = [_npy_path(out) for out in outs if is_path(out)]
    for place, path in enumerate(paths):
        if path.resolve() in [other.resolve() for other in paths[:place]]:
            raise ValueError(
                f"out names the file {str(path)!r} twice; give each part of the result a file of "
                "its own."
            )
        _check_file(path)
    arrays = [out for out in outs if not is_path(out)]
    read = [getattr(each, "_store", each) for each in given]
    for place, out in enumerate(arrays):
        if any(_overlap(out, other) for other in arrays[:place]):
            raise ValueError(
                "two arrays of out share memory; give each part of the result an array of its own."
            )
        if any(_overlap(out, each) for each in read):
            raise ValueError(
                "out shares memory with what it is computed from, which would be overwritten "
                "before it is read; give a new array."
            )


def _overlap(one: Any, other: Any) -> bool:
    are_arrays = isinstance(one, np.ndarray) and isinstance(other, np.ndarray)
    return one is other or (are_arrays and np.shares_memory(one, other))


def _check_file(path: Path) -> None:
    if not path.parent.is_dir():
        raise FileNotFoundError(
            errno.ENOENT, "the folder for out does not exist; create it", str(path.parent)
        )
    for there in (path, journal_path(path)):
        if there.exists():
            raise FileExistsError(
                errno.EEXIST,
                "out exists, or a store of that name is half written; choose another name, or "
                "delete it",
                str(there),
            )


def _check_array(out: Any, shape: tuple[int, ...]) -> None:
    dtype = _dtype_of(out)
    if dtype is None or not all(hasattr(out, name) for name in ("shape", "__setitem__")):
        remedy = "; give its array, out.numpy()" if hasattr(out, "numpy") else ""
        raise TypeError(
            f"out must be an array or the name of a .npy file, got {type(out).__name__}{remedy}."
        )
    if tuple(out.shape) != shape:
        raise ValueError(f"out has shape {tuple(out.shape)}; wanted is {shape}.")
    if dtype.kind != "f":
        raise ValueError(f"out holds {dtype}; wanted are floats, such as float32.")
    if isinstance(out, np.ndarray) and not out.flags.writeable:
        raise ValueError("out is read-only; open its file with mode 'r+' or 'w+'.")


def _dtype_of(out: Any) -> np.dtype | None:
    """Type of the numbers of an array, None for what has none that numpy knows."""
    try:
        return np.dtype(out.dtype)
    except (AttributeError, TypeError):
        return None
