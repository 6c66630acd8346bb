"""What enters a chapter's key, and what counts as a result; without a build."""

import json
import os
import sysconfig
from pathlib import Path

import pytest

from sphinx_papermill import staleness
from sphinx_papermill.chapter import load
from sphinx_papermill.errors import BookError
from sphinx_papermill.staleness import Sources, Store

TEXT = """\
# ---
# jupyter:
#   sphinx_papermill: {after: [zero], files: [rows.toml], weather: [rain], runs: [best]}
# ---

# %%
import numpy
"""


class Weather:
    """Fingerprints that a test can change."""

    def __init__(self):
        self.values = {"rain": "wet", "one": "sizes of one"}

    def __call__(self, name, book):
        assert book.name == "book"
        return self.values[name]


@pytest.fixture
def weather():
    return Weather()


@pytest.fixture
def sources(tmp_path, weather):
    run = tmp_path / "runs" / "best"
    run.mkdir(parents=True)
    (run / "history.csv").write_text("epoch\n1\n")
    return Sources(
        tmp_path / "book",
        libraries=("numpy", "not-there"),
        fingerprints={"weather": weather, staleness.OWN: weather},
        folders={"runs": tmp_path / "runs"},
    )


@pytest.fixture
def chapter(sources):
    path = sources.book / "one.py"
    path.parent.mkdir()
    path.write_text(TEXT)
    (path.parent / "rows.toml").write_text("x = 1")
    return load("one", path, kinds=sources.kinds)


def key(chapter, sources, zero="key of zero"):
    return staleness.key_of(staleness.inputs(chapter, sources), {"zero": zero})


def test_the_key_knows_all_that_the_header_names_and_nothing_else(chapter, sources, weather):
    before = key(chapter, sources)
    assert key(chapter, sources) == before
    assert key(chapter, sources, zero="another") != before

    seen = {before}
    for change in (
        lambda: weather.values.update(rain="dry"),
        lambda: weather.values.update(one="other sizes"),
        lambda: (sources.folders["runs"] / "best" / "history.csv").write_text("epoch\n2\n"),
        lambda: (sources.folders["runs"] / "best" / "more.csv").touch(),
        lambda: (sources.book / "rows.toml").write_text("x = 2"),
        lambda: chapter.path.write_text(f"{TEXT}# a word\n"),
    ):
        change()
        assert key(chapter, sources) not in seen
        seen.add(key(chapter, sources))
    weather.values["wind"] = "strong"  # of others
    (sources.folders["runs"] / "another").mkdir()
    assert key(chapter, sources) in seen


def test_the_key_knows_modules_beside_the_chapter_and_versions_of_what_they_import(
    chapter, sources, monkeypatch
):
    chapter.notebook.cells[0].source = "import helping"
    (sources.book / "helping.py").write_text("import pandas\n")
    before = key(chapter, sources)
    monkeypatch.setattr(staleness.imports, "versions", lambda modules: {"pandas": "0"})
    assert key(chapter, sources) != before
    monkeypatch.undo()
    assert key(chapter, sources) == before
    (sources.book / "helping.py").write_text("import pandas  # \n")
    assert key(chapter, sources) != before


def test_the_key_knows_variables_that_the_book_sets_or_the_chapter_names_and_no_place(
    chapter, sources, monkeypatch
):
    before = key(chapter, sources)
    there = Sources(**{**vars(sources), "environment": {"PLACE": "/somewhere"}})
    assert key(chapter, there) == before
    red = Sources(**{**vars(sources), "environment": {"COLOUR": "red"}})
    blue = Sources(**{**vars(sources), "environment": {"COLOUR": "blue"}})
    assert len({before, key(chapter, red), key(chapter, blue)}) == 3
    monkeypatch.setenv("TASTE", "sweet")
    assert key(chapter, sources) == before
    chapter.notebook.cells[0].source = "import os\nos.environ['TASTE']"
    sweet = key(chapter, sources)
    monkeypatch.setenv("TASTE", "sour")
    assert key(chapter, sources) != sweet
    assert "sour" not in str(staleness.inputs(chapter, sources))  # it is published


@pytest.mark.skipif(os.name == "nt", reason="links as POSIX has them")
def test_a_linked_folder_counts_as_what_it_leads_to(chapter, sources, tmp_path):
    run = sources.folders["runs"] / "best"
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "weights").write_text("1")
    (run / "more").symlink_to(tmp_path / "elsewhere")
    (run / "loop").symlink_to(run)
    before = key(chapter, sources)
    (tmp_path / "elsewhere" / "weights").write_text("2")
    assert key(chapter, sources) != before


def test_the_key_knows_versions_and_what_is_injected(chapter, sources, monkeypatch):
    before = key(chapter, sources)
    injected = load("one", chapter.path, kinds=sources.kinds)
    injected.parameters["level"] = 2
    assert key(injected, sources) != before
    monkeypatch.setattr(staleness, "_version", lambda name: "0.0")
    assert key(chapter, sources) != before


def test_what_is_not_there_names_the_chapter(chapter, sources, weather):
    del weather.values["rain"]
    with pytest.raises(BookError, match="Chapter one: weather 'rain': 'rain'"):
        staleness.inputs(chapter, sources)
    weather.values["rain"] = "wet"
    (sources.folders["runs"] / "best" / "history.csv").unlink()
    (sources.folders["runs"] / "best").rmdir()
    with pytest.raises(BookError, match="Chapter one: there is no 'best' of runs in"):
        staleness.inputs(chapter, sources)


def test_code_that_a_chapter_reaches_must_be_python(chapter, sources, tmp_path, monkeypatch):
    (tmp_path / "brokenmodule.py").write_text("def\n")
    monkeypatch.syspath_prepend(tmp_path)
    chapter.notebook.cells[0].source = "import brokenmodule"
    reaching = Sources(**{**vars(sources), "packages": ("brokenmodule",)})
    with pytest.raises(BookError, match=r"Chapter one reaches .*brokenmodule.py, which is not"):
        staleness.inputs(chapter, reaching)


@pytest.fixture
def kept(tmp_path):
    store = Store(tmp_path / "book" / ".executed", "small")
    store.folder.mkdir(parents=True)
    home = Path.home()
    installed = f"{sysconfig.get_path('purelib')}/torch/x.py"
    lines = [f"{home}/x", f"{home}less", f"/mnt{home}/x", f"file://{home}", str(tmp_path)]
    lines += [f"{tmp_path}/runs/a", f"{tmp_path}er/x", f"{installed}:3: UserWarning: old"]
    lines += ["/var/tmp/ipykernel_12/345.py:1: UserWarning: old"]
    outputs = [
        {"output_type": "stream", "text": [f"{line}\n" for line in lines]},
        {
            "output_type": "display_data",
            "data": {
                "text/plain": f"'{home}'",
                "image/png": f"{home}/",
                "application/json": {"at": [f"{tmp_path}/book/x"]},
            },
        },
    ]
    notebook = {
        "cells": [{"cell_type": "code", "source": "1", "outputs": outputs}],
        "metadata": {"papermill": {"input_path": f"{home}/book/one.py"}},
    }
    executed = tmp_path / "executed.ipynb"
    executed.write_text(json.dumps(notebook))
    store.keep("one", executed, {"key": "abc", "seconds": 1.5})
    assert not executed.exists()
    return store


def test_a_result_has_a_key_until_somebody_edits_it(kept):
    assert kept.key("one") == "abc"
    assert kept.key("two") is None
    text = kept.path("one").read_text()
    for changed in (
        text.replace('"source": "1"', '"source": "2"'),
        text.replace('"key": "abc"', '"key": "abd"'),
        text[: len(text) // 2],
        "[]",
        json.dumps({"metadata": {}}),
    ):
        assert changed != text
        kept.path("one").write_text(changed)
        assert kept.key("one") is None
    kept.path("one").write_text(json.dumps(json.loads(text)))  # the same content
    assert kept.key("one") == "abc"


def test_a_result_does_not_tell_where_it_was_made(kept):
    notebook = json.loads(kept.path("one").read_text())
    stream, display = notebook["cells"][0]["outputs"]
    home, made = str(Path.home()), kept.root.parent.parent
    assert stream["text"] == [
        *("~/x\n", f"{home}less\n", f"/mnt{home}/x\n", "file://~\n", ".\n", "runs/a\n"),
        *(f"{made}er/x\n", "torch/x.py:3: UserWarning: old\n", "cell:1: UserWarning: old\n"),
    ]
    assert display["data"] == {
        "text/plain": "'~'",
        "image/png": f"{home}/",
        "application/json": {"at": ["x"]},
    }
    assert "papermill" not in notebook["metadata"]


@pytest.mark.parametrize("home", ["/", "", "relative"])
def test_a_home_that_is_none_replaces_nothing(kept, tmp_path, monkeypatch, home):
    monkeypatch.setenv("HOME", home)
    text = "https://example.org/ and relative/ways, and. so on"
    notebook = {
        "cells": [{"outputs": [{"output_type": "stream", "text": [text]}]}],
        "metadata": {},
    }
    executed = tmp_path / "executed.ipynb"
    executed.write_text(json.dumps(notebook))
    kept.keep("home", executed, {"key": "abc"})
    assert text in kept.path("home").read_text()


def test_half_written_notebooks_of_all_variants_are_removed(kept):
    for folder in (kept.root / "other" / "part", kept.folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / staleness.partial_name("one", 17)).touch()
    kept.remove_partial()
    assert [p.name for p in kept.root.rglob("*.ipynb")] == ["one.ipynb"]
