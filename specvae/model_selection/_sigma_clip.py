"""Values far from the bulk, as astropy's ``sigma_clip`` finds them."""

import numpy as np

from ..metrics._weighted_quantile import weighted_quantile

_N_ROUNDS = 5


def clip_labels(labels: np.ndarray, n_sigma: float, star: np.ndarray | None) -> np.ndarray:
    """Labels with the outliers unknown, shape (n_rows, n_labels); NaN is unknown already.

    With `star`, integers from 0 up, each star counts once.
    """
    labels = labels.copy()
    for label in labels.T:
        known = ~np.isnan(label)
        of_rows = None if star is None else star[known]
        weight = None if of_rows is None else 1.0 / np.bincount(of_rows)[of_rows]
        low, high = sigma_limits(label[known], n_sigma, weight)
        label[(label < low) | (label > high)] = np.nan
    return labels


def clip_codes(codes: np.ndarray, n_sigma: float, weight: np.ndarray | None) -> np.ndarray:
    """Codes with the outliers at the limit; `codes`, shape (n_rows, n_latents), is changed."""
    for code in codes.T:
        np.clip(code, *sigma_limits(code, n_sigma, weight), out=code)
    return codes


def sigma_limits(
    values: np.ndarray, n_sigma: float, weight: np.ndarray | None = None
) -> tuple[float, float]:
    """Lowest and highest value that stay after at most five rounds of clipping.

    Each round drops what is further than `n_sigma` standard deviations from the median of what
    the round before left. A round that would leave one value only is not made: of a rare 1 among
    zeros, it is the zeros that tell nothing. All values must be known; weights are positive.
    """
    low, high = -np.inf, np.inf
    order = np.argsort(values)
    kept = values[order]
    weight = np.ones(len(kept)) if weight is None else weight[order]
    for _ in range(_N_ROUNDS):
        middle = float(weighted_quantile(kept, weight, np.array(0.5)))
        mean = np.average(kept, weights=weight)
        reach = n_sigma * float(np.sqrt(np.average((kept - mean) ** 2, weights=weight)))
        first = int(np.searchsorted(kept, middle - reach))
        last = int(np.searchsorted(kept, middle + reach, side="right")) - 1
        if first >= last or kept[first] == kept[last]:
            break
        low, high = middle - reach, middle + reach
        if last - first + 1 == len(kept):
            break
        kept, weight = kept[first : last + 1], weight[first : last + 1]
    return low, high
