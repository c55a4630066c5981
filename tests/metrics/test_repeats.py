import numpy as np
import pytest

from specvae.metrics import outlier_score, repeat_consistency

NAN = np.nan


def observed(n_stars, n_each, *, within, between, seed=0):
    """Codes of stars with `n_each` spectra (or one number for each star), and their stars."""
    rng = np.random.default_rng(seed)
    star = np.repeat(np.arange(n_stars), n_each)
    centre = rng.normal(size=(n_stars, len(within))) * between
    return centre[star] + rng.normal(size=(len(star), len(within))) * within, star


def test_scatter_by_hand():
    # variances 2, 8 within; means 1, 10, 25 of 2, 2 and 1 spectra
    codes = np.array([[0.0], [2.0], [8.0], [12.0], [25.0]])
    result = repeat_consistency(codes, ["a", "a", "b", "b", "c"], n_permutations=0)
    within2 = (2.0 + 8.0) / 2
    between2 = np.var([1.0, 10.0, 25.0], ddof=1) - within2 * (0.5 + 0.5 + 1.0) / 3
    np.testing.assert_allclose(result.within, [np.sqrt(within2)])
    np.testing.assert_allclose(result.between, [np.sqrt(between2)])
    np.testing.assert_allclose(result.ratio, [np.sqrt(within2 / between2)])
    np.testing.assert_allclose(result.intraclass_correlation, [between2 / (within2 + between2)])
    assert result.n_stars == 2
    assert np.isnan(result.p_value) and result.null.shape == (0,)


@pytest.mark.parametrize("robust", [False, True])
def test_true_scatter_is_found(robust):
    n_each = np.tile([2, 3, 8, 1], 150)
    codes, star = observed(600, n_each, within=[0.1, 1.0, 2.0], between=[1.0, 1.0, 0.0])
    result = repeat_consistency(codes, star, robust=robust, n_permutations=0)
    np.testing.assert_allclose(result.within, [0.1, 1.0, 2.0], rtol=0.1)
    np.testing.assert_allclose(result.between[:2], [1.0, 1.0], rtol=0.15)
    np.testing.assert_allclose(result.intraclass_correlation, [0.99, 0.5, 0.0], atol=0.1)


def test_a_star_with_many_spectra_counts_once():
    codes, star = observed(50, 4, within=[0.1], between=[1.0])
    wild = np.random.default_rng(1).normal(scale=3.0, size=(2000, 1))
    more, stars = np.vstack([codes, wild]), np.append(star, np.full(2000, 50))
    result = repeat_consistency(more, stars, n_permutations=0)
    assert result.within[0] == pytest.approx(np.sqrt((50 * 0.01 + 9.0) / 51), rel=0.05)
    robust = repeat_consistency(more, stars, robust=True, n_permutations=0)
    assert robust.within[0] == pytest.approx(0.1, rel=0.3)


def test_distances_by_hand():
    # repeats 3 and 1 apart; spectra of different stars 10 apart or a little less or more
    codes = np.array([[0.0], [3.0], [1000.0], [1001.0]])
    result = repeat_consistency(codes, [0, 0, 1, 1], whiten=False, n_permutations=0)
    assert result.distance_ratio == pytest.approx(2.0 / 999.0, rel=1e-3)
    assert result.distance_ratio_error == pytest.approx(1.0 / 999.0, rel=1e-3)
    assert result.own_nearest == 1.0
    assert result.own_nearest_chance == pytest.approx(1 / 3)
    plane = np.column_stack([codes, codes])
    for metric in ("euclidean", "manhattan"):
        other = repeat_consistency(plane, [0, 0, 1, 1], whiten=False, metric=metric)
        assert other.distance_ratio == pytest.approx(result.distance_ratio)


def test_three_spectra_make_three_pairs():
    # within the star: 1, 3, 4; to the other star: 999 on average over its three
    codes = np.array([[0.0], [1.0], [4.0], [1000.0], [1000.0]])
    result = repeat_consistency(codes, list("aaabb"), whiten=False, n_permutations=0)
    far = 1000.0 - 5.0 / 3.0
    assert result.distance_ratio == pytest.approx((8.0 / 3.0 + 0.0) / 2 / far, rel=1e-3)


def test_repeats_are_told_from_chance():
    good = repeat_consistency(*observed(40, 3, within=[0.1] * 3, between=[1.0] * 3))
    assert good.p_value == pytest.approx(1 / 201)
    assert good.distance_ratio < 0.4 < good.null.min()
    assert good.own_nearest > 0.8 and good.own_nearest_chance == pytest.approx(2 / 119)
    blind = repeat_consistency(*observed(40, 3, within=[1.0] * 3, between=[0.0] * 3))
    assert blind.p_value > 0.05
    assert np.abs(blind.own_nearest - 2 / 119) < 4 * blind.own_nearest_error


def test_false_alarms_are_as_frequent_as_they_should_be():
    trials = [
        repeat_consistency(
            *observed(12, 3, within=[1.0, 1.0], between=[0.0, 0.0], seed=seed),
            n_permutations=39,
            random_state=seed,
        ).p_value
        for seed in range(150)
    ]
    assert 0.1 < np.mean(np.array(trials) <= 0.2) < 0.3


def test_same_seed_same_result_and_no_global_state():
    codes, star = observed(10, 3, within=[0.3], between=[1.0])
    before = np.random.get_state()[1].copy()
    first, second = (repeat_consistency(codes, star, n_permutations=20) for _ in range(2))
    np.testing.assert_array_equal(first.null, second.null)
    np.testing.assert_array_equal(np.random.get_state()[1], before)
    assert (repeat_consistency(codes, star, random_state=1).null[:20] != first.null).any()


def test_a_constant_latent_is_nan_and_no_more():
    codes, star = observed(30, 3, within=[0.1], between=[1.0])
    result = repeat_consistency(
        np.column_stack([codes, np.full(len(codes), 0.5)]), star, n_permutations=10
    )
    assert np.isfinite(result.ratio[0]) and np.isnan(result.ratio[1])
    assert np.isnan(result.intraclass_correlation[1])
    alone = repeat_consistency(codes, star, n_permutations=10)
    assert result.distance_ratio == pytest.approx(alone.distance_ratio)


def test_a_collapsed_code_is_nan():
    codes, star = np.zeros((6, 2)), [0, 0, 1, 1, 2, 2]
    result = repeat_consistency(codes, star, whiten=False, n_permutations=5)
    assert np.isnan(result.distance_ratio) and np.isnan(result.p_value)
    with pytest.raises(ValueError, match="all 6 rows are the same"):
        repeat_consistency(codes, star)


@pytest.mark.parametrize(
    ("codes", "groups", "message"),
    [
        ([[0.0], [1.0]], ["a", "a"], "one star"),
        ([[0.0], [1.0]], ["a", "b"], "star of its own"),
        ([[0.0], [NAN]], ["a", "a"], "row 1, latent 0"),
        ([[0.0], [np.inf]], ["a", "a"], "row 1, latent 0"),
        ([[0.0], [1.0]], ["a"], "2 spectra, 1 groups"),
        ([[0.0], [1.0]], [], "groups is empty"),
        ([[0.0], [1.0]], ["a", None], "no star for 1 spectra"),
    ],
)
def test_bad_repeats_are_refused(codes, groups, message):
    with pytest.raises(ValueError, match=message):
        repeat_consistency(codes, groups)


def test_outlier_score_by_hand():
    codes = [[0.0], [1.0], [3.0], [10.0]]
    np.testing.assert_allclose(outlier_score(codes, k=1, whiten=False), [1, 1, 2, 7])
    np.testing.assert_allclose(outlier_score(codes, k=2, whiten=False), [3, 2, 3, 9])
    # of other stars: 0 and 1 see 3; 3 sees 1; 10 sees 3
    score = outlier_score(codes, k=1, groups=["a", "a", "b", "c"], whiten=False)
    np.testing.assert_allclose(score, [3, 2, 2, 7])
    scaled = outlier_score(1e3 * np.array(codes), k=1)
    np.testing.assert_allclose(scaled, np.array([1, 1, 2, 7]) / np.std([0, 1, 3, 10], ddof=1))


def test_an_odd_star_observed_often_is_still_odd():
    rng = np.random.default_rng(0)
    codes = np.vstack([rng.normal(size=(200, 5)), 12.0 + 0.1 * rng.normal(size=(15, 5))])
    star = np.append(np.arange(200), np.full(15, 200))
    odd = outlier_score(codes, groups=star)
    assert odd[200:].min() > 1.3 * odd[:200].max()
    assert outlier_score(codes)[200:].max() < np.median(outlier_score(codes)[:200])


@pytest.mark.parametrize("n_odd", [1, 5, 10])
def test_a_clump_of_up_to_k_odd_spectra_is_found(n_odd):
    rng = np.random.default_rng(0)
    odd = 0.01 * rng.normal(size=(n_odd, 8))
    odd[:, 0] += 8.0
    score = outlier_score(np.vstack([rng.normal(size=(1000, 8)), odd]), k=10)
    assert score[1000:].min() > score[:1000].max()


def test_a_clump_of_more_than_k_is_not_found():
    rng = np.random.default_rng(0)
    codes = np.vstack([rng.normal(size=(200, 2)), 9.0 + 0.01 * rng.normal(size=(11, 2))])
    assert outlier_score(codes, k=10)[200:].max() < np.median(outlier_score(codes, k=10))


def test_a_redundant_or_dead_float32_latent_changes_nothing():
    codes, star = observed(100, 3, within=[0.1, 0.1], between=[1.0, 1.0])
    codes = codes.astype(np.float32)
    dead = 0.3 + 6e-8 * np.random.default_rng(0).integers(-1, 2, 300)
    plain = repeat_consistency(codes, star, n_permutations=0)
    for other in (codes.sum(axis=1, dtype=np.float32), dead.astype(np.float32)):
        more = np.column_stack([codes, other])
        result = repeat_consistency(more, star, n_permutations=0)
        assert result.distance_ratio == pytest.approx(plain.distance_ratio, rel=1e-4)
        assert result.own_nearest == plain.own_nearest


def test_neighbours_of_others_agree_with_the_matrix_of_distances():
    rng = np.random.default_rng(1)
    star = rng.integers(12, size=120)  # stars of different numbers of spectra
    for n_latents in (2, 20):  # by tree and by brute force
        codes = rng.normal(size=(120, n_latents))
        distance = np.linalg.norm(codes[:, None] - codes, axis=2)
        distance[star[:, None] == star] = np.inf
        expected = np.sort(distance, axis=1)[:, 3]
        score = outlier_score(codes, k=4, groups=star, whiten=False)
        np.testing.assert_allclose(score, expected)


def test_bad_outliers_are_refused():
    with pytest.raises(ValueError, match="only 1 spectra of others"):
        outlier_score([[0.0], [1.0], [2.0]], k=2, groups=["a", "a", "b"])
    with pytest.raises(ValueError, match="k must be an integer >= 1"):
        outlier_score([[0.0], [1.0]], k=0)
    with pytest.raises(ValueError, match="not finite"):
        outlier_score([[0.0], [NAN]], k=1)
    with pytest.raises(ValueError, match="groups is empty"):
        outlier_score([[0.0], [1.0]], k=1, groups=[])
