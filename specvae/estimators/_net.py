"""The only module that sees skorch: it trains a network and gives back the net that holds it."""

import copy
import math
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import skorch
import torch
from skorch.callbacks import Callback
from skorch.helper import predefined_split

from .._progress import progress_bar
from .._random import make_generator
from ._batch_order import make_loader
from ._checkpoint import Checkpoint
from ._compute import Compute
from ._data import SpectraDataset, ahead
from ._objective import EpochMean, Objective, Stage
from ._share import Share


@dataclass(frozen=True)
class TrainingPlan:
    """How a network is trained."""

    max_epochs: int
    batch_size: int
    learning_rate: float
    patience: int | None
    device: torch.device
    seed: int
    verbose: int
    one_cycle: bool = True
    frozen: str = ""  # name of a part of the network that stands still at first
    frozen_epochs: int = 0
    checkpoint: Checkpoint | None = None
    compute: Compute = field(default_factory=Compute)
    shuffle_block: int = 1  # rows that are read together
    accelerator: Any = None

    def with_frozen(self, part: str, n_epochs: int) -> "TrainingPlan":
        """Return the plan with one part of the network standing still at first."""
        return replace(self, frozen=part, frozen_epochs=n_epochs)


class _SpectraNet(skorch.NeuralNet):
    """A skorch net that takes whole batches and asks an objective for their loss."""

    objective: Objective
    noise: torch.Generator
    order: torch.Generator  # of the batches
    shuffle_block: int
    share: Share  # of this process

    def get_iterator(self, dataset, training=False):
        shuffle_block = self.shuffle_block if training else None
        return make_loader(
            dataset, self.batch_size, self.order, shuffle_block=shuffle_block, share=self.share
        )

    def on_batch_begin(self, net, **kwargs):
        pass  # skorch opens a record of each batch, which nobody reads and the history keeps

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        if iterator is None:
            return
        with closing(ahead(iterator.dataset, iterator, self.device)) as batches:
            for batch in batches:
                self.notify("on_batch_begin", batch=batch, training=training)
                step = step_fn(batch, **fit_params)
                self.notify("on_batch_end", batch=batch, training=training, **step)

    def train_step_single(self, batch, **fit_params):
        self._set_training(True)
        losses = self._losses(batch, self.noise)
        losses.total.backward()
        self.share.add_up_gradients(self.module_, len(batch.flux))
        return {"loss": losses.total, "parts": losses.parts, "y_pred": None}

    def validation_step(self, batch, **fit_params):
        self._set_training(False)
        with torch.no_grad():
            losses = self._losses(batch, None)
        return {"loss": losses.total, "parts": losses.parts, "y_pred": None}

    def mean_loss(self, dataset):
        """Loss of the network as it is, over a data set."""
        mean = EpochMean()
        # Not through a loader, which would draw from the generator of the training.
        batches = dataset.in_order(self.batch_size)
        with closing(ahead(dataset, batches, self.device)) as batches:
            for batch in batches:
                mean.add(self.validation_step(batch)["parts"])
        return self.share.same(mean.loss())

    def _losses(self, batch, generator):
        stage = Stage(max(0, len(self.history) - 1), generator)
        return self.objective(self.module_, batch.to(self.device), stage)


class _Stop(Exception):
    """Training is over before the last epoch."""


class _LearningRate(Callback):
    """One cycle over all steps, told by their number alone, so that it can go on anywhere."""

    def __init__(self, peak: float, n_steps: int, n_batches: int):
        self.peak, self.n_steps, self.n_batches = peak, n_steps, n_batches

    def on_epoch_begin(self, net, **kwargs):
        self.step_ = (len(net.history) - 1) * self.n_batches

    def on_batch_begin(self, net, training=None, **kwargs):
        if training:
            for group in net.optimizer_.param_groups:
                group["lr"] = self.peak * rise_and_fall(self.step_, self.n_steps)
            self.step_ += 1


class _Parts(Callback):
    """Loss of each epoch, and the means of what it consists of."""

    def on_epoch_begin(self, net, **kwargs):
        self.means_ = {"train": EpochMean(), "valid": EpochMean()}

    def on_batch_end(self, net, training=None, parts=None, **kwargs):
        self.means_["train" if training else "valid"].add(parts)

    def on_epoch_end(self, net, **kwargs):
        for of, own in self.means_.items():
            mean = EpochMean()
            mean.join(net.share.gathered(own))
            parts = mean.means()
            if parts:
                net.history.record(f"{of}_loss", mean.loss())
            if list(parts) == ["reconstruction"]:
                continue  # it is the loss
            for name, value in parts.items():
                net.history.record(f"{of}_{name}", value)


class _Freeze(Callback):
    """Keep one part of the network as it is for the first epochs."""

    def __init__(self, part: str, n_epochs: int):
        self.part, self.n_epochs = part, n_epochs

    def on_epoch_begin(self, net, **kwargs):
        moves = len(net.history) > self.n_epochs
        getattr(net.module_, self.part).requires_grad_(moves)

    def on_train_end(self, net, **kwargs):
        getattr(net.module_, self.part).requires_grad_(True)


class _KeepBest(Callback):
    """Stop when the loss no longer falls; hold the best weights until they are put back."""

    def __init__(self, monitor: str, patience: int | None, start: SpectraDataset | None):
        self.monitor = monitor
        self.patience = patience
        self.start = start
        self.best_, self.best_epoch_ = np.inf, 0
        self.weights_: dict[str, Any] | None = None

    def on_train_begin(self, net, **kwargs):
        if self.start is not None:  # the weights that training goes on from may stay the best
            self.best_ = net.mean_loss(self.start)
            self.weights_ = copy.deepcopy(net.module_.state_dict())

    def on_epoch_end(self, net, **kwargs):
        loss = net.history[-1, self.monitor]
        if not np.isfinite(loss):
            raise FloatingPointError(
                f"the loss became {loss} in epoch {len(net.history)}: lower learning_rate, or "
                "normalise the flux, for instance with MedianNormalizer."
            )
        net.history.record("best", bool(loss < self.best_))
        if loss < self.best_:
            self.best_, self.best_epoch_ = loss, len(net.history)
            self.weights_ = copy.deepcopy(net.module_.state_dict())

    def is_over(self, net):
        waited = len(net.history) - self.best_epoch_
        return self.patience is not None and waited >= self.patience

    def restore(self, net):
        if self.weights_ is not None:
            net.module_.load_state_dict(self.weights_)
        self.weights_ = self.start = None

    def state(self):
        return {"best": self.best_, "best_epoch": self.best_epoch_, "weights": self.weights_}

    def go_on_from(self, state):
        self.best_, self.best_epoch_ = state["best"], state["best_epoch"]
        self.weights_ = state["weights"]


class _EndOfEpoch(Callback):
    """Write the state of the training where it is due, and stop when it is over."""

    def __init__(self, keep_best: _KeepBest, write: Any):
        self.keep_best, self.write = keep_best, write

    def on_epoch_end(self, net, **kwargs):
        if self.write is not None:
            self.write(net)
        if self.keep_best.is_over(net):
            raise _Stop


class _Bar(Callback):
    """A progress bar over the epochs."""

    def __init__(self, total: int, initial: int):
        self.total, self.initial = total, initial

    def on_train_begin(self, net, **kwargs):
        self.bar_ = progress_bar(total=self.total, desc="epochs", show=True)
        self.bar_.update(self.initial)

    def on_epoch_end(self, net, **kwargs):
        row = net.history[-1]
        losses = {key: f"{row[key]:.4g}" for key in ("train_loss", "valid_loss") if key in row}
        self.bar_.set_postfix(losses, refresh=False)
        self.bar_.update()

    def on_train_end(self, net, **kwargs):
        self.bar_.close()
        del self.bar_  # it holds a terminal and a lock, which do not pickle


def _on_cpu(state: dict[str, Any]) -> dict[str, Any]:
    """State of an optimizer whose tensors a machine without this device can load."""
    moments = {
        key: {name: value.cpu() for name, value in of_weight.items()}
        for key, of_weight in state["state"].items()
    }
    return {**state, "state": moments}


def rise_and_fall(step: int, n_steps: int) -> float:
    """Share of the learning rate: up in a tenth of the steps, then down to nothing by a cosine.

    Smith 2018, arXiv:1803.09820.
    """
    peak = max(1.0, n_steps / 10)
    if step < peak:
        return (step + 1) / (peak + 1)
    return 0.5 * (1.0 + math.cos(math.pi * min(1.0, (step - peak) / max(1.0, n_steps - peak))))


def train_network(
    network: torch.nn.Module,
    objective: Objective,
    train: SpectraDataset,
    valid: SpectraDataset | None,
    plan: TrainingPlan,
    previous: skorch.NeuralNet | None = None,
) -> tuple[skorch.NeuralNet, bool]:
    """Train `network` in place and leave it with its best weights.

    Parameters
    ----------
    network : nn.Module
    objective : Objective
        What is to be made small.
    train, valid : SpectraDataset
        Without a validation share the training loss decides which weights are best.
    plan : TrainingPlan
    previous : skorch.NeuralNet, optional
        The net of which `network` is a copy. Its weights compete for the best, and single epochs
        go on from its moments of Adam.

    Returns
    -------
    net : skorch.NeuralNet
        It holds the network as `module_` and one row of `history` an epoch.
    interrupted : bool
        Whether Ctrl-C ended the training; the best weights of the whole epochs are in place.

    Raises
    ------
    FloatingPointError
        If the loss is no longer finite.
    """
    share = Share(plan.accelerator)
    if len(train) < share.n_processes:
        raise ValueError(
            f"{len(train)} training spectra are too few for {share.n_processes} processes; train "
            "in fewer."
        )
    watched = train if valid is None else valid
    starts_well = getattr(network, "linear", None) is not None
    resumed = None if plan.checkpoint is None else plan.checkpoint.resume
    may_stay_best = plan.one_cycle and (previous is not None or starts_well) and resumed is None
    keep_best = _KeepBest(
        "train_loss" if valid is None else "valid_loss",
        plan.patience,
        # What a continued network or a linear path starts from must not be lost.
        start=watched if may_stay_best else None,
    )
    n_batches = -(-len(train) // plan.batch_size)
    callbacks: list[Any] = [("parts", _Parts()), ("keep_best", keep_best)]
    if plan.one_cycle:
        n_steps = plan.max_epochs * n_batches
        callbacks.append(("rate", _LearningRate(plan.learning_rate, n_steps, n_batches)))
    if plan.frozen_epochs:
        callbacks.append(("freeze", _Freeze(plan.frozen, plan.frozen_epochs)))
    if plan.verbose and share.is_first:
        n_before = 0 if resumed is None else len(resumed["history"])
        callbacks.append(("bar", _Bar(plan.max_epochs, n_before)))

    generator = make_generator(plan.seed)
    noise = make_generator(share.seed(plan.seed + 1), str(plan.device))

    generators = {"batches": generator, "noise": noise}

    def write(net):
        assert plan.checkpoint is not None
        plan.checkpoint.write(
            net.module_,
            net.optimizer_,
            history=net.history.to_list(),
            keep_best=keep_best.state(),
            generators=generators,
            numpy_generator=train.generator,
            objective=objective,
        )

    is_kept = plan.checkpoint is not None and plan.checkpoint.path is not None and share.is_first
    # After the others: what they record belongs to the state.
    callbacks.append(("end", _EndOfEpoch(keep_best, write if is_kept else None)))
    net = _SpectraNet(
        network,
        criterion=torch.nn.Identity,  # the objective knows the loss
        optimizer=torch.optim.Adam,
        lr=plan.learning_rate,
        max_epochs=plan.max_epochs,
        batch_size=plan.batch_size,
        device=plan.device,
        train_split=None if valid is None else predefined_split(valid),
        callbacks=callbacks,
        callbacks__print_log=None,
        callbacks__train_loss=None,  # `_Parts` has the losses
        callbacks__valid_loss=None,
        verbose=0,
    )
    net.initialize()
    net.objective, net.noise = objective, noise
    net.order, net.shuffle_block, net.share = generator, plan.shuffle_block, share
    n_epochs = plan.max_epochs
    if previous is not None and previous.moments_ is not None and not plan.one_cycle:
        net.optimizer_.load_state_dict(previous.moments_)
        for group in net.optimizer_.param_groups:  # the state holds the old rate as well
            group["lr"] = plan.learning_rate
    interrupted = False
    compute = plan.compute.on(net.module_, training=True)
    with compute, _numbers_of_layers(network, plan) as of_layers:
        net.notify("on_train_begin", X=train, y=None)
        generators.update(of_layers)
        if resumed is not None:
            assert plan.checkpoint is not None
            plan.checkpoint.restore(
                net.module_,
                net.optimizer_,
                generators=generators,
                numpy_generator=train.generator,
                objective=objective,
            )
            if not share.is_first:  # the file holds what the first process was to draw next
                noise.manual_seed(share.seed(plan.seed + 1) + len(resumed["history"]))
                seed = share.seed(plan.seed + 3) + len(resumed["history"])
                train.generator = np.random.default_rng(seed)
            net.history.extend(resumed["history"])
            keep_best.go_on_from(resumed["keep_best"])
            n_epochs -= len(net.history)
        try:
            # Not net.fit, which takes Ctrl-C for the end of the training.
            if not (resumed is not None and keep_best.is_over(net)):
                net.fit_loop(train, epochs=n_epochs)
        except _Stop:
            pass
        except KeyboardInterrupt:
            interrupted = True
        finally:
            keep_best.restore(net)
            net.notify("on_train_end", X=train, y=None)
    # From here on network and history are of use, and for single epochs the moments of Adam.
    net.moments_ = None if plan.one_cycle else _on_cpu(net.optimizer_.state_dict())
    return _only_network(net, network), interrupted


@contextmanager
def _numbers_of_layers(network: torch.nn.Module, plan: TrainingPlan) -> Iterator[dict[str, Any]]:
    """Seed what a user's own layers draw, such as dropout, and leave torch's global state alone."""
    if all(type(part).__module__.startswith("specvae.") for part in network.children()):
        yield {}  # ours draw from the generators that they are given
        return
    with torch.random.fork_rng([plan.device] if plan.device.type == "cuda" else []):
        torch.default_generator.manual_seed(plan.seed + 2)
        if plan.device.type == "cuda":
            torch.cuda.manual_seed(plan.seed + 2)
        yield {"layers": torch.default_generator}


def net_around(network: torch.nn.Module, device: torch.device) -> skorch.NeuralNet:
    """Return a net around a network that is trained already, on a device."""
    net = _SpectraNet(
        network,
        criterion=torch.nn.Identity,
        optimizer=torch.optim.Adam,
        device=device,
        train_split=None,
        callbacks__print_log=None,
        verbose=0,
    )
    net.initialize()
    net.moments_ = None
    return _only_network(net, network)


def _only_network(net: skorch.NeuralNet, network: torch.nn.Module) -> skorch.NeuralNet:
    """Let a net go of what would be pickled: the data, the network again, the moments of `fit`."""
    net.train_split = net.optimizer_ = net.objective = net.noise = net.order = net.share = None
    net.callbacks, net.callbacks_ = "disable", []
    net.module = type(network)
    network.eval()
    return net


def history_table(net: skorch.NeuralNet) -> pd.DataFrame:
    """One row an epoch: epoch, the losses and their parts, seconds, best."""
    # An epoch that Ctrl-C cut short has no verdict.
    whole = [row for row in net.history if "best" in row]
    first, last = ["epoch", "train_loss", "valid_loss"], ["dur", "best"]
    parts = [
        name
        for name in dict.fromkeys(name for row in whole for name in row)
        if name.startswith(("train_", "valid_")) and not name.endswith(("_count", "_best", "_loss"))
    ]
    columns = [*first, *parts, *last]
    rows = [{name: row[name] for name in columns if name in row} for row in whole]
    table = pd.DataFrame(rows).rename(columns={"dur": "seconds"})
    if hasattr(net.module_, "decoder"):  # without one the losses are not of flux
        of_flux = [
            f"{of}_{what}" for of in ("train", "valid") for what in ("loss", "reconstruction")
        ]
        table[table.columns.intersection(of_flux)] *= net.module_.scaler.unit
    return table
