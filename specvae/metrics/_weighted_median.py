"""The median where values count differently."""

import numpy as np


def weighted_median(values: np.ndarray, weight: np.ndarray) -> float:
    """Value with half the weight on either side; the mean of two where it falls between them.

    Equal weights give `numpy.median`. Weights are positive.
    """
    order = np.argsort(values)
    below = np.cumsum(weight[order])
    # The sum of thirds is not quite one: the middle is met to rounding.
    middle, rounding = 0.5 * below[-1], 1e-12 * below[-1]
    lower = np.searchsorted(below, middle - rounding)
    upper = np.searchsorted(below, middle + rounding, side="right")
    return float(0.5 * (values[order[lower]] + values[order[upper]]))
