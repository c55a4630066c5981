"""What share of the stars has an error up to a limit."""

from typing import Any, NamedTuple

import numpy as np

from ._star_weight import known_rows


class CumulativeShare(NamedTuple):
    """Empirical distribution function of one model's errors."""

    value: np.ndarray  # (n_values,), different values, increasing, in the unit of the label
    share: np.ndarray  # (n_values,), of all at or below the value; the last is 1
    counted: str  # of what it is a share: "stars", or "spectra" without groups


def cumulative_share(values: Any, *, groups: Any = None) -> CumulativeShare:
    r"""Share of the stars at or below each value: the empirical distribution function.

    .. math:: F(e) = \sum_i w_i\, [e_i \le e], \quad \sum_i w_i = 1.

    Parameters
    ----------
    values : array-like of shape (n_spectra,)
        Absolute errors, say; NaN is left out.
    groups : array-like of shape (n_spectra,), optional
        Id of the star: each star counts once, a part of its spectra as that part. By default
        every spectrum is a star of its own.

    Returns
    -------
    result : CumulativeShare

    Raises
    ------
    ValueError
        If no value is known, one is infinite, or lengths differ.

    References
    ----------
    van der Vaart, A. W. 1998, Asymptotic Statistics, chapter 19.

    Examples
    --------
    >>> result = cumulative_share([0.1, 0.3, 0.2, 0.3], groups=["a", "a", "b", "c"])
    >>> result.value, result.share.round(2), result.counted
    (array([0.1, 0.2, 0.3]), array([0.17, 0.5 , 1.  ]), 'stars')
    """
    known = known_rows(groups, values=values)
    value, inverse = np.unique(known.columns[0], return_inverse=True)
    share = np.cumsum(np.bincount(inverse, known.weight))
    return CumulativeShare(value, share / share[-1], known.counted)
