"""What a build hashes is what its chapters read."""

import json
from types import SimpleNamespace

import joblib
import pytest

from bnn_geometry import data, paths, training
from bnn_geometry.book import sphinx
from bnn_geometry.errors import UserError
from bnn_geometry.studies import tables
from bnn_geometry.training import listing


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
