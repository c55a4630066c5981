"""Scorers for cross_validate and GridSearchCV that leave missing labels out."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.metrics import make_scorer

from ..metrics import nan_mean_absolute_error, nan_r2_score

neg_nan_mae = make_scorer(nan_mean_absolute_error, greater_is_better=False)
"""Minus the mean absolute error over known labels; labels in different units are averaged as
they are, so with several labels `nan_r2` or `label_scorers` say more."""

nan_r2 = make_scorer(nan_r2_score)
"""Coefficient of determination over known labels, the mean over labels."""


def label_scorers(label_names: Sequence[str]) -> dict[str, Any]:
    """Scorers for every label by itself, for ``cross_validate(..., scoring=...)``.

    Parameters
    ----------
    label_names : sequence of str
        One for each column of `y`, in order.

    Returns
    -------
    scorers : dict of str to scorer
        ``"neg_mae_<label>"``, in the unit of the label, and ``"r2_<label>"``, for each label.

    Raises
    ------
    ValueError
        When scoring, if `y` has another number of columns.

    Examples
    --------
    >>> sorted(label_scorers(["teff_k", "logg_dex"]))
    ['neg_mae_logg_dex', 'neg_mae_teff_k', 'r2_logg_dex', 'r2_teff_k']
    """
    n_labels = len(label_names)
    scorers = {}
    for column, name in enumerate(label_names):
        of_label = {"column": column, "n_labels": n_labels}
        scorers[f"neg_mae_{name}"] = make_scorer(_mae_of, greater_is_better=False, **of_label)
        scorers[f"r2_{name}"] = make_scorer(_r2_of, **of_label)
    return scorers


def _mae_of(y_true, y_pred, *, column, n_labels, sample_weight=None):
    error = nan_mean_absolute_error(
        y_true, y_pred, sample_weight=sample_weight, multioutput="raw_values"
    )
    return _pick(error, column, n_labels)


def _r2_of(y_true, y_pred, *, column, n_labels, sample_weight=None):
    r2 = nan_r2_score(y_true, y_pred, sample_weight=sample_weight, multioutput="raw_values")
    return _pick(r2, column, n_labels)


def _pick(of_label: np.ndarray, column: int, n_labels: int) -> float:
    if len(of_label) != n_labels:
        raise ValueError(f"y has {len(of_label)} labels, label_names has {n_labels}.")
    return float(of_label[column])
