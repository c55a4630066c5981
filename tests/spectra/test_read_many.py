"""Many files onto one grid: rows, metadata, refusals, workers."""

import numpy as np
import pandas as pd
import pytest

from specvae.exceptions import DataQualityWarning, SpectrumReadError
from specvae.spectra import WavelengthGrid, air_to_vacuum
from specvae.spectra._read import read_spectra

GRID = WavelengthGrid(5000.5, 1.0, 4)
TEXT = ["path", "format", "object", "date_obs", "instrument", "medium"]
NUMBERS = ["ra_deg", "dec_deg", "mjd", "berv_kms", "airmass", "snr", "rv_kms"]


@pytest.fixture
def good(write_image):
    """Three files of flux n, on pixels of the width of the grid, of objects star0 to star2."""
    return [
        write_image(np.arange(n, n + 6.0), CDELT1=1.0, OBJECT=f"star{n}", SNR=10.0 * n)
        for n in range(3)
    ]


@pytest.fixture
def decreasing(write_image):
    return write_image(np.ones(5), CDELT1=-1.0)


def test_rows_and_metadata(good):
    X, meta = read_spectra(good, GRID)
    assert X.dtype == np.float32
    np.testing.assert_allclose(X, np.arange(3)[:, None] + np.arange(0.5, 4.0))
    assert meta["object"].tolist() == ["star0", "star1", "star2"]
    assert meta["path"].tolist() == [str(path) for path in good]
    assert meta["snr"].tolist() == [0.0, 10.0, 20.0]
    assert meta.attrs["refused"] == {}


def test_columns_have_clean_types(good):
    _, meta = read_spectra(good, GRID)
    assert sorted(meta.columns) == sorted(TEXT + NUMBERS)
    for name in NUMBERS:
        assert meta[name].dtype == np.float64
    for name in TEXT:
        assert pd.api.types.is_string_dtype(meta[name])
    assert meta["ra_deg"].isna().all()
    assert not meta["instrument"].isna().any()


def test_order_of_the_paths_is_kept(good):
    _, meta = read_spectra(good[::-1], GRID)
    assert meta["object"].tolist() == ["star2", "star1", "star0"]


def test_coarser_grid_averages(write_image):
    path = write_image(np.array([1.0, 3.0, 5.0, 7.0]), CDELT1=1.0)
    X, _ = read_spectra([path], WavelengthGrid(5000.5, 2.0, 2))
    np.testing.assert_allclose(X, [[2.0, 6.0]])


def test_missing_pixels_stay_missing(write_image):
    flux = np.ones(60)
    flux[20:40] = 0.0
    X, _ = read_spectra([write_image(flux, CDELT1=1.0)], WavelengthGrid(5000.0, 1.0, 70))
    (row,) = X
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(row)), [*range(20, 40), *range(60, 70)])
    assert row.dtype == np.float32


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_workers_change_nothing(good, decreasing, n_jobs):
    paths = [good[0], decreasing, *good[1:]]
    with pytest.warns(DataQualityWarning):
        X, meta = read_spectra(paths, GRID, on_error="warn", n_jobs=n_jobs)
    np.testing.assert_array_equal(X, np.float32(np.arange(3)[:, None] + np.arange(0.5, 4.0)))
    assert meta["object"].tolist() == ["star0", "star1", "star2"]
    assert list(meta.attrs["refused"]) == [str(decreasing)]


@pytest.mark.parametrize(
    ("ctype", "medium", "shift_aa"),
    [("AWAV", "vacuum", 1.39), ("WAVE", "air", -1.39), ("AWAV", "air", 0), ("LINEAR", "air", 0)],
)
def test_air_and_vacuum(write_image, ctype, medium, shift_aa):
    wavelength_aa = 4990.0 + 0.1 * np.arange(200)
    flux = 1 - 0.5 * np.exp(-0.5 * ((wavelength_aa - 5000.0) / 0.5) ** 2)
    path = write_image(flux, CRVAL1=4990.0, CDELT1=0.1, CTYPE1=ctype)
    grid = WavelengthGrid(4995.0, 0.01, 1000, medium=medium)
    X, _ = read_spectra([path], grid)
    assert float(air_to_vacuum(5000.0)) - 5000.0 == pytest.approx(1.39, abs=0.01)
    depth = 1 - X[0]
    centre_aa = np.nansum(depth * grid.wavelength_aa) / np.nansum(depth)
    assert centre_aa == pytest.approx(5000.0 + shift_aa, abs=0.02)


def test_raise_lists_every_refused_file(good, decreasing, tmp_path):
    empty = tmp_path / "empty.fits"
    empty.write_bytes(b"")
    with pytest.raises(SpectrumReadError) as caught:
        read_spectra([decreasing, good[0], empty], GRID)
    message = str(caught.value)
    assert message.startswith("2 of 3 files were refused:\n")
    assert f"  {decreasing}: the wavelengths decrease" in message
    assert f"  {empty}: the file is empty" in message
    assert "on_error='warn'" in message
    assert str(good[0]) not in message


def test_warn_leaves_them_out(good, decreasing):
    with pytest.warns(DataQualityWarning, match="1 of 3 files were refused") as caught:
        X, meta = read_spectra([good[0], decreasing, good[2]], GRID, on_error="warn")
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert X.shape == (2, 4)
    assert meta["object"].tolist() == ["star0", "star2"]
    assert meta.index.tolist() == [0, 1]
    (reason,) = meta.attrs["refused"].values()
    assert reason.startswith("the wavelengths decrease")


def test_nothing_left_raises_even_with_warn(decreasing):
    with pytest.raises(SpectrumReadError, match="1 of 1 files were refused"):
        read_spectra([decreasing], GRID, on_error="warn")


def test_spectrum_beside_the_grid(good):
    with pytest.raises(SpectrumReadError, match=r"no valid pixel falls on a grid .* 5000\.00 to"):
        read_spectra(good[:1], WavelengthGrid(6000.0, 1.0, 5))


def test_flux_too_large_for_float32(write_image):
    with pytest.raises(SpectrumReadError, match="float32"):
        read_spectra([write_image(np.full(6, 1e39), CDELT1=1.0)], GRID)


def test_negative_flux_is_not_refused(write_image):
    X, _ = read_spectra([write_image(-np.ones(6), CDELT1=1.0)], GRID)
    np.testing.assert_array_equal(X, -np.ones((1, 4)))


@pytest.mark.parametrize("kind", [str, lambda path: path])
def test_one_path_is_no_sequence(good, kind):
    with pytest.raises(TypeError, match=r"got the single path .*: give \[path\]"):
        read_spectra(kind(good[0]), GRID)


@pytest.mark.parametrize("grid", [None, "HARPS", np.arange(5000.0, 5010.0)])
def test_grid_of_another_kind(good, grid):
    with pytest.raises(TypeError, match=r"grid must be a WavelengthGrid, got .* HARPS_GRID"):
        read_spectra(good, grid)


def test_wavelengths_without_an_air_counterpart_are_refused(write_image):
    path = write_image(np.ones(100), CRVAL1=1300.0, CDELT1=10.0, CTYPE1="WAVE")
    air = WavelengthGrid(2100.0, 10.0, 10)
    with pytest.raises(SpectrumReadError, match=r"from 1300\.00 Angstrom on cannot be converted"):
        read_spectra([path], air)
    X, _ = read_spectra([path], WavelengthGrid(2100.0, 10.0, 10, medium="vacuum"))
    np.testing.assert_array_equal(X, np.ones((1, 10)))


def test_no_paths():
    with pytest.raises(ValueError, match="paths is empty"):
        read_spectra([], GRID)


def test_missing_file_is_reported_first(good, decreasing, tmp_path):
    missing = tmp_path / "gone.fits"
    with pytest.raises(FileNotFoundError, match=r"1 of 3 files are missing.*gone\.fits"):
        read_spectra([decreasing, good[0], missing], GRID, on_error="warn")


def test_unknown_mode(good):
    with pytest.raises(ValueError, match="on_error must be one of 'raise', 'warn', got 'skip'"):
        read_spectra(good, GRID, on_error="skip")


@pytest.mark.parametrize("progress", [True, False, None])
def test_progress_bar(good, capsys, progress):
    read_spectra(good, GRID, progress=progress)
    # None draws nothing here: what pytest captures is no terminal.
    assert ("reading spectra" in capsys.readouterr().err) == (progress is True)
