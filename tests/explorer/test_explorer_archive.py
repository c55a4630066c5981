import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from explorer_world import GRID, HOSTILE
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from specvae.estimators import AdversarialAutoencoder, PartialLabelRegressor, SpectralRegressor
from specvae.exceptions import DataQualityWarning
from specvae.explorer._archive import open_archive
from specvae.explorer._codes import codes_of, model_with_code
from specvae.explorer._export import rows_csv, shown_csv, to_fits
from specvae.inspection import nearest_spectra, traverse
from specvae.preprocessing import MedianNormalizer
from specvae.spectra import SpectraArray


def test_spectrum_and_reconstruction_are_those_of_the_pipeline(archive, model, stars):
    flux = model[0].transform(stars.flux)
    np.testing.assert_allclose(archive.spectrum(7), flux[7], rtol=1e-6)
    np.testing.assert_allclose(archive.codes, model.transform(stars.flux), atol=1e-5)
    again = model[-1].inverse_transform(archive.codes)
    np.testing.assert_allclose(archive.decode(archive.codes[7]), again[7], atol=1e-5)
    assert archive.latents == ("teff_k", "logg_dex", "mh_dex", "rv_kms", "latent0", "latent1")


@pytest.mark.parametrize(
    ("name", "value"), [("teff_k", 5000.0), ("rv_kms", 12.0), ("latent1", 0.7)]
)
def test_a_moved_code_is_decoded_as_traverse_does(archive, model, stars, name, value):
    code = archive.code_at(7, {archive.latents.index(name): value})
    wanted = traverse(model, stars.flux[7], name, [value])
    np.testing.assert_allclose(archive.decode(code), wanted.flux[0], atol=1e-5)


def test_labels_in_the_code_are_shown_in_their_units(archive, model, stars):
    predicted = model.predict(stars.flux)
    np.testing.assert_allclose(archive.coordinate("teff_k"), predicted[:, 0], rtol=1e-4)
    latent = archive.coordinate("latent0")
    np.testing.assert_allclose(latent, archive.codes[:, 4], rtol=1e-6)


def test_projection_is_that_of_scikit_learn(archive):
    wanted = PCA(2, svd_solver="full").fit_transform(archive.codes)
    for column, name in enumerate(("PCA 1", "PCA 2")):
        np.testing.assert_allclose(archive.coordinate(name), wanted[:, column], atol=1e-4)
    assert archive.axes[-2:] == ("PCA 1", "PCA 2")


def test_nearest_is_that_of_nearest_spectra(archive):
    found = archive.nearest(archive.codes[3], 5, besides=3)
    wanted = nearest_spectra(archive.codes, 3, k=5)
    np.testing.assert_array_equal(found["row"], wanted.rows[0])
    np.testing.assert_allclose(found["distance"], wanted.distances[0], rtol=1e-4)
    assert list(found.columns[:4]) == ["row", "name", "distance", "teff_k"]
    assert len(archive.nearest(archive.codes[3], 1000, besides=3)) == len(archive) - 1


def test_nearest_is_exact_far_from_the_origin(archive):
    rng = np.random.default_rng(0)
    codes = (1e4 + rng.normal(size=(3000, 5))).astype(np.float32)
    nothing = pd.DataFrame(index=range(3000))
    shifted = replace(archive, codes=codes, labels=nothing, names=np.array(["x"] * 3000))
    found = shifted.nearest(codes[9], 10, besides=9)
    wanted = nearest_spectra(codes, 9, k=10)
    np.testing.assert_array_equal(found["row"], wanted.rows[0])
    np.testing.assert_allclose(found["distance"], wanted.distances[0], rtol=1e-9)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("HD 105", [15, 16, 17]),
        ("hd_105", [15, 16, 17]),
        ("HD 0105", [15, 16, 17]),
        ("#16", [16]),
        ("#60", []),
        ("#-1", []),
        ("#" + "9" * 400, []),
        ("", []),
        ("   ", []),
        ("Vega", []),
        ("[", []),
    ],
)
def test_search(archive, text, rows):
    assert archive.find(text) == rows


def test_search_falls_back_to_beginnings_and_parts(archive):
    assert archive.find("HD 10")[:3] == [0, 1, 2]
    assert archive.find("105") == [15, 16, 17]
    assert len(archive.find("HD", n_most=5)) == 5
    assert archive.find("onerror")[0] == 57


def test_spectra_that_cannot_be_used_are_left_out(model, stars):
    flux = stars.flux.copy()
    flux[[0, 5, 59]] = np.nan
    archive = open_archive(model, SpectraArray(flux, grid=GRID))
    assert set(range(60)) - set(archive.usable) == {0, 5, 59}
    assert archive.nearest(archive.codes[1], 60)["row"].isin([0, 5, 59]).sum() == 0
    assert 5 not in archive.find("spectrum")
    assert archive.find("#1") == [1]
    with pytest.raises(ValueError, match="none of the spectra has a code"):
        open_archive(model, np.full((3, 400), np.nan, dtype=np.float32))


def test_codes_can_be_given_but_must_be_those_of_the_model(model, stars, tmp_path):
    opened, codes = model_with_code(model), model.transform(stars.flux)
    codes[4] = np.nan
    np.save(tmp_path / "codes.npy", codes)
    found = codes_of(opened, stars.flux, tmp_path / "codes.npy")
    np.testing.assert_array_equal(found, codes)
    for wrong, says in (
        (codes[:-1], "59 rows for 60 spectra"),
        (codes[:, :-1], "5 latents, the model 6"),
        (codes[::-1], "not those of this model"),
        (codes[0], "a row for each spectrum"),
    ):
        with pytest.raises(ValueError, match=says):
            codes_of(opened, stars.flux, wrong)
    (tmp_path / "text.npy").write_text("code")
    with pytest.raises(ValueError, match=r"text.npy is no .npy file"):
        codes_of(opened, stars.flux, tmp_path / "text.npy")


def test_a_pipeline_that_goes_on_to_labels_is_opened_up_to_its_code(stars):
    steps = MedianNormalizer(), PCA(3), PartialLabelRegressor(LinearRegression())
    pipeline = make_pipeline(*steps).fit(stars.flux, stars.labels)
    archive = open_archive(pipeline, stars.flux, stars.labels["teff_k"])
    assert archive.latents == ("pca0", "pca1", "pca2")
    assert archive.axis_name == "pixel" and archive.axis[-1] == 399.0
    assert list(archive.labels) == ["teff_k"] and archive.names[3] == "spectrum 3"
    regressor = SpectralRegressor(encoder="dense", max_epochs=1).fit(stars.flux, stars.labels)
    with pytest.raises(ValueError, match="cannot encode and decode"):
        open_archive(regressor, stars.flux)


def test_conditions_come_from_the_labels(stars):
    known = stars.labels[["teff_k"]]
    network = AdversarialAutoencoder(2, encoder="dense", decoder="dense", max_epochs=1)
    network.fit(stars.flux, conditions=known)
    archive = open_archive(network, stars.flux, stars.labels)
    wanted = network.decode(archive.codes[2:3], known[2:3])[0]
    np.testing.assert_allclose(archive.decode(archive.codes[2], 2), wanted, atol=1e-6)
    with pytest.raises(ValueError, match="trained with 1 conditions"):
        open_archive(network, stars.flux)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"meta": pd.DataFrame({"object": ["HD 1"]})}, "meta has 1 rows for 60"),
        ({"labels": np.ones(3)}, "3"),
        ({"groups": [1, 2]}, "2 groups"),
    ],
)
def test_what_does_not_fit_is_refused(model, stars, more, says):
    with pytest.raises(ValueError, match=says):
        open_archive(model, stars.flux, **more)


def test_names_come_from_objects_then_files(model, stars):
    meta = pd.DataFrame({"path": ["/a/b/c.fits"] * 60, "object": ["HD 1", "", None] * 20})
    names = open_archive(model, stars.flux, meta=meta).names
    assert list(names[:3]) == ["HD 1", "c.fits", "c.fits"]


def test_rows_as_csv(archive, stars):
    table = pd.read_csv(io.BytesIO(rows_csv(archive, np.array([5, 59]))))
    assert table["row"].tolist() == [5, 59] and table["name"].tolist() == ["HD 101", HOSTILE]
    assert table["teff_k"][0] == pytest.approx(stars.labels["teff_k"][5])
    assert table["code_latent0"][1] == pytest.approx(archive.codes[59, 4], rel=1e-5)


def test_shown_spectra_as_csv(archive):
    flux = archive.spectrum(5)
    table = pd.read_csv(io.BytesIO(shown_csv(archive, {"selected": flux})))
    np.testing.assert_allclose(table["wavelength_aa"], GRID.wavelength_aa)
    np.testing.assert_allclose(table["selected"], flux, rtol=1e-5)


def test_fits_has_rows_flux_and_shown_spectra(archive, monkeypatch):
    rows, flux = np.array([5, 59, 6]), archive.spectrum(5)
    monkeypatch.setattr("specvae.explorer._export._MOST_PIXELS", 900)
    with fits.open(io.BytesIO(to_fits(archive, rows, {"selected": flux}))) as file:
        file.verify("exception")
        assert file["SELECTION"].data["row"].tolist() == [5, 59, 6]
        assert file["SELECTION"].data["name"][1] == HOSTILE
        assert file["FLUX"].header["NFLUX"] == 2
        np.testing.assert_allclose(file["FLUX"].data[0], flux)
        np.testing.assert_allclose(file["SHOWN"].data["wavelength_aa"], GRID.wavelength_aa)
        np.testing.assert_allclose(file["SHOWN"].data["selected"], flux)


def test_a_scaler_is_no_code(stars):
    fitted = make_pipeline(PCA(3), StandardScaler(), LinearRegression())
    archive = open_archive(fitted.fit(stars.flux, stars.labels), stars.flux)
    assert archive.latents == ("pca0", "pca1", "pca2")
    assert archive.decode(archive.codes[0]).shape == (GRID.n_pixels,)
    only = make_pipeline(StandardScaler(), LinearRegression()).fit(stars.flux, stars.labels)
    for estimator in (only, only[:-1], only[0]):
        with pytest.raises(ValueError, match="cannot encode and decode"):
            open_archive(estimator, stars.flux)


def test_labels_known_of_no_spectrum_are_left_out(model, stars):
    labels = stars.labels[["teff_k"]].assign(empty=np.nan)
    with pytest.warns(DataQualityWarning, match="empty are known of no spectrum"):
        archive = open_archive(model, stars.flux, labels)
    assert list(archive.labels) == ["teff_k"]
    with pytest.warns(DataQualityWarning, match="empty"):
        assert open_archive(model, stars.flux, labels["empty"]).labels.shape == (60, 0)
