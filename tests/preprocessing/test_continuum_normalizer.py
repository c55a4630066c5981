import numpy as np
import pytest

from specvae.exceptions import SpectrumError
from specvae.preprocessing import ContinuumNormalizer
from specvae.preprocessing._continuum import window_quantiles
from specvae.spectra import SpectraArray, WavelengthGrid


def test_constant_mode_by_hand():
    flux = np.array([[1.0, 2.0, np.nan, 6.0], [-3.0, -1.0, -2.0, 5.0]])
    np.testing.assert_array_equal(
        ContinuumNormalizer(mode="constant").fit_transform(flux),
        [[-1.0, 0.0, np.nan, 4.0], [-1.5, 0.5, -0.5, 6.5]],
    )


def test_one_window_by_hand():
    # Ranks 0 to 4, quantile 0.75: the third rank, 4; NaN does not count.
    flux = np.array([[1.0, 2.0, 3.0, 4.0, 8.0, np.nan]])
    np.testing.assert_allclose(ContinuumNormalizer(quantile=0.75).fit_transform(flux), flux / 4.0)


def test_straight_continuum_is_found_exactly():
    """The median of a straight line is its value at the centre of any window."""
    line = np.linspace(50.0, 150.0, 1000)[None, :]
    result = ContinuumNormalizer(quantile=0.5, window_pixels=100).fit_transform(line)
    np.testing.assert_allclose(result[0, 25:-25], 1.0, rtol=1e-9)
    # Beyond the first and last window centre, 25 pixels from the end, the level is constant.
    assert result[0, 0] == pytest.approx(50.0 / line[0, 24:26].mean(), rel=1e-6)


def test_gap_is_bridged_by_a_straight_line():
    line = np.linspace(50.0, 150.0, 1000)[None, :]
    flux = line.copy()
    flux[0, 400:620] = np.nan
    result = ContinuumNormalizer(quantile=0.5, window_pixels=100).fit_transform(flux)
    np.testing.assert_allclose(result[0, 25:400], 1.0, rtol=1e-9)
    np.testing.assert_allclose(result[0, 620:-25], 1.0, rtol=1e-9)
    assert np.isnan(result[0, 400:620]).all()


def test_lines_survive_and_the_slope_goes():
    rng = np.random.default_rng(0)
    n_pixels = 4000
    pixel = np.arange(n_pixels)
    lines = np.ones(n_pixels)
    for centre in rng.integers(100, n_pixels - 100, 40):
        lines -= 0.4 * np.exp(-0.5 * ((pixel - centre) / 3.0) ** 2)
    slope = 1000.0 * (3.0 + np.sin(pixel / 900.0))
    result = ContinuumNormalizer(window_pixels=250).fit_transform((lines * slope)[None, :])[0]
    assert np.abs(result - lines)[200:-200].max() < 0.04


def test_window_quantiles_equal_numpy():
    rng = np.random.default_rng(0)
    flux = rng.normal(size=(6, 230))
    flux[rng.random(flux.shape) < 0.3] = np.nan
    knots = window_quantiles(flux, 0.83, 40)
    # 12 steps of 230 / 12 pixels: the fifth window is centred on pixel edge 76.67.
    assert knots.level.shape == (6, 13)
    np.testing.assert_allclose(knots.level[:, 4], np.nanquantile(flux[:, 56:97], 0.83, axis=1))
    np.testing.assert_allclose(knots.level[:, 0], np.nanquantile(flux[:, :20], 0.83, axis=1))
    np.testing.assert_allclose(knots.level[:, 12], np.nanquantile(flux[:, 210:], 0.83, axis=1))
    valid = np.flatnonzero(~np.isnan(flux[3, 56:97])) + 56
    assert knots.position[3, 4] == pytest.approx(valid.mean())
    assert (np.diff(knots.position, axis=1) >= 0).all()


@pytest.mark.parametrize(
    ("spacing", "step", "window_aa", "n_pixels_wanted"),
    [("linear", 0.5, 50.0, 100), ("log", 1e-4, 23.0, 20)],
)
def test_window_in_angstrom(spacing, step, window_aa, n_pixels_wanted):
    # On the logarithmic grid one pixel is 5000 * ln(10) * 1e-4 = 1.15 Angstrom.
    n_pixels = 401
    start_aa = 5000.0 if spacing == "linear" else 5000.0 / 10 ** (step * 200)
    grid = WavelengthGrid(start_aa, step, n_pixels, spacing=spacing)
    flux = 1.0 + np.random.default_rng(0).random((2, n_pixels))
    np.testing.assert_array_equal(
        ContinuumNormalizer(window_aa=window_aa, grid=grid).fit_transform(flux),
        ContinuumNormalizer(window_pixels=n_pixels_wanted).fit_transform(flux),
    )
    lazy = ContinuumNormalizer(window_aa=window_aa).fit_transform(SpectraArray(flux, grid=grid))
    assert lazy.grid == grid


def test_default_window_is_a_thirty_second():
    flux = 1.0 + np.random.default_rng(0).random((2, 960))
    np.testing.assert_array_equal(
        ContinuumNormalizer().fit_transform(flux),
        ContinuumNormalizer(window_pixels=30).fit_transform(flux),
    )


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"window_pixels": 9}, "window_pixels=9 makes a window of 9 pixels, too few"),
        ({"window_aa": 3.0, "grid": WavelengthGrid(5000.0, 0.5, 60)}, "window of 6 pixels"),
        ({"window_aa": 3.0}, "window_aa is a width in Angstrom, but the grid"),
        ({"window_aa": 3.0, "window_pixels": 9}, "not both"),
        ({"window_pixels": 12.5}, "window_pixels must be an integer"),
        ({"window_aa": -1.0}, "window_aa must be a number > 0"),
        ({"quantile": 0.0}, "quantile must be a number > 0"),
        ({"quantile": 1.1}, "quantile must be a number"),
        ({"mode": "spline"}, "mode must be one of"),
        ({"invalid": "skip"}, "invalid must be one of"),
    ],
)
def test_parameters_that_are_refused(parameters, message):
    normalizer = ContinuumNormalizer(**parameters)
    with pytest.raises(ValueError, match=message):
        normalizer.fit(np.ones((2, 60)))
    assert not hasattr(normalizer, "n_features_in_")


def bad_spectra():
    flux = np.ones((4, 100))
    flux[1, 40:] = np.nan
    flux[1, 13:40] = np.nan  # 13 of 20 pixels of the first window are valid
    flux[2, 30:70] = 0.0
    flux[3] = np.nan
    flux[3, ::5] = 1.0
    return flux


@pytest.mark.parametrize("lazy", [False, True])
def test_spectra_without_a_continuum(lazy):
    flux = bad_spectra()
    X = SpectraArray(flux) if lazy else flux
    normalizer = ContinuumNormalizer(window_pixels=20)
    with pytest.raises(SpectrumError, match=r"spectrum 2 has a continuum of 0 near pixel \d+, .*"):
        normalizer.fit_transform(X).to_numpy()
    with pytest.raises(SpectrumError, match=r"spectrum 0 has less than 25% valid pixels in every"):
        normalizer.fit_transform(X[3:]).to_numpy()

    result = ContinuumNormalizer(window_pixels=20, invalid="nan").fit_transform(X)
    result = result.to_numpy() if lazy else result
    np.testing.assert_array_equal(np.isnan(result).all(axis=1), [False, False, True, True])
    np.testing.assert_array_equal(result[:2], flux[:2])


def test_constant_mode_refuses_what_has_no_level():
    flux = np.array([[1.0, 2.0], [np.nan, np.nan]])
    with pytest.raises(SpectrumError, match="spectrum 1 has no valid pixel"):
        ContinuumNormalizer(mode="constant").fit_transform(flux)
    result = ContinuumNormalizer(mode="constant", invalid="nan").fit_transform(flux)
    np.testing.assert_array_equal(result, [[-0.5, 0.5], [np.nan, np.nan]])


@pytest.mark.parametrize("mode", ["quantile", "constant"])
def test_lazy_infinity_is_refused_when_read(mode):
    flux = np.ones((3, 40))
    flux[2, 7] = -np.inf
    lazy = ContinuumNormalizer(mode=mode).fit_transform(SpectraArray(flux))
    with pytest.raises(SpectrumError, match="spectrum 2 contains infinity"):
        lazy.to_numpy()
