import numpy as np
import pandas as pd
import pytest

from specvae.simulation._designs._random_designs import (
    TWIN_GRID,
    generative_design,
    mixed_design,
    twin_design,
)
from specvae.simulation._labels import ABUNDANCE_LABELS, LABELS, complete_labels
from specvae.spectra import APOGEE_GRID

DEFAULT_RANGES = {
    "teff_k": (3000, 11000),
    "logg_dex": (3.5, 5.0),
    "mh_dex": (-1.2, 0.4),
    "rv_kms": (-100, 100),
    "berv_kms": (-30, 30),
    "airmass": (1, 2.5),
    "pwv_mm": (0.5, 10),
    "snr": (30, 300),
}


def assert_uniform(values, low, high):
    """Values fill the range, and the mean and scatter are those of a uniform distribution."""
    place = (np.asarray(values) - low) / (high - low)
    assert place.min() >= 0.0 and place.max() <= 1.0
    # Five standard errors; a uniform variable has kurtosis 1.8.
    assert place.mean() == pytest.approx(0.5, abs=5 / np.sqrt(12 * len(place)))
    assert place.std() == pytest.approx(1 / np.sqrt(12), rel=5 * np.sqrt(0.2 / len(place)))


def test_assert_uniform_notices_another_distribution():
    with pytest.raises(AssertionError):
        assert_uniform(np.random.default_rng(0).normal(0.5, 0.1, 2000), 0.0, 1.0)


def test_mixed_labels_are_uniform_and_independent():
    design = mixed_design(5000, random_state=0)
    assert list(design.labels) == list(DEFAULT_RANGES)
    assert (design.labels.dtypes == np.float64).all()
    assert isinstance(design.labels.index, pd.RangeIndex)
    for name, (low, high) in DEFAULT_RANGES.items():
        assert_uniform(design.labels[name], low, high)
    correlation = np.corrcoef(design.labels, rowvar=False) - np.eye(8)
    assert np.abs(correlation).max() < 5 / np.sqrt(5000)
    assert design.groups.tolist() == list(range(5000))


def test_spectra_of_a_star_share_what_belongs_to_the_star():
    extra = {"vsini_kms": (1, 20), "vmag": (5, 9), "moon_illumination": (0, 1)}
    design = mixed_design(10, extra, spectra_per_star=4, random_state=0)
    assert design.groups.tolist() == [0] * 4 + [1] * 4 + [2] * 2
    values = design.labels.groupby(design.groups).nunique()
    of_star = ["teff_k", "logg_dex", "mh_dex", "rv_kms", "vsini_kms", "vmag"]
    assert (values[of_star] == 1).all(axis=None)
    differing = values.drop(columns=of_star)
    assert list(differing) == ["berv_kms", "airmass", "pwv_mm", "moon_illumination", "snr"]
    assert (differing.to_numpy() == [[4], [4], [2]]).all()
    assert design.labels[of_star].drop_duplicates().shape == (3, 6)


def test_ranges_are_replaced_added_and_fixed():
    design = mixed_design(200, {"mg_fe_dex": (-0.1, 0.4), "teff_k": (5000, 5100), "airmass": 1})
    assert design.labels["teff_k"].between(5000, 5100).all()
    assert design.labels["mg_fe_dex"].between(-0.1, 0.4).all()
    assert set(design.labels["airmass"]) == {1.0}
    assert list(design.labels) == [name for name in LABELS if name in design.labels]


def test_exposure_takes_the_place_of_the_signal_to_noise_ratio():
    assert "snr" not in mixed_design(3, {"exposure_s": (30, 900)}).labels
    assert "snr" not in generative_design(1, {"exposure_s": (30, 900)}, 2).labels


def test_order_of_the_ranges_plays_no_part():
    given = {"mg_fe_dex": (-0.1, 0.4), "teff_k": (5000, 5100)}
    backwards = dict(reversed(given.items()))
    pd.testing.assert_frame_equal(
        mixed_design(5, given, random_state=1).labels,
        mixed_design(5, backwards, random_state=1).labels,
    )


@pytest.mark.parametrize(
    "draw",
    [
        lambda seed: mixed_design(20, spectra_per_star=3, random_state=seed),
        lambda seed: generative_design(2, ["teff_k", "airmass"], 3, random_state=seed),
        lambda seed: twin_design(7, random_state=seed),
    ],
)
def test_seed_decides_and_the_global_state_does_not(draw):
    np.random.seed(1)
    first = draw(0)
    np.random.seed(2)
    before = np.random.get_state()[1].copy()
    again = draw(0)
    np.testing.assert_array_equal(np.random.get_state()[1], before)
    pd.testing.assert_frame_equal(first.labels, again.labels)
    assert not np.array_equal(first.labels, draw(1).labels)
    np.testing.assert_array_equal(
        draw(np.random.RandomState(0)).labels, first.labels
    )  # a generator of one's own counts as its seed


def test_designs_fit_the_simulator():
    for design in (
        mixed_design(3),
        generative_design(1, {"si_fe_dex": (-0.2, 0.2)}, 2),
        twin_design(2),
    ):
        completed = complete_labels(design.labels)
        pd.testing.assert_frame_equal(completed[list(design.labels)], design.labels)


def test_generative_rows():
    design = generative_design(2, ["mh_dex", "teff_k"], 3, random_state=0)
    assert len(design.labels) == 2 + 2 * 2 * 3
    assert design.core.tolist() == design.groups.tolist() == [0] * 7 + [1] * 7
    assert design.core_row.tolist() == [0] * 7 + [7] * 7
    assert design.variation.tolist() == [-1, 0, 1, 2, 0, 1, 2] * 2
    assert design.varied_label.tolist() == ([""] + ["mh_dex"] * 3 + ["teff_k"] * 3) * 2
    assert list(design.labels) == list(DEFAULT_RANGES)


def test_only_the_named_label_differs_from_the_core():
    varied = ["teff_k", "logg_dex", "mh_dex", "rv_kms", "berv_kms", "airmass", "snr"]
    design = generative_design(40, varied, 7, random_state=3)
    assert len(design.labels) == 40 + 40 * 7 * 7
    values = design.labels.to_numpy()
    differs = values != values[design.core_row]
    for row in range(len(values)):
        names = [design.labels.columns[column] for column in np.flatnonzero(differs[row])]
        assert names == ([design.varied_label[row]] if design.variation[row] >= 0 else [])
    cores = design.variation == -1
    np.testing.assert_array_equal(np.flatnonzero(cores), np.unique(design.core_row))
    for name in varied:
        assert_uniform(design.labels.loc[design.varied_label == name, name], *DEFAULT_RANGES[name])


def test_generative_ranges_of_cores_and_variations():
    design = generative_design(
        50,
        {"teff_k": (5000, 6000), "o_fe_dex": (0.1, 0.3), "mh_dex": (-1, 0)},
        4,
        base={"mh_dex": -0.5, "logg_dex": (4, 4.5)},
        random_state=0,
    )
    cores = design.labels[design.variation == -1]
    assert set(cores["mh_dex"]) == {-0.5}
    assert cores["logg_dex"].between(4, 4.5).all()
    assert cores["o_fe_dex"].between(0.1, 0.3).all() and cores["o_fe_dex"].nunique() == 50
    assert_uniform(cores["teff_k"], 3000, 11000)
    assert design.labels.loc[design.varied_label == "teff_k", "teff_k"].between(5000, 6000).all()
    of_mh = design.labels.loc[design.varied_label == "mh_dex", "mh_dex"]
    assert of_mh.between(-1, 0).all() and of_mh.nunique() == 200


def test_twins_share_chemistry_and_nothing_else():
    design = twin_design(500, {"snr": (50, 200), "vsini_kms": (1, 5)}, random_state=0)
    assert design.pair.tolist() == np.repeat(np.arange(500), 2).tolist()
    assert design.groups.tolist() == list(range(1000))
    partner = design.labels.iloc[design.partner_row].reset_index(drop=True)
    np.testing.assert_array_equal(design.pair[design.partner_row], design.pair)
    assert (design.partner_row != np.arange(1000)).all()
    same = design.labels == partner
    chemistry = ["mh_dex", *ABUNDANCE_LABELS]
    assert same[chemistry].all(axis=None)
    assert not same.drop(columns=chemistry).any(axis=None)
    assert list(design.labels.drop(columns=chemistry)) == ["teff_k", "logg_dex", "vsini_kms", "snr"]
    ranges = {"teff_k": (4000, 5000), "logg_dex": (1, 3.5), "mh_dex": (-1, 0.4)}
    for name, (low, high) in ranges.items():
        assert_uniform(design.labels[name], low, high)
    first = design.labels[::2]
    chemistry_of_pairs = np.corrcoef(first[chemistry], rowvar=False) - np.eye(14)
    assert np.abs(chemistry_of_pairs).max() < 5 / np.sqrt(500)


def test_twin_grid_is_a_cut_of_the_apogee_grid():
    assert TWIN_GRID.n_pixels == 7751
    assert TWIN_GRID.medium == "vacuum" and TWIN_GRID.spacing == "log"
    np.testing.assert_allclose(
        TWIN_GRID.wavelength_aa, APOGEE_GRID.wavelength_aa[246 : 246 + 7751], rtol=1e-12
    )


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: mixed_design(0), "n_spectra must be an integer >= 1, got 0"),
        (lambda: mixed_design(5.5), "n_spectra must be an integer"),
        (lambda: mixed_design(5, spectra_per_star=0), "spectra_per_star must be"),
        (lambda: mixed_design(5, {"teff": (4000, 5000)}), "unknown label 'teff'; known: teff_k"),
        (lambda: mixed_design(5, {"teff_k": (5000, 4000)}), r"labels\['teff_k'\] .* low < high"),
        (lambda: mixed_design(5, {"teff_k": (5000, 5000)}), "low < high"),
        (lambda: mixed_design(5, {"teff_k": (2000, 5000)}), "within 3000 to 11000"),
        (lambda: mixed_design(5, {"airmass": 0.5}), r"labels\['airmass'\] must lie within 1 to"),
        (lambda: mixed_design(5, {"airmass": np.nan}), r"labels\['airmass'\]"),
        (lambda: mixed_design(5, {"airmass": (1, 2, 3)}), r"\(low, high\) or a number"),
        (lambda: mixed_design(5, {"airmass": "high"}), r"\(low, high\) or a number"),
        (lambda: mixed_design(5, ["airmass"]), "must map names"),
        (lambda: mixed_design(5, {"snr": 50, "exposure_s": 60}), "gives snr beside exposure_s"),
        (
            lambda: generative_design(2, {"exposure_s": (30, 90)}, 2, base={"snr": 50}),
            "base gives snr beside exposure_s",
        ),
        (lambda: generative_design(0, ["teff_k"], 2), "n_cores must be"),
        (lambda: generative_design(2, ["teff_k"], 0), "n_variations must be"),
        (lambda: generative_design(2, [], 2), "labels is empty"),
        (lambda: generative_design(2, "teff_k", 2), r"write \['teff_k'\]"),
        (lambda: generative_design(2, ["teff_k", "teff_k"], 2), "names 'teff_k' twice"),
        (lambda: generative_design(2, ["teff"], 2), "unknown label 'teff'"),
        (lambda: generative_design(2, ["mg_fe_dex"], 2), "'mg_fe_dex', which has no range"),
        (lambda: generative_design(2, {"teff_k": 5000}, 2), "'teff_k', which has no range"),
        (lambda: generative_design(2, ["snr"], 2, base={"snr": 50}), "'snr', which has no range"),
        (lambda: generative_design(2, ["snr"], 2, base={"x": 50}), "base names the unknown label"),
        (lambda: twin_design(0), "n_pairs must be"),
        (lambda: twin_design(5, {"mg_fe_dex": (-5, 0)}), "within -2 to 2"),
        (lambda: twin_design(5, {"logg_dex": 2.5}), "twins must differ"),
    ],
)
def test_bad_arguments_are_named(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()
