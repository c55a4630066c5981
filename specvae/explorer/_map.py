"""The latent map: all spectra by two numbers of their code."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from bokeh.events import LODEnd, MouseLeave, MouseMove, RangesUpdate, Reset, SelectionGeometry, Tap
from bokeh.models import (
    ColorBar,
    ColumnDataSource,
    LassoSelectTool,
    LinearColorMapper,
    LogColorMapper,
    Range1d,
    WheelZoomTool,
)
from bokeh.palettes import Cividis256
from bokeh.plotting import figure

from ._archive import Archive
from ._exhibit import DENSITY
from ._points import aggregate, full_range, inside_polygon, nearest_point
from ._screen import inner_size

HEIGHT = 330
_SIZE = (360, 250)  # between the axes, until the browser says it
_UNKNOWN = "#d9d9d9"  # cells of points whose label is not known
_SELECTED = "#d55e00"
# Further from the pointer than this is not what was meant.
_HOVER_PIXELS, _TAP_PIXELS = 12.0, 40.0


class LatentMap:
    """A figure with all spectra, which tells what was clicked, lassoed or pointed at.

    Parameters
    ----------
    archive : Archive
    x, y : str
        Latents or components along the axes.
    colour : str
        "density" or a label.
    on_select : callable
        Takes the rows that were chosen, the first of which is to be shown.
    run : callable
        Runs what an event asks for, and shows errors.
    """

    def __init__(
        self,
        archive: Archive,
        x: str,
        y: str,
        colour: str,
        *,
        on_select: Callable[[list[int]], None],
        run: Callable[..., None],
    ):
        self._archive = archive
        self._rows = archive.usable
        self._on_select = on_select
        self._selected: list[int] = []
        self.image = ColumnDataSource({name: [] for name in ("image", "x", "y", "dw", "dh")})
        self.chosen = ColumnDataSource({"x": [], "y": []}, name="chosen")
        self.shown = ColumnDataSource({"x": [], "y": []}, name="shown")
        self.pointed = ColumnDataSource(
            {"x": [], "y": [], "text": [], "align": [], "offset": []}, name="pointed"
        )
        self._density = LogColorMapper(Cividis256, low=1, high=2, nan_color="#ffffff00")
        self._mean = LinearColorMapper(
            Cividis256, low=0, high=1, nan_color="#ffffff00", low_color=_UNKNOWN
        )
        self.figure = self._make_figure()
        for event, answer in (
            (Tap, self._tap),
            (SelectionGeometry, self._lasso),
            (MouseLeave, lambda event: self._point_at(None)),
        ):
            self.figure.on_event(event, lambda event, answer=answer: run(answer, event))
        for event in (RangesUpdate, Reset, LODEnd):
            self.figure.on_event(event, lambda event: run(self._draw, together="map"))
        self.figure.on_event(MouseMove, lambda event: run(self._point_at, event, together="hover"))
        for side in ("inner_width", "inner_height"):
            self.figure.on_change(side, lambda attr, old, new: run(self._draw, together="map"))
        self.set_axes(x, y, colour)

    def _make_figure(self) -> Any:
        made = figure(
            name="map",
            height=HEIGHT,
            sizing_mode="stretch_width",
            tools="pan,box_zoom,reset",
            toolbar_location="above",
            x_range=Range1d(0, 1),
            y_range=Range1d(0, 1),
            output_backend="canvas",
        )
        wheel = WheelZoomTool()
        made.add_tools(wheel, LassoSelectTool(continuous=False))
        made.toolbar.active_scroll = wheel
        made.toolbar.logo = None
        made.grid.grid_line_alpha = 0.3
        self._renderer = made.image(
            "image", "x", "y", "dw", "dh", source=self.image, color_mapper=self._density
        )
        made.scatter("x", "y", source=self.chosen, size=6, fill_color=None, line_color=_SELECTED)
        made.scatter(
            "x", "y", source=self.shown, size=13, marker="circle_dot", fill_color=None,
            line_color=_SELECTED, line_width=2.5,
        )  # fmt: skip
        made.scatter("x", "y", source=self.pointed, size=10, fill_color=None, line_color="black")
        made.text(
            "x", "y", "text", source=self.pointed, text_align="align", x_offset="offset",
            y_offset=-8, text_font_size="12px", background_fill_color="white",
            background_fill_alpha=0.9, border_line_color="#666666", padding=3,
        )  # fmt: skip
        self._bar = ColorBar(color_mapper=self._density, width=10, title_text_font_size="12px")
        made.add_layout(self._bar, "right")
        return made

    def set_axes(self, x: str, y: str, colour: str) -> None:
        """Show other axes or another colour; ranges begin anew where axes differ."""
        at = {"x": self._archive.coordinate(x), "y": self._archive.coordinate(y)}
        moved = getattr(self, "_axes", None) != (x, y)
        self._axes = (x, y)
        self._points = pd.DataFrame({name: values[self._rows] for name, values in at.items()})
        if colour != DENSITY:
            self._points["value"] = self._archive.labels[colour].to_numpy()[self._rows]
        if moved:
            for axis, shown in (("x", self.figure.x_range), ("y", self.figure.y_range)):
                low, high = full_range(self._points[axis].to_numpy())
                shown.update(start=low, end=high, reset_start=low, reset_end=high)
        self.figure.xaxis.axis_label, self.figure.yaxis.axis_label = x, y
        self._set_colour(colour)
        self._draw()
        self.select(self._selected)

    def select(self, rows: list[int]) -> None:
        """Mark rows; the first one is that whose spectrum is shown."""
        self._selected = rows
        place = np.searchsorted(self._rows, np.array(rows, dtype=int))
        x, y = (self._points[axis].to_numpy()[place] for axis in ("x", "y"))
        # A few thousand marks hide the map anyway.
        some = slice(None, None, -(-len(rows) // 2000) or 1)
        several = len(rows) > 1
        self.chosen.data = {"x": x[some] if several else [], "y": y[some] if several else []}
        self.shown.data = {"x": x[:1], "y": y[:1]}

    def _set_colour(self, colour: str) -> None:
        mapper = self._density
        if colour != DENSITY:
            mapper = self._mean
            known = self._points["value"].dropna().to_numpy()
            low, high = np.quantile(known, (0.02, 0.98)) if len(known) else (0.0, 1.0)
            mapper.update(low=float(low), high=float(high if high > low else low + 1.0))
        self._renderer.glyph.color_mapper = mapper
        self._bar.color_mapper = mapper
        self._bar.title = "spectra" if colour == DENSITY else colour

    def _ranges(self) -> tuple[tuple[float, float], tuple[float, float]]:
        x, y = self.figure.x_range, self.figure.y_range
        return (float(x.start), float(x.end)), (float(y.start), float(y.end))

    def _draw(self) -> None:
        x_range, y_range = self._ranges()
        if not (x_range[0] < x_range[1] and y_range[0] < y_range[1]):
            return
        count, mean = aggregate(self._points, x_range, y_range, inner_size(self.figure, _SIZE))
        if mean is None:
            self._density.high = max(2, int(count.max()))
            image = np.where(count > 0, count, np.nan).astype(np.float32)
        else:
            low, high = self._mean.low, self._mean.high
            # Inside the limits in float32 as well, or the lowest would pass for unknown.
            edge = 1e-5 * (high - low) + 1e-6 * max(abs(low), abs(high))
            below = low - (high - low) - edge
            image = np.where(np.isnan(mean), below, np.clip(mean, low + edge, high - edge))
            image = np.where(count > 0, image, np.nan).astype(np.float32)
        self.image.data = {
            "image": [image],
            "x": [x_range[0]],
            "y": [y_range[0]],
            "dw": [x_range[1] - x_range[0]],
            "dh": [y_range[1] - y_range[0]],
        }

    def _nearest(self, event: Any) -> tuple[int, float]:
        """Place of the nearest point among the usable rows, and its distance in screen pixels."""
        (x0, x1), (y0, y1) = self._ranges()
        width, height = inner_size(self.figure, _SIZE)
        scale = (width / (x1 - x0), height / (y1 - y0))
        x, y = (self._points[axis].to_numpy() for axis in ("x", "y"))
        return nearest_point(x, y, (event.x, event.y), scale)

    def _tap(self, event: Any) -> None:
        if event.x is None or event.y is None:
            return
        place, distance = self._nearest(event)
        if distance <= _TAP_PIXELS:
            self._on_select([int(self._rows[place])])

    def _lasso(self, event: Any) -> None:
        if event.geometry.get("type") != "poly" or not event.final:
            return
        corners = [np.asarray(event.geometry[axis], dtype=float) for axis in ("x", "y")]
        x, y = (self._points[axis].to_numpy() for axis in ("x", "y"))
        found = inside_polygon(x, y, *corners)
        if len(found):
            self._on_select([int(row) for row in self._rows[found]])

    def _point_at(self, event: Any) -> None:
        empty: dict[str, list] = {name: [] for name in self.pointed.data}
        found = empty
        if event is not None and event.x is not None and event.y is not None:
            place, distance = self._nearest(event)
            if distance <= _HOVER_PIXELS:
                x, y = (float(self._points[axis].iloc[place]) for axis in ("x", "y"))
                (x0, x1), _ = self._ranges()
                left = x > (x0 + x1) / 2
                text = self._archive.describe(int(self._rows[place]), n_labels=3)
                found = {
                    "x": [x],
                    "y": [y],
                    "text": [text.replace(" \u00b7 ", "\n")],
                    "align": ["right" if left else "left"],
                    "offset": [-10 if left else 10],
                }
        if found != self.pointed.data:
            self.pointed.data = found
