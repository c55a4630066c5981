import contextlib
import errno
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
from specvae.cli._progress import Progress
from specvae.estimators import BatchedTransformer, PartialLabelRegressor, SpectralRegressor
from specvae.metrics import mean_by_star
from specvae.model_selection import StarGroupKFold
from specvae.preprocessing import MedianNormalizer
from specvae.spectra import SpectraArray, read_meta, write_spectra

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


@pytest.fixture
def broken(monkeypatch):
    """A context in which fit fails at the very end, so that what is done is kept."""

    @contextlib.contextmanager
    def context():
        with monkeypatch.context() as patch:
            patch.setattr("specvae.cli._fit.save", lambda *arguments: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                yield

    return context


def test_folds_of_another_store_of_the_same_name_are_not_taken_over(
    specvae, broken, folder, simulated
):
    with broken():
        specvae(f"{FIT_PCA} --folds 2")
    grid, meta = SpectraArray.open("stars.npy").grid, read_meta("stars.npy")
    (folder / "stars.npy").unlink()
    (folder / "stars.json").unlink()
    write_spectra(lambda row: 2.0 * simulated.flux[row] + row, "stars.npy", grid, meta=meta)
    code, _, err = specvae(f"{FIT_PCA} --folds 2")
    assert code == 1 and "was begun with another store: " in err


def test_a_folder_that_is_no_progress_stays(specvae, folder):
    mine = folder / "m.specvae.progress"
    mine.mkdir()
    (mine / "thesis.tex").write_text("mine")
    code, _, err = specvae(FIT_PCA)
    assert code == 1 and "holds no settings.json" in err and "delete or rename it" in err
    assert names_in(mine) == ["thesis.tex"]
    (mine / "thesis.tex").rename(mine / "settings.part")  # of a call killed at its beginning
    assert specvae(FIT_PCA)[0] == 0
    assert names_in(folder) == ["labels.csv", "m.specvae", "stars.json", "stars.npy"]


def test_a_torn_fold_is_computed_again(specvae, broken, folder):
    with broken():
        specvae(f"{FIT_PCA} --folds 2")
    for number, size in enumerate((0, 130)):
        fold = folder / f"m.specvae.progress/this-model-fold{number}.npy"
        fold.write_bytes(fold.read_bytes()[:size])
    code, _, err = specvae(f"{FIT_PCA} --folds 2")
    assert code == 0, err


def test_two_at_once_do_not_share_a_folder(folder):
    settings = {"seed": 0}
    with Progress(folder / "m", settings) as progress:
        with (
            pytest.raises(BlockingIOError, match="another process is writing"),
            Progress(folder / "m", settings),
        ):
            pass
        progress.keep("a", np.ones(3))
    with Progress(folder / "m", settings) as progress:
        assert progress.load("a").tolist() == [1.0] * 3


def test_a_model_that_appeared_meanwhile_stays(specvae, folder, monkeypatch):
    def appears(*arguments):
        (folder / "m.specvae").write_text("mine")

    monkeypatch.setattr("specvae.cli._fit.fit_copy", appears)
    code, _, err = specvae(FIT_PCA)
    assert code == 1 and "m.specvae: the model exists" in err
    assert (folder / "m.specvae").read_text() == "mine"


def test_a_full_disk_is_named(specvae, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("specvae.cli._fit.fit_copy", full)
    code, _, err = specvae(FIT_PCA)
    assert code == 1 and "the disk of m.specvae is full; free some space" in err


@pytest.mark.parametrize("target", ["row", "object"])
def test_labels_that_predict_could_not_write_are_refused(specvae, folder, target):
    table = pd.read_csv("labels.csv").assign(**{target: 1.0})
    table.to_csv("t.csv", index=False)
    line = "fit stars.npy --to m.specvae --labels t.csv --by object=name --target teff_k --target"
    code, _, err = specvae(f"{line} {target} --model pca")
    assert code == 1 and f"results would be called {target}" in err


def test_a_label_beside_its_error_is_refused_where_errors_are_predicted(specvae, folder):
    table = pd.read_csv("labels.csv")[["name", "teff_k"]].assign(teff_k_error=1.0)
    table.to_csv("t.csv", index=False)
    line = "fit stars.npy --to m.specvae --labels t.csv --by object=name"
    code, _, err = specvae(f"{line} --model regressor --network dense")
    assert code == 1 and "results would be called teff_k_error" in err
    assert specvae(f"{line} --model pca")[0] == 0
    assert specvae("predict m.specvae stars.npy --to p.csv")[0] == 0


def test_spectra_without_names_beside_named_ones_are_counted(specvae, simulated):
    meta = read_meta("stars.npy").assign(ra_deg=np.nan, dec_deg=np.nan)
    meta.loc[:2, "object"] = ""
    meta.loc[:1, "ra_deg"] = 10.0
    meta.loc[0, "dec_deg"] = 10.0
    grid = SpectraArray.open("stars.npy").grid
    write_spectra(lambda row: simulated.flux[row], "some.npy", grid, meta=meta)
    code, _, err = specvae("fit some.npy --to m.specvae --model pca")
    assert code == 0 and "warning: 2 spectra have neither a name nor both coordinates" in err


@pytest.mark.parametrize(
    ("last", "message"),
    [
        ("LinearRegression", "LinearRegression at the end of the recipe .* wrap it in Partial"),
        ("SpectraLoader", "SpectraLoader at the end of the recipe learns no labels; add a step"),
    ],
)
def test_recipes_that_do_not_go_with_labels(specvae, folder, last, message):
    (folder / "r.toml").write_text(f'[[step]]\nclass = "{last}"\n')
    line = "fit stars.npy --to m.specvae --labels labels.csv --by object=name --recipe r.toml"
    code, _, err = specvae(line)
    assert code == 1 and re.search(message, err), err


def test_the_constant_is_the_median_of_the_labels_trained_on(expected, simulated, specvae):
    _, out, _ = specvae(f"{FIT_PCA} --latents 2 --folds 3")
    found = float(re.search(r"^constant +(\S+)", out, re.M)[1])
    teff_k, star = expected["teff_k"].to_numpy(), simulated.groups
    error = np.full((36, 1), np.nan)
    splitter = StarGroupKFold(3, random_state=4)
    for train, test in splitter.split(SpectraArray.open("stars.npy"), groups=star):
        error[test, 0] = np.abs(np.nanmedian(teff_k[train]) - teff_k[test])
    assert found == pytest.approx(mean_by_star(error, star).mean[0], rel=0.01)
