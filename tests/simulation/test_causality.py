"""Each label moves what physics says, in the direction it says, and nothing else."""

import numpy as np
import pandas as pd
import pytest

from specvae.simulation import LineList, StellarSpectrumSimulator
from specvae.simulation._labels import ABUNDANCE_LABELS, LABELS
from specvae.spectra import WavelengthGrid, doppler_factor

SUN = {"teff_k": 5772.0, "logg_dex": 4.44, "mh_dex": 0.0}


def lines(*rows):
    """A line list of (species, wavelength, excitation, log gf)."""
    names = ["species", "wavelength_aa", "excitation_ev", "log_gf"]
    return LineList.from_table(pd.DataFrame(rows, columns=names))


def noiseless(simulator, **labels):
    return simulator.simulate({**SUN, **labels}, 0).noiseless_flux[0].astype(float)


def star(line_list, low_aa, high_aa, *, step=0.02, **arguments):
    """A simulator of the star alone, without instrument and atmosphere."""
    grid = WavelengthGrid(low_aa, step, round((high_aa - low_aa) / step))
    return StellarSpectrumSimulator(
        grid, line_list, instrument=None, atmosphere=False, resolving_power=1e5, **arguments
    )


def width_ma(simulator, **labels):
    """Equivalent width of all lines on the grid against the ends of the grid, in mA."""
    flux = noiseless(simulator, **labels)
    continuum = np.linspace(flux[0], flux[-1], len(flux))
    return 1e3 * simulator.grid.step * (1.0 - flux / continuum).sum()


@pytest.fixture(scope="module")
def iron():
    """Weak Fe I far from strong anything."""
    return star(lines(("Fe 1", 6270.225, 2.858, -2.61)), 6265.0, 6275.0)


# Stars -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "observed_ma"),
    [
        # Moore, Minnaert & Houtgast 1966, rounded; oscillator strengths from the laboratory.
        (("Fe 1", 6270.225, 2.858, -2.61), 52),
        (("Fe 1", 6240.646, 2.223, -3.23), 48),
        (("Fe 2", 5234.625, 3.221, -2.24), 84),
        (("Fe 2", 6456.383, 3.903, -2.075), 63),
        (("Ni 1", 6767.768, 1.826, -2.17), 83),
        (("Ba 2", 5853.668, 0.604, -0.907), 63),
        (("Ca 1", 6166.439, 2.521, -1.142), 70),
        (("Ti 2", 5336.79, 1.582, -1.60), 71),
    ],
)
def test_solar_lines_have_about_their_equivalent_widths(line, observed_ma):
    simulator = star(lines(line), line[1] - 4.0, line[1] + 4.0)
    assert width_ma(simulator) == pytest.approx(observed_ma, rel=0.25)


def test_balmer_wings_grow_with_gravity_in_hot_stars():
    simulator = star(lines(("Fe 1", 4700.0, 3.0, -9.0)), 4660.0, 5060.0, step=0.1)
    wing = simulator.grid.slice(4871.0, 4873.0)

    def depth(logg_dex):
        flux = noiseless(simulator, teff_k=9500.0, logg_dex=logg_dex)
        return 1.0 - flux[wing].mean() / np.mean([flux[:20].mean(), flux[-20:].mean()])

    assert depth(2.5) < 0.8 * depth(3.5) < 0.64 * depth(4.5)


def test_balmer_lines_grow_with_temperature_up_to_a_stars():
    simulator = star(lines(("Fe 1", 4700.0, 3.0, -9.0)), 4660.0, 5060.0, step=0.1)
    widths = [width_ma(simulator, teff_k=teff_k) for teff_k in (4500, 5772, 7000, 9000)]
    assert widths[0] < 0.5 * widths[1] and widths[1] < 0.5 * widths[2]
    assert widths[2] < widths[3]


def test_ionised_iron_grows_as_gravity_falls():
    simulator = star(lines(("Fe 2", 5234.625, 3.221, -3.0)), 5230.0, 5239.0)
    widths = [width_ma(simulator, logg_dex=logg_dex) for logg_dex in (4.5, 3.5, 2.5)]
    assert widths[0] < 0.9 * widths[1] < 0.81 * widths[2]


def test_neutral_iron_hardly_knows_gravity(iron):
    # Its number and the opacity of H- both go with the electron pressure.
    widths = [width_ma(iron, logg_dex=logg_dex) for logg_dex in (4.5, 3.0)]
    assert widths[1] == pytest.approx(widths[0], rel=0.35)


@pytest.mark.parametrize(
    "line",
    [
        ("Ca 2", 3933.663, 0.0, 0.135),
        ("Fe 1", 6270.225, 2.858, -2.61),
        ("Na 1", 5889.951, 0.0, 0.108),
        ("Ti 1", 5210.384, 0.048, -0.82),
    ],
)
def test_calcium_and_neutral_lines_weaken_as_stars_get_hotter(line):
    half = 60.0 if line[0] == "Ca 2" else 8.0
    simulator = star(lines(line), line[1] - half, line[1] + half)
    # Lines of hydrogen overlap with that of calcium: compare with the star without the line.
    without = star(lines((*line[:3], -12.0)), line[1] - half, line[1] + half)
    lost = [
        1.0 - (noiseless(simulator, **star) / noiseless(without, **star)).mean()
        for star in ({"teff_k": teff_k, "exposure_s": 1.0} for teff_k in (5000, 6000, 7000, 8500))
    ]
    assert (np.diff(lost) < 0).all()


def test_weak_lines_are_linear_in_metallicity():
    simulator = star(lines(("Fe 1", 6270.225, 2.858, -4.2)), 6266.0, 6274.0)
    # Not of iron alone: the metals give the electrons of H-, a smaller effect.
    ratio = width_ma(simulator, mh_dex=-0.5) / width_ma(simulator, mh_dex=-1.0)
    assert ratio == pytest.approx(10.0**0.5, rel=0.12)


def test_saturated_lines_are_flat_in_metallicity():
    simulator = star(lines(("Fe 1", 6270.225, 2.858, -1.0)), 6264.0, 6276.0)
    ratio = width_ma(simulator, mh_dex=-0.5) / width_ma(simulator, mh_dex=-1.0)
    assert 1.05 < ratio < 10.0**0.3


def test_damped_lines_go_with_the_root():
    simulator = star(lines(("Fe 1", 6270.225, 2.858, 2.0)), 6210.0, 6330.0, step=0.05)
    ratio = width_ma(simulator, mh_dex=-1.0) / width_ma(simulator, mh_dex=-1.5)
    assert ratio == pytest.approx(10.0**0.25, rel=0.2)


@pytest.mark.parametrize("name", ABUNDANCE_LABELS)
def test_an_abundance_moves_its_own_lines(name):
    own = {
        "c_fe_dex": ("C 1", 7.685), "n_fe_dex": ("N 1", 10.33), "o_fe_dex": ("O 1", 9.146),
        "na_fe_dex": ("Na 1", 2.1), "mg_fe_dex": ("Mg 1", 4.35), "al_fe_dex": ("Al 1", 3.14),
        "si_fe_dex": ("Si 1", 5.6), "ca_fe_dex": ("Ca 1", 2.5), "ti_fe_dex": ("Ti 1", 1.0),
        "cr_fe_dex": ("Cr 1", 1.0), "iron_peak_fe_dex": ("Mn 1", 2.1), "ni_fe_dex": ("Ni 1", 1.8),
        "ba_fe_dex": ("Ba 2", 0.6),
    }  # fmt: skip
    species, excitation_ev = own[name]
    # A weak line of the element and one of iron: strengths of a few mA in the Sun.
    simulator = star(lines((species, 6000.0, excitation_ev, 0.0)), 5990.0, 6010.0)
    guess = np.log10(width_ma(simulator))
    assert np.isfinite(guess)
    log_gf = -float(np.clip(guess - 0.5, -2.0, 7.0)) * 1.6
    weak = star(lines((species, 6000.0, excitation_ev, log_gf)), 5995.0, 6005.0)
    iron = star(lines(("Fe 1", 6000.0, 3.0, -3.2)), 5995.0, 6005.0)
    assert width_ma(weak, **{name: 0.3}) > 1.25 * width_ma(weak)
    # Magnesium and silicon give electrons, so they weaken other lines a little.
    assert width_ma(iron, **{name: 0.3}) == pytest.approx(width_ma(iron), rel=0.1)


def test_microturbulence_strengthens_saturated_lines_only(iron):
    weak = star(lines(("Fe 1", 6270.225, 2.858, -4.2)), 6266.0, 6274.0)
    assert width_ma(weak, vmic_kms=2.0) == pytest.approx(width_ma(weak, vmic_kms=1.0), rel=0.04)
    assert width_ma(iron, vmic_kms=2.0) > 1.1 * width_ma(iron, vmic_kms=1.0)


@pytest.mark.parametrize("name", ["vsini_kms", "vmac_kms"])
def test_rotation_and_macroturbulence_move_no_energy(iron, name):
    slow, fast = (noiseless(iron, exposure_s=1.0, **{name: value}) for value in (1.0, 15.0))
    assert fast.sum() == pytest.approx(slow.sum(), rel=1e-5)
    assert fast.min() > 1.1 * slow.min()


def test_a_rotating_line_is_as_wide_as_the_velocity_says():
    # Labels set every other width small: the profile ends at vsini.
    simulator = star(lines(("Fe 1", 6270.225, 2.858, -2.61)), 6262.0, 6278.0)
    flux = noiseless(simulator, vsini_kms=60.0, vmac_kms=0.0, vmic_kms=0.5)
    depth = 1.0 - flux / np.linspace(flux[0], flux[-1], len(flux))
    seen_aa = simulator.grid.wavelength_aa[depth > 0.03 * depth.max()]
    half_kms = 0.5 * (seen_aa[-1] - seen_aa[0]) / 6270.225 * 299_792.458
    assert half_kms == pytest.approx(60.0, abs=3.0)


def test_molecules_rise_in_cool_stars():
    from specvae.simulation._lines._molecular_bands import molecular_lines

    table = molecular_lines()
    for species, low_aa, high_aa, hot_k, cool_k in (
        ("TiO 1", 4950.0, 4990.0, 4500.0, 3300.0),
        ("CH 1", 4290.0, 4320.0, 7000.0, 5000.0),
        ("CN 1", 3860.0, 3890.0, 7000.0, 5000.0),
    ):
        simulator = star(LineList.from_table(table[table["species"] == species]), low_aa, high_aa)
        none = star(lines(("Fe 1", low_aa + 1.0, 3.0, -9.0)), low_aa, high_aa)

        def lost(teff_k, simulator=simulator, none=none):
            with_molecule = noiseless(simulator, teff_k=teff_k, vmag=8.0, exposure_s=1.0)
            without = noiseless(none, teff_k=teff_k, vmag=8.0, exposure_s=1.0)
            return 1.0 - with_molecule.sum() / without.sum()

        assert lost(cool_k) > 3.0 * lost(hot_k) and lost(cool_k) > 0.02


def test_continuum_is_bluer_when_hot_and_jumps_at_the_balmer_limit():
    simulator = star(lines(("Fe 1", 4000.0, 3.0, -9.0)), 3400.0, 5500.0, step=0.5)

    def at(flux, wavelength_aa):
        return flux[simulator.grid.index_of(wavelength_aa)]

    cool, hot = (noiseless(simulator, teff_k=teff_k) for teff_k in (5000.0, 9000.0))
    assert at(hot, 4200.0) / at(hot, 5400.0) > 1.5 * at(cool, 4200.0) / at(cool, 5400.0)
    jump = [at(flux, 4200.0) / at(flux, 3500.0) for flux in (cool, hot)]
    assert jump[1] > 1.5  # the Balmer jump of an A star
    assert at(noiseless(simulator, teff_k=9000.0, logg_dex=2.0), 3500.0) > 0  # and finite


# Velocities and the atmosphere of the Earth ----------------------------------------------------


@pytest.fixture(scope="module")
def harps():
    """A stellar line beside the gamma band of oxygen, as HARPS sees it."""
    grid = WavelengthGrid(6255.0, 0.01, 6000)
    return StellarSpectrumSimulator(grid, lines(("Fe 1", 6265.0, 2.5, -1.5)), "harps")


def centre_of(simulator, flux, low_aa, high_aa):
    pixels = simulator.grid.slice(low_aa, high_aa)
    part = flux[pixels] / np.linspace(flux[pixels][0], flux[pixels][-1], len(flux[pixels]))
    depth = np.clip(1.0 - part - 0.05, 0.0, None)
    return float((depth * simulator.grid.wavelength_aa[pixels]).sum() / depth.sum())


STELLAR_AA, TELLURIC_AA = (6263.5, 6266.5), (6279.3, 6280.3)


def test_radial_velocity_moves_stellar_lines_and_leaves_tellurics(harps):
    still, moving = noiseless(harps), noiseless(harps, rv_kms=20.0)
    moved = centre_of(harps, moving, *STELLAR_AA) / centre_of(harps, still, *STELLAR_AA)
    assert moved == pytest.approx(float(doppler_factor(20.0)), abs=3e-7)
    assert centre_of(harps, moving, *TELLURIC_AA) == pytest.approx(
        centre_of(harps, still, *TELLURIC_AA), abs=2e-4
    )


def test_berv_moves_tellurics_and_leaves_stellar_lines(harps):
    still, moving = noiseless(harps), noiseless(harps, berv_kms=5.0)
    shifted = [edge * float(doppler_factor(5.0)) for edge in TELLURIC_AA]
    moved = centre_of(harps, moving, *shifted) / centre_of(harps, still, *TELLURIC_AA)
    assert moved == pytest.approx(float(doppler_factor(5.0)), abs=5e-7)
    assert centre_of(harps, moving, *STELLAR_AA) == pytest.approx(
        centre_of(harps, still, *STELLAR_AA), abs=2e-4
    )


def test_a_second_of_velocity_is_a_relativistic_shift_of_the_whole_spectrum():
    simulator = star(lines(("Fe 1", 5005.0, 2.5, -1.5)), 5000.0, 5010.0, step=0.01)
    still = noiseless(simulator, exposure_s=1.0)
    for rv_kms in (-100.0, 3.7, 90.0):
        moving = noiseless(simulator, rv_kms=rv_kms, exposure_s=1.0)
        wavelength_aa = simulator.grid.wavelength_aa
        expected = np.interp(wavelength_aa / float(doppler_factor(rv_kms)), wavelength_aa, still)
        inside = (wavelength_aa > 5002.0) & (wavelength_aa < 5008.0)
        # The expectation is interpolated linearly between pixels of 0.6 km/s.
        atol = 4e-3 * still.max()
        np.testing.assert_allclose(moving[inside], expected[inside], rtol=0, atol=atol)


def test_airmass_deepens_tellurics_and_no_stellar_line(harps):
    low, high = noiseless(harps, airmass=1.0), noiseless(harps, airmass=2.5)

    def depth(flux, low_aa, high_aa):
        pixels = harps.grid.slice(low_aa, high_aa)
        return 1.0 - flux[pixels].min() / np.median(flux)

    assert depth(high, *TELLURIC_AA) > 1.5 * depth(low, *TELLURIC_AA)
    assert depth(high, *STELLAR_AA) == pytest.approx(depth(low, *STELLAR_AA), rel=0.01)


def test_airmass_tilts_the_continuum():
    grid = WavelengthGrid(4000.0, 0.5, 5000)
    simulator = StellarSpectrumSimulator(grid, lines(("Fe 1", 5005.0, 3.0, -9.0)), "harps")
    low, high = (noiseless(simulator, airmass=airmass, exposure_s=60.0) for airmass in (1.0, 2.0))
    ratio = high / low
    blue, red = ratio[grid.index_of(4050.0)], ratio[grid.index_of(6050.0)]
    # Extinction of La Silla: about 0.3 mag at 4050 and 0.1 at 6050, and worse seeing for all.
    assert blue < 0.88 * red < 0.88


def test_water_deepens_water_and_no_oxygen():
    grid = WavelengthGrid(6270.0, 0.01, 65_000)
    simulator = StellarSpectrumSimulator(grid, lines(("Fe 1", 6400.0, 3.0, -9.0)), "harps")
    dry, wet = noiseless(simulator, pwv_mm=1.0), noiseless(simulator, pwv_mm=10.0)
    ratio = wet / dry / np.nanmedian(wet / dry)
    oxygen, water = grid.slice(6276.3, 6282.0), grid.slice(6540.0, 6580.0)
    assert np.nanmin(ratio[oxygen]) > 0.97  # a faint line of water lies among those of oxygen
    assert np.nanmin(ratio[water]) < 0.9


def test_moonlight_adds_noise_and_no_flux(harps):
    faint = {**SUN, "vmag": 18.0, "exposure_s": 20_000.0}
    new, full = (harps.simulate({**faint, "moon_illumination": moon}, 0) for moon in (0.0, 1.0))
    np.testing.assert_array_equal(new.noiseless_flux, full.noiseless_flux)
    assert np.nanmedian(full.sigma / new.sigma) > 1.02


@pytest.mark.parametrize(
    ("label", "less", "more", "factor"),
    [
        ("exposure_s", 100.0, 400.0, 4.0),
        ("vmag", 8.0, 6.0, 10.0**0.8),
        ("seeing_arcsec", 2.0, 0.8, None),
    ],
)
def test_photons_follow_exposure_magnitude_and_seeing(harps, label, less, more, factor):
    base = {"exposure_s": 100.0}
    few, many = (noiseless(harps, **{**base, label: value}) for value in (less, more))
    ratio = np.nanmedian(many / few)
    assert ratio > 1.5 if factor is None else ratio == pytest.approx(factor, rel=1e-4)


def test_every_label_does_something():
    varied = {
        name: 0.5 * (label.low + label.high) if np.isfinite(label.high) else 1.0
        for name, label in LABELS.items()
    }
    varied |= dict.fromkeys(ABUNDANCE_LABELS, 0.5)
    varied |= {"rv_kms": 10.0, "berv_kms": 10.0, "snr": 50.0, "exposure_s": 77.0, "vmag": 5.0}
    simulator = StellarSpectrumSimulator(WavelengthGrid(4200.0, 0.1, 25_000))
    base = {**SUN, "exposure_s": 60.0, "vmag": 12.0}
    reference = simulator.simulate(base, 0)
    for name, value in varied.items():
        changed = {**base, name: value}
        if name == "snr":
            del changed["exposure_s"]
        result = simulator.simulate(changed, 0)
        assert not np.array_equal(result.sigma, reference.sigma, equal_nan=True), name
