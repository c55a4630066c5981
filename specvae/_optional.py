"""Extras are imported where they are used, and the message says who needs what."""

import importlib
from types import ModuleType


def import_optional(name: str, *, caller: str, extra: str) -> ModuleType:
    """Import module `name`, or say that `caller` needs the extra that brings it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            f"{caller} needs {name.partition('.')[0]}: pip install 'specvae[{extra}]'."
        ) from error
