"""What all simulators share: the way from spectra at rest to observed ones."""

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .._random import spawn_seeds
from .._validation import check_choice, check_number
from ..spectra import SpectraArray, WavelengthGrid, write_spectra
from ._observing._noise import row_generator
from ._observing._observatory import Observation, Observatory, draw_unknown
from ._result import SimulatedSpectra

# Streams of random numbers of one row: what nobody knows about it, and its noise.
_UNKNOWN_STREAM, _NOISE_STREAM = 0, 1


class AbstractSimulator(ABC):
    """Labels in, spectra out; subclasses say what a star looks like at rest."""

    grid: WavelengthGrid
    unknown: tuple[str, ...]
    _observatory: Observatory

    @abstractmethod
    def _complete(self, labels: Any) -> pd.DataFrame:
        """Return all labels, checked."""

    @property
    @abstractmethod
    def _star_labels(self) -> list[str]:
        """The labels that decide the spectrum at rest."""

    @abstractmethod
    def _rest_flux(self, labels: Mapping[str, float]) -> np.ndarray:
        """Broadened photon flux at rest on the velocity axis, float32."""

    @abstractmethod
    def _settings(self) -> dict[str, Any]:
        """Return what decides the spectra beside labels and seed, fit for JSON."""

    def simulate(
        self,
        labels: Any,
        random_state: Any = None,
        *,
        groups: Any = None,
        rows: Sequence[int] | None = None,
    ) -> SimulatedSpectra:
        """Simulate one spectrum for each row of labels.

        Parameters
        ----------
        labels : DataFrame of shape (n_spectra, n_labels), or dict
            Columns are names of labels; those left out take their defaults.
        random_state : int, RandomState or None, default=None
            Seed of the noise and of the unknown factors.
        groups : array-like of shape (n_spectra,), optional
            Ids of the stars. By default rows whose stellar labels agree are one star.
        rows : sequence of int, optional
            Which rows to draw; all by default. A row comes out the same whatever is drawn with it.

        Returns
        -------
        simulated : SimulatedSpectra
            Three float32 arrays of the size of all spectra are held; see `write` for more spectra
            than memory has room for.

        Raises
        ------
        ValueError
            If a label is missing, unknown or out of its range.
        """
        labels, groups, seed = self._prepare(labels, groups, random_state)
        chosen = _chosen_rows(rows, len(labels))
        shape = (len(chosen), self.grid.n_pixels)
        flux, noiseless, sigma = (np.empty(shape, dtype=np.float32) for _ in range(3))
        unknown = np.empty((len(chosen), len(self.unknown)))
        stars = RestSpectra(self, labels, n_kept=1)
        # Star by star: the rest spectrum is the expensive part.
        for i in np.argsort(stars.star_of_row[chosen], kind="stable"):
            row = int(chosen[i])
            unknown[i] = list(self._draw_unknown(seed, row).values())
            flux[i], noiseless[i], sigma[i] = self._observe(labels, row, seed, stars(row))
        return SimulatedSpectra(
            flux,
            noiseless,
            sigma,
            labels.iloc[chosen].reset_index(drop=True),
            groups[chosen],
            pd.DataFrame(unknown, columns=list(self.unknown)),
        )

    def write(
        self,
        labels: Any,
        store: str | Path,
        random_state: Any = None,
        *,
        groups: Any = None,
        quantity: str = "flux",
        dtype: str = "float32",
        progress: bool | None = None,
    ) -> SpectraArray:
        """Simulate spectra into a store, one row in memory at a time.

        Interrupted at any moment, the same call goes on where it stopped, provided that
        `random_state` is an integer.

        Parameters
        ----------
        labels : DataFrame of shape (n_spectra, n_labels), or dict
            As for `simulate`. Rows of one star that follow each other share its rest spectrum.
        store : str or Path
            The .npy file to write; a .json of the same name beside it holds the labels and groups,
            which `specvae.spectra.read_meta` reads.
        random_state : int, RandomState or None, default=None
            Seed of the noise and of the unknown factors.
        groups : array-like of shape (n_spectra,), optional
            Ids of the stars, as for `simulate`.
        quantity : {"flux", "noiseless_flux", "sigma"}, default="flux"
            What to write. With one seed the three belong together.
        dtype : {"float32", "float16"}, default="float32"
            As for `specvae.spectra.pack_spectra`.
        progress : bool, optional
            Whether to draw a progress bar; by default where stderr is a terminal.

        Returns
        -------
        spectra : SpectraArray of shape (n_spectra, n_pixels)
            The store, opened.

        Raises
        ------
        ValueError
            If a label is missing, unknown or out of its range, or an unfinished store is there
            that was begun with other arguments.
        FileExistsError
            If the store exists.
        OSError
            If the disk has too little space.
        """
        check_choice("quantity", quantity, Observation._fields)
        labels, groups, seed = self._prepare(labels, groups, random_state)
        stars = RestSpectra(self, labels, n_kept=1)

        def row_flux(row: int) -> np.ndarray:
            return getattr(self._observe(labels, row, seed, stars(row)), quantity)

        meta = labels.assign(group=groups)
        return write_spectra(
            row_flux,
            store,
            self.grid,
            meta=meta.reset_index(drop=True),
            dtype=dtype,
            settings={**self._settings(), "seed": seed, "quantity": quantity},
            progress=progress,
        )

    def _prepare(
        self, labels: Any, groups: Any, random_state: Any
    ) -> tuple[pd.DataFrame, np.ndarray, int]:
        labels = self._complete(labels)
        if groups is None:
            stellar = labels[self._star_labels].to_numpy()
            groups = np.unique(stellar, axis=0, return_inverse=True)[1].reshape(-1)
        groups = np.asarray(groups)
        if groups.shape != (len(labels),):
            raise ValueError(
                f"groups must have one id for each of the {len(labels)} rows of labels, got an "
                f"array of shape {groups.shape}."
            )
        # An integer is itself the seed, so that it can be written down with a store.
        if isinstance(random_state, int | np.integer):
            check_number("random_state", random_state, minimum=0, integer=True)
            return labels, groups, int(random_state)
        return labels, groups, spawn_seeds(random_state, 1)[0]

    def _draw_unknown(self, seed: int, row: int) -> dict[str, float]:
        return draw_unknown(self.unknown, row_generator(seed, row, _UNKNOWN_STREAM))

    def _observe(
        self,
        labels: pd.DataFrame,
        row: int,
        seed: int,
        rest_flux: np.ndarray,
        *,
        visit: int = 0,
        extra_rv_kms: float = 0.0,
    ) -> Observation:
        causes = dict(zip(labels.columns, labels.iloc[row], strict=True))
        causes["rv_kms"] += extra_rv_kms
        generator = row_generator(seed, row, _NOISE_STREAM + visit)
        return self._observatory.observe(
            rest_flux, causes, self._draw_unknown(seed, row), generator
        )


class RestSpectra:
    """Rest spectra of the stars of a table of labels, computed when wanted, the last ones kept.

    Parameters
    ----------
    simulator : AbstractSimulator
    labels : DataFrame
        Complete.
    n_kept : int
        Rest spectra held in memory.
    """

    def __init__(self, simulator: AbstractSimulator, labels: pd.DataFrame, *, n_kept: int):
        self._compute: Callable[[Mapping[str, float]], np.ndarray] = simulator._rest_flux
        self._names = simulator._star_labels
        self._stars, star_of_row = np.unique(
            labels[self._names].to_numpy(), axis=0, return_inverse=True
        )
        self.star_of_row = star_of_row.reshape(-1)
        self._n_kept = n_kept
        self._kept: OrderedDict[int, np.ndarray] = OrderedDict()

    def __call__(self, row: int) -> np.ndarray:
        star = int(self.star_of_row[row])
        if star in self._kept:
            self._kept.move_to_end(star)
            return self._kept[star]
        flux = self._compute(dict(zip(self._names, self._stars[star], strict=True)))
        self._kept[star] = flux
        if len(self._kept) > self._n_kept:
            self._kept.popitem(last=False)
        return flux


def _chosen_rows(rows: Sequence[int] | None, n_rows: int) -> np.ndarray:
    if rows is None:
        return np.arange(n_rows)
    chosen = np.asarray(rows)
    if chosen.ndim != 1 or not np.issubdtype(chosen.dtype, np.integer):
        raise ValueError(f"rows must be a list of integers, got {rows!r}.")
    if len(chosen) and not (0 <= chosen.min() and chosen.max() < n_rows):
        raise ValueError(
            f"rows must lie in 0 to {n_rows - 1}, the rows of labels; got {chosen.min()} to "
            f"{chosen.max()}."
        )
    return chosen
