"""The file that a command is to write."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..spectra._part import FULL_DISK


def check_target(path: Path, what: str) -> None:
    """Raise if the file exists or its folder does not: before the hours of work, not after them."""
    if path.exists():
        raise FileExistsError(
            errno.EEXIST, f"the {what} exists; delete it, or give --to another name", str(path)
        )
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "there is no such folder", str(path.parent))


@contextmanager
def told_when_full(target: Path) -> Iterator[None]:
    """Say which disk is full, where the error does not."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL_DISK:
            raise
        raise OSError(
            error.errno,
            f"the disk of {target} is full; free some space and repeat the same command, which "
            "goes on from where it stopped",
        ) from error
