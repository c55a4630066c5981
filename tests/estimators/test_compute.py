import contextlib
import pickle
import shutil

import numpy as np
import pytest
import torch

import specvae
from specvae import _memory
from specvae._memory import keep_freed_memory, keep_some_memory
from specvae.estimators import (
    AdversarialAutoencoder,
    SemiSupervisedVAE,
    SpectralAutoencoder,
    SpectralRegressor,
    SpectralSimulator,
    SpectralVAE,
    _precision,
)
from specvae.estimators._base import _compared
from specvae.estimators._compute import Compute
from specvae.estimators._data import Batch, TrainingData
from specvae.estimators._precision import largest_move, training_precision

CPU = torch.device("cpu")
HALVES = (slice(0, 20), slice(20, None))
SHORT = {"max_epochs": 2, "batch_size": 8, "random_state": 0, "device": "cpu"}
N_PIXELS = 200


@pytest.fixture(scope="module")
def spectra():
    """Flux with one line of varying depth and width, and these as labels."""
    rng = np.random.default_rng(0)
    depth, width = rng.uniform(0.1, 0.8, 60), rng.uniform(2.0, 20.0, 60)
    pixel = np.arange(N_PIXELS)
    flux = 1.0 - depth[:, None] * np.exp(-0.5 * ((pixel - 100) / width[:, None]) ** 2)
    flux += rng.normal(0.0, 0.01, flux.shape)
    return flux.astype(np.float32), np.column_stack([depth, width])


# Fits, and a function that asks the fitted estimator.
ESTIMATORS = {
    "SpectralAutoencoder": lambda flux, labels, **options: (
        model := SpectralAutoencoder(2, **options).fit(flux),
        lambda: model.transform(flux),
    ),
    "SpectralVAE": lambda flux, labels, **options: (
        model := SpectralVAE(2, **options).fit(flux),
        lambda: model.transform(flux),
    ),
    "SpectralRegressor": lambda flux, labels, **options: (
        model := SpectralRegressor(**options).fit(flux, labels),
        lambda: model.predict(flux),
    ),
    "SpectralSimulator": lambda flux, labels, **options: (
        model := SpectralSimulator(**options).fit(labels, flux),
        lambda: model.predict(labels),
    ),
    "SemiSupervisedVAE": lambda flux, labels, **options: (
        model := SemiSupervisedVAE(1, **options).fit(flux, labels),
        lambda: model.predict(flux),
    ),
    "AdversarialAutoencoder": lambda flux, labels, **options: (
        model := AdversarialAutoencoder(2, **options).fit(flux, conditions=labels),
        lambda: model.transform(flux, conditions=labels),
    ),
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_bfloat16_is_near_float32(name, spectra):
    model, answer = ESTIMATORS[name](*spectra, **SHORT)
    exact = answer()
    model.precision_ = "bfloat16"
    lowered = answer()
    assert lowered.dtype == exact.dtype and not np.array_equal(lowered, exact)
    np.testing.assert_allclose(lowered, exact, atol=0.05 * np.abs(exact).max(), rtol=0.0)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_bfloat16_trains(name, spectra):
    model, answer = ESTIMATORS[name](*spectra, precision="bfloat16", **SHORT)
    assert model.precision_ == "bfloat16"
    assert np.isfinite(answer()).all()
    assert {each.dtype for each in model.net_.module_.parameters()} == {torch.float32}
    plain, _ = ESTIMATORS[name](*spectra, **SHORT)
    lowered, exact = model.history_["train_loss"], plain.history_["train_loss"]
    assert not np.array_equal(lowered, exact)
    np.testing.assert_allclose(lowered, exact, rtol=0.05)


@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_bfloat16_learns_as_much(kind, spectra):
    flux, labels = spectra
    options = {**SHORT, "encoder": kind, "max_epochs": 25, "learning_rate": 0.01}
    exact = SpectralRegressor(**options).fit(flux, labels).score(flux, labels)
    lowered = SpectralRegressor(precision="bfloat16", **options).fit(flux, labels)
    assert exact > 0.9
    assert lowered.score(flux, labels) > exact - 0.05


def test_two_threads_put_back_what_was_before(spectra):
    flux, _ = spectra
    before = torch.get_num_threads()
    first, second = Compute(n_threads=before + 1), Compute(n_threads=before + 1)
    network = SpectralAutoencoder(2, encoder="dense", **SHORT).fit(flux).net_.module_
    with contextlib.ExitStack() as outer:
        outer.enter_context(first.on(network))
        entered = second.on(network)
        entered.__enter__()
        outer.close()  # the first ends before the second
        assert torch.get_num_threads() == before + 1
        entered.__exit__(None, None, None)
    assert torch.get_num_threads() == before


def test_labelled_spectra_are_compared_first():
    labels = np.full((2000, 1), np.nan)
    labels[[7, 1234, 1999]] = 1.0
    data = TrainingData(np.zeros((2000, 1)), np.ones(2000), labels=labels)
    rows = _compared(data, np.arange(2000))
    assert len(np.unique(rows)) == 512
    assert set(rows[:3]) == {7, 1234, 1999}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_auto_has_an_answer_for_every_estimator(name, spectra, monkeypatch):
    monkeypatch.setattr(_precision, "has_native_bfloat16", lambda device: True)
    seen = []

    def move(network, batches):
        seen.append(largest_move(network, batches))
        return seen[-1]

    monkeypatch.setattr(_precision, "largest_move", move)
    ESTIMATORS[name](*spectra, precision="auto", **SHORT)
    assert len(seen) == 1 and 0.0 < seen[0] < np.inf


@pytest.mark.parametrize(
    ("is_native", "move", "expected"),
    [(False, 0.0, "float32"), (True, 0.04, "bfloat16"), (True, 0.06, "float32")],
)
def test_auto_takes_bfloat16_where_it_is_native_and_harmless(
    is_native, move, expected, spectra, monkeypatch
):
    monkeypatch.setattr(_precision, "has_native_bfloat16", lambda device: is_native)
    monkeypatch.setattr(_precision, "largest_move", lambda network, batch: move)
    flux, _ = spectra
    fitted = SpectralAutoencoder(2, precision="auto", **SHORT).fit(flux)
    assert fitted.precision_ == expected
    plain = SpectralAutoencoder(2, **SHORT).fit(flux)
    assert plain.precision_ == "float32"
    # It trained in float32 all the same.
    np.testing.assert_array_equal(fitted.history_["train_loss"], plain.history_["train_loss"])
    is_same = np.array_equal(fitted.transform(flux), plain.transform(flux))
    assert is_same == (expected == "float32")


def test_largest_move_is_in_units_of_the_error_of_a_label(spectra):
    flux, labels = spectra
    model = SpectralRegressor(**SHORT).fit(flux, labels)
    network = model.net_.module_
    known = labels.copy()
    known[::2, 0] = np.nan
    batch = Batch(
        torch.from_numpy(flux), torch.ones(len(flux)), torch.from_numpy(known.astype(np.float32))
    )
    exact = model.predict(flux)
    model.precision_ = "bfloat16"
    moved = np.abs(model.predict(flux) - exact)
    error = np.nanmean(np.abs(exact - known), axis=0)
    expected = (moved / error).max()
    np.testing.assert_allclose(largest_move(network, [batch]), expected, rtol=1e-3)
    parts = [Batch._make(None if x is None else x[rows] for x in batch) for rows in HALVES]
    np.testing.assert_allclose(largest_move(network, parts), expected, rtol=1e-3)


def test_labels_of_unknown_error_are_not_risked(spectra):
    flux, labels = spectra
    network = SpectralRegressor(**SHORT).fit(flux, labels).net_.module_
    unknown = torch.full((len(flux), 2), torch.nan)
    batch = Batch(torch.from_numpy(flux), torch.ones(len(flux)), unknown)
    assert largest_move(network, [batch]) == np.inf


def test_auto_trains_in_float32_on_a_cpu():
    assert training_precision("auto", CPU) == "float32"
    assert training_precision("bfloat16", CPU) == "bfloat16"
    assert training_precision("float32", CPU) == "float32"


def test_threads_are_set_while_computing_and_put_back(spectra, monkeypatch):
    flux, _ = spectra
    before = torch.get_num_threads()
    wanted = before + 1
    seen = []
    forward = torch.nn.Module.__call__

    def watched(module, *args, **kwargs):
        seen.append(torch.get_num_threads())
        return forward(module, *args, **kwargs)

    monkeypatch.setattr(torch.nn.Module, "__call__", watched)
    model = SpectralAutoencoder(2, encoder="dense", n_threads=wanted, **SHORT).fit(flux)
    assert set(seen) == {wanted}
    assert torch.get_num_threads() == before
    seen.clear()
    codes = model.transform(flux)
    assert set(seen) == {wanted} and torch.get_num_threads() == before
    with pytest.raises(FloatingPointError):
        SpectralAutoencoder(2, n_threads=wanted, learning_rate=1e30, **SHORT).fit(1e20 * flux)
    assert torch.get_num_threads() == before
    seen.clear()
    model.set_params(n_threads=None).inverse_transform(codes)
    assert set(seen) == {before}


@pytest.mark.parametrize(
    ("name", "value"), [("precision", "half"), ("n_threads", 0), ("shuffle_block", 0)]
)
def test_wrong_settings_are_named(name, value, spectra):
    flux, _ = spectra
    model = SpectralAutoencoder(2, **SHORT).set_params(**{name: value})
    with pytest.raises(ValueError, match=name):
        model.fit(flux)
    assert not hasattr(model, "net_")


def test_precision_survives_a_file(spectra, tmp_path):
    flux, _ = spectra
    model = SpectralAutoencoder(2, precision="bfloat16", **SHORT).fit(flux)
    model.save(tmp_path / "model.specvae")
    loaded = specvae.load(tmp_path / "model.specvae")
    assert loaded.precision_ == "bfloat16"
    np.testing.assert_array_equal(loaded.transform(flux), model.transform(flux))


@pytest.mark.skipif(
    shutil.which("g++") is None and shutil.which("c++") is None,
    reason="torch.compile needs a C++ compiler",
)
# torch's own compiler looks at the gradient of what a body is given.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
def test_a_compiled_network_is_the_same_network(spectra):
    flux, labels = spectra
    flux = flux[:, 68:132]
    options = SHORT | {"max_epochs": 1, "batch_size": 27, "validation_fraction": 0.1}
    plain = SpectralRegressor(**options).fit(flux, labels)
    compiled = SpectralRegressor(compile=True, **options).fit(flux, labels)
    body = compiled.net_.module_.encoder.body
    assert body._compiled_call_impl is not None
    np.testing.assert_allclose(compiled.predict(flux), plain.predict(flux), atol=1e-4)
    again = pickle.loads(pickle.dumps(compiled))
    assert again.net_.module_.encoder.body._compiled_call_impl is None
    compiled.set_params(compile=False).predict(flux)
    assert body._compiled_call_impl is None


class FakeLibrary:
    def __init__(self):
        self.calls = []

    def mallopt(self, *given):
        self.calls.append(given)
        return 1

    def malloc_trim(self, pad):
        self.calls.append("trim")


def test_memory_is_handed_back_after_the_last_training(monkeypatch):
    library = FakeLibrary()
    monkeypatch.setattr(_memory, "_gnu_library", lambda: library)
    keeping = [(-4, 0), (-1, 2**31 - 1)]
    with keep_freed_memory():
        with pytest.raises(RuntimeError), keep_freed_memory():
            raise RuntimeError
        assert library.calls == 2 * keeping
    some = [(-3, 2**25), (-1, 2**28)]
    assert library.calls[4:] == [(-4, 65_536), *some, "trim"]
    library.calls.clear()
    with keep_freed_memory():
        keep_some_memory()  # all is kept already
    assert library.calls == [*keeping, (-4, 65_536), *some, "trim"]
    library.calls.clear()
    keep_some_memory()
    assert library.calls == some


def test_other_c_libraries_are_left_alone(monkeypatch):
    monkeypatch.setattr(_memory, "_gnu_library", lambda: None)
    with keep_freed_memory():
        keep_some_memory()
