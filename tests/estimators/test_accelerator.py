"""Two processes on the CPU that share a training, over gloo."""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.base import clone

from specvae.estimators import AdversarialAutoencoder, SpectralAutoencoder, SpectralRegressor
from specvae.estimators._share import Share

accelerate = pytest.importorskip("accelerate")

# What each process runs: it fits, and writes what it has learnt.
PROGRAM = """
import json, sys
import numpy as np
from accelerate import Accelerator
from specvae.estimators import {imports}

options = json.loads(sys.argv[1])
resume_from = options.pop("resume_from", None)
flux, labels = np.load(sys.argv[2] + "/flux.npy"), np.load(sys.argv[2] + "/labels.npy")
accelerator = Accelerator(cpu=True)
model = {model}
place = sys.argv[2] + f"/{{accelerator.process_index}}of{{accelerator.num_processes}}"
weights = [value.numpy() for value in model.net_.module_.state_dict().values()]
np.savez(place, *weights)
with open(place + ".json", "w") as file:
    json.dump(model.history_.drop(columns="seconds").to_dict("list"), file)
if accelerator.num_processes > 1:
    import torch
    torch.distributed.destroy_process_group()
"""
AUTOENCODER = PROGRAM.format(
    imports="SpectralAutoencoder",
    model="SpectralAutoencoder(2, accelerator=accelerator, **options)"
    ".fit(flux, resume_from=resume_from)",
)
REGRESSOR = PROGRAM.format(
    imports="SpectralRegressor",
    # Each process drops pixels of its own.
    model="SpectralRegressor(random_missing=0.0, accelerator=accelerator, **options)"
    ".fit(flux, labels)",
)
OPTIONS = {"max_epochs": 3, "batch_size": 8, "random_state": 0, "validation_fraction": 0.2}


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    depth = rng.uniform(0.1, 0.8, 53)  # 43 train: the last batch has 3
    line = np.exp(-0.5 * ((np.arange(120) - 60) / 8.0) ** 2)
    flux = 1.0 - depth[:, None] * line + rng.normal(0.0, 0.01, (53, 120))
    np.save(tmp_path / "flux.npy", flux.astype(np.float32))
    np.save(tmp_path / "labels.npy", depth)
    return tmp_path


def run(program, folder, n_processes, **options):
    """Run the program in so many processes; weights and history of each."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running = []
    for number in range(n_processes):
        environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        if n_processes > 1:
            environment |= {
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
                "RANK": str(number),
                "LOCAL_RANK": str(number),
                "WORLD_SIZE": str(n_processes),
            }
        command = [sys.executable, "-c", program, json.dumps(OPTIONS | options), str(folder)]
        running.append(
            subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        )
    try:
        for process in running:
            _, errors = process.communicate(timeout=240)
            assert process.returncode == 0, errors
    finally:
        for process in running:
            process.kill()
            process.communicate()
    found = []
    for number in range(n_processes):
        place = folder / f"{number}of{n_processes}"
        with np.load(f"{place}.npz") as weights:
            found.append(
                (list(weights.values()), json.loads(place.with_suffix(".json").read_text()))
            )
    return found


@pytest.mark.parametrize("program", [AUTOENCODER, REGRESSOR], ids=["autoencoder", "regressor"])
def test_two_processes_learn_what_one_does(program, folder):
    ((alone, history),) = run(program, folder, 1)
    (first, history_0), (second, history_1) = run(program, folder, 2)
    assert history_0 == history_1
    for name in ("train_loss", "valid_loss"):
        np.testing.assert_allclose(history_0[name], history[name], rtol=1e-4)
    for mine, other, one in zip(first, second, alone, strict=True):
        np.testing.assert_array_equal(mine, other)
        np.testing.assert_allclose(mine, one, atol=1e-4)


def test_shares_go_on_from_a_checkpoint(folder):
    (whole, history), _ = run(AUTOENCODER, folder, 2, max_epochs=4)
    checkpoint = str(folder / "training.pt")
    cut = """
import specvae.estimators._net as net_module
write = net_module.Checkpoint.write
def write_and_stop(self, *args, **kwargs):
    write(self, *args, **kwargs)
    if len(kwargs["history"]) == 2:
        raise SystemExit(0)
net_module.Checkpoint.write = write_and_stop
"""
    kept = {"max_epochs": 4, "checkpoint_path": checkpoint, "checkpoint_minutes": 0.0}
    options = json.dumps(OPTIONS | kept)
    command = [sys.executable, "-c", cut + AUTOENCODER, options, str(folder)]
    subprocess.run(command, check=True, env=os.environ | {"CUDA_VISIBLE_DEVICES": ""})
    (resumed, of_resumed), _ = run(
        AUTOENCODER, folder, 2, **kept, resume_from=checkpoint, random_state=0
    )
    np.testing.assert_allclose(of_resumed["train_loss"], history["train_loss"], rtol=1e-4)
    for mine, other in zip(resumed, whole, strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-4)


class FakeAccelerator:
    """Two processes of which the other has the rows that this one lacks."""

    num_processes, process_index = 2, 0

    def __init__(self, of_other):
        self.of_other = of_other

    def reduce(self, message, reduction):
        assert reduction == "sum"
        return message + self.of_other


def test_each_row_counts_once():
    layer = torch.nn.Linear(2, 1, bias=False)
    layer.weight.grad = torch.tensor([[1.0, 2.0]])
    other = torch.tensor([5.0 * 1, 8.0 * 1, 1.0])  # gradient (5, 8) of one row, and their number
    Share(FakeAccelerator(other)).add_up_gradients(layer, 3)
    torch.testing.assert_close(layer.weight.grad, torch.tensor([[8.0 / 4.0, 14.0 / 4.0]]))


def test_an_accelerator_may_be_cloned_and_used_alone(folder):
    flux = np.load(folder / "flux.npy")
    options = OPTIONS | {"encoder": "dense", "decoder": "dense"}
    accelerator = accelerate.Accelerator(cpu=True)
    model = clone(SpectralAutoencoder(2, accelerator=accelerator, **options)).fit(flux)
    plain = SpectralAutoencoder(2, device="cpu", **options).fit(flux)
    np.testing.assert_array_equal(model.transform(flux), plain.transform(flux))


@pytest.mark.parametrize("given", ["auto", 2, object()])
def test_what_is_no_accelerator_is_refused(given, folder):
    model = SpectralAutoencoder(2, accelerator=given)
    with pytest.raises(ValueError, match=r"accelerator must be an accelerate\.Accelerator"):
        model.fit(np.load(folder / "flux.npy"))


def test_an_accelerator_that_does_more_is_refused(folder, monkeypatch):
    flux = np.load(folder / "flux.npy")
    accelerator = accelerate.Accelerator(cpu=True)
    monkeypatch.setattr(type(accelerator), "mixed_precision", "bf16", raising=False)
    with pytest.raises(ValueError, match="precision="):
        SpectralAutoencoder(2, accelerator=accelerator).fit(flux)
    monkeypatch.setattr(type(accelerator), "mixed_precision", "no")
    accelerator.gradient_accumulation_steps = 4
    with pytest.raises(ValueError, match="batch_size"):
        SpectralAutoencoder(2, accelerator=accelerator).fit(flux)


def test_missing_labels_are_not_shared(folder, monkeypatch):
    accelerator = accelerate.Accelerator(cpu=True)
    monkeypatch.setattr(type(accelerator), "num_processes", 2)
    flux, labels = np.load(folder / "flux.npy"), np.load(folder / "labels.npy")
    labels[3] = np.nan
    with pytest.raises(ValueError, match="missing labels"):
        SpectralRegressor(accelerator=accelerator).fit(flux, labels)


def test_adversaries_learn_in_one_process(folder, monkeypatch):
    accelerator = accelerate.Accelerator(cpu=True)
    monkeypatch.setattr(type(accelerator), "num_processes", 2)
    with pytest.raises(ValueError, match="one process"):
        AdversarialAutoencoder(2, accelerator=accelerator).fit(np.load(folder / "flux.npy"))
