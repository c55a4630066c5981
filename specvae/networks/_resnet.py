"""The published residual decoder, scaled to the length of the spectrum, and its mirror.

Appendix B of Cvrcek et al. 2025, A&A 693, A256; where text and code differ, as in the code.
"""

from itertools import pairwise

from torch import Tensor, nn

from ._conv import plan_stages
from ._layers import Body, Conv, Head, NormReLU, TransposedConv
from ._passes import BodyDecoder, BodyEncoder

# Channels next to the flux, then after each of 14 stages.
_CHANNELS = (16, 16, 16, 32, 32, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512)


class ResidualBlock(nn.Module):
    """The sum of two paths.

    Parameters
    ----------
    branch : nn.Sequential
        Ends in a convolution.
    skip : nn.Sequential
        Ends in a convolution, or is empty and hands its input on.
    branch_share : float
        Share of the variance of the sum that the branch starts with.
    """

    def __init__(self, branch: nn.Sequential, skip: nn.Sequential, branch_share: float):
        super().__init__()
        self.branch = branch
        self.skip = skip
        self.branch_share = branch_share

    def forward(self, values: Tensor) -> Tensor:
        """Map (batch, position, n_in) to (batch, other position, n_out)."""
        if len(self.skip) < 2:
            return self.branch(values) + self.skip(values)
        # Both paths begin with the same norm and activation.
        active = self.branch[0](values)
        return self.branch[1:](active) + self.skip[1](active)


class ResNetDecoder(BodyDecoder):
    """A linear layer, then pre-activation residual blocks of transposed convolutions.

    The first block keeps the length, each other one doubles it; a 3-tap convolution gives the
    flux. Both paths of a block begin with an instance norm, without weights, and ReLU. The number
    of stages follows the length as in `ConvDecoder`: shorter spectra use the blocks next to the
    flux, with the fewest channels.

    Parameters
    ----------
    n_inputs : int
        Width of the code.
    n_pixels : int
        Length of the spectra; what was padded is cut off.
    kernel : int, default=5
        Length of the kernels in the blocks, odd; 3 is that of the article's text.
    n_conditions : int, default=0
        Width of the conditions, which join the code.

    Raises
    ------
    ValueError
        If `kernel` is even or below 1.

    Notes
    -----
    At 327,680 pixels `body` and `output` have 11,564,545 parameters as published; with kernel 3
    7,282,689. A bias before an instance norm has no effect and gets no gradient; the published
    network has these biases, so they stay. The padded positions enter the norms.

    Examples
    --------
    >>> import torch
    >>> ResNetDecoder(3, 100)(torch.zeros(2, 3)).shape
    torch.Size([2, 100])
    """

    def __init__(self, n_inputs: int, n_pixels: int, *, kernel: int = 5, n_conditions: int = 0):
        super().__init__()
        channels, n_positions = _plan(n_pixels, kernel)
        self.bottleneck = (channels[-1], n_positions)
        self.n_pixels = n_pixels
        self.n_conditions = n_conditions
        self.head = Head(n_inputs + n_conditions, channels[-1] * n_positions)
        blocks = [_up_block(channels[-1], channels[-1], kernel, stride=1)]
        for n_in, n_out in pairwise(reversed(channels)):
            blocks += [_up_block(n_in, n_out, kernel, stride=2)]
        self.body = Body(*blocks)
        self.output = Conv(channels[0], 1, 3, padding=1)


class ResNetEncoder(BodyEncoder):
    """The residual decoder in reverse, without its norms, then a linear head.

    A 3-tap convolution of the flux, a residual block for each stage that halves the length, one
    more that keeps it. Not published. An instance norm here would take from each spectrum how far
    it deviates from the mean spectrum, and padding and missing pixels would count in it.

    Parameters
    ----------
    n_pixels : int
        Length of the spectra; padded with zeros to a whole number of positions.
    n_outputs : int
        Width of the head.
    kernel : int, default=5
        Length of the kernels in the blocks, odd.
    n_conditions : int, default=0
        Width of the conditions, which join the features before the head.

    Raises
    ------
    ValueError
        If `kernel` is even or below 1.

    Examples
    --------
    >>> import torch
    >>> ResNetEncoder(100, 3)(torch.zeros(2, 100)).shape
    torch.Size([2, 3])
    """

    def __init__(self, n_pixels: int, n_outputs: int, *, kernel: int = 5, n_conditions: int = 0):
        super().__init__()
        channels, n_positions = _plan(n_pixels, kernel)
        # Equal shares: the sum then keeps its variance however many blocks there are. Hayou et
        # al. 2021, arXiv:2010.12859.
        share = 1.0 / len(channels)
        layers: list[nn.Module] = [Conv(1, channels[0], 3, padding=1)]
        for n_in, n_out in pairwise(channels):
            layers += [_down_block(n_in, n_out, kernel, 2, share)]
        layers += [_down_block(channels[-1], channels[-1], kernel, 1, share)]
        self.n_pixels = n_pixels
        self.n_padding = n_positions * 2 ** (len(channels) - 1) - n_pixels
        self.n_conditions = n_conditions
        self.body = Body(*layers)
        self.head = Head(channels[-1] * n_positions + n_conditions, n_outputs)


def _plan(n_pixels: int, kernel: int) -> tuple[tuple[int, ...], int]:
    """Channels next to the flux and after each stage, and the positions left at the end."""
    if kernel < 1 or kernel % 2 == 0:
        raise ValueError(f"kernel must be odd and at least 1, got {kernel}.")
    plan = plan_stages(n_pixels)
    n_stages = len(plan.channels)
    deeper = max(0, n_stages + 1 - len(_CHANNELS))
    return _CHANNELS[: n_stages + 1] + _CHANNELS[-1:] * deeper, plan.n_positions


def _up_block(n_in: int, n_out: int, kernel: int, stride: int) -> ResidualBlock:
    padding = kernel // 2
    branch = nn.Sequential(
        NormReLU(),
        TransposedConv(n_in, n_out, kernel, stride, padding, output_padding=stride - 1),
        NormReLU(),
        TransposedConv(n_out, n_out, kernel, padding=padding),
    )
    skip: list[nn.Module] = []
    if stride == 2:
        # As published: every second pixel of the skip is its bias alone.
        skip = [NormReLU(), TransposedConv(n_in, n_out, 1, 2, output_padding=1)]
    return ResidualBlock(branch, nn.Sequential(*skip), branch_share=0.5)


def _down_block(n_in: int, n_out: int, kernel: int, stride: int, share: float) -> ResidualBlock:
    padding = kernel // 2
    branch = nn.Sequential(
        nn.ReLU(),
        Conv(n_in, n_out, kernel, stride, padding, slope=0.0),
        Conv(n_out, n_out, kernel, padding=padding),
    )
    # Two taps: with one, the skip would drop every second pixel.
    skip: list[nn.Module] = [Conv(n_in, n_out, 2, stride=2)] if stride == 2 else []
    return ResidualBlock(branch, nn.Sequential(*skip), share)
