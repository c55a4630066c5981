"""Representation learning for stellar spectra as scikit-learn estimators.

The folders are the nouns: `specvae.spectra` reads and holds spectra, `specvae.simulation` makes
them, `specvae.preprocessing` prepares them row by row, `specvae.estimators` learns from them,
`specvae.model_selection` splits and scores by star, `specvae.inspection` tells what was learnt,
`specvae.distributed` works on a cluster, `specvae.explorer` is a page to look at an archive with,
`specvae.cli` is the ``specvae`` command. Each is loaded when it is first used.

`save` and `load` keep fitted estimators and pipelines in files that hold data only; `model_card`
describes them; `load_astro_machines` reads published weights.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_LAYERS = (
    "cli",
    "distributed",
    "estimators",
    "explorer",
    "inspection",
    "metrics",
    "model_selection",
    "networks",
    "plotting",
    "preprocessing",
    "simulation",
    "spectra",
)

# Functions on estimators of all kinds, scikit-learn's included.
_FUNCTIONS = ("load", "load_astro_machines", "model_card", "save")

__all__ = ["__version__", *_FUNCTIONS, *_LAYERS]


def __getattr__(name: str) -> Any:
    if name in _LAYERS:
        return importlib.import_module(f"specvae.{name}")
    if name in _FUNCTIONS:
        return getattr(importlib.import_module("specvae.estimators._persistence"), name)
    raise AttributeError(f"module 'specvae' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
