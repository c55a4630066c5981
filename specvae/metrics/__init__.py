"""Numbers from arrays."""

from ._activity import latent_mad
from ._bootstrap import StarBootstrap, bootstrap_by_star
from ._comparison import compare_models
from ._doppelganger import DoppelgangerRate, doppelganger_rate
from ._generative import GenerativeScore, gis
from ._histogram_information import histogram_mutual_information
from ._information_gap import mutual_information_gap
from ._interventions import InterventionScore, rvis
from ._ksg import ksg_mutual_information
from ._label_errors import LabelErrors, label_errors
from ._labels import StarMean, mean_by_star, nan_mean_absolute_error, nan_r2_score
from ._latent_information import latent_mutual_information, total_correlation
from ._outliers import outlier_score
from ._repeats import RepeatConsistency, repeat_consistency
from ._swap import SwapError, swap_error
from ._tellurics import TelluricRejection, telluric_rejection
from ._twins import TwinRank, twin_rank
from ._whitening import whiten_codes

__all__ = [
    "DoppelgangerRate",
    "GenerativeScore",
    "InterventionScore",
    "LabelErrors",
    "RepeatConsistency",
    "StarBootstrap",
    "StarMean",
    "SwapError",
    "TelluricRejection",
    "TwinRank",
    "bootstrap_by_star",
    "compare_models",
    "doppelganger_rate",
    "gis",
    "histogram_mutual_information",
    "ksg_mutual_information",
    "label_errors",
    "latent_mad",
    "latent_mutual_information",
    "mean_by_star",
    "mutual_information_gap",
    "nan_mean_absolute_error",
    "nan_r2_score",
    "outlier_score",
    "repeat_consistency",
    "rvis",
    "swap_error",
    "telluric_rejection",
    "total_correlation",
    "twin_rank",
    "whiten_codes",
]
