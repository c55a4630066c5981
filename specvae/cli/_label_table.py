"""A table of labels, joined to the spectra of a store by name and never by position."""

import bz2
import gzip
import lzma
import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from astropy import units
from astropy.table import Table

from .._optional import import_optional
from ..estimators._persistence._save import unit_of
from ..spectra._targets import SUNLIT, normalise_name
from ._columns import IDENTITY

_N_SHOWN = 5
_KINDS = ("file", "object")
_SOURCES = {"file": "path", "object": "object"}  # columns of the store

_HAS_STR = int(pd.__version__.split(".")[0]) >= 3
_OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_FORGOTTEN_INDEX = re.compile(r"Unnamed: \d+")  # what pandas calls a column without a name


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
        Columns to take; by default all that hold numbers, but for numbers of rows, positions and
        dates, which are no labels.

    Raises
    ------
    ValueError
        If a column is missing, a unit is not that of its name, a key stands twice with different
        labels or for several files, or no row belongs to any spectrum.
    """
    table = read_table(path, _key_columns(by))
    kind, column = _parse_key(by, table, path)
    labels = _numbers(table, path, targets, besides=column)
    if _SOURCES[kind] not in meta:
        other = next(name for name in _KINDS if name != kind)
        raise ValueError(
            f"the store does not say the {kind} of its spectra, only "
            f"{', '.join(map(str, meta.columns)) or 'nothing'}; join with --by {other} if it is "
            "among them, or pack the files again."
        )
    table_keys, spectrum_keys = _keys(kind, table[column], meta[_SOURCES[kind]], path)
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


def read_table(path: Path, text: Sequence[str] = _KINDS) -> pd.DataFrame:
    """Read a table by the ending of its name; anything else is text with separators.

    Columns whose names end in a unit are converted to it; those that cannot be are named in
    ``attrs["no_unit"]``, with the unit they have.

    Parameters
    ----------
    path : Path
    text : sequence of str
        Columns of a text file that are no numbers, even where they look like some.

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
            return _with_units(Table.read(path))
        return _read_text(path, text)
    except (FileNotFoundError, ImportError):
        raise
    except Exception as error:  # whatever the reader of this format raises
        raise ValueError(f"{path} cannot be read as a table: {error}") from error


def _read_text(path: Path, text: Sequence[str]) -> pd.DataFrame:
    n_comments = 0
    with _OPENERS.get(path.suffix.lower(), open)(path, "rt", encoding="utf-8-sig") as file:
        # At the head alone: further down, # is part of names such as "HD 1 #A".
        while next(file, "").startswith("#"):
            n_comments += 1
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # rows longer than the header
        return pd.read_csv(
            path,
            sep="\t" if path.suffix.lower() in (".tsv", ".tab") else ",",
            skiprows=n_comments,
            dtype=dict.fromkeys(text, str),
            index_col=False,
            low_memory=False,
        )


def _with_units(table: Table) -> pd.DataFrame:
    flat = [name for name in table.colnames if len(table[name].shape) <= 1]
    frame = table[flat].to_pandas()
    # FITS pads text with blanks, and older readers give bytes.
    words = frame.select_dtypes(["object", "str"] if _HAS_STR else ["object"]).columns
    frame = frame.assign(**{name: frame[name].map(_as_text) for name in words})
    no_unit = {}
    for name in flat:
        found, wanted = getattr(table[name], "unit", None), unit_of(name)
        if found is None or found == "" or not wanted or name in words:
            continue
        if wanted == "dex" and isinstance(found, units.DexUnit):  # dex(cm / s2), of a gravity
            continue
        try:
            values = frame[name].astype(float).to_numpy()
            frame[name] = units.Unit(found).to(wanted, values, equivalencies=units.temperature())
        except (ValueError, TypeError):  # UnitConversionError is a TypeError
            no_unit[name] = str(found)
    frame.attrs["no_unit"] = no_unit
    return frame


def _as_text(value: object) -> object:
    return value.decode().strip() if isinstance(value, bytes) else value


def _key_columns(by: str | None) -> Sequence[str]:
    """Return the columns that may have the key."""
    kind, _, column = (by or "").partition("=")
    return _KINDS if by is None else [column or kind]


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
        found = table.select_dtypes("number")
        known = [name for name in found if _FORGOTTEN_INDEX.fullmatch(str(name))]
        found = found.drop(columns=[besides, *IDENTITY, *known], errors="ignore")
        if found.empty:
            raise ValueError(f"{path} has no column of numbers; name the labels with --target.")
    else:
        targets = list(dict.fromkeys(targets))
        missing = [name for name in targets if name not in table]
        if missing:
            raise ValueError(
                f"{path} has no column {', '.join(missing)}; it has "
                f"{', '.join(map(str, table.columns))}."
            )
        found = table[targets].apply(pd.to_numeric, errors="coerce")
        text = [name for name in targets if found[name].isna().all()]
        if text:
            raise ValueError(f"{', '.join(text)} of {path} holds no numbers.")
    for name, unit in table.attrs.get("no_unit", {}).items():
        if name in found:
            raise ValueError(
                f"{name} of {path} is in {unit}, which is not {unit_of(name)}, as its name ends; "
                "correct the unit or the name."
            )
    values = found.astype(float)
    if np.isinf(values.to_numpy()).any():
        raise ValueError(f"{path} holds infinite labels; leave them empty where they are unknown.")
    return values.copy()


def _keys(
    kind: str, in_table: pd.Series, in_store: pd.Series, path: Path
) -> tuple[list[str], list[str]]:
    """Return by what the rows of the table and the spectra are compared; "" where unknown."""
    if kind == "object":
        return [_star(name) for name in in_table], [_star(name) for name in in_store]
    table_paths, store_paths = [_text(name) for name in in_table], [_text(n) for n in in_store]
    # A name is enough, wherever the files lay, unless several files of the store have it.
    folders: dict[str, set[str]] = {}
    for name in store_paths:
        folders.setdefault(Path(name).name, set()).add(name)
    several = {bare: names for bare, names in folders.items() if bare and len(names) > 1}
    for name in table_paths:
        names = several.get(Path(name).name, set())
        if names and name not in names and not Path(name).is_absolute():
            raise ValueError(
                f"{name} of {path} may be several files of the store: {_some(sorted(names))}; give "
                "their paths as the store has them."
            )

    def key(name: str) -> str:
        return name if Path(name).name in several else Path(name).name

    return [key(name) for name in table_paths], [key(name) for name in store_paths]


def _star(name: Any) -> str:
    name = normalise_name(_text(name))
    return "SUN" if name in SUNLIT else name


def _text(name: Any) -> str:
    """Return a name as text; "" where it is missing."""
    if isinstance(name, str):
        return name.strip()
    if pd.isna(name):
        return ""
    # Numbers become floats in a column where some are missing.
    return str(int(name)) if isinstance(name, float) and name.is_integer() else str(name)


def _without_repeats(labels: pd.DataFrame, path: Path, column: str) -> pd.DataFrame:
    """Drop rows that say the same again; two rows that differ cannot both be true."""
    rows = pd.DataFrame(labels.to_numpy()).assign(key=labels.index)  # its columns are numbers
    keyed = labels[~rows.duplicated().to_numpy()]
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
