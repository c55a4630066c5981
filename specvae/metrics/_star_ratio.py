"""A ratio of two means, with an error that knows that both come from the same stars."""

from typing import Any, NamedTuple

import numpy as np

from ._flux_errors import ratio_to_nothing
from ._labels import mean_by_star
from ._star_weight import known_rows


class StarRatio(NamedTuple):
    """Ratio of two means over stars."""

    ratio: float  # NaN where the denominator's mean is not positive
    standard_error: float  # from the scatter of the stars; NaN for one star
    n_stars: int  # with both


def ratio_by_star(numerator: Any, denominator: Any, groups: Any = None) -> StarRatio:
    r"""Ratio of the means over stars of two quantities, with its standard error.

    .. math:: R = \bar a / \bar b, \quad
        \sigma_R^2 = \frac{1}{\bar b^2} \frac{\sum_s (a_s - R\, b_s)^2}{n (n - 1)}

    Parameters
    ----------
    numerator, denominator : array-like of shape (n_spectra,)
        Such as `by_spectrum` and `do_nothing_by_spectrum` of an `InterventionScore`; rows with
        NaN in either are left out.
    groups : array-like of shape (n_spectra,), optional
        Id of the star; a and b are the means of its spectra. By default every spectrum is a star
        of its own.

    Returns
    -------
    result : StarRatio

    Raises
    ------
    ValueError
        If lengths differ, no row has both, a value is infinite, or an id is missing.

    See Also
    --------
    rvis : Its `ratio` is this one; its `standard_error` is that of the score alone.

    Notes
    -----
    The delta method, good where the denominator's mean is known to a few per cent. A spectrum
    with strong lines has a large score and a large score of doing nothing: dividing the error of
    the one by the mean of the other would forget that they rise together.

    References
    ----------
    Cochran, W. G. 1977, Sampling Techniques, section 2.11.

    Examples
    --------
    >>> ratio_by_star([1.0, 2.0, 4.5], [2.0, 4.0, 9.0])
    StarRatio(ratio=0.5, standard_error=0.0, n_stars=3)
    """
    known = known_rows(groups, numerator=numerator, denominator=denominator)
    above, below = known.columns
    means = mean_by_star(np.column_stack(known.columns), known.star).mean.tolist()
    ratio = ratio_to_nothing(*means)
    if np.isnan(ratio):
        return StarRatio(ratio, float("nan"), known.n_stars)
    rest = mean_by_star(above - ratio * below, known.star)
    return StarRatio(ratio, float(rest.standard_error[0]) / means[1], known.n_stars)
