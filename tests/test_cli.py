"""The command line: one clear sentence for every mistake, and a result that can be read back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from notebooks_under_test import ROOT

from bnn_geometry import cli, execute, recipes
from bnn_geometry.errors import UserError

COMMAND = Path(sys.executable).with_name("bnn-geometry")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, *arguments], capture_output=True, text=True, cwd=ROOT, timeout=300, check=False
    )


def fails(capsys, *arguments: str) -> str:
    assert cli.main(arguments) == 1
    captured = capsys.readouterr()
    lines = captured.err.strip().splitlines()
    assert len(lines) == 1, captured.err
    return lines[0]


def test_status_names_the_stand_ins_and_how_to_get_the_real_images(capsys):
    assert cli.main(["status", "--data-only"]) == 0
    out = capsys.readouterr().out
    assert "stand-in: patches of ten photographs" in out
    assert "bnn-geometry fetch cifar10" in out


def test_status_needs_no_torch_to_say_which_data():
    code = (
        "import sys; from bnn_geometry import cli; cli.main(['status', '--data-only']);"
        "assert not {'torch', 'papermill', 'sphinx'} & set(sys.modules), 'slow import'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_status_tells_device_preset_and_caches(capsys):
    assert cli.main(["status"]) == 0
    out = capsys.readouterr().out
    for word in ("device: ", "torch ", "preset: book", "decoded data: ", "executed chapters: "):
        assert word in out


def test_an_unknown_preset_is_a_sentence(capsys, monkeypatch):
    monkeypatch.setenv("BNN_PRESET", "huge")
    assert "Unknown preset 'huge': use smoke, book, paper." in fails(capsys, "status")


def test_an_unknown_data_set_is_a_sentence(capsys):
    assert "cifar11" in fails(capsys, "fetch", "cifar11")


def test_a_data_root_that_is_not_there_is_a_sentence(capsys, tmp_path):
    missing = str(tmp_path / "nothing")
    assert missing in fails(capsys, "status", "--data", missing)


# --- run-chapter ----------------------------------------------------------------------------------


def test_run_chapter_writes_a_notebook_with_the_parameters(tmp_path):
    output = tmp_path / "vectors.ipynb"
    done = run(
        "run-chapter", "random_vectors", "-p", "preset", "smoke", "-p", "samples", "50",
        "-o", str(output),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert str(output) in done.stdout
    notebook = nbformat.read(output, as_version=4)
    injected = [c for c in notebook.cells if "injected-parameters" in c.metadata.get("tags", [])]
    assert "samples = 50" in injected[0].source
    assert any("50 pairs each" in c.source or "50 pairs each" in str(c.outputs)
               for c in notebook.cells if c.cell_type == "code")  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["nothing"],
            "There is no chapter 'nothing'; there is beyond_one_bit, claims, dot_products",
        ),
        (["random_vectors", "-p", "sample", "5"], "has no parameter 'sample'; it has: preset"),
        (["random_vectors", "-p", "samples", "many"], "is int, as in samples = 0"),
        (["random_vectors", "-o", "book/x.ipynb"], "is inside the book"),
        (["random_vectors", "-o", "/no/such/folder/x.ipynb"], "There is no folder"),
        (["random_vectors", "-o", "/"], "is a folder: name the file to write"),
    ],
)
def test_run_chapter_refuses_what_makes_no_sense(capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(ROOT)
    assert message in fails(capsys, "run-chapter", *arguments)


def test_run_chapter_takes_its_preset_from_the_environment(monkeypatch, capsys):
    monkeypatch.setenv("BNN_PRESET", "huge")
    monkeypatch.chdir(ROOT)
    assert "Unknown preset 'huge'" in fails(capsys, "run-chapter", "random_vectors")


def test_a_run_is_probed_only_with_images_that_fit(tiny, capsys, tmp_path):
    out = str(tmp_path / "run")
    assert cli.main(["train", "mnist-mlp", "--width", "0.01", "--epochs", "1", "--out", out]) == 0
    capsys.readouterr()
    assert "takes images of shape (1, 28, 28)" in fails(
        capsys, "probe", out, "--dataset", "cifar10"
    )


def test_run_chapter_reports_a_failing_cell_in_one_line(tmp_path):
    output = tmp_path / "x.ipynb"
    done = run("run-chapter", "random_vectors", "-p", "preset", "huge", "-o", str(output))
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert "chapter random_vectors: cell 2 of" in done.stderr
    assert "Unknown preset 'huge'" in done.stderr


@pytest.mark.parametrize(
    ("text", "value"),
    [("7", 7), ("0.5", 0.5), ("1e-3", 1e-3), ("true", True), ("False", False), ("auto", "auto")],
)
def test_parameters_are_read_by_their_look(text, value):
    parsed = cli._parse_value(text)
    assert parsed == value
    assert type(parsed) is type(value)


def test_a_parameter_must_be_a_plain_literal():
    cell = nbformat.v4.new_code_cell("x = 1 + 1", metadata={"tags": ["parameters"]})
    with pytest.raises(UserError, match="not a plain literal"):
        execute.declared_parameters(nbformat.v4.new_notebook(cells=[cell]))


def test_a_whole_number_will_do_for_a_float_and_a_truth_value_for_no_number():
    cell = nbformat.v4.new_code_cell("rate = 0.5\ncount = 3", metadata={"tags": ["parameters"]})
    notebook = nbformat.v4.new_notebook(cells=[cell])
    execute.check_parameters(notebook, {"rate": 1}, "x")
    with pytest.raises(UserError, match="count of chapter x is int"):
        execute.check_parameters(notebook, {"count": True}, "x")


# --- train and probe ------------------------------------------------------------------------------


@pytest.fixture
def tiny(monkeypatch):
    """The fast recipe, small enough for a test."""
    for key in list(recipes.RECIPES):
        small = recipes.RECIPES[key].with_(train_images=200, validation_images=0, batch_size=20)
        monkeypatch.setitem(recipes.RECIPES, key, small)


def test_a_trained_run_can_be_probed(tiny, capsys, tmp_path):
    out = str(tmp_path / "run")
    arguments = ["train", "cifar10-convnet", "--width", "0.03", "--epochs", "1", "--out", out]
    assert cli.main(arguments) == 0
    assert "stand-in: patches of ten photographs" in capsys.readouterr().out
    assert cli.main(["probe", out, "--images", "10", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["images"] == 10
    assert result["data"] == "stand-in: patches of ten photographs"
    assert result["layers"][0]["layer"] == "conv1"
    assert result["layers"][0]["n"] == 27
    assert all(-1 <= row["r"] <= 1 for row in result["layers"])
    assert cli.main(["probe", out, "--images", "10"]) == 0
    assert "conv1" in capsys.readouterr().out


def test_train_never_overwrites(tiny, capsys, tmp_path):
    assert "choose another folder" in fails(
        capsys, "train", "mnist-mlp", "--width", "0.01", "--out", str(tmp_path)
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "vgg", "--out", "x"], "There is no recipe 'fast' for 'vgg'"),
        (["train", "mnist-mlp", "--epochs", "0", "--out", "x"], "epochs must be positive"),
        (["train", "mnist-mlp", "--width", "-1", "--out", "x"], "width must be positive"),
        (["train", "mnist-mlp", "--device", "cuda", "--out", "x"], "There is no CUDA device"),
        (["train", "mnist-mlp", "--width", "inf", "--out", "x"], "width must be at most 4"),
        (["train", "mnist-mlp", "--seed", "-1", "--out", "x"], "The seed must be between"),
        (["train", "mnist-mlp", "--device", "cpu", "--out", "/proc/x/y"], "No run can be written"),
        (["probe", "no-such-run", "--images", "0"], "--images must be at least 1"),
        (["probe", "no-such-run"], "is not a whole run: "),
    ],
)
def test_mistakes_are_sentences(capsys, monkeypatch, tmp_path, arguments, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert message in fails(capsys, *arguments)


# --- clean ----------------------------------------------------------------------------------------


def test_clean_removes_results_and_pages_and_nothing_else(capsys, monkeypatch, tmp_path):
    book = tmp_path / "book"
    for folder in (".executed/book", "_build/html"):
        (book / folder).mkdir(parents=True)
        (book / folder / "file").write_text("x")
    (book / "_toc.yml").write_text("")
    (book / "chapter.py").write_text("")
    monkeypatch.chdir(tmp_path)
    assert cli.main(["clean"]) == 0
    assert sorted(p.name for p in book.iterdir()) == ["_toc.yml", "chapter.py"]


def test_a_reader_that_has_seen_enough_is_no_error():
    command = "cli.main(['status', '--data-only'])"
    program = f"import sys; from bnn_geometry import cli; sys.exit({command})"
    reader, writer = os.pipe()
    os.close(reader)  # the reader is gone before the first line
    done = subprocess.run(
        [sys.executable, "-c", program], stdout=writer, stderr=subprocess.PIPE, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")
