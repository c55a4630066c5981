import hashlib
import json

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from specvae.simulation import simulate_spectra
from specvae.spectra import WavelengthGrid

GRID = WavelengthGrid(5150.0, 0.2, 128, name="small")


@pytest.fixture(scope="session")
def grid():
    return GRID


@pytest.fixture(scope="session")
def simulated():
    return simulate_spectra(40, GRID, random_state=0)


@pytest.fixture(scope="session")
def flux(simulated):
    flux = simulated.flux / np.median(simulated.flux, axis=1, keepdims=True)
    flux = flux.astype(np.float32)
    flux[:, 5] = np.nan
    flux[3, 40:60] = np.nan
    return flux


class Forgery:
    """A file taken apart, to be changed and put together again with a sum that fits."""

    def __init__(self, path):
        data = path.read_bytes()
        n_header = int.from_bytes(data[:8], "little")
        self.metadata = json.loads(data[8 : 8 + n_header])["__metadata__"]
        self.description = json.loads(self.metadata["specvae"])
        self.tensors = load(data)

    def write(self, path, *, text=None):
        text = json.dumps(self.description) if text is None else text
        path.write_bytes(save(self.tensors, {"specvae": text, "sha256": self.sum(text)}))
        return path

    def sum(self, text):
        """Worked out here anew, as the format says it."""
        found = hashlib.sha256(len(text.encode()).to_bytes(8, "little") + text.encode())
        for name, tensor in sorted(self.tensors.items()):
            found.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
            found.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
        return found.hexdigest()


@pytest.fixture
def forge(tmp_path):
    def take_apart(estimator):
        path = tmp_path / "honest.safetensors"
        estimator.save(path)
        return Forgery(path)

    take_apart.read = Forgery
    return take_apart
