"""Killed anywhere and resumed, a run ends with the bits of one that was not disturbed."""

from __future__ import annotations

import errno
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
from tiny import TINY, same_state, tiny_dataset

from bnn_geometry import storage
from bnn_geometry.errors import UserError
from bnn_geometry.networks.layers import weight_layers
from bnn_geometry.training import checkpoint, identity, loop, making, runs
from bnn_geometry.training.build import build_network
from bnn_geometry.training.hardware import can_compile
from bnn_geometry.training.losses import LOSSES

# validation images, so that a best epoch is kept; dropout and augmentation draw random numbers
RECIPES = {
    "mlp": TINY["mlp"].with_(width=1 / 256, epochs=4, validation_images=20, augment=True),
    "convnet": TINY["convnet"].with_(width=1 / 64, epochs=2),
}
SEED = 5
MEASURED = 6

pytestmark = pytest.mark.skipif(os.name == "nt", reason="kills as POSIX does")


def dataset(kind):
    return tiny_dataset(kind, train=60)


def measure(network):
    """What stands for a measurement: a row per layer."""
    sizes = {k: float(x.weight.detach().abs().mean()) for k, x in weight_layers(network).items()}
    return pd.DataFrame({"layer": sizes.keys(), "n": 1, "r": sizes.values()})


def make(path, kind="mlp", *, recipe=None, **options):
    options = {"seed": SEED, "measure": measure, "measured": MEASURED} | options
    return making.make(path, recipe or RECIPES[kind], dataset(kind), **options)


@pytest.fixture(autouse=True)
def every_epoch(monkeypatch):
    """A checkpoint after every epoch, however short."""
    monkeypatch.setattr(making, "CHECKPOINT_SHARE", math.inf)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The run as it comes out when nothing happens."""
    return make(tmp_path_factory.mktemp("undisturbed") / "mlp")


@pytest.fixture(scope="module")
def after_two_epochs(tmp_path_factory):
    path = tmp_path_factory.mktemp("interrupted") / "run"

    def stop(network, row):
        if row["epoch"] == 3:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(making, "CHECKPOINT_SHARE", math.inf)
        with pytest.raises(KeyboardInterrupt):
            make(path, on_epoch_end=stop)
    assert os.listdir(path) == ["checkpoint-0002"]
    return path


@pytest.fixture
def interrupted(after_two_epochs, tmp_path):
    """A run's folder after two epochs."""
    return Path(shutil.copytree(after_two_epochs, tmp_path / "run"))


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
            if not tear:
                self.tick()
            result = inner(*args, **kwargs)
            if tear:
                if self.countdown == 1:  # the file is there in part
                    path = next(x for x in args if isinstance(x, Path))
                    os.truncate(path, path.stat().st_size // 2)
                self.tick()
            return result

        setattr(owner, name, wrapped)

    def tick(self):
        self.countdown -= 1
        if self.countdown == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def killed_at_disk_operation(path, operation, countdown):
    making.CHECKPOINT_SHARE = math.inf
    owner, name = OPERATIONS[operation]
    Killer(countdown).wrap(owner, name, tear=name in ("save_file", "write_bytes", "to_csv"))
    make(path)


def killed_at_step(path, countdown):
    making.CHECKPOINT_SHARE = math.inf
    killer = Killer(countdown)
    make(path, resume=True, on_step=lambda *_: killer.tick())


def disk_full(path, limit):
    making.CHECKPOINT_SHARE = math.inf
    import resource  # there is none on Windows

    # no file may grow beyond this: what a full disk does, for a process that is not alone
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        make(path)
    except UserError as error:
        (path.parent / "message").write_text(str(error))
        os._exit(1)


def in_child(target, *args):
    """The exit code of a new process; the server that forks them has torch loaded once."""
    context = multiprocessing.get_context("forkserver")
    # the last is what the first optimizer imports
    context.set_forkserver_preload(["bnn_geometry.training.making", "pytest", "torch._dynamo"])
    process = context.Process(target=target, args=args)
    process.start()
    process.join(120)
    if process.is_alive():
        process.kill()
        process.join()
        pytest.fail("the process did not come to an end")
    return process.exitcode


def test_killed_again_and_again_during_a_step(undisturbed, tmp_path):
    path = tmp_path / "run"
    for countdown, done in ((1, 0), (4, 1), (3, 2)):  # two steps an epoch
        assert in_child(killed_at_step, path, countdown) == -signal.SIGKILL
        assert runs.epochs_done(path) == done
    with pytest.raises(UserError, match="is not finished: `--resume` goes on with it"):
        runs.read(path)
    same_bits(make(path, resume=True), undisturbed)


OPERATIONS = {
    "tensors of a checkpoint, in part": (checkpoint, "save_file"),
    "a whole checkpoint gets its name": (Path, "rename"),
    "the one before is removed": (checkpoint, "_remove"),
    "a file of the finished run, in part": (Path, "write_bytes"),
    "the history, in part": (pd.DataFrame, "to_csv"),
    "the finished run's list of files": (storage, "write_manifest"),
    "the last checkpoint is removed": (checkpoint, "remove"),
}
"""What a process may be killed at, or in the middle of."""


@pytest.mark.parametrize(
    ("operation", "countdown", "state"),
    [
        ("tensors of a checkpoint, in part", 1, (False, None)),
        ("a whole checkpoint gets its name", 2, (False, 0)),
        ("the one before is removed", 4, (False, 1)),  # twice for each
        ("a file of the finished run, in part", 6, (False, 4)),  # after five checkpoints
        ("the history, in part", 1, (False, 4)),
        ("the finished run's list of files", 6, (False, 4)),
        ("the last checkpoint is removed", 1, (True, 4)),
    ],
)
def test_killed_at_a_disk_operation(operation, countdown, state, undisturbed, tmp_path):
    path = tmp_path / "run"
    assert in_child(killed_at_disk_operation, path, operation, countdown) == -signal.SIGKILL
    assert (runs.is_finished(path), runs.epochs_done(path)) == state
    same_bits(make(path, resume=True), undisturbed)


# --- disk full ------------------------------------------------------------------------------------


def test_disk_that_fills_up_is_a_sentence_and_the_run_can_be_resumed(undisturbed, tmp_path):
    path = tmp_path / "run"
    # the first checkpoint fits; with Adam's moments it is three times as large
    size = (undisturbed.path / "weights.safetensors").stat().st_size
    assert in_child(disk_full, path, 2 * size) == 1
    message = (tmp_path / "message").read_text()
    assert f"No checkpoint could be written to {path} after epoch 1" in message
    assert "resume" in message
    assert os.listdir(path) == ["checkpoint-0000"]
    same_bits(make(path, resume=True), undisturbed)


def test_disk_that_is_full_from_the_start_leaves_nothing(tmp_path):
    path = tmp_path / "run"
    assert in_child(disk_full, path, 1000) == 1
    assert "after epoch 0" in (tmp_path / "message").read_text()
    assert not path.exists()


@pytest.mark.parametrize("step", ["write_state", "write_manifest"])
def test_disk_that_is_full_at_the_end(step, undisturbed, tmp_path, monkeypatch):
    path = tmp_path / "run"
    write_manifest = storage.write_manifest

    def fail(*args):
        if args[1] == "state.json":  # a checkpoint's
            return write_manifest(*args)
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(runs if step == "write_state" else storage, step, fail)
        with pytest.raises(UserError, match=r"could not be written .* No space left .* resume it"):
            make(path)
    assert runs.epochs_done(path) == 4
    steps = []
    same_bits(make(path, resume=True, on_step=lambda *_: steps.append(1)), undisturbed)
    assert not steps


# --- what begins elsewhere ------------------------------------------------------------------------


def test_branch_begins_with_the_state_of_another_run(tmp_path):
    snapshots = {}

    def keep(snapshot):
        tensors = {k: v.detach().clone() for k, v in snapshot.tensors.items()}
        snapshots[snapshot.values["epoch"]] = loop.Snapshot(tensors, dict(snapshot.values))

    made = make(tmp_path / "run", on_snapshot=keep)
    assert sorted(snapshots) == [0, 1, 2, 3, 4]
    middle = snapshots[2]
    # a rate at which nothing moves
    still = RECIPES["mlp"].with_(epochs=2, schedule="linear", lr=1e-30, lr_end=1e-30)
    path = tmp_path / "branch"
    for _ in range(2):  # a second time it gives way
        making.branch(path, middle, still, dataset("mlp"), seed=SEED, measured=MEASURED)
    tensors = checkpoint.latest(path)[0]
    assert all(torch.equal(v, middle.tensors[k]) for k, v in tensors.items())
    assert not [name for name in tensors if name.startswith("best/")]
    branch = make(path, recipe=still, resume=True, info={"branch_of": "run"})
    assert branch.info["branch_of"] == "run"
    assert branch.history["epoch"].tolist() == [1, 2]
    assert not branch.history.filter(like="flips_").any(axis=None)
    for name in weight_layers(branch.network()):
        latents = branch.weights[f"{name}.weight"]
        assert torch.equal(latents, middle.tensors[f"network/{name}.weight"])
        assert not torch.equal(latents, made.weights[f"{name}.weight"])


def test_measurements_are_made_after_the_epochs_that_were_asked_for(tmp_path):
    made = make(tmp_path / "run", measured_epochs={1, 4})
    assert made.measurements["epoch"].unique().tolist() == [1, 4]


# --- what may be resumed --------------------------------------------------------------------------


def contents(path):
    return {
        p.relative_to(path): (p.read_bytes(), p.stat().st_mtime_ns)
        for p in path.rglob("*")
        if p.is_file()
    }


HERE = {
    "threads": (torch, "get_num_threads", 77),
    "torch": (identity, "versions", identity.versions() | {"torch": "0.1"}),
    "code": (identity, "code_hashes", identity.code_hashes() | {"training/loop.py": "0"}),
    "processor": (torch.backends.cpu, "get_cpu_capability", "ABACUS"),
    "compiler": (identity, "can_compile", not can_compile()),
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"recipe": RECIPES["mlp"].with_(lr=0.5)}, "with recipe lr 0.001, here 0.5:"),
        ({"recipe": RECIPES["mlp"].with_(lr=0.5, epochs=9)}, r"epochs 4, here 9 \(and 1 mor"),
        ({"seed": 6}, "with seed 5, here 6:"),
        ({"measured": 7}, "with measured images 6, here 7:"),
        ("threads", "with threads 1, here 77:"),
        ("torch", r"with versions torch .*, here 0\.1:"),
        ("code", r"with other code training/loop\.py:"),
        ("processor", "with instructions .*, here ABACUS:"),
        ("compiler", "with compiler (True, here False|False, here True):"),
    ],
)
def test_another_run_is_not_resumed(interrupted, monkeypatch, change, message):
    before = contents(interrupted)
    options = change if isinstance(change, dict) else {}
    if not options:
        owner, name, value = HERE[change]
        monkeypatch.setattr(owner, name, lambda: value)
    with pytest.raises(UserError, match=message):
        make(interrupted, resume=True, **options)
    assert contents(interrupted) == before


def edited(path, tensors, values):
    """Another checkpoint in the place of the one after two epochs."""
    checkpoint.remove(path)
    checkpoint.save(path, 2, tensors, values)


def test_checkpoint_of_another_machine_is_resumed_by_name_and_the_run_says_so(
    interrupted, undisturbed
):
    tensors, values = checkpoint.latest(interrupted)
    there = {"device": "Abacus", "threads": 77, "precision": "bfloat16", "machine": "wood"}
    there["versions"] = values["identity"]["versions"] | {"torch": "0.1"}
    here = identity.machine_of(values["identity"])
    values["identity"] |= there
    edited(interrupted, tensors, values)
    before = contents(interrupted)
    with pytest.raises(UserError, match=r"here .* \(and 4 more\): .*, or with --elsewhere"):
        make(interrupted, resume=True)
    with pytest.raises(UserError, match="begun with seed 5, here 6: it can be resumed only as it "):
        make(interrupted, resume=True, elsewhere=True, seed=6)
    assert contents(interrupted) == before
    run = make(interrupted, resume=True, elsewhere=True)
    same_bits(run, undisturbed)  # it was no other machine after all
    assert run.info["stretches"] == [
        {"until_epoch": 2} | here | there,
        {"until_epoch": 4} | here,
    ]
    assert run.computed_in.startswith("epochs 1 to 2: bfloat16 on Abacus (wood, ")
    assert "77 threads, torch 0.1); epochs 3 to 4: float32 on cpu (" in run.computed_in


def test_elsewhere_on_the_same_machine_is_no_break(interrupted, undisturbed):
    run = make(interrupted, resume=True, elsewhere=True)
    same_bits(run, undisturbed)
    assert "stretches" not in run.info
    assert run.computed_in == run.info["precision"]


def test_every_break_of_a_run_is_kept(interrupted, monkeypatch):
    def stop(network, row):
        if row["epoch"] == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    with pytest.raises(KeyboardInterrupt):
        make(interrupted, resume=True, elsewhere=True, on_epoch_end=stop)
    monkeypatch.undo()
    run = make(interrupted, resume=True, elsewhere=True)
    found = [(s["until_epoch"], s["threads"]) for s in run.info["stretches"]]
    assert found == [(2, 1), (3, 7), (4, 1)]


def test_random_numbers_of_another_kind_of_device_begin_anew_and_not_again(interrupted):
    tensors, values = checkpoint.latest(interrupted)
    tensors["generator/dropout"] = tensors["generator/dropout"][:16]  # as CUDA's
    edited(interrupted, tensors, values)
    seen = []
    make(
        interrupted,
        resume=True,
        on_step=lambda step, steps, loss: seen.append(torch.default_generator.initial_seed()),
    )
    assert set(seen) == {SEED + 2}


def test_other_data_are_not_resumed(interrupted):
    other = tiny_dataset(train=60, seed=1)
    with pytest.raises(UserError, match="begun with other data: it can be resumed only as"):
        making.make(interrupted, RECIPES["mlp"], other, seed=SEED, measured=MEASURED, resume=True)


def test_interrupted_run_is_resumed(interrupted, undisturbed):
    before = torch.get_rng_state()
    epochs = []
    run = make(
        interrupted, resume=True, on_epoch_end=lambda network, row: epochs.append(row["epoch"])
    )
    assert epochs == [3, 4]
    same_bits(run, undisturbed)
    assert torch.equal(torch.get_rng_state(), before)


def test_network_with_channels_last_weights_is_resumed_too(tmp_path):
    def stop(network, row):
        raise KeyboardInterrupt

    path = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        make(path, "convnet", on_epoch_end=stop)
    resumed = make(path, "convnet", resume=True)
    same_bits(resumed, make(tmp_path / "undisturbed", "convnet"))


def test_best_epoch_from_before_the_interruption_is_kept(tmp_path, monkeypatch):
    errors = []
    monkeypatch.setattr(
        loop,
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


def test_finished_run_is_read_and_left_alone(undisturbed):
    path = undisturbed.path
    before = contents(path)
    steps = []
    same_bits(make(path, resume=True, on_step=lambda *_: steps.append(1)), undisturbed)
    assert not steps
    with pytest.raises(UserError, match="seed 5, here 6"):
        make(path, resume=True, seed=6)
    with pytest.raises(UserError, match=r"something at .* already: choose another folder"):
        make(path)
    assert contents(path) == before


def test_resume_where_nothing_is_begins(undisturbed, tmp_path):
    path = tmp_path / "run"
    for left in ([], [".checkpoint-0000-x/state.safetensors", ".lock"]):  # by a kill at once
        for name in left:
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(b"half")
        assert runs.epochs_done(path) is None
        same_bits(make(path, resume=True), undisturbed)
        shutil.rmtree(path)


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
            making.make(tmp_path / "run", RECIPES["mlp"], data, seed=SEED)
    assert not os.listdir(tmp_path)


def test_loss_that_is_not_finite_leaves_the_epoch_before(tmp_path, monkeypatch):
    losses = iter([0.0, 0.0, 0.0, math.nan])
    monkeypatch.setitem(LOSSES, "cross-entropy", lambda scores, y: scores.sum() * 0 + next(losses))
    with pytest.raises(UserError, match="stopped being finite in epoch 2, step 2"):
        make(tmp_path / "run")
    assert os.listdir(tmp_path / "run") == ["checkpoint-0001"]


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

    monkeypatch.setattr(making.checkpoint, "save", save)
    monkeypatch.setattr(making, "CHECKPOINT_SHARE", 0.1)
    make(
        tmp_path / "run",
        recipe=RECIPES["mlp"].with_(epochs=6),
        on_epoch_end=epoch,
        clock=lambda: clock[0],
    )
    assert saved == [0, 2, 4, 6]  # at most a second in ten
    saved.clear()
    make(
        tmp_path / "odd",
        recipe=RECIPES["mlp"].with_(epochs=5),
        on_epoch_end=epoch,
        clock=lambda: clock[0],
    )
    assert saved == [0, 2, 4, 5]  # and at the end in any case


# --- what goes with a run -------------------------------------------------------------------------


def test_measurements_are_those_of_the_network_after_each_epoch(undisturbed, tmp_path):
    tables = []
    run = make(
        tmp_path / "run",
        on_epoch_end=lambda network, row: tables.append(
            measure(network).assign(epoch=row["epoch"])[["epoch", "layer", "n", "r"]]
        ),
    )
    expected = pd.concat(tables, ignore_index=True)
    pd.testing.assert_frame_equal(run.measurements, expected, check_exact=True)
    assert run.info["measured_images"] == MEASURED


def test_measuring_changes_nothing_else(undisturbed, tmp_path):
    run = make(tmp_path / "run", measure=None, measured=0)
    assert run.measurements is None
    plain = loop.train(
        build_network(RECIPES["mlp"], SEED), dataset("mlp"), RECIPES["mlp"], seed=SEED
    )
    assert same_state(run.network(), undisturbed.network())
    assert same_state(run.network(), plain.network)
    pd.testing.assert_frame_equal(
        run.history.drop(columns="seconds"),
        plain.history.drop(columns="seconds"),
        check_exact=True,
    )


def test_weights_of_an_epoch_are_kept_where_that_is_asked_for(tmp_path):
    states = []
    run = make(
        tmp_path / "run",
        kept_epochs=[2],
        on_epoch_end=lambda network, row: states.append(
            {k: v.clone() for k, v in network.state_dict().items()}
        ),
    )
    kept = making.network_after(run.path, run, 2).state_dict()
    for name, value in states[1].items():
        latent = name.startswith("fc")
        assert torch.equal(kept[name] > 0, value > 0)  # no sign changes
        torch.testing.assert_close(kept[name], value, rtol=0, atol=0.5 / 126 if latent else 0)
    assert same_state(making.network_after(run.path, run, 0), run.untrained())
    with pytest.raises(UserError, match=r"weights after epoch 3 of the run in .* were not kept"):
        making.network_after(run.path, run, 3)
