"""The JSON beside a .npy store: its grid, its scales, and what is known of each spectrum."""

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ._grid import WavelengthGrid
from ._store import NpyStore

_FORMAT = "specvae-store"
_VERSION = 1

# Before version 3 pandas has no text dtype that keeps missing values missing.
_TEXT = "str" if int(pd.__version__.split(".")[0]) >= 3 else "object"


@dataclass(frozen=True)
class Sidecar:
    """What a .npy file does not say about the spectra in it."""

    grid: WavelengthGrid
    dtype: str
    n_spectra: int
    scale: list[float] | None  # one per row; None unless the rows were divided by it
    meta: list[dict[str, Any]]  # columns: name, dtype, values
    refused: dict[str, str]  # path of each file that was left out, and the reason


def sidecar_path(store: str | Path) -> Path:
    """Where the sidecar of a store lies.

    Raises
    ------
    ValueError
        If the name of the store does not end in .npy.
    """
    store = Path(store)
    if store.suffix != ".npy":
        raise ValueError(f"store must be the name of a .npy file, got {str(store)!r}.")
    return store.with_suffix(".json")


def write_sidecar(path: Path, sidecar: Sidecar) -> None:
    """Write the sidecar to `path` and wait until it is on disk."""
    content = {
        "format": _FORMAT,
        "version": _VERSION,
        "grid": sidecar.grid.to_dict(),
        "dtype": sidecar.dtype,
        "n_spectra": sidecar.n_spectra,
        "refused": sidecar.refused,
        "scale": sidecar.scale,
        "meta": sidecar.meta,
    }
    with open(path, "w", encoding="utf-8") as file:
        json.dump(content, file, allow_nan=False)
        file.flush()
        os.fsync(file.fileno())


def read_sidecar(store: str | Path) -> Sidecar:
    """Return the sidecar of a store.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        If it is damaged or of a newer version.
    """
    path = sidecar_path(store)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise FileNotFoundError(_how_to_find(Path(store), path)) from error
    except ValueError as error:
        raise _damaged(path, f"it is not JSON ({error})") from error
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise _damaged(path, f"it does not say that its format is {_FORMAT!r}")
    version = content.get("version")
    if isinstance(version, int) and version > _VERSION:
        raise ValueError(
            f"{path} has version {version} of the store format, this specvae reads up to "
            f"{_VERSION}: upgrade specvae, or pack the spectra again."
        )
    try:
        sidecar = Sidecar(
            WavelengthGrid.from_dict(content["grid"]),
            *(content[name] for name in ("dtype", "n_spectra", "scale", "meta", "refused")),
        )
        lengths = [len(column["values"]) for column in sidecar.meta]
        lengths += [] if sidecar.scale is None else [len(sidecar.scale)]
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, f"{type(error).__name__}: {error}") from error
    if any(length != sidecar.n_spectra for length in lengths):
        raise _damaged(
            path, f"it holds {sidecar.n_spectra} spectra, but columns of {sorted(set(lengths))}"
        )
    return sidecar


def open_store(path: str | Path) -> tuple[NpyStore, WavelengthGrid]:
    """Return the rows and the grid of a store that `pack_spectra` wrote.

    Raises
    ------
    FileNotFoundError
        If the file or its sidecar is missing.
    ValueError
        If either is damaged, or they do not belong together.
    """
    path = Path(path)
    sidecar = read_sidecar(path)
    scale = None if sidecar.scale is None else np.array(sidecar.scale, dtype=np.float32)
    try:
        store = NpyStore(path, scale=scale)
    except FileNotFoundError as error:
        raise FileNotFoundError(_how_to_find(path, path)) from error
    wanted = (sidecar.n_spectra, sidecar.grid.n_pixels), sidecar.dtype
    if (store.shape, store.dtype.name) != wanted:
        raise ValueError(
            f"{path} and {sidecar_path(path).name} do not belong together: the one holds "
            f"{store.dtype.name} of shape {store.shape}, the other speaks of {wanted[1]} of shape "
            f"{wanted[0]}; copy both from the same place, or pack the spectra again."
        )
    return store, sidecar.grid


def read_meta(path: str | Path) -> pd.DataFrame:
    """Read what is known of each spectrum of a store.

    Parameters
    ----------
    path : str or Path
        The .npy file that `pack_spectra` wrote; its sidecar is read, the spectra are not.

    Returns
    -------
    meta : DataFrame of n_spectra rows
        Row i belongs to row i of ``SpectraArray.open(path)``; the columns are those that
        `read_spectrum` describes. ``meta.attrs["refused"]`` maps the path of each file that was
        left out to the reason.

    Raises
    ------
    FileNotFoundError
        If the sidecar is missing.
    ValueError
        If the sidecar is damaged or of a newer version.

    See Also
    --------
    pack_spectra : Write the store.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from astropy.io import fits
    >>> from specvae.spectra import pack_spectra
    >>> hdu = fits.PrimaryHDU(np.array([1.0, 2.0, 3.0]))
    >>> hdu.header.update({"CRVAL1": 5000.0, "CDELT1": 0.5, "OBJECT": "HD 4"})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path, store = Path(folder) / "star.fits", Path(folder) / "stars.npy"
    ...     hdu.writeto(path)
    ...     spectra = pack_spectra([path], store, WavelengthGrid(5000.0, 0.5, 3))
    ...     meta = read_meta(store)
    >>> meta["object"].tolist()
    ['HD 4']
    """
    sidecar = read_sidecar(path)
    try:
        columns = {
            column["name"]: pd.Series(column["values"], dtype=_pandas_dtype(column["dtype"]))
            for column in sidecar.meta
        }
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(sidecar_path(path), f"a column of meta: {error}") from error
    meta = pd.DataFrame(columns, index=pd.RangeIndex(sidecar.n_spectra))
    meta.attrs["refused"] = sidecar.refused
    return meta


def plain_meta(meta: Mapping[Any, Any]) -> dict[str, Any]:
    """Return metadata as JSON can hold it: what is not finite is None, a date is ISO text."""
    return {str(name): _plain(value) for name, value in meta.items()}


def meta_columns(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Columns (name, dtype, values) of plain metadata; a name that a record lacks gives None."""
    names = dict.fromkeys(name for record in records for name in record)
    columns = []
    for name in names:
        values = [record.get(name) for record in records]
        columns.append({"name": name, "dtype": _column_dtype(values), "values": values})
    return columns


def _column_dtype(values: list[Any]) -> str:
    kinds = {type(value) for value in values if value is not None}
    complete = all(value is not None for value in values)
    if kinds == {bool}:
        return "bool" if complete else "boolean"
    if kinds == {int}:
        # Not float64 where one is missing: identifiers of 19 digits would change.
        return "int64" if complete else "Int64"
    if kinds <= {int, float}:
        return "float64"
    return "str" if kinds == {str} else "object"


def _pandas_dtype(name: str) -> str:
    return _TEXT if name == "str" else name


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is pd.NaT or value is pd.NA or value is np.ma.masked:
        return None
    return value.isoformat() if isinstance(value, date) else str(value)


def _how_to_find(store: Path, missing: Path) -> str:
    if store.with_name(store.name + ".part").exists():
        return (
            f"{missing} is not there yet, {store} is half packed: repeat the pack_spectra call, or "
            "whichever call began it."
        )
    return (
        f"{missing} does not exist; a store is a .npy file and the .json of the same name that "
        "pack_spectra or write_spectra wrote beside it. Open any other .npy file with "
        "SpectraArray(np.load(path, mmap_mode='r'), grid=grid)."
    )


def _damaged(path: Path, detail: str) -> ValueError:
    return ValueError(
        f"{path} is damaged: {detail}. Restore it from a copy, or pack the spectra again."
    )
