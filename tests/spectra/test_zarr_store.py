import io
import json
import pickle

import numpy as np
import pytest
from store_contract import MATRIX, OpeningContract, StoreContract

from specvae.spectra import SpectraArray, ZarrStore, _zarr_store
from specvae.spectra._shards import crc32c

zarr = pytest.importorskip("zarr", "3", reason="zarr 3, of the extra store, is not installed")

# Shards of five rows: the last one is not full.
SHARDS = {"chunks": (1, 20), "shards": (5, 20)}
PLAIN = SHARDS | {"compressors": None}
LAYOUTS = {
    "plain shards": PLAIN,
    "compressed shards": SHARDS,
    "shards of blocks": {"chunks": (2, 10), "shards": (4, 20)},
    "a file for each row": {"chunks": (1, 20), "compressors": None},
    "blocks": {"chunks": (5, 7)},
    "format 2": {"chunks": (1, 20), "zarr_format": 2},
}


@pytest.fixture
def open_store():
    return ZarrStore


@pytest.fixture
def library():
    return "zarr"


def create(group, name, array, **layout):
    chunks = {"chunks": array.shape} | layout
    new = group.create_array(name, shape=array.shape, dtype=array.dtype, **chunks)
    new[...] = array


@pytest.fixture
def write(tmp_path):
    def write(layout=None, matrix=MATRIX, name="flux", **others):
        layout = dict(PLAIN if layout is None else layout)
        path = tmp_path / "survey.zarr"
        group = zarr.open_group(path, mode="w", zarr_format=layout.pop("zarr_format", 3))
        create(group, name, matrix, **layout)
        for each, array in others.items():
            create(group, each, np.asarray(array))
        return path

    return write


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
class TestRows(StoreContract):
    pass


class TestOpening(OpeningContract):
    pass


class CountingFile(io.FileIO):
    """Counts the bytes that are read."""

    n_bytes = 0

    def readinto(self, buffer):
        n_read = super().readinto(buffer)
        CountingFile.n_bytes += n_read
        return n_read

    def read(self, size=-1):
        content = super().read(size)
        CountingFile.n_bytes += len(content)
        return content


def wide_shards(path, **options):
    """Forty rows of 1,000 pixels, 2,000 bytes each, in two shards."""
    flux = np.random.default_rng(0).normal(size=(40, 1000)).astype(np.float16)
    array = zarr.create_array(
        path, shape=flux.shape, chunks=(1, 1000), shards=(20, 1000), dtype="f2", **options
    )
    array[:] = flux
    return flux


def test_plain_shards_give_only_the_rows_asked_for(tmp_path, monkeypatch):
    flux = wide_shards(tmp_path / "a.zarr", compressors=None)
    store = ZarrStore(tmp_path / "a.zarr")
    monkeypatch.setattr(_zarr_store, "FileIO", CountingFile)
    monkeypatch.setattr(CountingFile, "n_bytes", 0)
    n_index = 20 * 16 + 4
    for rows, n_bytes in [([3], 2000 + n_index), ([3, 9], 4000), ([18, 19, 20], 6000 + n_index)]:
        CountingFile.n_bytes = 0
        np.testing.assert_array_equal(store[np.array(rows)], flux[rows])
        assert CountingFile.n_bytes == n_bytes


def test_compressed_shards_give_only_the_rows_asked_for(tmp_path, monkeypatch):
    flux = wide_shards(tmp_path / "a.zarr")
    store = ZarrStore(tmp_path / "a.zarr")
    n_bytes = []
    original = zarr.storage.LocalStore.get

    async def get(self, key, prototype, byte_range=None):
        value = await original(self, key, prototype, byte_range)
        if "zarr.json" not in key and value is not None:
            n_bytes.append(len(value))
        return value

    monkeypatch.setattr(zarr.storage.LocalStore, "get", get)
    rows = [3, 9, 30]
    np.testing.assert_array_equal(store[np.array(rows)], flux[rows])
    n_shards = sum(path.stat().st_size for path in (tmp_path / "a.zarr" / "c").rglob("0"))
    assert 0 < sum(n_bytes) < 0.2 * n_shards
    assert max(n_bytes) < 2100


def shard(path, number):
    return path / "flux" / "c" / str(number) / "0"


def overwrite(file, start, content):
    with open(file, "r+b") as opened:
        opened.seek(start)
        opened.write(content)


@pytest.mark.parametrize("rows", [[6], [5, 6, 7], range(12), [0, 6]], ids=str)
def test_damaged_chunk_names_the_row(write, rows):
    path = write(SHARDS)
    index = np.frombuffer(shard(path, 1).read_bytes()[-84:-4], dtype="<u8").reshape(5, 2)
    overwrite(shard(path, 1), int(index[1, 0]), b"\xff" * int(index[1, 1]))
    store = ZarrStore(path)
    with pytest.raises(OSError, match=r"spectrum 6 of .*survey\.zarr cannot be read: .*; restore"):
        store[np.array(rows)]
    np.testing.assert_array_equal(store[np.array([5, 7])], MATRIX[[5, 7]])


@pytest.mark.parametrize("layout", [PLAIN, SHARDS], ids=["plain", "compressed"])
@pytest.mark.parametrize("n_left", [0, 3, 150])
def test_shard_cut_short_names_its_first_row(write, layout, n_left):
    path = write(layout)
    overwrite(shard(path, 1), 0, b"")
    with open(shard(path, 1), "r+b") as file:
        file.truncate(n_left)
    store = ZarrStore(path)
    with pytest.raises(OSError, match=r"spectrum 5 of .* cannot be read"):
        store[np.arange(12)]
    np.testing.assert_array_equal(store[np.arange(5)], MATRIX[:5])


@pytest.mark.parametrize("place", [-84, -20, -1], ids=["position", "number of bytes", "checksum"])
def test_damaged_index_is_an_error_not_other_rows(write, place):
    path = write()
    size = shard(path, 1).stat().st_size
    overwrite(shard(path, 1), size + place, b"\x01")
    with pytest.raises(OSError, match=r"spectrum 5 of .* the index of its shard is damaged"):
        ZarrStore(path)[np.array([5])]


def test_shard_cut_after_its_index_was_read_is_noticed(write):
    store = ZarrStore(write())
    store[np.array([6])]
    with open(shard(store.path, 1), "r+b") as file:
        file.truncate(60)
    with pytest.raises(OSError, match=r"spectrum 6 of .* cannot be read"):
        store[np.array([6])]


def test_shard_written_anew_is_read_anew(write):
    path = write()
    store = ZarrStore(path)
    store[np.arange(12)]
    zarr.open_array(path / "flux", mode="r+")[3] = 7.0
    zarr.open_array(path / "flux", mode="r+")[1] = 0.0  # an empty chunk: the others move up
    rows = store[np.array([2, 3, 4])]
    np.testing.assert_array_equal(rows, [MATRIX[2], np.full(20, 7.0), MATRIX[4]])


@pytest.mark.parametrize("name", ["plain shards", "compressed shards", "blocks", "format 2"])
def test_lost_file_is_an_error_not_zeros(write, name):
    path = write(LAYOUTS[name])
    for file in [*path.glob("flux/c/1/*"), *path.glob("flux/5.*")]:
        file.unlink()
    store = ZarrStore(path)
    np.testing.assert_array_equal(store[np.arange(5)], MATRIX[:5])
    with pytest.raises(OSError, match=r"spectrum 5 of .* was never written, or its chunk is lost"):
        store[np.arange(12)]


@pytest.mark.parametrize("name", ["plain shards", "compressed shards", "a file for each row"])
@pytest.mark.parametrize("keeps_zeros", [True, False])
def test_row_of_zeros_counts_if_it_was_written(write, tmp_path, name, keeps_zeros):
    array = zarr.create_array(
        tmp_path / "zeros.zarr",
        shape=(12, 20),
        dtype="f2",
        config={"write_empty_chunks": keeps_zeros},
        **LAYOUTS[name],
    )
    array[:5] = 0.0
    array[:3] = MATRIX[:3]
    store = ZarrStore(tmp_path / "zeros.zarr")
    if keeps_zeros:
        np.testing.assert_array_equal(store[np.array([4])], np.zeros((1, 20)))
    else:
        with pytest.raises(OSError, match=r"spectrum 4 of .* was never written"):
            store[np.array([4])]


@pytest.mark.parametrize("compressors", [None, "auto"])
def test_rows_never_written_are_missing_where_the_fill_value_is(tmp_path, compressors):
    array = zarr.create_array(
        tmp_path / "part.zarr",
        shape=(12, 20),
        dtype="f2",
        fill_value=np.nan,
        compressors=compressors,
        **SHARDS,
    )
    array[:7] = MATRIX[:7]
    flux = ZarrStore(tmp_path / "part.zarr")[np.arange(12)]
    np.testing.assert_array_equal(flux[:7], MATRIX[:7])
    assert np.isnan(flux[7:]).all()


def test_blocks_with_nothing_but_zeros_are_no_damage(tmp_path):
    padded = np.zeros((4, 20), dtype=np.float16)
    padded[:, 8:12] = 1.0
    array = zarr.create_array(tmp_path / "pad.zarr", shape=(4, 20), chunks=(1, 4), dtype="f2")
    array[:] = padded
    np.testing.assert_array_equal(ZarrStore(tmp_path / "pad.zarr")[np.arange(4)], padded)


@pytest.mark.parametrize("location", ["start", "end"])
@pytest.mark.parametrize("checksum", [True, False])
@pytest.mark.parametrize("endian", ["little", "big"])
def test_every_form_of_shard_is_read(tmp_path, location, checksum, endian):
    codec = zarr.codecs.ShardingCodec(
        chunk_shape=(1, 20),
        codecs=[zarr.codecs.BytesCodec(endian=endian)],
        index_codecs=[zarr.codecs.BytesCodec(), zarr.codecs.Crc32cCodec()][: 1 + checksum],
        index_location=location,
    )
    array = zarr.create_array(
        tmp_path / "a.zarr",
        shape=(12, 20),
        chunks=(5, 20),
        dtype="f2",
        serializer=codec,
        compressors=None,
    )
    array[:] = MATRIX
    store = ZarrStore(tmp_path / "a.zarr")
    assert store._layout.plain_rows == (endian == "little")
    np.testing.assert_array_equal(store[np.array([4, 5, 11])], MATRIX[[4, 5, 11]])


def test_chunk_of_another_length_is_an_error(tmp_path):
    codec = zarr.codecs.ShardingCodec(
        chunk_shape=(1, 20),
        codecs=[zarr.codecs.BytesCodec()],
        index_codecs=[zarr.codecs.BytesCodec()],  # without a checksum that would tell
    )
    options = {"shape": (12, 20), "chunks": (5, 20), "dtype": "f2"}
    array = zarr.create_array(tmp_path / "a.zarr", serializer=codec, compressors=None, **options)
    array[:] = MATRIX
    file = tmp_path / "a.zarr" / "c" / "0" / "0"
    overwrite(file, file.stat().st_size - 80 + 2 * 16 + 8, b"\x11")
    with pytest.raises(OSError, match=r"spectrum 2 of .* its chunk has 17 bytes, 40 wanted"):
        ZarrStore(tmp_path / "a.zarr")[np.arange(4)]


def test_pickle_leaves_the_indexes_behind(write):
    store = ZarrStore(write())
    before = len(pickle.dumps(store))
    store[np.arange(12)]
    assert len(pickle.dumps(store)) == before


def test_array_that_stands_alone_has_no_name(tmp_path, write):
    path = write() / "flux"
    assert ZarrStore(path).dataset == ""
    np.testing.assert_array_equal(SpectraArray.open(path).to_numpy(), MATRIX)


def test_damaged_metadata_are_said(write):
    path = write()
    (path / "zarr.json").write_text("{")
    with pytest.raises(ValueError, match=r"survey\.zarr is not a Zarr store, or its metadata"):
        SpectraArray.open(path)


def test_metadata_of_another_kind_are_said(write):
    path = write()
    content = json.loads((path / "zarr.json").read_text())
    (path / "zarr.json").write_text(json.dumps(content | {"zarr_format": 9}))
    with pytest.raises(ValueError, match=r"survey\.zarr is not a Zarr store, or its metadata"):
        SpectraArray.open(path)


def test_older_zarr_is_named(write, monkeypatch):
    path = write()
    monkeypatch.setattr(zarr, "__version__", "2.18.3")
    with pytest.raises(ImportError, match=r"needs zarr 3 or newer, 2\.18\.3 is installed: pip"):
        ZarrStore(path)


def test_checksum_of_the_standard():
    # RFC 3720 appendix B.4, and the usual check value.
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(bytes(range(32))) == 0x46DD794E


@pytest.mark.parametrize("name", ["dataset", "grid", "scale"])
def test_npy_store_takes_no_description(tmp_path, name):
    with pytest.raises(ValueError, match=f"{name} is for HDF5 and Zarr.*leave {name} out"):
        SpectraArray.open(tmp_path / "stars.npy", **{name: "flux"})
