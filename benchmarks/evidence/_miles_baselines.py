"""What specvae must beat on MILES; settings by name are chosen by the inner folds."""

from functools import partial
from typing import Any

import numpy as np
from _baselines import constant, pca_gaussian_process, pca_least_squares
from _miles_networks import PlainNetworks, mean_of_pixels
from _nested import Method
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.compose import TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestRegressor
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from specvae.estimators import PartialLabelRegressor
from specvae.preprocessing import ContinuumNormalizer

__all__ = ["QuadraticModel", "baselines"]

ALPHAS = (0.003, 0.01, 0.03, 0.1)
GAMMAS = (0.001, 0.003, 0.01, 0.03)


def baselines(
    n_epochs: int, n_members: int, n_trees: int, n_grid: int, most_components: int
) -> dict[str, Method]:
    """Return every baseline with its settings; few stars allow few components."""

    def components(make: Any, *numbers: int) -> Method:
        return {f"{k} components": partial(make, min(k, most_components)) for k in numbers}

    networks = partial(PlainNetworks, n_epochs=n_epochs, n_members=n_members)
    return {
        "constant": {"median": lambda seed: constant()},
        "PCA + OLS": components(_least_squares, 8, 20, 40, 60),
        "PCA + ridge": components(_ridge, 60, 120),
        "PCA + Gaussian process": components(_gaussian_process, 20, 30, 50),
        "quadratic model": {
            f"{name}, ridge {ridge:g}": partial(_quadratic, continuum, ridge)
            for name, continuum in (("flux", False), ("continuum divided out", True))
            for ridge in (0.1, 10.0)
        },
        "kernel ridge": components(partial(_kernel_ridge, n_grid), 60),
        "random forest": {"means of 20 pixels": partial(_forest, n_trees)},
        "five CNNs": {"2,150 pixels": lambda seed: networks("cnn", seed=seed)},
        "five MLPs": {"2,150 pixels": lambda seed: networks("mlp", seed=seed)},
    }


def _least_squares(n_components: int, seed: int) -> BaseEstimator:
    return pca_least_squares(n_components)


def _gaussian_process(n_components: int, seed: int) -> BaseEstimator:
    return pca_gaussian_process(n_components)


def _ridge(n_components: int, seed: int) -> BaseEstimator:
    ridge = RidgeCV(np.logspace(-4.0, 3.0, 15))
    return make_pipeline(PCA(n_components, random_state=seed), PartialLabelRegressor(ridge))


def _kernel_ridge(n_grid: int, n_components: int, seed: int) -> BaseEstimator:
    search = GridSearchCV(
        TransformedTargetRegressor(KernelRidge(kernel="rbf"), transformer=StandardScaler()),
        {
            "regressor__alpha": ALPHAS[:n_grid],
            "regressor__gamma": GAMMAS[:n_grid],
        },
        scoring="neg_mean_absolute_error",
        cv=3,
    )
    # One scale for all components, so that the first ones stay the largest.
    scale = FunctionTransformer(_over_typical_deviation)
    components = PCA(n_components, random_state=seed)
    return make_pipeline(components, scale, PartialLabelRegressor(search))


def _over_typical_deviation(components: np.ndarray) -> np.ndarray:
    # Median-normalised spectra of these stars differ by a few units in 4,300 pixels.
    return components / 2.0


def _forest(n_trees: int, seed: int) -> BaseEstimator:
    forest = RandomForestRegressor(n_trees, max_features=0.3, min_samples_leaf=2, random_state=seed)
    return make_pipeline(FunctionTransformer(_coarse), PartialLabelRegressor(forest))


def _coarse(flux: np.ndarray) -> np.ndarray:
    return mean_of_pixels(flux, 20)


def _quadratic(continuum: bool, ridge: float, seed: int) -> BaseEstimator:
    return QuadraticModel(ridge=ridge, continuum=continuum)


class QuadraticModel(RegressorMixin, BaseEstimator):
    """Flux of each pixel as a quadratic function of the labels, inverted for each spectrum.

    After The Cannon (Ness et al. 2015, ApJ 808, 16), with a ridge on all coefficients but the
    constant. Stars that lack a label are left out in `fit`.

    Parameters
    ----------
    ridge : float, default=1.0
        Weight of the squared coefficients, in stars.
    continuum : bool, default=False
        Divide by a running high quantile first.
    """

    def __init__(self, ridge: float = 1.0, continuum: bool = False):
        self.ridge = ridge
        self.continuum = continuum

    def fit(self, X: np.ndarray, y: np.ndarray) -> "QuadraticModel":
        complete = ~np.isnan(y).any(axis=1)
        flux, labels = self._prepare(X[complete]), y[complete]
        self.scaler_ = StandardScaler().fit(labels)
        scaled = self.scaler_.transform(labels)
        design = _powers(scaled)
        penalty = np.diag([0.0] + [self.ridge] * (design.shape[1] - 1))
        coefficients = np.linalg.solve(design.T @ design + penalty, design.T @ flux)
        # The floor keeps a pixel that happens to fit well from deciding alone.
        weight = 1.0 / ((flux - design @ coefficients).var(axis=0) + 1e-4)
        # The model lies in ten dimensions: chi-square is a distance there, plus a constant.
        metric = (coefficients * weight) @ coefficients.T
        # Fewer stars than coefficients leave directions without length.
        metric += 1e-9 * np.trace(metric) * np.eye(len(metric))
        root = np.linalg.cholesky(metric).T  # (10, 10)
        self.to_fitted_ = np.linalg.solve(root.T, coefficients * weight).T  # (n_pixels, 10)
        self.root_ = root
        self.training_fitted_, self.training_labels_ = flux @ self.to_fitted_, scaled
        self.limits_ = scaled.min(axis=0) - 0.2, scaled.max(axis=0) + 0.2
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        fitted = self._prepare(X) @ self.to_fitted_
        return self.scaler_.inverse_transform(np.array([self._invert(one) for one in fitted]))

    def _prepare(self, X: np.ndarray) -> np.ndarray:
        flux = mean_of_pixels(np.asarray(X, dtype=float), 2)
        return (
            ContinuumNormalizer(window_pixels=150).fit_transform(flux) if self.continuum else flux
        )

    def _invert(self, fitted: np.ndarray) -> np.ndarray:
        """Labels of the least squares, from the three training stars that are most alike."""
        distance = ((self.training_fitted_ - fitted) ** 2).sum(axis=1)
        starts = self.training_labels_[np.argsort(distance)[:3]]
        ends = [self._descend(fitted, start) for start in starts]
        return min(ends, key=lambda end: end[1])[0]

    def _descend(
        self, fitted: np.ndarray, labels: np.ndarray, n_steps: int = 15
    ) -> tuple[np.ndarray, float]:
        """Levenberg-Marquardt within the limits of the training labels."""
        damping = 1e-3
        residual = fitted - self.root_ @ _powers(labels)
        for _ in range(n_steps):
            slope = self.root_ @ _slope(labels)  # (10, 3)
            curvature = slope.T @ slope
            step = np.linalg.solve(
                curvature + damping * np.diag(np.diag(curvature)), slope.T @ residual
            )
            moved = np.clip(labels + step, *self.limits_)
            new = fitted - self.root_ @ _powers(moved)
            if new @ new < residual @ residual:
                labels, residual, damping = moved, new, damping / 5.0
            else:
                damping *= 10.0
        return labels, float(residual @ residual)


PAIRS = np.triu_indices(3)


def _powers(labels: np.ndarray) -> np.ndarray:
    """One, the labels and their products: (..., 3) becomes (..., 10)."""
    products = labels[..., PAIRS[0]] * labels[..., PAIRS[1]]
    return np.concatenate([np.ones_like(labels[..., :1]), labels, products], axis=-1)


def _slope(labels: np.ndarray) -> np.ndarray:
    """Differentiate `_powers` by each label, shape (10, 3)."""
    one = np.eye(3)
    products = one[PAIRS[0]] * labels[PAIRS[1], None] + one[PAIRS[1]] * labels[PAIRS[0], None]
    return np.concatenate([np.zeros((1, 3)), one, products])
