import io
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import time
import zipfile

import numpy as np
import pytest
import torch
from sklearn.base import clone

from specvae.estimators import (
    AdversarialAutoencoder,
    SemiSupervisedVAE,
    SpectralAutoencoder,
    SpectralRegressor,
    SpectralVAE,
)
from specvae.estimators import _checkpoint as checkpoint_module
from specvae.estimators._checkpoint import Checkpoint, check_identity, read_checkpoint
from specvae.simulation import simulate_spectra
from specvae.spectra import WavelengthGrid

GRID = WavelengthGrid(5150.0, 0.2, 256)

# The fits are short: some latents find nothing.
pytestmark = pytest.mark.filterwarnings("ignore::specvae.exceptions.CollapsedLatentsWarning")


@pytest.fixture(scope="module")
def flux():
    simulated = simulate_spectra(60, GRID, random_state=0)
    return simulated.flux / np.median(simulated.flux, axis=1, keepdims=True)


_OTHER_DATA = r"training on other spectra|\(other (labels|groups|weights|conditions)"
OPTIONS = {
    "encoder": "dense",
    "max_epochs": 12,
    "batch_size": 8,
    "random_state": 0,
    "device": "cpu",
    "checkpoint_minutes": 0,
}


def make_autoencoder(**changes):
    return SpectralAutoencoder(3, **{**OPTIONS, "decoder": "dense", **changes})


def make_vae(**changes):
    parameters = {"decoder": "dense", "kl_weight": 1e-5, "mmd_weight": 0.1, **changes}
    return SpectralVAE(3, **{**OPTIONS, **parameters})


def make_regressor(**changes):
    return SpectralRegressor(**{**OPTIONS, **changes})


def make_semi_supervised(**changes):
    return SemiSupervisedVAE(1, **{**OPTIONS, "decoder": "dense", **changes})


def make_adversarial(**changes):
    return AdversarialAutoencoder(3, **{**OPTIONS, "decoder": "dense", **changes})


def weights(estimator):
    return estimator.net_.module_.state_dict()


def assert_same_weights(one, other):
    assert weights(one).keys() == weights(other).keys()
    for name, value in weights(one).items():
        assert torch.equal(value, weights(other)[name]), name


def assert_same_course(one, other):
    left, right = one.history_.drop(columns="seconds"), other.history_.drop(columns="seconds")
    assert left.equals(right)


def break_after(monkeypatch, n_batches, error=KeyboardInterrupt):
    """Let the training be cut short in the middle of an epoch."""
    from specvae.estimators import _net

    original, calls = _net._SpectraNet.train_step, []

    def train_step(self, *arguments, **options):
        calls.append(1)
        if len(calls) > n_batches:
            raise error
        return original(self, *arguments, **options)

    monkeypatch.setattr(_net._SpectraNet, "train_step", train_step)


def fit(estimator, flux, **options):
    if isinstance(estimator, SpectralRegressor):
        return estimator.fit(flux, flux[:, :2], **options)
    if isinstance(estimator, SemiSupervisedVAE):
        # A quarter of the labels is known: rows that have them join batches, as simulated rows
        # do, drawn by a generator of numpy.
        labels = np.where(np.arange(len(flux))[:, None] % 4 < 1, flux[:, :2], np.nan)
        simulated = (flux[:20], flux[:20, :2])
        return estimator.fit(flux, labels, simulated=simulated, **options)
    if isinstance(estimator, AdversarialAutoencoder):
        return estimator.fit(flux, conditions=flux[:, :2], **options)
    return estimator.fit(flux, **options)


def test_helper_that_compares_weights_can_fail(flux):
    one, other = make_autoencoder().fit(flux), make_autoencoder(random_state=1).fit(flux)
    with pytest.raises(AssertionError):
        assert_same_weights(one, other)
    with pytest.raises(AssertionError):
        assert_same_course(one, other)


@pytest.mark.parametrize(
    "make",
    [make_autoencoder, make_vae, make_regressor, make_semi_supervised, make_adversarial],
)
@pytest.mark.parametrize("n_batches", [17, 40])  # seven an epoch
def test_ctrl_c_then_resume_is_as_an_unbroken_run(flux, tmp_path, monkeypatch, make, n_batches):
    unbroken = fit(make(), flux)
    path = tmp_path / "state"
    with monkeypatch.context() as patch:
        break_after(patch, n_batches)
        with pytest.raises(KeyboardInterrupt):
            fit(make(checkpoint_path=path), flux)
    assert len(read_checkpoint(path)["history"]) == n_batches // 7
    resumed = fit(make(checkpoint_path=path), flux, resume_from=path)
    assert_same_weights(resumed, unbroken)
    assert_same_course(resumed, unbroken)
    np.testing.assert_array_equal(
        resumed.net_.module_.scaler.mean, unbroken.net_.module_.scaler.mean
    )


@pytest.mark.parametrize("make", [make_autoencoder, make_vae])
def test_error_twice_then_resume(flux, tmp_path, monkeypatch, make):
    unbroken = make().fit(flux)
    path = str(tmp_path / "state")
    for _ in range(2):
        resume = {"resume_from": path} if os.path.exists(path) else {}
        with monkeypatch.context() as patch:
            break_after(patch, 24, error=RuntimeError("the machine is gone"))
            with pytest.raises(RuntimeError, match="gone"):
                make(checkpoint_path=path).fit(flux, **resume)
    # The file that is resumed is written on, though no path is given.
    resumed = make().fit(flux, resume_from=path)
    assert_same_weights(resumed, unbroken)
    assert len(read_checkpoint(path)["history"]) == 12


@pytest.mark.parametrize(
    "changes",
    [
        {"validation_fraction": 0.0},
        {"patience": 4, "learning_rate": 0.1, "max_epochs": 60, "validation_fraction": 0.4},
        {"linear_path": True},
        {"encoder": "conv", "decoder": "conv", "max_epochs": 4},
    ],
)
def test_resume_in_every_mode(flux, tmp_path, monkeypatch, changes):
    unbroken = make_autoencoder(**changes).fit(flux)
    path = tmp_path / "state"
    with monkeypatch.context() as patch:
        break_after(patch, 18)
        with pytest.raises(KeyboardInterrupt):
            make_autoencoder(**changes, checkpoint_path=path).fit(flux)
    resumed = make_autoencoder(**changes).fit(flux, resume_from=path)
    assert_same_weights(resumed, unbroken)
    assert_same_course(resumed, unbroken)


@pytest.mark.parametrize("patience", [None, 1])
def test_resume_of_a_finished_training_changes_nothing(flux, tmp_path, patience):
    path = tmp_path / "state"
    options = {"patience": patience, "learning_rate": 0.1, "checkpoint_path": path}
    finished = make_vae(**options).fit(flux)
    again = make_vae(**options).fit(flux, resume_from=path)
    assert_same_weights(again, finished)
    assert_same_course(again, finished)


def test_random_training_goes_on_with_its_own_seeds(flux, tmp_path, monkeypatch):
    path = tmp_path / "state"
    with monkeypatch.context() as patch:
        break_after(patch, 30)
        with pytest.raises(KeyboardInterrupt):
            make_vae(random_state=None, checkpoint_path=path).fit(flux)
    saved = path.read_bytes()
    one = make_vae(random_state=None).fit(flux, resume_from=path)
    path.write_bytes(saved)
    other = make_vae(random_state=None).fit(flux, resume_from=path)
    assert_same_weights(one, other)


def test_checkpoint_changes_no_weight_and_no_global_state(flux, tmp_path):
    torch.manual_seed(1)
    np.random.seed(1)
    before = np.random.get_state()[1].copy(), torch.get_rng_state().clone()
    path = tmp_path / "state"
    written = make_vae(checkpoint_path=path).fit(flux)
    assert_same_weights(written, make_vae().fit(flux))
    make_vae().fit(flux, resume_from=path)
    assert np.array_equal(np.random.get_state()[1], before[0])
    assert torch.equal(torch.get_rng_state(), before[1])
    assert [each.name for each in tmp_path.iterdir()] == ["state"]


PROGRAM = textwrap.dedent(
    """
    import pickle
    import sys
    import numpy as np
    import specvae.estimators

    with open(sys.argv[1], "rb") as file:
        pickle.load(file).fit(np.load(sys.argv[2]))
    """
)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no SIGKILL")
@pytest.mark.parametrize("make", [make_autoencoder, make_vae])
def test_kill_at_any_moment_then_resume_is_as_an_unbroken_run(flux, tmp_path, make):
    path = tmp_path / "state"
    model = make(max_epochs=60, patience=None, checkpoint_path=path)
    np.save(tmp_path / "flux.npy", flux)
    (tmp_path / "model").write_bytes(pickle.dumps(model))
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "model"), str(tmp_path / "flux.npy")]
    )
    try:
        # Killed some time after the first write: in a step, between two, or while writing.
        until = time.monotonic() + 120
        while not path.exists() and process.poll() is None and time.monotonic() < until:
            time.sleep(0.001)
        time.sleep(0.2 * np.random.default_rng().random())
    finally:
        process.kill()
        process.wait()
    assert process.returncode == -signal.SIGKILL
    assert 0 < len(read_checkpoint(path)["history"]) < 60
    resumed = clone(model).fit(flux, resume_from=path)
    unbroken = clone(model).set_params(checkpoint_path=None).fit(flux)
    assert_same_weights(resumed, unbroken)
    assert_same_course(resumed, unbroken)


@pytest.fixture(scope="module")
def written(flux, tmp_path_factory):
    """Bytes of a checkpoint after three of twelve epochs."""
    path = tmp_path_factory.mktemp("checkpoint") / "state"
    with pytest.MonkeyPatch.context() as patch:
        break_after(patch, 21)
        with pytest.raises(KeyboardInterrupt):
            make_autoencoder(checkpoint_path=path).fit(flux)
    return path.read_bytes()


@pytest.fixture
def path(written, tmp_path):
    path = tmp_path / "state"
    path.write_bytes(written)
    return path


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"learning_rate": 1e-4}, "parameters"),
        ({"max_epochs": 20}, "parameters"),
        ({"latent_dim": 4}, "parameters"),
        ({"random_state": 1}, "seeds"),
    ],
)
def test_checkpoint_of_other_parameters_is_refused(flux, path, changes, named):
    model = make_autoencoder()
    model.set_params(**changes)
    message = rf"belongs to another training \({named} was .*, is .*start anew"
    with pytest.raises(ValueError, match=message):
        model.fit(flux, resume_from=path)
    assert not hasattr(model, "net_")


def test_checkpoint_of_another_estimator_or_number_of_spectra_is_refused(flux, path):
    with pytest.raises(ValueError, match="estimator was 'SpectralAutoencoder', is 'SpectralVAE'"):
        make_vae().fit(flux, resume_from=path)
    with pytest.raises(ValueError, match=r"spectra was \[60, 256\], is \[59, 256\]"):
        make_autoencoder().fit(flux[:59], resume_from=path)


def test_checkpoint_of_other_spectra_is_refused(flux, path):
    for other, options in (
        (flux[::-1], {}),
        (flux * np.float32(1.01), {}),
        (flux, {"sample_weight": np.arange(1.0, 61.0)}),
        (flux, {"groups": np.arange(60) // 5}),
    ):
        with pytest.raises(
            ValueError,
            match=_OTHER_DATA,
        ):
            make_autoencoder().fit(other, resume_from=path, **options)
    make_autoencoder().fit(flux, resume_from=path)


def test_checkpoint_of_other_labels_is_refused(flux, tmp_path):
    path = tmp_path / "state"
    make_regressor(max_epochs=1, checkpoint_path=path).fit(flux, flux[:, 0])
    with pytest.raises(ValueError, match=_OTHER_DATA):
        make_regressor(max_epochs=1).fit(flux, flux[:, 9], resume_from=path)


def test_checkpoint_of_the_same_labels_in_another_order_is_refused(flux, tmp_path):
    path = tmp_path / "state"
    model = make_semi_supervised(max_epochs=1, checkpoint_path=path, validation_fraction=0.0)
    model.fit(flux, flux[:, :2])
    with pytest.raises(ValueError, match=r"training \(other labels\)"):
        clone(model).fit(flux, flux[::-1, :2], resume_from=path)


def test_simulated_spectra_may_differ_by_rounding(flux, tmp_path):
    """On another processor they do."""
    path = tmp_path / "state"
    model = make_semi_supervised(max_epochs=1, checkpoint_path=path)
    model.fit(flux, flux[:, :2], simulated=(flux[:20], flux[:20, :2]))
    rounded = (flux[:20] * np.float32(1 + 1e-6), flux[:20, :2])
    clone(model).fit(flux, flux[:, :2], simulated=rounded, resume_from=path)
    with pytest.raises(ValueError, match="other simulated"):
        changed = (flux[:20] * np.float32(1.01), flux[:20, :2])
        clone(model).fit(flux, flux[:, :2], simulated=changed, resume_from=path)


def test_refusal_names_the_file_that_was_read(flux, path, tmp_path):
    model = make_autoencoder(checkpoint_path=tmp_path / "new")
    with pytest.raises(ValueError, match=f"the checkpoint {path} belongs"):
        model.fit(1.01 * flux, resume_from=path)


def test_checkpoint_of_other_layers_is_refused(flux, tmp_path):
    path = tmp_path / "state"
    make_autoencoder(encoder=Dropping, max_epochs=1, checkpoint_path=path).fit(flux)
    state = torch.load(path, weights_only=True)
    del state["generators"]["layers"]
    torch.save(state, path)
    with pytest.raises(ValueError, match="other layers"):
        make_autoencoder(encoder=Dropping, max_epochs=1).fit(flux, resume_from=path)


def test_checkpoint_of_other_labels_beside_larger_ones_is_refused(flux, tmp_path):
    labels = np.column_stack([5000.0 + 1000.0 * flux[:, 7], flux[:, 9]])
    path = tmp_path / "state"
    make_regressor(max_epochs=1, checkpoint_path=path).fit(flux, labels)
    with pytest.raises(ValueError, match=_OTHER_DATA):
        make_regressor(max_epochs=1).fit(flux, labels + [0.0, 0.02], resume_from=path)


def test_checkpoint_of_other_simulated_spectra_is_refused(flux, tmp_path):
    path = tmp_path / "state"
    model = make_semi_supervised(max_epochs=1, checkpoint_path=path)
    simulated = (flux[:20], flux[:20, :2])
    model.fit(flux, flux[:, :2], simulated=simulated)
    for other in (None, (flux[:20], flux[:20, 1:3]), (flux[:19], flux[:19, :2])):
        with pytest.raises(ValueError, match=r"training \(other simulated"):
            clone(model).fit(flux, flux[:, :2], simulated=other, resume_from=path)
    clone(model).fit(flux, flux[:, :2], simulated=simulated, resume_from=path)


def test_checkpoint_of_other_errors_of_the_flux_is_refused(flux, tmp_path):
    path = tmp_path / "state"
    model = make_vae(max_epochs=1, checkpoint_path=path)
    model.fit(flux, flux_error=0.1 * flux)
    for other in (None, 0.2 * flux):
        with pytest.raises(ValueError, match=r"training \(other flux error"):
            clone(model).fit(flux, flux_error=other, resume_from=path)
    clone(model).fit(flux, flux_error=0.1 * flux, resume_from=path)


def test_resumed_training_is_written_where_it_is_told(flux, path, written, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    make_autoencoder(checkpoint_path=elsewhere).fit(flux, resume_from=path)
    assert path.read_bytes() == written
    assert len(read_checkpoint(elsewhere)["history"]) == OPTIONS["max_epochs"]
    make_autoencoder().fit(flux, resume_from=path)  # without a path it goes on where it was
    assert len(read_checkpoint(path)["history"]) == OPTIONS["max_epochs"]


class Dropping(torch.nn.Sequential):
    """A user's encoder whose layers draw numbers of their own."""

    def __init__(self, n_inputs, n_outputs):
        super().__init__(torch.nn.Linear(n_inputs, n_outputs), torch.nn.Dropout(0.5))


def test_layers_that_draw_have_numbers_of_the_training(flux, tmp_path, monkeypatch):
    path = tmp_path / "state"
    torch.manual_seed(1)
    unbroken = make_autoencoder(encoder=Dropping).fit(flux)
    torch.manual_seed(2)  # which nobody reads
    before = torch.get_rng_state()
    with monkeypatch.context() as patch:
        break_after(patch, 21)
        with pytest.raises(KeyboardInterrupt):
            make_autoencoder(encoder=Dropping, checkpoint_path=path).fit(flux)
    resumed = make_autoencoder(encoder=Dropping).fit(flux, resume_from=path)
    assert_same_weights(resumed, unbroken)
    assert torch.equal(torch.get_rng_state(), before)
    other = make_autoencoder(encoder=Dropping, random_state=1).fit(flux)
    with pytest.raises(AssertionError):
        assert_same_weights(other, unbroken)


def test_checkpoint_of_other_conditions_is_refused(flux, tmp_path):
    model = AdversarialAutoencoder(
        2, **{**OPTIONS, "decoder": "dense", "max_epochs": 1, "checkpoint_path": tmp_path / "state"}
    )
    model.fit(flux, conditions=flux[:, 7])
    with pytest.raises(ValueError, match=_OTHER_DATA):
        clone(model).fit(flux, conditions=10.0 * flux[:, 9], resume_from=tmp_path / "state")


def test_where_the_file_lies_and_what_it_runs_on_may_change(flux, path, tmp_path):
    model = make_autoencoder(checkpoint_path=tmp_path / "elsewhere", checkpoint_minutes=5.0)
    model.fit(flux, resume_from=path)


def damage(content, how):
    if how == "cut short":
        return content[: len(content) // 2]
    if how == "empty":
        return b""
    if how == "text":
        return b"not a checkpoint"
    # One bit of a weight.
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        largest = max(archive.infolist(), key=lambda each: each.file_size)
        at = content.find(archive.read(largest)) + largest.file_size // 2
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


@pytest.mark.parametrize("how", ["cut short", "empty", "text", "one bit"])
def test_damaged_checkpoint_is_refused(flux, path, how):
    content = path.read_bytes()
    path.write_bytes(damage(content, how))
    assert path.read_bytes() != content
    with pytest.raises(ValueError, match=r"is no checkpoint or is damaged .* start anew without"):
        make_autoencoder().fit(flux, resume_from=path)


class Evil:
    """Its pickle runs a command when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_pickle_that_would_run_code_is_refused(path, tmp_path):
    trace = str(tmp_path / "trace")
    plain = tmp_path / "plain"
    plain.write_bytes(pickle.dumps({"format": "specvae-checkpoint", "evil": Evil(trace)}))
    zipped = tmp_path / "zipped"
    torch.save({"format": "specvae-checkpoint", "evil": Evil(trace)}, zipped)
    for each in (plain, zipped):
        with pytest.raises(ValueError, match="is no checkpoint or is damaged"):
            read_checkpoint(each)
        assert not os.path.exists(trace)
    # It would have run.
    torch.load(zipped, weights_only=False)
    assert os.path.exists(trace)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ([1, 2], "is not a checkpoint of a training"),
        ({"weights": torch.zeros(2)}, "is not a checkpoint of a training"),
        ({"format": "specvae-checkpoint"}, "without all its parts"),
        ({"version": "1"}, "without all its parts"),
        ({"version": 2}, "has version 2 of the checkpoint format.*up to 1: upgrade"),
    ],
)
def test_other_files_of_torch_are_refused(path, state, message):
    if "version" in state:
        state = {**torch.load(path, weights_only=True), **state}
    torch.save(state, path)
    with pytest.raises(ValueError, match=message):
        read_checkpoint(path)


def test_missing_checkpoint_is_said(flux, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no checkpoint .*leave resume_from out"):
        make_autoencoder().fit(flux, resume_from=tmp_path / "none")


def test_folder_that_does_not_exist_is_said_before_the_training(flux, tmp_path, monkeypatch):
    break_after(monkeypatch, 0, error=AssertionError("training began"))
    for path in (tmp_path / "none" / "state", tmp_path):
        with pytest.raises(ValueError, match="checkpoint_path must be a file in a folder that"):
            make_autoencoder(checkpoint_path=path).fit(flux)


@pytest.mark.parametrize("broken", ["save", "fsync", "replace"])
def test_interrupted_write_leaves_the_old_one(flux, path, monkeypatch, broken):
    old = path.read_bytes()

    def fail(*arguments, **options):
        if broken == "save":
            arguments[1].write(b"half of a")
        raise OSError("no space left")

    where = checkpoint_module.torch if broken == "save" else checkpoint_module.os
    with monkeypatch.context() as patch:
        patch.setattr(where, broken, fail)
        with pytest.raises(OSError, match="no space left"):
            make_autoencoder().fit(flux, resume_from=path)
    assert path.read_bytes() == old
    assert [each.name for each in path.parent.iterdir()] == ["state"]
    assert_same_weights(
        make_autoencoder().fit(flux, resume_from=path), make_autoencoder().fit(flux)
    )


def test_part_that_a_kill_left_behind_does_no_harm(flux, path):
    path.with_name("state.part").write_bytes(b"half of a")
    make_autoencoder().fit(flux, resume_from=path)
    assert [each.name for each in path.parent.iterdir()] == ["state"]


def test_written_when_it_is_due(tmp_path):
    network = torch.nn.Linear(1, 1)
    checkpoint = Checkpoint(tmp_path / "state", 2.0, {})
    written = []
    for minutes in (1.0, 1.5, 1.0, 3.0):
        checkpoint._written_at -= 60.0 * minutes  # as if so much time had passed
        checkpoint.write(
            network,
            torch.optim.Adam(network.parameters()),
            history=[],
            keep_best={"best": np.inf, "best_epoch": 0, "weights": None},
            generators={},
            numpy_generator=np.random.default_rng(0),
            objective=None,
        )
        written.append(checkpoint.path.exists())
        checkpoint.path.unlink(missing_ok=True)
    assert written == [False, True, False, True]


def test_identity_names_what_differs():
    check_identity({"a": 1}, {"a": 1}, "file")
    with pytest.raises(ValueError, match=r"file belongs .*\(a was 1, is 2; b was None, is 3\)"):
        check_identity({"a": 1}, {"a": 2, "b": 3}, "file")
