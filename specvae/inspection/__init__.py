"""What a fitted estimator has learnt: it and arrays go in, a frozen result comes out."""

from ._interventions import (
    GenerativeIntervention,
    generative_intervention,
    latent_slope,
    radial_velocity_intervention,
)
from ._neighbours import Neighbours, nearest_spectra
from ._traversal import Traversal, traverse

__all__ = [
    "GenerativeIntervention",
    "Neighbours",
    "Traversal",
    "generative_intervention",
    "latent_slope",
    "nearest_spectra",
    "radial_velocity_intervention",
    "traverse",
]
