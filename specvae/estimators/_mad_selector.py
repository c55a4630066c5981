"""Keep the codes that move."""

import warnings

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.feature_selection import SelectorMixin
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted

from .._validation import check_number, record_features
from ..exceptions import DataQualityWarning
from ..metrics import latent_mad
from ..metrics._empirical_null import collapsed_limit

# A latent this much quieter than the loudest is as good as dead: how much quieter is no break.
_FLOOR = 1e-3
_SMALLEST_BREAK = 3.0

_FEWEST_FOR_NULL = 10

# Neighbours that differ by more are not one sample of collapsed latents.
_TOO_LARGE_BREAK = 10.0


class MADSelector(SelectorMixin, BaseEstimator):
    """Keep the latents whose median absolute deviation exceeds a threshold.

    Stands between a variational autoencoder's codes and a regressor: most of its latents are
    collapsed, near the prior's mean whatever the spectrum.

    Parameters
    ----------
    threshold : float, "auto" or "null", default=0.02
        A number is in code units; 0.02 is the paper's for latents with a unit normal prior.
        "auto" looks for a break in the sorted deviations, "null" takes the quiet latents for a
        sample of collapsed ones; see Notes.
    max_features : int, optional
        At most so many are kept, the ones that move most.

    Attributes
    ----------
    mads_ : ndarray of shape (n_latents,)
        Median absolute deviation of each latent, in code units.
    threshold_ : float
        What a kept latent exceeds, in code units; `max_features` not considered.
    n_features_in_ : int
        Number of latents.
    feature_names_in_ : ndarray of str, shape (n_latents,)
        Names of the latents, if `X` had names.

    See Also
    --------
    specvae.metrics.latent_mad : The deviations alone.
    specvae.model_selection.MutualInfoScorer : Which latents know a label.

    Notes
    -----
    **"auto"**: the threshold lies in the middle (of the logarithms) of the largest gap between
    neighbours among the sorted deviations. Deviations below a thousandth of the largest, zeros
    among them, count as that thousandth, so that gaps among dead latents do not matter. If the
    largest gap is less than a factor of 3 there is no break, the threshold is 0, and all are kept.

    **"null"**: the deviation that, with 95 % probability, none of the latents would exceed if all
    were collapsed (Efron's empirical null). It assumes that at least half of the latents are
    collapsed and that the logarithms of their deviations are normally distributed. Mean and
    scatter are those of the latents below the threshold itself, found by repetition from the
    shortest half of the logarithms. Deviations of exactly zero are left out; if at least half are
    zero, the threshold is 0. Needs ten latents that move at all. Where most are active the
    assumption fails and the threshold may exceed all of them; `fit` warns if it does so although
    two neighbours differ by more than a factor of 10: use "auto" there.

    If no latent is kept, `transform` gives no columns and warns, as scikit-learn's selectors do.
    Each spectrum counts once: of a star with many spectra, fit on one row.

    References
    ----------
    Sedaghat, N., et al. 2021, MNRAS 501, 6026, section 4.1; Efron, B. 2004, J. Am. Stat. Assoc.
    99, 96.

    Examples
    --------
    >>> import numpy as np
    >>> codes = np.random.default_rng(0).normal(size=(500, 4)) * [1.0, 0.004, 0.3, 0.002]
    >>> MADSelector().fit(codes).get_support()
    array([ True, False,  True, False])
    >>> MADSelector("auto").fit(codes).threshold_
    0.03
    """

    def __init__(self, threshold=0.02, *, max_features=None):
        self.threshold = threshold
        self.max_features = max_features

    def fit(self, X, y=None):
        """Find how much each latent moves.

        Parameters
        ----------
        X : array-like of shape (n_spectra, n_latents)
            Codes, all finite.
        y : object, optional
            Not used.

        Returns
        -------
        self : MADSelector

        Raises
        ------
        ValueError
            If a code is not finite, a parameter is not one of those listed, or "null" has too few
            latents to go by.

        Warns
        -----
        DataQualityWarning
            If "null" finds no latent active although their deviations have a clear break.
        """
        if not isinstance(self.threshold, str):
            check_number("threshold", self.threshold, minimum=0)
        elif self.threshold not in ("auto", "null"):
            raise ValueError(
                f"threshold must be a number >= 0, 'auto' or 'null', got {self.threshold!r}."
            )
        if self.max_features is not None:
            check_number("max_features", self.max_features, minimum=1, integer=True)
        codes = check_array(X, dtype=[np.float64, np.float32], estimator=self, input_name="X")
        mads = latent_mad(codes)
        threshold = self._find_threshold(mads)
        if self.threshold == "null":
            _warn_of_most_active(mads, threshold)

        record_features(X, self)
        self.threshold_ = threshold
        self.mads_ = mads
        return self

    def __sklearn_is_fitted__(self):
        return hasattr(self, "mads_")

    def _find_threshold(self, mads: np.ndarray) -> float:
        if self.threshold == "auto":
            return _largest_break(mads)
        if self.threshold == "null":
            return _empirical_null(mads)
        return float(self.threshold)

    def _get_support_mask(self) -> np.ndarray:
        check_is_fitted(self)
        support = self.mads_ > self.threshold_
        if self.max_features is not None:
            # Stable, so that of equal deviations the first latents are kept.
            by_size = np.argsort(-self.mads_, kind="stable")
            support[by_size[self.max_features :]] = False
        return support


def _largest_break(mads: np.ndarray, factor: float = _SMALLEST_BREAK) -> float:
    largest = mads.max()
    if largest == 0:
        return 0.0
    log_mad = np.sort(np.log(np.maximum(mads, _FLOOR * largest)))
    gaps = np.diff(log_mad)
    if not len(gaps) or gaps.max() < np.log(factor):
        return 0.0
    at = int(np.argmax(gaps))
    return float(np.exp((log_mad[at] + log_mad[at + 1]) / 2))


def _empirical_null(mads: np.ndarray) -> float:
    moving = mads[mads > 0]
    if 2 * len(moving) <= len(mads):
        return 0.0
    if len(moving) < _FEWEST_FOR_NULL:
        raise ValueError(
            f"threshold='null' needs at least {_FEWEST_FOR_NULL} latents that move, to see what "
            f"collapsed ones do, got {len(moving)}; use 'auto' or a number."
        )
    return collapsed_limit(moving)


def _warn_of_most_active(mads: np.ndarray, threshold: float) -> None:
    middle = _largest_break(mads[mads > 0], _TOO_LARGE_BREAK) if mads.any() else 0.0
    if middle and threshold >= mads.max():
        warnings.warn(
            f"threshold='null' gives {threshold:.3g}, which none of {len(mads)} latents exceeds, "
            f"though {int((mads > middle).sum())} move far more than the others (break at "
            f"{middle:.3g}): most are active rather than collapsed. Use threshold='auto'.",
            DataQualityWarning,
            stacklevel=3,
        )
