"""An autoencoder that is told some labels, and an adversary that looks for them in its code."""

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ._autoencoder import FluxScaler
from ._label_losses import adversarial_cross_entropy
from ._variational import LabelScaler, Posterior, moments

_WIDTH, _SLOPE = 128, 0.2


class FaderAdversary(nn.Module):
    """Code to the bin that each condition of the spectrum lies in: two layers with LeakyReLU.

    The code is standardised within its batch first, so that the encoder gains nothing by a code
    that is only smaller, and the adversary need not follow its scale.

    Parameters
    ----------
    n_latents : int
        Width of the code.
    n_bins : tuple of int
        Bins of each head.

    References
    ----------
    Lample et al. 2017, arXiv:1706.00409; of spectra: de Mijolla, Ness & Viti 2019, "Identifying
    chemically identical stars using adverserial disentanglement".
    """

    def __init__(self, n_latents: int, n_bins: tuple[int, ...]):
        super().__init__()
        layers: list[nn.Module] = []
        for n_in, n_out in pairwise((n_latents, _WIDTH, _WIDTH)):
            layers += [nn.Linear(n_in, n_out), nn.LeakyReLU(_SLOPE)]
        self.body = nn.Sequential(*layers)
        self.heads = nn.ModuleList(nn.Linear(_WIDTH, n) for n in n_bins)

    def forward(self, code: Tensor) -> tuple[Tensor, ...]:
        """Map codes (batch, n_latents) to scores (batch, n_bins), one for each head."""
        features = self.body(standardise(code))  # (batch, 128)
        return tuple(head(features) for head in self.heads)


class ConditionBins(nn.Module):
    """Conditions to the numbers of the bins that they lie in.

    Parameters
    ----------
    edges : Tensor of shape (n_conditions, n_bins - 1)
        Inner edges of the bins of each condition, not falling.
    known : Tensor of shape (n_spectra, n_conditions)
        Conditions of the training spectra, which say how many lie in each bin.
    joint : bool, default=False
        Whether all conditions together have one bin, of a grid, instead of one each.
    """

    edges: Tensor
    entropy: Tensor  # (n_heads,), nats: the cross-entropy of one who knows nothing

    def __init__(self, edges: Tensor, known: Tensor, *, joint: bool = False):
        super().__init__()
        self.joint = joint
        self.register_buffer("edges", edges)
        found = []
        for of_head, n_bins in zip(self(known).T, self.n_bins, strict=True):
            share = torch.bincount(of_head, minlength=n_bins) / len(known)
            found.append(torch.special.entr(share).sum())
        self.register_buffer("entropy", torch.stack(found))

    @property
    def n_bins(self) -> tuple[int, ...]:
        """Bins of each head."""
        n_conditions, n_edges = self.edges.shape
        if self.joint:
            return ((n_edges + 1) ** n_conditions,)
        return (n_edges + 1,) * n_conditions

    def forward(self, conditions: Tensor) -> Tensor:
        """Map conditions (batch, n_conditions) to int64 bins (batch, n_heads)."""
        columns = [
            torch.bucketize(column.contiguous(), edges.contiguous(), right=True)
            for column, edges in zip(conditions.T, self.edges, strict=True)
        ]
        bins = torch.stack(columns, dim=1)  # (batch, n_conditions)
        if not self.joint:
            return bins
        n_bins = self.edges.shape[1] + 1
        place = n_bins ** torch.arange(bins.shape[1], device=bins.device)
        return (bins * place).sum(dim=1, keepdim=True)


class ConditionalOutput(NamedTuple):
    """What one forward pass yields; every field has the batch on axis 0."""

    reconstruction: Tensor  # (batch, n_pixels), in flux units
    code: Tensor  # (batch, n_latents), what was decoded
    posterior: Posterior


class ConditionalAutoencoder(nn.Module):
    """Flux and conditions to a code, and code and conditions to flux.

    Parameters
    ----------
    encoder : nn.Module
        Maps (batch, n_pixels) and conditions (batch, n_conditions) to (batch, 2 * n_latents), mean
        and log variance, or to (batch, n_latents) where the code is one point.
    decoder : nn.Module
        Maps (batch, n_latents) and conditions to (batch, n_pixels).
    scaler : FluxScaler
        Applied before the encoder, inverted after the decoder.
    n_latents : int
        Width of the code.
    variational : bool, default=True
        Whether the code is a distribution.
    condition_scaler : LabelScaler, optional
        Units of the conditions inside the networks. Without it there are no conditions.
    adversary : FaderAdversary, optional
        Looks for the conditions in the code; it has no part in the forward pass.
    bins : ConditionBins, optional
        What the adversary is to find.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        scaler: FluxScaler,
        n_latents: int,
        *,
        variational: bool = True,
        condition_scaler: LabelScaler | None = None,
        adversary: FaderAdversary | None = None,
        bins: ConditionBins | None = None,
    ):
        super().__init__()
        self.n_latents = n_latents
        self.variational = variational
        self.encoder = encoder
        self.decoder = decoder
        self.scaler = scaler
        self.condition_scaler = condition_scaler
        self.adversary = adversary
        self.bins = bins

    @property
    def n_conditions(self) -> int:
        """How many conditions encoder and decoder are told."""
        return 0 if self.condition_scaler is None else len(self.condition_scaler.centre)

    def posterior(self, flux: Tensor, conditions: Tensor | None = None) -> Posterior:
        """Distribution of the code of flux (batch, n_pixels) under conditions."""
        outputs = self._told(self.encoder, self.scaler(flux), conditions)
        if not self.variational:
            return Posterior(outputs, None)
        return Posterior(*moments(outputs))

    def encode(self, flux: Tensor, conditions: Tensor | None = None) -> Tensor:
        """Posterior mean of flux (batch, n_pixels), shape (batch, n_latents)."""
        return self.posterior(flux, conditions).mean

    def decode(self, code: Tensor, conditions: Tensor | None = None) -> Tensor:
        """Map codes (batch, n_latents) and conditions (batch, n_conditions) to flux."""
        return self.scaler.inverse(self._told(self.decoder, code, conditions))

    def target(self, flux: Tensor) -> Tensor:
        """Return the flux to be reconstructed: NaN also in pixels that training never saw."""
        return torch.where(self.scaler.seen, flux, torch.nan)

    def forward(
        self, flux: Tensor, conditions: Tensor | None = None, noise: Tensor | None = None
    ) -> ConditionalOutput:
        """Encode, and decode the mean, or with unit normal `noise` of its shape a sample."""
        posterior = self.posterior(flux, conditions)
        code = posterior.mean
        if noise is not None and posterior.log_variance is not None:
            code = code + noise * (0.5 * posterior.log_variance).exp()
        return ConditionalOutput(self.decode(code, conditions), code, posterior)

    def _told(self, part: nn.Module, values: Tensor, conditions: Tensor | None) -> Tensor:
        if self.condition_scaler is None:
            return part(values)
        return part(values, self.condition_scaler(conditions))


def standardise(code: Tensor) -> Tensor:
    """Centre each latent and divide it by its deviation, within the batch.

    The gradient flows through mean and deviation: making a code smaller changes nothing.

    Parameters
    ----------
    code : Tensor of shape (batch, n_latents)

    Returns
    -------
    standardised : Tensor of the same shape
        Zero for a latent that is constant, and for a batch of one.

    Examples
    --------
    >>> standardise(torch.tensor([[1.0, 7.0], [3.0, 7.0]]))
    tensor([[-1.,  0.],
            [ 1.,  0.]])
    """
    centred = code - code.mean(dim=0)
    variance = centred.square().mean(dim=0)
    # A latent without variance has no gradient either, where sqrt(0) would give NaN.
    alive = variance > 1e-12
    return centred / torch.where(alive, variance, 1.0).sqrt() * alive


def knowledge_of_bins(logits: tuple[Tensor, ...], bins: Tensor, entropy: Tensor) -> Tensor:
    r"""Measure what an adversary has found out about the bins.

    .. math:: \max(0, H_k - C_k)

    with H the entropy of the bins of head k and C the cross-entropy of its predictions, mean over
    heads: a lower bound of the mutual information of code and bins. Where minus the cross-entropy
    alone goes on rewarding an encoder that makes the adversary err, here there is nothing to gain
    beyond an adversary that knows nothing: misleading one takes information as well.

    Parameters
    ----------
    logits : tuple of n_heads Tensor, each of shape (batch, n_bins)
        Scores of the bins before normalisation.
    bins : Tensor of int64, shape (batch, n_heads)
        The true bins.
    entropy : Tensor of shape (n_heads,)
        H, in nats.

    Returns
    -------
    knowledge : Tensor of shape ()
        In nats, from 0 to the entropy.

    Examples
    --------
    >>> entropy = torch.tensor([2.0]).log()
    >>> bins = torch.tensor([[0], [1]])
    >>> knowledge_of_bins((torch.tensor([[9.0, 0.0], [0.0, 9.0]]),), bins, entropy)
    tensor(0.6930)
    >>> knowledge_of_bins((torch.tensor([[0.0, 9.0], [9.0, 0.0]]),), bins, entropy)
    tensor(0.)
    """
    found = [
        (of_head - adversarial_cross_entropy((scores,), bins[:, k : k + 1])).clamp(min=0.0)
        for k, (scores, of_head) in enumerate(zip(logits, entropy, strict=True))
    ]
    return torch.stack(found).mean()
