import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import KFold, cross_val_score
from sklearn.neighbors import KNeighborsRegressor

from specvae.model_selection import StarGroupKFold
from specvae.spectra import SpectraArray

RNG = np.random.default_rng(0)
# One star with many spectra, as alpha Centauri B has in the HARPS archive.
GROUPS = np.concatenate([np.zeros(200, dtype=int), np.repeat(np.arange(1, 51), 3)])
X = np.zeros((len(GROUPS), 2))


def test_no_star_stands_on_both_sides_and_every_spectrum_is_tested_once():
    tested = np.zeros(len(GROUPS), dtype=int)
    for train, test in StarGroupKFold(5, random_state=0).split(X, groups=GROUPS):
        assert not set(GROUPS[train]) & set(GROUPS[test])
        assert len(train) + len(test) == len(GROUPS)
        tested[test] += 1
    assert (tested == 1).all()


def test_folds_have_as_many_stars():
    sizes = [
        len(set(GROUPS[test]))
        for _, test in StarGroupKFold(5, random_state=0).split(X, groups=GROUPS)
    ]
    assert sorted(sizes) == [10, 10, 10, 10, 11]


SEED = 5  # without stratification this one deals the hot stars out unevenly


def test_stratified_folds_share_the_range_of_the_label():
    label = np.where(GROUPS < 40, 4000.0, 9000.0) + GROUPS
    spread = {}
    for stratify in (False, True):
        folds = StarGroupKFold(5, stratify=stratify, random_state=SEED)
        hot = [
            len(set(GROUPS[test][label[test] > 8000])) for _, test in folds.split(X, label, GROUPS)
        ]
        assert sum(hot) == 11
        spread[stratify] = max(hot) - min(hot)
    assert spread[True] <= 1 < spread[False]


def test_stratify_by_another_column_and_missing_labels():
    labels = np.column_stack([np.full(len(GROUPS), np.nan), GROUPS.astype(float)])
    labels[::7, 1] = np.nan
    folds = list(StarGroupKFold(2, stratify=1, random_state=0).split(X, labels, GROUPS))
    medians = [np.median(np.unique(GROUPS[test])) for _, test in folds]
    assert abs(medians[0] - medians[1]) <= 3


def test_stratify_takes_nullable_labels():
    label = pd.DataFrame({"teff_k": pd.array(GROUPS, dtype="Int64")})
    label.loc[::5, "teff_k"] = pd.NA
    folds = StarGroupKFold(2, stratify=True, random_state=0).split(X, label, GROUPS)
    assert len(list(folds)) == 2


def test_seed_decides():
    def folds(seed):
        return [
            test.tolist() for _, test in StarGroupKFold(random_state=seed).split(X, groups=GROUPS)
        ]

    assert folds(0) == folds(0)
    assert folds(0) != folds(1)


def test_in_cross_validation():
    # A nearest neighbour knows every spectrum of a star that it has seen, and nothing else.
    label = np.where(GROUPS % 2, 1.0, -1.0)
    spectrum = np.random.default_rng(0).permutation(51)[GROUPS][:, None].astype(float)
    neighbour = KNeighborsRegressor(1)
    leaking = cross_val_score(neighbour, spectrum, label, cv=KFold(3, shuffle=True, random_state=0))
    by_star = cross_val_score(
        neighbour, spectrum, label, cv=StarGroupKFold(3, random_state=0), groups=GROUPS
    )
    assert leaking.min() > 0.5 > 0.2 > by_star.max()
    assert len(list(StarGroupKFold(3).split(SpectraArray(X), groups=GROUPS))) == 3


@pytest.mark.parametrize(
    ("arguments", "call", "message"),
    [
        ({}, {}, "groups is missing"),
        ({}, {"groups": GROUPS[:10]}, "inconsistent numbers of samples"),
        ({"n_splits": 60}, {"groups": GROUPS}, "n_splits=60 folds need as many stars, got 51"),
        ({"n_splits": 1}, {"groups": GROUPS}, "n_splits must be an integer >= 2"),
        ({"stratify": True}, {"groups": GROUPS}, "stratify needs y"),
        ({"stratify": 2}, {"groups": GROUPS, "y": X}, "stratify=2 asks for a column"),
        ({"stratify": "teff_k"}, {"groups": GROUPS, "y": X}, "stratify must be an integer >= 0"),
        ({}, {"groups": np.where(GROUPS == 3, np.nan, GROUPS)}, "no star for 3 spectra, the first"),
        ({}, {"groups": [None, *GROUPS[1:]]}, "no star for 1 spectra, the first in row 0"),
        (
            {},
            {"groups": np.array(["a", *GROUPS[1:]], dtype=object)},
            "groups mixes ids of kinds int64, str",
        ),
    ],
)
def test_bad_input_is_named(arguments, call, message):
    with pytest.raises(ValueError, match=message):
        next(StarGroupKFold(**arguments).split(X, **call))
