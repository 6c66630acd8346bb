"""The build: plain `jupyter-book build` on a small book in a temporary folder.

The book has three chapters. `first` imports smallpkg.alpha; `second` builds on `first`; `third`
imports smallpkg.beta and builds on nothing. Each one appends its name to a file when it is
executed, which is how the tests know what ran.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from docutils import nodes
from docutils.utils import new_document

from bnn_geometry import page, sphinx_papermill
from bnn_geometry.errors import UserError

JUPYTER_BOOK = Path(sys.executable).with_name("jupyter-book")
ESCAPES = re.compile(r"\x1b\[[0-9;]*m")

CONFIG = """
title: A small book
only_build_toc_files: true
exclude_patterns: [".executed", "_build"]
execute: {execute_notebooks: "off"}
html: {use_issues_button: false, use_repository_button: false}
sphinx:
  extra_extensions: [bnn_geometry.sphinx_papermill]
  config:
    papermill_packages: [smallpkg]
    papermill_timeout: 8
"""
TOC = """
format: jb-book
root: index
chapters: [{file: first}, {file: second}, {file: third}]
"""
CHAPTER = """\
# ---
# jupyter:
#   bnn_geometry: {{{header}}}
# ---

# %% [markdown]
# # {name}

# %% tags=["parameters"]
preset = "book"  # sizes
level = 1  # a number

# %%
import os
{imports}
with open(os.environ["TRACE"], "a") as trace:
    trace.write("{name}\\n")

# %%
{body}
"""


class Book:
    """A small book and what its builds did."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "book"
        self.folder.mkdir()
        (root / "smallpkg").mkdir()
        (root / "smallpkg" / "__init__.py").write_text("")
        self.module("alpha", "from smallpkg import gamma\nVALUE = 'alpha one'\n")
        self.module("beta", "VALUE = 'beta one'\n")
        self.module("gamma", "VALUE = 'gamma one'\n")
        (self.folder / "_config.yml").write_text(CONFIG)
        (self.folder / "_toc.yml").write_text(TOC)
        (self.folder / "index.md").write_text("# Index\n")
        self.chapter("first", "import smallpkg.alpha", "print(smallpkg.alpha.VALUE, preset)")
        self.chapter("second", "", "print('second')", header="after: [first]")
        self.chapter("third", "from smallpkg import beta", "print(beta.VALUE)")
        self.trace = root / "trace.txt"

    def module(self, name: str, text: str) -> None:
        (self.root / "smallpkg" / f"{name}.py").write_text(text)

    def chapter(self, name: str, imports: str, body: str, *, header: str = "") -> None:
        text = CHAPTER.format(name=name, imports=imports, body=body, header=header)
        (self.folder / f"{name}.py").write_text(text)

    def start(self, *options: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [JUPYTER_BOOK, "build", str(self.folder), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={
                **os.environ,
                "PYTHONPATH": str(self.root),
                "TRACE": str(self.trace),
                **environment,
            },
        )

    def build(self, *options: str, **environment: str) -> tuple[int, str]:
        process = self.start(*options, **environment)
        output, _ = process.communicate(timeout=180)
        return process.returncode, ESCAPES.sub("", output)

    def executed(self) -> list[str]:
        """Names of the chapters executed since the last call, sorted."""
        names = sorted(self.trace.read_text().split()) if self.trace.exists() else []
        self.trace.unlink(missing_ok=True)
        return names

    def page(self, name: str) -> str:
        return (self.folder / "_build" / "html" / f"{name}.html").read_text()


def wait_until(condition, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """One book, built once with warnings as errors; the tests below change it step by step."""
    book = Book(tmp_path_factory.mktemp("book"))
    code, output = book.build("-W", "-n", "--keep-going")
    assert code == 0, output
    book.first_output = output
    assert book.executed() == ["first", "second", "third"]
    return book


def test_the_first_build_executes_all_and_says_so(built):
    for name in ("first", "second", "third"):
        assert re.search(rf"^{name}: 3 cells in \d+\.\d s", built.first_output, re.M)
    assert "alpha one book" in built.page("first")
    order = [built.first_output.index(f"{n}: executing") for n in ("first", "second")]
    assert order == sorted(order)


def test_nothing_changed_nothing_runs(built):
    code, output = built.build()
    assert code == 0
    assert built.executed() == []
    for name in ("first", "second", "third"):
        assert f"{name}: up to date" in output


def test_an_edit_to_a_module_reruns_who_reaches_it_and_who_builds_on_them(built):
    # gamma is reached by `first` through alpha
    built.module("gamma", "VALUE = 'gamma two'\n")
    code, _ = built.build()
    assert code == 0
    assert built.executed() == ["first", "second"]

    built.module("beta", "VALUE = 'beta two'\n")
    code, _ = built.build()
    assert code == 0
    assert built.executed() == ["third"]
    assert "beta two" in built.page("third")
    assert "beta one" not in built.page("third")


def test_a_changed_parameter_reruns_the_chapter_and_those_after_it(built):
    path = built.folder / "first.py"
    path.write_text(path.read_text().replace("level = 1", "level = 2"))
    assert built.build()[0] == 0
    assert built.executed() == ["first", "second"]


def test_the_preset_of_the_environment_reaches_every_chapter_and_has_its_own_results(built):
    code, _ = built.build(BNN_PRESET="smoke")
    assert code == 0
    assert built.executed() == ["first", "second", "third"]
    assert "alpha one smoke" in built.page("first")
    # the results at the other preset are still there
    assert built.build()[0] == 0
    assert built.executed() == []
    assert "alpha one book" in built.page("first")


def test_the_executed_notebook_is_offered_for_download(built):
    assert "_sources/first.ipynb" in built.page("first")
    notebook = json.loads((built.folder / "_build/html/_sources/first.ipynb").read_text())
    outputs = [o for c in notebook["cells"] for o in c.get("outputs", [])]
    assert any("alpha one book" in "".join(o.get("text", "")) for o in outputs)
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"


def test_code_is_folded_and_parameters_are_not(built):
    page = built.page("first")
    assert page.count("hide-input") >= 2
    assert "tag_parameters" in page
    assert not re.search(r'tag_parameters[^"]*hide-input|hide-input[^"]*tag_parameters', page)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("x = 1\nraise ValueError('no such\\nthing')", "ValueError: no such"),
        ("os._exit(3)", "the kernel died"),
        ("import time; time.sleep(600)", "did not end within 8 s"),
    ],
    ids=["error", "dead kernel", "hanging cell"],
)
def test_a_chapter_that_fails_ends_the_build_with_one_line(built, body, message):
    good = (built.folder / "first.py").read_text()
    built.chapter("first", "", body)
    code, output = built.build()
    assert code != 0
    lines = [line for line in output.splitlines() if "chapter first" in line]
    assert len(lines) == 1, output
    assert "cell 3 of 3" in lines[0]
    assert message in lines[0]
    assert "Traceback" not in output
    assert "chapter second: not executed" in output
    # what was reached is kept for looking at, and is no result
    kept = built.folder / ".executed" / "book" / "first.failed.ipynb"
    assert kept.exists()
    (built.folder / "first.py").write_text(good)
    built.executed()
    assert built.build()[0] == 0
    # the good result is still there: it was not overwritten
    assert built.executed() == []


def test_a_page_survives_a_build_killed_half_way(built):
    built.chapter("third", "import time", "time.sleep(4)\nprint('slept')")
    process = built.start()
    wait_until(built.trace.exists)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    built.executed()
    store = built.folder / ".executed" / "book"
    code, output = built.build()
    assert code == 0, output
    assert "third" in built.executed()
    assert "slept" in built.page("third")
    for path in store.glob("[!.]*.ipynb"):
        json.loads(path.read_text())
    # what the killed build had half written is gone
    assert not list(store.glob(".*.tmp.ipynb"))


def test_two_builds_at_once_are_both_right(built):
    built.module("alpha", "VALUE = 'alpha together'\n")
    processes = [built.start(), built.start()]
    outputs = [p.communicate(timeout=180)[0] for p in processes]
    assert [p.returncode for p in processes] == [0, 0], outputs
    assert any("another build of this book is running" in o for o in outputs)
    # the second found the first one's results
    assert built.executed() == ["first", "second"]
    assert "alpha together" in built.page("first")


def test_a_damaged_result_is_made_again(built):
    path = built.folder / ".executed" / "book" / "third.ipynb"
    path.write_text(path.read_text()[:100])
    assert built.build()[0] == 0
    assert built.executed() == ["third"]


@pytest.mark.parametrize(
    ("change", "environment", "message"),
    [
        (None, {"BNN_PRESET": "huge"}, "Unknown preset 'huge': use smoke, book, paper."),
        ("after: [nobody]", {}, "builds on 'nobody', which is not there"),
        ("after: [third]", {}, "build on each other"),
        ("afer: [first]", {}, "unknown bnn_geometry.afer"),
        ("data: [cifar11]", {}, "cifar11"),
        ("runs: [nothing]", {}, "There is no published run"),
    ],
)
def test_a_users_mistake_is_one_sentence(built, change, environment, message):
    path = built.folder / "third.py"
    good = path.read_text()
    if change is not None:
        built.chapter("third", "", "pass", header=change)
    try:
        code, output = built.build(**environment)
    finally:
        path.write_text(good)
    assert code != 0
    assert message in output
    assert "Traceback" not in output


# --- what enters a key, without a build ---------------------------------------------------------


@pytest.fixture
def chapter(tmp_path):
    path = tmp_path / "book" / "one.py"
    path.parent.mkdir()
    path.write_text(
        CHAPTER.format(
            name="one",
            imports="",
            body="pass",
            header="data: [mnist], runs: [best], after: [zero], files: [rows.toml]",
        )
    )
    (path.parent / "rows.toml").write_text("x = 1")
    run = tmp_path / "runs" / "best"
    run.mkdir(parents=True)
    (run / "history.csv").write_text("epoch\n1\n")
    return sphinx_papermill.load_chapter("one", path, "book")


def key(chapter, *, upstream="key of zero"):
    runs = chapter.path.parents[1] / "runs"
    values = sphinx_papermill.inputs(chapter, {"zero": upstream}, ["bnn_geometry"], runs)
    return sphinx_papermill.key_of(values)


def test_the_key_is_the_same_when_nothing_changes(chapter):
    assert key(chapter) == key(chapter)


def test_the_key_knows_the_chapters_it_builds_on(chapter):
    assert key(chapter) != key(chapter, upstream="another")


def test_the_key_knows_the_data(chapter, monkeypatch):
    before = key(chapter)
    monkeypatch.setattr("bnn_geometry.data.datasets.fingerprint", lambda name: f"other {name}")
    assert key(chapter) != before


def test_the_key_knows_the_published_runs(chapter):
    before = key(chapter)
    (chapter.path.parents[1] / "runs" / "best" / "history.csv").write_text("epoch\n2\n")
    assert key(chapter) != before


def test_the_key_knows_the_files_beside_the_chapter(chapter):
    before = key(chapter)
    file = chapter.path.parent / "rows.toml"
    file.write_text("x = 2")
    assert key(chapter) != before
    file.unlink()
    with pytest.raises(UserError, match="not beside it"):
        sphinx_papermill.load_chapter("one", chapter.path, "book")


def test_a_note_for_the_ledger_leaves_no_trace_on_the_page_and_does_not_hide_the_figures_own():
    figure = {"output_type": "display_data", "data": {}, "metadata": {"bnn_geometry": {"image": 1}}}
    note = {"output_type": "display_data", "data": {}, "metadata": {"bnn_geometry": {"claim": 2}}}
    cell = {"cell_type": "code", "metadata": {}, "source": "", "outputs": [figure, note]}
    page.as_page({"cells": [cell], "metadata": {}})
    assert cell["outputs"] == [figure]
    assert cell["metadata"]["mystnb"] == {"image": 1}


def test_the_key_knows_the_versions_of_the_libraries(chapter, monkeypatch):
    before = key(chapter)
    monkeypatch.setattr(sphinx_papermill, "_version", lambda name: "0.0")
    assert key(chapter) != before


def test_the_key_knows_what_the_build_injects(chapter):
    assert key(sphinx_papermill.load_chapter("one", chapter.path, "smoke")) != key(chapter)


def test_chapters_come_after_what_they_build_on(chapter):
    other = sphinx_papermill.Chapter("zero", chapter.path, chapter.notebook, (), (), (), (), {})
    order = sphinx_papermill.in_order({"one": chapter, "zero": other})
    assert [c.name for c in order] == ["zero", "one"]
    with pytest.raises(UserError, match="not there"):
        sphinx_papermill.in_order({"one": chapter})


# --- tables -------------------------------------------------------------------------------------


def test_the_index_heads_its_column_and_minus_signs_are_minus_signs():
    frame = pd.DataFrame({"r": [-0.5, 0.5]}, index=pd.Index(["conv1", "a-b"], name="layer"))
    html = page.tidy_table(frame._repr_html_())
    (head,) = re.findall(r"<thead>(.*?)</thead>", html, re.S)
    assert head.count("<tr") == 1
    assert re.findall(r"<th>(.*?)</th>", head) == ["layer", "r"]
    assert "<td>−0.5</td>" in html
    assert "a-b" in html


def test_numbers_of_the_index_and_thousands_are_printed_like_the_others():
    frame = pd.DataFrame({"x": [1234, -12345, 1234567], "y": ["99999", "a", 0.5]}, index=[-1, 2, 3])
    html = page.tidy_table(frame._repr_html_())
    assert "<th>−1</th>" in html
    for text in ("1234", "−12,345", "1,234,567", "99,999", "0.5"):
        assert f"<td>{text}</td>" in html


def test_a_per_cent_sign_stays_with_its_number():
    cell = {"cell_type": "markdown", "source": "{glue:text}`x` % of 5 %, `a` %b", "metadata": {}}
    notebook = page.as_page({"cells": [cell], "metadata": {}})
    assert notebook["cells"][0]["source"] == "{glue:text}`x`\u00a0% of 5\u00a0%, `a` %b"


def test_two_index_levels_head_both_columns():
    frame = pd.DataFrame({"n": [1, 2]}, index=pd.MultiIndex.from_product(
        [["x"], ["y", "z"]], names=["network", "layer"]))  # fmt: skip
    head = page.tidy_table(frame._repr_html_()).split("</thead>")[0]
    assert re.findall(r"<th>(.*?)</th>", head) == ["network", "layer", "n"]


def test_two_levels_of_columns_keep_their_heads():
    columns = pd.MultiIndex.from_product([["x"], ["a", "b", "c"]])
    frame = pd.DataFrame([[1, 2, 3]], index=pd.Index([10], name="n"), columns=columns)
    head = page.tidy_table(frame._repr_html_()).split("</thead>")[0]
    assert head.count("<tr") == 2
    assert re.findall(r"<th>(.*?)</th>", head.split("</tr>")[1]) == ["n", "a", "b", "c"]


def test_other_html_is_left_alone():
    assert page.tidy_table("<td>-1</td>") == "<td>-1</td>"


def test_the_parameters_shown_are_those_of_the_execution():
    def cell(tag, *lines):
        return {
            "cell_type": "code", "metadata": {"tags": [tag]}, "source": list(lines), "outputs": [],
        }  # fmt: skip

    own = cell(
        "parameters", 'preset = "book"  # sizes\n', "seed = 1  # of all\n", "n = 3  # how many"
    )
    injected = cell("injected-parameters", "# Parameters\n", 'preset = "smoke"\n', "n = -7")
    page.as_page({"cells": [own, injected], "metadata": {}})
    assert own["source"] == 'preset = "smoke"  # sizes\nseed = 1  # of all\nn = -7  # how many'


def test_a_glued_number_has_a_minus_sign():
    document = new_document("x")
    for text, classes in (
        ("-0.50", ["pasted-text"]),
        ("a-1 4800-5200", ["pasted-text"]),
        ("-2", []),
    ):
        document += nodes.inline("", text, classes=classes)
    page.typeset_numbers(None, document, "x")
    assert [node.astext() for node in document] == ["−0.50", "a-1 4800-5200", "-2"]
