"""``specvae fit``: a pipeline on a store, cross-validated by star if asked for, and saved."""

import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import is_regressor
from sklearn.pipeline import Pipeline

from ..distributed._identity import sample_rows
from ..estimators._persistence import save
from ..spectra import SpectraArray, WavelengthGrid, read_meta
from ..spectra._sidecar import sidecar_path
from ._columns import check_columns, prediction_columns
from ._folds import cross_validate
from ._label_table import read_labels
from ._progress import Progress
from ._recipe import build_pipeline, format_recipe, read_recipe, recipe_of
from ._stars import n_unnamed, star_numbers
from ._target import check_target, told_when_full
from ._training import Training, fit_copy

# Rows of a store by which fit knows it again.
_N_SAMPLES = 64


def run(options: Namespace) -> None:
    """Train a pipeline and save it."""
    spectra, meta = SpectraArray.open(options.store), read_meta(options.store)
    assert spectra.grid is not None  # every store has one
    steps = _steps(options, spectra.grid)
    if options.print_recipe:
        print(format_recipe(steps), end="")
        return
    check_target(options.to, "model")
    pipeline = build_pipeline(steps, spectra.grid, seed=options.seed, device=options.device)
    labels = None
    if options.labels is not None:
        labels = read_labels(options.labels, meta, options.by, options.target)
    training = Training(spectra, labels, _stars(meta))
    _check_goes_with_labels(pipeline, labels, options)
    settings = {
        "recipe": format_recipe(steps),
        "seed": options.seed,
        "store": _store_identity(spectra, options.store),
        "labels": None if labels is None else labels.to_csv(),
        "stars": training.stars.tolist(),
        "folds": options.folds,
    }
    with told_when_full(options.to), Progress(options.to, settings) as progress:
        if options.folds is not None:
            table = cross_validate(
                pipeline, training, progress, n_folds=options.folds, seed=options.seed
            )
            print(table.to_string())
        model = fit_copy(pipeline, training, progress, "final")
        check_target(options.to, "model")  # it may have appeared meanwhile
        save(model, options.to)
        progress.remove()
    print(f"Wrote {options.to}; `specvae card {options.to}` describes it.")


def _store_identity(spectra: SpectraArray, path: Path) -> dict[str, Any]:
    """Return what tells a store from another one that was written under its name."""
    sidecar = sidecar_path(path).stat()
    return {
        "path": str(path.resolve()),
        "shape": list(spectra.shape),
        "grid": None if spectra.grid is None else spectra.grid.to_dict(),
        "samples": sample_rows(spectra, _N_SAMPLES),
        "sidecar": [sidecar.st_size, sidecar.st_mtime_ns],
    }


def _steps(options: Namespace, grid: WavelengthGrid) -> list[dict[str, Any]]:
    if options.recipe is None:
        return recipe_of(options, grid, has_labels=options.labels is not None)
    beside = ("model", "latents", "network", "epochs", "mask")
    given = [f"--{name}" for name in beside if getattr(options, name) is not None]
    if given:
        raise ValueError(f"{', '.join(given)} and --recipe say the same; leave out one of them.")
    return read_recipe(options.recipe)


def _check_goes_with_labels(
    pipeline: Pipeline, labels: pd.DataFrame | None, options: Namespace
) -> None:
    if hasattr(pipeline, "predict") and labels is None:
        raise ValueError(f"{type(pipeline[-1]).__name__} learns labels; give them with --labels.")
    if options.folds is not None and not hasattr(pipeline, "predict"):
        raise ValueError("--folds measures errors of labels, and this pipeline predicts none.")
    if labels is None:
        return
    last = pipeline[-1]
    if not hasattr(pipeline, "predict"):
        raise ValueError(
            f"{type(last).__name__} at the end of the recipe learns no labels; add a step "
            "PartialLabelRegressor, or leave out --labels."
        )
    if type(last).__module__.startswith("sklearn.") and is_regressor(last):
        raise ValueError(
            f"{type(last).__name__} at the end of the recipe takes no missing labels and forgets "
            "their names; wrap it in PartialLabelRegressor."
        )
    check_columns(prediction_columns(last, list(labels.columns)))


def _stars(meta: pd.DataFrame) -> np.ndarray:
    stars = star_numbers(meta)
    if stars is not None:
        if n_rows := n_unnamed(meta):
            print(
                f"specvae: warning: {n_rows} spectra have neither a name nor both coordinates; "
                "each counts as a star of its own, and errors come out too small if some are of "
                "one star.",
                file=sys.stderr,
            )
        return stars
    print(
        "specvae: warning: the store names neither objects nor positions; every spectrum counts "
        "as a star of its own, and errors come out too small if some are of one star.",
        file=sys.stderr,
    )
    return np.arange(len(meta))
