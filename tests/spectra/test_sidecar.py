import json

import numpy as np
import pandas as pd
import pytest

from specvae.spectra import SpectraArray, WavelengthGrid
from specvae.spectra._sidecar import (
    Sidecar,
    meta_columns,
    plain_meta,
    read_meta,
    sidecar_path,
    write_sidecar,
)

GRID = WavelengthGrid(5000.0, 0.5, 3, medium="vacuum", name="test")
FLUX = np.arange(6, dtype=np.float16).reshape(2, 3)
RECORDS = [
    {"path": "a.fits", "snr": 10.5, "n_visits": 3, "good": True, "gaia": 2**62 + 1, "note": "x"},
    {"path": "b.fits", "snr": np.nan, "n_visits": 4, "good": False, "extra": 1.0, "note": None},
]


@pytest.fixture
def store(tmp_path):
    """A store of two spectra with its sidecar."""
    path = tmp_path / "stars.npy"
    np.save(path, FLUX)
    meta = meta_columns([plain_meta(record) for record in RECORDS])
    refused = {"c.fits": "no FITS file"}
    write_sidecar(sidecar_path(path), Sidecar(GRID, "float16", 2, [2.0, 0.5], meta, refused))
    return path


@pytest.fixture
def edit(store):
    """Change entries of the sidecar; None removes one."""

    def change(**entries):
        path = sidecar_path(store)
        content = json.loads(path.read_text()) | entries
        path.write_text(json.dumps({k: v for k, v in content.items() if v != "removed"}))
        return store

    return change


def test_open_restores_grid_and_scale(store):
    spectra = SpectraArray.open(store)
    assert spectra.grid == GRID
    assert spectra.grid.name == "test"
    np.testing.assert_array_equal(spectra.to_numpy(), FLUX * np.float32([[2.0], [0.5]]))
    np.testing.assert_array_equal(SpectraArray.open(str(store))[1], FLUX[1] / 2)


def test_meta_keeps_values_and_dtypes(store):
    meta = read_meta(store)
    assert len(meta) == 2
    assert meta["path"].tolist() == ["a.fits", "b.fits"]
    np.testing.assert_array_equal(meta["snr"], [10.5, np.nan])
    assert {name: str(dtype) for name, dtype in meta.dtypes.items() if name != "path"} == {
        "snr": "float64",
        "n_visits": "int64",
        "good": "bool",
        "gaia": "Int64",
        "extra": "float64",
        "note": str(pd.Series(["x", None]).dtype),
    }
    assert meta["gaia"][0] == 2**62 + 1
    assert meta["gaia"].isna().tolist() == [False, True]
    assert meta["note"].isna().tolist() == [False, True]
    assert meta.attrs["refused"] == {"c.fits": "no FITS file"}


def test_plain_meta_fits_strict_json():
    meta = plain_meta(
        {
            "a": np.float32(0.5),
            "b": np.inf,
            "c": np.int64(3),
            "d": np.bool_(True),
            "e": pd.Timestamp("2020-01-02T03:04:05"),
            "f": np.ma.masked,
            "g": np.datetime64("2020-01-02"),
            "h": np.str_("x"),
        }
    )
    assert json.loads(json.dumps(meta, allow_nan=False)) == {
        "a": 0.5,
        "b": None,
        "c": 3,
        "d": True,
        "e": "2020-01-02T03:04:05",
        "f": None,
        "g": "2020-01-02",
        "h": "x",
    }


def test_missing_sidecar_says_what_belongs_together(store):
    sidecar_path(store).unlink()
    for read in (SpectraArray.open, read_meta):
        with pytest.raises(FileNotFoundError, match=r"stars\.json does not exist; a store is"):
            read(store)


def test_missing_store_is_said(store):
    store.unlink()
    with pytest.raises(FileNotFoundError, match=r"stars\.npy does not exist"):
        SpectraArray.open(store)
    assert len(read_meta(store)) == 2


def test_unfinished_store_says_to_go_on(tmp_path):
    (tmp_path / "stars.npy.part").touch()
    with pytest.raises(FileNotFoundError, match="half packed: repeat the pack_spectra call"):
        SpectraArray.open(tmp_path / "stars.npy")


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b"[1]", b'{"format": "other"}', b"null"], ids=repr
)
def test_damaged_sidecar_is_said(store, content):
    sidecar_path(store).write_bytes(content)
    for read in (SpectraArray.open, read_meta):
        with pytest.raises(ValueError, match=r"stars\.json is damaged: .*pack the spectra again"):
            read(store)


@pytest.mark.parametrize(
    "entries",
    [
        {"grid": "removed"},
        {"grid": {"start_aa": 5000.0}},
        {"grid": {"start_aa": -1.0, "step": 1.0, "n_pixels": 3}},
        {"scale": "removed"},
        {"scale": [1.0]},
        {"scale": 3},
        {"meta": [{"name": "path", "dtype": "str", "values": ["a.fits"]}]},
        {"meta": [{"name": "path"}]},
        {"n_spectra": "removed"},
        {"n_spectra": 3},
    ],
    ids=str,
)
def test_incomplete_sidecar_is_said(edit, entries):
    with pytest.raises(ValueError, match=r"stars\.json is damaged"):
        SpectraArray.open(edit(**entries))


def test_column_of_another_type_is_said(edit):
    column = {"name": "snr", "dtype": "float64", "values": ["high", "low"]}
    with pytest.raises(ValueError, match=r"stars\.json is damaged: a column of meta"):
        read_meta(edit(meta=[column]))


def test_newer_version_asks_for_an_upgrade(edit):
    store = edit(version=2)
    for read in (SpectraArray.open, read_meta):
        with pytest.raises(ValueError, match=r"has version 2 .* upgrade specvae"):
            read(store)


@pytest.mark.parametrize(
    "array", [np.zeros((3, 3), "f2"), np.zeros((2, 4), "f2"), np.zeros((2, 3), "f4")]
)
def test_foreign_npy_file_is_said(store, array):
    np.save(store, array)
    with pytest.raises(ValueError, match=r"stars\.npy and stars\.json do not belong together"):
        SpectraArray.open(store)


def test_store_must_be_named_npy(tmp_path):
    with pytest.raises(ValueError, match=r"must be the name of a \.npy file"):
        SpectraArray.open(tmp_path / "stars.json")
