"""APOGEE combined spectra: apStar and aspcapStar, at rest, in vacuum, uniform in log10."""

import numpy as np
from astropy.io import fits

from ._axis import image_wavelength
from ._fits_file import native_float, read_data
from ._header import describe, text
from ._spectrum import Spectrum

# APOGEE_PIXMASK: bits 0 to 7 and 14 are what the survey calls bad (bad pixel, cosmic ray,
# saturated, unfixable, bad dark, bad flat, bad error, no sky, less than half of the profile);
# bit 12 is a sky line brighter than the star, whose residual is no stellar flux.
BAD_PIXEL_BITS = sum(1 << bit for bit in (*range(8), 12, 14))
_NO_DATA_ERROR = 1e9  # pixels between the chips have an error of 1e10


def is_apogee(hdus: fits.HDUList) -> bool:
    """Whether flux, error and mask or model follow a primary header that names the star."""
    if len(hdus) < 4 or not text([hdus[0].header], "OBJID", "OBJ"):
        return False
    images = [hdu for hdu in hdus[1:4] if hdu.is_image and hdu.shape]
    return len(images) == 3 and all(
        hdu.shape == images[0].shape
        and text([hdu.header, hdus[0].header], "CTYPE1").startswith("LOG-LINEAR")
        for hdu in images
    )


def read_apogee(hdus: fits.HDUList) -> Spectrum:
    """Return the combined spectrum: the first row where single visits follow it."""
    headers = [hdus[0].header, hdus[1].header]
    flux, error, third = (np.atleast_2d(read_data(hdu))[0] for hdu in hdus[1:4])
    flux, error = native_float(flux), native_float(error)
    # apStar has integer flags in its third extension, aspcapStar the best-fitting model.
    has_flags = hdus[3].header["BITPIX"] > 0
    bad = (third & BAD_PIXEL_BITS) != 0 if has_flags else np.zeros(len(flux), dtype=bool)
    bad |= (flux == 0) | ~(error < _NO_DATA_ERROR)
    meta = describe(headers, file_format="apstar" if has_flags else "aspcapstar", medium="vacuum")
    meta["instrument"] = meta["instrument"] or "APOGEE"
    axis = hdus[1].header if "CRVAL1" in hdus[1].header else hdus[0].header
    return Spectrum(image_wavelength(axis, len(flux)), flux, error, bad, meta)
