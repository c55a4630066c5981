"""What a network is trained for: a batch in, a loss and its parts out."""

from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from ..networks import masked_l1
from ._data import Batch


class Stage(NamedTuple):
    """Where in the training a loss is asked for."""

    epoch: int  # whole epochs before this one
    generator: torch.Generator | None  # of random numbers, on the device; None while only watching


class Part(NamedTuple):
    """One term of a loss over a batch, without gradient."""

    value: Tensor  # () or one for each label: mean over the rows that it concerns
    price: float  # by which it counts when epochs are compared
    n_rows: Tensor | int  # how many rows that is, or their weight; of the same shape


class Losses(NamedTuple):
    """A loss to minimise, and what it consists of.

    Epochs are compared by the sum of price times mean of the parts, each over the rows that it
    concerns in the whole epoch: most batches may be without labels, where few stars have any.
    """

    total: Tensor  # ()
    parts: dict[str, Part]


class EpochMean:
    """Means of the parts over batches, and the loss that they add up to."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, Tensor] = {}
        self._prices: dict[str, float] = {}

    def add(self, parts: dict[str, Part]) -> None:
        """Take in a batch."""
        for name, part in parts.items():
            value = part.value.detach()
            # Where the loss is: fetching each would let a GPU wait for the next batch.
            device = torch.device("cpu") if value.device.type == "mps" else value.device
            value = value.to(device).double()
            n_rows = torch.as_tensor(part.n_rows, device=device).double()
            nothing = torch.zeros_like(value)
            self._sums[name] = self._sums.get(name, nothing) + n_rows * value
            self._counts[name] = self._counts.get(name, nothing) + n_rows
            self._prices[name] = part.price

    def join(self, others: list["EpochMean"]) -> None:
        """Take in what others have taken in, parts of the same batches."""
        for other in others:
            for name, price in other._prices.items():
                device = other._sums[name].device
                if name not in self._prices:
                    self._sums[name] = torch.zeros_like(other._sums[name])
                    self._counts[name] = torch.zeros_like(other._counts[name])
                    self._prices[name] = price
                self._sums[name] = self._sums[name].to(device) + other._sums[name]
                self._counts[name] = self._counts[name].to(device) + other._counts[name]

    def means(self) -> dict[str, float]:
        """Return the mean of each part, over labels where it has one for each.

        0 where a part concerns no row at all, as labels in a share of spectra that has none.
        """
        found = {}
        for name, total in self._sums.items():
            counts = self._counts[name].cpu()
            means = (total.cpu() / counts)[counts > 0]
            found[name] = float(means.mean()) if len(means) else 0.0
        return found

    def loss(self) -> float:
        """Return what epochs are compared by."""
        return sum(self._prices[name] * mean for name, mean in self.means().items())


class Objective(Protocol):
    """A function of network and batch that training makes small."""

    def __call__(self, network: Any, batch: Batch, stage: Stage) -> Losses:
        """Return the loss of a batch."""
        ...


def reconstruction_objective(network: Any, batch: Batch, stage: Stage) -> Losses:
    """Mean of |flux - reconstruction|, of the deterministic autoencoder."""
    error = masked_l1(network(batch.flux).reconstruction, network.target(batch.flux))
    total = (batch.weight * error).mean() / network.scaler.unit
    return Losses(total, {"reconstruction": of_all_rows(total, batch)})


def of_all_rows(value: Tensor, batch: Batch, price: float = 1.0) -> Part:
    """Return the part of a loss that concerns every row."""
    return Part(value.detach(), price, len(batch.flux))


def drop_pixels(flux: Tensor, largest_share: float, generator: torch.Generator | None) -> Tensor:
    """Set pixels to NaN at random: of each spectrum up to a share, and up to as many in one gap.

    While only watching (no generator) nothing is dropped.
    """
    if generator is None or largest_share <= 0:
        return flux
    n_spectra, n_pixels = flux.shape
    share, gap, place = torch.rand(
        (3, n_spectra, 1), generator=generator, device=flux.device
    ).unbind(0)
    dropped = torch.rand(flux.shape, generator=generator, device=flux.device)
    dropped = dropped < share * largest_share
    width = gap * largest_share * n_pixels
    first = place * (n_pixels - width)
    pixel = torch.arange(n_pixels, device=flux.device)
    dropped |= (pixel >= first) & (pixel < first + width)
    return flux.masked_fill(dropped, torch.nan)


def standard_normal(shape: Any, like: Tensor, generator: torch.Generator) -> Tensor:
    """Draw normal deviates on the device of `like`."""
    return torch.randn(shape, generator=generator, device=like.device, dtype=like.dtype)


def trainable(module: nn.Module) -> list[nn.Parameter]:
    """Return the parameters that training moves."""
    return [weight for weight in module.parameters() if weight.requires_grad]
