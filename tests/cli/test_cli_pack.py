import numpy as np
import pytest
from astropy.io import fits

from specvae.cli._grids import parse_grid, parse_ranges
from specvae.exceptions import SpectrumReadError
from specvae.spectra import APOGEE_GRID, HARPS_GRID, SpectraArray, WavelengthGrid, read_meta


@pytest.fixture
def files(folder):
    for number in range(3):
        hdu = fits.PrimaryHDU(np.full(40, 1.0 + number))
        hdu.header.update({"CRVAL1": 5000.0, "CDELT1": 0.5, "OBJECT": f"HD {number}"})
        hdu.writeto(folder / f"{number}.fits")
    return "0.fits 1.fits 2.fits"


def test_files_become_a_store(specvae, files, folder):
    code, out, err = specvae(f"pack {files} --to new.npy --grid 5000:0.5:40 --half")
    assert (code, out, err) == (0, "new.npy: 3 spectra of 40 pixels.\n", "")
    spectra = SpectraArray.open(folder / "new.npy")
    np.testing.assert_allclose(spectra.to_numpy()[:, 0], [1.0, 2.0, 3.0])
    assert spectra._store.dtype == np.float16
    assert read_meta(folder / "new.npy")["object"].tolist() == ["HD 0", "HD 1", "HD 2"]


def test_a_list_of_files_lies_beside_them(specvae, files, folder, monkeypatch):
    (folder / "list.txt").write_text("\ufeff2.fits\n\n0.fits\n", encoding="utf-8")
    monkeypatch.chdir("/")
    code, out, _ = specvae(f"pack --list {folder}/list.txt --to {folder}/new.npy --grid 5000:.5:40")
    assert code == 0 and "2 spectra" in out
    assert read_meta(folder / "new.npy")["object"].tolist() == ["HD 2", "HD 0"]


def test_unreadable_files_are_refused_or_left_out(specvae, files, folder):
    (folder / "1.fits").write_text("no FITS")
    line = f"pack {files} --to new.npy --grid 5000:0.5:40"
    code, out, err = specvae(line)
    assert code == 1 and "1.fits" in err and not (folder / "new.npy").exists()
    code, out, err = specvae(f"{line} --skip-unreadable")
    assert code == 0 and out == "new.npy: 2 spectra of 40 pixels, 1 files left out.\n"
    assert err.startswith("specvae: warning: ") and "1.fits" in err and ".py" not in err
    code, out, _ = specvae("info new.npy")
    assert "left out   1.fits" in out


def test_what_was_given_is_not_advised(specvae, monkeypatch):
    def refuse(*arguments, **more):
        raise SpectrumReadError("a.fits is refused.")

    monkeypatch.setattr("specvae.cli._pack.pack_spectra", refuse)
    line = "pack a.fits --to b.npy --grid harps"
    assert "that is --skip-unreadable" in specvae(line)[2]
    assert specvae(f"{line} --skip-unreadable")[2] == "specvae: a.fits is refused.\n"


def test_no_processes_is_an_error(specvae, files):
    code, _, err = specvae(f"pack {files} --to new.npy --grid 5000:0.5:40 --jobs 0")
    assert code == 1 and "--jobs must be a number of processes" in err


def test_an_existing_store_stays(specvae, files, folder):
    before = (folder / "stars.npy").read_bytes()
    code, _, err = specvae(f"pack {files} --to stars.npy --grid 5000:0.5:40")
    assert code == 1 and "stars.npy" in err
    assert (folder / "stars.npy").read_bytes() == before


def test_no_files_is_an_error(specvae):
    code, _, err = specvae("pack --to new.npy --grid harps")
    assert code == 1 and "no files were given" in err


@pytest.mark.parametrize(
    ("text", "grid"),
    [
        ("harps", HARPS_GRID),
        ("APOGEE", APOGEE_GRID),
        ("5000:0.05:600", WavelengthGrid(5000.0, 0.05, 600)),
        (
            "15101:6e-6:8575:log:vacuum",
            WavelengthGrid(15101.0, 6e-6, 8575, spacing="log", medium="vacuum"),
        ),
    ],
)
def test_grids(text, grid):
    assert parse_grid(text) == grid


@pytest.mark.parametrize("text", ["", "5000", "5000:0.1", "5000:0.1:x", "5000:0.1:10:lag", "mars"])
def test_what_is_no_grid(text):
    with pytest.raises(ValueError, match=r"--grid must be harps, apogee or START:STEP:PIXELS"):
        parse_grid(text)


def test_ranges():
    assert parse_ranges(None) == [] and parse_ranges(["1:2", "3.5:4"]) == [(1.0, 2.0), (3.5, 4.0)]
    for text in ("5", "6:5", "a:b", "nan:nan", "5165:inf", "-inf:5"):
        with pytest.raises(ValueError, match="--mask must be LOW:HIGH"):
            parse_ranges([text])
