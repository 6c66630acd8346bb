"""The interactive Figure 2: its data, its notebook, and the check of its page."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml
from bs4 import BeautifulSoup
from notebooks_under_test import ROOT

from bnn_geometry.book import display as notebook
from bnn_geometry.book import interactive, sphinx_interactive
from bnn_geometry.book.plots import style as plots
from bnn_geometry.geometry import angles
from bnn_geometry.geometry.distributions import GAUSSIAN, UNIFORM
from bnn_geometry.geometry.pair_angle import pair_angle_cdf, pair_angle_density
from bnn_geometry.geometry.quantizers import limit_angle

sys.path.insert(0, str(ROOT / "tools"))

from check_pages import complaints

TEXTS = {
    "name": "fig-two_angles",
    "caption": "Two angles, for vectors of a chosen dimension.",
    "alt": "A line that rises.",
}
JSON_OF_SVG = re.compile(r'<metadata id="angle-histograms">(.*?)</metadata>', re.S)


def sample(n, law=GAUSSIAN, samples=4000, seed=7):
    return angles.sample_angles(n, samples, law, np.random.default_rng([seed, n]))


def figure():
    made, axes = plots.new_figure()
    axes[0, 0].plot([0, 1])
    return made


def both(dimensions=(3, 27), laws=(UNIFORM, GAUSSIAN), samples=50):
    return [
        interactive.angle_histograms(
            sample(n, law, samples), pair_density=lambda t, n=n: pair_angle_density(t, n)
        )
        for law in laws
        for n in dimensions
    ]


# --- histograms ---------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 3, 27, 1000])
def test_bins_hold_what_the_exact_law_says(n):
    """Directions of Gaussian vectors are uniform on the sphere, so that the law is exact."""
    drawn = sample(n)
    made = interactive.histogram(drawn.pair_angle)
    edges = made.start + made.width * np.arange(len(made.counts) + 1)
    p = np.diff(pair_angle_cdf(edges, n))
    expected, sd = p * 4000, np.sqrt(p * (1 - p) * 4000)
    often = expected > 20  # where the normal law of a count is good enough
    assert often.sum() >= 10
    assert np.all(np.abs(made.counts - expected)[often] < 4.5 * sd[often])


@pytest.mark.parametrize(
    ("sd", "width"),
    [(0.0, 2), (0.01, 0.1), (0.7, 0.1), (0.9, 0.2), (3.5, 0.5), (7, 1.0), (12, 2.0), (30, 2)],
)
def test_bins_are_an_eighth_of_the_spread(sd, width):
    made = interactive.histogram(np.array([90 - sd, 90 + sd]))
    assert made.width == width
    assert made.sd == pytest.approx(sd)
    assert made.mean == pytest.approx(90)
    assert made.counts.sum() == 2


def test_bins_go_from_the_first_angle_to_the_last():
    made = interactive.histogram(np.array([20.0, 21.9, 24.1, 100.0, 160.0]))
    assert (made.start, made.width, len(made.counts)) == (20, 2, 71)
    assert made.counts[[0, 2, 40, 70]].tolist() == [2, 1, 1, 1]
    assert made.counts.sum() == 5


def test_a_straight_angle_is_in_the_last_bin():
    made = interactive.histogram(np.array([0.0, 180.0]))
    assert made.start + made.width * len(made.counts) == 180
    assert made.counts[[0, -1]].tolist() == [1, 1]


@pytest.mark.parametrize("bad", [[], [np.nan], [-1.0, 90.0], [180.5]])
def test_what_is_no_angle_is_refused(bad):
    with pytest.raises(ValueError, match="between 0 and 180"):
        interactive.histogram(np.array(bad))


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
def test_what_is_no_density_is_refused(value):
    with pytest.raises(ValueError, match=r"negative or not finite between 9° and 21°"):
        interactive.histogram(np.array([10.0, 20.0]), lambda t: np.where(t > 15, value, 1.0))


@pytest.mark.parametrize("n", [3, 1000])
def test_the_density_covers_the_sample(n):
    drawn = sample(n, samples=2000)
    made = interactive.angle_histograms(drawn, pair_density=lambda t: pair_angle_density(t, n))
    grid = made.pairs.density_start + made.pairs.density_step * np.arange(161)
    assert grid[0] <= drawn.pair_angle.min()
    assert grid[-1] >= drawn.pair_angle.max() - 1e-9
    # the grid is made anew here, so that its points differ by rounding
    assert made.pairs.density == pytest.approx(pair_angle_density(grid, n), rel=1e-9)
    # trapezoids: what is left out are tails that 2000 pairs did not reach
    assert np.trapezoid(made.pairs.density, grid) == pytest.approx(1, abs=5 / 2000)
    assert made.binarized.density.size == 0


def test_a_constant_density_is_one():
    made = interactive.histogram(np.array([10.0, 90.0]), lambda t: 1 / 180)
    assert made.density.tolist() == [1 / 180] * 161


def test_a_histogram_says_of_what_it_is():
    drawn = sample(10, UNIFORM)
    made = interactive.angle_histograms(drawn, binarized_density=np.zeros_like)
    assert (made.law, made.n) == (UNIFORM.name, 10)
    assert made.limit == limit_angle(UNIFORM)
    assert made.binarized.mean == pytest.approx(drawn.binarized_angle.mean())
    assert made.pairs.sd == pytest.approx(drawn.pair_angle.std())
    assert (len(made.binarized.density), len(made.pairs.density)) == (161, 0)


# --- data of the page ---------------------------------------------------------------------------


def test_data_are_in_the_order_in_which_they_are_offered():
    made = both(dimensions=(27, 3, 100))
    data = json.loads(interactive.as_json(made, n=27))
    assert data["dimensions"] == [3, 27, 100]
    assert data["dimensions"][data["first"]] == 27
    assert [law["name"] for law in data["laws"]] == [UNIFORM.name, GAUSSIAN.name]
    assert [law["limit"] for law in data["laws"]] == [30, 37.07]
    for h in made:
        law = [law["name"] for law in data["laws"]].index(h.law)
        stored = data["laws"][law]["histograms"][data["dimensions"].index(h.n)]
        for kind in ("binarized", "pairs"):
            one = getattr(h, kind)
            assert stored[kind]["counts"] == one.counts.tolist()
            assert stored[kind]["start"] == pytest.approx(one.start)
            assert stored[kind]["width"] == one.width
            assert stored[kind]["mean"] == pytest.approx(one.mean, abs=0.005)
            assert stored[kind]["sd"] == pytest.approx(one.sd, abs=0.005)
            assert stored[kind]["density"] == pytest.approx(one.density, rel=1e-3)
    assert json.loads(interactive.as_json(made))["first"] == 0


def test_data_are_small_and_hold_no_markup():
    dimensions = (2, 3, 5, 10, 27, 100, 300, 1000, 3000, 10_000)
    made = [
        interactive.angle_histograms(
            sample(n, samples=100),
            binarized_density=lambda t: np.exp(-t),
            pair_density=lambda t: np.exp(-t),
        )
        for n in dimensions
    ]
    laws = [dataclasses.replace(h, law=f"</script>&{i}") for h in made for i in range(3)]
    text = interactive.as_json(laws)
    assert not re.search("[<>&]", text)
    assert json.loads(text)["laws"][0]["name"] == "</script>&0"
    assert len(text.encode()) < 200_000


@pytest.mark.parametrize(
    ("change", "n", "message"),
    [
        (lambda made: [], None, "at least one"),
        (lambda made: [*made, made[0]], None, "occur twice"),
        (lambda made: made[:-1], None, "standard Gaussian, n = 27: give every law"),
        (lambda made: made, 28, r"n = 28 .* dimensions are \[3, 27\]"),
    ],
)
def test_data_that_make_no_figure_are_refused(change, n, message):
    with pytest.raises(ValueError, match=message):
        interactive.as_json(change(both()), n=n)


# --- the notebook -------------------------------------------------------------------------------


@pytest.fixture
def displayed(monkeypatch):
    """What was displayed: the list grows by (data, metadata)."""
    calls = []
    monkeypatch.setattr(
        notebook, "display", lambda data, *, raw, metadata: calls.append((data, metadata))
    )
    return calls


def test_a_notebook_shows_the_static_picture_with_the_data_in_it(displayed):
    made = both()
    interactive.show_histograms(made, static=figure(), n=27, **TEXTS)
    notebook.show(figure(), **TEXTS)
    (with_data, options), (plain, plain_options) = displayed
    assert options == plain_options
    assert with_data["text/plain"] == "Figure: fig-two_angles"
    svg = with_data["image/svg+xml"]
    assert JSON_OF_SVG.search(svg)[1] == interactive.as_json(made, n=27)
    assert JSON_OF_SVG.sub("", svg).replace("\n</svg>", "</svg>") == plain["image/svg+xml"]
    ElementTree.fromstring(svg)  # still well-formed


@pytest.mark.parametrize("missing", TEXTS)
def test_a_figure_without_name_caption_or_alt_is_refused(missing, displayed):
    with pytest.raises(ValueError, match=f"needs a {missing}"):
        interactive.show_histograms(both(), static=figure(), **TEXTS | {missing: ""})
    assert displayed == []


def test_the_page_gets_the_data_and_the_plain_picture(displayed):
    interactive.show_histograms(both(), static=figure(), **TEXTS)
    notebook.show(figure(), **TEXTS)
    cells = [
        {"cell_type": "code", "outputs": [{"data": data, "metadata": metadata}]}
        for data, metadata in displayed
    ]
    prose = {"cell_type": "markdown", "source": "angle-histograms"}
    page = sphinx_interactive.place_data({"cells": [*cells, prose]})
    shown, raw, plain, after = page["cells"]
    assert shown == plain
    assert after == prose
    assert (raw["cell_type"], raw["metadata"]) == ("raw", {"format": "text/html"})
    script = BeautifulSoup(raw["source"], "html.parser").script
    assert script["data-figure"] == "fig-two-angles"  # the id that docutils makes of the name
    assert script.string == interactive.as_json(both())


def test_scripts_are_loaded_by_pages_with_such_a_figure_alone():
    loaded = []
    app = SimpleNamespace(add_js_file=lambda name, **options: loaded.append((name, options)))
    for body in ("<p>angle-histograms</p>", ""):
        sphinx_interactive.load_scripts(app, "a", "page.html", {"body": body}, None)
    sphinx_interactive.load_scripts(app, "a", "page.html", {}, None)
    assert loaded == []
    for kind, scripts in sphinx_interactive.SCRIPTS.items():
        loaded.clear()
        body = f'<script class="{kind}">{{}}</script>'
        sphinx_interactive.load_scripts(app, "a", "page.html", {"body": body}, None)
        assert loaded == [(script, {"loading_method": "defer"}) for script in scripts]


# --- what is served -----------------------------------------------------------------------------


def test_the_scripts_are_the_books_own():
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["sphinx"]
    assert "bnn_geometry.book.sphinx_interactive" in config["extra_extensions"]
    scripts = {path.name for path in (ROOT / "book").glob("*.js")}
    assert {"vendor", *scripts} == set(config["config"]["html_extra_path"])
    vendored = ROOT / "book" / "vendor" / "plotly"
    assert "MIT License" in (vendored / "LICENSE").read_text(encoding="utf-8")
    assert "plotly.js (basic - minified) v4." in (vendored / "plotly-basic.min.js").read_text(
        encoding="utf-8"
    )
    for script in scripts:
        own = (ROOT / "book" / script).read_text(encoding="utf-8")
        assert not re.search(r"https?:|//\w", own)


def test_every_colour_is_named_in_both_themes():
    script = (ROOT / "book" / "angle-histograms.js").read_text(encoding="utf-8")
    css = (ROOT / "book" / "_static" / "book.css").read_text(encoding="utf-8")
    used = set(re.findall(r'colour\("([\w-]+)"\)', script))
    assert used
    for selector in (
        r"\n\.angle-histograms,\n\.binarized-vector,\n\.rotated-signs \{",
        r'html\[data-theme="dark"\] \.rotated-signs \{',
    ):
        block = re.search(selector + "(.*?)}", css, re.S)[1]
        assert used == set(re.findall(r"--([\w-]+):", block))


GOOD = """
<html><head><script defer src="_static/../plotly/plotly-basic.min.js?v=1"></script>
<script defer src="_static/../angle-histograms.js?v=1"></script></head><body><article><h1>T</h1>
<figure id="fig-x"><img src="x.svg" alt="Two curves that fall from left to right.">
<figcaption>Fig. 1 The two angles against the dimension.</figcaption></figure>
<script type="application/json" class="angle-histograms" data-figure="fig-x">{"laws":[1]}</script>
</article></body></html>
"""


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("", "", None),
        ('id="fig-x"', 'id="fig-y"', "fig-x has no static picture"),
        ('<img src="x.svg" alt="Two curves that fall from left to right.">', "", "no static"),
        ("Two curves that fall from left to right.", "x.svg", "no description"),
        ("Fig. 1 The two angles against the dimension.", "", "no caption"),
        ('{"laws":[1]}', '{"laws":[1', "has no data"),
        ('{"laws":[1]}', '{"laws":[]}', "has no data"),
        ('{"laws":[1]}', "", "has no data"),
        ("_static/../plotly/", "https://cdn.example.org/", "asks another host"),
        ("plotly-basic.min.js", "other.js", "does not load plotly-basic.min.js"),
        ("../angle-histograms.js", "../other.js", "does not load angle-histograms.js"),
    ],
)
def test_pages_are_checked(old, new, complaint):
    assert old in GOOD
    found = complaints(GOOD.replace(old, new))
    assert len(found) == (complaint is not None)
    assert all(complaint in one for one in found)


def test_a_page_that_draws_nothing_must_not_load_the_scripts():
    found = complaints(GOOD.replace('class="angle-histograms"', ""))
    assert found == [
        "it loads plotly-basic.min.js, but draws nothing",
        "it loads angle-histograms.js, but draws nothing",
    ]
