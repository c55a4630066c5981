"""The scikit-learn classes."""

from ._autoencoder import SpectralAutoencoder
from ._partial_labels import PartialLabelRegressor
from ._weights import visibility_weights

__all__ = ["PartialLabelRegressor", "SpectralAutoencoder", "visibility_weights"]
