"""The build: plain `jupyter-book build` on a small book in a temporary folder.

The book has three chapters about dice. `first` imports smallpkg.alpha; `second` builds on `first`;
`third` imports smallpkg.beta and builds on nothing. Each one appends its name to a file when it is
executed, which is how the tests know what ran. A build takes seconds: the tests change one book
step by step, and a build answers several questions.
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

import nbformat
import pytest

JUPYTER_BOOK = Path(sys.executable).with_name("jupyter-book")
ESCAPES = re.compile(r"\x1b\[[0-9;]*m")

CONFIG = """
title: A small book
only_build_toc_files: true
html: {use_issues_button: false, use_repository_button: false}
sphinx:
  extra_extensions: [sphinx_papermill, smallpkg.own]
  config:
    papermill_packages: [smallpkg]
    papermill_fingerprints: {weather: "smallpkg.own:weather"}
    papermill_folders: {tables: ../tables}
    papermill_environment: {COLOUR: red}
    papermill_budgets: {first: 30}
    papermill_render: ["smallpkg.page:sign"]
"""
OWN = """
import os


def weather(name, book):
    return {"rain": "wet"}[name]


def configure(app, config):
    config.papermill_variant = os.environ.get("SIZE", "small")
    config.papermill_parameters = {"size": config.papermill_variant}


def setup(app):
    app.connect("config-inited", configure, priority=50)
"""
PAGE = """
def sign(page):
    page["cells"].append(
        {"cell_type": "markdown", "id": "sign", "metadata": {}, "source": "signed once"})
    return page
"""
TOC = """
format: jb-book
root: index
chapters: [{file: first}, {file: second}, {file: third}]
"""
CHAPTER = """\
# ---
# jupyter:
#   sphinx_papermill: {{{header}}}
# ---

# %% [markdown]
# # {name}

# %% tags=["parameters"]
size: str = "small"  # of everything
level = 1  # a number

# %%
# %matplotlib inline
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
        self.store = self.folder / ".executed" / "small"
        self.folder.mkdir()
        (root / "tables").mkdir()
        (root / "smallpkg").mkdir()
        self.module("__init__", "")
        self.module("alpha", "from smallpkg import gamma\nVALUE = 'alpha one'\n")
        self.module("beta", "VALUE = 'beta one'\n")
        self.module("gamma", "VALUE = 'gamma one'\n")
        self.module("own", OWN)
        self.module("page", PAGE)
        (self.folder / "_config.yml").write_text(CONFIG)
        (self.folder / "_toc.yml").write_text(TOC)
        (self.folder / "index.md").write_text("# Index\n")
        body = "print(smallpkg.alpha.VALUE, size, os.environ['COLOUR'], os.path.expanduser('~/x'))"
        self.chapter("first", "import smallpkg.alpha", body, header="weather: [rain]")
        self.chapter("second", "", "print('second')", header="after: [first]")
        self.chapter("third", "from smallpkg import beta", "print(beta.VALUE)")
        self.trace = root / "trace.txt"

    def module(self, name: str, text: str) -> None:
        (self.root / "smallpkg" / f"{name}.py").write_text(text)

    def text(self, name: str) -> str:
        return (self.folder / f"{name}.py").read_text()

    def chapter(self, name: str, imports: str, body: str, *, header: str = "") -> None:
        text = CHAPTER.format(name=name, imports=imports, body=body, header=header)
        (self.folder / f"{name}.py").write_text(text)

    def start(self, *options: str, **environment: str) -> subprocess.Popen[str]:
        return self.call(JUPYTER_BOOK, "build", str(self.folder), *options, **environment)

    def call(self, *command: object, **environment: str) -> subprocess.Popen[str]:
        path = [str(self.root), *filter(None, [os.environ.get("PYTHONPATH")])]
        return subprocess.Popen(
            command,
            cwd=self.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(path),
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
    for name, budget in (("first", r" \(budget 30 s\)"), ("second", ""), ("third", "")):
        assert re.search(rf"^{name}: 3 cells in \d+\.\d s{budget}$", built.first_output, re.M)
    order = [built.first_output.index(f"{n}: executing") for n in ("first", "second")]
    assert order == sorted(order)


def test_the_page_shows_the_result_and_offers_it_without_the_builders_home(built):
    page = built.page("first")
    assert "alpha one small red ~/x" in page
    assert "signed once" in page
    assert page.count("hide-input") >= 2
    assert "tag_parameters" in page
    assert not re.search(r'tag_parameters[^"]*hide-input|hide-input[^"]*tag_parameters', page)
    assert "_sources/first.ipynb" in page
    text = (built.folder / "_build/html/_sources/first.ipynb").read_text()
    assert str(built.root) not in text
    assert str(Path.home() / "x") not in text
    notebook = json.loads(text)
    outputs = [o for c in notebook["cells"] for o in c.get("outputs", [])]
    assert any("alpha one small" in "".join(o.get("text", "")) for o in outputs)
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"


def test_an_edit_reruns_who_reaches_it_and_who_builds_on_them_and_rendering_runs_nobody(built):
    built.module("gamma", "VALUE = 'gamma two'\n")  # reached by `first` through alpha
    built.module("page", PAGE.replace("signed once", "signed twice"))
    code, output = built.build()
    assert code == 0
    assert built.executed() == ["first", "second"]
    assert "third: up to date" in output
    assert "signed twice" in built.page("third")


def test_a_variant_has_its_own_results_and_those_that_are_not_whole_are_made_again(built):
    code, _ = built.build(SIZE="large")
    assert code == 0
    assert built.executed() == ["first", "second", "third"]
    assert "alpha one large" in built.page("first")
    # back, where one result was edited by hand and one is damaged
    edited, damaged = (built.store / f"{name}.ipynb" for name in ("second", "third"))
    edited.write_text(edited.read_text().replace('"second\\n"', '"forged\\n"'))
    damaged.write_text(damaged.read_text()[:100])
    assert "forged" in edited.read_text()
    code, output = built.build()
    assert code == 0
    assert built.executed() == ["second", "third"]
    assert "first: up to date" in output
    assert "alpha one small" in built.page("first")
    assert "forged" not in built.page("second")


def test_a_chapter_that_fails_ends_the_build_with_one_line_and_its_result_stays(built):
    good = built.text("first")
    result = (built.store / "first.ipynb").read_text()
    built.chapter("first", "", "x = 1\nraise ValueError('no such\\nthing')")
    code, output = built.build()
    assert code != 0
    lines = [line for line in output.splitlines() if "chapter first" in line]
    assert len(lines) == 1, output
    assert "cell 3 of 3" in lines[0]
    assert "ValueError: no such [" in lines[0]
    assert "Traceback" not in output
    assert "chapter second: not executed" in output
    # what was reached is kept for looking at, and is no result
    assert (built.store / "first.failed.ipynb").exists()
    assert (built.store / "first.ipynb").read_text() == result
    (built.folder / "first.py").write_text(good)
    assert built.executed() == ["first"]


def test_a_page_survives_a_build_killed_half_way_and_two_builds_at_once_are_both_right(built):
    built.chapter("third", "import time", "time.sleep(4)\nprint('slept')")
    process = built.start()
    end = time.monotonic() + 60
    while not built.trace.exists():
        assert time.monotonic() < end
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert built.executed() == ["third"]
    assert list(built.store.glob(".*.tmp.ipynb"))

    processes = [built.start(), built.start()]
    outputs = [p.communicate(timeout=180)[0] for p in processes]
    assert [p.returncode for p in processes] == [0, 0], outputs
    # the second found the first one's results
    (second,) = [o for o in outputs if "another build of this book is running" in o]
    assert len(re.findall(r"(first|second|third): up to date", second)) == 3
    assert built.executed() == ["third"]
    assert "slept" in built.page("third")
    for path in built.store.glob("[!.]*.ipynb"):
        json.loads(path.read_text())
    # what the killed build had half written is gone
    assert not list(built.store.glob(".*.tmp.ipynb"))


def test_a_page_alone_is_built_on_what_it_builds_on(built):
    (built.store / "first.ipynb").unlink()
    process = built.call(JUPYTER_BOOK, "build", "book/second.py")
    output, _ = process.communicate(timeout=180)
    assert process.returncode == 0, output
    assert built.executed() == ["first"]  # whose key is as before
    assert "second: up to date" in output
    assert (built.folder / "_build/_page/second/html/second.html").exists()
    assert not (built.folder / "_build/_page/second/html/first.html").exists()


def test_sphinx_builds_the_book_from_its_own_configuration(built):
    for command in (
        [JUPYTER_BOOK, "config", "sphinx", "book"],
        [JUPYTER_BOOK.with_name("sphinx-build"), "-b", "dirhtml", "book", "out"],
    ):
        process = built.call(*command)
        output, _ = process.communicate(timeout=180)
        assert process.returncode == 0, output
    (built.folder / "conf.py").unlink()
    assert built.executed() == []
    for page in ("first/index.html", "_sources/first.ipynb"):
        assert "alpha one small" in (built.root / "out" / page).read_text()


def test_notebooks_are_chapters_and_code_in_markdown_is_refused(built):
    stored = [nbformat.v4.new_output("stream", text="stored")]
    cells = [
        nbformat.v4.new_markdown_cell("# Four"),
        nbformat.v4.new_code_cell("print('made', 2 + 2)", outputs=stored),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), built.folder / "four.ipynb")
    (built.folder / "five.rst").write_text("Five\n====\n")
    prose = "# Six\n\n```{code-cell}\nprint(6)\n```\n"
    (built.folder / "six.md").write_text(f"---\nfile_format: mystnb\n---\n{prose}")
    more = "".join(f", {{file: {name}}}" for name in ("four", "five", "six"))
    (built.folder / "_toc.yml").write_text(TOC.replace("{file: third}", f"{{file: third}}{more}"))
    code, output = built.build()
    assert code != 0
    assert "Chapter six: code in Markdown is not executed; `jupytext --to py:percent" in output
    (built.folder / "six.md").write_text("# Six\n")
    code, output = built.build()
    assert code == 0, output
    for text in (
        built.page("four"),
        (built.folder / "_build/html/_sources/four.ipynb").read_text(),
    ):
        assert "made 4" in text
        assert "stored" not in text
    (built.folder / "_toc.yml").write_text(TOC)


def test_every_mistake_is_told_before_anything_is_executed(built):
    headers = {
        "first": "afer: [third]",
        "second": "weather: [snow]",
        "third": "tables: [prices]",
    }
    for name, header in headers.items():
        built.chapter(name, "", "pass", header=header)
    code, output = built.build()
    assert code != 0
    for message in (
        "Chapter first: unknown sphinx_papermill.afer",
        "Chapter second: weather 'snow': 'snow'",
        "Chapter third: there is no 'prices' of tables",
    ):
        assert message in output
    assert "Traceback" not in output
    assert "executing" not in output
    assert built.executed() == []
