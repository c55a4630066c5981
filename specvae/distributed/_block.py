"""What a worker does: one block of rows through a fitted estimator."""

import threading
from typing import Any, NamedTuple

import numpy as np

from .._validation import is_lazy
from ..exceptions import SpectrumError

# A worker with several threads takes its blocks one after the other all the same: torch has
# threads of its own for the whole process, and all blocks share one estimator.
_ONE_AT_A_TIME = threading.Lock()

# These concern the store, or its whole folder, and no single row.
_NOT_OF_A_ROW = (BlockingIOError, FileNotFoundError, PermissionError)


# How the reason begins where the store, and not the spectrum, may be at fault.
UNREADABLE = "cannot be read: "


class Archive(NamedTuple):
    """What all blocks have in common; sent to the workers once."""

    estimator: Any  # fitted
    spectra: Any  # SpectraArray
    method: str
    keep_rest: bool  # of a block with unusable spectra: compute the others


class Block(NamedTuple):
    """What came of a block of rows."""

    values: np.ndarray | None  # (n_rows, ...), NaN for unusable rows; None if there are none
    unusable: dict[int, str]  # row of the archive -> why it cannot be used


def compute_block(archive: Archive, start: int, stop: int) -> Block:
    """Apply the method to the rows from `start` to before `stop`."""
    rows = np.arange(start, stop)
    with _ONE_AT_A_TIME:
        try:
            return Block(_apply(archive, rows), {})
        except _NOT_OF_A_ROW:
            raise
        except (SpectrumError, OSError):
            pass  # which rows it were is found next
        unusable = _unusable(archive, rows)
        if not unusable:  # it passed, as a fault of a network does
            return Block(_apply(archive, rows), {})
        kept = np.setdiff1d(rows, list(unusable))
        if not archive.keep_rest or not len(kept):
            return Block(None, unusable)
        found = _apply(archive, kept)
    if found.dtype.kind not in "fc":
        raise TypeError(
            f"{archive.method} gives {found.dtype}, which has no NaN for spectra that cannot be "
            "used: leave invalid at 'raise'."
        )
    values = np.full((len(rows), *found.shape[1:]), np.nan, dtype=found.dtype)
    values[kept - start] = found
    return Block(values, unusable)


def _apply(archive: Archive, rows: np.ndarray) -> np.ndarray:
    values = getattr(archive.estimator, archive.method)(archive.spectra[rows])
    if is_lazy(values):
        values = values.to_numpy()  # row-wise transformers only
    if isinstance(values, tuple):
        raise TypeError(
            f"{archive.method} must give one array, it gave {len(values)}; call it for each."
        )
    values = np.ascontiguousarray(values)
    if values.dtype.kind not in "biufc" or values.shape[:1] != rows.shape:
        raise TypeError(
            f"{archive.method} must give numbers, one row for each of {len(rows)} spectra; it gave "
            f"{values.dtype} of shape {values.shape}."
        )
    return values


def _unusable(archive: Archive, rows: np.ndarray) -> dict[int, str]:
    """Rows that fail by themselves, and why."""
    found = {}
    for row in rows:
        try:
            _apply(archive, np.array([row]))
        except _NOT_OF_A_ROW:
            raise
        except SpectrumError as error:
            found[int(row)] = error.reason
        except OSError as error:
            found[int(row)] = f"{UNREADABLE}{error}"
    return found
