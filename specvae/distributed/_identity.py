"""Digests by which a call that goes on knows the estimator and the store again."""

import functools
import hashlib
import operator
import sys
import types
import zlib
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator

from ..exceptions import SpectrumError
from ..spectra import SpectraArray

# What an estimator holds beside that which decides its results, or what `load` does not bring back.
_BESIDE = {
    *("_training", "history_", "memory", "n_iter_", "n_jobs", "n_threads", "verbose"),
    *("accelerator", "checkpoint_minutes", "checkpoint_path"),
}

_PLAIN = (str, bytes, int, float, complex, bool, type(None), type(Ellipsis))


def digest(thing: Any) -> str:
    """Digest of a fitted estimator or of a store, equal in all processes that have the same.

    Of a network, its tensors count; of other objects, what they would pickle. Where a pickle
    differs without reason, so does the digest.

    Parameters
    ----------
    thing : object
        Anything that pickles.

    Returns
    -------
    digest : str
        16 hexadecimal digits.
    """
    sha = hashlib.sha256()
    for piece in _pieces(thing, ()):
        sha.update(len(piece).to_bytes(8, "little"))
        sha.update(piece)
    return sha.hexdigest()[:16]


def sample_rows(spectra: SpectraArray, n_samples: int = 3) -> dict[str, int]:
    """Row in the store -> checksum, for a few rows as they are stored; unreadable ones are left.

    By them a store is known again that was written anew under its old name.
    """
    stored = SpectraArray(spectra._store)
    found = {}
    for place in np.unique(np.linspace(0, len(spectra) - 1, n_samples).astype(int)):
        row = int(spectra.store_rows[place])
        try:
            found[str(row)] = zlib.crc32(np.ascontiguousarray(stored[row]).tobytes())
        except (OSError, SpectrumError):
            continue
    return found


def _pieces(value: Any, above: tuple[int, ...]) -> Iterator[bytes]:
    """Bytes that tell a value from others; `above` are the objects that hold it."""
    kind = type(value)
    yield f"{kind.__module__}.{kind.__qualname__}".encode()
    if kind in _PLAIN:
        yield repr(value).encode()
    elif isinstance(value, type | types.BuiltinFunctionType | np.ufunc):
        yield repr(value if isinstance(value, type) else value.__name__).encode()
    elif isinstance(value, np.ndarray | np.generic | torch.Tensor):
        yield from _array_pieces(value, above)
    elif id(value) in above:
        yield b"cycle"
    else:
        for part in _parts(value):
            yield from _pieces(part, (*above, id(value)))


def _array_pieces(value: Any, above: tuple[int, ...]) -> Iterator[bytes]:
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().contiguous()
        yield str((value.dtype, tuple(value.shape))).encode()
        # By way of bytes, since numpy has no bfloat16.
        yield value.reshape(-1).view(torch.uint8).numpy().tobytes()
        return
    value = np.asarray(value)
    if value.dtype.hasobject:
        yield from _pieces(value.tolist(), above)
        return
    yield str((value.dtype, value.shape)).encode()
    yield np.ascontiguousarray(value).tobytes()


def _parts(value: Any) -> list[Any]:
    """Return what an object consists of."""
    if isinstance(value, list | tuple):
        return list(value)
    if isinstance(value, set | frozenset):
        return sorted(value, key=repr)
    if isinstance(value, dict):
        return [part for key in sorted(value, key=repr) for part in (key, value[key])]
    if isinstance(value, PurePath):
        return [str(value)]
    if isinstance(value, functools.partial):
        return [value.func, value.args, value.keywords]
    if isinstance(value, types.MethodType):
        return [value.__func__, value.__self__]
    if isinstance(value, types.FunctionType):
        return _function_parts(value)
    if isinstance(value, types.CodeType):
        return [value.co_code, value.co_names, value.co_consts]
    if isinstance(value, pd.DataFrame | pd.Series | pd.Index):
        return [value.to_numpy(), [str(name) for name in getattr(value, "columns", [])]]
    if isinstance(value, torch.nn.Module):
        return [dict(value.state_dict())]
    if isinstance(getattr(value, "module_", None), torch.nn.Module):  # a skorch net
        return [value.module_]
    if isinstance(value, BaseEstimator):
        return [{name: part for name, part in vars(value).items() if name not in _BESIDE}]
    # How it pickles; of the five parts, the last two are iterators.
    reduced = value.__reduce_ex__(4)
    if isinstance(reduced, str):
        return [reduced]
    return [part if place < 3 else list(part or ()) for place, part in enumerate(reduced)][:5]


def _function_parts(function: types.FunctionType) -> list[Any]:
    name = f"{function.__module__}.{function.__qualname__}"
    if _is_imported(function):
        return [name]
    # Many may have this name: lambdas, functions in functions, what a notebook defines anew.
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    return [name, function.__code__, function.__defaults__, function.__kwdefaults__, cells]


def _is_imported(function: types.FunctionType) -> bool:
    """Whether a module, other than the script or notebook itself, has this function."""
    if function.__module__ == "__main__":
        return False
    try:
        found = operator.attrgetter(function.__qualname__)(sys.modules[function.__module__])
    except (AttributeError, KeyError):
        return False
    return found is function
