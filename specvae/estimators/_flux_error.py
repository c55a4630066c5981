"""The standard deviation of the flux, as a user gives it to `fit`."""

from typing import Any

import numpy as np

from .._validation import is_lazy, unmask
from ._checkpoint import summary_of_rows


def check_flux_error(flux_error: Any, X: Any) -> Any:
    """Return it as a matrix of the shape of `X`, or None where it is not given.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    if flux_error is None:
        return None
    if not is_lazy(flux_error):
        flux_error = np.asarray(unmask(flux_error), dtype=np.float32)
    wanted = tuple(X.shape if is_lazy(X) else np.shape(X))
    if tuple(flux_error.shape) != wanted:
        raise ValueError(
            f"flux_error has shape {tuple(flux_error.shape)}; wanted is one standard deviation for "
            f"each pixel of X, shape {wanted}."
        )
    return flux_error


def identify_flux_error(flux_error: Any) -> list[float] | None:
    """Summary of a few rows, by which a training that goes on knows the errors that it had."""
    if flux_error is None:
        return None
    rows = np.unique(np.linspace(0, flux_error.shape[0] - 1, 8).astype(int))
    some = flux_error[rows]
    return summary_of_rows(some.to_numpy() if is_lazy(some) else some)
