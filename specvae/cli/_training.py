"""A pipeline is fitted to spectra, and goes on where it was interrupted."""

import sys
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from ..spectra import SpectraArray
from ._progress import Progress


class Training(NamedTuple):
    """What a pipeline is fitted to."""

    spectra: SpectraArray
    labels: pd.DataFrame | None
    stars: np.ndarray


def fit_copy(pipeline: Pipeline, training: Training, progress: Progress, name: str) -> Pipeline:
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
