"""Errors of predicted labels: along the label, and how they are distributed."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ._names import with_unit
from ._points import draw_points, draw_running
from ._style import BLACK, draw_legend, line_style, start_at_zero


def plot_residuals(
    true: Any, residual: Any, ax: Any, *, running: Any = None, label: str = ""
) -> Any:
    """Draw the error of a predicted label over its true value, with the running median.

    Parameters
    ----------
    true, residual : array-like of shape (n_spectra,)
        The label, and predicted minus true; NaN is left out.
    ax : matplotlib Axes
    running : RunningMedian, optional
        ``running_median(true, residual)`` of `specvae.metrics`.
    label : str, default=""
        Name of the label, the unit at its end, such as "teff_k".

    Returns
    -------
    ax : matplotlib Axes

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> ax = plot_residuals([4.0, 4.5], [0.1, -0.1], Figure().subplots(), label="logg_dex")
    >>> ax.get_ylabel()
    'predicted - true log g (dex)'
    """
    draw_points(true, residual, ax)
    ax.axhline(0.0, color=BLACK, linewidth=0.8)
    if running is not None:
        draw_running(running, ax)
    name = with_unit(label)
    ax.set(xlabel=f"true {name}".strip(), ylabel=f"predicted - true {name}".strip())
    return ax


def plot_error_density(results: Any, ax: Any, *, label: str = "") -> Any:
    """Draw the density of the errors of one model or several.

    Parameters
    ----------
    results : ErrorDensity, or dict of str to ErrorDensity
        ``error_density(predicted - true)`` of `specvae.metrics`, by the names of the models.
    ax : matplotlib Axes
    label : str, default=""
        Name of the label, the unit at its end, such as "teff_k".

    Returns
    -------
    ax : matplotlib Axes
        The axis says what share of the errors lies beyond the curves.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from specvae.metrics import error_density
    >>> ax = plot_error_density({"PCA": error_density([-30.0, 10.0, 40.0])}, Figure().subplots(),
    ...                         label="teff_k")
    >>> ax.get_xlabel()
    'predicted - true Teff (K)'
    """
    for number, (name, result) in enumerate(_named(results)):
        (line,) = ax.plot(result.position, result.density, label=name, **line_style(number))
        start_at_zero(line, ax)
    ax.axvline(0.0, color=BLACK, linewidth=0.6)
    outside = max(result.outside for _, result in _named(results))
    beyond = f"\n(up to {100 * outside:.1f} % beyond)" if outside > 0 else ""
    ax.set(
        xlabel=f"predicted - true {with_unit(label)}".strip() + beyond,
        ylabel=f"density of {_counted(results)}",
    )
    if isinstance(results, Mapping):
        draw_legend(ax)
    return ax


def plot_error_ecdf(results: Any, ax: Any, *, label: str = "") -> Any:
    """Draw what share has an absolute error up to a limit, of one model or several.

    Parameters
    ----------
    results : CumulativeShare, or dict of str to CumulativeShare
        ``cumulative_share(abs(predicted - true))`` of `specvae.metrics`, by the names of the
        models.
    ax : matplotlib Axes
    label : str, default=""
        Name of the label, the unit at its end, such as "teff_k".

    Returns
    -------
    ax : matplotlib Axes

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from specvae.metrics import cumulative_share
    >>> ax = plot_error_ecdf({"PCA": cumulative_share([30.0, 10.0, 40.0])}, Figure().subplots(),
    ...                      label="teff_k")
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('|predicted - true| Teff (K)', 'share of spectra')
    """
    for number, (name, result) in enumerate(_named(results)):
        # A step up at each value: none lies below the first.
        value = np.concatenate([result.value[:1], result.value])
        share = np.concatenate([[0.0], result.share])
        ax.step(value, share, where="post", label=name, **line_style(number))
    ax.set(
        xlabel=f"|predicted - true| {with_unit(label)}".strip(),
        ylabel=f"share of {_counted(results)}",
        ylim=(0.0, 1.0),
    )
    if isinstance(results, Mapping):
        ax.legend(loc="lower right", fontsize="small")
    return ax


def _named(results: Any) -> list[tuple[str, Any]]:
    if isinstance(results, Mapping):
        if not results:
            raise ValueError("results is empty; give the result of at least one model.")
        return [(str(name), result) for name, result in results.items()]
    return [("", results)]


def _counted(results: Any) -> str:
    counted = sorted({result.counted for _, result in _named(results)})
    return " or ".join(counted)
