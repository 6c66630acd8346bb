"""Folders: from an argument, else the environment, else a default; never from where a kernel is."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnn_geometry import paths
from bnn_geometry.errors import UserError


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """None of our variables, and a home of its own."""
    for variable in (*paths.FOLDERS, paths.PRESET):
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
    assert [str(folder) for folder in found] == [f"/given/{v}" for v in paths.FOLDERS[:-1]]
    assert paths.data_root("~/mine") == bare / "mine"
    assert paths.data_root_is_given()
    assert paths.preset_name() == "smoke"


def places():
    return [
        *(paths.data_root(), paths.cache_root(), paths.runs_root()),
        *(paths.live_root(), paths.executed_folder("x")),
    ]


@settings(deadline=None, max_examples=50)
@given(
    values=st.lists(
        st.sampled_from(["", "images", "~/runs", "a b/c", "../up", ".", " ", "/given", "$HOME"]),
        min_size=len(paths.FOLDERS),
        max_size=len(paths.FOLDERS),
    )
)
def test_folders_are_the_same_wherever_a_process_stands_once_they_are_pinned(values):
    before = Path.cwd()
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as elsewhere:
        for variable, value in zip(paths.FOLDERS, values, strict=True):
            patch.setenv(variable, value)
        found = places()
        paths.pin()
        try:
            os.chdir(elsewhere)
            # but for the book's own, where the variable is empty
            for variable, one, other in zip(paths.FOLDERS, found, places(), strict=False):
                assert one.is_absolute()
                assert one == other or not os.environ[variable]
            assert paths.data_root() == found[0]
            assert paths.data_root_is_given() == bool(values[0])
        finally:
            os.chdir(before)


def test_a_home_that_is_not_there_is_a_sentence(monkeypatch):
    monkeypatch.setenv(paths.XDG, "~no-such-user/x")
    with pytest.raises(UserError, match=r"Whose home is meant by ~no-such-user/x\?"):
        paths.pin()


def test_the_book_is_found_from_inside_and_its_absence_is_a_sentence(bare, monkeypatch):
    inside = bare / "book" / "_build"
    inside.mkdir(parents=True)
    (bare / "book" / "_toc.yml").write_text("")
    monkeypatch.chdir(inside)
    assert paths.book_folder() != bare / "book"  # another project's
    with pytest.raises(UserError, match=f"{bare / 'book'} is another book"):
        paths.book_folder(around=True)
    (bare / "_config.yml").write_text("extra_extensions: [bnn_geometry.book.sphinx]")
    assert paths.book_folder() == paths.book_folder(around=True) == bare / "book"
    monkeypatch.chdir("/")
    monkeypatch.setattr(paths, "__file__", "/nowhere/a/b/paths.py")
    with pytest.raises(UserError, match="There is no book here"):
        paths.book_folder()
