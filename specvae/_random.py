"""Turn scikit-learn's ``random_state`` into independent local generators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import check_random_state

if TYPE_CHECKING:
    import torch


def spawn_seeds(random_state: Any, n_seeds: int) -> list[int]:
    """Draw `n_seeds` integer seeds from a scikit-learn random state."""
    rng = check_random_state(random_state)
    return [int(seed) for seed in rng.randint(np.iinfo(np.int32).max, size=n_seeds)]


def make_generator(seed: int, device: str = "cpu") -> torch.Generator:
    """Return a ``torch.Generator`` on `device`; torch's global state is left alone."""
    import torch  # here, because a simulation needs seeds and no torch

    return torch.Generator(device=device).manual_seed(seed)
