"""Memory that the C library keeps, instead of handing it back to the system.

Each step of a network frees and takes the same large pieces. Handed back, they return page by page,
each set to zero, which takes as long as the arithmetic of a convolution. With other C libraries
than that of GNU nothing happens.
"""

import ctypes
import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# Of malloc.h of the GNU C library.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4
_DEFAULT_MMAP_MAX = 65_536
# What the library's own adjustment reaches when a piece of this size is freed.
_LARGEST_DYNAMIC = 2**25
# What one spectrum of HARPS needs in the largest network.
_KEPT_BYTES = 2**28
_NEVER = 2**31 - 1

_lock = threading.Lock()
_n_users = 0


@contextmanager
def keep_freed_memory() -> Iterator[None]:
    """Keep all that is freed, for a training.

    At the end, or at that of the last of several trainings at once, what is free goes back to the
    system.
    """
    global _n_users
    library = _gnu_library()
    if library is None:
        yield
        return
    with _lock:
        _n_users += 1
        library.mallopt(_M_MMAP_MAX, 0)
        library.mallopt(_M_TRIM_THRESHOLD, _NEVER)
    try:
        yield
    finally:
        with _lock:
            _n_users -= 1
            if not _n_users:
                library.mallopt(_M_MMAP_MAX, _DEFAULT_MMAP_MAX)
                _keep_some(library)
                library.malloc_trim(0)


def keep_some_memory() -> None:
    """Keep a quarter of a gigabyte of what is freed, from now on, for encoding and decoding."""
    library = _gnu_library()
    if library is None:
        return
    with _lock:
        if not _n_users:
            _keep_some(library)


def _keep_some(library: ctypes.CDLL) -> None:
    library.mallopt(_M_MMAP_THRESHOLD, _LARGEST_DYNAMIC)
    library.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)


@functools.cache
def _gnu_library() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL(None)
        found = hasattr(library, "gnu_get_libc_version") and hasattr(library, "mallopt")
    except (OSError, TypeError):  # Windows has no library without a name
        return None
    return library if found else None
