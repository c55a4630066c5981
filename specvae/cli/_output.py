"""Tables of results: one row for each spectrum, named, with units where the format has them."""

from pathlib import Path

import numpy as np
import pandas as pd
from astropy.table import Table

from .._optional import import_optional
from ..estimators._persistence._save import unit_of
from ..spectra._part import give_name

SUFFIXES = (".csv", ".ecsv", ".fits", ".parquet", ".npy")
# What a spectrum is known by; "row" is its place in the store.
_IDENTITY = ("path", "object", "ra_deg", "dec_deg", "mjd")


def write_table(path: Path, meta: pd.DataFrame, columns: dict[str, np.ndarray]) -> None:
    """Write a table whole or not at all.

    Units stand in ECSV, FITS and Parquet; in CSV the names end in them.

    Raises
    ------
    FileExistsError
        If there is a file of this name by now.
    ImportError
        If a Parquet file is wanted and pyarrow is missing.
    """
    frame = pd.DataFrame({"row": np.arange(len(meta))})
    for name in _IDENTITY:
        if name in meta and meta[name].notna().any():
            frame["file" if name == "path" else name] = meta[name]
    if "file" in frame:
        frame["file"] = frame["file"].map(lambda name: Path(name).name if name else "")
    frame = frame.assign(**columns)
    part = path.with_name(f"{path.name}.part")
    try:
        _write(part, frame, path.suffix)
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
