"""Trainings that several processes share, each on a device of its own."""

from typing import Any

import numpy as np
import torch

from .._optional import import_optional


class Share:
    """What one process of a training does of each batch, and how it agrees with the others.

    All processes draw the same batches and hold the same weights. Each computes the gradient of its
    rows of a batch, and their mean, each row counting once, moves the weights: the gradient of the
    whole batch, for a loss that is a mean over spectra. Gradients are added up after the backward
    pass, not by a wrapper around the network, of which objectives use more than `forward`.

    Parameters
    ----------
    accelerator : accelerate.Accelerator, optional
        None is one process by itself.
    """

    def __init__(self, accelerator: Any = None):
        self.accelerator = accelerator
        self.n_processes = 1 if accelerator is None else int(accelerator.num_processes)
        self.number = 0 if accelerator is None else int(accelerator.process_index)

    @property
    def is_whole(self) -> bool:
        """Whether there is no other process."""
        return self.n_processes == 1

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes and shows what all have."""
        return self.number == 0

    def add_up_gradients(self, network: torch.nn.Module, n_rows: int) -> None:
        """Replace the gradient of the mean over `n_rows` here by that over the rows of all."""
        if self.is_whole:
            return
        parameters = [each for each in network.parameters() if each.requires_grad]
        gradients = [
            torch.zeros_like(each) if each.grad is None else each.grad for each in parameters
        ]
        # One message for all of them, and at its end the number of rows.
        count = gradients[0].new_full((1,), float(n_rows))
        message = torch.cat([*(n_rows * each.flatten() for each in gradients), count])
        message = self.accelerator.reduce(message, "sum")
        means = (message[:-1] / message[-1]).split([each.numel() for each in parameters])
        for parameter, mean in zip(parameters, means, strict=True):
            parameter.grad = mean.view_as(parameter)

    def check_labels(self, labels: Any) -> None:
        """Raise if labels are missing: their loss is a mean over those that one share has."""
        if not self.is_whole and labels is not None and not np.isfinite(labels).all():
            raise ValueError(
                f"y has missing labels, whose loss {self.n_processes} processes cannot share; "
                "train in one process, or on the spectra that have all labels."
            )

    def gathered(self, value: Any) -> list[Any]:
        """Return the value of each process, in their order."""
        if self.is_whole:
            return [value]
        utilities = import_optional("accelerate.utils", caller="accelerator=", extra="accelerate")
        return list(utilities.gather_object([value]))

    def same(self, value: Any) -> Any:
        """Return the value of the first process in all."""
        return self.gathered(value)[0]

    def seed(self, seed: int) -> int:
        """Return the seed of what each process draws for itself; that of the first is as given."""
        return seed + 1_000_003 * self.number


def check_accelerator(accelerator: Any) -> None:
    """Raise unless `accelerator` is None or spreads a training and does nothing else.

    Raises
    ------
    ImportError
        If accelerate is missing.
    ValueError
        If it is of another class, or lowers the precision or adds up steps by itself.
    """
    if accelerator is None:
        return
    package = import_optional("accelerate", caller="accelerator=", extra="accelerate")
    if not isinstance(accelerator, package.Accelerator):
        raise ValueError(
            f"accelerator must be an accelerate.Accelerator or None, got {accelerator!r}."
        )
    if accelerator.mixed_precision not in ("no", None):
        raise ValueError(
            f"accelerator lowers the precision to {accelerator.mixed_precision!r}; leave that to "
            "precision=, and build the Accelerator with mixed_precision='no'."
        )
    if accelerator.gradient_accumulation_steps != 1:
        raise ValueError(
            f"accelerator adds up {accelerator.gradient_accumulation_steps} steps; that is not "
            "done here. Choose a larger batch_size instead."
        )
