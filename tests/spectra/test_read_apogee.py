"""APOGEE files, written by hand."""

import numpy as np
import pytest
from astropy.io import fits

from specvae.spectra._read import read_spectrum

N_PIXELS = 8575
AXIS = {
    "CRVAL1": 4.179,
    "CDELT1": 6e-6,
    "CRPIX1": 1,
    "CTYPE1": "LOG-LINEAR",
    "DC-FLAG": 1,
}


def image(data):
    hdu = fits.ImageHDU(data)
    hdu.header.update(AXIS)
    return hdu


def primary(**cards):
    hdu = fits.PrimaryHDU()
    hdu.header.update(cards)
    return hdu


@pytest.fixture
def write_ap_star(write_hdus):
    """Write an apStar of some visits: combined flux 2, second row 3, visits 4; six odd pixels."""

    def write(n_visits):
        flux = np.full((n_visits + 2, N_PIXELS), 4.0, dtype=np.float32)
        flux[:2] = np.array([[2.0], [3.0]])
        error = np.full_like(flux, 0.5)
        flags = np.zeros(flux.shape, dtype=np.int16)
        flags[0, 100] = 1 << 0  # BADPIX
        flags[0, 101] = 1 << 7  # NOSKY
        flags[0, 102] = 1 << 8  # LITTROW_GHOST: a warning only
        flags[0, 103] = 1 << 12  # SIG_SKYLINE
        flags[0, 104] = 1 << 14  # NOT_ENOUGH_PSF
        flags[1:, 200] = 1  # of rows that are not read
        flux[:, :10] = 0.0
        error[:, 300] = 1e10
        if n_visits == 1:
            flux, error, flags = flux[0], error[0], flags[0]
        first = primary(
            OBJID="2M00452143+1634446", RA=11.5, DEC=16.5, SNR=79.0, VHELIO=6.5, TELESCOP="apo25m"
        )
        return write_hdus(first, *map(image, (flux, error, flags, flux, error)))

    return write


@pytest.mark.parametrize("n_visits", [1, 3])
def test_ap_star(write_ap_star, n_visits):
    spectrum = read_spectrum(write_ap_star(n_visits))
    np.testing.assert_allclose(
        spectrum.wavelength_aa, 10 ** (4.179 + 6e-6 * np.arange(N_PIXELS)), rtol=1e-12
    )
    bad = [*range(10), 100, 101, 103, 104, 300]
    np.testing.assert_array_equal(np.flatnonzero(spectrum.mask), bad)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(spectrum.flux)), bad)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(spectrum.error)), bad)
    assert np.nanmin(spectrum.flux) == np.nanmax(spectrum.flux) == 2.0
    assert np.nanmin(spectrum.error) == np.nanmax(spectrum.error) == 0.5


def test_ap_star_metadata(write_ap_star):
    meta = read_spectrum(write_ap_star(3)).meta
    assert meta["format"] == "apstar"
    assert meta["object"] == "2M00452143+1634446"
    assert (meta["ra_deg"], meta["dec_deg"]) == (11.5, 16.5)
    assert (meta["snr"], meta["rv_kms"]) == (79.0, 6.5)
    assert (meta["instrument"], meta["medium"]) == ("APOGEE", "vacuum")


def test_aspcap_star(write_hdus):
    flux = np.ones(N_PIXELS, dtype=np.float32)
    flux[[0, 1, 5000]] = 0.0  # short runs too
    error = np.full(N_PIXELS, 0.01, dtype=np.float32)
    error[7000] = 1e10
    model = np.full(N_PIXELS, 7.0, dtype=np.float32)
    first = primary(OBJ="2M1", SNR=50.0, VHELIO=999999.0)
    spectrum = read_spectrum(write_hdus(first, image(flux), image(error), image(model)))
    missing = np.flatnonzero(np.isnan(spectrum.flux))
    np.testing.assert_array_equal(missing, [0, 1, 5000, 7000])
    assert np.nanmax(spectrum.flux) == 1.0
    assert spectrum.error[10] == np.float32(0.01)
    assert spectrum.meta["format"] == "aspcapstar"
    assert spectrum.meta["object"] == "2M1"
    assert spectrum.meta["medium"] == "vacuum"
    assert np.isnan(spectrum.meta["rv_kms"])
