"""The paper's runs within a budget: planned, trained, published, killed and gone on with."""

from __future__ import annotations

import importlib.metadata
import json
import math
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import tarfile
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from tiny import same_state, tiny_dataset

from bnn_geometry import data
from bnn_geometry.errors import UserError
from bnn_geometry.networks.layers import weight_layers
from bnn_geometry.studies import paper, session
from bnn_geometry.studies.costs import Cost, Costs
from bnn_geometry.training import checkpoint, making, runs
from bnn_geometry.training.code import code_hash
from bnn_geometry.training.schedule import learning_rate

SIZES = paper.Sizes(
    width=1 / 64,
    original_epochs=4,
    epochs=4,
    least_epochs=3,
    branch_epochs=2,
    kept_epoch=1,
    train_images=100,  # one step, or two of the original
    validation_images=20,
    measured_images=4,
    timed_steps=1,
)
WIDE = "w0.015625-s1"
ORIGINAL, LONG = f"cifar10-convnet-original-{WIDE}", f"cifar10-convnet-long-{WIDE}"
BRANCH = f"{LONG}-branch"
CHOSEN = ("original", "long", "branch")


class Clock:
    """Every look takes some seconds, and nothing else takes any."""

    def __init__(self, tick=1.0, killed_at=None):
        self.now, self.tick, self.looks, self.killed_at = 0.0, tick, 0, killed_at

    def __call__(self):
        self.looks += 1
        if self.looks == self.killed_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.now += self.tick
        return self.now


def run(folder, *, minutes=1000.0, variants=CHOSEN, said=None, **options):
    options = {"sizes": SIZES, "clock": Clock()} | options
    say = (lambda line: None) if said is None else said.append
    return paper.run_paper(
        *(folder / "work", folder / "out", tiny_dataset("convnet", train=150)),
        minutes=minutes,
        variants=variants,
        say=say,
        **options,
    )


def costs(folder, epoch=10.0, once=5.0):
    """Lay down what runs were seen to take, so that none is timed."""
    found = Costs(folder / "work" / "plan.json", "cpu")
    for planned in paper.paper_runs(SIZES, paper.VARIANTS, steps=1):
        found.kinds[planned.kind] = Cost(epoch, once)
    found.file.parent.mkdir(parents=True)
    found.write()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A study of three runs, and what was said."""
    folder, said = tmp_path_factory.mktemp("finished"), []
    names = run(folder, said=said, pack_into=folder / "shards")
    assert names == [ORIGINAL, LONG, BRANCH]
    return folder, said


# --- the runs -------------------------------------------------------------------------------------


def test_the_papers_runs_in_order_of_worth():
    planned = paper.paper_runs(paper.PAPER, paper.VARIANTS, steps=450)
    assert len({p.name for p in planned}) == len(planned) == 23
    first, main, _, *widths, branch, continuous = planned
    assert [(p.recipe.name, p.recipe.width, p.recipe.epochs) for p in planned[:3]] == [
        *(("original", 1, 500), ("long", 1, 100), ("original", 1 / 8, 500)),
    ]
    assert {(p.recipe.width, p.recipe.activation, p.seed) for p in widths} == {
        (w, a, s) for w in (1 / 8, 1 / 4, 1 / 2) for a in ("binary", "hardtanh") for s in (1, 2, 3)
    }
    assert [p.seed for p in widths] == sorted(p.seed for p in widths)  # whole seeds first
    assert (continuous.recipe.width, continuous.recipe.activation) == (1, "hardtanh")
    assert {p.recipe.lr for p in [*widths, continuous] if p.recipe.activation == "hardtanh"} == {
        paper.HARDTANH["lr"]
    }
    assert [p.name for p in planned if p.shared] == [p.name for p in (main, *widths, continuous)]
    assert (main.least, main.branches, branch.branch_of) == (30, (branch,), (main.name, 50))
    # ten epochs at the rate of the moment
    rate = learning_rate(main.recipe, 50 * 450, 450)
    assert 0 < rate < main.recipe.lr
    assert [learning_rate(branch.recipe, step, 450) for step in (0, 4499)] == pytest.approx(
        [rate, rate], rel=1e-12
    )
    fewer = paper.paper_runs(paper.PAPER, paper.VARIANTS, steps=450, epochs=64)
    assert {p.recipe.epochs for p in fewer if p.shared} == {64}
    assert (fewer[1].least, fewer[-2].branch_of[1]) == (None, 32)
    assert [p.name for p in paper.paper_runs(paper.PAPER, ("branch", "original"), 450)] == [
        *(first.name, branch.name),
    ]


def test_finished_runs_are_there_in_published_form(finished):
    folder, _ = finished
    assert sorted(os.listdir(folder / "out")) == sorted([ORIGINAL, LONG, BRANCH])
    for name in (ORIGINAL, LONG, BRANCH):
        published, exact = (runs.read(folder / part / name) for part in ("out", "work"))
        assert published.info["published"]["latents"] == "int8"
        assert published.info["code"] == code_hash()
        assert {"commit", "versions", "device", "threads", "precision"} <= set(published.info)
        pd.testing.assert_frame_equal(published.history, exact.history)
        pairs = zip(*(weight_layers(r.network()).values() for r in (published, exact)), strict=True)
        assert all(torch.equal(a.binary_weight, b.binary_weight) for a, b in pairs)
        epochs = published.recipe.epochs
        assert set(published.measurements["epoch"]) == {1, epochs // 2, epochs}
        assert making.network_after(exact.path, exact, 1) is not None
    main, branch = (runs.read(folder / "out" / name) for name in (LONG, BRANCH))
    assert branch.info["branch_of"] == {"run": LONG, "epoch": 2}
    # an epoch is one step: the branch's first is that of the middle's weights and next batch
    assert branch.history["loss"][0] == main.history["loss"][2]
    assert not list((folder / "work").glob(".timed*"))


def test_plan_and_costs_are_told(finished):
    _, said = finished
    text = "\n".join(said)
    assert re.search(
        r"^original, binary, width 0.015625: [\d.]+ s an epoch, [\d.]+ s besides$", text, re.M
    )
    plan = said.index(next(line for line in said if line.startswith("plan for 99")))
    assert [line.split(":")[0].strip() for line in said[plan + 1 : plan + 4]] == [
        *(ORIGINAL, LONG, BRANCH),
    ]
    assert f"{LONG}: 4 epochs" in said
    assert re.search(r"  epoch 4/4: loss .*, validation error .*%, 1.00 s; \d+.\d min left", text)


def test_second_call_finds_all_done(finished):
    folder, _ = finished
    clock, said = Clock(), []
    assert run(folder, said=said, clock=clock) == [ORIGINAL, LONG, BRANCH]
    assert (said, clock.looks) == ([], 1)


def test_shards_hold_the_runs_and_then_the_kept_epochs(finished):
    folder, _ = finished
    (shard,) = (folder / "shards").iterdir()
    with tarfile.open(shard) as tar:
        names = tar.getnames()
        tar.extraction_filter = getattr(tarfile, "data_filter", None)  # before Python 3.11.4: none
        tar.extractall(folder / "unpacked")
    for name in (ORIGINAL, LONG, BRANCH):
        assert runs.read(folder / "unpacked" / name).network()
    kept = {ORIGINAL: (1, 2), LONG: (1, 2), BRANCH: (1,)}
    assert names[15:] == [f"{n}/epoch-000{e}.safetensors" for n in kept for e in kept[n]]
    back = runs.read(folder / "unpacked" / LONG)
    assert same_state(
        making.network_after(back.path, back, 2),
        making.network_after(folder / "work" / LONG, back, 2),
    )


def test_branch_begins_in_the_middle_also_in_a_later_call(tmp_path):
    assert run(tmp_path, variants=("long",)) == [LONG]
    tensors, values = checkpoint.latest(tmp_path / "work" / BRANCH)
    assert values["epoch"] == 0
    main = runs.read(tmp_path / "work" / LONG)
    middle = making.network_after(main.path, main, 2)
    for name, layer in weight_layers(middle).items():
        latents = tensors[f"network/{name}.weight"]
        assert torch.equal(latents > 0, layer.weight > 0)
        torch.testing.assert_close(latents, layer.weight.detach(), atol=5e-3, rtol=0)
    earlier = weight_layers(making.network_after(main.path, main, 1))
    assert any(
        (tensors[f"network/{k}.weight"] - x.weight).abs().max() > 0.01 for k, x in earlier.items()
    )
    assert run(tmp_path, variants=("branch",)) == [BRANCH]


# --- the budget -----------------------------------------------------------------------------------


def test_budget_too_small_for_the_first_run_begins_nothing(tmp_path):
    with pytest.raises(UserError) as error:
        run(tmp_path, minutes=0.5)
    said = str(error.value)
    assert re.fullmatch(
        rf"0.5 minutes are too few for the first run, {ORIGINAL}: 4 epochs take [\d.]+ minutes "
        r"here; give it more with --minutes, or name the runs that fit with --variants.",
        said,
    )
    assert {path.name for path in tmp_path.rglob("*")} == {"work", ".lock"}


def test_time_before_the_call_counts(tmp_path):
    costs(tmp_path)
    clock = Clock(0.001)
    clock.now = 100.0
    with pytest.raises(UserError, match="2 minutes are too few"):
        run(tmp_path, minutes=2, began=0.0, clock=clock)  # 20 s are left, and 45 are needed


def test_fewer_epochs_in_one_schedule_where_all_do_not_fit(tmp_path):
    costs(tmp_path)
    said = []
    variants = ("long", "branch", "continuous")
    # 5 + 4·10 s do not fit into 40, and 5 + 3·10 do; the others do not
    names = run(tmp_path, minutes=40 / 60, variants=variants, clock=Clock(0.001), said=said)
    assert said[1:5] == [
        f"  {LONG}: 3 epochs, 0.6 min",
        f"  in one schedule of 3 epochs, since 4 do not fit: {LONG}",
        f"  left out: {BRANCH}, which takes 0.4 min",
        f"  left out: cifar10-convnet-long-hardtanh-{WIDE}, which takes 0.6 min",
    ]
    # which was quicker than planned: the others fit after all, with as many epochs
    assert names == [LONG, BRANCH, f"cifar10-convnet-long-hardtanh-{WIDE}"]
    assert f"  fits after all: {BRANCH}" in said
    found = [runs.read(tmp_path / "out" / name) for name in names]
    assert [r.recipe.epochs for r in found] == [3, 2, 3]
    assert len(found[0].history) == 3
    rates = [learning_rate(found[0].recipe, step, 1) for step in range(3)]
    assert found[0].history["lr"].tolist() == rates


def test_runs_that_do_not_fit_are_left_out_and_said(tmp_path):
    costs(tmp_path)
    file = tmp_path / "work" / "plan.json"
    values = json.loads(file.read_text())
    values["kinds"]["long, binary, width 0.015625"] = {"epoch": 1000.0, "once": 0.0}
    file.write_text(json.dumps(values))
    said = []
    assert run(tmp_path, minutes=2, clock=Clock(0.001), said=said) == [ORIGINAL]
    assert f"  left out: {LONG}, which takes 50.0 min" in said
    assert f"  left out: {BRANCH}, which takes 33.3 min" in said


def test_run_that_outlasts_the_budget_stops_and_goes_on(finished, tmp_path, monkeypatch):
    monkeypatch.setattr(making, "CHECKPOINT_SHARE", math.inf)
    costs(tmp_path, epoch=0.1, once=0.1)  # far too little
    said = []
    assert run(tmp_path, minutes=0.25, variants=("original",), said=said) == []
    assert said[-1] == "  not finished: the budget is spent, and the same command goes on"
    done = runs.epochs_done(tmp_path / "work" / ORIGINAL)
    assert 0 < done < 4
    said = []
    assert run(tmp_path, variants=("original",), said=said) == [ORIGINAL]
    assert f"{ORIGINAL}: 4 epochs, {done} of them done" in said
    first, second = (runs.read(x / "out" / ORIGINAL) for x in (finished[0], tmp_path))
    assert same_state(first.network(), second.network())


def test_run_that_is_about_to_end_is_trained_to_its_end(tmp_path):
    costs(tmp_path, epoch=0.1, once=0.1)
    clock = Clock(0.0)
    budget = 60.0

    def slow():  # the last epochs end just after the budget
        clock.now += 1.9
        return clock.now

    assert run(tmp_path, minutes=budget / 60, variants=("original",), clock=slow) == [ORIGINAL]


# --- killed ---------------------------------------------------------------------------------------


def killed(folder, look):
    torch.set_num_threads(1)
    making.CHECKPOINT_SHARE = 9.0  # after every epoch
    run(folder, clock=Clock(killed_at=look), pack_into=folder / "shards")


@pytest.mark.skipif(os.name == "nt", reason="kills as POSIX does")
def test_killed_again_and_again_it_loses_the_run_in_progress_alone(finished, tmp_path):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["bnn_geometry.studies.paper", "pytest", "torch._dynamo"])
    seen = []
    for look in (10, 95, 8):  # while it is timed; in the second run; in what is left
        process = context.Process(target=killed, args=(tmp_path, look))
        process.start()
        process.join(120)
        assert process.exitcode == -signal.SIGKILL
        out = tmp_path / "out"
        seen.append(sorted(os.listdir(out)) if out.exists() else [])
    assert seen[0] == []
    assert any(0 < len(names) < 3 for names in seen)
    assert run(tmp_path, pack_into=tmp_path / "shards") == [ORIGINAL, LONG, BRANCH]
    for name in (ORIGINAL, LONG, BRANCH):
        first, second = (runs.read(x / "out" / name) for x in (finished[0], tmp_path))
        assert same_state(first.network(), second.network())
        columns = first.history.columns.drop("seconds")
        pd.testing.assert_frame_equal(
            first.history[columns], second.history[columns], check_exact=True
        )
    assert not list((tmp_path / "work").glob(".timed-*"))


def test_run_that_was_killed_before_it_was_published_is_published(tmp_path, monkeypatch):
    def kill(*arguments):
        raise KeyboardInterrupt

    costs(tmp_path)
    for variant, name, epochs in (("long", LONG, 4), ("branch", BRANCH, 2)):
        options = {"variants": (variant,), "clock": Clock(0.001)}
        with monkeypatch.context() as patch:
            patch.setattr(session, "publish", kill)
            with pytest.raises(KeyboardInterrupt):
                run(tmp_path, **options)
        assert runs.is_finished(tmp_path / "work" / name)
        said = []
        # what is left of it fits where its epochs would not
        assert run(tmp_path, minutes=0.2, said=said, **options) == [name]
        assert f"{name}: {epochs} epochs, {epochs} of them done" in said


# --- what goes wrong ------------------------------------------------------------------------------


def test_run_that_fails_does_not_end_the_others(tmp_path, capsys):
    costs(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ORIGINAL).touch()
    with pytest.raises(UserError, match=f"1 runs failed. {ORIGINAL}: There is something at"):
        run(tmp_path, clock=Clock(0.001))
    assert f"{ORIGINAL} failed: " in capsys.readouterr().err
    assert runs.read(tmp_path / "out" / BRANCH).network()


def test_bad_input_is_a_sentence(finished, tmp_path):
    folder, _ = finished
    for options, message in (
        ({"minutes": 0.0}, "--minutes must be a positive number, not 0"),
        ({"minutes": math.nan}, "--minutes must be a positive number"),
        ({"variants": ("widest",)}, "There is no variant 'widest'; there is original, long,"),
        ({"sizes": paper.PAPER}, "the paper's runs are not for a stand-in"),
        ({"variants": ("branch",)}, f"begins in the middle of {LONG}, which has not come so far"),
    ):
        with pytest.raises(UserError, match=message):
            run(tmp_path, **options)
    with pytest.raises(UserError, match="another recipe or other images than the study's"):
        run(folder, sizes=replace(SIZES, original_epochs=5))


# --- where the book is not installed --------------------------------------------------------------

NEEDED = [
    *("torch", "numpy", "pandas", "scipy", "safetensors", "filelock", "tqdm", "lazy-loader"),
]
"""What a machine must have; nothing else but what these need themselves."""

CHILD = """
import importlib.util, json, sys
refused = set(json.loads(sys.argv[1]))
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in refused:
            return importlib.util.spec_from_loader(name, self)
    def create_module(self, spec):
        raise ModuleNotFoundError(f"No module named {spec.name!r} here", name=spec.name)
    def exec_module(self, module):
        pass
sys.meta_path.insert(0, Refuse())
try:
    import PIL
except ModuleNotFoundError:
    from bnn_geometry import cli
    sys.exit(cli.main(sys.argv[2:]))
"""


def refused_modules():
    """Top-level modules of all distributions but those that are needed."""
    wanted, names = set(), list(NEEDED)
    while names:
        name = re.sub(r"[-_.]+", "-", names.pop()).lower()
        if name in wanted:
            continue
        try:
            requirements = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # of another platform
        wanted.add(name)
        plain = [r for r in requirements if "extra ==" not in r]
        names += [re.match(r"[\w.-]+", r)[0] for r in plain]
    return [
        module
        for module, owners in importlib.metadata.packages_distributions().items()
        if not wanted & {re.sub(r"[-_.]+", "-", owner).lower() for owner in owners}
        and module not in ("bnn_geometry", "sphinx_papermill")
    ]


@pytest.fixture
def decoded(tmp_path, monkeypatch):
    """A folder of images, and what was decoded of it."""
    generator = np.random.default_rng(0)
    for part, count in (("train", 30), ("test", 2)):
        for c in range(10):
            folder = tmp_path / "images" / "cifar10" / part / f"class{c}"
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = generator.integers(0, 256, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.png")
    monkeypatch.setenv("BNN_CACHE", str(tmp_path / "cache"))
    data.load("cifar10", root=tmp_path / "images")
    return tmp_path / "images"


@pytest.mark.slow
def test_command_needs_nothing_of_the_book(decoded, tmp_path):
    refused = refused_modules()
    assert {"torchvision", "PIL", "joblib", "matplotlib", "seaborn", "skimage", "IPython"} <= {
        *refused
    }
    words = ["study", "paper", "--minutes", "9", "--rehearse", "--variants", "original-narrow"]
    folders = ["--work", tmp_path / "work", "--shards", tmp_path / "shards", "--data", decoded]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", CHILD, json.dumps(refused), *words, *folders],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    name = "cifar10-convnet-original-w0.00390625-s1"
    assert done.stdout.splitlines()[-1] == f"finished: {name}"
    assert runs.read(tmp_path / "work" / "published" / name).network()
    assert os.listdir(tmp_path / "shards") == ["shard-1.tar"]
