"""Whether one code alone holds a label."""

from typing import Any

import numpy as np
from sklearn.utils import check_array

from .._validation import check_number


def mutual_information_gap(information: Any, entropy: Any) -> np.ndarray:
    """Lead of the best code over the second best, as a share of the label's entropy.

    Parameters
    ----------
    information : array-like of shape (..., n_latents)
        Mutual information of a label with each code, in nats. Estimates below 0 count as 0.
    entropy : array-like of shape (...)
        Entropy of the label in nats, in the bins that gave the information, so that it bounds it.

    Returns
    -------
    gap : ndarray of shape (...)
        1 where one code determines the label's bin and no other knows of it; 0 where two codes
        know as much. A single code leads over zero. NaN for a label without entropy, which is
        constant.

    Raises
    ------
    ValueError
        If the shapes do not fit, or a value is not finite.

    Notes
    -----
    Chen et al. average the gap over discrete factors. Stellar labels are continuous: their entropy
    depends on the bins, so compare gaps at the same bins only, and labels one by one.

    References
    ----------
    Chen, R. T. Q., et al. 2018, NeurIPS 31, arXiv:1802.04942, equation 6.

    Examples
    --------
    >>> mutual_information_gap([[0.6, 0.1, 0.0], [0.3, 0.3, 0.0]], [1.0, 2.0])
    array([0.5, 0. ])
    """
    options = {"dtype": np.float64, "ensure_2d": False, "allow_nd": True, "ensure_min_samples": 0}
    information = check_array(information, input_name="information", **options)
    # A single label's entropy is a number, which check_array refuses.
    entropy = check_array(np.atleast_1d(entropy), input_name="entropy", **options).reshape(
        np.shape(entropy)
    )
    if information.shape[:-1] != entropy.shape:
        raise ValueError(
            f"entropy has shape {entropy.shape}, information {information.shape}; give one "
            "entropy for each row of information."
        )
    check_number("number of latents", information.shape[-1], minimum=1)
    information = np.maximum(information, 0.0)
    padded = np.concatenate([information, np.zeros_like(information[..., :1])], axis=-1)
    ordered = np.sort(padded if information.shape[-1] == 1 else information, axis=-1)
    lead = ordered[..., -1] - ordered[..., -2]
    return np.divide(lead, entropy, out=np.full(entropy.shape, np.nan), where=entropy > 0)
