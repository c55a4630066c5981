"""Files as the archives and pipelines wrote them, where they are at hand."""

import numpy as np
import pytest

from specvae.exceptions import SpectrumReadError
from specvae.spectra import APOGEE_GRID, HARPS_GRID, HARPS_MISSING
from specvae.spectra._read import read_spectra, read_spectrum


@pytest.fixture
def harps(real_files):
    paths = real_files("harps/*.fits.gz")
    assert len(paths) == 19
    return [read_spectrum(path) for path in paths]


def test_harps_pixels(harps):
    for spectrum in harps:
        assert 200_000 <= len(spectrum) <= 313_300
        np.testing.assert_allclose(np.diff(spectrum.wavelength_aa), 0.01, rtol=1e-3)
        missing = np.flatnonzero(np.isnan(spectrum.flux))
        assert 3180 <= len(missing) <= 3300  # the gap, and nothing else
        assert missing[-1] - missing[0] == len(missing) - 1
        low_aa, high_aa = spectrum.wavelength_aa[missing[[0, -1]]]
        assert 5303.0 < low_aa < 5305.0
        assert 5336.0 < high_aa < 5338.1
        assert np.nanmedian(spectrum.flux) > 0


def test_harps_metadata(harps):
    known = [spectrum.meta for spectrum in harps if spectrum.meta["instrument"]]
    assert len(known) == 16  # three headers are short
    for meta in known:
        assert meta["format"] == "harps_s1d"
        assert meta["medium"] == "air"
        assert abs(meta["berv_kms"]) < 32
        assert 1.0 <= meta["airmass"] < 2.5
        assert 5 < meta["snr"] < 500
        assert 52_000 < meta["mjd"] < 58_000
    assert sum(meta["object"] == "HD189733" for meta in known) == 12


def test_harps_on_its_grid(real_files):
    paths = real_files("harps/HARPS.2007*.fits.gz")[:3]
    X, meta = read_spectra(paths, HARPS_GRID)
    assert X.shape == (3, 327_680)
    wavelength_aa = HARPS_GRID.wavelength_aa
    (_, low_aa), (gap_low_aa, gap_high_aa), (high_aa, _) = HARPS_MISSING
    inside = (wavelength_aa > low_aa + 0.1) & (wavelength_aa < high_aa - 0.1)
    gap = (wavelength_aa > gap_low_aa - 0.1) & (wavelength_aa < gap_high_aa + 0.1)
    assert np.isfinite(X[:, inside & ~gap]).all()
    assert np.isnan(X[:, (wavelength_aa > 5305.0) & (wavelength_aa < 5336.0)]).all()
    assert np.isnan(X[:, wavelength_aa < 3781.0]).all()
    normalised = X[:, inside & ~gap] / np.nanmedian(X, axis=1, keepdims=True)
    assert np.corrcoef(normalised[:, ::10]).min() > 0.5  # one star, one night
    assert meta["object"].nunique() == 1


def test_aspcap_star_and_ap_star(real_files):
    paths = real_files("apogee/*")
    X, meta = read_spectra(paths, APOGEE_GRID)
    assert meta["format"].value_counts().to_dict() == {"aspcapstar": 25, "apstar": 4}
    assert (meta["medium"] == "vacuum").all()
    assert meta["object"].str.startswith("2M").all()
    assert (meta["snr"] > 5).all()
    assert (meta["rv_kms"].abs() < 500).all()
    aspcap = (meta["format"] == "aspcapstar").to_numpy()
    median = np.nanmedian(X, axis=1)
    assert ((median[aspcap] > 0.85) & (median[aspcap] < 1.1)).all()  # continuum normalised
    assert (median > 0).all()
    valid = np.isfinite(X).mean(axis=1)
    assert ((valid > 0.55) & (valid < 0.9)).all()


def test_apogee_errors_and_flags(real_files):
    for path in real_files("apogee/*"):
        spectrum = read_spectrum(path)
        np.testing.assert_array_equal(np.isnan(spectrum.flux), spectrum.mask)
        assert (spectrum.error[~spectrum.mask] > 0).all()
        assert np.nanmax(spectrum.error) < 1e9
        np.testing.assert_allclose(spectrum.wavelength_aa, APOGEE_GRID.wavelength_aa, rtol=1e-12)


def test_miles(real_files):
    paths = real_files("miles/fits/*.fits")
    assert len(paths) == 3
    for path in paths:
        spectrum = read_spectrum(path)
        np.testing.assert_allclose(spectrum.wavelength_aa, 3540.5 + 0.9 * np.arange(4300))
        assert spectrum.meta["medium"] == "air"
        assert 0.8 < np.median(spectrum.flux) < 1.2


def test_miles_agrees_with_its_collection(real_files):
    (collection,) = real_files("miles/miles_stars.npz")
    (path,) = real_files("miles/fits/*m0272V.fits")
    stars = np.load(collection)
    (row,) = np.flatnonzero(stars["miles_id"] == "0272")
    np.testing.assert_allclose(read_spectrum(path).flux, stars["flux"][row], atol=1e-6)


def test_line_lists_are_refused(real_files):
    paths = real_files("lines/*.fits")
    assert len(paths) == 3
    for path in paths:
        with pytest.raises(SpectrumReadError, match=r"column of flux .* found: lambda, contrast"):
            read_spectrum(path)


def test_damaged_file_is_refused(real_files):
    (path,) = real_files("harps/broken/*")
    with pytest.raises(SpectrumReadError, match=r"Gl273.*the flux is damaged: 21\.1% .* 1\.6e\+21"):
        read_spectrum(path)
