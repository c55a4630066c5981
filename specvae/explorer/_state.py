"""The view as the query of a link, and back: whatever comes, a view comes out."""

import math
from dataclasses import dataclass, field, replace
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode

# Far more than any view needs: a longer link is not worth reading.
_LONGEST = 8192
_SLIDER = "s."
# Share of an end by which a value may lie beyond it: what was typed may be rounded to six digits.
_SLACK = 1e-5


@dataclass(frozen=True)
class View:
    """What the page shows, as far as a link can bring it back."""

    x: str  # axis of the map
    y: str
    colour: str
    row: int | None = None  # selected spectrum
    star: str = ""  # its name, to notice a link to another archive
    low: float | None = None  # window, in units of the wavelength axis
    high: float | None = None
    sliders: dict[str, float] = field(default_factory=dict)  # those that were moved


@dataclass(frozen=True)
class Choices:
    """What a link may ask for."""

    axes: tuple[str, ...]
    colours: tuple[str, ...]
    names: tuple[str, ...]  # of the spectra, by row
    sliders: dict[str, tuple[float, float]]  # name: smallest and largest value
    span: tuple[float, float]  # of the wavelength axis

    @property
    def default(self) -> View:
        """The view without a link."""
        second = self.axes[1] if len(self.axes) > 1 else self.axes[0]
        return View(self.axes[0], second, self.colours[0])


class Parsed(NamedTuple):
    """A view and what was wrong with the link."""

    view: View
    problem: str  # "" if nothing


def format_view(view: View) -> str:
    """Return the query of a view, without a question mark."""
    pairs: list[tuple[str, str]] = [("x", view.x), ("y", view.y), ("colour", view.colour)]
    if view.row is not None:
        pairs += [("row", str(view.row)), ("star", view.star)]
    if view.low is not None and view.high is not None:
        pairs += [("from", f"{view.low:.10g}"), ("to", f"{view.high:.10g}")]
    pairs += [(_SLIDER + name, f"{value:.10g}") for name, value in sorted(view.sliders.items())]
    return urlencode(pairs)


def parse_view(query: str, choices: Choices) -> Parsed:
    """Return the view of a link, or the default view and the reason where the link makes no sense.

    A link is taken whole or not at all: half of one would show something that nobody had seen.
    """
    query = query.removeprefix("?")
    if not query:
        return Parsed(choices.default, "")
    try:
        return Parsed(_parse(query, choices), "")
    except ValueError as error:
        return Parsed(choices.default, f"The link cannot be followed: {error}.")


def _parse(query: str, choices: Choices) -> View:
    if len(query) > _LONGEST:
        raise ValueError(f"it is longer than {_LONGEST} characters")
    pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=200)
    if not pairs:
        raise ValueError("nothing in it can be read")
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("something stands in it twice")
    given = dict(pairs)
    sliders = {
        key.removeprefix(_SLIDER): given.pop(key) for key in list(given) if key.startswith(_SLIDER)
    }
    view = choices.default
    view = replace(
        view,
        x=_one_of("x", given.pop("x", view.x), choices.axes),
        y=_one_of("y", given.pop("y", view.y), choices.axes),
        colour=_one_of("colour", given.pop("colour", view.colour), choices.colours),
    )
    star = given.pop("star", "")
    if "row" in given:
        row = _row(given.pop("row"), len(choices.names))
        if star and star != choices.names[row]:
            raise ValueError("it was made with other spectra")
        view = replace(view, row=row, star=choices.names[row])
    if "from" in given or "to" in given:
        low, high = _number("from", given.pop("from", "")), _number("to", given.pop("to", ""))
        low, high = (_clamped(end, *choices.span) for end in (low, high))
        if not choices.span[0] <= low < high <= choices.span[1]:
            raise ValueError("its window does not lie within the spectra")
        view = replace(view, low=low, high=high)
    if given:
        raise ValueError(f"{_short(next(iter(given)))} means nothing here")
    return replace(view, sliders=_sliders(sliders, choices))


def _sliders(given: dict[str, str], choices: Choices) -> dict[str, float]:
    values = {}
    for name, text in given.items():
        low, high = choices.sliders[_one_of("slider", name, tuple(choices.sliders))]
        value = _number(name, text)
        value = _clamped(value, low, high)
        if not low <= value <= high:
            raise ValueError(f"{_short(name)} goes from {low:.4g} to {high:.4g}")
        values[name] = value
    return values


def _clamped(value: float, low: float, high: float) -> float:
    """Put a value that lies a rounding beyond an end on it."""
    if low - _SLACK * abs(low) <= value <= high + _SLACK * abs(high):
        return min(max(value, low), high)
    return value


def _one_of(key: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise ValueError(f"there is no {key} called {_short(value)}")
    return value


def _row(text: str, n_rows: int) -> int:
    # Not int(): it takes "1_0" and digits of other scripts.
    if not (text.isascii() and text.isdigit() and len(text) < 16 and int(text) < n_rows):
        raise ValueError(f"there is no spectrum {_short(text)}")
    return int(text)


def _number(key: str, text: str) -> float:
    try:
        value = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{_short(key)} is no number")
    return value


def _short(text: str) -> str:
    return repr(text if len(text) <= 30 else text[:30] + "\u2026")
