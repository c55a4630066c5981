"""The versions that decide the outcome of a training."""

import importlib
import platform

import numpy as np
import sklearn
import torch


def versions() -> dict[str, str]:
    """Version of each, by name."""
    return {
        "specvae": importlib.import_module("specvae").__version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "scikit-learn": sklearn.__version__,
    }
