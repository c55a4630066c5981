import numpy as np
import pytest

from specvae.explorer._downsample import Line, decimate, flux_range, window

N_PIXELS, N_COLUMNS = 327_680, 900
AXIS = 3700.0 + 0.01 * np.arange(N_PIXELS)


@pytest.mark.parametrize("seed", range(5))
def test_every_line_deeper_than_the_noise_survives(seed):
    rng = np.random.default_rng(seed)
    flux = rng.normal(1.0, 0.01, N_PIXELS).astype(np.float32)
    at = rng.choice(N_PIXELS, 300, replace=False)
    flux[at] -= rng.uniform(0.2, 0.9, 300).astype(np.float32)
    line = decimate(AXIS, flux, AXIS[0], AXIS[-1], N_COLUMNS)
    assert len(line.x) <= 2 * N_COLUMNS + 2
    size = -(-N_PIXELS // N_COLUMNS)
    for column in np.unique(at // size):
        deepest = at[at // size == column]
        deepest = deepest[np.argmin(flux[deepest])]
        shown = np.flatnonzero(line.x == AXIS[deepest])
        assert len(shown) and (line.y[shown] == flux[deepest]).all()


def test_all_points_are_pixels_in_their_order():
    flux = np.random.default_rng(0).normal(size=N_PIXELS).astype(np.float32)
    line = decimate(AXIS, flux, 4000.0, 6000.0, N_COLUMNS)
    assert (np.diff(line.x) >= 0).all()
    place = np.searchsorted(AXIS, line.x)
    np.testing.assert_array_equal(line.y, flux[place])
    assert line.x[0] <= 4000.01 and line.x[-1] >= 5999.99
    assert line.y.max() == flux[slice(*np.searchsorted(AXIS, (4000.0, 6000.0)))].max()


def test_gaps_stay_gaps():
    flux = np.ones(N_PIXELS, dtype=np.float32)
    flux[100_000:120_000] = np.nan
    flux[200_000:200_003] = np.nan  # narrower than a column
    line = decimate(AXIS, flux, AXIS[0], AXIS[-1], N_COLUMNS)
    gap = np.isnan(line.y)
    assert gap.any()
    size = -(-N_PIXELS // N_COLUMNS)
    assert AXIS[100_000] <= line.x[gap].min() < AXIS[100_000 + size]
    assert AXIS[120_000 - 2 * size] < line.x[gap].max() <= AXIS[120_000]


def test_of_nothing_but_missing_pixels_nothing_is_drawn():
    line = decimate(AXIS, np.full(N_PIXELS, np.nan, dtype=np.float32), 4000.0, 5000.0, N_COLUMNS)
    assert np.isnan(line.y).all()
    assert flux_range(line) == (0.0, 1.0)


def test_a_narrow_window_shows_all_its_pixels_and_one_beside():
    flux = np.arange(N_PIXELS, dtype=np.float32)
    line = decimate(AXIS, flux, AXIS[1000], AXIS[1010], N_COLUMNS)
    np.testing.assert_array_equal(line.y, np.arange(999, 1012))
    line = decimate(AXIS, flux, AXIS[1000] + 0.002, AXIS[1000] + 0.004, N_COLUMNS)
    np.testing.assert_array_equal(line.y, [1000, 1001])
    assert not np.shares_memory(line.y, flux)


def test_panning_does_not_change_the_columns():
    flux = np.random.default_rng(0).normal(size=N_PIXELS).astype(np.float32)
    first = decimate(AXIS, flux, 4000.0, 5000.0, 500)
    second = decimate(AXIS, flux, 4000.5, 5000.5, 500)
    inside = (first.x > 4010) & (first.x < 4990)
    assert np.isin(first.x[inside], second.x).all()


def test_window_stays_on_the_axis():
    assert window(AXIS, 0.0, 1e9) == slice(0, N_PIXELS)
    assert window(np.arange(5.0), 1.5, 2.5) == slice(1, 4)


def test_range_leaves_out_what_sticks_out_upwards_only():
    y = np.ones(2000, dtype=np.float32)
    y[3], y[7] = 50.0, 0.2
    low, high = flux_range(Line(np.arange(2000.0), y))
    assert low < 0.2 and 1.0 < high < 2.0
    low, high = flux_range(Line(np.arange(3.0), np.full(3, 2.0, dtype=np.float32)))
    assert low < 2.0 < high
