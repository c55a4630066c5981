import errno

import numpy as np
import pandas as pd
import pytest
from astropy.table import Table
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline

from specvae import load, save
from specvae.cli._output import identity_columns
from specvae.exceptions import SpectrumError
from specvae.preprocessing import MedianNormalizer, SpectraLoader
from specvae.spectra import NpyStore, SpectraArray, WavelengthGrid, read_meta, write_spectra


@pytest.fixture
def truth(model):
    labels, errors = load(model).predict(SpectraArray.open("stars.npy"), return_std=True)
    return np.hstack([labels, errors])


COLUMNS = ["teff_k", "logg_dex", "teff_k_error", "logg_dex_error"]


def read(path):
    if path.endswith(".csv"):
        return pd.read_csv(path)
    return Table.read(path).to_pandas()


@pytest.mark.parametrize("suffix", ["csv", "ecsv", "fits", "parquet"])
def test_labels_with_errors_names_and_units(specvae, model, truth, suffix, folder):
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
    code, out, err = specvae(f"predict {model} stars.npy --to p.{suffix} --block-rows 7")
    assert (code, err) == (0, "")
    assert out == f"Wrote p.{suffix}: 36 spectra, {', '.join(COLUMNS)}.\n"
    table = read(f"p.{suffix}")
    np.testing.assert_allclose(table[COLUMNS].to_numpy(float), truth, rtol=1e-4)
    assert table["row"].tolist() == list(range(36))
    assert table["file"].astype(str)[5] == "5.fits" and table["object"].astype(str)[5] == "HD2"
    if suffix != "csv":
        units = Table.read(f"p.{suffix}")
        assert str(units["teff_k"].unit) == str(units["teff_k_error"].unit) == "K"
        assert suffix == "fits" or str(units["logg_dex_error"].unit) == "dex"
    left = [path.name for path in folder.iterdir() if path.name.startswith("p.")]
    assert left == [f"p.{suffix}"]


def test_codes_and_numbers_alone(specvae, folder):
    specvae("fit stars.npy --to a.specvae --model pca --latents 3 --labels labels.csv "
            "--by object=name")  # fmt: skip
    code, out, _ = specvae("encode a.specvae stars.npy --to c.npy")
    assert code == 0 and "36 spectra, incrementalpca0" in out
    codes = load("a.specvae")[:-1].transform(SpectraArray.open("stars.npy"))
    np.testing.assert_allclose(np.load("c.npy"), codes, rtol=1e-5, atol=1e-6)
    code, out, _ = specvae("predict a.specvae stars.npy --to p.csv")
    assert code == 0 and "PartialLabelRegressor states no uncertainties" in out
    assert list(pd.read_csv("p.csv"))[:4] == ["row", "file", "object", "teff_k"]


def test_an_interrupted_prediction_goes_on(specvae, model, truth, monkeypatch, folder):
    from specvae.cli._apply import PredictionWithError

    predict, seen = PredictionWithError.predict, []

    def stop_at_third(self, X):
        seen.append(len(X))
        if len(seen) == 3:
            raise KeyboardInterrupt
        return predict(self, X)

    monkeypatch.setattr(PredictionWithError, "predict", stop_at_third)
    line = f"predict {model} stars.npy --to p.csv --block-rows 8"
    code, _, err = specvae(line)
    assert code == 130 and "Repeat the same command" in err and not (folder / "p.csv").exists()
    assert specvae(line)[0] == 0
    assert seen == [8, 8, 8, 8, 8, 4]
    np.testing.assert_allclose(pd.read_csv("p.csv")[COLUMNS], truth, rtol=1e-4)


def test_spectra_that_cannot_be_used_are_named_or_become_nan(specvae, model, simulated):
    grid, meta = SpectraArray.open("stars.npy").grid, read_meta("stars.npy")

    def flux(row):
        return np.full(48, np.nan) if row == 4 else simulated.flux[row]

    write_spectra(flux, "holes.npy", grid, meta=meta)
    line = f"predict {model} holes.npy --to p.csv"
    code, _, err = specvae(line)
    assert code == 1 and "4" in err
    code, _, err = specvae(f"{line} --keep-going")
    assert code == 0 and err.startswith("specvae: warning: 1 spectra cannot be used")
    assert np.flatnonzero(pd.read_csv("p.csv")["teff_k"].isna()).tolist() == [4]


def test_other_grids_suffixes_and_existing_tables_are_refused(specvae, model, folder, simulated):
    other = WavelengthGrid(6000.0, 0.5, 48)
    write_spectra(lambda row: simulated.flux[row], "o.npy", other, meta=read_meta("stars.npy"))
    code, _, err = specvae(f"predict {model} o.npy --to p.csv")
    assert code == 1 and "o.npy is on a grid (48 pixels from 6000.00" in err
    code, _, err = specvae(f"predict {model} stars.npy --to p.txt")
    assert code == 1 and "--to must end in .csv, .ecsv, .fits, .parquet, .npy" in err
    (folder / "p.csv").write_text("mine")
    code, _, err = specvae(f"predict {model} stars.npy --to p.csv")
    assert code == 1 and "p.csv: the table exists" in err
    assert (folder / "p.csv").read_text() == "mine"


def test_what_a_model_cannot_do_is_said(specvae, model, folder):
    code, _, err = specvae(f"encode {model} stars.npy --to c.csv")
    assert code == 1 and "m.specvae has no code; `specvae predict`" in err
    specvae("fit stars.npy --to a.specvae --model pca --latents 3")
    code, _, err = specvae("predict a.specvae stars.npy --to p.csv")
    assert code == 1 and "trained without labels" in err and "specvae encode" in err
    code, _, err = specvae("predict stars.npy stars.npy --to p.csv")
    assert code == 1


def test_a_plain_array_is_no_store(specvae, model, folder):
    np.save(folder / "plain.npy", np.ones((3, 48), dtype=np.float32))
    assert NpyStore(folder / "plain.npy").shape == (3, 48)
    code, _, err = specvae(f"predict {model} plain.npy --to p.csv")
    assert code == 1 and "plain.json does not exist" in err


@pytest.fixture
def linear(folder, simulated):
    """A model that was fitted in Python to labels without names."""
    labels = simulated.labels.to_numpy()[:, :2]
    pipeline = make_pipeline(MedianNormalizer(), SpectraLoader(), LinearRegression())
    save(pipeline.fit(simulated.flux, labels), folder / "linear.specvae")
    return "linear.specvae"


def stop(*arguments, **more):
    raise KeyboardInterrupt


def test_a_failure_while_the_table_is_written_is_no_dead_end(specvae, linear, monkeypatch, folder):
    line = f"predict {linear} stars.npy --to p.csv"
    before = {path.name for path in folder.iterdir()}
    with monkeypatch.context() as broken:
        broken.setattr("specvae.cli._apply.write_table", stop)
        assert specvae(line)[0] == 130
    with monkeypatch.context() as broken:
        # Only the row by which the width is known: nothing is computed again.
        broken.setattr("specvae.distributed._archive.compute_block", stop)
        code, _, err = specvae(line)
        assert code == 0, err
    assert len(pd.read_csv("p.csv")) == 36
    assert {path.name for path in folder.iterdir()} == {*before, "p.csv"}


def test_a_full_disk_is_named(specvae, linear, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    line = f"predict {linear} stars.npy --to p.csv"
    with monkeypatch.context() as broken:
        broken.setattr("specvae.cli._apply.write_table", full)
        code, _, err = specvae(line)
    assert code == 1 and "the disk of p.csv is full; free some space" in err
    assert specvae(line)[0] == 0


def test_numbers_of_another_model_are_not_taken_over(specvae, linear, monkeypatch, simulated):
    with monkeypatch.context() as broken:
        broken.setattr("specvae.cli._apply.write_table", stop)
        assert specvae(f"predict {linear} stars.npy --to p.csv")[0] == 130
    other = make_pipeline(MedianNormalizer(), SpectraLoader(), LinearRegression())
    save(other.fit(simulated.flux, simulated.labels.to_numpy()[:, 1:3]), "other.specvae")
    code, _, err = specvae("predict other.specvae stars.npy --to p.csv")
    assert code == 1 and "was begun with other arguments (estimator was" in err


def test_formats_are_tried_before_anything_is_computed(specvae, linear, monkeypatch):
    def missing(name, *, caller, extra):
        raise ImportError(f"{caller} needs {name}: pip install 'specvae[{extra}]'.")

    monkeypatch.setattr("specvae.cli._apply.filled_archive", lambda *a, **b: 1 / 0)
    with monkeypatch.context() as broken:
        broken.setattr("specvae.cli._output.import_optional", missing)
        code, _, err = specvae(f"predict {linear} stars.npy --to p.parquet")
    assert code == 1 and "A Parquet table needs pyarrow" in err
    monkeypatch.setattr("specvae.cli._apply._label_names", lambda *a: ["\u03b1", "b"])
    code, _, err = specvae(f"predict {linear} stars.npy --to p.fits")
    assert code == 1 and "a .fits table cannot hold the columns \u03b1, b" in err


@pytest.mark.parametrize("names", [["row", "b"], ["b", "b"], ["object", "b"]])
def test_columns_of_one_name_are_refused_before_anything_is_computed(
    specvae, linear, monkeypatch, names
):
    monkeypatch.setattr("specvae.cli._apply.filled_archive", lambda *a, **b: 1 / 0)
    monkeypatch.setattr("specvae.cli._apply._label_names", lambda *a: names)
    code, _, err = specvae(f"predict {linear} stars.npy --to p.csv")
    assert code == 1 and f"results would be called {names[0]}: " in err


def test_labels_without_names_are_numbered(specvae, linear):
    code, _, err = specvae(f"predict {linear} stars.npy --to p.csv")
    assert code == 0, err
    found = pd.read_csv("p.csv")[["label0", "label1"]]
    expected = load(linear).predict(SpectraArray.open("stars.npy"))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("suffix", ["csv", "ecsv", "fits", "parquet"])
def test_odd_and_missing_names_of_files(specvae, linear, simulated, suffix, folder):
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
    meta = read_meta("stars.npy")
    meta["path"] = meta["path"].astype(object)
    meta.loc[0, "path"] = None
    meta.loc[1, "path"] = "/archive/\u03b1.fits"
    meta["object"] = meta["object"].astype(object)
    meta.loc[:1, "object"] = [None, "\u03b1 Cen"]
    grid = SpectraArray.open("stars.npy").grid
    write_spectra(lambda row: simulated.flux[row], "odd.npy", grid, meta=meta)
    code, _, err = specvae(f"predict {linear} odd.npy --to p.{suffix}")
    assert code == 0, err
    if suffix == "csv":
        table = pd.read_csv("p.csv", keep_default_na=False)
    else:
        table = Table.read(f"p.{suffix}").to_pandas().fillna("")
    file = r"\u03b1.fits" if suffix == "fits" else "\u03b1.fits"
    assert table["file"].astype(str).tolist()[:3] == ["", file, "2.fits"]
    star = r"\u03b1 Cen" if suffix == "fits" else "\u03b1 Cen"
    assert table["object"].astype(str).tolist()[:3] == ["", star, "HD1"]


def test_names_of_files_in_no_known_letters():
    meta = pd.DataFrame({"path": ["/n/\udcff.fits", np.nan]}, dtype=object)
    assert identity_columns(meta, ".csv")["file"].tolist() == ["?.fits", ""]
    assert identity_columns(meta, ".fits")["file"].tolist() == [r"\udcff.fits", ""]


def test_what_was_given_is_not_advised(specvae, linear, simulated, monkeypatch):
    def refuse(*arguments, **more):
        raise SpectrumError(4, "cannot be used.")

    monkeypatch.setattr("specvae.cli._apply.filled_archive", refuse)
    line = f"predict {linear} stars.npy --to p.csv"
    assert "that is --keep-going" in specvae(line)[2]
    code, _, err = specvae(f"{line} --keep-going")
    assert code == 1 and "On the command line" not in err
