import tracemalloc

import numpy as np
import pandas as pd
import pytest
from astropy.coordinates import SkyCoord
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import cdist

from specvae.spectra._read import read_spectrum
from specvae.spectra._targets import friends_of_friends, group_targets, normalise_name

NAN = np.nan
ARCSEC = 1 / 3600


def test_radius_decides():
    dec_deg = [0.0, 4.9 * ARCSEC, 11.0 * ARCSEC]
    np.testing.assert_array_equal(group_targets([0.0] * 3, dec_deg, radius_arcsec=5), [0, 0, 1])
    np.testing.assert_array_equal(group_targets([0.0] * 3, dec_deg, radius_arcsec=4.8), [0, 1, 2])
    np.testing.assert_array_equal(group_targets([0.0] * 3, dec_deg, radius_arcsec=6.2), [0, 0, 0])


def test_right_ascension_wraps_and_shrinks_towards_the_pole():
    ra_deg = [359.9999, 0.0001, 10.0, 10.002, 10.0, 10.002, 0.0, 180.0]
    dec_deg = [0.0, 0.0, 80.0, 80.0, 0.0, 0.0, 89.9999, 89.9999]
    # 0.72 arcsec over the zero point, 1.25 at 80 degrees, 7.2 at the equator, 0.72 over the pole.
    groups = group_targets(ra_deg, dec_deg, radius_arcsec=5.0)
    np.testing.assert_array_equal(groups, [0, 0, 1, 1, 2, 3, 4, 4])


def test_chains_hold_a_moving_star_together():
    dec_deg = np.arange(0.0, 1000.0, 20.0) * ARCSEC
    assert (group_targets(np.zeros(50), dec_deg) == 0).all()
    np.testing.assert_array_equal(group_targets(np.zeros(2), dec_deg[[0, -1]]), [0, 1])


def test_agrees_with_all_pairs_of_astropy():
    rng = np.random.default_rng(0)
    ra_deg, dec_deg = rng.uniform(0, 60 * ARCSEC, (2, 150))
    sky = SkyCoord(ra_deg, dec_deg, unit="deg")
    linked = sky[:, None].separation(sky[None]).arcsec <= 5.0
    expected = pd.factorize(connected_components(linked)[1])[0]
    assert 10 < expected.max() < 140
    groups = group_targets(ra_deg, dec_deg, radius_arcsec=5.0)
    np.testing.assert_array_equal(groups, expected)


@pytest.mark.parametrize("seed", range(10))
def test_friends_of_friends_agree_with_all_pairs(seed):
    rng = np.random.default_rng(seed)
    points = rng.uniform(0, 1, (300, 3)) * [1, 1, 0.1]
    # Dense clumps, whose cubes hold many points.
    points = np.concatenate([points, points[:20].repeat(10, 0) + rng.normal(0, 0.01, (200, 3))])
    radius = rng.uniform(0.02, 0.12)
    apart = rng.integers(0, 3, 500)
    linked = (cdist(points, points) <= radius) & (apart[:, None] == apart)
    expected = pd.factorize(connected_components(linked)[1])[0]
    found = pd.factorize(friends_of_friends(points, radius, apart=apart))[0]
    np.testing.assert_array_equal(found, expected)


def test_pointings_of_one_night_are_one_star(real_files):
    metas = [read_spectrum(path).meta for path in real_files("harps/HARPS.2007-08-*")]
    assert len(metas) == 12
    groups = group_targets([m["ra_deg"] for m in metas], [m["dec_deg"] for m in metas])
    assert (groups == 0).all()


def test_names_join_what_coordinates_do_not():
    names = ["GJ 699", "gj_699", "HD 004", "HD4", "", None, NAN]
    ra_deg = [10.0, 10.0, 50.0, NAN, NAN, NAN, NAN]
    dec_deg = [0.0, 200 * ARCSEC, 0.0, NAN, NAN, NAN, NAN]
    np.testing.assert_array_equal(group_targets(ra_deg, dec_deg, names), [0, 0, 1, 1, 2, 3, 4])


def test_union_goes_through_names_and_positions():
    # 0 and 1 by position, 1 and 2 by name, 2 and 3 by position.
    ra_deg = np.array([0.0, 20.0, 200.0, 220.0]) * ARCSEC
    groups = group_targets(ra_deg, np.zeros(4), ["a 1", "b 1", "b 1", "c 1"])
    np.testing.assert_array_equal(groups, [0, 0, 0, 0])


def test_same_name_far_away_is_another_star():
    names = ["CALIB"] * 4
    groups = group_targets([0.0, 30.0, NAN, NAN], [0.0, 0.0, NAN, NAN], names)
    # Which of the two the others show cannot be known; they are kept together.
    np.testing.assert_array_equal(groups, [0, 1, 2, 2])


def test_placeholders_are_no_names():
    names = ["TEST", "test", "N/A", "n/a", "--", "--"]
    np.testing.assert_array_equal(group_targets([NAN] * 6, [NAN] * 6, names), np.arange(6))


def test_sunlight_is_one_star_wherever_it_stands():
    # The last spectrum is of a star close to which Ganymede once stood.
    names = ["Ganymede", "HD 1", "Sun", "MOON ", "Ganymede", "HD 2"]
    ra_deg = [10.0, 20.0, NAN, 77.0, 50.0, 50.0]
    groups = group_targets(ra_deg, np.zeros(6), names)
    np.testing.assert_array_equal(groups, [0, 1, 0, 0, 0, 2])


@pytest.mark.parametrize(
    "name, normal",
    [
        ("HD 004", "HD4"),
        (" hd_4 ", "HD4"),
        ("HD4", "HD4"),
        ("HD 400", "HD400"),
        ("HD 0", "HD0"),
        ("CD-38 1059", "CD-38 1059"),
        ("CD-3 81059", "CD-3 81059"),
        ("BD+05  1668", "BD+5 1668"),
        ("alf Cen A", "ALFCENA"),
        ("K2-0.05", "K2-0.05"),
        ("unknown", ""),
        ("", ""),
    ],
)
def test_names_are_normalised(name, normal):
    assert normalise_name(name) == normal


def test_numbers_follow_the_first_appearance():
    groups = group_targets([5.0, 3.0, 5.0, 1.0, 3.0], np.zeros(5))
    np.testing.assert_array_equal(groups, [0, 1, 0, 2, 1])
    assert groups.dtype.kind == "i"


@pytest.mark.parametrize("jitter_arcsec", [0.0, 2.0])
def test_thousands_of_spectra_of_one_star_cost_little_memory(jitter_arcsec):
    # All pairs of 40,000 spectra of one star would be 8e8, or 13 GB.
    rng = np.random.default_rng(0)
    star = rng.permutation(np.repeat(np.arange(1001), [40_000, *[20] * 1000]))
    dec_deg = star * 60 * ARCSEC + rng.normal(0, jitter_arcsec / 2 * ARCSEC, len(star))
    names = np.char.add("HD ", star.astype(str))
    tracemalloc.start()
    groups = group_targets(np.full(len(star), 10.0), dec_deg, names)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(groups, pd.factorize(star)[0])
    assert peak < 200e6


def test_accepts_columns_of_a_table():
    meta = pd.DataFrame({"ra_deg": [1.0, NAN], "dec_deg": [2.0, NAN], "object": ["HD 1", "HD1"]})
    groups = group_targets(meta["ra_deg"], meta["dec_deg"], meta["object"])
    np.testing.assert_array_equal(groups, [0, 0])


def test_no_spectra():
    assert group_targets([], [], []).shape == (0,)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (([0.0], [0.0, 1.0]), r"of one length; shapes \(1,\) and \(2,\)"),
        (([0.0], [0.0], ["a", "b"]), "names has 2 entries, ra_deg has 1"),
        (([0.0, 0.0], [0.0, 90.1]), "dec_deg=90.1 of spectrum 1 is no place on the sky"),
        (([np.inf], [0.0]), "ra_deg=inf"),
    ],
)
def test_bad_coordinates_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        group_targets(*arguments)


@pytest.mark.parametrize("radius_arcsec", [0.0, -1.0, NAN, 301.0])
def test_bad_radius_is_named(radius_arcsec):
    with pytest.raises(ValueError, match="radius_arcsec must be > 0 and <= 300"):
        group_targets([0.0], [0.0], radius_arcsec=radius_arcsec)
