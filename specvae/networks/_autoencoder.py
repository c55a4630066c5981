"""Encoder and decoder joined by a code, in flux units on both sides."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ._layers import without_autocast


class FluxScaler(nn.Module):
    """Deviation from the mean spectrum in units of its typical size, and back.

    Parameters
    ----------
    mean : Tensor of shape (n_pixels,)
        Mean flux of the training spectra; NaN where none has a valid pixel.
    scale : float
        Typical deviation from the mean.
    """

    # Cosmic rays reach a thousand times the continuum; the code must not follow them.
    max_deviation = 20.0

    mean: Tensor
    seen: Tensor
    scale: Tensor

    def __init__(self, mean: Tensor, scale: float):
        super().__init__()
        self.register_buffer("mean", mean.nan_to_num(0.0))
        self.register_buffer("seen", ~torch.isnan(mean))
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float32))
        # Adam wants gradients far above its 1e-8 and float32 their squares within its range: the
        # loss of flux in physical units, 1e-14 say, is divided by this while training.
        self.unit = 1.0 if 1e-4 <= scale <= 1e4 else float(scale)

    def forward(self, flux: Tensor) -> Tensor:
        """Scale flux (batch, n_pixels); missing pixels become 0, the mean spectrum."""
        deviation = (flux - self.mean) / self.scale
        deviation = torch.where(self.seen, deviation, 0.0)
        return deviation.nan_to_num(0.0).clamp(-self.max_deviation, self.max_deviation)

    def inverse(self, deviation: Tensor) -> Tensor:
        """Return to flux, shape (batch, n_pixels)."""
        return deviation * self.scale + self.mean


class LinearPath(nn.Module):
    """A fixed linear code: projections on components of unit length, in units of their scatter.

    Parameters
    ----------
    components : Tensor of shape (n_latents, n_pixels)
        Orthonormal rows.
    scatter : Tensor of shape (n_latents,)
        Root mean square of each projection over the training spectra.
    """

    components: Tensor
    scatter: Tensor

    def __init__(self, components: Tensor, scatter: Tensor):
        super().__init__()
        self.register_buffer("components", components)
        self.register_buffer("scatter", scatter)

    def encode(self, deviation: Tensor) -> Tensor:
        """Project (batch, n_pixels) to (batch, n_latents)."""
        with without_autocast(deviation.device):
            return deviation @ (self.components / self.scatter[:, None]).T

    def decode(self, code: Tensor) -> Tensor:
        """Return from (batch, n_latents) to (batch, n_pixels)."""
        with without_autocast(code.device):
            return (code * self.scatter) @ self.components


class AutoencoderOutput(NamedTuple):
    """What one forward pass yields; every field has the batch on axis 0."""

    reconstruction: Tensor  # (batch, n_pixels), in flux units
    code: Tensor  # (batch, n_latents)


class Autoencoder(nn.Module):
    """Flux to code to flux.

    Parameters
    ----------
    encoder : nn.Module
        Maps (batch, n_pixels) to (batch, n_latents).
    decoder : nn.Module
        Maps (batch, n_latents) to (batch, n_pixels).
    scaler : FluxScaler
        Applied before the encoder, inverted after the decoder.
    n_latents : int
        Width of the code.
    linear : LinearPath, optional
        Added to encoder and decoder, which then start switched off: Bachlechner et al. 2020,
        arXiv:2003.04887.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        scaler: FluxScaler,
        n_latents: int,
        linear: LinearPath | None = None,
    ):
        super().__init__()
        self.n_latents = n_latents
        self.linear = linear
        if linear is not None:
            self.gates = nn.Parameter(torch.zeros(2))  # of encoder and decoder
        self.encoder = encoder
        self.decoder = decoder
        self.scaler = scaler

    def encode(self, flux: Tensor) -> Tensor:
        """Map flux (batch, n_pixels), NaN where missing, to codes (batch, n_latents)."""
        deviation = self.scaler(flux)
        if self.linear is None:
            return self.encoder(deviation)
        return self.linear.encode(deviation) + self.gates[0] * self.encoder(deviation)

    def decode(self, code: Tensor) -> Tensor:
        """Map codes (batch, n_latents) to flux (batch, n_pixels)."""
        if self.linear is None:
            return self.scaler.inverse(self.decoder(code))
        deviation = self.linear.decode(code) + self.gates[1] * self.decoder(code)
        return self.scaler.inverse(deviation)

    def target(self, flux: Tensor) -> Tensor:
        """Return the flux to be reconstructed: NaN also in pixels that training never saw."""
        return torch.where(self.scaler.seen, flux, torch.nan)

    def forward(self, flux: Tensor) -> AutoencoderOutput:
        """Encode and decode."""
        code = self.encode(flux)
        return AutoencoderOutput(self.decode(code), code)
