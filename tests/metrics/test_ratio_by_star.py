import numpy as np
import pytest

from specvae.metrics import ratio_by_star, rvis
from specvae.spectra import WavelengthGrid

NAN = np.nan


def test_ratio_by_hand():
    # Means 3 and 6; residuals a - b / 2 of the stars: 0, 1, -1.
    result = ratio_by_star([1.0, 5.0, 3.0], [2.0, 8.0, 8.0])
    assert result.ratio == 0.5
    assert result.standard_error == pytest.approx(np.sqrt(2 / (3 * 2)) / 6)
    assert result.n_stars == 3


def test_spectra_of_a_star_are_averaged_first():
    by_star = ratio_by_star([1.0, 5.0, 3.0], [2.0, 8.0, 8.0])
    result = ratio_by_star(
        [0.0, 2.0, 5.0, 3.0, NAN], [1.0, 3.0, 8.0, 8.0, 1.0], ["a", "a", "b", "c", "d"]
    )
    assert result == pytest.approx(by_star)


def test_error_is_the_scatter_over_many_samples():
    rng = np.random.default_rng(0)
    below = rng.gamma(9.0, size=(2000, 50))
    above = 0.4 * below + rng.normal(scale=0.3, size=below.shape)
    results = [ratio_by_star(a, b) for a, b in zip(above, below, strict=True)]
    scatter = np.std([result.ratio for result in results])
    assert np.mean([result.standard_error for result in results]) == pytest.approx(scatter, rel=0.1)


def test_ratio_is_that_of_the_intervention_score():
    grid = WavelengthGrid(6050.0, 0.05, 400)
    flux = 1.0 + 0.1 * np.random.default_rng(0).normal(size=(6, 400)).cumsum(axis=1) / 20
    groups = [0, 0, 0, 1, 1, 2]
    score = rvis(grid, flux, [0.9 * flux], [5.0], window_aa=(6052.0, 6068.0), groups=groups)
    result = ratio_by_star(score.by_spectrum, score.do_nothing_by_spectrum, groups)
    assert result.ratio == pytest.approx(score.ratio)
    assert result.n_stars == score.n_stars == 3


def test_one_star_has_no_error():
    assert np.isnan(ratio_by_star([1.0, 2.0], [2.0, 2.0], ["a", "a"]).standard_error)


def test_nothing_to_divide_by_is_unknown():
    result = ratio_by_star([1.0, 2.0], [0.0, 0.0])
    assert np.isnan(result.ratio)
    assert np.isnan(result.standard_error)


def test_bad_pairs_are_refused():
    with pytest.raises(ValueError, match="denominator has 1 values, numerator 2"):
        ratio_by_star([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="none is known"):
        ratio_by_star([1.0, NAN], [NAN, 1.0])
