"""Chapters at work on machines as they are: what cannot be kept, started or locked, and changes."""

import json
import os
from pathlib import Path

import pytest
from filelock import FileLock

from sphinx_papermill import extension, staleness, worker
from sphinx_papermill.chapter import load
from sphinx_papermill.schedule import Schedule
from sphinx_papermill.staleness import Sources, Store


class Done:
    """A worker that has executed a chapter, and done something else meanwhile."""

    def __init__(self, output, meanwhile):
        notebook = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
        output.write_text(json.dumps(notebook))
        meanwhile()

    def running(self):
        return False

    def outcome(self):
        return worker.Outcome(True, 1, 1, 0.1)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Execute one chapter; gives why it failed."""
    book = tmp_path / "book"
    book.mkdir()
    (book / "one.py").write_text("# %%\nimport helping\n")
    (book / "helping.py").touch()
    sources = Sources(book)

    def run(meanwhile=lambda: None):
        monkeypatch.setattr(worker, "start", lambda path, output, **_: Done(output, meanwhile))
        chapter = load("one", book / "one.py")
        schedule = Schedule(
            Store(book / extension.STORE, "small"),
            {"one": staleness.inputs(chapter, sources)},
            sources=sources,
            jobs=1,
            timeout=None,
            budgets={},
        )
        schedule.run([chapter])
        return schedule.failed.get("one")

    run.book = book
    return run


@pytest.mark.parametrize("name", ["one.py", "helping.py"])
def test_what_was_changed_while_it_was_executed_is_no_result(run, name):
    file = run.book / name
    store = Store(run.book / extension.STORE, "small")
    assert "was changed meanwhile: build again" in run(lambda: file.write_text("import json\n"))
    assert store.key("one") is None
    assert run() is None
    assert store.key("one")


def test_a_store_that_cannot_be_written_is_told_before_anything_is_executed(run):
    (run.book / extension.STORE).touch()  # also where the user may write everywhere
    message = run(lambda: pytest.fail("executed"))
    assert message.startswith("not executed: its result cannot be kept in ")
    assert "\n" not in message


def test_no_room_for_temporary_files_is_a_sentence(run):
    def fail():
        raise OSError(28, os.strerror(28))

    assert "set TMPDIR to a folder that has (No space left on device)" in run(fail)


@pytest.mark.parametrize("error", [NotImplementedError("no flock"), OSError(37, "No locks")])
def test_a_store_that_cannot_be_locked_is_a_line_and_no_failure(tmp_path, monkeypatch, error):
    def fail(*_, **__):
        raise error

    said = []
    monkeypatch.setattr(FileLock, "acquire", fail)
    monkeypatch.setattr(extension.LOGGER, "info", lambda text, *values: said.append(text % values))
    extension._locked(Path(tmp_path))
    assert len(said) == 1
    assert "do not build this book twice at once" in said[0]
