"""Networks whose code is a distribution, or begins with labels, or both."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ._autoencoder import FluxScaler
from ._doppler import DopplerShift

# Beyond, exp(log variance) leaves float32's useful range; as published.
_LARGEST_LOG_VARIANCE = 20.0


class LabelScaler(nn.Module):
    """Labels in units of their scatter about their centre, and back; NaN stays NaN.

    Parameters
    ----------
    centre, scale : Tensor of shape (n_labels,)
        Of the labels of the training spectra.
    """

    centre: Tensor
    scale: Tensor

    def __init__(self, centre: Tensor, scale: Tensor):
        super().__init__()
        self.register_buffer("centre", centre)
        self.register_buffer("scale", scale)

    def forward(self, labels: Tensor) -> Tensor:
        """Scale labels (batch, n_labels)."""
        return (labels - self.centre) / self.scale

    def inverse(self, scaled: Tensor) -> Tensor:
        """Return to physical units, shape (batch, n_labels)."""
        return scaled * self.scale + self.centre


class Posterior(NamedTuple):
    """Distribution of the code of each spectrum: independent normals."""

    mean: Tensor  # (batch, n_latents)
    log_variance: Tensor | None  # (batch, n_latents); None where the code is one point


def moments(outputs: Tensor) -> tuple[Tensor, Tensor]:
    """Split (batch, 2 n) into mean and log variance, the latter kept within float32's use."""
    mean, log_variance = outputs.chunk(2, dim=-1)
    return mean, log_variance.clamp(-_LARGEST_LOG_VARIANCE, _LARGEST_LOG_VARIANCE)


class LatentOutput(NamedTuple):
    """What one forward pass yields; every field has the batch on axis 0."""

    reconstruction: Tensor  # (batch, n_pixels), in flux units
    code: Tensor  # (batch, n_latents), what was decoded
    posterior: Posterior


class LatentModel(nn.Module):
    """Flux to a distribution of codes, and a code to flux; the first latents may be labels.

    Parameters
    ----------
    encoder : nn.Module
        Maps (batch, n_pixels) to (batch, 2 * n_latents), mean and log variance, or to
        (batch, n_latents) where the code is one point.
    decoder : nn.Module
        Maps (batch, n_latents) to (batch, n_pixels).
    scaler : FluxScaler
        Applied before the encoder, inverted after the decoder.
    n_latents : int
        Width of the code.
    variational : bool, default=True
        Whether the code is a distribution.
    label_scaler : LabelScaler, optional
        Of the labels that are the first latents.
    shift : DopplerShift, optional
        The decoder then draws the star at rest, and one of the labels shifts it.
    velocity_column : int, default=0
        That label, a radial velocity in km/s.
    """

    is_velocity: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        scaler: FluxScaler,
        n_latents: int,
        *,
        variational: bool = True,
        label_scaler: LabelScaler | None = None,
        shift: DopplerShift | None = None,
        velocity_column: int = 0,
    ):
        super().__init__()
        self.n_latents = n_latents
        self.variational = variational
        self.encoder = encoder
        self.decoder = decoder
        self.scaler = scaler
        self.label_scaler = label_scaler
        self.shift = shift
        if shift is not None:
            is_velocity = torch.arange(n_latents) == velocity_column
            self.register_buffer("is_velocity", is_velocity)

    @property
    def n_labels(self) -> int:
        """How many of the latents, the first, are labels."""
        return 0 if self.label_scaler is None else len(self.label_scaler.centre)

    def posterior(self, flux: Tensor) -> Posterior:
        """Distribution of the code of flux (batch, n_pixels), NaN where missing."""
        outputs = self.encoder(self.scaler(flux))
        if not self.variational:
            return Posterior(outputs, None)
        return Posterior(*moments(outputs))

    def encode(self, flux: Tensor) -> Tensor:
        """Posterior mean of flux (batch, n_pixels), shape (batch, n_latents)."""
        return self.posterior(flux).mean

    def decode(self, code: Tensor) -> Tensor:
        """Map codes (batch, n_latents) to flux (batch, n_pixels)."""
        if self.shift is None:
            return self.scaler.inverse(self.decoder(code))
        assert self.label_scaler is not None
        at_rest = self.scaler.inverse(self.decoder(code.masked_fill(self.is_velocity, 0.0)))
        labels = self.label_scaler.inverse(code[:, : self.n_labels])
        velocity_kms = labels[:, self.is_velocity[: self.n_labels]].squeeze(1)
        return self.shift(at_rest, velocity_kms)

    def target(self, flux: Tensor) -> Tensor:
        """Return the flux to be reconstructed: NaN also in pixels that training never saw."""
        return torch.where(self.scaler.seen, flux, torch.nan)

    def predict(self, flux: Tensor) -> Tensor:
        """Labels in physical units, shape (batch, n_labels)."""
        assert self.label_scaler is not None
        return self.label_scaler.inverse(self.encode(flux)[:, : self.n_labels])

    def forward(self, flux: Tensor, noise: Tensor | None = None) -> LatentOutput:
        """Encode, and decode the mean, or with unit normal `noise` of its shape a sample."""
        posterior = self.posterior(flux)
        code = posterior.mean
        if noise is not None and posterior.log_variance is not None:
            code = code + noise * (0.5 * posterior.log_variance).exp()
        return LatentOutput(self.decode(code), code, posterior)
