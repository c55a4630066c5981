"""Spectra as checked matrices, and mean differences between them."""

from functools import partial
from typing import Any

import numpy as np

from .._validation import is_lazy, unmask
from ..exceptions import SpectrumError


def flux_matrix(name: str, flux: Any, shape: tuple[int | None, int | None]) -> Any:
    """Return spectra as a float matrix of the wanted shape; NaN passes, infinity does not.

    A lazy matrix stays one, and is checked as `rows_of` reads it.
    """
    matrix: Any = flux if is_lazy(flux) else np.asarray(unmask(flux))
    if matrix.dtype.kind != "f":
        matrix = matrix.astype(np.float64)
    wanted = tuple("any" if size is None else size for size in shape)
    fits = matrix.ndim == 2 and all(
        size is None or size == came for size, came in zip(shape, matrix.shape, strict=True)
    )
    if not fits:
        raise ValueError(
            f"{name} has shape {matrix.shape}; wanted is (n_spectra, n_pixels) = "
            f"({wanted[0]}, {wanted[1]}): one row for each spectrum, on the same pixels."
        )
    if 0 in matrix.shape:
        raise ValueError(f"{name} is empty, of shape {matrix.shape}; give at least one spectrum.")
    if is_lazy(matrix):
        checked = partial(_without_infinity, name=name)
        return matrix.map_rows(checked, n_pixels=matrix.shape[1], grid=matrix.grid)
    if np.isinf(matrix).any():
        row, pixel = np.argwhere(np.isinf(matrix))[0]
        raise ValueError(
            f"{name} contains infinity, first in row {row} at pixel {pixel}; mark missing pixels "
            "as NaN."
        )
    return matrix


def rows_of(matrix: Any, rows: Any) -> np.ndarray:
    """Return some rows of what `flux_matrix` gave, read if it is lazy."""
    if not is_lazy(matrix):
        return matrix[rows]
    try:
        return matrix[rows].to_numpy()
    except SpectrumError as error:
        row = np.arange(len(matrix))[rows][error.row]
        raise SpectrumError(int(row), error.reason) from error


def _without_infinity(flux: np.ndarray, name: str) -> np.ndarray:
    """Return rows of a lazy matrix as they are, if none holds infinity."""
    infinite = np.isinf(flux).any(axis=1)
    if infinite.any():
        raise SpectrumError(
            int(np.argmax(infinite)), f"of {name} contains infinity; mark missing pixels as NaN."
        )
    return flux


def mean_difference(one: np.ndarray, other: np.ndarray, compared: np.ndarray) -> np.ndarray:
    """Mean |one - other| over the compared pixels of each row, NaN where there are none."""
    difference = np.where(compared, np.abs(one - other), np.nan)
    return mean_of_known(difference.astype(np.float64), axis=1)


def mean_of_known(values: np.ndarray, axis: int) -> np.ndarray:
    """Mean of the values that are not NaN, NaN where there are none."""
    known = ~np.isnan(values)
    count = known.sum(axis=axis)
    total = np.where(known, values, 0.0).sum(axis=axis)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def ratio_to_nothing(score: float, do_nothing: float) -> float:
    return score / do_nothing if do_nothing > 0 else float("nan")
