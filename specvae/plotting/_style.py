"""Colours and strokes that survive colour blindness and grey print; axes that share a bar."""

from typing import Any

import numpy as np

# Okabe & Ito 2008, "Color Universal Design", without the yellow, which white paper swallows.
BLUE, VERMILLION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY, BLACK, GREY = "#E69F00", "#56B4E9", "#000000", "0.55"
COLOUR_MAP = "viridis"

_COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK)
_STROKES = ("-", "--", "-.", ":")
# The last part of the colour map is a yellow that white paper swallows.
_UNUSED = 0.1


def line_style(number: int) -> dict[str, Any]:
    """Colour and stroke of the line of this number; no two of the first 28 agree in both."""
    return {
        "color": _COLOURS[number % len(_COLOURS)],
        "linestyle": _STROKES[number % len(_STROKES)],
    }


def axes_list(axes: Any) -> list[Any]:
    """Axes one after the other, of one axes or an array of them."""
    return list(np.ravel(np.asarray(axes, dtype=object)))


def colour_scale(ax: Any, values: Any, limits: Any = None) -> tuple[Any, tuple[float, float]]:
    """Return what gives values their colours, and the ends of its scale.

    The colour map comes through an empty scatter, as matplotlib does through the axes.
    """
    if limits is None:
        limits = float(np.nanmin(values)), float(np.nanmax(values))
    elif not limits[0] < limits[1]:
        raise ValueError(f"limits must be (low, high), got {limits!r}.")
    low, high = limits
    if low == high:
        low, high = low - 0.5, high + 0.5
    top = low + (high - low) / (1.0 - _UNUSED)
    return ax.scatter([], [], c=[], cmap=COLOUR_MAP, vmin=low, vmax=top), (low, high)


def draw_colour_bar(mappable: Any, axes: list[Any], label: str, ends: tuple[float, float]) -> None:
    """Draw one bar for all axes, as far as colours are used."""
    bar = axes[0].figure.colorbar(mappable, ax=axes, label=label)
    bar.ax.set_ylim(*ends)


def draw_legend(ax: Any) -> None:
    """Draw the legend above the axes, where it hides no data in a single column."""
    ax.legend(
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        borderaxespad=0.2,
        borderpad=0.2,
        ncols=2,
        columnspacing=1.0,
        handlelength=1.8,
        handletextpad=0.5,
        frameon=False,
        fontsize="small",
    )


def start_at_zero(line: Any, ax: Any) -> None:
    """Let the axis up begin at zero, and still follow what is drawn later."""
    ax.update_datalim([(line.get_xdata()[0], 0.0)])
    line.sticky_edges.y.append(0.0)
    ax.autoscale_view()
