"""Line lists from files: VALD extracts, and tables with a header."""

import csv
import gzip
import re
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from ...exceptions import DataQualityWarning
from ._line_list import LineList
from ._species import parse_species

_GZIP_MAGIC = b"\x1f\x8b"

# Column heads of VALD; extracts of VALD2 do not name the medium, it is air there.
_WAVELENGTH = re.compile(r"\bWL(?:_(air|vac))?\((.*?)\)")
_ENERGY = re.compile(r"\b(?:E_low|Excit)\((.*?)\)")
# They follow a few lines of text, or a request that was copied along.
_HEADER_WITHIN = 100
# The first line of a transition: the species in quotation marks, then a number.
_TRANSITION = re.compile(r"\s*'([^']+)'\s*,\s*([-+.\d].*)")
_SELECTED = re.compile(r"\s*[\d.]+\s*,\s*[\d.]+\s*,\s*(\d+)\s*,.*Wavelength region")


class _Layout(NamedTuple):
    """Where a format of VALD keeps its numbers; field 0 is the species, 1 the wavelength."""

    excitation: int
    log_gf: int
    waals: int


_LONG = _Layout(excitation=3, log_gf=2, waals=12)
_SHORT_ALL = _Layout(excitation=2, log_gf=3, waals=6)
_SHORT_STELLAR = _Layout(excitation=2, log_gf=4, waals=7)  # field 3 is the microturbulence


def read_line_list(
    path: str | Path, *, medium: str = "air", unknown_species: str = "raise"
) -> LineList:
    """Read a line list from a file: an extract of VALD, or a table with a header.

    Parameters
    ----------
    path : str or Path
        The long or short format of VALD's "extract stellar", "extract all" or "extract element",
        with wavelengths in Angstrom and energies in eV; or text in columns, separated by commas,
        tabs or spaces, under a line with the names that `LineList.from_table` takes, comments after
        "#". Between spaces species are written without one, as FeI, or in quotation marks. Either
        may be gzipped.
    medium : {"air", "vacuum"}, default="air"
        Medium of the wavelengths of a table; VALD names it in the file.
    unknown_species : {"raise", "skip"}, default="raise"
        What to do with species that the model does not know, such as OH 1 or Fe 4: refuse the file,
        or leave these lines out with a warning.

    Returns
    -------
    lines : LineList

    Warns
    -----
    DataQualityWarning
        If lines were left out, or if VALD warns in the file that it did so.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is cut short, in other units, or holds what `LineList.from_table` refuses.

    Notes
    -----
    Of the damping constants only the van der Waals column is used. Lines of one transition that
    VALD splits, by isotope or hyperfine structure, stay split.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
    ...     print("species,wavelength_aa,excitation_ev,log_gf", file=file)
    ...     print("Fe 1,5269.537,0.859,-1.321", file=file, flush=True)
    ...     len(read_line_list(file.name))
    1
    """
    if unknown_species not in ("raise", "skip"):
        raise ValueError(f"unknown_species must be 'raise' or 'skip', got {unknown_species!r}.")
    lines = _text_lines(path)
    try:
        head = next((line for line in lines[:_HEADER_WITHIN] if _WAVELENGTH.search(line)), None)
        if head is None:
            table = _read_table(lines)
        else:
            table, medium = _read_vald(lines, head)
        if unknown_species == "skip" and "species" in table:
            table = _without_unknown(table, path)
        return LineList.from_table(table, medium)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _text_lines(path: str | Path) -> list[str]:
    content = Path(path).read_bytes()
    if content.startswith(_GZIP_MAGIC):
        try:
            content = gzip.decompress(content)
        except (EOFError, OSError) as error:
            raise ValueError(
                f"{path}: the gzip stream is damaged ({error}): download or copy it again."
            ) from None
    # References hold accents in one encoding or another; no number does.
    return content.decode("utf-8-sig", errors="replace").splitlines()


def _read_vald(lines: list[str], head: str) -> tuple[pd.DataFrame, str]:
    """Return the transitions, indexed by their line in the file, and the medium."""
    medium = _check_units(head)
    layout = _layout(head)
    _check_isotopes(lines)
    _pass_on_warnings(lines)
    rows: dict[int, Any] = {}
    for number, line in enumerate(lines, start=1):
        transition = _TRANSITION.match(line)
        if transition:
            rows[number] = (transition[1], *_fields(transition[2], layout, number))
    _check_count(lines, len(rows))
    names = ["species", "wavelength_aa", "excitation_ev", "log_gf", "damping"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=names), medium


def _check_units(head: str) -> str:
    medium, unit = _WAVELENGTH.findall(head)[0]
    energy = _ENERGY.search(head)
    energy_unit = energy[1] if energy else "unknown"
    wrong = []
    if unit != "A":
        wrong.append(f"wavelengths in {unit} (wanted Angstrom)")
    if energy_unit != "eV":
        wrong.append(f"energies in {energy_unit} (wanted eV)")
    if wrong:
        raise ValueError(
            f"this extract of VALD has {' and '.join(wrong)}: ask VALD again with 'Wavelength "
            "unit: angstrom' and 'Energy unit: eV' under 'Unit selection'."
        )
    return "vacuum" if medium == "vac" else "air"


def _layout(head: str) -> _Layout:
    if "E_low(" in head:
        return _LONG
    return _SHORT_STELLAR if "Vmic" in head or "Vmct" in head else _SHORT_ALL


def _check_isotopes(lines: Iterable[str]) -> None:
    if any(line.startswith("* oscillator strengths were NOT scaled") for line in lines):
        raise ValueError(
            "the oscillator strengths of this extract of VALD are not scaled by the isotopic "
            "ratios, so that each isotope would count as the whole element: ask VALD again with "
            "'Isotopic scaling: on'."
        )


def _pass_on_warnings(lines: Iterable[str]) -> None:
    for line in lines:
        if line.lstrip().startswith("WARNING"):
            warnings.warn(f"VALD says: {line.strip()}", DataQualityWarning, stacklevel=4)


def _fields(text: str, layout: _Layout, number: int) -> tuple[float, float, float, float]:
    fields = ["", *text.split(",")]
    wanted = (1, layout.excitation, layout.log_gf, layout.waals)
    try:
        return tuple(float(fields[place]) for place in wanted)  # type: ignore[return-value]
    except (IndexError, ValueError):
        raise ValueError(
            f"line {number} is no transition in VALD's format: {text[:60]!r}; the file is damaged "
            "or was edited: download it again."
        ) from None


def _check_count(lines: Iterable[str], n_found: int) -> None:
    announced = next((match[1] for match in map(_SELECTED.match, lines) if match), None)
    if announced is not None and int(announced) != n_found:
        raise ValueError(
            f"VALD announces {announced} lines in the head of the file, which holds {n_found}: it "
            "is cut short or was edited; download it again."
        )


def _read_table(lines: list[str]) -> pd.DataFrame:
    kept = {
        number: text
        for number, line in enumerate(lines, start=1)
        if (text := line.split("#")[0].strip())
    }
    if not kept:
        raise ValueError("the file holds no lines.")
    head, *rest = kept.values()
    separator = "\t" if "\t" in head else "," if "," in head else None
    names = [word.strip("'\" ") for word in _split(head, separator)]
    rows = []
    for number, text in zip(list(kept)[1:], rest, strict=True):
        words = _split(text, separator)
        if len(words) != len(names):
            raise ValueError(
                f"line {number} has {len(words)} fields under {len(names)} column names: "
                f"{text[:60]!r}. Between spaces write species as FeI or in quotation marks."
            )
        rows.append([word.strip("'\" ") or None for word in words])
    return pd.DataFrame(rows, columns=names, index=list(kept)[1:])


def _split(text: str, separator: str | None) -> list[str]:
    if separator is None:
        return re.findall(r"'[^']*'|\"[^\"]*\"|\S+", text)
    return next(csv.reader([text], delimiter=separator, skipinitialspace=True))


def _without_unknown(table: pd.DataFrame, path: str | Path) -> pd.DataFrame:
    unknown = {word for word in table["species"].unique() if not _is_known(word)}
    left_out = table["species"].isin(unknown)
    if left_out.any():
        warnings.warn(
            f"{path}: {int(left_out.sum())} of {len(table)} lines were left out, of species that "
            f"the model does not know: {', '.join(sorted(map(str, unknown)))}.",
            DataQualityWarning,
            stacklevel=3,
        )
    return table[~left_out]


def _is_known(word: Any) -> bool:
    try:
        parse_species(word)
    except ValueError:
        return False
    return True
