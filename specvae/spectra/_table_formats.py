"""Spectra kept as tables: ESO phase 3, SDSS, and any other with columns of known names."""

from typing import Any

import numpy as np
from astropy.io import fits

from ..exceptions import SpectrumReadError
from ._axis import from_log10, unit_in_aa
from ._fits_file import native_float, read_data
from ._header import Headers, describe, text
from ._spectrum import Spectrum

# In lower case, the likelier name first.
_WAVELENGTH = ("wave", "wavelength", "wavelength_aa", "lambda", "lam", "wl", "wlen", "awav")
_LOG_WAVELENGTH = ("loglam", "log_lam", "loglambda", "log_lambda", "logwave", "log_wave")
_FLUX = ("flux", "flux_reduced", "flam", "f_lambda", "intensity", "spectrum", "spec", "counts")
_ERROR = ("err", "error", "flux_err", "err_flux", "flux_error", "e_flux", "err_reduced", "sigma",
          "uncertainty")  # fmt: skip
_INVERSE_VARIANCE = ("ivar", "flux_ivar", "invvar", "inverse_variance")
_QUALITY = ("qual", "quality", "mask", "dq", "flag", "flags")


def is_spectrum_table(hdu: Any) -> bool:
    """Whether the table has a wavelength and a flux column."""
    wanted = (*_WAVELENGTH, *_LOG_WAVELENGTH)
    return bool(_column(hdu, wanted) and _column(hdu, _FLUX))


def refuse_tables(hdus: list[Any]) -> SpectrumReadError:
    """Return the error for tables of which none is a spectrum, with the names that were tried."""
    missing = []
    if not any(_column(hdu, (*_WAVELENGTH, *_LOG_WAVELENGTH)) for hdu in hdus):
        missing.append(f"wavelength ({', '.join((*_WAVELENGTH, *_LOG_WAVELENGTH))})")
    if not any(_column(hdu, _FLUX) for hdu in hdus):
        missing.append(f"flux ({', '.join(_FLUX)})")
    found = "; ".join(", ".join(hdu.columns.names[:12]) for hdu in hdus)
    return SpectrumReadError(
        f"no table has a column of {' and of '.join(missing) or 'wavelength and of flux'}; found: "
        f"{found}. Rename the column (case does not matter)."
    )


def read_table(hdus: fits.HDUList, hdu: Any) -> Spectrum:
    """Return the spectrum in a table: one pixel to a row, or one row that holds arrays."""
    data = read_data(hdu)
    headers = [hdus[0].header, hdu.header]
    wavelength_aa = _wavelength(hdu, data)
    flux = native_float(_pixels(data, _column(hdu, _FLUX)))
    if flux.shape != wavelength_aa.shape:
        raise SpectrumReadError(
            f"{len(flux)} pixels of flux, but {len(wavelength_aa)} wavelengths: give each pixel "
            "its wavelength."
        )
    error, bad = _error_and_bad(hdu, data)
    return Spectrum(wavelength_aa, flux, error, bad, _describe(headers, hdu))


def _wavelength(hdu: Any, data: Any) -> np.ndarray:
    name = _column(hdu, _WAVELENGTH) or _column(hdu, _LOG_WAVELENGTH)
    values = _pixels(data, name).astype(np.float64)
    if name.lower() in _LOG_WAVELENGTH:
        values = from_log10(values)
    return values * unit_in_aa(hdu.columns[name].unit, f"the unit of column {name}")


def _error_and_bad(hdu: Any, data: Any) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return the errors, and where pixels are flagged: quality not zero, or no inverse variance."""
    error_name = _column(hdu, _ERROR)
    ivar_name = _column(hdu, _INVERSE_VARIANCE)
    quality_name = _column(hdu, _QUALITY)
    error = native_float(_pixels(data, error_name)) if error_name else None
    bad = _pixels(data, quality_name) != 0 if quality_name else None
    if ivar_name and error is None:
        ivar = native_float(_pixels(data, ivar_name))
        known = ivar > 0
        error = np.full_like(ivar, np.nan)
        np.divide(1.0, np.sqrt(ivar, where=known, out=error), where=known, out=error)
        bad = ~known if bad is None else bad | ~known
    return error, bad


def _pixels(data: Any, name: str) -> np.ndarray:
    """Return a column as one array of pixels."""
    values = np.asarray(data[name])
    long_axes = [length for length in values.shape if length != 1]
    if len(long_axes) > 1:
        raise SpectrumReadError(
            f"column {name} holds {' x '.join(map(str, values.shape))} values, several spectra or "
            "orders: write one spectrum to a file."
        )
    return values.reshape(-1)


def _describe(headers: Headers, hdu: Any) -> dict[str, Any]:
    is_eso = text(headers, "PRODCATG").startswith("SCIENCE.SPECTRUM") or text(
        headers, "ORIGIN"
    ).startswith("ESO")
    name = _column(hdu, _WAVELENGTH)
    number = hdu.columns.names.index(name) + 1 if name else 0
    # ESO science data products standard: em.wl is vacuum, em.wl;obs.atmos is air.
    ucd = text([hdu.header], f"TUCD{number}").lower() if is_eso else ""
    medium = "air" if "obs.atmos" in ucd else "vacuum" if ucd.startswith("em.wl") else ""
    return describe(headers, file_format="eso_table" if is_eso else "table", medium=medium)


def _column(hdu: Any, synonyms: tuple[str, ...]) -> str:
    """Return the table's own name of the first synonym that it has, or ""."""
    own_name = {name.strip().lower(): name for name in reversed(hdu.columns.names)}
    return next((own_name[synonym] for synonym in synonyms if synonym in own_name), "")
