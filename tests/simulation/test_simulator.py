import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from specvae.exceptions import GridMismatchError
from specvae.simulation import (
    LineList,
    StellarSpectrumSimulator,
    default_line_list,
    mixed_design,
)
from specvae.spectra import APOGEE_GRID, HARPS_GRID, WavelengthGrid, read_meta

SUN = {"teff_k": 5772.0, "logg_dex": 4.44, "mh_dex": 0.0}
GRID = WavelengthGrid(5160.0, 0.05, 1200)
DATA = Path(__file__).parents[3] / "shared/data"


@pytest.fixture(scope="module")
def simulator():
    return StellarSpectrumSimulator(GRID)


@pytest.fixture(scope="module")
def labels():
    return mixed_design(12, {"snr": 50.0}, spectra_per_star=3, random_state=0).labels


def test_result_holds_what_was_asked_for(simulator, labels):
    simulated = simulator.simulate(labels, 0)
    assert simulated.flux.shape == simulated.sigma.shape == (12, 1200)
    assert simulated.flux.dtype == simulated.noiseless_flux.dtype == np.float32
    assert (simulated.labels[list(labels)] == labels).all(axis=None)
    # Three spectra each of four stars.
    assert (np.bincount(simulated.groups) == 3).all() and len(set(simulated.groups)) == 4
    assert simulated.unknown.shape == (12, 0)
    with pytest.raises(AttributeError):
        simulated.flux = None


def test_rows_come_out_the_same_in_any_order_and_chunking(simulator, labels):
    whole = simulator.simulate(labels, 7)
    order = np.random.default_rng(0).permutation(12)
    mixed = simulator.simulate(labels, 7, rows=order)
    np.testing.assert_array_equal(mixed.flux, whole.flux[order])
    np.testing.assert_array_equal(mixed.groups, whole.groups[order])
    for start in range(0, 12, 5):
        part = simulator.simulate(labels, 7, rows=range(start, min(start + 5, 12)))
        np.testing.assert_array_equal(part.flux, whole.flux[start : start + 5])
        np.testing.assert_array_equal(part.sigma, whole.sigma[start : start + 5])


def test_the_same_seed_gives_the_same_spectra_in_another_process(simulator, labels):
    code = (
        "from specvae.simulation import StellarSpectrumSimulator, mixed_design\n"
        "from specvae.spectra import WavelengthGrid\n"
        "labels = mixed_design(12, {'snr': 50.0}, spectra_per_star=3, random_state=0).labels\n"
        "simulator = StellarSpectrumSimulator(WavelengthGrid(5160.0, 0.05, 1200))\n"
        "import hashlib\n"
        "print(hashlib.sha256(simulator.simulate(labels, 3).flux.tobytes()).hexdigest())\n"
    )
    other = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    import hashlib

    here = hashlib.sha256(simulator.simulate(labels, 3).flux.tobytes()).hexdigest()
    assert other.stdout.strip() == here


def test_global_state_is_neither_read_nor_changed(simulator):
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    first = simulator.simulate(SUN, 0).flux
    np.testing.assert_array_equal(np.random.get_state()[1], before)
    np.random.seed(1)
    np.testing.assert_array_equal(simulator.simulate(SUN, 0).flux, first)


def test_another_seed_is_other_noise_on_the_same_star(simulator):
    first, second = simulator.simulate(SUN, 0), simulator.simulate(SUN, 1)
    np.testing.assert_array_equal(first.noiseless_flux, second.noiseless_flux)
    assert not np.array_equal(first.flux, second.flux)


# Noise -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "circumstances",
    [
        {"snr": 100.0},
        {"vmag": 14.0, "exposure_s": 600.0, "moon_illumination": 1.0},  # sky, dark, read-out
    ],
)
def test_sample_variance_agrees_with_sigma(circumstances):
    grid = WavelengthGrid(5290.0, 0.1, 500)  # with the CCD gap and where orders meet
    simulator = StellarSpectrumSimulator(grid, instrument="harps")
    n_draws = 2000
    simulated = simulator.simulate(pd.DataFrame([{**SUN, **circumstances}] * n_draws), 0)
    seen = np.isfinite(simulated.sigma[0])
    assert 50 < seen.sum() < 500  # some pixels lie in the gap
    ratio = simulated.flux[:, seen].var(axis=0, ddof=1) / simulated.sigma[0, seen] ** 2.0
    # One sample variance of 2,000 draws scatters by 3.2 %; their mean over pixels by 0.2 %.
    assert ratio.mean() == pytest.approx(1.0, abs=0.01)
    assert np.mean(np.abs(np.sqrt(ratio) - 1.0) < 0.05) > 0.99
    bias = simulated.flux[:, seen].mean(axis=0) - simulated.noiseless_flux[0, seen]
    assert np.abs(bias / simulated.sigma[0, seen]).max() < 5.0 / np.sqrt(n_draws)


def test_snr_scales_with_the_root_of_exposure_time_when_photons_rule(simulator):
    bright = pd.DataFrame([{**SUN, "vmag": 6.0, "exposure_s": s} for s in (100.0, 400.0, 1600.0)])
    simulated = simulator.simulate(bright, 0)
    snr = np.nanmedian(simulated.noiseless_flux / simulated.sigma, axis=1)
    np.testing.assert_allclose(snr / snr[0], [1.0, 2.0, 4.0], rtol=0.02)


def test_snr_is_the_median_that_was_asked_for(simulator):
    for snr in (5.0, 50.0, 500.0):
        simulated = simulator.simulate({**SUN, "vmag": 12.0, "snr": snr}, 0)
        seen = np.nanmedian(simulated.noiseless_flux / simulated.sigma)
        assert seen == pytest.approx(snr, rel=0.01)


def test_missing_pixels_are_nan_everywhere():
    grid = WavelengthGrid(5290.0, 0.1, 500)
    simulated = StellarSpectrumSimulator(grid, instrument="harps").simulate(SUN, 0)
    gap = grid.slice(5306.0, 5336.0)
    for values in (simulated.flux, simulated.noiseless_flux, simulated.sigma):
        assert np.isnan(values[0, gap]).all()
    assert np.isfinite(simulated.flux[0, : gap.start - 30]).all()


# Unknown factors -------------------------------------------------------------------------------


def test_unknown_factors_are_drawn_and_do_what_they_say(labels):
    names = ["continuum_tilt", "blaze_residual", "line_spread", "cosmic_rays"]
    grid = WavelengthGrid(5400.0, 0.02, 8000)
    plain = StellarSpectrumSimulator(grid).simulate(SUN | {"exposure_s": 3600.0}, 0)
    for name in names:
        one = StellarSpectrumSimulator(grid, unknown=name)
        simulated = one.simulate(SUN | {"exposure_s": 3600.0}, 0)
        assert list(simulated.unknown) == [name]
        value = simulated.unknown[name].item()
        ratio = simulated.noiseless_flux[0] / plain.noiseless_flux[0]
        if name == "continuum_tilt":
            assert ratio[-1] - ratio[0] == pytest.approx(2.0 * value, rel=0.05)
        elif name == "blaze_residual":
            assert np.ptp(ratio) == pytest.approx(2.0 * abs(value), rel=0.05)
        elif name == "line_spread":
            # The deepest lines get shallower, the light stays.
            assert value > 0 and ratio[np.argmin(plain.noiseless_flux[0])] > 1.0
            assert ratio.mean() == pytest.approx(1.0, abs=0.01)
        else:
            np.testing.assert_array_equal(ratio, 1.0)
            assert ((simulated.flux - plain.flux)[0] > 0).sum() > 0
    every = StellarSpectrumSimulator(grid, unknown=names[::-1]).simulate(labels, 0)
    assert list(every.unknown) == names and (every.unknown.nunique() == 12).all()
    # Switching one on leaves the others as they are.
    np.testing.assert_array_equal(
        every.unknown["line_spread"],
        StellarSpectrumSimulator(grid, unknown=["line_spread"])
        .simulate(labels, 0)
        .unknown["line_spread"],
    )


# Stores ----------------------------------------------------------------------------------------


def test_write_streams_the_rows_that_simulate_gives(simulator, labels, tmp_path):
    whole = simulator.simulate(labels, 5)
    for quantity in ("flux", "noiseless_flux", "sigma"):
        path = tmp_path / f"{quantity}.npy"
        spectra = simulator.write(labels, path, 5, quantity=quantity)
        assert spectra.grid.matches(GRID)
        np.testing.assert_array_equal(spectra.to_numpy(), getattr(whole, quantity))
    meta = read_meta(path)
    np.testing.assert_array_equal(meta["group"], whole.groups)
    np.testing.assert_array_equal(meta["teff_k"], labels["teff_k"])


def test_write_goes_on_where_it_was_interrupted(simulator, labels, tmp_path, monkeypatch):
    path = tmp_path / "spectra.npy"
    calls = []
    observe = type(simulator)._observe

    def failing(self, labels, row, *arguments, **others):
        calls.append(row)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return observe(self, labels, row, *arguments, **others)

    monkeypatch.setattr(type(simulator), "_observe", failing)
    with pytest.raises(KeyboardInterrupt):
        simulator.write(labels, path, 5)
    assert not path.exists()
    spectra = simulator.write(labels, path, 5)
    assert calls == [*range(6), *range(5, 12)]
    monkeypatch.undo()
    np.testing.assert_array_equal(spectra.to_numpy(), simulator.simulate(labels, 5).flux)


# Line positions --------------------------------------------------------------------------------


def test_strongest_simulated_lines_lie_at_real_ones():
    """At least 95 % of the 60 deepest lines lie within 0.05 A of a mask entry or a named line."""
    mask = DATA / "lines/ESPRESSO_G2.fits"
    if not mask.exists():
        pytest.skip("the real line mask is not here")
    from astropy.table import Table
    from scipy.ndimage import percentile_filter
    from scipy.signal import find_peaks

    simulator = StellarSpectrumSimulator(HARPS_GRID, atmosphere=False)
    flux = simulator.simulate(SUN, 0).noiseless_flux[0]
    pixels = HARPS_GRID.slice(3815.0, 6905.0)
    flux, wavelength_aa = flux[pixels], HARPS_GRID.wavelength_aa[pixels]
    flux = pd.Series(flux).interpolate().to_numpy()
    high = np.repeat(percentile_filter(flux[::20], 95, size=500), 20)[: len(flux)]
    peaks, found = find_peaks(1.0 - flux / high, prominence=0.3)
    strongest = wavelength_aa[peaks[np.argsort(-found["prominences"])[:60]]]
    lines = default_line_list()
    known = np.concatenate(
        [np.array(Table.read(mask)["lambda"]), lines.wavelength_aa[_is_named(lines)]]
    )
    distance = np.abs(strongest[:, None] - known).min(axis=1)
    assert np.mean(distance < 0.05) >= 0.95


def _is_named(lines):
    return (lines.name != "") & (lines.name != "drawn")


# Errors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"grid": APOGEE_GRID}, GridMismatchError, "HARPS records 3782 to 6913 .* nothing of"),
        ({"grid": HARPS_GRID, "instrument": "apogee"}, GridMismatchError, "APOGEE records"),
        ({"grid": GRID, "instrument": "espresso"}, ValueError, "'harps', 'apogee' or None"),
        ({"grid": GRID, "unknown": ["dust"]}, ValueError, "continuum_tilt.*got 'dust'"),
        ({"grid": GRID, "resolving_power": -1.0}, ValueError, "resolving_power"),
        ({"grid": np.arange(3.0)}, TypeError, "grid must be a WavelengthGrid, got ndarray"),
        ({"grid": GRID, "line_list": "lines.txt"}, TypeError, "read_line_list"),
    ],
)
def test_bad_arguments_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        StellarSpectrumSimulator(**arguments)


def test_a_line_list_for_other_wavelengths_is_refused():
    table = {"species": ["Fe 1"], "wavelength_aa": [16_000.0], "excitation_ev": [5.0]}
    lines = LineList.from_table({**table, "log_gf": [0.0]})
    with pytest.raises(GridMismatchError, match=r"no line of line_list reaches .* 16000\.0"):
        StellarSpectrumSimulator(GRID, lines)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rows": [0, 99]}, "rows must lie in 0 to 11"),
        ({"rows": [0.5]}, "rows must be a list of integers"),
        ({"groups": [1, 2]}, "groups must have one id for each of the 12 rows"),
    ],
)
def test_bad_calls_are_named(simulator, labels, arguments, message):
    with pytest.raises(ValueError, match=message):
        simulator.simulate(labels, 0, **arguments)


def test_a_negative_seed_is_refused(simulator, labels):
    with pytest.raises(ValueError, match="random_state must be an integer >= 0, got -1"):
        simulator.simulate(labels, -1)
