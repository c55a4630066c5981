"""Numbers from arrays."""

from ._labels import StarMean, mean_by_star, nan_mean_absolute_error, nan_r2_score

__all__ = ["StarMean", "mean_by_star", "nan_mean_absolute_error", "nan_r2_score"]
