"""A damaged or unreadable file is one file less, whatever astropy or the system makes of it."""

import errno
import os

import numpy as np
import pytest
from astropy.io import fits

from specvae.exceptions import DataQualityWarning, SpectrumReadError
from specvae.spectra import Spectrum, WavelengthGrid, _fits_file, pack_spectra
from specvae.spectra._read import read_spectra, read_spectrum

N_PIXELS = 50
FLUX = np.linspace(1.0, 2.0, N_PIXELS)
GRID = WavelengthGrid(5001.0, 0.5, 20)
HEADER_BLOCKS = 2 * 2880


@pytest.fixture
def write_ap_star(write_hdus):
    """Write flux, error and model as aspcapStar files hold them."""

    def write():
        first = fits.PrimaryHDU()
        first.header.update({"OBJ": "2M1", "SNR": 50.0})
        images = [fits.ImageHDU(data.astype("f4")) for data in (FLUX, 0.01 * FLUX, FLUX)]
        for image in images:
            image.header.update({"CRVAL1": 4.179, "CDELT1": 6e-6, "CTYPE1": "LOG-LINEAR"})
        return write_hdus(first, *images)

    return write


@pytest.fixture
def good(request, write_image, write_table, write_ap_star):
    """One undamaged file of the kind that the test asks for."""
    columns = {
        "WAVE": ("D", 5000.0 + 0.5 * np.arange(N_PIXELS), "angstrom"),
        "FLUX": ("E", FLUX),
        "QUAL": ("J", np.zeros(N_PIXELS)),
    }
    return {
        "image": lambda: write_image(FLUX, RA="12:30:00", INSTRUME="HARPS"),
        "table": lambda: write_table(columns, TUCD1="em.wl"),
        "aspcapstar": write_ap_star,
    }[request.param]()


@pytest.mark.parametrize("good", ["image", "table", "aspcapstar"], indirect=True)
def test_changed_bytes_give_a_spectrum_or_a_refusal(good):
    content = good.read_bytes()
    rng = np.random.default_rng(0)
    n_read = n_refused = 0
    for number in range(200):
        damaged = bytearray(content)
        for position in rng.integers(0, HEADER_BLOCKS, rng.integers(1, 4)):
            damaged[position] = rng.integers(0, 256) if number % 2 else rng.integers(32, 127)
        good.write_bytes(damaged)
        try:  # warnings are errors here
            spectrum = read_spectrum(good)
        except SpectrumReadError as error:
            n_refused += 1
            assert str(error).startswith(f"{good}: ")
        else:
            n_read += 1
            assert isinstance(spectrum, Spectrum)
    assert n_read > 0
    assert n_refused > 0


@pytest.fixture
def without_axis_length(write_image):
    """An image whose header has lost its NAXIS1, over which astropy raises a KeyError."""
    path = write_image(FLUX)
    path.write_bytes(path.read_bytes().replace(b"NAXIS1  =", b"N0XIS1  ="))
    return path


def test_damaged_header_names_file_and_reason(without_axis_length):
    with pytest.raises(SpectrumReadError) as caught:
        read_spectrum(without_axis_length)
    message = str(caught.value)
    assert message.startswith(f"{without_axis_length}: the file is damaged (KeyError: 'NAXIS1')")
    assert message.endswith("download or copy it again.")
    assert isinstance(caught.value.__cause__, SpectrumReadError)
    assert isinstance(caught.value.__cause__.__cause__, KeyError)


def test_archive_goes_on_past_damaged_files_and_folders(tmp_path, write_image, without_axis_length):
    folder = tmp_path / "folder.fits"
    folder.mkdir()
    paths = [write_image(FLUX), without_axis_length, folder, write_image(2.0 * FLUX)]
    with pytest.warns(DataQualityWarning, match="2 of 4 files were refused"):
        X, meta = read_spectra(paths, GRID, on_error="warn")
    np.testing.assert_allclose(X[1], 2.0 * X[0])
    assert list(meta.attrs["refused"]) == [str(without_axis_length), str(folder)]
    with pytest.warns(DataQualityWarning, match="2 of 4 files were refused"):
        packed = pack_spectra(paths, tmp_path / "stars.npy", GRID, on_error="warn")
    np.testing.assert_array_equal(packed.to_numpy(), X)


def fail_for(monkeypatch, path, error):
    """Let the opening of one file raise an error."""

    def failing(name, *arguments):
        if os.fspath(name) == os.fspath(path):
            raise error
        return open(name, *arguments)

    monkeypatch.setattr(_fits_file, "open", failing, raising=False)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO])
def test_unreadable_file_is_refused(write_image, monkeypatch, code):
    paths = [write_image(FLUX), write_image(FLUX)]
    fail_for(monkeypatch, paths[1], OSError(code, os.strerror(code)))
    with pytest.raises(SpectrumReadError, match=f"cannot be read .{os.strerror(code)}.: make it"):
        read_spectrum(paths[1])
    with pytest.warns(DataQualityWarning, match="1 of 2 files were refused"):
        _, meta = read_spectra(paths, GRID, on_error="warn")
    assert list(meta.attrs["refused"]) == [str(paths[1])]


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EMFILE, "Too many open files"),
        FileNotFoundError(errno.ENOENT, "No such file or directory"),
        MemoryError("no memory"),
        KeyboardInterrupt(),
    ],
    ids=["disk", "descriptors", "gone", "memory", "keyboard"],
)
def test_what_is_not_the_fault_of_the_file_passes(write_image, monkeypatch, error):
    paths = [write_image(FLUX), write_image(FLUX)]
    fail_for(monkeypatch, paths[1], error)
    with pytest.raises(type(error)) as caught:
        read_spectra(paths, GRID, on_error="warn")
    assert caught.value is error
    if isinstance(error, Exception):
        assert error.__notes__ == [f"while reading {paths[1]}"]


@pytest.mark.parametrize("code", [errno.EIO, errno.EMFILE])
def test_disk_that_fails_while_astropy_reads(write_image, monkeypatch, code):
    def failing(*arguments, **options):
        raise OSError(code, os.strerror(code))

    path = write_image(FLUX)
    monkeypatch.setattr(_fits_file.fits, "open", failing)
    wanted = SpectrumReadError if code == errno.EIO else OSError
    with pytest.raises(wanted, match=os.strerror(code)):
        read_spectrum(path)
