"""Runs on disk: bit for bit, or a sentence that names what is wrong."""

import json
import math
import pickle
import shutil
import tempfile
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from tiny import TINY, same_state, tiny_dataset

from bnn_geometry import storage
from bnn_geometry.data.datasets import Provenance
from bnn_geometry.errors import UserError
from bnn_geometry.training import code, int8, listing, loop, runs
from bnn_geometry.training.build import build_network
from bnn_geometry.training.evaluation import evaluate
from bnn_geometry.training.recipes import FAST_CIFAR10, Recipe

RECIPE = TINY["mlp"].with_(width=1 / 256, validation_images=10)
CONVNET = TINY["convnet"].with_(epochs=1, width=1 / 64)
SEED = 3
FILES = ["history.csv", "recipe.json", "run.json", "weights.safetensors"]


def train(recipe, kind):
    return loop.train(build_network(recipe, SEED), tiny_dataset(kind), recipe, seed=SEED)


@pytest.fixture(scope="module")
def trained():
    return train(RECIPE, "mlp")


@pytest.fixture(scope="module")
def original(trained, tmp_path_factory):
    """The folder of a run, to be left alone."""
    path = tmp_path_factory.mktemp("runs") / "one"
    runs.write(path, trained, RECIPE, SEED, tiny_dataset())
    return path


@pytest.fixture
def written(original, tmp_path):
    """The folder of a run, to be damaged."""
    return Path(shutil.copytree(original, tmp_path / "runs" / "one"))


def visible(folder):
    return sorted(entry.name for entry in folder.iterdir())


# --- written and read ---------------------------------------------------------------------------


def test_read_gives_back_what_was_written(original, trained):
    run = runs.read(original)
    assert (run.recipe, run.seed, run.path) == (RECIPE, SEED, original)
    pd.testing.assert_frame_equal(run.history, trained.history, check_exact=True)
    assert run.info["kept_epoch"] == trained.kept_epoch
    assert run.info["precision"] == "float32"
    assert run.info["threads"] == torch.get_num_threads()
    assert run.info["versions"] == storage.versions()
    assert run.data["fingerprint"] == tiny_dataset().provenance.fingerprint
    assert run.measurements is None
    assert same_state(run.network(), trained.network)
    assert not run.network().training


def test_copy_without_its_repository_says_of_which_commit_it_is(monkeypatch, tmp_path):
    monkeypatch.delenv("BNN_COMMIT", raising=False)
    for known in (None, "abc"):
        monkeypatch.setattr(code, "_PACKAGE", tmp_path)
        if known:
            monkeypatch.setenv("BNN_COMMIT", known)
        assert code.commit() == known


def test_convnet_comes_back_bit_for_bit(tmp_path):
    trained = train(CONVNET, "convnet")  # its weights lie channels-last
    runs.write(tmp_path / "c", trained, CONVNET, SEED, tiny_dataset("convnet"))
    network = runs.read(tmp_path / "c").network()
    assert same_state(network, trained.network)
    test = tiny_dataset("convnet").test
    assert evaluate(network, test) == trained.history["test_error"].iloc[-1]


def test_history_of_any_numbers_comes_back_bit_for_bit(trained, tmp_path):
    rng = np.random.default_rng(0)
    values = rng.random(1000) * 10.0 ** rng.integers(-300, 300, 1000)
    values[:4] = [0.1 + 0.2, math.nan, 5e-324, 1 / 3]
    history = pd.DataFrame({"epoch": range(1, 1001), "loss": values})
    history = history.assign(train_error=0.5, test_error=math.nan)
    runs.write(tmp_path / "h", replace(trained, history=history), RECIPE, SEED, tiny_dataset())
    pd.testing.assert_frame_equal(runs.read(tmp_path / "h").history, history, check_exact=True)


def test_untrained_network_is_where_training_began(original):
    run = runs.read(original)
    assert same_state(run.untrained(), build_network(RECIPE, SEED))
    assert not same_state(run.untrained(), run.network())


def test_kept_row_is_that_of_the_kept_epoch(original, trained):
    kept = runs.read(original).kept
    row = trained.history.iloc[trained.kept_epoch - 1]
    assert kept["test_error"] == row["test_error"]
    assert kept["loss"] == row["loss"]


def test_nothing_private_and_nothing_that_runs_code_is_in_the_folder(original, trained):
    assert visible(original) == FILES
    for path in original.iterdir():
        content = path.read_bytes()
        assert b"/somewhere/private" not in content
        assert str(original).encode() not in content
        with pytest.raises(Exception):  # noqa: B017, PT011  (whatever pickle makes of it)
            pickle.loads(content)
    weights = (original / "weights.safetensors").read_bytes()
    header = json.loads(weights[8 : 8 + int.from_bytes(weights[:8], "little")])
    assert set(header) - {"__metadata__"} == set(trained.network.state_dict())


def test_folder_can_be_read_by_others(original):
    assert original.stat().st_mode & 0o777 == 0o755
    for path in original.iterdir():
        assert path.stat().st_mode & 0o444 == 0o444


def test_folder_is_named_after_what_defines_the_run():
    assert runs.name(FAST_CIFAR10, 1) == "cifar10-convnet-fast-w1-s1"
    narrow = FAST_CIFAR10.with_(width=0.5, activation="hardtanh")
    assert runs.name(narrow, 0) == "cifar10-convnet-fast-hardtanh-w0.5-s0"
    ternary = FAST_CIFAR10.with_(weights="ternary-twn")
    assert runs.name(ternary, 0) == "cifar10-convnet-fast-ternary-twn-w1-s0"


# --- damaged ------------------------------------------------------------------------------------


def edit_run(path, change):
    info = json.loads((path / "run.json").read_text())
    change(info)
    (path / "run.json").write_text(json.dumps(info))


@pytest.mark.parametrize("name", FILES)
def test_damaged_file_is_named(written, name):
    path = written / name
    content = path.read_bytes()
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    for damaged in (flipped, content[:middle], b"", content + b"1"):
        path.write_bytes(damaged)
        with pytest.raises(UserError) as error:
            runs.read(written)
        assert str(path if name != "run.json" else written) in str(error.value)
    path.unlink()
    with pytest.raises(UserError, match=f"not a whole run: .*{name} is missing"):
        runs.read(written)


@pytest.mark.parametrize(
    "change",
    [
        lambda info: info["data"].update(title="CIFAR-10"),
        lambda info: info.update(kept_epoch=1 + info["kept_epoch"] % 2),
        lambda info: info.update(more=1),
        lambda info: info["sha256"].update(other="0"),
    ],
)
def test_edited_run_json_is_named(written, change):
    edit_run(written, change)
    with pytest.raises(UserError, match=r"run\.json is not the file that run\.json describes"):
        runs.read(written)


@pytest.mark.parametrize("key", ["data", "sha256"])
def test_run_json_without_what_it_must_say_is_refused(written, key):
    edit_run(written, lambda info: info.pop(key))
    with pytest.raises(UserError, match=str(written)):
        runs.read(written)


@pytest.mark.parametrize("content", ["[]", "null", '{"sha256": []}', "\udcff"])
def test_run_json_of_another_kind_is_refused(written, content):
    (written / "run.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(UserError, match="cannot be read"):
        runs.read(written)


def test_other_weights_of_the_right_form_are_refused(written, trained, tmp_path):
    other = replace(trained, network=build_network(RECIPE, SEED + 1))
    runs.write(tmp_path / "other", other, RECIPE, SEED, tiny_dataset())
    shutil.copy(tmp_path / "other" / "weights.safetensors", written)
    with pytest.raises(UserError, match=r"weights\.safetensors is not the file"):
        runs.read(written)


def test_no_folder_or_a_file_is_no_run(tmp_path):
    with pytest.raises(UserError, match="not a whole run"):
        runs.read(tmp_path / "nothing")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be read"):
        runs.read(tmp_path / "file")


# --- whole, but of somebody who means something else ----------------------------------------------


def sealed(path, **files):
    """Other contents in a run's folder, with the hashes that go with them."""
    info = json.loads((path / "run.json").read_text())
    names = [name for name in info.pop("sha256") if name != "run.json"]
    info |= files.pop("info", {})
    for name, content in files.items():
        (path / name.replace("_", ".", 1)).write_text(content)
    storage.write_manifest(path, "run.json", info, names)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": math.nan}, "recipe.json cannot be read: A recipe's width must be finite"),
        ({"width": 1e6}, "A recipe's width must be positive and at most 4, not 1000000"),
        ({"activation": "step"}, "Unknown activation 'step'"),
        ({"model": "vgg"}, "Unknown model 'vgg'"),
        ({"epochs": "many"}, "A recipe's epochs is int, and 'many' is not"),
        ({"speed": 9}, "A recipe has no 'speed'"),
        ({"name": "../../x"}, "A recipe's name must be a word"),
    ],
)
def test_recipe_that_makes_no_sense_is_a_sentence(written, change, message):
    settings = {"recipe": RECIPE.as_dict() | change, "seed": SEED}
    sealed(written, recipe_json=json.dumps(settings))
    with pytest.raises(UserError, match=message) as error:
        runs.read(written)
    assert str(written / "recipe.json") in str(error.value)


@pytest.mark.parametrize("seed", [-1, 2**63, 1.5, "1", True, None, [1]])
def test_seed_that_makes_no_sense_is_a_sentence(written, seed):
    sealed(written, recipe_json=json.dumps({"recipe": RECIPE.as_dict(), "seed": seed}))
    with pytest.raises(UserError, match=r"recipe.json cannot be read: The seed must be between"):
        runs.read(written)


@pytest.mark.parametrize("content", ["[]", "{}", "null", '{"recipe": 1, "seed": 1}', "{", ""])
def test_recipe_json_of_another_kind_is_a_sentence(written, content):
    sealed(written, recipe_json=content)
    with pytest.raises(UserError, match="cannot be read"):
        runs.read(written)


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", "epoch,loss\n9,0.5\n"])
def test_history_of_another_kind_is_a_sentence(written, content):
    sealed(written, history_csv=content)
    with pytest.raises(UserError, match="cannot be read"):
        runs.read(written)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda text: text.replace("test_error", "error", 1), "no column test_error"),
        (lambda text: text.replace("loss", "$loss$", 1), "no column loss"),
        (lambda text: text.replace("lr", "<b>lr</b>", 1), "names that are no words"),
        (lambda text: text.replace("\n1,", "\n2,", 1), "twice"),
        (lambda text: text.replace("\n1,", "\n7,", 1), "not go through the epochs"),
        (lambda text: text.replace("\n1,", "\n1,x", 1), "else than numbers"),
    ],
)
def test_history_that_makes_no_sense_is_a_sentence(written, spoil, message):
    text = (written / "history.csv").read_text()
    sealed(written, history_csv=spoil(text))
    with pytest.raises(UserError, match=f"cannot be read: history.csv .*{message}"):
        runs.read(written)


def test_manifest_names_files_beside_it_alone(written):
    info = json.loads((written / "run.json").read_text())
    (written.parent / "other").write_text("x")
    names = [*info.pop("sha256"), "../other"]
    names.remove("run.json")
    storage.write_manifest(written, "run.json", info, names)
    with pytest.raises(
        UserError, match=r"cannot be read: .* '\.\./other', which is none beside it"
    ):
        runs.read(written)


def test_what_is_said_of_the_images_is_plain_text(written):
    data = runs.read(written).data
    sealed(written, info={"data": data | {"title": "a_b <img src=x>\n $\\frac$ `c` [d](e)"}})
    assert runs.read(written).data["title"] == "a_b ?img src=x? ??frac? ?c? ?d?(e)"


PLACES = [
    *(("recipe", field.name) for field in fields(Recipe)),
    *(("data", field.name) for field in fields(Provenance)),
    *((name,) for name in ("seed", "data", "kept_epoch", "seconds", "threads", "precision")),
]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=3,
)


@settings(deadline=None, max_examples=20)
@given(place=st.sampled_from(PLACES), value=ANYTHING)
@example(place=("seconds",), value=None)
@example(place=("data", "title"), value=1)
@example(place=("recipe", "name"), value="mine")
def test_a_run_with_any_value_in_any_place_is_a_run_or_a_sentence(original, place, value):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(shutil.copytree(original, Path(folder) / "run"))
        settings = json.loads((path / "recipe.json").read_text())
        info = json.loads((path / "run.json").read_text())
        del info["sha256"]
        *parents, last = place
        top = settings if place[0] in settings else info
        for key in parents:
            top = top[key]
        top[last] = value
        sealed(path, recipe_json=json.dumps(settings), info=info)
        with suppress(UserError):
            run = runs.read(path)
            run.network()
            assert list(listing.published_runs(Path(folder)).index) == ["run"]
            name = runs.name(run.recipe, run.seed)
            assert Path(name).name == name
            assert type(run.data["title"]) is str


@pytest.mark.parametrize("data", [None, 1, {}, {"title": "Noise"}])
def test_run_of_unknown_data_is_a_sentence(written, data):
    sealed(written, info={"data": data})
    with pytest.raises(UserError, match="cannot be read"):
        runs.read(written)


def of_another_shape(state):
    state["fc2.weight"] = state["fc2.weight"][:, :-1].contiguous()


def of_another_kind(state):
    state["fc2.weight"] = state["fc2.weight"].double()


def not_finite(state):
    state["norm1.running_var"][0] = math.nan


def one_missing(state):
    del state["norm4.bias"]


def one_more(state):
    state["fc5.weight"] = torch.zeros(2, 2)


def levels_of_zero(state):
    state["fc1.weight"] *= 0


def scales_of_another_shape(state):
    state["fc1.weight:scale"] = torch.ones(3)


def levels_without_scales(state):
    del state["fc1.weight:scale"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (of_another_shape, r"a fc2.weight of shape \(16, 15\) .* one of shape \(16, 16\)"),
        (of_another_kind, "a fc2.weight of .* in torch.float64, and .* in torch.float32"),
        (not_finite, "has a norm1.running_var that is not finite"),
        (one_missing, "has no norm4.bias: it does not hold the recipe's network"),
        (one_more, "has a tensor fc5.weight: it does not hold the recipe's network"),
        (levels_of_zero, "cannot be read: .* a level or a scale is 0"),
        (scales_of_another_shape, "cannot be read: "),
        (levels_without_scales, "a fc1.weight of .* in torch.int8"),
    ],
)
def test_weights_of_another_network_are_a_sentence(written, change, message):
    file = written / "weights.safetensors"
    state = load_file(file)
    if "level" in change.__name__ or "scale" in change.__name__:
        state = int8.pack(state, ["fc1.weight"])
    change(state)
    save_file(state, file)
    sealed(written)
    with pytest.raises(UserError, match=message) as error:
        runs.read(written)
    assert str(file) in str(error.value)


# --- not written --------------------------------------------------------------------------------


def test_existing_target_is_refused_and_left_alone(trained, tmp_path):
    target = tmp_path / "run"
    for make in (target.mkdir, lambda: (target.rmdir(), target.write_text("mine"))):
        make()
        with pytest.raises(UserError, match=r"something at .* already"):
            runs.write(target, trained, RECIPE, SEED, tiny_dataset())
    assert target.read_text() == "mine"
    assert visible(tmp_path) == ["run"]


@pytest.mark.parametrize(
    ("step", "failure"),
    [
        ("save", SafetensorError("No space left on device")),
        ("storage.write_file", OSError(28, "No space left on device")),
        ("storage.write_manifest", KeyboardInterrupt()),
    ],
)
def test_failed_write_leaves_nothing(step, failure, trained, tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        assert len(visible(tmp_path)) == 1  # a folder beside the target
        raise failure

    monkeypatch.setattr(f"bnn_geometry.training.runs.{step}", fail)
    raised = KeyboardInterrupt if isinstance(failure, KeyboardInterrupt) else UserError
    with pytest.raises(raised) as error:
        runs.write(tmp_path / "run", trained, RECIPE, SEED, tiny_dataset())
    if raised is UserError:
        assert "No space left" in str(error.value)
        assert str(tmp_path / "run") in str(error.value)
    assert visible(tmp_path) == []


def test_folder_that_cannot_be_made_is_named(trained, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="could not be written"):
        runs.write(tmp_path / "file" / "run", trained, RECIPE, SEED, tiny_dataset())
