"""Rows of a data set of an HDF5 file, read by position."""

from pathlib import Path
from typing import Any

import numpy as np

from .._optional import import_optional
from ._row_store import PerProcess, RowStore, check_scale, choose_matrix, find_data

# Largest cache of chunks that hold more than one row each.
_MAX_CACHE_BYTES = 2**28


class HDF5Store(RowStore):
    """Rows of a two-dimensional data set of an HDF5 file.

    A pickle holds the path, the name and the scales, so workers open the file themselves; so does
    a process that was forked. Needs the extra `store`.

    Parameters
    ----------
    path : str or Path
        The HDF5 file.
    dataset : str, optional
        Name of a data set of shape (n_rows, n_pixels) in float16, float32 or float64; by default
        the only one there is.
    scale : ndarray of shape (n_rows,) or str, optional
        Factor that gives each stored row its physical flux back, or the name of the data set that
        holds it.

    Attributes
    ----------
    shape : tuple of int
        (n_rows, n_pixels).
    dtype : dtype
        As the rows are stored.

    Raises
    ------
    FileNotFoundError
        If the file is missing.
    ValueError
        If it is no HDF5 file or cut short, has no such data set, or that is no matrix of floats,
        or `scale` is not one finite number a row.
    ImportError
        If h5py is missing.

    See Also
    --------
    SpectraArray.open : Open any store as a lazy matrix.

    Notes
    -----
    Best are contiguous data sets, or chunks of one row: others are read and decompressed as whole
    chunks, of which a band of one chunk's rows is kept, up to 256 MB. A row whose chunk cannot be
    read, or was never written, is an `OSError` that names it; unwritten pixels that the fill value
    makes NaN are missing pixels. HDF5 lets one thread read at a time. What the sources of a
    virtual data set lack cannot be told from what they hold.

    Examples
    --------
    >>> import tempfile
    >>> import h5py
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with h5py.File(f"{folder}/survey.h5", "w") as file:
    ...         file["spectra/flux"] = np.ones((3, 20), dtype=np.float16)
    ...     store = HDF5Store(f"{folder}/survey.h5", "spectra/flux")
    ...     flux = store[np.array([0, 2])]
    >>> store.shape, flux.shape
    ((3, 20), (2, 20))
    """

    def __init__(
        self,
        path: str | Path,
        dataset: str | None = None,
        scale: np.ndarray | str | None = None,
    ):
        self.path = Path(path).absolute()
        with _open_file(self.path) as file:
            named = [name for name in (dataset, scale) if isinstance(name, str)]
            found = _data_sets(file, None if dataset is None else named)
            self.dataset = choose_matrix(self.path, dataset, found)
            data = found[self.dataset]
            self.shape, self.dtype = data.shape, data.dtype
            self.chunk_rows = data.chunks[0] if data.chunks else 1
            self.fill_value = float(data.fillvalue)
            if isinstance(scale, str):
                scale = find_data(self.path, scale, found)[()]
        self.scale = None if scale is None else check_scale(scale, self.shape[0])
        self._n_bytes = self.path.stat().st_size
        self._data = PerProcess(
            _open_data, self.path, self.dataset, self.shape, self.dtype, self.chunk_rows
        )

    def _read_into(self, flux: np.ndarray, row: int) -> None:
        data = self._data.get()
        n_bytes = self.path.stat().st_size
        if n_bytes < self._n_bytes and _end_of_rows(data, row, len(flux)) > n_bytes:
            # HDF5 itself would fill with zeros what lies beyond the end.
            raise OSError("the file became shorter since it was opened, and ends before it")
        data.read_direct(flux, np.s_[row : row + len(flux)])

    def _is_written(self, row: int) -> bool:
        data = self._data.get()
        if data.is_virtual or data.external:
            return True
        if data.chunks is None:
            return data.id.get_storage_size() > 0
        return any(info.byte_offset is not None for info in _chunks(data, row))


def _open_file(path: Path, **options: Any) -> Any:
    h5py = import_optional("h5py", caller="HDF5Store", extra="store")
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist, or is no file.")
    try:
        return h5py.File(path, "r", **options)
    except PermissionError:
        raise
    except BlockingIOError as error:
        raise BlockingIOError(
            error.errno,
            f"{path} is open for writing in another process: wait until that has closed it, or set "
            "HDF5_USE_FILE_LOCKING=FALSE if the file system has no locks",
        ) from error
    except OSError as error:
        raise ValueError(
            f"{path} is not an HDF5 file, or damaged or cut short: {error}; restore it from a copy."
        ) from error


def _data_sets(file: Any, names: list[str] | None) -> dict[str, Any]:
    """Return the data sets of these names, or all if one is missing or no names are given."""
    found = {}

    def note(name: str, thing: Any) -> None:
        if hasattr(thing, "shape"):  # a data set, not a group or a named type
            found[name] = thing

    for name in names or []:
        note(name.strip("/"), file.get(name))
    if names is None or len(found) < len(names):
        file.visititems(note)  # which takes its time where there are very many
    return found


def _open_data(
    path: Path, name: str, shape: tuple[int, ...], dtype: np.dtype, chunk_rows: int
) -> Any:
    # Without a cache, chunks of one row go straight from the file to where they are wanted.
    band = chunk_rows * shape[1] * dtype.itemsize if chunk_rows > 1 else 0
    data = _open_file(path, rdcc_nbytes=min(band, _MAX_CACHE_BYTES))[name]
    if (data.shape, data.dtype) != (shape, dtype):
        raise OSError(
            f"the file was changed: data set {name!r} holds {data.dtype} of shape {data.shape}, "
            f"it held {dtype} of shape {shape} when it was opened"
        )
    return data


def _chunks(data: Any, row: int) -> list[Any]:
    """Where the chunks of a row lie; `byte_offset` is None for those never written."""
    columns = range(0, data.shape[1], data.chunks[1])
    return [data.id.get_chunk_info_by_coord((row, column)) for column in columns]


def _end_of_rows(data: Any, row: int, n_rows: int) -> float:
    """Position in the file after the last byte of these rows, infinite where it is not known."""
    if data.is_virtual or data.external:
        return np.inf
    if data.chunks is None:
        start = data.id.get_offset()
        row_bytes = data.shape[1] * data.dtype.itemsize
        return np.inf if start is None else start + (row + n_rows) * row_bytes
    ends = [
        info.byte_offset + info.size
        for each in range(row, row + n_rows)
        for info in _chunks(data, each)
        if info.byte_offset is not None
    ]
    return max(ends, default=0)
