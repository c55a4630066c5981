import numpy as np
import pandas as pd
import pytest

from specvae.metrics import running_median
from specvae.plotting import plot_latent_label, plot_latent_pair

CODES = np.array([[0.0, 1.0, 9.0], [1.0, 2.0, 8.0], [2.0, 3.0, 7.0]])
TEFF_K = np.array([4000.0, np.nan, 6000.0])


@pytest.fixture
def ax():
    return pytest.importorskip("matplotlib.figure").Figure().subplots()


def test_pair_is_coloured_by_the_label(ax):
    assert plot_latent_pair(CODES, TEFF_K, ax, latents=(0, 2), label="teff_k") is ax
    unknown = ax.lines[0]
    np.testing.assert_array_equal(unknown.get_xydata(), [[1.0, 8.0]])
    scale, points = ax.collections
    np.testing.assert_array_equal(points.get_offsets(), [[0.0, 9.0], [2.0, 7.0]])
    np.testing.assert_allclose(points.get_facecolors(), scale.to_rgba([4000.0, 6000.0]))
    assert scale.get_cmap().name == "viridis"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("latent0 (code units)", "latent2 (code units)")
    bar = ax.figure.axes[1]
    assert bar.get_ylabel() == "Teff (K)"
    # As far as colours are used: the yellow end of the map is not.
    np.testing.assert_allclose(bar.get_ylim(), (4000.0, 6000.0))
    assert points.get_facecolors()[1, 0] < 0.8


def test_latents_are_chosen_by_name(ax):
    codes = pd.DataFrame(CODES, columns=["teff_k", "latent0", "latent1"])
    plot_latent_pair(codes, TEFF_K, ax, latents=("latent1", "teff_k"))
    np.testing.assert_array_equal(ax.collections[1].get_offsets(), [[9.0, 0.0], [7.0, 2.0]])
    # A label's name in the code is in code units, not in Kelvin.
    assert ax.get_ylabel() == "teff_k (code units)"


def test_limits_of_the_colours_are_the_users(ax):
    plot_latent_pair(CODES, TEFF_K, ax, limits=(5000.0, 7000.0))
    np.testing.assert_allclose(ax.figure.axes[1].get_ylim(), (5000.0, 7000.0))


def test_equal_and_unknown_labels_are_drawn(ax):
    plot_latent_pair(CODES, np.full(3, 5000.0), ax)
    assert len(ax.collections[1].get_offsets()) == 3
    other = ax.figure.add_subplot()
    plot_latent_pair(CODES, np.full(3, np.nan), other)
    assert len(other.lines[0].get_xdata()) == 3


def test_latent_over_label_with_its_median(ax):
    label = np.arange(40.0)
    codes = np.column_stack([label, -label])
    running = running_median(label, codes[:, 1], share=0.5)
    assert plot_latent_label(codes, label, ax, latent=1, running=running, label="rv_kms") is ax
    points, _, median = ax.lines
    np.testing.assert_array_equal(points.get_xydata(), np.column_stack([label, -label]))
    np.testing.assert_array_equal(median.get_xdata(), running.position)
    np.testing.assert_array_equal(median.get_ydata(), running.median)
    corners = ax.collections[0].get_paths()[0].vertices
    assert corners[:, 1].min() == running.low.min()
    assert corners[:, 1].max() == running.high.max()
    assert ax.get_xlabel() == "radial velocity (km/s)"
    assert ax.get_ylabel() == "latent1 (code units)"
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["central 50 %", "running median"]


def test_latent_over_label_without_a_median(ax):
    plot_latent_label(CODES, TEFF_K, ax)
    assert len(ax.lines) == 1
    assert ax.get_legend() is None


def test_wrong_latents_are_refused(ax):
    with pytest.raises(ValueError, match="no latent 3; latents are latent0 to latent2, or 0 to 2"):
        plot_latent_label(CODES, TEFF_K, ax, latent=3)
    with pytest.raises(ValueError, match="no latent 'rv_kms'"):
        plot_latent_pair(CODES, TEFF_K, ax, latents=("rv_kms", 1))
    with pytest.raises(ValueError, match=r"values has shape \(2,\), codes 3 rows"):
        plot_latent_label(CODES, TEFF_K[:2], ax)
    with pytest.raises(ValueError, match=r"limits must be \(low, high\)"):
        plot_latent_pair(CODES, TEFF_K, ax, limits=(5.0, 5.0))
    with pytest.raises(ValueError, match=r"codes has shape \(3,\)"):
        plot_latent_label(CODES[:, 0], TEFF_K, ax)
