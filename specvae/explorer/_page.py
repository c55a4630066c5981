"""The page: what a visitor does, and what is shown then."""

import html
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import panel as pn

from ._controls import Controls
from ._exhibit import Exhibit
from ._export import rows_csv, shown_csv, to_fits
from ._map import LatentMap
from ._run import Runner
from ._slider_box import SliderBox
from ._spectrum_panel import NEAREST, RECONSTRUCTION, SELECTED, TRAVERSED, SpectrumPanel
from ._state import View, format_view, parse_view

_N_NEAREST = 8


class Page:
    """One visitor's page.

    Parameters
    ----------
    exhibit : Exhibit
    query : str, default=""
        Of the link by which the visitor came.
    address : str, default=""
        Of the page, after which a link puts its query.

    Attributes
    ----------
    view : panel Column
        What is seen.
    rows : list of int
        Chosen spectra; the first is shown.
    """

    def __init__(self, exhibit: Exhibit, query: str = "", address: str = ""):
        self.exhibit, self.archive = exhibit, exhibit.archive
        self.rows: list[int] = []
        self._address = address
        self._nearest_row: int | None = None
        run = self._run = Runner(pn.state.curdoc, self.say)
        view, problem = parse_view(query, exhibit.choices)
        self.controls = Controls(exhibit, view)
        self.map = LatentMap(
            self.archive, view.x, view.y, view.colour, on_select=self.select, run=run
        )
        self.spectra = SpectrumPanel(self.archive, run=run, on_window=self._window_changed)
        self.sliders = SliderBox(exhibit.sliders, lambda: run(self._move, together="slider"))
        self.exports = [
            self._download("Selection CSV", "selection.csv", self._rows_csv),
            self._download("Spectra CSV", "spectra.csv", self._shown_csv),
            self._download("FITS", "selection.fits", self._fits),
        ]
        self._connect()
        self.view = self.controls.lay_out(self.map.figure, self.spectra, self.sliders, self.exports)
        self.say(problem)
        run(self._restore, view)

    def _connect(self) -> None:
        controls, run = self.controls, self._run
        controls.dismiss.on_click(lambda event: self.say(""))
        # Not "value": a star that is searched again changes nothing there.
        controls.search.param.watch(
            lambda event: run(self._find, controls.search.value), "enter_pressed"
        )
        controls.matches.param.watch(lambda event: run(self._choose, event.new), "value")
        for axis in (controls.x, controls.y, controls.colour):
            axis.param.watch(lambda event: run(self._change_map), "value")
        for preset, button in controls.presets:
            ends = (preset.low_aa, preset.high_aa)
            button.on_click(lambda event, ends=ends: run(self.spectra.show_window, *ends))
        controls.all.on_click(lambda event: run(self.spectra.show_window, *self.spectra.span))
        for end in (controls.low, controls.high):
            end.param.watch(lambda event: run(self._typed_window), "value")
        controls.reset.on_click(lambda event: run(self._rest))
        controls.table.on_click(lambda event: run(self._choose_near, event.row))

    # What the visitor does

    def select(self, rows: list[int], moved: dict[str, float] | None = None) -> None:
        """Show the first of some spectra, mark all, and put the sliders where it is."""
        row = rows[0]
        if not np.isfinite(self.archive.codes[row]).all():
            raise ValueError(f"the model cannot use spectrum {row}.")
        flux = {
            SELECTED: self.archive.spectrum(row),
            RECONSTRUCTION: self.archive.decode(self.archive.codes[row], row),
        }
        self.rows = rows
        here = {name: float(values[row]) for name, values in self.exhibit.positions.items()}
        self.sliders.rest_at(here, moved)
        self.map.select(rows)
        self._nearest_row = None
        self.spectra.show(flux | self._moved_flux(row))
        self._tell(row)
        for each in (self.controls.reset, *self.exports):
            each.disabled = False
        for each in self.exports:
            each.data = None  # a download stays in memory otherwise
        self._match(row)
        self.say("")
        self._write_link()

    def _move(self) -> None:
        if self.rows:
            self.spectra.show(self._own_flux() | self._moved_flux(self.rows[0]))
            self._write_link()

    def _rest(self) -> None:
        if self.rows:
            self.select(self.rows)

    def _find(self, text: str) -> None:
        if not text.strip():
            return
        found = self.archive.find(text)
        if not found:
            self.say(f"No star here is called {text.strip()!r}.")
            return
        self.select(found[:1])
        options = {f"{self.archive.names[row]} (#{row})": row for row in found}
        self.controls.matches.param.update(options=options, value=found[0], visible=len(found) > 1)

    def _match(self, row: int) -> None:
        """Let the list of spectra of a name show this one, so that any other can be chosen."""
        matches = self.controls.matches
        if row in (matches.options or {}).values():
            matches.value = row
        else:
            matches.visible = False

    def _choose(self, row: int | None) -> None:
        if row is not None and self.rows[:1] != [row]:
            self.select([row])

    def _choose_near(self, place: int) -> None:
        self.select([int(self.controls.table.value["row"].iloc[place])])

    def _change_map(self) -> None:
        controls = self.controls
        self.map.set_axes(controls.x.value, controls.y.value, controls.colour.value)
        self._write_link()

    def _typed_window(self) -> None:
        low, high = self.controls.low.value, self.controls.high.value
        # What the figure itself wrote there comes back rounded.
        shown = tuple(round(end, 3) for end in self.spectra.window)
        if low is not None and high is not None and (low, high) != shown:
            self.spectra.show_window(low, high)

    def _restore(self, view: View) -> None:
        if view.low is not None and view.high is not None:
            self.spectra.show_window(view.low, view.high)
        if view.row is not None:
            self.select([view.row], view.sliders)
        self._write_link()

    # What is shown then

    def _own_flux(self) -> dict[str, np.ndarray]:
        kept = self.spectra.flux()
        return {name: kept[name] for name in (SELECTED, RECONSTRUCTION)}

    def _moved_flux(self, row: int) -> dict[str, np.ndarray]:
        """Flux of the code that the sliders say, and of the real spectrum nearest to that code."""
        moved = self.sliders.moved_columns
        code = self.archive.code_at(row, moved)
        found = {TRAVERSED: self.archive.decode(code, row)} if moved else {}
        nearest = self.archive.nearest(code, 1, besides=row)
        if len(nearest):
            other, name, distance = nearest[["row", "name", "distance"]].iloc[0]
            known = self.spectra.flux().get(NEAREST) if other == self._nearest_row else None
            found[NEAREST] = self.archive.spectrum(int(other)) if known is None else known
            self._nearest_row = int(other)
            self.controls.nearest.object = (
                f"<span style='color:#00714f'>nearest other: <b>{html.escape(str(name))}</b> "
                f"(#{other}), distance {distance:.3g}</span>"
            )
        return found

    def say(self, message: str) -> None:
        """Show a message above everything, or none."""
        self.controls.message.object = f'<div role="alert">{html.escape(message)}</div>'
        self.controls.messages.visible = bool(message)

    def _tell(self, row: int) -> None:
        several = f" and {len(self.rows) - 1:,} more" if len(self.rows) > 1 else ""
        about = html.escape(self.archive.describe(row, n_labels=8))
        self.controls.about.object = (
            f"<span style='color:#005a8d'>selected: <b>{about}</b>{several}</span>"
        )
        table = self.archive.nearest(self.archive.codes[row], _N_NEAREST, besides=row)
        for name in table.columns[2:]:
            table[name] = [float(f"{value:.4g}") for value in table[name]]
        # Titles of columns are HTML, cells are text.
        self.controls.table.titles = {name: html.escape(name) for name in table.columns}
        self.controls.table.param.update(value=table, visible=True)

    def _window_changed(self) -> None:
        low, high = self.spectra.window
        self.controls.low.value, self.controls.high.value = round(low, 3), round(high, 3)
        self._write_link()

    def _write_link(self) -> None:
        controls, window = self.controls, self.spectra.window
        is_all = window == self.spectra.span
        row = self.rows[0] if self.rows else None
        view = View(
            x=controls.x.value,
            y=controls.y.value,
            colour=controls.colour.value,
            row=row,
            star="" if row is None else str(self.archive.names[row]),
            low=None if is_all else window[0],
            high=None if is_all else window[1],
            sliders=self.sliders.moved if self.rows else {},
        )
        controls.link.value = f"{self._address}?{format_view(view)}"

    # What can be taken away

    def _rows_csv(self) -> bytes:
        return rows_csv(self.archive, np.array(self.rows))

    def _shown_csv(self) -> bytes:
        return shown_csv(self.archive, self.spectra.flux())

    def _fits(self) -> bytes:
        return to_fits(self.archive, np.array(self.rows), self.spectra.flux())

    def _download(self, label: str, filename: str, make: Callable[[], bytes]) -> Any:
        def content() -> io.BytesIO:
            try:
                return io.BytesIO(make())
            except Exception as error:
                self.say(f"{label} could not be made: {error}")
                raise

        return pn.widgets.FileDownload(
            callback=content, filename=filename, label=label, disabled=True, margin=(5, 4),
            align="end",
        )  # fmt: skip
