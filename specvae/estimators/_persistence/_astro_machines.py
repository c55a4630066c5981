"""The published weights of two codes, in the networks of this package."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.base import OneToOneFeatureMixin
from sklearn.pipeline import Pipeline
from torch import Tensor

from ..._device import resolve_device
from ..._validation import refuse_infinity
from ...exceptions import SpectrumError
from ...networks import FluxScaler, LatentModel
from ...preprocessing import PixelMasker, valid_median
from ...preprocessing._rows import REMEDY, AbstractRowTransformer, RowTransform
from ...spectra import HARPS_GRID, HARPS_MISSING, WavelengthGrid
from .._build import DECODERS, ENCODERS, build_parts
from .._net import net_around
from .._vae import SpectralVAE

# Published names on the left, ours on the right, both without ".weight" and ".bias". The two
# heads of the encoder are one of ours, mean first.
_MEAN, _LOG_VARIANCE = "mean", "log_variance"
_SEDAGHAT = {
    **{f"conv{n + 1}.0": f"encoder.body.{n}" for n in range(15)},
    "fc11": _MEAN,
    "fc12": _LOG_VARIANCE,
    "fc2": "decoder.head",
    **{f"deconv{15 - n}.0": f"decoder.body.{n}" for n in range(15)},
    "predict0": "decoder.output",
}
_CVRCEK = {
    **{f"encoder.blocks.{n}.0": f"encoder.body.{n}" for n in range(15)},
    "fc_mu": _MEAN,
    "fc_logvar": _LOG_VARIANCE,
    "fc_z": "decoder.head",
}
_CVRCEK_CONV = {
    **_CVRCEK,
    **{f"decoder.blocks.{n}.0.0": f"decoder.body.{n}" for n in range(15)},
    "decoder.blocks.15.0": "decoder.output",
}
_CVRCEK_RESNET = {
    **_CVRCEK,
    **{
        f"decoder.blocks.{n}.net.{published}": f"decoder.body.{n}.branch.{ours}"
        for n in range(15)
        for published, ours in ((2, 1), (5, 3))
    },
    **{f"decoder.blocks.{n}.upsample.2": f"decoder.body.{n}.skip.1" for n in range(1, 15)},
    "decoder.output_net": "decoder.output",
}
# By a name that only this kind has: its table and our decoder.
_KINDS = {
    "fc11.weight": (_SEDAGHAT, "conv"),
    "decoder.output_net.weight": (_CVRCEK_RESNET, "resnet"),
    "decoder.blocks.15.0.weight": (_CVRCEK_CONV, "conv"),
}
# Constants of their losses.
_IGNORED = {"tiled_mask"}


class PublishedNormalizer(OneToOneFeatureMixin, AbstractRowTransformer):
    """Divide each spectrum by its median with missing pixels counted as zeros.

    So did both published codes, which set masked pixels to zero first: on HARPS the divisor is the
    47th percentile of the valid pixels. For their weights only; else take `MedianNormalizer`.

    Attributes
    ----------
    n_features_in_ : int
        Number of pixels seen in `fit`.
    """

    def _row_transform(self, n_pixels: int, grid: WavelengthGrid | None) -> RowTransform:
        return RowTransform(divide_by_published_median, n_pixels, grid)


def divide_by_published_median(flux: np.ndarray) -> np.ndarray:
    """Flux over its median with zeros for missing pixels, row by row, (n_spectra, n_pixels).

    Raises
    ------
    SpectrumError
        If a row holds infinity, or such a median that is not positive.
    """
    refuse_infinity(flux)
    median = valid_median(np.nan_to_num(flux, nan=0.0))
    if not (median > 0).all():
        row = int(np.argmin(median > 0))
        found = f"has a median of {median[row]:.3g} with missing pixels as zeros"
        raise SpectrumError(row, f"{found}; {REMEDY}")
    return flux / median[:, None]


def load_astro_machines(source: Any, *, normalize: bool = True, device: str = "auto") -> Any:
    """Read the published weights of Sedaghat et al. [1]_ or Cvrcek et al. [2]_.

    Parameters
    ----------
    source : str, Path or mapping of str to Tensor
        A checkpoint of astro-machines or of a VAE or autoencoder of HARPS-ML-Spectra ("CNN_classic"
        encoder; "CNN_classic" or "ResNet_small" decoder), or its state_dict.
    normalize : bool, default=True
        True puts their normalisation before the network: known gaps of HARPS masked, then divided
        by the median with masked pixels as zeros. False returns the network alone, for spectra
        that are normalised so already.
    device : str, default="auto"
        "auto" takes a CUDA device where there is one, else the CPU.

    Returns
    -------
    model : Pipeline or SpectralVAE
        For spectra on `HARPS_GRID`. `transform` gives the mean of the code. Labels of the second
        code are its first latents, in units of their MAD about their median.

    Raises
    ------
    ValueError
        If the file holds more than tensors and plain containers, which are all that is read, or
        its tensors are not those of these networks.

    Notes
    -----
    The names are those that HARPS-ML-Spectra gives its modules and, for the older weights, reads
    in its loader of them; the published files themselves were not at hand.
    Two things differ from the published networks: flux beyond 20 medians is clipped, and pixels
    that their losses left out are zero on input and NaN in the reconstruction.

    References
    ----------
    .. [1] Sedaghat et al. 2021, MNRAS 501, 6026; github.com/NimSed/astro-machines.
    .. [2] Cvrcek et al. 2025, A&A 693, A256; github.com/cvrcek/HARPS-ML-Spectra.
    """
    state = dict(source) if isinstance(source, Mapping) else _read_checkpoint(Path(source))
    state = {name: value for name, value in state.items() if name not in _IGNORED}
    table, decoder = next(
        (kind for name, kind in _KINDS.items() if name in state), (_SEDAGHAT, "conv")
    )
    wanted = {f"{name}.{part}" for name in table for part in ("weight", "bias")}
    missing, unknown = sorted(wanted - set(state)), sorted(set(state) - wanted)
    if missing or unknown:
        raise ValueError(
            "source does not hold the tensors of a published autoencoder with the classic "
            f"convolutional encoder: {len(missing)} are missing ({', '.join(missing[:3])}), "
            f"{len(unknown)} are unknown ({', '.join(unknown[:3])})."
        )
    renamed = _rename(state, table)
    n_latents = renamed["encoder.head.weight"].shape[0] // 2
    encoder_net, decoder_net = build_parts(
        None,
        (ENCODERS["conv"], (HARPS_GRID.n_pixels, 2 * n_latents), {}),
        (DECODERS[decoder], (n_latents, HARPS_GRID.n_pixels), {}),
    )
    network = LatentModel(encoder_net, decoder_net, _published_scaler(), n_latents)
    expected = network.state_dict()
    for name, tensor in renamed.items():
        if tensor.shape != expected[name].shape:
            raise ValueError(
                f"the tensor that becomes {name} has shape {tuple(tensor.shape)}; at "
                f"{HARPS_GRID.n_pixels} pixels it has {tuple(expected[name].shape)}."
            )
        if not torch.isfinite(tensor).all():
            raise ValueError(f"the tensor that becomes {name} holds NaN or infinity.")
    network.load_state_dict({**expected, **renamed}, assign=True)
    vae = SpectralVAE(n_latents, decoder=decoder, grid=HARPS_GRID, device=device)
    vae.n_features_in_, vae.grid_, vae.n_iter_ = HARPS_GRID.n_pixels, HARPS_GRID, 0
    vae.precision_ = "float32"
    vae.latent_kl_ = np.full(n_latents, np.nan)
    vae.history_ = pd.DataFrame({"epoch": np.arange(0), "train_loss": np.zeros(0)})
    vae.net_ = net_around(network, resolve_device(device))
    if not normalize:
        return vae
    one = np.ones((1, HARPS_GRID.n_pixels), dtype=np.float32)
    mask = PixelMasker(HARPS_MISSING, grid=HARPS_GRID).fit(one)
    return Pipeline([("mask", mask), ("median", PublishedNormalizer().fit(one)), ("vae", vae)])


def _read_checkpoint(path: Path) -> dict[str, Any]:
    try:
        # Tensors and plain containers only: anything else is refused by the loader.
        found = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except Exception as error:
        raise ValueError(
            f"{path} cannot be read without running code from it ({type(error).__name__}). If you "
            "trust it: torch.save(torch.load(path, weights_only=False)['state_dict'], new_path)."
        ) from error
    if isinstance(found, Mapping) and isinstance(found.get("state_dict"), Mapping):
        found = found["state_dict"]
    if not isinstance(found, Mapping):
        raise ValueError(f"{path} holds no state_dict but a {type(found).__name__}.")
    return dict(found)


def _rename(state: dict[str, Tensor], table: dict[str, str]) -> dict[str, Tensor]:
    """Return the state by our names, in float32 of its own, the two heads joined."""
    renamed = {}
    for old, new in table.items():
        for part in ("weight", "bias"):
            value = state[f"{old}.{part}"]
            renamed[f"{new}.{part}"] = value.detach().to("cpu", torch.float32, copy=True)
    for part in ("weight", "bias"):
        heads = [renamed.pop(f"{name}.{part}") for name in (_MEAN, _LOG_VARIANCE)]
        renamed[f"encoder.head.{part}"] = torch.cat(heads)
    return renamed


def _published_scaler() -> FluxScaler:
    """Return a scaler that changes nothing where the published losses looked."""
    mean = torch.zeros(HARPS_GRID.n_pixels)
    for low_aa, high_aa in HARPS_MISSING:
        mean[HARPS_GRID.slice(low_aa, high_aa)] = torch.nan
    return FluxScaler(mean, 1.0)
