"""Batches of spectra for the network, from arrays and lazy matrices alike."""

import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from .._validation import check_flux, is_lazy, row_chunks
from ..exceptions import SpectrumError
from ._flux_reader import FluxReader
from ._prefetch import prefetch

# Eight spectra of HARPS: enough to read the weights near the bottleneck once for many.
_BLOCK_PIXELS = 8 * 327_680


_CPU = torch.device("cpu")


class Batch(NamedTuple):
    """What a training step sees; the batch is on axis 0."""

    flux: Tensor  # (batch, n_pixels), NaN where missing
    weight: Tensor  # (batch,)
    labels: Tensor | None = None  # (batch, n_labels), physical units, NaN where unknown
    inverse_variance: Tensor | None = None  # (batch, n_pixels), 0 where unknown
    conditions: Tensor | None = None  # (batch, n_conditions), physical units
    simulated: Tensor | None = None  # (batch,), bool

    def to(self, device: torch.device) -> "Batch":
        """Move to a device; out of pinned memory without waiting for it."""
        return Batch._make(
            None if part is None else part.to(device, non_blocking=True) for part in self
        )

    def pinned(self) -> "Batch":
        """Copy to memory from which a CUDA device can fetch by itself."""
        return Batch._make(None if part is None else part.pin_memory() for part in self)


@dataclass(frozen=True)
class TrainingData:
    """All that a fit was given, one entry for each spectrum."""

    X: Any  # ndarray or SpectraArray of shape (n_spectra, n_pixels)
    weight: np.ndarray  # (n_spectra,)
    labels: np.ndarray | None = None  # (n_spectra, n_labels)
    flux_error: Any = None  # like X: standard deviation of the flux
    conditions: np.ndarray | None = None  # (n_spectra, n_conditions)
    velocity_column: int = 0  # which label shifts the spectrum, where one does


class SpectraDataset(Dataset):
    """Chosen rows of the training data; whole batches are fetched at once.

    Parameters
    ----------
    data : TrainingData
    rows : ndarray of int
        Which spectra belong to the data set.
    simulated : map-style data set, optional
        Its items, (flux, labels), join every batch.
    n_simulated : float
        Simulated rows for one real row.
    labelled_share : float
        Least share of rows with labels among the real ones of a batch: where it has fewer, rows
        with labels are drawn to join it.
    seed : int
        Of what is drawn to join batches.
    """

    def __init__(
        self,
        data: TrainingData,
        rows: np.ndarray,
        *,
        simulated: Any = None,
        n_simulated: float = 0.0,
        labelled_share: float = 0.0,
        seed: int = 0,
    ):
        self.data, self.rows = data, rows
        self.simulated, self.n_simulated = simulated, n_simulated
        self.labelled_share = labelled_share
        self._labelled = np.empty(0, dtype=int)
        if labelled_share > 0 and data.labels is not None:
            self._labelled = rows[~np.isnan(data.labels[rows]).all(axis=1)]
        self.generator = np.random.default_rng(seed)
        self._flux = FluxReader(data.X)
        self._flux_error = FluxReader(data.flux_error, is_flux=False)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Any:
        return Batch._make(part if part is None else part[0] for part in self.__getitems__([index]))

    def __getitems__(self, indices: list[int]) -> Batch:
        rows, data = self._with_labelled(self.rows[indices]), self.data
        batch = Batch(
            self._flux.read(rows),
            _float(data.weight[rows]),
            None if data.labels is None else _float(data.labels[rows]),
            None if data.flux_error is None else _inverse_variance(self._flux_error.read(rows)),
            None if data.conditions is None else _float(data.conditions[rows]),
        )
        return batch if self.simulated is None else self._with_simulated(batch)

    @property
    def is_read(self) -> bool:
        """Whether rows are read from somewhere when they are asked for."""
        return is_lazy(self.data.X) or is_lazy(self.data.flux_error)

    def in_order(self, batch_size: int) -> Iterator[Batch]:
        """Yield all rows in their order."""
        starts = range(0, len(self), batch_size)
        return (
            self.__getitems__(list(range(start, min(start + batch_size, len(self)))))
            for start in starts
        )

    def blocks(self, n_rows: int) -> list[np.ndarray]:
        """Return the indices into the data set in blocks of `n_rows` rows of the store."""
        X = self.data.X
        stored = X.store_rows[self.rows] if is_lazy(X) else self.rows
        order = np.argsort(stored, kind="stable")
        starts = np.flatnonzero(np.diff(stored[order] // n_rows)) + 1
        return np.split(order, starts)

    def hold(self, blocks: list[np.ndarray]) -> None:
        """Read these blocks of indices, each at once, and keep them for the batches to come."""
        for reader in (self._flux, self._flux_error):
            reader.hold([self.rows[block] for block in blocks])

    def _with_labelled(self, rows: np.ndarray) -> np.ndarray:
        if not len(self._labelled):
            return rows
        n_has = int(np.isin(rows, self._labelled).sum())
        share = self.labelled_share
        n_drawn = max(0, math.ceil((share * len(rows) - n_has) / (1.0 - share) - 1e-9))
        return np.concatenate([rows, self.generator.choice(self._labelled, n_drawn)])

    def _with_simulated(self, batch: Batch) -> Batch:
        n_drawn = max(1, round(self.n_simulated * len(batch.flux)))
        chosen = self.generator.integers(len(self.simulated), size=n_drawn)
        if hasattr(self.simulated, "set_epoch"):
            # Spectra that are drawn anew: which visit it is follows from the generator alone, so
            # that a training that goes on sees what an unbroken one would have seen.
            self.simulated.set_epoch(int(self.generator.integers(2**31)))
        flux, labels = zip(*self.simulated.__getitems__(chosen.tolist()), strict=True)
        drawn = torch.from_numpy(np.stack(flux).astype(np.float32))
        is_simulated = torch.arange(len(batch.flux) + n_drawn) >= len(batch.flux)
        assert batch.labels is not None
        return batch._replace(
            flux=torch.cat([batch.flux, drawn]),
            weight=torch.cat([batch.weight, torch.ones(n_drawn)]),
            labels=torch.cat([batch.labels, _float(np.stack(labels))]),
            simulated=is_simulated,
        )


def ahead(dataset: SpectraDataset, batches: Any, device: torch.device = _CPU) -> Generator[Batch]:
    """Batches of a data set; a thread prepares the next ones where that takes time.

    They are read, unless they are in memory, and pinned for a CUDA device. Closing it early ends
    the thread.
    """
    if device.type == "cuda":
        return prefetch(batch.pinned() for batch in batches)
    return prefetch(batches) if dataset.is_read else (batch for batch in batches)


def read_flux(X: Any, rows: np.ndarray) -> np.ndarray:
    """Return checked float32 flux of some rows; an error names the row of `X`."""
    if is_lazy(X):
        return FluxReader(X).read(rows).numpy()
    try:
        with np.errstate(over="ignore"):  # infinity is refused next
            flux = X[rows].astype(np.float32, copy=False)
        return check_flux(flux)
    except SpectrumError as error:
        raise SpectrumError(int(rows[error.row]), error.reason) from error


def row_blocks(n_rows: int, n_pixels: int) -> list[np.ndarray]:
    """Row numbers in blocks that a network takes at once: 2.6 million pixels, or one row."""
    chunks = row_chunks(n_rows, n_pixels, max_pixels=_BLOCK_PIXELS)
    return [np.arange(chunk.start, chunk.stop) for chunk in chunks]


def _inverse_variance(flux_error: Tensor) -> Tensor:
    """Weight of each pixel; an error that is not a positive number tells nothing, and has none."""
    error = flux_error.numpy()
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        inverse = 1.0 / np.square(error.astype(np.float64))
    inverse[~(np.isfinite(inverse) & (error > 0))] = 0.0
    # Only ratios within a spectrum count; errors in physical units would leave float32's range.
    largest = inverse.max(axis=1, keepdims=True)
    return _float(inverse / np.where(largest > 0, largest, 1.0))


def _float(values: np.ndarray) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))
