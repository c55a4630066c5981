"""Splits and scores that respect the star."""

from ._mutual_info_scorer import MutualInfoScorer
from ._rvis_scorer import make_rvis_scorer
from ._scorers import label_scorers, nan_r2, neg_nan_mae
from ._star_folds import StarGroupKFold

__all__ = [
    "MutualInfoScorer",
    "StarGroupKFold",
    "label_scorers",
    "make_rvis_scorer",
    "nan_r2",
    "neg_nan_mae",
]
