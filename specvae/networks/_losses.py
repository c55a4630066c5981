"""Losses as pure functions, on the scale that design fixes: means over valid pixels."""

import torch
from torch import Tensor


def masked_l1(reconstruction: Tensor, flux: Tensor) -> Tensor:
    """Mean of |x - x'| over the valid pixels of each spectrum.

    Parameters
    ----------
    reconstruction : Tensor of shape (batch, n_pixels)
    flux : Tensor of shape (batch, n_pixels)
        NaN is a missing pixel; it counts in neither sum nor mean.

    Returns
    -------
    loss : Tensor of shape (batch,)
        Zero, with zero gradient, for a spectrum without a valid pixel.

    Examples
    --------
    >>> nan = float("nan")
    >>> masked_l1(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[1.5, nan, 3.0]]))
    tensor([0.2500])
    """
    valid = ~torch.isnan(flux)
    # Missing pixels are replaced before the subtraction: 0 * NaN would poison the gradient.
    deviation = (reconstruction - torch.where(valid, flux, reconstruction.detach())).abs()
    return deviation.sum(dim=-1) / valid.sum(dim=-1).clamp(min=1)
