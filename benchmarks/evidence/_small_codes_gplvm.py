"""A Gaussian process latent variable model, of which GPy, no longer maintained, was the source.

Lawrence 2005, JMLR 6, 1783: every channel is a Gaussian process of the code with one kernel for
all, and the codes of the training spectra are found together with the kernel by maximum posterior.
Spectra enter by their scalar products alone, so the cost does not grow with the channels; it grows
with the cube of the number of training spectra, and all of them are inducing points.
"""

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA
from torch import Tensor

__all__ = ["GaussianProcessLatents"]

_JITTER = 1e-6


class GaussianProcessLatents(TransformerMixin, BaseEstimator):
    """Codes whose Gaussian process draws the spectra; they start as principal components.

    Parameters
    ----------
    n_components : int, default=2
    n_steps : int, default=300
        Steps of Adam for the codes and the kernel of the training spectra.
    n_steps_new : int, default=100
        Steps for the code of a new spectrum, from the best of the training codes.
    """

    def __init__(self, n_components=2, *, n_steps=300, n_steps_new=100):
        self.n_components = n_components
        self.n_steps = n_steps
        self.n_steps_new = n_steps_new

    def fit(self, X, y=None):
        """Find the codes of the training spectra and the kernel."""
        X = np.asarray(X, dtype=np.float64)
        mean, size = X.mean(axis=0), X.std()
        scaled = (X - mean) / size
        products = torch.from_numpy(scaled @ scaled.T / X.shape[1])
        start = PCA(self.n_components, svd_solver="full").fit_transform(scaled)
        codes = torch.tensor(start / start.std(axis=0), requires_grad=True)
        # Logarithms of signal and noise variance and of the lengths of the kernel.
        log_kernel = torch.tensor([0.0, -2.0] + [0.0] * self.n_components, dtype=torch.float64)
        log_kernel.requires_grad_(True)
        optimizer = torch.optim.Adam([codes, log_kernel], lr=0.03)
        history = []
        for _ in range(self.n_steps):
            optimizer.zero_grad()
            factor = torch.linalg.cholesky(_covariance(codes, log_kernel))
            explained = torch.cholesky_solve(products, factor).diagonal().sum()
            prior = codes.square().sum() / X.shape[1]
            loss = factor.diagonal().log().sum() + 0.5 * (explained + prior)
            loss.backward()
            optimizer.step()
            history.append(float(loss.detach()))
        codes, log_kernel = codes.detach(), log_kernel.detach()
        inverse = torch.linalg.inv(_covariance(codes, log_kernel))
        self.mean_, self.size_, self.history_ = mean, size, history
        self.log_kernel_, self.codes_, self.inverse_ = log_kernel, codes, inverse
        self.scaled_, self.middle_ = scaled, inverse @ products @ inverse
        return self

    def transform(self, X):
        """Find the most probable code of each new spectrum."""
        scaled = (np.asarray(X, dtype=np.float64) - self.mean_) / self.size_
        n_channels = scaled.shape[1]
        of_training = torch.from_numpy(scaled @ self.scaled_.T / n_channels) @ self.inverse_
        power = torch.from_numpy(np.square(scaled).mean(axis=1))

        def price(codes: Tensor, of_training: Tensor, power: Tensor) -> Tensor:
            near, variance = self._near(codes)
            # |x - mean of the process|^2 / n_channels, by the scalar products.
            miss = power - 2.0 * (near * of_training).sum(1) + ((near @ self.middle_) * near).sum(1)
            return 0.5 * (miss / variance + variance.log() + codes.square().sum(1) / n_channels)

        at_training = [
            price(self.codes_, row.expand(len(self.codes_), -1), one)
            for row, one in zip(of_training, power, strict=True)
        ]
        codes = self.codes_[torch.stack(at_training).argmin(dim=1)].clone().requires_grad_(True)
        optimizer = torch.optim.Adam([codes], lr=0.02)
        for _ in range(self.n_steps_new):
            optimizer.zero_grad()
            price(codes, of_training, power).sum().backward()
            optimizer.step()
        return codes.detach().numpy()

    def inverse_transform(self, X):
        """Draw the mean spectrum of codes."""
        near, _ = self._near(torch.as_tensor(X, dtype=torch.float64))
        return self.mean_ + self.size_ * ((near @ self.inverse_).numpy() @ self.scaled_)

    def _near(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Covariance with the training codes, and the variance that these leave, noise included."""
        near = _kernel(codes, self.codes_, self.log_kernel_)
        signal, noise = self.log_kernel_[:2].exp()
        left = signal - ((near @ self.inverse_) * near).sum(1)
        return near, left.clamp(min=_JITTER) + noise


def _kernel(one: Tensor, other: Tensor, log_kernel: Tensor) -> Tensor:
    lengths = log_kernel[2:].exp()
    distance = (one[:, None] / lengths - other / lengths).square().sum(-1)
    return log_kernel[0].exp() * torch.exp(-0.5 * distance)


def _covariance(codes: Tensor, log_kernel: Tensor) -> Tensor:
    noise = log_kernel[1].exp() + _JITTER
    return _kernel(codes, codes, log_kernel) + noise * torch.eye(len(codes), dtype=codes.dtype)
