import pickle

import numpy as np
import pytest
from sklearn.model_selection import KFold, train_test_split
from sklearn.utils import _safe_indexing

from specvae.exceptions import SpectrumError
from specvae.spectra import SpectraArray, WavelengthGrid
from specvae.spectra._store import NpyStore


@pytest.fixture
def matrix():
    return np.arange(30, dtype=np.float64).reshape(10, 3)


@pytest.fixture
def spectra(matrix):
    return SpectraArray(matrix, grid=WavelengthGrid(5000.0, 1.0, 3))


class ForbiddenStore:
    """A store that must not be read."""

    shape = (10, 3)
    dtype = np.dtype(np.float32)

    def __getitem__(self, rows):
        raise AssertionError("rows were read")


def double(flux):
    return 2.0 * flux


def add_one(flux):
    return flux + 1.0


def first_two(flux):
    return flux[:, :2]


def refuse_above_20(flux):
    bad = flux.max(axis=1) > 20
    if bad.any():
        raise SpectrumError(int(np.argmax(bad)), "is too bright.")
    return flux


def test_looks_like_a_float32_matrix(spectra):
    assert spectra.shape == (10, 3)
    assert len(spectra) == 10
    assert spectra.ndim == 2
    assert spectra.dtype == np.float32
    assert spectra.to_numpy().dtype == np.float32
    assert repr(spectra).startswith("SpectraArray(10 spectra of 3 pixels, float32, a grid (3 ")


@pytest.mark.parametrize(
    "key",
    [
        slice(2, 7, 2),
        slice(None, None, -1),
        [3, 1, 1],
        [-1, 0],
        np.array([5, 2]),
        np.arange(10) % 3 == 0,
        [True, False] * 5,
        ([4, 2], Ellipsis),
        (slice(3), slice(None)),
        Ellipsis,
    ],
    ids=str,
)
def test_rows_give_a_lazy_view(spectra, matrix, key):
    view = spectra[key]
    assert isinstance(view, SpectraArray)
    assert view.grid is spectra.grid
    np.testing.assert_array_equal(view.to_numpy(), matrix[key])


@pytest.mark.parametrize("key", [0, 9, -1, np.int64(4), (4, Ellipsis)])
def test_integer_gives_one_spectrum(spectra, matrix, key):
    flux = spectra[key]
    assert isinstance(flux, np.ndarray)
    np.testing.assert_array_equal(flux, matrix[key])


@pytest.mark.parametrize("key", [10, -11, [10], np.array([True, False])])
def test_row_outside_is_an_index_error(spectra, key):
    with pytest.raises(IndexError):
        spectra[key]


@pytest.mark.parametrize("key", [(slice(None), 0), (0, [1, 2]), (0, np.array([0]))], ids=str)
def test_pixels_cannot_be_indexed(spectra, key):
    with pytest.raises(IndexError, match="choose pixels with PixelMasker"):
        spectra[key]


def test_can_be_iterated(spectra, matrix):
    np.testing.assert_array_equal(list(spectra), matrix)


def test_views_of_views_and_their_rows(spectra, matrix):
    view = spectra[2:][[5, 0]]
    np.testing.assert_array_equal(view.store_rows, [7, 2])
    np.testing.assert_array_equal(view.to_numpy(), matrix[[7, 2]])


@pytest.mark.parametrize("convert", [np.asarray, np.array, np.mean], ids=lambda f: f.__name__)
def test_no_array_unasked(convert):
    with pytest.raises(TypeError, match=r"call \.to_numpy\(\), or put SpectraLoader"):
        convert(SpectraArray(ForbiddenStore()))


def test_indexing_mapping_and_splitting_read_nothing():
    spectra = SpectraArray(ForbiddenStore())
    train, test = train_test_split(spectra.map_rows(double), test_size=0.3, random_state=0)
    assert (len(train), len(test)) == (7, 3)
    with pytest.raises(AssertionError, match="rows were read"):
        train.to_numpy()


def test_scikit_learn_indexes_it(spectra, matrix):
    view = _safe_indexing(spectra, [1, 3])
    assert isinstance(view, SpectraArray)
    np.testing.assert_array_equal(view.to_numpy(), matrix[[1, 3]])


def test_train_test_split_keeps_rows_and_labels_together(spectra, matrix):
    labels = matrix[:, 0]
    train, test, y_train, y_test = train_test_split(spectra, labels, random_state=1)
    np.testing.assert_array_equal(train.to_numpy()[:, 0], y_train)
    np.testing.assert_array_equal(test.to_numpy()[:, 0], y_test)
    assert sorted([*y_train, *y_test]) == sorted(labels)


def test_kfold_covers_each_row_once(spectra):
    tested = np.concatenate([spectra[test].store_rows for _, test in KFold(3).split(spectra)])
    np.testing.assert_array_equal(np.sort(tested), np.arange(10))


def test_maps_compose_in_order(spectra, matrix):
    mapped = spectra.map_rows(double).map_rows(add_one)
    np.testing.assert_array_equal(mapped[[4, 1]].to_numpy(), 2 * matrix[[4, 1]] + 1)
    np.testing.assert_array_equal(spectra.to_numpy(), matrix)
    # A view is mapped like its parent, whichever comes first.
    np.testing.assert_array_equal(
        spectra[[4, 1]].map_rows(double).to_numpy(), spectra.map_rows(double)[[4, 1]].to_numpy()
    )


def test_map_may_change_the_pixels(spectra, matrix):
    cut = spectra.map_rows(first_two, n_pixels=2)
    assert cut.shape == (10, 2)
    assert cut.grid is None
    np.testing.assert_array_equal(cut.to_numpy(), matrix[:, :2])
    grid = WavelengthGrid(5000.0, 1.0, 2)
    assert spectra.map_rows(first_two, n_pixels=2, grid=grid).grid == grid
    assert spectra.map_rows(double).grid is spectra.grid
    with pytest.raises(ValueError, match="grid has 2 pixels, the spectra have 3"):
        spectra.map_rows(double, grid=grid)


def test_grid_of_another_kind_is_named(spectra, matrix):
    with pytest.raises(TypeError, match="grid must be a WavelengthGrid or None, got 'HARPS'"):
        SpectraArray(matrix, grid="HARPS")
    with pytest.raises(TypeError, match="grid must be a WavelengthGrid or None"):
        spectra.map_rows(double, grid=5000.0)


def test_map_that_gives_another_shape_is_an_error(spectra):
    with pytest.raises(ValueError, match=r"shape \(10, 2\); \(10, 3\) was announced"):
        spectra.map_rows(first_two).to_numpy()


def test_map_in_place_leaves_the_store_alone(spectra, matrix):
    def blank(flux):
        flux[:] = 0.0
        return flux

    before = matrix.copy()
    assert not spectra.map_rows(blank).to_numpy().any()
    np.testing.assert_array_equal(matrix, before)


@pytest.mark.parametrize("batch_size, sizes", [(4, [4, 4, 2]), (10, [10]), (99, [10])])
def test_batches_follow_the_rows(spectra, matrix, batch_size, sizes):
    order = np.random.default_rng(0).permutation(10)
    batches = list(spectra[order].iter_batches(batch_size))
    assert [len(batch) for batch in batches] == sizes
    np.testing.assert_array_equal(np.concatenate(batches), matrix[order])


def test_map_in_place_leaves_what_another_store_keeps_alone(matrix):
    class Store:
        shape, dtype = matrix.shape, np.dtype(np.float32)
        kept = matrix.astype(np.float32)

        def __getitem__(self, rows):
            return self.kept[rows[0] : rows[-1] + 1]  # a view

    def zero(flux):
        flux[:] = 0.0
        return flux

    store = Store()
    assert not SpectraArray(store).map_rows(zero).to_numpy().any()
    np.testing.assert_array_equal(store.kept, matrix)


def test_store_is_asked_for_increasing_rows_without_repeats(matrix):
    asked = []

    class Store:
        shape, dtype = matrix.shape, matrix.dtype

        def __getitem__(self, rows):
            asked.append(list(rows))
            return matrix[rows]

    view = SpectraArray(Store())[[5, 2, 5, 0]]
    np.testing.assert_array_equal(view.to_numpy(), matrix[[5, 2, 5, 0]])
    assert asked == [[0, 2, 5]]


def test_error_names_the_row_of_the_callers_matrix(spectra):
    # Row 7 of the store is the first that exceeds 20: it is row 4 of this view, and of no batch.
    view = spectra[[6, 0, 5, 1, 7, 2]].map_rows(refuse_above_20)
    with pytest.raises(SpectrumError, match="spectrum 4 is too bright") as raised:
        list(view.iter_batches(3))
    assert raised.value.row == 4
    with pytest.raises(SpectrumError, match="spectrum 4 is too bright"):
        view.to_numpy()


@pytest.mark.parametrize("key", [4, -2])
def test_error_of_one_spectrum_names_its_row_too(spectra, key):
    view = spectra[[6, 0, 5, 1, 7, 2]].map_rows(refuse_above_20)
    with pytest.raises(SpectrumError, match="spectrum 4 is too bright"):
        view[key]


@pytest.mark.parametrize("dtype", ["<f2", ">f4", "<f8"])
def test_stored_rows_scales_and_maps_add_up_to_the_flux(tmp_path, matrix, dtype):
    np.save(tmp_path / "m.npy", matrix.astype(dtype))
    store = NpyStore(tmp_path / "m.npy", scale=np.arange(10.0))
    view = SpectraArray(store).map_rows(double)[[7, 3, 3, 8]]
    assert (view.stored_dtype, view.stored_pixels, view.chunk_rows) == (np.dtype(dtype), 3, 1)
    assert view.is_mapped and not SpectraArray(store).is_mapped
    out = np.empty((4, 3), dtype=dtype)
    assert view.read_stored(out) is out
    np.testing.assert_array_equal(out, matrix[[7, 3, 3, 8]])
    assert view.row_factors.dtype == np.float32
    flux = out.astype(np.float32) * view.row_factors[:, None]
    np.testing.assert_array_equal(view.map_flux(flux), view.to_numpy())


def test_stored_rows_of_any_store(matrix):
    class Store:
        shape, dtype = matrix.shape, np.dtype(np.float16)  # what it gives is wider

        def __getitem__(self, rows):
            assert (np.diff(rows) > 0).all()
            return 1e6 * matrix[rows]

    view = SpectraArray(Store())[[5, 2, 5]]
    assert view.stored_dtype == np.float32 and view.row_factors is None
    np.testing.assert_array_equal(view.read_stored(), 1e6 * matrix[[5, 2, 5]])
    columns = SpectraArray(np.asfortranarray(matrix))[[5, 2, 5]]
    assert columns.stored_dtype == np.float64 and columns.row_factors is None
    np.testing.assert_array_equal(columns.read_stored(), matrix[[5, 2, 5]])


def test_error_of_a_map_counts_from_the_flux_that_it_was_given(spectra, matrix):
    view = spectra[[0, 9, 8]].map_rows(refuse_above_20)
    with pytest.raises(SpectrumError, match="spectrum 1 is too bright"):
        view.map_flux(matrix[[0, 9]].astype(np.float32))


def test_span_holds_the_rows_between(spectra, matrix):
    view = spectra.map_rows(double)[[8, 5, 6, 5]]
    np.testing.assert_array_equal(view.span().store_rows, [5, 6, 7, 8])
    np.testing.assert_array_equal(view.span().to_numpy(), 2 * matrix[5:9])
    assert len(spectra[[]].span()) == 0


def test_pickle_keeps_rows_maps_and_grid(tmp_path, matrix):
    np.save(tmp_path / "m.npy", matrix)
    grid = WavelengthGrid(5000.0, 1.0, 3)
    view = SpectraArray(NpyStore(tmp_path / "m.npy"), grid=grid)[[3, 1]].map_rows(double)
    loaded = pickle.loads(pickle.dumps(view))
    assert loaded.grid == grid
    np.testing.assert_array_equal(loaded.to_numpy(), 2 * matrix[[3, 1]])


def test_empty_view(spectra):
    empty = spectra[[]]
    assert empty.shape == (0, 3)
    assert empty.to_numpy().shape == (0, 3)
    assert list(empty.iter_batches(4)) == []


def test_store_must_be_a_matrix_that_fits_the_grid():
    with pytest.raises(ValueError, match=r"two axes, spectra and pixels; its shape is \(3,\)"):
        SpectraArray(np.zeros(3))
    with pytest.raises(ValueError, match="grid has 4 pixels, the spectra have 3"):
        SpectraArray(np.zeros((2, 3)), grid=WavelengthGrid(5000.0, 1.0, 4))
