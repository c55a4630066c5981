"""Points, and the course of their median."""

from typing import Any

from ._style import BLACK, BLUE, VERMILLION, draw_legend


def draw_points(x: Any, y: Any, ax: Any) -> None:
    """Draw many small points; as pixels also in a vector format, where they would fill a file."""
    ax.plot(x, y, ".", color=BLUE, markersize=3, alpha=0.35, markeredgewidth=0, rasterized=True)


def draw_running(running: Any, ax: Any) -> None:
    """Draw a running median and its band over the points, with a legend."""
    ax.fill_between(
        running.position,
        running.low,
        running.high,
        color=VERMILLION,
        alpha=0.25,
        linewidth=0,
        label=f"central {100 * running.share:.0f} %",
    )
    # A black rim parts the line from points and band in grey print as well.
    ax.plot(running.position, running.median, color=BLACK, linewidth=2.6)
    ax.plot(
        running.position,
        running.median,
        color=VERMILLION,
        linewidth=1.4,
        marker="o",
        markersize=3,
        label="running median",
    )
    draw_legend(ax)
