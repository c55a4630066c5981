"""Numbers from arrays."""

from ._activity import latent_mad
from ._bootstrap import StarBootstrap, bootstrap_by_star
from ._comparison import compare_models
from ._cumulative_share import CumulativeShare, cumulative_share
from ._doppelganger import DoppelgangerRate, doppelganger_rate
from ._error_density import ErrorDensity, error_density
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
from ._running_median import RunningMedian, running_median
from ._star_ratio import StarRatio, ratio_by_star
from ._swap import SwapError, swap_error
from ._tellurics import TelluricRejection, telluric_rejection
from ._twins import TwinRank, twin_rank
from ._whitening import whiten_codes

__all__ = [
    "CumulativeShare",
    "DoppelgangerRate",
    "ErrorDensity",
    "GenerativeScore",
    "InterventionScore",
    "LabelErrors",
    "RepeatConsistency",
    "RunningMedian",
    "StarBootstrap",
    "StarMean",
    "StarRatio",
    "SwapError",
    "TelluricRejection",
    "TwinRank",
    "bootstrap_by_star",
    "compare_models",
    "cumulative_share",
    "doppelganger_rate",
    "error_density",
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
    "ratio_by_star",
    "repeat_consistency",
    "running_median",
    "rvis",
    "swap_error",
    "telluric_rejection",
    "total_correlation",
    "twin_rank",
    "whiten_codes",
]
