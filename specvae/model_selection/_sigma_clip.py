"""Values far from the bulk, as astropy's ``sigma_clip`` finds them."""

import numpy as np

_N_ROUNDS = 5


def sigma_limits(values: np.ndarray, n_sigma: float) -> tuple[float, float]:
    """Lowest and highest value that stay after at most five rounds of clipping.

    Each round drops what is further than `n_sigma` standard deviations from the median of what
    the round before left. All values must be known.
    """
    low, high = -np.inf, np.inf
    kept = values
    for _ in range(_N_ROUNDS):
        middle, reach = np.median(kept), n_sigma * kept.std()
        low, high = float(middle - reach), float(middle + reach)
        inside = (kept >= low) & (kept <= high)
        if inside.all():
            break
        kept = kept[inside]
    return low, high
