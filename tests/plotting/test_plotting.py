import numpy as np
import pandas as pd
import pytest

from specvae.plotting import plot_history, plot_predictions, plot_reconstruction


@pytest.fixture
def ax():
    return pytest.importorskip("matplotlib.figure").Figure().subplots()


def test_history_marks_the_weights_kept(ax):
    history = pd.DataFrame(
        {
            "epoch": [1, 2, 3],
            "train_loss": [3.0, 2.0, 1.0],
            "valid_loss": [3.0, 2.0, 2.5],
            "best": [True, True, False],
        }
    )
    assert plot_history(history, ax) is ax
    training, validation, kept = ax.lines
    np.testing.assert_array_equal(training.get_ydata(), history["train_loss"])
    np.testing.assert_array_equal(validation.get_ydata(), history["valid_loss"])
    assert (kept.get_xdata()[0], kept.get_ydata()[0]) == (2, 2.0)


def test_a_loss_of_parts_is_not_called_an_error_of_the_flux(ax):
    history = pd.DataFrame({"epoch": [1], "train_loss": [3.0], "best": [True]})
    assert plot_history(history, ax).get_ylabel() == "mean |flux - reconstruction|"
    assert plot_history(history.assign(train_labels=1.0), ax).get_ylabel() == "loss"


def test_window_of_a_reconstruction_may_be_an_array_and_must_hold_pixels(ax):
    wavelength_aa = np.linspace(5000.0, 5010.0, 11)
    flux = np.arange(11.0)
    plot_reconstruction(wavelength_aa, flux, flux, ax, window_aa=np.array([5002.0, 5004.0]))
    assert ax.get_xlim() == (5002.0, 5004.0)
    with pytest.raises(ValueError, match="holds no pixel; the spectrum goes from 5000 to 5010"):
        plot_reconstruction(wavelength_aa, flux, flux, ax, window_aa=(6000.0, 6001.0))


def test_predictions_show_the_data_and_the_line_of_agreement(ax):
    assert plot_predictions([4000.0, 6000.0], [4100.0, 5900.0], ax, label="teff_k") is ax
    assert ax.get_xlabel() == "true Teff (K)"
    assert ax.get_ylabel() == "predicted Teff (K)"
    points, line = ax.lines
    np.testing.assert_array_equal(points.get_ydata(), [4100.0, 5900.0])
    assert line.get_slope() == 1.0
    ax.autoscale_view()
    assert ax.get_xlim()[0] > 3000.0  # the line's anchor does not stretch the picture


def test_reconstruction_is_cut_to_the_window(ax):
    wavelength_aa = np.linspace(5000.0, 5010.0, 11)
    flux = np.arange(11.0)
    assert plot_reconstruction(wavelength_aa, flux, 2 * flux, ax, window_aa=(5002.0, 5004.0)) is ax
    observed, reconstruction = ax.lines
    np.testing.assert_array_equal(observed.get_ydata(), [2.0, 3.0, 4.0])
    np.testing.assert_array_equal(reconstruction.get_ydata(), [4.0, 6.0, 8.0])
    assert ax.get_xlim() == (5002.0, 5004.0)


def test_reconstruction_has_a_residual_strip():
    figure = pytest.importorskip("matplotlib.figure").Figure()
    ax, below = figure.subplots(2)
    wavelength_aa = np.linspace(5000.0, 5010.0, 11)
    flux = np.arange(11.0)
    flux[3] = np.nan
    returned = plot_reconstruction(
        wavelength_aa, flux, flux + 0.5, ax, window_aa=(5002.0, 5004.0), residual_ax=below
    )
    assert returned is ax
    residual, zero = below.lines
    np.testing.assert_array_equal(residual.get_xdata(), [5002.0, 5003.0, 5004.0])
    np.testing.assert_array_equal(residual.get_ydata(), [-0.5, np.nan, -0.5])
    assert set(zero.get_ydata()) == {0.0}
    assert below.get_xlim() == ax.get_xlim() == (5002.0, 5004.0)
    assert (below.get_xlabel(), below.get_ylabel()) == ("wavelength (Angstrom)", "residual")
    assert ax.get_xlabel() == ""
    figure.draw_without_rendering()
    assert not any(tick.label1.get_visible() for tick in ax.xaxis.get_major_ticks())


def test_history_tells_curves_apart_without_colour(ax):
    history = pd.DataFrame(
        {"epoch": [1, 2], "train_loss": [3.0, 2.0], "valid_loss": [3.0, 2.0], "best": True}
    )
    training, validation, _ = plot_history(history, ax).lines
    assert training.get_linestyle() != validation.get_linestyle()
