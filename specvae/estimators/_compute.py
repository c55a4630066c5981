"""How a network computes: in which numbers, with how many threads, compiled or not."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple

import torch

from .._memory import keep_freed_memory, keep_some_memory
from ..networks import compile_bodies

PRECISIONS = ("float32", "bfloat16", "auto")


class Compute(NamedTuple):
    """Settings under which a network runs."""

    precision: str = "float32"  # or "bfloat16"
    n_threads: int | None = None  # as torch is set
    compile: bool = False

    @contextmanager
    def on(self, network: Any, *, training: bool = False) -> Iterator[None]:
        """Compute with a network under these settings; what they change is put back after it."""
        device = next(network.parameters()).device
        compile_bodies(network, wanted=self.compile)
        n_before = torch.get_num_threads()
        if self.n_threads is not None:
            torch.set_num_threads(self.n_threads)
        on_cpu = device.type == "cpu"
        if on_cpu and not training:
            keep_some_memory()
        try:
            with (
                keep_freed_memory() if on_cpu and training else nullcontext(),
                torch.autocast(device.type, torch.bfloat16, enabled=self.precision == "bfloat16"),
            ):
                yield
        finally:
            if self.n_threads is not None:
                torch.set_num_threads(n_before)
