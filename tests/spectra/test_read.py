"""Each format, written by hand, is read back with the known wavelengths, flux and metadata."""

import math

import numpy as np
import pytest
from astropy.io import fits

from specvae.spectra._read import read_spectrum
from specvae.spectra._spectrum import Spectrum

FLUX = np.array([1.0, 0.8, 1.2, 0.9, 1.1])
HARPS_CARDS = {
    "INSTRUME": "HARPS",
    "OBJECT": "HD1",
    "RA": 10.5,
    "DEC": -20.25,
    "DATE-OBS": "2009-02-21T07:23:45.282",
    "MJD-OBS": 54883.3,
    "HIERARCH ESO DRS BERV": 20.03,
    "HIERARCH ESO TEL AIRM START": 1.2,
    "HIERARCH ESO TEL AIRM END": 1.4,
    "HIERARCH ESO DRS SPE EXT SN50": 88.5,
    "HIERARCH ESO DRS CCF RVC": -2.25,
    "HIERARCH ESO TEL TARG RADVEL": 7.0,
}


def test_image_on_a_linear_axis(write_image):
    spectrum = read_spectrum(write_image(FLUX, CRPIX1=2.0))
    np.testing.assert_allclose(spectrum.wavelength_aa, [4999.5, 5000.0, 5000.5, 5001.0, 5001.5])
    np.testing.assert_array_equal(spectrum.flux, FLUX)
    assert spectrum.error is None
    assert spectrum.mask is None
    assert len(spectrum) == 5


def test_reference_pixel_defaults_to_the_first(write_image):
    assert read_spectrum(write_image(FLUX)).wavelength_aa[0] == 5000.0


def test_image_with_cd_matrix(write_image):
    spectrum = read_spectrum(write_image(FLUX, without=["CDELT1"], CD1_1=0.25))
    np.testing.assert_allclose(np.diff(spectrum.wavelength_aa), 0.25)


@pytest.mark.parametrize(
    "cards",
    [{"DC-FLAG": 1}, {"CTYPE1": "LOG-LINEAR"}, {"CTYPE1": "LINEAR", "DC-FLAG": 1}],
    ids=["dc-flag", "ctype", "iraf"],
)
def test_image_on_a_log_axis(write_image, cards):
    spectrum = read_spectrum(write_image(FLUX, CRVAL1=3.7, CDELT1=1e-4, **cards))
    np.testing.assert_allclose(spectrum.wavelength_aa, 10 ** (3.7 + 1e-4 * np.arange(5)))


def test_image_on_the_log_axis_of_the_fits_standard(write_image):
    spectrum = read_spectrum(write_image(FLUX, CTYPE1="AWAV-LOG"))
    np.testing.assert_allclose(spectrum.wavelength_aa, 5000 * np.exp(0.5 / 5000 * np.arange(5)))
    assert spectrum.meta["medium"] == "air"


@pytest.mark.parametrize(
    ("unit", "start", "step"),
    [("nm", 500.0, 0.05), ("um", 0.5, 5e-5), ("Angstrom", 5000.0, 0.5), ("m", 5e-7, 5e-11)],
)
def test_image_units(write_image, unit, start, step):
    spectrum = read_spectrum(write_image(FLUX, CRVAL1=start, CDELT1=step, CUNIT1=unit))
    np.testing.assert_allclose(spectrum.wavelength_aa, 5000 + 0.5 * np.arange(5), rtol=1e-12)


def test_image_of_one_row_is_squeezed(write_image):
    np.testing.assert_array_equal(read_spectrum(write_image(FLUX[None, :])).flux, FLUX)


def test_image_in_an_extension(write_hdus):
    hdu = fits.ImageHDU(FLUX)
    hdu.header.update({"CRVAL1": 5000.0, "CDELT1": 0.5})
    primary = fits.PrimaryHDU()
    primary.header["OBJECT"] = "in the primary header"
    spectrum = read_spectrum(write_hdus(primary, hdu))
    np.testing.assert_array_equal(spectrum.flux, FLUX)
    assert spectrum.meta["object"] == "in the primary header"


def test_gzipped_image_under_any_name(write_image):
    packed = write_image(FLUX, suffix=".fits.gz")
    assert packed.read_bytes()[:2] == b"\x1f\x8b"
    renamed = packed.rename(packed.with_name("no_suffix"))
    np.testing.assert_array_equal(read_spectrum(renamed).flux, FLUX)


def test_integers_and_small_floats(write_image):
    assert read_spectrum(write_image(np.array([3, 4, 5], dtype=np.int16))).flux.dtype == np.float64
    flux = read_spectrum(write_image(FLUX.astype(np.float32))).flux
    assert flux.dtype == np.dtype(np.float32)  # of this machine's byte order
    np.testing.assert_array_equal(flux, FLUX.astype(np.float32))


def test_harps_metadata(write_image):
    path = write_image(FLUX, CTYPE1="WAVE", **HARPS_CARDS)
    assert read_spectrum(path).meta == {
        "path": str(path),
        "format": "harps_s1d",
        "object": "HD1",
        "ra_deg": 10.5,
        "dec_deg": -20.25,
        "date_obs": "2009-02-21T07:23:45.282",
        "mjd": 54883.3,
        "berv_kms": 20.03,
        "airmass": pytest.approx(1.3),
        "snr": 88.5,
        "rv_kms": -2.25,
        "instrument": "HARPS",
        "medium": "air",
    }


def test_silent_header(write_image):
    meta = read_spectrum(write_image(FLUX)).meta
    for key in ("object", "date_obs", "instrument", "medium"):
        assert meta[key] == ""
    for key in ("ra_deg", "dec_deg", "mjd", "berv_kms", "airmass", "snr", "rv_kms"):
        assert math.isnan(meta[key])
    assert meta["format"] == "image"


def test_second_choices_of_the_header(write_image):
    orders = {f"HIERARCH ESO DRS SPE EXT SN{n}": snr for n, snr in [(3, 10.0), (40, 30.0)]}
    name = {"HIERARCH ESO OBS TARG NAME": "HD2", "AIRMASS": 1.7}
    meta = read_spectrum(write_image(FLUX, OBJECT="", **orders, **name)).meta
    assert meta["object"] == "HD2"
    assert meta["airmass"] == 1.7
    assert meta["snr"] == 20.0  # the median over the orders


@pytest.mark.parametrize(
    ("ra", "dec", "ra_deg", "dec_deg"),
    [
        ("12:30:00", "-05 13 40", 187.5, -(5 + 13 / 60 + 40 / 3600)),
        ("12 30 00.0", "-00:13:40", 187.5, -(13 / 60 + 40 / 3600)),
        ("12h30m00s", "+20d15m", 187.5, 20.25),
        ("187d30m", "-5.25 deg", 187.5, -5.25),
        ("187.5", "-20.25", 187.5, -20.25),
        (187.5, -20.25, 187.5, -20.25),
        ("00:01:60", "10:00:00", 0.5, 10.0),
        ("25:00:00", "-95:00:00", math.nan, math.nan),
        ("somewhere", "12:75:00", math.nan, math.nan),
    ],
)
def test_coordinates_in_any_notation(write_image, ra, dec, ra_deg, dec_deg):
    meta = read_spectrum(write_image(FLUX, RA=ra, DEC=dec)).meta
    assert (meta["ra_deg"], meta["dec_deg"]) == pytest.approx((ra_deg, dec_deg), nan_ok=True)


def test_velocity_is_measured_or_missing(write_image):
    failed = {"HIERARCH ESO DRS CCF RVC": -99999.0, "HIERARCH ESO TEL TARG RADVEL": 7.0}
    assert math.isnan(read_spectrum(write_image(FLUX, **failed)).meta["rv_kms"])


@pytest.mark.parametrize("text", [b"NAN 'twenty   ", b"'tw\xe9nty'     "], ids=["open", "accent"])
def test_odd_card_is_no_metadata_and_no_noise(write_image, text):
    path = write_image(FLUX, AIRMASS=1.5, SNR=20.0)
    card = b"SNR     =                 20.0"
    content = path.read_bytes()
    assert content.count(card) == 1
    path.write_bytes(content.replace(card, (b"SNR     = " + text).ljust(len(card))))
    meta = read_spectrum(path).meta  # warnings are errors here
    assert math.isnan(meta["snr"])
    assert meta["airmass"] == 1.5


@pytest.mark.parametrize(
    ("cards", "medium"),
    [
        ({"CTYPE1": "AWAV"}, "air"),
        ({"CTYPE1": "WAVE"}, "vacuum"),
        ({"CTYPE1": "WAVELENGTH"}, ""),
        ({"AIRORVAC": "vac"}, "vacuum"),
        ({"AIRORVAC": "air"}, "air"),
        ({"VACUUM": True}, "vacuum"),
        ({"TPLLIB": "MILES"}, "air"),
    ],
)
def test_medium_of_an_image(write_image, cards, medium):
    assert read_spectrum(write_image(FLUX, **cards)).meta["medium"] == medium


def test_long_runs_of_zeros_are_missing(write_image):
    flux = np.ones(100)
    flux[10:25] = 0.0  # 15 zeros stay
    flux[40:56] = 0.0  # 16 go
    flux[70] = 0.0
    flux[99] = 0.0
    expected = flux.copy()
    expected[40:56] = np.nan
    np.testing.assert_array_equal(read_spectrum(write_image(flux)).flux, expected)


def test_zeros_at_both_ends_are_missing(write_image):
    flux = np.concatenate([np.zeros(20), np.ones(60), np.zeros(16)])
    missing = np.isnan(read_spectrum(write_image(flux)).flux)
    np.testing.assert_array_equal(np.flatnonzero(~missing), np.arange(20, 80))


@pytest.mark.parametrize(("instrument", "missing"), [("HARPS", [4, 5]), ("OTHER", [])])
def test_any_zero_in_the_harps_gap_is_missing(write_image, instrument, missing):
    flux = np.ones(10)  # 5302.0, 5302.5, ... 5306.5
    flux[[2, 4, 5]] = 0.0
    path = write_image(flux, CRVAL1=5302.0, INSTRUME=instrument)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(read_spectrum(path).flux)), missing)


def eso_columns(n_rows, **more):
    """Columns of an ESO phase 3 table: one row of arrays, or one pixel to a row."""
    columns = {
        "WAVE": ("D", 5000.0 + 0.5 * np.arange(5), "angstrom"),
        "FLUX": ("D", FLUX, "adu"),
        "ERR": ("D", [0.1, 0.2, 0.0, np.nan, 0.5], "adu"),
        "QUAL": ("J", [0, 4, 0, 0, 1]),
    } | more
    if n_rows > 1:
        return columns
    return {
        name: (f"5{code}", [np.asarray(values)], *unit)
        for name, (code, values, *unit) in columns.items()
    }


@pytest.mark.parametrize("n_rows", [1, 5])
def test_eso_table(write_table, n_rows):
    primary = HARPS_CARDS | {"PRODCATG": "SCIENCE.SPECTRUM", "SNR": 99.0}
    path = write_table(eso_columns(n_rows), primary, TUCD1="em.wl;obs.atmos")
    spectrum = read_spectrum(path)
    np.testing.assert_allclose(spectrum.wavelength_aa, 5000 + 0.5 * np.arange(5))
    np.testing.assert_array_equal(spectrum.flux, [1.0, np.nan, 1.2, 0.9, np.nan])
    np.testing.assert_array_equal(spectrum.mask, [False, True, False, False, True])
    np.testing.assert_array_equal(spectrum.error, [0.1, np.nan, np.nan, np.nan, np.nan])
    assert spectrum.meta["format"] == "eso_table"
    assert spectrum.meta["medium"] == "air"
    assert spectrum.meta["object"] == "HD1"
    assert spectrum.meta["snr"] == 99.0  # stated for the whole spectrum, before SN50


@pytest.mark.parametrize(("ucd", "medium"), [("em.wl", "vacuum"), ("em.wl;obs.atmos", "air")])
def test_medium_of_an_eso_table(write_table, ucd, medium):
    path = write_table(eso_columns(1), {"ORIGIN": "ESO-PARANAL"}, TUCD1=ucd)
    assert read_spectrum(path).meta["medium"] == medium


def test_errors_that_are_all_unknown_are_none(write_table):
    path = write_table(eso_columns(5, ERR=("D", np.full(5, np.nan), "adu")))
    assert read_spectrum(path).error is None


@pytest.mark.parametrize(
    ("name", "unit", "scale"),
    [("Wavelength", "nm", 0.1), ("LAMBDA", "um", 1e-4), ("wave", None, 1.0), ("lam", "A", 1.0)],
)
def test_table_names_and_units(write_table, name, unit, scale):
    wavelength = scale * (5000.0 + np.arange(5))
    path = write_table({name: ("D", wavelength, unit), "Intensity": ("E", FLUX)})
    spectrum = read_spectrum(path)
    np.testing.assert_allclose(spectrum.wavelength_aa, 5000.0 + np.arange(5))
    np.testing.assert_allclose(spectrum.flux, FLUX, rtol=1e-7)
    assert spectrum.meta["format"] == "table"
    assert spectrum.meta["medium"] == ""


def test_sdss_table(write_table):
    columns = {
        "flux": ("E", FLUX),
        "loglam": ("E", 3.7 + 1e-4 * np.arange(5), "log(Angstrom)"),
        "ivar": ("E", [4.0, 0.0, 100.0, 1.0, 1.0]),
    }
    spectrum = read_spectrum(write_table(columns, {"VACUUM": True}))
    np.testing.assert_allclose(spectrum.wavelength_aa, 10 ** (3.7 + 1e-4 * np.arange(5)), rtol=1e-6)
    np.testing.assert_allclose(spectrum.error, [0.5, np.nan, 0.1, 1.0, 1.0], rtol=1e-6)
    np.testing.assert_array_equal(spectrum.mask, [False, True, False, False, False])
    assert np.isnan(spectrum.flux[1])
    assert spectrum.meta["medium"] == "vacuum"


def test_quality_and_inverse_variance_both_flag(write_table):
    columns = {
        "wavelength": ("D", 5000.0 + np.arange(5)),
        "flux": ("D", FLUX),
        "ivar": ("D", [1.0, 0.0, 1.0, 1.0, 1.0]),
        "MASK": ("L", [False, False, False, True, False]),
    }
    spectrum = read_spectrum(write_table(columns))
    np.testing.assert_array_equal(spectrum.mask, [False, True, False, True, False])
    np.testing.assert_array_equal(np.isnan(spectrum.flux), spectrum.mask)


def test_first_table_with_a_flux_is_read(write_hdus):
    lines = fits.BinTableHDU.from_columns([fits.Column("lambda", "D", array=[5000.0])])
    columns = [fits.Column("wave", "D", array=[5000.0, 5001.0])]
    columns.append(fits.Column("flux", "D", array=[1.0, 2.0]))
    spectrum = read_spectrum(write_hdus(lines, fits.BinTableHDU.from_columns(columns)))
    np.testing.assert_array_equal(spectrum.flux, [1.0, 2.0])


def test_spectrum_checks_its_arrays():
    wavelength_aa = np.array([5000.0, 5001.0])
    with pytest.raises(ValueError, match=r"flux has shape \(3,\), wavelength_aa has 2 pixels"):
        Spectrum(wavelength_aa, np.ones(3))
    with pytest.raises(ValueError, match="mask must be boolean"):
        Spectrum(wavelength_aa, np.ones(2), mask=np.zeros(2))
    with pytest.raises(ValueError, match="one axis of pixels"):
        Spectrum(wavelength_aa[None, :], np.ones((1, 2)))
