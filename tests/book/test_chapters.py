"""The chapters as texts: what they declare, and the notebooks made from them."""

from __future__ import annotations

import ast
import re
from functools import cache

import jupytext
import nbformat
import pytest
import yaml
from notebooks_under_test import CHAPTERS, NOTEBOOKS, PARAMETERS, ROOT, notes

from bnn_geometry import data
from sphinx_papermill.chapter import declared_parameters

chapters = pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
PAGES = [*CHAPTERS, *sorted((ROOT / "book").glob("*.md"))]
pages = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)

SET_APART = (
    r"(?ms)^```\w.*?^```",  # code
    r"\{[\w:-]+\}`[^`]*`",  # a role: what was glued, references, citations
    r"`[^`]*`",
    r"(?s)\$\$.*?\$\$|\$[^$]*\$",  # maths: where a constant stands that is no result
    r"(?m)^#+ .*$",
    r"(?<=\])\([^)]*\)",  # where a link leads
    r"\b(?:[Ss]ections?|Python) \d\.\d+",
    r"\b95 % interval",  # a convention
)
RESULT = r"\d\.\d|\d\s*(?:%|per cent)"


def typed_results(prose):
    """Decimals and percentages that somebody typed, each with the words around it."""
    for kind in SET_APART:
        prose = re.sub(kind, "…", prose)
    prose = " ".join(prose.split())
    return [prose[max(0, m.start() - 40) : m.end() + 20] for m in re.finditer(RESULT, prose)]


@cache
def read(chapter):
    return jupytext.read(chapter)


@cache
def reference(chapter):
    """The executed notebook of a chapter."""
    return nbformat.read(NOTEBOOKS / f"{chapter.stem}.ipynb", as_version=4)


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
        r"(show\w*|glue|records\.record\w*)\(", ast.unparse(last)
    )
    return table or "glue(" in source


def test_there_is_a_notebook_for_every_chapter_and_no_other():
    assert {p.stem for p in NOTEBOOKS.glob("*.ipynb")} == {p.stem for p in CHAPTERS}


@chapters
def test_the_notebook_has_the_sources_of_its_chapter(chapter):
    def cells(notebook):
        tagged = [(c, c.metadata.get("tags", [])) for c in notebook.cells]
        return [
            (c.cell_type, c.source.strip(), tags)
            for c, tags in tagged
            if "injected-parameters" not in tags
        ]

    same = cells(reference(chapter)) == cells(read(chapter))
    assert same, f"{chapter.name} has changed: run `make notebooks` and commit both."


@chapters
def test_the_notebook_runs_at_preset_smoke_on_the_stand_ins(chapter):
    injected = [
        c for c in reference(chapter).cells if "injected-parameters" in c.metadata.get("tags", [])
    ]
    values = {}
    for node in ast.parse(injected[0].source).body:
        values[node.targets[0].id] = ast.literal_eval(node.value)
    declared = declared_parameters(read(chapter), chapter.stem)
    assert values == {k: v for k, v in PARAMETERS.items() if k in declared}


@chapters
def test_chapters_with_ignored_outputs_assert_bounds_and_keep_only_claim_records(chapter):
    """An ignored output proves nothing: such a cell trains, draws, or states a bound."""
    ignored = [
        c for c in reference(chapter).cells if "nbval-ignore-output" in c.metadata.get("tags", [])
    ]
    for cell in ignored:
        assert cell.outputs == notes(cell)
        if prints_results(cell.source):
            assert "assert " in cell.source, f"nothing is checked of:\n{cell.source}"


@chapters
def test_the_parameters_are_commented_literals_and_preset_comes_first(chapter):
    notebook = read(chapter)
    cells = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
    assert len(cells) == 1
    declared = declared_parameters(notebook, chapter.stem)
    assert next(iter(declared.items())) == ("preset", "book")
    for line in cells[0].source.splitlines():
        assert re.search(r"  # \S", line), f"no comment: {line}"


@chapters
def test_saving_a_chapter_from_jupyterlab_keeps_what_it_declares(chapter):
    notebook = read(chapter)
    # JupyterLab adds this before jupytext writes the text
    notebook.metadata["language_info"] = {"name": "python", "version": "3.11"}
    again = jupytext.reads(jupytext.writes(notebook, fmt="py:percent"), fmt="py:percent")
    for key in ("sphinx_papermill", "kernelspec"):
        assert again.metadata[key] == notebook.metadata[key]
    assert "language_info" not in again.metadata
    assert code_cells(again) == code_cells(notebook)


@chapters
def test_what_a_chapter_loads_or_trains_on_stands_in_its_header(chapter):
    """Else a page would not be made again when its data change."""
    text = chapter.read_text(encoding="utf-8")
    declared = read(chapter).metadata["sphinx_papermill"].get("data", [])
    assert set(re.findall(r'data\.load\("(\w+)"', text)) == set(declared)
    assert set(declared) <= set(data.DATASETS)


def glued(notebook):
    """Names under which cells hand numbers to the prose, and which of them may be several."""
    single, several = set(), set()
    code = "\n".join(c.source for c in notebook.cells if c.cell_type == "code")
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "glue":
            single |= {ast.literal_eval(name) for name in node.args[:1]}
            several |= {keyword.arg.replace("_", "-") for keyword in node.keywords}
    return single, several


@chapters
def test_every_number_glued_is_used_and_every_one_used_is_glued(chapter):
    """A keyword may stand for several numbers, whose names begin with it."""
    single, several = glued(read(chapter))
    prose = "\n".join(c.source for c in read(chapter).cells if c.cell_type == "markdown")
    used = set(re.findall(r"\{glue:text\}`([\w-]+)", prose))
    lost = {u for u in used - single if not any(f"{u}-".startswith(f"{k}-") for k in several)}
    assert not lost, "not glued"
    idle = {k for k in several if not any(f"{u}-".startswith(f"{k}-") for u in used)}
    assert not (single - used) | idle, "glued but not in the prose"


@chapters
def test_every_figure_is_referred_to(chapter):
    text = chapter.read_text(encoding="utf-8")
    for name in re.findall(r'^ +(?:name=)?"(fig-[\w-]+)",$', text, re.M):
        assert f"{{numref}}`{name}`" in text, f"the text never points to {name}"


@pages
def test_no_result_is_typed(page):
    """Decimals and percentages are computed; a constant that is none stands in maths."""
    prose = (
        page.read_text(encoding="utf-8")
        if page.suffix == ".md"
        else "\n\n".join(c.source for c in read(page).cells if c.cell_type == "markdown")
    )
    assert not typed_results(prose)


def test_a_typed_result_is_found_and_what_is_none_is_let_through():
    for sentence in ("The correlation is 0.93.", "an error of 12 %,", "at 48 per cent",
                     "{glue:text}`a:.1f` ± 0.4 points"):  # fmt: skip
        assert len(typed_results(f"Some words.\n\n{sentence}\n")) == 1
    for sentence in (
        "{glue:text}`a:.1f` ± {glue:text}`b:.2f` %",
        "## Figure 2.1: two angles",
        "section 5.1 and Figure 2 of the paper, turned by 31°",
        "`run-chapter -p samples 0.5`",
        "a [link](https://example.org/1705.07199)",
        "the rule takes $0.7$ of it",
        "$$\nx = 0.5\n$$ (eq-one-2)",
        "```bash\nmake 3.14\n```",
    ):
        assert typed_results(sentence) == []


def test_the_settings_are_linked_into_the_book():
    for name in ("_config.yml", "_toc.yml"):
        link = ROOT / "book" / name
        assert link.is_symlink()
        assert link.resolve() == ROOT / name


ARGUMENT = [
    ROOT / "book" / f"{entry['file']}.py"
    for entry in yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))["parts"][0][
        "chapters"
    ]
]
"""The chapters that answer a question of the paper."""


@pytest.mark.parametrize("chapter", ARGUMENT, ids=lambda path: path.stem)
def test_a_chapter_begins_with_an_answer_that_is_bound(chapter):
    """Its numbers and words come from cells that assert, and its claims have a row."""
    notebook = read(chapter)
    opening = notebook.cells[0]
    assert opening.cell_type == "markdown"
    answer = re.split(r"\n##? |\n\$\$", opening.source.split("\n", 1)[1])[0]
    names = re.findall(r"\{glue:text\}`([\w-]+)", answer)
    assert len(set(names)) >= 2
    assert re.search(r"\{claim\}`[\w-]+`", answer)
    glued = [source for source, _ in code_cells(notebook) if "glue(" in source]
    for name in set(names):
        stem = name.replace("-", "_")
        by = [s for s in glued if re.search(rf'\b{stem}\s*=|"{name}"', s)]
        assert not by or any("assert " in source for source in by), f"{name} is asserted nowhere"


def test_no_line_of_a_text_cell_is_a_comment_to_myst():
    for chapter in CHAPTERS:
        for cell in read(chapter).cells:
            if cell.cell_type == "markdown":
                lines = [line for line in cell.source.splitlines() if line.startswith("%")]
                assert not lines, f"{chapter.name}: MyST drops {lines}"


def test_every_reference_is_cited_and_can_be_found():
    text = (ROOT / "book" / "references.bib").read_text(encoding="utf-8")
    entries = dict(re.findall(r"@\w+\{([^,]+),(.*?)\n\}", text, re.S))
    assert len(entries) == text.count("\n@") + 1  # none stands twice
    cited = {
        key.strip()
        for page in PAGES
        for keys in re.findall(r"\{cite\w*(?::\w+)?\}`([^`]+)`", page.read_text(encoding="utf-8"))
        for key in keys.split(",")
    }
    assert set(entries) == cited
    assert [key for key, entry in entries.items() if not re.search(r"\b(doi|url) *=", entry)] == []
