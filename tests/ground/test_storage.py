"""What is written appears whole or not at all; what was changed afterwards is seen."""

from __future__ import annotations

import importlib.metadata
import json
import os

import pytest

from bnn_geometry import storage
from bnn_geometry.errors import UserError

REMEDY = "Make it again."


def fail(*_):
    raise OSError(28, "No space left on device")


def visible(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "table.csv"
    storage.write_file(path, "größer\n")
    storage.write_file(path, b"\xffbytes")
    assert path.read_bytes() == b"\xffbytes"
    assert visible(tmp_path) == ["table.csv"]


@pytest.mark.parametrize("step", ["sync", "os.replace"])
def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch, step):
    path = tmp_path / "table.csv"
    path.write_text("old")
    if step == "sync":
        monkeypatch.setattr(storage, "sync", fail)
    else:
        monkeypatch.setattr(type(path), "replace", fail)
    with pytest.raises(OSError, match="No space"):
        storage.write_file(path, "new")
    assert path.read_text() == "old"
    assert visible(tmp_path) == ["table.csv"]


def test_a_new_folder_is_there_when_it_is_whole_and_readable_by_others(tmp_path):
    with storage.new_folder(tmp_path / "a" / "b") as folder:
        (folder / "x").write_text("1")
        assert not (tmp_path / "a" / "b").exists()
    assert visible(tmp_path / "a") == ["b"]
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o755
    with (
        pytest.raises(UserError, match="There is something at"),
        storage.new_folder(tmp_path / "a" / "b"),
    ):
        pass


@pytest.mark.parametrize(
    ("error", "raised"), [(OSError("full"), UserError), (KeyError("bug"), KeyError)]
)
def test_a_folder_that_was_not_filled_is_not_there(tmp_path, error, raised):
    def fill():
        with storage.new_folder(tmp_path / "a") as folder:
            (folder / "x").write_text("1")
            raise error

    with pytest.raises(raised):
        fill()
    assert visible(tmp_path) == []


@pytest.fixture
def folder(tmp_path):
    """Two files and their manifest."""
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text(name)
    storage.write_manifest(tmp_path, "all.json", {"seed": 3}, ["a.csv", "b.csv"])
    return tmp_path


def test_a_manifest_comes_back_with_the_hashes_of_its_files_and_its_own(folder):
    values = storage.read_manifest(folder, "all.json", ["a.csv"], remedy=REMEDY)
    assert values["seed"] == 3
    assert set(values["sha256"]) == {"a.csv", "b.csv", "all.json"}
    assert values["sha256"]["a.csv"] == storage.text_hash("a.csv")


def test_whatever_was_edited_is_named(folder):
    values = json.loads((folder / "all.json").read_text())
    for name, text in (("b.csv", "other"), ("all.json", json.dumps(values | {"seed": 4}))):
        before = (folder / name).read_text()
        (folder / name).write_text(text)
        with pytest.raises(UserError, match=rf"{name} is not the file .* {REMEDY}"):
            storage.read_manifest(folder, "all.json", [], remedy=REMEDY)
        (folder / name).write_text(before)
    (folder / "c.csv").write_text("c")
    with pytest.raises(LookupError):  # not among those with a hash
        storage.read_manifest(folder, "all.json", ["c.csv"], remedy=REMEDY)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "all.json").unlink(), "There are no tables in"),
        (lambda f: (f / "a.csv").unlink(), "There are no tables in"),
        (lambda f: (f / "all.json").write_text("{"), "cannot be read: .* Make it again"),
        (lambda f: (f / "all.json").write_text("[]"), "cannot be read: .* Make it again"),
    ],
)
def test_what_goes_wrong_while_reading_is_a_sentence(folder, spoil, message):
    spoil(folder)
    with (
        pytest.raises(UserError, match=message),
        storage.reading(folder, "tables", remedy=REMEDY),
    ):
        storage.read_manifest(folder, "all.json", ["a.csv"], remedy=REMEDY)


def test_versions_are_those_of_what_is_installed(monkeypatch):
    found = storage.versions()
    assert list(found) == ["python", "torch", "torchvision", "numpy"]
    version = importlib.metadata.version

    def without(name):
        if name == "torchvision":
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(importlib.metadata, "version", without)
    assert storage.versions() == {k: v for k, v in found.items() if k != "torchvision"}


def test_nothing_waits_for_a_folder_where_the_system_cannot(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "name", "nt")
    monkeypatch.setattr(os, "open", fail)
    storage.sync(tmp_path)
