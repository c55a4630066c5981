"""Codes and labels of the training spectra: by position, and as the public code joins them."""

from typing import NamedTuple

import numpy as np
import pandas as pd

__all__ = ["JoinCounts", "count_join", "join_as_published", "join_by_position"]


class JoinCounts(NamedTuple):
    """What became of the training rows in the published join."""

    n_train: int
    n_kept: int
    n_own_row: int  # kept with the codes of their own spectrum
    n_own_star: int  # kept with the codes of a spectrum of their own star


def join_by_position(
    labels: pd.DataFrame, train: np.ndarray, codes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Codes and labels of the same spectra; `labels` are those of the whole catalogue."""
    return codes, labels.iloc[train].to_numpy()


def join_as_published(
    labels: pd.DataFrame, train: np.ndarray, codes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Join as ``downstream_learn`` of HARPS-ML-Spectra (83d0230) does.

    The labels keep the row numbers of the catalogue, the codes are numbered from zero; `concat`
    aligns the two by these numbers, and `dropna` keeps the numbers that both have. Codes of the
    k-th training spectrum so meet the labels of row k of the catalogue.
    """
    joined = pd.concat([labels.loc[train], pd.DataFrame(codes)], axis=1).dropna()
    n_labels = labels.shape[1]
    return joined.iloc[:, n_labels:].to_numpy(), joined.iloc[:, :n_labels].to_numpy()


def count_join(labels: pd.DataFrame, train: np.ndarray, groups: np.ndarray) -> JoinCounts:
    """Count the rows that the published join keeps, and those that it keeps rightly."""
    numbers = np.arange(len(train), dtype=float)[:, None]
    codes, _ = join_as_published(labels, train, numbers)
    paired = codes[:, 0].astype(int)  # the k-th code goes with catalogue row k
    own_star = groups[train[paired]] == groups[paired]
    return JoinCounts(
        len(train), len(paired), int((train[paired] == paired).sum()), int(own_star.sum())
    )
