"""A Gaussian process on the spectrum at several scales, robust against wrong labels."""

from itertools import pairwise

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d
from scipy.optimize import minimize
from sklearn.base import BaseEstimator, RegressorMixin
from torch import Tensor

__all__ = ["N_COMPONENTS", "WIDTHS", "MultiScaleGP", "band_axes", "scale_bands"]

# Standard deviations of the smoothings in pixels of 0.9 Angstrom: from half a line to the colour.
WIDTHS = (2.0, 6.0, 20.0, 60.0, 200.0)
N_COMPONENTS = 30
# Student's t with few degrees of freedom: catalogue labels are now and then far off.
DEGREES_OF_FREEDOM = 4.0
N_REWEIGHTINGS = 3
JITTER = 1e-6
# Standard deviation of the prior of every log of a parameter, about a sensible value.
PRIOR_WIDTH = 3.0


def scale_bands(flux: np.ndarray, widths: tuple[float, ...]) -> list[np.ndarray]:
    """Split spectra into what is lost between successive Gaussian smoothings, and the rest.

    Parameters
    ----------
    flux : ndarray of shape (n_spectra, n_pixels)
    widths : tuple of float
        Increasing standard deviations in pixels.

    Returns
    -------
    bands : list of ndarray, one more than widths
        They sum to the flux. Each row depends on its own spectrum alone.
    """
    smooth = [flux, *(gaussian_filter1d(flux, width, mode="nearest") for width in widths)]
    return [*(fine - coarse for fine, coarse in pairwise(smooth)), smooth[-1]]


def band_axes(flux: np.ndarray, widths: tuple[float, ...], n_components: int) -> list[np.ndarray]:
    """Principal axes of each band of other spectra, simulated ones say: (n_axes, n_pixels) each."""
    return [_axes(band - band.mean(axis=0), n_components) for band in scale_bands(flux, widths)]


def _axes(deviation: np.ndarray, n_components: int) -> np.ndarray:
    # There are fewer spectra than pixels: their products give the same axes sooner.
    square, vectors = np.linalg.eigh(deviation @ deviation.T)
    first = np.argsort(square)[::-1][:n_components]
    first = first[square[first] > 1e-10 * square[first[0]]]
    return (vectors[:, first].T @ deviation) / np.sqrt(square[first])[:, None]


class Components:
    """Projections of one band on axes, in units of their deviation in the training rows."""

    def __init__(self, band: np.ndarray, axes: np.ndarray, exponent: float):
        self.mean = band.mean(axis=0)
        deviation = ((band - self.mean) @ axes.T).std(axis=0)
        # An exponent of 1 keeps the components as they are, 0 gives all of them one deviation.
        self.projection = axes.T * (deviation / deviation[0]) ** exponent / deviation

    def __call__(self, band: np.ndarray) -> Tensor:
        return torch.as_tensor((band - self.mean) @ self.projection)


class MultiScaleGP(RegressorMixin, BaseEstimator):
    """Gaussian process whose distance weighs every scale of the spectrum by what it tells.

    The spectrum is split into bands of scales, each compressed by its principal components. The
    kernel is the product of a Gaussian kernel for each band, with a length for each: a long one
    switches the band off. Lengths, amplitude and noise maximise the posterior, label by label;
    then each training star gets the weight that Student's t gives to its residual.

    Parameters
    ----------
    widths : tuple of float, default=(2, 6, 20, 60, 200)
        Standard deviations in pixels of the smoothings between the bands.
    n_components : int, default=30
        Of each band at most.
    exponent : float, default=0.5
        Deviation of a component in the kernel is its own to this power.
    axes : list of ndarray, optional
        Directions on which each band is projected, from `band_axes`; by default the principal axes
        of the training spectra.
    n_steps : int, default=50
        Most steps of the maximisation; a quarter as many after each change of weights.
    """

    def __init__(
        self,
        widths: tuple[float, ...] = WIDTHS,
        n_components: int = N_COMPONENTS,
        exponent: float = 0.5,
        axes: list[np.ndarray] | None = None,
        n_steps: int = 50,
    ):
        self.widths = widths
        self.n_components = n_components
        self.exponent = exponent
        self.axes = axes
        self.n_steps = n_steps

    def fit(self, X: np.ndarray, y: np.ndarray, extra: np.ndarray | None = None) -> "MultiScaleGP":
        """Fit one process for each label; `extra` are features that form one more band."""
        bands = scale_bands(np.asarray(X, dtype=float), self.widths)
        axes = self.axes or [_axes(band - band.mean(axis=0), self.n_components) for band in bands]
        self.components_ = [
            Components(band, of_band, self.exponent)
            for band, of_band in zip(bands, axes, strict=True)
        ]
        codes = self._codes(bands, extra)
        self.processes_ = []
        for label in np.asarray(y, dtype=float).T:
            known = np.flatnonzero(~np.isnan(label))
            self.processes_.append(
                _Process([code[known] for code in codes], label[known], self.n_steps)
            )
        return self

    def predict(self, X: np.ndarray, extra: np.ndarray | None = None) -> np.ndarray:
        codes = self._codes(scale_bands(np.asarray(X, dtype=float), self.widths), extra)
        return np.column_stack([process.predict(codes) for process in self.processes_])

    def _codes(self, bands: list[np.ndarray], extra: np.ndarray | None) -> list[Tensor]:
        codes = [components(band) for components, band in zip(self.components_, bands, strict=True)]
        return codes if extra is None else [*codes, torch.as_tensor(extra)]


class _Process:
    """The Gaussian process of one label; parameters are logs of amplitude, lengths, noise."""

    def __init__(self, codes: list[Tensor], label: np.ndarray, n_steps: int):
        self.codes = codes
        self.centre, self.scale = label.mean(), label.std()
        target = torch.as_tensor((label - self.centre) / self.scale)
        distances = [torch.cdist(code, code).square() for code in codes]
        typical = [float(distance.median()) ** 0.5 for distance in distances]
        lengths = np.log(np.array(typical) * np.sqrt(len(codes)))
        start = np.concatenate([[0.0], lengths, [np.log(0.1)]])
        self.parameters, weight = start, torch.ones(len(target), dtype=torch.float64)
        for step in range(1 + N_REWEIGHTINGS):
            self.parameters = _maximise(
                self.parameters,
                start,
                distances,
                target,
                weight,
                n_steps if step == 0 else n_steps // 4,
            )
            self.solution, weight = _reweight(self.parameters, distances, target, weight)

    def predict(self, codes: list[Tensor]) -> np.ndarray:
        pairs = zip(codes, self.codes, strict=True)
        distances = [torch.cdist(one, other).square() for one, other in pairs]
        kernel = _kernel(torch.as_tensor(self.parameters), distances)
        return (kernel @ self.solution).numpy() * self.scale + self.centre


def _kernel(parameters: Tensor, distances: list[Tensor]) -> Tensor:
    scaled = sum(
        distance * (-2.0 * log_length).exp()
        for distance, log_length in zip(distances, parameters[1:-1], strict=True)
    )
    return parameters[0].exp() * (-0.5 * scaled).exp()


def _noise(parameters: Tensor, weight: Tensor) -> Tensor:
    return torch.diag(parameters[-1].exp() / weight + JITTER)


def _maximise(
    parameters: np.ndarray,
    prior: np.ndarray,
    distances: list[Tensor],
    target: Tensor,
    weight: Tensor,
    n_steps: int,
) -> np.ndarray:
    """Find the parameters of the largest posterior, weights of the stars being given."""

    def loss_and_gradient(values: np.ndarray) -> tuple[float, np.ndarray]:
        current = torch.tensor(values, requires_grad=True)
        covariance = _kernel(current, distances) + _noise(current, weight)
        root, failed = torch.linalg.cholesky_ex(covariance)
        if failed:
            return 1e10, np.zeros_like(values)
        solution = torch.cholesky_solve(target[:, None], root)[:, 0]
        loss = 0.5 * target @ solution + root.diagonal().log().sum()
        loss = loss + 0.5 * ((current - torch.as_tensor(prior)) / PRIOR_WIDTH).square().sum()
        loss.backward()
        return loss.item(), current.grad.numpy()

    options = {"maxiter": n_steps}
    return minimize(loss_and_gradient, parameters, jac=True, method="L-BFGS-B", options=options).x


def _reweight(
    parameters: np.ndarray, distances: list[Tensor], target: Tensor, weight: Tensor
) -> tuple[Tensor, Tensor]:
    """Solve for the mean, and weigh each star by the expected size of its residual."""
    values = torch.as_tensor(parameters)
    kernel = _kernel(values, distances)
    inverse = torch.linalg.inv(kernel + _noise(values, weight))
    solution = inverse @ target
    variance = (kernel - kernel @ inverse @ kernel).diagonal()
    squared = (target - kernel @ solution).square() + variance
    degrees = DEGREES_OF_FREEDOM
    return solution, (degrees + 1.0) / (degrees + squared / values[-1].exp())
