"""Memory that spectra larger than it take: ``python benchmarks/memory.py``.

1. A search by star on a 2 GB SpectraArray. The encoder is a no-op: it reads every spectrum once,
   batch by batch, as a network would, and keeps one number of each. What the search adds beyond
   that is what Pipeline, GridSearchCV and the lazy matrix cost. For comparison the same search is
   run on a memory map of the same file, which scikit-learn indexes into arrays. The figure is the
   growth of the largest resident size.
2. A store of 100 GB: a .npy file of 152,588 spectra of 327,680 pixels in float16, most of them
   holes. The 1,600 that are read, spread over the whole of it, are written: absorption lines,
   depths and velocities by star, and noise. On views of it an autoencoder is trained for 200
   steps, 1,600 spectra are encoded into a file, 200 reconstructed into a store, IncrementalPCA is
   fitted, and a pipeline is searched over by star. The figure is the largest resident size
   (VmHWM), less what is taken without the store, "torch's own": for train, encode and decode that
   of the same call on eight spectra in memory, so of one batch in torch; for search that of one fit
   of the autoencoder alone on those eight, without a search; for control, IncrementalPCA, that of
   the imports and of the eight spectra, so that all memory of the decompositions counts against
   it.

Each runs in a process of its own. Prints tables, writes benchmarks/results/memory.json.
"""

import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import joblib
import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import IncrementalPCA
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from specvae.estimators import BatchedTransformer, PartialLabelRegressor, SpectralAutoencoder
from specvae.model_selection import StarGroupKFold
from specvae.preprocessing import PixelMasker
from specvae.spectra import HARPS_GRID, HARPS_MISSING, NpyStore, SpectraArray

N_PIXELS = HARPS_GRID.n_pixels
N_SPECTRA = 1600  # times 327,680 pixels of float32: 2.1 GB
LIMIT_MB = 100

N_STORED = 152_588  # times 327,680 pixels of float16: 100 GB
N_READ, N_SEARCHED, N_DECODED, BATCH = 1600, 160, 200, 8
SPECTRA_PER_STAR = 4
LIMIT_GB = 2.0


class NoOpEncoder(TransformerMixin, BaseEstimator):
    """Read every spectrum, keep one number of each."""

    def fit(self, X, y=None):
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X):
        if isinstance(X, SpectraArray):
            batches = X.iter_batches(8)
        else:
            batches = (X[start : start + 8] for start in range(0, len(X), 8))
        return np.concatenate([np.nanmean(batch, axis=1) for batch in batches])[:, None]


def begin_store(path: Path, n_spectra: int, dtype: str) -> int:
    """Write the header of a .npy file of holes, and return where its rows begin."""
    header = {"descr": dtype, "fortran_order": False, "shape": (n_spectra, N_PIXELS)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        start = file.tell()
        file.truncate(start + np.dtype(dtype).itemsize * n_spectra * N_PIXELS)
    return start


def write_zeros(path: Path) -> None:
    """Write 2 GB of zeros to readers, little on disk."""
    start = begin_store(path, N_SPECTRA, "<f4")
    with path.open("r+b") as file:
        for row in range(N_SPECTRA):  # a different first pixel for each
            file.seek(start + 4 * row * N_PIXELS)
            file.write(np.float32(row).tobytes())


def rows_read() -> np.ndarray:
    """Rows of the large store that hold spectra."""
    return np.linspace(0, N_STORED - 1, N_READ).astype(int)


def labels_of_stars() -> np.ndarray:
    """Depth of the lines and velocity in pixels of each spectrum that is read."""
    rng = np.random.default_rng(0)
    of_star = rng.uniform([0.2, -300.0], [1.0, 300.0], (N_READ // SPECTRA_PER_STAR, 2))
    return np.repeat(of_star, SPECTRA_PER_STAR, axis=0)


def write_spectra_into(path: Path) -> None:
    """Write the large store: holes, and spectra where they will be read."""
    start = begin_store(path, N_STORED, "<f2")
    rng = np.random.default_rng(1)
    lines = np.zeros(N_PIXELS)
    lines[rng.integers(0, N_PIXELS, 3000)] = rng.uniform(0.1, 0.8, 3000)
    profile = np.exp(-0.5 * (np.arange(-20, 21) / 5.0) ** 2)
    lines = np.convolve(lines, profile, mode="same").clip(max=0.95).astype(np.float32)
    with path.open("r+b") as file:
        for row, (depth, velocity) in zip(rows_read(), labels_of_stars(), strict=True):
            noise = 0.01 * rng.standard_normal(N_PIXELS, dtype=np.float32)
            flux = 1.0 - np.float32(depth) * np.roll(lines, round(velocity)) + noise
            file.seek(start + 2 * int(row) * N_PIXELS)
            file.write(flux.astype("<f2").tobytes())


def peak_mb() -> float:
    """Largest resident size of this process so far."""
    # Not ru_maxrss where there is better: it counts what the parent had when it was forked.
    status = Path("/proc/self/status")
    if status.exists():
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(peak.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def search_no_op(path: Path, kind: str) -> dict[str, float]:
    """Return the growth of the peak in MB that a search of 2 x 3 fits and a refit brings."""
    labels = np.random.default_rng(0).normal(size=(N_SPECTRA, 3))
    labels[np.random.default_rng(1).random(labels.shape) < 0.4] = np.nan
    groups = np.arange(N_SPECTRA) // 4
    if kind == "SpectraArray":
        X = SpectraArray(NpyStore(path), grid=HARPS_GRID)
        mask = ("mask", PixelMasker(HARPS_MISSING))
    else:
        X = np.load(path, mmap_mode="r")
        mask = ("mask", "passthrough")
    pipeline = Pipeline([mask, ("code", NoOpEncoder()), ("labels", PartialLabelRegressor(Ridge()))])
    grid = {"labels__estimator__alpha": [0.1, 1.0]}
    before = peak_mb()
    fitted = GridSearchCV(
        pipeline, grid, cv=StarGroupKFold(3, random_state=0), error_score="raise"
    ).fit(X, labels, groups=groups)
    assert len(fitted.cv_results_["params"]) == 2
    return {"before_mb": before, "added_mb": peak_mb() - before}


def autoencoder() -> SpectralAutoencoder:
    return SpectralAutoencoder(
        8,
        batch_size=BATCH,
        max_epochs=1,
        validation_fraction=0.0,
        grid=HARPS_GRID,
        random_state=0,
        device="cpu",
    )


def large(path: Path) -> SpectraArray:
    """Open the 100 GB; masked, so that pads and gap are missing."""
    X = SpectraArray(NpyStore(path), grid=HARPS_GRID)
    return PixelMasker(HARPS_MISSING).transform(X)


def small(path: Path) -> np.ndarray:
    """One batch of it in memory."""
    return large(path)[rows_read()[:BATCH]].to_numpy()


def train(path: Path, *, in_memory: bool) -> dict[str, float]:
    X = small(path) if in_memory else large(path)[rows_read()]
    fitted = autoencoder().fit(X)
    if not in_memory:
        joblib.dump(fitted, path.with_name("model.joblib"))
    return {
        "n_spectra": len(X),
        "n_steps": len(X) // BATCH,
        "loss": fitted.history_["train_loss"][0],
    }


def encode(path: Path, *, in_memory: bool) -> dict[str, float]:
    fitted = joblib.load(path.with_name("model.joblib"))
    if in_memory:
        codes = fitted.transform(small(path))
    else:
        codes = fitted.transform(large(path)[rows_read()], out=path.with_name("codes.npy"))
    return {"n_spectra": len(codes), "scatter": float(np.asarray(codes).std(axis=0).max())}


def decode(path: Path, *, in_memory: bool) -> dict[str, float]:
    fitted = joblib.load(path.with_name("model.joblib"))
    if in_memory:
        flux = fitted.reconstruct(small(path))
    else:
        rows = rows_read()[:N_DECODED]
        flux = fitted.reconstruct(large(path)[rows], out=path.with_name("reconstructed.npy"))
    return {"n_spectra": len(flux)}


def control(path: Path, *, in_memory: bool) -> dict[str, float]:
    if in_memory:  # what the imports take, and the spectra of one batch
        return {"n_spectra": len(small(path))}
    X = large(path)[rows_read()[::4]]
    fitted = BatchedTransformer(IncrementalPCA(8), batch_size=64).fit(X)
    explained = float(fitted.transformer_.explained_variance_ratio_.sum())
    return {"n_spectra": len(X), "explained": explained}


def search(path: Path, *, in_memory: bool) -> dict[str, float]:
    if in_memory:
        autoencoder().fit(small(path))
        return {"n_spectra": BATCH}
    star = np.arange(N_READ) // SPECTRA_PER_STAR
    few = np.flatnonzero(star % (N_READ // N_SEARCHED) == 0)
    X, y = large(path)[rows_read()[few]], labels_of_stars()[few]
    steps = [("code", autoencoder()), ("labels", PartialLabelRegressor(Ridge()))]
    found = GridSearchCV(
        Pipeline(steps),
        {"code__latent_dim": [4, 8]},
        cv=StarGroupKFold(2, random_state=0),
        error_score="raise",
    ).fit(X, y, groups=star[few])
    return {"n_spectra": len(X), "n_candidates": len(found.cv_results_["params"])}


JOBS = {"train": train, "encode": encode, "decode": decode, "control": control, "search": search}


def run(*arguments: object) -> dict[str, float]:
    """Run one job in a process of its own."""
    command = [sys.executable, __file__, *map(str, arguments)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(output.splitlines()[-1])


def run_job(path: Path, name: str, kind: str) -> dict[str, float]:
    """Do one job in this process, and return its peak with what it says."""
    start = time.perf_counter()
    found = JOBS[name](path, in_memory=kind == "in memory")
    return {**found, "seconds": time.perf_counter() - start, "peak_mb": peak_mb()}


def compare_searches(folder: Path) -> tuple[dict[str, object], bool]:
    """Part 1."""
    path = folder / "store.npy"
    write_zeros(path)
    record: dict[str, object] = {
        "n_spectra": N_SPECTRA,
        "n_pixels": N_PIXELS,
        "store_gb": path.stat().st_size / 1e9,
    }
    found = {}
    print(f"GridSearchCV by star on {record['store_gb']:.2f} GB, no-op encoder:")
    for kind in ("SpectraArray", "memory map"):
        record[kind] = found[kind] = run(path, "no-op", kind)
        print(f"  {kind:>12}: adds {found[kind]['added_mb']:8.1f} MB", flush=True)
    met = found["SpectraArray"]["added_mb"] < LIMIT_MB
    print(f"Limit for the SpectraArray: {LIMIT_MB} MB: {'met' if met else 'MISSED'}")
    return record, met


def use_large_store(folder: Path) -> tuple[dict[str, object], bool]:
    """Part 2."""
    path = folder / "large.npy"
    write_spectra_into(path)
    size = path.stat()
    record: dict[str, object] = {
        "store_gb": size.st_size / 1e9,
        "n_stored": N_STORED,
        "on_disk_gb": 512 * size.st_blocks / 1e9,
        "limit_gb": LIMIT_GB,
    }
    print(f"\nA store of {size.st_size / 1e9:.1f} GB, {N_STORED} spectra of {N_PIXELS} pixels:")
    print("  job      spectra  seconds   peak GB   torch's own   beyond it")
    met = True
    for name in JOBS:
        # Training first: the others use what it leaves.
        lazy, own = run(path, name, "lazy"), run(path, name, "in memory")
        beyond = (lazy["peak_mb"] - own["peak_mb"]) / 1024
        met &= beyond < LIMIT_GB
        record[name] = {**lazy, "own_mb": own["peak_mb"], "beyond_gb": beyond}
        print(
            f"  {name:<8} {lazy['n_spectra']:7.0f} {lazy['seconds']:8.0f} "
            f"{lazy['peak_mb'] / 1024:9.2f} {own['peak_mb'] / 1024:13.2f} {beyond:11.2f}",
            flush=True,
        )
    print(f"Limit beyond torch's own: {LIMIT_GB:g} GB: {'met' if met else 'MISSED'}")
    return record, met


def main() -> None:
    if len(sys.argv) == 4:
        path, name, kind = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
        found = search_no_op(path, kind) if name == "no-op" else run_job(path, name, kind)
        print(json.dumps(found))
        return
    with tempfile.TemporaryDirectory() as folder:
        record, met = compare_searches(Path(folder))
        record["large_store"], large_met = use_large_store(Path(folder))
    record["machine"] = {
        "processor": platform.processor() or platform.machine(),
        "n_cores": os.cpu_count(),
        "torch": torch.__version__,
        "torch_threads": torch.get_num_threads(),
    }
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    (results / "memory.json").write_text(json.dumps(record, indent=2) + "\n")
    sys.exit(not (met and large_met))


if __name__ == "__main__":
    main()
