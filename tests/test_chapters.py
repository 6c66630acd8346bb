"""The chapters as texts: what they declare, and the notebooks made from them."""

from __future__ import annotations

import ast
import re

import jupytext
import nbformat
import pytest
from notebooks_under_test import CHAPTERS, NOTEBOOKS, PARAMETERS, ROOT, notes

from bnn_geometry import data, execute

chapters = pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)


def code_cells(notebook):
    return [
        (cell.source.strip(), cell.metadata.get("tags", []))
        for cell in notebook.cells
        if cell.cell_type == "code" and "injected-parameters" not in cell.metadata.get("tags", [])
    ]


def prints_results(source):
    """Whether a cell puts numbers into the prose or a table below itself."""
    last = ast.parse(source).body[-1]
    table = isinstance(last, ast.Expr) and not re.match(
        r"(show|glue|claims\.record\w*)\(", ast.unparse(last)
    )
    return table or "glue(" in source


def test_there_is_a_notebook_for_every_chapter_and_no_other():
    assert {p.stem for p in NOTEBOOKS.glob("*.ipynb")} == {p.stem for p in CHAPTERS}


@chapters
def test_the_notebook_has_the_sources_of_its_chapter(chapter):
    reference = nbformat.read(NOTEBOOKS / f"{chapter.stem}.ipynb", as_version=4)
    cells = [
        (c.cell_type, c.source.strip(), c.metadata.get("tags", []))
        for c in reference.cells
        if "injected-parameters" not in c.metadata.get("tags", [])
    ]
    expected = [
        (c.cell_type, c.source.strip(), c.metadata.get("tags", []))
        for c in jupytext.read(chapter).cells
    ]
    assert cells == expected, f"{chapter.name} has changed: run `make notebooks` and commit both."


@chapters
def test_the_notebook_runs_at_preset_smoke_on_the_stand_ins(chapter):
    reference = nbformat.read(NOTEBOOKS / f"{chapter.stem}.ipynb", as_version=4)
    injected = [c for c in reference.cells if "injected-parameters" in c.metadata.get("tags", [])]
    values = {}
    for node in ast.parse(injected[0].source).body:
        values[node.targets[0].id] = ast.literal_eval(node.value)
    declared = execute.declared_parameters(jupytext.read(chapter))
    assert values == {k: v for k, v in PARAMETERS.items() if k in declared}


@chapters
def test_chapters_with_ignored_outputs_assert_bounds_and_keep_only_claim_records(chapter):
    """An ignored output proves nothing: such a cell trains, draws, or states a bound."""
    reference = nbformat.read(NOTEBOOKS / f"{chapter.stem}.ipynb", as_version=4)
    ignored = [c for c in reference.cells if "nbval-ignore-output" in c.metadata.get("tags", [])]
    for cell in ignored:
        assert cell.outputs == notes(cell)
        if prints_results(cell.source):
            assert "assert " in cell.source, f"nothing is checked of:\n{cell.source}"


@chapters
def test_the_parameters_are_commented_literals_and_preset_comes_first(chapter):
    notebook = jupytext.read(chapter)
    cells = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
    assert len(cells) == 1
    assert next(iter(execute.declared_parameters(notebook))) == "preset"
    assert execute.declared_parameters(notebook)["preset"] == "book"
    for line in cells[0].source.splitlines():
        assert re.search(r"  # \S", line), f"no comment: {line}"


@chapters
def test_saving_a_chapter_from_jupyterlab_keeps_what_it_declares(chapter):
    notebook = jupytext.read(chapter)
    # JupyterLab adds this before jupytext writes the text
    notebook.metadata["language_info"] = {"name": "python", "version": "3.11"}
    again = jupytext.reads(jupytext.writes(notebook, fmt="py:percent"), fmt="py:percent")
    for key in ("bnn_geometry", "kernelspec"):
        assert again.metadata[key] == notebook.metadata[key]
    assert "language_info" not in again.metadata
    assert code_cells(again) == code_cells(notebook)


@chapters
def test_what_a_chapter_loads_or_trains_on_stands_in_its_header(chapter):
    """Else a page would not be made again when its data change."""
    text = chapter.read_text(encoding="utf-8")
    declared = jupytext.read(chapter).metadata["bnn_geometry"].get("data", [])
    assert set(re.findall(r'data\.load\("(\w+)"', text)) == set(declared)
    assert set(declared) <= set(data.DATASETS)


@chapters
def test_every_number_glued_is_used_and_every_one_used_is_glued(chapter):
    notebook = jupytext.read(chapter)
    code = "\n".join(c.source for c in notebook.cells if c.cell_type == "code")
    prose = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    glued = set(re.findall(r'glue\("([\w-]+)"', code))
    used = set(re.findall(r"\{glue:text\}`([\w-]+)", prose))
    assert used <= glued, f"not glued: {used - glued}"
    assert glued <= used, f"glued but not in the prose: {glued - used}"


@chapters
def test_every_figure_is_referred_to(chapter):
    text = chapter.read_text(encoding="utf-8")
    for name in re.findall(r'name="(fig-[\w-]+)"', text):
        assert f"{{numref}}`{name}`" in text, f"the text never points to {name}"


def test_the_settings_are_linked_into_the_book():
    for name in ("_config.yml", "_toc.yml"):
        link = ROOT / "book" / name
        assert link.is_symlink()
        assert link.resolve() == ROOT / name
