import numpy as np

from specvae.simulation import LineList
from specvae.simulation._axis import VelocityAxis
from specvae.simulation._star._model import StarModel

CALCIUM = LineList.from_table(
    {"species": ["Ca 1"], "wavelength_aa": [4226.728], "excitation_ev": [0.0], "log_gf": [0.244]}
)
M_DWARF = {"teff_k": 3000.0, "logg_dex": 5.5, "mh_dex": 0.5, "vmic_kms": 0.5}


def flux(low_aa, high_aa):
    axis = VelocityAxis.covering(low_aa, high_aa, 1.0, "air")
    return axis.wavelength_at(np.arange(axis.n_pixels)), StarModel(axis, CALCIUM).photon_flux(
        M_DWARF
    )


def test_wings_reach_in_from_beyond_the_ends_of_the_axis():
    wavelength_aa, whole = flux(4000.0, 4600.0)
    part_aa, part = flux(4300.0, 4340.0)
    expected = np.interp(part_aa, wavelength_aa, whole)
    np.testing.assert_allclose(part, expected, rtol=0.02)


def test_wings_end_without_a_step():
    _, whole = flux(4000.0, 4600.0)
    assert np.abs(np.diff(np.log(whole))).max() < 0.01
