"""The README's picture is a figure of the book, and what the README says of it is so."""

from __future__ import annotations

import json
import re
import sys
import xml.etree.ElementTree as ET

import pytest
from notebooks_under_test import ROOT

from bnn_geometry.book import presets
from sphinx_papermill.chapter import declared_parameters, read_notebook

sys.path.insert(0, str(ROOT / "tools"))

import readme_picture

README = (ROOT / "README.md").read_text(encoding="utf-8")
SVG = readme_picture.PICTURE.read_text(encoding="utf-8")


def test_the_readme_shows_and_describes_it():
    shown = dict(re.findall(r"!\[([^\]]*)\]\(([^)]*)\)", README))
    assert [ROOT / path for path in shown.values()] == [readme_picture.PICTURE]
    assert all(len(description) > 100 for description in shown)


def test_it_is_a_small_drawing_on_white_that_needs_no_other_file():
    assert len(SVG.encode()) < 200_000
    root = ET.fromstring(SVG)
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert not tags & {"image", "script", "foreignObject", "text"}
    links = [v for e in root.iter() for k, v in e.attrib.items() if k.endswith("href")]
    assert links
    assert all(link.startswith("#") for link in links)
    ground = next(e for e in root.iter() if e.get("id") == "patch_1")
    assert "fill: #ffffff" in ground[0].get("style")  # else dark readers see dark on dark


def test_its_caption_tells_how_it_was_made():
    sizes = presets.sizes("random_vectors", "book")
    chapter = read_notebook(ROOT / "book" / "random_vectors.py")
    caption = " ".join(re.search(r"\n\*(Figure 2.*?)\*\n", README, re.S).group(1).split())
    assert f"{sizes.angle_samples:,} simulated pairs of vectors in each panel" in caption
    assert f"seed {declared_parameters(chapter, 'random_vectors')['seed']}" in caption
    panels = [n.replace(",", "") for n in re.findall(r"<!-- n = ([\d,]+) -->", SVG)]
    assert panels == [str(n) for n in sizes.angle_dimensions]
    entries = ", ".join(panels[:-1]) + f" and {panels[-1]} entries"
    assert entries in " ".join(README.split())


def test_taking_it_keeps_everything_but_digits(tmp_path):
    svg = (
        '<svg>\n  <path d="M 0.123 -45.678 \nL 1000 0.04 \n" style="stroke-width: 0.123"/>\n</svg>'
    )
    noted = {"bnn_geometry": {"figure": {"name": readme_picture.FIGURE}}}
    output = {"data": {"image/svg+xml": svg}, "metadata": noted}
    notebook, picture = tmp_path / "chapter.ipynb", tmp_path / "picture.svg"
    notebook.write_text(json.dumps({"cells": [{"outputs": [output]}, {"source": "text"}]}))
    assert readme_picture.main([str(notebook), str(picture)]) == 0
    assert picture.read_text() == (
        '<svg>\n<path d="M 0.1 -45.7 L 1000 0 " style="stroke-width: 0.123"/>\n</svg>'
    )


@pytest.mark.parametrize("cells", [None, []])
def test_without_the_figure_nothing_is_written(cells, tmp_path, capsys):
    notebook, picture = tmp_path / "chapter.ipynb", tmp_path / "picture.svg"
    if cells is not None:
        notebook.write_text(json.dumps({"cells": cells}))
    assert readme_picture.main([str(notebook), str(picture)]) == 1
    assert ("build the book first" if cells is None else "no figure") in capsys.readouterr().err
    assert not picture.exists()
