"""From FITS files to spectra, and to the rows of a flux matrix."""

import errno
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from astropy.io import fits
from joblib import Parallel, delayed

from .._progress import progress_bar
from .._validation import check_choice
from ..exceptions import DataQualityWarning, SpectrumReadError
from ._apogee import is_apogee, read_apogee
from ._clean import clean_spectrum
from ._fits_file import open_fits
from ._grid import WavelengthGrid, check_grid_type
from ._image_formats import read_image
from ._resample import resample_flux
from ._spectrum import Spectrum
from ._table_formats import is_spectrum_table, read_table, refuse_tables
from ._wavelength import to_medium


def read_spectrum(path: str | Path) -> Spectrum:
    """Read one spectrum from a FITS file, plain or compressed.

    The content decides on the format, never the file name: HARPS s1d images, ESO phase 3 tables,
    APOGEE apStar (the combined spectrum) and aspcapStar, MILES, and any other 1-D image with
    CRVAL1 and CDELT1 or CD1_1, or table with a wavelength and a flux column.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    spectrum : Spectrum
        Wavelengths in Angstrom, in the frame and medium of the file; flux in its units, NaN where
        missing. `meta` has the same keys for every format, "" or NaN where the header is silent:
        `path`, `format` ("harps_s1d", "eso_table", "apstar", "aspcapstar", "image" or "table"),
        `object`, `ra_deg`, `dec_deg`, `date_obs` (ISO), `mjd`, `berv_kms`, `airmass`, `snr`,
        `rv_kms` (measured, never the observer's guess), `instrument`, and `medium` ("air",
        "vacuum" or "").

    Raises
    ------
    SpectrumReadError
        If the file cannot be read, is no FITS file, is cut short or damaged, has two axes, no
        flux or no increasing wavelength axis, no valid pixel, infinite pixels, or more than 1 %
        of its pixels beyond 1000 times the median; the message names the file, the reason and the
        remedy.
    FileNotFoundError
        If there is no such file.

    See Also
    --------
    read_spectra : Read many onto one grid.

    Notes
    -----
    NaN stands in runs of 16 or more exact zeros, in any zero in the HARPS CCD gap, and in flagged
    pixels: a quality or mask column that is not zero, an inverse variance of zero, and in APOGEE
    files zeros, errors of 1e9 or more, and PIXMASK bits 0 to 7, 12 (bright sky line) and 14. In
    an apStar file of several visits a bit is set if any visit set it.

    Errors are read from tables and APOGEE files only. Nothing is shifted to rest.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from astropy.io import fits
    >>> hdu = fits.PrimaryHDU(np.array([1.0, 0.9, 1.1]))
    >>> hdu.header.update({"CRVAL1": 5000.0, "CDELT1": 0.5, "OBJECT": "Sun"})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "sun.fits"
    ...     hdu.writeto(path)
    ...     spectrum = read_spectrum(path)
    >>> spectrum
    Spectrum(3 pixels from 5000.00 to 5001.00 Angstrom, 0 missing)
    >>> spectrum.meta["object"]
    'Sun'
    """
    try:
        return _load(path)
    except SpectrumReadError as error:
        raise SpectrumReadError(f"{path}: {error}") from error


def read_spectra(
    paths: Sequence[str | Path],
    grid: WavelengthGrid,
    *,
    on_error: str = "raise",
    n_jobs: int | None = 1,
    progress: bool | None = None,
) -> tuple[np.ndarray, pd.DataFrame]:
    """Read FITS files onto one wavelength grid, into memory.

    Parameters
    ----------
    paths : sequence of str or Path
        The files, in the order of the rows wanted.
    grid : WavelengthGrid
        Where the flux is wanted. Wavelengths are converted between air and vacuum where the
        medium of a file is known and differs.
    on_error : {"raise", "warn"}, default="raise"
        What to do when files are refused, once all have been tried: raise one error that lists
        them, or leave them out with one warning.
    n_jobs : int, default=1
        Worker processes, as in joblib; -1 uses all cores. The result is the same for any number.
    progress : bool, optional
        Whether to draw a progress bar; by default where stderr is a terminal.

    Returns
    -------
    X : ndarray of float32, shape (n_read, grid.n_pixels)
        The flux, in the units of the files; NaN is a missing pixel.
    meta : DataFrame of n_read rows
        The metadata of each row of `X`, in the columns that `read_spectrum` describes.
        ``meta.attrs["refused"]`` maps each refused path to the reason.

    Raises
    ------
    SpectrumReadError
        Listing each refused file with its reason: those of `read_spectrum`, and spectra without a
        valid pixel on the grid. With ``on_error="warn"`` only if every file was refused.
    FileNotFoundError
        If a file is missing; nothing is read then.
    TypeError
        If `paths` is one path, or `grid` is no `WavelengthGrid`.

    Warns
    -----
    DataQualityWarning
        With ``on_error="warn"``, listing the refused files.

    See Also
    --------
    pack_spectra : Read an archive that does not fit into memory into a store.
    resample_flux : How the flux is put onto the grid.

    Notes
    -----
    A median flux of zero or below is no reason to refuse a file here; see
    `specvae.preprocessing.quality_report`.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from astropy.io import fits
    >>> hdu = fits.PrimaryHDU(np.array([1.0, 2.0, 3.0]))
    >>> hdu.header.update({"CRVAL1": 5000.0, "CDELT1": 0.5, "OBJECT": "Sun"})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "sun.fits"
    ...     hdu.writeto(path)
    ...     X, meta = read_spectra([path], WavelengthGrid(5000.25, 0.5, 3))
    >>> X
    array([[1.5, 2.5, nan]], dtype=float32)
    >>> meta["object"].tolist()
    ['Sun']
    """
    check_grid_type("grid", grid, required=True)
    check_choice("on_error", on_error, ("raise", "warn"))
    paths = _check_paths(paths)
    rows = Parallel(n_jobs=n_jobs, return_as="generator")(
        delayed(_try_onto_grid)(path, grid) for path in paths
    )
    show = sys.stderr.isatty() if progress is None else progress
    X = np.empty((len(paths), grid.n_pixels), dtype=np.float32)
    metas: list[dict[str, Any]] = []
    refused: dict[str, str] = {}
    with progress_bar(rows, total=len(paths), desc="reading spectra", show=show) as bar:
        for path, row in zip(paths, bar, strict=True):
            if isinstance(row, str):
                refused[str(path)] = row
                continue
            X[len(metas)], meta = row
            metas.append(meta)
    if refused:
        _report_refused(refused, n_files=len(paths), on_error=on_error if metas else "raise")
    table = pd.DataFrame(metas)
    table.attrs["refused"] = refused
    return X[: len(metas)], table


def _load(path: str | Path) -> Spectrum:
    with open_fits(path) as hdus:
        spectrum = clean_spectrum(_parse(hdus))
    spectrum.meta["path"] = str(path)
    return spectrum


def _parse(hdus: fits.HDUList) -> Spectrum:
    """Return the spectrum of the first HDU that can hold one."""
    if is_apogee(hdus):
        return read_apogee(hdus)
    tables = []
    for hdu in hdus:
        if hdu.is_image:
            if hdu.shape:
                return read_image(hdus, hdu)
        elif hasattr(hdu, "columns"):
            if is_spectrum_table(hdu):
                return read_table(hdus, hdu)
            tables.append(hdu)
    if tables:
        raise refuse_tables(tables)
    raise SpectrumReadError("the file holds headers only, no image and no table of a spectrum.")


def _load_onto_grid(path: str | Path, grid: WavelengthGrid) -> tuple[np.ndarray, dict[str, Any]]:
    spectrum = _load(path)
    try:
        wavelength_aa = to_medium(spectrum.wavelength_aa, spectrum.meta["medium"], grid.medium)
    except ValueError as error:
        raise SpectrumReadError(str(error)) from error
    with np.errstate(over="ignore", invalid="ignore"):
        row = resample_flux(spectrum.flux, wavelength_aa, grid).astype(np.float32)
    if np.isnan(row).all():
        raise SpectrumReadError(
            f"no valid pixel falls on {grid}; the spectrum covers {wavelength_aa[0]:.2f} to "
            f"{wavelength_aa[-1]:.2f} Angstrom: choose another grid, or state the unit of the "
            "wavelengths in the header."
        )
    if np.isinf(row).any():
        raise SpectrumReadError(
            "flux beyond 3e38 does not fit into float32: divide by its unit before writing it."
        )
    return row, spectrum.meta


def _try_onto_grid(
    path: str | Path, grid: WavelengthGrid
) -> tuple[np.ndarray, dict[str, Any]] | str:
    """Return the flux on the grid and the metadata, or why there are none."""
    try:
        return _load_onto_grid(path, grid)
    except SpectrumReadError as error:
        return str(error)
    except Exception as error:
        error.add_note(f"while reading {path}")
        raise


def _check_paths(paths: Any) -> list[str | Path]:
    if isinstance(paths, str | bytes | os.PathLike):
        raise TypeError(
            f"paths must be a sequence of paths, got the single path {str(paths)!r}: give "
            "[path], or sorted(Path(folder).glob('*.fits*')) for a folder."
        )
    paths = list(paths)
    if not paths:
        raise ValueError("paths is empty: give at least one file.")
    missing = [path for path in paths if not os.path.exists(path)]
    if missing:
        reason = f"{len(missing)} of {len(paths)} files are missing, the first"
        raise FileNotFoundError(errno.ENOENT, reason, str(missing[0]))
    return paths


def _report_refused(refused: dict[str, str], *, n_files: int, on_error: str) -> None:
    lines = "\n".join(f"  {path}: {reason}" for path, reason in refused.items())
    message = f"{len(refused)} of {n_files} files were refused:\n{lines}"
    if on_error == "raise":
        raise SpectrumReadError(f"{message}\nRemove them, or leave them out with on_error='warn'.")
    warnings.warn(message, DataQualityWarning, stacklevel=3)
