import numpy as np
import pandas as pd
import pytest
from _unsupervised_probe_claims import informed, mixing_worsens, similar
from _unsupervised_probe_join import count_join, join_as_published, join_by_position
from _unsupervised_probe_report import implied_rms, weighted_mad

LABELS = pd.DataFrame({"teff_k": [0.0, 1.0, 2.0, 3.0, 4.0]})
TRAIN = np.array([0, 2, 3])
CODES = np.array([[10.0], [12.0], [13.0]])  # ten more than their row


def test_by_position_each_code_meets_its_own_label():
    codes, labels = join_by_position(LABELS, TRAIN, CODES)
    np.testing.assert_array_equal(codes - labels, np.full((3, 1), 10.0))


def test_published_join_pairs_the_kth_code_with_row_k():
    codes, labels = join_as_published(LABELS, TRAIN, CODES)
    # Rows 0 and 2 are training rows and below three; code 2 is that of row 3.
    np.testing.assert_array_equal(labels, [[0.0], [2.0]])
    np.testing.assert_array_equal(codes, [[10.0], [13.0]])


def test_count_join():
    counts = count_join(LABELS, TRAIN, groups=np.array([7, 7, 8, 8, 9]))
    assert counts == (3, 2, 1, 2)


def test_published_join_is_right_where_nothing_is_left_out():
    counts = count_join(LABELS, np.arange(5), groups=np.arange(5))
    assert counts == (5, 5, 5, 5)


def test_weighted_mad():
    values = np.array([[0.0], [1.0], [2.0], [10.0]])
    assert weighted_mad(values, np.ones(4)).tolist() == [1.0]
    # Half of the weight lies on 10, from which at least half of the weight is then 0 away.
    assert weighted_mad(values, np.array([1.0, 1.0, 1.0, 9.0])).tolist() == [0.0]


@pytest.mark.parametrize(
    ("ratios", "p_values", "verdict"),
    [
        ([0.4, 0.5], [0.001, 0.001], "fails"),
        ([0.4, 0.5], [0.001, 0.2], "cannot be told here"),
        ([0.4, 0.8], [0.001, 0.001], "cannot be told here"),
        ([1.1, 0.96], [0.001, 1.0], "holds"),
    ],
)
def test_informed(ratios, p_values, verdict):
    assert informed(ratios, p_values) == verdict


@pytest.mark.parametrize(
    ("errors", "p", "verdict"),
    [
        ([978.0, 1017.0], 0.001, "holds"),
        ([300.0, 400.0], 0.001, "fails"),
        ([300.0, 400.0], 0.5, "cannot be told here"),
    ],
)
def test_similar(errors, p, verdict):
    assert similar(errors, p) == verdict


@pytest.mark.parametrize(
    ("changes", "p_values", "verdict"),
    [
        ([0.2, 0.0], [0.001, 1.0], "holds"),
        ([-0.2, 0.0], [0.001, 1.0], "fails"),
        ([-0.2, 0.2], [0.001, 0.001], "cannot be told here"),
        ([-0.2, 0.2], [0.2, 0.2], "cannot be told here"),
    ],
)
def test_mixing_worsens(changes, p_values, verdict):
    assert mixing_worsens(changes, p_values) == verdict


def test_implied_rms_of_teff():
    # 978 K with a scatter of 13 K times the root of 8,436.
    assert implied_rms(0) == pytest.approx(np.hypot(978.0, 1194.0), rel=1e-3)
