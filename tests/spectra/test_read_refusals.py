"""A file that cannot be used is refused with one error: which file, why, and what to do."""

import gzip
import re

import numpy as np
import pytest
from astropy.io import fits

from specvae.exceptions import SpectrumReadError
from specvae.spectra._read import read_spectrum

FLUX = np.linspace(1.0, 2.0, 5000)


def assert_refused(path, *words):
    """Reading `path` must raise one error that starts with the path and holds all words."""
    with pytest.raises(SpectrumReadError) as caught:
        read_spectrum(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert message.count(str(path)) == 1
    for word in words:
        assert word in message
    assert re.search(r": [^:]+\.$", message), f"no remedy after the last colon: {message}"


def test_helper_fails_on_a_good_file_and_on_another_reason(write_image):
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        assert_refused(write_image(FLUX))
    with pytest.raises(AssertionError):
        assert_refused(write_image(FLUX, CDELT1=-0.5), "truncated")


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.fits"):
        read_spectrum(tmp_path / "nowhere.fits")


def test_folder(tmp_path):
    assert_refused(tmp_path, "cannot be read (Is a directory)", "leave it out")


def test_empty_file(tmp_path):
    path = tmp_path / "empty.fits"
    path.write_bytes(b"")
    assert_refused(path, "empty (0 bytes)", "download")


def test_empty_gzip_stream(tmp_path):
    path = tmp_path / "empty.fits.gz"
    path.write_bytes(gzip.compress(b""))
    assert_refused(path, "gzip stream is empty")


@pytest.mark.parametrize("content", [b"hello world\n" * 1000, b"x", gzip.compress(b"a" * 9000)])
def test_other_files(tmp_path, content):
    path = tmp_path / "notes.fits"
    path.write_bytes(content)
    assert_refused(path, "no FITS file", "give a FITS file")


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.99])
def test_truncated_gzip(write_image, fraction):
    noise = np.random.default_rng(0).normal(10.0, 1.0, size=5000)
    path = write_image(noise, suffix=".fits.gz")
    content = path.read_bytes()
    path.write_bytes(content[: int(fraction * len(content))])
    assert_refused(path, "cut short", "gzip", "download")


def test_damaged_gzip(write_image):
    path = write_image(FLUX, suffix=".fits.gz")
    content = bytearray(path.read_bytes())
    content[-8] ^= 0xFF  # in the checksum at the end
    path.write_bytes(content)
    assert_refused(path, "gzip stream is damaged", "download")


@pytest.mark.parametrize("n_bytes", [2880 + 8000, 2880 + 2880, 2880])
def test_truncated_fits(write_image, n_bytes):
    path = write_image(FLUX)
    path.write_bytes(path.read_bytes()[:n_bytes])
    assert_refused(path, "cut short", "download")


def test_truncated_header(write_image):
    path = write_image(FLUX)
    path.write_bytes(path.read_bytes()[:400])
    assert_refused(path, "header is cut short")


@pytest.mark.parametrize("packed", [False, True])
def test_truncated_table(write_table, packed):
    wavelength_aa = 5000.0 + np.arange(5000)
    path = write_table({"WAVE": ("D", wavelength_aa), "FLUX": ("D", FLUX)})
    content = path.read_bytes()[:-20_000]
    path.write_bytes(gzip.compress(content) if packed else content)
    assert_refused(path, "cut short")


def test_headers_only(write_hdus):
    assert_refused(write_hdus(fits.PrimaryHDU()), "headers only")


def test_two_axes(write_image):
    assert_refused(write_image(np.ones((72, 40))), "two axes (72 x 40", "orders", "merge")


def test_table_of_several_spectra(write_table):
    matrix = np.ones((3, 4))
    path = write_table({"WAVE": ("4D", matrix), "FLUX": ("4D", matrix)})
    assert_refused(path, "column WAVE holds 3 x 4", "one spectrum to a file")


def test_table_without_flux(write_table):
    path = write_table({"lambda": ("D", [1.0]), "contrast": ("D", [1.0])})
    assert_refused(path, "no table has a column of flux (flux,", "found: lambda, contrast")


def test_table_without_wavelength(write_table):
    path = write_table({"x": ("D", [1.0]), "flux": ("D", [1.0])})
    assert_refused(path, "column of wavelength (wave,", "loglam", "found: x, flux")


def test_table_with_too_few_wavelengths(write_table):
    path = write_table({"WAVE": ("2D", np.ones((1, 2))), "FLUX": ("3D", np.ones((1, 3)))})
    assert_refused(path, "3 pixels of flux, but 2 wavelengths")


@pytest.mark.parametrize(
    "cards",
    [
        {"without": ["CRVAL1"]},
        {"without": ["CDELT1"]},
        {"CDELT1": 0.0},
        {"CTYPE1": "FREQ"},
        {"CTYPE1": "MULTISPE"},
        {"CTYPE1": "PIXEL"},
    ],
)
def test_no_wavelength_axis(write_image, cards):
    assert_refused(write_image(FLUX, **cards), "no wavelength axis", "CRVAL1", "CDELT1")


@pytest.mark.parametrize("unit", ["Hz", "furlong"])
def test_no_unit_of_wavelength(write_image, write_table, unit):
    assert_refused(write_image(FLUX, CUNIT1=unit), f"CUNIT1 is '{unit}'", "nm")
    columns = {"WAVE": ("D", [5000.0, 5001.0], unit), "FLUX": ("D", [1.0, 1.0])}
    assert_refused(write_table(columns), f"the unit of column WAVE is '{unit}'", "nm")


@pytest.mark.parametrize(("start", "cards"), [(3.7, {}), (400.0, {"DC-FLAG": 1}), (-5000.0, {})])
def test_implausible_wavelengths(write_image, start, cards):
    path = write_image(FLUX[:5], CRVAL1=start, CDELT1=1e-4, **cards)
    assert_refused(path, "wavelength")


def test_decreasing_wavelengths(write_image, write_table):
    assert_refused(write_image(FLUX, CDELT1=-0.5), "decrease, from 5000 to 2500.5", "flip")
    columns = {"WAVE": ("D", [5002.0, 5001.0, 5000.0]), "FLUX": ("D", [1.0, 1.0, 1.0])}
    assert_refused(write_table(columns), "decrease, from 5002 to 5000", "flip")


@pytest.mark.parametrize("middle", [5001.0, 4999.0])
def test_unsorted_wavelengths(write_table, middle):
    columns = {"WAVE": ("D", [5000.0, 5001.0, middle, 5003.0]), "FLUX": ("D", np.ones(4))}
    assert_refused(write_table(columns), "do not increase at pixel 2 of 4", "sort")


def test_missing_wavelengths(write_table):
    columns = {"WAVE": ("D", [5000.0, np.nan, 5002.0]), "FLUX": ("D", np.ones(3))}
    assert_refused(write_table(columns), "wavelength of 1 pixels is not finite")


@pytest.mark.parametrize("value", [np.nan, 0.0])
def test_no_valid_pixel(write_image, value):
    assert_refused(write_image(np.full(50, value)), "none of its 50 pixels is valid")


def test_every_pixel_flagged(write_table):
    columns = {"WAVE": ("D", [5000.0, 5001.0]), "FLUX": ("D", np.ones(2)), "QUAL": ("J", [1, 1])}
    assert_refused(write_table(columns), "none of its 2 pixels", "flagged")


def test_infinities(write_image):
    flux = FLUX.copy()
    flux[[3, 7]] = np.inf, -np.inf
    assert_refused(write_image(flux), "2 pixels are infinite", "NaN")


def test_flagged_infinity_is_missing(write_table):
    columns = {
        "WAVE": ("D", [5000.0, 5001.0]),
        "FLUX": ("D", [1.0, np.inf]),
        "QUAL": ("J", [0, 1]),
    }
    np.testing.assert_array_equal(read_spectrum(write_table(columns)).flux, [1.0, np.nan])


def test_damage_is_more_than_one_percent_of_absurd_pixels(write_image):
    flux = np.ones(1000)
    flux[:10] = 1001.0  # 1 %, as cosmic rays might
    assert np.nanmax(read_spectrum(write_image(flux)).flux) == 1001.0
    flux[10] = -1e21
    assert_refused(write_image(flux), "damaged", "1.1%", "up to 1.0e+21")
