"""Rows that are computed, not read, into one store."""

import hashlib
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .._progress import progress_bar
from .._validation import check_choice, refuse_infinity
from ..exceptions import SpectrumError, SpectrumReadError
from ._array import SpectraArray
from ._grid import WavelengthGrid, check_grid_type
from ._pack import stored_row
from ._part import JOURNAL_FORMAT, PartialStore, check_space, check_target
from ._sidecar import Sidecar, meta_columns, plain_meta, write_sidecar


def write_spectra(
    row_flux: Callable[[int], np.ndarray],
    store: str | Path,
    grid: WavelengthGrid,
    *,
    meta: pd.DataFrame,
    dtype: str = "float32",
    settings: Mapping[str, Any] | None = None,
    progress: bool | None = None,
) -> SpectraArray:
    """Write spectra into a store as they are computed, one row in memory at a time.

    Interrupted at any moment, by Ctrl-C, a full disk, a killed process or a power cut, the same
    call goes on where it stopped, without computing again what is written. The store appears
    under its name only when it is complete.

    Parameters
    ----------
    row_flux : callable
        Takes the number of a row and gives its flux of shape (n_pixels,), NaN where a pixel is
        missing. It is called once for each row, in order.
    store : str or Path
        The .npy file to write; a .json of the same name is written beside it.
    grid : WavelengthGrid
        Of the flux.
    meta : DataFrame of n_spectra rows
        What is known of each spectrum, and so how many there are; `read_meta` gives it back.
    dtype : {"float32", "float16"}, default="float32"
        How the flux is stored, as in `pack_spectra`.
    settings : mapping, optional
        What decides the flux beside `meta`, such as a seed, fit for JSON. A call goes on from
        where another stopped only if it agrees in these, in `meta`, `grid` and `dtype`.
    progress : bool, optional
        Whether to draw a progress bar; by default where stderr is a terminal.

    Returns
    -------
    spectra : SpectraArray of shape (n_spectra, n_pixels)
        The store, opened.

    Raises
    ------
    SpectrumError
        Naming the row that holds infinity, or whose largest value does not go with its median in
        "float16". The rows before it stay written.
    ValueError
        If a row has another number of pixels, `meta` has no rows or two columns of one name,
        `settings` does not fit JSON, or an unfinished store is there that was begun with other
        arguments.
    FileExistsError
        If the store exists.
    FileNotFoundError
        If the folder of the store is missing.
    TypeError
        If `grid` is no `WavelengthGrid` or `meta` is no DataFrame.
    OSError
        If the disk has too little space, before anything is written, or becomes full.

    See Also
    --------
    pack_spectra : The same for FITS files; its Notes hold here too.
    SpectraArray.open : Open a store again.

    Examples
    --------
    >>> import tempfile
    >>> meta = pd.DataFrame({"slope": [0.0, 2.0]})
    >>> def line(row):
    ...     return 1.0 + meta["slope"][row] * np.arange(3)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = Path(folder) / "lines.npy"
    ...     spectra = write_spectra(line, store, WavelengthGrid(5000.0, 0.5, 3), meta=meta)
    ...     flux = spectra.to_numpy()
    >>> flux
    array([[1., 1., 1.],
           [1., 3., 5.]], dtype=float32)

    The steps before a network work on a lazy matrix as its rows are read. To do them once, write
    what they give, row by row:

    >>> from specvae.preprocessing import MedianNormalizer
    >>> raw = SpectraArray(np.array([[2.0, 4.0, 6.0], [5.0, 5.0, 15.0]]))
    >>> normalised = MedianNormalizer().transform(raw)  # nothing is read yet
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = Path(folder) / "normalised.npy"
    ...     grid = WavelengthGrid(5000.0, 0.5, 3)
    ...     flux = write_spectra(normalised.__getitem__, store, grid, meta=meta).to_numpy()
    >>> flux
    array([[0.5, 1. , 1.5],
           [1. , 1. , 3. ]], dtype=float32)
    """
    check_grid_type("grid", grid, required=True)
    check_choice("dtype", dtype, ("float32", "float16"))
    _check_meta(meta)
    store = Path(store)
    check_target(store)
    check_space(store, len(meta), grid.n_pixels * np.dtype(dtype).itemsize)
    columns = meta_columns([plain_meta(record) for record in meta.to_dict("records")])
    agreed = _agreed(settings, grid, dtype, columns, n_rows=len(meta))
    part = PartialStore(store, agreed, grid.n_pixels, np.dtype(dtype), sources="spectra")
    try:
        if not store.exists():
            _write_rest(part, row_flux, dtype, n_rows=len(meta), progress=progress)
            scale = None if dtype == "float32" else [entry["scale"] for entry in part.entries()]
            sidecar = Sidecar(grid, dtype, len(meta), scale, columns, refused={})
            part.finish(lambda path: write_sidecar(path, sidecar))
        else:
            part.finish_renamed(n_files=len(meta))
    finally:
        part.close()
    return SpectraArray.open(store)


def _write_rest(
    part: PartialStore,
    row_flux: Callable[[int], np.ndarray],
    dtype: str,
    *,
    n_rows: int,
    progress: bool | None,
) -> None:
    """Compute the rows that no earlier call has written."""
    show = sys.stderr.isatty() if progress is None else progress
    with progress_bar(total=n_rows, desc="writing spectra", show=show) as bar:
        bar.update(part.n_rows)
        for row in range(part.n_rows, n_rows):
            flux = _check_row(row_flux(row), row, part.n_pixels)
            try:
                stored, scale = stored_row(flux, dtype)
            except SpectrumReadError as error:
                raise SpectrumError(row, f"cannot be stored: {error}") from None
            # The sidecar takes the metadata from this very call: the settings hold its digest.
            part.append(f"row {row}", stored, {}, scale)
            bar.update()


def _check_row(flux: Any, row: int, n_pixels: int) -> np.ndarray:
    """Return the flux as float32 if it is a row without infinity."""
    with np.errstate(over="ignore"):  # it becomes infinity
        flux = np.asarray(flux).astype(np.float32)
    if flux.shape != (n_pixels,):
        raise ValueError(
            f"row_flux must give {n_pixels} pixels, one for each of the grid; it gave an array of "
            f"shape {flux.shape} for row {row}."
        )
    try:
        refuse_infinity(flux[None])
    except SpectrumError as error:
        raise SpectrumError(row, error.reason) from None
    return flux


def _check_meta(meta: Any) -> None:
    if not isinstance(meta, pd.DataFrame):
        raise TypeError(
            f"meta must be a DataFrame of one row for each spectrum, got {type(meta).__name__}; "
            "make one with pandas.DataFrame(meta)."
        )
    if not len(meta):
        raise ValueError("meta has no rows: give one for each spectrum wanted.")
    names = meta.columns.map(str)
    if not names.is_unique:
        twice = names[names.duplicated()][0]
        raise ValueError(f"meta has the column {twice!r} twice; rename one of them.")


def _agreed(
    settings: Mapping[str, Any] | None,
    grid: WavelengthGrid,
    dtype: str,
    columns: list[dict[str, Any]],
    *,
    n_rows: int,
) -> dict[str, Any]:
    """Return the first line of the journal: what every call for this store must agree on."""
    digest = hashlib.sha256()
    for column in columns:
        digest.update(json.dumps(column, allow_nan=False).encode())
    own = {
        **JOURNAL_FORMAT,
        "grid": grid.to_dict(),
        "dtype": dtype,
        "meta": f"{n_rows} rows with digest {digest.hexdigest()[:16]}",
    }
    try:
        # As they come back from the journal, where a tuple is a list.
        given = json.loads(json.dumps(dict(settings or {}), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"settings must map names to what JSON can hold ({error}); give finite numbers, text, "
            f"lists and dictionaries of them, got {settings!r}."
        ) from None
    taken = sorted(own.keys() & given.keys())
    if taken:
        raise ValueError(
            f"settings holds {', '.join(map(repr, taken))}, which write_spectra itself writes down "
            "under that name; choose another."
        )
    return {**own, **given}
