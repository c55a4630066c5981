"""Opening FITS files: damage becomes one clear error, odd headers make no noise."""

import gzip
import io
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning

from ..exceptions import SpectrumReadError

_GZIP_MAGIC = b"\x1f\x8b"
_CUT_SHORT = "the file is cut short ({}): download or copy it again."


@contextmanager
def open_fits(path: str | Path) -> Iterator[fits.HDUList]:
    """Open a FITS file, plain or compressed, with the headers of all its HDUs read.

    Raises
    ------
    SpectrumReadError
        If the content is empty, truncated or not FITS. What the operating system refuses, such as
        a missing file, passes as it is.
    """
    with open(path, "rb") as file, warnings.catch_warnings():
        # Non-standard cards, accents, bytes after the last HDU: common and harmless.
        warnings.simplefilter("ignore", fits.verify.VerifyWarning)
        warnings.filterwarnings("ignore", "non-ASCII characters", AstropyUserWarning)
        warnings.filterwarnings("error", "File may have been truncated", AstropyUserWarning)
        yield _open(_content(file))


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
        raise SpectrumReadError(
            "this is no FITS file, or its header is cut short: give a FITS file, plain or gzipped."
        ) from error
    return hdus
