"""The spectra of the page: what is there, what the model makes of it, and what is left over."""

from collections.abc import Callable
from typing import Any

import numpy as np
from bokeh.events import RangesUpdate, Reset
from bokeh.models import (
    ColumnDataSource,
    CrosshairTool,
    LabelSet,
    Legend,
    Range1d,
    Span,
    WheelZoomTool,
)
from bokeh.plotting import figure

from ._archive import Archive
from ._downsample import Line, decimate, flux_range
from ._lines import lines_on, names_to_show
from ._screen import inner_size

SELECTED, RECONSTRUCTION = "selected", "reconstruction"
TRAVERSED, NEAREST = "traversed", "nearest other"
# Okabe and Ito's colours, which colour-blind people can tell apart, and widths and dashes beside.
_LOOKS = {
    SELECTED: {"color": "#0072b2", "line_width": 1.6},
    NEAREST: {"color": "#009e73", "line_width": 1.0, "line_alpha": 0.8},
    RECONSTRUCTION: {"color": "#555555", "line_width": 1.0, "line_dash": "4 2"},
    TRAVERSED: {"color": "#e69f00", "line_width": 1.8},
}
_HEIGHT, _RESIDUAL_HEIGHT = 310, 130
_SIZE = (900, 200)  # between the axes, until the browser says it


class SpectrumPanel:
    """Two figures over one axis; only what the screen can show is sent to it.

    Parameters
    ----------
    archive : Archive
    run : callable
        Runs what an event asks for, and shows errors.
    on_window : callable
        Called after another window was chosen.
    """

    def __init__(
        self, archive: Archive, *, run: Callable[..., None], on_window: Callable[[], None]
    ):
        self._archive = archive
        self._on_window = on_window
        self._flux: dict[str, np.ndarray] = {}
        self._lines = lines_on(archive.grid)
        low, high = self.span
        self._window = (low, high)
        self.sources = {name: ColumnDataSource({"x": [], "y": []}, name=name) for name in _LOOKS}
        self.residuals = {
            name: ColumnDataSource({"x": [], "y": []}) for name in (SELECTED, TRAVERSED)
        }
        self._names = ColumnDataSource({"x": [], "name": []})
        self._x_range = Range1d(low, high, bounds=(low, high), reset_start=low, reset_end=high)
        self.figure, self.residual_figure = self._make_figure(), self._make_residual_figure()
        for event in (RangesUpdate, Reset):
            self.figure.on_event(event, lambda event: run(self._follow, together="window"))
            self.residual_figure.on_event(event, lambda event: run(self._follow, together="window"))
        self.figure.on_change(
            "inner_width", lambda attr, old, new: run(self._draw, together="draw")
        )

    @property
    def span(self) -> tuple[float, float]:
        """First and last value of the axis."""
        return float(self._archive.axis[0]), float(self._archive.axis[-1])

    @property
    def window(self) -> tuple[float, float]:
        """What is shown of it."""
        return self._window

    def _figure(self, **more: Any) -> Any:
        made = figure(
            sizing_mode="stretch_width",
            tools="xpan,xbox_zoom,reset,save",
            x_range=self._x_range,
            output_backend="canvas",
            **more,
        )
        wheel = WheelZoomTool(dimensions="width")
        made.add_tools(wheel)
        made.toolbar.active_scroll = wheel
        made.toolbar.logo = None
        made.grid.grid_line_alpha = 0.3
        # Both figures leave the same room beside the axis, so that wavelengths stand above another.
        made.min_border_left = 62
        return made

    def _make_figure(self) -> Any:
        made = self._figure(
            name="spectra", height=_HEIGHT, toolbar_location="above", y_range=Range1d(0, 1),
            min_border_right=20,
        )  # fmt: skip
        made.yaxis.axis_label = "flux"
        made.xaxis.visible = False
        legend = []
        for name, looks in _LOOKS.items():
            renderer = made.line("x", "y", source=self.sources[name], **looks)
            legend.append((name, [renderer]))
        made.add_layout(
            Legend(
                items=legend, orientation="horizontal", click_policy="hide", padding=0, margin=2,
                border_line_color=None, label_text_font_size="12px", spacing=12,
            ),
            "above",
        )  # fmt: skip
        made.vspan(
            x="x", source=self._names, line_color="#999999", line_width=0.7, level="underlay"
        )
        made.add_layout(
            LabelSet(
                x="x", y=4, y_units="screen", text="name", source=self._names, angle=np.pi / 2,
                text_font_size="11px", text_color="#555555", x_offset=-1, text_baseline="bottom",
            )
        )  # fmt: skip
        made.add_tools(CrosshairTool(overlay=Span(dimension="height", line_alpha=0.3)))
        return made

    def _make_residual_figure(self) -> Any:
        made = self._figure(
            height=_RESIDUAL_HEIGHT, toolbar_location=None, y_range=Range1d(-1, 1),
            min_border_right=20,
        )  # fmt: skip
        made.xaxis.axis_label = self._archive.axis_name
        made.yaxis.axis_label = "\u2212 reconstr."
        made.yaxis.ticker.desired_num_ticks = 3
        made.add_layout(Span(location=0.0, dimension="width", line_width=0.7))
        for name, source in self.residuals.items():
            made.line("x", "y", source=source, **_LOOKS[name])
        return made

    def show(self, flux: dict[str, np.ndarray]) -> None:
        """Show other spectra: flux of shape (n_pixels,) by name; those not given are cleared."""
        self._flux = flux
        self._draw()

    def flux(self) -> dict[str, np.ndarray]:
        """Return what is shown, all pixels."""
        return dict(self._flux)

    def show_window(self, low: float, high: float) -> None:
        """Zoom to a window of the axis."""
        first, last = self.span
        low, high = max(low, first), min(high, last)
        if not low < high:
            raise ValueError(
                f"the window must go from a lower to a higher value, within {first:.6g} to "
                f"{last:.6g}."
            )
        self._window = (low, high)
        self._x_range.update(start=low, end=high)
        self._draw()
        self._on_window()

    def _follow(self) -> None:
        """Draw what the browser zoomed or moved to."""
        low, high = sorted((float(self._x_range.start), float(self._x_range.end)))
        if (low, high) != self._window and low < high:
            self._window = (low, high)
            self._draw()
            self._on_window()

    def _draw(self) -> None:
        lines = {name: self._decimated(self._flux.get(name)) for name in _LOOKS}
        for name, line in lines.items():
            self.sources[name].data = line._asdict()
        reconstruction = self._flux.get(RECONSTRUCTION)
        left_over = []
        for name, source in self.residuals.items():
            flux = self._flux.get(name)
            known = flux is not None and reconstruction is not None
            line = self._decimated(flux - reconstruction if known else None)  # type: ignore
            source.data = line._asdict()
            left_over.append(line)
        low, high = flux_range(*lines.values())
        self.figure.y_range.update(start=low, end=high)
        ends = [abs(end) for end in flux_range(*left_over)] if self._flux else [1.0]
        self.residual_figure.y_range.update(start=-max(ends), end=max(ends))
        shown = names_to_show(self._lines, *self._window)
        self._names.data = {
            "x": [line.wavelength_aa for line in shown],
            "name": [line.name for line in shown],
        }

    def _decimated(self, flux: np.ndarray | None) -> Line:
        if flux is None:
            return Line(np.empty(0), np.empty(0, dtype=np.float32))
        width, _ = inner_size(self.figure, _SIZE)
        return decimate(self._archive.axis, flux, *self._window, width)
