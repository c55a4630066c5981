import itertools

import numpy as np
import pandas as pd
import pytest

from specvae.exceptions import GridMismatchError
from specvae.simulation._grid_simulator import GridSimulator
from specvae.spectra import SPEED_OF_LIGHT_KMS, WavelengthGrid, air_to_vacuum, doppler_shift

GRID = WavelengthGrid(5440.0, 0.01, 2000)
LINE_AA = 5450.0
WAVELENGTH_AA = np.arange(5390.0, 5510.0, 0.01)
LATTICE = pd.DataFrame(
    itertools.product([4000.0, 5000.0, 6000.0], [3.0, 5.0]), columns=["teff_k", "logg_dex"]
)
# No rotation, so that widths are those of the line and of the spectrograph.
SHARP = {"vsini_kms": 0.0, "vmac_kms": 0.0}


def line(wavelength_aa, sigma_kms, line_aa=LINE_AA):
    velocity_kms = (wavelength_aa / line_aa - 1.0) * SPEED_OF_LIGHT_KMS
    return np.exp(-0.5 * (velocity_kms / sigma_kms) ** 2)


def fluxes(labels):
    """A line far from the V band's edges whose depth is linear in the labels, one mean for all."""
    columns = labels.to_numpy()
    depth = (columns[:, 0] - 3000.0) / 6000.0
    if columns.shape[1] > 1:
        depth = depth + 0.05 * columns[:, 1]
    wave = line(WAVELENGTH_AA, 6.0) - line(WAVELENGTH_AA, 6.0, LINE_AA + 5.0)
    return 3.0 - depth[:, np.newaxis] * wave


def simulator(labels=LATTICE, flux=None, wavelength_aa=WAVELENGTH_AA, grid=GRID, **options):
    options = {"medium": "air", "atmosphere": False, "instrument": None, **options}
    options.setdefault("resolving_power", 100_000.0)
    flux = fluxes(labels) if flux is None else flux
    return GridSimulator(wavelength_aa, flux, labels, grid, **options)


def noiseless(made, **labels):
    return made.simulate(labels, 0).noiseless_flux[0]


def relative_depth(flux):
    """Depth below a continuum that is level in energy, so that photons go with wavelength."""
    energy = flux.astype(float) / GRID.wavelength_aa
    return 1.0 - energy / np.median(energy)


def moments(flux, *, near_aa=LINE_AA, reach_aa=1.5):
    """Mean in Angstrom and standard deviation in km/s of a line."""
    near = np.abs(GRID.wavelength_aa - near_aa) < reach_aa
    place, depth = GRID.wavelength_aa[near], relative_depth(flux)[near]
    mean_aa = np.sum(depth * place) / depth.sum()
    variance = np.sum(depth * (place - mean_aa) ** 2) / depth.sum()
    return mean_aa, np.sqrt(variance) / mean_aa * SPEED_OF_LIGHT_KMS


def one_line(sigma_kms, wavelength_aa=WAVELENGTH_AA, **options):
    models = pd.DataFrame({"teff_k": [4000.0, 5000.0]})
    flux = np.stack([1.0 - 0.4 * line(wavelength_aa, sigma_kms)] * 2)
    return simulator(models, flux, wavelength_aa, **options)


@pytest.mark.parametrize(
    "labels",
    [LATTICE, LATTICE.iloc[::-1, ::-1], LATTICE.drop(index=[3]), LATTICE[["teff_k"]].iloc[::2]],
    ids=["lattice", "other order", "hole", "one label"],
)
def test_flux_linear_in_the_labels_is_reproduced(labels):
    wanted = {"teff_k": 4700.0, "logg_dex": 4.6}
    star = pd.DataFrame([{name: wanted[name] for name in labels}])
    ordered = [name for name in wanted if name in labels]
    made = simulator(labels, fluxes(labels[ordered]))
    pair = pd.concat([star, star.assign(teff_k=4100.0)])[ordered]
    direct = simulator(pair, fluxes(pair), outside="nearest") if len(ordered) == 1 else None
    got = noiseless(made, **star.iloc[0], **SHARP)
    # The depth at the centre of the line, from the library by hand.
    depth = (4700.0 - 3000.0) / 6000.0 + (0.05 * 4.6 if "logg_dex" in labels else 0.0)
    sigma_kms = np.hypot(6.0, SPEED_OF_LIGHT_KMS / 100_000.0 / 2.3548)
    wave = line(GRID.wavelength_aa, sigma_kms) - line(GRID.wavelength_aa, sigma_kms, LINE_AA + 5.0)
    np.testing.assert_allclose(
        relative_depth(got), depth / 3.0 * wave * 6.0 / sigma_kms, rtol=0, atol=2e-4
    )
    if direct is not None:
        np.testing.assert_allclose(got, noiseless(direct, **star.iloc[0], **SHARP), rtol=1e-5)


def test_the_result_holds_the_labels_of_the_library_and_of_the_observation():
    made = simulator().simulate(pd.DataFrame({"logg_dex": [3.5, 3.5], "teff_k": 5500.0}), 0)
    assert list(made.labels.columns[:5]) == [
        "teff_k",
        "logg_dex",
        "vmac_kms",
        "vsini_kms",
        "rv_kms",
    ]
    assert "mh_dex" not in made.labels
    np.testing.assert_array_equal(made.labels["vsini_kms"], 2.0)
    assert (made.labels["vmac_kms"] >= 1.0).all()
    assert made.groups.tolist() == [0, 0]
    assert made.flux.shape == (2, GRID.n_pixels)


def test_without_temperature_and_gravity_macroturbulence_is_zero():
    models = pd.DataFrame({"mh_dex": [-1.0, 0.0]})
    made = simulator(models, np.ones((2, len(WAVELENGTH_AA))))
    assert made.simulate({"mh_dex": -0.5}, 0).labels["vmac_kms"].tolist() == [0.0]


@pytest.mark.parametrize("step_aa", [0.002, 0.01, 0.02])
def test_widths_of_line_and_spectrograph_add_in_quadrature(step_aa):
    wavelength_aa = np.arange(5390.0, 5510.0, step_aa)
    # Full width at half maximum of 5 km/s, standard deviation of 2.123.
    made = one_line(2.0, wavelength_aa, resolving_power=SPEED_OF_LIGHT_KMS / 5.0)
    sigma_kms = moments(noiseless(made, teff_k=4500.0, **SHARP))[1]
    assert sigma_kms == pytest.approx(np.hypot(2.0, 5.0 / 2.3548), rel=0.005)


def test_only_what_the_library_lacks_is_added():
    power = SPEED_OF_LIGHT_KMS / 5.0
    made = one_line(3.0 / 2.3548, resolving_power=power, library_resolving_power=power * 5.0 / 3.0)
    sigma_kms = moments(noiseless(made, teff_k=4500.0, **SHARP))[1]
    assert sigma_kms == pytest.approx(5.0 / 2.3548, rel=0.005)


def test_rotation_and_macroturbulence_widen():
    made = one_line(2.0)
    sharp, turbulent, fast = (
        moments(noiseless(made, teff_k=4500.0, vsini_kms=vsini, vmac_kms=vmac))[1]
        for vsini, vmac in ((0.0, 0.0), (0.0, 10.0), (30.0, 0.0))
    )
    # Variance of the rotation profile with limb darkening of 0.6: (vsini**2 / 4)(1 - 7 e / 15)
    # over (1 - e / 3).
    extra = 30.0**2 / 4.0 * (1.0 - 7.0 * 0.6 / 15.0) / (1.0 - 0.6 / 3.0)
    assert fast == pytest.approx(np.sqrt(sharp**2 + extra), rel=0.01)
    assert turbulent > sharp + 1.0


@pytest.mark.parametrize("rv_kms", [-90.0, 40.0])
def test_velocity_moves_the_line(rv_kms):
    made = one_line(2.0)
    wanted_aa = float(doppler_shift(LINE_AA, rv_kms))
    mean_aa = moments(noiseless(made, teff_k=4500.0, rv_kms=rv_kms), near_aa=wanted_aa)[0]
    assert mean_aa == pytest.approx(wanted_aa, abs=1e-3)


def test_a_library_in_vacuum_lands_on_a_grid_in_air():
    made = one_line(2.0)
    shifted = simulator(
        pd.DataFrame({"teff_k": [4000.0, 5000.0]}),
        np.stack([1.0 - 0.4 * line(WAVELENGTH_AA, 2.0, air_to_vacuum(LINE_AA))] * 2),
        medium="vacuum",
    )
    mean_aa = moments(noiseless(shifted, teff_k=4500.0))[0]
    assert mean_aa == pytest.approx(moments(noiseless(made, teff_k=4500.0))[0], abs=1e-3)


def test_vmag_counts_photons():
    # 996 photons s-1 cm-2 Angstrom-1 at V = 0, on 1e4 cm2, in 0.01 Angstrom, 10 s, V = 5.
    flux = noiseless(one_line(2.0), teff_k=4500.0, vmag=5.0, exposure_s=10.0)
    # Atmosphere and instrument off; electrons per Angstrom.
    assert np.median(flux) == pytest.approx(996.2 * 1e4 * 10.0 * 0.01, rel=0.005)


def test_noise_and_atmosphere_come_as_in_the_other_simulator():
    made = simulator(
        instrument="harps", atmosphere=True, resolving_power=None, unknown="continuum_tilt"
    )
    labels = {"teff_k": [4500.0, 4500.0], "logg_dex": 4.0, "snr": 50.0, "airmass": 1.5}
    both = made.simulate(pd.DataFrame(labels), 3)
    alone = made.simulate(pd.DataFrame(labels), 3, rows=[1])
    np.testing.assert_array_equal(both.flux[1], alone.flux[0])
    assert (both.flux[0] != both.flux[1]).any()
    assert np.median(both.noiseless_flux / both.sigma) == pytest.approx(50.0, rel=0.02)
    assert both.unknown.shape == (2, 1)


def test_written_spectra_are_those_simulated(tmp_path):
    made = simulator()
    labels = pd.DataFrame({"teff_k": [4500.0, 5500.0], "logg_dex": 4.0})
    written = made.write(labels, tmp_path / "spectra.npy", 1, progress=False)
    np.testing.assert_array_equal(np.stack([written[0], written[1]]), made.simulate(labels, 1).flux)


@pytest.mark.parametrize("labels", [LATTICE, LATTICE.drop(index=[3])], ids=["lattice", "hole"])
@pytest.mark.parametrize(
    "star, message",
    [
        (
            {"teff_k": [5000.0, 6500.0], "logg_dex": 4.0},
            r"label 'teff_k' \(effective temperature, K\) must lie in the library's range, 4000 to "
            "6000; it is 6500 in row 1, and so in 1 of 2 rows.*outside='nearest'",
        ),
        ({"teff_k": 5000.0, "logg_dex": [2.0]}, "'logg_dex'.* 3 to 5; it is 2 in row 0"),
        ({"teff_k": 5000.0, "logg_dex": [np.nan]}, "'logg_dex'.* it is nan .*give the value"),
        ({"teff_k": [5000.0]}, r"lacks the column 'logg_dex' \(log10 of the surface gravity"),
        (
            {"teff_k": 5000.0, "logg_dex": 4.0, "mg_fe_dex": [0.3]},
            "column 'mg_fe_dex', which the library has not: leave it out",
        ),
        ({"teff_k": 5000.0, "logg_dex": 4.0, "vmic_kms": [1.0]}, "'vmic_kms', which the library"),
        ({"teff_k": 5000.0, "logg_dex": 4.0, "logg": [4.0]}, "unknown column 'logg'; did you"),
        ({"teff_k": 5000.0, "logg_dex": 4.0, "airmass": [9.0]}, "'airmass'"),
    ],
)
def test_labels_that_the_library_does_not_know(labels, star, message):
    made = simulator(labels)
    with pytest.raises(ValueError, match=message):
        made.simulate(pd.DataFrame(star))


def test_a_hole_at_the_edge_is_outside_together():
    made = simulator(LATTICE.drop(index=[5]))
    with pytest.raises(ValueError, match=r"row 0 \(teff_k = 5900, logg_dex = 4.9\) each lie"):
        made.simulate({"teff_k": 5900.0, "logg_dex": 4.9})


def test_nearest_moves_to_the_edge_of_a_lattice():
    made = simulator(outside="nearest")
    far = made.simulate({"teff_k": 9000.0, "logg_dex": 4.0, "vmac_kms": 2.0}, 0)
    assert far.labels["teff_k"].tolist() == [6000.0]
    np.testing.assert_array_equal(
        far.flux, made.simulate({"teff_k": 6000.0, "logg_dex": 4.0, "vmac_kms": 2.0}, 0).flux
    )
    with pytest.raises(ValueError, match=r"'teff_k'.* it is nan"):
        made.simulate({"teff_k": np.nan, "logg_dex": 4.0})


def test_nearest_takes_the_nearest_model_of_others():
    made = simulator(LATTICE.drop(index=[5]), outside="nearest")
    moved = made.simulate({"teff_k": 6500.0, "logg_dex": 3.4}, 0).labels
    assert moved[["teff_k", "logg_dex"]].to_numpy().tolist() == [[6000.0, 3.0]]


@pytest.mark.parametrize(
    "changed, error, message",
    [
        ({"labels": LATTICE.to_numpy()}, TypeError, "labels must be a DataFrame"),
        ({"labels": LATTICE.rename(columns={"teff_k": "teff"})}, ValueError, "column 'teff', of"),
        ({"labels": LATTICE.assign(vsini_kms=2.0)}, ValueError, "column 'vsini_kms', of which"),
        ({"labels": LATTICE.assign(teff_k="hot")}, ValueError, "must be numbers"),
        ({"labels": LATTICE[[]]}, ValueError, "one column or more"),
        ({"labels": LATTICE.assign(teff_k=4000.0)}, ValueError, "models 0 and 2 have the same"),
        ({"labels": LATTICE.iloc[:1]}, ValueError, "labels has 1 models"),
        ({"labels": LATTICE.iloc[:5]}, ValueError, r"= \(5, 12000\), .* got \(6, 12000\)"),
        ({"wavelength_aa": WAVELENGTH_AA[:-1]}, ValueError, r"= \(6, 11999\), .* got \(6, 12000\)"),
        ({"wavelength_aa": WAVELENGTH_AA[::-1]}, ValueError, "increase; it is 5509.98 at pixel 1"),
        ({"wavelength_aa": WAVELENGTH_AA[:1]}, ValueError, r"got shape \(1,\)"),
        ({"grid": 5}, TypeError, "grid must be a WavelengthGrid"),
        ({"medium": "water"}, ValueError, "medium must be one of 'vacuum', 'air'"),
        ({"outside": "clip"}, ValueError, "outside must be one of 'raise', 'nearest'"),
        ({"library_resolving_power": 0.0}, ValueError, "library_resolving_power must be"),
        (
            {"library_resolving_power": 9e4},
            ValueError,
            "lower than that of the spectra, 100000, by",
        ),
        ({"resolving_power": 5e5}, ValueError, "steps of up to 0.551 km/s, too wide for"),
        ({"grid": WavelengthGrid(5400.0, 0.01, 20_000)}, GridMismatchError, "not all of the 5398"),
        ({"grid": WavelengthGrid(6000.0, 0.01, 2000)}, GridMismatchError, "empty overlap"),
    ],
)
def test_libraries_that_cannot_be_used(changed, error, message):
    arguments = {"labels": LATTICE, "flux": fluxes(LATTICE), **changed}
    with pytest.raises(error, match=message):
        simulator(**arguments)


def test_a_library_a_little_coarser_than_the_spectrograph_passes():
    made = simulator(library_resolving_power=96_000.0)
    assert np.isfinite(noiseless(made, teff_k=5000.0, logg_dex=4.0)).all()


def test_only_what_harps_records_must_be_covered():
    # The grid ends beyond HARPS at 6913 Angstrom, the library between the two.
    grid = WavelengthGrid(6880.0, 0.01, 10_000)
    wavelength_aa = np.arange(6870.0, 6920.0, 0.01)
    labels = pd.DataFrame({"teff_k": [4000.0, 5000.0]})
    flux = np.ones((2, len(wavelength_aa)))
    made = simulator(labels, flux, wavelength_aa, grid, instrument="harps", resolving_power=None)
    recorded = np.isfinite(noiseless(made, teff_k=4500.0))
    assert recorded[:3000].any() and not recorded[4000:].any()


def test_repr_names_the_library():
    assert "library of teff_k 4000 to 6000, logg_dex 3 to 5" in repr(simulator())
