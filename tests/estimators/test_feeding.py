import errno
import os
import signal
import threading
from itertools import chain

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch.utils.data import DataLoader

from specvae.estimators import SemiSupervisedVAE, SpectralAutoencoder, SpectralVAE
from specvae.estimators import _checkpoint as checkpoint_module
from specvae.estimators._batch_order import BlockBatches, make_loader
from specvae.estimators._checkpoint import read_checkpoint
from specvae.estimators._data import Batch, SpectraDataset, TrainingData, ahead, read_flux
from specvae.estimators._flux_reader import FluxReader
from specvae.estimators._kept_memory import KeptMemory
from specvae.estimators._prefetch import prefetch
from specvae.exceptions import SpectrumError
from specvae.preprocessing import MedianNormalizer
from specvae.spectra import NpyStore, SpectraArray

N_SPECTRA, N_PIXELS = 60, 40
OPTIONS = {
    "encoder": "dense",
    "max_epochs": 5,
    "batch_size": 8,
    "random_state": 0,
    "device": "cpu",
    "checkpoint_minutes": 0,
}
pytestmark = pytest.mark.filterwarnings("ignore::specvae.exceptions.CollapsedLatentsWarning")


@pytest.fixture(scope="module")
def flux():
    """Float16, with missing pixels."""
    rng = np.random.default_rng(0)
    flux = rng.normal(1.0, 0.1, size=(N_SPECTRA, N_PIXELS)).astype(np.float16)
    flux[rng.random(flux.shape) < 0.1] = np.nan
    return flux


@pytest.fixture
def path(flux, tmp_path):
    np.save(tmp_path / "flux.npy", flux)
    return tmp_path / "flux.npy"


class WatchedStore(NpyStore):
    """Notes which successive rows are read at once, and fails where it is told to."""

    def __init__(self, path, *, n_until=None, error=None):
        super().__init__(path)
        self.reads, self.threads = [], set()
        self.n_until, self.error = n_until, error

    def _read_into(self, flux, row):
        self.reads.append((row, row + len(flux)))
        self.threads.add(threading.current_thread().name)
        if self.n_until is not None and len(self.reads) > self.n_until:
            raise self.error
        super()._read_into(flux, row)


class GatheringStore:
    """What a user may give: rows for an increasing array of indices, nothing more."""

    def __init__(self, matrix):
        self.matrix, self.shape, self.dtype = matrix, matrix.shape, matrix.dtype

    def __getitem__(self, rows):
        assert (np.diff(rows) > 0).all()
        return self.matrix[rows]


def make(**changes):
    return SpectralAutoencoder(3, **{**OPTIONS, "decoder": "dense", **changes})


def assert_same_training(one, other):
    ours, theirs = (each.net_.module_.state_dict() for each in (one, other))
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name
    left, right = one.history_.drop(columns="seconds"), other.history_.drop(columns="seconds")
    assert left.equals(right)


def assert_no_thread():
    assert "specvae-prefetch" not in [thread.name for thread in threading.enumerate()]


def lazy_forms(flux, folder):
    """The same kind of flux in every form that a store has, and what its rows are in float32."""
    scale = np.linspace(0.5, 2.0, N_SPECTRA)
    for dtype in ("<f2", "<f4", "<f8", ">f2", ">f4"):
        stored = flux.astype(dtype)
        file = folder / f"{dtype[1:]}{'big' if dtype[0] == '>' else ''}.npy"
        np.save(file, stored)
        wanted = stored.astype(np.float32)
        yield f"npy {dtype}", SpectraArray(NpyStore(file)), wanted
        factors = scale.astype(np.float32)[:, None]
        yield f"scaled {dtype}", SpectraArray(NpyStore(file, scale=scale)), wanted * factors
        yield f"memory {dtype}", SpectraArray(stored), wanted
        yield f"map of the file {dtype}", SpectraArray(np.load(file, mmap_mode="r")), wanted
        yield f"gathered {dtype}", SpectraArray(GatheringStore(stored)), wanted
    yield "by columns", SpectraArray(np.asfortranarray(flux)), flux.astype(np.float32)
    normal = MedianNormalizer().fit_transform(SpectraArray(NpyStore(file)))
    yield "mapped", normal, MedianNormalizer().fit_transform(flux.astype(np.float32))
    unwritable = SpectraArray(flux).map_rows(lambda rows: np.broadcast_to(rows[:, :1], rows.shape))
    yield "map that lends", unwritable, np.repeat(flux[:, :1], N_PIXELS, 1).astype(np.float32)


def test_reader_gives_the_same_numbers_bit_for_bit(flux, tmp_path):
    rng = np.random.default_rng(1)
    flux = flux.copy()
    flux[:, 0] = 1.0  # no spectrum of the last form is empty
    for name, X, wanted in lazy_forms(flux, tmp_path):
        reader = FluxReader(X)
        for rows in (rng.permutation(N_SPECTRA)[:17], np.array([4, 4, 59, 0]), np.arange(9, 12)):
            np.testing.assert_array_equal(X[rows].to_numpy(), wanted[rows], err_msg=name)
            found = reader.read(rows)
            assert found.dtype == torch.float32
            # As integers, for NaN too.
            bits = wanted[rows].view(np.int32)
            missing = np.isnan(wanted[rows])
            np.testing.assert_array_equal(np.isnan(found.numpy()), missing, err_msg=name)
            found = found.numpy().view(np.int32)
            np.testing.assert_array_equal(found[~missing], bits[~missing], err_msg=name)
            np.testing.assert_array_equal(read_flux(X, rows), wanted[rows], err_msg=name)


def test_reader_of_long_spectra_reads_each_to_its_place(tmp_path):
    """Spectra that are longer than one piece of reading, checking and converting."""
    flux = np.random.default_rng(0).normal(size=(4, 600_000)).astype(np.float16)
    np.save(tmp_path / "long.npy", flux)
    store = WatchedStore(tmp_path / "long.npy")
    found = FluxReader(SpectraArray(store)).read(np.array([2, 0, 3]))
    np.testing.assert_array_equal(found.numpy(), flux[[2, 0, 3]].astype(np.float32))
    assert store.reads == [(2, 3), (0, 1), (3, 4)]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("value", [np.inf, -np.inf])
@pytest.mark.parametrize("n_pixels", [N_PIXELS, 600_000])
def test_infinity_is_refused_with_its_row(dtype, value, n_pixels):
    flux = np.ones((5, n_pixels), dtype=dtype)
    flux[:, 7], flux[3, 11] = np.nan, value
    reader = FluxReader(SpectraArray(flux))
    reader.read(np.array([0, 4]))
    with pytest.raises(SpectrumError, match="spectrum 3 contains infinity") as raised:
        reader.read(np.array([4, 0, 3]))
    assert raised.value.row == 3


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_largest_and_smallest_numbers_pass(dtype):
    limits = np.finfo(dtype)
    flux = np.array([[limits.max, -limits.max, limits.smallest_subnormal, -0.0, np.nan]], dtype)
    found = FluxReader(SpectraArray(flux)).read(np.array([0])).numpy()
    np.testing.assert_array_equal(found, flux.astype(np.float32))


def test_flux_beyond_float32_is_refused(flux, path):
    large = np.full((3, N_PIXELS), 1e39)
    with pytest.raises(SpectrumError, match="spectrum 1 contains infinity"):
        FluxReader(SpectraArray(large)).read(np.array([1]))
    scale = np.ones(N_SPECTRA, dtype=np.float32)
    scale[2] = 3e38
    bright = np.where(np.isnan(flux), flux, 9.0).astype(np.float16)
    np.save(path, bright)
    reader = FluxReader(SpectraArray(NpyStore(path, scale=scale)))
    reader.read(np.array([1, 3]))
    with pytest.raises(SpectrumError, match="spectrum 2 contains infinity"):
        reader.read(np.array([1, 2]))


def test_spectrum_without_a_valid_pixel_is_refused(flux):
    flux = flux.copy()
    flux[5] = np.nan
    flux[6, 1:] = np.nan  # one is enough
    flux[6, 0] = 1.0
    reader = FluxReader(SpectraArray(flux))
    reader.read(np.array([6, 7]))
    with pytest.raises(SpectrumError, match="spectrum 5 has no valid pixel"):
        reader.read(np.array([6, 5]))


def test_kept_batches_do_not_change(flux, path):
    reader = FluxReader(SpectraArray(NpyStore(path)))
    rows = np.random.default_rng(0).integers(0, N_SPECTRA, size=(30, 8))
    whole = [reader.read(each) for each in rows]
    views = [reader.read(each)[1:, ::2] for each in rows]
    arrays = [reader.read(each).numpy()[1:, ::2] for each in rows]
    # What a gradient needs holds the memory though no name does.
    weight = torch.ones(N_PIXELS, requires_grad=True)
    losses = [(reader.read(each).nan_to_num(0.0).mul_(1.0) * weight).sum() for each in rows]
    for _ in range(50):
        reader.read(rows[0])
    wanted = flux.astype(np.float32)
    for place, each in enumerate(rows):
        np.testing.assert_array_equal(whole[place], wanted[each])
        np.testing.assert_array_equal(views[place], wanted[each][1:, ::2])
        np.testing.assert_array_equal(arrays[place], wanted[each][1:, ::2])
        (gradient,) = torch.autograd.grad(losses[place], weight)
        np.testing.assert_allclose(gradient, np.nan_to_num(wanted[each]).sum(axis=0), rtol=1e-5)


def test_memory_is_lent_again_once_nobody_holds_it():
    memory = KeptMemory(2)
    first = memory.take((3, 4), torch.float32)
    place, view = first.data_ptr(), first[1:]
    del first
    other = memory.take((3, 4), torch.float32)
    assert other.data_ptr() != place
    del view
    assert memory.take((2, 4), torch.float32).data_ptr() == place  # free again at once
    assert memory.take((3, 4), torch.float32).data_ptr() == place
    many = [memory.take((1,), torch.uint8) for _ in range(9)]
    del many, other
    assert len(memory._free) == 2


def test_prefetch_keeps_the_order_and_ends_its_thread():
    assert list(prefetch(range(100), 3)) == list(range(100))
    assert list(prefetch([])) == []
    assert_no_thread()


def test_prefetch_works_in_a_thread_no_further_ahead_than_told():
    begun, goes_on = [], threading.Semaphore(0)

    def count():
        for number in range(9):
            begun.append((number, threading.current_thread().name))
            goes_on.release()
            yield number

    items = prefetch(count(), 2)
    assert next(items) == 0
    for _ in range(3):  # the one that was taken and two ahead
        assert goes_on.acquire(timeout=60)
    # A third would be begun by now or never: it has no place until one is taken.
    assert not goes_on.acquire(timeout=0.05)
    assert {name for _, name in begun} == {"specvae-prefetch"}
    assert next(items) == 1
    assert goes_on.acquire(timeout=60)
    items.close()
    assert len(begun) == 4
    assert_no_thread()


@pytest.mark.parametrize("error", [ValueError("of the reader"), KeyboardInterrupt(), SystemExit()])
def test_prefetch_raises_the_error_where_its_item_belongs(error):
    def numbers():
        yield 1
        yield 2
        raise error

    found, items = [], prefetch(numbers())
    with pytest.raises(type(error)) as raised:
        for number in items:
            found.append(number)
    assert raised.value is error and found == [1, 2]
    assert_no_thread()


def test_prefetch_sees_the_settings_of_the_caller():
    with np.errstate(divide="raise"):
        (found,) = prefetch(np.geterr()["divide"] for _ in range(1))
    assert found == "raise"


def test_only_what_is_read_from_a_store_has_a_thread(flux, path):
    store = WatchedStore(path)
    for X, names in ((flux.astype(np.float32), set()), (SpectraArray(store), {"specvae-prefetch"})):
        dataset = SpectraDataset(TrainingData(X, np.ones(N_SPECTRA)), np.arange(N_SPECTRA))
        found = torch.cat([batch.flux for batch in ahead(dataset, dataset.in_order(8))])
        np.testing.assert_array_equal(found, flux.astype(np.float32))
        assert store.threads == names
    assert_no_thread()


def test_batches_for_a_gpu_are_pinned_on_the_thread(flux, monkeypatch):
    pinned_on = []

    def pin(batch):
        pinned_on.append(threading.current_thread().name)
        return batch

    monkeypatch.setattr(Batch, "pinned", pin)
    X = flux.astype(np.float32)
    dataset = SpectraDataset(TrainingData(X, np.ones(N_SPECTRA)), np.arange(N_SPECTRA))
    batches = list(ahead(dataset, dataset.in_order(8), torch.device("cuda")))
    np.testing.assert_array_equal(torch.cat([batch.flux for batch in batches]), X)
    assert pinned_on == ["specvae-prefetch"] * len(batches)
    assert_no_thread()


@pytest.mark.parametrize("shuffle_block", [1, 4])
def test_store_trains_as_its_array_does(flux, path, shuffle_block):
    rng = np.random.default_rng(0)
    labels = np.where(rng.random((N_SPECTRA, 2)) < 0.5, np.nan, rng.normal(size=(N_SPECTRA, 2)))
    simulated = (flux[:20].astype(np.float32), rng.normal(size=(20, 2)))
    stored, array = SpectraArray(NpyStore(path)), flux.astype(np.float32)
    options = {**OPTIONS, "decoder": "dense", "shuffle_block": shuffle_block}
    for model, arguments in (
        (SpectralAutoencoder(3, **options), lambda X: {}),
        (SpectralVAE(2, **options), lambda X: {"flux_error": X}),
        (SemiSupervisedVAE(2, **options), lambda X: {"y": labels, "simulated": simulated}),
    ):
        one = clone(model).fit(stored, **arguments(stored))
        assert_same_training(one, clone(model).fit(array, **arguments(array)))
        assert_same_training(one, clone(model).fit(stored, **arguments(stored)))
        assert_no_thread()
    assert not one.net_.history[-1]["batches"]  # no record of each batch is kept


def batches_of(n_rows, batch_size, block_rows, seed=0, rows=None, X=None):
    X = np.zeros((n_rows, 1), dtype=np.float32) if X is None else X
    rows = np.arange(n_rows) if rows is None else rows
    dataset = SpectraDataset(TrainingData(X, np.ones(n_rows)), rows)
    order = BlockBatches(dataset, batch_size, block_rows, torch.Generator().manual_seed(seed))
    return dataset, order


def test_one_row_a_block_is_the_shuffle_of_torch():
    dataset, _ = batches_of(50, 8, 1, X=np.arange(50, dtype=np.float32)[:, None])
    ours, theirs = (torch.Generator().manual_seed(3) for _ in range(2))
    loader = make_loader(dataset, 8, ours, shuffle_block=1)
    plain = DataLoader(range(50), batch_size=8, shuffle=True, generator=theirs)
    for _ in range(2):
        found = [batch.flux[:, 0].tolist() for batch in loader]
        assert found == [each.tolist() for each in plain]
        assert sorted(chain(*found)) == list(range(50))


@pytest.mark.parametrize(
    ("n_rows", "batch_size", "block_rows"),
    [(1, 4, 2), (64, 4, 8), (100, 8, 7), (203, 5, 16), (30, 8, 100), (90, 32, 3)],
)
def test_blocks_give_each_row_once_and_repeat_with_the_seed(n_rows, batch_size, block_rows):
    _, order = batches_of(n_rows, batch_size, block_rows)
    first, second = list(order), list(order)
    assert len(first) == len(order) == -(-n_rows // batch_size)
    assert all(len(batch) == batch_size for batch in first[:-1])
    assert sorted(chain(*first)) == sorted(chain(*second)) == list(range(n_rows))
    assert n_rows < 10 or first != second
    assert list(batches_of(n_rows, batch_size, block_rows)[1]) == first
    assert n_rows < 10 or list(batches_of(n_rows, batch_size, block_rows, seed=1)[1]) != first


def test_rows_of_about_eight_batches_are_mixed():
    _, order = batches_of(4000, 10, 5)
    stream = np.concatenate(list(order))
    for start in range(0, 4000, 80):
        group = stream[start : start + 80]
        blocks, counts = np.unique(group // 5, return_counts=True)
        assert (counts == 5).all()  # whole blocks
        n_of_batch = [len(np.unique(part // 5)) for part in np.split(group, 8)]
        assert np.mean(n_of_batch) > 5  # of ten rows; 2 if the blocks came one after another
    assert len(np.unique(np.abs(np.diff(blocks)))) > 5  # the blocks are not neighbours either


def test_blocks_follow_the_store_and_its_gaps(path, flux):
    stored_rows = np.random.default_rng(0).permutation(N_SPECTRA)
    rows = np.flatnonzero(np.arange(N_SPECTRA) % 5 > 0)
    X = SpectraArray(flux)[stored_rows]
    dataset, _ = batches_of(N_SPECTRA, 4, 10, rows=rows, X=X)
    blocks = [stored_rows[rows[block]] for block in dataset.blocks(10)]
    assert [set(block // 10) for block in blocks] == [{number} for number in range(6)]
    np.testing.assert_array_equal(np.concatenate(blocks), np.sort(stored_rows[rows]))


def test_each_block_is_read_once_and_at_once(path, flux):
    store = WatchedStore(path)
    rows = np.flatnonzero(np.arange(N_SPECTRA) % 7 != 3)  # some of each block only watch
    X = SpectraArray(store)[::-1]
    dataset, _ = batches_of(N_SPECTRA, 2, 6, rows=rows, X=X)
    loader = make_loader(dataset, 2, torch.Generator().manual_seed(0), shuffle_block=6)
    for _ in range(2):
        found = list(loader)
        starts = sorted(first // 6 for first, _ in store.reads)
        assert starts == list(range(10))
        assert all(1 < last - first <= 6 for first, last in store.reads)
        assert len(np.concatenate([batch.flux for batch in found])) == len(rows)
        store.reads.clear()
    assert not dataset._flux._held


def test_held_blocks_are_those_of_two_groups_at_most(path, flux):
    dataset, order = batches_of(N_SPECTRA, 1, 2, X=SpectraArray(NpyStore(path)))
    held = [len(dataset._flux._held) for _ in order]
    assert held[0] in (8, 10) and max(held) <= 16  # eight batches of one row; and the next ones


def test_sparse_blocks_read_only_what_is_asked(path, flux):
    store = WatchedStore(path)
    rows = np.arange(0, N_SPECTRA, 10)
    reader = FluxReader(SpectraArray(store))
    reader.hold([rows])
    assert store.reads == [(row, row + 1) for row in rows]
    np.testing.assert_array_equal(reader.read(rows[::-1]), flux[rows[::-1]].astype(np.float32))
    assert len(store.reads) == len(rows)
    # Rows that no block holds are read beside those that are held.
    np.testing.assert_array_equal(reader.read([10, 11]), flux[[10, 11]].astype(np.float32))


def test_damaged_row_that_nobody_asked_for_does_no_harm(path, flux):
    class Damaged(NpyStore):
        def _read_into(self, flux, row):
            if row <= 3 < row + len(flux):
                raise OSError("it is damaged")
            super()._read_into(flux, row)

    reader = FluxReader(SpectraArray(Damaged(path)))
    rows = np.array([1, 2, 4, 5])
    reader.hold([rows])
    np.testing.assert_array_equal(reader.read(rows), flux[rows].astype(np.float32))
    with pytest.raises(OSError, match=r"spectrum 3 of .* cannot be read: it is damaged"):
        FluxReader(SpectraArray(Damaged(path))).hold([np.array([2, 3])])


@pytest.mark.parametrize("shuffle_block", [1, 4])
@pytest.mark.parametrize("error", [OSError("the disk is gone"), KeyboardInterrupt()])
def test_failing_store_leaves_a_state_to_go_on_from(path, flux, tmp_path, shuffle_block, error):
    whole = WatchedStore(path)
    model = make(shuffle_block=shuffle_block, checkpoint_path=tmp_path / "state")
    unbroken = clone(model).set_params(checkpoint_path=None).fit(SpectraArray(whole))
    n_reads = int(0.6 * len(whole.reads))
    broken = WatchedStore(path, n_until=n_reads, error=error)
    named = "spectrum .* of .* cannot be read: the disk is gone" if error.args else None
    with pytest.raises(type(error), match=named):
        model.fit(SpectraArray(broken))
    assert not hasattr(model, "net_")
    assert_no_thread()
    n_epochs = len(read_checkpoint(tmp_path / "state")["history"])
    assert 1 <= n_epochs < OPTIONS["max_epochs"]
    resumed = make(shuffle_block=shuffle_block)
    resumed.fit(SpectraArray(NpyStore(path)), resume_from=tmp_path / "state")
    assert_same_training(resumed, unbroken)


def test_ctrl_c_ends_the_thread_and_leaves_a_state(path, tmp_path, monkeypatch):
    """The signal itself, which reaches the main thread while the other one reads."""
    X, state = SpectraArray(NpyStore(path)), tmp_path / "state"
    unbroken = make().fit(X)
    store, original = WatchedStore(path), WatchedStore._read_into

    def read_into(self, flux, row):
        original(self, flux, row)
        if len(self.reads) == 4 * N_SPECTRA:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(WatchedStore, "_read_into", read_into)
    with pytest.raises(KeyboardInterrupt):
        make(checkpoint_path=state).fit(SpectraArray(store))
    assert_no_thread()
    assert 1 <= len(read_checkpoint(state)["history"]) < OPTIONS["max_epochs"]
    assert_same_training(make().fit(X, resume_from=state), unbroken)


def test_unusable_spectrum_is_named_by_the_thread_as_well(path, flux):
    bad = flux.copy()
    bad[31, 4] = np.inf
    np.save(path, bad)
    train = np.arange(N_SPECTRA)
    dataset = SpectraDataset(TrainingData(SpectraArray(NpyStore(path)), np.ones(N_SPECTRA)), train)
    with pytest.raises(SpectrumError, match="spectrum 31 contains infinity"):
        list(ahead(dataset, make_loader(dataset, 8, torch.Generator(), shuffle_block=4)))
    assert_no_thread()


class FullDisk:
    """Stands for the module torch, whose `save` finds no room on the disk."""

    def __init__(self, error):
        self.error = error

    def __getattr__(self, name):
        return getattr(torch, name)

    def save(self, state, file):
        file.write(b"half of a")
        raise self.error


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 704 vs 598"),
    ],
    ids=["OSError", "RuntimeError"],
)
def test_full_disk_leaves_the_earlier_state(path, tmp_path, monkeypatch, error):
    X, state = SpectraArray(NpyStore(path)), tmp_path / "state"
    unbroken = make().fit(X)
    broken = WatchedStore(path, n_until=int(3.5 * N_SPECTRA), error=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        make(checkpoint_path=state).fit(SpectraArray(broken))
    before = state.read_bytes()
    n_before = len(read_checkpoint(state)["history"])
    model = make()
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint_module, "torch", FullDisk(error))
        with pytest.raises(OSError, match=rf"after epoch {n_before + 1} .*GB are free.*go on") as e:
            model.fit(X, resume_from=state)
    assert e.value.errno == (error.errno if isinstance(error, OSError) else errno.EIO)
    assert not hasattr(model, "net_")
    assert state.read_bytes() == before
    assert sorted(each.name for each in tmp_path.iterdir()) == ["flux.npy", "state"]
    assert_same_training(make().fit(X, resume_from=state), unbroken)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no such device")
def test_device_that_is_full(path, tmp_path, monkeypatch):
    """What torch itself says where a write fails, and not what a test believes."""
    state = tmp_path / "state"
    monkeypatch.setattr(
        checkpoint_module, "open", lambda *_: open("/dev/full", "wb"), raising=False
    )
    with pytest.raises(OSError, match=r"after epoch 1 .*No space left.*GB are free") as raised:
        make(checkpoint_path=state).fit(SpectraArray(NpyStore(path)))
    assert raised.value.errno == errno.ENOSPC
    assert not state.exists()
