"""Losses as pure functions, on the scale that design fixes: means over valid pixels."""

import torch
from torch import Tensor


def reconstruction_loss(
    reconstruction: Tensor,
    flux: Tensor,
    *,
    kind: str = "l1",
    inverse_variance: Tensor | None = None,
    delta: float = 1.0,
) -> Tensor:
    r"""Mean of rho(r) over the valid pixels of each spectrum.

    The residual is r = x' - x, or, with inverse variances,

    .. math:: r = \sqrt{v / \bar v}\,(x' - x),

    where v-bar is the mean of v over the valid pixels of that spectrum. This is the residual in
    units of sigma, times the typical sigma of its spectrum: it stays in flux units.

    Parameters
    ----------
    reconstruction : Tensor of shape (batch, n_pixels)
        x'.
    flux : Tensor of shape (batch, n_pixels)
        x; NaN is a missing pixel, which counts in neither sum nor mean.
    kind : {"l1", "l2", "huber", "cauchy"}, default="l1"
        rho: \|r\|; r^2; r^2 / 2 up to \|r\| = delta and delta (\|r\| - delta / 2) beyond;
        delta^2 log(1 + (r / delta)^2).
    inverse_variance : Tensor of shape (batch, n_pixels), optional
        v = 1 / sigma^2, not negative. A pixel where it is 0, NaN or infinite is missing.
    delta : float, default=1.0
        Residual, in flux units, from which "huber" and "cauchy" count a pixel as an outlier;
        positive.

    Returns
    -------
    loss : Tensor of shape (batch,)
        Zero, with zero gradient, for a spectrum without a valid pixel.

    Raises
    ------
    ValueError
        If `kind` is none of the four or the shapes differ.

    Notes
    -----
    Only the ratios of the inverse variances within a spectrum matter: equal ones change nothing,
    whatever the kind, and neither the S/N of a data set nor the other spectra of a batch move the
    scale of the loss. Spectra of low S/N count as much as those of high S/N; weigh the spectra
    if they should not. With inverse variances "l2" is chi^2 divided by the sum of v.

    References
    ----------
    Huber 1964, Ann. Math. Statist. 35, 73. Cauchy (Lorentzian) with this scale: Cvrcek et al.
    2025, A&A 693, A256, public code; as one of a family: Barron 2019, arXiv:1701.03077.

    Examples
    --------
    >>> nan = float("nan")
    >>> flux = torch.tensor([[1.0, nan, 3.0]])
    >>> reconstruction = torch.tensor([[3.0, 2.0, 4.0]])
    >>> reconstruction_loss(reconstruction, flux, kind="l2")
    tensor([2.5000])
    >>> reconstruction_loss(reconstruction, flux, kind="l2",
    ...                     inverse_variance=torch.tensor([[1.0, 1.0, 3.0]]))
    tensor([1.7500])
    """
    check_same_shape(reconstruction=reconstruction, flux=flux)
    valid = ~torch.isnan(flux)  # (batch, n_pixels)
    if inverse_variance is not None:
        check_same_shape(inverse_variance=inverse_variance, flux=flux)
        valid = valid & (inverse_variance > 0) & torch.isfinite(inverse_variance)
    # Missing pixels are replaced before the subtraction: 0 * NaN would poison the gradient.
    residual = reconstruction - torch.where(valid, flux, reconstruction.detach())
    n_valid = valid.sum(dim=-1).clamp(min=1)  # (batch,)
    if inverse_variance is not None:
        residual = residual * _relative_precision(inverse_variance, valid, n_valid)
    return robust_loss(residual, kind, delta).sum(dim=-1) / n_valid


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
    return reconstruction_loss(reconstruction, flux)


def robust_loss(residual: Tensor, kind: str, delta: float) -> Tensor:
    """Return rho of every residual, of the kinds that `reconstruction_loss` describes.

    Examples
    --------
    >>> robust_loss(torch.tensor([0.5, -3.0]), "huber", 1.0)
    tensor([0.1250, 2.5000])
    """
    if kind == "l1":
        return residual.abs()
    if kind == "l2":
        return residual.square()
    if kind == "huber":
        size = residual.abs()
        return torch.where(size <= delta, 0.5 * size.square(), delta * (size - 0.5 * delta))
    if kind == "cauchy":
        return delta**2 * torch.log1p((residual / delta).square())
    raise ValueError(f"kind must be 'l1', 'l2', 'huber' or 'cauchy'; got {kind!r}.")


def check_same_shape(**tensors: Tensor) -> None:
    """Raise ValueError unless all have one shape: broadcasting would pair rows with columns.

    Examples
    --------
    >>> check_same_shape(flux=torch.zeros(2, 1), labels=torch.zeros(2))
    Traceback (most recent call last):
    ValueError: flux (2, 1), labels (2,): the shapes must be equal.
    """
    if len({tensor.shape for tensor in tensors.values()}) > 1:
        shapes = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in tensors.items())
        raise ValueError(f"{shapes}: the shapes must be equal.")


def _relative_precision(inverse_variance: Tensor, valid: Tensor, n_valid: Tensor) -> Tensor:
    """Square root of the inverse variances over their mean; 0 where missing."""
    known = torch.where(valid, inverse_variance, 0.0)  # (batch, n_pixels)
    # By the largest first: flux of 1e-17 has inverse variances whose sum float32 cannot hold.
    largest = known.amax(dim=-1, keepdim=True)
    known = known / torch.where(largest > 0, largest, 1.0)
    mean = known.sum(dim=-1, keepdim=True) / n_valid[:, None]
    return (known / torch.where(mean > 0, mean, 1.0)).sqrt()
