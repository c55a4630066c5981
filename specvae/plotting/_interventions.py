"""Whether a decoder moves the velocity as nature does."""

from typing import Any

import numpy as np

from ._style import GREY, VERMILLION, draw_legend, line_style, start_at_zero


def plot_rvis(result: Any, ax: Any) -> Any:
    """Draw the radial velocity intervention score over the velocity by which it was moved.

    Parameters
    ----------
    result : InterventionScore
        Of `specvae.inspection.radial_velocity_intervention` or `specvae.metrics.rvis`.
    ax : matplotlib Axes

    Returns
    -------
    ax : matplotlib Axes
        With the score of a decoder that ignores the velocity, and what interpolation alone costs.

    References
    ----------
    Cvrcek, V., et al. 2025, A&A 693, A256, equation 16.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from specvae.metrics import rvis
    >>> from specvae.spectra import WavelengthGrid
    >>> grid = WavelengthGrid(6050.0, 0.05, 4000)
    >>> flux = 1.0 - np.exp(-((grid.wavelength_aa - 6100.0) ** 2))[None]
    >>> ax = plot_rvis(rvis(grid, flux, [flux, flux], [-20.0, 20.0]), Figure().subplots())
    >>> ax.get_xlabel()
    'velocity moved by (km/s)'
    """
    order = np.argsort(result.velocities_kms)
    velocity, nothing, moved = (
        values[order]
        for values in (result.velocities_kms, result.do_nothing_by_velocity, result.by_velocity)
    )
    if 0.0 not in velocity:
        # No line over 0, where both scores are 0, from one side to the other.
        gap = np.searchsorted(velocity, 0.0)
        velocity, nothing, moved = (
            np.insert(values, gap, np.nan) for values in (velocity, nothing, moved)
        )
    ax.plot(
        velocity,
        nothing,
        "s--",
        color=VERMILLION,
        markersize=4,
        markerfacecolor="w",
        label="do nothing",
    )
    (line,) = ax.plot(
        velocity,
        moved,
        "o",
        markersize=4,
        label="move in the code",
        **line_style(0),
    )
    ax.axhline(result.floor, color=GREY, linestyle=":", label="interpolation")
    low_aa, high_aa = result.window_aa
    ax.set(
        xlabel="velocity moved by (km/s)",
        ylabel=f"mean |flux difference|,\n{low_aa:g} to {high_aa:g} Angstrom",
    )
    start_at_zero(line, ax)
    draw_legend(ax)
    return ax


def plot_rvis_by_size(
    sizes: Any, ratio: Any, ax: Any, *, standard_error: Any = None, name: str = ""
) -> Any:
    """Draw the intervention score over that of doing nothing against the number of latents.

    Parameters
    ----------
    sizes : array-like of int, shape (n_sizes,)
        Numbers of latents.
    ratio : array-like of shape (n_sizes,)
        Score over that of doing nothing: `ratio` of the results.
    ax : matplotlib Axes
        Call again with the same for another family of models.
    standard_error : array-like of shape (n_sizes,), optional
        Of the ratio, by star: `specvae.metrics.ratio_by_star` gives both. `standard_error` of an
        `InterventionScore` is that of the score instead.
    name : str, default=""
        Of the family of models, for the legend.

    Returns
    -------
    ax : matplotlib Axes
        With the line of doing nothing at 1.

    Raises
    ------
    ValueError
        If lengths differ or a size is less than 1.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> ax = plot_rvis_by_size([4, 8], [0.9, 0.4], Figure().subplots(), standard_error=[0.1, 0.1])
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('number of latents', 'RVIS / RVIS of doing nothing')
    """
    sizes, ratio = np.asarray(sizes, dtype=np.float64), np.asarray(ratio, dtype=np.float64)
    error = None if standard_error is None else np.asarray(standard_error, dtype=np.float64)
    shapes = {"ratio": ratio.shape} | ({} if error is None else {"standard_error": error.shape})
    for given, shape in shapes.items():
        if sizes.ndim != 1 or shape != sizes.shape:
            raise ValueError(
                f"{given} has shape {shape}, sizes {sizes.shape}; give one for each size."
            )
    if not len(sizes) or not (sizes >= 1).all():
        raise ValueError(f"sizes must be numbers of latents from 1 up, got {sizes.tolist()}.")
    order = np.argsort(sizes, kind="stable")
    number = len(ax.containers)
    if not number:
        ax.axhline(1.0, color=VERMILLION, linestyle="--", linewidth=1.0, label="do nothing")
    drawn = ax.errorbar(
        sizes[order],
        ratio[order],
        yerr=None if error is None else error[order],
        # Beside the line of doing nothing, which has the second style.
        **line_style(number if number == 0 else number + 1),
        marker="osD^v"[number % 5],
        markersize=4,
        capsize=2,
        label=name or "move in the code",
    )
    before = ax.get_xticks() if number else np.array([])
    ax.set_xscale("log", base=2)
    ticks = np.unique(np.concatenate([before, sizes]))
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.set(xlabel="number of latents", ylabel="RVIS / RVIS of doing nothing")
    start_at_zero(drawn.lines[0], ax)
    draw_legend(ax)
    return ax
