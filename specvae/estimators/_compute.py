"""How a network computes: in which numbers, with how many threads, compiled or not."""

import threading
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
        """Compute with a network under these settings, which are put back after it.

        What is compiled stays so until the network computes with other settings.
        """
        device = next(network.parameters()).device
        compile_bodies(network, wanted=self.compile)
        on_cpu = device.type == "cpu"
        if on_cpu and not training:
            keep_some_memory()
        with (
            _threads(self.n_threads),
            keep_freed_memory() if on_cpu and training else nullcontext(),
            # Without the cache, which would hold the lowered weights of the first step of a
            # training until its end.
            torch.autocast(
                device.type,
                torch.bfloat16,
                enabled=self.precision == "bfloat16",
                cache_enabled=False,
            ),
        ):
            yield


_lock = threading.Lock()
_n_users = 0
_n_before = 0


@contextmanager
def _threads(n_threads: int | None) -> Iterator[None]:
    """Set the threads of torch; the last of several users at once puts back what was before."""
    global _n_users, _n_before
    if n_threads is None:
        yield
        return
    with _lock:
        if not _n_users:
            _n_before = torch.get_num_threads()
        _n_users += 1
        torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        with _lock:
            _n_users -= 1
            if not _n_users:
                torch.set_num_threads(_n_before)
