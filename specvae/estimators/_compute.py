"""How a network computes: in which numbers, with how many threads, compiled or not."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch

PRECISIONS = ("float32", "bfloat16", "auto")


class Compute(NamedTuple):
    """Settings under which a network runs."""

    precision: str = "float32"  # or "bfloat16"
    n_threads: int | None = None  # as torch is set
    compile: bool = False

    @contextmanager
    def on(self, device: torch.device) -> Iterator[None]:
        """Set the threads of torch, and the numbers that its layers multiply, for a while."""
        n_before = torch.get_num_threads()
        if self.n_threads is not None:
            torch.set_num_threads(self.n_threads)
        lowered = self.precision == "bfloat16"
        try:
            with torch.autocast(device.type, torch.bfloat16, enabled=lowered):
                yield
        finally:
            if self.n_threads is not None:
                torch.set_num_threads(n_before)
