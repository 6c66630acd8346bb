"""The chapters as texts: what they declare, and the notebooks made from them."""

from __future__ import annotations

import ast
import re

import jupytext
import nbformat
import pytest
from notebooks_under_test import CHAPTERS, NOTEBOOKS, PARAMETERS, ROOT, notes

from bnn_geometry import data
from sphinx_papermill.chapter import declared_parameters

chapters = pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
PAGES = [*CHAPTERS, *sorted((ROOT / "book").glob("*.md"))]
pages = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)

NO_RESULT = {
    "index": {"either +1 or −1": "the two values that a binary weight has"},
    "random_vectors": {
        "in high dimension is close to 90°": "a right angle, which the simulation is compared with",
        "band of ±2 in 95 cases": "a property of the standard normal distribution",
        "lie outside ±2": "a property of the standard normal distribution",
        "is 90° on average in every": "exact, by symmetry",
        "near 90° but not in its far": "a right angle",
        r"\varphi < 90^\circ": "for which angles the formula is true",
        "(exercise 3)": "the number of an exercise",
        "a binary vector within 45°": "half-way to a right angle: the claim's bound",
        "suffice for 45°": "exact: a half is the square of its cosine",
        "at 30°, and": "the exact limit for uniform entries",
        "tends to 90°": "a right angle",
        "angle to the nearest binary vector 45° in": "given in an exercise",
        r"\nu = 1.5": "a law that was chosen",
        "gathers at 45 degrees": "the exact limit for Laplace entries",
        "narrows to 90 degrees": "a right angle",
        "whose means are 90° and 0; band: ±2": "exact, by symmetry; the band is chosen",
        "the middle 90 % of": "which quantiles are shown",
        "Dotted: 45°": "half-way to a right angle",
        "near 37 degrees with a band": "the exact limit for Gaussian entries",
        "to 37 degrees for Gaussian": "the exact limit",
        "enlarged about 30 degrees": "the exact limit for uniform entries",
        "limits of 30 and 37 degrees": "exact",
        "at 30 degrees": "the exact limit for uniform entries",
        "for Gaussian entries at 37": "the exact limit",
        "and one at 90 degrees": "a right angle",
    },
    "theory": {
        "towards 90°": "a right angle",
        "between 0 and 1 with no preference": "what a p-value is",
        "from 4800 to 5200": "a range that was chosen",
        "from 4500 to 5500": "a range that was chosen",
        "within 6° of a right angle": "exact: the arcsine of a tenth",
        "step size 0.06": "given in an exercise",
        "and 30 % of them": "given in an exercise",
        r"\epsilon = 0.1": "a size that was chosen",
        "an angle of 90 degrees": "a right angle",
        "hardly any is beyond 0.1": "three standard deviations",
        "95 % lie in": "two standard errors of the normal distribution",
        "the middle 90 %": "which quantiles are shown",
        "a correlation of about 0.8": "the exact limit for Gaussian weights",
    },
    "beyond_one_bit": {
        "take 0.7 times": "the rule of ternary weight networks",
        "rule of 0.7 mean sizes": "the rule of ternary weight networks",
        "uniform entries (2/3) and Gaussian ones (about 3/4)": "derived in that rule's paper",
        "With 2, 3, 4, 8 and 16 levels": "the numbers of levels that the paragraph lists",
        "at most 45° on average": "the arccosine of the bound in the line before",
        "already, from 0°": "a binary vector is its own binarization",
        r"e^{0.1": "the rate of the authors' covariance",
        "37, 30 and 45 degrees": "the exact limits",
        "from 30 degrees at one bit": "the bound, exactly",
        "near 37 degrees": "the exact limit for Gaussian entries",
        "it is 37 degrees": "the exact limit for Gaussian entries",
        "about 90 degrees": "a right angle",
        "and 45 degrees for two": "exact",
    },
    "training": {
        "3 × 3 filters": "the shape of the paper's filters",
        "width 1,": "the unit in which widths are given",
        "filters of up to 8192 weights": "the size of the paper's network",
        "the 4096 units of the original code": "the size of the original network",
        r"\sqrt{1.5/(n_\text{in}": "a constant in the original code",
        "near 30°": "the exact limit for uniform entries",
        "sign(0) = 0": "a definition",
        "lines at 30 and 37 degrees": "the exact limits",
        "within 1.5 box lengths": "how whiskers are drawn",
    },
    "dot_products": {
        "two weight vectors 30° apart": "an example",
        "at 30°; the code": "the exact limit for uniform entries",
        "Gaussian ones, at 37°": "the exact limit for Gaussian entries",
        "whether that is 30°, 37°": "the two limits",
        "by some 30° in": "the exact limit for uniform entries",
        "a dashed line at 0.87": "the exact cosine for uniform entries",
    },
    "learning_dynamics": {
        "far above the 30° of": "the exact limit for uniform entries",
        "a random vector is nearly 90° away": "a right angle",
        "From about 90°": "the angle to a random vector, where the flow starts",
        "fall from near 90 degrees": "the angle to a random vector, where the flow starts",
        ", 0 and": "one of the three values of a ternary vector",
        "rises from 30 degrees": "the exact limit for uniform entries, where the flow starts",
        "start near 30 degrees": "the exact limit for uniform entries, where training starts",
        "what the angle of 30° gives": "the exact limit for uniform entries, where training starts",
        "from 1/16 to 16": "the range of the factors",
        r"\approx 2.4/\beta": "where a function of this name changes sign",
    },
    "pretrained": {"lines at 30 and 37 degrees": "the exact limits"},
    "reproducing": {"with Python 3.11.": "the version for which requirements.lock was made"},
}
"""Numbers that are typed on a page and rightly so: the words around each, and why it is no result
that should have been computed."""

NAMES = r"\b(?:CIFAR-10|x86-64|[Ss]ection \d(?:\.\d)?|[Ff]igure \d)"
SET_APART = (
    r"(?ms)^```\w.*?^```",  # code
    r"\{[\w:-]+\}`[^`]*`",  # a role: what was glued, references, citations
    r"`[^`\d]*[A-Za-z][^`]*`",  # code in the text, but not a number that is printed like it
    r"(?m)^#+ .*$",
    r"\*\*\d\. [^*\d]*\*\*",  # number and title of an exercise
    r"(?<=\])\([^)]*\)",  # where a link leads
)
MATHS = r"(?s)\$\$.*?\$\$(?: \([\w-]+\))?|\$[^$]*\$"
NUMBER = r"(?<![\w.])[−+-]?\d[\d.,]*\s*(?:°|%|per cent|points|seconds)?"
IN_MATHS = r"[−+-]?\d+\.\d+|\d+\s*(?:\^\{?\\circ|\\%)"
IN_CAPTIONS = r"\d\.\d+|\d\s*(?:°|%|±|per cent|degrees|points|seconds)"


def bare_numbers(text, pattern, allowed):
    """Numbers in a text, each with the words around it, that are in none of the allowed phrases;
    and the phrases that the text uses."""
    text = " ".join(text.split())
    used = {phrase for phrase in allowed if phrase in text}
    for phrase in used:
        text = text.replace(phrase, "…")
    around = [text[max(0, m.start() - 40) : m.end() + 20] for m in re.finditer(pattern, text)]
    return around, used


def typed_numbers(prose, captions, allowed):
    """Numbers that somebody typed on a page, and the allowed phrases that the page uses."""
    for kind in (*SET_APART, NAMES):
        prose = re.sub(kind, "…", prose)
    captions = re.sub(NAMES, "…", captions)
    found = [
        bare_numbers(re.sub(MATHS, "…", prose), NUMBER, allowed),
        bare_numbers(" ".join(re.findall(MATHS, prose)), IN_MATHS, allowed),
        bare_numbers(captions, IN_CAPTIONS, allowed),
    ]
    return [a for around, _ in found for a in around], set().union(*(used for _, used in found))


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
    declared = declared_parameters(jupytext.read(chapter), chapter.stem)
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
    declared = declared_parameters(notebook, chapter.stem)
    assert next(iter(declared.items())) == ("preset", "book")
    for line in cells[0].source.splitlines():
        assert re.search(r"  # \S", line), f"no comment: {line}"


@chapters
def test_saving_a_chapter_from_jupyterlab_keeps_what_it_declares(chapter):
    notebook = jupytext.read(chapter)
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
    declared = jupytext.read(chapter).metadata["sphinx_papermill"].get("data", [])
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


def prose_and_captions(page):
    if page.suffix == ".md":
        return page.read_text(encoding="utf-8"), ""
    cells = jupytext.read(page).cells
    texts = [
        part.value
        for cell in cells
        if cell.cell_type == "code"
        for node in ast.walk(ast.parse(cell.source))
        if isinstance(node, ast.keyword) and node.arg in ("caption", "alt")
        for part in ast.walk(node.value)
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    ]
    return "\n\n".join(c.source for c in cells if c.cell_type == "markdown"), "\n".join(texts)


@pages
def test_every_number_in_the_prose_is_computed_or_is_no_result(page):
    allowed = NO_RESULT.get(page.stem, {})
    typed, used = typed_numbers(*prose_and_captions(page), allowed)
    assert not typed, "glue what was computed, or say in NO_RESULT why it is no result"
    assert used == set(allowed), "allowed, but not on the page any more"


@pytest.mark.parametrize(
    "sentence",
    [
        "The correlation is 0.93.",
        "an error of 12 %,",
        "turned by 31°",
        "{glue:text}`a:.1f` ± 0.4 points",
        "costs 3 points",
        "it took 12 seconds",
        "in 7 of 9 layers",
        "minus one at book preset 48 per cent",
        "it is $r = 0.93$ here",
        "an angle of $31^\\circ$",
        "as `0.93` shows",
        "see [page 4](page.md)",
    ],
)
def test_a_typed_result_is_found(sentence):
    assert typed_numbers(f"Some words.\n\n{sentence}\n", "", {})[0]


@pytest.mark.parametrize("caption", ["The error falls to 12 %.", "r = 0.9", "at 31 degrees"])
def test_a_typed_result_in_a_caption_is_found(caption):
    assert typed_numbers("", caption, {})[0]


@pytest.mark.parametrize(
    "sentence",
    [
        "{glue:text}`a:.1f` ± {glue:text}`b:.2f` %",
        "## Figure 2: two angles in 1000 dimensions",
        "section 5.1 and Figure 2 of the paper",
        "CIFAR-10 on x86-64",
        "`run-chapter -p samples 100000`",
        "a [link](https://example.org/1705.07199)",
        "for $n = 1000$ and $\\tfrac12$",
        "$$\nx = \\sqrt{3}/2\n$$ (eq-one-2)",
        "```bash\nmake 3.14\n```",
    ],
)
def test_what_is_no_typed_result_is_let_through(sentence):
    assert typed_numbers(sentence, "", {}) == ([], set())


def test_the_settings_are_linked_into_the_book():
    for name in ("_config.yml", "_toc.yml"):
        link = ROOT / "book" / name
        assert link.is_symlink()
        assert link.resolve() == ROOT / name
