"""What the headers say about an observation, under the same keys for every format."""

import math
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any

from astropy.io import fits

_MAX_ABS_RV_KMS = 9000.0  # archives write -99999 or 999999 where no velocity was found
_N_HARPS_ORDERS = 72
_AIR_INSTRUMENTS = ("HARPS", "MILES")

Headers = Sequence[fits.Header]


def describe(headers: Headers, *, file_format: str, medium: str = "") -> dict[str, Any]:
    """Return the metadata of `read_spectrum`, with "" or NaN where the headers are silent."""
    instrument = text(headers, "INSTRUME", "TPLLIB")
    if not medium:
        medium = _stated_medium(headers) or ("air" if instrument in _AIR_INSTRUMENTS else "")
    return {
        "path": "",
        "format": file_format,
        "object": text(headers, "OBJECT", "ESO OBS TARG NAME", "OBJID", "OBJ"),
        "ra_deg": _right_ascension(headers),
        "dec_deg": _declination(headers),
        "date_obs": text(headers, "DATE-OBS"),
        "mjd": number(headers, "MJD-OBS", "MJD"),
        "berv_kms": number(headers, "ESO DRS BERV", "ESO QC BERV"),
        "airmass": _airmass(headers),
        "snr": _snr(headers),
        "rv_kms": _radial_velocity(headers),
        "instrument": instrument,
        "medium": medium,
    }


def text(headers: Headers, *keywords: str) -> str:
    """Return the first of the cards that holds text, stripped, or ""."""
    for value in _values(headers, keywords):
        if isinstance(value, str) and value.strip():
            return value.strip()
    return ""


def number(headers: Headers, *keywords: str) -> float:
    """Return the first of the cards that holds a finite number, or NaN."""
    for value in _values(headers, keywords):
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
    return math.nan


def _values(headers: Headers, keywords: Sequence[str]) -> Iterator[Any]:
    for keyword in keywords:
        for header in headers:
            try:
                value = header.get(keyword)
            except fits.VerifyError:  # a card that astropy cannot parse says nothing
                continue
            yield value


def _right_ascension(headers: Headers) -> float:
    """In degrees; sexagesimal text is in hours unless it says otherwise."""
    stated = number(headers, "RA")
    return stated if math.isfinite(stated) else _angle(text(headers, "RA"), "hourangle", (0, 360))


def _declination(headers: Headers) -> float:
    stated = number(headers, "DEC")
    return stated if math.isfinite(stated) else _angle(text(headers, "DEC"), "deg", (-90, 90))


def _angle(written: str, unit: str, limits: tuple[float, float]) -> float:
    """Return in degrees what text says in `unit`, or NaN; a single plain number is in degrees."""
    try:
        degrees = float(written or math.nan)
    except ValueError:
        degrees = _sexagesimal(written, unit)
    return degrees if limits[0] <= degrees <= limits[1] else math.nan


def _sexagesimal(written: str, unit: str) -> float:
    from astropy.coordinates import Angle  # a slow import that few files need

    try:
        return float(Angle(written, unit).degree)
    except ValueError:
        return math.nan


def _airmass(headers: Headers) -> float:
    start = number(headers, "ESO TEL AIRM START")
    end = number(headers, "ESO TEL AIRM END")
    mean = (start + end) / 2.0
    return mean if math.isfinite(mean) else number(headers, "AIRMASS")


def _snr(headers: Headers) -> float:
    """Signal to noise per pixel: stated, or of HARPS order 50, or the median over the orders."""
    stated = number(headers, "SNR", "ESO DRS SPE EXT SN50")
    if math.isfinite(stated):
        return stated
    orders = [number(headers, f"ESO DRS SPE EXT SN{order}") for order in range(_N_HARPS_ORDERS)]
    known = [snr for snr in orders if math.isfinite(snr)]
    return median(known) if known else math.nan


def _radial_velocity(headers: Headers) -> float:
    """Measured velocity. ESO TEL TARG RADVEL is left out: an observer typed it in."""
    velocity = number(headers, "ESO DRS CCF RVC", "ESO QC CCF RV", "VHELIO", "VHBARY")
    return velocity if abs(velocity) < _MAX_ABS_RV_KMS else math.nan


def _stated_medium(headers: Headers) -> str:
    stated = text(headers, "AIRORVAC").lower()[:3]
    if stated in ("air", "vac"):
        return "air" if stated == "air" else "vacuum"
    if any(value is True for value in _values(headers, ["VACUUM"])):  # SDSS
        return "vacuum"
    # FITS standard, paper III: AWAV is wavelength in air, WAVE in vacuum.
    return {"AWAV": "air", "WAVE": "vacuum"}.get(
        text(headers, "CTYPE1").upper()[:5].rstrip("-"), ""
    )
