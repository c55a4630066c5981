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


class Losses(NamedTuple):
    """A loss to minimise, and what it consists of, for the history."""

    total: Tensor  # ()
    parts: dict[str, Tensor]  # each (), unweighted
    verdict: Tensor | None = None  # (), tells which epoch is best, where that is not the total


class Objective(Protocol):
    """A function of network and batch that training makes small."""

    def __call__(self, network: Any, batch: Batch, stage: Stage) -> Losses:
        """Return the loss of a batch."""
        ...


def reconstruction_objective(network: Any, batch: Batch, stage: Stage) -> Losses:
    """Mean of |flux - reconstruction|, of the deterministic autoencoder."""
    error = masked_l1(network(batch.flux).reconstruction, network.target(batch.flux))
    return Losses((batch.weight * error).mean() / network.scaler.unit, {})


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
