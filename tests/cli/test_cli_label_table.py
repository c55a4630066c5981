import contextlib
import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.table import Column, MaskedColumn, Table

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


def test_units_of_a_table_become_those_of_the_names(folder):
    table = Table(
        {
            "object": ["HD 1", "HD 2"],
            "teff_k": Column([5.0, 6.0], unit="kK"),
            "rv_kms": MaskedColumn([1500, 0], mask=[False, True], unit="m/s"),
            "logg_dex": Column([4.4, 4.5], unit="dex(cm/s2)"),
            "v_kms": Column([1.0, 2.0], unit="mag"),
        }
    )
    table.write(folder / "t.ecsv")
    found = read_table(folder / "t.ecsv")
    assert found["teff_k"].tolist() == [5000.0, 6000.0]
    assert found["logg_dex"].tolist() == [4.4, 4.5]
    np.testing.assert_array_equal(found["rv_kms"], [1.5, np.nan])
    meta = pd.DataFrame({"object": ["HD1"]})
    assert read_labels(folder / "t.ecsv", meta, None, ["teff_k"])["teff_k"].tolist() == [5000.0]
    with pytest.raises(ValueError, match=r"v_kms of .*t.ecsv is in mag, which is not km/s"):
        read_labels(folder / "t.ecsv", meta, None, None)


@pytest.mark.parametrize("by", [None, "object", "object=id"])
def test_numbers_that_are_names_stay_as_they_are(folder, by):
    name = "id" if by == "object=id" else "object"
    rows = ["5853498713190525696,1", "5853498713190525697,2", ",3"]
    (folder / "g.csv").write_text("\n".join([f"{name},teff_k", *rows]))
    meta = pd.DataFrame({"object": ["5853498713190525697", "5853498713190525696"]})
    assert read_labels(folder / "g.csv", meta, by, None)["teff_k"].tolist() == [2.0, 1.0]


def test_whole_numbers_with_gaps_are_no_floats(folder):
    table = Table({"object": [1.0, 2.0, np.nan], "teff_k": [1.0, 2.0, 3.0]})
    table.write(folder / "t.fits")
    meta = pd.DataFrame({"object": ["2", "1"]})
    assert read_labels(folder / "t.fits", meta, None, None)["teff_k"].tolist() == [2.0, 1.0]


def test_remarks_at_the_head_names_with_hashes_and_commas_at_the_end(read, folder):
    text = "\ufeff# a remark\n#another\nname,teff_k\nHD 1,1,\nHD 2 #A,2,\n"
    (folder / "t.csv").write_text(text, encoding="utf-8")
    table = read_table(folder / "t.csv")
    assert table["name"].tolist() == ["HD 1", "HD 2 #A"] and table["teff_k"].tolist() == [1, 2]
    (folder / "t.csv.gz").write_bytes(gzip.compress(text.encode()))
    pd.testing.assert_frame_equal(read_table(folder / "t.csv.gz"), table)
    (folder / "t.csv").write_text("name,teff_k\nHD 1,1,7\nHD 2,2,8\n")
    with pytest.raises(ValueError, match="cannot be read as a table: Length of header"):
        read_table(folder / "t.csv")


def test_rows_positions_and_dates_are_no_labels_by_default(folder):
    meta = pd.DataFrame({"object": ["HD1"]})
    table = {"object": ["HD1"], "row": [3], "ra_deg": [1.0], "dec_deg": [2.0], "mjd": [5.0]}
    pd.DataFrame({**table, "teff_k": [4.0]}).to_csv(folder / "t.csv")  # with its index
    assert list(read_labels(folder / "t.csv", meta, None, None)) == ["teff_k"]
    assert list(read_labels(folder / "t.csv", meta, None, ["mjd", "mjd"])) == ["mjd"]


def test_a_name_of_several_files_needs_its_folder(folder):
    meta = pd.DataFrame({"path": ["/n1/a.fits", "/n2/a.fits", "/n2/b.fits"]})

    def labels_of(*names):
        pd.DataFrame({"file": names, "teff_k": range(len(names))}).to_csv("t.csv", index=False)
        return read_labels(Path("t.csv"), meta, None, None)["teff_k"]

    with contextlib.chdir(folder):
        np.testing.assert_array_equal(labels_of("x/b.fits", "/n2/a.fits"), [np.nan, 1.0, 0.0])
        np.testing.assert_array_equal(labels_of("b.fits", "/n3/a.fits"), [np.nan, np.nan, 0.0])
        with pytest.raises(ValueError, match=r"a.fits of t.csv may be several .* /n1/a.fits, /n2"):
            labels_of("b.fits", "a.fits")


@pytest.mark.parametrize(("kind", "other"), [("file", "object"), ("object", "file")])
def test_what_the_store_does_not_say_is_named(folder, kind, other):
    meta = pd.DataFrame({"object": ["HD1"]} if kind == "file" else {"path": ["/a.fits"]})
    with pytest.raises(ValueError, match=f"does not say the {kind} .* --by {other}"):
        read_labels(folder / "labels.csv", meta, f"{kind}=name", None)


def test_a_label_may_be_called_key(read, folder):
    (folder / "k.csv").write_text("name,key\nHD1,1\nHD1,1\nHD2,2\n")
    assert read("k.csv")["key"].dropna().tolist() == [1.0] * 3 + [2.0] * 3
