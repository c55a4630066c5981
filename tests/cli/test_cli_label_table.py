import numpy as np
import pandas as pd
import pytest
from astropy.table import Table

from specvae.cli._label_table import read_labels, read_table
from specvae.spectra import read_meta


@pytest.fixture
def read(folder):
    def call(path="labels.csv", by="object=name", targets=None):
        return read_labels(folder / path, read_meta(folder / "stars.npy"), by, targets)

    return call


def test_labels_go_to_their_star_in_whatever_order_the_table_is(read, expected):
    pd.testing.assert_frame_equal(read(), expected.reset_index(drop=True))


def test_labels_of_files(read, folder, expected):
    rows = [30, 2, 17]
    table = pd.DataFrame({"file": [f"elsewhere/{row}.fits" for row in rows], "teff_k": [1.0, 2, 3]})
    table.to_csv(folder / "files.csv", index=False)
    found = read("files.csv", None)["teff_k"]
    assert found[rows].tolist() == [1.0, 2.0, 3.0] and found.notna().sum() == 3


@pytest.mark.parametrize("name", ["t.tsv", "t.fits", "t.ecsv", "t.vot", "t.parquet"])
def test_formats(name, folder):
    table = pd.DataFrame({"object": ["HD 1", "HD 20"], "teff_k": [5000.0, np.nan]})
    path = folder / name
    if name == "t.tsv":
        table.to_csv(path, sep="\t", index=False)
    elif name == "t.parquet":
        pytest.importorskip("pyarrow")
        table.to_parquet(path)
    else:
        formats = {"t.vot": "votable", "t.ecsv": "ascii.ecsv", "t.fits": "fits"}
        Table.from_pandas(table).write(path, format=formats[name])
    found = read_table(path)
    assert found["object"].tolist() == ["HD 1", "HD 20"]
    np.testing.assert_array_equal(found["teff_k"].astype(float), [5000.0, np.nan])


def test_chosen_targets_and_text_that_is_a_number(read, folder):
    table = pd.read_csv(folder / "labels.csv", dtype=str)
    table.loc[0, "teff_k"] = "unknown"
    table.to_csv(folder / "text.csv", index=False)
    found = read("text.csv", targets=["teff_k"])
    assert list(found) == ["teff_k"] and found["teff_k"].isna().sum() == 6


def test_the_same_row_twice_is_one_and_two_that_differ_are_refused(read, folder, expected):
    table = pd.read_csv(folder / "labels.csv")
    pd.concat([table, table.iloc[:2]]).to_csv(folder / "twice.csv", index=False)
    pd.testing.assert_frame_equal(read("twice.csv"), expected.reset_index(drop=True))
    other = table.iloc[:1].assign(teff_k=1.0, name="hd_011")
    pd.concat([table, other]).to_csv(folder / "twice.csv", index=False)
    with pytest.raises(ValueError, match=r"twice.csv has different labels for HD11 of its column"):
        read("twice.csv")


def test_sunlight_is_the_sun(folder):
    meta = pd.DataFrame({"object": ["Ganymede", "Vesta", "Vega"]})
    pd.DataFrame({"object": ["Sun"], "teff_k": [5772.0]}).to_csv(folder / "sun.csv", index=False)
    found = read_labels(folder / "sun.csv", meta, None, None)["teff_k"]
    np.testing.assert_array_equal(found, [5772.0, 5772.0, np.nan])


@pytest.mark.parametrize(
    ("by", "targets", "message"),
    [
        (None, None, r"no column file or object, only name, teff_k.*say with --by"),
        ("star=name", None, "--by must begin with file or object, got 'star=name'"),
        ("object=nome", None, r"has no column 'nome'; it has name, teff_k"),
        ("object=note", None, r"no spectrum of the store has labels .* has TEXT, .* are HD1, HD2"),
        ("object=name", ["teff"], r"has no column teff; it has name, teff_k"),
        ("object=name", ["note"], r"note of .*labels.csv holds no numbers"),
    ],
)
def test_what_cannot_be_joined(read, by, targets, message):
    with pytest.raises(ValueError, match=message):
        read(by=by, targets=targets)


def test_labels_without_a_number_or_infinite(read, folder):
    pd.DataFrame({"name": ["HD1"], "note": ["a"]}).to_csv(folder / "a.csv", index=False)
    with pytest.raises(ValueError, match="has no column of numbers"):
        read("a.csv")
    pd.DataFrame({"name": ["HD1"], "teff_k": [np.inf]}).to_csv(folder / "a.csv", index=False)
    with pytest.raises(ValueError, match="holds infinite labels"):
        read("a.csv")
    table = pd.DataFrame({"name": ["HD1", "HD99"], "teff_k": [1.0, 2.0], "k": [np.nan, 3.0]})
    table.to_csv(folder / "a.csv", index=False)
    with pytest.raises(ValueError, match=r"no spectrum has a value of k; leave it out"):
        read("a.csv")


def test_what_is_no_table(read, folder):
    (folder / "t.fits").write_text("no FITS")
    with pytest.raises(ValueError, match=r"t.fits cannot be read as a table"):
        read("t.fits")
    with pytest.raises(FileNotFoundError):
        read("none.csv")
