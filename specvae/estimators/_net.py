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
        return (weight * masked_l1(y_pred.reconstruction, flux)).mean()


class _Stop(Exception):
    """Training is over before the last epoch."""


class _KeepBest(Callback):
    """Stop when the loss no longer falls; hold the best weights until they are put back."""

    def __init__(self, monitor: str, patience: int | None):
        self.monitor = monitor
        self.patience = patience

    def on_train_begin(self, net, **kwargs):
        self.best_, self.best_epoch_, self.weights_ = np.inf, 0, None

    def on_epoch_end(self, net, **kwargs):
        loss = net.history[-1, self.monitor]
        if not np.isfinite(loss):
            raise FloatingPointError(
                f"the loss became {loss} in epoch {len(net.history)}: lower learning_rate, or "
                "normalise the flux, for instance with MedianNormalizer."
            )
        net.history.record(self.monitor + "_best", bool(loss < self.best_))
        if loss < self.best_:
            self.best_, self.best_epoch_ = loss, len(net.history)
            self.weights_ = copy.deepcopy(net.module_.state_dict())
        elif self.patience is not None and len(net.history) - self.best_epoch_ >= self.patience:
            raise _Stop

    def restore(self, net):
        if self.weights_ is not None:
            net.module_.load_state_dict(self.weights_)
        self.weights_ = None


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


def rise_and_fall(step: int, n_steps: int) -> float:
    """Share of the learning rate: up in a tenth of the steps, then down to nothing by a cosine.

    Smith 2018, arXiv:1803.09820. The last, small steps gain as much as all before them.
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
    optimizer_state: dict[str, Any] | None = None,
) -> tuple[skorch.NeuralNet, bool]:
    """Train `network` in place and leave it with its best weights.

    Parameters
    ----------
    network : nn.Module
        Its forward pass gives an object with `reconstruction`.
    train, valid : SpectraDataset
        Without a validation share the training loss decides which weights are best.
    plan : TrainingPlan
    optimizer_state : dict, optional
        Moments of Adam to go on from.

    Returns
    -------
    net : skorch.NeuralNet
        It holds the network as `module_` and one row of `history` an epoch.
    interrupted : bool
        Whether Ctrl-C ended the training; the best weights so far are in place.

    Raises
    ------
    FloatingPointError
        If the loss is no longer finite.
    """
    keep_best = _KeepBest("train_loss" if valid is None else "valid_loss", plan.patience)
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
    if optimizer_state is not None:
        net.optimizer_.load_state_dict(optimizer_state)
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
    # Only the network and the history are of use from here on; the data must not be pickled.
    net.set_params(train_split=None)
    network.eval()
    return net, interrupted


def history_table(history: Any) -> pd.DataFrame:
    """One row an epoch: epoch, train_loss, valid_loss where there is one, seconds, best."""
    names = {"epoch": "epoch", "train_loss": "train_loss", "valid_loss": "valid_loss"}
    names |= {"dur": "seconds"}
    rows = [
        {new: row[old] for old, new in names.items() if old in row}
        | {"best": row.get("valid_loss_best", row.get("train_loss_best"))}
        for row in history
    ]
    return pd.DataFrame(rows)
