"""How much the codes know of each other."""

from typing import Any

import numpy as np
from scipy.special import digamma, ndtri
from scipy.stats import rankdata
from sklearn.utils import check_array

from .._validation import check_choice, check_number
from ._histogram_information import BINNINGS, PairInformation, bin_columns


def latent_mutual_information(codes: Any, *, bins: int = 20, binning: str = "width") -> np.ndarray:
    """Mutual information between every two codes: the entanglement of pairs.

    Parameters
    ----------
    codes : array-like of shape (n_spectra, n_latents)
        Encoder means.
    bins : int, default=20
        Bins on both axes. Fewer lose information, more leave a bias: from independent codes about
        0.001 nats at 20 bins and 20,000 spectra, and the diagonal is the entropy of the bins.
    binning : {"width", "frequency"}, default="width"
        As for `histogram_mutual_information`.

    Returns
    -------
    information : ndarray of shape (n_latents, n_latents)
        In nats, symmetric, by the estimate "grassberger", so that independent codes give about 0.
        The diagonal holds the entropy of each code in its bins, a constant code zeros.

    Raises
    ------
    ValueError
        If a code is not finite or a parameter is none of those listed.

    See Also
    --------
    total_correlation : All codes at once, in one number.

    Notes
    -----
    Each spectrum counts once: of a star with many spectra, pass one row.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> codes = rng.normal(size=(20_000, 3))
    >>> codes[:, 2] = 0.8 * codes[:, 0] + 0.6 * codes[:, 1]
    >>> abs(latent_mutual_information(codes)).round(1)
    array([[2.4, 0. , 0.5],
           [0. , 2.3, 0.2],
           [0.5, 0.2, 2.4]])
    """
    codes = check_array(codes, dtype=[np.float64, np.float32], input_name="codes")
    check_number("bins", bins, minimum=2, maximum=2048, integer=True)
    check_choice("binning", binning, BINNINGS)
    n_latents = codes.shape[1]
    result = np.empty((n_latents, n_latents))
    binned = bin_columns(codes, (int(bins),), binning=binning)
    for latent in range(n_latents):
        # Those from `latent` on; the matrix is symmetric.
        rest = binned._replace(columns=[each[latent:].copy() for each in binned.columns])
        this = binned._replace(columns=[each[latent, None] for each in binned.columns])
        found = PairInformation(rest, 1).information(this, estimate="grassberger")[0]
        result[latent, latent:] = result[latent:, latent] = found
    return result


def total_correlation(codes: Any) -> float:
    """Total correlation of the codes under a Gaussian copula: 0 where they are independent.

    The sum of the codes' entropies less their joint entropy. Each code is first mapped to a normal
    distribution by its ranks, which leaves the total correlation as it is; then
    TC = -log det(R) / 2 with R the correlation matrix.

    Parameters
    ----------
    codes : array-like of shape (n_spectra, n_latents)
        Encoder means. Constant ones depend on nothing and are left out.

    Returns
    -------
    correlation : float
        In nats, infinite where one code only rises or only falls with another; of a sum of two
        others the ranks are not, and it is finite. It scatters around 0 for independent codes, so
        may be slightly negative.

    Raises
    ------
    ValueError
        If a code is not finite or there are fewer than two spectra more than codes.

    See Also
    --------
    latent_mutual_information : Pair by pair, and sees dependence of any form.

    Notes
    -----
    Exact for codes that are jointly normal after the map; of dependence that leaves the ranks
    uncorrelated (one code the square of another) it sees nothing. The expectation of log det(R)
    over samples of independent rows, known for the normal distribution, is taken off. Each
    spectrum counts once: of a star with many spectra, pass one row.

    References
    ----------
    Watanabe, S. 1960, IBM J. Res. Dev. 4, 66; Muirhead, R. J. 1982, Aspects of Multivariate
    Statistical Theory, theorem 3.2.15 (the determinant of a Wishart matrix).

    Examples
    --------
    >>> import numpy as np
    >>> codes = np.random.default_rng(0).normal(size=(10_000, 2))
    >>> codes[:, 1] = 0.6 * codes[:, 0] + 0.8 * codes[:, 1]
    >>> total_correlation(np.exp(codes))  # -log(1 - 0.6^2) / 2 = 0.223
    0.22
    """
    codes = check_array(codes, dtype=np.float64, input_name="codes")
    n_spectra = len(codes)
    codes = codes[:, codes.min(axis=0) < codes.max(axis=0)]
    n_latents = codes.shape[1]
    if n_latents < 2:
        return 0.0
    if n_spectra < n_latents + 2:
        raise ValueError(
            f"codes has {n_spectra} spectra for {n_latents} codes that vary; the total correlation "
            f"needs at least {n_latents + 2} spectra. Give more, or fewer codes."
        )
    normal = ndtri(rankdata(codes, axis=0) / (n_spectra + 1.0))
    sign, log_det = np.linalg.slogdet(np.corrcoef(normal, rowvar=False))
    # Rounding makes the determinant of dependent columns tiny rather than zero.
    if sign <= 0 or log_det < n_latents * np.log(np.finfo(float).eps):
        return float("inf")
    order = np.arange(1, n_latents + 1)
    bias = digamma((n_spectra - order) / 2).sum() - n_latents * digamma((n_spectra - 1) / 2)
    return float(0.5 * (bias - log_det))
