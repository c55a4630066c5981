import dataclasses

import numpy as np
import pytest

from specvae.preprocessing import QualityReport, der_snr, quality_report
from specvae.spectra import SpectraArray


def spectra(n_spectra=8, n_pixels=400, snr=50.0, seed=0):
    rng = np.random.default_rng(seed)
    return (100.0 * (1.0 + rng.normal(size=(n_spectra, n_pixels)) / snr)).astype(np.float32)


def damaged_spectra():
    flux = spectra()
    flux[1, 7] = np.inf
    flux[2, :250] = np.nan
    flux[3] = np.nan
    flux[4] *= -1.0
    flux[5, :10] = 1e21
    flux[6] = 100.0 + 300.0 * np.random.default_rng(1).normal(size=400)
    return flux


REASONS = (
    "",
    "contains infinity",
    "too few valid pixels",
    "too few valid pixels",
    "median not positive; signal-to-noise ratio too low",
    "extreme values",
    "signal-to-noise ratio too low",
    "",
)


@pytest.mark.parametrize("lazy", [False, True])
def test_each_rule(lazy):
    flux = damaged_spectra()
    report = quality_report(SpectraArray(flux) if lazy else flux)
    assert report.reasons == REASONS
    np.testing.assert_array_equal(report.keep, [not reason for reason in REASONS])
    assert report.summary() == {
        "kept": 2,
        "too few valid pixels": 2,
        "signal-to-noise ratio too low": 2,
        "contains infinity": 1,
        "median not positive": 1,
        "extreme values": 1,
    }


def test_measured_numbers():
    report = quality_report(damaged_spectra())
    np.testing.assert_allclose(report.valid_fraction[[0, 1, 2, 3]], [1.0, 399 / 400, 0.375, 0.0])
    assert report.extreme_fraction[5] == pytest.approx(10 / 400)
    assert report.median[4] == pytest.approx(-100.0, rel=0.01)
    assert np.isnan(report.median[3]) and np.isnan(report.snr[3])


def test_thresholds():
    flux = spectra(3)
    flux[1, :8] = 1e9  # 2 per cent
    flux[2, :100] = np.nan  # 75 per cent valid
    assert quality_report(flux).keep.tolist() == [True, False, True]
    assert quality_report(flux, max_extreme_fraction=0.02).keep.all()
    assert quality_report(flux, extreme_factor=1e8).keep.all()
    assert quality_report(flux, min_valid_fraction=0.75).keep.tolist() == [True, False, True]
    assert quality_report(flux, min_valid_fraction=0.76).keep.tolist() == [True, False, False]
    assert quality_report(flux[:1], min_median=99.0).keep.all()
    assert quality_report(flux[:1], min_median=101.0).reasons == ("median too low",)


def test_given_ratios_win_and_unknown_ones_are_estimated():
    flux = spectra(4, snr=50.0)
    flux[3] = np.nan
    report = quality_report(flux, snr=[200.0, 5.0, np.nan, np.nan], min_snr=10.0)
    assert report.reasons == ("", "signal-to-noise ratio too low", "", "too few valid pixels")
    assert report.snr[0] == 200.0
    assert report.snr[2] == pytest.approx(float(der_snr(flux)[2]))
    assert quality_report(flux[:3], snr=[0.0, 0.0, 0.0], min_snr=None).keep.all()


def test_der_snr_by_hand():
    # |2 * 12 - 10 - 10| = 4 and |2 * 10 - 10 - 10| = 0: median 2 of one row, 4 of the other.
    flux = np.array([[10.0, 10.0, 12.0, 10.0, 10.0, 10.0], [10.0, 10.0, 12.0, 12.0, 10.0, 10.0]])
    wanted = np.array([10.0, 10.0]) / (1.482602 / np.sqrt(6.0) * np.array([2.0, 4.0]))
    np.testing.assert_allclose(der_snr(flux), wanted)


@pytest.mark.parametrize("snr", [5.0, 30.0, 200.0])
def test_der_snr_of_white_noise(snr):
    found = der_snr(spectra(4, 20_000, snr=snr))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, snr, rtol=0.05)


def test_der_snr_ignores_a_slope_and_missing_pixels():
    flux = spectra(1, 20_000, snr=30.0) * np.linspace(0.9, 1.1, 20_000, dtype=np.float32)
    flux[0, 5000:9000] = np.nan
    np.testing.assert_allclose(der_snr(flux), 30.0, rtol=0.05)


def test_der_snr_without_an_estimate():
    assert np.isnan(der_snr(np.ones((1, 4)))).all()
    assert np.isnan(der_snr(np.full((1, 6), np.nan))).all()
    assert np.isinf(der_snr(np.ones((1, 6)))).all()
    assert quality_report(np.ones((2, 3))).keep.all()


def test_blocks_make_no_difference(monkeypatch):
    whole = quality_report(damaged_spectra())
    monkeypatch.setattr("specvae._validation._CHUNK_PIXELS", 800)
    parts = quality_report(damaged_spectra())
    assert parts.reasons == whole.reasons
    np.testing.assert_array_equal(parts.snr, whole.snr)


def test_values_at_the_edge_of_float32_are_silent():
    flux = np.full((1, 60), 3e38, dtype=np.float32)
    flux[0, ::2] = -3e38
    assert not quality_report(flux).keep[0]


def test_report_is_frozen():
    report = quality_report(spectra(2))
    assert isinstance(report, QualityReport)
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.keep = np.zeros(2, dtype=bool)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"min_valid_fraction": 1.2}, "min_valid_fraction must be a number"),
        ({"extreme_factor": 0.5}, "extreme_factor must be a number >= 1"),
        ({"max_extreme_fraction": -1}, "max_extreme_fraction must be a number"),
        ({"min_snr": -3.0}, "min_snr must be a number"),
        ({"min_median": "50"}, "min_median must be a number"),
        ({"snr": [1.0, 2.0]}, r"snr has shape \(2,\), X has 3 spectra"),
    ],
)
def test_parameters_that_are_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        quality_report(spectra(3), **parameters)


def test_ratio_of_no_spectrum_is_empty():
    empty = SpectraArray(np.ones((3, 20), dtype=np.float32))[:0]
    found = der_snr(empty)
    assert found.shape == (0,) and found.dtype == np.float32
    with pytest.raises(ValueError, match="X has no spectra; give at least one"):
        quality_report(empty)
