"""The page in a real browser: Debian's chromium and chromium-driver, without a screen."""

import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("panel")
pytest.importorskip("datashader")
pytest.importorskip("selenium", reason="selenium drives the browser: pip install selenium")

from astropy.io import fits
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionBuilder
from selenium.webdriver.common.keys import Keys

from specvae.inspection import traverse

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER),
    reason="needs a browser: apt-get install chromium chromium-driver",
)

SIZES = {"wide": (1280, 800), "tablet": (820, 1180)}
# Shadow trees hide what a plain selector would find.
TOOLS = """
window.tools = {
  doc: () => Bokeh.documents[0],
  model: name => tools.doc().get_model_by_name(name),
  data: name => { const s = tools.model(name);
                  return s ? {x: [...s.data.x], y: [...s.data.y]} : null; },
  all: (selector, root = document) => {
    let found = [...root.querySelectorAll(selector)];
    for (const e of root.querySelectorAll("*"))
      if (e.shadowRoot) found = found.concat(tools.all(selector, e.shadowRoot));
    return found; },
  button: text => tools.all("button, a").find(e => e.textContent.trim() === text),
  field: label => { const host = tools.all("label").find(e => e.textContent.trim() === label);
                    return host.getRootNode().querySelector("input, select"); },
  slider: text => { const titles = tools.all(".bk-slider-title");
                    const t = titles.find(e => e.textContent.startsWith(text));
                    return t.getRootNode().querySelector(".noUi-handle"); },
  text: () => tools.all("div, span, b").map(e => e.textContent).join("\\n"),
  place: (name, x, y) => {
    const view = Bokeh.index.find_one(tools.model(name));
    const box = view.canvas_view.el.getBoundingClientRect();
    return [box.left + view.frame.x_scale.compute(x), box.top + view.frame.y_scale.compute(y)]; },
};
"""


@pytest.fixture(scope="module")
def artefacts(tmp_path_factory):
    given = os.environ.get("SPECVAE_ARTEFACTS")
    folder = Path(given) if given else tmp_path_factory.mktemp("explorer")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def downloads(tmp_path_factory):
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="module")
def driver(downloads):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    driver.set_script_timeout(30)
    place = {"behavior": "allow", "downloadPath": str(downloads)}
    driver.execute_cdp_cmd("Browser.setDownloadBehavior", place)
    yield driver
    driver.quit()


class Browser:
    """What a visitor does, and what is on the screen."""

    def __init__(self, driver, address):
        self.driver, self.address = driver, address

    def open(self, query="", size="wide"):
        width, height = SIZES[size]
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
        )
        self.driver.get_log("browser")
        self.driver.get(self.address + query)
        self.wait("window.Bokeh && Bokeh.documents.length")
        self.driver.execute_script(TOOLS)
        self.wait("tools.model('map') && tools.model('map').inner_width > 50")
        self.wait("Bokeh.index.find_one(tools.model('spectra'))")
        return self

    def run(self, script):
        return self.driver.execute_script(f"return {script}")

    def wait(self, condition, seconds=30):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.run(f"!!({condition})"):
                return
            time.sleep(0.05)
        raise AssertionError(f"not within {seconds} s: {condition}")

    def line(self, name):
        data = self.run(f"tools.data('{name}')")
        return np.array(data["y"], dtype=float)

    def click_at(self, name, x, y):
        left, top = self.run(f"tools.place('{name}', {x}, {y})")
        actions = ActionBuilder(self.driver)
        actions.pointer_action.move_to_location(round(left), round(top)).click()
        actions.perform()

    def type(self, label, text):
        field = self.run(f"tools.field('{label}')")
        field.clear()
        field.send_keys(text, Keys.ENTER)

    def errors(self):
        return [entry for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]

    def save(self, path):
        time.sleep(0.5)  # the last frame
        assert self.driver.save_screenshot(str(path))


@pytest.fixture
def browser(driver, address):
    browser = Browser(driver, address)
    yield browser
    assert not browser.errors()
    assert driver.title != "hit", "a name from a file ran as a script"


@pytest.mark.parametrize("size", SIZES)
def test_the_page_loads_and_says_what_to_do(browser, size, artefacts):
    browser.open(size=size)
    assert "Click a point of the map" in browser.run("tools.text()")
    width = SIZES[size][0]
    assert browser.run("document.documentElement.scrollWidth") <= width
    browser.save(artefacts / f"empty-{size}.png")


@pytest.mark.parametrize("size", SIZES)
def test_a_link_shows_a_star(browser, archive, size, artefacts):
    browser.open("?row=7&colour=teff_k&s.teff_k=5200", size=size)
    browser.wait("tools.data('traversed').y.length")
    np.testing.assert_allclose(browser.line("selected"), archive.spectrum(7), rtol=1e-5)
    assert browser.run("document.documentElement.scrollWidth") <= SIZES[size][0]
    browser.save(artefacts / f"star-{size}.png")


def test_a_click_on_the_map_changes_the_spectrum(browser, exhibit, archive):
    browser.open("?row=7")
    browser.wait("tools.data('selected').y.length")
    x, y = (archive.coordinate(name) for name in exhibit.choices.axes[:2])
    # The one that lies furthest from all others cannot be missed.
    apart = np.hypot(*(v[:, None] - v for v in (x / np.ptp(x), y / np.ptp(y))))
    row = int(np.argmax((apart + np.diag(np.full(len(x), 9.0))).min(axis=1)))
    assert row != 7
    browser.click_at("map", x[row], y[row])
    browser.wait(f"Math.abs(tools.data('shown').x[0] - ({x[row]})) < 1e-6")
    np.testing.assert_allclose(browser.line("selected"), archive.spectrum(row), rtol=1e-5)
    browser.wait("tools.data('pointed').x.length")  # the pointer names it as well


def test_a_slider_moves_the_orange_line_by_the_decoders_amount(browser, model, stars, archive):
    browser.open("?row=7")
    browser.wait("tools.data('selected').y.length")
    assert len(browser.line("traversed")) == 0
    handle = browser.run("tools.slider('teff_k')")
    for _ in range(5):
        handle.send_keys(Keys.ARROW_RIGHT)
    browser.wait("tools.data('traversed').y.length")
    time.sleep(0.5)
    slider = browser.run(
        "(() => { const m = [...tools.doc()._all_models.values()]"
        ".find(m => (m.title || '').startsWith && (m.title || '').startsWith('teff_k'));"
        " return m.value; })()"
    )
    own = archive.coordinate("teff_k")[7]
    assert slider > own
    wanted = traverse(model, stars.flux[7], "teff_k", [slider])
    shown = browser.line("traversed")
    np.testing.assert_allclose(shown, wanted.flux[0], atol=2e-5)
    change = np.abs(wanted.flux[0] - wanted.reference).max()
    assert change > 1e-4 and np.abs(shown - browser.line("reconstruction")).max() == pytest.approx(
        change, rel=0.05
    )
    browser.run("tools.button('Reset sliders')").click()
    browser.wait("tools.data('traversed').y.length === 0")


def test_search_finds_a_star(browser, archive):
    browser.open()
    browser.type("Find a star", "hd_105")
    browser.wait("tools.data('selected').y.length")
    np.testing.assert_allclose(browser.line("selected"), archive.spectrum(15), rtol=1e-5)
    browser.type("Find a star", "Vega")
    browser.wait("tools.text().includes(\"No star here is called 'Vega'\")")


def test_presets_zoom(browser):
    browser.open("?row=7")
    browser.wait("tools.data('selected').y.length > 300")
    browser.run("tools.button('Mg b')").click()
    browser.wait("tools.model('spectra').x_range.start >= 5155")
    assert browser.run("tools.button('H\u03b1').disabled")
    browser.wait("tools.data('selected').y.length < 400")


def test_names_from_files_are_text(browser):
    browser.open("?row=59")
    browser.wait("tools.data('selected').y.length")
    browser.wait("tools.text().includes('<img src=x')")
    assert browser.run("tools.all('img').filter(e => e.getAttribute('src') === 'x').length") == 0


def test_export_downloads_a_fits_file(browser, archive, downloads):
    browser.open("?row=7")
    browser.wait("tools.data('selected').y.length")
    browser.run("tools.button('FITS')").click()
    path = downloads / "selection.fits"
    end = time.monotonic() + 30
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.1)
    with fits.open(path) as file:
        assert file["SELECTION"].data["row"].tolist() == [7]
        np.testing.assert_allclose(file["SHOWN"].data["selected"], archive.spectrum(7), rtol=1e-6)


def test_a_malformed_link_is_explained(browser):
    browser.open("?row=7&x=%3Cscript%3E")
    browser.wait("tools.text().includes('The link cannot be followed')")
    assert "Click a point of the map" in browser.run("tools.text()")


def test_a_token_lets_the_browser_in_once(driver, serve):
    address = serve(token="right-and-long-enough")
    driver.get(address.partition("?")[0])
    assert "403" in driver.find_element("tag name", "body").text
    Browser(driver, address).open()  # figures come through the web socket
    assert "token" not in driver.current_url
    Browser(driver, address.partition("?")[0]).open("?row=7").wait(
        "tools.data('selected').y.length"
    )


def test_a_browser_that_dies_harms_nobody(browser, downloads):
    """It goes in the middle of an answer."""
    dying = webdriver.ChromeOptions()
    dying.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        dying.add_argument(argument)
    service = Service(DRIVER)
    second = webdriver.Chrome(options=dying, service=service)
    other = Browser(second, browser.address).open("?row=7")
    other.run("tools.slider('teff_k')").send_keys(Keys.ARROW_RIGHT * 20)
    service.process.kill()  # the browser's own processes end with their pipe
    service.process.wait(10)
    browser.open("?row=7")
    browser.wait("tools.data('selected').y.length")
