from dataclasses import replace

import numpy as np
import pytest

from specvae.simulation._observing._instrument import APOGEE, HARPS, spectrograph
from specvae.spectra import APOGEE_GRID, HARPS_GRID, HARPS_MISSING, doppler_shift


def runs(mask):
    """First and last index of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(int), [0]])))
    return list(zip(edges[::2], edges[1::2] - 1, strict=True))


def test_runs_of_true():
    assert runs(np.array([1, 1, 0, 1], dtype=bool)) == [(0, 1), (3, 3)]


def test_harps_records_its_range_with_one_hole():
    wavelength_aa = np.arange(3785.0, 6910.0, 0.01)
    blaze = HARPS.blaze(wavelength_aa)
    (hole,) = runs(blaze.even + blaze.odd == 0)
    assert wavelength_aa[list(hole)] == pytest.approx([5304.3, 5337.3], abs=0.05)


@pytest.mark.parametrize("berv_kms", [-30.0, 30.0])
def test_harps_holes_stay_in_harps_missing_as_the_earth_moves(berv_kms):
    wavelength_aa = HARPS_GRID.wavelength_aa
    blaze = HARPS.blaze(doppler_shift(wavelength_aa, -berv_kms))
    outside = blaze.even + blaze.odd == 0
    for low_aa, high_aa in HARPS_MISSING:
        outside[HARPS_GRID.slice(low_aa, high_aa)] = False
    assert not outside.any()


def test_each_harps_order_peaks_at_one_in_the_set_of_its_parity():
    for order in (89, 90, 100, 114, 116, 133, 160, 161):
        blaze = HARPS.blaze(np.array([611_875.0 / order]))
        peak, other = (blaze.odd, blaze.even) if order % 2 else (blaze.even, blaze.odd)
        assert (peak[0], other[0]) == (pytest.approx(1.0), 0.0)


def test_even_and_odd_orders_alternate():
    wavelength_aa = np.arange(5400.0, 6900.0, 0.1)
    blaze = HARPS.blaze(wavelength_aa)
    even_leads = blaze.even > blaze.odd
    # Orders 89 to 113 have their peaks here, each alone in the lead around its own.
    lengths = [last - first for first, last in runs(even_leads) + runs(~even_leads)]
    assert len(lengths) == len(range(89, 114))
    assert min(lengths[1:]) > 300


def test_blaze_of_an_overlap_by_hand():
    # Halfway between two orders in wavenumber both are sinc^2(pi / 2) = (2 / pi)^2.
    halfway = HARPS.blaze(np.array([611_875.0 / 120.5]))
    assert [halfway.even[0], halfway.odd[0]] == pytest.approx([0.40528] * 2, abs=1e-5)
    # 0.3 and 0.7 of a free spectral range away: 0.1353 is under a third of 0.7368.
    nearer = HARPS.blaze(np.array([611_875.0 / 120.3]))
    assert [nearer.even[0], nearer.odd[0]] == pytest.approx([0.73684, 0.0], abs=1e-5)
    nearer = HARPS.blaze(np.array([611_875.0 / 120.4]))
    assert [nearer.even[0], nearer.odd[0]] == pytest.approx([0.57279, 0.25457], abs=1e-5)


def test_overlap_shrinks_to_nothing_in_the_red():
    def overlap(low_aa, high_aa):
        blaze = HARPS.blaze(np.linspace(low_aa, high_aa, 20_001))
        return np.mean((blaze.even > 0) & (blaze.odd > 0))

    # Between sqrt(3) / (1 + sqrt(3)) of a free spectral range to either side: 0.268 of it.
    assert overlap(4000, 5200) == pytest.approx(0.268, abs=0.02)
    # The detector spans 0.0112 x 96 = 1.075 ranges of order 96, and 1.00 of order 89.
    assert overlap(611_875 / 96.5, 611_875 / 95.5) == pytest.approx(0.075, abs=0.005)
    assert overlap(6790, 6900) < 0.01


def test_apogee_is_one_order_with_two_gaps():
    wavelength_aa = APOGEE_GRID.wavelength_aa
    blaze = APOGEE.blaze(wavelength_aa)
    assert not blaze.odd.any()
    assert set(np.unique(blaze.even)) == {0.0, 1.0}
    holes = [tuple(wavelength_aa[[first, last]]) for first, last in runs(blaze.even == 0)]
    expected = [(15_100.8, 15_145), (15_808, 15_859), (16_433, 16_475), (16_952, 16_999.8)]
    np.testing.assert_allclose(holes, expected, atol=0.25)


def test_efficiency_runs_through_its_table():
    np.testing.assert_allclose(
        HARPS.efficiency(np.array([3000.0, 4000.0, 4100.0, 5500.0, 9000.0])),
        [0.014, 0.036, 0.046, 0.088, 0.080],
    )


def test_harps_reaches_the_signal_to_noise_that_eso_states():
    # 110 per pixel at 5500 Angstrom: V = 6, 60 s, seeing 1 arcsec, airmass 1.2.
    photons = 1000.0 * 10 ** (-0.4 * 6) * HARPS.collecting_area_cm2 * 60.0  # per Angstrom
    pixel_aa = 5500.0 * HARPS.pixel_kms / 299_792.458
    extinction = 10 ** (-0.4 * 0.12 * 1.2)
    in_fibre = 0.5  # of a Gaussian as wide as the fibre
    electrons = photons * pixel_aa * extinction * in_fibre * HARPS.efficiency(np.array([5500.0]))
    noise2 = electrons + HARPS.n_spatial_pixels * HARPS.readout_e**2
    assert (electrons / np.sqrt(noise2))[0] == pytest.approx(110, rel=0.05)


def test_spectrograph_by_name():
    assert spectrograph("harps") is HARPS
    assert spectrograph("apogee") is APOGEE
    assert spectrograph(None) is None
    assert (HARPS.medium, APOGEE.medium) == ("air", "vacuum")


@pytest.mark.parametrize("word", ["HARPS", "uves", 3, ["harps"]])
def test_unknown_instruments_are_refused(word):
    with pytest.raises(ValueError, match=r"instrument must be 'harps', 'apogee' or None, got"):
        spectrograph(word)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"resolving_power": 0.0}, "resolving_power must be a number > 0"),
        ({"readout_e": -1.0}, "readout_e must be a number >= 0"),
        ({"first_aa": 5320.0}, "first_aa, the gaps and last_aa must increase"),
        ({"missing_aa": ((5337.3, 5304.3),)}, "first_aa, the gaps and last_aa must increase"),
        ({"efficiency_table": ((5000.0, 0.1), (4000.0, 0.1))}, "wavelengths increase"),
        ({"efficiency_table": ((4000.0, 1.1), (5000.0, 0.1))}, "above 0 and up to 1"),
        ({"orders": None}, "orders and order_constant_aa belong together"),
        ({"medium": "water"}, "medium must be one of 'air', 'vacuum'"),
    ],
)
def test_impossible_spectrographs_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(HARPS, **change)
