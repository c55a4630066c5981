"""Folds that keep all spectra of a star together."""

from typing import Any, ClassVar

import numpy as np
from sklearn.model_selection import BaseCrossValidator
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils.validation import _num_samples

from .._validation import check_groups, check_number, label_matrix


class StarGroupKFold(BaseCrossValidator):
    """K folds of whole stars, alike in a label where asked.

    scikit-learn's GroupKFold balances the number of spectra; its StratifiedGroupKFold wants
    classes. This one gives each fold the same number of stars, and, with `stratify=True`, the same
    spread of a continuous label.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds.
    stratify : bool or int, default=False
        True sorts the stars by the first column of `y`, an integer by that column, and deals
        them out to the folds in that order, so that hot and cool stars are in all of them. Stars
        without that label are dealt out last.
    random_state : int, RandomState or None, default=None
        Seed of the order of the stars. The same object gives the same folds only with an integer.

    Raises
    ------
    ValueError
        In `split`, if `groups` is missing, there are fewer stars than folds, or `stratify` asks
        for a label that `y` lacks.

    Examples
    --------
    >>> import numpy as np
    >>> star = np.array(["a", "a", "b", "c", "c", "d"])
    >>> for train, test in StarGroupKFold(2, random_state=0).split(np.empty((6, 1)), groups=star):
    ...     print(train, test)
    [0 1 5] [2 3 4]
    [2 3 4] [0 1 5]
    """

    # `groups` is asked for unless the user says otherwise, as in scikit-learn's group splitters.
    __metadata_request__split: ClassVar = {"groups": True}

    def __init__(self, n_splits=5, *, stratify=False, random_state=None):
        self.n_splits = n_splits
        self.stratify = stratify
        self.random_state = random_state

    def get_n_splits(self, X=None, y=None, groups=None):
        """Return the number of folds."""
        return self.n_splits

    def split(self, X, y=None, groups=None):
        """Yield rows of training and test spectra for each fold.

        Parameters
        ----------
        X : object of length n_spectra
        y : array-like of shape (n_spectra,) or (n_spectra, n_labels), optional
            Needed by `stratify` only; NaN is a missing label.
        groups : array-like of shape (n_spectra,)
            Id of the star of each spectrum.

        Yields
        ------
        train, test : ndarray of int
            Increasing rows.
        """
        fold = self._fold_of_spectrum(X, y, groups)
        for number in range(self.n_splits):
            yield np.flatnonzero(fold != number), np.flatnonzero(fold == number)

    def _fold_of_spectrum(self, X: Any, y: Any, groups: Any) -> np.ndarray:
        check_number("n_splits", self.n_splits, minimum=2, integer=True)
        if groups is None:
            raise ValueError(
                "groups is missing: StarGroupKFold needs the star of each spectrum, "
                "groups=...; specvae.spectra.group_targets finds it."
            )
        star = check_groups(groups, _num_samples(X))
        n_stars = int(star.max()) + 1
        if n_stars < self.n_splits:
            raise ValueError(f"n_splits={self.n_splits} folds need as many stars, got {n_stars}.")
        rng = check_random_state(self.random_state)
        order = rng.permutation(n_stars)
        if self.stratify is not False:
            column = 0 if self.stratify is True else self.stratify
            check_number("stratify", column, minimum=0, integer=True)
            label = _star_label(y, int(column), star)
            # A stable sort: stars with equal or missing labels keep their random order.
            order = order[np.argsort(label[order], kind="stable")]
        fold_of_star = np.empty(n_stars, dtype=int)
        fold_of_star[order] = _deal(n_stars, self.n_splits, rng)
        return fold_of_star[star]


def _deal(n_stars: int, n_splits: int, rng: np.random.RandomState) -> np.ndarray:
    """Fold of each place in the order: every run of `n_splits` stars meets every fold once."""
    n_rounds = -(-n_stars // n_splits)
    rounds = [rng.permutation(n_splits) for _ in range(n_rounds)]
    return np.concatenate(rounds)[:n_stars]


def _star_label(y: Any, column: int, star: np.ndarray) -> np.ndarray:
    """Mean label of each star, NaN where it has none."""
    if y is None:
        raise ValueError("stratify needs y, the labels of the spectra.")
    labels = label_matrix(y)
    check_consistent_length(labels, star)
    if column >= labels.shape[1]:
        raise ValueError(f"stratify={column} asks for a column of y, which has {labels.shape[1]}.")
    known = ~np.isnan(labels[:, column])
    count = np.bincount(star[known], minlength=star.max() + 1)
    total = np.bincount(star[known], labels[known, column], minlength=star.max() + 1)
    return np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)
