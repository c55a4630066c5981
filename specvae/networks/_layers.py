"""Convolutions along a spectrum with the channels next to each other in memory.

The layers have the parameters and the mathematics of `nn.Conv1d` and `nn.ConvTranspose1d`, but take
and give tensors of shape (batch, position, channel). At 327,680 pixels they are bound by memory
traffic, and this order is the one in which the processor's convolutions copy neither their input
nor their output. What a layer multiplies is rearranged where that helps, never approximated.
"""

import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

# One spectrum of HARPS: what a layer then gives stays in a cache of 32 MB.
_PIXELS_AT_ONCE = 327_680
# Layers next to the bottleneck, up to 320 positions: there the weights take more memory than the
# values, and are read once for the whole batch.
N_SHORT = 5
# Below so many positions torch takes the channels of a norm one after the other, across the memory.
_FEW_POSITIONS = 1024
_EPSILON = 1e-5  # added to a variance, as in torch
# Positions that a layer with a single channel takes together, as if they were its channels.
_FOLD = 8


class _Kernel(NamedTuple):
    """What an image of one row and many columns is convolved with."""

    weight: Tensor  # (out, in, 1, tap), the channels next to each other
    stride: int
    padding: int


class _Rearranged(nn.Module):
    """A layer that multiplies another arrangement of its weight."""

    weight: Tensor
    bias: Tensor | None
    stride: Any  # (stride,), and so on
    padding: Any
    kernel_size: Any
    slope: float | None  # of a LeakyReLU that follows

    def _rearrange(self) -> _Kernel:
        """Return the arrangement; differentiable."""
        raise NotImplementedError

    def _convolve(self, values: Tensor) -> Tensor:
        """Convolve (batch, position, in) to (batch, position, out), and activate."""
        kernel = self._kernel()
        image = values.transpose(1, 2).unsqueeze(2)
        bias = self.bias
        if bias is not None:
            bias = bias.repeat(len(kernel.weight) // len(bias))  # once for each place
        # A stride of 2 over the one row changes nothing, but torch would otherwise pass small
        # kernels by oneDNN, and copy weights and input at each call.
        image = functional.conv2d(
            image, kernel.weight, bias, (2, kernel.stride), (0, kernel.padding)
        )
        if self.slope is not None:
            # In place, and before anything looks at the image in another shape: the gradient of a
            # changed view would copy all of it.
            functional.leaky_relu_(image, self.slope)
        return image.squeeze(2).transpose(1, 2)

    def _sizes(self) -> tuple[int, int, int]:
        (stride,), (padding,), (n_taps,) = self.stride, self.padding, self.kernel_size
        return stride, padding, n_taps

    def _kernel(self) -> _Kernel:
        kept = getattr(_scope, "kernels", None)
        if kept is None or torch.compiler.is_compiling():
            return self._rearrange()
        if self not in kept:
            kernel = self._rearrange()
            device = kernel.weight.device.type
            if torch.is_autocast_enabled(device):
                lowered = kernel.weight.to(torch.get_autocast_dtype(device))
                kernel = kernel._replace(weight=lowered)
            kept[self] = kernel
        return kept[self]


class Conv(_Rearranged, nn.Conv1d):
    """`nn.Conv1d` on (batch, position, channel), with zero padding.

    With `slope` a LeakyReLU of that slope follows. From a single channel most of a vector register
    would be empty: the layer takes 8 successive positions as channels, and its kernel once for each
    place among them.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        kernel: int,
        stride: int = 1,
        padding: int = 0,
        *,
        slope: float | None = None,
    ):
        super().__init__(n_in, n_out, kernel, stride, padding)
        self.slope = slope

    def forward(self, values: Tensor) -> Tensor:
        """Map (batch, position, n_in) to (batch, position / stride, n_out)."""
        if self.in_channels > 1:
            return self._convolve(values)
        stride, padding, n_taps = self._sizes()
        n_in = values.shape[1]
        n_out = (n_in + 2 * padding - n_taps) // stride + 1
        n_blocks = -(-max(n_in, n_out * stride) // _FOLD)
        # Zeros behind the end are what the convolution would find there.
        values = functional.pad(values, (0, 0, 0, n_blocks * _FOLD - n_in))
        folded = self._convolve(values.reshape(len(values), n_blocks, _FOLD))
        found = folded.reshape(len(values), -1, self.out_channels)
        return found if found.shape[1] == n_out else found[:, :n_out]

    def _rearrange(self) -> _Kernel:
        stride, padding, n_taps = self._sizes()
        if self.in_channels > 1:
            return _Kernel(_as_image(self.weight), stride, padding)
        block = torch.arange(-1, 2)
        place, position = torch.arange(_FOLD // stride), torch.arange(_FOLD)
        # Tap by which a position of a neighbouring block enters a place of the output.
        tap = block * _FOLD + position[:, None] - stride * place[:, None, None] + padding
        is_tap = (tap >= 0) & (tap < n_taps)  # (place, position, block)
        assert is_tap.sum() == n_taps * len(place), "the kernel reaches further than one block"
        spread = self.weight[:, 0, tap.clamp(0, n_taps - 1)] * is_tap.to(self.weight)
        weight = spread.transpose(0, 1).flatten(0, 1)  # (place * out, position, block)
        return _Kernel(_as_image(weight), stride=1, padding=1)


class TransposedConv(_Rearranged, nn.ConvTranspose1d):
    """`nn.ConvTranspose1d` of stride 1 or 2 on (batch, position, channel).

    Of stride 2 it is computed as a convolution at the coarse positions that gives both fine ones
    of each: Shi et al. 2016, arXiv:1609.05158. In this order of memory their interleave is another
    view of the same numbers. With `slope` a LeakyReLU of that slope follows.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        kernel: int,
        stride: int = 1,
        padding: int = 0,
        output_padding: int = 0,
        *,
        slope: float | None = None,
    ):
        if stride > 2 or (stride == 2 and kernel - 2 * padding + output_padding != 2):
            raise ValueError("a transposed convolution keeps the number of positions or doubles it")
        super().__init__(n_in, n_out, kernel, stride, padding, output_padding)
        self.slope = slope

    def forward(self, values: Tensor) -> Tensor:  # type: ignore[override]
        """Map (batch, position, n_in) to (batch, position * stride, n_out)."""
        found = self._convolve(values)
        if self.stride[0] == 1:
            return found
        fine = found.reshape(len(values), -1, self.out_channels)
        n_out = 2 * values.shape[1]
        odd = self.padding[0] % 2
        return fine if fine.shape[1] == n_out else fine[:, odd : odd + n_out]

    def _rearrange(self) -> _Kernel:
        stride, padding, n_taps = self._sizes()
        if stride == 1:
            weight = self.weight.flip(2).transpose(0, 1)
            return _Kernel(_as_image(weight), 1, n_taps - 1 - padding)
        # Fine position 2 m + place - padding % 2 takes from coarse position m + t the tap
        # place + 2 (padding // 2 - t).
        n_coarse = -(-n_taps // 2)
        weight = functional.pad(self.weight, (0, 2 * n_coarse - n_taps))
        weight = weight.unflatten(2, (n_coarse, 2)).flip(2)  # (in, out, t, place)
        weight = weight.permute(3, 1, 0, 2).flatten(0, 1)  # (place * out, in, t)
        return _Kernel(_as_image(weight), 1, n_coarse - 1 - padding // 2)


class Body(nn.Sequential):
    """Layers one after the other, of which `compile` makes one program."""

    def forward(self, values: Tensor, first: int = 0, stop: int | None = None) -> Tensor:
        """Apply those from `first` to `stop`."""
        # torch does not compile its own forward, only each layer by itself.
        for layer in list(self)[first:stop]:
            values = layer(values)
        return values


class Head(nn.Linear):
    """`nn.Linear` in the precision of its weights, also where autocast lowers that of others.

    Between body and code, or code and body, there is little to multiply and much to lose.
    """

    def forward(self, values: Tensor) -> Tensor:
        """Map (batch, n_in) to (batch, n_out)."""
        with without_autocast(values.device):
            return super().forward(values.to(self.weight.dtype))


class NormReLU(nn.Module):
    """Each channel of each spectrum to mean 0 and variance 1, then ReLU; without parameters."""

    def forward(self, values: Tensor) -> Tensor:
        """Map (batch, position, channel) to the same shape."""
        if values.shape[1] == 1:
            # One position has no variance: torch refuses it, and its norm would always be zero.
            return values.relu()
        if torch.is_grad_enabled():
            return _NormReLU.apply(values)
        return _normalise(values)[0].relu_()


class _NormReLU(torch.autograd.Function):
    """Norm and ReLU with the gradient in closed form.

    torch's own goes through the channels one by one, which takes four times as long.
    """

    @staticmethod
    def forward(ctx, values):
        normal, scale = _normalise(values)
        ctx.save_for_backward(normal, scale)
        return normal.relu()

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        normal, scale = ctx.saved_tensors
        # That of ReLU; `where` is five times slower.
        gradient = torch.ops.aten.threshold_backward(gradient, normal, 0.0)
        along = (gradient * normal).mean(dim=1, keepdim=True)
        gradient -= gradient.mean(dim=1, keepdim=True)
        return gradient.addcmul_(normal, along, value=-1.0).mul_(scale)


def _normalise(values: Tensor) -> tuple[Tensor, Tensor]:
    """Norm of (batch, position, channel), and its scale, (batch, 1, channel)."""
    n_batch, n_positions, n_channels = values.shape
    if n_positions < _FEW_POSITIONS:
        values = values.float() if values.dtype == torch.bfloat16 else values
        deviation = values - values.mean(dim=1, keepdim=True)
        variance = deviation.square().mean(dim=1, keepdim=True)
        scale = torch.rsqrt(variance + _EPSILON)
        return deviation.mul_(scale), scale
    image = values.transpose(1, 2).unsqueeze(2)
    image, _, scale = torch.native_group_norm(
        image, None, None, n_batch, n_channels, n_positions, n_channels, _EPSILON
    )
    return image.squeeze(2).transpose(1, 2), scale[:, None].to(values.dtype)


def compile_bodies(network: nn.Module, *, wanted: bool = True) -> None:
    """Let `torch.compile` make one program of each body of a network, or undo it.

    Nothing is compiled before a body is called. Encoders and decoders without a `Body`, such as
    those of a user, are compiled whole. Neither a state dict nor a pickle knows of it.

    Parameters
    ----------
    network : nn.Module
        Changed in place.
    wanted : bool, default=True
        False undoes it.

    Examples
    --------
    >>> from specvae.networks import ConvEncoder
    >>> encoder = ConvEncoder(64, 2)
    >>> compile_bodies(encoder)
    >>> compile_bodies(encoder, wanted=False)
    """
    bodies: list[nn.Module] = [part for part in network.modules() if isinstance(part, Body)]
    for name in ("encoder", "decoder"):
        part = getattr(network, name, None)
        if part is not None and not any(isinstance(each, Body) for each in part.modules()):
            bodies.append(part)
    for body in bodies:
        if wanted and body._compiled_call_impl is None:
            body.compile()
            _compiled_here.add(body)
        elif not wanted and body in _compiled_here:
            body._compiled_call_impl = None
            _compiled_here.discard(body)


# What a user compiled himself stays so.
_compiled_here: weakref.WeakSet[nn.Module] = weakref.WeakSet()


def without_autocast(device: torch.device) -> AbstractContextManager[Any]:
    """Context in which nothing is computed in a lower precision than it has."""
    if not torch.amp.is_autocast_available(device.type):
        return nullcontext()  # "meta"
    return torch.autocast(device.type, enabled=False)


# Kernels of the call that this thread is in: to make one anew takes as long as to use it on one
# spectrum. None outlives the call, so that no change of a weight can be missed.
_scope = threading.local()


@contextmanager
def _kernels_kept() -> Iterator[None]:
    _scope.kernels = {}
    try:
        yield
    finally:
        _scope.kernels = None


def in_small_batches(function: Callable[[Tensor], Tensor], values: Tensor, n_pixels: int) -> Tensor:
    """Apply a function to as many spectra at once as stay in the processor's cache.

    Parameters
    ----------
    function : callable
        Maps the first axis one to one.
    values : Tensor of shape (batch, ...)
    n_pixels : int
        Of one spectrum.

    Returns
    -------
    found : Tensor of shape (batch, ...)
    """
    n_together = max(1, _PIXELS_AT_ONCE // n_pixels)
    if values.device.type != "cpu" or len(values) <= n_together or torch.is_grad_enabled():
        return function(values)
    with _kernels_kept():
        return torch.cat([function(part) for part in values.split(n_together)])


def _as_image(weight: Tensor) -> Tensor:
    """From (out, in, tap) to (out, in, 1, tap), the channels next to each other in memory."""
    return weight.unsqueeze(2).contiguous(memory_format=torch.channels_last)
