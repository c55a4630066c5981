"""The sliders: where they stand, and which of them the visitor has moved."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import panel as pn
from bokeh.models import PrintfTickFormatter

from ._sliders import Slider

_STEPS = 200
_FORMULA = re.compile(r"(\$(?=\$)|\\(?=[\[(]))")  # where one begins
_MOST_DECIMALS = 6  # of which the page can show plain numbers


class SliderBox:
    """One slider for each cause; a cause that was not moved keeps the star's own value.

    That matters where the star lies beyond the range of the slider, and for rounding.
    """

    def __init__(self, sliders: tuple[Slider, ...], on_move: Callable[[], None]):
        self._on_move = on_move
        self._setting = False
        self._sliders = {slider.name: slider for slider in sliders}
        self.moved: dict[str, float] = {}
        self.widgets = {slider.name: self._widget(slider) for slider in sliders}
        for name, widget in self.widgets.items():
            widget.param.watch(lambda event, name=name: self._move(name, event.new), "value")

    def _widget(self, slider: Slider) -> Any:
        return pn.widgets.FloatSlider(
            # Bokeh takes a title with a formula for HTML.
            label=_FORMULA.sub(r"\1 ", slider.title),
            start=slider.low,
            end=slider.high,
            step=(slider.high - slider.low) / _STEPS,
            value=(slider.low + slider.high) / 2.0,
            format=_format((slider.high - slider.low) / _STEPS),
            disabled=True,
            sizing_mode="stretch_width",
            margin=(2, 14),
        )

    def _move(self, name: str, value: float) -> None:
        if not self._setting:
            self.moved[name] = float(value)
            self._on_move()

    @property
    def moved_columns(self) -> dict[int, float]:
        """Values by column of the code, in the unit that is shown."""
        return {self._sliders[name].column: value for name, value in self.moved.items()}

    def rest_at(
        self, values: Mapping[str, float], moved: Mapping[str, float] | None = None
    ) -> None:
        """Put all sliders where a star is, but those that a link has moved; tell nobody."""
        self.moved = dict(moved or {})
        self._setting = True
        try:
            for name, widget in self.widgets.items():
                slider = self._sliders[name]
                value = self.moved.get(name, values[name])
                widget.param.update(value=min(max(value, slider.low), slider.high), disabled=False)
        finally:
            self._setting = False


def _format(step: float) -> Any:
    """Format with as many decimals as show that a slider has moved by a step."""
    decimals = max(1 - math.floor(math.log10(step)), 0)
    if decimals > _MOST_DECIMALS:
        return PrintfTickFormatter(format="%.9e")
    return "0[.]" + "0" * decimals if decimals else "0"
