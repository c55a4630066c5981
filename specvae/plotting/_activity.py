"""How much each latent moves."""

from typing import Any

import numpy as np

from .._validation import check_choice
from ._style import BLACK, BLUE, GREY, draw_legend

_MOST_NAMES = 24


def plot_activity(result: Any, ax: Any, *, order: str = "latent", scale: str = "log") -> Any:
    """Draw the median absolute deviation of each latent as a stem, and the threshold.

    Parameters
    ----------
    result : MADSelector
        Fitted. Kept latents are full circles, the others hollow.
    ax : matplotlib Axes
    order : {"latent", "size"}, default="latent"
        From left to right as in the code, or from the largest deviation to the smallest.
    scale : {"log", "linear"}, default="log"
        Of the deviations. On the logarithmic scale a deviation of zero is a cross at the edge.

    Returns
    -------
    ax : matplotlib Axes

    Raises
    ------
    ValueError
        If `order` or `scale` is none of those listed.

    References
    ----------
    Sedaghat, N., et al. 2021, MNRAS 501, 6026, figure of the same.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from specvae.estimators import MADSelector
    >>> codes = np.random.default_rng(0).normal(size=(100, 3)) * [1.0, 0.001, 0.5]
    >>> ax = plot_activity(MADSelector().fit(codes), Figure().subplots())
    >>> ax.get_legend_handles_labels()[1]
    ['2 kept', '1 left out', 'threshold 0.02']
    """
    check_choice("order", order, ("latent", "size"))
    check_choice("scale", scale, ("log", "linear"))
    latents = np.arange(len(result.mads_))
    if order == "size":
        latents = np.argsort(-result.mads_, kind="stable")
    mad, kept = result.mads_[latents], result.get_support()[latents]
    place = np.arange(len(mad))
    bottom = 0.0
    if scale == "log":
        shown = [*mad[mad > 0], *([result.threshold_] if result.threshold_ > 0 else [])]
        # A whole decade, so that the axis has numbers to read.
        bottom = 10.0 ** np.floor(np.log10(0.5 * min(shown, default=0.02)))
        ax.set_yscale("log")
    drawn = mad > bottom if scale == "log" else np.ones(len(mad), dtype=bool)
    for chosen, name, colour, face in ((kept, "kept", BLUE, BLUE), (~kept, "left out", GREY, "w")):
        if not chosen.any():
            continue
        at = place[chosen & drawn]
        ax.vlines(at, bottom, mad[chosen & drawn], color=colour, linewidth=0.9)
        ax.plot(
            at,
            mad[chosen & drawn],
            "o",
            color=colour,
            markerfacecolor=face,
            markersize=4,
            label=f"{int(chosen.sum())} {name}",
        )
    if not drawn.all():
        ax.plot(
            place[~drawn],
            np.zeros(int((~drawn).sum())),
            "x",
            color=BLACK,
            markersize=4,
            transform=ax.get_xaxis_transform(),
            clip_on=False,
            label="no spread",
        )
    if result.threshold_ > 0 or scale == "linear":
        ax.axhline(
            result.threshold_,
            color=BLACK,
            linestyle="--",
            linewidth=0.8,
            label=f"threshold {result.threshold_:.2g}",
        )
    # Room for the circles of deviations of zero.
    ax.set_ylim(bottom=bottom if scale == "log" else -0.03 * ax.get_ylim()[1])
    ax.set(
        xlabel="latent" if order == "latent" else "latent, by size",
        ylabel="MAD (code units)",
    )
    _name_latents(result, latents, order, ax)
    draw_legend(ax)
    return ax


def _name_latents(result: Any, latents: np.ndarray, order: str, ax: Any) -> None:
    """Write names, or numbers where sorting mixed them, below the stems if there is room."""
    names = getattr(result, "feature_names_in_", None)
    if len(latents) > _MOST_NAMES or (names is None and order == "latent"):
        return
    shown = latents if names is None else names[latents]
    ax.set_xticks(
        np.arange(len(latents)),
        [str(name) for name in shown],
        rotation=0 if names is None and len(latents) <= 12 else 90,
        fontsize="small" if len(latents) <= 12 else "x-small",
    )
