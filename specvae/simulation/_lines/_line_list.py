"""The lines of a spectrum: where they are, from what, and how strong."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from ...spectra import air_to_vacuum, vacuum_to_air
from ._species import parse_species

REQUIRED_COLUMNS = ("species", "wavelength_aa", "excitation_ev", "log_gf")
OPTIONAL_COLUMNS = ("damping", "name")

# Outside, the numbers are hardly Angstrom.
_WAVELENGTHS_AA = (2000.0, 30_000.0)
# No lower level of a line that cool stars show lies higher; in cm-1 almost all do.
_HIGHEST_EXCITATION_EV = 30.0


@dataclass(frozen=True, eq=False)
class LineList:
    """Spectral lines in the order of their wavelengths; make one with `from_table`.

    Parameters
    ----------
    species : ndarray of str, shape (n_lines,)
        Atom, ion or molecule as VALD writes it: "Fe 1", "Ca 2", "CH 1".
    wavelength_aa : ndarray of float, shape (n_lines,)
        Rest wavelengths in Angstrom, never falling.
    excitation_ev : ndarray of float, shape (n_lines,)
        Energy of the lower level, in eV.
    log_gf : ndarray of float, shape (n_lines,)
        Decimal logarithm of statistical weight times oscillator strength.
    damping : ndarray of float, shape (n_lines,)
        Broadening by hydrogen atoms as VALD gives it: below zero the decimal logarithm of the full
        width per atom at 10,000 K, in rad/s cm3; above zero the cross section of Anstee, Barklem
        and O'Mara in atomic units and, behind the point, its velocity parameter; 0 if unknown.
    name : ndarray of str, shape (n_lines,)
        Name of a famous line, "" for most.
    medium : {"air", "vacuum"}, default="air"
        Medium to which the wavelengths refer.

    Notes
    -----
    The constructor stores what it is given unchecked. Stark and natural broadening of single lines
    are left out.
    """

    species: np.ndarray
    wavelength_aa: np.ndarray
    excitation_ev: np.ndarray
    log_gf: np.ndarray
    damping: np.ndarray
    name: np.ndarray
    medium: str = "air"

    def __len__(self) -> int:
        return len(self.wavelength_aa)

    def __repr__(self) -> str:
        if not len(self):
            return f"LineList(no lines, {self.medium})"
        return (
            f"LineList({len(self)} lines from {self.wavelength_aa[0]:.2f} to "
            f"{self.wavelength_aa[-1]:.2f} Angstrom, {self.medium})"
        )

    def within(self, low_aa: float, high_aa: float) -> "LineList":
        """Return the lines of a range of wavelengths, which may be none.

        Parameters
        ----------
        low_aa, high_aa : float
            Ends of the range in Angstrom, in the medium of the list; both belong to it.

        Returns
        -------
        lines : LineList
            Its arrays are views.

        Raises
        ------
        ValueError
            If `low_aa` exceeds `high_aa`.
        """
        if not low_aa <= high_aa:
            raise ValueError(f"low_aa={low_aa:g} must not exceed high_aa={high_aa:g}.")
        start = np.searchsorted(self.wavelength_aa, low_aa, side="left")
        stop = np.searchsorted(self.wavelength_aa, high_aa, side="right")
        return self.select(slice(start, stop))

    def select(self, lines: Any) -> "LineList":
        """Return some of the lines, in the order of the wavelengths.

        Parameters
        ----------
        lines : ndarray of bool, shape (n_lines,), or slice
            Which; ``line_list.name != "drawn"``, say, for those that are not invented.

        Returns
        -------
        lines : LineList
        """
        columns = {
            name: getattr(self, name)[lines] for name in (*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS)
        }
        return LineList(**columns, medium=self.medium)

    def to_medium(self, medium: str) -> "LineList":
        """Return the list with wavelengths in air or in vacuum.

        Parameters
        ----------
        medium : {"air", "vacuum"}

        Returns
        -------
        lines : LineList
            This list itself if nothing changes.

        Raises
        ------
        ValueError
            If the word is unknown, or if lines below 2000 Angstrom would have to be converted.
        """
        _check_medium(medium)
        if medium == self.medium:
            return self
        if not len(self):
            return replace(self, medium=medium)
        if self.wavelength_aa[0] < _WAVELENGTHS_AA[0]:
            raise ValueError(
                f"lines from {self.wavelength_aa[0]:.2f} Angstrom on cannot be converted from "
                f"{self.medium} to {medium}: that is defined from {_WAVELENGTHS_AA[0]:g} Angstrom "
                "on; leave the shorter ones out with `within`."
            )
        convert = air_to_vacuum if medium == "vacuum" else vacuum_to_air
        return replace(self, wavelength_aa=_frozen(convert(self.wavelength_aa)), medium=medium)

    def to_table(self) -> pd.DataFrame:
        """Return the lines as the table that `from_table` takes.

        Returns
        -------
        table : DataFrame of shape (n_lines, 6)
        """
        names = (*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS)
        return pd.DataFrame({name: getattr(self, name) for name in names})

    @classmethod
    def concatenate(cls, lists: Sequence["LineList"]) -> "LineList":
        """Return the lines of several lists as one, sorted, in the medium of the first.

        Parameters
        ----------
        lists : sequence of LineList

        Returns
        -------
        lines : LineList

        Raises
        ------
        ValueError
            If there are no lists, or if lines below 2000 Angstrom would have to be converted.

        Notes
        -----
        A line that is in two lists is in the result twice.
        """
        if not lists:
            raise ValueError("lists is empty: give at least one LineList.")
        medium = lists[0].medium
        converted = [lines.to_medium(medium) for lines in lists]
        columns = {
            name: np.concatenate([getattr(lines, name) for lines in converted])
            for name in (*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS)
        }
        return _sorted(columns, medium)

    @classmethod
    def from_table(cls, table: Any, medium: str = "air") -> "LineList":
        """Check a table of lines and return it as a list, sorted by wavelength.

        Parameters
        ----------
        table : DataFrame, or what makes one
            Columns `species` (see Notes), `wavelength_aa`, `excitation_ev` (lower level), `log_gf`,
            and perhaps `damping` and `name`; others are passed over.
        medium : {"air", "vacuum"}, default="air"
            Medium of the wavelengths.

        Returns
        -------
        lines : LineList
            Its arrays are read-only.

        Raises
        ------
        ValueError
            If a column is missing, a value is impossible, a species is unknown, the units seem to
            be others, or there are no lines.

        Notes
        -----
        Species may be written "Fe 1", "Fe I", "FeI" or 26.0, ions "Fe 2" or 26.01, molecules "CH 1"
        or "CH".

        Examples
        --------
        >>> lines = LineList.from_table(
        ...     {
        ...         "species": ["Na I", "Ca II"],
        ...         "wavelength_aa": [5895.924, 3933.663],
        ...         "excitation_ev": [0.0, 0.0],
        ...         "log_gf": [-0.19, 0.13],
        ...     }
        ... )
        >>> lines
        LineList(2 lines from 3933.66 to 5895.92 Angstrom, air)
        >>> [str(species) for species in lines.species]
        ['Ca 2', 'Na 1']
        """
        _check_medium(medium)
        frame = pd.DataFrame(table)
        missing = [name for name in REQUIRED_COLUMNS if name not in frame]
        if missing:
            raise ValueError(
                f"the table of lines lacks the columns {', '.join(missing)}; it has "
                f"{', '.join(map(str, frame.columns)) or 'none'}. Wanted: "
                f"{', '.join(REQUIRED_COLUMNS)}, and perhaps {', '.join(OPTIONAL_COLUMNS)}."
            )
        twice = frame.columns[frame.columns.duplicated()].intersection(
            [*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS]
        )
        if len(twice):
            raise ValueError(f"the table of lines has the column {twice[0]!r} twice: keep one.")
        if not len(frame):
            raise ValueError("the table of lines has no rows: give at least one line.")
        wavelength_aa = _numbers(frame, "wavelength_aa")
        excitation_ev = _numbers(frame, "excitation_ev")
        _check_units(wavelength_aa, excitation_ev, frame.index)
        names = frame["name"] if "name" in frame else pd.Series("", index=frame.index)
        columns = {
            "species": _species(frame["species"]),
            "wavelength_aa": wavelength_aa,
            "excitation_ev": excitation_ev,
            "log_gf": _numbers(frame, "log_gf"),
            "damping": _numbers(frame, "damping", missing=0.0),
            "name": np.array(names.astype(object).where(names.notna(), ""), dtype=str),
        }
        return _sorted(columns, medium)


def _sorted(columns: dict[str, np.ndarray], medium: str) -> LineList:
    # Stable, so that lines of one wavelength keep their order.
    order = np.argsort(columns["wavelength_aa"], kind="stable")
    return LineList(
        **{name: _frozen(column[order]) for name, column in columns.items()}, medium=medium
    )


def _frozen(array: np.ndarray) -> np.ndarray:
    array.setflags(write=False)
    return array


def _check_medium(medium: str) -> None:
    if medium not in ("air", "vacuum"):
        raise ValueError(f"medium must be 'air' or 'vacuum', got {medium!r}.")


def _species(column: pd.Series) -> np.ndarray:
    known: dict[Any, str] = {}
    for row, word in column.items():
        if word not in known:
            known[word] = parse_species(word, row=f"row {row!r} of the line list")
    return np.array([known[word] for word in column], dtype=str)


def _numbers(frame: pd.DataFrame, name: str, *, missing: float | None = None) -> np.ndarray:
    """Return a column as finite floats; where a value may be missing, `missing` takes its place."""
    if name not in frame:
        return np.full(len(frame), missing)
    column = frame[name]
    values = np.array(pd.to_numeric(column, errors="coerce"), dtype=float)
    if missing is not None:
        values[np.array(column.isna())] = missing
    wrong = ~np.isfinite(values)
    if wrong.any():
        first = int(np.argmax(wrong))
        row = frame.index.tolist()[first]
        raise ValueError(
            f"column {name!r} of the line list must hold finite numbers; it holds "
            f"{column.tolist()[first]!r} in row {row!r}, and {int(wrong.sum())} such values in "
            f"{len(frame)} rows: correct these rows or leave them out."
        )
    return values


def _check_units(wavelength_aa: np.ndarray, excitation_ev: np.ndarray, index: Any) -> None:
    low, high = _WAVELENGTHS_AA
    if (wavelength_aa <= 0).any():
        first = int(np.argmin(wavelength_aa))
        raise ValueError(
            f"column 'wavelength_aa' of the line list must be positive; it is "
            f"{wavelength_aa[first]:g} in row {index.tolist()[first]!r}."
        )
    if (wavelength_aa < low).all():
        raise ValueError(
            f"column 'wavelength_aa' of the line list reaches only {wavelength_aa.max():g}, which "
            "looks like nanometres or micrometres; wanted Angstrom: multiply nanometres by 10, "
            "micrometres by 10,000."
        )
    if (wavelength_aa > high).any():
        raise ValueError(
            f"column 'wavelength_aa' of the line list reaches {wavelength_aa.max():g}, beyond "
            f"{high:g} Angstrom: these look like wavenumbers in cm-1 (the wavelength in vacuum is "
            "1e8 divided by them), or leave these lines out."
        )
    if (excitation_ev > _HIGHEST_EXCITATION_EV).any():
        raise ValueError(
            f"column 'excitation_ev' of the line list reaches {excitation_ev.max():g}, which looks "
            "like cm-1; wanted the energy of the lower level in eV: divide cm-1 by 8065.544."
        )
    if (excitation_ev < 0).any():
        first = int(np.argmin(excitation_ev))
        raise ValueError(
            f"column 'excitation_ev' of the line list must not be negative; it is "
            f"{excitation_ev[first]:g} in row {index.tolist()[first]!r}: the ground level has 0."
        )
