"""Encoders, decoders and losses in plain torch; no scikit-learn, no skorch."""

from ._autoencoder import Autoencoder, AutoencoderOutput, FluxScaler, LinearPath
from ._conv import ConvDecoder, ConvEncoder, StagePlan, plan_stages
from ._dense import DenseDecoder, DenseEncoder
from ._initialise import initialise
from ._losses import masked_l1

__all__ = [
    "Autoencoder",
    "AutoencoderOutput",
    "ConvDecoder",
    "ConvEncoder",
    "DenseDecoder",
    "DenseEncoder",
    "FluxScaler",
    "LinearPath",
    "StagePlan",
    "initialise",
    "masked_l1",
    "plan_stages",
]
