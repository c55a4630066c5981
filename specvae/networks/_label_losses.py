"""Losses on the part of the code that stands for labels, and on the part that must not."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ._losses import check_same_shape, robust_loss


def label_loss(
    predicted: Tensor, labels: Tensor, *, kind: str = "l1", weight: Tensor | None = None
) -> Tensor:
    r"""Mean of rho(predicted - label) over the rows that have each label, then over labels.

    .. math:: \frac{1}{K} \sum_k \frac{\sum_i w_i \rho(p_{ik} - y_{ik})}{\sum_i w_i},

    both sums over i running over the rows where label k is present, and K the labels that any
    row of the batch has: a sparse label counts as much as a dense one.

    Parameters
    ----------
    predicted : Tensor of shape (batch, n_labels)
        p, in units of the label scale.
    labels : Tensor of shape (batch, n_labels)
        y, in the same units; NaN where missing.
    kind : {"l1", "l2", "huber"}, default="l1"
        rho: \|r\|; r^2; r^2 / 2 up to \|r\| = 1 and \|r\| - 1/2 beyond.
    weight : Tensor of shape (batch,), optional
        w, not negative, one for each row; only ratios matter, and 0 leaves a row out.

    Returns
    -------
    loss : Tensor of shape ()
        Zero, with zero gradient, where no row has a label.

    Raises
    ------
    ValueError
        If `kind` is none of the three or the shapes do not agree.

    References
    ----------
    Huber 1964, Ann. Math. Statist. 35, 73. Cvrcek et al. 2025, A&A 693, A256, whose code takes
    one mean over all present labels together.

    Examples
    --------
    >>> nan = float("nan")
    >>> labels = torch.tensor([[1.0, nan], [2.0, nan], [3.0, 0.0]])
    >>> label_loss(torch.zeros(3, 2) + 4.0, labels)  # means 2 and 4
    tensor(3.)
    """
    if kind not in ("l1", "l2", "huber"):
        raise ValueError(f"kind must be 'l1', 'l2' or 'huber'; got {kind!r}.")
    check_same_shape(predicted=predicted, labels=labels)
    present = ~torch.isnan(labels)
    residual = torch.where(present, predicted, 0.0) - torch.where(present, labels, 0.0)
    return _mean_by_label(robust_loss(residual, kind, 1.0), present, weight)


def gaussian_nll(
    predicted: Tensor,
    log_variance: Tensor,
    labels: Tensor,
    *,
    weight: Tensor | None = None,
    beta: float = 0.5,
) -> Tensor:
    r"""Negative log likelihood of normal labels, weighted by the predicted variance to a power.

    .. math:: \lfloor s^{\beta} \rfloor \, [(y - p)^2 / s + \log s] / 2, \quad s = \sigma^2,

    the factor in half brackets without gradient, and averaged as in `label_loss`.

    Parameters
    ----------
    predicted : Tensor of shape (batch, n_labels)
        p, in units of the label scale.
    log_variance : Tensor of shape (batch, n_labels)
        log s; its exponential must be finite.
    labels : Tensor of shape (batch, n_labels)
        y; NaN where missing.
    weight : Tensor of shape (batch,), optional
        Not negative, one for each row; only ratios matter, and 0 leaves a row out.
    beta : float, default=0.5
        0 is the likelihood itself, under which rows with a large predicted variance are hardly
        fitted; 1 gives the predictions the gradient of half the squared error.

    Returns
    -------
    loss : Tensor of shape ()
        In nats for beta = 0, without the constant log(2 pi) / 2; it may be negative. Zero, with
        zero gradient, where no row has a label.

    Raises
    ------
    ValueError
        If the shapes do not agree.

    Notes
    -----
    For beta > 0 the value itself means nothing, because the factor has no gradient: compare
    networks at beta = 0.

    References
    ----------
    Seitzer et al. 2022, arXiv:2203.09168.

    Examples
    --------
    >>> predicted, labels = torch.tensor([[1.0]]), torch.tensor([[3.0]])
    >>> gaussian_nll(predicted, torch.zeros(1, 1), labels)
    tensor(2.)
    """
    check_same_shape(predicted=predicted, log_variance=log_variance, labels=labels)
    present = ~torch.isnan(labels)
    residual = torch.where(present, predicted, 0.0) - torch.where(present, labels, 0.0)
    log_variance = torch.where(present, log_variance, 0.0)
    nll = 0.5 * (residual.square() * torch.exp(-log_variance) + log_variance)
    return _mean_by_label(nll * torch.exp(beta * log_variance.detach()), present, weight)


def zero_free_penalty(codes_free: Tensor, is_simulated: Tensor) -> Tensor:
    """Mean of |u| over the free latents of simulated rows, which their labels describe entirely.

    Parameters
    ----------
    codes_free : Tensor of shape (batch, n_free)
        u, the latents that stand for no label.
    is_simulated : Tensor of bool, shape (batch,)

    Returns
    -------
    penalty : Tensor of shape ()
        Zero, with zero gradient, where no row is simulated or no latent is free.

    Raises
    ------
    ValueError
        If the two have different numbers of rows.

    References
    ----------
    Cvrcek et al. 2025, A&A 693, A256, whose code pools it with the label loss, where it takes
    the share that its number of latents gives it; here it stands alone.

    Examples
    --------
    >>> codes_free = torch.tensor([[1.0, -2.0], [9.0, 9.0]])
    >>> zero_free_penalty(codes_free, torch.tensor([True, False]))
    tensor(1.5000)
    """
    if is_simulated.shape != codes_free.shape[:1]:
        raise ValueError(
            f"is_simulated {tuple(is_simulated.shape)} is not one for each of "
            f"{len(codes_free)} rows."
        )
    size = torch.where(is_simulated[:, None], codes_free, 0.0).abs()  # (batch, n_free)
    return size.sum() / (is_simulated.sum() * codes_free.shape[1]).clamp(min=1)


def adversarial_cross_entropy(logits: Sequence[Tensor], target_bins: Tensor) -> Tensor:
    """Cross-entropy of predicted bins, mean over rows, then over heads.

    The adversary makes it small, from detached codes; the encoder makes it large.

    Parameters
    ----------
    logits : sequence of n_heads Tensor, each of shape (batch, n_bins)
        Scores of the bins before normalisation; the number of bins may differ between heads.
    target_bins : Tensor of int64, shape (batch, n_heads)
        The true bin of each row, from 0 to n_bins - 1; none may be missing.

    Returns
    -------
    loss : Tensor of shape ()
        In nats; log(n_bins) for a head that knows nothing of equally filled bins.

    Raises
    ------
    ValueError
        If the number of heads is not the same on both sides, or is zero.

    References
    ----------
    Lample et al. 2017, arXiv:1706.00409; of spectra: de Mijolla, Ness & Viti 2019, "Identifying
    chemically identical stars using adverserial disentanglement".

    Examples
    --------
    >>> logits = [torch.zeros(3, 2), torch.zeros(3, 8)]  # log(2) and log(8)
    >>> adversarial_cross_entropy(logits, torch.tensor([[0, 7], [1, 0], [1, 3]]))
    tensor(1.3863)
    """
    n_heads = target_bins.shape[1]
    if len(logits) != n_heads or n_heads == 0:
        raise ValueError(f"logits has {len(logits)} heads, target_bins {n_heads}: want one each.")
    losses = [cross_entropy(head, target_bins[:, k]) for k, head in enumerate(logits)]
    return torch.stack(losses).mean()


def _mean_by_label(loss: Tensor, present: Tensor, weight: Tensor | None) -> Tensor:
    """Weighted mean of (batch, n_labels) over present rows, then over labels that have any."""
    share = present.to(loss.dtype)  # (batch, n_labels)
    if weight is not None:
        if weight.shape != loss.shape[:1]:
            raise ValueError(
                f"weight {tuple(weight.shape)} is not one for each of {len(loss)} rows."
            )
        share = share * weight[:, None]
    total = share.sum(dim=0)  # (n_labels,)
    known = total > 0
    by_label = (share * loss).sum(dim=0) / torch.where(known, total, 1.0)
    return by_label.sum() / known.sum().clamp(min=1)
