import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import cdist

from specvae.metrics import swap_error, twin_rank, whiten_codes

NAN = np.nan


def pairs(n_pairs, n_latents, *, noise, seed=0):
    """Codes of twins in neighbouring rows, and the row of each one's twin."""
    rng = np.random.default_rng(seed)
    codes = np.repeat(rng.normal(size=(n_pairs, n_latents)), 2, axis=0)
    return codes + noise * rng.normal(size=codes.shape), np.arange(2 * n_pairs) ^ 1


def ranks_by_hand(codes, twin, metric):
    distance = cdist(codes, codes, metric)
    np.fill_diagonal(distance, np.inf)
    of_twin = distance[np.arange(len(codes)), twin]
    return (distance < of_twin[:, None]).sum(axis=1)


@pytest.mark.parametrize(("metric", "name"), [("euclidean",) * 2, ("manhattan", "cityblock")])
def test_ranks_agree_with_the_matrix_of_distances(metric, name):
    codes, twin = pairs(150, 4, noise=0.4)
    result = twin_rank(codes, twin, metric=metric)
    expected = ranks_by_hand(codes, twin, name)
    assert expected.max() > 20
    np.testing.assert_array_equal(result.ranks, expected)
    np.testing.assert_array_equal(result.n_nearest, [1, 1, 3])
    for fraction, k in zip(result.fractions, result.n_nearest, strict=True):
        assert fraction == pytest.approx((expected < k).mean())
    np.testing.assert_allclose(result.chance, np.array([1, 1, 3]) / 299)


def test_a_perfect_code_finds_every_twin():
    codes, twin = pairs(1000, 14, noise=0.0)
    result = twin_rank(codes, twin)
    assert (result.ranks == 0).all()
    np.testing.assert_array_equal(result.fractions, 1.0)
    np.testing.assert_array_equal(result.standard_error, 0.0)


def test_noise_is_left_to_chance():
    codes = np.random.default_rng(0).normal(size=(2000, 6))
    result = twin_rank(codes, np.arange(2000) ^ 1, thresholds=[0.0, 0.01, 0.1, 0.5])
    np.testing.assert_allclose(result.chance[1:], [0.01, 0.1, 0.5], rtol=0.01)
    assert (np.abs(result.fractions - result.chance) < 4 * result.standard_error + 0.002).all()


def test_a_collapsed_code_finds_nobody():
    result = twin_rank(np.full((300, 3), 0.1), np.arange(300) ^ 1)
    assert (result.ranks == 298).all()
    np.testing.assert_array_equal(result.fractions, 0.0)


def test_a_tie_counts_against_the_twin():
    # from 0 the twin is at 1, and so is the star at -1
    result = twin_rank([[0.0], [1.0], [-1.0], [9.0]], [1, 0, -1, -1])
    np.testing.assert_array_equal(result.ranks, [1, 0, -1, -1])


def test_stars_without_a_twin_only_compete():
    codes = [[0.0], [1.0], [0.5], [0.6]]
    result = twin_rank(codes, [1, 0, -1, -1], thresholds=[0.0, 1.0])
    np.testing.assert_array_equal(result.ranks, [2, 2, -1, -1])
    np.testing.assert_array_equal(result.fractions, [0.0, 1.0])
    assert result.n_others == 3


def test_error_bars_count_pairs():
    # pairs found by 1, 1/2 and 0 of their stars
    codes = [[0.0], [0.1], [10.0], [13.0], [15.0], [30.0], [27.0], [4.0]]
    result = twin_rank(codes, [1, 0, 3, 2, 5, 4, -1, -1], thresholds=[0.0])
    np.testing.assert_array_equal(result.ranks, [0, 0, 0, 1, 6, 1, -1, -1])
    np.testing.assert_allclose(result.fractions, [0.5])
    np.testing.assert_allclose(result.standard_error, [0.5 / np.sqrt(3)])


@pytest.mark.parametrize("noise", [0.3, 3.0])
def test_the_cap_changes_no_rank_below_it(noise):
    codes, twin = pairs(5_500, 3, noise=noise)  # more than the scouts
    full, capped = twin_rank(codes, twin), twin_rank(codes, twin, max_rank=120)
    assert (full.ranks > 120).any() and (full.ranks < 120).any()
    np.testing.assert_array_equal(capped.ranks, np.minimum(full.ranks, 120))
    np.testing.assert_array_equal(capped.fractions, full.fractions)


def test_whitening_undoes_scale_and_correlation():
    codes, twin = pairs(200, 3, noise=0.1)
    mixed = codes @ np.array([[100.0, 1.0, 0.0], [0.0, 1.0, 0.1], [0.0, 0.0, 0.01]]) + 7.0
    plain = twin_rank(mixed, twin)
    np.testing.assert_array_equal(
        twin_rank(mixed, twin, whiten=True).ranks, twin_rank(codes, twin, whiten=True).ranks
    )
    assert twin_rank(mixed, twin, whiten=True).fractions[0] > plain.fractions[0] + 0.1


def test_one_percent_is_seven_of_seven_hundred():
    codes, twin = pairs(351, 2, noise=0.1)
    with_one_alone = np.append(twin[:-2], [-1])
    assert twin_rank(codes[:701], with_one_alone, thresholds=[0.01]).n_nearest == [7]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"codes": [[0.0], [NAN], [1.0], [2.0]]}, "codes holds 1 values .* row 1, latent 0"),
        ({"codes": [0.0, 1.0, 2.0, 3.0]}, "2D"),
        ({"twin": [1, 0, 3]}, r"4 row numbers.*shape \(3,\)"),
        ({"twin": [1.0, 0.0, 3.0, 2.0]}, "float64"),
        ({"twin": [1, 0, 3, 3]}, "twin of row 3 is 3"),
        ({"twin": [1, 0, 3, 4]}, "twin of row 3 is 4"),
        ({"twin": [-1, -1, -1, -1]}, "without any twin"),
        ({"metric": "cosine"}, "metric must be one of"),
        ({"thresholds": [2.0]}, "from 0 to 1"),
        ({"thresholds": []}, "from 0 to 1"),
        ({"max_rank": 0}, "max_rank must be an integer >= 1"),
    ],
)
def test_bad_ranks_are_refused(change, message):
    arguments = {"codes": [[0.0], [1.0], [5.0], [7.0]], "twin": [1, 0, 3, 2]} | change
    with pytest.raises(ValueError, match=message):
        twin_rank(arguments.pop("codes"), arguments.pop("twin"), **arguments)


def test_whitened_codes_are_uncorrelated():
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(500, 3)) @ rng.normal(size=(3, 3)) + [5.0, -3.0, 1e4]
    white = whiten_codes(codes)
    np.testing.assert_allclose(np.cov(white.T), np.eye(3), atol=1e-9)
    # of a part, in the units of the whole: the Mahalanobis distance
    inverse = np.linalg.inv(np.cov(codes.T))
    step = codes[0] - codes[1]
    part = whiten_codes(codes[:2], reference=codes)
    assert np.sum((part[0] - part[1]) ** 2) == pytest.approx(step @ inverse @ step)


def test_whitening_leaves_out_what_does_not_vary():
    rng = np.random.default_rng(0)
    one = rng.normal(size=400)
    codes = np.column_stack([one, np.full(400, 0.1), 3.0 * one, rng.normal(size=400) * 1e-6])
    assert whiten_codes(codes).shape == (400, 2)
    with pytest.raises(ValueError, match=r"all 3 rows are the same.*whiten=False"):
        whiten_codes([[0.1, 2.0]] * 3)
    with pytest.raises(ValueError, match="4 latents, reference 2"):
        whiten_codes(codes, reference=codes[:, :2])


@pytest.mark.parametrize("converted", [np.float32, np.float64])
def test_whitening_leaves_out_the_rounding_of_a_network(converted):
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(2000, 2)).astype(np.float32)
    repeated = codes.sum(axis=1, dtype=np.float32)
    dead = np.float32(0.3) + np.spacing(np.float32(0.3)) * rng.integers(-2, 3, 2000)
    more = np.column_stack([codes, repeated, dead]).astype(np.float32).astype(converted)
    assert whiten_codes(more).shape == (2000, 2)
    assert whiten_codes(codes * np.float32(1e-6)).shape == (2000, 2)  # small, and no rounding
    with pytest.raises(ValueError, match="all 2000 rows are the same to rounding"):
        whiten_codes(more[:, 3:])


def test_whitening_goes_by_names():
    codes = pd.DataFrame(np.random.default_rng(0).normal(size=(9, 2)), columns=["a", "b"])
    with pytest.raises(ValueError, match="reference has the columns b, a, but codes a, b"):
        whiten_codes(codes, reference=codes[["b", "a"]])


def test_ranks_of_float32_codes_count_ties():
    codes, twin = pairs(60, 3, noise=0.1)
    codes = codes.astype(np.float32)
    expected = twin_rank(codes.astype(np.float64), twin).ranks
    np.testing.assert_array_equal(twin_rank(codes, twin).ranks, expected)


# Two pairs of twins in neighbouring rows.
TWIN = np.array([1, 0, 3, 2])
TRUTH = np.array([[1.0, 0.5, NAN], [1.0, 0.7, 0.4], [1.0, 0.9, 0.8], [1.0, 0.9, 0.8]])
SWAPPED = np.array([[1.0, 0.7, 9.0], [1.0, 0.5, 0.4], [1.0, 0.6, 0.5], [1.0, 0.9, 0.8]])


def test_swap_error_by_hand():
    result = swap_error(SWAPPED, TRUTH, TWIN, reconstruction=np.nan_to_num(TRUTH))
    # missing pixels count neither as errors nor as pixels
    np.testing.assert_allclose(result.by_spectrum, [0.04 / 2, 0.04 / 3, 0.18 / 3, 0.0], atol=1e-15)
    of_pair = np.array([(0.02 + 0.04 / 3) / 2, 0.03])
    assert result.score == pytest.approx(of_pair.mean())
    assert result.standard_error == pytest.approx(of_pair.std(ddof=1) / np.sqrt(2))
    assert result.n_pairs == 2
    assert result.own_code == 0.0
    assert result.excess == pytest.approx(result.score)
    assert result.excess_standard_error == pytest.approx(result.standard_error)


def test_constant_in_place_of_a_swap_by_hand():
    result = swap_error(SWAPPED, TRUTH, TWIN, error="absolute")
    # mean spectrum: 0.75, and (0.4 / 2 + 0.8) / 1.5 where a row of the first pair is missing
    third = np.abs([0.4 - 2 / 3, 0.8 - 2 / 3, 0.8 - 2 / 3])
    expected = [0.25 / 2, *((np.array([0.05, 0.15, 0.15]) + third) / 3)]
    np.testing.assert_allclose(result.constant_by_spectrum, expected)
    assert result.own_code is None and result.excess is None


def test_swap_error_bars_count_pairs_not_rows():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(100, 5))
    wrong = truth + np.repeat(rng.normal(size=(50, 1)), 2, axis=0)  # twins err alike
    twin = np.arange(100) ^ 1
    result = swap_error(wrong, truth, twin)
    error = result.by_spectrum[::2]
    assert result.n_pairs == 50
    assert result.standard_error == pytest.approx(error.std(ddof=1) / np.sqrt(50))
    shuffled = rng.permutation(100)
    place = np.argsort(shuffled)
    again = swap_error(wrong[shuffled], truth[shuffled], place[twin[shuffled]])
    assert again.n_pairs == 50
    assert again.standard_error == pytest.approx(result.standard_error)


def test_spectra_of_two_stars_are_one_pair():
    # star a in rows 0 and 1, its twin b in 2 and 3; row 4 borrows from a as well
    truth = np.random.default_rng(0).random((6, 4))
    twin = [2, 3, 0, 1, 5, 4]
    assert swap_error(truth, truth, twin).n_pairs == 3
    assert swap_error(truth, truth, twin, groups=list("aabbcd")).n_pairs == 2
    assert swap_error(truth, truth, [2, 3, 0, 1, 0, 4], groups=list("aabbcd")).n_pairs == 1


def test_a_perfect_swap_costs_nothing_and_a_constant_one_is_the_baseline():
    truth = np.random.default_rng(0).random((20, 50))
    twin = np.arange(20) ^ 1
    assert swap_error(truth, truth, twin, reconstruction=truth).excess == 0.0
    constant = np.broadcast_to(truth.mean(axis=0), truth.shape)
    result = swap_error(constant, truth, twin)
    assert result.score == pytest.approx(result.constant)
    assert result.score == pytest.approx(truth.var(axis=0).mean())


def test_a_single_pair_has_no_error_bar():
    result = swap_error(SWAPPED[:2], TRUTH[:2], TWIN[:2])
    assert np.isnan(result.standard_error) and result.n_pairs == 1


def test_masked_pixels_are_missing():
    filled = np.ma.array(np.where(np.isnan(TRUTH), 1e6, TRUTH), mask=np.isnan(TRUTH))
    assert swap_error(SWAPPED, filled, TWIN).score == swap_error(SWAPPED, TRUTH, TWIN).score


def test_bad_swaps_are_refused():
    with pytest.raises(ValueError, match=r"swapped has shape \(2, 3\); wanted .* \(4, 3\)"):
        swap_error(SWAPPED[:2], TRUTH, TWIN)
    with pytest.raises(ValueError, match=r"reconstruction holds 1 values .* row 1"):
        swap_error(SWAPPED, TRUTH, TWIN, reconstruction=np.where(TRUTH == 0.7, NAN, TRUTH))
    with pytest.raises(ValueError, match="spectrum 1 of truth has no valid pixel"):
        swap_error([[1.0], [1.0]], [[1.0], [NAN]], [1, 0])
    with pytest.raises(ValueError, match="truth contains infinity, first in row 0 at pixel 0"):
        swap_error([[1.0]], [[np.inf]], [0])
    with pytest.raises(ValueError, match="groups is empty"):
        swap_error(SWAPPED, TRUTH, TWIN, groups=[])
    with pytest.raises(ValueError, match="error must be one of"):
        swap_error(SWAPPED, TRUTH, TWIN, error="l1")
    with pytest.raises(ValueError, match="twin of row 2 is -1; leave out stars without a twin"):
        swap_error(SWAPPED, TRUTH, [1, 0, -1, -1])
    with pytest.raises(ValueError, match="twin must be 4 row numbers, one for each row"):
        swap_error(SWAPPED, TRUTH, TWIN[:2])
