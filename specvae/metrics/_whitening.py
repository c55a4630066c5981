"""Codes in units of their own scatter."""

from typing import Any

import numpy as np
from sklearn.decomposition import PCA

from .._validation import check_codes, check_same_names, column_names

# Of codes from a network, relative: float32, after sums of many products.
_ROUNDING = 16.0 * float(np.finfo(np.float32).eps)


def whiten_codes(codes: Any, *, reference: Any = None) -> np.ndarray:
    """Rotate and scale codes so that they are uncorrelated with unit variance.

    The Euclidean distance of whitened codes is the Mahalanobis distance: no latent counts more
    because its scale happens to be larger, or because another latent repeats it.

    Parameters
    ----------
    codes : array-like of shape (n_spectra, n_latents)
        Encoder means, all finite.
    reference : array-like of shape (n_reference, n_latents), optional
        Codes that define mean and covariance; by default `codes` themselves.

    Returns
    -------
    whitened : ndarray of shape (n_spectra, n_directions)
        In units of the scatter of the reference. Directions along which the reference does not
        vary beyond rounding are left out.

    Raises
    ------
    ValueError
        If a value is not finite, the numbers or names of latents differ, or the reference does
        not vary beyond rounding.

    Notes
    -----
    This is scikit-learn's ``PCA(whiten=True)`` without the directions of no variance, which that
    class blows up to rounding noise of any size. Rounding is that of a network's float32, 2e-6 of
    the largest value of a latent, whatever the type in which codes come: a float32 latent that
    repeats others repeats them to rounding, and stays so when the codes are converted. A latent
    that has collapsed to a small scatter does vary, and whitening gives it the weight of any other:
    select the active latents first.

    Examples
    --------
    >>> import numpy as np
    >>> codes = np.array([[0.0, 5.0], [2.0, 5.0], [100.0, 5.0], [102.0, 5.0]])
    >>> whiten_codes(codes).shape
    (4, 1)
    >>> float(whiten_codes(codes).std(ddof=1))
    1.0
    """
    check_same_names("reference", column_names(reference), "codes", column_names(codes))
    codes = check_codes(codes).astype(np.float64, copy=False)
    reference = (
        codes if reference is None else check_codes(reference, "reference").astype(np.float64)
    )
    if reference.shape[1] != codes.shape[1]:
        raise ValueError(
            f"codes have {codes.shape[1]} latents, reference {reference.shape[1]}; give codes of "
            "one encoder."
        )
    size = np.abs(reference).max(axis=0)
    if not (reference.std(axis=0) > _ROUNDING * size).any():
        raise ValueError(
            f"whitening needs codes that vary; all {len(reference)} rows are the same to rounding. "
            "Give more spectra, or whiten=False."
        )
    # "full", because the solver by covariance loses directions below 1e-8 of the widest.
    pca = PCA(whiten=True, svd_solver="full").fit(reference)
    of_codes = _ROUNDING * np.sqrt(pca.components_**2 @ size**2)  # each direction its own
    of_solver = np.finfo(float).eps * max(reference.shape) * size.max()
    varies = np.sqrt(pca.explained_variance_) > np.maximum(of_codes, of_solver)
    return pca.transform(codes)[:, varies]
