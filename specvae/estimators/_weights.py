"""Weights that let every star count the same."""

from typing import Any

import numpy as np

from .._validation import check_groups


def visibility_weights(groups: Any) -> np.ndarray:
    """Weight each spectrum by one over the number of spectra of its star.

    The visibility balancing of Sedaghat et al. 2021, MNRAS 501, 6026, section 3: without it a
    star with 20,000 spectra counts as much as 20,000 stars.

    Parameters
    ----------
    groups : array-like of shape (n_spectra,)
        Id of the star of each spectrum.

    Returns
    -------
    weights : ndarray of shape (n_spectra,)
        They sum to the number of stars.

    Raises
    ------
    ValueError
        If an id is missing.

    Examples
    --------
    >>> visibility_weights(["Sun", "Vega", "Sun"])
    array([0.5, 1. , 0.5])
    """
    star = check_groups(groups)
    return 1.0 / np.bincount(star)[star]
