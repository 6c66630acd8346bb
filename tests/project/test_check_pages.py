"""The check of the rendered pages finds what it is for. The book itself is checked after it is
built, by tools/check_pages.py in the CI script."""

from __future__ import annotations

import sys

import pytest
from notebooks_under_test import ROOT

sys.path.insert(0, str(ROOT / "tools"))

from check_pages import complaints, main

GOOD = """
<html><head><link rel="stylesheet" href="_static/a.css"><script src="mathjax/tex-svg.js"></script>
</head><body><article><h1>Title</h1><h2>Section</h2>
<p>The angle is <span class="math">\\(\\frac12\\)</span> <a href="https://example.org">paper</a></p>
<pre>raw \\frac in code</pre>
<figure id="fig-x"><img src="x.svg" alt="Two curves that fall from left to right.">
<figcaption>Fig. 1 The two angles against the dimension.</figcaption></figure>
</article></body></html>
"""


def test_a_good_page_has_nothing_to_complain_about():
    assert complaints(GOOD) == []


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("mathjax/tex-svg.js", "https://cdn.example.org/m.js", "asks another host"),
        ("_static/a.css", "//fonts.example.org/a.css", "asks another host"),
        ('src="x.svg"', 'src="http://example.org/x.svg"', "asks another host"),
        ("Fig. 1 The two angles against the dimension.", "", "no caption"),
        ("Two curves that fall from left to right.", "_images/figure-12345678.svg", "description"),
        (' alt="Two curves that fall from left to right."', "", "description"),
        ("<h2>Section</h2>", "<h3>Section</h3>", "skips a level"),
        ("The angle is", "The angle is \\frac12", "was not rendered"),
        ("The angle is", "See {numref}`fig-x`", "was not rendered"),
        ("The angle is", "np.float64(3.0)", "was not rendered"),
        (
            "The angle is",
            '<div class="cell_output"><div class="output stderr"><pre>UserWarning: no.</pre></div>'
            "</div>",
            "as a warning does",
        ),
    ],
)
def test_a_bad_page_is_found(old, new, complaint):
    assert old in GOOD
    found = complaints(GOOD.replace(old, new))
    assert len(found) == 1
    assert complaint in found[0]


def test_no_pages_is_an_error(tmp_path, capsys):
    assert main(tmp_path) == 1
    assert "build the book first" in capsys.readouterr().err


def test_a_bad_page_gives_a_code(tmp_path, capsys):
    (tmp_path / "a.html").write_text(GOOD)
    assert main(tmp_path) == 0
    (tmp_path / "b.html").write_text(GOOD.replace("<h2>Section</h2>", "<h4>Section</h4>"))
    assert main(tmp_path) == 1
    assert "b.html: the heading 'Section' skips a level" in capsys.readouterr().out
