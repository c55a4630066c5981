"""The encoder alone, flux to labels, and the decoder alone, labels to flux."""

from typing import NamedTuple

from torch import Tensor, nn

from ._autoencoder import FluxScaler
from ._variational import LabelScaler, moments


class LabelOutput(NamedTuple):
    """Labels of each spectrum in units of the label scaler; both (batch, n_labels)."""

    mean: Tensor
    log_variance: Tensor


class LabelPredictor(nn.Module):
    """Flux to labels, each with its variance.

    Parameters
    ----------
    encoder : nn.Module
        Maps (batch, n_pixels) to (batch, 2 * n_labels).
    scaler : FluxScaler
        Applied before the encoder.
    label_scaler : LabelScaler
        Units of the outputs.
    """

    def __init__(self, encoder: nn.Module, scaler: FluxScaler, label_scaler: LabelScaler):
        super().__init__()
        self.encoder = encoder
        self.scaler = scaler
        self.label_scaler = label_scaler

    def forward(self, flux: Tensor) -> LabelOutput:
        """Map flux (batch, n_pixels), NaN where missing, to scaled labels."""
        return LabelOutput(*moments(self.encoder(self.scaler(flux))))


class LabelDecoder(nn.Module):
    """Labels to flux.

    Parameters
    ----------
    decoder : nn.Module
        Maps (batch, n_labels) to (batch, n_pixels).
    scaler : FluxScaler
        Inverted after the decoder.
    label_scaler : LabelScaler
        Applied before the decoder.
    """

    def __init__(self, decoder: nn.Module, scaler: FluxScaler, label_scaler: LabelScaler):
        super().__init__()
        self.decoder = decoder
        self.scaler = scaler
        self.label_scaler = label_scaler

    def forward(self, labels: Tensor) -> Tensor:
        """Map labels (batch, n_labels) in physical units to flux (batch, n_pixels)."""
        return self.scaler.inverse(self.decoder(self.label_scaler(labels)))
