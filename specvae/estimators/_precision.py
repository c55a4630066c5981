"""Whether a trained network answers in bfloat16 as it does in float32."""

from functools import singledispatch
from typing import Any

import torch
from torch import Tensor

from ..networks import (
    Autoencoder,
    ConditionalAutoencoder,
    LabelDecoder,
    LabelPredictor,
    LatentModel,
)
from ._compute import Compute
from ._data import Batch

# Of its error, that an answer may move.
_TOLERATED = 0.1
# Of the scatter of a latent that has no error of its own.
_TOLERATED_OF_SCATTER = 0.01


def has_native_bfloat16(device: torch.device) -> bool:
    """Whether a device multiplies bfloat16 faster than float32, as far as torch tells."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    # Private names: where they are gone, the answer is no.
    tells = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return device.type == "cpu" and tells is not None and bool(tells())


def training_precision(asked: str, device: torch.device) -> str:
    """In which a network is trained: with "auto" in bfloat16 on a device made for it alone."""
    if asked != "auto":
        return asked
    return "bfloat16" if device.type == "cuda" and has_native_bfloat16(device) else "float32"


def settle_precision(network: Any, batch: Batch) -> str:
    """Return "float32" or "bfloat16": what a trained network best answers in.

    Parameters
    ----------
    network : nn.Module
        Trained.
    batch : Batch
        Spectra on which the answers are compared, best those that watched the training.

    Returns
    -------
    precision : str
        "bfloat16" if the device multiplies such numbers natively and no answer moves
        by more than a tenth of its error: labels and reconstructions of theirs on this batch, the
        latents of a distribution of its width. Latents without a width may move by a hundredth of
        their scatter.
    """
    device = next(network.parameters()).device
    if not has_native_bfloat16(device):
        return "float32"
    return "bfloat16" if largest_move(network, batch.to(device)) <= _TOLERATED else "float32"


def largest_move(network: Any, batch: Batch) -> float:
    """Largest move of an answer from float32 to bfloat16, in units of its error."""
    network.eval()
    with torch.inference_mode():
        with Compute("float32").on(network):
            exact = _answers(network, batch)
        with Compute("bfloat16").on(network):
            lowered = _answers(network, batch)
    largest = 0.0
    for (answer, error), (moved, _) in zip(exact, lowered, strict=True):
        share = (moved - answer).abs() / error.clamp_min(torch.finfo(answer.dtype).tiny)
        share = share[~torch.isnan(error.expand_as(share))]
        if len(share):
            largest = max(largest, float(share.nan_to_num(torch.inf).max()))
    return largest


@singledispatch
def _answers(network: Any, batch: Batch) -> list[tuple[Tensor, Tensor]]:
    """Answers of a network, each with its error, which broadcasts; NaN where nothing tells it."""
    raise TypeError(f"no answers are known of {type(network).__name__}")


@_answers.register
def _(network: Autoencoder, batch: Batch) -> list[tuple[Tensor, Tensor]]:
    output = network(batch.flux)
    return [_code(output.code), _flux(network, output.reconstruction, batch)]


@_answers.register
def _(network: LatentModel, batch: Batch) -> list[tuple[Tensor, Tensor]]:
    output = network(batch.flux)
    mean, log_variance = output.posterior
    answers = [_flux(network, output.reconstruction, batch)]
    free = slice(network.n_labels, None)
    if network.label_scaler is not None:
        answers.append(_labels(network.predict(batch.flux), batch))
    if log_variance is None:
        answers.append(_code(mean[:, free]))
    else:
        answers.append((mean[:, free], (0.5 * log_variance).exp()[:, free]))
    return answers


@_answers.register
def _(network: ConditionalAutoencoder, batch: Batch) -> list[tuple[Tensor, Tensor]]:
    output = network(batch.flux, batch.conditions)
    return [_code(output.code), _flux(network, output.reconstruction, batch)]


@_answers.register
def _(network: LabelPredictor, batch: Batch) -> list[tuple[Tensor, Tensor]]:
    return [_labels(network.label_scaler.inverse(network(batch.flux).mean), batch)]


@_answers.register
def _(network: LabelDecoder, batch: Batch) -> list[tuple[Tensor, Tensor]]:
    return [_flux(network, network(batch.labels), batch)]


def _flux(network: Any, flux: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Each pixel, beside the mean error of its spectrum."""
    error = torch.where(network.scaler.seen, (flux - batch.flux).abs(), torch.nan)
    return flux, error.nanmean(dim=1, keepdim=True)


def _labels(labels: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Each label, beside its mean error; NaN where no spectrum has it."""
    if batch.labels is None:
        return labels, torch.full_like(labels[:1], torch.nan)
    return labels, (labels - batch.labels).abs().nanmean(dim=0, keepdim=True)


def _code(code: Tensor) -> tuple[Tensor, Tensor]:
    """Each latent, beside a width that is a tenth of its scatter."""
    scatter = code.std(dim=0, keepdim=True, correction=0)
    return code, scatter * (_TOLERATED_OF_SCATTER / _TOLERATED)
