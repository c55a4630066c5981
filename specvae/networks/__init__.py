"""Encoders, decoders and losses in plain torch; no scikit-learn, no skorch."""

from ._adversarial import (
    ConditionalAutoencoder,
    ConditionalOutput,
    ConditionBins,
    FaderAdversary,
    knowledge_of_bins,
    standardise,
)
from ._autoencoder import Autoencoder, AutoencoderOutput, FluxScaler, LinearPath
from ._conv import ConvDecoder, ConvEncoder, StagePlan, plan_stages
from ._dense import DenseDecoder, DenseEncoder
from ._doppler import DopplerShift
from ._initialise import initialise
from ._label_losses import (
    adversarial_cross_entropy,
    gaussian_nll,
    label_loss,
    zero_free_penalty,
)
from ._latent_losses import joint_mmd, kl_to_unit_normal
from ._layers import compile_bodies
from ._losses import masked_l1, reconstruction_loss
from ._resnet import ResNetDecoder, ResNetEncoder
from ._supervised import LabelDecoder, LabelOutput, LabelPredictor
from ._variational import LabelScaler, LatentModel, LatentOutput, Posterior

__all__ = [
    "Autoencoder",
    "AutoencoderOutput",
    "ConditionBins",
    "ConditionalAutoencoder",
    "ConditionalOutput",
    "ConvDecoder",
    "ConvEncoder",
    "DenseDecoder",
    "DenseEncoder",
    "DopplerShift",
    "FaderAdversary",
    "FluxScaler",
    "LabelDecoder",
    "LabelOutput",
    "LabelPredictor",
    "LabelScaler",
    "LatentModel",
    "LatentOutput",
    "LinearPath",
    "Posterior",
    "ResNetDecoder",
    "ResNetEncoder",
    "StagePlan",
    "adversarial_cross_entropy",
    "compile_bodies",
    "gaussian_nll",
    "initialise",
    "joint_mmd",
    "kl_to_unit_normal",
    "knowledge_of_bins",
    "label_loss",
    "masked_l1",
    "plan_stages",
    "reconstruction_loss",
    "standardise",
    "zero_free_penalty",
]
