"""What an autoencoder and its adversary are trained for."""

from typing import Any

import torch
from torch import Tensor, nn

from ..networks import adversarial_cross_entropy, kl_to_unit_normal, reconstruction_loss
from ..networks._adversarial import knowledge_of_bins
from ._data import Batch
from ._objective import Losses, Stage, of_all_rows, standard_normal

_ADVERSARY_RATE = 1e-3


class AdversarialObjective:
    """Loss of a `ConditionalAutoencoder`; in training the adversary takes its own steps first.

    reconstruction + kl_weight KL + weight * knowledge of the adversary, whose parameters are
    constants there: the optimizer of the network never moves them; the one held here does, from
    codes that are constants in turn.
    """

    def __init__(
        self,
        *,
        weight: float,
        n_steps: int,
        warmup_epochs: int,
        kl_weight: float,
        reconstruction: str,
    ):
        self.weight = weight
        self.n_steps = n_steps
        self.warmup_epochs = warmup_epochs
        self.kl_weight = kl_weight
        self.reconstruction = reconstruction
        self._optimizer: torch.optim.Optimizer | None = None
        self._state: dict[str, Any] = {}  # to go on from, until there is an optimizer

    def __call__(self, network: Any, batch: Batch, stage: Stage) -> Losses:
        """Return the loss of a batch: of a sample of the code in training, of its mean else."""
        noise, warm = None, 1.0
        if stage.generator is not None:
            shape = (len(batch.flux), network.n_latents)
            noise = standard_normal(shape, batch.flux, stage.generator)
            warm = min(1.0, (stage.epoch + 1) / (self.warmup_epochs + 1))
        output = network(batch.flux, batch.conditions, noise)
        error = reconstruction_loss(
            output.reconstruction, network.target(batch.flux), kind=self.reconstruction
        )
        # Flux in any unit gives a loss of the same size, so that the weights keep their meaning.
        total = (batch.weight * error).mean() / network.scaler.unit
        parts = {"reconstruction": of_all_rows(total, batch)}
        if network.variational:
            kl = (batch.weight * kl_to_unit_normal(*output.posterior)).mean()
            parts["kl"] = of_all_rows(kl, batch, self.kl_weight)
            total = total + self.kl_weight * kl
        if network.adversary is not None:
            bins = network.bins(batch.conditions)
            if stage.generator is not None:
                self._teach(network.adversary, output.code.detach(), bins)
            logits = _constant(network.adversary)(output.code)
            knowledge = knowledge_of_bins(logits, bins, network.bins.entropy)
            # Epochs are compared at the full price, or the first, which pay little, would be best.
            parts["knowledge"] = of_all_rows(knowledge, batch, self.weight)
            total = total + warm * self.weight * knowledge
        return Losses(total, parts)

    def state_dict(self) -> dict[str, Any]:
        """State of the adversary's optimizer, for a checkpoint."""
        return self._state if self._optimizer is None else self._optimizer.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self._state = state
        self._optimizer = None

    def _teach(self, adversary: nn.Module, code: Tensor, bins: Tensor) -> None:
        """Let the adversary learn from codes that are constants to it."""
        if self._optimizer is None:
            self._optimizer = torch.optim.Adam(adversary.parameters(), lr=_ADVERSARY_RATE)
            if self._state:
                self._optimizer.load_state_dict(self._state)
        for _ in range(self.n_steps):
            adversarial_cross_entropy(adversary(code), bins).backward()
            self._optimizer.step()
            # None, not zero: the optimizer of the network passes over what has no gradient.
            self._optimizer.zero_grad(set_to_none=True)


def _constant(module: nn.Module) -> Any:
    """Return it as a function through which gradients reach its input and not its parameters."""
    parameters = {name: value.detach() for name, value in module.named_parameters()}
    return lambda inputs: torch.func.functional_call(module, parameters, (inputs,))
