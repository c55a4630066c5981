"""The scikit-learn classes."""

from ._adversarial import AdversarialAutoencoder
from ._autoencoder import SpectralAutoencoder
from ._batched import BatchedTransformer
from ._mad_selector import MADSelector
from ._partial_labels import PartialLabelRegressor
from ._regressor import SpectralRegressor
from ._semi_supervised import SemiSupervisedVAE
from ._simulator import SpectralSimulator
from ._vae import SpectralVAE
from ._weights import visibility_weights

__all__ = [
    "AdversarialAutoencoder",
    "BatchedTransformer",
    "MADSelector",
    "PartialLabelRegressor",
    "SemiSupervisedVAE",
    "SpectralAutoencoder",
    "SpectralRegressor",
    "SpectralSimulator",
    "SpectralVAE",
    "visibility_weights",
]
