"""First weights, drawn from a local generator."""

import math

import torch
from torch import nn

from ._resnet import ResidualBlock

# Gain that keeps the variance through LeakyReLU 0.1: He et al. 2015, arXiv:1502.01852, eq. 15.
_GAIN = math.sqrt(2.0 / (1.0 + 0.1**2))


@torch.no_grad()
def initialise(module: nn.Module, generator: torch.Generator) -> nn.Module:
    """Draw all weights so that each layer keeps the variance of its input; zero the biases.

    A stride-s transposed convolution sums only kernel/s taps per output: the usual formula, which
    counts the whole kernel on the wrong side, lets the signal shrink from stage to stage. A
    residual block adds two such signals: each path gets its share of the variance, or the sum
    would double it block by block.

    Parameters
    ----------
    module : nn.Module
        Of linear, convolution and transposed convolution layers, also in residual blocks; layers
        without weights stay as they are. Changed in place.
    generator : torch.Generator
        On the CPU; torch's global generator is not touched.

    Returns
    -------
    module : nn.Module
        The same object.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv1d):
            n_terms: float = layer.in_channels * layer.kernel_size[0]
        elif isinstance(layer, nn.ConvTranspose1d):
            n_terms = layer.in_channels * layer.kernel_size[0] / layer.stride[0]
        elif isinstance(layer, nn.Linear):
            n_terms = layer.in_features
        else:
            continue
        gain = 1.0 if isinstance(layer, nn.Linear) else _GAIN
        layer.weight.normal_(0.0, gain / math.sqrt(n_terms), generator=generator)
        if layer.bias is not None:
            layer.bias.zero_()
    for block in module.modules():
        if isinstance(block, ResidualBlock):
            _share_variance(block)
    return module


def _share_variance(block: ResidualBlock) -> None:
    _scale_weight(block.branch[-1], math.sqrt(block.branch_share))
    if len(block.skip):
        # Without an activation before it the skip needs no gain.
        gain = 1.0 if len(block.skip) > 1 else 1.0 / _GAIN
        _scale_weight(block.skip[-1], gain * math.sqrt(1.0 - block.branch_share))


def _scale_weight(layer: nn.Module, factor: float) -> None:
    layer.get_parameter("weight").mul_(factor)
