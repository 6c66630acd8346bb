"""The page of an interactive figure: built as the book is, and driven by keyboard in a browser.

The browser's part is skipped where there is no Chromium.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from bs4 import BeautifulSoup
from notebooks_under_test import ROOT

sys.path.insert(0, str(ROOT / "tools"))

from check_pages import main

pytestmark = pytest.mark.slow

BROWSER = next(
    (p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None
)

CHAPTER = """\
# ---
# jupyter:
#   bnn_geometry: {}
# ---

# %% [markdown]
# # Two angles
#
# See {numref}`fig-two_angles`.

# %% tags=["parameters"]
preset = "book"  # sizes

# %%
import numpy as np
from bnn_geometry import laws, angles, interactive, plots, theory

generator = np.random.default_rng(1)
figure, axes = plots.new_figure()
interactive.show_histograms(
    [
        interactive.angle_histograms(angles.sample_angles(n, 500, law, generator))
        for law in (laws.UNIFORM, laws.GAUSSIAN)
        for n in (3, 27, 10_000)
    ],
    static=figure,
    name="fig-two_angles",
    caption="The two angles, for vectors of a chosen dimension.",
    alt="An empty plot, in the place of one with curves.",
    n=27,
)
"""


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    """A book with the project's own settings and one chapter, built with warnings as errors."""
    book = tmp_path_factory.mktemp("interactive")
    for name in ("_config.yml", "book/_static", "book/vendor", "book/angle-histograms.js"):
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


class Tab:
    """A page in a headless browser, spoken to in the DevTools protocol over a WebSocket."""

    def __init__(self, profile: Path) -> None:
        self.asked: list[str] = []
        self.errors: list[str] = []
        self.session: dict[str, str] = {}
        self.calls = 0
        self.process = subprocess.Popen(
            [
                BROWSER,
                *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
                *("--disable-background-networking", "--disable-component-update"),
                *("--disable-sync", "--remote-debugging-port=0", f"--user-data-dir={profile}"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        address = profile / "DevToolsActivePort"  # port and path, once it listens
        self.until(lambda: address.exists() and len(address.read_text().split()) == 2)
        port, path = address.read_text().split()
        self.socket = socket.create_connection(("127.0.0.1", int(port)), timeout=20)
        self.stream = self.socket.makefile("rb")
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )
        while self.stream.readline().strip():
            pass
        target = self("Target.createTarget", url="about:blank")["targetId"]
        attached = self("Target.attachToTarget", targetId=target, flatten=True)
        self.session = {"sessionId": attached["sessionId"]}
        self("Network.enable")
        self("Runtime.enable")

    def close(self) -> None:
        self.stream.close()
        self.socket.close()
        self.process.terminate()
        self.process.wait(timeout=20)

    def send(self, text: bytes) -> None:
        # RFC 6455: one text frame, masked (with zeros), its length in 8 bytes
        self.socket.sendall(struct.pack("!BBQI", 0x81, 0xFF, len(text), 0) + text)

    def receive(self) -> bytes:
        text, last = b"", False
        while not last:
            head, length = self.stream.read(2)
            if length > 125:
                size = {126: 2, 127: 8}[length]
                length = int.from_bytes(self.stream.read(size), "big")
            text += self.stream.read(length)
            last = bool(head & 0x80)
        return text

    def __call__(self, method: str, **params: object) -> dict:
        self.calls += 1
        call = {"id": self.calls, "method": method, "params": params, **self.session}
        self.send(json.dumps(call).encode())
        while True:
            answer = json.loads(self.receive())
            if answer.get("id") == self.calls:
                assert "error" not in answer, answer
                return answer["result"]
            if answer["method"] == "Network.requestWillBeSent":
                self.asked.append(answer["params"]["request"]["url"])
            if answer["method"] == "Runtime.exceptionThrown":
                self.errors.append(str(answer["params"]["exceptionDetails"]))

    def until(self, true) -> None:
        for _ in range(400):
            if true():
                return
            time.sleep(0.05)
        raise AssertionError("the browser did not get there in twenty seconds")

    def js(self, expression: str):
        answer = self("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def open(self, page: Path, *, scripts: bool = True) -> None:
        self.resize(1200)
        self("Emulation.setScriptExecutionDisabled", value=not scripts)
        self("Page.navigate", url=page.as_uri())
        self.until(lambda: self.js("document.readyState") == "complete")

    def resize(self, width: int) -> None:
        self(
            "Emulation.setDeviceMetricsOverride",
            **{"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False},
        )

    def press(self, key: str) -> None:
        code = {"Tab": 9, "End": 35, "Home": 36, "ArrowLeft": 37, "ArrowRight": 39, "ArrowDown": 40}
        for kind in ("keyDown", "keyUp"):
            self("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code[key])

    def sees(self, selector: str) -> bool:
        height = f"document.querySelector('{selector}')?.getBoundingClientRect().height"
        return (self.js(height) or 0) > 50


@pytest.fixture
def tab(tmp_path):
    if BROWSER is None:
        pytest.skip("there is no Chromium here to open the page in")
    opened = Tab(tmp_path)
    yield opened
    opened.close()


def test_the_keyboard_moves_the_slider_and_the_list(html, tab):
    tab.open(html / "chapter.html")

    def shown():
        return (
            tab.js("document.querySelector('.angle-histograms input').ariaValueText"),
            tab.js("document.querySelector('.angle-histograms output').value"),
            tab.js("document.querySelector('.angle-histograms [aria-live]').textContent"),
            tab.js("JSON.stringify(document.querySelector('.plot').data[0].y)"),
        )

    label = "document.activeElement.labels?.[0].textContent"
    before = shown()
    assert before[:2] == ("n = 27", "n = 27")
    for _ in range(60):
        tab.press("Tab")
        if tab.js("document.activeElement.type") == "range":
            break
    assert tab.js(label) == "Dimension"
    assert tab.js("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    for key, n in (("ArrowRight", "10,000"), ("ArrowLeft", "27"), ("Home", "3"), ("End", "10,000")):
        tab.press(key)
        now = shown()
        assert now[:2] == (f"n = {n}", f"n = {n}")
        assert now[2].startswith(f"n = {n}, entries uniform on [−1, 1]: the angle between")
        assert now[2] != before[2]
        assert now[3] != before[3]  # another histogram is drawn
        before = now
    tab.press("Tab")
    assert tab.js(label) == "Entries"
    tab.press("ArrowDown")
    assert shown()[2].startswith("n = 10,000, entries standard Gaussian: ")
    assert tab.js("document.querySelector('.plot').data.at(-1).x[0]") == 37.07


def test_the_text_states_what_the_data_say(html, tab):
    tab.open(html / "chapter.html")
    data = json.loads(tab.js("document.querySelector('script.angle-histograms').textContent"))
    law = data["laws"][0]
    both = law["histograms"][1]
    binarized, pairs = both["binarized"], both["pairs"]
    assert tab.js("document.querySelector('.status').textContent") == (
        "n = 27, entries uniform on [−1, 1]: the angle between a vector and its binarization is "
        f"{binarized['mean']:.1f}° on average (standard deviation {binarized['sd']:.2f}°; limit "
        f"30.0°), that between two random vectors {pairs['mean']:.1f}° ({pairs['sd']:.1f}°)."
    )
    for trace, one in enumerate((binarized, pairs)):
        x, y = (
            np.array(
                json.loads(
                    tab.js(f"JSON.stringify(document.querySelector('.plot').data[{trace}].{a})")
                )
            )
            for a in "xy"
        )
        counts = np.array(one["counts"])
        edges = one["start"] + one["width"] * np.arange(len(counts) + 1)
        assert x == pytest.approx(np.r_[edges[0], edges])
        assert y == pytest.approx(np.r_[0, counts / (500 * one["width"]), 0])


def test_the_plot_follows_theme_and_width_and_asks_no_other_host(html, tab):
    tab.open(html / "chapter.html")
    ink = "document.querySelector('.plot .xtick text').style.fill"
    light = tab.js(ink)
    tab.js("document.documentElement.dataset.theme = 'dark'")
    tab.until(lambda: tab.js(ink) != light)
    tab.js("document.documentElement.dataset.theme = 'light'")
    tab.until(lambda: tab.js(ink) == light)
    tab.resize(420)
    drawn = "document.querySelector('.plot .main-svg').getBoundingClientRect().width"
    tab.until(lambda: tab.js(drawn) < 420)
    for scrolled in ("html", "figure"):  # neither does so sideways
        wide = f"(e => e.scrollWidth - e.clientWidth)(document.querySelector('{scrolled}'))"
        assert tab.js(wide) == 0
    assert {url.split(":")[0] for url in tab.asked} <= {"file", "data"}
    assert any("plotly-basic" in url for url in tab.asked)
    assert not [e for e in tab.errors if "angle-histograms" in e or "plotly" in e]


def test_print_and_pages_without_scripts_show_the_static_picture(html, tab):
    def seen():
        return tab.sees("figure .plot"), tab.sees("figure > img")

    tab.open(html / "chapter.html")
    assert seen() == (True, False)
    tab("Emulation.setEmulatedMedia", media="print")
    assert seen() == (False, True)
    tab("Emulation.setEmulatedMedia", media="")
    assert seen() == (True, False)
    tab.open(html / "chapter.html", scripts=False)
    assert seen() == (False, True)
