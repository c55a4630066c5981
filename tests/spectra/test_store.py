import os
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from specvae.spectra._row_store import PerProcess
from specvae.spectra._store import NpyStore


@pytest.fixture
def matrix():
    return np.arange(60, dtype=np.float32).reshape(12, 5)


@pytest.fixture(params=["preadv", "seek"])
def path_and_system(request, monkeypatch, tmp_path, matrix):
    """The matrix on disk, on a system with positional reads and on one without."""
    if request.param == "seek":
        monkeypatch.delattr(os, "preadv")
    np.save(tmp_path / "matrix.npy", matrix)
    return tmp_path / "matrix.npy"


@pytest.fixture
def path(tmp_path, matrix):
    np.save(tmp_path / "matrix.npy", matrix)
    return tmp_path / "matrix.npy"


@pytest.mark.parametrize("rows", [[0], [11], [2, 3, 4], [0, 5, 6, 11], [7, 3, 3, 0], []])
def test_reads_rows_in_the_order_asked(path_and_system, matrix, rows):
    store = NpyStore(path_and_system)
    assert (store.shape, store.dtype, store.row_bytes) == ((12, 5), np.float32, 20)
    np.testing.assert_array_equal(store[np.array(rows, dtype=int)], matrix[rows])


def test_neighbours_are_read_at_once_where_they_stay_neighbours(path, matrix, monkeypatch):
    reads, original = [], NpyStore._read_into

    def read_into(self, flux, row):
        reads.append((row, len(flux)))
        original(self, flux, row)

    monkeypatch.setattr(NpyStore, "_read_into", read_into)
    flux = np.empty((6, 5), dtype=np.float32)
    NpyStore(path).read_into(flux, np.array([9, 3, 4, 5, 2, 10]))
    np.testing.assert_array_equal(flux, matrix[[9, 3, 4, 5, 2, 10]])
    assert reads == [(2, 1), (3, 3), (9, 1), (10, 1)]


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", ">f4", ">f8"])
def test_reads_any_float_in_any_byte_order(tmp_path, matrix, dtype):
    np.save(tmp_path / "m.npy", matrix.astype(dtype))
    flux = NpyStore(tmp_path / "m.npy")[np.array([1, 2, 9])]
    assert flux.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(flux, matrix[[1, 2, 9]])


def test_scale_multiplies_each_row_and_gives_float32(tmp_path, matrix):
    np.save(tmp_path / "m.npy", matrix.astype(np.float16))
    store = NpyStore(tmp_path / "m.npy", scale=np.arange(12.0))
    flux = store[np.array([2, 0, 3])]
    assert flux.dtype == np.float32
    np.testing.assert_array_equal(flux, matrix[[2, 0, 3]] * np.float32([[2], [0], [3]]))


@pytest.mark.parametrize("rows", [[-1], [12], [0, 99]])
def test_row_outside_is_an_index_error(path, rows):
    with pytest.raises(IndexError, match="holds 12 spectra"):
        NpyStore(path)[np.array(rows)]


def test_truncated_file_is_refused(path):
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size - 1)
    with pytest.raises(ValueError, match=r"is cut short: 367 bytes, 368 wanted for 12 spectra"):
        NpyStore(path)


def test_file_cut_after_opening_is_an_error_not_garbage(path_and_system):
    store = NpyStore(path_and_system)
    with open(path_and_system, "r+b") as file:
        file.truncate(128 + 20 * 6 + 3)
    np.testing.assert_array_equal(store[np.array([5])], [[25, 26, 27, 28, 29]])
    with pytest.raises(OSError, match=r"spectrum 6 of .* cannot be read: the file ends before"):
        store[np.array([6])]


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((3, 4), dtype=np.int16),
        np.zeros(4),
        np.zeros((2, 3, 4)),
        np.asfortranarray(np.zeros((3, 4))),
        np.zeros((3, 4), dtype=complex),
    ],
    ids=["integers", "one axis", "three axes", "Fortran order", "complex"],
)
def test_other_arrays_are_refused(tmp_path, array):
    np.save(tmp_path / "other.npy", array)
    with pytest.raises(ValueError, match="C-ordered matrix of floats"):
        NpyStore(tmp_path / "other.npy")


def test_pickled_objects_are_refused_unread(tmp_path):
    np.save(tmp_path / "objects.npy", np.array([[print, 1]], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="it holds object"):
        NpyStore(tmp_path / "objects.npy")


@pytest.mark.parametrize("content", [b"", b"\x93NUM", b"SIMPLE  =                    T" * 10])
def test_what_is_no_npy_file_is_refused(tmp_path, content):
    (tmp_path / "other.npy").write_bytes(content)
    with pytest.raises(ValueError, match=r"is not a \.npy file"):
        NpyStore(tmp_path / "other.npy")


def test_pickle_holds_the_path_alone(path, matrix):
    store = NpyStore(path)
    store[np.array([0])]
    dumped = pickle.dumps(store)
    assert len(dumped) < 1000
    np.testing.assert_array_equal(pickle.loads(dumped)[np.array([4])], matrix[[4]])


def test_relative_path_survives_a_change_of_folder(path, matrix, monkeypatch, tmp_path):
    monkeypatch.chdir(path.parent)
    store = NpyStore(path.name)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    np.testing.assert_array_equal(store[np.array([1])], matrix[[1]])


def test_many_threads_read_the_right_rows(path_and_system, matrix):
    store = NpyStore(path_and_system)
    rows = np.random.default_rng(0).integers(0, 12, size=(400, 3))
    with ThreadPoolExecutor(8) as threads:
        read = list(threads.map(store.__getitem__, rows))
    np.testing.assert_array_equal(read, matrix[rows])


def test_each_process_opens_for_itself(monkeypatch):
    handle = PerProcess(list, "ab")
    opened = handle.get()
    assert opened == ["a", "b"] and handle.get() is opened
    assert pickle.loads(pickle.dumps(handle)).get() == ["a", "b"]
    monkeypatch.setattr(os, "getpid", lambda: -1)  # as after a fork
    assert handle.get() is not opened


def test_lost_file_is_said_as_such_not_as_a_row(path):
    store = NpyStore(path)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"matrix\.npy"):
        store[np.array([0])]
