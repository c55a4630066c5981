"""A spectrum as a screen can show it: the lowest and the highest pixel of each column."""

from typing import NamedTuple

import numpy as np


class Line(NamedTuple):
    """Points to join, of at most two in each column; NaN interrupts the line."""

    x: np.ndarray  # (n_points,) float64
    y: np.ndarray  # (n_points,) float32


def window(axis: np.ndarray, low: float, high: float) -> slice:
    """Pixels between two values of an increasing axis, and one more at either end.

    The ones beyond let the line run to the edge of the screen. Where no pixel lies between, the two
    around are given.
    """
    start = int(np.searchsorted(axis, low, side="left")) - 1
    stop = int(np.searchsorted(axis, high, side="right")) + 1
    return slice(max(start, 0), min(stop, len(axis)))


def decimate(
    axis: np.ndarray, flux: np.ndarray, low: float, high: float, n_columns: int = 1200
) -> Line:
    """Reduce the part of a spectrum between two wavelengths to about two points a column.

    Means would fill narrow lines up, and every n-th pixel would miss them; the lowest and the
    highest pixel of each column, in their order, draw what all pixels would draw. A column without
    any flux gives NaN, so that gaps stay gaps; a gap that fills no whole column closes.

    Parameters
    ----------
    axis : ndarray of shape (n_pixels,)
        Increasing.
    flux : ndarray of shape (n_pixels,)
        NaN where there is none.
    low, high : float
        Ends of the window, in units of the axis.
    n_columns : int, default=1200
        Columns of the screen.

    Returns
    -------
    line : Line
        All pixels where they are at most two a column.
    """
    pixels = window(axis, low, high)
    n_pixels = pixels.stop - pixels.start
    if n_pixels <= 2 * n_columns:
        # Copies: a view would keep the whole spectrum alive.
        return Line(axis[pixels].astype(float), flux[pixels].astype(np.float32))
    size = -(-n_pixels // n_columns)
    # Columns begin at multiples of their size, so that panning moves the line without flicker.
    first = pixels.start // size
    last = min(-(-pixels.stop // size), -(-len(flux) // size))
    block = np.full((last - first) * size, np.nan, dtype=np.float32)
    found = flux[first * size : last * size]
    block[: len(found)] = found
    columns = block.reshape(-1, size)
    missing = np.isnan(columns)
    lowest = np.where(missing, np.inf, columns).argmin(axis=1)
    highest = np.where(missing, -np.inf, columns).argmax(axis=1)
    # Of an empty column both are its first pixel, whose NaN is the gap.
    pair = np.sort(np.column_stack([lowest, highest]), axis=1)
    place = (pair + size * np.arange(len(columns))[:, None]).ravel()
    shown = np.minimum(first * size + place, len(axis) - 1)
    return Line(axis[shown].astype(float), block[place])


def flux_range(*lines: Line, share: float = 0.002, margin: float = 0.06) -> tuple[float, float]:
    """Lowest and highest flux to show, without the few pixels that stick out, such as cosmic rays.

    Only upwards are pixels left out: what sticks out downwards may be a line.
    """
    finite = [line.y[np.isfinite(line.y)] for line in lines]
    known = [y for y in finite if len(y)]
    if not known:
        return 0.0, 1.0
    low = min(float(y.min()) for y in known)
    high = max(float(np.quantile(y, 1.0 - share)) for y in known)
    pad = margin * (high - low) or 0.1 * abs(high) or 1.0
    return low - pad, high + pad
