"""The way through an encoder or a decoder that has a body: long positions in small batches."""

from torch import Tensor, nn
from torch.nn import functional

from ._conditional import join_conditions
from ._layers import N_SHORT, Body, Conv, Head, in_small_batches


class BodyEncoder(nn.Module):
    """Flux through a body and a head, which a subclass builds."""

    body: Body
    head: Head
    n_pixels: int
    n_padding: int  # pixels that are missing to a whole number of positions
    n_conditions: int

    def features(self, flux: Tensor) -> Tensor:
        """Output of the body, flattened."""
        n_long = max(0, len(self.body) - N_SHORT)
        values = in_small_batches(lambda part: self._first(part, n_long), flux, self.n_pixels)
        features = self.body(values, n_long)  # (batch, position, channel)
        return features.transpose(1, 2).flatten(1)  # (batch, channel * position)

    def _first(self, flux: Tensor, n_layers: int) -> Tensor:
        padded = functional.pad(flux, (0, self.n_padding))  # (batch, padded)
        return self.body(padded[:, :, None], 0, n_layers)  # (batch, position, channel)

    def forward(self, flux: Tensor, conditions: Tensor | None = None) -> Tensor:
        """Map flux (batch, n_pixels) to outputs (batch, n_outputs)."""
        return self.head(join_conditions(self.features(flux), conditions, self.n_conditions))


class BodyDecoder(nn.Module):
    """Codes through a head, a body and an output layer, which a subclass builds."""

    head: Head
    body: Body
    output: Conv
    bottleneck: tuple[int, int]  # channels and positions
    n_pixels: int
    n_conditions: int

    def forward(self, code: Tensor, conditions: Tensor | None = None) -> Tensor:
        """Map codes (batch, n_inputs) to flux (batch, n_pixels)."""
        code = join_conditions(code, conditions, self.n_conditions)
        start = self.head(code).unflatten(1, self.bottleneck).transpose(1, 2)
        values = self.body(start, 0, N_SHORT)  # (batch, position, channel)
        flux = in_small_batches(self._last, values, self.n_pixels)
        return flux.to(start.dtype)  # autocast may have lowered it

    def _last(self, values: Tensor) -> Tensor:
        flux = self.output(self.body(values, N_SHORT))  # (batch, padded, 1)
        return flux[:, : self.n_pixels, 0]  # (batch, n_pixels)
