"""Splits and scores that respect the star."""

from ._scorers import label_scorers, nan_r2, neg_nan_mae
from ._star_folds import StarGroupKFold

__all__ = ["StarGroupKFold", "label_scorers", "nan_r2", "neg_nan_mae"]
