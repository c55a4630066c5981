import numpy as np
import pandas as pd
import pytest
from sklearn.feature_selection import mutual_info_classif, mutual_info_regression
from sklearn.metrics import mutual_info_score

from specvae.metrics import (
    histogram_mutual_information,
    ksg_mutual_information,
    latent_mutual_information,
    mutual_information_gap,
    total_correlation,
)
from specvae.metrics._bins import DEFAULT_BINS, bin_families, bin_index
from specvae.metrics._histogram_information import PairInformation, bin_columns
from specvae.metrics._permutation_null import StarPermutation, holm, permutation_test

NAN = np.nan
RNG = np.random.default_rng(0)


def normal_pair(rho, n_rows, seed=0):
    rng = np.random.default_rng(seed)
    code = rng.normal(size=n_rows)
    return code[:, None], rho * code + np.sqrt(1 - rho**2) * rng.normal(size=n_rows)


def closed_form(rho):
    return -0.5 * np.log(1 - rho**2)


# Columns whose values lie on, or next to, the edges of bins.
def lattice(rng, n_rows):
    return rng.integers(0, 161, n_rows) / 160.0


def shifted_lattice(rng, n_rows):
    low, width = rng.normal(), 10.0 ** rng.uniform(-6, 6)
    return np.linspace(low, low + width, 161)[rng.integers(0, 161, n_rows)]


def beside_edges(rng, n_rows):
    values = shifted_lattice(rng, n_rows)
    return np.nextafter(values, np.where(rng.random(n_rows) < 0.5, np.inf, -np.inf))


def few_ulps(rng, n_rows):
    return 1e6 + rng.integers(0, 40, n_rows) * np.spacing(1e6)


def tiny(rng, n_rows):
    return rng.integers(0, 9, n_rows) * 1e-300


COLUMNS = {
    "normal": lambda rng, n_rows: rng.normal(size=n_rows),
    "float32": lambda rng, n_rows: rng.normal(size=n_rows).astype(np.float32),
    "heavy tails": lambda rng, n_rows: rng.standard_cauchy(n_rows),
    "whole numbers": lambda rng, n_rows: rng.integers(-3, 12, n_rows).astype(float),
    "two values": lambda rng, n_rows: rng.integers(0, 2, n_rows) * 0.1,
    "constant": lambda rng, n_rows: np.full(n_rows, 5777.3),
    "lattice": lattice,
    "shifted lattice": shifted_lattice,
    "beside edges": beside_edges,
    "few ulps": few_ulps,
    "tiny": tiny,
}


def tables_of(code, label, bins):
    """Table of counts of each scale, from the finest of its family."""
    binned = [bin_columns(column[:, None], bins, binning="width") for column in (code, label)]
    counter = PairInformation(binned[0], len(bins))
    tables = {}
    for family, place, index in zip(
        binned[0].families, binned[0].columns, binned[1].columns, strict=True
    ):
        table = counter.joint_counts(place, index[0], family.root)[0]
        for halvings, scale in family.scales:
            n_bins, width = family.root >> halvings, 1 << halvings
            tables[scale] = table.reshape(n_bins, width, n_bins, width).sum(axis=(1, 3))
    return [tables[scale] for scale in range(len(bins))]


@pytest.mark.parametrize("kind", COLUMNS)
@pytest.mark.parametrize("bins", [DEFAULT_BINS, (7, 3, 12, 6, 24)], ids=["default", "any"])
def test_counts_are_those_of_histogram2d(kind, bins):
    for seed in range(12):
        rng = np.random.default_rng(seed)
        code = COLUMNS[kind](rng, 400)
        label = COLUMNS[list(COLUMNS)[seed % len(COLUMNS)]](rng, 400)
        for n_bins, table in zip(bins, tables_of(code, label, bins), strict=True):
            expected = np.histogram2d(code.astype(float), label.astype(float), n_bins)[0]
            np.testing.assert_array_equal(table, expected)


def test_bins_hold_their_lower_edge_and_the_last_its_upper():
    assert bin_index(np.array([0.0, 1.0, 2.0, 3.0, 4.0]), 4).tolist() == [0, 1, 2, 3, 3]


def test_families_share_powers_of_two():
    families = bin_families((5, 10, 15, 160, 30, 20))
    assert [family.root for family in families] == [160, 30]
    # 5 = 160 / 2^5 at place 0, and so on, finest first
    assert families[0].scales == ((0, 3), (3, 5), (4, 1), (5, 0))
    assert families[1].scales == ((0, 4), (1, 2))


def test_by_hand():
    # joint shares 1/2, 1/4, 1/4, 0; marginals 3/4, 1/4 and 3/4, 1/4
    codes = np.array([[0.0], [0.0], [0.0], [1.0]])
    labels = [2.0, 2.0, 9.0, 2.0]
    expected = 0.5 * np.log(0.5 / 0.5625) + 0.5 * np.log(0.25 / 0.1875)
    np.testing.assert_allclose(
        histogram_mutual_information(codes, labels, 2), [[[expected]]], atol=1e-15
    )


@pytest.mark.parametrize("binning", ["width", "frequency"])
def test_agreement_with_scikit_learn_on_the_bins(binning):
    codes, label = RNG.normal(size=(500, 3)), RNG.normal(size=500)
    codes[:, 1] = label**2
    found = histogram_mutual_information(codes, label, (8, 5), binning=binning)
    for scale, n_bins in enumerate((8, 5)):
        index = bin_columns(codes, (n_bins,), binning=binning).columns[0]
        of_label = bin_columns(label[:, None], (n_bins,), binning=binning).columns[0][0]
        expected = [mutual_info_score(of_label, code) for code in index]
        np.testing.assert_allclose(found[0, scale], expected, atol=1e-12)


def test_grassberger_is_its_formula():
    # psi(1) - log 2 = G(1), G(2) = G(1) + 2 = G(3); entropies log 4 - sum(c G(c)) / 4
    codes = np.array([[0.0], [0.0], [0.0], [1.0]])
    labels = [2.0, 2.0, 9.0, 2.0]
    g1 = -np.euler_gamma - np.log(2)
    g2 = g1 + 2
    marginal = np.log(4) - (3 * g2 + g1) / 4
    joint = np.log(4) - (2 * g2 + 2 * g1) / 4
    found = histogram_mutual_information(codes, labels, 2, estimate="grassberger")
    np.testing.assert_allclose(found, [[[2 * marginal - joint]]], atol=1e-14)


def test_weights_stand_for_repeated_rows():
    codes, labels = RNG.normal(size=(60, 2)), RNG.normal(size=(60, 2))
    times = RNG.integers(1, 5, 60)
    np.testing.assert_allclose(
        histogram_mutual_information(codes, labels, (4, 9), sample_weight=times),
        histogram_mutual_information(
            np.repeat(codes, times, axis=0), np.repeat(labels, times, axis=0), (4, 9)
        ),
        atol=1e-12,
    )


def test_rows_of_no_weight_are_left_out_of_the_range_too():
    codes, labels = RNG.normal(size=(60, 2)), RNG.normal(size=(60, 2))
    weight = np.r_[np.zeros(5), RNG.random(55)]
    for array in (codes, labels):
        array[:5] = 1e6
    np.testing.assert_array_equal(
        histogram_mutual_information(codes, labels, (4, 9), sample_weight=weight),
        histogram_mutual_information(codes[5:], labels[5:], (4, 9), sample_weight=weight[5:]),
    )
    labels[5:, 1] = NAN
    with pytest.raises(ValueError, match="column 1 of labels is known only in rows of sample_weig"):
        histogram_mutual_information(codes, labels, 4, sample_weight=weight)
    assert labels[0, 1] == 1e6


def test_missing_labels_are_left_out_of_the_range_too():
    codes, labels = RNG.normal(size=(200, 2)), RNG.normal(size=(200, 3))
    labels[:40, 1] = NAN
    codes[0] = 100.0
    found = histogram_mutual_information(codes, pd.DataFrame(labels), (6, 12))
    alone = histogram_mutual_information(codes[40:], labels[40:, 1], (6, 12))
    np.testing.assert_array_equal(found[1], alone[0])
    assert found.shape == (3, 2, 2)


def test_degenerate_columns_know_nothing():
    codes = np.column_stack([np.full(50, 0.1), RNG.normal(size=50)])
    for estimate in ("plug-in", "grassberger"):
        found = histogram_mutual_information(codes, RNG.normal(size=50), estimate=estimate)
        assert (found[0, :, 0] == 0).all() and (found[0, :, 1] != 0).all()
        assert (
            histogram_mutual_information(codes, np.full(50, 5777.3), estimate=estimate) == 0
        ).all()
    assert (ksg_mutual_information(codes, RNG.normal(size=50), random_state=0)[:, 0] == 0).all()


def test_label_with_two_values():
    code = np.r_[np.full(50, -1.0), np.full(50, 3.0)]
    found = histogram_mutual_information(code[:, None], code > 0, 20)
    np.testing.assert_allclose(found, np.log(2))
    label = (RNG.normal(size=1000) > 0) * 1.0
    codes = label[:, None] + RNG.normal(size=(1000, 1))
    np.testing.assert_allclose(
        ksg_mutual_information(codes, label, random_state=0)[0],
        mutual_info_classif(codes, label.astype(int), random_state=0),
        atol=1e-6,
    )


@pytest.mark.parametrize("rho", [0.3, -0.6, 0.9])
def test_ksg_agrees_with_the_closed_form(rho):
    codes, label = normal_pair(rho, 20_000, seed=1)
    found = ksg_mutual_information(codes, label, random_state=0)
    np.testing.assert_allclose(found, closed_form(rho), atol=0.02)


def test_ksg_agrees_with_scikit_learn():
    codes = RNG.normal(size=(600, 3))
    label = codes[:, 0] + 0.5 * RNG.normal(size=600)
    found = ksg_mutual_information(codes, label, n_neighbors=4, random_state=0)[0]
    expected = mutual_info_regression(codes, label, n_neighbors=4, random_state=0)
    np.testing.assert_allclose(np.maximum(found, 0), expected, atol=1e-6)


def test_latent_information_is_symmetric_with_entropy_on_the_diagonal():
    codes = np.column_stack([normal_pair(0.8, 20_000)[0], RNG.normal(size=20_000), np.ones(20_000)])
    codes[:, 1] = 0.8 * codes[:, 0] + 0.6 * codes[:, 1]
    found = latent_mutual_information(codes, bins=40)
    np.testing.assert_array_equal(found, found.T)
    assert found[0, 1] == pytest.approx(closed_form(0.8), abs=0.02)
    assert (found[2] == 0).all()
    width = np.ptp(codes[:, 0]) / 40
    # Entropy of a normal distribution in bins of that width.
    assert found[0, 0] == pytest.approx(0.5 * np.log(2 * np.pi * np.e) - np.log(width), abs=0.02)


def test_total_correlation_of_normal_codes():
    correlation = np.array([[1.0, 0.5, 0.2], [0.5, 1.0, -0.3], [0.2, -0.3, 1.0]])
    codes = RNG.multivariate_normal(np.zeros(3), correlation, size=50_000)
    expected = -0.5 * np.linalg.slogdet(correlation)[1]
    assert total_correlation(codes) == pytest.approx(expected, abs=0.01)
    # Any increasing map of a code leaves it as it is.
    warped = np.column_stack([np.exp(codes[:, 0]), codes[:, 1] ** 3, codes[:, 2]])
    assert total_correlation(warped) == pytest.approx(total_correlation(codes), abs=1e-9)


def test_total_correlation_of_independent_codes_is_zero_on_average():
    # Without the correction the mean would be about 10 * 9 / (4 * 60) = 0.375.
    found = [
        total_correlation(np.random.default_rng(seed).normal(size=(60, 10))) for seed in range(200)
    ]
    assert abs(np.mean(found)) < 4 * np.std(found) / np.sqrt(200) + 0.01


def test_total_correlation_of_dependent_and_constant_codes():
    codes = RNG.normal(size=(100, 2))
    for follows in (codes[:, 0], np.exp(codes[:, 0]), -codes[:, 0]):
        assert total_correlation(np.column_stack([codes, follows])) == np.inf
    # The ranks of a sum are no sum of ranks.
    assert 1 < total_correlation(np.column_stack([codes, codes.sum(axis=1)])) < 10
    with_constant = np.column_stack([codes, np.full(100, 0.1)])
    assert total_correlation(with_constant) == total_correlation(codes)
    assert total_correlation(codes[:, :1]) == 0.0
    with pytest.raises(ValueError, match="3 spectra for 2 codes that vary"):
        total_correlation(codes[:3])


def test_gap_by_hand():
    # (0.9 - 0.5) / 2, (0.1 - 0.1) / 1; a single code leads over zero
    np.testing.assert_allclose(
        mutual_information_gap([[0.5, 0.9, 0.1], [0.1, 0.0, 0.1]], [2.0, 1.0]), [0.2, 0.0]
    )
    assert mutual_information_gap([0.4, 0.1], 0.6) == pytest.approx(0.5)
    assert mutual_information_gap([[0.5]], [1.0]) == [0.5]
    # Below zero is no information: 0.3 leads over nothing, and nothing leads over nothing.
    np.testing.assert_allclose(
        mutual_information_gap([[0.3, -0.2], [-0.02, -0.05]], [1.0, 1.0]), [0.3, 0.0]
    )
    assert mutual_information_gap([[-0.02]], [1.0]) == [0.0]
    assert np.isnan(mutual_information_gap([[0.0, 0.0]], [0.0]))
    with pytest.raises(ValueError, match=r"entropy has shape \(2,\), information \(1, 2\)"):
        mutual_information_gap([[0.0, 0.0]], [0.0, 1.0])


def test_stars_of_equal_size_exchange_all_their_labels():
    star = np.repeat(np.arange(20), 3)
    permutation = StarPermutation(star, 60, np.random.default_rng(0))
    assert (permutation.kept == np.arange(60)).all() and permutation.n_stars == 20
    moved = False
    for seed in range(5):
        rows = permutation.draw(np.random.default_rng(seed))
        assert sorted(rows) == list(range(60))  # every label exactly once
        donors = star[rows].reshape(20, 3)
        assert (donors == donors[:, :1]).all()
        moved = moved or (donors[:, 0] != np.arange(20)).any()
    assert moved


def kept_of(size):
    """Rows that each star keeps, and whose label each row gets."""
    star = np.random.default_rng(0).permutation(np.repeat(np.arange(len(size)), size))
    permutation = StarPermutation(star, len(star), np.random.default_rng(0))
    kept = np.bincount(star[permutation.kept], minlength=len(size))
    assert permutation.n_stars == np.count_nonzero(kept)
    return kept.tolist(), star[permutation.kept], permutation


def test_stars_are_thinned_to_common_sizes():
    # 5, 7, 11 and 40 are 4, 6, 8 and 32 at first; those above the median of 4 are too few.
    kept, of_star, permutation = kept_of([1, 2, 3, 5, 7, 11, 40, 1, 2, 4, 6, 9])
    assert kept == [1, 2, 0, 4, 4, 4, 4, 1, 2, 4, 4, 4]  # 3 has no equal
    np.testing.assert_allclose(np.bincount(of_star, permutation.star_weight), np.sign(kept))
    rows = permutation.draw(np.random.default_rng(1))
    assert sorted(rows) == list(range(sum(kept)))
    kept = np.array(kept)
    for each in np.unique(of_star):
        assert kept[of_star[rows[of_star == each]]].tolist() == [kept[each]] * kept[each]
    # Ten stars of 5 are a stratum of their own, that of 7 joins them.
    assert kept_of([5] * 10 + [7])[0] == [5] * 11
    # Ten share 8, so that those of 20 (16 at first) go no further, nor do those of 4 below.
    assert kept_of([20] * 2 + [8] * 10 + [4] * 2)[0] == [8] * 12 + [4] * 2
    # Two stars unlike each other have no equal.
    assert kept_of([10, 290])[0] == [0, 0]


def test_permutation_p_values_by_hand():
    observed = np.array([[3.0, 0.0]])
    null = np.array([[[1.0, 1.0]], [[2.0, 2.0]], [[0.0, 3.0]]])
    # single: 0 of 3 reach 3; all of 3 reach 0
    test = permutation_test(observed, null, quantiles=[0.5], correction="none")
    np.testing.assert_allclose(test.p_single, [[1 / 4, 4 / 4]])
    np.testing.assert_allclose(test.mean, [[1.0, 2.0]])
    np.testing.assert_allclose(test.quantiles, [[[0.0, 0.0]]])
    # both columns hold 0 1 2 3, so that the third permutation ties with the observed maximum
    test = permutation_test(observed, null, quantiles=[0.5], correction="max")
    np.testing.assert_allclose(test.p_family, [[2 / 4, 4 / 4]])
    np.testing.assert_allclose(test.p_latent, [2 / 4, 4 / 4])
    test = permutation_test(observed, null, quantiles=[0.5], correction="holm")
    np.testing.assert_allclose(test.p_family, [[2 / 4, 1.0]])


def test_statistic_that_does_not_vary_has_p_value_one():
    null = np.full((9, 1, 2), 0.3) + 1e-16 * RNG.normal(size=(9, 1, 2))
    test = permutation_test(np.full((1, 2), 0.3), null, quantiles=[0.5], correction="max")
    assert (test.p_single == 1).all() and (test.p_family == 1).all()


def test_holm_by_hand():
    # 0.01 * 4, 0.02 * 3, 0.03 * 2 raised to 0.06, 0.9
    np.testing.assert_allclose(holm(np.array([0.9, 0.01, 0.03, 0.02])), [0.9, 0.04, 0.06, 0.06])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"codes": [[0.0], [NAN], [1.0]]}, "codes contains NaN"),
        ({"codes": [[0.0], [np.inf], [1.0]]}, "codes contains infinity"),
        ({"labels": [1.0, 2.0]}, "3 spectra, y has 2 rows"),
        ({"labels": [NAN] * 3}, "is NaN in all 3 rows"),
        ({"bins": 1}, "bins must be an integer >= 2"),
        ({"bins": ()}, "bins must be numbers of bins"),
        ({"bins": 2.5}, "bins must be an integer"),
        ({"binning": "equal"}, "binning must be one of 'width'"),
        ({"estimate": "naive"}, "estimate must be one of 'plug-in'"),
        ({"sample_weight": [1.0, -1.0, 1.0]}, "one number >= 0 for each"),
        ({"sample_weight": [1.0]}, "inconsistent numbers of samples"),
        ({"sample_weight": [1.0] * 3, "estimate": "grassberger"}, "takes no sample_weight"),
    ],
)
def test_bad_input_is_named(changes, message):
    arguments = {"codes": [[0.0], [2.0], [1.0]], "labels": [1.0, 2.0, 4.0], **changes}
    with pytest.raises(ValueError, match=message):
        histogram_mutual_information(**arguments)


def test_bad_input_of_neighbours_is_named():
    with pytest.raises(ValueError, match="known in 2 rows, n_neighbors=3 needs more"):
        ksg_mutual_information(np.eye(4), [1.0, 2.0, NAN, NAN])
    with pytest.raises(ValueError, match="codes contains NaN"):
        ksg_mutual_information([[NAN], [1.0]], [1.0, 2.0])
    with pytest.raises(ValueError, match="n_neighbors must be an integer >= 1"):
        ksg_mutual_information(np.eye(4), [1.0, 2.0, 3.0, 4.0], n_neighbors=0)
