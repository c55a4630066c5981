import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

from specvae.estimators import (
    AdversarialAutoencoder,
    SemiSupervisedVAE,
    SpectralAutoencoder,
    SpectralVAE,
)
from specvae.inspection import traverse
from specvae.preprocessing import MedianNormalizer
from specvae.simulation import simulate_spectra
from specvae.spectra import NpyStore, SpectraArray, WavelengthGrid

GRID = WavelengthGrid(6100.0, 0.1, 120)
SMALL = {
    "encoder": "dense", "decoder": "dense", "grid": GRID, "max_epochs": 3, "random_state": 0,
}  # fmt: skip


@pytest.fixture(scope="module")
def data():
    spectra = simulate_spectra(40, GRID, random_state=0)
    return spectra.flux / spectra.flux.mean(axis=1, keepdims=True), spectra.labels


@pytest.fixture(scope="module")
def semi_supervised(data):
    flux, labels = data
    return SemiSupervisedVAE(1, **SMALL).fit(flux, labels)


def test_pca_by_hand(data):
    flux, _ = data
    pca = PCA(3, random_state=0).fit(flux)
    values = [-0.5, 0.0, 0.5]
    fan = traverse(pca, flux[4], 1, values, grid=GRID)
    codes = np.repeat(pca.transform(flux[4:5]), 3, axis=0)
    codes[:, 1] = values
    np.testing.assert_allclose(fan.codes, codes, rtol=1e-6)
    np.testing.assert_allclose(fan.flux, codes @ pca.components_ + pca.mean_, rtol=1e-5)
    expected = pca.inverse_transform(pca.transform(flux[4:5]))[0]
    np.testing.assert_allclose(fan.reference, expected, rtol=1e-5)
    assert fan.latent == "pca1" and fan.unit == "code"
    assert fan.reference_value == pytest.approx(pca.transform(flux[4:5])[0, 1])
    np.testing.assert_allclose(fan.wavelength_aa, GRID.wavelength_aa)
    assert fan.nearest is None and fan.distance is None and fan.outside is None


@pytest.mark.parametrize("estimator", [SpectralAutoencoder(3, **SMALL), SpectralVAE(3, **SMALL)])
def test_autoencoders_by_name_and_number(data, estimator):
    flux, _ = data
    model = estimator.fit(flux)
    named = traverse(model, flux[0], "latent2", [-1.0, 1.0])
    numbered = traverse(model, flux[:1], 2, [-1.0, 1.0])
    np.testing.assert_array_equal(named.flux, numbered.flux)
    np.testing.assert_allclose(named.codes[:, 2], [-1.0, 1.0])
    np.testing.assert_array_equal(named.codes[0, :2], model.transform(flux[:1])[0, :2])
    expected = model.inverse_transform(named.codes)
    np.testing.assert_allclose(named.flux, expected, rtol=1e-5)
    np.testing.assert_array_equal(named.wavelength_aa, GRID.wavelength_aa)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_traversal_keeps_the_type_of_the_code(data, kind):
    flux, _ = data
    flux = flux.astype(kind)
    pca = PCA(2, random_state=0).fit(flux)
    fan = traverse(pca, flux[0], 0, [0.0, 1.0], codes=pca.transform(flux))
    assert fan.codes.dtype == fan.flux.dtype == fan.reference.dtype == kind
    model = SpectralAutoencoder(2, **SMALL).fit(flux)
    fan = traverse(model, flux[0], 0, [0.0, 1.0])
    assert fan.codes.dtype == fan.flux.dtype == model.transform(flux).dtype


def test_codes_in_another_order_are_refused(data):
    flux, _ = data
    pca = PCA(3, random_state=0).fit(flux)
    codes = pd.DataFrame(pca.transform(flux), columns=pca.get_feature_names_out())
    fan = traverse(pca, flux[9], 0, [codes.iloc[9, 0]], codes=codes)
    assert fan.nearest[0] == 9
    with pytest.raises(ValueError, match=r"codes has the columns pca1, .* code of estimator pc"):
        traverse(pca, flux[9], 0, [0.0], codes=codes[["pca1", "pca0", "pca2"]])


def test_label_of_a_semi_supervised_code_is_in_its_own_unit(data, semi_supervised):
    flux, _ = data
    fan = traverse(semi_supervised, flux[3], "rv_kms", [-25.0, 0.0, 60.0])
    assert fan.unit == "label" and fan.latent == "rv_kms"
    # A code that holds the velocity is what `generate` makes of that velocity.
    now = semi_supervised.predict(flux[3:4])[0]
    assert fan.reference_value == pytest.approx(now[3], rel=1e-4, abs=1e-3)
    wanted = np.repeat(now[None], 3, axis=0)
    wanted[:, 3] = [-25.0, 0.0, 60.0]
    free = np.repeat(semi_supervised.transform(flux[3:4])[:, 4:], 3, axis=0)
    expected = semi_supervised.generate(wanted, free=free)
    np.testing.assert_allclose(fan.flux, expected, rtol=1e-4)
    moved = semi_supervised.intervene(flux[3:4], "rv_kms", 60.0 - now[3])
    np.testing.assert_allclose(fan.flux[2:], moved, rtol=1e-4)


def test_free_latent_of_a_semi_supervised_code_is_in_units_of_the_code(data, semi_supervised):
    flux, _ = data
    fan = traverse(semi_supervised, flux[3], "latent0", [-2.0, 2.0])
    assert fan.unit == "code"
    np.testing.assert_allclose(fan.codes[:, 4], [-2.0, 2.0])
    frozen = traverse(FrozenEstimator(semi_supervised), flux[3], "teff_k", [5000.0])
    assert frozen.unit == "label"


def test_conditions_stay_as_they_are(data):
    flux, labels = data
    known = labels[["teff_k", "logg_dex"]]
    model = AdversarialAutoencoder(3, **SMALL).fit(flux, conditions=known)
    expected_codes = model.transform(flux[5:6], conditions=known.iloc[5:6])
    for conditions in (known.iloc[5], known.iloc[5:6], known.to_numpy()[5]):
        fan = traverse(model, flux[5], "latent0", [-1.0, 1.0], conditions=conditions)
        codes = np.repeat(expected_codes, 2, axis=0)
        codes[:, 0] = [-1.0, 1.0]
        expected = model.decode(codes, known.iloc[[5, 5]])
        np.testing.assert_allclose(fan.flux, expected, rtol=1e-5)
    with pytest.raises(ValueError, match="conditions must be as in fit"):
        traverse(model, flux[5], 0, [0.0])
    with pytest.raises(ValueError, match="conditions must be one row"):
        traverse(model, flux[5], 0, [0.0], conditions=known)


def test_conditions_where_there_are_none_are_refused(data):
    flux, _ = data
    pca = PCA(2).fit(flux)
    with pytest.raises(ValueError, match="PCA takes no conditions"):
        traverse(pca, flux[0], 0, [0.0], conditions=[5000.0])


def test_pipeline_decodes_what_its_last_step_sees(data):
    flux, _ = data
    bright = 1000.0 * flux
    pipeline = Pipeline([("median", MedianNormalizer()), ("pca", PCA(2, random_state=0))])
    pipeline.fit(bright)
    fan = traverse(pipeline, bright[2], "pca0", [0.0])
    assert 0.5 < np.median(fan.reference) < 1.5
    assert fan.wavelength_aa is None  # nobody knows them
    normalised = pipeline[:-1].transform(bright[2:3])
    expected = traverse(pipeline[-1], normalised, 0, [0.0]).flux
    np.testing.assert_allclose(fan.flux, expected)


def test_spectrum_of_a_store(data, tmp_path):
    flux, _ = data
    np.save(tmp_path / "spectra.npy", flux)
    model = SpectralAutoencoder(2, **SMALL).fit(flux)
    lazy = SpectraArray(NpyStore(tmp_path / "spectra.npy"))
    fan = traverse(model, lazy[7:8], 0, [0.5])
    np.testing.assert_allclose(fan.flux, traverse(model, flux[7], 0, [0.5]).flux, rtol=1e-6)


def test_nearest_code_by_hand(data):
    flux, _ = data
    pca = PCA(2, random_state=0).fit(flux)
    start = pca.transform(flux[:1])[0]
    real = np.array([[-1.0, start[1]], [2.0, start[1] + 3.0], [2.0, start[1] + 9.0]])
    fan = traverse(pca, flux[0], "pca0", [-1.5, -1.0, 1.4, 6.0], codes=real)
    np.testing.assert_array_equal(fan.nearest, [0, 0, 0, 1])
    # From 1.4 it is 2.4 to the first, hypot(0.6, 3) to the second; from 6 hypot(4, 3).
    np.testing.assert_allclose(fan.distance, [0.5, 0.0, 2.4, 5.0], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(fan.outside, [True, False, False, True])


def test_itself_is_nearest_to_where_it_is(data):
    flux, _ = data
    pca = PCA(3, random_state=0).fit(flux)
    codes = pca.transform(flux)
    fan = traverse(pca, flux[9], 0, [codes[9, 0]], codes=codes)
    assert fan.nearest[0] == 9 and fan.distance[0] == pytest.approx(0.0, abs=1e-5)
    np.testing.assert_allclose(fan.flux[0], fan.reference, rtol=1e-5)


def test_output_set_to_pandas_changes_nothing(data):
    flux, _ = data
    model = SpectralAutoencoder(2, **SMALL).fit(flux)
    plain = traverse(model, flux[0], 0, [0.5])
    framed = traverse(model.set_output(transform="pandas"), flux[0], 0, [0.5])
    np.testing.assert_array_equal(plain.flux, framed.flux)


def test_series_of_a_frame_keeps_its_names(data):
    frame = pd.DataFrame(data[0], columns=[f"pixel{i}" for i in range(120)])
    pca = PCA(2, random_state=0).fit(frame)
    plain = PCA(2, random_state=0).fit(data[0])
    by_name = traverse(pca, frame.iloc[0], 0, [0.1])  # without names scikit-learn would warn
    np.testing.assert_allclose(by_name.flux, traverse(plain, data[0][0], 0, [0.1]).flux, rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("teff", [0.0]), {}, "no latent 'teff' in the code of PCA; .* names pca0, pca1"),
        ((2, [0.0]), {}, "no latent 2 .* from 0 to 1"),
        ((-1, [0.0]), {}, "no latent -1"),
        ((True, [0.0]), {}, "no latent True"),
        ((0, []), {}, "values must be a list of finite numbers"),
        ((0, [np.nan]), {}, "values must be a list of finite numbers"),
        ((0, 1.0), {}, "values must be a list of finite numbers"),
        ((0, [0.0]), {"codes": np.zeros((4, 3))}, "codes has 3 columns, the code of the estim"),
        (
            (0, [0.0]),
            {"codes": [[np.nan, 1.0]]},
            "codes holds 1 values that are not finite, the first in row 0",
        ),
        ((0, [0.0]), {"codes": np.zeros((0, 2))}, "0 sample"),
        ((0, [0.0]), {"grid": WavelengthGrid(6100.0, 0.1, 5)}, "works on 120 pixels, but grid"),
    ],
)
def test_what_cannot_be_traversed_is_refused(data, arguments, options, message):
    pca = PCA(2, random_state=0).fit(data[0])
    with pytest.raises(ValueError, match=message):
        traverse(pca, data[0][0], *arguments, **options)


def test_one_spectrum_is_wanted(data):
    pca = PCA(2, random_state=0).fit(data[0])
    for spectrum in (data[0], data[0][:0], np.zeros((1, 0))):
        with pytest.raises(ValueError, match="spectrum must be one row"):
            traverse(pca, spectrum, 0, [0.0])
    with pytest.raises(TypeError, match="grid must be a WavelengthGrid"):
        traverse(pca, data[0][0], 0, [0.0], grid=GRID.wavelength_aa)
