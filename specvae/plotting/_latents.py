"""Codes against each other and against labels."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ._names import with_unit
from ._points import draw_points, draw_running
from ._style import colour_scale, draw_colour_bar


def plot_latent_pair(
    codes: Any,
    values: Any,
    ax: Any,
    *,
    latents: Sequence[int | str] = (0, 1),
    label: str = "",
    limits: tuple[float, float] | None = None,
) -> Any:
    """Draw one latent over another, coloured by a label.

    Parameters
    ----------
    codes : array-like or DataFrame of shape (n_spectra, n_latents)
    values : array-like of shape (n_spectra,)
        The label; spectra without it, NaN, are small and grey.
    ax : matplotlib Axes
    latents : pair of int or str, default=(0, 1)
        Columns of `codes`, by number or, of a DataFrame, by name: across, up.
    label : str, default=""
        Name of the label, the unit at its end, such as "teff_k".
    limits : (low, high), optional
        Ends of the colour bar, in the unit of the label; all values by default. An outlier takes
        the contrast from the others.

    Returns
    -------
    ax : matplotlib Axes
        The colour bar stands beside it.

    Raises
    ------
    ValueError
        If there is no such latent, lengths differ, or `limits` do not increase.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> codes, teff_k = [[0.0, 1.0], [1.0, 0.5], [2.0, 0.0]], [4000.0, 5000.0, 6000.0]
    >>> figure = Figure()
    >>> ax = plot_latent_pair(codes, teff_k, figure.subplots(), label="teff_k")
    >>> figure.axes[1].get_ylabel()
    'Teff (K)'
    """
    (across, x), (up, y) = (_latent(codes, latent) for latent in latents)
    values = _check_values(values, len(x))
    known = ~np.isnan(values)
    ax.plot(x[~known], y[~known], ".", color="0.75", markersize=2, rasterized=True)
    if known.any():
        scale, ends = colour_scale(ax, values, limits)
        ax.scatter(
            x[known], y[known], s=6, c=scale.to_rgba(values[known]), linewidths=0, rasterized=True
        )
        draw_colour_bar(scale, [ax], with_unit(label), ends)
    ax.set(xlabel=f"{across} (code units)", ylabel=f"{up} (code units)")
    return ax


def plot_latent_label(
    codes: Any,
    values: Any,
    ax: Any,
    *,
    latent: int | str = 0,
    running: Any = None,
    label: str = "",
) -> Any:
    """Draw a latent over a label, with the running median and its band.

    Parameters
    ----------
    codes : array-like or DataFrame of shape (n_spectra, n_latents)
    values : array-like of shape (n_spectra,)
        The label; NaN is left out.
    ax : matplotlib Axes
    latent : int or str, default=0
        Column of `codes`, by number or, of a DataFrame, by name.
    running : RunningMedian, optional
        ``running_median(values, codes[:, latent])`` of `specvae.metrics`.
    label : str, default=""
        Name of the label, the unit at its end, such as "teff_k".

    Returns
    -------
    ax : matplotlib Axes

    Raises
    ------
    ValueError
        If there is no such latent, or lengths differ.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from specvae.metrics import running_median
    >>> codes, teff_k = np.arange(60.0)[:, None], 5000.0 + 10.0 * np.arange(60.0)
    >>> running = running_median(teff_k, codes[:, 0])
    >>> ax = plot_latent_label(codes, teff_k, Figure().subplots(), running=running, label="teff_k")
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('Teff (K)', 'latent0 (code units)')
    """
    name, code = _latent(codes, latent)
    draw_points(_check_values(values, len(code)), code, ax)
    if running is not None:
        draw_running(running, ax)
    ax.set(xlabel=with_unit(label), ylabel=f"{name} (code units)")
    return ax


def _latent(codes: Any, latent: int | str) -> tuple[str, np.ndarray]:
    """Name and values of one latent."""
    columns = getattr(codes, "columns", None)
    matrix = np.asarray(codes, dtype=np.float64)
    if matrix.ndim != 2:
        raise ValueError(
            f"codes has shape {matrix.shape}; wanted is (n_spectra, n_latents), one row for each "
            "spectrum."
        )
    names = [str(name) for name in columns] if columns is not None else []
    names = names or [f"latent{number}" for number in range(matrix.shape[1])]
    number = names.index(latent) if isinstance(latent, str) and latent in names else latent
    if isinstance(number, str) or not 0 <= number < len(names):
        raise ValueError(
            f"there is no latent {latent!r}; latents are {names[0]} to {names[-1]}, or 0 to "
            f"{len(names) - 1}."
        )
    return names[number], matrix[:, number]


def _check_values(values: Any, n_spectra: int) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    if values.shape != (n_spectra,):
        raise ValueError(
            f"values has shape {values.shape}, codes {n_spectra} rows; give the label of each "
            "spectrum, NaN where unknown."
        )
    if np.isinf(values).any():
        raise ValueError(
            f"values holds {int(np.isinf(values).sum())} infinite numbers; give NaN where a label "
            "is unknown."
        )
    return values
