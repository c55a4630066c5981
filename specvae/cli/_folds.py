"""Cross-validation by star, beside what any model must beat."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.decomposition import IncrementalPCA
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline, make_pipeline

from .. import preprocessing
from ..estimators import BatchedTransformer, PartialLabelRegressor
from ..metrics import mean_by_star
from ..model_selection import StarGroupKFold
from ._progress import Progress
from ._training import Training, fit_copy

N_CONTROL_COMPONENTS = 32

Fold = tuple[np.ndarray, np.ndarray]  # rows to train on, rows to predict


def cross_validate(
    pipeline: Pipeline, training: Training, progress: Progress, *, n_folds: int, seed: int
) -> pd.DataFrame:
    """Return the mean absolute error by star of the pipeline, of a constant and of PCA."""
    assert training.labels is not None
    folds = _folds(training, n_folds, seed)
    # Least squares on as many components as labelled spectra would learn their noise.
    n_labelled = min(int(training.labels.iloc[train].notna().sum().min()) for train, _ in folds)
    n_components = max(1, min(N_CONTROL_COMPONENTS, n_labelled // 2, training.spectra.shape[1]))
    candidates = {
        "this model": pipeline,
        "constant": None,
        f"PCA({n_components})": _least_squares(pipeline, n_components),
    }
    rows = {}
    for name, candidate in candidates.items():
        error = np.full(training.labels.shape, np.nan)
        predictions = (
            _constants(folds, training)
            if candidate is None
            else _predictions(name, candidate, folds, training, progress)
        )
        for (_, test), predicted in zip(folds, predictions, strict=True):
            error[test] = np.abs(predicted - training.labels.to_numpy()[test])
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
        f"{n_folds} folds, seed {seed}"
    )
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(training.labels.columns))


def _folds(training: Training, n_folds: int, seed: int) -> list[Fold]:
    assert training.labels is not None
    splitter = StarGroupKFold(n_folds, random_state=seed)
    folds = list(splitter.split(training.spectra, groups=training.stars))
    for number, (train, _) in enumerate(folds, 1):
        unknown = training.labels.columns[training.labels.iloc[train].isna().all()]
        if len(unknown):
            raise ValueError(
                f"--folds {n_folds} leaves no star with {', '.join(unknown)} to train on in "
                f"fold {number}; give labels of more stars, more folds or another --seed."
            )
    return folds


def _predictions(
    name: str, candidate: Pipeline, folds: list[Fold], training: Training, progress: Progress
) -> Iterator[np.ndarray]:
    assert training.labels is not None
    for number, (train, test) in enumerate(folds):
        part = f"{name.replace(' ', '-')}-fold{number}"
        predicted = progress.load(part)
        if predicted is None:
            labels = training.labels.iloc[train]
            rows = Training(training.spectra[train], labels, training.stars[train])
            fitted = fit_copy(candidate, rows, progress, part)
            predicted = np.asarray(fitted.predict(training.spectra[test])).reshape(len(test), -1)
            progress.keep(part, predicted)
        print(f"{name}: fold {number + 1} of {len(folds)}, {len(train)} spectra", flush=True)
        yield predicted


def _constants(folds: list[Fold], training: Training) -> Iterator[np.ndarray]:
    assert training.labels is not None
    for train, test in folds:
        median = np.nanmedian(training.labels.iloc[train], axis=0)
        yield np.tile(median, (len(test), 1))


def _least_squares(pipeline: Pipeline, n_components: int) -> Pipeline:
    """Return least squares on principal components, behind the same preparation of the spectra."""
    steps = pipeline.named_steps.values()
    before = [step for step in steps if type(step).__module__.startswith(preprocessing.__name__)]
    code = BatchedTransformer(IncrementalPCA(n_components))
    return make_pipeline(*map(clone, before), code, PartialLabelRegressor(LinearRegression()))
