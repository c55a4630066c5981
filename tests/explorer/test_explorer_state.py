from urllib.parse import urlencode

import numpy as np
import pytest

from specvae.explorer._state import Choices, View, format_view, parse_view

CHOICES = Choices(
    axes=("latent0", "latent1", "PCA 1"),
    colours=("density", "teff_k"),
    names=("HD 1", "a & b=?#", "\u03b1 Cen"),
    sliders={"latent0": (-2.0, 3.0), "teff_k": (4000.0, 7000.0)},
    span=(5000.0, 6000.0),
)
FULL = View(
    "PCA 1", "latent0", "teff_k", 1, "a & b=?#", 5100.5, 5200.25, {"teff_k": 5777.0, "latent0": -1}
)


@pytest.mark.parametrize(
    "view", [FULL, CHOICES.default, View("latent1", "latent1", "density", 2, "\u03b1 Cen")]
)
def test_a_link_brings_the_view_back(view):
    assert parse_view(format_view(view), CHOICES) == (view, "")
    assert parse_view("?" + format_view(view), CHOICES) == (view, "")


def test_no_link_is_no_problem():
    assert parse_view("", CHOICES) == (CHOICES.default, "")
    assert parse_view("?", CHOICES) == (CHOICES.default, "")


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("row=3", "no spectrum '3'"),
        ("row=-1", "no spectrum"),
        ("row=1_0", "no spectrum"),
        ("row=\u0661", "no spectrum"),
        ("row=" + "9" * 5000, "no spectrum"),
        ("row=0&star=HD+2", "made with other spectra"),
        ("row=0&row=1", "twice"),
        ("x=latent7", "no x called 'latent7'"),
        ("x=__class__", "no x called"),
        ("colour=<script>", "no colour called"),
        ("from=5100", "'to' is no number"),
        ("from=5200&to=5100", "window"),
        ("from=1&to=5100", "window"),
        ("from=nan&to=inf", "'from' is no number"),
        ("s.latent0=99", "'latent0' goes from -2 to 3"),
        ("s.latent0=1e999", "no number"),
        ("s.nothing=1", "no slider called"),
        ("bogus=1", "'bogus' means nothing"),
        ("&&&", "nothing in it"),
        ("x", "no x called ''"),
        ("%ff=%fe", "cannot be followed"),
        ("a" * 9000, "longer than"),
        ("&".join(f"k{i}=1" for i in range(500)), "cannot be followed"),
    ],
)
def test_a_malformed_link_gives_the_default_view_and_the_reason(query, says):
    view, problem = parse_view(query, CHOICES)
    assert view == CHOICES.default
    assert says in problem and problem.startswith("The link cannot be followed: ")
    assert len(problem) < 200


def test_no_link_raises_whatever_it_holds():
    rng = np.random.default_rng(0)
    pieces = [*"&=?%#;+\x00", "row", "s.", "x", "latent0", "1", "%zz", "\ud800", "from", "5100"]
    for _ in range(3000):
        query = "".join(rng.choice(pieces, rng.integers(1, 12)))
        view, _ = parse_view(query, CHOICES)
        assert isinstance(view, View)


def test_a_slider_at_its_end_survives_the_digits_of_the_link():
    ends = Choices(("a",), ("density",), (), {"a": (0.123456789, 1.987654321)}, (0.0, 1.0))
    for value in ends.sliders["a"]:
        text = urlencode({"s.a": f"{value:.6g}"})
        view, problem = parse_view(text, ends)
        assert not problem and ends.sliders["a"][0] <= view.sliders["a"] <= ends.sliders["a"][1]


def test_a_window_at_its_ends_survives_the_digits_of_the_link():
    ends = Choices(("a",), ("density",), (), {}, (3781.123456789, 6912.987654321))
    given = View("a", "a", "density", low=ends.span[0], high=5000.12345)
    view, problem = parse_view(format_view(given), ends)
    assert not problem and view.low >= ends.span[0] and view.high == 5000.12345
    assert not parse_view("from=3781.12&to=6912.99", ends).problem
