"""The published table of ablations: written, verified, summarized; its variants can be trained."""

import importlib.util
import math
import sys
from pathlib import Path

import pandas as pd
import pytest
from tiny import tiny_dataset

from bnn_geometry import paths, storage
from bnn_geometry.errors import UserError
from bnn_geometry.studies import ablations
from bnn_geometry.training import making, recipes

ROOT = Path(__file__).parents[2]
TABLE = pd.DataFrame(
    [
        ("reference", 1, 0.2, 0.30, 0.31),
        ("wide", 1, 0.1, 0.24, 0.26),
        ("reference", 2, 0.2, 0.34, 0.33),
        ("wide", 2, 0.1, 0.30, 0.30),
        ("once", 2, 0.1, 0.44, 0.40),
    ],
    columns=["variant", "seed", "train_error", "validation_error", "test_error"],
)
DATA = {"title": "Noise", "fingerprint": "0"}


def test_summary_by_hand():
    found = ablations.summarize(TABLE)
    assert found.index.tolist() == ["reference", "wide", "once"]
    assert found["runs"].tolist() == [2, 2, 1]
    assert found["validation"].tolist() == pytest.approx([32, 27, 44])
    assert found["test"].tolist() == pytest.approx([32, 28, 40])
    # paired by seed: -6 and -4, and +10 beside the reference of seed 2 alone
    assert found["difference"].tolist() == pytest.approx([0, -5, 10])
    assert found["difference_se"].tolist()[:2] == pytest.approx([0, 1])
    assert math.isnan(found["difference_se"].iloc[2])


def test_table_comes_back_as_it_was_written(tmp_path):
    ablations.write(tmp_path / "runs" / "ablations", TABLE, DATA, {"torch": "1"})
    found = ablations.read(tmp_path / "runs" / "ablations")
    pd.testing.assert_frame_equal(found.table, TABLE)
    assert (found.reference, found.data) == (ablations.REFERENCE, DATA)
    assert found.versions == {"torch": "1"}


@pytest.mark.parametrize("name", [ablations.FILE, ablations.TABLE])
def test_damaged_or_missing_table_is_a_sentence(tmp_path, name):
    with pytest.raises(UserError, match="There are no ablations in"):
        ablations.read(tmp_path)
    ablations.write(tmp_path, TABLE, DATA, {})
    path = tmp_path / name
    path.write_text(path.read_text().replace("2", "3", 1))
    with pytest.raises(UserError, match="it was damaged or edited"):
        ablations.read(tmp_path)


def test_every_variant_changes_the_reference_and_can_be_trained():
    recipe = ablations.REFERENCE
    for name, changes in ablations.VARIANTS.items():
        variant = recipe.with_(**changes)
        assert (variant == recipe) == (name == "reference")
        assert (variant.width, variant.epochs) == (recipe.width, recipe.epochs)
    assert {*ablations.MISTAKES, *ablations.CONTINUOUS} < set(ablations.VARIANTS)


def test_row_of_fast_has_what_fast_has():
    variant = ablations.REFERENCE.with_(**ablations.VARIANTS["all that fast has"]).as_dict()
    fast = recipes.FAST_CIFAR10.as_dict()
    # smaller, with images held out, and nothing left to the machine
    sizes = {"width", "epochs", "train_images", "validation_images", "precision", "compile"}
    assert {field for field in fast if variant[field] != fast[field]} <= sizes


def test_published_table_is_of_these_variants_and_this_reference():
    found = ablations.read(paths.runs_root() / "ablations")
    assert found.reference == ablations.REFERENCE
    assert set(found.table["variant"]) == set(ablations.VARIANTS)
    assert not found.table.isna().any(axis=None)
    assert not found.table.duplicated(["variant", "seed"]).any()


@pytest.fixture
def tool(monkeypatch):
    spec = importlib.util.spec_from_file_location("ablations_tool", ROOT / "tools/ablations.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "ablations_tool", module)
    spec.loader.exec_module(module)
    return module


def test_tool_trains_each_variant_once_and_writes_the_table(tool, tmp_path, monkeypatch):
    asked = []

    def run(command, **options):  # in the place of hours of training
        arguments = command[3:]
        out = Path(arguments[arguments.index("--out") + 1])
        changes = {
            arguments[i + 1]: arguments[i + 2] for i, a in enumerate(arguments) if a == "--set"
        }
        asked.append(changes)
        if not out.exists():
            recipe = recipes.FAST_MNIST.with_(width=1 / 512, epochs=1, batch_size=20)
            seed = int(arguments[arguments.index("--seed") + 1])
            making.make(out, recipe, tiny_dataset(), seed=seed)
        return type("Done", (), {"returncode": 0})()

    monkeypatch.setattr(tool.subprocess, "run", run)
    monkeypatch.setattr(tool.data, "load", lambda *args, **options: tiny_dataset("convnet"))
    monkeypatch.setattr(tool, "VARIANTS", {"reference": {}, "not clipped": {"clip": False}})
    arguments = ["--work", str(tmp_path / "work"), "--out", str(tmp_path / "out")]
    assert tool.main(arguments) == 0
    found = ablations.read(tmp_path / "out")
    assert found.table["variant"].tolist() == ["reference", "not clipped"] * 2
    assert found.table["seed"].tolist() == [1, 1, 2, 2]
    assert len(asked) == 4
    assert sum("clip" in changes for changes in asked) == 2
    assert all(changes["width"] == "0.125" for changes in asked)
    (tmp_path / "out" / "table.csv").unlink()
    assert tool.main(arguments) == 0  # nothing is trained again
    pd.testing.assert_frame_equal(ablations.read(tmp_path / "out").table, found.table)
    more = [*arguments, "--add", "--variants", "reference", "--seeds", "2", "5"]
    assert tool.main(more) == 0
    longer = ablations.read(tmp_path / "out").table
    assert sorted(zip(longer["variant"], longer["seed"], strict=True)) == [
        *(("not clipped", seed) for seed in (1, 2)),
        *(("reference", seed) for seed in (1, 2, 5)),
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--variants", "nothing"], "There is no variant 'nothing'"),
        (["--variants", "no augmentation"], "name it among the variants"),
        (["--seeds", "3", "3"], "A seed is named twice: 3, 3"),
        (["--add"], "There are no ablations in"),
    ],
)
def test_tool_refuses_what_makes_no_table(tool, tmp_path, monkeypatch, capsys, options, message):
    monkeypatch.setattr(tool.data, "load", lambda *args, **options: tiny_dataset("convnet"))
    arguments = ["--work", str(tmp_path / "work"), "--out", str(tmp_path / "out"), *options]
    assert tool.main(arguments) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_tool_adds_to_no_table_of_something_else(tool, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tool.data, "load", lambda *args, **options: tiny_dataset("convnet"))
    here = tiny_dataset("convnet").provenance.as_dict()
    arguments = ["--work", str(tmp_path / "work"), "--out", str(tmp_path), "--add"]
    for data, versions, message in (
        (here, {"torch": "1"}, "other versions"),
        (DATA, storage.versions(), "of other images: Noise"),
    ):
        ablations.write(tmp_path, TABLE, data, versions)
        assert tool.main(arguments) == 1
        assert message in capsys.readouterr().err


def test_tool_says_which_run_failed(tool, tmp_path, monkeypatch, capsys):
    failed = type("Done", (), {"returncode": 1, "stderr": "bnn-geometry: no space\n"})()
    monkeypatch.setattr(tool.subprocess, "run", lambda *args, **options: failed)
    monkeypatch.setattr(tool.data, "load", lambda *args, **options: tiny_dataset("convnet"))
    assert tool.main(["--work", str(tmp_path / "work"), "--out", str(tmp_path / "out")]) == 1
    assert "reference, seed 1: bnn-geometry: no space" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
