"""Pictures of results: an axes goes in, the same axes comes back, nothing is computed.

Needs matplotlib only through the axes that it is given: ``pip install 'specvae[plot]'``.
"""

from ._history import plot_history
from ._labels import plot_predictions
from ._spectrum import plot_reconstruction

__all__ = ["plot_history", "plot_predictions", "plot_reconstruction"]
