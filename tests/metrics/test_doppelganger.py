import numpy as np
import pandas as pd
import pytest

from specvae.metrics import doppelganger_rate, whiten_codes

NAN = np.nan
# Cluster a: 0, 1, 3 with distances 1, 2, 3; cluster b: 10, 14.
CODES = np.array([[0.0], [1.0], [3.0], [10.0], [14.0], [1.5], [12.0], [40.0]])
GROUPS = np.array(["a", "a", "a", "b", "b", "", "", ""])
FREE = {"velocity": None, "extinction": None, "whiten": False}


def test_rate_by_hand():
    result = doppelganger_rate(CODES, GROUPS, **FREE)
    # a, closer than 2 to 0, 1, 3: only 1.5, by all three, of nine pairs
    # b, closer than 4 to 10, 14: only 12, by both, of six
    np.testing.assert_allclose(result.by_cluster["rate"], [3 / 9, 2 / 6])
    np.testing.assert_allclose(result.by_cluster["median_distance"], [2.0, 4.0])
    assert result.by_cluster["n_pairs"].tolist() == [9, 6]
    assert result.by_cluster.index.tolist() == ["a", "b"]
    assert result.rate == pytest.approx(1 / 3)
    assert result.n_pairs == 15 and result.n_left_out == 0 and result.chance == 0.5


def test_only_matched_pairs_count():
    velocity = np.array([0.0, 4.0, 8.0, 50.0, 50.0, 9.0, 46.0, 0.0])
    extinction = np.array([0.1, 0.1, 0.1, 0.3, 0.3, 0.1, 0.3, 0.1])
    result = doppelganger_rate(
        CODES, GROUPS, velocity=velocity, extinction=extinction, whiten=False
    )
    # 0 km/s sees 40.0, 4 km/s sees 1.5 and 40.0, 8 km/s sees 1.5; b sees 12.0 twice
    np.testing.assert_allclose(result.by_cluster["rate"], [2 / 4, 2 / 2])
    assert result.rate == pytest.approx((3 * 0.5 + 2 * 1.0) / 5)
    dusty = np.where(np.arange(8) == 5, 0.2, extinction)
    result = doppelganger_rate(CODES, GROUPS, velocity=velocity, extinction=dusty, whiten=False)
    assert result.by_cluster["n_pairs"].tolist() == [2, 2]
    wider = doppelganger_rate(
        CODES,
        GROUPS,
        velocity=velocity,
        extinction=dusty,
        max_extinction_difference=0.11,
        whiten=False,
    )
    assert wider.by_cluster["n_pairs"].tolist() == [4, 2]


def test_error_by_jackknife_over_clusters():
    velocity = np.array([0.0, 4.0, 8.0, 50.0, 50.0, 9.0, 46.0, 0.0])
    result = doppelganger_rate(CODES, GROUPS, velocity=velocity, extinction=None, whiten=False)
    # leaving out one of two clusters gives the rate of the other: 0.5 and 1
    assert result.standard_error == pytest.approx(np.sqrt(0.5 * (0.25**2 + 0.25**2)))
    single = doppelganger_rate(CODES, np.where(GROUPS == "b", "", GROUPS), **FREE)
    assert np.isnan(single.standard_error)


def test_unknown_velocity_leaves_the_star_out():
    velocity = np.array([0.0, 0.0, NAN, 0.0, 0.0, 0.0, 0.0, NAN])
    result = doppelganger_rate(CODES, GROUPS, velocity=velocity, extinction=None, whiten=False)
    kept = ~np.isnan(velocity)
    expected = doppelganger_rate(CODES[kept], GROUPS[kept], **FREE)
    pd.testing.assert_frame_equal(result.by_cluster, expected.by_cluster)
    assert result.n_left_out == 2


@pytest.mark.parametrize(
    "groups",
    [
        [1, 1, 1, 2, 2, -1, -1, -1],
        [1.0, 1.0, 1.0, 2.0, 2.0, NAN, NAN, NAN],
        ["a", "a", "a", "b", "b", None, pd.NA, NAN],
        ["a", "a", "a", "b", "b", NAN, NAN, ""],
        ["a", "a", "a", "b", "b", -1, -1, -1],
        np.ma.array([1, 1, 1, 2, 2, 9, 9, 9], mask=[0, 0, 0, 0, 0, 1, 1, 1]),
    ],
    ids=["-1", "NaN", "None", "NaN beside names", "-1 beside names", "masked"],
)
def test_field_stars_are_marked_in_several_ways(groups):
    assert doppelganger_rate(CODES, groups, **FREE).rate == pytest.approx(1 / 3)


def test_a_cluster_of_one_is_dropped():
    codes, groups = np.vstack([CODES, [[2.0]]]), np.append(GROUPS, "c")
    result = doppelganger_rate(codes, groups, **FREE)
    assert result.by_cluster.index.tolist() == ["a", "b"]
    assert result.n_pairs == 15  # nor has it become a field star


def simulated(scatter, *, n_clusters=40, n_latents=4, seed=0):
    """Clusters of three stars within a field of unit scatter."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(n_clusters, n_latents))
    if scatter is None:  # no memory of the cluster
        members = rng.normal(size=(3 * n_clusters, n_latents))
    else:
        members = np.repeat(centres, 3, axis=0) + scatter * rng.normal(size=(3 * n_clusters, 4))
    codes = np.vstack([members, rng.normal(size=(500, n_latents))])
    return codes, np.append(np.repeat(np.arange(n_clusters), 3), np.full(500, -1))


@pytest.mark.parametrize("whiten", [False, True])
def test_rate_runs_from_zero_to_chance(whiten):
    options = FREE | {"whiten": whiten}
    assert doppelganger_rate(*simulated(0.0), **options).rate == 0.0
    good, poor = (doppelganger_rate(*simulated(s), **options) for s in (0.1, 0.5))
    assert good.rate < 0.01 < poor.rate < 0.3
    blind = doppelganger_rate(*simulated(None), **options)
    assert blind.rate == pytest.approx(0.5, abs=4 * blind.standard_error)


def test_codes_are_whitened_by_the_field():
    codes, groups = simulated(0.3)
    codes[groups >= 0, 0] *= 50.0  # would stretch the unit of the first latent
    white = whiten_codes(codes, reference=codes[groups == -1])
    expected = doppelganger_rate(white, groups, **FREE)
    result = doppelganger_rate(codes, groups, **FREE | {"whiten": True})
    pd.testing.assert_frame_equal(result.by_cluster, expected.by_cluster)


def test_a_collapsed_code_gives_chance():
    codes = np.full((8, 2), 0.1)
    assert doppelganger_rate(codes, GROUPS, **FREE).rate == 0.5
    with pytest.raises(ValueError, match="same"):
        doppelganger_rate(codes, GROUPS, **FREE | {"whiten": True})


def test_manhattan_distance():
    codes = np.array([[0.0, 0.0], [1.0, 1.0], [1.3, 0.0], [0.0, 1.9]])
    groups = ["a", "a", None, None]
    # 2 by the sum of differences; 1.3, 1.9 and 1.3, 1.9 are all closer
    assert doppelganger_rate(codes, groups, metric="manhattan", **FREE).rate == 1.0
    # 1.414 along the line; 1.3, 1.9 from the one and 1.044, 1.345 from the other
    assert doppelganger_rate(codes, groups, **FREE).rate == 0.75


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"codes": np.where(CODES == 3.0, NAN, CODES)}, "codes holds 1 values"),
        ({"groups": GROUPS[:5]}, "5 entries for 8 codes"),
        ({"groups": np.full(8, "a")}, "no field star"),
        ({"groups": [1, 2, 3, 4, 5, -1, -1, -1]}, "no cluster of two members"),
        ({"velocity": np.arange(3.0)}, "velocity has 3 values for 8 codes"),
        ({"extinction": np.full(8, np.inf)}, "extinction contains infinity"),
        ({"velocity": 100.0 * np.arange(8)}, "allow larger differences"),
        ({"velocity": np.full(8, NAN)}, "no field star with velocity"),
        ({"max_velocity_difference": -1.0}, "max_velocity_difference must be a number >= 0"),
        ({"metric": "cosine"}, "metric must be one of"),
    ],
)
def test_bad_clusters_are_refused(change, message):
    arguments = {"codes": CODES, "groups": GROUPS} | FREE | change
    with pytest.raises(ValueError, match=message):
        doppelganger_rate(arguments.pop("codes"), arguments.pop("groups"), **arguments)
