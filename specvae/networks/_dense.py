"""The small fully connected network of the ESCAPE notes: trains in seconds, for looking."""

from itertools import pairwise

from torch import Tensor, nn

from ._conditional import join_conditions
from ._layers import Head

_WIDTHS = (128, 64, 32)
_SLOPE = 0.1


def _stack(widths: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(widths):
        layers += [nn.Linear(n_in, n_out), nn.LeakyReLU(_SLOPE)]
    return nn.Sequential(*layers)


class DenseEncoder(nn.Module):
    """Three hidden layers of 128, 64 and 32 units with LeakyReLU 0.1, then a linear head.

    Parameters
    ----------
    n_pixels : int
        Length of the spectra.
    n_outputs : int
        Width of the head.
    n_conditions : int, default=0
        Width of the conditions, which join the last hidden units before the head.
    """

    def __init__(self, n_pixels: int, n_outputs: int, *, n_conditions: int = 0):
        super().__init__()
        self.n_conditions = n_conditions
        self.body = _stack((n_pixels, *_WIDTHS))
        self.body.append(Head(_WIDTHS[-1] + n_conditions, n_outputs))

    def forward(self, flux: Tensor, conditions: Tensor | None = None) -> Tensor:
        """Map flux (batch, n_pixels) to outputs (batch, n_outputs)."""
        features = self.body[:-1](flux)  # (batch, 32)
        return self.body[-1](join_conditions(features, conditions, self.n_conditions))


class DenseDecoder(nn.Module):
    """The dense encoder in reverse.

    Parameters
    ----------
    n_inputs : int
        Width of the code.
    n_pixels : int
        Length of the spectra.
    n_conditions : int, default=0
        Width of the conditions, which join the code.
    """

    def __init__(self, n_inputs: int, n_pixels: int, *, n_conditions: int = 0):
        super().__init__()
        self.n_conditions = n_conditions
        self.body = _stack((n_inputs + n_conditions, *reversed(_WIDTHS)))
        self.body.append(Head(_WIDTHS[0], n_pixels))

    def forward(self, code: Tensor, conditions: Tensor | None = None) -> Tensor:
        """Map codes (batch, n_inputs) to flux (batch, n_pixels)."""
        return self.body(join_conditions(code, conditions, self.n_conditions))
