"""FITS files for the tests: written on the spot, or real ones where they are at hand."""

from itertools import count
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

SHARED_DATA = Path(__file__).parents[2].parent / "shared/data"


@pytest.fixture
def real_files():
    """Paths that match a pattern in the folder of real observations, at least one."""

    def find(pattern):
        if not SHARED_DATA.is_dir():
            pytest.skip(f"real observations are not at hand in {SHARED_DATA}")
        found = sorted(SHARED_DATA.glob(pattern))
        assert found, pattern
        return found

    return find


@pytest.fixture
def write_hdus(tmp_path):
    """Write HDUs to a new file and give its path."""
    numbers = count()

    def write(*hdus, suffix=".fits"):
        path = tmp_path / f"spectrum{next(numbers)}{suffix}"
        if not isinstance(hdus[0], fits.PrimaryHDU):
            hdus = (fits.PrimaryHDU(), *hdus)
        fits.HDUList(list(hdus)).writeto(path)
        return path

    return write


@pytest.fixture
def write_image(write_hdus):
    """Write an image with more cards than those of its axis, 5000 Angstrom + 0.5 n."""

    def write(data, *, suffix=".fits", without=(), **cards):
        hdu = fits.PrimaryHDU(np.asarray(data))
        hdu.header.update({"CRVAL1": 5000.0, "CDELT1": 0.5} | cards)
        for keyword in without:
            del hdu.header[keyword]
        return write_hdus(hdu, suffix=suffix)

    return write


@pytest.fixture
def write_table(write_hdus):
    """Write columns given as name -> (format, values[, unit]) and cards of both headers."""

    def write(columns, primary=None, **cards):
        hdu = fits.BinTableHDU.from_columns(
            [
                fits.Column(name=name, format=spec[0], array=spec[1], unit=(*spec, None)[2])
                for name, spec in columns.items()
            ]
        )
        hdu.header.update(cards)
        first = fits.PrimaryHDU()
        first.header.update(primary or {})
        return write_hdus(first, hdu)

    return write
