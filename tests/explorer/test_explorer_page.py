import gc
import tracemalloc

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("panel")
pytest.importorskip("datashader")

from types import SimpleNamespace
from urllib.error import URLError
from urllib.request import urlopen

from bokeh.events import Tap
from explorer_world import GRID, HOSTILE

from specvae.explorer import Explorer, explore
from specvae.explorer._exhibit import make_exhibit
from specvae.explorer._page import Page
from specvae.explorer._points import aggregate, cell_side, inside_polygon, nearest_point
from specvae.explorer._slider_box import SliderBox
from specvae.explorer._sliders import Slider
from specvae.explorer._spectrum_panel import NEAREST, RECONSTRUCTION, SELECTED, TRAVERSED
from specvae.inspection import traverse
from specvae.spectra import SpectraArray


@pytest.fixture
def page(exhibit):
    return Page(exhibit, address="http://here/")


def drawn(page, name):
    return np.asarray(page.spectra.sources[name].data["y"])


def search(page, text):
    page.controls.search.value = text
    page.controls.search.param.trigger("enter_pressed")


def test_an_empty_page_says_what_to_do(page):
    assert "Click a point of the map" in page.controls.about.object
    assert all(button.disabled for button in (page.controls.reset, *page.exports))
    assert all(widget.disabled for widget in page.sliders.widgets.values())
    assert not page.controls.messages.visible
    assert len(drawn(page, SELECTED)) == 0


def test_a_chosen_star_is_shown_with_its_reconstruction_and_nearest_other(page, archive):
    page.select([7])
    np.testing.assert_allclose(drawn(page, SELECTED), archive.spectrum(7))
    np.testing.assert_allclose(drawn(page, RECONSTRUCTION), archive.decode(archive.codes[7]))
    nearest = archive.nearest(archive.codes[7], 1, besides=7)["row"][0]
    np.testing.assert_allclose(drawn(page, NEAREST), archive.spectrum(nearest))
    assert len(drawn(page, TRAVERSED)) == 0  # nothing was moved yet
    residual = np.asarray(page.spectra.residuals[SELECTED].data["y"])
    wanted = archive.spectrum(7) - archive.decode(archive.codes[7])
    np.testing.assert_allclose(residual, wanted, atol=1e-6)
    assert page.controls.table.value["row"].iloc[0] == nearest
    assert not any(widget.disabled for widget in page.sliders.widgets.values())


def test_sliders_draw_what_traverse_computes(page, model, stars):
    page.select([7])
    page.sliders.widgets["teff_k"].value = 5200.0
    wanted = traverse(model, stars.flux[7], "teff_k", [5200.0]).flux[0]
    np.testing.assert_allclose(drawn(page, TRAVERSED), wanted, atol=1e-5)
    page.controls.reset.clicks += 1
    assert len(drawn(page, TRAVERSED)) == 0 and page.sliders.moved == {}


def test_a_star_beyond_the_slider_keeps_its_own_code(page, archive):
    row = int(np.argmax(archive.coordinate("teff_k")))
    page.select([row])
    widget = page.sliders.widgets["teff_k"]
    assert widget.value == widget.end < archive.coordinate("teff_k")[row]
    np.testing.assert_allclose(drawn(page, RECONSTRUCTION), archive.decode(archive.codes[row]))
    page.sliders.widgets["rv_kms"].value = 0.0
    assert set(page.sliders.moved) == {"rv_kms"}


def test_a_link_brings_the_page_back(page, exhibit):
    page.select([7])
    page.controls.x.value, page.controls.colour.value = "PCA 1", "teff_k"
    page.spectra.show_window(5160.0, 5170.0)
    page.sliders.widgets["latent0"].value = 0.5 * page.sliders.widgets["latent0"].end
    address, _, query = page.controls.link.value.partition("?")
    assert address == "http://here/"
    again = Page(exhibit, "?" + query, address)
    assert not again.controls.messages.visible
    assert again.controls.link.value == page.controls.link.value
    np.testing.assert_allclose(drawn(again, TRAVERSED), drawn(page, TRAVERSED), atol=1e-4)


@pytest.mark.parametrize("query", ["?row=999", "?x=../../etc/passwd", "?%ff", "?s.teff_k=1e9"])
def test_a_malformed_link_shows_the_default_view_and_why(exhibit, query):
    page = Page(exhibit, query)
    assert page.controls.messages.visible and "cannot be followed" in page.controls.message.object
    assert page.rows == []
    page.select([3])
    assert page.rows == [3]


def test_search(page):
    search(page, "hd 105")
    assert page.rows == [15]
    assert list(page.controls.matches.options.values()) == [15, 16, 17]
    page.controls.matches.value = 17
    assert page.rows == [17]
    search(page, "Vega <b>")
    assert page.rows == [17] and "Vega &lt;b&gt;" in page.controls.message.object
    search(page, "#4")
    assert page.rows == [4] and not page.controls.matches.visible


def test_names_from_files_cannot_bring_markup(page):
    page.select([59])
    shown = page.controls.about.object + page.controls.nearest.object
    assert HOSTILE not in shown and "&lt;img" in page.controls.about.object


def test_a_tap_chooses_the_nearest_point_and_only_a_near_one(page):
    points = page.map._points
    x, y = float(points["x"][9]), float(points["y"][9])
    page.map.figure._trigger_event(Tap(page.map.figure, x=x, y=y))
    assert page.rows == [9]
    page.map.figure._trigger_event(Tap(page.map.figure, x=x + 1e6, y=y))
    assert page.rows == [9]


def test_a_lasso_chooses_all_inside(page):
    points = page.map._points
    low, high = points.min(), points.max()
    corners = {
        "type": "poly",
        "x": [low["x"] - 1, high["x"] + 1, high["x"] + 1, low["x"] - 1],
        "y": [low["y"] - 1, low["y"] - 1, high["y"] + 1, high["y"] + 1],
    }
    page.map._lasso(SimpleNamespace(geometry=corners, final=True))
    assert len(page.rows) == len(page.archive.usable)
    assert page.exports[0].callback().getvalue().count(b"\n") == 61
    page.map._lasso(SimpleNamespace(geometry={"type": "rect"}, final=True))


def test_the_pointer_names_the_star(page):
    points = page.map._points
    page.map._point_at(SimpleNamespace(x=float(points["x"][9]), y=float(points["y"][9])))
    assert page.map.pointed.data["text"][0].startswith("HD 103 (#9)\nteff_k")
    page.map._point_at(SimpleNamespace(x=1e9, y=0.0))
    assert page.map.pointed.data["text"] == []


def test_zooming_draws_all_pixels_of_the_window(page):
    page.select([7])
    preset, button = next(each for each in page.controls.presets if each[0].name == "Mg b")
    assert not button.disabled
    button.clicks += 1
    assert page.spectra.window == (max(preset.low_aa, 5150.0), min(preset.high_aa, 5189.9))
    page.controls.low.value = 5170.0
    assert page.spectra.window[0] == 5170.0
    page.controls.high.value = 5100.0
    assert "the window must go from" in page.controls.message.object
    page.spectra._x_range.update(start=5160.0, end=5161.0)  # as the browser does it
    page.spectra._follow()
    assert 11 <= len(drawn(page, SELECTED)) <= 13
    disabled = [button.label for _, button in page.controls.presets if button.disabled]
    assert "H\u03b1" in disabled


def test_an_error_is_shown_and_the_page_lives_on(page, monkeypatch):
    page.select([7])
    broken = dict(vars(page.archive))

    def fail(self, row):
        raise OSError("row 8 cannot be read")

    with monkeypatch.context() as patch:
        patch.setattr(type(page.archive), "spectrum", fail)
        search(page, "#8")
    assert "row 8 cannot be read" in page.controls.message.object and page.rows == [7]
    assert vars(page.archive) == broken
    page.controls.dismiss.clicks += 1
    assert not page.controls.messages.visible
    search(page, "#9")
    assert page.rows == [9]


def test_a_spectrum_that_the_model_cannot_use_is_named(model, stars):
    flux = stars.flux.copy()
    flux[5] = np.nan
    page = Page(make_exhibit(model, SpectraArray(flux, grid=GRID)), "?row=5")
    assert "the model cannot use spectrum 5" in page.controls.message.object
    search(page, "#5")
    assert page.rows == []
    search(page, "#6")
    assert page.rows == [6]


def test_colours_show_labels_and_where_they_are_unknown(page, exhibit):
    page.controls.colour.value = "teff_k"
    image = page.map.image.data["image"][0]
    shown = image[np.isfinite(image)]
    assert len(shown) and page.map._bar.title == "teff_k"
    assert (shown >= page.map._mean.low).all() and (shown <= page.map._mean.high).all()
    page.map._points["value"] = np.nan
    page.map._draw()
    image = page.map.image.data["image"][0]
    assert (image[np.isfinite(image)] < page.map._mean.low).all()


def test_pages_do_not_reach_each_other(exhibit):
    first, second = Page(exhibit), Page(exhibit)
    first.select([3])
    first.sliders.widgets["teff_k"].value = 5000.0
    assert second.rows == [] and second.sliders.moved == {} and len(drawn(second, SELECTED)) == 0


def test_memory_is_flat_over_a_thousand_moves(page):
    page.select([7])
    widget = page.sliders.widgets["teff_k"]
    values = np.random.default_rng(0).uniform(widget.start, widget.end, 1100)
    for value in values[:100]:
        widget.value = value
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for value in values[100:]:
            widget.value = value
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 1_000_000


def test_explore_in_a_notebook(model, stars):
    page = explore(model, stars.flux, stars.labels, groups=stars.groups)
    try:
        shown = page._repr_html_()
        address = page.show(open_browser=False)
        assert f'<iframe src="{address}"' in shown
        with urlopen(address, timeout=60) as answer:
            assert answer.status == 200
    finally:
        page.stop()
    page.stop()
    with pytest.raises(URLError):
        urlopen(address, timeout=5)
    with pytest.raises(ValueError, match="n_sliders must be an integer >= 1"):
        explore(model, stars.flux, n_sliders=0)


def test_explore_for_panel_serve(exhibit):
    assert Explorer(exhibit).servable().get_root() is not None


def test_points_in_cells():
    points = pd.DataFrame({"x": [0.1, 0.1, 0.9, np.nan], "y": [0.1, 0.1, 0.9, 0.5]})
    points["value"] = [1.0, 3.0, np.nan, 5.0]
    count, mean = aggregate(points, (0.0, 1.0), (0.0, 1.0), (70, 70))
    assert count.shape == (10, 10) and count.sum() == 3 and count[1, 1] == 2
    assert mean[1, 1] == 2.0 and np.isnan(mean[9, 9])
    assert [cell_side(n) for n in (1, 3000, 30_000, 270_000, 10**6)] == [7, 5, 3, 2, 1]


def test_nearest_point_is_that_on_the_screen():
    x, y = np.array([0.0, 1.0]), np.array([0.0, 0.1])
    assert nearest_point(x, y, (0.0, 0.1), (100.0, 100.0)) == (0, pytest.approx(10.0))
    assert nearest_point(x, y, (0.0, 0.1), (100.0, 10_000.0)) == (1, pytest.approx(100.0))


def test_inside_polygon():
    rng = np.random.default_rng(0)
    x, y = rng.uniform(-2, 2, (2, 5000))
    angle = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    found = inside_polygon(x, y, np.cos(angle), np.sin(angle))
    radius = np.hypot(x, y)
    assert (radius[found] < 1.0).all()
    assert np.isin(np.flatnonzero(radius < 0.999), found).all()
    # A "U" has a hollow.
    corners = np.array([0, 3, 3, 2, 2, 1, 1, 0.0]), np.array([0, 0, 3, 3, 1, 1, 3, 3.0])
    assert inside_polygon(np.array([0.5, 1.5]), np.array([2.0, 2.0]), *corners).tolist() == [0]


def test_pixels_without_a_grid(stars):
    from sklearn.decomposition import PCA

    page = Page(make_exhibit(PCA(2).fit(stars.flux), stars.flux))
    page.select([4])
    assert page.spectra.span == (0.0, GRID.n_pixels - 1.0)
    assert all(button.disabled for _, button in page.controls.presets)


def test_the_same_star_can_be_searched_and_chosen_again(page):
    search(page, "hd 105")
    page.select([30])
    assert not page.controls.matches.visible
    page.say("old")
    search(page, "hd 105")
    assert page.rows == [15] and page.controls.matches.visible
    assert not page.controls.messages.visible
    page.select([17])
    assert page.controls.matches.value == 17
    page.controls.matches.value = 15
    assert page.rows == [15]


def test_downloads_do_not_stay_in_memory(page):
    page.select([7])
    page.exports[0]._transfer()
    assert page.exports[0].data
    page.select([8])
    assert page.exports[0].data is None


@pytest.mark.filterwarnings("ignore:It is strongly recommended")
def test_names_of_labels_are_text_and_may_be_those_of_columns(stars):
    from sklearn.decomposition import PCA

    labels = pd.DataFrame({name: stars.labels["teff_k"] for name in ("distance", "density", "Row")})
    labels[HOSTILE] = stars.labels["rv_kms"]
    labels["code_pca0"] = 1.0
    page = Page(make_exhibit(PCA(2).fit(stars.flux), stars.flux, labels))
    page.select([7, 8])
    titles = page.controls.table.titles
    assert titles["distance (label)"] == "distance (label)" and "<" not in titles[HOSTILE]
    page.controls.colour.value = "density (label)"
    assert page.map._bar.title == "density (label)"
    for button in page.exports:
        assert button.callback().getvalue()


@pytest.mark.parametrize("width", [1e-7, 1e-3, 1.0, 20.0, 3000.0])
def test_a_step_of_a_slider_can_be_seen(width):
    box = SliderBox((Slider("a$$<b>$$$", 0, 5.0, 5.0 + width, False, ""),), lambda: None)
    widget = box.widgets["a$$<b>$$$"]
    assert "$$" not in widget.label
    if isinstance(widget.format, str):
        decimals = widget.format.partition("]")[2].count("0")
        assert 10.0**-decimals <= width / 200
    else:
        assert width <= 1e-3
