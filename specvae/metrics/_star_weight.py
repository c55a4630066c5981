"""Values that are known, each star counting once."""

from typing import Any, NamedTuple

import numpy as np
from sklearn.utils import column_or_1d

from .._validation import check_groups, unmask


class KnownRows(NamedTuple):
    """Rows in which all values are known, and how much each counts."""

    columns: list[np.ndarray]  # each (n_known,), float64
    star: np.ndarray  # (n_known,), integers from 0 up
    weight: np.ndarray  # (n_known,), positive; those of a star sum to 1
    n_stars: int
    counted: str  # "stars", or "spectra" where no groups were given


def known_rows(groups: Any, **values: Any) -> KnownRows:
    """Check columns of one length by their names and leave rows with NaN out.

    Raises
    ------
    ValueError
        If lengths differ, a value is infinite, a star is missing, or no row is known.
    """
    columns = {name: _column(name, given) for name, given in values.items()}
    n_rows = len(next(iter(columns.values())))
    for name, column in columns.items():
        if len(column) != n_rows:
            raise ValueError(
                f"{name} has {len(column)} values, {next(iter(columns))} {n_rows}; give one for "
                "each spectrum."
            )
    star = np.arange(n_rows) if groups is None else check_groups(groups, n_rows)
    known = ~np.any([np.isnan(column) for column in columns.values()], axis=0)
    if not known.any():
        raise ValueError(
            f"{' and '.join(columns)} of {n_rows} spectra: none is known, all are NaN; give at "
            "least one."
        )
    star, n_of_star = np.unique(star[known], return_inverse=True, return_counts=True)[1:]
    return KnownRows(
        columns=[column[known] for column in columns.values()],
        star=star,
        weight=1.0 / n_of_star[star],
        n_stars=len(n_of_star),
        counted="spectra" if groups is None else "stars",
    )


def _column(name: str, given: Any) -> np.ndarray:
    column = column_or_1d(np.asarray(unmask(given), dtype=np.float64))
    if np.isinf(column).any():
        row = int(np.argmax(np.isinf(column)))
        raise ValueError(f"{name} contains infinity, first in row {row}; mark unknown ones as NaN.")
    return column
