"""What the estimators whose code is free latents alone have in common."""

from typing import Any

import numpy as np
from sklearn.base import TransformerMixin
from sklearn.utils.validation import (
    _check_feature_names_in,
    _check_sample_weight,
    check_is_fitted,
)


class CodeMixin(TransformerMixin):
    """Adds to an `AbstractSpectralEstimator` the names and the precision of its code."""

    net_: Any

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the columns of the code: latent0, latent1, ...

        Parameters
        ----------
        input_features : array-like of str, optional
            Only checked, as scikit-learn does.

        Returns
        -------
        names : ndarray of str, shape (latent_dim,)
        """
        check_is_fitted(self)
        _check_feature_names_in(self, input_features, generate_names=False)
        return np.array([f"latent{i}" for i in range(self.net_.module_.n_latents)], dtype=object)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


def score_of_error(error: np.ndarray, sample_weight: Any) -> float:
    """Minus the weighted mean of the errors of spectra."""
    if sample_weight is not None:
        sample_weight = _check_sample_weight(sample_weight, error, ensure_non_negative=True)
    return -float(np.average(error, weights=sample_weight))
