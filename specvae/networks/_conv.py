"""The published convolutional encoder and decoder, scaled to the length of the spectrum.

Sedaghat et al. 2021, MNRAS 501, 6026, and tables B.1 and B.2 of Cvrcek et al. 2025, A&A 693, A256:
at 327,680 pixels the layers and the parameter counts are theirs.
"""

import math
from typing import NamedTuple

import torch
from torch import nn

from ._layers import Body, Conv, Head, TransposedConv
from ._passes import BodyDecoder, BodyEncoder

_CHANNELS = (16, 16, 16, 32, 32, 32, 64, 64, 64, 128, 128, 128, 256, 512)
_KERNELS = (7, 5, 5, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3)
_SLOPE = 0.1
# Positions left at the bottleneck: 327,680 pixels / 2**14.
_N_POSITIONS = 20


class StagePlan(NamedTuple):
    """Sizes of a convolutional network for one length of spectrum."""

    channels: tuple[int, ...]  # after each stride-2 stage
    kernels: tuple[int, ...]  # of each stride-2 stage
    n_positions: int  # left after the last stage

    @property
    def n_channels(self) -> int:
        """Channels at the bottleneck."""
        return self.channels[-1] if self.channels else _CHANNELS[0]

    @property
    def n_padded(self) -> int:
        """Pixels after padding to a whole number of positions."""
        return self.n_positions * 2 ** len(self.channels)


def plan_stages(n_pixels: int) -> StagePlan:
    """Choose as many stride-2 stages as leave about 20 positions.

    Parameters
    ----------
    n_pixels : int
        Length of the spectra, at least 1.

    Returns
    -------
    plan : StagePlan

    Examples
    --------
    >>> plan_stages(327_680).n_positions, len(plan_stages(327_680).channels)
    (20, 14)
    >>> plan_stages(4096)
    StagePlan(channels=(16, 16, 16, 32, 32, 32, 64, 64), kernels=(7, 5, 5, 3, 3, 3, 3, 3),
              n_positions=16)
    """
    n_stages = max(0, round(math.log2(n_pixels / _N_POSITIONS)))
    deeper = max(0, n_stages - len(_CHANNELS))
    channels = _CHANNELS[:n_stages] + _CHANNELS[-1:] * deeper
    kernels = _KERNELS[:n_stages] + _KERNELS[-1:] * deeper
    return StagePlan(channels, kernels, math.ceil(n_pixels / 2**n_stages))


class ConvEncoder(BodyEncoder):
    """Stride-2 convolutions with LeakyReLU 0.1, one more at stride 1, then a linear head.

    Parameters
    ----------
    n_pixels : int
        Length of the spectra; shorter ones than 2**stages positions are padded with zeros.
    n_outputs : int
        Width of the head.
    n_conditions : int, default=0
        Width of the conditions, which join the features before the head.
    """

    def __init__(self, n_pixels: int, n_outputs: int, *, n_conditions: int = 0):
        super().__init__()
        self.n_conditions = n_conditions
        plan = plan_stages(n_pixels)
        layers = []
        n_in = 1
        for n_out, kernel in zip(plan.channels, plan.kernels, strict=True):
            layers += [Conv(n_in, n_out, kernel, stride=2, padding=kernel // 2, slope=_SLOPE)]
            n_in = n_out
        layers += [Conv(n_in, plan.n_channels, 3, padding=1, slope=_SLOPE)]
        self.n_pixels = n_pixels
        self.n_padding = plan.n_padded - n_pixels
        self.body = Body(*layers)
        self.head = Head(plan.n_channels * plan.n_positions + n_conditions, n_outputs)


class ConvDecoder(BodyDecoder):
    """A linear layer, then the encoder in reverse with transposed convolutions.

    As published, LeakyReLU follows every transposed convolution, the last one included, and a
    3-tap convolution of that single channel gives the flux.

    Parameters
    ----------
    n_inputs : int
        Width of the code.
    n_pixels : int
        Length of the spectra; what was padded is cut off.
    n_conditions : int, default=0
        Width of the conditions, which join the code.
    """

    def __init__(self, n_inputs: int, n_pixels: int, *, n_conditions: int = 0):
        super().__init__()
        plan = plan_stages(n_pixels)
        self.n_conditions = n_conditions
        self.bottleneck = (plan.n_channels, plan.n_positions)
        self.n_pixels = n_pixels
        self.head = Head(n_inputs + n_conditions, plan.n_channels * plan.n_positions)
        layers = [TransposedConv(plan.n_channels, plan.n_channels, 3, padding=1, slope=_SLOPE)]
        n_in = plan.n_channels
        for n_out in (*plan.channels[-2::-1], 1) if plan.channels else ():
            layers += [TransposedConv(n_in, n_out, 4, stride=2, padding=1, slope=_SLOPE)]
            n_in = n_out
        self.body = Body(*layers)
        self.output = Conv(n_in, 1, 3, padding=1)

    @torch.no_grad()
    def start_linear(self) -> None:
        """Set the last two layers so that small deviations pass the last LeakyReLU unbent.

        A bias of 3 lifts the single channel to the straight side of the LeakyReLU, and the 3-tap
        convolution takes it off again. Without this half of the deviations from the mean
        spectrum start with a tenth of their gradient.
        """
        last = [layer for layer in self.body if isinstance(layer, nn.ConvTranspose1d)][-1]
        if last.out_channels != 1 or last.bias is None or self.output.bias is None:
            return  # no stride-2 stage: the output convolution mixes many channels
        last.bias.fill_(3.0)
        self.output.weight.copy_(torch.tensor([[[0.0, 1.0, 0.0]]]))
        self.output.bias.fill_(-3.0)
