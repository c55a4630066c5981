"""Memory for batches that is used again, and never while somebody still looks at it."""

import weakref

import torch
from torch import Tensor


class KeptMemory:
    """Lends tensors; the memory of those that nobody holds any longer is lent again.

    New memory costs more than reading a spectrum into it, since the system hands it out page by
    page. Who keeps a tensor, or a view of it, keeps its memory.

    Parameters
    ----------
    n_kept : int
        Pieces of memory that are kept at most while nobody uses them.
    """

    def __init__(self, n_kept: int = 4):
        self.n_kept = n_kept
        self._free: list[Tensor] = []

    def take(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Return a tensor whose values are arbitrary."""
        n_bytes = torch.Size(shape).numel() * dtype.itemsize
        memory = self._find(n_bytes)
        lent = memory[:n_bytes].numpy()
        # A tensor holds the array that it is made of until the last view of the tensor is gone,
        # also those of the gradients of a loss. Only then does the array die.
        weakref.finalize(lent, self._take_back, memory).atexit = False
        return torch.from_numpy(lent).view(dtype).view(shape)

    def _find(self, n_bytes: int) -> Tensor:
        # Taken from the list before it is looked at: another thread may give back or take.
        for _ in range(len(self._free)):
            try:
                memory = self._free.pop(0)
            except IndexError:
                break
            if len(memory) >= n_bytes:
                return memory
            self._free.append(memory)
        return torch.empty(max(1, n_bytes), dtype=torch.uint8)

    def _take_back(self, memory: Tensor) -> None:
        self._free.append(memory)
        # The small ones go first.
        while len(self._free) > self.n_kept:
            self._free.sort(key=len)
            del self._free[0]
