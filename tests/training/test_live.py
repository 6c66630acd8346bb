"""Live runs: trained once, and found again while nothing that decides their bits has changed."""

import threading

import pandas as pd
import pytest
import torch
from tiny import TINY, same_state, tiny_dataset

from bnn_geometry import paths
from bnn_geometry.errors import UserError
from bnn_geometry.training import identity, loop, runs
from bnn_geometry.training import live as live_runs
from bnn_geometry.training.code import code_hashes
from bnn_geometry.training.live import live_run, published_run

RECIPE = TINY["mlp"].with_(width=1 / 256, validation_images=10)
SEED = 3


@pytest.fixture
def trainings(monkeypatch, tmp_path):
    """Live runs in an empty folder; the list grows by one with each training."""
    calls = []

    def counting(*args, **kwargs):
        calls.append(kwargs["seed"])
        return loop.train(*args, **kwargs)

    monkeypatch.setattr(live_runs, "train", counting)
    monkeypatch.setenv("BNN_LIVE", str(tmp_path / "live"))
    return calls


def live(recipe=RECIPE, *, seed=SEED, dataset=None, **options):
    return live_run(recipe, dataset or tiny_dataset(), seed=seed, **options)


def test_live_trains_once_and_then_reads(trainings, tmp_path):
    epochs = []
    first = live(on_epoch_end=lambda network, row: epochs.append(row["epoch"]))
    second = live()
    assert trainings == [SEED]
    assert epochs == [1, 2]
    assert first.path == second.path
    assert same_state(first.network(), second.network())
    pd.testing.assert_frame_equal(first.history, second.history, check_exact=True)
    assert first.path.parent == tmp_path / "live"
    assert first.path.name.startswith(f"mnist-mlp-fast-w0.00390625-s{SEED}-")


def test_damaged_live_run_is_trained_again(trainings):
    path = live().path
    (path / "weights.safetensors").write_bytes(b"damaged")
    again = live()
    assert trainings == [SEED, SEED]
    assert again.path == path
    assert same_state(again.network(), live().network())
    assert len(trainings) == 2


def test_anything_else_is_another_run(monkeypatch, tmp_path):
    monkeypatch.setenv("BNN_LIVE", str(tmp_path))
    asked = []

    def read(path):  # the runs are not needed, only where they would be
        asked.append(path)
        path.mkdir(parents=True, exist_ok=True)

    monkeypatch.setattr(runs, "read", read)
    monkeypatch.setattr(live_runs, "train", lambda *args, **kwargs: None)
    monkeypatch.setattr(runs, "write", lambda path, *args: None)
    live()
    live(seed=SEED + 1)
    live(RECIPE.with_(lr=2e-3))
    live(dataset=tiny_dataset(seed=1))
    for owner, name, value in (
        (torch, "get_num_threads", 77),
        (identity, "versions", {"torch": "0"}),
        (identity, "code_hashes", {"a": "b"}),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, lambda value=value: value)
            live()
    assert len(set(asked)) == len(asked) == 7
    live()
    assert asked[-1] == asked[0]


def test_code_of_a_live_run_is_all_that_training_may_use():
    files = set(code_hashes())
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

    monkeypatch.setattr(live_runs, "train", fail)
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


def test_published_run_is_read_by_its_name(monkeypatch, tmp_path):
    monkeypatch.setenv("BNN_RUNS", str(tmp_path))
    monkeypatch.setattr(runs, "read", lambda path: path)
    assert published_run("x") == tmp_path / "x"
