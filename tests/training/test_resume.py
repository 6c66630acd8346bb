"""Killed anywhere and resumed, a run ends with the bits of one that was not disturbed."""

from __future__ import annotations

import errno
import json
import math
import multiprocessing
import os
import shutil
import signal
from pathlib import Path

import pandas as pd
import pytest
import torch
from filelock import FileLock
from test_training import TINY, same_state, tiny_dataset

from bnn_geometry import storage
from bnn_geometry.errors import UserError
from bnn_geometry.probing import measurements
from bnn_geometry.training import checkpoint, runs
from bnn_geometry.training import loop as training
from bnn_geometry.training.hardware import can_compile

# validation images, so that a best epoch is kept; dropout and augmentation draw random numbers
RECIPES = {
    "mlp": TINY["mlp"].with_(width=1 / 128, epochs=4, validation_images=20, augment=True),
    "convnet": TINY["convnet"].with_(epochs=3),
}
SHORT = TINY["mlp"].with_(width=1 / 256, epochs=2, validation_images=20)
SEED = 5
MEASURED = 6

pytestmark = pytest.mark.skipif(os.name == "nt", reason="kills as POSIX does")


def dataset(kind):
    return tiny_dataset(kind, train=60)


def make(path, kind="mlp", *, recipe=None, **options):
    options = {"seed": SEED, "measured": MEASURED} | options
    return runs.make(path, recipe or RECIPES[kind], dataset(kind), **options)


@pytest.fixture(autouse=True)
def every_epoch(monkeypatch):
    """A checkpoint after every epoch, however short."""
    monkeypatch.setattr(runs, "CHECKPOINT_SHARE", math.inf)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The runs as they come out when nothing happens."""
    folder = tmp_path_factory.mktemp("undisturbed")
    return {kind: make(folder / kind, kind) for kind in RECIPES}


def same_bits(run, expected):
    weights = "weights.safetensors"
    assert (run.path / weights).read_bytes() == (expected.path / weights).read_bytes()
    pd.testing.assert_frame_equal(
        run.history.drop(columns="seconds"),
        expected.history.drop(columns="seconds"),
        check_exact=True,
    )
    pd.testing.assert_frame_equal(run.measurements, expected.measurements, check_exact=True)
    assert run.info["kept_epoch"] == expected.info["kept_epoch"]
    assert sorted(p.name for p in run.path.iterdir()) == [
        *("history.csv", "measurements.csv", "recipe.json", "run.json", "weights.safetensors")
    ]


# --- killed ---------------------------------------------------------------------------------------


class Killer:
    """Ends the process by SIGKILL at the n-th call of what it wraps."""

    def __init__(self, countdown):
        self.countdown = countdown

    def wrap(self, owner, name, *, tear=False):
        inner = getattr(owner, name)

        def wrapped(*args, **kwargs):
            self.tick()
            result = inner(*args, **kwargs)
            if tear:
                if self.countdown == 1:  # the file is there in part
                    path = args[0] if isinstance(args[0], Path) else args[1]
                    os.truncate(path, path.stat().st_size // 2)
                self.tick()
            return result

        setattr(owner, name, wrapped)

    def tick(self):
        self.countdown -= 1
        if self.countdown == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def killed_at_disk_operation(path, kind, countdown):
    runs.CHECKPOINT_SHARE = math.inf
    killer = Killer(countdown)
    killer.wrap(checkpoint, "save_file", tear=True)
    killer.wrap(runs, "save_file", tear=True)
    for owner, name in (
        *((os, "fsync"), (shutil, "rmtree")),
        *((Path, "rename"), (Path, "replace")),
    ):
        killer.wrap(owner, name)
    killer.wrap(Path, "write_text", tear=True)
    make(path, kind, recipe=SHORT)


def killed_at_step(path, kind, countdown, recipe=None):
    runs.CHECKPOINT_SHARE = math.inf
    killer = Killer(countdown)
    make(path, kind, recipe=recipe, on_step=lambda *_: killer.tick())


def disk_full(path, kind, limit):
    runs.CHECKPOINT_SHARE = math.inf
    import resource  # there is none on Windows

    # no file may grow beyond this: what a full disk does, for a process that is not alone
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        make(path, kind)
    except UserError as error:
        (path.parent / "message").write_text(str(error))
        os._exit(1)


def in_child(target, *args):
    """The exit code of a new process; the server that forks them has torch loaded once."""
    context = multiprocessing.get_context("forkserver")
    # the last is what the first optimizer imports
    context.set_forkserver_preload(["bnn_geometry.training.runs", "pytest", "torch._dynamo"])
    process = context.Process(target=target, args=args)
    process.start()
    process.join(120)
    if process.is_alive():
        process.kill()
        process.join()
        pytest.fail("the process did not come to an end")
    return process.exitcode


@pytest.mark.parametrize("step", [1, 2, 5, 8])  # two steps an epoch, four epochs
def test_killed_during_a_step(step, undisturbed, tmp_path):
    path = tmp_path / "run"
    assert in_child(killed_at_step, path, "mlp", step) == -signal.SIGKILL
    assert runs.epochs_done(path) == (step - 1) // 2
    with pytest.raises(UserError, match="is not finished: `--resume` goes on with it"):
        runs.read(path)
    same_bits(make(path, resume=True), undisturbed["mlp"])


def test_network_with_channels_last_weights_is_resumed_too(undisturbed, tmp_path):
    path = tmp_path / "run"
    assert in_child(killed_at_step, path, "convnet", 7) == -signal.SIGKILL
    assert runs.epochs_done(path) == 2
    same_bits(make(path, "convnet", resume=True), undisturbed["convnet"])


@pytest.mark.slow
@pytest.mark.skipif(not can_compile(), reason="takes a C++ compiler and Python's headers")
def test_compiled_network_is_resumed_too(tmp_path):
    recipe = RECIPES["mlp"].with_(compile="always")
    expected = make(tmp_path / "undisturbed", recipe=recipe)
    assert expected.info["compiled"]
    path = tmp_path / "run"
    assert in_child(killed_at_step, path, "mlp", 5, recipe) == -signal.SIGKILL
    assert runs.epochs_done(path) == 2
    same_bits(make(path, recipe=recipe, resume=True), expected)


def test_killed_at_every_other_disk_operation(tmp_path):
    # one process is killed at its first operation, one at its third … and each run is resumed,
    # until one comes to its end: all checkpoints and the finished folder
    expected = make(tmp_path / "undisturbed", recipe=SHORT)
    found = []
    for countdown in range(1, 1000, 2):
        path = tmp_path / f"run{countdown}"
        if in_child(killed_at_disk_operation, path, "mlp", countdown) == 0:
            break
        found.append((runs.is_finished(path), runs.epochs_done(path)))
        same_bits(make(path, recipe=SHORT, resume=True), expected)
        shutil.rmtree(path)
    same_bits(runs.read(path), expected)
    # before the first checkpoint, after it …, and finished with a checkpoint still there
    assert {(False, None), (False, 0), (False, 1), (False, 2), (True, 2)} == set(found)


def test_killed_again_and_again(undisturbed, tmp_path):
    path = tmp_path / "run"
    for countdown in (3, 3, 3, 2):
        assert in_child(resumed_and_killed, path, countdown) == -signal.SIGKILL
    assert runs.epochs_done(path) == 3
    same_bits(make(path, resume=True), undisturbed["mlp"])


def resumed_and_killed(path, countdown):
    runs.CHECKPOINT_SHARE = math.inf
    killer = Killer(countdown)
    make(path, resume=True, on_step=lambda *_: killer.tick())


# --- disk full ------------------------------------------------------------------------------------


def test_disk_that_fills_up_is_a_sentence_and_the_run_can_be_resumed(undisturbed, tmp_path):
    path = tmp_path / "run"
    # the first checkpoint fits; with Adam's moments it is three times as large
    size = (undisturbed["mlp"].path / "weights.safetensors").stat().st_size
    assert in_child(disk_full, path, "mlp", 2 * size) == 1
    message = (tmp_path / "message").read_text()
    assert f"No checkpoint could be written to {path} after epoch 1" in message
    assert "resume" in message
    assert os.listdir(path) == ["checkpoint-0000"]
    same_bits(make(path, resume=True), undisturbed["mlp"])


def test_disk_that_is_full_from_the_start_leaves_nothing(tmp_path):
    path = tmp_path / "run"
    assert in_child(disk_full, path, "mlp", 1000) == 1
    assert "after epoch 0" in (tmp_path / "message").read_text()
    assert not path.exists()


@pytest.mark.parametrize("step", ["save_file", "storage.write_manifest"])
def test_disk_that_is_full_at_the_end(step, undisturbed, tmp_path, monkeypatch):
    path = tmp_path / "run"

    def fail(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        if step == "save_file":
            patch.setattr(runs, "save_file", fail)
        else:
            write = storage.write_manifest
            patch.setattr(
                storage,
                "write",
                lambda folder, name, *rest: (fail if name == "run.json" else write)(
                    folder, name, *rest
                ),
            )
        with pytest.raises(UserError, match=r"could not be written .* No space left .* resume it"):
            make(path)
    assert runs.epochs_done(path) == 4
    steps = []
    same_bits(make(path, resume=True, on_step=lambda *_: steps.append(1)), undisturbed["mlp"])
    assert not steps


# --- what may be resumed --------------------------------------------------------------------------


@pytest.fixture
def interrupted(tmp_path):
    """A run's folder after two epochs."""
    path = tmp_path / "run"

    def stop(network, row):
        if row["epoch"] == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(path, on_epoch_end=stop)
    assert os.listdir(path) == ["checkpoint-0002"]
    return path


def contents(path):
    return {
        p.relative_to(path): (p.read_bytes(), p.stat().st_mtime_ns)
        for p in path.rglob("*")
        if p.is_file()
    }


def other_threads(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 77)


def other_torch(monkeypatch):
    versions = runs.versions()
    monkeypatch.setattr(runs, "versions", lambda: versions | {"torch": "0.1"})


def other_code(monkeypatch):
    code = runs.code_hashes()
    monkeypatch.setattr(runs, "code_hashes", lambda: code | {"training/loop.py": "0"})


def other_processor(monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "ABACUS")


def other_compiler(monkeypatch):
    here = can_compile()
    monkeypatch.setattr(runs, "can_compile", lambda: not here)


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (None, {"recipe": RECIPES["mlp"].with_(lr=0.5)}, "with recipe lr 0.001, here 0.5:"),
        (None, {"recipe": RECIPES["mlp"].with_(lr=0.5, epochs=9)}, r"epochs 4, here 9 \(and 1 mor"),
        (None, {"seed": 6}, "with seed 5, here 6:"),
        (None, {"measured": 7}, "with measured images 6, here 7:"),
        (other_threads, {}, "with threads 1, here 77:"),
        (other_torch, {}, r"with versions torch .*, here 0\.1:"),
        (other_code, {}, r"with other code training/loop\.py:"),
        (other_processor, {}, "with instructions .*, here ABACUS:"),
        (other_compiler, {}, "with compiler (True, here False|False, here True):"),
    ],
)
def test_another_run_is_not_resumed(interrupted, monkeypatch, change, options, message):
    before = contents(interrupted)
    if change is not None:
        change(monkeypatch)
    with pytest.raises(UserError, match=message):
        make(interrupted, resume=True, **options)
    assert contents(interrupted) == before


def test_other_data_are_not_resumed(interrupted):
    with pytest.raises(UserError, match="begun with other data: it can be resumed only as"):
        runs.make(
            interrupted,
            RECIPES["mlp"],
            tiny_dataset(train=60, seed=1),
            seed=SEED,
            measured=MEASURED,
            resume=True,
        )


def test_interrupted_run_is_resumed(interrupted, undisturbed):
    before = torch.get_rng_state()
    epochs = []
    run = make(
        interrupted, resume=True, on_epoch_end=lambda network, row: epochs.append(row["epoch"])
    )
    assert epochs == [3, 4]
    same_bits(run, undisturbed["mlp"])
    assert torch.equal(torch.get_rng_state(), before)


def test_best_epoch_from_before_the_interruption_is_kept(tmp_path, monkeypatch):
    errors = []
    monkeypatch.setattr(
        training,
        "evaluate",
        lambda network, split, *, indices=None, precision: (
            0.5 if indices is None else errors.pop(0)
        ),
    )
    states = []

    def look(network, row):
        states.append({k: v.clone() for k, v in network.state_dict().items()})
        if row["epoch"] == 3 and len(states) == 3:
            raise KeyboardInterrupt

    path = tmp_path / "run"
    errors[:] = [0.3, 0.1, 0.2]
    with pytest.raises(KeyboardInterrupt):
        make(path, on_epoch_end=look)
    errors[:] = [0.2, 0.4]
    run = make(path, resume=True, on_epoch_end=look)
    assert run.info["kept_epoch"] == 2
    assert run.history["validation_error"].tolist() == [0.3, 0.1, 0.2, 0.4]
    assert all(torch.equal(value, states[1][name]) for name, value in run.weights.items())


def test_nothing_but_resume_touches_a_run_that_is_there(interrupted):
    before = contents(interrupted)
    with pytest.raises(UserError, match="another folder, or go on with the run there with --resu"):
        make(interrupted)
    assert contents(interrupted) == before


def test_finished_run_is_read_and_left_alone(tmp_path, undisturbed):
    path = tmp_path / "run"
    make(path)
    before = contents(path)
    steps = []
    same_bits(make(path, resume=True, on_step=lambda *_: steps.append(1)), undisturbed["mlp"])
    assert not steps
    assert contents(path) == before
    with pytest.raises(UserError, match="seed 5, here 6"):
        make(path, resume=True, seed=6)
    with pytest.raises(UserError, match=r"something at .* already: choose another folder"):
        make(path)


@pytest.mark.parametrize("begin", ["nothing", "empty", "killed at once"])
def test_resume_where_nothing_is_begins(begin, undisturbed, tmp_path):
    path = tmp_path / "run"
    if begin != "nothing":
        path.mkdir()
    if begin == "killed at once":
        (path / ".checkpoint-0000").mkdir()
        (path / ".checkpoint-0000" / "state.safetensors").write_bytes(b"half")
        (path / ".lock").touch()
    assert runs.epochs_done(path) is None
    same_bits(make(path, resume=True), undisturbed["mlp"])


def test_folder_of_something_else_is_no_run(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="holds no run to resume: choose another folder"):
        make(tmp_path, resume=True)
    assert os.listdir(tmp_path) == ["thesis.txt"]
    with pytest.raises(UserError, match="is a file, and no run to resume"):
        make(tmp_path / "thesis.txt", resume=True)


def test_two_processes_do_not_share_a_folder(interrupted):
    before = contents(interrupted)
    with (
        FileLock(interrupted / ".lock"),
        pytest.raises(UserError, match="Another process is training the run"),
    ):
        make(interrupted, resume=True)
    assert {k: v for k, v in contents(interrupted).items() if k.name != ".lock"} == before


def test_data_that_do_not_fit_leave_no_folder(tmp_path):
    for data, message in (
        (tiny_dataset("convnet"), "takes images of shape"),
        (tiny_dataset(train=30), "too few for one batch"),
    ):
        with pytest.raises(UserError, match=message):
            runs.make(tmp_path / "run", RECIPES["mlp"], data, seed=SEED)
    assert not os.listdir(tmp_path)


def test_loss_that_is_not_finite_leaves_the_epoch_before(tmp_path, monkeypatch):
    losses = iter([0.0, 0.0, 0.0, math.nan])
    monkeypatch.setitem(
        training.LOSSES, "cross-entropy", lambda scores, y: scores.sum() * 0 + next(losses)
    )
    with pytest.raises(UserError, match="stopped being finite in epoch 2, step 2"):
        make(tmp_path / "run")
    assert os.listdir(tmp_path / "run") == ["checkpoint-0001"]


# --- damaged --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["state.safetensors", "state.json"])
@pytest.mark.parametrize("damage", ["one bit", "cut", "empty", "missing"])
def test_damaged_checkpoint_is_named(interrupted, name, damage):
    file = interrupted / "checkpoint-0002" / name
    content = bytearray(file.read_bytes())
    if damage == "one bit":
        content[len(content) // 2] ^= 1
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes({"cut": content[: len(content) // 2], "empty": b""}.get(damage, content))
    with pytest.raises(UserError, match="Delete the run's folder and train again") as error:
        make(interrupted, resume=True)
    assert str(file.parent) in str(error.value)


def test_edited_checkpoint_is_refused(interrupted):
    file = interrupted / "checkpoint-0002" / "state.json"
    values = json.loads(file.read_text())
    values["values"]["history"][0]["loss"] = 0.0
    file.write_text(json.dumps(values))
    with pytest.raises(UserError, match="was damaged or edited"):
        make(interrupted, resume=True)


def test_damaged_checkpoint_beside_the_one_before_it(interrupted, undisturbed):
    newer = interrupted / "checkpoint-0003"
    newer.mkdir()
    (newer / "state.json").write_text("{")
    with pytest.raises(UserError, match="Delete checkpoint-0003 to go on from checkpoint-0002"):
        make(interrupted, resume=True)
    shutil.rmtree(newer)
    same_bits(make(interrupted, resume=True), undisturbed["mlp"])


# --- checkpoints ----------------------------------------------------------------------------------


def test_checkpoint_comes_back_bit_for_bit(tmp_path):
    generator = torch.Generator().manual_seed(0)
    tensors = {
        "a": torch.randn(3, 4, 5, 6, generator=generator).contiguous(
            memory_format=torch.channels_last
        ),
        "b": torch.tensor(7.0),
        "c": torch.randint(0, 256, (10,), dtype=torch.uint8, generator=generator),
        "d": torch.tensor([math.nan, -0.0, 1e-45]),
    }
    values = {"x": [0.1 + 0.2, 5e-324, 1e300], "y": None, "z": {"ö": 1}}
    assert checkpoint.latest(tmp_path) is None
    checkpoint.save(tmp_path, 3, tensors, values)
    found, read = checkpoint.latest(tmp_path)
    assert read == values
    assert {k: v.dtype for k, v in found.items()} == {k: v.dtype for k, v in tensors.items()}
    for name, tensor in tensors.items():
        assert torch.equal(
            found[name].flatten().view(torch.uint8), tensor.flatten().view(torch.uint8)
        )


def test_last_checkpoint_is_the_one_with_the_largest_number(tmp_path):
    for number in (9, 10, 12_345):
        checkpoint.save(tmp_path, number, {}, {"number": number})
        assert checkpoint.latest(tmp_path)[1] == {"number": number}
        assert checkpoint.latest_number(tmp_path) == number
    assert len(os.listdir(tmp_path)) == 1
    (tmp_path / "checkpoint-9999").mkdir()  # sorted as text it would come last
    assert checkpoint.latest_number(tmp_path) == 12_345
    checkpoint.remove(tmp_path)
    assert not os.listdir(tmp_path)


def test_nothing_in_a_checkpoint_is_private(interrupted):
    for file in interrupted.rglob("*.*"):
        if file.is_file():
            assert b"/somewhere/private" not in file.read_bytes()
            assert str(interrupted).encode() not in file.read_bytes()


def test_checkpoints_take_a_part_of_the_time_and_no_more(tmp_path, monkeypatch):
    clock = [0.0]
    saved = []

    def save(folder, number, tensors, values):
        saved.append(number)
        clock[0] += 1.0

    def epoch(network, row):
        clock[0] += 6.0

    monkeypatch.setattr(runs.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(runs.checkpoint, "save", save)
    monkeypatch.setattr(runs, "CHECKPOINT_SHARE", 0.1)
    make(tmp_path / "run", recipe=RECIPES["mlp"].with_(epochs=6), on_epoch_end=epoch, measured=0)
    assert saved == [0, 2, 4, 6]  # at most a second in ten
    saved.clear()
    make(tmp_path / "odd", recipe=RECIPES["mlp"].with_(epochs=5), on_epoch_end=epoch, measured=0)
    assert saved == [0, 2, 4, 5]  # and at the end in any case


# --- measurements ---------------------------------------------------------------------------------


def test_measurements_are_those_of_the_network_after_each_epoch(tmp_path):
    images = dataset("mlp").test.sample(MEASURED, runs.MEASURED_SEED).images
    tables = []
    run = make(
        tmp_path / "run",
        on_epoch_end=lambda network, row: tables.append(
            measurements.measure_layers(network, images).assign(epoch=row["epoch"])
        ),
    )
    expected = pd.concat(tables, ignore_index=True)
    found = run.measurements
    assert list(found) == ["epoch", *measurements.COLUMNS]
    pd.testing.assert_frame_equal(found, expected[list(found)], check_exact=True)
    # and they agree with what the history says
    last = found[found["epoch"] == 4].set_index("layer")
    for layer, angle in last["angle"].items():
        assert angle == pytest.approx(run.history[f"angle_{layer}"].iloc[-1], rel=1e-12)
    assert (found["angle_25"] <= found["angle"]).all()
    assert (found["angle"] <= found["angle_75"]).all()
    assert run.info["measured_images"] == MEASURED


def test_measured_images_do_not_depend_on_the_seed(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        runs,
        "measure",
        lambda network, images: seen.append(images) or pd.DataFrame({"layer": ["fc1"]}),
    )
    for seed in (0, 1):
        make(tmp_path / str(seed), recipe=RECIPES["mlp"].with_(epochs=1), seed=seed)
    assert torch.equal(*seen)
    assert len(seen[0]) == MEASURED


def test_measuring_changes_nothing_else(undisturbed, tmp_path):
    run = make(tmp_path / "run", measured=0)
    assert run.measurements is None
    assert same_state(run.network(), undisturbed["mlp"].network())
    plain = training.train(
        training.start(RECIPES["mlp"], SEED), dataset("mlp"), RECIPES["mlp"], seed=SEED
    )
    assert same_state(run.network(), plain.network)
    pd.testing.assert_frame_equal(
        run.history.drop(columns="seconds"),
        plain.history.drop(columns="seconds"),
        check_exact=True,
    )
