"""What HDF5Store and ZarrStore must both do; each test file gives the fixtures.

`write(layout, matrix=..., name="flux", **others)` writes the matrix and further data sets, and
gives the path; `open_store` is the class, `library` the name of what it needs.
"""

import multiprocessing
import os
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from specvae.preprocessing import MedianNormalizer, SpectraLoader
from specvae.spectra import NpyStore, SpectraArray, WavelengthGrid

# Distinct in float16, and none of them the fill value.
MATRIX = np.arange(1, 241, dtype=np.float16).reshape(12, 20)


def send_rows(store, rows, queue):
    queue.put(store[rows])


class StoreContract:
    @pytest.fixture
    def npy(self, tmp_path):
        np.save(tmp_path / "matrix.npy", MATRIX)
        return NpyStore(tmp_path / "matrix.npy")

    @pytest.mark.parametrize(
        "rows",
        [[0], [11], [2, 3, 4], range(12), [0, 5, 6, 11], [3, 3, 5], [7, 3, 3, 0], []],
        ids=str,
    )
    def test_rows_equal_those_of_npy(self, write, open_store, layout, npy, rows):
        store, rows = open_store(write(layout)), np.array(rows, dtype=int)
        assert (store.shape, store.dtype, store.row_bytes) == ((12, 20), np.float16, 40)
        flux = store[rows]
        assert flux.dtype == np.float16
        np.testing.assert_array_equal(flux, npy[rows])
        np.testing.assert_array_equal(flux, MATRIX[rows])

    @pytest.mark.parametrize(
        "rows", [[7], [2, 3, 4], [4, 3, 2], [11, 0, 5, 1, 4, 0, 6], []], ids=str
    )
    def test_reads_rows_in_any_order_to_where_they_are_wanted(
        self, write, open_store, layout, rows
    ):
        store = open_store(write(layout))
        around = np.full((len(rows) + 2, 20), -1.0, dtype=store.dtype)
        store.read_into(around[1:-1], np.array(rows, dtype=int))
        np.testing.assert_array_equal(around[1:-1], MATRIX[rows])
        assert (around[[0, -1]] == -1).all()
        with pytest.raises(IndexError, match="holds 12 spectra"):
            store.read_into(around[:1], np.array([12]))

    @pytest.mark.parametrize(
        "key",
        [slice(2, 9, 3), slice(None, None, -1), [7, 0, 7, 3], np.arange(12) % 5 == 0],
        ids=str,
    )
    def test_views_equal_those_of_npy(self, write, open_store, layout, npy, key):
        lazy, plain = SpectraArray(open_store(write(layout))), SpectraArray(npy)
        np.testing.assert_array_equal(lazy[key].to_numpy(), MATRIX[key])
        np.testing.assert_array_equal(lazy[key].to_numpy(), plain[key].to_numpy())
        np.testing.assert_array_equal(lazy[4], MATRIX[4])

    def test_views_of_views(self, write, open_store, layout):
        view = SpectraArray(open_store(write(layout)))[3:][[8, 0, 8, 2]]
        np.testing.assert_array_equal(view.store_rows, [11, 3, 11, 5])
        np.testing.assert_array_equal(view[::-1].to_numpy(), MATRIX[[5, 11, 3, 11]])

    @pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", ">f4"])
    def test_reads_floats_of_any_size(self, write, open_store, layout, dtype):
        store = open_store(write(layout, MATRIX.astype(dtype)))
        flux = store[np.array([9, 1, 2])]
        assert flux.dtype == store.dtype
        assert store.dtype.itemsize == np.dtype(dtype).itemsize
        np.testing.assert_array_equal(flux, MATRIX[[9, 1, 2]])

    def test_missing_pixels_stay_missing(self, write, open_store, layout):
        matrix = MATRIX.copy()
        matrix[3, 4:9], matrix[5] = np.nan, np.nan
        flux = open_store(write(layout, matrix))[np.arange(12)]
        np.testing.assert_array_equal(flux, matrix)

    def test_scale_multiplies_each_row_and_gives_float32(self, write, open_store, layout):
        factors = np.arange(12.0)
        path = write(layout, factors=factors)
        for scale in (factors, "factors", "/factors"):
            flux = open_store(path, "flux", scale=scale)[np.array([2, 0, 3])]
            assert flux.dtype == np.float32
            np.testing.assert_array_equal(flux, MATRIX[[2, 0, 3]] * np.float32([[2], [0], [3]]))

    def test_preprocessing_stays_lazy(self, write, open_store, layout, monkeypatch):
        spectra = SpectraArray(open_store(write(layout)))
        with monkeypatch.context() as forbidden:
            forbidden.setattr(open_store, "__getitem__", None)
            normal = MedianNormalizer().fit_transform(spectra[::-2])
        wanted = MATRIX[::-2] / np.median(MATRIX[::-2].astype(np.float32), axis=1, keepdims=True)
        np.testing.assert_allclose(normal[[4, 0]].to_numpy(), wanted[[4, 0]], rtol=1e-6)

    def test_pickle_holds_the_path_alone(self, write, open_store, layout, tmp_path, monkeypatch):
        path = write(layout)
        monkeypatch.chdir(path.parent)
        store = open_store(path.name)
        store[np.arange(12)]
        dumped = pickle.dumps(store)
        assert len(dumped) < 1500
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        np.testing.assert_array_equal(pickle.loads(dumped)[np.array([4])], MATRIX[[4]])

    # From Python 3.12 on a fork beside threads, which zarr has, warns (2026-07).
    @pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
    @pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
    def test_forked_processes_read_for_themselves(self, write, open_store, layout):
        store = open_store(write(layout))
        store[np.array([0])]  # what is open here must not be shared
        context = multiprocessing.get_context("fork")
        answers, rows = context.SimpleQueue(), np.array([7, 2, 3])
        workers = [context.Process(target=send_rows, args=(store, rows, answers)) for _ in range(2)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(30)
            assert worker.exitcode == 0
            np.testing.assert_array_equal(answers.get(), MATRIX[rows])
        np.testing.assert_array_equal(store[rows], MATRIX[rows])

    def test_many_threads_read_the_right_rows(self, write, open_store, layout):
        store = open_store(write(layout))
        rows = np.random.default_rng(0).integers(0, 12, size=(60, 3))
        with ThreadPoolExecutor(4) as threads:
            read = list(threads.map(store.__getitem__, rows))
        np.testing.assert_array_equal(read, MATRIX[rows])

    @pytest.mark.parametrize("rows", [[-1], [12], [0, 99]])
    def test_row_outside_is_an_index_error(self, write, open_store, layout, rows):
        with pytest.raises(IndexError, match="holds 12 spectra"):
            open_store(write(layout))[np.array(rows)]


class OpeningContract:
    """The same, for one layout: opening, choosing, refusing."""

    def test_search_over_processes_gives_the_same_scores(self, write):
        labels = np.random.default_rng(0).normal(size=12)
        spectra = SpectraArray.open(write(), "flux")
        search = GridSearchCV(
            make_pipeline(SpectraLoader(), PCA(random_state=0), LinearRegression()),
            {"pca__n_components": [1, 2]},
            scoring="neg_mean_absolute_error",
            cv=2,
        )
        matrix = MATRIX.astype(np.float32)
        scores = [
            search.set_params(n_jobs=n_jobs).fit(X, labels).cv_results_["mean_test_score"]
            for n_jobs, X in [(2, spectra), (1, matrix)]
        ]
        np.testing.assert_allclose(*scores, rtol=1e-4)

    def test_grid_is_given_where_it_is_opened(self, write):
        grid = WavelengthGrid(5000.0, 1.0, 20)
        assert SpectraArray.open(write(), "flux", grid=grid).grid == grid
        with pytest.raises(ValueError, match="grid has 3 pixels, the spectra have 20"):
            SpectraArray.open(write(), grid=WavelengthGrid(5000.0, 1.0, 3))

    def test_the_only_matrix_need_not_be_named(self, write, open_store):
        counts = np.ones((12, 20), dtype=np.int16)
        path = write(name="deep/down/flux", factors=np.ones(12), counts=counts)
        assert open_store(path).dataset == "deep/down/flux"
        assert open_store(path, "/deep/down/flux").dataset == "deep/down/flux"

    def test_several_matrices_ask_for_a_name(self, write, open_store):
        path = write(error=MATRIX, factors=np.ones(12))
        with pytest.raises(
            ValueError,
            match=r"holds 2 matrices of floats; choose one with dataset=.*"
            r"'error' \(float16 of shape \(12, 20\)\)",
        ):
            open_store(path)

    def test_missing_name_lists_those_there_are(self, write, open_store):
        path = write(factors=np.ones(12))
        for wrong in ({"dataset": "fluxes"}, {"dataset": "flux", "scale": "fluxes"}):
            with pytest.raises(
                ValueError, match=r"no data set 'fluxes'. It has: .*'flux' \(float16"
            ):
                open_store(path, **wrong)

    @pytest.mark.parametrize(
        "array", [np.ones(4), np.ones((2, 3, 4)), np.ones((3, 4), int), np.ones((3, 4), complex)]
    )
    def test_other_arrays_are_refused(self, write, open_store, array):
        path = write(other=array)
        with pytest.raises(ValueError, match=r"'other' of .* must be a matrix of float16, float32"):
            open_store(path, "other")

    @pytest.mark.parametrize(
        "scale, message",
        [
            (np.ones(11), r"one factor for each of the 12 spectra; got float64 of shape \(11,\)"),
            (np.ones((12, 1)), "one factor for each"),
            (["1"] * 12, "one factor for each"),
            ([1.0] * 11 + [np.nan], "scale must be finite, got nan for spectrum 11"),
        ],
    )
    def test_scale_that_does_not_fit_is_refused(self, write, open_store, scale, message):
        with pytest.raises(ValueError, match=message):
            open_store(write(), scale=scale)

    def test_missing_extra_is_named(self, write, open_store, library, monkeypatch):
        path = write()
        monkeypatch.setitem(sys.modules, library, None)
        wanted = rf"{open_store.__name__} needs {library}: pip install 'specvae\[store\]'"
        with pytest.raises(ImportError, match=wanted):
            SpectraArray.open(path)

    def test_store_that_was_changed_is_an_error(self, write, open_store):
        store = pickle.loads(pickle.dumps(open_store(write())))
        write(matrix=MATRIX[:5])
        with pytest.raises(OSError, match=r"spectrum 3 of .* was changed"):
            store[np.array([3])]

    def test_nothing_there_is_a_file_not_found_error(self, write, open_store):
        path = write()
        with pytest.raises(FileNotFoundError, match="does not exist"):
            SpectraArray.open(path.with_stem("other"))

    def test_other_content_is_refused(self, write, open_store, tmp_path):
        (tmp_path / "empty.zarr").mkdir()
        (tmp_path / "empty.h5").write_bytes(b"SIMPLE  =                    T")
        with pytest.raises(ValueError, match=r"empty.* is not a"):
            SpectraArray.open(tmp_path / f"empty{write().suffix}")
