"""The only module that sees skorch: it trains a network and gives back the net that holds it."""

import copy
import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import skorch
import torch
from skorch.callbacks import Callback, LRScheduler
from skorch.helper import predefined_split

from .._progress import progress_bar
from .._random import make_generator
from ..networks import masked_l1
from ._data import SpectraDataset, as_is


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


class _SpectraNet(skorch.NeuralNet):
    """A skorch net whose batches are (flux, weight)."""

    def get_loss(self, y_pred, y_true, X=None, training=False):
        flux, weight = X.to(self.device), y_true.to(self.device)
        loss = (weight * masked_l1(y_pred.reconstruction, self.module_.target(flux))).mean()
        return loss / self.module_.scaler.unit

    def mean_loss(self, dataset):
        """Loss of the network as it is, over a data set."""
        total = 0.0
        # Not through a loader, which would draw from the generator of the training.
        for start in range(0, len(dataset), self.batch_size):
            rows = range(start, min(start + self.batch_size, len(dataset)))
            batch = dataset.__getitems__(list(rows))
            total += len(rows) * self.validation_step(batch)["loss"].item()
        return total / len(dataset)


class _Stop(Exception):
    """Training is over before the last epoch."""


class _KeepBest(Callback):
    """Stop when the loss no longer falls; hold the best weights until they are put back."""

    def __init__(self, monitor: str, patience: int | None, start: SpectraDataset | None):
        self.monitor = monitor
        self.patience = patience
        self.start = start

    def on_train_begin(self, net, **kwargs):
        self.best_, self.best_epoch_, self.weights_ = np.inf, 0, None
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
        elif self.patience is not None and len(net.history) - self.best_epoch_ >= self.patience:
            raise _Stop

    def restore(self, net):
        if self.weights_ is not None:
            net.module_.load_state_dict(self.weights_)
        self.weights_ = self.start = None


class _Bar(Callback):
    """A progress bar over the epochs."""

    def __init__(self, total: int):
        self.total = total

    def on_train_begin(self, net, **kwargs):
        self.bar_ = progress_bar(total=self.total, desc="epochs", show=True)

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
    train: SpectraDataset,
    valid: SpectraDataset | None,
    plan: TrainingPlan,
    previous: skorch.NeuralNet | None = None,
) -> tuple[skorch.NeuralNet, bool]:
    """Train `network` in place and leave it with its best weights.

    Parameters
    ----------
    network : nn.Module
        Its forward pass gives an object with `reconstruction`.
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
    watched = train if valid is None else valid
    starts_well = getattr(network, "linear", None) is not None
    keep_best = _KeepBest(
        "train_loss" if valid is None else "valid_loss",
        plan.patience,
        # What a continued network or a linear path starts from must not be lost.
        start=watched if plan.one_cycle and (previous is not None or starts_well) else None,
    )
    callbacks: list[Any] = [("keep_best", keep_best)]
    if plan.one_cycle:
        n_steps = plan.max_epochs * -(-len(train) // plan.batch_size)
        cycle = LRScheduler(
            torch.optim.lr_scheduler.LambdaLR,
            step_every="batch",
            lr_lambda=partial(rise_and_fall, n_steps=n_steps),
        )
        callbacks.append(("learning_rate", cycle))
    if plan.verbose:
        callbacks.append(("bar", _Bar(plan.max_epochs)))

    generator = make_generator(plan.seed)
    net = _SpectraNet(
        network,
        criterion=torch.nn.Identity,  # the loss is in get_loss
        optimizer=torch.optim.Adam,
        lr=plan.learning_rate,
        max_epochs=plan.max_epochs,
        batch_size=plan.batch_size,
        device=plan.device,
        train_split=None if valid is None else predefined_split(valid),
        callbacks=callbacks,
        callbacks__print_log=None,
        verbose=0,
        iterator_train__shuffle=True,
        iterator_train__collate_fn=as_is,
        # Loaders without a generator draw from torch's global one.
        iterator_train__generator=generator,
        iterator_valid__collate_fn=as_is,
        iterator_valid__generator=generator,
    )
    net.initialize()
    if previous is not None and previous.moments_ is not None and not plan.one_cycle:
        net.optimizer_.load_state_dict(previous.moments_)
        for group in net.optimizer_.param_groups:  # the state holds the old rate as well
            group["lr"] = plan.learning_rate
    interrupted = False
    net.notify("on_train_begin", X=train, y=None)
    try:
        # Not net.fit, which takes Ctrl-C for the end of the training.
        net.fit_loop(train)
    except _Stop:
        pass
    except KeyboardInterrupt:
        interrupted = True
    finally:
        keep_best.restore(net)
        net.notify("on_train_end", X=train, y=None)
    # From here on network and history are of use, and for single epochs the moments of Adam. What
    # else the net holds would be pickled: the data, the network again, the moments of `fit`.
    net.moments_ = None if plan.one_cycle else _on_cpu(net.optimizer_.state_dict())
    net.train_split = net.optimizer_ = None
    net.callbacks, net.callbacks_ = "disable", []
    net.module = type(network)
    network.eval()
    return net, interrupted


def history_table(net: skorch.NeuralNet) -> pd.DataFrame:
    """One row an epoch: epoch, train_loss, valid_loss where there is one, seconds, best."""
    columns = ["epoch", "train_loss", "valid_loss", "dur", "best"]
    # An epoch that Ctrl-C cut short has no verdict.
    whole = [row for row in net.history if "best" in row]
    rows = [{name: row[name] for name in columns if name in row} for row in whole]
    table = pd.DataFrame(rows).rename(columns={"dur": "seconds"})
    losses = table.columns.intersection(["train_loss", "valid_loss"])
    table[losses] *= net.module_.scaler.unit
    return table
