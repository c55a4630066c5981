import numpy as np
import pytest

from specvae.simulation import simulate_spectra
from specvae.spectra import WavelengthGrid

GRID = WavelengthGrid(5160.0, 0.05, 1200)


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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_spectra": 0}, "n_spectra must be an integer >= 1"),
        ({"n_spectra": 5, "spectra_per_star": 0}, "spectra_per_star"),
        ({"n_spectra": 5, "snr": 0.0}, "snr must be a number > 0"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        simulate_spectra(grid=GRID, **arguments)
