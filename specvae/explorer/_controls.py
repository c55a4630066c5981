"""The widgets of the page and where they stand."""

import html
from typing import Any

import bokeh.layouts
import pandas as pd
import panel as pn

from ._exhibit import Exhibit
from ._lines import Preset, presets_on
from ._slider_box import SliderBox
from ._spectrum_panel import SpectrumPanel
from ._state import View

EMPTY = (
    "<b>Click a point of the map</b> to see its spectrum, draw a lasso around several, or type the "
    "name of a star and press Enter. Then move a slider: the orange line is what the model draws."
)
_TABLE_HEIGHT = 190
_TABLE_STYLE = ".tabulator, .pnx-tabulator { font-size: 12px !important; }"
_MARGIN = (5, 4)
# The clipboard of the browser is there on localhost and over https only.
_COPY = """
const text = address.value;
if (navigator.clipboard) { navigator.clipboard.writeText(text); }
else {
  const area = document.createElement("textarea");
  area.value = text; document.body.appendChild(area); area.select();
  document.execCommand("copy"); area.remove();
}
"""


class Controls:
    """All widgets, without what they do."""

    def __init__(self, exhibit: Exhibit, view: View):
        choices, archive = exhibit.choices, exhibit.archive
        self.title = exhibit.title
        self.message = pn.pane.HTML("", sizing_mode="stretch_width", margin=(4, 8))
        self.dismiss = _button("Dismiss", width=80)
        self.messages = pn.Row(
            self.message,
            self.dismiss,
            visible=False,
            sizing_mode="stretch_width",
            styles={"background": "#fdecea", "border": "1px solid #c0392b", "border-radius": "4px"},
        )
        self.search = pn.widgets.TextInput(
            label="Find a star", placeholder="HD 189733, or #12 for a row", width=200
        )
        self.matches = pn.widgets.Select(
            label="Spectra of that name", options={}, visible=False, width=200
        )
        self.x = _select("Across", view.x, choices.axes)
        self.y = _select("Up", view.y, choices.axes)
        self.colour = _select("Colour", view.colour, choices.colours)
        self.presets = [_preset(*each) for each in presets_on(archive.grid)]
        low, high = choices.span
        self.all = _button("All")
        unit = "\u00c5" if archive.grid is not None else "pixel"
        self.low, self.high = (
            pn.widgets.FloatInput(label=f"{word} ({unit})", value=round(end, 3), width=100)
            for word, end in (("From", low), ("To", high))
        )
        self.reset = _button("Reset sliders", disabled=True)
        self.about = pn.pane.HTML(EMPTY, sizing_mode="stretch_width", margin=(2, 10))
        self.nearest = pn.pane.HTML("", sizing_mode="stretch_width", margin=(0, 10))
        self.table = pn.widgets.Tabulator(
            pd.DataFrame({"row": [], "name": [], "distance": []}),
            disabled=True,
            show_index=False,
            selectable=False,
            height=_TABLE_HEIGHT,
            sizing_mode="stretch_width",
            layout="fit_data_fill",
            theme="simple",
            visible=False,
            configuration={"columnDefaults": {"headerSort": False, "maxWidth": 160}},
            stylesheets=[_TABLE_STYLE],
            row_height=24,
        )
        self.link = pn.widgets.TextInput(
            label="Link to this view", sizing_mode="stretch_width", min_width=160
        )
        self.copy = _button("Copy link")
        self.copy.js_on_click(args={"address": self.link}, code=_COPY)

    def lay_out(
        self, map_figure: Any, spectra: SpectrumPanel, sliders: SliderBox, exports: list[Any]
    ) -> Any:
        """Return the page: map beside spectra where it is wide enough, above them where not."""
        heading = pn.pane.HTML(
            f"<h1 style='font-size:17px;margin:0'>specvae explorer</h1>{html.escape(self.title)}",
            margin=(4, 12),
        )
        link = pn.Row(self.link, self.copy, styles={"flex": "1 1 320px"})
        top = _flex(heading, self.search, self.matches, link)
        left = pn.Column(
            pn.Row(self.x, self.y, self.colour, sizing_mode="stretch_width"),
            pn.pane.Bokeh(map_figure, sizing_mode="stretch_width"),
            self.about,
            self.nearest,
            self.table,
            styles={"flex": "1 1 380px", "min-width": "340px"},
        )
        both = bokeh.layouts.column(
            [spectra.figure, spectra.residual_figure], sizing_mode="stretch_width"
        )
        windows = _flex(*self.presets, self.all, self.low, self.high)
        below = [*sliders.widgets.values()] or [
            pn.pane.HTML("No latent of this model moves: there is nothing to slide.")
        ]
        grid = pn.FlexBox(
            *(_cell(each) for each in below), sizing_mode="stretch_width", align_items="flex-end"
        )
        right = pn.Column(
            windows,
            pn.pane.Bokeh(both, sizing_mode="stretch_width"),
            grid,
            pn.Row(self.reset, *exports, sizing_mode="stretch_width"),
            styles={"flex": "2 1 640px", "min-width": "340px"},
        )
        body = pn.FlexBox(left, right, sizing_mode="stretch_width", align_items="flex-start")
        return pn.Column(self.messages, top, body, sizing_mode="stretch_width")


def _button(name: str, **more: Any) -> Any:
    return pn.widgets.Button(label=name, margin=_MARGIN, align="end", **more)


def _select(name: str, value: str, options: tuple[str, ...]) -> Any:
    return pn.widgets.Select(
        label=name, value=value, options=list(options), sizing_mode="stretch_width", min_width=80
    )


def _preset(preset: Preset, is_inside: bool) -> tuple[Preset, Any]:
    return preset, _button(preset.name, disabled=not is_inside)


def _flex(*parts: Any) -> Any:
    shown = [part[1] if isinstance(part, tuple) else part for part in parts]
    return pn.FlexBox(*shown, sizing_mode="stretch_width", align_items="flex-end")


def _cell(widget: Any) -> Any:
    return pn.Column(widget, styles={"flex": "1 1 190px", "min-width": "180px"})
