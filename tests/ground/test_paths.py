"""Folders: from an argument, else the environment, else a default; never from where a kernel is."""

from __future__ import annotations

import os

import pytest

from bnn_geometry import paths
from bnn_geometry.errors import UserError


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """None of our variables, and a home of its own."""
    for variable in (*paths.FOLDERS, paths.PRESET, "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_defaults_lie_in_the_cache_and_beside_the_book(bare, monkeypatch):
    cache = bare / ".cache" / "bnn-geometry"
    assert (paths.data_root(), paths.cache_root(), paths.live_root()) == (
        *(cache, cache, cache / "live"),
    )
    assert not paths.data_root_is_given()
    monkeypatch.setenv("XDG_CACHE_HOME", str(bare / "xdg"))
    assert paths.cache_root() == paths.data_root() == bare / "xdg" / "bnn-geometry"
    assert paths.runs_root() == paths.book_folder().parent / "runs"
    assert paths.executed_folder("smoke") == paths.book_folder() / ".executed" / "smoke"
    assert paths.preset_name() == "book"


def test_environment_comes_before_defaults_and_an_argument_before_both(bare, monkeypatch):
    for variable in paths.FOLDERS:
        monkeypatch.setenv(variable, f"/given/{variable}")
    monkeypatch.setenv(paths.PRESET, "smoke")
    found = [
        *(paths.data_root(), paths.cache_root(), paths.runs_root()),
        *(paths.live_root(), paths.executed_folder("x")),
    ]
    assert [str(folder) for folder in found] == [f"/given/{v}" for v in paths.FOLDERS]
    assert paths.data_root("~/mine") == bare / "mine"
    assert paths.data_root_is_given()
    assert paths.preset_name() == "smoke"


def test_relative_folders_are_pinned_where_the_user_stands(bare, monkeypatch):
    monkeypatch.chdir(bare)
    monkeypatch.setenv(paths.DATA, "images")
    monkeypatch.setenv(paths.RUNS, "~/runs")
    paths.pin()
    assert os.environ[paths.RUNS] == str(bare / "runs")
    assert paths.LIVE not in os.environ
    (bare / "elsewhere").mkdir()
    monkeypatch.chdir(bare / "elsewhere")
    assert paths.data_root() == bare / "images"


def test_the_book_is_found_from_inside_and_its_absence_is_a_sentence(bare, monkeypatch):
    inside = bare / "book" / "_build"
    inside.mkdir(parents=True)
    (bare / "book" / "_toc.yml").write_text("")
    monkeypatch.chdir(inside)
    assert paths.book_folder() == bare / "book"
    monkeypatch.chdir("/")
    monkeypatch.setattr(paths, "__file__", "/nowhere/a/b/paths.py")
    with pytest.raises(UserError, match="There is no book here"):
        paths.book_folder()
