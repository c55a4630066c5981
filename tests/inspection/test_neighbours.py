import numpy as np
import pandas as pd
import pytest

from specvae.inspection import nearest_spectra

NAN = np.nan
CODES = np.array([[0.0, 0.0], [0.1, 0.0], [3.0, 0.0], [3.0, 4.0]])
NAMES = ["HD 1", "HD 2", "HD 3", "HD 4"]


def test_neighbours_by_hand():
    result = nearest_spectra(CODES, [0, 3], k=2, names=NAMES)
    np.testing.assert_array_equal(result.rows, [[1, 2], [2, 1]])
    np.testing.assert_allclose(result.distances, [[0.1, 3.0], [4.0, np.hypot(2.9, 4.0)]])
    assert result.names.tolist() == [["HD 2", "HD 3"], ["HD 3", "HD 2"]]
    assert nearest_spectra(CODES, 0, k=2).names is None


def test_a_row_finds_itself_if_asked():
    result = nearest_spectra(CODES, 2, k=2, include_self=True)
    np.testing.assert_array_equal(result.rows, [[2, 1]])
    np.testing.assert_allclose(result.distances, [[0.0, 2.9]])


def test_a_row_with_copies_does_not_return_itself():
    codes = np.zeros((6, 3))
    for row in range(6):
        found = nearest_spectra(codes, row, k=5).rows[0]
        assert sorted(found) == [each for each in range(6) if each != row]


def test_codes_find_what_is_nearest():
    result = nearest_spectra(CODES, [2.9, 3.0], k=1)
    np.testing.assert_array_equal(result.rows, [[3]])
    np.testing.assert_allclose(result.distances, [[np.hypot(0.1, 1.0)]])
    several = nearest_spectra(CODES, CODES + 0.01, k=1)
    np.testing.assert_array_equal(several.rows[:, 0], np.arange(4))
    # whole numbers in two dimensions are codes
    np.testing.assert_array_equal(nearest_spectra(CODES, [[3, 4]], k=1).rows, [[3]])


def test_metrics():
    codes = np.array([[1.0, 0.0], [10.0, 1.0], [0.8, 0.8], [2.0, 0.0]])
    by_name = {
        metric: nearest_spectra(codes, 0, k=3, metric=metric)
        for metric in ("euclidean", "manhattan", "cosine")
    }
    # 0.825 against 1; 1.0 + tie broken by 0.8 + 0.2; angles 0, 6 and 45 degrees
    assert by_name["euclidean"].rows[0].tolist() == [2, 3, 1]
    np.testing.assert_allclose(by_name["manhattan"].distances, [[1.0, 1.0, 10.0]])
    assert by_name["cosine"].rows[0].tolist() == [3, 1, 2]


def test_own_star_is_left_out():
    result = nearest_spectra(CODES, [0, 2], k=1, groups=["a", "a", "b", "b"])
    np.testing.assert_array_equal(result.rows, [[2], [1]])


def test_whitening_weighs_latents_alike():
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(500, 2)) * [100.0, 1.0]
    codes[:3] = [[0.0, 0.0], [5.0, 2.0], [20.0, 0.0]]
    codes[3:, 0] += np.sign(codes[3:, 0]) * 40.0
    assert nearest_spectra(codes, 0, k=1).rows == 1
    assert nearest_spectra(codes, 0, k=1, whiten=True).rows == 2
    code = nearest_spectra(codes, codes[0] + 0.01, k=2, whiten=True)
    assert code.rows.tolist() == [[0, 2]]


@pytest.mark.parametrize("n_latents", [3, 25])
def test_agreement_with_the_matrix_of_distances(n_latents):
    codes = np.random.default_rng(0).normal(size=(300, n_latents))
    distance = np.linalg.norm(codes[:, None] - codes, axis=2)
    np.fill_diagonal(distance, np.inf)
    result = nearest_spectra(codes, np.arange(300), k=5)
    np.testing.assert_array_equal(result.rows, np.argsort(distance, axis=1)[:, :5])
    np.testing.assert_allclose(result.distances, np.sort(distance, axis=1)[:, :5])


def test_a_constant_latent_changes_nothing():
    codes = np.column_stack([CODES, np.full(4, 0.1)])
    for whiten in (False, True):
        np.testing.assert_allclose(
            nearest_spectra(codes, 0, k=3, whiten=whiten).distances,
            nearest_spectra(CODES, 0, k=3, whiten=whiten).distances,
        )


@pytest.mark.parametrize(
    ("query", "options", "message"),
    [
        (4, {}, "row 4; wanted are rows of Z, 0 to 3"),
        (-1, {}, "row -1"),
        (np.array([], dtype=int), {}, "asks for nothing"),
        ("HD 1", {}, "rows of Z, as integers, or codes"),
        (1.5, {}, "rows of Z, as integers, or codes"),
        (True, {}, "rows of Z, as integers, or codes"),
        ([1.0, 2.0, 3.0], {}, "query has 3 latents, Z 2"),
        ([NAN, 2.0], {}, "query holds 1 values that are not finite"),
        (0, {"k": 4}, "only 3 spectra of others"),
        ([0.0, 0.0], {"k": 5}, "Z has 4 spectra"),
        (0, {"k": 3, "groups": ["a", "a", "b", "b"]}, "only 2 spectra of others"),
        (0, {"k": 1, "groups": []}, "groups is empty"),
        (0, {"k": 1, "groups": ["a"]}, "4 spectra, 1 groups"),
        ([0.0, 0.0], {"k": 1, "groups": list("aabb")}, "neither with codes"),
        (0, {"k": 1, "groups": list("aabb"), "include_self": True}, "nor with include_self"),
        (0, {"k": 1, "names": ["HD 1"]}, r"names has shape \(1,\)"),
        (0, {"k": 0}, "k must be an integer >= 1"),
        (0, {"metric": "angle"}, "metric must be one of"),
    ],
)
def test_bad_queries_are_refused(query, options, message):
    with pytest.raises(ValueError, match=message):
        nearest_spectra(CODES, query, **{"k": 1} | options)


def test_latents_in_another_order_are_refused():
    codes = pd.DataFrame(CODES, columns=["a", "b"])
    named = nearest_spectra(codes, codes.iloc[3], k=1)
    assert named.rows.tolist() == nearest_spectra(codes, codes.iloc[[3]], k=1).rows.tolist()
    swapped = codes[["b", "a"]]
    for query in (swapped.iloc[[3]], swapped.iloc[3]):
        with pytest.raises(ValueError, match="query has the columns b, a, but Z a, b; give the"):
            nearest_spectra(codes, query, k=1)
    rows = pd.Series([3, 0], index=["HD 4", "HD 1"])  # rows, of which the index tells the names
    assert nearest_spectra(codes, rows, k=1).rows.tolist() == [[2], [1]]


def test_bad_codes_are_refused():
    with pytest.raises(
        ValueError, match="Z holds 1 values that are not finite, the first in row 1"
    ):
        nearest_spectra([[0.0], [NAN]], 0, k=1)
    with pytest.raises(ValueError, match="all 3 rows are the same"):
        nearest_spectra([[1.0]] * 3, 0, k=1, whiten=True)
