"""How much each code moves from spectrum to spectrum."""

from typing import Any

import numpy as np
from sklearn.utils import check_array


def latent_mad(codes: Any) -> np.ndarray:
    """Median absolute deviation of each code.

    A latent that the network gave up, because the divergence costs more than it brings, stays at
    the prior's mean whatever the spectrum; its deviation is near zero.

    Parameters
    ----------
    codes : array-like of shape (n_spectra, n_latents)
        Encoder means, in code units.

    Returns
    -------
    mad : ndarray of float64, shape (n_latents,)
        Median of |code - median(code)|, in code units. Raw: not multiplied by 1.4826, so 0.6745
        for a standard normal code; 0 for a constant one.

    Raises
    ------
    ValueError
        If `codes` is not a matrix of finite numbers.

    See Also
    --------
    specvae.estimators.MADSelector : Keeps the codes that move.

    Notes
    -----
    Each spectrum counts once: of a star with many spectra, pass one row.

    References
    ----------
    Sedaghat, N., et al. 2021, MNRAS 501, 6026, section 4.1: informative above 0.02.

    Examples
    --------
    >>> latent_mad([[0.0, 5.0], [0.0, 6.0], [0.0, 9.0]])
    array([0., 1.])
    """
    codes = check_array(codes, dtype=np.float64, input_name="codes")
    return np.median(np.abs(codes - np.median(codes, axis=0)), axis=0)
