import functools
import os
import subprocess
import sys

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import specvae
from specvae.distributed._identity import digest, sample_rows
from specvae.estimators import SpectralVAE
from specvae.preprocessing import MedianNormalizer
from specvae.spectra import NpyStore, SpectraArray


def double(flux):
    return 2.0 * flux


class Loops:
    def __init__(self):
        self.itself = self


@pytest.fixture(scope="module")
def flux():
    return np.random.default_rng(1).normal(1.0, 0.1, (24, 20)).astype(np.float32)


@pytest.fixture(scope="module")
def pipeline(flux):
    vae = SpectralVAE(2, encoder="dense", decoder="dense", kl_weight=1e-6, max_epochs=3)
    return make_pipeline(MedianNormalizer(), vae.set_params(random_state=0)).fit(flux)


def test_same_in_another_process_and_from_a_file(tmp_path, pipeline, flux):
    spectra = SpectraArray(np.asarray(flux))[3:].map_rows(double)
    trees = GradientBoostingRegressor(n_estimators=3, random_state=0).fit(flux, flux[:, 0])
    things = [pipeline, spectra, trees]
    joblib.dump(things, tmp_path / "things.joblib")
    code = (
        "import sys, joblib\nfrom specvae.distributed._identity import digest\n"
        "print(*map(digest, joblib.load(sys.argv[1])))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "things.joblib"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": "7"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == [digest(thing) for thing in things]


def test_same_after_save_and_load(tmp_path, pipeline):
    pytest.importorskip("safetensors")
    specvae.save(pipeline, tmp_path / "pipeline.safetensors")
    assert digest(specvae.load(tmp_path / "pipeline.safetensors")) == digest(pipeline)


def test_weights_and_parameters_count_and_threads_do_not(pipeline, tmp_path):
    known = digest(pipeline)
    vae = pipeline[1]
    vae.set_params(n_threads=3, verbose=1, checkpoint_path=str(tmp_path))
    assert digest(pipeline) == known
    vae.set_params(n_threads=None, verbose=0, checkpoint_path=None)
    pipeline[0].set_params(invalid="nan")
    assert digest(pipeline) != known
    pipeline[0].set_params(invalid="raise")
    assert digest(pipeline) == known
    with torch.no_grad():
        next(vae.net_.module_.parameters()).view(-1)[-1].add_(1e-6)
    changed = digest(pipeline)
    with torch.no_grad():
        next(vae.net_.module_.parameters()).view(-1)[-1].sub_(1e-6)
    assert changed != known


def test_store_path_rows_maps_and_scale_count(tmp_path, flux):
    for name in ("a.npy", "b.npy"):
        np.save(tmp_path / name, flux)
    store = NpyStore(tmp_path / "a.npy")
    spectra = SpectraArray(store)
    known = digest(spectra)
    assert spectra[0].shape == (20,)  # the file is open now
    assert digest(spectra) == known == digest(SpectraArray(NpyStore(tmp_path / "a.npy")))
    others = [
        SpectraArray(NpyStore(tmp_path / "b.npy")),
        SpectraArray(NpyStore(tmp_path / "a.npy", scale=np.full(24, 2.0))),
        spectra[::-1],
        spectra[:23],
        spectra.map_rows(double),
        spectra.map_rows(lambda flux: 2.0 * flux),
        spectra.map_rows(lambda flux: 3.0 * flux),
        spectra.map_rows(functools.partial(np.multiply, 2.0)),
        spectra.map_rows(functools.partial(np.multiply, 3.0)),
    ]
    assert len({known, *map(digest, others)}) == 10


@pytest.mark.parametrize(
    "things",
    [
        [1, 1.0, True, "1", b"1", None, [1], (1,), {1}, {1: 1}, np.int64(1), np.ones(1)],
        [["ab"], ["a", "b"], [["a"], "b"]],
        [np.zeros(4), np.zeros((2, 2)), np.zeros(4, np.float32), torch.zeros(4), -np.zeros(4)],
        [torch.zeros(2, dtype=torch.bfloat16), torch.zeros(2, dtype=torch.float16)],
        [np.array(["a", 1], dtype=object), np.array(["a", 2], dtype=object)],
        [pd.DataFrame({"a": [1]}), pd.DataFrame({"b": [1]}), pd.Series([1])],
        [len, np.add, np.subtract, double, int, float, [].append, "len"],
        [np.random.default_rng(0), np.random.default_rng(1), np.random.RandomState(0)],
        [FunctionTransformer(double), FunctionTransformer(np.log1p), FunctionTransformer()],
    ],
)
def test_what_differs_has_another_digest(things):
    assert len({digest(thing) for thing in things}) == len(things)
    assert [digest(thing) for thing in things] == [digest(thing) for thing in things]


def defined(source, module):
    """Return the function `f` of a source, as a notebook would define it."""
    names = {"__name__": module}
    exec(source, names)
    return names["f"]


@pytest.mark.parametrize("module", ["__main__", "gone_since", __name__])
def test_functions_that_no_module_has_are_known_by_their_code(module):
    sources = [
        "def f(flux): return 2.0 * flux",
        "def f(flux): return 3.0 * flux",
        "def f(flux, by=2.0): return by * flux",
        "def f(flux, by=3.0): return by * flux",
        "def f(flux, *, by=2.0): return by * flux",
        "def f(flux, *, by=3.0): return by * flux",
        "f = lambda flux, *, by=2.0: by * flux",
        "f = lambda flux, *, by=3.0: by * flux",
        "def g(by): return lambda flux: by * flux\nf = g(2.0)",
        "def g(by): return lambda flux: by * flux\nf = g(3.0)",
        "class A:\n  def g(self, flux): return 2.0 * flux\nf = A().g",
        "class A:\n  def g(self, flux): return 3.0 * flux\nf = A().g",
    ]
    digests = [digest(defined(source, module)) for source in sources]
    assert len(set(digests)) == len(sources)
    assert digests == [digest(defined(source, module)) for source in sources]


def test_order_of_dictionaries_and_sets_does_not_count():
    assert digest({"a": 1, "b": {2, 3}}) == digest({"b": {3, 2}, "a": 1})


def test_what_holds_itself_comes_to_an_end():
    assert digest(Loops()) == digest(Loops())


def test_samples_tell_rewritten_rows_and_leave_out_unreadable_ones(tmp_path, flux):
    np.save(tmp_path / "a.npy", flux)
    spectra = SpectraArray(NpyStore(tmp_path / "a.npy"))[4:15]
    samples = sample_rows(spectra)
    assert list(samples) == ["4", "9", "14"]
    assert sample_rows(spectra.map_rows(double)) == samples
    os.truncate(tmp_path / "a.npy", 128 + 80 * 9)
    assert sample_rows(spectra) == {"4": samples["4"]}
    assert sample_rows(spectra[:1]) == {"4": samples["4"]}
