"""The small fully connected network of the ESCAPE notes: trains in seconds, for looking."""

from itertools import pairwise

from torch import Tensor, nn

_WIDTHS = (128, 64, 32)
_SLOPE = 0.1


def _stack(widths: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(widths):
        layers += [nn.Linear(n_in, n_out), nn.LeakyReLU(_SLOPE)]
    return nn.Sequential(*layers[:-1])


class DenseEncoder(nn.Module):
    """Three hidden layers of 128, 64 and 32 units with LeakyReLU 0.1, then a linear head.

    Parameters
    ----------
    n_pixels : int
        Length of the spectra.
    n_outputs : int
        Width of the head.
    """

    def __init__(self, n_pixels: int, n_outputs: int):
        super().__init__()
        self.body = _stack((n_pixels, *_WIDTHS, n_outputs))

    def forward(self, flux: Tensor) -> Tensor:
        """Map flux (batch, n_pixels) to outputs (batch, n_outputs)."""
        return self.body(flux)


class DenseDecoder(nn.Module):
    """The dense encoder in reverse.

    Parameters
    ----------
    n_inputs : int
        Width of the code.
    n_pixels : int
        Length of the spectra.
    """

    def __init__(self, n_inputs: int, n_pixels: int):
        super().__init__()
        self.body = _stack((n_inputs, *reversed(_WIDTHS), n_pixels))

    def forward(self, code: Tensor) -> Tensor:
        """Map codes (batch, n_inputs) to flux (batch, n_pixels)."""
        return self.body(code)
