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
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from specvae.exceptions import SpectrumError
from specvae.spectra import SpectraArray, WavelengthGrid, read_meta, write_spectra
from specvae.spectra import _part as part_module
from specvae.spectra._part import HEADER_BYTES

N_ROWS, N_PIXELS = 8, 40
GRID = WavelengthGrid(5000.0, 0.5, N_PIXELS)
FLUX = np.random.default_rng(0).uniform(0.5, 1.5, (N_ROWS, N_PIXELS)).astype(np.float32)
META = pd.DataFrame({"teff_k": np.linspace(4000.0, 6000.0, N_ROWS), "group": np.arange(N_ROWS)})
SETTINGS = {"seed": 3, "unknown": ("line_spread",)}


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


@pytest.fixture
def store(tmp_path):
    return tmp_path / "stars.npy"


@pytest.fixture
def rows_computed():
    return []


@pytest.fixture
def write(store, rows_computed):
    """Write FLUX, or what differs from it, and note which rows are computed."""

    def call(flux=FLUX, grid=GRID, meta=META, dtype="float32", settings=SETTINGS, progress=None):
        def row_flux(row):
            rows_computed.append(row)
            return flux[row]

        return write_spectra(
            row_flux, store, grid, meta=meta, dtype=dtype, settings=settings, progress=progress
        )

    return call


@pytest.fixture
def unbroken(write, store, rows_computed):
    """Bytes of the store and of its sidecar when nothing interrupts the writing."""

    def files(**arguments):
        write(**arguments)
        content = files_in(store)
        for path in store.parent.iterdir():
            path.unlink()
        rows_computed.clear()
        return content

    return files


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


def stop_after(monkeypatch, write, n_rows):
    """Leave a part with so many rows."""
    with monkeypatch.context() as broken, pytest.raises(Killed):
        fail_at_write(broken, 3 + 2 * n_rows, Killed(), fraction=0)
        write()


def test_writes_flux_grid_and_meta(write, store, rows_computed):
    spectra = write()
    assert isinstance(spectra, SpectraArray)
    assert spectra.grid == GRID
    np.testing.assert_array_equal(spectra.to_numpy(), FLUX)
    np.testing.assert_array_equal(np.load(store), FLUX)
    assert_frame_equal(read_meta(store), META)
    assert read_meta(store).attrs["refused"] == {}
    assert rows_computed == list(range(N_ROWS))
    assert sorted(files_in(store)) == ["stars.json", "stars.npy"]


def test_meta_may_have_any_index_and_missing_values(write, store):
    meta = META.assign(name=["HD 1", None] * 4, vmag=np.nan).set_index(np.arange(8)[::-1])
    write(meta=meta)
    found = read_meta(store)
    assert found["teff_k"].tolist() == META["teff_k"].tolist()
    assert found["name"].isna().tolist() == [False, True] * 4
    assert found["vmag"].isna().all()


def test_meta_without_columns_still_counts_rows(write, store):
    assert write(meta=pd.DataFrame(index=range(N_ROWS))).shape == (N_ROWS, N_PIXELS)
    assert read_meta(store).shape == (N_ROWS, 0)


def test_missing_pixels_stay_missing(write):
    flux = FLUX.astype(float)
    flux[2, 5:9] = flux[4] = np.nan
    np.testing.assert_array_equal(write(flux).to_numpy(), flux.astype(np.float32))


def test_half_precision_is_scaled_by_row(write, store):
    flux = FLUX * np.float32([1e-17, 1e12, 1, 1, 1, 1, 1, 1])[:, None]
    flux[3, :7] = flux[5] = np.nan
    spectra = write(flux, dtype="float16")
    np.testing.assert_allclose(spectra.to_numpy(), flux, rtol=2**-11)
    assert store.stat().st_size == HEADER_BYTES + 2 * FLUX.size


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("n_writes", range(1, 3 + 2 * N_ROWS + 3))
def test_killed_in_any_write_the_same_call_resumes(
    write, store, unbroken, monkeypatch, dtype, n_writes
):
    # Two writes begin the files, two make a row, two end it all; one fails to come.
    expected = unbroken(dtype=dtype)
    with monkeypatch.context() as broken:
        fail_at_write(broken, n_writes, Killed())
        if n_writes <= 2 + 2 * N_ROWS + 2:
            with pytest.raises(Killed):
                write(dtype=dtype)
            assert not store.exists()
            write(dtype=dtype)
        else:
            write(dtype=dtype)
    assert files_in(store) == expected


@pytest.mark.parametrize("n_renames", [0, 1, 2])
def test_killed_between_the_renames_the_same_call_finishes(
    write, store, unbroken, monkeypatch, rows_computed, n_renames
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
            write()
    assert store.exists() == (n_renames == 2)
    rows_computed.clear()
    write()
    assert rows_computed == []
    assert files_in(store) == expected


@pytest.mark.parametrize("error", [KeyboardInterrupt, ArithmeticError])
def test_interrupted_in_a_row_nothing_is_computed_twice(
    write, store, unbroken, rows_computed, error
):
    expected = unbroken()

    class Interrupting:
        def __getitem__(self, row):
            if row == 5:
                raise error
            return FLUX[row]

    with pytest.raises(error):
        write(Interrupting())
    assert sorted(files_in(store)) == ["stars.journal.part", "stars.npy.part"]
    rows_computed.clear()
    write()
    assert rows_computed == [5, 6, 7]
    assert files_in(store) == expected


def test_kill_9_in_the_middle_of_a_row(write, store, unbroken, rows_computed, tmp_path):
    expected = unbroken()
    np.save(tmp_path / "flux", FLUX)
    META.to_csv(tmp_path / "meta.csv", index=False)
    child = textwrap.dedent(
        """
        import os, signal, sys
        import numpy as np, pandas as pd
        from specvae.spectra import WavelengthGrid, _part, write_spectra

        store, flux, meta = sys.argv[1:]
        flux = np.load(flux)
        write, n_writes = _part._write, 0

        def killed(file, data):
            global n_writes
            n_writes += 1
            if n_writes == 2 + 2 * 4 + 1:
                write(file, data[:50])
                os.kill(os.getpid(), signal.SIGKILL)
            write(file, data)

        _part._write = killed
        write_spectra(
            lambda row: flux[row], store, WavelengthGrid(5000.0, 0.5, 40), meta=pd.read_csv(meta),
            settings={"seed": 3, "unknown": ["line_spread"]},
        )
        """
    )
    command = [sys.executable, "-c", child, store, tmp_path / "flux.npy", tmp_path / "meta.csv"]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    for name in ("flux.npy", "meta.csv"):
        (tmp_path / name).unlink()
    assert (tmp_path / "stars.npy.part").stat().st_size == HEADER_BYTES + 4 * 160 + 50
    write()
    assert rows_computed == [4, 5, 6, 7]
    assert files_in(store) == expected


def test_power_cut_that_lost_written_rows(write, store, unbroken, monkeypatch, rows_computed):
    expected = unbroken()
    stop_after(monkeypatch, write, 6)
    rows = store.parent / "stars.npy.part"
    # Blocks that had not reached the disk come back as zeros.
    rows.write_bytes(rows.read_bytes()[:-250] + bytes(250))
    rows_computed.clear()
    write()
    assert rows_computed == [4, 5, 6, 7]
    assert files_in(store) == expected


def test_disk_that_fills_up_loses_nothing(write, store, unbroken, monkeypatch, rows_computed):
    expected = unbroken()
    with monkeypatch.context() as broken:
        fail_at_write(broken, 3 + 2 * 5, OSError(errno.ENOSPC, "No space left on device"))
        with pytest.raises(OSError, match=r"full after 5 spectra.* Nothing is lost") as raised:
            write()
    assert raised.value.errno == errno.ENOSPC
    rows_computed.clear()
    write()
    assert rows_computed == [5, 6, 7]
    assert files_in(store) == expected


def test_too_little_space_is_said_before_anything_is_computed(
    write, store, monkeypatch, rows_computed
):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(10**9, 10**9 - 5000, 5000))
    with pytest.raises(OSError, match=r"a store of 8 spectra needs 1\.78e-05 GB more"):
        write()
    assert rows_computed == []
    assert files_in(store) == {}


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"settings": {**SETTINGS, "seed": 4}}, "seed was 3, now 4"),
        ({"settings": {"seed": 3}}, r"unknown was \['line_spread'\], now None"),
        ({"dtype": "float16"}, "dtype was float32, now float16"),
        ({"grid": WavelengthGrid(5000.0, 0.5, 39)}, "grid was"),
        ({"meta": META[:7]}, "meta was 8 rows with digest .*, now 7 rows"),
        ({"meta": META.assign(teff_k=META["teff_k"] + 1e-9)}, "meta was 8 rows with digest"),
        ({"meta": META.rename(columns={"group": "star"})}, "meta was 8 rows with digest"),
    ],
)
def test_other_arguments_do_not_go_on(write, store, monkeypatch, unbroken, changed, message):
    expected = unbroken()
    stop_after(monkeypatch, write, 3)
    before = files_in(store)
    with pytest.raises(ValueError, match=message) as raised:
        write(**changed)
    assert "delete stars.npy.part and stars.journal.part" in str(raised.value)
    assert files_in(store) == before
    write()
    assert files_in(store) == expected


def test_existing_store_is_not_replaced(write, store, rows_computed):
    write()
    before = files_in(store)
    with pytest.raises(FileExistsError, match=r"open it with SpectraArray\.open, or delete it"):
        write()
    assert files_in(store) == before
    assert len(rows_computed) == N_ROWS


def test_store_that_came_in_between_is_not_replaced(write, store, monkeypatch):
    stop_after(monkeypatch, write, 3)
    np.save(store, np.zeros((2, 2)))
    with pytest.raises(FileExistsError, match="would replace an existing one"):
        write()
    assert np.load(store).shape == (2, 2)


def test_half_written_store_says_how_to_go_on(write, store, monkeypatch):
    stop_after(monkeypatch, write, 3)
    with pytest.raises(FileNotFoundError, match=r"half packed: .*whichever call began it"):
        read_meta(store)


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e39])
def test_infinity_is_refused_by_row_and_what_came_before_stays(
    write, store, unbroken, rows_computed, value
):
    expected = unbroken()
    flux = FLUX.astype(float)
    flux[3, 11] = value
    with pytest.raises(SpectrumError, match="spectrum 3 contains infinity; mark missing") as raised:
        write(flux)
    assert raised.value.row == 3
    rows_computed.clear()
    write()
    assert rows_computed == [3, 4, 5, 6, 7]
    assert files_in(store) == expected


def test_peak_that_would_cost_the_median_its_precision_is_refused_by_row(write):
    flux = FLUX.copy()
    flux[6, 3] = 1e12
    with pytest.raises(
        SpectrumError, match=r"spectrum 6 cannot be stored: its largest flux, 1e\+12"
    ):
        write(flux, dtype="float16")


@pytest.mark.parametrize("shape", [(39,), (1, 40), ()])
def test_row_of_another_shape_is_refused(write, shape):
    with pytest.raises(ValueError, match=r"must give 40 pixels, .* for row 0"):
        write([np.ones(shape)])


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ({"grid": "HARPS"}, TypeError, "grid must be a WavelengthGrid, got 'HARPS'"),
        ({"dtype": "float64"}, ValueError, "dtype must be one of 'float32', 'float16'"),
        ({"meta": {"teff_k": [1.0]}}, TypeError, "meta must be a DataFrame .*, got dict"),
        ({"meta": META[:0]}, ValueError, "meta has no rows"),
        ({"meta": META.set_axis(["a", "a"], axis=1)}, ValueError, "meta has the column 'a' twice"),
        ({"meta": META.set_axis([1, "1"], axis=1)}, ValueError, "meta has the column '1' twice"),
        ({"settings": {"seed": np.nan}}, ValueError, "settings must map names to what JSON"),
        ({"settings": {"seed": object()}}, ValueError, "settings must map names to what JSON"),
        ({"settings": {"grid": 1, "meta": 2}}, ValueError, "settings holds 'grid', 'meta'"),
    ],
)
def test_bad_argument_is_named(write, store, rows_computed, arguments, error, message):
    with pytest.raises(error, match=message):
        write(**arguments)
    assert files_in(store) == {}
    assert rows_computed == []


@pytest.mark.parametrize(
    "name, error, message",
    [
        ("stars.fits", ValueError, r"must be the name of a \.npy file"),
        ("absent/stars.npy", FileNotFoundError, "does not exist; create it"),
    ],
)
def test_bad_name_of_the_store_is_refused(tmp_path, name, error, message):
    with pytest.raises(error, match=message):
        write_spectra(FLUX.__getitem__, tmp_path / name, GRID, meta=META)


def test_journal_says_what_was_agreed_in_its_first_line(write, store, monkeypatch):
    stop_after(monkeypatch, write, 1)
    with open(store.parent / "stars.journal.part") as journal:
        first = json.loads(journal.readline())
    assert first["seed"] == 3
    assert first["format"] == "specvae-journal"


def test_progress_is_drawn_when_asked_and_silent_without_a_terminal(write, store, capsys):
    write(progress=True)
    assert "writing spectra" in capsys.readouterr().err
    for path in store.parent.iterdir():
        path.unlink()
    write()
    assert capsys.readouterr() == ("", "")
