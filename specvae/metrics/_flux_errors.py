"""Spectra as checked matrices, and mean differences between them."""

from typing import Any

import numpy as np

from .._validation import unmask


def flux_matrix(name: str, flux: Any, shape: tuple[int | None, int | None]) -> np.ndarray:
    """Return spectra as a float matrix of the wanted shape; NaN passes, infinity does not."""
    matrix = np.asarray(unmask(flux))
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
    if not matrix.size:
        raise ValueError(f"{name} is empty, of shape {matrix.shape}; give at least one spectrum.")
    if np.isinf(matrix).any():
        row, pixel = np.argwhere(np.isinf(matrix))[0]
        raise ValueError(
            f"{name} contains infinity, first in row {row} at pixel {pixel}; mark missing pixels "
            "as NaN."
        )
    return matrix


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
