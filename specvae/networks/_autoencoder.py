"""Encoder and decoder joined by a code, in flux units on both sides."""

from typing import NamedTuple

import torch
from torch import Tensor, nn


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

    def forward(self, flux: Tensor) -> Tensor:
        """Scale flux (batch, n_pixels); missing pixels become 0, the mean spectrum."""
        deviation = (flux - self.mean) / self.scale
        deviation = torch.where(self.seen, deviation, 0.0)
        return deviation.nan_to_num(0.0).clamp(-self.max_deviation, self.max_deviation)

    def inverse(self, deviation: Tensor) -> Tensor:
        """Return to flux, shape (batch, n_pixels)."""
        return deviation * self.scale + self.mean


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
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, scaler: FluxScaler, n_latents: int):
        super().__init__()
        self.n_latents = n_latents
        self.encoder = encoder
        self.decoder = decoder
        self.scaler = scaler

    def encode(self, flux: Tensor) -> Tensor:
        """Map flux (batch, n_pixels), NaN where missing, to codes (batch, n_latents)."""
        return self.encoder(self.scaler(flux))

    def decode(self, code: Tensor) -> Tensor:
        """Map codes (batch, n_latents) to flux (batch, n_pixels)."""
        return self.scaler.inverse(self.decoder(code))

    def forward(self, flux: Tensor) -> AutoencoderOutput:
        """Encode and decode."""
        code = self.encode(flux)
        return AutoencoderOutput(self.decode(code), code)
