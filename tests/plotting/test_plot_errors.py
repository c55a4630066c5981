import numpy as np
import pytest

from specvae.metrics import cumulative_share, error_density, running_median
from specvae.plotting import plot_error_density, plot_error_ecdf, plot_residuals


@pytest.fixture
def ax():
    return pytest.importorskip("matplotlib.figure").Figure().subplots()


def named_lines(ax):
    return {line.get_label(): line for line in ax.lines}


def test_residuals_stand_over_the_truth(ax):
    true, residual = np.arange(30.0), np.linspace(-1.0, 2.0, 30)
    running = running_median(true, residual)
    assert plot_residuals(true, residual, ax, running=running, label="logg_dex") is ax
    points, zero, _, median = ax.lines
    np.testing.assert_array_equal(points.get_xydata(), np.column_stack([true, residual]))
    assert set(zero.get_ydata()) == {0.0}
    np.testing.assert_array_equal(median.get_ydata(), running.median)
    assert ax.get_xlabel() == "true log g (dex)"
    assert ax.get_ylabel() == "predicted - true log g (dex)"


def test_residuals_without_a_median_have_no_legend(ax):
    plot_residuals([1.0, 2.0], [0.1, 0.2], ax)
    assert len(ax.lines) == 2
    assert ax.get_legend() is None
    assert ax.get_xlabel() == "true"


def test_densities_of_models_are_told_apart(ax):
    error = np.random.default_rng(0).normal(size=200)
    groups = np.arange(200) // 2
    results = {
        "PCA": error_density(100.0 * error, groups=groups, limits=(-150.0, 150.0)),
        "VAE": error_density(50.0 * error, groups=groups),
    }
    assert plot_error_density(results, ax, label="teff_k") is ax
    drawn = named_lines(ax)
    for name, result in results.items():
        np.testing.assert_array_equal(drawn[name].get_xdata(), result.position)
        np.testing.assert_array_equal(drawn[name].get_ydata(), result.density)
    assert drawn["PCA"].get_linestyle() != drawn["VAE"].get_linestyle()
    assert drawn["PCA"].get_color() != drawn["VAE"].get_color()
    outside = 100 * results["PCA"].outside
    assert outside > 5.0
    assert ax.get_xlabel() == f"predicted - true Teff (K)\n(up to {outside:.1f} % beyond)"
    assert ax.get_ylabel() == "density of stars"
    assert ax.get_ylim()[0] == 0.0
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["PCA", "VAE"]


def test_density_of_one_model_needs_no_legend(ax):
    result = error_density([-1.0, 0.5, 1.0], limits=(-9.0, 9.0))
    plot_error_density(result, ax)
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), result.density)
    assert ax.get_legend() is None
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted - true", "density of spectra")


def test_a_higher_density_drawn_later_fits_in(ax):
    plot_error_density(error_density([-10.0, 0.0, 10.0]), ax)
    tall = error_density([-0.1, 0.0, 0.1])
    plot_error_density(tall, ax)
    assert ax.get_ylim()[1] > tall.density.max()
    assert ax.get_ylim()[0] == 0.0


def test_shares_step_at_the_errors(ax):
    results = {"PCA": cumulative_share([1.0, 3.0]), "VAE": cumulative_share([2.0, 2.0])}
    assert plot_error_ecdf(results, ax, label="rv_kms") is ax
    drawn = named_lines(ax)
    np.testing.assert_array_equal(drawn["PCA"].get_xydata(), [[1.0, 0.0], [1.0, 0.5], [3.0, 1.0]])
    np.testing.assert_array_equal(drawn["VAE"].get_xydata(), [[2.0, 0.0], [2.0, 1.0]])
    assert drawn["PCA"].get_drawstyle() == "steps-post"
    assert drawn["PCA"].get_linestyle() != drawn["VAE"].get_linestyle()
    assert ax.get_xlabel() == "|predicted - true| radial velocity (km/s)"
    assert ax.get_ylabel() == "share of spectra"
    assert ax.get_ylim() == (0.0, 1.0)


def test_shares_of_stars_and_of_spectra_are_not_mixed_silently(ax):
    results = {
        "PCA": cumulative_share([1.0, 3.0]),
        "VAE": cumulative_share([2.0, 2.0], groups=["a", "b"]),
    }
    assert plot_error_ecdf(results, ax).get_ylabel() == "share of spectra or stars"


@pytest.mark.parametrize("plot", [plot_error_density, plot_error_ecdf])
def test_no_model_is_refused(plot, ax):
    with pytest.raises(ValueError, match="results is empty"):
        plot({}, ax)
