"""A study ends with the same tables, whoever ran its parts and however often it was killed."""

import gc
import importlib.util
import io
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import small_studies
import torch

from bnn_geometry.errors import UserError
from bnn_geometry.studies import sweep, tables

HERE = Path(__file__).parent


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "marks").mkdir()
    return tmp_path / "marks"


@pytest.fixture(scope="module")
def serial(tmp_path_factory):
    """The files of a study that ran in this process without any trouble."""
    marks, made = (tmp_path_factory.mktemp(name) for name in ("marks", "serial"))
    (marks / "kill-3").touch()
    sweep.make(small_studies.study(marks, end="kill"), made / "work", made / "out", jobs=1)
    return files(made / "out")


def files(out):
    return {file.name: file.read_bytes() for file in out.glob("*.csv")}


def made(folder):
    """How often each part came to its end."""
    return [
        len((folder / f"made-{i}").read_text()) if (folder / f"made-{i}").exists() else 0
        for i in range(6)
    ]


def run(study, tmp_path, **options):
    return sweep.run_study(study, tmp_path / "work", stream=io.StringIO(), **options)


def test_tables_are_in_the_parts_order_bit_for_bit(folder, tmp_path, serial):
    found = run(small_studies.study(folder), tmp_path, jobs=1)
    expected = np.concatenate([np.random.default_rng(i).standard_normal(3) for i in range(6)])
    assert np.array_equal(found.tables["draws"]["x"], expected)
    assert found.tables["draws"]["number"].tolist() == np.repeat(range(6), 3).tolist()
    # text that pandas takes for a missing number stays text
    assert found.tables["draws"]["name"].dropna().unique().tolist() == ["NA", "b"]
    assert found.tables["more"]["x"].item() == np.pi * 1e-7
    assert (found.study, found.settings, found.data) == (
        *("draws", {"of": "normal"}),
        small_studies.DATA,
    )
    assert set(found.versions) == {"python", "torch", "torchvision", "numpy"}
    assert len(found.code) == 64
    assert found.seconds >= 0
    tables.write(tmp_path / "out", found)
    assert files(tmp_path / "out") == serial


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_part_computes_with_one_thread_however_many_there_are(tmp_path, monkeypatch, jobs):
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.delenv(variable, raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        found = run(small_studies.study_of_threads(), tmp_path, jobs=jobs)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    assert found.tables["threads"]["threads"].tolist() == [1, 1]


@pytest.mark.parametrize(("end", "error"), [("interrupt", KeyboardInterrupt), ("fail", UserError)])
def test_stopped_study_goes_on(folder, tmp_path, serial, end, error):
    study = small_studies.study(folder, end=end)
    with pytest.raises(error) as caught:
        run(study, tmp_path, jobs=1)
    if end == "fail":
        assert str(caught.value) == "draw 3: no more paper"
    assert made(folder) == [1, 1, 1, 0, 0, 0]
    sweep.make(study, tmp_path / "work", tmp_path / "out", jobs=1)
    assert made(folder) == [1] * 6
    assert files(tmp_path / "out") == serial
    sweep.make(study, tmp_path / "work", tmp_path / "out", jobs=1)
    assert made(folder) == [1] * 6


def test_killed_process_is_a_sentence_and_the_study_goes_on(folder, tmp_path, serial):
    study = small_studies.study(folder, end="kill")
    with pytest.raises(UserError, match="the same command goes on"):
        run(study, tmp_path, jobs=2)
    sweep.make(study, tmp_path / "work", tmp_path / "out", jobs=2)
    assert all(count >= 1 for count in made(folder))  # what was under way is made again
    assert files(tmp_path / "out") == serial


def test_part_of_something_else_is_refused(folder, tmp_path, monkeypatch):
    run(small_studies.study(folder, parts=2), tmp_path, jobs=1)
    run(small_studies.study(folder, parts=3), tmp_path, jobs=1)  # further parts are no other study
    with pytest.raises(UserError, match="was made with other settings: choose another folder"):
        run(small_studies.study(folder, of="uniform"), tmp_path, jobs=1)
    with pytest.raises(UserError, match="other arguments"):
        run(small_studies.study(tmp_path), tmp_path, jobs=1)
    with pytest.raises(UserError, match="other data"):
        run(replace_data(small_studies.study(folder)), tmp_path, jobs=1)
    monkeypatch.setattr(sweep.storage, "file_hash", lambda path: "0" * 64)
    with pytest.raises(UserError, match="was damaged or edited"):
        run(small_studies.study(folder), tmp_path, jobs=1)
    monkeypatch.undo()
    usual = sweep._made_with()
    for name in ("code", "versions"):
        monkeypatch.setattr(sweep, "_made_with", lambda name=name: usual | {name: "another"})
        with pytest.raises(UserError, match=f"other {name}"):
            run(small_studies.study(folder), tmp_path, jobs=1)


def replace_data(study):
    return replace(study, data={"fingerprint": "1"})


def test_two_calls_at_once_are_refused(folder, tmp_path):
    with (
        sweep.claimed(tmp_path / "work"),
        pytest.raises(UserError, match="Another process is running a study in"),
    ):
        run(small_studies.study(folder), tmp_path, jobs=1)


def test_what_cannot_be_run_here_is_told_before_anything_is(folder, tmp_path):
    study = small_studies.study(folder, parts=1)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"No study can be run in .*: Not a directory"):
        sweep.run_study(study, tmp_path / "file" / "work", jobs=1)
    with pytest.raises(UserError, match="--jobs must be at least 1, not 0"):
        run(study, tmp_path, jobs=0)
    assert made(folder)[0] == 0


def test_study_refused_in_the_middle_leaves_nothing_behind(folder, tmp_path, monkeypatch, capfd):
    def refuse(*_):
        raise UserError("There is no room.")

    monkeypatch.setattr(sweep, "_keep", refuse)
    with pytest.raises(UserError, match="There is no room"):
        run(small_studies.study(folder), tmp_path, jobs=2)
    gc.collect()
    assert "ignored" not in capfd.readouterr().err


def test_what_must_not_be_replaced_is_told_before_the_work(folder, tmp_path):
    study, out = small_studies.study(folder, parts=1), tmp_path / "out"
    out.mkdir()
    with pytest.raises(UserError, match=f"something else than the study {study.name} at"):
        sweep.make(study, tmp_path / "work", out, jobs=1)
    assert made(folder)[0] == 0


def test_rows_that_are_there_stay(folder, tmp_path):
    whole = small_studies.study(folder)
    out = tmp_path / "out"

    def make(numbers, add, study=whole):
        parts = {f"draw {i}": study.parts[f"draw {i}"] for i in numbers}
        some = replace(study, parts=parts)
        return sweep.make(some, tmp_path / "work", out, add=add, jobs=1)

    with pytest.raises(UserError, match="There are no tables of a study in"):
        make([0, 1, 2], add=True)
    first = make([0, 1, 2], add=False)
    both = make([1, 4], add=True)
    assert both.tables["draws"]["number"].tolist() == np.repeat([0, 2, 1, 4], 3).tolist()
    assert len(both.tables["more"]) == 1
    assert both.earlier == ({"commit": first.commit, "code": first.code, "seconds": first.seconds},)
    pd.testing.assert_frame_equal(tables.read(out).tables["draws"], both.tables["draws"])
    for study, message in (
        (replace(whole, settings={}), "with other settings"),
        (replace_data(whole), "on other images: Noise"),
    ):
        with pytest.raises(UserError, match=message):
            make([5], add=True, study=study)
    assert made(folder)[5] == 0  # told before the work


# --- progress -------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_is_a_line_for_each_part_and_a_bar_on_a_terminal(folder, tmp_path):
    run(small_studies.study(folder, parts=4), tmp_path, jobs=1)
    lines, bar = io.StringIO(), Terminal()
    study = small_studies.study(folder)
    sweep.run_study(study, tmp_path / "work", jobs=1, stream=lines)
    first, last = lines.getvalue().splitlines()
    assert first.startswith("5 of 6: draw 4, 0.0 s, about 00:0")
    assert first.endswith(" left")
    assert last.startswith("6 of 6: draw 5, 0.0 s")
    assert "left" not in last
    sweep.run_study(study, tmp_path / "other", jobs=1, stream=bar)
    assert "6/6" in bar.getvalue()
    assert " of 6" not in bar.getvalue()


# --- on a cluster ---------------------------------------------------------------------------------


def test_scheduler_that_is_not_there_is_a_sentence(folder, tmp_path, monkeypatch):
    study = small_studies.study(folder)
    usual = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "distributed" else usual(name, *rest),
    )
    with pytest.raises(UserError, match=r"pip install 'bnn-geometry\[cluster\]'"):
        run(study, tmp_path, scheduler="tcp://127.0.0.1:1")


def test_cluster_that_cannot_run_a_study_is_a_sentence(folder, tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed")
    study = small_studies.study(folder, parts=1)
    monkeypatch.setattr(sweep, "TIMEOUT", 5)  # a busy machine takes its time
    with pytest.raises(UserError, match=r"There is no Dask scheduler at tcp://127\.0\.0\.1:1"):
        run(study, tmp_path, scheduler="tcp://127.0.0.1:1")
    with distributed.LocalCluster(
        n_workers=0, threads_per_worker=2, processes=False, dashboard_address=None
    ) as cluster:
        with pytest.raises(UserError, match="has no worker: start one"):
            run(study, tmp_path, scheduler=cluster.scheduler_address)
        cluster.scale(1)
        with pytest.raises(UserError, match="one thread: start it with --nthreads 1"):
            run(study, tmp_path, scheduler=cluster.scheduler_address)
    assert made(folder)[0] == 0


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (("scheduler", "KilledWorker", ("task", None, 3)), "Workers of tcp://a died again"),
        (("client", "FutureCancelledError", ("key", "lost")), "connection to tcp://a was lost"),
    ],
)
def test_cluster_that_is_lost_is_a_sentence(error, message):
    module, kind, arguments = error
    found = getattr(pytest.importorskip(f"distributed.{module}"), kind)

    def results():
        yield 1
        raise found(*arguments)

    seen = sweep._sentences(results(), "tcp://a")
    assert next(seen) == 1
    with pytest.raises(UserError, match=f"{message}.*the same command goes on"):
        next(seen)
    with pytest.raises(ZeroDivisionError):  # a defect is no sentence
        next(sweep._sentences((1 / 0 for _ in range(1)), None))


@pytest.fixture
def cluster(tmp_path):
    """A scheduler's address; it has two workers, and each is a process of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    worker = ["dask_worker", address, "--nthreads", "1", "--no-nanny", "--host", "127.0.0.1"]
    commands = [["dask_scheduler", "--host", "127.0.0.1", "--port", str(port)], worker, worker]
    with (tmp_path / "cluster.log").open("w") as log:
        processes = [
            subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.{name}", *arguments, "--no-dashboard"],
                env=os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])},
                cwd=tmp_path,
                stdout=log,
                stderr=log,
            )
            for name, *arguments in commands
        ]
        try:
            yield address, processes
        finally:
            for process in processes:
                process.kill()
            for process in processes:
                process.wait()


def test_worker_that_dies_in_the_middle_changes_nothing(cluster, folder, tmp_path, serial):
    distributed = pytest.importorskip("distributed")
    address, processes = cluster
    with distributed.Client(address, timeout=60) as client:
        client.wait_for_workers(2, timeout=60)
    study, lines = small_studies.study(folder, end="kill"), io.StringIO()
    found = sweep.run_study(study, tmp_path / "work", scheduler=address, stream=lines)
    assert (folder / "kill-3").exists()
    assert sorted(process.poll() is None for process in processes) == [False, True, True]
    # what only the dead worker knew was made again
    assert all(count >= 1 for count in made(folder))
    assert len(lines.getvalue().splitlines()) == 6
    tables.write(tmp_path / "out", found)
    assert files(tmp_path / "out") == serial
