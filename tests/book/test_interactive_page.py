"""The page of an interactive figure: built as the book is, and driven by keyboard in a browser.

The browser's part is skipped where there is no Chromium.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from bs4 import BeautifulSoup
from notebooks_under_test import ROOT

sys.path.insert(0, str(ROOT / "tools"))

from browser import find_browser, opened
from check_pages import main

pytestmark = pytest.mark.slow

CHAPTER = """\
# ---
# jupyter:
#   sphinx_papermill: {}
# ---

# %% [markdown]
# # Two angles
#
# See {numref}`fig-two_angles`.

# %% tags=["parameters"]
preset = "book"  # sizes

# %%
import numpy as np
from bnn_geometry.book import interactive
from bnn_geometry.book.plots import style
from bnn_geometry.geometry import angles, distributions

generator = np.random.default_rng(1)
figure, axes = style.new_figure()
interactive.show_histograms(
    [
        interactive.angle_histograms(angles.sample_angles(n, 500, law, generator))
        for law in (distributions.UNIFORM, distributions.GAUSSIAN)
        for n in (3, 27, 10_000)
    ],
    static=figure,
    name="fig-two_angles",
    caption="The two angles, for vectors of a chosen dimension.",
    alt="An empty plot, in the place of one with curves.",
    n=27,
)

# %%
import pandas as pd
from bnn_geometry.book import filters
from bnn_geometry.book.display import Origin

filters.show_filters(
    pd.DataFrame(generator.uniform(-1, 1, (4, 27)), columns=[f"w{i}" for i in range(27)]),
    pd.DataFrame(generator.integers(0, 256, (9, 27)), columns=[f"p{i}" for i in range(27)]),
    pd.Series([0.5, 0.25, 0.75, 0.9]),
    name="fig-filters",
    caption="Filters of a first layer.",
    origin=Origin(),
    alt="Three filters with their clouds.",
)

# %%
from bnn_geometry.book import rotated_signs

cloud = np.array([[1.0, 0.25], [1.0, -0.25], [0.5, 0.1]])
rotated_signs.show_signs(
    cloud,
    {"as it is": cloud, "turned": -cloud},
    {"as they are": pd.DataFrame({"angle": [60.0, 40.0]}, ["a", "b"])},
    37.07,
    name="fig-signs",
    caption="A cloud in the plane and its signs.",
    origin=Origin(),
    alt="Three points and four codes.",
)

# %% [markdown]
# See {numref}`fig-filters` and {numref}`fig-signs`.

# %%
from IPython.display import display
from bnn_geometry.book import ledger, ledger_page

display({"text/html": ledger_page.board(ledger.ledger("smoke"))}, raw=True)

# %%
play = '<div><input type="checkbox" id="play"> <label for="play">Play</label></div>'
display({"text/html": play}, raw=True)
"""


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    """A book with the project's own settings and one chapter, built with warnings as errors."""
    book = tmp_path_factory.mktemp("interactive")
    scripts = [f"book/{path.name}" for path in (ROOT / "book").glob("*.js")]
    for name in ("_config.yml", "book/_static", "book/vendor", *scripts):
        (book / Path(name).name).symlink_to(ROOT / name)
    (book / "references.bib").touch()
    (book / "_toc.yml").write_text("format: jb-book\nroot: index\nchapters: [{file: chapter}]\n")
    (book / "index.md").write_text("# Index\n")
    (book / "chapter.py").write_text(CHAPTER)
    done = subprocess.run(
        [Path(sys.executable).with_name("jupyter-book"), "build", ".", "-W", "-n", "--keep-going"],
        cwd=book,
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return book / "_build" / "html"


def test_the_page_has_a_numbered_figure_and_its_data(html):
    page = BeautifulSoup((html / "chapter.html").read_text(encoding="utf-8"), "html.parser")
    made = page.find("figure", id="fig-two-angles")
    assert made.figcaption.get_text().strip().startswith("Fig. 1 The two angles")
    assert page.find("a", href="#fig-two-angles").get_text() == "Fig. 1"
    assert "metadata id" not in (html / made.img["src"]).read_text(encoding="utf-8")
    data = json.loads(page.find("script", class_="angle-histograms").string)
    assert data["dimensions"] == [3, 27, 10_000]


def test_the_built_pages_pass_the_check_and_a_lost_script_does_not(html, tmp_path, capsys):
    assert main(html) == 0
    assert "plotly" not in (html / "index.html").read_text(encoding="utf-8")
    for page in html.glob("*.html"):
        shutil.copy(page, tmp_path)
    capsys.readouterr()
    assert main(tmp_path) == 1
    assert re.findall(
        r"chapter.html: it loads .*?/([\w.-]+), which is not", capsys.readouterr().out
    )


@pytest.fixture(scope="module")
def visit(html):
    """Opens pages of the small book in one browser."""
    if find_browser() is None:
        pytest.skip("there is no Chromium here to open the page in")
    with opened(html) as visit:
        yield visit


def test_the_keyboard_moves_the_slider_and_the_list(visit):
    page = visit("chapter.html").page
    slider, entries = (page.get_by_label(name, exact=True) for name in ("Dimension", "Entries"))
    focused = "element => element === document.activeElement"

    def shown():
        return (
            slider.get_attribute("aria-valuetext"),
            page.locator(".angle-histograms output").text_content(),
            page.locator(".angle-histograms [aria-live]").text_content(),
            page.evaluate("document.querySelector('.plot').data[0].y.join()"),
        )

    before = shown()
    assert before[:2] == ("n = 27", "n = 27")
    for _ in range(60):
        page.keyboard.press("Tab")
        if slider.evaluate(focused):
            break
    assert slider.evaluate("element => getComputedStyle(element).outlineStyle") == "solid"
    for key, n in (("ArrowRight", "10,000"), ("ArrowLeft", "27"), ("Home", "3"), ("End", "10,000")):
        page.keyboard.press(key)
        now = shown()
        assert now[:2] == (f"n = {n}", f"n = {n}")
        assert now[2].startswith(f"n = {n}, entries uniform on [−1, 1]: the angle between")
        assert now[2] != before[2]
        assert now[3] != before[3]  # another histogram is drawn
        before = now
    page.keyboard.press("Tab")
    assert entries.evaluate(focused)
    page.keyboard.press("ArrowDown")
    assert shown()[2].startswith("n = 10,000, entries standard Gaussian: ")
    assert page.evaluate("document.querySelector('.plot').data.at(-1).x[0]") == 37.07


def test_the_text_and_the_plot_state_what_the_data_say(visit):
    page = visit("chapter.html").page
    data = json.loads(page.locator("script.angle-histograms").text_content())
    both = data["laws"][0]["histograms"][1]
    binarized, pairs = both["binarized"], both["pairs"]
    assert page.locator(".angle-histograms .status").text_content() == (
        "n = 27, entries uniform on [−1, 1]: the angle between a vector and its binarization is "
        f"{binarized['mean']:.1f}° on average (standard deviation {binarized['sd']:.2f}°; limit "
        f"30.0°), that between two random vectors {pairs['mean']:.1f}° ({pairs['sd']:.1f}°)."
    )
    drawn = page.evaluate(
        "document.querySelector('.plot').data.map(({x, y}) => [Array.from(x), Array.from(y)])"
    )
    for (x, y), one in zip(drawn, (binarized, pairs), strict=False):
        counts = np.array(one["counts"])
        edges = one["start"] + one["width"] * np.arange(len(counts) + 1)
        assert x == pytest.approx(np.r_[edges[0], edges])
        assert y == pytest.approx(np.r_[0, counts / (500 * one["width"]), 0])


def test_a_vector_is_turned_by_keys_and_dragged(visit):
    page = visit("chapter.html").page
    vector, said = page.locator("svg.vector"), page.locator(".binarized-vector .status")
    before = said.text_content()
    assert before.startswith(
        "n = 2: the vector (0.94, 0.33) is 25.7° from its binarization (+1, +1)"
    )
    vector.focus()
    for _ in range(20):
        page.keyboard.press("ArrowRight")  # by 60° in all
    assert "from its binarization (+1, −1); an axis is 45.0°" in said.text_content()
    page.get_by_role("button", name="n = 3").click()
    assert said.text_content().startswith("n = 3: ")
    box = vector.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + box["height"] * 0.7)
    page.mouse.up()
    moved = said.text_content()
    assert moved != before
    angle = float(re.search(r"is ([\d.]+)° from", moved)[1])
    v = [float(x) for x in re.search(r"vector \((.*?)\)", moved)[1].replace("−", "-").split(",")]
    cosine = np.abs(v).sum() / np.sqrt(3) / np.linalg.norm(v)
    assert angle == pytest.approx(np.degrees(np.arccos(cosine)), abs=1)


def test_the_filters_are_shown_one_at_a_time_by_their_correlation(visit):
    page = visit("chapter.html").page
    said = page.locator(".first-layer .status")
    assert said.text_content().startswith("Filter 1, 1 of 4 from the lowest r: r = 0.25")
    page.get_by_label("Filter, by its r").press("End")
    assert said.text_content().startswith("Filter 3, 4 of 4 from the lowest r: r = 0.90")
    assert page.locator(".first-layer svg.patch").count() == 2
    assert page.locator(".first-layer circle.dot").count() == 9


def test_the_cloud_is_rotated_by_keys_and_its_signs_are_counted_and_spoken(visit):
    page = visit("chapter.html").page
    said, slider = page.locator(".rotated-signs .status"), page.get_by_label("Rotate the cloud")
    mean = 45 - np.degrees(np.arctan([0.25, 0.25, 0.2])).mean()
    assert said.text_content() == (
        f"Rotated by 0°, the vectors are {mean:.1f}° from their signs in the mean; over all "
        "rotations, 22.5°. Of 3 vectors 2 share the code (+1, +1), 1 share the code (+1, −1)."
    )
    for _ in range(15):
        slider.press("ArrowRight")  # by 45° in all
    assert slider.get_attribute("aria-valuetext") == "45 degrees"
    assert "3 share the code (+1, +1)." in said.text_content()
    assert page.locator(".rotated-signs circle.dot").count() == 3
    assert page.locator(".rotated-signs rect.idle").count() == 3
    assert page.locator("#fig-signs img").is_visible()  # beside it, and alone in print
    page.emulate_media(media="print")
    assert not page.locator(".rotated-signs svg").is_visible()
    assert page.locator("#fig-signs img").is_visible()


def test_the_plot_follows_theme_and_width_and_asks_no_other_host(visit, html):
    one = visit("chapter.html")
    page = one.page
    ink = "document.querySelector('.plot .xtick text').style.fill"
    light = page.evaluate(ink)
    for theme, same in (("dark", "!=="), ("light", "===")):
        page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
        page.wait_for_function(f"{ink} {same} '{light}'")
    page.set_viewport_size({"width": 420, "height": 900})
    drawn = "document.querySelector('.plot .main-svg').getBoundingClientRect().width"
    page.wait_for_function(f"{drawn} < 420")
    for scrolled in ("html", "figure"):  # neither does so sideways
        wide = page.locator(scrolled).first.evaluate("e => e.scrollWidth - e.clientWidth")
        assert wide == 0
    assert all(url.startswith(html.as_uri()) for url in one.asked)
    assert any("plotly-basic" in url for url in one.asked)
    assert one.errors == []


def test_print_and_pages_without_scripts_show_the_static_picture(visit):
    def seen(page):
        plot = page.locator("figure .plot")
        picture = page.locator("figure:has(.angle-histograms) > img, #fig-two-angles > img").first
        return plot.is_visible(), picture.is_visible()

    page = visit("chapter.html").page
    assert seen(page) == (True, False)
    page.emulate_media(media="print")
    assert seen(page) == (False, True)
    page.emulate_media(media="screen")
    assert seen(page) == (True, False)
    assert seen(visit("chapter.html", java_script_enabled=False).page) == (False, True)


def test_print_has_figures_no_taller_than_half_a_page_and_nothing_to_switch_on(visit):
    page = visit("chapter.html").page
    control, label = page.locator("#play"), page.locator("label[for=play]")
    assert control.is_visible()
    page.emulate_media(media="print")
    assert not control.is_visible()
    assert not label.is_visible()
    for picture in page.locator("figure img").all():
        assert picture.bounding_box()["height"] <= 12.5 / 2.54 * 96 + 1


def test_the_board_is_read_in_the_dark(visit):
    page = visit("chapter.html", color_scheme="dark").page
    below = page.locator(".text_html:has(.board)").evaluate("e => getComputedStyle(e).background")
    assert below.startswith("rgba(0, 0, 0, 0)")  # the page's own, to which the letters are light
    board = page.locator(".board")
    for verdict in page.locator(".board .verdict").all()[:3]:  # no word runs into the next
        title = verdict.locator("xpath=../a").bounding_box()
        box = verdict.bounding_box()
        assert box["x"] + box["width"] < title["x"]
    assert board.evaluate("e => e.scrollWidth <= e.clientWidth")
