"""An archive of FITS files into one store that is read row by row."""

import hashlib
import os
import sys
import warnings
from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs

from .._progress import progress_bar
from .._validation import check_choice
from ..exceptions import SpectrumReadError
from ._array import SpectraArray
from ._grid import WavelengthGrid, check_grid_type
from ._part import JOURNAL_FORMAT, PartialStore, check_space, check_target
from ._read import _check_paths, _report_refused, _try_onto_grid
from ._sidecar import Sidecar, meta_columns, plain_meta, write_sidecar

# Files handed to the workers at a time: their rows wait in memory until they are written.
_FILES_PER_WORKER = 16

# Below the largest number that float16 holds, 65504, so that rounding cannot reach it.
_HALF_MAX = 60_000.0
# From here up float16 keeps 11 bits; below, steps of 2**-24 are left.
_HALF_NORMAL = 2.0**-14
# With a larger peak the scale that makes room for it would push the median below the 11 bits.
_MAX_PEAK_MEDIANS = _HALF_MAX / _HALF_NORMAL


def pack_spectra(
    paths: Sequence[str | Path],
    store: str | Path,
    grid: WavelengthGrid,
    dtype: str = "float32",
    *,
    on_error: str = "raise",
    n_jobs: int | None = 1,
    progress: bool | None = None,
) -> SpectraArray:
    """Put FITS files on one wavelength grid and write them into a store.

    Interrupted at any moment, by Ctrl-C, a full disk, a killed process or a power cut, the same
    call goes on where it stopped, without reading again what is packed. The store appears under
    its name only when it is complete.

    Parameters
    ----------
    paths : sequence of str or Path
        The files, in the order of the rows wanted.
    store : str or Path
        The .npy file to write; a .json of the same name is written beside it.
    grid : WavelengthGrid
        Where the flux is wanted.
    dtype : {"float32", "float16"}, default="float32"
        How the flux is stored. "float16" takes half the space and half the reading time; see
        Notes for its precision. Either is read as float32.
    on_error : {"raise", "warn"}, default="raise"
        What to do when files are refused, once all have been tried. "raise" makes no store and
        keeps what is packed, so that the same call with "warn", which leaves those files out with
        one warning, need not read anything again.
    n_jobs : int, default=1
        Worker processes that read, as in joblib; -1 uses all cores. The store is the same for
        any number.
    progress : bool, optional
        Whether to draw a progress bar; by default where stderr is a terminal.

    Returns
    -------
    spectra : SpectraArray of shape (n_packed, grid.n_pixels)
        The store, opened. `read_meta` gives the metadata of its rows.

    Raises
    ------
    SpectrumReadError
        Listing each refused file with its reason, as `read_spectra` does, and for "float16" the
        spectra whose largest value does not go with their median. With ``on_error="warn"`` only
        if every file was refused.
    FileExistsError
        If the store exists.
    FileNotFoundError
        If a file or the folder of the store is missing.
    ValueError
        If an unfinished store is there that was begun with other paths, grid or dtype.
    TypeError
        If `paths` is one path, or `grid` is no `WavelengthGrid`.
    OSError
        If the disk has too little space, before anything is written, or becomes full.

    Warns
    -----
    DataQualityWarning
        With ``on_error="warn"``, listing the refused files.

    See Also
    --------
    SpectraArray.open : Open a store again.
    read_meta : The metadata of its rows.
    read_spectra : Read a few files into memory.

    Notes
    -----
    The unfinished store consists of ``NAME.npy.part`` and ``NAME.journal.part``, and of
    ``NAME.json.part`` if the process was killed at the very end; delete them to begin anew. The
    finished one is an ordinary .npy file. Memory holds one row, with several workers 16 rows for
    each. Where the system has no file locks, as on Windows, nothing stops two processes from
    writing one store.

    In "float16" each row is divided by its own scale, the median of its absolute flux (of the
    pixels that are not zero), raised where needed so that the largest value stays below 60,000
    scales. The scales stand in the sidecar and are multiplied back on reading. The relative
    precision is 2**-11 (0.05 %, that of a signal-to-noise ratio of 2,000) down to 6e-5 scales,
    below which the precision stays at 3e-8 scales. A peak of more than 9.8e8 medians, a damaged
    pixel, would raise the scale so far that the median itself fell below that: such a file is
    refused. So the error of a pixel is at most 2**-11 of its flux or of the median, whichever is
    larger.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from astropy.io import fits
    >>> hdu = fits.PrimaryHDU(np.array([1.0, 2.0, 3.0]))
    >>> hdu.header.update({"CRVAL1": 5000.0, "CDELT1": 0.5})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path, store = Path(folder) / "star.fits", Path(folder) / "stars.npy"
    ...     hdu.writeto(path)
    ...     spectra = pack_spectra([path], store, WavelengthGrid(5000.0, 0.5, 3))
    ...     flux = spectra.to_numpy()
    >>> flux
    array([[1., 2., 3.]], dtype=float32)
    """
    check_grid_type("grid", grid, required=True)
    check_choice("dtype", dtype, ("float32", "float16"))
    check_choice("on_error", on_error, ("raise", "warn"))
    paths, store = _check_paths(paths), Path(store)
    check_target(store)
    check_space(store, len(paths), grid.n_pixels * np.dtype(dtype).itemsize)
    part = PartialStore(store, _settings(paths, grid, dtype), grid.n_pixels, np.dtype(dtype))
    try:
        if not store.exists():
            _pack_rest(part, paths, grid, dtype, n_jobs=n_jobs, progress=progress)
            refused = _finish(part, grid, dtype, on_error, n_files=len(paths))
        else:
            refused = _refused(part.finish_renamed(n_files=len(paths)))
    finally:
        part.close()
    if refused:
        _report_refused(refused, n_files=len(paths), on_error="warn")
    return SpectraArray.open(store)


class _Row(NamedTuple):
    flux: np.ndarray  # (pixel,), in the dtype of the store
    scale: float | None
    meta: dict[str, Any]


def _pack_rest(
    part: PartialStore,
    paths: list[str | Path],
    grid: WavelengthGrid,
    dtype: str,
    *,
    n_jobs: int | None,
    progress: bool | None,
) -> None:
    """Read the files that no earlier call has dealt with."""
    rest = paths[part.n_files :]
    show = sys.stderr.isatty() if progress is None else progress
    with (
        progress_bar(total=len(paths), desc="packing spectra", show=show) as bar,
        closing(_read_rows(rest, grid, dtype, n_jobs)) as rows,
    ):
        bar.update(part.n_files)
        for path, row in zip(rest, rows, strict=True):
            if isinstance(row, str):
                part.refuse(str(path), row)
            else:
                part.append(str(path), row.flux, row.meta, row.scale)
            bar.update()


def _read_rows(
    paths: list[str | Path], grid: WavelengthGrid, dtype: str, n_jobs: int | None
) -> Generator[_Row | str, None, None]:
    step = _FILES_PER_WORKER * effective_n_jobs(n_jobs)
    with Parallel(n_jobs=n_jobs, return_as="generator") as parallel:
        # In portions, since workers do not wait for a disk that writes slower than they read.
        for start in range(0, len(paths), step):
            rows = parallel(
                delayed(_read_row)(path, grid, dtype) for path in paths[start : start + step]
            )
            for row in rows:
                try:
                    yield row
                except GeneratorExit:
                    # joblib would advise to ask for fewer rows; a full disk is no such case.
                    with warnings.catch_warnings(action="ignore", category=UserWarning):
                        rows.close()
                    raise


def _read_row(path: str | Path, grid: WavelengthGrid, dtype: str) -> _Row | str:
    """Return a row as it is stored, or why there is none."""
    row = _try_onto_grid(path, grid)
    if isinstance(row, str):
        return row
    flux, meta = row
    try:
        stored, scale = stored_row(flux, dtype)
    except SpectrumReadError as error:
        return str(error)
    return _Row(stored, scale, plain_meta({"path": str(path), **meta}))


def stored_row(flux: np.ndarray, dtype: str) -> tuple[np.ndarray, float | None]:
    """Return a float32 row as it is stored, and its scale if it has one.

    Raises
    ------
    SpectrumReadError
        If the peak would cost the median its precision in float16.
    """
    if dtype != "float16":
        return flux, None
    scale = half_scale(flux)
    return (flux / np.float32(scale)).astype(np.float16), scale


def half_scale(flux: np.ndarray) -> float:
    """Divisor that brings a row into the range of float16: a median, or what the peak demands.

    The smallest float32 of full precision at least, so that a row of zeros can be divided too.

    Raises
    ------
    SpectrumReadError
        If the peak would cost the median its precision.
    """
    size = np.abs(flux)
    size = size[size > 0]  # zeros are exact under any scale; NaN goes too
    smallest = float(np.finfo(np.float32).tiny)
    if not len(size):
        return smallest
    median, peak = float(np.median(size)), float(size.max())
    if peak > _MAX_PEAK_MEDIANS * median:
        raise SpectrumReadError(
            f"its largest flux, {peak:.3g}, is {peak / median:.3g} times the median, more than "
            f"the {_MAX_PEAK_MEDIANS:.2g} that float16 can hold together at its precision: "
            "choose dtype='float32', or set damaged pixels to NaN."
        )
    return float(np.float32(max(median, peak / _HALF_MAX, smallest)))


def _finish(
    part: PartialStore, grid: WavelengthGrid, dtype: str, on_error: str, *, n_files: int
) -> dict[str, str]:
    """Give the store its name, unless files were refused that must not be; return these."""
    entries = list(part.entries())
    packed = [entry for entry in entries if "refused" not in entry]
    refused = _refused(entries)
    if not packed:
        part.discard()
        _report_refused(refused, n_files=n_files, on_error="raise")
    if refused and on_error == "raise":
        _raise_refused(refused, n_files, part)
    scale = [entry["scale"] for entry in packed] if dtype == "float16" else None
    meta = meta_columns([entry["meta"] for entry in packed])
    sidecar = Sidecar(grid, dtype, len(packed), scale, meta, refused)
    part.finish(lambda path: write_sidecar(path, sidecar))
    return refused


def _refused(entries: list[dict[str, Any]]) -> dict[str, str]:
    return {entry["path"]: entry["refused"] for entry in entries if "refused" in entry}


def _raise_refused(refused: dict[str, str], n_files: int, part: PartialStore) -> None:
    try:
        _report_refused(refused, n_files=n_files, on_error="raise")
    except SpectrumReadError as error:
        raise SpectrumReadError(
            f"{error}\nThe other {part.n_rows} are packed in {part.rows_path}: the same call with "
            "on_error='warn' makes the store of them without reading them again. With other "
            "paths, another dtype or repaired files, delete the .part files first."
        ) from None


def _settings(paths: list[str | Path], grid: WavelengthGrid, dtype: str) -> dict[str, Any]:
    # The digest alone: a quarter of a million paths would make a first line of 30 MB.
    names = "\0".join(os.path.abspath(path) for path in paths)
    digest = hashlib.sha256(os.fsencode(names)).hexdigest()
    return {
        **JOURNAL_FORMAT,
        "grid": grid.to_dict(),
        "dtype": dtype,
        "paths": f"{len(paths)} files with digest {digest[:16]}",
    }
