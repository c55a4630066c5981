"""The standard deviation of the flux, as a user gives it to `fit`."""

from typing import Any

import numpy as np

from .._validation import is_lazy, unmask


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
