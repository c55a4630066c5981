import numpy as np
import pandas as pd
import pytest
from astropy.table import Table

from specvae import load
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
