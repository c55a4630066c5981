"""Rows of an archive, and the spectra on the screen, as files to download."""

import io
import warnings

import numpy as np
import pandas as pd
from astropy.io import fits

from ._archive import Archive

# Flux of so many pixels goes into one file; 64 spectra of HARPS.
_MOST_PIXELS = 21_000_000


def table_of(archive: Archive, rows: np.ndarray) -> pd.DataFrame:
    """Row, name, labels and code of some spectra."""
    codes = pd.DataFrame(archive.codes[rows], columns=[f"code_{name}" for name in archive.latents])
    named = pd.DataFrame({"row": rows, "name": archive.names[rows]})
    return pd.concat([named, archive.labels.iloc[rows].reset_index(drop=True), codes], axis=1)


def rows_csv(archive: Archive, rows: np.ndarray) -> bytes:
    """Write the table of some spectra as CSV."""
    return table_of(archive, rows).to_csv(index=False).encode()


def shown_csv(archive: Archive, shown: dict[str, np.ndarray]) -> bytes:
    """Write the spectra on the screen, all their pixels, as CSV."""
    return pd.DataFrame({_axis_column(archive): archive.axis, **shown}).to_csv(index=False).encode()


def to_fits(archive: Archive, rows: np.ndarray, shown: dict[str, np.ndarray]) -> bytes:
    """Write a FITS file: SELECTION has a row for each spectrum, SHOWN a row for each pixel.

    Flux stands as the last step of the model sees it. Where the selection is too large, its first
    spectra have their flux, which the header says.
    """
    n_with_flux = min(len(rows), max(1, _MOST_PIXELS // len(archive.axis)))
    table = table_of(archive, rows)
    with warnings.catch_warnings():
        # Labels are called as they are, such as "[Fe/H]".
        warnings.simplefilter("ignore", fits.verify.VerifyWarning)
        columns = [_fits_column(str(name), table[name].to_numpy()) for name in table]
        selection = fits.BinTableHDU.from_columns(columns, name="SELECTION")
    flux = np.stack([archive.spectrum(int(row)) for row in rows[:n_with_flux]])
    image = fits.ImageHDU(flux, name="FLUX")
    image.header["NFLUX"] = (n_with_flux, "first rows of SELECTION with flux here")
    pixels = [_fits_column(_axis_column(archive), archive.axis)]
    pixels += [_fits_column(name, values) for name, values in shown.items()]
    spectra = fits.BinTableHDU.from_columns(pixels, name="SHOWN")
    file = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), selection, image, spectra]).writeto(file)
    return file.getvalue()


def _axis_column(archive: Archive) -> str:
    return "pixel" if archive.grid is None else "wavelength_aa"


def _fits_column(name: str, values: np.ndarray) -> fits.Column:
    if values.dtype.kind == "O":
        # FITS has ASCII only.
        text = [str(value).encode("ascii", "replace") for value in values]
        width = max(1, *(len(value) for value in text))
        return fits.Column(_ascii(name), f"{width}A", array=np.array(text))
    code = {"f": "D" if values.dtype.itemsize == 8 else "E", "i": "K"}[values.dtype.kind]
    return fits.Column(_ascii(name), code, array=values)


def _ascii(name: str) -> str:
    return name.encode("ascii", "replace").decode()
