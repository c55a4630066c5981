"""A table of labels, joined to the spectra of a store by name and never by position."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from astropy.table import Table

from .._optional import import_optional
from ..spectra._targets import SUNLIT, normalise_name

_N_SHOWN = 5
_KINDS = ("file", "object")


def read_labels(
    path: Path, meta: pd.DataFrame, by: str | None, targets: Sequence[str] | None
) -> pd.DataFrame:
    """Return one row for each spectrum; NaN where the table says nothing of it.

    Parameters
    ----------
    path : Path
    meta : DataFrame
        What is known of each spectrum of the store.
    by : str or None
        "file" or "object", and the column of the table after "="; by default whichever of the
        two the table has.
    targets : sequence of str or None
        Columns to take; by default all that hold numbers.

    Raises
    ------
    ValueError
        If a column is missing, a key stands twice with different labels, or no row belongs to
        any spectrum.
    """
    table = read_table(path)
    kind, column = _parse_key(by, table, path)
    labels = _numbers(table, path, targets, besides=column)
    table_keys = [_key(kind, name) for name in table[column]]
    spectrum_keys = [_key(kind, name) for name in meta["path" if kind == "file" else "object"]]
    labels.index = pd.Index(table_keys)
    wanted = labels.index.isin([key for key in spectrum_keys if key])
    if not wanted.any():
        raise ValueError(
            f"no spectrum of the store has labels in {path}: its column {column!r} has "
            f"{_some(table_keys)}, the spectra are {_some(spectrum_keys)}; say with --by which "
            "column names files or objects."
        )
    labels = _without_repeats(labels[wanted].dropna(how="all"), path, column)
    joined = labels.reindex(pd.Index(spectrum_keys)).reset_index(drop=True)
    known = joined.notna().any(axis=1)
    names = ", ".join(map(str, joined.columns))
    print(f"{path}: labels {names} for {known.sum()} of {len(meta)} spectra")
    empty = [str(name) for name in joined if joined[name].isna().all()]
    if empty:
        raise ValueError(
            f"no spectrum has a value of {', '.join(empty)}; leave it out of --target."
        )
    return joined


def read_table(path: Path) -> pd.DataFrame:
    """Read a table by the ending of its name; anything else is text with separators.

    Raises
    ------
    ValueError
        If it cannot be read.
    """
    suffix = path.suffix.lower()
    try:
        if suffix in (".parquet", ".pq"):
            import_optional("pyarrow", caller="A Parquet table", extra="parquet")
            return pd.read_parquet(path)
        if suffix in (".fits", ".fit", ".vot", ".xml", ".votable", ".ecsv") or path.name.endswith(
            ".fits.gz"
        ):
            table = Table.read(path)
            flat = [name for name in table.colnames if len(table[name].shape) <= 1]
            frame = table[flat].to_pandas()
            # FITS pads text with blanks, and older readers give bytes.
            text = frame.select_dtypes(["object", "str"] if _HAS_STR else ["object"]).columns
            return frame.assign(**{name: frame[name].map(_as_text) for name in text})
        separator = "\t" if suffix in (".tsv", ".tab") else ","
        return pd.read_csv(path, sep=separator, comment="#")
    except (FileNotFoundError, ImportError):
        raise
    except Exception as error:  # whatever the reader of this format raises
        raise ValueError(f"{path} cannot be read as a table: {error}") from error


_HAS_STR = int(pd.__version__.split(".")[0]) >= 3


def _as_text(value: object) -> object:
    return value.decode().strip() if isinstance(value, bytes) else value


def _parse_key(by: str | None, table: pd.DataFrame, path: Path) -> tuple[str, str]:
    """Return "file" or "object", and the column that has it."""
    columns = list(map(str, table.columns))
    if by is None:
        found = [name for name in _KINDS if name in columns]
        if not found:
            raise ValueError(
                f"{path} has no column file or object, only {', '.join(columns)}; say with "
                "--by file=COLUMN or --by object=COLUMN which one names what."
            )
        return found[0], found[0]
    kind, _, column = by.partition("=")
    if kind not in _KINDS:
        raise ValueError(f"--by must begin with file or object, got {by!r}.")
    column = column or kind
    if column not in columns:
        raise ValueError(f"{path} has no column {column!r}; it has {', '.join(columns)}.")
    return kind, column


def _numbers(
    table: pd.DataFrame, path: Path, targets: Sequence[str] | None, besides: str
) -> pd.DataFrame:
    if targets is None:
        found = table.select_dtypes("number").drop(columns=besides, errors="ignore")
        if found.empty:
            raise ValueError(f"{path} has no column of numbers; name the labels with --target.")
    else:
        missing = [name for name in targets if name not in table]
        if missing:
            raise ValueError(
                f"{path} has no column {', '.join(missing)}; it has "
                f"{', '.join(map(str, table.columns))}."
            )
        found = table[list(targets)].apply(pd.to_numeric, errors="coerce")
        text = [name for name in targets if found[name].isna().all()]
        if text:
            raise ValueError(f"{', '.join(text)} of {path} holds no numbers.")
    values = found.astype(float)
    if np.isinf(values.to_numpy()).any():
        raise ValueError(f"{path} holds infinite labels; leave them empty where they are unknown.")
    return values.copy()


def _key(kind: str, name: Any) -> str:
    if not isinstance(name, str):
        return "" if pd.isna(name) else str(name)
    if kind == "file":
        return Path(name.strip()).name
    name = normalise_name(name)
    return "SUN" if name in SUNLIT else name


def _without_repeats(labels: pd.DataFrame, path: Path, column: str) -> pd.DataFrame:
    """Drop rows that say the same again; two rows that differ cannot both be true."""
    keyed = labels.reset_index(names="key").drop_duplicates().set_index("key")
    repeated = keyed.index[keyed.index.duplicated()].unique()
    if len(repeated):
        raise ValueError(
            f"{path} has different labels for {_some(list(repeated))} of its column {column!r}; "
            "keep one row of each."
        )
    return keyed


def _some(names: Sequence[str]) -> str:
    shown = list(dict.fromkeys(name for name in names if name))
    more = f" and {len(shown) - _N_SHOWN} more" if len(shown) > _N_SHOWN else ""
    return (", ".join(shown[:_N_SHOWN]) or "no name") + more
