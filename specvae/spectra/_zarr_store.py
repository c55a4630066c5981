"""Rows of a Zarr array, read by position."""

import os
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np

from .._optional import import_optional
from ._row_store import PerProcess, RowStore, check_scale, choose_matrix, find_data
from ._shards import ShardLayout, read_index, shard_layout


class ZarrStore(RowStore):
    """Rows of a two-dimensional Zarr array in a folder.

    A pickle holds the path, the name and the scales, so workers open the array themselves; so does
    a process that was forked. Needs the extra `store`.

    Parameters
    ----------
    path : str or Path
        Folder of the array, or of a group that holds it, in format 3 or 2.
    dataset : str, optional
        Name within the group of an array of shape (n_rows, n_pixels) in float16, float32 or
        float64; by default the only one there is. None where `path` is the array itself.
    scale : ndarray of shape (n_rows,) or str, optional
        Factor that gives each stored row its physical flux back, or the name in the group of the
        array that holds it.

    Attributes
    ----------
    shape : tuple of int
        (n_rows, n_pixels).
    dtype : dtype
        As the rows are stored.

    Raises
    ------
    FileNotFoundError
        If the folder is missing.
    ValueError
        If it is no Zarr store or damaged, has no such array, or that is no matrix of floats, or
        `scale` is not one finite number a row.
    ImportError
        If zarr is missing or older than version 3.

    See Also
    --------
    SpectraArray.open : Open any store as a lazy matrix.

    Notes
    -----
    Fast are shards whose chunks are single rows without compression: those are read from their
    place in the shard, past the zarr library. All others go through it, neighbours as one slice,
    which costs about a millisecond a row. A row whose chunk cannot be read, or was never written,
    is an `OSError` that names it; but where the fill value is NaN, what was never written are
    missing pixels. Archives in one file (.zip) and on a network are not read.

    Examples
    --------
    >>> import tempfile
    >>> import zarr
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     array = zarr.create_array(
    ...         f"{folder}/survey.zarr",
    ...         shape=(6, 20),
    ...         chunks=(1, 20),  # one spectrum,
    ...         shards=(3, 20),  # three of them in a file
    ...         dtype="float16",
    ...         compressors=None,
    ...         fill_value=np.nan,
    ...     )
    ...     array[:] = np.ones((6, 20))
    ...     store = ZarrStore(f"{folder}/survey.zarr")
    ...     flux = store[np.array([0, 5])]
    >>> store.shape, flux.shape
    ((6, 20), (2, 20))
    """

    def __init__(
        self,
        path: str | Path,
        dataset: str | None = None,
        scale: np.ndarray | str | None = None,
    ):
        self.path = Path(path).absolute()
        found = _arrays(self.path)
        self.dataset = choose_matrix(self.path, dataset, found)
        array = found[self.dataset]
        self.shape, self.dtype = array.shape, array.dtype
        self.chunk_rows = array.chunks[0]
        self.fill_value = None if array.fill_value is None else float(array.fill_value)
        if isinstance(scale, str):
            scale = find_data(self.path, scale, found)[...]
        self.scale = None if scale is None else check_scale(scale, self.shape[0])
        self._layout = shard_layout(array.metadata.to_dict(), self.shape)
        self._array = PerProcess(_open_array, self.path, self.dataset, self.shape, self.dtype)
        self._indexes: dict[int, tuple[tuple[int, int], np.ndarray]] = {}

    def _read_into(self, flux: np.ndarray, row: int) -> None:
        layout = self._layout
        if layout is None or not layout.plain_rows:
            flux[:] = self._array.get()[row : row + len(flux)]
            return
        start, shard_rows = 0, layout.shard_rows
        while start < len(flux):
            shard, first = divmod(row + start, shard_rows)
            stop = min(len(flux), start + shard_rows - first)
            self._read_shard(flux[start:stop], layout, shard, first)
            start = stop

    def _read_shard(self, flux: np.ndarray, layout: ShardLayout, shard: int, first: int) -> None:
        """Read successive rows of one shard whose chunks are the rows as they stand in memory."""
        try:
            file = FileIO(self._file_of(shard, 0))
        except FileNotFoundError:  # how Zarr says that nothing was written there
            flux[:] = self.fill_value
            return
        with file:
            index = self._index(file, layout, shard)
            for place, (position, n_bytes) in zip(flux, index[first:, 0], strict=False):
                if position < 0:
                    place[:] = self.fill_value
                elif n_bytes != self.row_bytes:
                    raise ValueError(f"its chunk has {n_bytes} bytes, {self.row_bytes} wanted")
                else:
                    _read_bytes(file, position, place)

    def _is_written(self, row: int) -> bool:
        array = self._array.get()
        shards, chunks = array.shards, array.chunks
        height, width = shards or chunks
        for column in range(-(-self.shape[1] // width)):
            path = self._file_of(row // height, column)
            if not path.exists():
                continue
            if shards is None or self._layout is None:
                return True
            with FileIO(path) as file:
                index = read_index(file, self._layout)
            if (index[row % height // self._layout.chunk_rows] >= 0).any():
                return True
        return False

    def _file_of(self, shard: int, column: int) -> Path:
        key = self._array.get().metadata.encode_chunk_key((shard, column))
        return self.path / self.dataset / key

    def _index(self, file: FileIO, layout: ShardLayout, shard: int) -> np.ndarray:
        """Return the index of a shard, read once for as long as the file stays the same."""
        status = os.fstat(file.fileno())
        version = (status.st_mtime_ns, status.st_size)
        known = self._indexes.get(shard)
        if known is None or known[0] != version:
            self._indexes[shard] = known = version, read_index(file, layout)
        return known[1]

    def __getstate__(self) -> dict[str, Any]:
        # The indexes of a large archive are megabytes, and each process reads its own rows.
        return self.__dict__ | {"_indexes": {}}


def _read_bytes(file: FileIO, position: int, flux: np.ndarray) -> None:
    file.seek(position)
    view = memoryview(flux.view(np.uint8))  # type: ignore[arg-type]
    while len(view):
        n_read = file.readinto(view)
        if n_read == 0:
            raise ValueError("its shard ends before it is complete")
        view = view[n_read:]


def _open(path: Path) -> Any:
    zarr = import_optional("zarr", caller="ZarrStore", extra="store")
    if int(zarr.__version__.partition(".")[0]) < 3:
        raise ImportError(
            f"ZarrStore needs zarr 3 or newer, {zarr.__version__} is installed: "
            "pip install 'specvae[store]'."
        )
    if not path.is_dir():
        raise FileNotFoundError(f"{path} does not exist, or is no folder; a Zarr store is one.")
    try:
        return zarr.open(str(path), mode="r")
    except PermissionError:
        raise
    except Exception as error:  # of several kinds, by what is missing or damaged
        raise ValueError(
            f"{path} is not a Zarr store, or its metadata are damaged: {error}; restore it from a "
            "copy."
        ) from error


def _arrays(path: Path) -> dict[str, Any]:
    """All arrays of a group, at any depth; an array that stands alone has the name ''."""
    opened = _open(path)
    if hasattr(opened, "shape"):
        return {"": opened}
    members = opened.members(max_depth=None)
    return {name: member for name, member in members if hasattr(member, "shape")}


def _open_array(path: Path, name: str, shape: tuple[int, ...], dtype: np.dtype) -> Any:
    opened = _open(path)
    array = opened[name] if name else opened
    if (array.shape, array.dtype) != (shape, dtype):
        raise OSError(
            f"the store was changed: array {name!r} holds {array.dtype} of shape {array.shape}, "
            f"it held {dtype} of shape {shape} when it was opened"
        )
    return array
