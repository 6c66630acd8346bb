"""A page that asks for more than the book's own files is found by opening it in a browser. The book
itself is opened after it is built, in the CI script."""

from __future__ import annotations

import sys

import pytest
from notebooks_under_test import ROOT

sys.path.insert(0, str(ROOT / "tools"))

import check_offline
from browser import find_browser

needs_browser = pytest.mark.skipif(find_browser() is None, reason="no Chromium on this machine")

GOOD = """<!doctype html><html><head><link rel="stylesheet" href="_static/a.css">
<link rel="canonical" href="https://book.example/good.html"></head>
<body><p>To <a href="https://paper.example/">the paper</a></p>
<img src="a.svg" alt=""><img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=" alt="">
<script>new Worker(URL.createObjectURL(new Blob(["1"])));</script>
</body></html>"""

HOST = "https://host.example"

ASKING = {
    "file://host.example/script.js": '<script src="//host.example/script.js"></script>',
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
    "nowhere.png": '<img src="nowhere.png" alt="">',
    "file:///elsewhere/path.png": '<img src="/elsewhere/path.png" alt="">',
    f"{HOST}/lazy.png": (
        f'<p style="height: 9000px"></p><img loading="lazy" src="{HOST}/lazy.png" alt="">'
    ),
}
"""What a page may ask for in vain, and a page that does."""


@needs_browser
def test_what_a_page_asks_for_in_vain_is_found_and_nothing_else(tmp_path):
    (tmp_path / "_static").mkdir()
    (tmp_path / "_static" / "a.css").write_text("p { color: black; }")
    (tmp_path / "_static" / "part.html").write_text("no page")
    (tmp_path / "a.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    (tmp_path / "good.html").write_text(GOOD)
    (tmp_path / "bad.html").write_text("<!doctype html><body>" + "".join(ASKING.values()))
    (tmp_path / "failing.html").write_text("<script>console.error('no'); lost()</script>")
    found = check_offline.check(tmp_path)
    assert set(found) == {"good.html", "bad.html", "failing.html"}
    assert found["good.html"] == []
    asked = [one.split()[2] for one in found["bad.html"] if one.startswith("asks for")]
    assert sorted(asked) == sorted(ASKING)
    assert f"asks for {HOST}/image.png (image)" in found["bad.html"]
    assert found["failing.html"] == [
        "writes to the console: no",
        "writes to the console: lost is not defined",
    ]


def test_the_verdict_is_a_sentence_for_each_page_and_a_code(monkeypatch, capsys):
    monkeypatch.setattr(check_offline, "find_browser", lambda: "chromium")
    found = {"a.html": [], "b.html": []}
    monkeypatch.setattr(check_offline, "check", lambda folder: found)
    assert check_offline.main([]) == 0
    assert capsys.readouterr().out.startswith("2 pages opened")
    found["b.html"] += ["asks for this", "asks for that"]
    assert check_offline.main([]) == 1
    assert capsys.readouterr().out == "b.html: asks for this; asks for that.\n"
    found.clear()
    assert check_offline.main([]) == 1
    assert "build the book first" in capsys.readouterr().err
    monkeypatch.setattr(check_offline, "find_browser", lambda: None)
    assert check_offline.main([]) == 1
    assert "No browser" in capsys.readouterr().err
