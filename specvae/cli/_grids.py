"""Wavelength grids and ranges as a command line names them."""

import math
from collections.abc import Sequence

from ..spectra import APOGEE_GRID, HARPS_GRID, WavelengthGrid

_NAMED = {"harps": HARPS_GRID, "apogee": APOGEE_GRID}


def parse_grid(text: str) -> WavelengthGrid:
    """Return the grid that is called `text` or that START:STEP:PIXELS[:log][:vacuum] describes.

    Raises
    ------
    ValueError
        If it is neither.
    """
    if text.lower() in _NAMED:
        return _NAMED[text.lower()]
    start, *rest = text.split(":")
    words = set(rest[2:])
    try:
        if len(rest) < 2 or not words <= {"log", "linear", "vacuum", "air"}:
            raise ValueError(text)
        numbers = float(start), float(rest[0]), int(rest[1])
    except ValueError:
        raise ValueError(
            f"--grid must be harps, apogee or START:STEP:PIXELS with :log and :vacuum where they "
            f"hold, got {text!r}; 5000:0.05:6000 is 5000 to 5299.95 Angstrom."
        ) from None
    return WavelengthGrid(
        *numbers,
        spacing="log" if "log" in words else "linear",
        medium="vacuum" if "vacuum" in words else "air",
    )


def parse_ranges(texts: Sequence[str] | None) -> list[tuple[float, float]]:
    """Return the ranges LOW:HIGH.

    Raises
    ------
    ValueError
        If one is no range.
    """
    ranges = []
    for text in texts or ():
        low, _, high = text.partition(":")
        try:
            ends = float(low), float(high)
        except ValueError:
            ends = (1.0, 0.0)
        if not (ends[0] <= ends[1] and all(map(math.isfinite, ends))):
            raise ValueError(f"--mask must be LOW:HIGH in Angstrom, got {text!r}.")
        ranges.append(ends)
    return ranges
