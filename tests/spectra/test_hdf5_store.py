import os
import subprocess
import sys

import numpy as np
import pytest
from store_contract import MATRIX, OpeningContract, StoreContract

from specvae.spectra import HDF5Store, SpectraArray

h5py = pytest.importorskip("h5py", reason="h5py, of the extra store, is not installed")

LAYOUTS = {
    "contiguous": {},
    "chunk is a row": {"chunks": (1, 20)},
    "compressed rows": {"chunks": (1, 20), "compression": "gzip"},
    "compressed blocks": {"chunks": (5, 7), "compression": "gzip", "shuffle": True},
}


@pytest.fixture
def open_store():
    return HDF5Store


@pytest.fixture
def library():
    return "h5py"


@pytest.fixture
def write(tmp_path):
    def write(layout=None, matrix=MATRIX, name="flux", **others):
        path = tmp_path / "survey.h5"
        with h5py.File(path, "w") as file:
            file.create_dataset(name, data=matrix, **(layout or {}))
            for each, array in others.items():
                file[each] = array
        return path

    return write


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
class TestRows(StoreContract):
    pass


class TestOpening(OpeningContract):
    pass


def overwrite_chunk(path, row):
    with h5py.File(path) as file:
        info = file["flux"].id.get_chunk_info_by_coord((row, 0))
    with open(path, "r+b") as file:
        file.seek(info.byte_offset)
        file.write(b"\xa5" * info.size)


@pytest.mark.parametrize(
    "layout",
    [LAYOUTS["compressed rows"], {"chunks": (1, 20), "fletcher32": True}],
    ids=["compressed", "checksum"],
)
@pytest.mark.parametrize("rows", [[6], [5, 6, 7], range(12), [0, 6]], ids=str)
def test_damaged_chunk_names_the_row(write, layout, rows):
    path = write(layout)
    overwrite_chunk(path, 6)
    store = HDF5Store(path)
    with pytest.raises(OSError, match=r"spectrum 6 of .*survey\.h5 cannot be read: .*; restore"):
        store[np.array(rows)]
    np.testing.assert_array_equal(store[np.array([5, 7])], MATRIX[[5, 7]])


def test_damaged_block_names_its_first_row_that_was_asked_for(write):
    path = write(LAYOUTS["compressed blocks"])
    overwrite_chunk(path, 5)
    with pytest.raises(OSError, match="spectrum 7 of"):
        SpectraArray.open(path)[[9, 0, 7]].to_numpy()


@pytest.mark.parametrize("layout", ["contiguous", "chunk is a row"])
def test_file_cut_after_opening_is_an_error_not_zeros(write, layout):
    path = write(LAYOUTS[layout])
    with h5py.File(path) as file:
        data = file["flux"]
        start = data.id.get_offset()
        if start is None:
            info = data.id.get_chunk_info_by_coord((6, 0))
            end = info.byte_offset + 3
        else:
            end = start + 40 * 6 + 3
    store = HDF5Store(path)
    store[np.array([0])]
    os.truncate(path, end)
    np.testing.assert_array_equal(store[np.array([4, 5])], MATRIX[[4, 5]])
    with pytest.raises(OSError, match=r"spectrum 6 of .* became shorter since it was opened"):
        store[np.array([4, 5, 6, 7])]


def test_file_cut_before_opening_is_refused(write):
    path = write()
    os.truncate(path, path.stat().st_size - 1)
    with pytest.raises(ValueError, match=r"survey\.h5 is not an HDF5 file, or damaged"):
        SpectraArray.open(path)


@pytest.mark.parametrize("fill", [0.0, -1.0])
@pytest.mark.parametrize("chunks", [(1, 20), (1, 7)])
def test_row_never_written_is_an_error_not_the_fill_value(tmp_path, fill, chunks):
    with h5py.File(tmp_path / "part.h5", "w") as file:
        options = {"shape": (12, 20), "dtype": "f2", "chunks": chunks, "fillvalue": fill}
        data = file.create_dataset("flux", **options)
        data[:3], data[3, 7:9], data[4] = MATRIX[:3], 5.0, fill
    store = HDF5Store(tmp_path / "part.h5")
    wanted = np.full(20, fill)
    wanted[7:9] = 5.0
    np.testing.assert_array_equal(store[np.array([3])], [wanted])
    np.testing.assert_array_equal(store[np.array([4])], np.full((1, 20), fill))
    with pytest.raises(OSError, match=r"spectrum 5 of .* was never written"):
        store[np.arange(8)]


def test_file_in_which_nothing_was_written_says_so(tmp_path):
    with h5py.File(tmp_path / "empty.h5", "w") as file:
        file.create_dataset("flux", shape=(3, 20), dtype="f4")
    with pytest.raises(OSError, match=r"spectrum 2 of .* was never written"):
        HDF5Store(tmp_path / "empty.h5")[np.array([2])]


def test_rows_never_written_are_missing_where_the_fill_value_is(tmp_path):
    with h5py.File(tmp_path / "part.h5", "w") as file:
        file.create_dataset("flux", shape=(12, 20), dtype="f2", chunks=(1, 20), fillvalue=np.nan)
    assert np.isnan(HDF5Store(tmp_path / "part.h5")[np.array([5])]).all()


def test_virtual_data_set_is_read(tmp_path, write):
    source = h5py.VirtualSource(write(), "flux", shape=MATRIX.shape)
    layout = h5py.VirtualLayout(shape=MATRIX.shape, dtype="f2")
    layout[:] = source
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        file.create_virtual_dataset("flux", layout, fillvalue=0)
    rows = np.array([8, 3, 4])
    np.testing.assert_array_equal(HDF5Store(tmp_path / "virtual.h5")[rows], MATRIX[rows])


def test_file_open_for_writing_is_said(write):
    path = write()
    # HDF5 knows what its own process does; only another one meets the lock.
    code = f"import h5py; file = h5py.File({str(path)!r}, 'r+'); print('open', flush=True); input()"
    command = [sys.executable, "-c", code]
    environment = os.environ | {"HDF5_USE_FILE_LOCKING": "TRUE"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "env": environment}
    with subprocess.Popen(command, **pipes) as writer:
        assert writer.stdout.readline() == b"open\n"
        with pytest.raises(BlockingIOError, match=r"survey\.h5 is open for writing in another"):
            HDF5Store(path)
        writer.communicate(b"\n")
    assert HDF5Store(path).shape == (12, 20)


def test_file_is_known_by_its_content_too(write, tmp_path):
    path = write().rename(tmp_path / "survey.nc")
    np.testing.assert_array_equal(SpectraArray.open(path).to_numpy(), MATRIX)


@pytest.mark.parametrize(
    "layout, wanted",
    [
        ("compressed blocks", [(0, 5), (5, 2), (11, 1)]),
        ("contiguous", [(0, 1), (2, 1), (4, 3), (11, 1)]),
    ],
)
def test_neighbours_and_blocks_are_read_at_once(write, monkeypatch, layout, wanted):
    store = HDF5Store(write(LAYOUTS[layout]))
    read = []
    original = HDF5Store._read_into

    def note(self, flux, row):
        read.append((row, len(flux)))
        original(self, flux, row)

    monkeypatch.setattr(HDF5Store, "_read_into", note)
    rows = np.array([0, 2, 4, 5, 6, 11])
    np.testing.assert_array_equal(store[rows], MATRIX[rows])
    assert read == wanted
