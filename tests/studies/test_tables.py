"""A published study: written, verified, read as it was."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from bnn_geometry import paths
from bnn_geometry.errors import UserError
from bnn_geometry.studies import NAMES, tables

FOUND = tables.Published(
    study="draws",
    tables={
        "errors": pd.DataFrame({"variant": ["None", "a, b"], "error": [1 / 3, np.nan]}),
        "layers": pd.DataFrame({"n": [27], "r": [0.1 + 0.2]}),
    },
    settings={"of": "normal"},
    data={"title": "Noise"},
    versions={"torch": "1"},
    seconds=1.5,
    earlier=({"commit": None},),
)


def test_study_comes_back_as_it_was_written(tmp_path, monkeypatch):
    monkeypatch.setenv("BNN_RUNS", str(tmp_path))
    tables.write(tmp_path / "draws", FOUND)
    tables.write(tmp_path / "draws", FOUND)  # gives way to the new one
    found = tables.published("draws")
    assert list(found.tables) == list(FOUND.tables)
    for name, table in FOUND.tables.items():
        pd.testing.assert_frame_equal(found.tables[name], table, check_exact=True)
    for field in ("study", "settings", "data", "versions", "commit", "code", "seconds", "earlier"):
        assert getattr(found, field) == getattr(FOUND, field)
    assert [path.name for path in tmp_path.iterdir()] == ["draws"]


def test_damaged_or_missing_study_is_a_sentence(tmp_path):
    with pytest.raises(UserError, match="There are no tables of a study in"):
        tables.read(tmp_path)
    for name in (tables.FILE, "errors.csv", "layers.csv"):
        path = tmp_path / name / name
        tables.write(path.parent, FOUND)
        path.write_text(path.read_text().replace("3", "4", 1))
        with pytest.raises(UserError, match=r"it was damaged or edited\. Restore the folder"):
            tables.read(path.parent)


def test_manifest_of_something_else_is_no_study(tmp_path):
    tables.write_tables(tmp_path, FOUND.tables, {"seeds": 3})
    with pytest.raises(UserError, match=r"study\.json describes no published study"):
        tables.read(tmp_path)


def test_rows_made_with_other_versions_are_not_added_to():
    data = FOUND.data | {"fingerprint": "0"}
    kept = replace(FOUND, data=data)
    tables.check_addable(kept, settings=FOUND.settings, data=data, versions=FOUND.versions)
    with pytest.raises(UserError, match="of draws were made with other versions"):
        tables.check_addable(kept, settings=FOUND.settings, data=data, versions={"torch": "2"})


def test_no_other_folder_gives_way(tmp_path):
    for name, spoil in (
        ("letters", lambda path: (path / tables.FILE).unlink()),
        ("other", lambda path: tables.write_tables(path, {}, {"study": "others"})),
        ("more", lambda path: (path / "notes.txt").touch()),
        ("broken", lambda path: (path / tables.FILE).write_text("[]")),
    ):
        tables.write(tmp_path / name, FOUND)
        spoil(tmp_path / name)
        before = {p: p.read_bytes() for p in tmp_path.rglob("*.*")}
        with pytest.raises(UserError, match="something else than the study draws at"):
            tables.write(tmp_path / name, FOUND)
        assert {p: p.read_bytes() for p in tmp_path.rglob("*.*")} == before


def test_what_is_said_of_the_images_is_plain_text(tmp_path):
    tables.write(tmp_path / "a", replace(FOUND, data={"title": "<b>$x$", "images": 3}))
    assert tables.read(tmp_path / "a").data == {"title": "?b??x?", "images": 3}
    tables.write(tmp_path / "b", replace(FOUND, data=["title"]))
    with pytest.raises(UserError, match="describes no published study"):
        tables.read(tmp_path / "b")


def test_published_studies_are_whole_and_as_they_would_be_written():
    # geometry has a folder for each run; the runs of choices take hours and are not published yet
    folders = [name for name in NAMES if name not in ("geometry", "choices")]
    folders += [folder.name for folder in sorted(paths.runs_root().glob("geometry-*"))]
    for name in folders:
        found = tables.published(name)
        assert found.study == name
        assert not found.data["title"].startswith("stand-in")
        for table, rows in found.tables.items():
            file = paths.runs_root() / name / f"{table}.csv"
            assert rows.to_csv(index=False) == file.read_text(encoding="utf-8")
