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
from ._objective import Losses, Stage, drop_pixels, standard_normal


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
        parts = {"reconstruction": (batch.weight * error).mean()}
        total = parts["reconstruction"]
        # In training the total has softer terms than those by which epochs are compared.
        lacking = torch.zeros_like(total)
        first = network.n_labels
        if posterior.log_variance is not None and first < network.n_latents:
            parts["kl"] = self._kl(posterior.mean, posterior.log_variance, first, batch)
            warm = 1.0 if stage.generator is None else self._warm(stage.epoch)
            charge = self.kl_weight * (1.0 - self.mutual_info_weight) * parts["kl"]
            total = total + warm * charge
            lacking = lacking + (1.0 - warm) * charge.detach()
        if self.mmd_weight and first < network.n_latents:
            free = code[:, first:]
            if stage.generator is not None:
                prior = standard_normal(free.shape, free, stage.generator)
            else:
                noise, prior = _fixed_normal(free)
                if posterior.log_variance is not None:
                    # The means alone are narrower than the prior, and all equal where collapsed.
                    free = free + noise * (0.5 * posterior.log_variance[:, first:]).exp()
            parts["mmd"] = joint_mmd(free, prior)
            total = total + self.mmd_weight * parts["mmd"]
        if first and batch.labels is not None:
            labels = network.label_scaler(batch.labels)
            predicted = posterior.mean[:, :first]
            parts["labels"] = label_loss(predicted, labels, weight=batch.weight)
            loss = verdict = parts["labels"]
            if posterior.log_variance is not None:
                of_labels = posterior.log_variance[:, :first]
                loss, verdict = _likelihood(predicted, of_labels, labels, batch, stage)
            total = total + self.label_weight * loss
            lacking = lacking + self.label_weight * (verdict - loss).detach()
        if self.zero_weight and batch.simulated is not None and first < network.n_latents:
            parts["free"] = zero_free_penalty(posterior.mean[:, first:], batch.simulated)
            total = total + self.zero_weight * parts["free"]
        parts = {name: value.detach() for name, value in parts.items()}
        return Losses(total, parts, total.detach() + lacking)

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
        loss, verdict = _likelihood(output.mean, output.log_variance, labels, batch, stage)
        with torch.no_grad():
            error = label_loss(output.mean, labels, weight=batch.weight)
        return Losses(loss, {"labels": error}, verdict)


@dataclass(frozen=True)
class SimulatorObjective:
    """Loss of a `LabelDecoder`: the flux that labels give against the flux that they had."""

    reconstruction: str = "l1"

    def __call__(self, network: Any, batch: Batch, stage: Stage) -> Losses:
        """Return the loss of a batch."""
        target = torch.where(network.scaler.seen, batch.flux, torch.nan)
        error = _flux_loss(network(batch.labels), target, network, batch, self)
        return Losses((batch.weight * error).mean(), {})


def _likelihood(
    predicted: Tensor, log_variance: Tensor, labels: Tensor, batch: Batch, stage: Stage
) -> tuple[Tensor, Tensor]:
    """Loss of labels for training, and for comparing epochs.

    Epochs are compared by the mean absolute error. The likelihood of spectra that do not train
    punishes variances that are too small, which are calibrated after training, and would choose
    the weights of the first epochs.
    """
    error = label_loss(predicted, labels, weight=batch.weight)
    if stage.generator is None:
        return error, error
    return gaussian_nll(predicted, log_variance, labels, weight=batch.weight), error.detach()


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
