"""The command line: one clear sentence for every mistake, and a result that can be read back."""

from __future__ import annotations

import io
import json
import math
import os
import shlex
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from filelock import FileLock
from notebooks_under_test import ROOT

from bnn_geometry import cli, data, studies
from bnn_geometry.cli.words import parse_value
from bnn_geometry.errors import UserError
from bnn_geometry.probing import results
from bnn_geometry.studies import paper, publish, sweep
from bnn_geometry.training import making, progress, recipes, runs
from bnn_geometry.training.environment import ENVIRONMENT, chapter_environment
from sphinx_papermill import worker

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


# --- study ----------------------------------------------------------------------------------------


def test_study_is_run_with_what_was_chosen(capsys, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(studies, "find", lambda *args, **choice: asked.append((args, choice)))
    monkeypatch.setattr(sweep, "make", lambda *args, **options: asked.append((args, options)))
    chosen = ["--variants", "reference", "no augmentation", "--seeds", "3", "4", "--add"]
    out = ["--work", str(tmp_path), "--out", "elsewhere"]
    assert cli.main(["study", "ablations", *out, *chosen, "--data", "images"]) == 0
    assert cli.main(["study", "pretrained", *out, "--scheduler", "tcp://host:8786"]) == 0
    assert cli.main(["study", "geometry", "a run", *out, "--images", "50"]) == 0
    choice = {"variants": ["reference", "no augmentation"], "seeds": [3, 4], "root": "images"}
    folders = (None, tmp_path, Path("elsewhere"))
    assert asked == [
        (("ablations",), choice),
        (folders, {"add": True, "scheduler": None, "jobs": None}),
        (("pretrained",), {"root": None}),
        (folders, {"add": False, "scheduler": "tcp://host:8786", "jobs": None}),
        (("geometry",), {"root": None, "run_folder": "a run", "images": 50}),
        (folders, {"add": False, "scheduler": None, "jobs": None}),
    ]
    assert capsys.readouterr().out == "elsewhere\n" * 3


def test_interrupted_study_says_how_it_goes_on(capsys, monkeypatch, tmp_path):
    def interrupt(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(studies, "find", lambda name, **choice: SimpleNamespace(name=name))
    monkeypatch.setattr(sweep, "make", interrupt)
    assert cli.main(["study", "ablations", "--work", "w"]) == 130
    said = "bnn-geometry: interrupted: `bnn-geometry study ablations --work w` goes on.\n"
    assert capsys.readouterr().err == said


def test_choice_that_makes_no_table_is_a_sentence(capsys, tmp_path):
    arguments = ("study", "ablations", "--work", str(tmp_path), "--variants", "no augmentation")
    assert "name it among the variants" in fails(capsys, *arguments)


def test_the_papers_study_is_run_with_what_was_chosen(capsys, monkeypatch, tmp_path):
    asked = []

    def run(*arguments, **options):
        asked.append((arguments, options))
        return ["one", "two"]

    monkeypatch.setattr(paper, "run_paper", run)
    monkeypatch.setattr(data, "load", lambda name, root: f"{name} in {root}")
    words = ["study", "paper", "--minutes", "25", "--work", str(tmp_path), "--data", "images"]
    assert cli.main(words) == 0
    chosen = ["--variants", "long", "branch", "--out", "o", "--shards", "s", "--rehearse"]
    assert cli.main([*words, *chosen, "--device", "cpu"]) == 0
    (first, options), (second, others) = asked
    assert first == (tmp_path, tmp_path / "published", "cifar10 in images")
    assert second == (tmp_path, Path("o"), "cifar10 in images")
    told = {"minutes": 25.0, "variants": paper.VARIANTS, "sizes": paper.PAPER, "pack_into": None}
    assert told.items() <= options.items()
    told = {"variants": ["long", "branch"], "sizes": paper.REHEARSAL, "pack_into": Path("s")}
    assert told.items() <= others.items()
    assert others["device"].type == "cpu"
    assert capsys.readouterr().out == "finished: one, two\n" * 2


def test_the_papers_study_refuses_what_makes_none(capsys, tmp_path):
    words = ("study", "paper", "--work", str(tmp_path / "w"), "--minutes")
    assert "--minutes must be a positive number, not -1" in fails(capsys, *words, "-1")
    assert "There is no variant 'wide'" in fails(capsys, *words, "5", "--variants", "wide")
    assert "not for a stand-in" in fails(capsys, *words, "5")
    assert not (tmp_path / "w").exists()


# --- every option reaches what it is for ----------------------------------------------------------


@pytest.fixture
def asked(monkeypatch):
    """What was asked of functions that are not to run: the name → its arguments."""
    calls = {}

    def stand_in(owner, name, returned=None):
        def call(*args, **options):
            calls[name] = (args, options)
            if isinstance(returned, Exception):
                raise returned
            return returned

        monkeypatch.setattr(owner, name, call)

    calls["stand in"] = stand_in
    return calls


def test_options_of_train(capsys, asked, monkeypatch, tmp_path):
    monkeypatch.setattr(
        runs, "read", lambda path: SimpleNamespace(info={"stretches": []}, computed_in="two")
    )
    dataset = data.load("cifar10")
    asked["stand in"](data, "load", dataset)
    asked["stand in"](making, "make")
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    words = "train cifar10-convnet --recipe long --width 0.25 --epochs 6 --activation hardtanh"
    words += " --set lr 0.5 --seed 5 --device cpu --measure 7 --keep 1 2 --resume --elsewhere"
    out = tmp_path / "run"
    assert cli.main([*words.split(), "--data", "images", "--out", str(out)]) == 0
    assert asked["load"] == (("cifar10",), {"root": "images"})
    (folder, recipe, images), options = asked["make"]
    assert (folder, images) == (out, dataset)
    assert recipe == recipes.LONG_CIFAR10.with_(width=0.25, epochs=6, activation="hardtanh", lr=0.5)
    told = {"seed": 5, "resume": True, "elsewhere": True, "measured": 7, "kept_epochs": [1, 2]}
    assert told.items() <= options.items()
    assert options["device"].type == "cpu"
    expected = dataset.test.sample(7, runs.MEASURED_SEED).images
    assert options["measure"].keywords["images"].equal(expected)
    assert capsys.readouterr().out.endswith("trained in stretches: two\n")
    assert os.environ["GOMP_SPINCOUNT"] == ENVIRONMENT["GOMP_SPINCOUNT"]


def test_options_of_publish_probe_and_fetch(capsys, asked, monkeypatch, tmp_path):
    found = SimpleNamespace(
        recipe=recipes.FAST_MNIST, seed=3, data={"fingerprint": "1"}, path=tmp_path
    )
    monkeypatch.setattr(runs, "read", lambda path: found)
    images = SimpleNamespace(provenance=SimpleNamespace(fingerprint="1"))
    asked["stand in"](data, "load", images)
    asked["stand in"](publish, "publish", UserError("enough"))
    said = fails(
        capsys, "publish", "r", "--images", "7", "--data", "d", "--out", str(tmp_path / "p")
    )
    assert said == "bnn-geometry: enough"
    assert asked["load"] == (("mnist",), {"root": "d"})
    options = {"dataset": images, "images": 7, "weights": True}
    assert asked["publish"] == ((found, tmp_path / "p"), options)
    asked["stand in"](data, "load", UserError("enough"))
    for given, expected in (("d", ("mnist", "d")), ("cifar10", ("cifar10", None))):
        assert fails(capsys, "probe", "r", "--data", given) == "bnn-geometry: enough"
        assert asked["load"] == ((expected[0],), {"root": expected[1]})
    asked["stand in"](data, "fetch", [])
    for given, names in (([], ["cifar10", "mnist"]), (["mnist"], ["mnist"])):
        assert cli.main(["fetch", *given, "--data", "d"]) == 0
        (chosen,), options = asked["fetch"]
        assert (sorted(chosen), options) == (names, {"root": "d"})


def test_options_of_a_study_of_geometry(capsys, asked, monkeypatch, tmp_path):
    monkeypatch.setenv("BNN_RUNS", str(tmp_path))
    study = SimpleNamespace(name="geometry-x")
    asked["stand in"](studies, "find", study)
    asked["stand in"](sweep, "make")
    words = ["study", "geometry", "a run", "--work", "w", "--error-images", "9", "--jobs", "3"]
    assert cli.main(words) == 0
    assert asked["find"] == (
        *(("geometry",), {"root": None, "run_folder": "a run", "error_images": 9}),
    )
    assert asked["make"] == (
        (study, Path("w"), tmp_path / "geometry-x"),
        {"add": False, "scheduler": None, "jobs": 3},
    )


# --- run-chapter ----------------------------------------------------------------------------------


def make_book(folder: Path) -> Path:
    """What tells this project's book from others."""
    (folder / "_config.yml").write_text("sphinx: {extra_extensions: [bnn_geometry.book.sphinx]}\n")
    (folder / "book").mkdir()
    (folder / "book" / "_toc.yml").write_text("")
    return folder / "book"


@pytest.fixture
def small_book(monkeypatch, tmp_path):
    """A book of one chapter, in the working directory."""
    book = make_book(tmp_path)
    (book / "dice.py").write_text(
        '# %% tags=["parameters"]\npreset = "book"  # sizes\nthrows = 0  # how many\n\n'
        "# %%\nfrom bnn_geometry import paths\nfrom bnn_geometry.book import presets\n\n"
        'print(presets.check(preset), throws, "throws;", *paths.data_root().parts[-2:])\n'
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_run_chapter_writes_a_notebook_with_the_parameters(small_book, monkeypatch, capsys):
    monkeypatch.setenv("BNN_DATA", "images")  # from where the user stands, not the chapter
    output = small_book / "thrown.ipynb"
    parameters = ["-p", "preset", "smoke", "-p", "throws", "50"]
    assert cli.main(["run-chapter", "dice", *parameters, "-o", str(output)]) == 0
    assert str(output) in capsys.readouterr().out
    notebook = nbformat.read(output, as_version=4)
    injected = [c for c in notebook.cells if "injected-parameters" in c.metadata.get("tags", [])]
    assert "throws = 50" in injected[0].source
    assert f"smoke 50 throws; {small_book.name} images" in str(notebook.cells[-1].outputs)
    assert "input_path" not in output.read_text()
    # its own result gives way, until somebody has changed it
    assert cli.main(["run-chapter", "dice", "-p", "throws", "7", "-o", str(output)]) == 0
    assert "smoke 7" not in output.read_text()
    changed = output.read_text().replace("7 throws", "8 throws")
    output.write_text(changed)
    assert "There is something at" in fails(capsys, "run-chapter", "dice", "-o", str(output))
    assert output.read_text() == changed
    assert not list(small_book.glob(".*.ipynb"))


def test_run_chapter_leaves_what_is_not_its_own(small_book, capsys):
    (small_book / "tools").mkdir()
    (small_book / "tools" / "x.py").write_text("open('executed', 'w')")
    (small_book / "into").symlink_to("book")
    (small_book / "link.ipynb").symlink_to("book/dice.py")
    (small_book / "precious.txt").write_text("precious")
    (small_book / "other.ipynb").write_text("{}")
    os.mkfifo(small_book / "pipe.ipynb")
    before = {p: p.read_bytes() for p in small_book.rglob("*") if p.is_file()}
    for arguments, message in (
        (["../tools/x"], "There is no chapter '../tools/x'; there is dice."),
        ([str(small_book / "tools" / "x")], "There is no chapter"),
        (["dice", "-o", "into/x.ipynb"], "is inside the book"),
        (["dice", "-o", "into/../book/x.ipynb"], "is inside the book"),
        (["dice", "-o", "link.ipynb"], "is inside the book"),
        (["dice", "-o", "precious.txt"], "There is something at"),
        (["dice", "-o", "other.ipynb"], "There is something at"),
        (["dice", "-o", "pipe.ipynb"], "There is something at"),
    ):
        assert message in fails(capsys, "run-chapter", *arguments)
    assert {p: p.read_bytes() for p in small_book.rglob("*") if p.is_file()} == before


def test_options_of_run_chapter_and_lab(small_book, capsys, asked, monkeypatch):
    for variable in ("BNN_DATA", "BNN_PRESET", "JUPYTERLAB_SETTINGS_DIR", *ENVIRONMENT):
        monkeypatch.setenv(variable, "")  # to be put back
        monkeypatch.delenv(variable)
    monkeypatch.setenv("BNN_CACHE", str(small_book / "cache"))
    asked["stand in"](worker, "start", UserError("enough"))
    words = ["dice", "-p", "preset", "paper", "--timeout", "4.5", "--data", str(small_book)]
    assert fails(capsys, "run-chapter", *words) == "bnn-geometry: enough"
    (chapter, _), options = asked["start"]
    assert chapter == small_book / "book" / "dice.py"
    told = {"parameters": {"preset": "paper"}, "cwd": small_book / "book", "timeout": 4.5}
    assert told.items() <= options.items()
    assert options["environment"] == chapter_environment(alone=True)
    assert os.environ["BNN_DATA"] == str(small_book)
    monkeypatch.delenv("BNN_DATA")
    asked["stand in"](os, "execv")
    assert cli.main(["lab", "--port", "9", "--data", str(small_book)]) == 0
    ((program, command), _) = asked["execv"]
    assert (program, command[-2:]) == (sys.executable, ["--port", "9"])
    assert f"--notebook-dir={small_book / 'book'}" in command
    settings = Path(os.environ["JUPYTERLAB_SETTINGS_DIR"])
    assert settings.is_relative_to(small_book / "cache")
    assert len(list(settings.rglob("*.jupyterlab-settings"))) == 2
    assert os.environ["BNN_DATA"] == str(small_book)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["nothing"],
            "There is no chapter 'nothing'; there is architectures, beyond_one_bit, checks, claims",
        ),
        (["random_vectors", "-p", "sample", "5"], "has no parameter 'sample'; it has: preset"),
        (["random_vectors", "-p", "samples", "many"], "is int, as in samples = 0"),
        (["random_vectors", "-o", "book/x.ipynb"], "is inside the book"),
        (["random_vectors", "-o", "/no/such/folder/x.ipynb"], "There is no folder"),
        (["random_vectors", "-o", "/"], "is a folder: name the file to write"),
        (["random_vectors", "--timeout", "0"], "--timeout must be a positive number of seconds"),
        (["random_vectors", "--timeout", "nan"], "--timeout must be a positive number of seconds"),
    ],
)
def test_run_chapter_refuses_what_makes_no_sense(capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(ROOT)
    assert message in fails(capsys, "run-chapter", *arguments)


def test_run_chapter_takes_its_preset_from_the_environment(monkeypatch, capsys):
    monkeypatch.setenv("BNN_PRESET", "huge")
    monkeypatch.chdir(ROOT)
    assert "Unknown preset 'huge'" in fails(capsys, "run-chapter", "random_vectors")


def test_a_continuous_network_is_probed_and_has_no_binary_inputs(tiny, capsys, tmp_path):
    out, kept = str(tmp_path / "run"), str(tmp_path / "kept")
    arguments = ["--width", "0.01", "--epochs", "1", "--activation", "hardtanh", "--out", out]
    assert cli.main(["train", "mnist-mlp", *arguments]) == 0
    capsys.readouterr()
    assert cli.main(["probe", out, "--images", "5", "--out", kept]) == 0
    shown = capsys.readouterr().out
    assert shown.count("fc1") == 1
    assert "activations: no layer to compare" in shown
    assert results.read(tmp_path / "kept").as_dict()["activations"] == []


def test_a_run_is_probed_only_with_images_that_fit(tiny, capsys, tmp_path):
    out = str(tmp_path / "run")
    assert cli.main(["train", "mnist-mlp", "--width", "0.01", "--epochs", "1", "--out", out]) == 0
    capsys.readouterr()
    assert "takes images of shape (1, 28, 28)" in fails(capsys, "probe", out, "--data", "cifar10")


def test_run_chapter_reports_a_failing_cell_in_one_line(small_book, capsys):
    message = fails(capsys, "run-chapter", "dice", "-p", "preset", "huge", "-o", "x.ipynb")
    assert "chapter dice: cell 2 of 2" in message
    assert "Unknown preset 'huge'" in message


@pytest.mark.parametrize(
    ("text", "value"),
    [("7", 7), ("0.5", 0.5), ("1e-3", 1e-3), ("true", True), ("False", False), ("auto", "auto")],
)
def test_parameters_are_read_by_their_look(text, value):
    parsed = parse_value(text)
    assert parsed == value
    assert type(parsed) is type(value)


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
    assert result["weights"][0]["layer"] == "conv1"
    assert result["weights"][0]["n"] == 27
    assert [len(result[kind]) for kind in ("weights", "activations")] == [9, 8]
    assert all(-1 <= row["r"] <= 1 for row in result["weights"])
    assert cli.main(["probe", out, "--images", "10", "--out", str(tmp_path / "kept")]) == 0
    shown = capsys.readouterr().out
    assert "weights: x·w^c against x·w^b" in shown
    assert "activations: w^b·x^c against w^b·x^b" in shown
    assert shown.count("conv2") == 2
    assert results.read(tmp_path / "kept").as_dict() == result
    again = ["probe", out, "--images", "10", "--out", str(tmp_path / "kept")]
    assert "choose another folder" in fails(capsys, *again)


TRAIN = ["train", "mnist-mlp", "--width", "0.01", "--epochs", "2"]


def files(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.name != "run.json"}


def test_interrupted_training_says_how_to_go_on_and_does(tiny, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(making, "CHECKPOINT_SHARE", math.inf)
    monkeypatch.chdir(tmp_path)
    arguments = [*TRAIN, "--measure", "5", "--out", "a run"]
    assert cli.main([*TRAIN, "--measure", "5", "--out", "undisturbed"]) == 0
    undisturbed = capsys.readouterr().out.splitlines()
    steps = []

    def stop(self, step, total, loss):
        steps.append(step)
        if step == total // 2 + 3:  # in the second epoch
            os.kill(os.getpid(), signal.SIGINT)

    # a shell's background job ignores the signal, and Python with it
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(progress.Progress, "on_step", stop)
            assert cli.main(arguments) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    captured = capsys.readouterr()
    command = "bnn-geometry train mnist-mlp --width 0.01 --epochs 2 --measure 5 --out 'a run'"
    assert captured.err.splitlines() == [
        f"bnn-geometry: interrupted: `{command} --resume` goes on after epoch 1 of 2."
    ]
    assert "go on with the run there with --resume" in fails(capsys, *arguments)
    again = [*shlex.split(command)[1:], "--resume"]
    assert cli.main(again) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[1] == "resuming after epoch 1 of 2"
    assert out[2].startswith("epoch 2/2: ")
    assert out[2].rpartition(",")[0] == undisturbed[2].rpartition(",")[0]  # but for its seconds
    assert out[-1] == "a run"
    first, second = runs.read(tmp_path / "a run"), runs.read(tmp_path / "undisturbed")
    assert first.history.drop(columns="seconds").equals(second.history.drop(columns="seconds"))
    names = ("weights.safetensors", "measurements.csv", "recipe.json")
    assert [files(first.path)[x] for x in names] == [files(second.path)[x] for x in names]
    before = {p: p.stat().st_mtime_ns for p in first.path.iterdir()}
    assert cli.main(again) == 0
    assert capsys.readouterr().out.splitlines()[-1] == (
        "a run is finished: there is nothing to resume"
    )
    assert {p: p.stat().st_mtime_ns for p in first.path.iterdir()} == before
    assert "was begun with seed 0, here 1" in fails(capsys, *again, "--seed", "1")


def test_resuming_nothing_says_that_it_starts(tiny, capsys, tmp_path):
    out = str(tmp_path / "run")
    assert cli.main([*TRAIN, "--out", out, "--resume"]) == 0
    assert f"nothing to resume in {out}: starting" in capsys.readouterr().out
    assert "was begun with recipe width 0.01" in fails(
        capsys, "train", "mnist-mlp", "--out", out, "--resume"
    )


def test_damaged_checkpoint_and_run_are_sentences(tiny, capsys, monkeypatch, tmp_path):
    out = tmp_path / "run"
    assert cli.main([*TRAIN, "--out", str(out)]) == 0
    (out / "weights.safetensors").write_bytes(b"")
    assert "weights.safetensors is not the file" in fails(
        capsys, *TRAIN, "--out", str(out), "--resume"
    )
    (out / "run.json").unlink()
    (out / "checkpoint-0001").mkdir()
    assert "is not a whole checkpoint: " in fails(capsys, *TRAIN, "--out", str(out), "--resume")


def test_fields_of_the_recipe_can_be_set(tiny, tmp_path, capsys):
    out = str(tmp_path / "run")
    changes = ["--set", "lr", "1", "--set", "loss", "squared-hinge", "--set", "flip", "false"]
    assert cli.main([*TRAIN, "--activation", "relu", *changes, "--out", out]) == 0
    recipe = runs.read(Path(out)).recipe
    assert (recipe.lr, recipe.loss, recipe.flip, recipe.activation) == (
        *(1.0, "squared-hinge", False, "relu"),
    )


def test_published_run_states_its_cost_and_can_be_probed(tiny, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert cli.main([*TRAIN, "--out", "run"]) == 0
    capsys.readouterr()
    assert cli.main(["publish", "run", "--images", "10"]) == 0
    out = capsys.readouterr().out
    path = tmp_path / "runs" / "mnist-mlp-fast-w0.01-s0"
    cost = runs.read(path).info["published"]
    assert "fc1" in out
    assert f"test error {cost['test_error']:.2%} before, {cost['test_error']:.2%} after" in out
    assert str(path.relative_to(tmp_path)) in out.splitlines()[-1]
    assert cli.main(["probe", str(path), "--images", "10"]) == 0
    capsys.readouterr()
    with monkeypatch.context() as patch:
        patch.setattr(data, "load", None)  # told before the work
        assert "choose another folder" in fails(capsys, "publish", "run")
    assert cli.main(["publish", "run", "--without-weights", "--out", "history"]) == 0
    capsys.readouterr()
    assert "published without its weights" in fails(capsys, "probe", "history")


def test_publishing_without_the_images_measures_the_angles_alone(
    tiny, capsys, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    assert cli.main([*TRAIN, "--out", "run"]) == 0
    load = data.load

    def other(*args, **kwargs):
        found = load(*args, **kwargs)
        return replace(found, provenance=replace(found.provenance, fingerprint="0" * 64))

    monkeypatch.setattr(data, "load", other)
    capsys.readouterr()
    assert cli.main(["publish", "run", "--out", "p"]) == 0
    out = capsys.readouterr().out
    assert "is not here: r and the test error are not measured" in out
    assert "test_error" not in runs.read(Path("p")).info["published"]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_bar_shows_rate_loss_and_time_left_on_a_terminal_alone(monkeypatch):
    recipe = recipes.FAST_MNIST.with_(epochs=2, batch_size=10)
    reads = []

    class Loss:
        def __float__(self):
            reads.append(1)
            return 0.25

    for stream in (Terminal(), io.StringIO()):
        out = io.StringIO()
        with progress.Progress(recipe, out=out, bar=stream) as shown:
            for step in range(5, 9):  # resumed after the first of two epochs of four steps
                shown.on_step(step, 8, Loss())
            row = {"epoch": 2, "loss": 0.5, "test_error": 0.125, "seconds": 3.0}
            shown.on_epoch_end(None, row)
        text = stream.getvalue()
        if stream.isatty():
            last = text.split("\r")[-1]
            for word in ("epoch 2/2", "80.0/80.0", "loss 0.2500", "images/s", "<"):
                assert word in last
            assert "40.0/80.0" in text.split("\r")[1]
        else:
            assert text == ""
        assert out.getvalue() == "epoch 2/2: loss 0.5000, test error 12.50%, 3.0 s\n"
    assert len(reads) == 1  # a GPU would have to wait for each
    out = io.StringIO()
    with progress.Progress(recipe.with_(validation_images=20), out=out) as shown:
        errors = {"validation_error": 0.125, "test_error": math.nan}  # tested once, at the end
        shown.on_epoch_end(None, {"epoch": 1, "loss": 0.5, "seconds": 3.0} | errors)
    assert out.getvalue() == "epoch 1/2: loss 0.5000, validation error 12.50%, 3.0 s\n"


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
        (["train", "mnist-mlp", "--width", "inf", "--out", "x"], "width must be finite"),
        (["train", "mnist-mlp", "--seed", "-1", "--out", "x"], "The seed must be between"),
        (["train", "mnist-mlp", "--device", "cpu", "--out", "/proc/x/y"], "No run can be written"),
        (["train", "mnist-mlp", "--set", "speed", "9", "--out", "x"], "has no 'speed' to set: it "),
        (["train", "mnist-mlp", "--set", "name", "x", "--out", "x"], "has no 'name' to set: it h"),
        (["train", "mnist-mlp", "--set", "lr", "fast", "--out", "x"], "lr is float, and 'fast' is"),
        (["train", "mnist-mlp", "--set", "flip", "1", "--out", "x"], "flip is bool, and '1' is n"),
        (["train", "mnist-mlp", "--activation", "tanh", "--out", "x"], "Unknown activation 'tanh'"),
        (["train", "mnist-mlp", "--measure", "-1", "--out", "x"], "--measure must not be negative"),
        (["train", "mnist-mlp", "--elsewhere", "--out", "x"], "--elsewhere goes with --resume"),
        (
            ["train", "mnist-mlp", "--epochs", "2", "--keep", "0", "3", "--out", "x"],
            "No weights can be kept after epoch 3: there are 2 epochs.",
        ),
        (["study", "geometry", "--work", "w"], "measures a run: name its folder after"),
        (["study", "geometry", "x", "--work", "w", "--seeds", "1"], "geometry takes no --seeds"),
        (["study", "ablations", "x", "--work", "w"], "The study ablations takes no run."),
        (["publish", "no-such-run"], "is not a whole run: "),
        (["publish", "no-such-run", "--images", "0"], "--images must be at least 1"),
        (["probe", "no-such-run", "--images", "0"], "--images must be at least 1"),
        (["probe", "no-such-run"], "is not a whole run: "),
    ],
)
def test_mistakes_are_sentences(capsys, monkeypatch, tmp_path, arguments, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert message in fails(capsys, *arguments)


LONG_NAME = "x" * 300  # which no file system takes; a folder without permission is alike


@pytest.mark.parametrize(
    "arguments",
    [
        ["status", "--data-only", "--data", LONG_NAME],
        ["train", "mnist-mlp", "--out", LONG_NAME],
        ["probe", "run", "--out", LONG_NAME],
        ["publish", LONG_NAME],
        ["run-chapter", "random_vectors", "-o", f"{LONG_NAME}.ipynb"],
        ["study", "ablations", "--work", "w", "--out", LONG_NAME],
        ["study", "paper", "--minutes", "5", "--work", "w", "--data", LONG_NAME],
    ],
)
def test_paths_that_no_system_has_are_sentences(capsys, monkeypatch, tmp_path, arguments):
    monkeypatch.chdir(tmp_path)
    assert "File name too long" in fails(capsys, *arguments)
    assert not list(tmp_path.glob("x*"))


@pytest.mark.parametrize("variable", ["BNN_CACHE", "BNN_DATA", "BNN_RUNS", "BNN_EXECUTED"])
def test_folders_of_the_environment_that_no_system_has_are_sentences(
    capsys, monkeypatch, tmp_path, variable
):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv(variable, str(tmp_path / LONG_NAME))
    command = {
        "BNN_CACHE": ["status"],
        "BNN_DATA": ["status", "--data-only"],
        "BNN_RUNS": ["study", "ablations", "--work", str(tmp_path / "w")],
        "BNN_EXECUTED": ["claims"],
    }[variable]
    assert "File name too long" in fails(capsys, *command)


def test_a_full_disk_and_a_terminal_of_ascii_are_no_traceback():
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [COMMAND, "status", "--data-only"], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 1
    assert done.stderr.decode() == "bnn-geometry: No space left on device.\n"
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    program = (
        "import sys; from bnn_geometry import cli; from bnn_geometry.cli import book;"
        "book.data.describe = lambda *a, **k: 'x·w'; sys.exit(cli.main(['status', '--data-only']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, env=environment, check=False
    )
    assert (done.returncode, done.stderr, done.stdout) == (0, b"", b"x?w\n" * len(data.DATASETS))


# --- clean ----------------------------------------------------------------------------------------


@pytest.fixture
def built(monkeypatch, tmp_path):
    """A book with results and pages, in the working directory."""
    book = make_book(tmp_path)
    for folder in (".executed/book", "_build/html"):
        (book / folder).mkdir(parents=True)
        (book / folder / "file").write_text("x")
    (book / "chapter.py").write_text("")
    monkeypatch.chdir(tmp_path)
    return book


def files_in(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


def test_clean_removes_results_and_pages_and_nothing_else(built):
    assert cli.main(["clean"]) == 0
    assert files_in(built) == ["_toc.yml", "chapter.py"]


@pytest.mark.parametrize("inside", [False, True])  # of a folder that has a book of ours
def test_clean_refuses_the_books_of_others(built, capsys, monkeypatch, tmp_path_factory, inside):
    other = built.parent / "o" if inside else tmp_path_factory.mktemp("o")
    (other / "book" / "_build").mkdir(parents=True)
    for config in (None, "sphinx: {extra_extensions: [sphinx_papermill]}\n"):
        (other / "book" / "_toc.yml").touch()
        if config:
            (other / "_config.yml").write_text(config)
        for folder in (other, other / "book" / "_build"):
            monkeypatch.chdir(folder)
            before = files_in(built), files_in(other)
            assert "is another book" in fails(capsys, "clean")
            assert (files_in(built), files_in(other)) == before
    monkeypatch.chdir(tmp_path_factory.mktemp("nothing"))
    assert "There is no book here" in fails(capsys, "clean")  # not that of the package


def test_clean_leaves_links_and_a_running_build(built, capsys, tmp_path):
    before = files_in(built)
    with FileLock(built / ".executed" / ".lock"):
        assert "is running" in fails(capsys, "clean")
    (built / ".executed" / ".lock").unlink()
    assert files_in(built) == before
    (built / "_build").rename(tmp_path / "pages")
    (built / "_build").symlink_to(tmp_path / "pages")
    assert f"is a link to {tmp_path / 'pages'}" in fails(capsys, "clean")
    assert files_in(tmp_path / "pages") == ["html", "html/file"]
    assert (built / ".executed" / "book" / "file").exists()


def test_clean_removes_decoded_data_by_name(built, capsys, monkeypatch, tmp_path):
    cache = tmp_path / "a cache" / "decoded"
    cache.mkdir(parents=True)
    names = ["cifar10-folder.safetensors", "cifar10-folder.lock", "mnist-stand-in.part"]
    for name in [*names, "video.safetensors", "mnist-notes.txt"]:
        (cache / name).touch()
    monkeypatch.setenv("BNN_CACHE", str(cache.parent))
    assert cli.main(["clean", "--decoded"]) == 0
    assert files_in(cache) == ["mnist-notes.txt", "video.safetensors"]
    for name in files_in(cache):
        (cache / name).unlink()
    assert cli.main(["clean", "--decoded"]) == 0
    assert not cache.exists()


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
