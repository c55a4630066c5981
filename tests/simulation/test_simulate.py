import numpy as np
import pytest

from specvae.simulation import simulate_spectra
from specvae.simulation._simple import _continuum, _line_list, _optical_depth
from specvae.spectra import WavelengthGrid, doppler_shift

GRID = WavelengthGrid(5160.0, 0.05, 1200)


def depth(teff_k=5772.0, logg_dex=4.44, mh_dex=0.0, rv_kms=0.0, grid=GRID):
    return _optical_depth(grid, _line_list(grid), teff_k, logg_dex, mh_dex, rv_kms)


def test_shapes_types_and_groups():
    simulated = simulate_spectra(12, GRID, random_state=0, spectra_per_star=5)
    assert simulated.flux.shape == (12, 1200)
    assert {simulated.flux.dtype, simulated.noiseless_flux.dtype, simulated.sigma.dtype} == {
        np.dtype(np.float32)
    }
    assert list(simulated.groups) == [0] * 5 + [1] * 5 + [2] * 2
    assert list(simulated.labels) == ["teff_k", "logg_dex", "mh_dex", "rv_kms"]


def test_spectra_of_a_star_share_all_labels_but_the_velocity():
    labels = simulate_spectra(50, GRID, random_state=1).labels
    of_star = labels.groupby(np.arange(50) // 5).nunique()
    assert (of_star[["teff_k", "logg_dex", "mh_dex"]] == 1).all(axis=None)
    assert (of_star["rv_kms"] == 5).all()


def test_noise_has_the_stated_size():
    simulated = simulate_spectra(20, GRID, random_state=2, snr=50.0)
    pull = (simulated.flux - simulated.noiseless_flux) / simulated.sigma
    assert pull.std() == pytest.approx(1.0, abs=0.02)
    snr = np.median(simulated.noiseless_flux / simulated.sigma, axis=1)
    np.testing.assert_allclose(snr, 50.0, rtol=1e-3)


def test_seed_decides():
    first, again, other = (simulate_spectra(5, GRID, random_state=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.flux, again.flux)
    assert not np.array_equal(first.flux, other.flux)


def test_velocity_moves_the_lines():
    centre = GRID.wavelength_aa[np.argmax(depth(rv_kms=30.0))]
    at_rest = GRID.wavelength_aa[np.argmax(depth())]
    assert at_rest == pytest.approx(5183.60, abs=0.05)  # Mg b
    assert centre == pytest.approx(float(doppler_shift(5183.60, 30.0)), abs=0.05)


def test_lines_depend_on_every_label_as_in_stars():
    solar = depth()
    assert depth(mh_dex=-1.0).sum() < 0.2 * solar.sum()
    assert depth(teff_k=4500.0).sum() > 1.5 * solar.sum()  # neutral metals
    wing = slice(GRID.index_of(5185.5), GRID.index_of(5186.0))
    assert depth(logg_dex=5.0)[wing].mean() > 1.2 * depth(logg_dex=3.0)[wing].mean()
    balmer = WavelengthGrid(4850.0, 0.05, 500)
    at = balmer.index_of(4861.3)
    assert depth(teff_k=7000.0, grid=balmer)[at] > 3 * depth(teff_k=5000.0, grid=balmer)[at]


def test_lines_are_the_same_on_overlapping_grids():
    shifted = WavelengthGrid(5165.0, 0.05, 600)
    np.testing.assert_allclose(depth(grid=shifted), depth()[100:700], rtol=1e-6, atol=1e-9)


def test_lines_lie_where_the_medium_of_the_grid_has_them():
    vacuum = WavelengthGrid(5160.0, 0.05, 1200, medium="vacuum")
    at_rest = vacuum.wavelength_aa[np.argmax(depth(grid=vacuum))]
    assert at_rest == pytest.approx(5185.05, abs=0.05)  # Mg b, 5183.60 in air


def test_continuum_is_a_black_body():
    grid = WavelengthGrid(4000.0, 1000.0, 5)
    ratio = _continuum(grid, 10_000.0) / _continuum(grid, 5_000.0)
    assert (np.diff(ratio) < 0).all()  # the hotter one is bluer
    # Rayleigh-Jeans far in the red: lambda**-4
    red = _continuum(WavelengthGrid(1e7, 1e7, 2), 5_000.0)
    assert red[0] / red[1] == pytest.approx(16.0, rel=0.01)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_spectra": 0}, "n_spectra must be an integer >= 1"),
        ({"n_spectra": 5, "spectra_per_star": 0}, "spectra_per_star"),
        ({"n_spectra": 5, "snr": 0.0}, "snr must be positive"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        simulate_spectra(grid=GRID, **arguments)
