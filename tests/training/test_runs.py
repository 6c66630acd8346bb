"""Runs on disk: bit for bit, or a sentence that names what is wrong."""

import json
import math
import pickle
import shutil
import threading
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import SafetensorError
from test_training import TINY, same_state, tiny_dataset

from bnn_geometry import paths
from bnn_geometry.errors import UserError
from bnn_geometry.training import loop as training
from bnn_geometry.training import runs
from bnn_geometry.training.recipes import FAST_CIFAR10

RECIPE = TINY["mlp"].with_(width=1 / 256, validation_images=10)
CONVNET = TINY["convnet"].with_(epochs=1)
SEED = 3
FILES = ["history.csv", "recipe.json", "run.json", "weights.safetensors"]


def train(recipe, kind):
    return training.train(training.start(recipe, SEED), tiny_dataset(kind), recipe, seed=SEED)


@pytest.fixture(scope="module")
def trained():
    return train(RECIPE, "mlp")


@pytest.fixture
def written(trained, tmp_path):
    """The folder of a run."""
    path = tmp_path / "runs" / "one"
    runs.write(path, trained, RECIPE, SEED, tiny_dataset())
    return path


@pytest.fixture
def trainings(monkeypatch, tmp_path):
    """Live runs in an empty folder; the list grows by one with each training."""
    calls = []

    def counting(*args, **kwargs):
        calls.append(kwargs["seed"])
        return training.train(*args, **kwargs)

    monkeypatch.setattr(runs, "train", counting)
    monkeypatch.setenv("BNN_LIVE", str(tmp_path / "live"))
    return calls


def live(recipe=RECIPE, *, seed=SEED, dataset=None, **options):
    return runs.live(recipe, dataset or tiny_dataset(), seed=seed, **options)


def visible(folder):
    return sorted(entry.name for entry in folder.iterdir())


# --- written and read ---------------------------------------------------------------------------


def test_read_gives_back_what_was_written(written, trained):
    run = runs.read(written)
    assert (run.recipe, run.seed, run.path) == (RECIPE, SEED, written)
    pd.testing.assert_frame_equal(run.history, trained.history, check_exact=True)
    assert run.info["kept_epoch"] == trained.kept_epoch
    assert run.info["precision"] == "float32"
    assert run.info["threads"] == torch.get_num_threads()
    assert run.info["versions"] == runs.versions()
    assert run.data["fingerprint"] == tiny_dataset().provenance.fingerprint
    assert same_state(run.network(), trained.network)
    assert not run.network().training


def test_convnet_comes_back_bit_for_bit(tmp_path):
    trained = train(CONVNET, "convnet")  # its weights lie channels-last
    runs.write(tmp_path / "c", trained, CONVNET, SEED, tiny_dataset("convnet"))
    network = runs.read(tmp_path / "c").network()
    assert same_state(network, trained.network)
    test = tiny_dataset("convnet").test
    assert training.evaluate(network, test) == trained.history["test_error"].iloc[-1]


def test_history_of_any_numbers_comes_back_bit_for_bit(trained, tmp_path):
    rng = np.random.default_rng(0)
    values = rng.random(1000) * 10.0 ** rng.integers(-300, 300, 1000)
    values[:4] = [0.1 + 0.2, math.nan, 5e-324, 1 / 3]
    history = pd.DataFrame({"epoch": range(1, 1001), "loss": values})
    runs.write(tmp_path / "h", replace(trained, history=history), RECIPE, SEED, tiny_dataset())
    pd.testing.assert_frame_equal(runs.read(tmp_path / "h").history, history, check_exact=True)


def test_untrained_network_is_where_training_began(written):
    run = runs.read(written)
    assert same_state(run.untrained(), training.start(RECIPE, SEED))
    assert not same_state(run.untrained(), run.network())


def test_kept_row_is_that_of_the_kept_epoch(written, trained):
    kept = runs.read(written).kept
    row = trained.history.iloc[trained.kept_epoch - 1]
    assert kept["test_error"] == row["test_error"]
    assert kept["loss"] == row["loss"]


def test_nothing_private_and_nothing_that_runs_code_is_in_the_folder(written, trained):
    assert visible(written) == FILES
    for path in written.iterdir():
        content = path.read_bytes()
        assert b"/somewhere/private" not in content
        assert str(written).encode() not in content
        with pytest.raises(Exception):  # noqa: B017, PT011  (whatever pickle makes of it)
            pickle.loads(content)
    weights = (written / "weights.safetensors").read_bytes()
    header = json.loads(weights[8 : 8 + int.from_bytes(weights[:8], "little")])
    assert set(header) - {"__metadata__"} == set(trained.network.state_dict())


def test_folder_can_be_read_by_others(written):
    assert written.stat().st_mode & 0o777 == 0o755
    for path in written.iterdir():
        assert path.stat().st_mode & 0o444 == 0o444


def test_folder_is_named_after_what_defines_the_run():
    assert runs.name(FAST_CIFAR10, 1) == "cifar10-convnet-fast-w1-s1"
    narrow = FAST_CIFAR10.with_(width=0.5, activation="hardtanh")
    assert runs.name(narrow, 0) == "cifar10-convnet-fast-hardtanh-w0.5-s0"


def test_run_without_measurements_has_none(written):
    assert runs.read(written).measurements is None


# --- damaged ------------------------------------------------------------------------------------


def edit_run(path, change):
    info = json.loads((path / "run.json").read_text())
    change(info)
    (path / "run.json").write_text(json.dumps(info))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["one bit", "cut", "empty", "longer"])
def test_damaged_file_is_named(written, name, damage):
    path = written / name
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    if damage == "one bit":
        content[middle] ^= 1
    path.write_bytes(
        {"cut": content[:middle], "empty": b"", "longer": content + b"1"}.get(damage, content)
    )
    with pytest.raises(UserError) as error:
        runs.read(written)
    assert str(path if name != "run.json" else written) in str(error.value)


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
    other = replace(trained, network=training.start(RECIPE, SEED + 1))
    runs.write(tmp_path / "other", other, RECIPE, SEED, tiny_dataset())
    shutil.copy(tmp_path / "other" / "weights.safetensors", written)
    with pytest.raises(UserError, match=r"weights\.safetensors is not the file"):
        runs.read(written)


@pytest.mark.parametrize("name", FILES)
def test_missing_file_is_named(written, name):
    (written / name).unlink()
    with pytest.raises(UserError, match=f"not a whole run: .*{name} is missing"):
        runs.read(written)


def test_no_folder_or_a_file_is_no_run(tmp_path):
    with pytest.raises(UserError, match="not a whole run"):
        runs.read(tmp_path / "nothing")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be read"):
        runs.read(tmp_path / "file")


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
    ("failure", "raised"),
    [
        (OSError(28, "No space left on device"), UserError),
        (SafetensorError("No space left on device"), UserError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
@pytest.mark.parametrize("step", ["save_file", "_write_json", "storage.write_manifest"])
def test_failed_write_leaves_nothing(failure, raised, step, trained, tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        assert len(visible(tmp_path)) == 1  # a folder beside the target
        raise failure

    monkeypatch.setattr(f"bnn_geometry.training.runs.{step}", fail)
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


# --- live ---------------------------------------------------------------------------------------


def test_live_trains_once_and_then_reads(trainings, trained):
    epochs = []
    first = live(on_epoch_end=lambda network, row: epochs.append(row["epoch"]))
    second = live()
    assert trainings == [SEED]
    assert epochs == [1, 2]
    assert first.path == second.path
    assert same_state(first.network(), second.network())
    assert same_state(first.network(), trained.network)
    pd.testing.assert_frame_equal(first.history, second.history, check_exact=True)


def test_live_folder_says_what_it_holds(trainings, tmp_path):
    path = live().path
    assert path.parent == tmp_path / "live"
    assert path.name.startswith(f"mnist-mlp-fast-w0.00390625-s{SEED}-")


@pytest.mark.parametrize("name", FILES)
def test_damaged_live_run_is_trained_again(trainings, name):
    path = live().path
    (path / name).write_bytes(b"damaged")
    again = live()
    assert trainings == [SEED, SEED]
    assert again.path == path
    assert same_state(again.network(), live().network())
    assert len(trainings) == 2


def other_seed(monkeypatch):
    return live(seed=SEED + 1)


def other_recipe(monkeypatch):
    return live(RECIPE.with_(lr=2e-3))


def other_data(monkeypatch):
    return live(dataset=tiny_dataset(seed=1))


def other_threads(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 77)
    return live()


def other_versions(monkeypatch):
    monkeypatch.setattr(runs, "versions", lambda: {"torch": "0"})
    return live()


def other_code(monkeypatch):
    monkeypatch.setattr(runs, "code_hashes", lambda: {"a": "b"})
    return live()


@pytest.mark.parametrize(
    "change",
    [other_seed, other_recipe, other_data, other_threads, other_versions, other_code],
    ids=lambda f: f.__name__,
)
def test_anything_else_is_another_run(trainings, monkeypatch, change):
    first = live()
    other = change(monkeypatch)
    assert len(trainings) == 2
    assert other.path != first.path
    monkeypatch.undo()


def test_code_of_a_live_run_is_all_that_training_may_use():
    files = set(runs.code_hashes())
    assert {"storage.py", "training/loop.py", "networks/layers.py", "geometry/angles.py"} <= files
    assert not any(file.startswith(("book", "probing", "studies", "cli")) for file in files)


def test_two_callers_at_once_train_once(trainings):
    found = []
    threads = [threading.Thread(target=lambda: found.append(live().path)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert trainings == [SEED]
    assert found[0] == found[1]


def test_failed_training_leaves_no_run(trainings, monkeypatch, tmp_path):
    def fail(*args, **kwargs):
        raise UserError("The loss stopped being finite.")

    monkeypatch.setattr(runs, "train", fail)
    with pytest.raises(UserError, match="finite"):
        live()
    assert not [entry for entry in (tmp_path / "live").iterdir() if entry.is_dir()]


def test_folder_for_live_runs_comes_from_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("BNN_CACHE", str(tmp_path))
    for value in (None, ""):
        monkeypatch.delenv("BNN_LIVE", raising=False)
        if value is not None:
            monkeypatch.setenv("BNN_LIVE", value)
        assert paths.live_root() == tmp_path / "live"


def test_folder_for_live_runs_that_cannot_be_made_is_named(trainings, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("BNN_LIVE", str(tmp_path / "file" / "live"))
    with pytest.raises(UserError, match=r"Runs cannot be kept in .*file.*Set BNN_LIVE"):
        live()
    assert trainings == []
