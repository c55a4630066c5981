"""Spectra kept as images: HARPS s1d, MILES, and any other with a stated wavelength axis."""

from typing import Any

from astropy.io import fits

from ..exceptions import SpectrumReadError
from ._axis import image_wavelength
from ._fits_file import native_float, read_data
from ._header import describe
from ._spectrum import Spectrum


def read_image(hdus: fits.HDUList, hdu: Any) -> Spectrum:
    """Return the spectrum in an image whose axes, but for the first, have one pixel."""
    *others, n_pixels = hdu.shape
    if any(length != 1 for length in others):
        raise SpectrumReadError(
            f"the image has two axes ({' x '.join(map(str, hdu.shape))} pixels), echelle orders "
            "or several spectra: merge the orders, and write one spectrum to a file."
        )
    headers = [hdu.header] if hdu is hdus[0] else [hdu.header, hdus[0].header]
    meta = describe(headers, file_format="image")
    if meta["instrument"] == "HARPS":
        # The HARPS pipeline works in air, whatever CTYPE1 says.
        meta |= {"format": "harps_s1d", "medium": "air"}
    wavelength_aa = image_wavelength(hdu.header, n_pixels)
    flux = native_float(read_data(hdu)).reshape(n_pixels)
    return Spectrum(wavelength_aa, flux, meta=meta)
