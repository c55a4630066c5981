from dataclasses import replace

import numpy as np
import pytest
from sklearn.decomposition import PCA

from specvae.inspection import Traversal, traverse
from specvae.plotting import plot_traversal
from specvae.spectra import WavelengthGrid

WAVELENGTH_AA = np.array([5000.0, 5001.0, 5002.0, 5003.0])
FAN = Traversal(
    latent="rv_kms",
    unit="label",
    values=np.array([10.0, -10.0, 40.0]),
    codes=np.zeros((3, 2)),
    flux=np.array([[1.0, 0.9, 1.0, 1.0], [0.9, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 0.9]]),
    reference=np.array([1.0, 0.8, 1.0, 1.0]),
    reference_value=0.0,
    wavelength_aa=WAVELENGTH_AA,
    nearest=np.array([0, 1, 1]),
    distance=np.array([0.1, 0.2, 5.0]),
    outside=np.array([False, False, True]),
)


@pytest.fixture
def figure():
    return pytest.importorskip("matplotlib.figure").Figure()


def test_fan_is_coloured_by_value(figure):
    ax = figure.subplots()
    assert plot_traversal(FAN, ax) is ax
    *steps, reference = ax.lines
    scale = ax.collections[0]
    for line, step in zip(steps, [1, 0, 2], strict=True):  # from the smallest value up
        np.testing.assert_array_equal(line.get_xdata(), WAVELENGTH_AA)
        np.testing.assert_array_equal(line.get_ydata(), FAN.flux[step])
        np.testing.assert_allclose(line.get_color(), scale.to_rgba(FAN.values[step]))
    np.testing.assert_array_equal(reference.get_ydata(), FAN.reference)
    assert [line.get_linestyle() for line in ax.lines] == ["-", "-", "--", ":"]
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["decoded", "extrapolated", "as encoded"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("wavelength (Angstrom)", "flux")
    bar = figure.axes[1]
    assert bar.get_ylabel() == "radial velocity (km/s)"
    np.testing.assert_allclose(bar.get_ylim(), (-10.0, 40.0))


def test_windows_zoom_in(figure):
    axes = figure.subplots(1, 2)
    windows_aa = [(5000.0, 5001.0), (5001.5, 5003.0)]
    assert plot_traversal(FAN, axes, windows_aa=windows_aa) is axes
    for ax, window_aa, pixels in zip(axes, windows_aa, ([0, 1], [2, 3]), strict=True):
        assert ax.get_xlim() == window_aa
        np.testing.assert_array_equal(ax.lines[0].get_xdata(), WAVELENGTH_AA[pixels])
        np.testing.assert_array_equal(ax.lines[0].get_ydata(), FAN.flux[1, pixels])
        assert ax.get_xlabel() == "wavelength (Angstrom)"
    assert [ax.get_ylabel() for ax in axes] == ["flux", ""]
    assert len(figure.axes) == 3  # one colour bar for both
    assert axes[1].get_legend() is None


def test_one_window_takes_one_axes(figure):
    ax = plot_traversal(FAN, figure.subplots(), windows_aa=(5001.0, 5002.0))
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), [5001.0, 5002.0])


def test_nearest_real_spectra_stand_behind_their_steps(figure):
    nearest_flux = FAN.flux + 0.05
    ax = plot_traversal(FAN, figure.subplots(), nearest_flux=nearest_flux)
    real, decoded = ax.lines[0], ax.lines[1]
    np.testing.assert_array_equal(real.get_ydata(), nearest_flux[1])
    assert real.get_label() == "nearest real"
    np.testing.assert_array_equal(real.get_color(), decoded.get_color())
    assert real.get_linewidth() < decoded.get_linewidth()
    assert len(ax.lines) == 7


def test_offset_draws_steps_apart_and_the_reference_between(figure):
    ax = plot_traversal(FAN, figure.subplots(), offset=2.0, nearest_flux=FAN.flux)
    heights = [float(line.get_ydata()[2]) for line in ax.lines]
    # Value 0 lies half way between -10 and 10.
    np.testing.assert_allclose(heights, [1.0, 1.0, 3.0, 3.0, 5.0, 5.0, 2.0])
    assert ax.get_ylabel() == "flux + offset"


def test_pixels_stand_in_for_unknown_wavelengths(figure):
    unknown = replace(FAN, wavelength_aa=None, unit="code", latent="latent3", outside=None)
    ax = plot_traversal(unknown, figure.subplots())
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), [0, 1, 2, 3])
    assert ax.get_xlabel() == "pixel"
    assert figure.axes[1].get_ylabel() == "latent3 (code units)"
    assert all(line.get_linestyle() == "-" for line in ax.lines[:3])
    with pytest.raises(ValueError, match="windows_aa needs the wavelengths"):
        plot_traversal(unknown, figure.subplots(), windows_aa=(5000.0, 5001.0))


def test_traversal_of_an_estimator_is_drawn(figure):
    flux = 1.0 + 0.1 * np.random.default_rng(0).normal(size=(20, 30))
    pca = PCA(2, random_state=0).fit(flux)
    grid = WavelengthGrid(5000.0, 0.5, 30)
    fan = traverse(pca, flux[0], 0, [-0.1, 0.1], codes=pca.transform(flux), grid=grid)
    ax = plot_traversal(fan, figure.subplots(), nearest_flux=flux[fan.nearest])
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), fan.flux[0])
    np.testing.assert_allclose(ax.lines[0].get_xdata(), grid.wavelength_aa)


def test_what_does_not_fit_is_refused(figure):
    axes = figure.subplots(2)
    with pytest.raises(ValueError, match="axes holds 2 axes; give windows_aa"):
        plot_traversal(FAN, axes)
    with pytest.raises(ValueError, match="axes holds 2 axes for 1 windows"):
        plot_traversal(FAN, axes, windows_aa=(5000.0, 5001.0))
    with pytest.raises(ValueError, match="window 6000 to 6001 Angstrom holds no pixel"):
        plot_traversal(FAN, axes[0], windows_aa=(6000.0, 6001.0))
    with pytest.raises(ValueError, match=r"windows_aa must be \(low, high\)"):
        plot_traversal(FAN, axes[0], windows_aa=(5002.0, 5001.0))
    with pytest.raises(ValueError, match=r"nearest_flux has shape \(2, 4\)"):
        plot_traversal(FAN, axes[0], nearest_flux=FAN.flux[:2])
