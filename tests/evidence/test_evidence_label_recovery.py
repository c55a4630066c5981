"""The rules by which label_recovery withholds labels, compares models and judges claims."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from _harps import LABELS, Spectra
from _label_recovery_claims import (
    CNN_MIX,
    CODE,
    CONSTANT,
    ETC,
    FEW,
    LABEL_AWARE,
    PENALISED,
    Found,
    judge,
    pairs,
    said,
)
from _label_recovery_models import (
    ALL,
    OF_LABELS,
    OF_STARS,
    TENTH,
    WAYS,
    Fit,
    Outcome,
    all_fits,
    keep_labels,
    keep_stars,
    make_sky,
    one_per_star,
    training_rows,
)
from _label_recovery_verdicts import (
    Comparison,
    Errors,
    all_of,
    at_most,
    carried,
    compare,
    factor,
    ratio,
    same,
    smaller,
)
from label_recovery import quantities, reached

from specvae.metrics._permutation_null import holm


def difference(value, error, *, p=1e-4, by_seed=None):
    """A comparison with an error of 1 of the other model."""
    seeds = (value, value) if by_seed is None else by_seed
    return Comparison("one", "other", "x", 1 + value, 1, value, error, p, seeds, p_corrected=p)


@pytest.fixture
def sky():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(100), 10)
    labels = pd.DataFrame(rng.normal(size=(1000, 6)), columns=LABELS)
    simulated = Spectra(
        np.ones((20, 3), np.float32),
        labels.iloc[:20].assign(berv_kms=np.nan),
        -1 - np.arange(20),
    )
    return make_sky(Spectra(np.zeros((1000, 3), np.float32), labels, groups), simulated, 0)


def test_holm_by_hand():
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03])), [0.03, 0.06, 0.06])
    np.testing.assert_allclose(holm(np.array([0.6, 0.7])), [1.0, 1.0])


@pytest.mark.parametrize(
    ("comparison", "verdict"),
    [
        (difference(-0.3, 0.05), "holds"),
        (difference(0.3, 0.05), "fails"),
        (difference(-0.01, 0.01, p=0.5), "fails"),
        (difference(-0.3, 0.2, p=0.1), "cannot be told here"),
        (difference(-0.3, 0.05, by_seed=(-0.7, 0.1)), "cannot be told here"),
        (difference(-0.3, np.nan, p=np.nan), "cannot be told here"),
    ],
)
def test_smaller(comparison, verdict):
    assert smaller(comparison) == verdict


@pytest.mark.parametrize(
    ("comparison", "verdict"),
    [
        (difference(0.05, 0.02), "holds"),
        (difference(0.05, 0.03), "cannot be told here"),
        (difference(-0.3, 0.05), "fails"),
        (difference(-0.3, 0.05, by_seed=(-0.7, 0.1)), "cannot be told here"),
    ],
)
def test_same(comparison, verdict):
    assert same(comparison) == verdict


def test_no_difference_is_judged_by_all_comparisons_together():
    alone = difference(0.3, 0.08)
    assert same(alone) == "fails"
    assert same(replace(alone, n_compared=77)) == "cannot be told here"
    small = difference(0.05, 0.02)
    assert same(replace(small, n_compared=77)) == "cannot be told here"
    assert same(difference(0.05, np.nan, p=np.nan)) == "cannot be told here"


def test_factor_grants_half():
    published = (1000.0, 50.0)
    assert factor((11.0, 15.0), 300.0, published) == "holds"
    assert factor((9.0, 15.0), 300.0, published) == "cannot be told here"
    assert factor((2.0, 9.0), 300.0, published) == "fails"


def test_factor_is_not_refuted_by_the_better_model_alone():
    # 600 / 50 = 12 is more than half of 20: a better encoder might reach that.
    assert factor((2.0, 9.0), 600.0, (1000.0, 50.0)) == "cannot be told here"


def test_nothing_is_judged_by_spectra_that_tell_less_than_a_constant():
    assert carried("fails", 3274.0, 645.0) == "cannot be told here"
    assert carried("holds", 3274.0, 645.0) == "cannot be told here"
    assert carried("holds", 14.0, 25.0) == "holds"


def test_accuracy_missed_is_not_refuted():
    assert at_most(50.0, 2.0, 60.0) == "holds"
    assert at_most(90.0, 2.0, 60.0) == "cannot be told here"


def test_a_claim_of_parts():
    assert all_of(["holds", "holds"]) == "holds"
    assert all_of(["holds", "cannot be told here"]) == "cannot be told here"
    assert all_of(["cannot be told here", "fails"]) == "fails"


def found(etc=3000.0, without=()):
    """Figures where every comparison is that of a model that is clearly better."""
    compared, better = {}, difference(-0.3, 0.01)
    for one, other, quantities_ in pairs():
        if one not in without:
            for name in quantities_:
                compared[one, other, name] = replace(better, quantity=name)
    names = ("teff_k", "mh_dex", "rv_kms")
    means = {key: dict.fromkeys(names, (100.0, 1.0)) for key in (CNN_MIX, CODE, ("AE (mix)", ALL))}
    means[CONSTANT] = dict.fromkeys(names, (600.0, 1.0))
    means[ETC] = dict.fromkeys(names, (etc, 1.0))
    ratios = {(one, CNN_MIX, name): (30.0, 28.0, 32.0) for one in (CODE, ETC) for name in names}
    return Found(means, ratios, compared, dict.fromkeys(WAYS, "some stars"))


def test_a_claim_for_each_published_sentence():
    claims = judge(found())
    assert len({claim.statement for claim in claims}) == len(claims) == 13
    few = [claim for claim in claims if claim.statement.startswith("With 1 % of the labels")]
    assert [claim.verdict for claim in few] == ["holds"] * 3
    assert all(way in claim.measured for claim in few for way in FEW)


def test_what_was_not_trained_is_not_judged():
    claims = judge(found(without=[(PENALISED, TENTH), (PENALISED, ALL)]))
    missing = [claim for claim in claims if f"{PENALISED} was not trained" in claim.measured]
    assert len(missing) == 4
    assert {claim.verdict for claim in missing} == {"cannot be told here"}


def test_etc_alone_is_judged_where_it_knows_more_than_a_constant():
    def alone(etc):
        claims = judge(found(etc))
        return [claim.verdict for claim in claims if "ETC spectra alone" in claim.statement]

    assert alone(3000.0) == ["cannot be told here"] * 3
    assert alone(300.0) == ["holds"] * 3


def test_harm_of_mixing_is_not_judged_where_etc_carries_nothing():
    def degraded(etc):
        [claim] = [one for one in judge(found(etc)) if "not degrade the CNN" in one.statement]
        return claim.verdict

    assert degraded(3000.0) == "cannot be told here"
    assert degraded(300.0) == "fails"


def test_a_comparison_without_p_says_its_signs():
    text = said(replace(difference(-0.3, np.nan, p=np.nan), quantity="teff_k"))
    assert "all smaller" in text
    mixed = difference(-0.3, np.nan, p=np.nan, by_seed=(-0.7, 0.1))
    assert "not of one sign" in said(replace(mixed, quantity="teff_k"))


def test_the_next_run_judges_table_5_by_the_penalised_model():
    trained = {(fit.name, fit.labels) for fit in all_fits()}
    assert {key for one, other, _ in pairs() for key in (one, other)} <= trained
    for way in WAYS:
        compared = {other for one, other, _ in pairs() if one == (PENALISED, way)}
        assert {("AE (real)", way), ("CNN (mix)", way)} <= compared
    assert (PENALISED, ALL) in trained
    assert "AE (mix)" in LABEL_AWARE


def test_compare_and_ratio_count_stars():
    stars, seeds = np.array([0, 0, 0, 1, 2]), np.array([0, 0, 0, 0, 1])
    one = Errors(np.array([1.0, 2.0, 3.0, 4.0, 6.0]), stars, seeds)
    other = Errors(np.array([1.0, 1.0, 1.0, 2.0, 3.0]), stars, seeds)
    found = compare("one", one, "other", other, "x")
    assert (found.mean, found.other_mean, found.difference) == (4.0, 2.0, 2.0)
    assert found.by_seed == (1.5, 3.0)
    assert ratio(one, other) == pytest.approx((2.0, 2.0, 2.0))


def test_split_and_withheld_labels(sky):
    assert not set(sky.train.groups) & set(sky.test.groups)
    assert len(sky.test.flux) == 200
    few = sky.known[OF_STARS].notna()
    assert few.all(axis=1).sum() == few.any(axis=1).sum() == 40  # four stars of ten spectra
    assert (sky.known[OF_LABELS].notna().sum() == 8).all()
    assert len(np.unique(sky.train.groups[sky.known[OF_LABELS].notna().any(axis=1)])) > 20
    pd.testing.assert_frame_equal(sky.known[ALL], sky.train.labels)


def test_how_many_stars_have_labels(sky):
    # 80 stars of ten spectra each, of which four have all labels.
    assert reached([sky], OF_STARS) == ("5 % of the stars here for each label, 5 % for any label")
    assert reached([sky], ALL).startswith("100 % of the stars")


def test_what_is_kept_is_not_changed():
    labels = pd.DataFrame({"a": np.arange(1000.0), "b": np.arange(1000.0)})
    rng = np.random.default_rng(0)
    for kept in (
        keep_labels(labels, 0.05, rng),
        keep_stars(labels, np.repeat(np.arange(100), 10), 0.05, rng),
    ):
        assert (kept.notna().sum() == 50).all()
        assert ((kept == labels) | kept.isna()).all(axis=None)


def test_rows_of_each_data_set(sky):
    mixed = training_rows(sky, Fit("CNN", "mix", OF_STARS))
    assert len(mixed.flux) == len(mixed.labels) == len(mixed.groups) == 820
    assert mixed.labels.notna().all(axis=1).sum() == 40
    assert mixed.labels["teff_k"].notna().sum() == 60
    assert list(training_rows(sky, Fit("CNN", "ETC", ALL)).labels) == [
        label for label in LABELS if label != "berv_kms"
    ]


def test_one_per_star_takes_stars_in_turn():
    groups = np.array([0, 0, 0, 0, 1, 2])
    chosen = one_per_star(np.arange(6), groups, 4)
    assert sorted(groups[chosen]) == [0, 0, 1, 2]


def test_groups_of_labels_leave_an_unknown_one_out(sky):
    errors = np.tile(sky.mad * [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], (200, 1))
    errors[:, LABELS.index("berv_kms")] = np.nan
    found = quantities(Outcome(errors, 1, 0.0), sky)
    np.testing.assert_allclose(found["intrinsic"], 2.0)
    np.testing.assert_allclose(found["extrinsic"], 5.0)
