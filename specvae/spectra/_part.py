"""A store while it is being written: rows, and a journal with one JSON line for each.

A row comes from a file, which may also be refused, or is computed.

The journal speaks of a row only once the row is written, and carries its checksum; now and then
both are forced to disk and the journal says so. Whatever a crash leaves behind, the rows that the
journal speaks of and that still have their checksum are good, and everything after them is cut.
"""

import contextlib
import errno
import io
import json
import os
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ._sidecar import sidecar_path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

HEADER_BYTES = 128

JOURNAL_FORMAT = {"format": "specvae-journal", "version": 1}

# Journal and sidecar together, for each row; generous.
_META_BYTES = 2_048

# Rows are forced to disk whenever so many bytes have come; so much is checked after a crash.
_SYNC_BYTES = 67_108_864

FULL_DISK = (errno.ENOSPC, errno.EDQUOT)


class PartialStore:
    """The rows and the journal of an unfinished store, opened where the last call stopped.

    Parameters
    ----------
    store : Path
        Name of the finished .npy file; the unfinished one lies beside it, with ``.part`` added.
    settings : dict
        What all calls that write this store must agree on, fit for JSON.
    n_pixels : int
        Pixels of a row.
    dtype : dtype
        Of the rows as they are stored.
    sources : str
        What the rows come from, in the plural, for messages.

    Attributes
    ----------
    n_files : int
        Files, or other sources, that are dealt with, packed or refused.
    n_rows : int
        Those that are packed.

    Raises
    ------
    ValueError
        If an unfinished store is there that was begun with other settings.
    BlockingIOError
        If another process is writing it.
    """

    def __init__(
        self,
        store: Path,
        settings: dict[str, Any],
        n_pixels: int,
        dtype: np.dtype,
        *,
        sources: str = "files",
    ):
        self.store = store
        self._sources = sources
        self.rows_path = rows_path(store)
        self.journal_path = journal_path(store)
        self.dtype = dtype.newbyteorder("<")
        self.n_pixels = n_pixels
        self.row_bytes = n_pixels * dtype.itemsize
        self.n_files = self.n_rows = self._n_synced = 0
        with contextlib.ExitStack() as opened:
            self._journal = opened.enter_context(open_unbuffered(self.journal_path))
            lock(self._journal, store)
            self._begin(settings)
            # A store whose rows have their final name already needs only its journal removed.
            if not store.exists():
                self._rows = opened.enter_context(open_unbuffered(self.rows_path))
                self._cut_after_last_good_row()
            self._opened = opened.pop_all()

    def close(self) -> None:
        """Close both files; what is in them stays."""
        self._opened.close()

    def append(self, path: str, row: np.ndarray, meta: dict[str, Any], scale: float | None) -> None:
        """Add a row and its line in the journal; a computed row has a name for its path.

        Raises
        ------
        OSError
            If the disk is full; both files then end where they ended before.
        """
        data = np.ascontiguousarray(row, dtype=self.dtype).tobytes()
        if len(data) != self.row_bytes:
            raise ValueError(f"{path} gives {row.shape} pixels, {self.n_pixels} are wanted.")
        line = {"path": path, "meta": meta, "scale": scale, "crc32": zlib.crc32(data)}
        with self._rolled_back_when_full():
            _write(self._rows, data)
            _write(self._journal, json_line(line))
        self.n_files += 1
        self.n_rows += 1
        if (self.n_rows - self._n_synced) * self.row_bytes >= _SYNC_BYTES:
            self.sync()

    def refuse(self, path: str, reason: str) -> None:
        """Add a line for a file that gives no row."""
        with self._rolled_back_when_full():
            _write(self._journal, json_line({"path": path, "refused": reason}))
        self.n_files += 1

    def sync(self) -> None:
        """Force the rows to disk, and then the journal that speaks of them."""
        with self._rolled_back_when_full():
            os.fsync(self._rows.fileno())
            _write(self._journal, json_line({"n_synced": self.n_rows}))
            os.fsync(self._journal.fileno())
        self._n_synced = self.n_rows

    def entries(self) -> Iterator[dict[str, Any]]:
        """Return the lines about files, in their order."""
        return (entry for _, entry in self._whole_lines() if "path" in entry)

    def finish(self, write_sidecar: Callable[[Path], None]) -> None:
        """Give rows and sidecar their final names; the rows last, so that they vouch for both."""
        self.sync()
        sidecar = sidecar_path(self.store)
        part_of_sidecar = sidecar.with_name(sidecar.name + ".part")
        with self._rolled_back_when_full(), contextlib.ExitStack() as undo:
            undo.callback(part_of_sidecar.unlink, missing_ok=True)
            write_sidecar(part_of_sidecar)
            self._rows.seek(0)
            _write(self._rows, npy_header((self.n_rows, self.n_pixels), self.dtype))
            os.fsync(self._rows.fileno())
            undo.pop_all()
        os.replace(part_of_sidecar, sidecar)
        os.replace(self.rows_path, self.store)
        self.remove_journal()

    def finish_renamed(self, *, n_files: int) -> list[dict[str, Any]]:
        """Finish a call that was interrupted when the store had its name already.

        Return the lines about files.

        Raises
        ------
        FileExistsError
            If the store is not the one that the journal speaks of.
        """
        entries = list(self.entries())
        if len(entries) != n_files:
            raise FileExistsError(
                errno.EEXIST,
                f"the unfinished store {self.rows_path} would replace an existing one: move that "
                f"away to go on, or delete {self.rows_path.name} and {self.journal_path.name} to "
                "keep it",
                str(self.store),
            )
        self.remove_journal()
        return entries

    def remove_journal(self) -> None:
        """Remove the journal of a store that has its final name."""
        sync_folder(self.store.parent)
        self.journal_path.unlink()

    def discard(self) -> None:
        """Remove both files."""
        self.rows_path.unlink()
        self.journal_path.unlink()

    def _begin(self, settings: dict[str, Any]) -> None:
        """Compare the first line of the journal with the settings, or write it."""
        begun = parse_line(self._journal.readline())
        if begun is None:
            self._journal.truncate(0)
            self._journal.seek(0)
            _write(self._journal, json_line(settings))
            os.fsync(self._journal.fileno())
            sync_folder(self.store.parent)
            self.rows_path.unlink(missing_ok=True)
        elif begun != settings:
            differing = [
                f"{name} was {begun.get(name)}, now {settings.get(name)}"
                for name in {**begun, **settings}
                if begun.get(name) != settings.get(name)
            ]
            raise ValueError(
                f"{self.rows_path} was begun with other arguments ({'; '.join(differing)}): "
                "repeat the call with the same ones to go on from there, or delete "
                f"{self.rows_path.name} and {self.journal_path.name} to begin anew."
            )
        self._journal.seek(0, os.SEEK_END)

    def _cut_after_last_good_row(self) -> None:
        n_synced = max(entry.get("n_synced", 0) for _, entry in self._whole_lines())
        size = self._rows.seek(0, os.SEEK_END)
        n_whole = max(0, size - HEADER_BYTES) // self.row_bytes
        journal_bytes = 0
        for stop, entry in self._whole_lines():
            if "crc32" in entry:
                is_synced = self.n_rows < n_synced
                if self.n_rows >= n_whole or not (is_synced or self._has_checksum(entry["crc32"])):
                    break
                self.n_rows += 1
            self.n_files += "path" in entry
            journal_bytes = stop
        self._n_synced = min(n_synced, self.n_rows)
        if size < HEADER_BYTES:
            self._rows.seek(0)
            _write(self._rows, npy_header((0, self.n_pixels), self.dtype))
        self._end_at(journal_bytes)

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

    def _has_checksum(self, checksum: int) -> bool:
        self._rows.seek(HEADER_BYTES + self.n_rows * self.row_bytes)
        return zlib.crc32(self._rows.read(self.row_bytes)) == checksum

    def _end_at(self, journal_bytes: int) -> None:
        for file, end in (
            (self._rows, HEADER_BYTES + self.n_rows * self.row_bytes),
            (self._journal, journal_bytes),
        ):
            file.truncate(end)
            file.seek(end)

    @contextlib.contextmanager
    def _rolled_back_when_full(self) -> Iterator[None]:
        """Cut off what was half written, and say how far it got."""
        journal_bytes = self._journal.tell()
        try:
            yield
        except OSError as error:
            self._end_at(journal_bytes)
            if error.errno not in FULL_DISK:
                raise
            raise OSError(
                error.errno,
                f"the disk of {self.store} is full after {self.n_files} {self._sources}, "
                f"{self.n_rows} of them packed ({1e-9 * self.n_rows * self.row_bytes:.3g} GB). "
                "Nothing is lost: free some space and repeat the same call, which goes on from "
                "there",
            ) from error


def check_target(store: Path) -> None:
    """Raise if the store, or its sidecar, cannot be made or would replace something."""
    sidecar = sidecar_path(store)
    if not store.parent.is_dir():
        raise FileNotFoundError(
            errno.ENOENT, "the folder for the store does not exist; create it", str(store.parent)
        )
    if journal_path(store).exists():
        return  # what is there belongs to an unfinished call
    if store.exists():
        reason = "the store exists; open it with SpectraArray.open, or delete it to write it anew"
        raise FileExistsError(errno.EEXIST, reason, str(store))
    if sidecar.exists():
        reason = "the store's sidecar would replace this file; choose another name for the store"
        raise FileExistsError(errno.EEXIST, reason, str(sidecar))


def check_space(store: Path, n_rows: int, row_bytes: int) -> None:
    """Raise if the rest of the store does not fit on the disk."""
    if store.exists():
        return
    part = rows_path(store)
    done = part.stat().st_size if part.exists() else 0
    needed = HEADER_BYTES + n_rows * (row_bytes + _META_BYTES) - done
    free = shutil.disk_usage(store.parent).free
    if needed <= free:
        return
    raise OSError(
        errno.ENOSPC,
        f"a store of {n_rows} spectra needs {1e-9 * needed:.3g} GB more, {1e-9 * free:.3g} GB are "
        f"free in {store.parent.absolute()}; nothing was written. Free some space, choose another "
        "folder, or halve the need with dtype='float16'",
    )


def rows_path(store: Path) -> Path:
    """Where the rows of an unfinished store lie."""
    return store.with_name(store.name + ".part")


def journal_path(store: Path) -> Path:
    """Where the journal of an unfinished store lies."""
    return store.with_name(store.stem + ".journal.part")


def npy_header(shape: tuple[int, ...], dtype: np.dtype) -> bytes:
    """Header of a .npy file, always of the same length, so that the shape can be filled in."""
    text = f"{{'descr': '{dtype.str}', 'fortran_order': False, 'shape': {shape}, }}"
    prefix = np.lib.format.magic(1, 0) + (HEADER_BYTES - 10).to_bytes(2, "little")
    return prefix + text.ljust(HEADER_BYTES - 11).encode("ascii") + b"\n"


def give_name(part: Path, path: Path) -> None:
    """Give a finished file its name, unless another file has taken it meanwhile.

    Raises
    ------
    FileExistsError
        If one has.
    """
    try:
        os.link(part, path)  # unlike a rename, it replaces nothing
    except OSError:  # some file systems have no links
        if path.exists():
            reason = "a file of this name appeared meanwhile and is not replaced; move it away"
            raise FileExistsError(errno.EEXIST, reason, str(path)) from None
        os.replace(part, path)
    part.unlink(missing_ok=True)


def open_unbuffered(path: Path) -> io.FileIO:
    """Open for reading and writing from the start, whether it exists or not."""
    binary = getattr(os, "O_BINARY", 0)  # Windows
    return io.FileIO(os.open(path, os.O_RDWR | os.O_CREAT | binary, 0o666), "r+")


def _write(file: io.FileIO, data: bytes) -> None:
    view = memoryview(data)
    while len(view):
        view = view[file.write(view) :]


def json_line(content: dict[str, Any]) -> bytes:
    """Return a line of a journal."""
    return json.dumps(content, allow_nan=False).encode() + b"\n"


def parse_line(line: bytes) -> dict[str, Any] | None:
    """Return what a line says, None if it is torn."""
    if not line.endswith(b"\n"):
        return None
    try:
        content = json.loads(line)
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


def lock(file: io.FileIO, store: Path) -> None:
    """Raise a BlockingIOError if another process holds the journal of this store."""
    if fcntl is None:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise BlockingIOError(
            error.errno, f"another process is writing {store}: wait for it, or choose another name"
        ) from error
    except OSError:
        pass  # some network file systems have no locks


def sync_folder(folder: Path) -> None:
    """Force new names to disk, where the file system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
