"""A new network: what it takes from the spectra before training, and its first weights."""

from typing import Any

import numpy as np
import torch
from sklearn.utils.extmath import randomized_svd

from .._random import make_generator
from ..networks import (
    Autoencoder,
    ConvDecoder,
    ConvEncoder,
    DenseDecoder,
    DenseEncoder,
    FluxScaler,
    LinearPath,
    initialise,
)
from ._data import read_flux, row_blocks

ENCODERS = {"conv": ConvEncoder, "dense": DenseEncoder}
DECODERS = {"conv": ConvDecoder, "dense": DenseDecoder}

# Rows from which mean and scale of the flux are taken: more would not change them.
_MAX_STATISTICS_ROWS = 4096
# Pixels from which principal components are taken: half a gigabyte.
_MAX_COMPONENT_PIXELS = 134_217_728
# The most variable pixels hold order edges and cosmic rays, which must not set the scale.
_QUIET_SHARE = 0.99


def build_network(
    X: Any,
    rows: np.ndarray,
    weight: np.ndarray,
    seed: int,
    *,
    latent_dim: int,
    encoder: str,
    decoder: str,
    linear_path: bool,
) -> Autoencoder:
    """Build an autoencoder for spectra like the given rows, with weights drawn from `seed`."""
    mean, scale = flux_statistics(X, rows, weight)
    scaler = FluxScaler(torch.from_numpy(mean), scale)
    # On the meta device construction draws no random number from torch's global generator.
    with torch.device("meta"):
        encoder_net = ENCODERS[encoder](X.shape[1], latent_dim)
        decoder_net = DECODERS[decoder](latent_dim, X.shape[1])
    generator = make_generator(seed)
    initialise(encoder_net.to_empty(device="cpu"), generator)
    initialise(decoder_net.to_empty(device="cpu"), generator)
    if isinstance(decoder_net, ConvDecoder):
        decoder_net.start_linear()
    path = principal_path(X, rows, weight, scaler, latent_dim, seed) if linear_path else None
    return Autoencoder(encoder_net, decoder_net, scaler, latent_dim, path)


def check_same_network(
    network: Autoencoder, *, latent_dim: int, encoder: str, decoder: str, linear_path: bool
) -> None:
    """Raise unless `network`, which is to go on training, is the one that is asked for."""
    asked = {
        "latent_dim": (latent_dim, network.n_latents),
        "encoder": (ENCODERS[encoder], type(network.encoder)),
        "decoder": (DECODERS[decoder], type(network.decoder)),
        "linear_path": (linear_path, network.linear is not None),
    }
    changed = [name for name, (wanted, found) in asked.items() if wanted != found]
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
    X: Any, rows: np.ndarray, weight: np.ndarray, scaler: FluxScaler, n_latents: int, seed: int
) -> LinearPath:
    """First principal components of the scaled spectra, from as many rows as half a gigabyte holds.

    Fewer rows or pixels than latents leave the other components zero.
    """
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
