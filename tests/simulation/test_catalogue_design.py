import numpy as np
import pandas as pd
import pytest

from specvae.exceptions import DataQualityWarning
from specvae.simulation._designs._catalogue_design import (
    _draw_airmass,
    _draw_counts,
    _draw_normal,
    catalogue_design,
)
from specvae.simulation._designs._random_designs import STAR_LABELS
from specvae.simulation._labels import LABELS, complete_labels


@pytest.fixture(scope="module")
def design():
    return catalogue_design(n_stars=3000, random_state=0)


@pytest.fixture(scope="module")
def stars(design):
    return design.labels.groupby(design.groups).first()


def some_stars(**columns):
    return pd.DataFrame(
        {
            "teff_k": [5772.0, 5060.0, 3500.0],
            "logg_dex": [4.44, 4.55, 4.8],
            "mh_dex": [0.0, -0.04, 0.2],
            **columns,
        }
    )


def test_table_is_complete_and_physical(design):
    assert (design.labels.dtypes == np.float64).all()
    assert isinstance(design.labels.index, pd.RangeIndex)
    completed = complete_labels(design.labels)
    pd.testing.assert_frame_equal(completed[list(design.labels)], design.labels)
    assert set(completed["snr"].isna()) == {True}


def test_rows_of_a_star_follow_each_other_and_share_its_labels(design):
    assert set(np.diff(design.groups)) == {0, 1}
    assert design.groups[0] == 0 and design.groups[-1] == 2999
    values = design.labels.groupby(design.groups).nunique()
    of_star = [name for name in STAR_LABELS if name in values and name != "rv_kms"]
    assert (values[of_star] == 1).all(axis=None)
    counts = np.bincount(design.groups)
    per_spectrum = values[["rv_kms", "berv_kms", "airmass", "pwv_mm", "seeing_arcsec"]]
    assert (per_spectrum.to_numpy() == counts[:, None]).mean() > 0.99


def test_number_of_spectra_has_a_heavy_tail():
    counts = _draw_counts(20_000, 35.0, np.random.RandomState(0))
    # Sigma of the log-normal is 2, so the mean of 20,000 is known to 34 sqrt(e^4 - 1) / 141 = 1.8.
    assert counts.mean() == pytest.approx(35.0, abs=5.5)
    assert counts.min() == 1
    assert 4 <= np.median(counts) <= 7  # 1 + 34 / e^2 = 5.6
    assert counts.max() > 3000 and 0.0005 < np.mean(counts > 1000) < 0.01


def test_mean_number_of_spectra_can_be_one():
    assert catalogue_design(n_stars=50, mean_spectra_per_star=1).groups.tolist() == list(range(50))


def test_population_is_mostly_main_sequence(stars):
    histogram, edges = np.histogram(stars["teff_k"], bins=np.arange(3000, 11_001, 400))
    assert 4800 <= edges[np.argmax(histogram)] < 6200
    assert np.mean(stars["teff_k"] < 4000) == pytest.approx(0.10, abs=0.03)
    assert 0.01 < np.mean(stars["teff_k"] > 7000) < 0.06
    assert np.mean(stars["logg_dex"] < 3.7) == pytest.approx(0.10, abs=0.03)
    like_sun = stars[(stars["teff_k"] - 5772).abs().lt(100) & (stars["logg_dex"] > 3.8)]
    assert like_sun["logg_dex"].mean() == pytest.approx(4.44, abs=0.03)
    assert like_sun["logg_dex"].std() == pytest.approx(0.09, abs=0.03)
    # Denser towards lower mass.
    cool = stars.loc[stars["teff_k"] < 3500, "logg_dex"]
    hot = stars.loc[stars["teff_k"] > 8000, "logg_dex"]
    assert cool.mean() > 4.8 and hot.mean() < 4.3


def test_metallicity_alpha_elements_and_rotation(stars):
    assert stars["mh_dex"].mean() == pytest.approx(-0.1, abs=0.03)
    assert stars["mh_dex"].std() == pytest.approx(0.25, abs=0.03)
    assert stars["mh_dex"].between(-1.2, 0.4).all()
    alpha = stars[["o_fe_dex", "mg_fe_dex", "si_fe_dex", "ca_fe_dex", "ti_fe_dex"]]
    assert (alpha.nunique(axis=1) == 1).all()
    rich, poor = stars["mh_dex"] > 0.0, stars["mh_dex"].between(-0.6, -0.4)
    assert alpha.loc[rich, "mg_fe_dex"].mean() == pytest.approx(0.0, abs=0.01)
    assert alpha.loc[poor, "mg_fe_dex"].mean() == pytest.approx(0.15, abs=0.02)
    hot = stars["teff_k"] > 7500
    assert stars.loc[hot, "vsini_kms"].median() > 50
    assert stars.loc[stars["teff_k"] < 6000, "vsini_kms"].median() == pytest.approx(2.5, rel=0.1)


def test_velocities(design, stars):
    assert stars["rv_kms"].std() == pytest.approx(30.0, rel=0.1)
    around_system = design.labels["rv_kms"].groupby(design.groups).agg(lambda v: v.max() - v.min())
    assert 0.005 < around_system.median() < 0.05
    berv = design.labels["berv_kms"]
    assert berv.abs().max() <= 29.8 and berv.abs().max() > 29.0
    # Stars keep their ecliptic latitude: the largest BERV of a much observed one is near 29.8 cos.
    counts = np.bincount(design.groups)
    largest = berv.abs().groupby(design.groups).max()[counts > 100]
    assert largest.min() < 15.0 and largest.max() > 29.5


def test_atmosphere_sky_and_exposure(design):
    labels = design.labels
    assert labels["airmass"].between(1.0, 2.2).all()
    assert 1.15 < labels["airmass"].mean() < 1.4
    assert labels["pwv_mm"].median() == pytest.approx(2.5, rel=0.05)
    assert labels["seeing_arcsec"].median() == pytest.approx(0.9, rel=0.05)
    moon = labels["moon_illumination"]
    assert moon.min() < 0.01 and moon.max() > 0.99
    assert moon.mean() == pytest.approx(0.5, abs=0.01)
    assert labels["vmag"].between(4, 12).all()
    assert labels["exposure_s"].between(30, 1800).all()
    faint, bright = labels["vmag"] > 9.5, labels["vmag"] < 6.0
    assert labels.loc[faint, "exposure_s"].median() > 10 * labels.loc[bright, "exposure_s"].median()


def test_airmass_of_known_positions():
    rng = np.random.RandomState(0)
    overhead = _draw_airmass(np.full(2000, np.deg2rad(-29.26)), rng)
    assert overhead.min() == pytest.approx(1.0, abs=1e-4)
    # The pole stands at the latitude's altitude at every hour: 1 / sin(29.26 degrees).
    np.testing.assert_allclose(_draw_airmass(np.full(9, -np.pi / 2), rng), 2.046, rtol=1e-3)


def test_normal_values_are_cut_without_heaps():
    values = _draw_normal(0.0, 1.0, -1.0, 2.0, 20_000, np.random.RandomState(0))
    assert -1.0 <= values.min() < -0.99 and 1.98 < values.max() <= 2.0
    assert len(np.unique(values)) == 20_000
    # (phi(-1) - phi(2)) / (Phi(2) - Phi(-1)) = (0.24197 - 0.05399) / 0.81859
    assert values.mean() == pytest.approx(0.2296, abs=0.02)


def test_stars_of_a_catalogue_are_taken_as_they_are():
    catalogue = some_stars(
        c_fe_dex=[0.1, np.nan, -0.1],
        mg_fe_dex=[0.3, np.nan, 0.3],
        rv_kms=[0.0, -2.0, 9.0],
        vmac_kms=[3.0, 2.0, np.nan],
        star=["a", "b", "c"],
    )
    design = catalogue_design(catalogue, 3, mean_spectra_per_star=5, random_state=0)
    stars = design.labels.groupby(design.groups).first()
    required = ["teff_k", "logg_dex", "mh_dex"]
    np.testing.assert_array_equal(stars[required], catalogue[required])  # each one once
    np.testing.assert_array_equal(stars["c_fe_dex"], [0.1, LABELS["c_fe_dex"].default, -0.1])
    assert stars["mg_fe_dex"].tolist()[::2] == [0.3, 0.3]
    assert stars["mg_fe_dex"][1] == pytest.approx(0.012, abs=0.15)  # drawn
    np.testing.assert_allclose(stars["rv_kms"], [0.0, -2.0, 9.0], atol=1.0)
    assert np.isnan(stars["vmac_kms"][2])  # the simulator's relation
    assert "star" not in design.labels
    complete_labels(design.labels)


def test_a_row_drawn_again_is_still_one_star():
    design = catalogue_design(some_stars(), 300, mean_spectra_per_star=2, random_state=0)
    assert set(design.groups) == {0, 1, 2}
    assert (design.labels.groupby(design.groups)["vmag"].nunique() == 1).all()
    assert design.labels["teff_k"].nunique() == 3
    assert (np.bincount(design.groups) > 100).all()


def test_unusable_rows_are_left_out_with_a_warning():
    catalogue = some_stars(teff_k=[5772.0, 56.0, np.nan])
    with pytest.warns(
        DataQualityWarning,
        match="2 of 3 rows .*: 1 without one of .*, 1 with teff_k outside 3000 to 11000; they were",
    ):
        design = catalogue_design(catalogue, 2, random_state=0)
    assert set(design.labels["teff_k"]) == {5772.0}
    with pytest.warns(DataQualityWarning, match="1 with mg_fe_dex outside -2 to 2"):
        catalogue_design(some_stars(mg_fe_dex=[0.0, np.inf, 0.0]), 2)


def test_columns_of_other_types_are_read():
    catalogue = some_stars(
        teff_k=pd.array([5772, 5000, 4000], dtype="Int64"),
        vmag=pd.array([5.0, None, 9.0], dtype="Float64"),
        vsini_kms=[2, None, 3],
        c_fe_dex=np.array([0.1, None, 0.2], dtype=object),
        logg_dex=[4, 4, 5],
    )
    labels = catalogue_design(catalogue, 3, random_state=0).labels
    assert set(labels["teff_k"]) == {5772.0, 5000.0, 4000.0}
    assert {5.0, 9.0} < set(labels["vmag"]) and labels["vmag"].nunique() == 3
    assert set(labels["c_fe_dex"]) == {0.1, 0.0, 0.2}


def test_seed_decides_and_the_global_state_does_not():
    for catalogue in (None, some_stars()):
        before = np.random.get_state()[1].copy()
        first = catalogue_design(catalogue, 3, random_state=0)
        np.testing.assert_array_equal(np.random.get_state()[1], before)
        np.random.seed(7)
        again = catalogue_design(catalogue, 3, random_state=0)
        pd.testing.assert_frame_equal(first.labels, again.labels)
        np.testing.assert_array_equal(first.groups, again.groups)
        assert not first.labels.equals(catalogue_design(catalogue, 3, random_state=1).labels)


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: catalogue_design(n_stars=0), "n_stars must be an integer >= 1"),
        (lambda: catalogue_design(mean_spectra_per_star=0.5), "mean_spectra_per_star must be"),
        (lambda: catalogue_design([1, 2]), "catalogue must be a DataFrame, got list"),
        (
            lambda: catalogue_design(some_stars().rename(columns={"teff_k": "Teff"})),
            "catalogue lacks teff_k; it has Teff, logg_dex, mh_dex",
        ),
        (lambda: catalogue_design(pd.DataFrame()), "lacks teff_k, logg_dex, mh_dex; it has no col"),
        (lambda: catalogue_design(some_stars()[:0]), "0 of 0 rows .* at least one row"),
        (
            lambda: catalogue_design(some_stars(mh_dex=["NULL", "0", "0"])),
            "column 'mh_dex' must hold numbers, NaN where unknown",
        ),
        (lambda: catalogue_design(some_stars(mh_dex=np.nan)), "3 of 3 rows of the catalogue"),
    ],
)
def test_bad_arguments_are_named(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()
