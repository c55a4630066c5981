"""Tables of results: one row for each spectrum, named, with units where the format has them."""

import os
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from astropy.table import Table

from .._optional import import_optional
from ..estimators._persistence._save import unit_of
from ..spectra._part import give_name
from ._columns import IDENTITY

SUFFIXES = (".csv", ".ecsv", ".fits", ".parquet", ".npy")


def identity_columns(meta: pd.DataFrame, suffix: str) -> pd.DataFrame:
    """Return what each spectrum is known by, as a table of this format can hold it."""
    frame = pd.DataFrame({"row": np.arange(len(meta))})
    for name in IDENTITY[1:]:
        source = "path" if name == "file" else name
        if source not in meta or not meta[source].notna().any():
            continue
        known = meta[source].reset_index(drop=True)
        if name in ("file", "object"):
            known = known.map(lambda value: _text(value, suffix))
        frame[name] = known
    if "file" in frame:
        frame["file"] = frame["file"].map(lambda name: Path(name).name)
    return frame


def _text(value: object, suffix: str) -> str:
    """Return a name without what the format has no letters for; empty where it is missing."""
    if not isinstance(value, str):
        return ""
    if suffix == ".fits":
        return value.encode("ascii", "backslashreplace").decode()
    return value.encode("utf-8", "replace").decode()


def check_writable(suffix: str, identity: pd.DataFrame, names: list[str]) -> None:
    """Write the first row with zeros elsewhere, to see before the work that the format takes it.

    Raises
    ------
    ImportError
        If a Parquet file is wanted and pyarrow is missing.
    ValueError
        If the format cannot hold these columns.
    """
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the table itself will warn
        trial = identity.iloc[:1].assign(**dict.fromkeys(names, 0.0))
        try:
            _write(Path(folder) / f"trial{suffix}", trial, suffix)
        except ValueError as error:  # UnicodeEncodeError is one
            raise ValueError(
                f"a {suffix} table cannot hold the columns {', '.join(names)} ({error}); give --to "
                "another ending."
            ) from error


def write_table(path: Path, frame: pd.DataFrame) -> None:
    """Write a table whole or not at all.

    Units stand in ECSV, FITS and Parquet; in CSV the names end in them.

    Raises
    ------
    FileExistsError
        If there is a file of this name by now.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        _write(part, frame, path.suffix)
        with open(part, "rb+") as file:  # on disk before it has the name
            os.fsync(file.fileno())
        give_name(part, path)
    finally:
        part.unlink(missing_ok=True)


def _write(part: Path, frame: pd.DataFrame, suffix: str) -> None:
    if suffix == ".csv":
        frame.to_csv(part, index=False)
        return
    table = Table.from_pandas(frame)
    for name in table.colnames:
        unit = unit_of(name.removesuffix("_error"))
        if unit and not (suffix == ".fits" and unit == "dex"):  # the FITS standard has no dex
            table[name].unit = unit
    if suffix == ".parquet":
        import_optional("pyarrow", caller="A Parquet table", extra="parquet")
    formats = {".ecsv": "ascii.ecsv", ".fits": "fits", ".parquet": "parquet"}
    table.write(part, format=formats[suffix], overwrite=True)
