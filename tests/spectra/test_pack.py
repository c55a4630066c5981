import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections import namedtuple

import numpy as np
import pytest
from astropy.io import fits
from pandas.testing import assert_frame_equal

from specvae.exceptions import DataQualityWarning, SpectrumReadError
from specvae.spectra import HARPS_GRID, SpectraArray, WavelengthGrid
from specvae.spectra import _pack as pack_module
from specvae.spectra import _part as part_module
from specvae.spectra._pack import half_scale, pack_spectra
from specvae.spectra._part import HEADER_BYTES, npy_header
from specvae.spectra._read import read_spectra
from specvae.spectra._sidecar import read_meta

N_FILES = 8
GRID = WavelengthGrid(5000.0, 0.5, 40)


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


@pytest.fixture
def flux():
    return np.random.default_rng(0).uniform(0.5, 1.5, (N_FILES, 40)).astype(np.float32)


@pytest.fixture
def paths(tmp_path, flux):
    folder = tmp_path / "fits"
    folder.mkdir()
    for number, row in enumerate(flux):
        hdu = fits.PrimaryHDU(row)
        hdu.header.update({"CRVAL1": 5000.0, "CDELT1": 0.5, "OBJECT": f"HD {number}"})
        hdu.writeto(folder / f"{number}.fits")
    return sorted(folder.iterdir())


@pytest.fixture
def store(tmp_path):
    folder = tmp_path / "store"
    folder.mkdir()
    return folder / "stars.npy"


@pytest.fixture
def unbroken(paths, store):
    """Bytes of the store and of its sidecar when nothing interrupts the packing."""

    def pack(dtype="float32"):
        pack_spectra(paths, store, GRID, dtype)
        content = files_in(store)
        for path in store.parent.iterdir():
            path.unlink()
        return content

    return pack


@pytest.fixture
def files_read(monkeypatch):
    """Names of the files that are read from now on, in order."""
    names = []
    read = pack_module._try_onto_grid

    def record(path, grid):
        names.append(os.path.basename(path))
        return read(path, grid)

    monkeypatch.setattr(pack_module, "_try_onto_grid", record)
    return names


def files_in(store):
    return {path.name: path.read_bytes() for path in sorted(store.parent.iterdir())}


def fail_at_write(monkeypatch, n_writes, error, *, fraction=0.5):
    """Let a write go through by a fraction and then fail."""
    write, done = part_module._write, []

    def failing(file, data):
        done.append(data)
        if len(done) == n_writes:
            write(file, data[: int(fraction * len(data))])
            raise error
        write(file, data)

    monkeypatch.setattr(part_module, "_write", failing)


def test_packs_flux_grid_and_meta(paths, store, flux):
    spectra = pack_spectra(paths, store, GRID)
    assert isinstance(spectra, SpectraArray)
    assert spectra.grid == GRID
    np.testing.assert_array_equal(spectra.to_numpy(), flux)
    meta = read_meta(store)
    assert meta["object"].tolist() == [f"HD {number}" for number in range(N_FILES)]
    assert meta["path"].tolist() == [str(path) for path in paths]
    assert meta["ra_deg"].isna().all()
    assert meta["ra_deg"].dtype == np.float64
    assert sorted(files_in(store)) == ["stars.json", "stars.npy"]


def test_store_is_an_ordinary_npy_file(paths, store, flux):
    pack_spectra(paths, store, GRID)
    np.testing.assert_array_equal(np.load(store), flux)


def test_order_of_paths_is_order_of_rows(paths, store, flux):
    order = [5, 0, 7, 2]
    spectra = pack_spectra([paths[i] for i in order], store, GRID)
    np.testing.assert_array_equal(spectra.to_numpy(), flux[order])


def test_any_number_of_workers_gives_the_same_store(paths, store, unbroken, monkeypatch):
    expected = unbroken("float16")
    monkeypatch.setattr(pack_module, "_FILES_PER_WORKER", 2)
    pack_spectra(paths, store, GRID, "float16", n_jobs=2)
    assert files_in(store) == expected


# A thread of joblib may look for a task that was dropped when the work stopped; it harms nothing.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_disk_that_fills_up_stops_the_workers_quietly(paths, store, unbroken, monkeypatch):
    expected = unbroken()
    with monkeypatch.context() as broken:
        fail_at_write(broken, 5, OSError(errno.ENOSPC, "No space left on device"))
        with pytest.raises(OSError, match="full after 1 files"):
            pack_spectra(paths, store, GRID, n_jobs=2)
    pack_spectra(paths, store, GRID, n_jobs=2)
    assert files_in(store) == expected


def test_half_precision_is_scaled_by_row(paths, store, flux):
    faint_and_bright = np.array([1e-17, 1e12, 1, 1, 1, 1, 1, 1], dtype=np.float32)[:, None]
    for path, row in zip(paths, flux * faint_and_bright, strict=True):
        fits.writeto(path, row, fits.getheader(path), overwrite=True)
    spectra = pack_spectra(paths, store, GRID, "float16")
    np.testing.assert_allclose(spectra.to_numpy(), flux * faint_and_bright, rtol=2**-11)
    assert store.stat().st_size == HEADER_BYTES + 2 * flux.size


def test_scale_is_the_median_unless_the_peak_would_overflow():
    assert half_scale(np.float32([1, -2, 3, np.nan])) == 2.0
    # A cosmic ray of 1e6 medians: the scale is raised to 1e6 / 60000.
    spiky = np.float32([1, 1, 1, 1e6])
    assert half_scale(spiky) == pytest.approx(1e6 / 60_000)
    assert np.isfinite((spiky / np.float32(half_scale(spiky))).astype(np.float16)).all()
    assert half_scale(np.zeros(3, dtype=np.float32)) > 0


def test_scale_is_of_the_pixels_that_are_not_zero():
    assert half_scale(np.float32([0, 0, 0, 0, 4, 5, 6])) == 5.0


@pytest.mark.parametrize("peak", [1e3, 1e6, 9.8e8])
def test_no_error_exceeds_the_stated_share_of_flux_or_median(peak):
    flux = np.random.default_rng(1).uniform(0.01, 2.0, 10_001).astype(np.float32)
    flux[77] = peak * np.median(flux)
    scale = np.float32(half_scale(flux))
    back = (flux / scale).astype(np.float16).astype(np.float32) * scale
    # A hundredth more for the two roundings of float32.
    assert (np.abs(back - flux) <= 1.01 * 2**-11 * np.maximum(flux, np.median(flux))).all()


def test_peak_that_would_cost_the_median_its_precision_is_refused(paths, store, flux):
    # Of 400 pixels, ten times those of the grid, one is no reason to refuse the file otherwise.
    longer = np.tile(flux[3], 10)
    longer[7] = flux[3, 7] = 1e12
    fits.writeto(paths[3], longer, fits.getheader(paths[3]), overwrite=True)
    with pytest.warns(DataQualityWarning, match=r"1e\+12, is .* times the median, .* 9\.8e\+08"):
        spectra = pack_spectra(paths, store, GRID, "float16", on_error="warn")
    assert len(spectra) == N_FILES - 1
    (reason,) = read_meta(store).attrs["refused"].values()
    assert "choose dtype='float32', or set damaged pixels to NaN" in reason
    whole = pack_spectra(paths, store.with_name("whole.npy"), GRID)
    np.testing.assert_array_equal(whole.to_numpy(), flux)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("n_writes", range(1, 3 + 2 * N_FILES + 3))
def test_killed_in_any_write_the_same_call_resumes(
    paths, store, unbroken, monkeypatch, dtype, n_writes
):
    # Two writes begin the files, two make a row, two end it all; one fails to come.
    expected = unbroken(dtype)
    with monkeypatch.context() as broken:
        fail_at_write(broken, n_writes, Killed())
        if n_writes <= 2 + 2 * N_FILES + 2:
            with pytest.raises(Killed):
                pack_spectra(paths, store, GRID, dtype)
            assert not store.exists()
            pack_spectra(paths, store, GRID, dtype)
        else:
            pack_spectra(paths, store, GRID, dtype)
    assert files_in(store) == expected


@pytest.mark.parametrize("n_renames", [0, 1, 2])
def test_killed_between_the_renames_the_same_call_finishes(
    paths, store, unbroken, monkeypatch, files_read, n_renames
):
    expected = unbroken()
    replace, done = os.replace, []

    def failing(*names):
        if len(done) == n_renames:
            raise Killed
        done.append(names)
        replace(*names)

    with monkeypatch.context() as broken:
        broken.setattr(os, "replace", failing)
        broken.setattr(part_module.PartialStore, "remove_journal", lambda self: failing())
        with pytest.raises(Killed):
            pack_spectra(paths, store, GRID)
    assert store.exists() == (n_renames == 2)
    files_read.clear()
    pack_spectra(paths, store, GRID)
    assert files_read == []
    assert files_in(store) == expected


def test_interrupted_by_the_keyboard_nothing_is_read_twice(paths, store, monkeypatch, files_read):
    read = pack_module._try_onto_grid

    def interrupted(path, grid):
        if os.path.basename(path) == "5.fits":
            raise KeyboardInterrupt
        return read(path, grid)

    with monkeypatch.context() as broken, pytest.raises(KeyboardInterrupt):
        broken.setattr(pack_module, "_try_onto_grid", interrupted)
        pack_spectra(paths, store, GRID)
    assert files_read == [f"{i}.fits" for i in range(5)]
    files_read.clear()
    pack_spectra(paths, store, GRID)
    assert files_read == ["5.fits", "6.fits", "7.fits"]


def test_kill_9_in_the_middle_of_a_row(paths, store, unbroken, files_read):
    expected = unbroken()
    child = textwrap.dedent(
        """
        import os, signal, sys
        from specvae.spectra import WavelengthGrid, _part
        from specvae.spectra._pack import pack_spectra

        write, n_writes = _part._write, 0

        def killed(file, data):
            global n_writes
            n_writes += 1
            if n_writes == 2 + 2 * 4 + 1:
                write(file, data[:50])
                os.kill(os.getpid(), signal.SIGKILL)
            write(file, data)

        _part._write = killed
        pack_spectra(sys.argv[2:], sys.argv[1], WavelengthGrid(5000.0, 0.5, 40))
        """
    )
    command = [sys.executable, "-c", child, store, *paths]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert sorted(files_in(store)) == ["stars.journal.part", "stars.npy.part"]
    assert (store.parent / "stars.npy.part").stat().st_size == HEADER_BYTES + 4 * 160 + 50
    files_read.clear()
    pack_spectra(paths, store, GRID)
    assert files_read == ["4.fits", "5.fits", "6.fits", "7.fits"]
    assert files_in(store) == expected


def stop_after(monkeypatch, paths, store, n_rows, dtype="float32"):
    """Leave a part with so many rows."""
    with monkeypatch.context() as broken, pytest.raises(Killed):
        fail_at_write(broken, 3 + 2 * n_rows, Killed(), fraction=0)
        pack_spectra(paths, store, GRID, dtype)


def test_power_cut_that_lost_written_rows(paths, store, unbroken, monkeypatch, files_read):
    expected = unbroken()
    stop_after(monkeypatch, paths, store, 6)
    rows = store.parent / "stars.npy.part"
    content = rows.read_bytes()
    # Blocks that had not reached the disk come back as zeros.
    rows.write_bytes(content[:-250] + bytes(250))
    files_read.clear()
    pack_spectra(paths, store, GRID)
    assert files_read == ["4.fits", "5.fits", "6.fits", "7.fits"]
    assert files_in(store) == expected


def test_power_cut_that_lost_lines_of_the_journal(paths, store, unbroken, monkeypatch, files_read):
    expected = unbroken()
    stop_after(monkeypatch, paths, store, 6)
    journal = store.parent / "stars.journal.part"
    content = journal.read_bytes()
    journal.write_bytes(content[:-20] + bytes(20))
    files_read.clear()
    pack_spectra(paths, store, GRID)
    assert files_read == ["5.fits", "6.fits", "7.fits"]
    assert files_in(store) == expected


def test_synced_rows_are_not_read_back(paths, store, unbroken, monkeypatch):
    expected = unbroken()
    monkeypatch.setattr(part_module, "_SYNC_BYTES", 320)  # two rows
    stop_after_writes = 2 + 2 * 5 + 2
    with monkeypatch.context() as broken, pytest.raises(Killed):
        fail_at_write(broken, stop_after_writes + 1, Killed(), fraction=0)
        pack_spectra(paths, store, GRID)
    checked, has_checksum = [], part_module.PartialStore._has_checksum

    def record(part, checksum):
        checked.append(part.n_rows)
        return has_checksum(part, checksum)

    with monkeypatch.context() as watched:
        watched.setattr(part_module.PartialStore, "_has_checksum", record)
        pack_spectra(paths, store, GRID)
    assert checked == [4]
    assert files_in(store) == expected


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("n_writes, n_done", [(3 + 2 * 5, 5), (4 + 2 * 5, 5)])
def test_disk_that_fills_up_loses_nothing(
    paths, store, unbroken, monkeypatch, files_read, code, n_writes, n_done
):
    expected = unbroken()
    with monkeypatch.context() as broken:
        fail_at_write(broken, n_writes, OSError(code, os.strerror(code)))
        with pytest.raises(OSError, match=r"full after 5 files, 5 of them packed") as raised:
            pack_spectra(paths, store, GRID)
    assert raised.value.errno == code
    assert "Nothing is lost" in str(raised.value)
    assert sorted(files_in(store)) == ["stars.journal.part", "stars.npy.part"]
    assert (store.parent / "stars.npy.part").stat().st_size == HEADER_BYTES + n_done * 160
    files_read.clear()
    pack_spectra(paths, store, GRID)
    assert files_read == ["5.fits", "6.fits", "7.fits"]
    assert files_in(store) == expected


@pytest.mark.parametrize("moment", ["sidecar", "header"])
def test_disk_that_fills_up_at_the_very_end_leaves_no_third_file(
    paths, store, unbroken, monkeypatch, files_read, moment
):
    expected = unbroken()
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def failing(path, sidecar):
        path.write_text('{"format": "specv')
        raise full

    with monkeypatch.context() as broken:
        if moment == "sidecar":
            broken.setattr(pack_module, "write_sidecar", failing)
        else:
            fail_at_write(broken, 2 + 2 * N_FILES + 2, full)
        with pytest.raises(OSError, match="full after 8 files, 8 of them packed"):
            pack_spectra(paths, store, GRID)
    assert sorted(files_in(store)) == ["stars.journal.part", "stars.npy.part"]
    files_read.clear()
    pack_spectra(paths, store, GRID)
    assert files_read == []
    assert files_in(store) == expected


def test_packs_where_there_are_no_file_locks(paths, store, unbroken, monkeypatch):
    expected = unbroken()
    stop_after(monkeypatch, paths, store, 3)
    monkeypatch.setattr(part_module, "fcntl", None)
    monkeypatch.delattr(os, "pread")
    pack_spectra(paths, store, GRID)
    assert files_in(store) == expected


def test_spectra_can_be_imported_without_fcntl():
    code = "import sys; sys.modules['fcntl'] = None; import specvae.spectra"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_other_errors_of_the_disk_come_through(paths, store, monkeypatch):
    fail_at_write(monkeypatch, 7, OSError(errno.EIO, "Input/output error"))
    with pytest.raises(OSError, match="Input/output error"):
        pack_spectra(paths, store, GRID)
    assert (store.parent / "stars.npy.part").stat().st_size == HEADER_BYTES + 2 * 160


def test_too_little_space_is_said_before_anything_is_written(paths, store, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(10**9, 10**9 - 5000, 5000))
    with pytest.raises(OSError, match=r"needs 1\.78e-05 GB more, 5e-06 GB are free") as raised:
        pack_spectra(paths, store, GRID)
    assert raised.value.errno == errno.ENOSPC
    assert files_in(store) == {}


def test_space_already_taken_counts_as_done(paths, store, monkeypatch):
    stop_after(monkeypatch, paths, store, 6)
    usage = namedtuple("usage", "total used free")
    needed = HEADER_BYTES + N_FILES * (160 + 2048)
    done = (store.parent / "stars.npy.part").stat().st_size
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(0, 0, needed - done))
    assert len(pack_spectra(paths, store, GRID)) == N_FILES


def test_existing_store_is_not_replaced(paths, store, files_read):
    pack_spectra(paths, store, GRID)
    before = files_in(store)
    with pytest.raises(FileExistsError, match=r"open it with SpectraArray\.open, or delete it"):
        pack_spectra(paths, store, GRID)
    assert files_in(store) == before
    assert len(files_read) == N_FILES


def test_foreign_json_is_not_replaced(paths, store):
    store.with_suffix(".json").write_text("{}")
    with pytest.raises(FileExistsError, match="choose another name"):
        pack_spectra(paths, store, GRID)
    assert store.with_suffix(".json").read_text() == "{}"


def test_store_that_came_in_between_is_not_replaced(paths, store, monkeypatch):
    stop_after(monkeypatch, paths, store, 3)
    np.save(store, np.zeros((2, 2)))
    with pytest.raises(FileExistsError, match="would replace an existing one"):
        pack_spectra(paths, store, GRID)
    assert np.load(store).shape == (2, 2)


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"grid": WavelengthGrid(5000.0, 0.5, 39)}, "grid was"),
        ({"dtype": "float16"}, "dtype was float32, now float16"),
        ({"paths": slice(7)}, "paths was 8 files with digest .*, now 7 files"),
        ({"paths": slice(None, None, -1)}, "paths was 8 files"),
    ],
)
def test_other_arguments_do_not_go_on(paths, store, monkeypatch, unbroken, changed, message):
    expected = unbroken()
    stop_after(monkeypatch, paths, store, 3)
    before = files_in(store)
    with pytest.raises(ValueError, match=message) as raised:
        pack_spectra(
            paths[changed.get("paths", slice(None))],
            store,
            changed.get("grid", GRID),
            changed.get("dtype", "float32"),
        )
    assert "delete stars.npy.part and stars.journal.part" in str(raised.value)
    assert files_in(store) == before
    pack_spectra(paths, store, GRID)
    assert files_in(store) == expected


def test_two_processes_do_not_write_one_store(paths, store):
    settings = pack_module._settings(paths, GRID, "float32")
    other = part_module.PartialStore(store, settings, 40, np.dtype(np.float32))
    try:
        with pytest.raises(BlockingIOError, match="another process is writing"):
            pack_spectra(paths, store, GRID)
    finally:
        other.close()
    assert len(pack_spectra(paths, store, GRID)) == N_FILES


@pytest.fixture
def two_bad(paths):
    paths[2].write_bytes(b"no FITS file")
    fits.writeto(paths[6], np.full(40, np.nan), fits.getheader(paths[6]), overwrite=True)
    return ["2.fits", "6.fits"]


def test_refused_files_are_left_out_with_a_warning(paths, store, flux, two_bad):
    with pytest.warns(DataQualityWarning, match="2 of 8 files were refused") as caught:
        spectra = pack_spectra(paths, store, GRID, on_error="warn")
    assert all(name in str(caught[0].message) for name in two_bad)
    assert caught[0].filename == __file__
    np.testing.assert_array_equal(spectra.to_numpy(), flux[[0, 1, 3, 4, 5, 7]])
    refused = json.loads(store.with_suffix(".json").read_text())["refused"]
    assert [os.path.basename(path) for path in refused] == two_bad
    meta = read_meta(store)
    assert meta["object"].tolist() == ["HD 0", "HD 1", "HD 3", "HD 4", "HD 5", "HD 7"]
    assert meta.attrs["refused"] == refused


def test_refused_files_raise_and_the_rest_is_not_read_again(
    paths, store, flux, two_bad, files_read
):
    with pytest.raises(SpectrumReadError, match="2 of 8 files were refused") as raised:
        pack_spectra(paths, store, GRID)
    assert all(name in str(raised.value) for name in two_bad)
    assert "The other 6 are packed" in str(raised.value)
    assert len(files_read) == N_FILES
    assert sorted(files_in(store)) == ["stars.journal.part", "stars.npy.part"]
    files_read.clear()
    with pytest.raises(SpectrumReadError, match="2 of 8 files were refused"):
        pack_spectra(paths, store, GRID)
    with pytest.warns(DataQualityWarning):
        spectra = pack_spectra(paths, store, GRID, on_error="warn")
    assert files_read == []
    np.testing.assert_array_equal(spectra.to_numpy(), flux[[0, 1, 3, 4, 5, 7]])


@pytest.mark.parametrize("on_error", ["raise", "warn"])
def test_if_all_are_refused_nothing_remains(paths, store, on_error):
    for path in paths:
        path.write_bytes(b"no FITS file")
    with pytest.raises(SpectrumReadError, match="8 of 8 files were refused"):
        pack_spectra(paths, store, GRID, on_error=on_error)
    assert files_in(store) == {}


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ({"store": "stars.fits"}, ValueError, r"must be the name of a \.npy file"),
        ({"store": "absent/stars.npy"}, FileNotFoundError, "does not exist; create it"),
        ({"dtype": "float64"}, ValueError, "dtype must be one of 'float32', 'float16'"),
        ({"on_error": "ignore"}, ValueError, "on_error must be one of 'raise', 'warn'"),
        ({"paths": "one.fits"}, TypeError, "must be a sequence of paths"),
        ({"grid": "HARPS"}, TypeError, "grid must be a WavelengthGrid, got 'HARPS'"),
        ({"paths": []}, ValueError, "paths is empty"),
        ({"paths": ["absent.fits"]}, FileNotFoundError, "1 of 1 files are missing"),
    ],
)
def test_bad_argument_is_named(paths, store, monkeypatch, arguments, error, message):
    monkeypatch.chdir(store.parent)
    arguments = {"paths": paths, "store": "stars.npy", "grid": GRID} | arguments
    with pytest.raises(error, match=message):
        pack_spectra(**arguments)
    assert files_in(store) == {}


def test_progress_is_drawn_when_asked(paths, store, capsys):
    pack_spectra(paths, store, GRID, progress=True)
    assert "packing spectra" in capsys.readouterr().err


def test_progress_is_silent_without_a_terminal(paths, store, capsys):
    pack_spectra(paths, store, GRID)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("shape", [(0, 1), (10**12, 10**9)])
def test_header_always_has_the_same_length_and_numpy_reads_it(tmp_path, shape):
    header = npy_header(shape, np.dtype("<f2"))
    assert len(header) == HEADER_BYTES
    (tmp_path / "header").write_bytes(header)
    with open(tmp_path / "header", "rb") as file:
        assert np.lib.format.read_magic(file) == (1, 0)
        assert np.lib.format.read_array_header_1_0(file) == (shape, False, np.dtype("<f2"))
        assert file.tell() == HEADER_BYTES


def test_real_harps_files_in_half_precision(real_files, store):
    paths = real_files("harps/*.fits*")[:2]
    flux, meta = read_spectra(paths, HARPS_GRID)
    spectra = pack_spectra(paths, store, HARPS_GRID, "float16")
    packed = spectra.to_numpy()
    np.testing.assert_array_equal(np.isnan(packed), np.isnan(flux))
    smallest = 3e-8 * np.nanmedian(np.abs(flux), axis=1).max()
    np.testing.assert_allclose(packed, flux, rtol=2**-11, atol=smallest)
    assert_frame_equal(read_meta(store), meta)
