from dataclasses import replace

import numpy as np
import pandas as pd
from explorer_world import GRID
from sklearn.decomposition import PCA

from specvae.estimators import SpectralVAE
from specvae.explorer._archive import open_archive
from specvae.explorer._sliders import make_sliders


def linear_world(n_stars=400, *, seed=0):
    """Flux in which component 0 knows the temperature and component 1 knows no label."""
    rng = np.random.default_rng(seed)
    cause = rng.normal(size=(n_stars, 2)) * [3.0, 1.0]
    shape = np.linalg.qr(rng.normal(size=(30, 2)))[0].T
    labels = pd.DataFrame({"teff_k": 5000.0 + 100.0 * cause[:, 0], "x": rng.normal(size=n_stars)})
    return cause @ shape, labels


def test_latents_are_named_by_what_they_know_and_only_then():
    flux, labels = linear_world()
    sliders = make_sliders(open_archive(PCA(2).fit(flux), flux, labels))
    assert [slider.name for slider in sliders] == ["pca0", "pca1"]  # what moves most comes first
    assert [slider.knows for slider in sliders] == ["teff_k", ""]
    assert sliders[0].title == "pca0 \u2014 teff_k" and sliders[1].title == "pca1"


def test_sliders_go_from_the_first_to_the_last_percent():
    flux, labels = linear_world()
    archive = open_archive(PCA(2).fit(flux), flux, labels)
    for slider in make_sliders(archive):
        values = archive.codes[:, slider.column]
        np.testing.assert_allclose(
            [slider.low, slider.high], np.quantile(values, [0.01, 0.99]), rtol=1e-5
        )


def test_labels_in_the_code_come_first_in_their_units(exhibit, model, stars):
    names = [slider.name for slider in exhibit.sliders]
    assert names[:4] == list(stars.labels) and set(names[4:]) <= {"latent0", "latent1"}
    teff = exhibit.sliders[0]
    predicted = model.predict(stars.flux)[:, 0]
    np.testing.assert_allclose(
        [teff.low, teff.high], np.quantile(predicted, [0.01, 0.99]), rtol=1e-4
    )
    assert teff.is_label and teff.title == "teff_k (label)"


def test_collapsed_latents_of_a_variational_model_have_no_slider(stars):
    network = SpectralVAE(
        3, encoder="dense", decoder="dense", grid=GRID, max_epochs=2, random_state=0
    ).fit(stars.flux)
    archive = open_archive(network, stars.flux)
    codes = archive.codes.copy()
    codes[:] = np.random.default_rng(0).normal(size=codes.shape) * [0.001, 1.0, 0.5]
    shown = make_sliders(replace(archive, codes=codes))
    assert [slider.name for slider in shown] == ["latent1", "latent2"]


def test_few_labels_name_nothing_and_many_latents_are_cut():
    flux, labels = linear_world()
    labels.iloc[20:] = np.nan
    archive = open_archive(PCA(2).fit(flux), flux, labels)
    assert [slider.knows for slider in make_sliders(archive, n_sliders=1)] == [""]


def test_same_seed_same_names():
    flux, labels = linear_world()
    archive = open_archive(PCA(2).fit(flux), flux, labels)
    assert make_sliders(archive) == make_sliders(archive)
