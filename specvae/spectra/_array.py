"""A flux matrix that is read row by row, when it is needed."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..exceptions import SpectrumError
from ._grid import WavelengthGrid, check_grid_type
from ._open import open_rows

# Rows are read, mapped and handed on in blocks of about this many pixels.
_BLOCK_PIXELS = 4_194_304


@dataclass(frozen=True)
class _RowMap:
    function: Callable[[np.ndarray], np.ndarray]
    n_pixels: int


class SpectraArray:
    """A lazy matrix of spectra: a store, a row index, and row-wise maps still to be applied.

    It has `shape`, `ndim`, `dtype` and `len`; indexing by rows gives another lazy view, and an
    integer gives that spectrum. `Pipeline`, `GridSearchCV` and `cross_validate` pass it on without
    reading it. Nothing turns it into an array behind the user's back: ``np.asarray`` and
    estimators that know only arrays raise, and the message names `to_numpy` and `SpectraLoader`.

    Parameters
    ----------
    store : ndarray, memmap or store of shape (n_rows, n_pixels)
        Anything with `shape` and `dtype` that gives rows for an increasing array of indices.
    grid : WavelengthGrid, optional
        Wavelengths of the pixels, after the maps.
    store_rows : ndarray of int, optional
        Rows of the store that this view holds; all by default.

    Attributes
    ----------
    shape : tuple of int
        (n_spectra, n_pixels), after the maps.
    grid : WavelengthGrid or None
        Wavelengths of the pixels, after the maps.

    Raises
    ------
    ValueError
        If the store is not two-dimensional or the grid has another number of pixels.
    TypeError
        If `grid` is neither a `WavelengthGrid` nor None.

    See Also
    --------
    pack_spectra : Write FITS files into a store.
    NpyStore, HDF5Store, ZarrStore : The stores on disk; `open` chooses the one that fits.

    Examples
    --------
    >>> import numpy as np
    >>> spectra = SpectraArray(np.arange(12.0).reshape(4, 3))
    >>> spectra[[2, 0]]
    SpectraArray(2 spectra of 3 pixels, float32)
    >>> spectra[[2, 0]].to_numpy()
    array([[6., 7., 8.],
           [0., 1., 2.]], dtype=float32)
    """

    dtype = np.dtype(np.float32)
    ndim = 2

    def __init__(
        self,
        store: Any,
        *,
        grid: WavelengthGrid | None = None,
        store_rows: np.ndarray | None = None,
    ):
        if len(store.shape) != 2:
            raise ValueError(
                f"store must have two axes, spectra and pixels; its shape is {store.shape}."
            )
        self._store = store
        self._store_rows = (
            np.arange(store.shape[0]) if store_rows is None else np.asarray(store_rows)
        )
        self._maps: tuple[_RowMap, ...] = ()
        self.grid = grid
        self._check_grid()

    @classmethod
    def open(
        cls,
        path: Any,
        dataset: str | None = None,
        *,
        grid: WavelengthGrid | None = None,
        scale: Any = None,
    ) -> "SpectraArray":
        """Open a store: what `pack_spectra` wrote, a data set of an HDF5 file, or a Zarr array.

        A store that `pack_spectra` wrote has its grid and its scales, and `read_meta` gives its
        metadata; for the others they are said here. HDF5 and Zarr need the extra `store`.

        Parameters
        ----------
        path : str or Path
            The .npy file, the HDF5 file or the folder of the Zarr store.
        dataset : str, optional
            Name of the flux matrix, (n_spectra, n_pixels), in an HDF5 file or a Zarr group; by
            default the only matrix of floats there is.
        grid : WavelengthGrid, optional
            Wavelengths of the pixels of an HDF5 or Zarr store.
        scale : ndarray of shape (n_spectra,) or str, optional
            Factor that gives each row of an HDF5 or Zarr store its physical flux back, or the
            name of the data set that holds it.

        Returns
        -------
        spectra : SpectraArray of shape (n_spectra, n_pixels)

        Raises
        ------
        FileNotFoundError
            If the file, the folder or the JSON sidecar of a .npy file is missing.
        ValueError
            If it is damaged or no store, has no such data set, or does not fit `grid` or `scale`.
        ImportError
            If h5py or zarr is missing.
        OSError
            If another process writes the HDF5 file. Later, when rows are read: if one cannot be,
            with its number in the store.

        Examples
        --------
        >>> import tempfile
        >>> import h5py
        >>> import numpy as np
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with h5py.File(f"{folder}/survey.h5", "w") as file:
        ...         file["flux"], file["divisor"] = np.ones((3, 20)), np.array([1.0, 2.0, 4.0])
        ...     spectra = SpectraArray.open(f"{folder}/survey.h5", "flux", scale="divisor")
        ...     flux = spectra[[2, 0]].to_numpy()
        >>> flux[:, 0]
        array([4., 1.], dtype=float32)
        """
        store, grid = open_rows(path, dataset, grid, scale)
        return cls(store, grid=grid)

    @property
    def shape(self) -> tuple[int, int]:
        """(n_spectra, n_pixels), after the maps."""
        n_pixels = self._maps[-1].n_pixels if self._maps else self._store.shape[1]
        return len(self._store_rows), int(n_pixels)

    @property
    def store_rows(self) -> np.ndarray:
        """Rows of the store that this view holds, shape (n_spectra,)."""
        return self._store_rows

    def __len__(self) -> int:
        return len(self._store_rows)

    def __repr__(self) -> str:
        n_spectra, n_pixels = self.shape
        grid = "" if self.grid is None else f", {self.grid}"
        return f"SpectraArray({n_spectra} spectra of {n_pixels} pixels, {self.dtype}{grid})"

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        n_spectra, n_pixels = self.shape
        raise TypeError(
            f"A SpectraArray of {n_spectra} spectra is not read into memory unasked "
            f"({4e-9 * n_spectra * n_pixels:.3g} GB): call .to_numpy(), or put SpectraLoader() "
            "before the pipeline step that needs an array."
        )

    def __getitem__(self, key: Any) -> Any:
        """Return a lazy view of some rows, or one spectrum for an integer."""
        if isinstance(key, tuple):
            key, *others = key
            if any(other is not Ellipsis and not _is_full_slice(other) for other in others):
                raise IndexError(
                    "a SpectraArray is indexed by rows; choose pixels with PixelMasker or "
                    "SpectrumResampler."
                )
        if isinstance(key, int | np.integer):
            row = range(len(self))[key]
            return self._read(slice(row, row + 1))[0]
        return self._with(store_rows=self._store_rows[key])

    def map_rows(
        self,
        function: Callable[[np.ndarray], np.ndarray],
        *,
        n_pixels: int | None = None,
        grid: WavelengthGrid | None = None,
    ) -> "SpectraArray":
        """Return a view in which `function` is applied to blocks of rows as they are read.

        Parameters
        ----------
        function : callable
            Takes flux of shape (n, n_pixels), gives flux of shape (n, new n_pixels); each row by
            itself. It must pickle where worker processes are used.
        n_pixels : int, optional
            Number of pixels afterwards, if it changes.
        grid : WavelengthGrid, optional
            Grid afterwards; if `n_pixels` changes and no grid is given, it is unknown.

        Returns
        -------
        view : SpectraArray
        """
        keeps_pixels = n_pixels is None or n_pixels == self.shape[1]
        view = self._with(store_rows=self._store_rows)
        view._maps = (*self._maps, _RowMap(function, n_pixels or self.shape[1]))
        view.grid = grid if grid is not None else (self.grid if keeps_pixels else None)
        view._check_grid()
        return view

    def iter_batches(self, batch_size: int | None = None) -> Iterator[np.ndarray]:
        """Yield the flux of successive rows.

        Parameters
        ----------
        batch_size : int, optional
            Rows at a time; by default about four million pixels of the store.

        Yields
        ------
        flux : ndarray of float32, shape (at most batch_size, n_pixels)
        """
        if batch_size is None:
            batch_size = max(1, _BLOCK_PIXELS // max(1, self._store.shape[1]))
        for start in range(0, len(self), batch_size):
            yield self._read(slice(start, start + batch_size))

    def to_numpy(self) -> np.ndarray:
        """Read all rows: float32 of shape (n_spectra, n_pixels), the only way to an array."""
        flux = np.empty(self.shape, dtype=self.dtype)
        start = 0
        for block in self.iter_batches():
            flux[start : start + len(block)] = block
            start += len(block)
        return flux

    @property
    def stored_dtype(self) -> np.dtype:
        """Type of the numbers that `read_stored` gives."""
        # What a store that is neither of ours nor an array says of itself may not be what it gives.
        is_known = _is_row_store(self._store) or isinstance(self._store, np.ndarray)
        return np.dtype(self._store.dtype) if is_known else self.dtype

    @property
    def stored_pixels(self) -> int:
        """Pixels of a row in the store, before the maps."""
        return int(self._store.shape[1])

    @property
    def chunk_rows(self) -> int:
        """Rows that the store keeps together: reading one costs as much as reading all."""
        return getattr(self._store, "chunk_rows", 1)

    @property
    def is_mapped(self) -> bool:
        """Whether row-wise maps are still to be applied."""
        return bool(self._maps)

    @property
    def row_factors(self) -> np.ndarray | None:
        """Factors that give the stored rows their physical flux, float32 of shape (n_spectra,).

        None where the store has no scale.
        """
        scale = getattr(self._store, "scale", None) if _is_row_store(self._store) else None
        return None if scale is None else scale[self._store_rows].astype(np.float32)

    def read_stored(self, out: np.ndarray | None = None) -> np.ndarray:
        """Read all rows as the store holds them, before its scale and before the maps.

        For loops that read much: they keep the memory, and turn the numbers into float32 themselves
        with `row_factors` and `map_flux`.

        Parameters
        ----------
        out : ndarray of `stored_dtype`, shape (n_spectra, pixels of the store), optional
            Where to put them; C-contiguous. By default new memory.

        Returns
        -------
        stored : ndarray of `stored_dtype`, shape (n_spectra, pixels of the store)
            `out` if it was given.

        Raises
        ------
        OSError
            If a row cannot be read, with its number in the store.
        """
        rows = self._store_rows
        if out is None:
            out = np.empty((len(rows), self._store.shape[1]), dtype=self.stored_dtype)
        if _is_row_store(self._store):
            self._store.read_into(out, rows)
        elif isinstance(self._store, np.ndarray):
            for place, row in enumerate(rows):  # at once, numpy copies a map of another order whole
                out[place] = self._store[row]
        else:
            out[:] = self._gather(rows)
        return out

    def map_flux(self, flux: np.ndarray) -> np.ndarray:
        """Apply the maps to flux of some rows that `read_stored` gave.

        Parameters
        ----------
        flux : ndarray of float32, shape (n, pixels of the store)
            Physical flux. A map may change it in place.

        Returns
        -------
        mapped : ndarray of float32, shape (n, n_pixels)

        Raises
        ------
        SpectrumError
            If a map refuses a spectrum, counted from the first row of `flux`.
        ValueError
            If a map gives another shape than was announced.
        """
        n_spectra = len(flux)
        for row_map in self._maps:
            flux = np.asarray(row_map.function(flux), dtype=self.dtype)
            if flux.shape != (n_spectra, row_map.n_pixels):
                raise ValueError(
                    f"a row-wise map turned {n_spectra} spectra into flux of shape {flux.shape}; "
                    f"({n_spectra}, {row_map.n_pixels}) was announced in map_rows."
                )
        return flux

    def span(self) -> "SpectraArray":
        """Return a view of all rows of the store from the first to the last of this view.

        Its rows lie side by side, so that they can be read at once.

        Examples
        --------
        >>> import numpy as np
        >>> view = SpectraArray(np.zeros((9, 3)))[[5, 2, 3]]
        >>> view.span().store_rows
        array([2, 3, 4, 5])
        """
        rows = self._store_rows
        if not len(rows):
            return self
        return self._with(store_rows=np.arange(rows.min(), rows.max() + 1))

    def _read(self, selection: slice) -> np.ndarray:
        rows = self._store_rows[selection]
        if _is_row_store(self._store):
            flux = np.asarray(self._store[rows], dtype=self.dtype)
        else:
            flux = self._gather(rows)
        try:
            return self.map_flux(flux)
        except SpectrumError as error:
            raise SpectrumError(selection.start + error.row, error.reason) from error

    def _gather(self, rows: np.ndarray) -> np.ndarray:
        # Stores that are not ours may want increasing indices without repeats.
        unique, back = np.unique(rows, return_inverse=True)
        flux = np.asarray(self._store[unique], dtype=self.dtype)
        if not np.array_equal(back, np.arange(len(unique))):
            return flux[back]
        # They may give a view of what they keep, and a map may change it in place.
        keeps_it = self._maps and not isinstance(self._store, np.ndarray)
        return flux.copy() if keeps_it else flux

    def _with(self, *, store_rows: np.ndarray) -> "SpectraArray":
        view = copy.copy(self)
        view._store_rows = store_rows
        return view

    def _check_grid(self) -> None:
        check_grid_type("grid", self.grid)
        if self.grid is not None and self.grid.n_pixels != self.shape[1]:
            raise ValueError(
                f"grid has {self.grid.n_pixels} pixels, the spectra have {self.shape[1]}."
            )


def _is_row_store(store: Any) -> bool:
    """Whether a store reads rows in any order to where they are wanted."""
    return hasattr(store, "read_into")


def _is_full_slice(key: Any) -> bool:
    return isinstance(key, slice) and key == slice(None)
