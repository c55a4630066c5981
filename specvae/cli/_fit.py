"""``specvae fit``: a pipeline on a store, cross-validated by star if asked for, and saved."""

import errno
import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.decomposition import IncrementalPCA
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline, make_pipeline

from .. import preprocessing
from ..estimators import BatchedTransformer, PartialLabelRegressor
from ..estimators._persistence import save
from ..metrics import mean_by_star
from ..model_selection import StarGroupKFold
from ..spectra import SpectraArray, WavelengthGrid, read_meta
from ._label_table import read_labels
from ._progress import Progress
from ._recipe import build_pipeline, format_recipe, read_recipe, recipe_of
from ._stars import star_numbers

N_CONTROL_COMPONENTS = 32


class Training(NamedTuple):
    """What a pipeline is fitted to."""

    spectra: SpectraArray
    labels: pd.DataFrame | None
    stars: np.ndarray


def run(options: Namespace) -> None:
    """Train a pipeline and save it."""
    spectra, meta = SpectraArray.open(options.store), read_meta(options.store)
    assert spectra.grid is not None  # every store has one
    steps = _steps(options, spectra.grid)
    if options.print_recipe:
        print(format_recipe(steps), end="")
        return
    _check_target(options.to)
    pipeline = build_pipeline(steps, spectra.grid, seed=options.seed, device=options.device)
    labels = None
    if options.labels is not None:
        labels = read_labels(options.labels, meta, options.by, options.target)
    training = Training(spectra, labels, _stars(meta))
    _check_goes_with_labels(pipeline, labels, options)
    settings = {
        "recipe": format_recipe(steps),
        "seed": options.seed,
        "store": str(options.store.resolve()),
        "labels": None if labels is None else labels.to_csv(),
        "stars": training.stars.tolist(),
        "folds": options.folds,
    }
    with Progress(options.to, settings) as progress:
        if options.folds is not None:
            print(_cross_validate(pipeline, training, options, progress).to_string())
        model = _fit(pipeline, training, progress, "final")
        save(model, options.to)
        progress.remove()
    print(f"Wrote {options.to}; `specvae card {options.to}` describes it.")


def _steps(options: Namespace, grid: WavelengthGrid) -> list[dict[str, Any]]:
    if options.recipe is None:
        return recipe_of(options, grid, has_labels=options.labels is not None)
    beside = ("model", "latents", "network", "epochs", "mask")
    given = [f"--{name}" for name in beside if getattr(options, name)]
    if given:
        raise ValueError(f"{', '.join(given)} and --recipe say the same; leave out one of them.")
    return read_recipe(options.recipe)


def _check_target(path: Path) -> None:
    # Before the hours of training, not after them.
    if path.exists():
        raise FileExistsError(
            errno.EEXIST, "the model exists; delete it, or give --to another name", str(path)
        )
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "there is no such folder", str(path.parent))


def _check_goes_with_labels(
    pipeline: Pipeline, labels: pd.DataFrame | None, options: Namespace
) -> None:
    if hasattr(pipeline, "predict") and labels is None:
        raise ValueError(f"{type(pipeline[-1]).__name__} learns labels; give them with --labels.")
    if options.folds is not None and not hasattr(pipeline, "predict"):
        raise ValueError("--folds measures errors of labels, and this pipeline predicts none.")


def _stars(meta: pd.DataFrame) -> np.ndarray:
    stars = star_numbers(meta)
    if stars is not None:
        return stars
    print(
        "specvae: warning: the store names neither objects nor positions; every spectrum counts "
        "as a star of its own, and errors come out too small if some are of one star.",
        file=sys.stderr,
    )
    return np.arange(len(meta))


def _fit(pipeline: Pipeline, training: Training, progress: Progress, name: str) -> Pipeline:
    """Fit a copy; the network keeps a checkpoint and goes on from the one that is there."""
    pipeline = clone(pipeline)
    parameters: dict[str, Any] = {}
    checkpoint = progress.folder / f"{name}.checkpoint"
    for step_name, step in pipeline.steps:
        if hasattr(step, "checkpoint_path"):
            step.set_params(checkpoint_path=checkpoint, verbose=int(sys.stderr.isatty()))
            parameters[f"{step_name}__groups"] = training.stars
            if checkpoint.exists():
                print(f"Going on with {name} from epoch to epoch where it stopped.")
                parameters[f"{step_name}__resume_from"] = checkpoint
    return pipeline.fit(training.spectra, training.labels, **parameters)


def _cross_validate(
    pipeline: Pipeline, training: Training, options: Namespace, progress: Progress
) -> pd.DataFrame:
    """Return the mean absolute error by star of the pipeline, of a constant and of PCA."""
    assert training.labels is not None
    folds = list(
        StarGroupKFold(options.folds, random_state=options.seed).split(
            training.spectra, groups=training.stars
        )
    )
    for number, (train, _) in enumerate(folds, 1):
        unknown = training.labels.columns[training.labels.iloc[train].isna().all()]
        if len(unknown):
            raise ValueError(
                f"--folds {options.folds} leaves no star with {', '.join(unknown)} to train on in "
                f"fold {number}; give labels of more stars, more folds or another --seed."
            )
    # Least squares on as many components as labelled spectra would learn their noise.
    n_labelled = min(int(training.labels.iloc[train].notna().sum().min()) for train, _ in folds)
    n_components = max(1, min(N_CONTROL_COMPONENTS, n_labelled // 2, training.spectra.shape[1]))
    candidates = {"this model": pipeline, **_controls(pipeline, n_components)}
    rows = {}
    for name, candidate in candidates.items():
        error = np.full(training.labels.shape, np.nan)
        for number, (train, test, predicted) in enumerate(
            _predictions(name, candidate, folds, training, progress), 1
        ):
            error[test] = np.abs(predicted - training.labels.to_numpy()[test])
            print(f"{name}: fold {number} of {len(folds)}, {len(train)} spectra", flush=True)
        by_star = mean_by_star(error, training.stars)
        rows[name] = [
            f"{mean:.3g} +- {sigma:.2g}"
            for mean, sigma in zip(by_star.mean, by_star.standard_error, strict=True)
        ]
    known = training.labels.notna()
    rows["labelled stars"] = [
        str(len(np.unique(training.stars[known[name]]))) for name in training.labels
    ]
    print(
        "\nMean absolute error on stars not trained on, +- standard error by star; "
        f"{len(folds)} folds, seed {options.seed}"
    )
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(training.labels.columns))


def _predictions(
    name: str,
    candidate: Any,
    folds: list[tuple[np.ndarray, np.ndarray]],
    training: Training,
    progress: Progress,
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    assert training.labels is not None
    for number, (train, test) in enumerate(folds):
        part = f"{name.replace(' ', '-')}-fold{number}"
        predicted = progress.load(part)
        if predicted is None:
            labels = training.labels.iloc[train]
            rows = Training(training.spectra[train], labels, training.stars[train])
            fitted = _fit(candidate, rows, progress, part)
            predicted = np.asarray(fitted.predict(training.spectra[test])).reshape(len(test), -1)
            progress.keep(part, predicted)
        yield train, test, predicted


def _controls(pipeline: Pipeline, n_components: int) -> dict[str, Pipeline]:
    """Return what any model must beat, behind the same preparation of the spectra."""
    steps = pipeline.named_steps.values()
    before = [step for step in steps if type(step).__module__.startswith(preprocessing.__name__)]

    def on_components(n_components: int, regressor: Any) -> Pipeline:
        code = BatchedTransformer(IncrementalPCA(n_components))
        return make_pipeline(*map(clone, before), code, PartialLabelRegressor(regressor))

    return {
        "constant": on_components(1, DummyRegressor(strategy="median")),
        f"PCA({n_components})": on_components(n_components, LinearRegression()),
    }
