"""Opening FITS files: damage becomes one clear error, odd headers make no noise."""

import errno
import gzip
import io
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeGuard

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning, AstropyWarning

from ..exceptions import SpectrumReadError

_GZIP_MAGIC = b"\x1f\x8b"
_CUT_SHORT = "the file is cut short ({}): download or copy it again."

# Errors that say nothing about the file: it is missing, or the machine has run out of something.
_NOT_THE_FILE = (
    errno.ENOENT,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
    errno.ESTALE,
)


@contextmanager
def open_fits(path: str | Path) -> Iterator[fits.HDUList]:
    """Open a FITS file, plain or compressed, with the headers of all its HDUs read.

    Raises
    ------
    SpectrumReadError
        If the file cannot be read, or its content is empty, truncated or not FITS. Damage can
        trip astropy anywhere and with any error, so all that the body of the ``with`` raises is
        turned into this one. A missing file, and what the machine has run out of, pass as they
        are.
    """
    try:
        with (
            open(path, "rb") as file,
            warnings.catch_warnings(),
            np.errstate(all="ignore"),  # infinite values are looked for afterwards
        ):
            # Non-standard cards, accents, bytes after the last HDU: common and harmless.
            warnings.simplefilter("ignore", AstropyWarning)
            warnings.filterwarnings("error", "File may have been truncated", AstropyUserWarning)
            yield _open(_content(file))
    except (SpectrumReadError, MemoryError):
        raise
    except Exception as error:
        if not _of_the_system(error):
            raise SpectrumReadError(
                f"the file is damaged ({type(error).__name__}: {error}): download or copy it again."
            ) from error
        if error.errno in _NOT_THE_FILE:
            raise
        raise SpectrumReadError(
            f"the file cannot be read ({error.strerror}): make it readable, or leave it out."
        ) from error


def read_data(hdu: Any) -> Any:
    """Return the data of an HDU.

    Raises
    ------
    SpectrumReadError
        If fewer bytes are there than the header says.
    """
    try:
        data = hdu.data
    except (OSError, TypeError, ValueError, AstropyUserWarning) as error:
        if _of_the_system(error):
            raise
        raise SpectrumReadError(_CUT_SHORT.format(error)) from error
    if data is None:
        raise SpectrumReadError(_CUT_SHORT.format("the data are missing"))
    return data


def native_float(values: Any) -> np.ndarray:
    """Return floats in the byte order of this machine; other numbers become float64."""
    values = np.asarray(values)
    if values.dtype.kind != "f":
        return values.astype(np.float64)
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _content(file: BinaryIO) -> BinaryIO:
    """Return the file, or what it holds if it is gzipped: astropy takes a cut one for empty."""
    magic = file.read(2)
    file.seek(0)
    if not magic:
        raise SpectrumReadError("the file is empty (0 bytes): download or copy it again.")
    if magic != _GZIP_MAGIC:
        return file
    try:
        content = gzip.decompress(file.read())
    except EOFError as error:
        raise SpectrumReadError(_CUT_SHORT.format("its gzip stream ends early")) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise SpectrumReadError(
            f"its gzip stream is damaged ({error}): download or copy it again."
        ) from error
    if not content:
        raise SpectrumReadError("its gzip stream is empty: download or copy it again.")
    return io.BytesIO(content)


def _open(file: BinaryIO) -> fits.HDUList:
    try:
        hdus = fits.open(file, memmap=False)
        len(hdus)  # reads the headers of all HDUs
    except AstropyUserWarning as error:
        raise SpectrumReadError(_CUT_SHORT.format(error)) from error
    except OSError as error:
        if _of_the_system(error):
            raise
        raise SpectrumReadError(
            "this is no FITS file, or its header is cut short: give a FITS file, plain or gzipped."
        ) from error
    return hdus


def _of_the_system(error: Exception) -> TypeGuard[OSError]:
    """Whether the operating system raised the error; astropy raises bare OSErrors for content."""
    return isinstance(error, OSError) and error.errno is not None
