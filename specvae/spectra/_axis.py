"""The wavelength axis that a header or a column describes, in Angstrom."""

import re

import numpy as np
from astropy.io import fits

from ..exceptions import SpectrumReadError
from ._header import number, text

_UNIT_AA = {
    "": 1.0,
    "angstrom": 1.0,
    "angstroms": 1.0,
    "a": 1.0,
    "aa": 1.0,
    "0.1nm": 1.0,
    "nm": 10.0,
    "nanometer": 10.0,
    "nanometers": 10.0,
    "um": 1e4,
    "\u00b5m": 1e4,  # the micro sign, as header text has it
    "micron": 1e4,
    "microns": 1e4,
    "micrometer": 1e4,
    "m": 1e10,
}
_NO_WAVELENGTH = ("FREQ", "VELO", "VRAD", "VOPT", "ENER", "WAVN", "PIXE", "MULT", "TIME")
# From the far ultraviolet to a millimetre: beyond, a unit or a logarithm was misread.
_PLAUSIBLE_AA = (100.0, 1e7)


def image_wavelength(header: fits.Header, n_pixels: int) -> np.ndarray:
    """Wavelengths in Angstrom of a 1-D image, from CRVAL1, CDELT1 or CD1_1, and CRPIX1.

    Raises
    ------
    SpectrumReadError
        If the header states no wavelength axis.
    """
    axis_type = text([header], "CTYPE1").upper()
    start = number([header], "CRVAL1")
    steps = (number([header], "CD1_1"), number([header], "CDELT1"))
    step = next((step for step in steps if step and np.isfinite(step)), np.nan)
    if not np.isfinite(start + step) or axis_type[:4] in _NO_WAVELENGTH:
        raise SpectrumReadError(
            f"no wavelength axis can be derived (CRVAL1={start:g}, CDELT1 or CD1_1={step:g}, "
            f"CTYPE1={axis_type!r}): write CRVAL1 and CDELT1, or a table with the columns WAVE "
            "and FLUX."
        )
    reference = number([header], "CRPIX1")
    offset = step * (np.arange(n_pixels) + 1.0 - (1.0 if np.isnan(reference) else reference))
    factor = unit_in_aa(text([header], "CUNIT1"), "CUNIT1")
    return factor * _spaced(start, offset, axis_type, header.get("DC-FLAG") == 1)


def _spaced(start: float, offset: np.ndarray, axis_type: str, dc_log: bool) -> np.ndarray:
    if axis_type in ("WAVE-LOG", "AWAV-LOG") and start > 10:
        return start * np.exp(offset / start)  # FITS paper III, section 3.2
    if dc_log or "LOG" in axis_type:
        return from_log10(start + offset)
    return start + offset


def from_log10(log_wavelength: np.ndarray) -> np.ndarray:
    """Return ten to the power of the values; infinity where that overflows."""
    with np.errstate(over="ignore"):
        return 10.0 ** np.asarray(log_wavelength, dtype=np.float64)


def unit_in_aa(unit: str | None, name: str) -> float:
    """Return a unit of wavelength in Angstrom; none at all is Angstrom, logarithms are unwrapped.

    Raises
    ------
    SpectrumReadError
        If the unit is not one of wavelength; `name` says where it stood.
    """
    plain = re.sub(r"^(dex|log(10)?)\W*|[\s)\]]", "", (unit or "").strip().lower())
    if plain not in _UNIT_AA:
        raise SpectrumReadError(
            f"{name} is {unit!r}, which is no unit of wavelength known here: convert the axis to "
            "Angstrom, nm or um."
        )
    return _UNIT_AA[plain]


def check_axis(wavelength_aa: np.ndarray) -> None:
    """Raise unless the wavelengths are finite, increasing and plausible."""
    n_bad = int((~np.isfinite(wavelength_aa)).sum())
    if n_bad:
        raise SpectrumReadError(
            f"the wavelength of {n_bad} pixels is not finite: remove these pixels."
        )
    step = np.diff(wavelength_aa)
    if (step < 0).all() and len(step):
        raise SpectrumReadError(
            f"the wavelengths decrease, from {wavelength_aa[0]:g} to {wavelength_aa[-1]:g} "
            "Angstrom: flip wavelength and flux together."
        )
    if not (step > 0).all():
        pixel = int(np.argmin(step > 0))
        raise SpectrumReadError(
            f"the wavelengths do not increase at pixel {pixel + 1} of {len(wavelength_aa)}, from "
            f"{wavelength_aa[pixel]:g} to {wavelength_aa[pixel + 1]:g} Angstrom: sort wavelength "
            "and flux together and merge overlapping orders."
        )
    low, high = _PLAUSIBLE_AA
    if wavelength_aa[0] < low or wavelength_aa[-1] > high:
        raise SpectrumReadError(
            f"the wavelengths run from {wavelength_aa[0]:g} to {wavelength_aa[-1]:g} Angstrom, "
            f"beyond {low:g} to {high:g}: state their unit (CUNIT1, TUNITn) or their logarithm "
            "(CTYPE1, DC-FLAG) in the header."
        )
