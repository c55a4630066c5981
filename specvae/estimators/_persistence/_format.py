"""The file: safetensors with a description in JSON, checked before anything in it is believed."""

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..._optional import import_optional

# Of version 1, tensors of the networks had other names.
FORMAT, VERSION = "specvae-model", 2

# Names and shapes of a few hundred tensors take 100 kB, names of 327,680 pixels a few MB.
_MAX_HEADER = 64 * 2**20
_N_BYTES = {
    **dict.fromkeys(("BOOL", "I8", "U8"), 1),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 2),
    **dict.fromkeys(("I32", "U32", "F32"), 4),
    **dict.fromkeys(("I64", "U64", "F64"), 8),
}
_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")


def write_file(path: Path, description: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    """Write description and tensors, the whole file or nothing.

    Raises
    ------
    ValueError
        If the file would be one that `read_file` refuses.
    """
    library = import_optional("safetensors.torch", caller="save", extra="save")
    text = json.dumps(description, allow_nan=False)
    for name in tensors:
        _check_name(name)
    data = library.save(tensors, {"specvae": text, "sha256": digest(text, tensors)})
    n_header = int.from_bytes(data[:8], "little")
    if n_header > _MAX_HEADER:
        raise ValueError(
            f"the description takes {n_header} bytes, more than {_MAX_HEADER}; fit on arrays "
            "instead of tables with names, or save the steps one by one."
        )
    part = path.with_name(path.name + ".part")
    try:
        with open(part, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def read_file(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read description and tensors.

    Raises
    ------
    ValueError
        With the reason, if this is another kind of file, or was cut off, edited, or written by a
        newer or an older version.
    """
    library = import_optional("safetensors.torch", caller="load", extra="save")
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        start = file.read(8)
        n_header = _header_length(start, size)
        header = file.read(n_header)
        metadata = _check_header(header, size - 8 - n_header)
        body = file.read()
    text = metadata["specvae"]
    description = parse_json(text)
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise ValueError("it holds no model of specvae")
    version = description.get("version")
    if version == 1 and type(version) is int:
        raise ValueError(
            f"it has version 1 of the format, of an older specvae, and this one reads {VERSION}: "
            "fit or convert the model again"
        )
    if version != VERSION or type(version) is not int:
        raise ValueError(
            f"it has version {version!r} of the format, this specvae reads {VERSION}: upgrade "
            "specvae"
        )
    tensors = library.load(start + header + body)
    if digest(text, tensors) != metadata.get("sha256"):
        raise ValueError("its sha256 is not that of its contents: it was edited or is damaged")
    return description, tensors


def digest(text: str, tensors: dict[str, Tensor]) -> str:
    """SHA-256 of the description and of name, kind, shape and bytes of every tensor."""
    found = hashlib.sha256()
    encoded = text.encode()
    found.update(len(encoded).to_bytes(8, "little") + encoded)
    for name in sorted(tensors):
        tensor = tensors[name]
        found.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        if tensor.numel():  # an empty one has no strides to view it by
            found.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def parse_json(text: str | bytes) -> Any:
    """Read JSON; refuse a key that comes twice, and numbers that JSON does not know.

    Raises
    ------
    ValueError
        If it is none.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"the name {twice!r} comes twice in it")
        return found

    def refuse(word: str) -> Any:
        raise ValueError(f"its JSON holds {word}")

    return json.loads(text, object_pairs_hook=once, parse_constant=refuse)


def _header_length(start: bytes, size: int) -> int:
    """Length of the header that the first eight bytes announce."""
    n_header = int.from_bytes(start, "little")
    # A header may be 128 bytes long as well, but not as long as eight bytes of a pickle say.
    if n_header > _MAX_HEADER and (start[:2] == b"PK" or start[:1] == b"\x80"):
        raise ValueError(
            "it seems to be a pickle or a file of torch.save, which could run code; only files of "
            "save are read"
        )
    if len(start) < 8:
        raise ValueError(f"it has {size} bytes: it is truncated or no model of specvae")
    if n_header > _MAX_HEADER:
        raise ValueError(
            f"it announces a header of {n_header} bytes, more than {_MAX_HEADER}: it is no model "
            "of specvae or is damaged"
        )
    if n_header > size - 8:
        raise ValueError(
            f"it announces a header of {n_header} bytes and has {size}: it is truncated or no "
            "model of specvae"
        )
    return n_header


def _check_header(header: bytes, n_body: int) -> dict[str, str]:
    """Raise unless the tensors fill the rest of the file, each byte once; return the metadata."""
    try:
        table = parse_json(header)
    except UnicodeDecodeError as error:
        raise ValueError("it is no safetensors file") from error
    if not isinstance(table, dict):
        raise ValueError("it is no safetensors file")
    metadata = table.pop("__metadata__", None)
    if not isinstance(metadata, dict) or not isinstance(metadata.get("specvae"), str):
        raise ValueError("it is no model of specvae: its header does not say so")
    spans = []
    for name, entry in table.items():
        _check_name(name)
        kind, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        sizes = [*shape, begin, end]
        if kind not in _N_BYTES or not all(type(each) is int and each >= 0 for each in sizes):
            raise ValueError(f"the entry of tensor {name} in its header is wrong")
        n_bytes = _N_BYTES[kind]
        for length in shape:
            n_bytes *= length
        if end - begin != n_bytes:
            raise ValueError(f"tensor {name} of shape {shape} does not fit its {end - begin} bytes")
        spans.append((begin, end))
    reached = 0
    for begin, end in sorted(spans):
        if begin != reached:
            raise ValueError("its tensors overlap or leave gaps")
        reached = end
    if reached > n_body:
        raise ValueError(f"it is truncated: {reached - n_body} bytes are missing")
    if reached < n_body:
        raise ValueError(f"{n_body - reached} bytes follow its last tensor")
    return metadata


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"the tensor name {name!r} is not made of words joined by dots, without separators of "
            "paths"
        )
