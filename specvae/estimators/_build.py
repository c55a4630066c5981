"""A new network: what it takes from the spectra before training, and its first weights."""

from typing import Any

import numpy as np
import torch
from sklearn.utils.extmath import randomized_svd
from torch import nn

from .._random import make_generator
from .._validation import check_choice
from ..networks import (
    Autoencoder,
    ConvDecoder,
    ConvEncoder,
    DenseDecoder,
    DenseEncoder,
    FluxScaler,
    LabelScaler,
    LinearPath,
    ResNetDecoder,
    ResNetEncoder,
    initialise,
)
from ._data import read_flux, row_blocks

ENCODERS = {"conv": ConvEncoder, "dense": DenseEncoder, "resnet": ResNetEncoder}
DECODERS = {"conv": ConvDecoder, "dense": DenseDecoder, "resnet": ResNetDecoder}

# Rows from which mean and scale of the flux are taken: more would not change them.
_MAX_STATISTICS_ROWS = 4096
# Pixels from which principal components are taken: half a gigabyte.
_MAX_COMPONENT_PIXELS = 134_217_728
# The most variable pixels hold order edges and cosmic rays, which must not set the scale.
_QUIET_SHARE = 0.99


def build_autoencoder(
    X: Any,
    rows: np.ndarray,
    weight: np.ndarray,
    seed: int | None,
    *,
    latent_dim: int,
    encoder: Any,
    decoder: Any,
    linear_path: bool,
) -> Autoencoder:
    """Build an autoencoder for spectra like the given rows, with weights drawn from `seed`."""
    scaler = flux_scaler(X, rows, weight)
    encoder_net, decoder_net = build_parts(
        seed,
        (part_class(encoder, ENCODERS), (X.shape[1], latent_dim), {}),
        (part_class(decoder, DECODERS), (latent_dim, X.shape[1]), {}),
    )
    path = principal_path(X, rows, weight, scaler, latent_dim, seed) if linear_path else None
    return Autoencoder(encoder_net, decoder_net, scaler, latent_dim, path)


def flux_scaler(X: Any, rows: np.ndarray, weight: np.ndarray) -> FluxScaler:
    """Return the scaler of the flux of some rows."""
    mean, scale = flux_statistics(X, rows, weight)
    return FluxScaler(torch.from_numpy(mean), scale)


def continue_mean(scaler: FluxScaler) -> None:
    """Give the mean spectrum values in pixels that were never seen, between their neighbours.

    A decoded spectrum that is shifted takes some of them to where flux was seen; the mean of
    nothing, 0, would be a black line there.
    """
    seen, mean = scaler.seen.numpy(), scaler.mean.numpy()
    pixel = np.arange(len(seen))
    scaler.mean.copy_(torch.from_numpy(np.interp(pixel, pixel[seen], mean[seen])))


def label_scaler(labels: np.ndarray, rows: np.ndarray, *, robust: bool = False) -> LabelScaler:
    """Return the scaler of the labels of some rows: mean and deviation, or median and 68 % range.

    Where the 68 % range is empty, the deviation is taken. A label that is constant in these rows is
    only centred, one that they lack is left as it is.
    """
    chosen = labels[rows]
    known = ~np.isnan(chosen)
    centre, scale = np.zeros(labels.shape[1]), np.ones(labels.shape[1])
    for column in np.flatnonzero(known.any(axis=0)):
        values = chosen[known[:, column], column]
        if robust:
            low, middle, high = np.quantile(values, [0.16, 0.5, 0.84])
            centre[column], spread = middle, 0.5 * (high - low)
            spread = spread if spread > 0 else values.std()
        else:
            centre[column], spread = values.mean(), values.std()
        # Beside their own size: labels in units that make them small vary all the same.
        if spread > 1e-9 * np.abs(values).max():
            scale[column] = spread
    return LabelScaler(_float(centre), _float(scale))


def build_parts(
    seed: int | None, *parts: tuple[Any, tuple[int, ...], dict[str, int]]
) -> list[nn.Module]:
    """Build networks, each of (class, positional arguments, options), with weights from `seed`.

    None gives networks to be filled from a file: ours have shapes but no weights.
    """
    generator = make_generator(seed or 0)
    built = []
    for number, (kind, arguments, options) in enumerate(parts):
        options = {name: value for name, value in options.items() if value}
        if kind in (*ENCODERS.values(), *DECODERS.values()):
            # On the meta device construction draws no random number from torch's global generator.
            with torch.device("meta"):
                part = kind(*arguments, **options)
            if seed is not None:
                initialise(part.to_empty(device="cpu"), generator)
                if isinstance(part, ConvDecoder):
                    part.start_linear()
        else:
            # A class of the user draws from the global generator, which is lent and put back.
            with torch.random.fork_rng(devices=[]):
                # Not torch.manual_seed, which would reach the generators of all devices.
                torch.default_generator.manual_seed((seed or 0) + number)
                part = kind(*arguments, **options)
        built.append(part)
    return built


def part_class(kind: Any, known: dict[str, Any]) -> Any:
    """Return the class of a network that was chosen by its word or is given itself."""
    return known[kind] if isinstance(kind, str) else kind


def check_part(name: str, kind: Any, known: dict[str, Any]) -> None:
    """Raise unless `kind` is one of the words or a class of networks."""
    if isinstance(kind, str) or not isinstance(kind, type):
        check_choice(name, kind, tuple(known))
    elif not issubclass(kind, nn.Module):
        raise ValueError(
            f"{name} must be one of {', '.join(map(repr, known))} or a subclass of torch.nn.Module "
            f"that takes two sizes, got {kind!r}."
        )


def check_same_network(network: nn.Module, **parameters: Any) -> None:
    """Raise unless `network`, which is to go on training, is the one that is asked for."""
    found = {
        "latent_dim": getattr(network, "n_latents", None),
        "encoder": type(getattr(network, "encoder", None)),
        "decoder": type(getattr(network, "decoder", None)),
        "linear_path": getattr(network, "linear", None) is not None,
    }
    asked = dict(parameters)
    for name, known in (("encoder", ENCODERS), ("decoder", DECODERS)):
        asked[name] = part_class(asked[name], known)
    changed = [name for name, wanted in asked.items() if found[name] != wanted]
    if changed:
        raise ValueError(
            f"{', '.join(changed)} changed since the network was built, which goes on training; "
            "set warm_start=False and call fit to start anew."
        )


def flux_statistics(X: Any, rows: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, float]:
    """Mean spectrum and typical deviation from it, in one pass over at most 4096 rows.

    Parameters
    ----------
    X : ndarray or SpectraArray of shape (n_spectra, n_pixels)
    rows : ndarray of int
        Spectra that count, each with a weight above zero.
    weight : ndarray of shape (n_spectra,)
        One for each row of `X`.

    Returns
    -------
    mean : ndarray of float32, shape (n_pixels,)
        NaN where none of these rows has a valid pixel.
    scale : float
        Root mean square deviation over all but the 1 % most variable pixels; 1 if there is none.
    """
    rows = _spread(rows, _MAX_STATISTICS_ROWS)
    count, total, squares = np.zeros((3, X.shape[1]))
    shift = None
    for block in row_blocks(len(rows), X.shape[1]):
        flux = read_flux(X, rows[block]).astype(np.float64)
        if shift is None:
            # Sums of squares about a guess of the mean: no cancellation where the flux is large.
            shift = np.nan_to_num(flux[0])
        valid = ~np.isnan(flux)
        flux = np.where(valid, flux - shift, 0.0)
        of_block = weight[rows[block]]
        count += of_block @ valid
        total += of_block @ flux
        squares += of_block @ np.square(flux)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / count
        variance = squares / count - mean**2
    quiet = variance[variance <= np.nanquantile(variance, _QUIET_SHARE)]
    scale = float(np.sqrt(max(quiet.mean(), 0.0)))
    mean_flux = (mean + shift).astype(np.float32)
    # Constant spectra leave rounding errors only: any scale serves them.
    smallest = 1e-6 * float(np.nanmax(np.abs(mean_flux)))
    return mean_flux, scale if scale > smallest else 1.0


def principal_path(
    X: Any,
    rows: np.ndarray,
    weight: np.ndarray,
    scaler: FluxScaler,
    n_latents: int,
    seed: int | None,
) -> LinearPath:
    """First principal components of the scaled spectra, from as many rows as half a gigabyte holds.

    Fewer rows or pixels than latents leave the other components zero. Without a seed they are to
    be filled from a file.
    """
    if seed is None:
        empty = torch.empty((n_latents, X.shape[1]), device="meta")
        return LinearPath(empty, torch.empty(n_latents, device="meta"))
    rows = _spread(rows, max(n_latents, _MAX_COMPONENT_PIXELS // X.shape[1]))
    deviation = np.empty((len(rows), X.shape[1]), dtype=np.float32)
    for block in row_blocks(len(rows), X.shape[1]):
        deviation[block] = scaler(torch.from_numpy(read_flux(X, rows[block]))).numpy()
    deviation *= np.sqrt(weight[rows] / weight[rows].mean()).astype(np.float32)[:, None]
    n_found = min(n_latents, *deviation.shape)
    _, length, found = randomized_svd(deviation, n_found, random_state=seed)
    components = np.zeros((n_latents, X.shape[1]), dtype=np.float32)
    scatter = np.ones(n_latents, dtype=np.float32)
    components[:n_found] = found
    # Components of rounding errors would be blown up to unit scatter.
    scatter[:n_found] = np.maximum(length / np.sqrt(len(rows)), 1e-6)
    return LinearPath(torch.from_numpy(components), torch.from_numpy(scatter))


def _spread(rows: np.ndarray, n_most: int) -> np.ndarray:
    """At most `n_most` of the rows, evenly spread."""
    if len(rows) <= n_most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, n_most).astype(int)]


def _float(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values.astype(np.float32))
