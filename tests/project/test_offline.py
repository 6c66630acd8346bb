"""A page that asks for more than the book's own files is found by opening it in a browser. The book
itself is opened after it is built, in the CI script."""

from __future__ import annotations

import sys

import pytest
from notebooks_under_test import ROOT

sys.path.insert(0, str(ROOT / "tools"))

import check_offline

PROGRAM = check_offline.find_browser()
needs_browser = pytest.mark.skipif(PROGRAM is None, reason="no Chromium on this machine")

GOOD = """<!doctype html><html><head><link rel="stylesheet" href="_static/a.css">
<link rel="canonical" href="https://book.example/good.html"></head>
<body><p>To <a href="https://paper.example/">the paper</a></p>
<img src="a.svg" alt=""><img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=" alt="">
<script>fetch("more.json"); new Worker(URL.createObjectURL(new Blob(["1"])));</script>
</body></html>"""

HOST = "https://host.example"

ASKING = {
    "//host.example/script.js": '<script src="//host.example/script.js"></script>',
    f"{HOST}/style.css": f'<link rel="stylesheet" href="{HOST}/style.css">',
    f"{HOST}/import.css": f'<style>@import url("{HOST}/import.css");</style>',
    f"{HOST}/font.woff2": (
        f'<style>@font-face {{ font-family: far; src: url("{HOST}/font.woff2"); }}'
        "p { font-family: far; }</style><p>text</p>"
    ),
    f"{HOST}/image.png": f'<img src="{HOST}/image.png" alt="">',
    f"{HOST}/folded.png": (
        f'<details><summary>more</summary><img loading="lazy" src="{HOST}/folded.png"></details>'
    ),
    f"{HOST}/unfold": f"<details ontoggle=\"fetch('{HOST}/unfold')\">more</details>",
    f"{HOST}/scroll": f'<script>onscroll = () => fetch("{HOST}/scroll")</script>',
    f"{HOST}/fetch": f'<script>fetch("{HOST}/fetch").catch(() => 0)</script>',
    f"{HOST}/late": f'<script>setTimeout(() => fetch("{HOST}/late"), 200)</script>',
    f"{HOST}/beacon": f'<script>navigator.sendBeacon("{HOST}/beacon", "x")</script>',
    "wss://host.example/socket": '<script>new WebSocket("wss://host.example/socket")</script>',
    f"{HOST}/frame": f'<iframe src="{HOST}/frame"></iframe>',
    f"{HOST}/worker": (
        f"<script>new Worker(URL.createObjectURL(new Blob(['fetch(\"{HOST}/worker\")'])))</script>"
    ),
    f"{HOST}/?q=angle": (
        '<input type="search"><script>document.querySelector("input").addEventListener('
        f'"input", e => fetch("{HOST}/?q=" + e.target.value))</script>'
    ),
    "file:///etc/hostname": '<script>fetch("file:///etc/hostname")</script>',
    "nowhere.png": '<img src="nowhere.png" alt="">',
    "elsewhere/path.png": '<img src="/elsewhere/path.png" alt="">',
    f"{HOST}/lazy.png": (
        f'<p style="height: 9000px"></p><img loading="lazy" src="{HOST}/lazy.png" alt="">'
    ),
}
"""What a page may ask for in vain, and a page that does."""


@pytest.fixture(scope="module")
def wanted(tmp_path_factory):
    """What each page of a small book asks for in vain."""
    folder = tmp_path_factory.mktemp("book")
    (folder / "_static").mkdir()
    (folder / "_static" / "a.css").write_text("p { color: black; }")
    (folder / "_static" / "part.html").write_text("no page")
    (folder / "a.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    (folder / "more.json").write_text("{}")
    (folder / "good.html").write_text(GOOD)
    (folder / "bad.html").write_text("<!doctype html><body>" + "".join(ASKING.values()))
    (folder / "leaving.html").write_text(f'<script>location.replace("{HOST}/away")</script>')
    return check_offline.check(folder, PROGRAM)


@needs_browser
def test_a_page_of_the_book_asks_for_its_files_alone(wanted):
    assert wanted["good.html"] == []
    assert set(wanted) == {"good.html", "bad.html", "leaving.html"}


@needs_browser
@pytest.mark.parametrize("address", ASKING)
def test_what_a_page_asks_of_another_host_is_found(wanted, address):
    assert sum(address in found for found in wanted["bad.html"]) == 1, wanted["bad.html"]


@needs_browser
def test_nothing_else_is_found(wanted):
    assert len(wanted["bad.html"]) == len(ASKING), wanted["bad.html"]
    assert wanted["leaving.html"] == [f"{HOST}/away (document)"]


@needs_browser
def test_the_verdict_is_a_sentence_for_each_page_and_a_code(tmp_path, capsys):
    assert check_offline.main([str(tmp_path)]) == 1
    assert "build the book first" in capsys.readouterr().err
    (tmp_path / "a.html").write_text("<!doctype html><p>text</p>")
    assert check_offline.main([str(tmp_path)]) == 0
    assert capsys.readouterr().out == "1 pages opened, nothing asked of another host\n"
    bad = ASKING[f"{HOST}/style.css"] + ASKING[f"{HOST}/image.png"]
    (tmp_path / "b.html").write_text("<!doctype html>" + bad)
    assert check_offline.main([str(tmp_path)]) == 1
    assert capsys.readouterr().out == (
        "b.html asks for what is no file of the book: "
        f"{HOST}/style.css (stylesheet), {HOST}/image.png (image).\n"
    )


def test_without_a_browser_it_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(check_offline.shutil, "which", lambda name: None)
    assert check_offline.main([str(tmp_path)]) == 1
    assert "No browser" in capsys.readouterr().err


def test_a_browser_that_ends_gives_no_verdict(tmp_path, monkeypatch, capsys):
    (tmp_path / "a.html").write_text("<!doctype html><p>text</p>")
    monkeypatch.setattr(check_offline, "find_browser", lambda: "/bin/true")
    assert check_offline.main([str(tmp_path)]) == 1
    assert "has ended" in capsys.readouterr().err
