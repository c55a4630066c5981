from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from specvae.model_selection import MutualInfoScorer
from specvae.plotting import plot_information


@pytest.fixture
def figure():
    return pytest.importorskip("matplotlib.figure").Figure()


def fitted(**changes):
    """Two labels, two scales, three latents; latent 1 knows Teff, latent 2 a little of rv."""
    corrected = np.array([[[0.0, 0.9, 0.1], [-0.1, 0.6, 0.1]], [[0.0, 0.0, 0.3], [0.0, 0.0, 0.2]]])
    p_corrected = np.ones((2, 2, 3))
    p_corrected[0, :, 1] = 0.01
    p_corrected[0, 0, 2] = 0.04  # at one scale, but not over all scales
    p_corrected[1, 1, 2] = 0.03
    parts = {
        "mi_corrected_": corrected,
        "mi_": corrected + 0.5,
        "p_corrected_": p_corrected,
        "p_latent_": np.array([[1.0, 0.01, 0.08], [1.0, 1.0, 0.04]]),
        "bins_": (5, 10),
        "label_names_in_": np.array(["teff_k", "rv_kms"], dtype=object),
        "normalized_view": lambda: corrected / corrected.max(axis=2, keepdims=True),
    }
    return SimpleNamespace(**(parts | changes))


def marks(ax):
    """Cells that carry a mark, by its colour."""
    return {
        line.get_color(): line.get_xydata().astype(int).tolist()
        for line in ax.lines
        if len(line.get_xdata())
    }


def test_maps_show_information_in_nats(figure):
    axes = figure.subplots(2)
    result = fitted()
    assert plot_information(result, axes) is axes
    for ax, wanted, top in zip(axes, result.mi_corrected_, (0.9, 0.3), strict=True):
        (image,) = ax.images
        np.testing.assert_array_equal(image.get_array(), wanted)
        assert image.get_clim() == (0.0, top)
        assert [text.get_text() for text in ax.get_yticklabels()] == ["5", "10"]
    assert [ax.get_ylabel() for ax in axes] == ["Teff\nbins", "radial velocity\nbins"]
    assert [ax.get_xlabel() for ax in axes] == ["", "latent"]
    bars = figure.axes[2:]
    assert [bar.get_ylabel() for bar in bars] == ["MI (nats)\nmarks: p < 0.05"] * 2


def test_significant_cells_are_marked(figure):
    axes = figure.subplots(2)
    plot_information(fitted(), axes)
    # (latent, scale): black on the light cell of 0.9, and on that of 0.6 of 0.9.
    assert marks(axes[0]) == {"black": [[1, 0], [1, 1]]}
    assert marks(axes[1]) == {"black": [[2, 1]]}
    strict = figure.subplots(2)
    plot_information(fitted(), strict, alpha=0.02)
    assert marks(strict[0]) == {"black": [[1, 0], [1, 1]]}
    assert marks(strict[1]) == {}


def test_mark_on_a_dark_cell_is_white(figure):
    axes = figure.subplots(2)
    plot_information(fitted(), axes, shared_scale=True)
    assert marks(axes[1]) == {"white": [[2, 1]]}
    assert axes[0].images[0].get_clim() == axes[1].images[0].get_clim() == (0.0, 0.9)
    assert len(figure.axes) == 3  # one bar


def test_one_label_takes_one_axes(figure):
    for label in ("rv_kms", 1, ["rv_kms"]):
        ax = figure.subplots()
        assert plot_information(fitted(), ax, labels=label) is ax
        np.testing.assert_array_equal(ax.images[0].get_array(), fitted().mi_corrected_[1])


def test_other_values_on_request(figure):
    ax = figure.subplots()
    plot_information(fitted(), ax, labels=0, values="plug-in")
    np.testing.assert_array_equal(ax.images[0].get_array(), fitted().mi_[0])
    assert figure.axes[1].get_ylabel().startswith("plug-in MI (nats)")
    figure.clear()
    ax = figure.subplots()
    plot_information(fitted(), ax, labels=0, values="normalized")
    np.testing.assert_allclose(ax.images[0].get_array().max(axis=1), 1.0)
    assert figure.axes[1].get_ylabel().startswith("MI / row's largest")


def test_names_stand_below_the_lowest_map(figure):
    names = np.array(["a", "b", "c"], dtype=object)
    axes = figure.subplots(2)
    plot_information(fitted(feature_names_in_=names), axes)
    assert [text.get_text() for text in axes[1].get_xticklabels()] == ["a", "b", "c"]
    assert [text.get_text() for text in axes[0].get_xticklabels()] == [""] * 3


def test_many_latents_get_narrow_marks(figure):
    shape = (1, 1, 128)
    result = fitted(
        mi_corrected_=np.zeros(shape),
        mi_=np.zeros(shape),
        p_corrected_=np.zeros(shape),
        p_latent_=np.zeros((1, 128)),
        bins_=(),
        label_names_in_=np.array(["teff_k"]),
    )
    ax = plot_information(result, figure.subplots())
    assert len(marks(ax)["white"]) == 128
    assert ax.lines[0].get_marker() == "|"
    assert ax.lines[0].get_markeredgewidth() < 1.0
    # One scale, of neighbours.
    assert [text.get_text() for text in ax.get_yticklabels()] == ["KSG"]
    assert ax.get_ylabel() == "Teff"


def test_fitted_scorer_is_drawn(figure):
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(300, 4))
    labels = pd.DataFrame({"teff_k": codes[:, 2], "mh_dex": rng.normal(size=300)})
    scorer = MutualInfoScorer((5, 10), n_permutations=60, random_state=0).fit(codes, labels)
    axes = plot_information(scorer, figure.subplots(2))
    marked = {latent for cells in marks(axes[0]).values() for latent, _ in cells}
    assert 2 in marked
    np.testing.assert_array_equal(axes[1].images[0].get_array(), scorer.mi_corrected_[1])
    axes = plot_information(scorer, figure.subplots(2), values="normalized")
    np.testing.assert_array_equal(axes[0].images[0].get_array(), scorer.normalized_view()[0])


def test_labels_without_names_are_numbered(figure):
    result = fitted()
    del result.label_names_in_
    axes = plot_information(result, figure.subplots(2))
    assert axes[1].get_ylabel() == "label1\nbins"


def test_wrong_labels_are_refused(figure):
    with pytest.raises(ValueError, match="axes holds 1 axes for 2 labels"):
        plot_information(fitted(), figure.subplots())
    with pytest.raises(ValueError, match="no label 'logg_dex'; labels are teff_k, rv_kms"):
        plot_information(fitted(), figure.subplots(), labels="logg_dex")
    with pytest.raises(ValueError, match="no label 2"):
        plot_information(fitted(), figure.subplots(), labels=2)
    with pytest.raises(ValueError, match="values must be one of"):
        plot_information(fitted(), figure.subplots(2), values="raw")
    with pytest.raises(ValueError, match="alpha must be a number >= 0"):
        plot_information(fitted(), figure.subplots(2), alpha=2.0)
