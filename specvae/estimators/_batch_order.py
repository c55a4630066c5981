"""In which order the spectra of a training are read."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler

from ._share import Share

# Batches whose spectra are shuffled among themselves, where they are read in blocks.
_MIXED_BATCHES = 8


def as_is(batch: Any) -> Any:
    """Collate nothing: the data set gives whole batches."""
    return batch


def make_loader(
    dataset: Any,
    batch_size: int,
    generator: torch.Generator,
    *,
    shuffle_block: int | None = None,
    share: Share | None = None,
) -> DataLoader:
    """Return a loader of whole batches.

    Parameters
    ----------
    dataset : SpectraDataset
    batch_size : int
    generator : torch.Generator
        A loader without one draws from torch's global generator.
    shuffle_block : int, optional
        Rows that are read together; 1 shuffles all rows, None keeps their order.
    share : Share, optional
        What falls to this process of each batch; all of it by default.
    """
    if share is not None and not share.is_whole:
        whole = make_loader(dataset, batch_size, generator, shuffle_block=shuffle_block)
        assert whole.batch_sampler is not None
        part = ShareOfBatches(whole.batch_sampler, share, is_training=shuffle_block is not None)
        return DataLoader(dataset, batch_sampler=part, collate_fn=as_is, generator=generator)
    if shuffle_block is not None and shuffle_block > 1:
        order = BlockBatches(dataset, batch_size, shuffle_block, generator)
        return DataLoader(dataset, batch_sampler=order, collate_fn=as_is, generator=generator)
    return DataLoader(
        dataset,
        batch_size=batch_size,
        shuffle=shuffle_block is not None,
        collate_fn=as_is,
        generator=generator,
    )


class ShareOfBatches(Sampler[list[int]]):
    """Of each batch the rows that fall to one process, dealt one by one like cards.

    Parameters
    ----------
    batches : iterable of list of int
        The same in all processes.
    share : Share
    is_training : bool
        All processes must then take the same number of steps: a last batch with less than a row
        for each is left out.
    """

    drop_last = False

    def __init__(self, batches: Any, share: Share, *, is_training: bool):
        self.batches, self.share, self.is_training = batches, share, is_training

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        for batch in self.batches:
            mine = batch[self.share.number :: self.share.n_processes]
            if mine and (len(batch) >= self.share.n_processes or not self.is_training):
                yield mine


class BlockBatches(Sampler[list[int]]):
    """Batches drawn from a few blocks of successive rows at a time, each of which is read at once.

    The blocks are shuffled; so are the rows of as many of them as hold about eight batches. Each
    row comes once. While the batches of these blocks are taken, those of the next ones are read
    little by little: memory holds some twenty batches, in whole blocks as they are stored. With
    several processes each reads all of them.

    Parameters
    ----------
    dataset : SpectraDataset
        It is told which blocks are needed.
    batch_size : int
    block_rows : int
    generator : torch.Generator
        All numbers of an epoch are drawn from it before its first batch.
    """

    drop_last = False

    def __init__(
        self, dataset: Any, batch_size: int, block_rows: int, generator: torch.Generator
    ) -> None:
        self.dataset, self.batch_size = dataset, batch_size
        self.block_rows, self.generator = block_rows, generator

    def __len__(self) -> int:
        return -(-len(self.dataset) // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        groups = self._groups(self.dataset.blocks(self.block_rows))
        indices = np.concatenate([self._mix(np.concatenate(group)) for group in groups])
        ends = np.cumsum([sum(map(len, group)) for group in groups])
        for start in range(0, len(indices), self.batch_size):
            stop = min(start + self.batch_size, len(indices))
            self.dataset.hold(_needed(groups, ends, start, stop))
            yield indices[start:stop].tolist()
        self.dataset.hold([])

    def _groups(self, blocks: list[np.ndarray]) -> list[list[np.ndarray]]:
        """Blocks in random order, in groups of about eight batches."""
        groups: list[list[np.ndarray]] = [[]]
        n_rows = 0
        for number in torch.randperm(len(blocks), generator=self.generator).tolist():
            if n_rows >= _MIXED_BATCHES * self.batch_size:
                groups.append([])
                n_rows = 0
            groups[-1].append(blocks[number])
            n_rows += len(blocks[number])
        return groups

    def _mix(self, indices: np.ndarray) -> np.ndarray:
        return indices[torch.randperm(len(indices), generator=self.generator).numpy()]


def _needed(
    groups: list[list[np.ndarray]], ends: np.ndarray, start: int, stop: int
) -> list[np.ndarray]:
    """Blocks that the batch from `start` to `stop` needs, and its share of those that come next."""
    first, last = np.searchsorted(ends, [start, stop - 1], side="right")
    needed = [block for group in groups[first : last + 1] for block in group]
    if last + 1 < len(groups):
        n_rows = sum(map(len, groups[last]))
        share = 1.0 - (ends[last] - stop) / n_rows
        coming = groups[last + 1]
        needed += coming[: int(np.ceil(share * len(coming)))]
    return needed
