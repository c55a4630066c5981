import pickle

import numpy as np
import pandas as pd
import pytest
from astropy.stats import sigma_clip
from sklearn import config_context
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, KFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_is_fitted

from specvae.estimators import SpectralVAE
from specvae.metrics import histogram_mutual_information, ksg_mutual_information
from specvae.model_selection import MutualInfoScorer, StarGroupKFold
from specvae.model_selection._sigma_clip import sigma_limits

NAN = np.nan
BINS = (5, 10, 20, 40, 80, 160)
RNG = np.random.default_rng(0)
CODES = RNG.normal(size=(300, 4))
LABELS = np.column_stack([CODES[:, 2] + 0.2 * RNG.normal(size=300), RNG.normal(size=300)])


def quick(**changes):
    return MutualInfoScorer(**{"bins": (4, 8), "n_permutations": 19, "random_state": 0, **changes})


@parametrize_with_checks([quick(), quick(method="ksg", n_permutations=3)])
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def closed_form(rho):
    return -0.5 * np.log(1 - rho**2)


@pytest.mark.parametrize("rho", [0.3, -0.6, 0.9])
@pytest.mark.parametrize("binning", ["width", "frequency"])
def test_agreement_with_the_closed_form(rho, binning):
    rng = np.random.default_rng(5)
    code = rng.normal(size=20_000)
    label = rho * code + np.sqrt(1 - rho**2) * rng.normal(size=20_000)
    fitted = MutualInfoScorer(n_permutations=10, binning=binning, random_state=0)
    fitted.fit(code[:, None], label)
    assert fitted.information_[0, 0] == pytest.approx(closed_form(rho), abs=0.02)
    # 80 bins alone do as well. Coarse bins lose information, fine ones keep their bias.
    assert fitted.mi_corrected_[0, 4, 0] == pytest.approx(closed_form(rho), abs=0.02)
    assert fitted.mi_corrected_[0, 0, 0] < closed_form(rho) - 0.005
    assert fitted.mi_[0, 5, 0] > closed_form(rho) + 0.1
    if abs(rho) == 0.9:
        assert fitted.mi_corrected_[0, 0, 0] < closed_form(rho) - 0.2
        assert fitted.mi_corrected_[0, 5, 0] < closed_form(rho) - 0.02


def test_ksg_agrees_with_the_closed_form():
    rng = np.random.default_rng(5)
    code = rng.normal(size=20_000)
    label = 0.6 * code + 0.8 * rng.normal(size=20_000)
    fitted = MutualInfoScorer(method="ksg", n_permutations=2, random_state=0)
    fitted.fit(code[:, None], label)
    assert fitted.information_[0, 0] == pytest.approx(closed_form(0.6), abs=0.02)
    assert fitted.mi_.shape == (1, 1, 1) and fitted.bins_ == ()


def test_false_alarms_of_independent_data_are_as_stated_at_every_scale():
    # 1,000 codes are 1,000 trials. The plug-in value is far from zero all the same.
    rng = np.random.default_rng(3)
    fitted = MutualInfoScorer(BINS, n_permutations=99, random_state=1)
    fitted.fit(rng.normal(size=(500, 1000)), rng.normal(size=500))
    np.testing.assert_allclose((fitted.p_values_[0] <= 0.05).mean(axis=1), 0.05, atol=0.02)
    assert fitted.mi_[0, 5].min() > 1.5
    np.testing.assert_allclose(fitted.mi_corrected_[0].mean(axis=1), 0.0, atol=0.01)
    # Among so many the smallest p of one test alone is at its floor, of all together it is not.
    assert fitted.p_values_.min() == 0.01
    assert fitted.p_corrected_.min() > 0.05 and fitted.p_latent_.min() > 0.05


def clustered(size, n_latents, seed):
    """Codes and labels of independent stars, whose spectra are alike."""
    rng = np.random.default_rng(seed)
    star = np.repeat(np.arange(len(size)), size)
    codes = rng.normal(size=(len(size), n_latents))[star]
    label = rng.normal(size=len(size))[star]
    return (
        codes + 0.2 * rng.normal(size=codes.shape),
        label + 0.2 * rng.normal(size=len(star)),
        star,
    )


@pytest.mark.parametrize(("weight", "bins"), [("stars", (5, 20, 160)), ("spectra", (10, 40))])
def test_false_alarms_of_clustered_data(weight, bins):
    # Stars of 1 to 40 spectra; 600 trials in ten samples.
    size = np.minimum(np.random.default_rng(5).geometric(0.2, size=45), 40)
    size[0] = 40
    scorer = MutualInfoScorer(bins, n_permutations=99, random_state=0, weight=weight)
    with_stars, without = [], []
    for seed in range(10):
        codes, label, star = clustered(size, 60, seed)
        fitted = clone(scorer).fit(codes, label, groups=star)
        with_stars.append((fitted.p_values_[0] <= 0.05).mean(axis=1))
        if seed == 0:
            without = (clone(scorer).fit(codes, label).p_values_[0] <= 0.05).mean(axis=1)
    np.testing.assert_allclose(np.mean(with_stars, axis=0), 0.05, atol=0.02)
    assert min(without[:2]) > 0.7  # plain permutation calls nearly everything dependent


def test_family_wise_error_and_power():
    rng = np.random.default_rng(0)
    alarms = []
    for seed in range(120):
        fitted = quick(n_permutations=59, random_state=seed)
        fitted.fit(rng.normal(size=(60, 12)), rng.normal(size=60))
        alarms.append(fitted.p_latent_.min() <= 0.05)
    assert np.mean(alarms) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 120)
    # 1,000 permutations find the one code among 128 at p < 0.001, corrected; Holm cannot.
    codes = rng.normal(size=(200, 128))
    label = codes[:, 40] + 0.5 * rng.normal(size=200)
    found = quick(n_permutations=1000).fit(codes, label)
    assert found.p_latent_[0, 40] < 0.001 and found.best_latent_name_ == ["latent40"]
    assert (np.delete(found.p_latent_[0], 40) > 0.05).all()
    assert quick(n_permutations=1000, correction="holm").fit(codes, label).p_latent_[0, 40] > 0.1


def test_results_are_those_of_the_pure_functions():
    labels = pd.DataFrame(LABELS, columns=["teff_k", "snr"])
    labels.loc[::3, "snr"] = NAN
    codes = pd.DataFrame(CODES, columns=["a", "b", "c", "d"])
    fitted = quick(sigma_clip=None).fit(codes, labels)
    np.testing.assert_array_equal(fitted.mi_, histogram_mutual_information(CODES, labels, (4, 8)))
    reduced = histogram_mutual_information(CODES, labels, (4, 8), estimate="grassberger")
    np.testing.assert_allclose(fitted.mi_corrected_ + fitted.null_mean_, reduced, atol=1e-12)
    assert fitted.mi_.shape == (2, 2, 4) and fitted.n_known_.tolist() == [300, 200]
    assert fitted.null_quantiles_.shape == (3, 2, 2, 4)
    assert (np.diff(fitted.null_quantiles_, axis=0) >= 0).all()
    assert fitted.best_latent_[0] == 2 and fitted.best_latent_name_[0] == "c"
    assert list(fitted.label_names_in_) == ["teff_k", "snr"] and fitted.bins_ == (4, 8)
    np.testing.assert_allclose(fitted.information_, fitted.mi_corrected_.max(axis=1))
    ordered = np.sort(fitted.mi_corrected_, axis=2)
    counts = np.histogram(LABELS[:, 0], 8)[0] / 300
    entropy = -(counts[counts > 0] * np.log(counts[counts > 0])).sum()
    assert fitted.entropy_[0, 1] == pytest.approx(entropy)
    lead = ordered[0, 1, 3] - max(ordered[0, 1, 2], 0.0)
    assert fitted.gap_[0, 1] == pytest.approx(lead / entropy)
    assert not hasattr(fitted.fit(codes, LABELS), "label_names_in_")
    ksg = quick(method="ksg", n_permutations=2, sigma_clip=None).fit(CODES, LABELS)
    np.testing.assert_allclose(
        ksg.mi_[:, 0], ksg_mutual_information(CODES, LABELS, random_state=1), atol=1e-3
    )
    assert np.isnan(ksg.gap_).all() and (ksg.entropy_ > 0).all()


def test_normalized_view_has_a_maximum_of_one():
    codes = np.column_stack([CODES, np.ones(300)])
    fitted = quick().fit(codes, LABELS)
    view = fitted.normalized_view()
    np.testing.assert_allclose(view.max(axis=2), 1.0)
    np.testing.assert_allclose(view * fitted.mi_.max(axis=2, keepdims=True), fitted.mi_)
    assert (quick().fit(np.ones((20, 2)), np.arange(20.0)).normalized_view() == 0).all()


def test_limits_are_those_of_astropy():
    for seed in range(20):
        values = np.random.default_rng(seed).standard_t(2, size=500)
        for n_sigma in (2.0, 5.0):
            low, high = sigma_limits(values, n_sigma)
            expected = ~sigma_clip(values, sigma=n_sigma, maxiters=5).mask
            np.testing.assert_array_equal((values >= low) & (values <= high), expected)


def test_outliers_do_not_stretch_the_bins():
    codes, labels = CODES.copy(), LABELS.copy()
    codes[7] = 1e6
    labels[8] = -1e6
    fitted = quick().fit(codes, labels)
    assert fitted.n_known_.tolist() == [299, 299]  # the label is left out, the code moved
    assert fitted.information_[0, 2] > 0.7
    assert codes[7, 0] == 1e6 and labels[8, 0] == -1e6
    assert quick(clip_codes=False).fit(codes, labels).information_[0, 2] < 0.1
    assert quick(sigma_clip=None).fit(CODES, labels).information_[0, 2] < 0.1


def test_limits_with_weights_are_those_of_one_row_a_star():
    rng = np.random.default_rng(0)
    values, times = rng.standard_t(2, size=200), rng.integers(1, 9, 200)
    star = np.repeat(np.arange(200), times)
    found = sigma_limits(values[star], 2.0, 1.0 / times[star])
    np.testing.assert_allclose(found, sigma_limits(values, 2.0))
    assert sigma_limits(values[star], 2.0) != pytest.approx(found, rel=0.01)


@pytest.mark.parametrize("sizes", [(4000, 4), (40, 1)], ids=["labels", "codes"])
def test_clipping_counts_stars(sizes):
    # Quiet stars of many spectra, which among spectra are the bulk, and 100 of few, which spread.
    n_quiet = 1 if sizes[0] == 4000 else 12
    rng = np.random.default_rng(0)
    size = np.repeat(sizes, [n_quiet, 100])
    star = np.repeat(np.arange(n_quiet + 100), size)
    label = np.r_[np.full(n_quiet, 0.1), rng.normal(size=100)][star] + 0.02 * rng.normal(
        size=len(star)
    )
    code = (label + 0.05 * rng.normal(size=len(star)))[:, None]
    with_clip, without = (
        quick(sigma_clip=clip).fit(code, label, groups=star) for clip in (5.0, None)
    )
    # Nothing is that far out, if stars count.
    np.testing.assert_array_equal(with_clip.n_known_, without.n_known_)
    np.testing.assert_array_equal(with_clip.mi_, without.mi_)
    by_spectrum = quick(weight="spectra").fit(code, label, groups=star)
    assert by_spectrum.n_known_ < without.n_known_


def test_clipping_leaves_more_than_one_value():
    # The rare value is further than 5 standard deviations from the zeros.
    rare = np.arange(1000) < 30
    code = np.where(rare, 3.0, 0.0)[:, None] + 0.3 * RNG.normal(size=(1000, 1))
    fitted = quick(bins=(10, 20)).fit(code, rare)
    entropy = -0.03 * np.log(0.03) - 0.97 * np.log(0.97)
    assert fitted.n_known_ == [1000] and fitted.p_latent_ == [[0.05]]
    assert fitted.information_[0, 0] == pytest.approx(entropy, abs=0.02)
    # A code that is zero but for those rows.
    sparse = np.where(rare, 5.0 + 0.1 * RNG.normal(size=1000), 0.0)[:, None]
    label = RNG.normal(size=1000) + 2.0 * rare
    fitted = quick().fit(sparse, label)
    assert fitted.information_[0, 0] > 0.03 and fitted.p_latent_ == [[0.05]]
    # A round before that leaves several values is made: 999 goes, 1 stays.
    low, high = sigma_limits(np.r_[999.0, rare], 5.0)
    assert low < 0.0 and 1.0 < high < 999.0
    assert sigma_limits(np.array([-1.0, 1.0]), 0.5) == (-np.inf, np.inf)


def test_weight_of_stars():
    # Ten stars of 20 spectra know nothing of the label; 100 others do.
    rng = np.random.default_rng(0)
    star = np.r_[np.repeat(np.arange(10), 20), np.arange(10, 110)]
    codes = np.r_[np.full(200, 0.3), rng.normal(size=100)][:, None]
    label = codes[:, 0] + 0.1 * rng.normal(size=300)
    by_star = quick(sigma_clip=None).fit(codes, label, groups=star)
    by_spectrum = quick(sigma_clip=None, weight="spectra").fit(codes, label, groups=star)
    assert by_star.mi_[0, 1, 0] > 1.2 * by_spectrum.mi_[0, 1, 0]
    assert by_star.n_known_ == [300]
    # Where every star has as many spectra there is nothing to weigh.
    even = np.repeat(np.arange(150), 2)
    np.testing.assert_array_equal(
        quick().fit(CODES, LABELS, groups=even).mi_corrected_,
        quick(weight="spectra").fit(CODES, LABELS, groups=even).mi_corrected_,
    )


@pytest.mark.parametrize("weight", ["stars", "spectra"])
def test_null_holds_no_dependence_where_stars_are_unequal(weight):
    # Stars of 1 to 3,000 spectra; one row of each knows 0.83 nats, less what noise and bins take.
    found = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        size = np.minimum((rng.pareto(0.8, size=300) + 1).astype(int), 3000)
        star = np.repeat(np.arange(300), size)
        a = rng.normal(size=300)
        b = 0.9 * a + np.sqrt(1 - 0.81) * rng.normal(size=300)
        code = a[star] + 0.05 * rng.normal(size=len(star))
        label = b[star] + 0.02 * rng.normal(size=len(star))
        scorer = MutualInfoScorer(sigma_clip=None, n_permutations=20, random_state=0, weight=weight)
        found.append(scorer.fit(code[:, None], label, groups=star).information_[0, 0])
    assert 0.5 < np.mean(found) < 0.85


def test_degenerate_columns_have_documented_results():
    codes = np.column_stack([np.full(300, 5777.3), CODES[:, 2]])
    for method in ("histogram", "ksg"):
        fitted = quick(method=method).fit(codes, LABELS)
        assert (fitted.mi_[:, :, 0] == 0).all() and (fitted.p_values_[:, :, 0] == 1).all()
        np.testing.assert_array_equal(fitted.mi_corrected_[:, :, 0], 0.0)
        assert fitted.best_latent_[0] == 1 and fitted.p_latent_[0, 1] == 0.05
        constant = quick(method=method).fit(codes, np.full(300, 0.1))
        assert (constant.mi_ == 0).all() and (constant.p_latent_ == 1).all()
        assert np.isnan(constant.gap_).all()
    two = quick(n_permutations=99).fit(codes, CODES[:, 2] > 0)
    assert 0.4 < two.mi_[0, 1, 1] <= np.log(2) and two.p_latent_[0, 1] == 0.01
    np.testing.assert_allclose(two.entropy_, np.log(2), atol=0.01)


def test_seed_decides_and_global_state_is_left_alone():
    state = np.random.get_state()[1].copy()
    first, again, other = (
        quick(random_state=seed).fit(CODES, LABELS).null_mean_ for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    np.testing.assert_array_equal(np.random.get_state()[1], state)
    fitted = pickle.loads(pickle.dumps(quick().fit(CODES, LABELS)))
    np.testing.assert_array_equal(fitted.p_values_, quick().fit(CODES, LABELS).p_values_)


# Two directions that know the labels, among louder ones that know nothing.
SPECTRA = RNG.normal(size=(300, 20))
SPECTRA[:, :2] = 5.0 * CODES[:, :2]
SPECTRA[:, 2:6] *= 20.0
TARGET = CODES[:, :2] + 0.1 * RNG.normal(size=(300, 2))


def test_scorer_chooses_a_model():
    scorer = quick()
    search = GridSearchCV(
        make_pipeline(StandardScaler(with_std=False), PCA()),
        {"pca__n_components": [2, 6]},
        scoring=scorer,
        cv=3,
        error_score="raise",
    ).fit(SPECTRA, TARGET)
    assert search.best_params_ == {"pca__n_components": 6}
    fitted = PCA(6).fit(SPECTRA)
    expected = quick().fit(fitted.transform(SPECTRA), TARGET)
    above_chance = expected.information_.max(axis=1) - expected.null_best_
    assert scorer(fitted, SPECTRA, TARGET) == pytest.approx(above_chance.mean())
    assert not hasattr(scorer, "mi_")
    assert scorer.get_params() == quick().get_params()


class Same:
    """What is given is the code."""

    def transform(self, X):
        return X


def scores_of(n_latents, rho, n_trials):
    """Score of as many latents of noise, of which one has correlation rho with the label."""
    scores = []
    for seed in range(n_trials):
        rng = np.random.default_rng([seed, n_latents])
        codes, label = rng.normal(size=(300, n_latents)), rng.normal(size=300)
        codes[:, -1] = rho * label + np.sqrt(1 - rho**2) * codes[:, -1]
        scorer = MutualInfoScorer((5, 20, 80), n_permutations=10, random_state=seed)
        scores.append(scorer(Same(), codes, label))
    return np.array(scores)


def test_many_latents_of_noise_do_not_win():
    few, many = scores_of(2, 0.0, 60), scores_of(128, 0.0, 60)
    for scores in (few, many):  # of 128 the best is 0.16 nats above its null
        assert abs(scores.mean()) < 4 * scores.std() / np.sqrt(60)
    assert 0.25 < np.mean(many > few) < 0.75
    assert (scores_of(2, 0.6, 10) > scores_of(128, 0.0, 10)).all()
    assert scores_of(128, 0.8, 10).min() > many.max()


def test_best_of_chance_by_hand():
    # Two permutations of one statistic scatter by d about their mean, whose largest is d;
    # sqrt(3) d is the scatter of a third about that mean.
    label = CODES[:, 0]
    fitted = quick(bins=5, n_permutations=2, quantiles=(0.0, 1.0)).fit(CODES[:, 1:2], label)
    above = np.sqrt(3) * fitted.null_quantiles_[:, 0, 0, 0]
    assert fitted.null_best_[0] == pytest.approx(above.mean(), abs=1e-12)
    fitted = quick(bins=5, n_permutations=2, quantiles=(0.0, 1.0)).fit(CODES[:, 1:], label)
    assert fitted.null_best_[0] > 0
    assert np.isnan(quick(n_permutations=1).fit(CODES, label).null_best_).all()
    with pytest.raises(ValueError, match="n_permutations must be an integer >= 2, got 1"):
        quick(n_permutations=1)(Same(), CODES, label)


# Two epochs on noise may leave latents that carry nothing.
@pytest.mark.filterwarnings("ignore::specvae.exceptions.CollapsedLatentsWarning")
def test_scorer_of_a_network():
    vae = SpectralVAE(
        latent_dim=2, encoder="dense", decoder="dense", max_epochs=2, device="cpu", random_state=0
    )
    scores = cross_validate(vae, SPECTRA, TARGET, cv=2, scoring=quick(), error_score="raise")
    assert np.isfinite(scores["test_score"]).all()


@pytest.mark.parametrize("routing", [True, False])
def test_stars_reach_a_search_only_by_metadata_routing(routing):
    # Codes and labels of independent stars: spectrum by spectrum they look dependent.
    rng = np.random.default_rng(0)
    star = np.repeat(np.arange(60), 10)
    spectra = rng.normal(size=(60, 6))[star] + 0.05 * rng.normal(size=(600, 6))
    label = rng.normal(size=60)[star]
    search = GridSearchCV(
        PCA(),
        {"n_components": [2, 4]},
        scoring=quick(),
        cv=StarGroupKFold(2, random_state=0),
        error_score="raise",
    )
    with config_context(enable_metadata_routing=routing):
        search.fit(spectra, label, groups=star)
    scores = search.cv_results_["mean_test_score"]
    assert (abs(scores) < 0.1).all() if routing else (scores > 0.2).all()


# Two epochs on noise may leave latents that carry nothing.
@pytest.mark.filterwarnings("ignore::specvae.exceptions.CollapsedLatentsWarning")
def test_stars_reach_network_and_scorer_by_metadata_routing():
    vae = SpectralVAE(
        latent_dim=2, encoder="dense", decoder="dense", max_epochs=1, device="cpu", random_state=0
    )
    with config_context(enable_metadata_routing=True):
        search = GridSearchCV(
            vae.set_fit_request(groups=True),
            {"latent_dim": [1, 2]},
            scoring=quick(n_permutations=2),
            cv=StarGroupKFold(2, random_state=0),
            error_score="raise",
        ).fit(SPECTRA, TARGET, groups=np.repeat(np.arange(100), 3))
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_stars_reach_the_scorer_by_metadata_routing():
    star = np.repeat(np.arange(100), 3)
    seen = []

    class Watching(MutualInfoScorer):
        def __call__(self, estimator, X, y=None, *, groups=None):
            seen.append(groups)
            return super().__call__(estimator, X, y, groups=groups)

    with config_context(enable_metadata_routing=True):
        scores = cross_validate(
            PCA(3),
            SPECTRA,
            TARGET,
            cv=KFold(2),
            scoring=Watching(bins=4, n_permutations=5, random_state=0),
            params={"groups": star},
            error_score="raise",
        )
    assert np.isfinite(scores["test_score"]).all()
    np.testing.assert_array_equal(np.concatenate(seen), star)


@pytest.mark.parametrize(
    ("estimator", "y", "message"),
    [
        (LinearRegression(), TARGET, "LinearRegression has no transform"),
        (PCA(2), None, "requires y to be passed"),
    ],
)
def test_scorer_says_what_it_needs(estimator, y, message):
    with pytest.raises(ValueError, match=message):
        quick()(estimator.fit(SPECTRA, TARGET), SPECTRA, y)


SPARSE = np.where(np.arange(300)[:, None] < [300, 6], LABELS, NAN)


@pytest.mark.parametrize(
    ("changes", "arguments", "message"),
    [
        ({}, {"X": np.where(CODES > 2, NAN, CODES)}, "X contains NaN"),
        ({}, {"X": np.where(CODES > 2, np.inf, CODES)}, "X contains infinity"),
        ({}, {"y": LABELS[:10]}, "X has 300 spectra, y has 10 rows"),
        ({}, {"y": LABELS * [1, NAN]}, "column 1 of y is NaN in all 300"),
        ({}, {"y": SPARSE}, "Label column 1 of y is known.*in n_samples = 6 rows.*needs 10"),
        ({}, {"y": pd.DataFrame(SPARSE, columns=["a", "b"])}, "Label column 'b' of y is known"),
        ({}, {"groups": np.zeros(300)}, r"groups has 1 star\(s\) for label column 0"),
        ({}, {"groups": np.repeat([0, 1], [10, 290])}, "no two with about as many spectra"),
        ({}, {"groups": np.arange(20)}, "300 spectra, 20 groups"),
        ({}, {"groups": []}, "groups is empty"),
        ({}, {"groups": [None] * 300}, "groups has no star for 300 spectra"),
        ({"method": "ksg"}, {"groups": np.arange(300) // 2}, "weight='stars' cannot be had"),
        ({"method": "ksg", "n_neighbors": 400}, {}, "needs 402"),
        ({"method": "knn"}, {}, "method must be one of 'histogram', 'ksg'"),
        ({"bins": 1}, {}, "bins must be an integer >= 2"),
        ({"binning": "log"}, {}, "binning must be one of"),
        ({"correction": "bonferroni"}, {}, "correction must be one of 'max', 'holm', 'none'"),
        ({"weight": "equal"}, {}, "weight must be one of"),
        ({"n_permutations": 0}, {}, "n_permutations must be an integer >= 1"),
        ({"sigma_clip": 0}, {}, "sigma_clip must be a number > 0"),
        ({"quantiles": (0.5, 2)}, {}, "quantiles must be a number >= 0 and <= 1, got 2"),
    ],
)
def test_bad_input_is_named_and_leaves_no_trace(changes, arguments, message):
    scorer = quick(**changes)
    before = dict(vars(scorer))
    arguments = {"X": CODES, "y": LABELS, **arguments}
    with pytest.raises(ValueError, match=message):
        scorer.fit(arguments.pop("X"), arguments.pop("y"), **arguments)
    with pytest.raises(NotFittedError):
        check_is_fitted(scorer)
    assert vars(scorer) == before
