"""What the stores on disk share: which rows are read together, and which one failed."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

# Rows of one chunk are read together up to this size, and one by one beyond it.
_MAX_BAND_BYTES = 2**28

# These say themselves what is wrong, and concern the file, not one row.
_NOT_OF_A_ROW = (
    ImportError,
    MemoryError,
    BlockingIOError,
    FileNotFoundError,
    PermissionError,
)


class RowStore(ABC):
    """Rows of a matrix of floats on disk, read by position.

    A store sets these fields, and reads successive rows.
    """

    path: Path
    shape: tuple[int, ...]  # (n_rows, n_pixels)
    dtype: np.dtype
    scale: np.ndarray | None  # (n_rows,), factor that gives each row its physical flux back
    chunk_rows: int = 1  # rows that the file keeps, and perhaps compresses, together
    fill_value: float | None = None  # what is read where nothing was written; NaN counts as None

    @property
    def row_bytes(self) -> int:
        """Bytes that one row takes, uncompressed."""
        return int(self.shape[1] * self.dtype.itemsize)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """Return the rows with these non-negative indices, in float32 where a scale is applied."""
        rows = np.asarray(rows, dtype=np.intp)
        flux = np.empty((len(rows), self.shape[1]), dtype=self.dtype)
        self.read_into(flux, rows)
        if self.scale is None:
            return flux
        flux = flux.astype(np.float32, copy=False)
        flux *= self.scale[rows, None].astype(np.float32)
        return flux

    def read_into(self, flux: np.ndarray, rows: np.ndarray) -> None:
        """Fill `flux` with these rows as they are stored, before any scale, each at its place.

        Parameters
        ----------
        flux : ndarray of shape (n, n_pixels), in the dtype of the store
            C-contiguous.
        rows : ndarray of int, shape (n,)
            Non-negative, in any order.

        Raises
        ------
        IndexError
            If the store has no such row.
        OSError
            If a row cannot be read, with its number.
        """
        rows = np.asarray(rows, dtype=np.intp)
        if len(rows) and not (rows.min() >= 0 and rows.max() < self.shape[0]):
            raise IndexError(
                f"{self.path} holds {self.shape[0]} spectra; rows {rows.min()} to {rows.max()} "
                "were asked for."
            )
        if len(rows) == 1:
            self._fill(flux, int(rows[0]))
            return
        n_together = self.chunk_rows if self.chunk_rows * self.row_bytes <= _MAX_BAND_BYTES else 1
        # In the order of the file, so that a disk with a head need not go back and forth.
        order = np.argsort(rows, kind="stable")
        rows = rows[order]
        for group in _row_groups(rows, order, n_together):
            first, last = int(rows[group.start]), int(rows[group.stop - 1])
            if first == last and group.stop - group.start == 1:
                self._fill(flux[order[group.start] :][:1], first)
                continue
            places, wanted = order[group], rows[group] - first
            if _is_range(wanted) and _is_range(places):
                self._fill(flux[places[0] : places[-1] + 1], first)
                continue
            span = np.empty((last - first + 1, self.shape[1]), dtype=self.dtype)
            self._fill(span, first)
            flux[places] = span[wanted]

    def _fill(self, flux: np.ndarray, row: int) -> None:
        """Read successive rows, or raise an OSError that names the one that cannot be read."""
        try:
            self._read_into(flux, row)
            self._refuse_unwritten(flux, row)
        except _NOT_OF_A_ROW:
            raise
        except Exception as error:  # the codecs of a format raise what they like
            if len(flux) == 1:
                raise OSError(
                    f"spectrum {row} of {self.path} cannot be read: {error}; restore the file "
                    "from a copy, or write it again."
                ) from error
            for place in range(len(flux)):
                self._fill(flux[place : place + 1], row + place)

    def _refuse_unwritten(self, flux: np.ndarray, row: int) -> None:
        # A chunk that got lost reads as the fill value without an error: zeros, as a rule.
        if self.fill_value is None or np.isnan(self.fill_value):
            return
        for place in np.flatnonzero((flux[:, :1] == self.fill_value).all(axis=1)):
            if (flux[place] == self.fill_value).all() and not self._is_written(row + int(place)):
                raise OSError(f"it was never written, or its chunk is lost (row {row + place})")

    @abstractmethod
    def _read_into(self, flux: np.ndarray, row: int) -> None:
        """Fill `flux` with the rows from `row` on, as they are stored."""

    def _is_written(self, row: int) -> bool:
        """Whether the file holds anything of a row; asked where the fill value alone was read."""
        return True


class PerProcess:
    """What each process opens for itself: pickled as the call that opens it, not inherited.

    Parameters
    ----------
    function : callable
        Opens; a function of a module, so that it pickles.
    *arguments
        What it is called with.
    """

    def __init__(self, function: Callable[..., Any], *arguments: Any):
        self._function = function
        self._arguments = arguments
        self._opened: tuple[int, Any] | None = None

    def get(self) -> Any:
        """Return what this process opened, now or earlier."""
        # A copy, since another thread may open as well: the last one is kept, any one is right.
        opened = self._opened
        if opened is None or opened[0] != os.getpid():
            self._opened = opened = os.getpid(), self._function(*self._arguments)
        return opened[1]

    def __reduce__(self) -> tuple[Any, ...]:
        return PerProcess, (self._function, *self._arguments)


def choose_matrix(path: Path, dataset: str | None, found: dict[str, Any]) -> str:
    """Name of the data set to read: that asked for, or the only matrix of floats there is.

    Parameters
    ----------
    path : Path
        For the message.
    dataset : str or None
        The name asked for.
    found : dict
        Name of each data set -> something with `shape` and `dtype`.

    Raises
    ------
    ValueError
        If there is no such data set, it is no matrix of floats, or there are several to choose
        from.
    """
    if dataset is None:
        matrices = [name for name, data in found.items() if is_matrix(data)]
        if len(matrices) == 1:
            return matrices[0]
        what = f"{len(matrices)} matrices" if matrices else "no matrix"
        remedy = "; choose one with dataset=" if matrices else ""
        raise ValueError(f"{path} holds {what} of floats{remedy}. {_listed(found)}")
    data = find_data(path, dataset, found)
    if not is_matrix(data):
        raise ValueError(
            f"data set {dataset!r} of {path} must be a matrix of float16, float32 or float64, one "
            f"spectrum a row; it holds {data.dtype} of shape {data.shape}."
        )
    return dataset.strip("/")


def find_data(path: Path, name: str, found: dict[str, Any]) -> Any:
    """Return the data set of this name.

    Raises
    ------
    ValueError
        If there is none, with the names that there are.
    """
    if name.strip("/") not in found:
        raise ValueError(f"{path} has no data set {name!r}. {_listed(found)}")
    return found[name.strip("/")]


def is_matrix(data: Any) -> bool:
    """Whether a data set can be spectra: two axes, floats of at most 64 bits."""
    dtype = np.dtype(data.dtype)
    return len(data.shape or ()) == 2 and dtype.kind == "f" and dtype.itemsize <= 8


def check_scale(scale: Any, n_rows: int) -> np.ndarray:
    """Return the factors of the rows as an array.

    Raises
    ------
    ValueError
        If there is not one finite factor for each row.
    """
    scale = np.asarray(scale)
    if scale.shape != (n_rows,) or scale.dtype.kind not in "iuf":
        raise ValueError(
            f"scale must hold one factor for each of the {n_rows} spectra; got {scale.dtype} of "
            f"shape {scale.shape}."
        )
    if not np.isfinite(scale).all():
        row = int(np.argmin(np.isfinite(scale)))
        raise ValueError(f"scale must be finite, got {scale[row]} for spectrum {row}.")
    return scale


def _row_groups(rows: np.ndarray, places: np.ndarray, chunk_rows: int) -> Iterator[slice]:
    """Slices of increasing `rows` that are read at once, and go to these places.

    Rows of one chunk; or, where chunks are rows, neighbours that stay neighbours. No more than one
    chunk, so that little is read beside what was asked for.
    """
    if chunk_rows == 1:
        together = (np.diff(rows) == 1) & (np.diff(places) == 1)
    else:
        together = np.diff(rows // chunk_rows) == 0
    starts = np.flatnonzero(np.concatenate([[True], ~together])[: len(rows)])
    for start, stop in zip(starts, [*starts, len(rows)][1:], strict=True):
        yield slice(int(start), int(stop))


def _is_range(numbers: np.ndarray) -> bool:
    """Whether each number is one more than that before it."""
    return bool((np.diff(numbers) == 1).all())


def _listed(found: dict[str, Any], n_shown: int = 20) -> str:
    if not found:
        return "It has no data set at all."
    shown = [
        f"{name!r} ({data.dtype} of shape {data.shape})"
        for name, data in list(found.items())[:n_shown]
    ]
    more = f" and {len(found) - n_shown} more" if len(found) > n_shown else ""
    return f"It has: {', '.join(shown)}{more}."
