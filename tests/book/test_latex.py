"""The book as LaTeX: figures are there, and what only a browser shows has another form."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from html import unescape
from pathlib import Path

import pytest
from notebooks_under_test import NOTEBOOKS, ROOT

from bnn_geometry.book import sphinx_latex

CHAPTER = """\
# ---
# jupyter:
#   sphinx_papermill: {}
# ---

# %% [markdown]
# # Everything once
#
# A σ ≤ √2 in {numref}`fig-line`, {numref}`fig-two-angles` and {numref}`fig-last`; {claim}`ste`.
# There are {glue:text}`many:.1f`, by {ref}`the theorem <theorem-line>`.
#
# :::{admonition} Theorem
# :name: theorem-line
# It rises.
# :::

# %% tags=["parameters"]
preset = "book"  # sizes

# %%
import numpy as np
import pandas as pd
from IPython.display import display
from bnn_geometry.book import interactive, ledger, ledger_page, ledger_table, plots
from bnn_geometry.book.display import glue, show, table
from bnn_geometry.geometry import angles, distributions

def line():
    figure, [[ax]] = plots.new_figure()
    ax.plot([0, 1], [0, 1])
    return figure

show(line(), "fig-line", "A line, of slope −1 ≤ σ.", alt="A line that rises.")

# %%
generator = np.random.default_rng(1)
drawn = angles.sample_angles(3, 500, distributions.UNIFORM, generator)
interactive.show_histograms(
    [interactive.angle_histograms(drawn)], static=line(), name="fig-two-angles",
    caption="The two angles, at n = 3.", alt="Two histograms.",
)

# %%
show(line(), "fig-last", "The third figure.", alt="Another line that rises.")

# %%
table(pd.DataFrame({"r": [-0.5, 2.0]}, index=pd.Index(["conv1", "fc_1"], name="layer")), ".2f")

# %%
display({"text/html": "<div><style>a{}</style><svg/></div>",
         "text/plain": "Animation: a dot that moves."}, raw=True)

# %%
rows = ledger.ledger(preset)
display({"text/html": ledger_page.as_html(rows), "text/plain": ledger_table.as_text(rows)},
        raw=True)

# %%
display({"text/html": ledger_page.board(rows), "text/plain": ledger_table.as_text(rows)}, raw=True)

# %%
glue(many=-2.5)
"""


@pytest.fixture(scope="module")
def latex(tmp_path_factory):
    """Folder of the LaTeX of a book with the project's own settings, warnings as errors."""
    book = tmp_path_factory.mktemp("latex")
    scripts = (ROOT / "book").glob("*.js")
    for name in ("_config.yml", "book/_static", "book/vendor", *scripts):
        (book / Path(name).name).symlink_to(ROOT / name)
    (book / "references.bib").touch()
    (book / "_toc.yml").write_text("format: jb-book\nroot: index\nchapters: [{file: claims}]\n")
    (book / "index.md").write_text("# Index\n")
    (book / "claims.py").write_text(CHAPTER)
    command = [Path(sys.executable).with_name("jupyter-book"), "build", ".", "--builder", "latex"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [*command, "-W", "-n", "--keep-going"],
        cwd=book,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return book / "_build" / "latex"


@pytest.mark.slow
def test_latex_has_the_figures_and_a_form_for_what_a_browser_shows(latex):
    [text] = [path.read_text(encoding="utf-8") for path in latex.glob("*.tex")]
    pictures = re.findall(r"\\sphinxincludegraphics(?:\[[^]]*\])?\{\{([\w-]+)\}\.pdf\}", text)
    assert pictures == ["fig-line", "fig-two-angles", "fig-last"]
    for name in pictures:
        assert (latex / f"{name}.pdf").read_bytes().startswith(b"%PDF")
    captions = re.findall(r"\\caption\{(.*?)\}\\label", text)
    assert captions[0].startswith("A line, of slope −1 ≤ σ.")
    assert "are \\DUrole{pasted-text}{−2.5}, by" in text
    assert r"\label{\detokenize{claims:theorem-line}}" in text
    # the table as one, not as aligned text
    assert re.search(r"fc\\_1.*&\s*\\sphinxAtStartPar\s+2\.00", text, re.S)
    assert "Animation: a dot that moves." in text
    # the claim's sentence, its row and the board refer to each other
    assert r"\label{\detokenize{claims:said-ste}}" in text
    assert r"\label{\detokenize{claims:claim-ste}}" in text
    assert text.count(r"\hyperref[\detokenize{claims:claim-ste}]") == 2
    assert r"\hyperref[\detokenize{training:said-ste}]" in text  # its own chapter's page
    assert text.count(r"\begin{itemize}") == 2  # the board's verdicts and its tally
    assert not re.search(r"claims\.html|<svg|<details|text/html", text)


def test_html_is_read_with_nothing_lost():
    read = 0
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            for output in cell.get("outputs", []):
                html = "".join(output.get("data", {}).get("text/html", ""))
                plain = sphinx_latex.ICON.sub("", html)
                plain = re.sub(r"<(style|svg|label)\b.*?</\1>|<[^>]*>", " ", plain, flags=re.S)
                made = " ".join(node.astext() for node in sphinx_latex.as_nodes(html))
                told = re.sub(r"\s", "", made)
                lost = [word for word in unescape(plain).split() if word not in told]
                assert lost == [], path.name
                read += bool(made)
    assert read > 10


def test_a_table_keeps_its_cells_spans_and_heads():
    html = (
        '<div class="table-scroll"><table class="dataframe"><thead>'
        '<tr><th></th><th colspan="2">both</th></tr><tr><th>layer</th><th>r</th><th>n</th></tr>'
        "</thead><tbody><tr><th>conv1</th><td>0.85 &lt; w<sup>c</sup></td><td></td></tr></tbody>"
        "</table></div>"
    )
    [scroll] = sphinx_latex.as_nodes(html)
    _, table, _ = scroll.children
    heads, [body] = table.children[0].children[-2:]
    assert table.children[0]["cols"] == 3
    assert [entry.get("morecols") for entry in heads.children[0].children] == [None, 1]
    assert [entry.astext() for entry in body.children] == ["conv1", "0.85 < wc", ""]


@pytest.mark.parametrize("html", ["", "<div><svg><text>x</text></svg><input><br></div>"])
def test_html_that_only_draws_has_no_printed_form(html):
    assert sphinx_latex.as_nodes(html) == []


def test_the_pictures_are_those_of_the_executed_chapters(tmp_path):
    noted = {"figure": {"name": "fig_a", "caption": "A."}, "pdf": base64.b64encode(b"x").decode()}
    outputs = [{"metadata": {"bnn_geometry": noted}}, {"metadata": {}}, {}]
    cells = [{"source": ""}, {"outputs": outputs}]
    (tmp_path / "a.ipynb").write_text(json.dumps({"cells": cells}))
    assert sphinx_latex.pictures(tmp_path) == {"fig-a": b"x"}
