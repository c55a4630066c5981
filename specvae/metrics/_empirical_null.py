"""What the quietest latents say of collapsed ones."""

import numpy as np
from scipy.special import stdtrit

_N_ROUNDS = 50


def collapsed_limit(mads: np.ndarray, *, error: float = 0.05) -> float:
    """Return the deviation that no collapsed latent exceeds, but with probability `error`.

    Parameters
    ----------
    mads : ndarray of shape (n_latents,)
        Positive, of at least three latents, most of them collapsed.
    error : float, default=0.05
        For all latents together.

    Notes
    -----
    The logarithms of the collapsed ones are taken for a normal sample. The start is the median and
    the scatter of their shortest half; then latents above the limit are left out and mean and
    scatter computed anew, until nothing changes. The limit is that of one further normal value
    (Student's t, for mean and scatter are estimated), at error / n_latents.
    """
    log_mad = np.sort(np.log(mads))
    half = len(log_mad) // 2 + 1
    start = int(np.argmin(log_mad[half - 1 :] - log_mad[: len(log_mad) - half + 1]))
    shortest = log_mad[start : start + half]
    # Half of a normal distribution lies within 0.6745 standard deviations of its centre.
    limit = np.median(shortest) + 3.0 * (shortest[-1] - shortest[0]) / (2 * 0.6745)
    for _ in range(_N_ROUNDS):
        quiet = log_mad[log_mad <= limit]
        reach = stdtrit(len(quiet) - 1, 1.0 - error / len(log_mad))
        new = quiet.mean() + reach * quiet.std(ddof=1) * np.sqrt(1.0 + 1.0 / len(quiet))
        if new == limit:
            break
        limit = new
    return float(np.exp(limit))
