"""Where the chunks of a shard of Zarr 3 lie, so that one row is read without the others."""

import sys
from dataclasses import dataclass
from io import FileIO
from typing import Any

import numpy as np

# What the index says of a chunk that was never written.
_EMPTY = 2**64 - 1

_CHECKSUM_BYTES = 4


@dataclass(frozen=True)
class ShardLayout:
    """How one shard, a file, holds its chunks."""

    n_chunks: tuple[int, int]  # along the rows and along the pixels
    chunk_rows: int
    at_end: bool  # whether the index stands at the end of the file or at its start
    has_checksum: bool
    plain_rows: bool  # whether each chunk is one row as it stands in memory

    @property
    def shard_rows(self) -> int:
        """Rows of the matrix in one shard."""
        return self.n_chunks[0] * self.chunk_rows


def shard_layout(metadata: dict[str, Any], shape: tuple[int, ...]) -> ShardLayout | None:
    """Read the layout from the metadata of an array (its zarr.json); None if it is another one.

    Parameters
    ----------
    metadata : dict
        As Zarr 3 defines it.
    shape : tuple of int
        (n_rows, n_pixels).
    """
    codecs = metadata.get("codecs", ())
    if len(codecs) != 1 or codecs[0]["name"] != "sharding_indexed":
        return None
    sharding = codecs[0]["configuration"]
    index_codecs = [_plain_codec(codec) for codec in sharding["index_codecs"]]
    if index_codecs not in (["bytes little"], ["bytes little", "crc32c"]):
        return None
    shard = metadata["chunk_grid"]["configuration"]["chunk_shape"]
    rows, pixels = sharding["chunk_shape"]
    here = [f"bytes {sys.byteorder}"]
    return ShardLayout(
        n_chunks=(shard[0] // rows, shard[1] // pixels),
        chunk_rows=rows,
        at_end=sharding.get("index_location", "end") == "end",
        has_checksum=len(index_codecs) == 2,
        plain_rows=(
            (rows, pixels, shard[1]) == (1, shape[1], shape[1])
            and [_plain_codec(codec) for codec in sharding["codecs"]] == here
        ),
    )


def read_index(file: FileIO, layout: ShardLayout) -> np.ndarray:
    """Read where the chunks of a shard lie.

    Parameters
    ----------
    file : FileIO
        The shard.
    layout : ShardLayout
        What its array says of it.

    Returns
    -------
    index : ndarray of int64, shape (chunk rows, chunk columns, 2)
        Position in the file and number of bytes; -1 for both where nothing was written.

    Raises
    ------
    ValueError
        If the file is cut short or its index is damaged.

    References
    ----------
    .. [1] Zarr, "Sharding codec (version 1.0)",
       https://zarr-specs.readthedocs.io/en/latest/v3/codecs/sharding-indexed/
    """
    n_bytes = file.seek(0, 2)
    n_index = 16 * layout.n_chunks[0] * layout.n_chunks[1]
    n_stored = n_index + _CHECKSUM_BYTES * layout.has_checksum
    if n_bytes < n_stored:
        raise ValueError("its shard is cut short")
    file.seek(n_bytes - n_stored if layout.at_end else 0)
    stored = file.read(n_stored)
    content, checksum = stored[:n_index], stored[n_index:]
    if layout.has_checksum and crc32c(content) != int.from_bytes(checksum, "little"):
        raise ValueError("the index of its shard is damaged, or the shard is cut short")
    index = np.frombuffer(content, dtype="<u8").reshape(*layout.n_chunks, 2)
    written = (index != _EMPTY).all(axis=2, keepdims=True)
    return np.where(written, index, _EMPTY).astype(np.int64)


def crc32c(content: bytes) -> int:
    """Castagnoli's cyclic redundancy check of 32 bits, RFC 3720 section 12.1.

    Here, since no dependency brings it, and an index has only 16 bytes a chunk.
    """
    value = 0xFFFFFFFF
    for byte in content:
        value = _CRC_TABLE[(value ^ byte) & 0xFF] ^ (value >> 8)
    return value ^ 0xFFFFFFFF


def _crc_of_byte(byte: int) -> int:
    for _ in range(8):
        byte = (byte >> 1) ^ (0x82F63B78 * (byte & 1))
    return byte


_CRC_TABLE = [_crc_of_byte(byte) for byte in range(256)]


def _plain_codec(codec: dict[str, Any]) -> str:
    order = codec.get("configuration", {}).get("endian", "little")
    return f"bytes {order}" if codec["name"] == "bytes" else str(codec["name"])
