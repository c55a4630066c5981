"""Statistics and verdicts of apogee_labels.py."""

from types import SimpleNamespace

import numpy as np
from apogee_labels import (
    Stars,
    median_of_others,
    nearest_labels,
    order_verdict,
    verdict,
    without_offset,
)


def test_offset_of_the_other_stars():
    np.testing.assert_allclose(without_offset(np.full((4, 2), 7.0)), 0.0)
    # One star alone off: its own error does not help it.
    np.testing.assert_allclose(without_offset(np.array([3.0, 0.0, 0.0, 0.0])), [3.0, -1, -1, -1])


def test_median_leaves_the_star_out():
    labels = np.array([[1.0], [2.0], [10.0]])
    np.testing.assert_allclose(median_of_others(labels), [[6.0], [5.5], [1.5]])


def test_nearest_ignores_missing_pixels_and_weighs_errors():
    library = np.array([[1.0, 1.0, 0.2], [0.5, 0.5, 0.9]])
    flux = np.array([[1.0, np.nan, 0.9], [1.0, 1.0, 0.9]])
    error = np.array([[0.01, 0.01, 9.0], [9.0, 9.0, 0.01]])
    found = nearest_labels(Stars(flux, error, np.empty((2, 1))), library, np.array([[4.0], [5.0]]))
    np.testing.assert_array_equal(found, [[4.0], [5.0]])


def test_verdicts():
    def tests(*pairs):
        return [{"difference": difference, "p_value": p} for difference, p in pairs]

    assert verdict(tests((-1, 0.01), (-1, 0.04))) == "holds"
    assert verdict(tests((-1, 0.01), (-1, 0.5))) == "cannot be told here"
    assert verdict(tests((-1, 0.01), (1, 0.01))) == "fails"
    assert verdict(tests((1, 0.5), (1, 0.5))) == "fails"
    ordered, not_ordered = (
        SimpleNamespace(statistic=0.8, pvalue=0.001),
        SimpleNamespace(statistic=-0.8, pvalue=0.001),
    )
    assert order_verdict([ordered, ordered]) == "holds"
    assert order_verdict([ordered, not_ordered]) == "cannot be told here"
    assert order_verdict([not_ordered, not_ordered]) == "fails"
