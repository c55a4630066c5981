"""Pictures of results: an axes goes in, the same axes comes back, nothing is computed.

Needs matplotlib only through the axes that it is given: ``pip install 'specvae[plot]'``.
"""

from ._activity import plot_activity
from ._errors import plot_error_density, plot_error_ecdf, plot_residuals
from ._history import plot_history
from ._information import plot_information
from ._interventions import plot_rvis, plot_rvis_by_size
from ._labels import plot_predictions
from ._latents import plot_latent_label, plot_latent_pair
from ._spectrum import plot_reconstruction
from ._traversal import plot_traversal

__all__ = [
    "plot_activity",
    "plot_error_density",
    "plot_error_ecdf",
    "plot_history",
    "plot_information",
    "plot_latent_label",
    "plot_latent_pair",
    "plot_predictions",
    "plot_reconstruction",
    "plot_residuals",
    "plot_rvis",
    "plot_rvis_by_size",
    "plot_traversal",
]
