"""A file of results while it is being filled: rows, and a journal with one line for each block.

The journal speaks of a block only once its rows are written, and carries their checksum. Whatever
a crash leaves behind, blocks that the journal speaks of and that still have their checksum are
good, and all others are computed again.
"""

import contextlib
import errno
import io
import os
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..spectra._part import (
    FULL_DISK,
    HEADER_BYTES,
    give_name,
    journal_path,
    json_line,
    lock,
    npy_header,
    open_unbuffered,
    parse_line,
    rows_path,
    sync_folder,
)

_FORMAT = {"format": "specvae-archive-journal", "version": 1}

_Layout = tuple[tuple[int, ...], np.dtype]  # of a row


class PartialResult:
    """The rows and the journal of an unfinished result, opened where the last call stopped.

    Parameters
    ----------
    out : Path
        Name of the finished .npy file; the unfinished one lies beside it, with ``.part`` added.
    identity : dict
        What all calls that fill this file must agree on, fit for JSON.
    samples : dict
        Row of the store -> checksum; rows that two calls both know must have the same.
    n_rows : int
        Rows of the result.
    block_rows : int or None
        Rows of a block; None takes those of the call that began, or else `default_block_rows`.
    default_block_rows : int
    again : callable
        Takes the reason why a row is NaN, and says whether its block is to be computed again.

    Attributes
    ----------
    block_rows : int
    done : dict
        Block -> row of the archive -> why it cannot be used and is NaN.

    Raises
    ------
    FileExistsError
        If the result exists.
    ValueError
        If an unfinished result is there that was begun with other arguments.
    BlockingIOError
        If another process is writing it.
    """

    def __init__(
        self,
        out: Path,
        identity: dict[str, Any],
        samples: dict[str, int],
        *,
        n_rows: int,
        block_rows: int | None,
        default_block_rows: int,
        again: Callable[[str], bool],
    ):
        self.out, self.n_rows, self.again = out, n_rows, again
        self.rows_path, self.journal_path = rows_path(out), journal_path(out)
        self.done: dict[int, dict[int, str]] = {}
        self.layout: _Layout | None = None
        self._holds_blocks = False  # also such as this call computes again
        _check_out(out)
        with contextlib.ExitStack() as opened:
            self._journal = opened.enter_context(open_unbuffered(self.journal_path))
            lock(self._journal, out)
            entries = list(self._whole_lines())
            if out.exists() and not entries:  # it appeared after the first look
                self.journal_path.unlink(missing_ok=True)
                raise _exists(out)
            begun = entries[0][1] if entries else None
            known = begun.get("block_rows") if begun else None
            self.block_rows = block_rows or known or default_block_rows
            self._identity = {**_FORMAT, **identity, "block_rows": self.block_rows}
            if begun is not None:
                self._check_same(begun, samples)
            self.is_named = out.exists()
            if self.is_named:
                self._check_named([entry for _, entry in entries])
            if not self.is_named:
                self._rows = opened.enter_context(open_unbuffered(self.rows_path))
                # While they are open, and so while no other process can take them over.
                opened.callback(self._remove_if_empty)
                self._take_over(entries, samples)
            self._opened = opened.pop_all()

    @property
    def n_blocks(self) -> int:
        """Blocks of the whole result."""
        return -(-self.n_rows // self.block_rows)

    @property
    def n_rows_done(self) -> int:
        """Rows that are written, and of which the next such call will compute none again."""
        kept = [block for block, unusable in self.done.items() if not self.is_again(unusable)]
        return sum(stop - start for start, stop in map(self.span, kept))

    def is_again(self, unusable: dict[int, str]) -> bool:
        """Whether a block with these unusable rows is to be computed again."""
        return any(map(self.again, unusable.values()))

    def span(self, block: int) -> tuple[int, int]:
        """First row of a block, and the row after its last."""
        start = block * self.block_rows
        return start, min(start + self.block_rows, self.n_rows)

    def begin(self, values: np.ndarray) -> None:
        """Take the layout of the rows from the first ones that there are.

        Raises
        ------
        OSError
            If the disk has too little space.
        """
        shape, dtype = values.shape[1:], values.dtype.newbyteorder("<")
        row_bytes = _row_bytes(shape, dtype)
        needed = HEADER_BYTES + self.n_rows * row_bytes
        free = shutil.disk_usage(self.out.parent).free
        if needed > free:
            raise OSError(
                errno.ENOSPC,
                f"the result of {self.n_rows} spectra needs {1e-9 * needed:.3g} GB, "
                f"{1e-9 * free:.3g} GB are free in {self.out.parent.absolute()}; nothing was "
                "written. Free some space, or choose another folder",
            )
        with self._told_when_full():
            self._lay_out(shape, dtype)
            self._note({"row_shape": list(shape), "dtype": dtype.str})

    def write(self, block: int, values: np.ndarray, unusable: dict[int, str]) -> None:
        """Write the rows of a block, and then its line in the journal.

        Raises
        ------
        OSError
            If the disk is full; the block then counts as not done.
        TypeError
            If its rows are not like those of the blocks before.
        """
        if self.layout is None:
            self.begin(values)
        assert self.layout is not None
        shape, dtype = self.layout
        start, stop = self.span(block)
        if values.shape != (stop - start, *shape) or values.dtype.newbyteorder("<") != dtype:
            raise TypeError(
                f"rows {start} to {stop - 1} gave {values.dtype} of shape {values.shape}, those "
                f"before {dtype} with {shape} for a row; the method must give the same for all."
            )
        data = np.ascontiguousarray(values, dtype=dtype).tobytes()
        with self._told_when_full():
            _write_at(self._rows, data, HEADER_BYTES + start * _row_bytes(shape, dtype))
            line: dict[str, Any] = {"block": block, "crc32": zlib.crc32(data)}
            if unusable:
                line["unusable"] = [[row, reason] for row, reason in unusable.items()]
            self._note(line)
        self.done[block] = unusable

    def finish(self) -> None:
        """Give the rows their final name; by the journal beside them a call knows them again.

        Raises
        ------
        FileExistsError
            If another file has the name by now.
        """
        if not self.is_named:
            with self._told_when_full():
                os.fsync(self._rows.fileno())
            try:
                give_name(self.rows_path, self.out)
            except FileExistsError:
                raise self._would_replace() from None
        sync_folder(self.out.parent)

    def remove_journal(self) -> None:
        """Let the finished file stand for itself."""
        self.journal_path.unlink()

    def close(self) -> None:
        """Close both files, and remove them if no block is in them."""
        self._opened.close()

    def _remove_if_empty(self) -> None:
        # A call that failed before its first block leaves nothing that a corrected one would meet.
        if not (self.done or self._holds_blocks or self.is_named):
            self.rows_path.unlink(missing_ok=True)
            self.journal_path.unlink(missing_ok=True)

    def _check_same(self, begun: dict[str, Any], samples: dict[str, int]) -> None:
        differing = [
            f"{name.replace('_', ' ')} was {begun.get(name)}, now {wanted}"
            for name, wanted in self._identity.items()
            if begun.get(name) != wanted
        ]
        differing += [
            f"spectrum {row} of the store has changed"
            for row, checksum in begun.get("samples", {}).items()
            if samples.get(row, checksum) != checksum
        ]
        if differing:
            raise ValueError(
                f"{self.rows_path} was begun with other arguments ({'; '.join(differing)}): "
                "repeat the call with the same ones to go on from there, or delete "
                f"{self.rows_path.name} and {self.journal_path.name} to begin anew."
            )

    def _check_named(self, lines: list[dict[str, Any]]) -> None:
        """Raise unless the file that has the name already is the one of this journal.

        Where blocks of it are to be computed again, it loses the name.
        """
        if self.rows_path.exists() and not os.path.samefile(self.rows_path, self.out):
            raise self._would_replace()
        with open(self.out, "rb", buffering=0) as rows:
            self.done = self._whole_blocks(rows, lines, _layout(lines))
        if len(self.done) < self.n_blocks:
            raise self._would_replace()
        # It is there where the call was interrupted when the file had both names.
        self.rows_path.unlink(missing_ok=True)
        if any(map(self.is_again, self.done.values())):
            os.replace(self.out, self.rows_path)
            self.is_named, self.done = False, {}

    def _whole_blocks(
        self, rows: io.FileIO, lines: list[dict[str, Any]], layout: _Layout | None
    ) -> dict[int, dict[int, str]]:
        """Return the blocks that still have their checksum, with their unusable rows."""
        whole: dict[int, dict[int, str]] = {}
        if layout is None:
            return whole
        row_bytes = _row_bytes(*layout)
        for block, entry in _blocks(lines).items():
            start, stop = self.span(block)
            rows.seek(HEADER_BYTES + start * row_bytes)
            if _crc32_of(rows, (stop - start) * row_bytes) == entry["crc32"]:
                whole[block] = _unusable(entry)
        return whole

    def _would_replace(self) -> FileExistsError:
        return FileExistsError(
            errno.EEXIST,
            f"the unfinished result {self.rows_path} would replace an existing file: move that "
            f"away to go on, or delete {self.rows_path.name} and {self.journal_path.name} to keep "
            "it",
            str(self.out),
        )

    def _take_over(
        self, entries: list[tuple[int, dict[str, Any]]], samples: dict[str, int]
    ) -> None:
        """Keep the blocks that are good, and cut a torn line."""
        end = entries[-1][0] if entries else 0
        self._journal.truncate(end)
        self._journal.seek(end)
        if not entries:
            with self._told_when_full():
                self._note({**self._identity, "samples": samples})
                os.fsync(self._journal.fileno())
                self._rows.truncate(0)
            return
        lines = [entry for _, entry in entries]
        layout = _layout(lines)
        if layout is None:
            return
        whole = self._whole_blocks(self._rows, lines, layout)
        self._holds_blocks = bool(whole)
        self.done = {block: why for block, why in whole.items() if not self.is_again(why)}
        with self._told_when_full():
            self._lay_out(*layout)

    def _lay_out(self, shape: tuple[int, ...], dtype: np.dtype) -> None:
        """Write the header and give the file its length, of which the disk keeps what is filled."""
        _write_at(self._rows, npy_header((self.n_rows, *shape), dtype), 0)
        self._rows.truncate(HEADER_BYTES + self.n_rows * _row_bytes(shape, dtype))
        self.layout = shape, dtype

    def _note(self, line: dict[str, Any]) -> None:
        _write_at(self._journal, json_line(line), self._journal.seek(0, os.SEEK_END))

    def _whole_lines(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield where each line ends and what it says, up to the first that is torn."""
        stop = 0
        with open(self.journal_path, "rb") as journal:
            for line in journal:
                entry = parse_line(line)
                if entry is None:
                    return
                stop += len(line)
                yield stop, entry

    @contextlib.contextmanager
    def _told_when_full(self) -> Iterator[None]:
        """Say how far it got; the next call cuts what is half written."""
        try:
            yield
        except OSError as error:
            if error.errno not in FULL_DISK:
                raise
            raise OSError(
                error.errno,
                f"the disk of {self.out} is full after {self.n_rows_done} of {self.n_rows} "
                "spectra. Nothing is lost: free some space and repeat the same call, which goes on "
                "from there",
            ) from error


def _check_out(out: Path) -> None:
    """Raise if the result cannot be made or would replace something."""
    if not out.parent.is_dir():
        raise FileNotFoundError(
            errno.ENOENT, "the folder for the result does not exist; create it", str(out.parent)
        )
    if out.exists() and not journal_path(out).exists():
        raise _exists(out)


def _exists(out: Path) -> FileExistsError:
    reason = "the result exists; read it with numpy.load, or delete it to compute it anew"
    return FileExistsError(errno.EEXIST, reason, str(out))


def _layout(lines: list[dict[str, Any]]) -> _Layout | None:
    """Return shape and type of a row, None where no row was written."""
    line = next((line for line in lines if "row_shape" in line), None)
    return None if line is None else (tuple(line["row_shape"]), np.dtype(line["dtype"]))


def _blocks(entries: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """Return the last line about each block."""
    return {entry["block"]: entry for entry in entries if "block" in entry}


def _unusable(entry: dict[str, Any]) -> dict[int, str]:
    return {row: reason for row, reason in entry.get("unusable", [])}


def _row_bytes(shape: tuple[int, ...], dtype: np.dtype) -> int:
    return int(np.prod(shape, dtype=int)) * dtype.itemsize


def _crc32_of(file: io.FileIO, n_bytes: int, piece: int = 2**24) -> int:
    """Checksum of the next bytes of a file, which may be fewer."""
    checksum = 0
    while n_bytes > 0 and (data := file.read(min(piece, n_bytes))):
        checksum, n_bytes = zlib.crc32(data, checksum), n_bytes - len(data)
    return checksum if n_bytes == 0 else -1


def _write_at(file: io.FileIO, data: bytes, position: int) -> None:
    file.seek(position)
    view = memoryview(data)
    while len(view):
        view = view[file.write(view) :]
