import re
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import IncrementalPCA
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline

from specvae import load
from specvae.estimators import BatchedTransformer, PartialLabelRegressor, SpectralRegressor
from specvae.metrics import mean_by_star
from specvae.model_selection import StarGroupKFold
from specvae.preprocessing import MedianNormalizer
from specvae.spectra import SpectraArray, write_spectra

FIT = (
    "fit stars.npy --to m.specvae --labels labels.csv --by object=name --target teff_k --seed 4 "
    "--network dense --epochs 3"
)

FIT_PCA = FIT.replace("--network dense --epochs 3", "--model pca")


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_model_is_what_the_same_pipeline_in_python_is(specvae, folder, expected, simulated):
    code, out, err = specvae(f"{FIT} --model regressor")
    assert (code, err) == (0, "")
    assert "labels teff_k for 33 of 36 spectra" in out
    flux = MedianNormalizer().fit_transform(simulated.flux)
    python = SpectralRegressor(
        encoder="dense", grid=SpectraArray.open("stars.npy").grid, max_epochs=3, random_state=4
    ).fit(flux, expected[["teff_k"]], groups=simulated.groups)
    found = load("m.specvae").predict(SpectraArray.open("stars.npy"))
    np.testing.assert_allclose(found, python.predict(flux), rtol=1e-5)
    assert names_in(folder) == ["labels.csv", "m.specvae", "stars.json", "stars.npy"]


@pytest.mark.parametrize("model", ["autoencoder", "vae", "semi-supervised", "pca"])
def test_models(specvae, model):
    line = FIT_PCA if model == "pca" else f"{FIT} --model {model}"
    code, _, err = specvae(f"{line} --latents 2")
    assert code == 0, err
    predicted = load("m.specvae").predict(SpectraArray.open("stars.npy"))
    assert np.isfinite(predicted).all() and predicted.size == 36


def test_without_labels_a_code_is_learnt(specvae):
    code, _, err = specvae("fit stars.npy --to m.specvae --model pca --latents 3")
    assert code == 0, err
    assert load("m.specvae").transform(SpectraArray.open("stars.npy")).shape == (36, 3)


def test_errors_by_star_stand_beside_a_constant_and_pca(specvae, expected, simulated):
    code, out, err = specvae(
        f"{FIT} --model pca --latents 4".replace("--network dense --epochs 3", "") + " --folds 3"
    )
    assert code == 0, err
    rows = dict(re.findall(r"^(this model|constant|PCA\(10\)|labelled stars) +(\S+)", out, re.M))
    assert rows["labelled stars"] == "11"
    assert set(rows) == {"this model", "constant", "PCA(10)", "labelled stars"}
    spectra, star = SpectraArray.open("stars.npy"), simulated.groups
    labels = expected[["teff_k"]].reset_index(drop=True)
    python = make_pipeline(
        MedianNormalizer(),
        BatchedTransformer(IncrementalPCA(4)),
        PartialLabelRegressor(LinearRegression()),
    )
    error = np.full((36, 1), np.nan)
    for train, test in StarGroupKFold(3, random_state=4).split(spectra, groups=star):
        predicted = python.fit(spectra[train], labels.iloc[train]).predict(spectra[test])
        error[test] = np.abs(predicted.reshape(-1, 1) - labels.to_numpy()[test])
    assert float(rows["this model"]) == pytest.approx(mean_by_star(error, star).mean[0], rel=0.01)


def test_spectra_without_names_are_stars_of_their_own_and_that_is_said(specvae, simulated):
    write_spectra(
        lambda row: simulated.flux[row],
        "plain.npy",
        SpectraArray.open("stars.npy").grid,
        meta=pd.DataFrame(index=range(36)),
    )
    code, _, err = specvae("fit plain.npy --to m.specvae --model pca")
    assert code == 0 and "every spectrum counts as a star of its own" in err


def test_an_existing_model_stays(specvae, folder, model):
    before = (folder / model).read_bytes()
    code, _, err = specvae(FIT)
    assert code == 1 and "m.specvae: the model exists; delete it" in err
    assert (folder / model).read_bytes() == before


def test_folds_without_labelled_stars_are_named(specvae, folder):
    pd.DataFrame({"object": ["HD1"], "teff_k": [5000.0]}).to_csv("labels.csv", index=False)
    code, _, err = specvae("fit stars.npy --to m.specvae --labels labels.csv --folds 2 --model pca")
    assert code == 1 and re.search(r"--folds 2 leaves no star with teff_k .* in fold [12]", err)
    assert names_in(folder) == ["labels.csv", "stars.json", "stars.npy"]


def test_interrupted_anywhere_the_same_command_gives_the_same_model(specvae, monkeypatch, folder):
    line = f"{FIT} --model regressor --folds 2"
    code, out, _ = specvae(line)
    assert code == 0
    whole, table = load("m.specvae"), out[out.index("Mean absolute") :]
    (folder / "m.specvae").unlink()

    fit, done = SpectralRegressor.fit, []

    def stop(self, *arguments, **more):
        if len(done) == 2:  # two folds are done, and the third training begins
            done.append(None)
            raise KeyboardInterrupt
        done.append(None)
        return fit(self, *arguments, **more)

    monkeypatch.setattr(SpectralRegressor, "fit", stop)
    code, _, err = specvae(line)
    assert code == 130 and "go on from where it stopped" in err
    assert "m.specvae" not in names_in(folder) and "m.specvae.progress" in names_in(folder)
    counted = []
    monkeypatch.setattr(
        SpectralRegressor,
        "fit",
        lambda self, *arguments, **more: counted.append(1) or fit(self, *arguments, **more),
    )
    code, out, _ = specvae(line)
    assert code == 0 and len(counted) == 1  # the folds were kept
    assert out[out.index("Mean absolute") :] == table
    spectra = SpectraArray.open("stars.npy")
    np.testing.assert_array_equal(load("m.specvae").predict(spectra), whole.predict(spectra))
    assert names_in(folder) == ["labels.csv", "m.specvae", "stars.json", "stars.npy"]


def test_other_settings_do_not_go_on_from_there(specvae, monkeypatch, folder):
    with monkeypatch.context() as broken:
        broken.setattr("specvae.cli._fit.save", lambda *arguments: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            specvae(f"{FIT} --model regressor --folds 2")
    code, _, err = specvae(f"{FIT} --model regressor --folds 2 --epochs 4")
    assert code == 1 and "m.specvae.progress was begun with another recipe" in err
    assert specvae(f"{FIT} --model regressor --folds 2")[0] == 0


def test_a_stopped_training_goes_on_from_its_checkpoint(folder, specvae):
    recipe = """
    [[step]]
    class = "MedianNormalizer"
    [[step]]
    class = "SpectralRegressor"
    encoder = "dense"
    checkpoint_minutes = 0.0
    max_epochs = 400
    patience = 400
    """
    (folder / "r.toml").write_text(recipe)
    line = "fit stars.npy --to m.specvae --labels labels.csv --by object=name --recipe r.toml"
    process = subprocess.Popen([sys.executable, "-m", "specvae", *line.split()], cwd=folder)
    checkpoint = folder / "m.specvae.progress/final.checkpoint"
    try:
        while process.poll() is None and not checkpoint.exists():
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    finally:
        process.kill()
    assert checkpoint.exists() and not (folder / "m.specvae").exists()
    code, out, err = specvae(line)
    assert code == 0, err
    assert "Going on with final" in out
    (folder / "m.specvae").rename(folder / "resumed.specvae")
    assert specvae(line)[0] == 0
    spectra = SpectraArray.open("stars.npy")
    resumed, whole = (load(f"{name}.specvae").predict(spectra) for name in ("resumed", "m"))
    np.testing.assert_array_equal(resumed, whole)
