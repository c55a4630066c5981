from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from specvae.estimators import MADSelector
from specvae.plotting import plot_activity


@pytest.fixture
def ax():
    return pytest.importorskip("matplotlib.figure").Figure().subplots()


def selected(mads, threshold, names=None):
    result = SimpleNamespace(
        mads_=np.array(mads), threshold_=threshold, get_support=lambda: np.array(mads) > threshold
    )
    if names:
        result.feature_names_in_ = np.array(names, dtype=object)
    return result


def points(ax):
    return {line.get_label(): line for line in ax.lines}


def test_stems_stand_for_the_deviations(ax):
    assert plot_activity(selected([0.5, 0.004, 0.2], 0.02), ax) is ax
    drawn = points(ax)
    kept, left_out = drawn["2 kept"], drawn["1 left out"]
    np.testing.assert_array_equal(kept.get_xydata(), [[0, 0.5], [2, 0.2]])
    np.testing.assert_array_equal(left_out.get_xydata(), [[1, 0.004]])
    # Full and hollow: told apart without colour.
    assert kept.get_markerfacecolor() == kept.get_color()
    assert left_out.get_markerfacecolor() == "w"
    stems = [stem for each in ax.collections for stem in each.get_segments()]
    np.testing.assert_allclose(sorted(stem[1, 1] for stem in stems), [0.004, 0.2, 0.5])
    assert ax.get_ylim()[0] == pytest.approx(0.001)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("latent", "MAD (code units)")
    assert ax.get_yscale() == "log"
    assert ax.get_title() == ""


def test_threshold_is_a_line(ax):
    plot_activity(selected([0.5, 0.004], 0.025), ax)
    assert set(points(ax)["threshold 0.025"].get_ydata()) == {0.025}


def test_sorted_stems_keep_their_numbers(ax):
    plot_activity(selected([0.5, 0.004, 0.7], 0.02), ax, order="size")
    np.testing.assert_array_equal(points(ax)["2 kept"].get_ydata(), [0.7, 0.5])
    assert [text.get_text() for text in ax.get_xticklabels()] == ["2", "0", "1"]
    assert ax.get_xlabel() == "latent, by size"


def test_names_of_latents_are_written(ax):
    plot_activity(selected([0.5, 0.004], 0.02, ["rv_kms", "latent0"]), ax)
    assert [text.get_text() for text in ax.get_xticklabels()] == ["rv_kms", "latent0"]


def test_deviation_of_zero_is_a_cross_on_the_logarithmic_scale(ax):
    plot_activity(selected([0.5, 0.0, 0.1], 0.0), ax)
    drawn = points(ax)
    assert drawn["no spread"].get_xdata().tolist() == [1]
    assert drawn["no spread"].get_marker() == "x"
    assert drawn["1 left out"].get_xdata().tolist() == []
    assert not any(name.startswith("threshold") for name in drawn)


def test_linear_scale_shows_zero(ax):
    plot_activity(selected([0.5, 0.0], 0.0), ax, scale="linear")
    drawn = points(ax)
    np.testing.assert_array_equal(drawn["1 left out"].get_xydata(), [[1, 0.0]])
    assert ax.get_ylim()[0] < 0.0
    assert "threshold 0" in drawn
    assert ax.get_yscale() == "linear"


def test_all_collapsed_is_drawn(ax):
    plot_activity(selected([0.0, 0.0], 0.02), ax)
    assert points(ax)["no spread"].get_xdata().tolist() == [0, 1]


def test_fitted_selector_is_drawn(ax):
    codes = np.random.default_rng(0).normal(size=(200, 3)) * [1.0, 0.001, 0.3]
    selector = MADSelector().fit(pd.DataFrame(codes, columns=["a", "b", "c"]))
    plot_activity(selector, ax)
    np.testing.assert_array_equal(points(ax)["2 kept"].get_ydata(), selector.mads_[[0, 2]])


def test_unknown_order_is_refused(ax):
    with pytest.raises(ValueError, match="order must be one of 'latent', 'size'"):
        plot_activity(selected([0.5], 0.02), ax, order="name")
    with pytest.raises(ValueError, match="scale must be one of"):
        plot_activity(selected([0.5], 0.02), ax, scale="sqrt")
