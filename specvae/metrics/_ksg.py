"""Mutual information from distances to the nearest neighbours, without bins."""

from typing import Any

import numpy as np
from scipy.spatial import cKDTree
from scipy.special import digamma
from sklearn.utils import check_array, check_random_state

from .._validation import check_labels, check_number
from ._histogram_information import labels_by_rows

# Noise that tells equal values apart, in standard deviations, as in scikit-learn.
_JITTER = 1e-10


def ksg_mutual_information(
    codes: Any, labels: Any, *, n_neighbors: int = 3, random_state: Any = None
) -> np.ndarray:
    """Mutual information of every code with every label by nearest neighbours.

    Parameters
    ----------
    codes : array-like of shape (n_spectra, n_latents)
        Encoder means.
    labels : array-like or DataFrame of shape (n_spectra,) or (n_spectra, n_labels)
        NaN where unknown: such rows are left out for that label.
    n_neighbors : int, default=3
        More of them scatter less and smooth more.
    random_state : int, RandomState or None, default=None
        Seed of the noise of 1e-10 standard deviations that tells equal values apart.

    Returns
    -------
    information : ndarray of shape (n_labels, n_latents)
        In nats; scatters around 0 for independent data, so may be slightly negative. A constant
        code or label gives 0.

    Raises
    ------
    ValueError
        If a code is not finite, a label has no value, or no more than `n_neighbors` of them,
        or lengths differ.

    See Also
    --------
    histogram_mutual_information : Faster, and with a scale to choose.

    Notes
    -----
    I = psi(k) + psi(n) - <psi(n_x + 1) + psi(n_y + 1)>, with n_x the rows nearer in the code than
    the k-th neighbour in both (largest of the two distances, each in standard deviations).
    scikit-learn's `mutual_info_regression` is the same but for values below zero, which it sets
    to zero; a null needs them.

    The rows count as independent: several spectra of one star are each other's neighbours and
    raise the estimate. For a label with few values the noise makes this the estimate of Ross
    (2014, PLoS ONE 9, e87357).

    References
    ----------
    Kraskov, A., Stoegbauer, H., Grassberger, P. 2004, Phys. Rev. E 69, 066138, equation 8.

    Examples
    --------
    >>> import numpy as np
    >>> codes = np.random.default_rng(0).normal(size=(5_000, 2))
    >>> teff_k = 5000.0 + 600.0 * codes[:, 0] + 800.0 * codes[:, 1]
    >>> ksg_mutual_information(codes, teff_k, random_state=0)  # 0.22 and 0.51 for the normal
    array([[0.2, 0.5]])
    """
    codes = check_array(codes, dtype=np.float64, input_name="codes")
    matrix = check_labels(labels, len(codes))[0].reshape(len(codes), -1)
    check_number("n_neighbors", n_neighbors, minimum=1, integer=True)
    rng = check_random_state(random_state)
    result = np.empty((matrix.shape[1], codes.shape[1]))
    for rows, columns in labels_by_rows(matrix):
        if len(rows) <= n_neighbors:
            raise ValueError(
                f"Label column {columns[0]} is known in {len(rows)} rows, n_neighbors="
                f"{n_neighbors} needs more; leave the label out or take fewer neighbours."
            )
        of_codes = [spread_out(values, rng) for values in codes[rows].T]
        for column in columns:
            label = spread_out(matrix[rows, column], rng)
            result[column] = [ksg_pair(code, label, n_neighbors) for code in of_codes]
    return result


def spread_out(values: np.ndarray, rng: np.random.RandomState) -> np.ndarray | None:
    """Values in standard deviations with equal ones told apart; None for a constant."""
    if values.min() == values.max():
        return None
    values = values - values.mean()
    values /= np.abs(values).max()  # squares of huge numbers overflow
    return values / values.std() + _JITTER * rng.standard_normal(len(values))


def ksg_pair(code: np.ndarray | None, label: np.ndarray | None, n_neighbors: int) -> float:
    """Return the estimate in nats for two columns from `spread_out`."""
    if code is None or label is None:
        return 0.0
    pairs = np.column_stack([code, label])
    distance = cKDTree(pairs).query(pairs, k=n_neighbors + 1, p=np.inf)[0][:, -1]
    # "Nearer than": the k-th neighbour itself must not come in by rounding.
    distance = distance * (1.0 - 1e-10) - 4.0 * np.finfo(float).eps * np.abs(pairs).max()
    nearer = [_rows_within(values, np.maximum(distance, 0.0)) for values in (code, label)]
    mean = float(np.mean(digamma(nearer[0]) + digamma(nearer[1])))
    return float(digamma(n_neighbors) + digamma(len(code))) - mean


def _rows_within(values: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Rows not further than `distance` from each value, that row itself among them."""
    ordered = np.sort(values)
    above = np.searchsorted(ordered, values + distance, side="right")
    return above - np.searchsorted(ordered, values - distance, side="left")
