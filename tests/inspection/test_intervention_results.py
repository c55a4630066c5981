import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from specvae.estimators import SemiSupervisedVAE, SpectralAutoencoder
from specvae.inspection import (
    generative_intervention,
    latent_slope,
    radial_velocity_intervention,
)
from specvae.metrics import rvis
from specvae.preprocessing import MedianNormalizer, PixelMasker
from specvae.simulation import generative_design, simulate_spectra
from specvae.spectra import NpyStore, SpectraArray, WavelengthGrid, doppler_factor

GRID = WavelengthGrid(6045.0, 0.05, 4200)
LINES_AA = np.linspace(6040.0, 6260.0, 30)
LABELS = pd.DataFrame({"rv_kms": [0.0, 12.0, -30.0, 5.0], "mh_dex": [0.0, -0.5, 0.3, -1.0]})
NAMES = ["rv_kms", "mh_dex"]


def spectra(labels):
    """Lines at a velocity, of a depth that goes with the metallicity: no noise."""
    labels = np.asarray(labels, dtype=float)
    centre_aa = LINES_AA * doppler_factor(labels[:, :1])  # (n_spectra, n_lines)
    offset_aa = GRID.wavelength_aa[:, None] - centre_aa[:, None, :]
    profile = np.exp(-0.5 * (offset_aa / 0.25) ** 2).sum(axis=2)
    return 1.0 - 0.3 * 10.0 ** (0.3 * labels[:, 1:2]) * profile


class Oracle(TransformerMixin, BaseEstimator):
    """An estimator that knows the labels of the spectra that it may be asked for.

    Its code is (velocity / 10, metallicity); `knows` says which part of a change it draws.
    """

    def __init__(self, labels, *, knows=1.0, codes_are=0.0):
        self.labels = labels
        self.knows = knows
        self.codes_are = codes_are

    def fit(self, X, y=None):
        self.known_, self.grid_, self.n_features_in_ = spectra(self.labels), GRID, GRID.n_pixels
        return self

    def predict(self, X):
        distance = np.abs(np.asarray(X)[:, None, :] - self.known_).mean(axis=2)
        assert (distance.min(axis=1) < 1e-3).all()
        return np.asarray(self.labels)[distance.argmin(axis=1)]

    def transform(self, X):
        return self.predict(X) / [10.0, 1.0] + self.codes_are

    def inverse_transform(self, codes):
        return spectra(np.asarray(codes) * [10.0, 1.0])

    def get_feature_names_out(self, input_features=None):
        return np.array(NAMES, dtype=object)


class LabelledOracle(Oracle):
    def intervene(self, X, label, delta):
        if label not in NAMES:
            raise ValueError(f"there is no label {label!r}; known: {', '.join(NAMES)}.")
        labels = self.predict(X)
        moved = labels.copy()
        moved[:, NAMES.index(label)] += delta
        return self.knows * spectra(moved) + (1 - self.knows) * spectra(labels)


FLUX = spectra(LABELS)


@pytest.fixture(scope="module")
def oracle():
    return LabelledOracle(LABELS).fit(FLUX)


def test_exact_decoder_is_below_a_thousandth_of_doing_nothing(oracle):
    result = radial_velocity_intervention(oracle, FLUX)
    assert result.ratio < 1e-3 and result.n_stars == 4
    np.testing.assert_allclose(result.velocities_kms, np.r_[-40:0:4, 4:44:4])
    assert result.window_aa == (6050.0, 6250.0)


def test_ratio_grows_from_exact_to_blind():
    ratios = [
        radial_velocity_intervention(
            LabelledOracle(LABELS, knows=knows).fit(FLUX), FLUX, velocities_kms=[-20.0, 30.0]
        ).ratio
        for knows in (1.0, 0.75, 0.5, 0.25, 0.0)
    ]
    assert ratios[0] < 1e-3 and ratios[-1] == 1.0 and (np.diff(ratios) > 0.2).all()


@pytest.mark.parametrize("latent", ["rv_kms", 0])
def test_a_latent_moves_by_its_slope(latent):
    oracle = Oracle(LABELS).fit(FLUX)
    slope = latent_slope(oracle.transform(FLUX)[:, 0], LABELS["rv_kms"])
    assert slope == pytest.approx(0.1)
    options = {"latent": latent, "velocities_kms": [-20.0, 20.0]}
    assert radial_velocity_intervention(oracle, FLUX, slope=slope, **options).ratio < 1e-3
    assert radial_velocity_intervention(oracle, FLUX, slope=0.5 * slope, **options).ratio > 0.1
    assert radial_velocity_intervention(oracle, FLUX, slope=-slope, **options).ratio > 1.0


def test_the_wrong_latent_is_no_velocity():
    oracle = Oracle(LABELS).fit(FLUX)
    result = radial_velocity_intervention(
        oracle, FLUX, latent="mh_dex", slope=0.001, velocities_kms=[-20.0, 20.0]
    )
    assert result.ratio > 0.99


def test_result_is_that_of_the_arrays(oracle):
    moved = [oracle.intervene(FLUX, "rv_kms", v) for v in (-8.0, 8.0)]
    expected = rvis(GRID, FLUX, moved, [-8.0, 8.0], groups=[0, 0, 1, 1])
    result = radial_velocity_intervention(
        oracle, FLUX, velocities_kms=[-8.0, 8.0], groups=[0, 0, 1, 1]
    )
    assert result.score == expected.score and result.n_stars == 2
    np.testing.assert_array_equal(result.by_spectrum, expected.by_spectrum)


def test_pipeline_prepares_and_its_last_step_decodes(oracle):
    bright = 1000.0 * FLUX
    # Depths are small, so that the median is the continuum to a percent, and the oracle is found.
    scale = FunctionTransformer(lambda X: X / 1000.0)
    pipeline = Pipeline([("scale", scale), ("code", FrozenEstimator(oracle))]).fit(bright)
    result = radial_velocity_intervention(pipeline, bright, velocities_kms=[10.0])
    alone = radial_velocity_intervention(oracle, FLUX, velocities_kms=[10.0])
    assert result.score == pytest.approx(alone.score) and result.ratio < 1e-3


def test_pca_in_a_pipeline():
    spectra = simulate_spectra(60, WavelengthGrid(6050.0, 0.2, 300), random_state=0)
    pipeline = Pipeline([("median", MedianNormalizer()), ("pca", PCA(4, random_state=0))])
    codes = pipeline.fit_transform(spectra.flux)
    slopes = latent_slope(codes, spectra.labels["rv_kms"])
    options = {"latent": "pca1", "slope": slopes[1], "window_aa": (6060.0, 6100.0)}
    with pytest.raises(ValueError, match="PCA does not know its wavelengths; give grid"):
        radial_velocity_intervention(pipeline, spectra.flux, **options)
    grid = WavelengthGrid(6050.0, 0.2, 300)
    result = radial_velocity_intervention(
        pipeline, spectra.flux, grid=grid, groups=spectra.groups, **options
    )
    assert result.n_stars == 12 and result.score > 0 and result.standard_error > 0


def masked_pca(window_aa, flux):
    """Drop the pixels of a window, normalise, reduce."""
    masker = PixelMasker((window_aa,), grid=GRID_SMALL, action="drop")
    steps = [("mask", masker), ("median", MedianNormalizer()), ("pca", PCA(2, random_state=0))]
    return Pipeline(steps).fit(flux)


def test_grid_of_a_step_before_is_found():
    flux = simulate_spectra(20, GRID_SMALL, random_state=0).flux
    options = {"latent": 0, "slope": 0.01, "window_aa": (6053.0, 6060.0)}
    trimmed = masked_pca((6049.0, 6051.0), flux)
    assert trimmed["mask"].output_grid_.n_pixels == trimmed["pca"].n_features_in_ < 120
    found = radial_velocity_intervention(trimmed, flux, **options)
    given = radial_velocity_intervention(
        trimmed, flux, grid=trimmed["mask"].output_grid_, **options
    )
    assert found.score == given.score > 0
    with_gap = masked_pca((6055.0, 6056.0), flux)
    with pytest.raises(ValueError, match="let PixelMasker mark pixels, not drop them"):
        radial_velocity_intervention(with_gap, flux, grid=GRID_SMALL, **options)


GRID_SMALL = WavelengthGrid(6050.0, 0.1, 120)


@pytest.fixture(scope="module")
def semi_supervised():
    spectra = simulate_spectra(60, GRID_SMALL, random_state=0)
    flux = spectra.flux / spectra.flux.mean(axis=1, keepdims=True)
    model = SemiSupervisedVAE(
        1, encoder="dense", decoder="dense", grid=GRID_SMALL, max_epochs=3, random_state=0
    )
    return model.fit(flux, spectra.labels, groups=spectra.groups), flux, spectra


def test_semi_supervised_vae_is_scored(semi_supervised):
    model, flux, spectra = semi_supervised
    window_aa = (6052.0, 6060.0)
    result = radial_velocity_intervention(
        model, flux, velocities_kms=[-10.0, 10.0], window_aa=window_aa, groups=spectra.groups
    )
    unmoved = model.inverse_transform(model.transform(flux))
    moved = [model.intervene(flux, "rv_kms", v) for v in (-10.0, 10.0)]
    expected = rvis(
        GRID_SMALL, unmoved, moved, [-10.0, 10.0], window_aa=window_aa, groups=spectra.groups
    )
    assert result.score == pytest.approx(expected.score) and result.n_stars == 12
    # Moving its latent by hand is the same as moving its label.
    slope = 1.0 / float(model.net_.module_.label_scaler.scale[3])
    by_latent = radial_velocity_intervention(
        model, flux, latent="rv_kms", slope=slope, velocities_kms=[-10.0, 10.0],
        window_aa=window_aa, groups=spectra.groups,
    )  # fmt: skip
    assert by_latent.score == pytest.approx(expected.score, rel=1e-4)


def test_unknown_label_is_named(semi_supervised):
    model, flux, _ = semi_supervised
    with pytest.raises(ValueError, match="there is no label 'velocity'; known: teff_k"):
        radial_velocity_intervention(model, flux, label="velocity", window_aa=(6052.0, 6060.0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"latent": "latent9", "slope": 1.0}, "no latent 'latent9' .* names rv_kms, mh_dex"),
        ({"latent": 2, "slope": 1.0}, "no latent 2 .* from 0 to 1"),
        ({"latent": -1, "slope": 1.0}, "no latent -1"),
        ({"latent": 0}, "slope must be a finite number other than 0"),
        ({"latent": 0, "slope": 0.0}, "slope must be a finite number other than 0"),
        ({"latent": 0, "slope": np.nan}, "slope must be a finite number other than 0"),
        ({"slope": 1.0}, "slope goes with latent"),
        ({}, "Oracle has no labels in its code, so that 'rv_kms' cannot be moved by name"),
        ({"window_aa": (1.0, 2.0), "latent": 0, "slope": 1.0}, "window_aa=.* holds no pixel"),
        ({"groups": [], "latent": 0, "slope": 1.0}, "groups is empty"),
        ({"groups": [1], "latent": 0, "slope": 1.0}, "4 spectra, 1 groups"),
        ({"velocities_kms": [], "latent": 0, "slope": 1.0}, "velocities_kms must be a list"),
    ],
)
def test_what_cannot_be_used_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        radial_velocity_intervention(Oracle(LABELS).fit(FLUX), FLUX, **change)


def test_no_spectra_and_bad_codes_are_refused():
    with pytest.raises(ValueError, match="X has no spectra"):
        radial_velocity_intervention(Oracle(LABELS).fit(FLUX), FLUX[:0], latent=0, slope=1.0)
    broken = Oracle(LABELS, codes_are=np.nan).fit(FLUX)
    with pytest.raises(ValueError, match=r"codes of Oracle holds .* the first in row 0"):
        radial_velocity_intervention(broken, FLUX, latent=0, slope=1.0)


def test_estimator_without_a_decoder_is_refused():
    with pytest.raises(ValueError, match="LinearRegression cannot encode and decode"):
        radial_velocity_intervention(
            Pipeline([("scale", StandardScaler()), ("labels", LinearRegression())]), FLUX
        )


def test_one_star_has_a_score_and_no_error_bar(oracle):
    result = radial_velocity_intervention(oracle, FLUX, velocities_kms=[9.0], groups=["Sun"] * 4)
    assert result.n_stars == 1 and np.isnan(result.standard_error) and result.ratio < 1e-3


@pytest.fixture(scope="module")
def design():
    return generative_design(
        3, {"mh_dex": (-1.0, 0.4), "rv_kms": (-30.0, 30.0)}, 2, base=dict.fromkeys(
            ("teff_k", "logg_dex", "berv_kms", "airmass", "pwv_mm", "snr"), 1.0
        ) | {"teff_k": 5000.0, "logg_dex": 4.0, "snr": 100.0}, random_state=0,
    )  # fmt: skip


def test_gis_of_exact_and_blind_decoders(design):
    labels = design.labels[NAMES]
    flux = spectra(labels)
    ratios = []
    for knows in (1.0, 0.6, 0.3, 0.0):
        oracle = LabelledOracle(labels, knows=knows).fit(flux)
        for change in ("difference", "value"):
            result = generative_intervention(oracle, flux, design, "mh_dex", change=change)
        ratios.append(result.score.ratio)
        assert result.score.n_stars == 3
    np.testing.assert_allclose(ratios, [0.0, 0.4, 0.7, 1.0], atol=1e-3)


def test_gis_pairs_rows_of_the_design(design):
    labels = design.labels[NAMES]
    flux = spectra(labels)
    oracle = Oracle(labels).fit(flux)
    result = generative_intervention(oracle, flux, design, "rv_kms", latent=0, slope=0.1)
    np.testing.assert_array_equal(result.score.core_rows, [0, 0, 5, 5, 10, 10])
    np.testing.assert_array_equal(result.score.variant_rows, [3, 4, 8, 9, 13, 14])
    velocity = labels["rv_kms"].to_numpy()
    np.testing.assert_allclose(result.deltas, velocity[[3, 4, 8, 9, 13, 14]] - velocity[[0, 0, 5, 5, 10, 10]])  # fmt: skip  # noqa: E501
    assert result.label == "rv_kms" and result.score.ratio < 1e-9


def test_value_blames_a_biased_encoder_and_difference_does_not(design):
    labels = design.labels[NAMES]
    flux = spectra(labels)

    class Biased(LabelledOracle):
        def predict(self, X):
            return super().predict(X) + [0.0, 0.2]

    biased = Biased(labels).fit(flux)
    difference = generative_intervention(biased, flux, design, "mh_dex")
    value = generative_intervention(biased, flux, design, "mh_dex", change="value")
    assert difference.score.ratio < 1e-9 and value.score.ratio > 0.1


def test_gis_against_the_truth_goes_through_the_pipeline(design):
    labels = design.labels[NAMES]
    flux = 2.0 * spectra(labels)
    oracle = LabelledOracle(labels).fit(flux)
    pipeline = Pipeline([("half", FunctionTransformer(lambda X: X / 2.0)), ("code", oracle)])
    pipeline.fit(flux)
    result = generative_intervention(pipeline, flux, design, "mh_dex", truth=flux).score
    assert result.against_truth == pytest.approx(0.0, abs=1e-9)
    assert result.reconstruction_against_truth == pytest.approx(0.0, abs=1e-9)


def test_gis_of_a_trained_network(semi_supervised):
    model, flux, _ = semi_supervised
    design = generative_design(4, ["teff_k"], 2, random_state=0)
    result = generative_intervention(
        model, flux[: len(design.labels)], design, "teff_k", truth=flux[: len(design.labels)]
    )
    assert result.score.score > 0 and result.score.by_intervention.shape == (8,)
    autoencoder = SpectralAutoencoder(2, encoder="dense", decoder="dense", max_epochs=1)
    with pytest.raises(ValueError, match="has no labels in its code, so that 'teff_k'"):
        generative_intervention(autoencoder.fit(flux), flux[: len(design.labels)], design, "teff_k")


def test_spectra_of_a_store_and_lists_give_the_same(semi_supervised, tmp_path):
    model, flux, _ = semi_supervised
    design = generative_design(4, ["teff_k"], 2, random_state=0)
    flux = flux[: len(design.labels)].astype(np.float32)
    np.save(tmp_path / "spectra.npy", flux)
    lazy = SpectraArray(NpyStore(tmp_path / "spectra.npy"))
    expected = generative_intervention(model, flux, design, "teff_k", truth=flux).score
    found = generative_intervention(model, lazy, design, "teff_k", truth=lazy).score
    np.testing.assert_allclose(found.by_intervention, expected.by_intervention, rtol=1e-5)
    assert found.against_truth == pytest.approx(expected.against_truth, rel=1e-5)
    options = {"velocities_kms": [5.0], "window_aa": (6052.0, 6060.0)}
    velocities = [
        radial_velocity_intervention(model, each, **options).score
        for each in (flux, lazy, flux.tolist())
    ]
    np.testing.assert_allclose(velocities, velocities[0], rtol=1e-5)


def test_what_gis_cannot_use_is_refused(design):
    labels = design.labels[NAMES]
    flux = spectra(labels)
    oracle = LabelledOracle(labels).fit(flux)
    for label, X, options, message in (
        ("teff_k", flux, {}, "does not vary the label 'teff_k'; it varies mh_dex, rv_kms"),
        ("", flux, {}, "does not vary the label ''"),
        ("mh_dex", flux[:-1], {}, "X has 14 spectra, the design 15 rows"),
        ("mh_dex", flux[:0], {}, "X has no spectra"),
        ("mh_dex", flux, {"change": "all"}, "change must be one of 'difference', 'value'"),
        ("mh_dex", flux, {"latent": 7, "slope": 1.0}, "there is no latent 7"),
        ("mh_dex", flux, {"groups": []}, "groups is empty"),
        ("mh_dex", flux, {"truth": flux[:2]}, "truth has shape"),
        ("mh_dex", flux, {"latent": 1, "slope": 1.0, "change": "value"}, "needs a label in the"),
    ):
        with pytest.raises(ValueError, match=message):
            generative_intervention(oracle, X, design, label, **options)
    without = Oracle(labels, codes_are=np.nan).fit(flux)
    with pytest.raises(ValueError, match="codes of Oracle holds"):
        generative_intervention(without, flux, design, "mh_dex", latent=1, slope=1.0)


class Counting(LabelledOracle):
    """Counts what it draws."""

    n_decodes = 0

    def inverse_transform(self, codes):
        self.n_decodes += 1
        return super().inverse_transform(codes)

    def intervene(self, X, label, delta):
        self.n_decodes += 1
        return super().intervene(X, label, delta)


def test_what_is_wrong_is_refused_before_the_first_decode(design):
    labels = design.labels[NAMES]
    flux = spectra(labels)
    counting = Counting(labels).fit(flux)
    for options in (
        {"change": "value", "latent": 1, "slope": 1.0},
        {"truth": flux[:2]},
        {"truth": flux[:, :9]},
        {"truth": flux + np.inf},
        {"groups": [1, 2]},
        {"groups": ["a"] * 14 + [None]},
    ):
        with pytest.raises(ValueError):
            generative_intervention(counting, flux, design, "mh_dex", **options)
    with pytest.raises(ValueError, match="15 spectra, 2 groups"):
        radial_velocity_intervention(counting, flux, groups=[1, 2])
    assert counting.n_decodes == 0
    generative_intervention(counting, flux, design, "mh_dex")
    assert counting.n_decodes == 2


def test_value_without_predictions_is_refused_before_the_first_decode(design):
    class Wordless(PCA):
        def intervene(self, X, label, delta):
            raise AssertionError("this decodes")

    flux = spectra(design.labels[NAMES])
    with pytest.raises(ValueError, match="says of 'mh_dex', but it has no predict"):
        generative_intervention(Wordless(2).fit(flux), flux, design, "mh_dex", change="value")


def test_slope_is_that_of_a_line_and_outliers_do_not_pull_it():
    rng = np.random.default_rng(0)
    velocities = rng.uniform(-40.0, 40.0, 400)
    codes = np.column_stack([0.05 * velocities + 1.0, -2.0 * velocities, np.full(400, 3.0)])
    codes[:, :2] += 0.1 * rng.normal(size=(400, 2))
    np.testing.assert_allclose(latent_slope(codes, velocities), [0.05, -2.0, 0.0], atol=1e-3)
    codes[velocities > 36.0, 0] = -30.0
    least_squares = np.polyfit(velocities, codes[:, 0], 1)[0]
    assert least_squares < 0.0
    assert latent_slope(codes[:, 0], velocities) == pytest.approx(0.05, rel=0.1)


def test_slope_leaves_unknown_labels_out():
    labels = pd.Series([0.0, 1.0, 2.0, np.nan])
    assert latent_slope([0.0, 3.0, 6.0, 99.0], labels) == pytest.approx(3.0, abs=1e-3)


@pytest.mark.parametrize(
    ("codes", "labels", "message"),
    [
        ([1.0, np.nan], [1.0, 2.0], "codes holds 1 values that are not finite, the first in row 1"),
        ([1.0, 2.0], [1.0, 2.0, 3.0], "one label for each of the 2 rows"),
        ([1.0, 2.0], [[1.0, 2.0], [3.0, 4.0]], "one label for each of the 2 rows"),
        ([1.0, 2.0], [5.0, np.nan], "1 different values in 1 known"),
        ([1.0, 2.0], [5.0, 5.0], "1 different values in 2 known"),
    ],
)
def test_what_has_no_slope_is_refused(codes, labels, message):
    with pytest.raises(ValueError, match=message):
        latent_slope(codes, labels)
