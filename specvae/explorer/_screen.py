"""How large a figure is on the visitor's screen."""

from typing import Any


def inner_size(figure: Any, default: tuple[int, int]) -> tuple[int, int]:
    """Width and height between the axes in pixels; the default until the browser has said it."""
    try:
        size = int(figure.inner_width), int(figure.inner_height)
    except ValueError:  # bokeh's UnsetValueError
        return default
    return size if min(size) > 20 else default
