"""Memory that a search by star adds on a 2 GB SpectraArray: ``python benchmarks/memory.py``.

The encoder is a no-op: it reads every spectrum once, batch by batch, as a network would, and keeps
one number of each. What the search adds beyond that is what Pipeline, GridSearchCV and the lazy
matrix cost. For comparison the same search is run on a memory map of the same file, which
scikit-learn indexes into arrays. Each runs in a process of its own; the figure is the growth of
the largest resident size (ru_maxrss). Prints a table, writes benchmarks/results/memory.json.
"""

import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from specvae.estimators import PartialLabelRegressor
from specvae.model_selection import StarGroupKFold
from specvae.preprocessing import PixelMasker
from specvae.spectra import HARPS_GRID, HARPS_MISSING, NpyStore, SpectraArray

N_SPECTRA = 1600  # times 327,680 pixels of float32: 2.1 GB
LIMIT_MB = 100


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


def write_store(path: Path) -> None:
    """Write a .npy file of zeros with holes: 2 GB to readers, little on disk."""
    header = {"descr": "<f4", "fortran_order": False, "shape": (N_SPECTRA, HARPS_GRID.n_pixels)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        start = file.tell()
        file.truncate(start + 4 * N_SPECTRA * HARPS_GRID.n_pixels)
        for row in range(N_SPECTRA):  # a different first pixel for each
            file.seek(start + 4 * row * HARPS_GRID.n_pixels)
            file.write(np.float32(row).tobytes())


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def search(path: Path, kind: str) -> dict[str, float]:
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


def main() -> None:
    if len(sys.argv) == 3:
        print(json.dumps(search(Path(sys.argv[1]), sys.argv[2])))
        return
    record: dict[str, object] = {"n_spectra": N_SPECTRA, "n_pixels": HARPS_GRID.n_pixels}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.npy"
        write_store(path)
        record["store_gb"] = path.stat().st_size / 1e9
        for kind in ("SpectraArray", "memory map"):
            run = [sys.executable, __file__, str(path), kind]
            output = subprocess.run(run, check=True, stdout=subprocess.PIPE, text=True).stdout
            record[kind] = json.loads(output.splitlines()[-1])
    print(f"GridSearchCV by star on {record['store_gb']:.2f} GB, no-op encoder:")
    for kind in ("SpectraArray", "memory map"):
        print(f"  {kind:>12}: adds {record[kind]['added_mb']:8.1f} MB")  # type: ignore[index]
    added = record["SpectraArray"]["added_mb"]  # type: ignore[index]
    print(f"Limit for the SpectraArray: {LIMIT_MB} MB: {'met' if added < LIMIT_MB else 'MISSED'}")
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    (results / "memory.json").write_text(json.dumps(record, indent=2))
    sys.exit(added >= LIMIT_MB)


if __name__ == "__main__":
    main()
