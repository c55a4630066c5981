"""Losses of the networks whose code is a distribution, or begins with labels, or both."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..networks import (
    gaussian_nll,
    joint_mmd,
    kl_to_unit_normal,
    label_loss,
    reconstruction_loss,
    zero_free_penalty,
)
from ._data import Batch
from ._objective import Losses, Part, Stage, drop_pixels, of_all_rows, standard_normal


@dataclass(frozen=True)
class LatentObjective:
    """Loss of a `LatentModel`.

    reconstruction + kl_weight (1 - mutual_info_weight) KL + mmd_weight MMD
    + label_weight label loss + zero_weight mean |free latents of simulated rows|.
    KL and MMD are those of the free latents; KL in nats, summed over latents and averaged over
    spectra. Zhao et al. 2019 (InfoVAE) have the mutual information and the MMD.
    """

    kl_weight: float
    reconstruction: str = "l1"
    mutual_info_weight: float = 0.0
    mmd_weight: float = 0.0
    kl_warmup_epochs: int = 0
    label_weight: float = 0.0
    zero_weight: float = 0.0
    random_missing: float = 0.0

    def __call__(self, network: Any, batch: Batch, stage: Stage) -> Losses:
        """Return the loss of a batch: of a sample of the code in training, of its mean else."""
        flux = drop_pixels(batch.flux, self.random_missing, stage.generator)
        posterior = network.posterior(flux)
        code = posterior.mean
        if stage.generator is not None and posterior.log_variance is not None:
            noise = standard_normal(code.shape, code, stage.generator)
            code = code + noise * (0.5 * posterior.log_variance).exp()
        # What was dropped to make the network robust is to be reconstructed all the same.
        error = _flux_loss(network.decode(code), network.target(batch.flux), network, batch, self)
        total = (batch.weight * error).mean()
        parts = {"reconstruction": of_all_rows(total, batch)}
        first = network.n_labels
        if posterior.log_variance is not None and first < network.n_latents:
            kl = self._kl(posterior.mean, posterior.log_variance, first, batch)
            price = self.kl_weight * (1.0 - self.mutual_info_weight)
            # Epochs are compared at the full price, or those of a low one would seem the best.
            parts["kl"] = of_all_rows(kl, batch, price)
            warm = 1.0 if stage.generator is None else self._warm(stage.epoch)
            total = total + warm * price * kl
        if self.mmd_weight and first < network.n_latents:
            free = code[:, first:]
            if stage.generator is not None:
                prior = standard_normal(free.shape, free, stage.generator)
            else:
                noise, prior = _fixed_normal(free)
                if posterior.log_variance is not None:
                    # The means alone are narrower than the prior, and all equal where collapsed.
                    free = free + noise * (0.5 * posterior.log_variance[:, first:]).exp()
            mmd = joint_mmd(free, prior)
            parts["mmd"] = of_all_rows(mmd, batch, self.mmd_weight)
            total = total + self.mmd_weight * mmd
        if first and batch.labels is not None:
            labels = network.label_scaler(batch.labels)
            predicted = posterior.mean[:, :first]
            parts["labels"] = _label_error(predicted, labels, batch, self.label_weight)
            if posterior.log_variance is None:
                loss = label_loss(predicted, labels, weight=batch.weight)
            else:
                of_labels = posterior.log_variance[:, :first]
                loss = gaussian_nll(predicted, of_labels, labels, weight=batch.weight)
            total = total + self.label_weight * loss
        if self.zero_weight and batch.simulated is not None and first < network.n_latents:
            penalty = zero_free_penalty(posterior.mean[:, first:], batch.simulated)
            n_simulated = batch.simulated.sum()
            parts["free"] = Part(penalty.detach(), self.zero_weight, n_simulated)
            total = total + self.zero_weight * penalty
        return Losses(total, parts)

    def _kl(self, mean: Tensor, log_variance: Tensor, first: int, batch: Batch) -> Tensor:
        kl = kl_to_unit_normal(mean[:, first:], log_variance[:, first:])
        return (batch.weight * kl).mean()

    def _warm(self, epoch: int) -> float:
        return min(1.0, (epoch + 1) / (self.kl_warmup_epochs + 1))


@dataclass(frozen=True)
class LabelObjective:
    """Loss of a `LabelPredictor`: Gaussian likelihood of the labels that are known."""

    random_missing: float = 0.0

    def __call__(self, network: Any, batch: Batch, stage: Stage) -> Losses:
        """Return the loss of a batch."""
        output = network(drop_pixels(batch.flux, self.random_missing, stage.generator))
        labels = network.label_scaler(batch.labels)
        loss = gaussian_nll(output.mean, output.log_variance, labels, weight=batch.weight)
        return Losses(loss, {"labels": _label_error(output.mean, labels, batch)})


@dataclass(frozen=True)
class SimulatorObjective:
    """Loss of a `LabelDecoder`: the flux that labels give against the flux that they had."""

    reconstruction: str = "l1"

    def __call__(self, network: Any, batch: Batch, stage: Stage) -> Losses:
        """Return the loss of a batch."""
        target = torch.where(network.scaler.seen, batch.flux, torch.nan)
        error = _flux_loss(network(batch.labels), target, network, batch, self)
        total = (batch.weight * error).mean()
        return Losses(total, {"reconstruction": of_all_rows(total, batch)})


def _label_error(predicted: Tensor, labels: Tensor, batch: Batch, price: float = 1.0) -> Part:
    """Mean absolute error of the labels, by which epochs are compared.

    The likelihood of spectra that do not train punishes variances that are too small, which are
    calibrated after training, and would choose the weights of the first epochs.
    """
    known = ~torch.isnan(labels)
    error = torch.where(known, predicted.detach() - labels, 0.0).abs()  # (batch, n_labels)
    weight = batch.weight[:, None] * known
    # Label by label: batches may lack some, and spectra have weights.
    total = weight.sum(dim=0)  # (n_labels,)
    return Part((weight * error).sum(dim=0) / torch.where(total > 0, total, 1.0), price, total)


def _flux_loss(
    reconstruction: Tensor, target: Tensor, network: Any, batch: Batch, objective: Any
) -> Tensor:
    """Error of each spectrum; flux in any unit gives one of the same size, of whatever kind."""
    unit = network.scaler.unit
    return reconstruction_loss(
        reconstruction / unit,
        target / unit,
        kind=objective.reconstruction,
        inverse_variance=batch.inverse_variance,
    )


def _fixed_normal(like: Tensor) -> Tensor:
    """Return the same deviates twice `like` at each call, so that watching draws no number."""
    generator = torch.Generator(device=like.device).manual_seed(0)
    shape = (2, *like.shape)
    return torch.randn(shape, generator=generator, device=like.device, dtype=like.dtype)
