"""Any regressor on labels of which some are missing."""

from typing import ClassVar

import numpy as np
from sklearn import get_config
from sklearn.base import BaseEstimator, MetaEstimatorMixin, RegressorMixin, clone
from sklearn.linear_model import LinearRegression
from sklearn.utils import Bunch, get_tags
from sklearn.utils.metadata_routing import (
    UNUSED,
    MetadataRouter,
    MethodMapping,
    process_routing,
)
from sklearn.utils.validation import (
    _check_method_params,
    check_array,
    check_is_fitted,
    has_fit_parameter,
    validate_data,
)

from .._validation import check_labels, record_features
from ..metrics import nan_r2_score


class PartialLabelRegressor(MetaEstimatorMixin, RegressorMixin, BaseEstimator):
    """Fit one copy of a regressor for each label, on the spectra that have that label.

    Most regressors refuse NaN in `y`; catalogues are full of it. Dropping every spectrum that
    lacks any label would throw away most of the others.

    Parameters
    ----------
    estimator : regressor, default=LinearRegression()
        Cloned for each label.

    Attributes
    ----------
    estimators_ : list of regressors
        One for each label.
    label_names_in_ : ndarray of str, shape (n_labels,)
        Columns of `y`, where it is a DataFrame.
    n_labels_ : int
        Number of labels.
    n_features_in_ : int
        Columns of `X`.

    Notes
    -----
    The labels are fitted one by one: a correlation between labels is not used.

    Examples
    --------
    >>> import numpy as np
    >>> codes = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> labels = np.array([[0.0, 5.0], [2.0, np.nan], [np.nan, 3.0], [6.0, 2.0]])
    >>> PartialLabelRegressor(LinearRegression()).fit(codes, labels).predict([[1.0], [2.0]])
    array([[2., 4.],
           [4., 3.]])
    """

    # Weights in `fit` are the regressor's to request; those in `score` are this class's own.
    __metadata_request__fit: ClassVar = {"sample_weight": UNUSED}

    def __init__(self, estimator=None):
        self.estimator = estimator

    def fit(self, X, y, *, sample_weight=None, **fit_params):
        """Fit one regressor for each label.

        Parameters
        ----------
        X : array-like of shape (n_spectra, n_features)
            Codes, usually.
        y : array-like or DataFrame of shape (n_spectra,) or (n_spectra, n_labels)
            Labels; NaN where unknown.
        sample_weight : array-like of shape (n_spectra,), optional
            Handed to the regressor, which must take it.
        **fit_params : dict
            Other metadata that the regressor requests, one value for each spectrum; needs
            scikit-learn's metadata routing.

        Returns
        -------
        self : PartialLabelRegressor

        Raises
        ------
        ValueError
            If `y` has another length than `X`, infinities, or a label without any value.
        """
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None."
            )
        features = X
        X = check_array(X, dtype="numeric", ensure_all_finite=False, estimator=self)
        labels, names = check_labels(y, len(X))
        matrix = labels.reshape(len(labels), -1)
        fit_params = self._route(sample_weight, fit_params)
        estimators = [self._fit_label(X, label, fit_params) for label in matrix.T]

        record_features(features, self)
        if names is not None:
            self.label_names_in_ = np.array(names, dtype=object)
        elif hasattr(self, "label_names_in_"):
            del self.label_names_in_
        self.n_labels_ = matrix.shape[1]
        self._one_dimensional = labels.ndim == 1
        self.estimators_ = estimators
        return self

    def predict(self, X):
        """Predict all labels of each spectrum.

        Parameters
        ----------
        X : array-like of shape (n_spectra, n_features)

        Returns
        -------
        labels : ndarray of shape (n_spectra,) or (n_spectra, n_labels)
            As `y` was in `fit`.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype="numeric", ensure_all_finite=False, reset=False)
        labels = np.column_stack([np.ravel(each.predict(X)) for each in self.estimators_])
        return labels[:, 0] if self._one_dimensional else labels

    def score(self, X, y, *, sample_weight=None):
        """Mean over the labels of the coefficient of determination, on the spectra that have each.

        Parameters
        ----------
        X : array-like of shape (n_spectra, n_features)
        y : array-like of shape (n_spectra,) or (n_spectra, n_labels)
            Labels; NaN where unknown.
        sample_weight : array-like of shape (n_spectra,), optional

        Returns
        -------
        score : float
            1 is perfect, 0 is as good as the mean.
        """
        return nan_r2_score(y, self.predict(X), sample_weight=sample_weight)

    def __sklearn_is_fitted__(self):
        return hasattr(self, "estimators_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.input_tags.allow_nan = get_tags(self._template).input_tags.allow_nan
        return tags

    def get_metadata_routing(self):
        """Metadata that the regressor requests; see scikit-learn's user guide.

        Returns
        -------
        routing : MetadataRouter
        """
        mapping = MethodMapping().add(caller="fit", callee="fit")
        return (
            MetadataRouter(owner=type(self).__name__)
            .add_self_request(self)
            .add(estimator=self._template, method_mapping=mapping)
        )

    @property
    def _template(self):
        return LinearRegression() if self.estimator is None else self.estimator

    def _route(self, sample_weight, fit_params):
        """Metadata for the regressor's `fit`, as MultiOutputRegressor hands it on."""
        if sample_weight is not None:
            fit_params = {**fit_params, "sample_weight": sample_weight}
        if get_config()["enable_metadata_routing"]:
            return process_routing(self, "fit", **fit_params).estimator.fit
        if sample_weight is not None and not has_fit_parameter(self._template, "sample_weight"):
            raise ValueError(
                f"estimator {type(self._template).__name__} takes no sample_weight; leave it out "
                "or choose a regressor that does."
            )
        return Bunch(**fit_params)

    def _fit_label(self, X, label, fit_params):
        known = np.flatnonzero(~np.isnan(label))
        params = _check_method_params(X, params=fit_params, indices=known)
        return clone(self._template).fit(X[known], label[known], **params)
