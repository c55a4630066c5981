"""Whether a trained network answers in bfloat16 as it does in float32."""

from collections.abc import Iterable
from functools import singledispatch
from typing import Any, NamedTuple

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

# Of its error, that an answer may move among the spectra that are compared: half of what is allowed
# elsewhere, since the largest move among more spectra is larger.
_TOLERATED = 0.05
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
    """In which a network is trained: with "auto" in bfloat16 on a GPU that is made for it alone."""
    if asked != "auto":
        return asked
    return "bfloat16" if device.type == "cuda" and has_native_bfloat16(device) else "float32"


def settle_precision(network: Any, batches: Iterable[Batch]) -> str:
    """Return "float32" or "bfloat16": what a trained network best answers in.

    Parameters
    ----------
    network : nn.Module
        Trained.
    batches : iterable of Batch
        Spectra on which the answers are compared, best those that watched the training.

    Returns
    -------
    precision : str
        "bfloat16" if the device multiplies such numbers natively and no answer moves by more than
        a twentieth of its error: labels and reconstructions of theirs on these spectra, the latents
        of a distribution of its width. Latents without a width may move by a two-hundredth of their
        scatter. Where nothing tells the error of a label, "float32".
    """
    if not has_native_bfloat16(next(network.parameters()).device):
        return "float32"
    return "bfloat16" if largest_move(network, batches) <= _TOLERATED else "float32"


class _Answers(NamedTuple):
    """What a network answers on a batch, with the batch on axis 0."""

    flux: Tensor | None = None
    labels: Tensor | None = None
    code: Tensor | None = None
    width: Tensor | None = None  # of the code, where it has one


def largest_move(network: Any, batches: Iterable[Batch]) -> float:
    """Largest move of an answer from float32 to bfloat16, in units of its error."""
    device = next(network.parameters()).device
    network.eval()
    of_flux = 0.0
    pairs: list[tuple[_Answers, _Answers]] = []
    known: list[Tensor] = []
    with torch.inference_mode():
        for batch in batches:
            batch = batch.to(device)
            with Compute("float32").on(network):
                exact = _answers(network, batch)
            with Compute("bfloat16").on(network):
                lowered = _answers(network, batch)
            if exact.flux is not None and lowered.flux is not None:
                error = torch.where(network.scaler.seen, (exact.flux - batch.flux).abs(), torch.nan)
                error = error.nanmean(dim=1, keepdim=True)
                of_flux = max(of_flux, _share(lowered.flux - exact.flux, error))
            if exact.labels is not None and batch.labels is not None:
                known.append(batch.labels)
            pairs.append((exact._replace(flux=None), lowered._replace(flux=None)))
    return max(of_flux, _of_labels(pairs, known), _of_codes(pairs))


def _of_labels(pairs: list[tuple[_Answers, _Answers]], known: list[Tensor]) -> float:
    if pairs[0][0].labels is None:
        return 0.0
    exact, lowered = (torch.cat([pair[k].labels for pair in pairs]) for k in (0, 1))  # type: ignore[misc]
    if not known:
        return torch.inf
    error = (exact - torch.cat(known)).abs().nanmean(dim=0)  # NaN where no spectrum has the label
    return _share(lowered - exact, error)


def _of_codes(pairs: list[tuple[_Answers, _Answers]]) -> float:
    if pairs[0][0].code is None:
        return 0.0
    exact, lowered = (torch.cat([pair[k].code for pair in pairs]) for k in (0, 1))  # type: ignore[misc]
    if pairs[0][0].width is not None:
        return _share(lowered - exact, torch.cat([pair[0].width for pair in pairs]))  # type: ignore[misc]
    scatter = exact.std(dim=0, correction=0)
    return _share(lowered - exact, scatter * (_TOLERATED_OF_SCATTER / 0.1))


def _share(move: Tensor, error: Tensor) -> float:
    """Largest of |move| / error; infinity where nothing tells the error of what moves."""
    share = move.abs() / error
    # 0 / 0: what does not move needs no error, as a constant latent or a pixel never seen.
    share = torch.where(move == 0, 0.0, share.nan_to_num(torch.inf))
    return float(share.max()) if share.numel() else 0.0


@singledispatch
def _answers(network: Any, batch: Batch) -> _Answers:
    raise TypeError(f"no answers are known of {type(network).__name__}")


@_answers.register
def _(network: Autoencoder, batch: Batch) -> _Answers:
    output = network(batch.flux)
    return _Answers(flux=output.reconstruction, code=output.code)


@_answers.register
def _(network: LatentModel, batch: Batch) -> _Answers:
    output = network(batch.flux)
    mean, log_variance = output.posterior
    free = slice(network.n_labels, None)
    return _Answers(
        output.reconstruction,
        None if network.label_scaler is None else network.predict(batch.flux),
        mean[:, free],
        None if log_variance is None else (0.5 * log_variance).exp()[:, free],
    )


@_answers.register
def _(network: ConditionalAutoencoder, batch: Batch) -> _Answers:
    output = network(batch.flux, batch.conditions)
    return _Answers(flux=output.reconstruction, code=output.code)


@_answers.register
def _(network: LabelPredictor, batch: Batch) -> _Answers:
    return _Answers(labels=network.label_scaler.inverse(network(batch.flux).mean))


@_answers.register
def _(network: LabelDecoder, batch: Batch) -> _Answers:
    return _Answers(flux=network(batch.labels))
