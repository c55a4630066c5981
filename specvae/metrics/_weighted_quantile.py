"""Quantiles where values count differently."""

from typing import Any

import numpy as np


def weighted_quantile(values: np.ndarray, weight: np.ndarray, shares: Any) -> Any:
    """Values with `shares` of the weight below; the mean of two where a share falls between them.

    Equal weights give `numpy.quantile` with ``method="averaged_inverted_cdf"``, of which the half
    is `numpy.median`. Weights are positive.
    """
    order = np.argsort(values, kind="stable")
    below = np.cumsum(weight[order])
    # The sum of thirds is not quite one: a share is met to rounding.
    wanted, rounding = np.asarray(shares) * below[-1], 1e-12 * below[-1]
    last = len(order) - 1
    lower = np.minimum(np.searchsorted(below, wanted - rounding), last)
    upper = np.minimum(np.searchsorted(below, wanted + rounding, side="right"), last)
    return 0.5 * (values[order[lower]] + values[order[upper]])
