import numpy as np
import pytest
from scipy.stats import chi2

from specvae.simulation._observing._noise import (
    SMALL_VARIANCE_E2,
    DetectorNoise,
    Order,
    combine_orders,
    constant_noise,
    draw_cosmic_rays,
    draw_flux,
    exposure_for_snr,
    order_weights,
    row_generator,
)


def order(signal, response, background=0.0):
    signal, background, response = np.broadcast_arrays(signal, background, response)
    return Order(signal.astype(np.float32), background.astype(np.float32), response.astype("f4"))


def absent(n_pixels):
    return order(np.zeros(n_pixels), 0.0)


def draws(observed, n_draws):
    return np.stack([draw_flux(observed, row_generator(0, row)) for row in range(n_draws)])


def third_moment(sample):
    return np.mean((sample - sample.mean()) ** 3)


def test_equations_a1_and_a2_by_hand():
    # Pixel 0 lies in both orders, 1 in A, 2 in B, 3 in neither.
    even = order(np.array([100.0, 100.0, 0.0, 0.0]), np.array([1.0, 1.0, 0.0, 0.0]), 10.0)
    odd = order(np.array([60.0, 0.0, 60.0, 0.0]), np.array([0.5, 0.0, 0.5, 0.0]), 4.0)
    observed = combine_orders(even, odd, DetectorNoise(dark_e=2.0, readout_e2=16.0))
    np.testing.assert_allclose(observed.flux, [(100 + 120) / 2, 100, 120, np.nan])
    np.testing.assert_allclose(observed.variance, [(128 + 82 / 0.25) / 4, 128, 82 / 0.25, np.nan])
    np.testing.assert_allclose(
        observed.third_cumulant, [(112 + 66 / 0.125) / 8, 112, 66 / 0.125, np.nan]
    )
    for part in (observed.flux, observed.variance, observed.third_cumulant):
        assert part.dtype == np.float32


def test_weights_of_orders_that_are_there_and_not():
    weights = order_weights(np.array([2.0, 2.0, 0.0, 0.0]), np.array([4.0, 0.0, 4.0, 0.0]))
    np.testing.assert_array_equal(weights[0], [0.25, 0.5, 0.0, np.nan])
    np.testing.assert_array_equal(weights[1], [0.125, 0.0, 0.25, np.nan])


def test_constant_noise_counts_the_exposures_once_in_the_dark():
    # 4 pixels, 3 exposures of 100 s each: 4 x 300 s x 0.01 and 4 x 3 x 5^2.
    noise = constant_noise(4, 3, 300.0, dark_e_per_s=0.01, readout_e=5.0)
    assert noise == (pytest.approx(12.0), pytest.approx(300.0))
    assert noise.variance == pytest.approx(312.0)


def test_sample_mean_and_variance_are_those_stated():
    n_draws, n_pixels = 2000, 300
    level = np.geomspace(1.0, 1e6, n_pixels)  # few electrons to many
    blaze_even = np.where(np.arange(n_pixels) % 3 == 1, 0.0, 0.9)
    blaze_odd = np.where(np.arange(n_pixels) % 3 == 2, 0.0, 0.5)
    observed = combine_orders(
        order(level * blaze_even, blaze_even, 3.0),
        order(level * blaze_odd, blaze_odd, 3.0),
        DetectorNoise(dark_e=1.0, readout_e2=16.0),
    )
    assert 50 < len(observed.few) < 150  # both ways of drawing take part
    sample = draws(observed, n_draws)
    assert sample.dtype == np.float32

    ratio = sample.var(axis=0, ddof=1) / observed.variance
    assert ratio.mean() == pytest.approx(1.0, abs=0.01)
    assert np.abs(ratio - 1.0).mean() < 0.05
    risk = 0.001 / n_pixels / 2  # Bonferroni: one false alarm in a thousand over all pixels
    low, high = chi2.ppf([risk, 1 - risk], n_draws - 1) / (n_draws - 1)
    assert low < ratio.min() and ratio.max() < high

    error = (sample.mean(axis=0) - observed.flux) / np.sqrt(observed.variance / n_draws)
    assert np.abs(error).max() < 5.0
    assert error.std() == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize("electrons", [4.0, 60.0, 99.0, 101.0, 400.0])
def test_mean_and_skewness_are_those_of_photons(electrons):
    # N and 1 / sqrt(N), whether the numbers are drawn exactly or by Cornish and Fisher.
    n_pixels = 1_000_000
    observed = combine_orders(
        order(np.full(n_pixels, electrons), 1.0), absent(n_pixels), DetectorNoise(0.0, 0.0)
    )
    assert (len(observed.few) > 0) == (electrons < SMALL_VARIANCE_E2)
    flux = draw_flux(observed, row_generator(1, 0)).astype(float)
    assert flux.mean() == pytest.approx(electrons, abs=4 * np.sqrt(electrons / n_pixels))
    error = np.sqrt(6.0 / n_pixels)  # of a sample skewness, 0.0024
    skewness = third_moment(flux) / flux.std() ** 3
    assert skewness == pytest.approx(electrons**-0.5, abs=4 * error)


@pytest.mark.parametrize("electrons", [20.0, 200.0])
def test_third_cumulants_of_two_orders_add(electrons):
    n_pixels = 500_000
    even = order(np.full(n_pixels, electrons), 1.0)
    odd = order(np.full(n_pixels, electrons / 2), 0.5)
    observed = combine_orders(even, odd, DetectorNoise(0.0, 4.0))
    flux = draw_flux(observed, row_generator(2, 0)).astype(float)
    # (N / 1^3 + (N / 2) / 0.5^3) / 2^3 = 5 N / 8; variance ((N + 4) + (N / 2 + 4) / 0.25) / 4.
    variance = ((electrons + 4) + 4 * (electrons / 2 + 4)) / 4
    assert flux.var() == pytest.approx(variance, rel=0.01)
    error = np.sqrt(6.0 / n_pixels) * variance**1.5
    assert third_moment(flux) == pytest.approx(5 * electrons / 8, abs=5 * error)


def test_read_out_counts_as_variance_for_the_way_of_drawing():
    quiet, loud = (
        combine_orders(order(np.full(3, 50.0), 1.0), absent(3), DetectorNoise(0.0, readout))
        for readout in (0.0, 51.0)
    )
    assert (len(quiet.few), len(loud.few)) == (3, 0)


def test_a_black_pixel_of_a_perfect_detector_has_no_noise():
    black = order([0.0, 1000.0], [1.0, 1.0])
    observed = combine_orders(black, absent(2), DetectorNoise(0.0, 0.0))
    flux = draw_flux(observed, row_generator(0, 0))
    assert flux[0] == 0.0 and np.isfinite(flux[1])


def test_unrecorded_pixels_are_nan_in_every_draw():
    even = order(np.array([5.0, 0.0, 5e3]), np.array([1.0, 0.0, 1.0]))
    flux = draw_flux(combine_orders(even, absent(3), DetectorNoise(0, 1)), row_generator(0, 0))
    np.testing.assert_array_equal(np.isnan(flux), [False, True, False])


@pytest.mark.parametrize(("rate", "readout_e2", "power"), [(1e4, 1.0, 0.5), (1e-3, 1e4, 1.0)])
def test_signal_to_noise_grows_with_the_root_of_time_and_with_time(rate, readout_e2, power):
    def snr(exposure_s):
        even = order(np.array([rate * exposure_s]), 1.0)
        observed = combine_orders(even, absent(1), DetectorNoise(0.0, readout_e2))
        return float(observed.flux[0] / np.sqrt(observed.variance[0]))

    assert snr(400.0) / snr(100.0) == pytest.approx(4.0**power, rel=1e-3)


def test_exposure_for_snr_by_hand():
    # 25 e/s, 5 of sky and dark, read-out 400: 10 = 25 t / sqrt(30 t + 400) at t = 11.006 s.
    even = order(np.full(9, 25.0), 1.0, 3.0)
    time_s = exposure_for_snr(10.0, even, absent(9), DetectorNoise(2.0, 400.0))
    assert time_s == pytest.approx((3000 + np.sqrt(3000**2 + 4 * 625 * 40_000)) / 1250, rel=1e-6)


@pytest.mark.parametrize("snr", [3.0, 100.0])
@pytest.mark.parametrize("n_pixels", [101, 50_001])
def test_exposure_for_snr_gives_the_median_wanted(snr, n_pixels):
    position = np.linspace(0.0, 40.0, n_pixels)
    blaze_even = np.cos(position).clip(0.0)
    blaze_odd = np.sin(position).clip(0.0)
    light = 20.0 + 10.0 * np.sin(7.0 * position)

    def orders(exposure_s):
        return (
            order(exposure_s * light * blaze, blaze, exposure_s * 0.5)
            for blaze in (blaze_even, blaze_odd)
        )

    per_s = constant_noise(3, 1, 1.0, 0.01, 5.0)
    time_s = exposure_for_snr(snr, *orders(1.0), per_s)
    observed = combine_orders(*orders(time_s), constant_noise(3, 1, time_s, 0.01, 5.0))
    reached = np.nanmedian(observed.flux / np.sqrt(observed.variance))
    assert reached == pytest.approx(snr, rel=0.01)


def test_black_pixels_count_below_the_median():
    even = order(np.array([0.0, 1.0, 1.0]), 1.0)
    time_s = exposure_for_snr(10.0, even, absent(3), DetectorNoise(0.0, 0.0))
    assert time_s == pytest.approx(100.0)


@pytest.mark.parametrize(
    ("light", "response", "count"),
    [([0.0, 0.0], 0.0, "0 of the 0"), ([0.0, 0.0], 1.0, "0 of the 2"), ([0.0, 9.0], 1.0, "1 of")],
)
def test_exposure_without_light_is_refused(light, response, count):
    dark = order(np.array(light), response)
    with pytest.raises(ValueError, match=f"light of the star falls on {count}"):
        exposure_for_snr(100.0, dark, absent(2), DetectorNoise(0.0, 1.0))


def test_a_row_has_its_noise_whatever_was_drawn_before():
    observed = combine_orders(order(np.array([3.0, 1e4]), 1.0), absent(2), DetectorNoise(0.0, 1.0))
    forwards = {row: draw_flux(observed, row_generator(5, row)) for row in (0, 1, 2)}
    backwards = {row: draw_flux(observed, row_generator(5, row)) for row in (2, 1, 0)}
    for row in forwards:
        np.testing.assert_array_equal(forwards[row], backwards[row])
    others = [row_generator(5, 1), row_generator(5, 0, visit=1), row_generator(6, 0)]
    for other in others:
        assert (draw_flux(observed, other) != forwards[0]).all()


def test_the_global_state_of_numpy_is_left_alone():
    before = np.random.get_state()
    observed = combine_orders(order(np.full(4, 5.0), 1.0), absent(4), DetectorNoise(0.0, 1.0))
    draw_flux(observed, row_generator(0, 0))
    draw_cosmic_rays(1000, 1e-3, 10.0, row_generator(0, 1))
    after = np.random.get_state()
    np.testing.assert_array_equal(before[1], after[1])
    assert before[2:] == after[2:]


def test_cosmic_rays_are_as_many_and_as_strong_as_assumed():
    hits = [draw_cosmic_rays(10_000, 1e-5, 100.0, row_generator(0, row)) for row in range(2000)]
    pixels, electrons = (np.concatenate(part) for part in zip(*hits, strict=True))
    # 10 hits a draw, 2 pixels a hit; a log-normal has the mean median x exp(scatter^2 / 2).
    assert len(pixels) / 2000 == pytest.approx(20.0, rel=0.03)
    assert electrons.sum() / 2000 == pytest.approx(10 * 1000 * np.exp(0.7**2 / 2), rel=0.05)
    assert 0 <= pixels.min() < 5 and 9995 < pixels.max() < 10_000
    assert (electrons > 0).all() and electrons.dtype == np.float32


def test_no_cosmic_ray_without_exposure():
    pixels, electrons = draw_cosmic_rays(1000, 1.0, 0.0, row_generator(0, 0))
    assert len(pixels) == len(electrons) == 0
