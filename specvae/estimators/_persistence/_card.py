"""What a user of a fitted estimator should know, as one page of Markdown."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from .._versions import versions
from ._save import grid_of, labels_of, steps_of, training_summary, unit_of

_LIMITS = """\
- Labels inherit the scale and the errors of those it was trained on, and mean nothing outside
  their range.
- Velocities are good to a fraction of a pixel at best; pixels that no training spectrum has stay
  missing."""
_LICENCE = (
    "The code of specvae: BSD-3-Clause. The weights: not stated; ask who trained them, and heed "
    "the terms of the archive that the spectra come from."
)


def model_card(estimator: Any, *, metrics: Any = None, licence: str | None = None) -> str:
    """Describe a fitted estimator or pipeline in Markdown, to publish beside its file.

    Parameters
    ----------
    estimator : estimator or Pipeline
    metrics : DataFrame or dict, optional
        Errors on spectra that did not train it, by star: a table, or numbers by name, or rows of
        numbers by name. They are printed as they are.
    licence : str, optional
        Of the weights.

    Returns
    -------
    card : str

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.

    Examples
    --------
    >>> from specvae.estimators import SpectralAutoencoder
    >>> flux = np.random.default_rng(0).normal(1.0, 0.1, (20, 50))
    >>> model = SpectralAutoencoder(2, encoder="dense", decoder="dense", max_epochs=2).fit(flux)
    >>> print(model.model_card(metrics={"error of the flux": 0.1}))  # doctest: +ELLIPSIS
    # SpectralAutoencoder
    ...
    | spectra that trained it | 18 |
    ...
    """
    check_is_fitted(estimator)
    steps = steps_of(estimator)
    if metrics is None:
        measured = "None were given. Measure on stars that did not train it, and count stars."
    else:
        measured = _metrics_table(metrics)
    sections = {
        "Data": _data_table(estimator),
        "Labels": _label_table(estimator),
        "Metrics": measured,
        "Limits": _LIMITS,
        "Parameters": "\n\n".join(_parameter_table(step) for step in steps),
        "Licence": _LICENCE if licence is None else licence,
        "Versions": _versions_table(estimator),
    }
    title = " and ".join(type(step).__name__ for step in steps)
    pages = [f"# {title}", *(f"## {name}\n\n{text}" for name, text in sections.items())]
    return "\n\n".join(pages) + "\n"


def _data_table(estimator: Any) -> str:
    training, grid = training_summary(estimator), grid_of(estimator)
    networks = [step for step in steps_of(estimator) if hasattr(step, "net_")]
    rows = [
        ("spectra that trained it", training.get("n_train", "not known")),
        ("spectra that watched", training.get("n_valid", "not known")),
        ("stars", training.get("n_stars") or "not known"),
        ("grid", "not known" if grid is None else grid),
    ]
    for step in networks:
        module = step.net_.module_
        rows += [
            ("pixels", len(module.scaler.mean)),
            ("weights", sum(weight.numel() for weight in module.parameters())),
        ]
    if "epochs" in training:
        rows.append(("epochs", training["epochs"]))
    if "best_loss" in training:
        rows.append((f"best {training['loss']}", f"{training['best_loss']:.4g}"))
    return _table(("", ""), rows)


def _label_table(estimator: Any) -> str:
    names, scaler = labels_of(estimator)
    if not names:
        return "None with a name."
    if scaler is None:
        return _table(("label", "unit"), [(name, unit_of(name)) for name in names])
    rows = [
        (name, unit_of(name), f"{centre:.5g} ± {scale:.3g}")
        for name, centre, scale in zip(
            names, scaler.centre.tolist(), scaler.scale.tolist(), strict=True
        )
    ]
    return _table(("label", "unit", "in training"), rows)


def _parameter_table(step: Any) -> str:
    rows = [(name, repr(value)) for name, value in step.get_params(deep=False).items()]
    return f"{type(step).__name__}\n\n{_table(('parameter', 'value'), rows)}"


def _versions_table(estimator: Any) -> str:
    return _table(("", ""), (training_summary(estimator).get("versions") or versions()).items())


def _metrics_table(metrics: Any) -> str:
    if isinstance(metrics, pd.DataFrame):
        rows = [(name, *values) for name, values in zip(metrics.index, metrics.values, strict=True)]
        return _table(("", *metrics.columns), rows)
    if not any(isinstance(value, dict) for value in metrics.values()):
        return _table(("metric", "value"), metrics.items())
    return _metrics_table(pd.DataFrame.from_dict(metrics, orient="index"))


def _table(head: Any, rows: Any) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(each) for each in line)} |" for line in lines)


def _cell(value: Any) -> str:
    """Text of a cell: a name from a catalogue must not break the table."""
    text = f"{value:.4g}" if isinstance(value, float | np.floating) else str(value)
    return " ".join(text.replace("|", "\\|").split())
