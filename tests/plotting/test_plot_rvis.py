from dataclasses import replace

import numpy as np
import pytest

from specvae.metrics import rvis
from specvae.plotting import plot_rvis, plot_rvis_by_size
from specvae.spectra import WavelengthGrid


@pytest.fixture
def ax():
    return pytest.importorskip("matplotlib.figure").Figure().subplots()


@pytest.fixture(scope="module")
def score():
    grid = WavelengthGrid(6050.0, 0.05, 4000)
    flux = 1.0 - 0.5 * np.exp(-(((grid.wavelength_aa - 6100.0) / 0.3) ** 2))[None]
    moved = [0.5 * flux + 0.5, flux, 0.9 * flux]
    return rvis(grid, flux, moved, [20.0, -20.0, 10.0], window_aa=(6060.0, 6200.0))


def named_lines(ax):
    return {line.get_label(): line for line in ax.lines}


def test_score_stands_over_velocity_beside_doing_nothing(score, ax):
    assert plot_rvis(score, ax) is ax
    drawn = named_lines(ax)
    velocities = [-20.0, np.nan, 10.0, 20.0]  # they came as 20, -20, 10; no line over 0

    def in_order(values):
        return [values[1], np.nan, values[2], values[0]]

    moved, nothing = drawn["move in the code"], drawn["do nothing"]
    np.testing.assert_array_equal(moved.get_xdata(), velocities)
    np.testing.assert_array_equal(moved.get_ydata(), in_order(score.by_velocity))
    np.testing.assert_array_equal(nothing.get_xdata(), velocities)
    np.testing.assert_array_equal(nothing.get_ydata(), in_order(score.do_nothing_by_velocity))
    assert set(drawn["interpolation"].get_ydata()) == {score.floor}
    assert len({line.get_linestyle() for line in drawn.values()}) == 3
    assert ax.get_xlabel() == "velocity moved by (km/s)"
    assert ax.get_ylabel() == "mean |flux difference|,\n6060 to 6200 Angstrom"
    assert ax.get_ylim()[0] == 0.0
    assert [text.get_text() for text in ax.get_legend().get_texts()] == list(drawn)


def test_a_worse_score_drawn_later_fits_in(score, ax):
    plot_rvis(score, ax)
    plot_rvis(replace(score, by_velocity=10.0 * score.by_velocity), ax)
    assert ax.get_ylim()[1] > 10.0 * score.by_velocity.max()


def bars(container):
    """Lower and upper end of each error bar."""
    return np.array([segment[:, 1] for segment in container[2][0].get_segments()])


def test_ratio_stands_over_size_with_its_error(ax):
    assert plot_rvis_by_size([8, 2, 4], [0.3, 0.9, 0.5], ax, standard_error=[0.1, 0.2, 0.3]) is ax
    (container,) = ax.containers
    np.testing.assert_array_equal(container[0].get_xdata(), [2, 4, 8])
    np.testing.assert_array_equal(container[0].get_ydata(), [0.9, 0.5, 0.3])
    np.testing.assert_allclose(bars(container), [[0.7, 1.1], [0.2, 0.8], [0.2, 0.4]])
    assert set(named_lines(ax)["do nothing"].get_ydata()) == {1.0}
    assert ax.get_xlabel() == "number of latents"
    assert ax.get_ylabel() == "RVIS / RVIS of doing nothing"
    assert [text.get_text() for text in ax.get_xticklabels()] == ["2", "4", "8"]
    assert ax.get_ylim()[0] == 0.0


def test_second_family_is_told_apart(ax):
    plot_rvis_by_size([2, 4], [0.9, 0.5], ax, name="dense")
    plot_rvis_by_size([4, 16], [0.8, 1.6], ax, name="conv")
    first, second = (container[0] for container in ax.containers)
    assert first.get_marker() != second.get_marker()
    assert first.get_linestyle() != second.get_linestyle()
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert sorted(names) == ["conv", "dense", "do nothing"]  # the line of doing nothing once
    assert [text.get_text() for text in ax.get_xticklabels()] == ["2", "4", "16"]
    assert ax.get_ylim()[0] == 0.0
    assert ax.get_ylim()[1] > 1.6


def test_unknown_error_leaves_the_point(ax):
    plot_rvis_by_size([4], [0.5], ax, standard_error=[np.nan])
    assert ax.containers[0][0].get_ydata().tolist() == [0.5]


def test_sizes_that_do_not_fit_are_refused(ax):
    with pytest.raises(ValueError, match=r"ratio has shape \(1,\), sizes \(2,\)"):
        plot_rvis_by_size([1, 2], [0.5], ax)
    with pytest.raises(ValueError, match="standard_error has shape"):
        plot_rvis_by_size([1, 2], [0.5, 0.4], ax, standard_error=0.1)
    with pytest.raises(ValueError, match="sizes must be numbers of latents from 1 up"):
        plot_rvis_by_size([0, 2], [0.5, 0.4], ax)
