"""What a build hashes is what its chapters read."""

import importlib
import json
from types import SimpleNamespace

import joblib
import pytest
import yaml
from notebooks_under_test import ROOT

from bnn_geometry import data, paths, training
from bnn_geometry.book import sphinx
from bnn_geometry.errors import UserError
from bnn_geometry.studies import tables
from bnn_geometry.training import listing
from sphinx_papermill import staleness
from sphinx_papermill.chapter import load
from sphinx_papermill.staleness import Sources


@pytest.mark.parametrize("given", ["elsewhere", None])
def test_the_runs_that_are_hashed_are_those_that_are_read(tmp_path, monkeypatch, given):
    book = tmp_path / "book"
    book.mkdir()
    (book / "_toc.yml").touch()
    monkeypatch.chdir(tmp_path)
    for name in paths.FOLDERS:
        monkeypatch.delenv(name, raising=False)
    if given:
        monkeypatch.setenv(paths.RUNS, given)  # relative to where the user stands
    app, config = SimpleNamespace(srcdir=str(book)), SimpleNamespace()
    sphinx.configure(app, config)
    monkeypatch.chdir(book)  # where a chapter stands
    for name, value in config.papermill_environment.items():
        monkeypatch.setenv(name, value)
    assert paths.published("best") == tmp_path / (given or "runs") / "best"
    assert config.papermill_folders == {"runs": str(paths.published("best").parent)}


@pytest.mark.parametrize(("preset", "threads"), [("smoke", "2"), ("book", "2"), ("paper", "4")])
def test_a_chapter_has_its_share_of_the_cores_and_at_paper_all(
    tmp_path, monkeypatch, preset, threads
):
    monkeypatch.setenv(paths.PRESET, preset)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(joblib, "cpu_count", lambda: 4)
    config = SimpleNamespace()
    sphinx.configure(SimpleNamespace(srcdir=str(tmp_path)), config)
    assert config.papermill_environment["OMP_NUM_THREADS"] == threads


def test_what_the_header_of_a_chapter_does_not_name_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setenv(paths.RUNS, str(tmp_path))
    monkeypatch.setenv(paths.HEADER, json.dumps({"runs": ["best"], "data": ["mnist"]}))
    assert paths.published("best") == tmp_path / "best"
    assert len(data.load("mnist", source="stand-in").classes) == 10
    for read, kind in (
        (lambda: training.published_run("other"), "runs"),
        (lambda: tables.published("other"), "runs"),
        (lambda: listing.published_runs(), "runs"),
        (lambda: data.load("cifar10"), "data"),
    ):
        with pytest.raises(UserError, match=rf"not among the {kind} in its header: add it there"):
            read()
    monkeypatch.setenv(paths.HEADER, json.dumps({"runs": ["."]}))
    assert paths.published("other") == tmp_path / "other"
    monkeypatch.delenv(paths.HEADER)
    assert paths.published("other") == tmp_path / "other"


@pytest.fixture
def real():
    """What the build of this book hashes of its chapter ``checks``."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text())["sphinx"]["config"]
    functions = {
        kind: getattr(importlib.import_module(module), function)
        for kind, (module, function) in (
            (kind, name.split(":")) for kind, name in config["papermill_fingerprints"].items()
        )
    }
    sources = Sources(
        ROOT / "book",
        packages=tuple(config["papermill_packages"]),
        libraries=tuple(config["papermill_libraries"]),
        fingerprints=functions,
        folders={"runs": ROOT / "runs"},
    )
    chapter = load("checks", ROOT / "book" / "checks.py", kinds=sources.kinds)
    return lambda: staleness.inputs(chapter, sources)


def test_a_chapter_is_executed_again_when_what_it_rests_on_changes(real, monkeypatch):
    before = real()
    assert "bnn_geometry.training.loop" in before["modules"]
    assert "bnn_geometry.geometry.flows" not in before["modules"]
    assert {"torch", "numpy", "papermill"} <= set(before["libraries"])
    assert before == real()
    for patch in (
        lambda: monkeypatch.setattr(data, "fingerprint", lambda name: "others"),
        lambda: monkeypatch.setenv(paths.PRESET, "smoke"),
        lambda: monkeypatch.setattr(staleness, "_version", lambda name: "9"),
    ):
        patch()
        assert real() != before
        monkeypatch.undo()


@pytest.mark.parametrize(("preset", "seconds"), [("smoke", 300), ("book", 900), ("paper", None)])
def test_a_cell_has_as_long_as_its_preset_says(tmp_path, monkeypatch, preset, seconds):
    monkeypatch.setenv(paths.PRESET, preset)
    config = SimpleNamespace()
    sphinx.configure(SimpleNamespace(srcdir=str(tmp_path)), config)
    assert config.papermill_timeout == seconds
