"""The steps of a pipeline as a small TOML file, or as options say."""

import inspect
import json
import tomllib
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline, make_pipeline

from ..estimators._persistence._classes import known_estimators
from ..spectra import HARPS_GRID, HARPS_MISSING, WavelengthGrid
from ._grids import parse_ranges

Step = dict[str, Any]

_NETWORKS = {
    "autoencoder": "SpectralAutoencoder",
    "vae": "SpectralVAE",
    "semi-supervised": "SemiSupervisedVAE",
    "regressor": "SpectralRegressor",
}
PREDICTORS = ("semi-supervised", "regressor")
# What an interrupted training loses at most.
CHECKPOINT_MINUTES = 1.0
_PLAIN = (bool, int, float, str)


def read_recipe(path: Path) -> list[Step]:
    """Return the tables [[step]] of a TOML file.

    Raises
    ------
    ValueError
        If it is no TOML, has no steps, or something beside them.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no TOML: {error}.") from error
    steps = content.pop("step", None)
    if content or not isinstance(steps, list) or not steps:
        raise ValueError(
            f"{path} must hold tables [[step]] and nothing else; begin with the one that "
            "`specvae fit ... --print-recipe` prints."
        )
    return steps


def recipe_of(options: Namespace, grid: WavelengthGrid, *, has_labels: bool) -> list[Step]:
    """Return the steps that the options of ``specvae fit`` describe.

    Raises
    ------
    ValueError
        If the model needs labels and there are none, or options do not go together.
    """
    model = options.model or "autoencoder"
    if model in PREDICTORS and not has_labels:
        raise ValueError(f"--model {model} learns labels; give them with --labels.")
    if model == "pca" and (options.network is not None or options.epochs is not None):
        raise ValueError("--network and --epochs are for networks; leave them out with pca.")
    ranges_aa = parse_ranges(options.mask)
    if grid == HARPS_GRID:
        ranges_aa = [*HARPS_MISSING, *ranges_aa]
    steps: list[Step] = []
    if ranges_aa:
        steps.append({"class": "PixelMasker", "ranges_aa": [list(ends) for ends in ranges_aa]})
    steps += [{"class": "MedianNormalizer"}, _model_step(model, options)]
    if has_labels and model not in PREDICTORS:
        estimator = {"class": "LinearRegression"}
        steps.append({"class": "PartialLabelRegressor", "estimator": estimator})
    return steps


def _model_step(model: str, options: Namespace) -> Step:
    if model == "pca":
        components = {"class": "IncrementalPCA", "n_components": _n_latents(options, 8)}
        return {"class": "BatchedTransformer", "transformer": components}
    step: Step = {"class": _NETWORKS[model]}
    if model == "regressor" and options.latents is not None:
        raise ValueError("--latents is the size of a code; a regressor has none.")
    if model == "semi-supervised":
        step["n_free_latents"] = _n_latents(options, 2)
    elif model != "regressor":
        step["latent_dim"] = _n_latents(options, 8)
    if options.network is not None:
        if model != "regressor":
            step["decoder"] = options.network
        # The published networks with a residual decoder have the convolutional encoder.
        step["encoder"] = "dense" if options.network == "dense" else "conv"
    if options.epochs is not None:
        step["max_epochs"] = options.epochs
    return step


def _n_latents(options: Namespace, default: int) -> int:
    return default if options.latents is None else options.latents


def format_recipe(steps: list[Step]) -> str:
    """Return the TOML of steps."""
    return "\n".join("\n".join(["[[step]]", *_lines(step)]) + "\n" for step in steps)


def _lines(step: Step, prefix: str = "") -> list[str]:
    lines = []
    for name, value in step.items():
        if isinstance(value, dict):
            lines += _lines(value, f"{prefix}{name}.")
        else:
            # TOML writes numbers, text, booleans and lists as JSON does.
            lines.append(f"{prefix}{name} = {json.dumps(value)}")
    return lines


def build_pipeline(
    steps: list[Step], grid: WavelengthGrid, *, seed: int, device: str | None
) -> Pipeline:
    """Return the pipeline of a recipe; what it leaves open comes from the arguments.

    Raises
    ------
    ValueError
        If a class or parameter is not known, or a value cannot be one.
    """
    given = {"grid": grid, "random_state": seed, "checkpoint_minutes": CHECKPOINT_MINUTES}
    if device is not None:
        given["device"] = device
    return make_pipeline(*(_build(step, given, f"step {i}") for i, step in enumerate(steps, 1)))


def _build(step: Any, given: dict[str, Any], where: str) -> BaseEstimator:
    known = known_estimators()
    name = step.get("class") if isinstance(step, dict) else None
    if name not in known or name in ("Pipeline", "FrozenEstimator"):
        raise ValueError(
            f"{where} of the recipe needs class = one of "
            f"{', '.join(sorted(set(known) - {'Pipeline', 'FrozenEstimator'}))}; got {name!r}."
        )
    parameters = inspect.signature(known[name]).parameters
    values = {key: value for key, value in given.items() if key in parameters}
    for key, value in step.items():
        if key == "class":
            continue
        if key not in parameters:
            raise ValueError(
                f"{where} of the recipe: {name} has no parameter {key!r}; it has "
                f"{', '.join(parameters)}."
            )
        values[key] = _value(value, given, f"{where}, {key}")
    return known[name](**values)


def _value(value: Any, given: dict[str, Any], where: str) -> Any:
    if isinstance(value, dict):
        return _build(value, given, where)
    if isinstance(value, list):
        return [_value(each, given, where) for each in value]
    if isinstance(value, _PLAIN) and np.isfinite(0.0 if isinstance(value, str) else value):
        return value
    raise ValueError(f"{where} of the recipe is {value!r}, which no parameter takes.")
