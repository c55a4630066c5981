"""A cloud of points as an image, and which of them lie where.

datashader aggregates on the server: 270,000 points become an image of some hundred cells a side,
whatever the browser is, without WebGL or WebGPU and without a notebook. Embedding Atlas, which
draws more, wants WebGPU for it; jupyter-scatter lives in notebooks only. HoloViews would put a
layer of its own between datashader and the figure, which one image does not need.
"""

from typing import NamedTuple

import datashader
import numpy as np
import pandas as pd

# Side of a cell in screen pixels, up to so many points in view: few points must stay visible.
_CELL_SIDES = ((500, 7), (5_000, 5), (50_000, 3), (400_000, 2))


class Cells(NamedTuple):
    """Points counted in cells; row 0 is at the bottom."""

    number: np.ndarray  # (n_rows, n_columns)
    mean: np.ndarray | None  # (n_rows, n_columns) of a value, NaN where it is known of no point


def cell_side(n_points: int) -> int:
    """Side of a cell in screen pixels for so many points in view."""
    return next((side for most, side in _CELL_SIDES if n_points <= most), 1)


def aggregate(
    points: pd.DataFrame,
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    size: tuple[int, int],
) -> Cells:
    """Count points with columns "x", "y" and perhaps "value" in cells of a screen of this size."""
    inside = points["x"].between(*x_range) & points["y"].between(*y_range)
    side = cell_side(int(inside.sum()))
    canvas = datashader.Canvas(
        max(size[0] // side, 2), max(size[1] // side, 2), x_range=x_range, y_range=y_range
    )
    count = canvas.points(points, "x", "y", datashader.count()).to_numpy()
    mean = None
    if "value" in points:
        mean = canvas.points(points, "x", "y", datashader.mean("value")).to_numpy()
    return Cells(count, mean)


def full_range(values: np.ndarray, *, margin: float = 0.04) -> tuple[float, float]:
    """Range of the finite values with a margin."""
    finite = values[np.isfinite(values)]
    low, high = float(finite.min()), float(finite.max())
    pad = margin * (high - low) or max(abs(low), 1.0) * margin
    return low - pad, high + pad


def nearest_point(
    x: np.ndarray, y: np.ndarray, at: tuple[float, float], pixels_per_unit: tuple[float, float]
) -> tuple[int, float]:
    """Return the point that is nearest on the screen, and its distance in screen pixels."""
    dx, dy = (x - at[0]) * pixels_per_unit[0], (y - at[1]) * pixels_per_unit[1]
    distance2 = dx * dx + dy * dy
    place = int(np.argmin(distance2))
    return place, float(np.sqrt(distance2[place]))


def inside_polygon(
    x: np.ndarray, y: np.ndarray, corners_x: np.ndarray, corners_y: np.ndarray
) -> np.ndarray:
    """Numbers of the points inside a polygon, by the even-odd rule."""
    near = np.flatnonzero(
        (x >= corners_x.min()) & (x <= corners_x.max())
        & (y >= corners_y.min()) & (y <= corners_y.max())
    )  # fmt: skip
    px, py = x[near], y[near]
    inside = np.zeros(len(near), dtype=bool)
    ends = zip(corners_x, corners_y, np.roll(corners_x, -1), np.roll(corners_y, -1), strict=True)
    for x0, y0, x1, y1 in ends:
        if y0 == y1:
            continue
        crosses = (y0 > py) != (y1 > py)
        inside ^= crosses & (px < x0 + (py - y0) * (x1 - x0) / (y1 - y0))
    return near[inside]
