"""Train many runs, the most worth first, within a budget of time.

Every kind of run is first trained, published and timed for a few steps, so that what is wrong shows
at once; what fits is planned by these times, and planned again before every run. Each finished run
is published at once, and a killed session loses what the last checkpoint has not.
"""

from __future__ import annotations

import copy
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn

from bnn_geometry.data.datasets import Dataset
from bnn_geometry.errors import UserError
from bnn_geometry.networks.models import MLP, ConvNet
from bnn_geometry.probing.measurements import measure_layers
from bnn_geometry.studies import budget, shards
from bnn_geometry.studies.costs import Cost, Costs
from bnn_geometry.studies.publish import publish
from bnn_geometry.studies.work_folder import claimed
from bnn_geometry.training import making, runs
from bnn_geometry.training.batches import split_indices
from bnn_geometry.training.hardware import device_name
from bnn_geometry.training.loop import Snapshot
from bnn_geometry.training.recipes import Recipe

GRACE = 0.05
"""A run that ends so soon after the budget, in parts of it, is trained to its end."""


@dataclass(frozen=True)
class Planned:
    """A run that is to be trained, if it fits.

    Attributes
    ----------
    name : str
        Of its folder.
    recipe : Recipe
    seed : int
    shared : bool
        It trains as many epochs as the others that share.
    least : int, optional
        Where all its epochs do not fit, as many as do, but no fewer than these.
    branch_of : tuple of str and int, optional
        It begins with the state of that run after that epoch.
    branches : tuple of Planned
        Those that begin with its own.
    """

    name: str
    recipe: Recipe
    seed: int = 1
    shared: bool = False
    least: int | None = None
    branch_of: tuple[str, int] | None = None
    branches: tuple[Planned, ...] = ()

    @property
    def kind(self) -> str:
        """Runs of one kind take the same time for an epoch."""
        return f"{self.recipe.name}, {self.recipe.activation}, width {self.recipe.width:g}"


class _OutOfTime(Exception):  # noqa: N818 (no error)
    pass


@dataclass
class Session:
    """One call: what is trained, for how long, and where it goes.

    Attributes
    ----------
    list_runs : callable
        Takes the number of epochs of those that share it, None where that is still open; gives the
        runs in order of worth.
    work : Path
        Folder of the runs in the making: checkpoints, weights in float32, those of kept epochs.
    out : Path
        Folder of the published runs.
    dataset : Dataset
    seconds : float
        The budget.
    began : float
        What the clock said when it began.
    device : device
    kept_epoch : int
        Weights are kept, and r measured, after this epoch and after half of them; r also after the
        last.
    measured_images : int
    timed_steps : int
        Of each kind of run; on a GPU ten times as many.
    pack_into : Path, optional
        Folder for shards of what is finished.
    clock : callable
        Tells the time in seconds.
    say : callable
        Takes the lines that tell what happens.
    """

    list_runs: Callable[[int | None], list[Planned]]
    work: Path
    out: Path
    dataset: Dataset
    seconds: float
    began: float
    device: torch.device
    kept_epoch: int
    measured_images: int
    timed_steps: int
    pack_into: Path | None
    clock: Callable[[], float]
    say: Callable[[str], None]

    _published: set[str] = field(default_factory=set)
    _failed: dict[str, str] = field(default_factory=dict)
    _told: budget.Plan | None = None

    def run(self) -> list[str]:
        """Train what fits; the names of all runs that are finished then.

        Raises
        ------
        UserError
            If the budget is too small for the first run, in which case nothing is begun; or if
            runs failed, after the others.
        """
        self._deadline = self.began + self.seconds
        measured = self.dataset.test.sample(self.measured_images, runs.MEASURED_SEED)
        self._images = measured.images
        self._costs = Costs(self.work / "plan.json", device_name(self.device))
        with claimed(self.work):
            for left in self.work.glob(".timed-*"):  # by a kill
                shutil.rmtree(left, ignore_errors=True)
            self._costs.read()
            begun = False
            while True:
                everything = self.list_runs(self._costs.epochs)
                pending = [r for r in everything if not self._is_over(r)]
                unpacked = self._pack(everything)
                if not pending:
                    break
                if not begun:  # told before the others are timed, and when they were
                    self._cost(pending[0], first=True)
                    self._check_first(pending[0], self._plan(pending[:1]))
                for run in pending:
                    self._cost(run)
                pending = [run for run in pending if run.kind in self._costs.kinds]
                plan = self._plan(pending)
                if not begun:
                    self._check_first(pending[0], plan)
                self._tell(plan, pending)
                if not plan.taken:
                    break
                begun = True
                name, epochs = next(iter(plan.taken.items()))
                if next(r for r in pending if r.name == name).shared:
                    self._costs.epochs = epochs
                try:
                    self._train(name)
                except _OutOfTime:
                    self.say("  not finished: the budget is spent, and the same command goes on")
                    break
                except (UserError, RuntimeError) as error:
                    self._fail(name, error)
            for name in unpacked:
                self.say(f"no room in the shards: {name}")
        if self._failed:
            why = "; ".join(f"{name}: {reason}" for name, reason in self._failed.items())
            raise UserError(f"{len(self._failed)} runs failed. {why}")
        return [run.name for run in everything if run.name in self._published]

    # --- what is there ----------------------------------------------------------------------------

    def _is_over(self, run: Planned) -> bool:
        # Published, or failed in this call.
        if run.name not in self._published and runs.is_finished(self.out / run.name):
            found = runs.read(self.out / run.name)
            asked = (run.recipe, run.seed, self.dataset.provenance.fingerprint)
            if (found.recipe, found.seed, found.data["fingerprint"]) != asked:
                raise UserError(
                    f"The run in {found.path} has another recipe or other images than the study's: "
                    "choose another folder with --out."
                )
            self._published.add(run.name)
        return run.name in self._published or run.name in self._failed

    # --- what fits --------------------------------------------------------------------------------

    def _left(self) -> float:
        return self._deadline - self.clock()

    def _plan(self, pending: list[Planned]) -> budget.Plan:
        jobs = []
        for run in pending:
            cost, done = self._costs.kinds[run.kind], self._done(run)
            # the beginning of a branch is laid down while the other run is trained
            after = run.branch_of[0] if run.branch_of and done is None else None
            job = budget.Job(
                *(run.name, run.recipe.epochs, cost.epoch, cost.once),
                done=done or 0,
                least=run.least,
                shared=run.shared,
                after=after,
            )
            jobs.append(job)
        return budget.plan(jobs, self._left())

    def _done(self, run: Planned) -> int | None:
        # Epochs, in earlier calls; None: not even begun. A kill may have come before it was
        # published.
        path = self.work / run.name
        return run.recipe.epochs if runs.is_finished(path) else runs.epochs_done(path)

    def _check_first(self, run: Planned, plan: budget.Plan) -> None:
        if run.name in plan.taken:
            return
        if run.branch_of and self._done(run) is None:
            raise UserError(
                f"{run.name} begins in the middle of {run.branch_of[0]}, which has not come so "
                "far: train both."
            )
        epochs = run.least or run.recipe.epochs
        raise UserError(
            f"{self.seconds / 60:g} minutes are too few for the first run, {run.name}: "
            f"{epochs} epochs take {plan.seconds[run.name] / 60:.1f} minutes here; give it more "
            "with --minutes, or name the runs that fit with --variants."
        )

    def _tell(self, plan: budget.Plan, pending: list[Planned]) -> None:
        # All of the first plan, and then what is other than it was.
        before = self._told
        if before is None:
            self.say(f"plan for {self._left() / 60:.1f} minutes, the most worth first:")
            for name, epochs in plan.taken.items():
                self.say(f"  {name}: {epochs} epochs, {plan.seconds[name] / 60:.1f} min")
        for run in pending:
            epochs, all_ = plan.taken.get(run.name), run.recipe.epochs
            told = all_ if before is None else before.taken.get(run.name, all_)
            if run.least is not None and epochs not in (None, told):
                few = f"{epochs} epochs" + (f", since {all_} do not fit" if epochs < all_ else "")
                self.say(f"  in one schedule of {few}: {run.name}")
        for name in plan.left_out:
            if before is None or name not in before.left_out:
                self.say(f"  left out: {name}, which takes {plan.seconds[name] / 60:.1f} min")
        for name in plan.taken:
            if before is not None and name in before.left_out:
                self.say(f"  fits after all: {name}")
        self._told = plan

    def _cost(self, run: Planned, *, first: bool = False) -> None:
        # What is wrong with a kind of run is told, and the others are trained.
        if run.kind in self._costs.kinds:
            return
        try:
            cost = self._time(run)
        except (UserError, RuntimeError) as error:
            if first:
                raise
            self._fail(run.name, error)
            return
        self._costs.kinds[run.kind] = cost
        self.say(f"{run.kind}: {cost.epoch:.2f} s an epoch, {cost.once:.1f} s besides")

    def _time(self, run: Planned) -> Cost:
        # Trains and publishes a few steps, and works out what a whole run takes.
        indices, _ = split_indices(self.dataset.train.labels, run.recipe)
        steps = len(indices) // run.recipe.batch_size
        timed = min(steps, self.timed_steps * (10 if self.device.type == "cuda" else 1))
        short = run.recipe.with_(
            epochs=2,
            train_images=timed * run.recipe.batch_size,
            warmup_epochs=min(1, run.recipe.warmup_epochs),
        )
        ends: list[float] = []
        with tempfile.TemporaryDirectory(prefix=".timed-", dir=self.work) as folder:
            began = self.clock()
            made = self._make(
                Planned(run.name, short, run.seed),
                Path(folder) / "run",
                measured_epochs=(1,),  # the second is the one to be timed
                kept_epochs=(1,),
                on_epoch_end=lambda network, row: ends.append(self.clock()),
            )
            publish(made, Path(folder) / "published")
            whole = self.clock() - began
        trained = float(made.history["seconds"].iloc[-1])
        looked = max(0.0, ends[1] - ends[0] - trained)
        epoch = (trained * steps / timed + looked) * (1 + making.CHECKPOINT_SHARE)
        # a whole run measures and keeps weights two or three times, not once
        return Cost(epoch, 1.5 * max(0.0, whole - 2 * (trained + looked)))

    # --- one run ----------------------------------------------------------------------------------

    def _measure(self, network: nn.Module) -> pd.DataFrame:
        # on the CPU, as every published run was measured
        return measure_layers(copy.deepcopy(network).cpu(), self._images)

    def _make(self, run: Planned, path: Path, **options: Any) -> runs.Run:
        info = {}
        if run.branch_of is not None:
            info = {"branch_of": {"run": run.branch_of[0], "epoch": run.branch_of[1]}}
        return making.make(
            path,
            run.recipe,
            self.dataset,
            seed=run.seed,
            device=self.device,
            measure=self._measure,
            measured=len(self._images),
            info=info,
            clock=self.clock,
            **options,
        )

    def _train(self, name: str) -> None:
        self._costs.write()
        run = next(r for r in self.list_runs(self._costs.epochs) if r.name == name)
        path = self.work / name
        epochs, done = run.recipe.epochs, self._done(run) or 0
        self.say(f"{name}: {epochs} epochs" + (f", {done} of them done" if done else ""))
        began = self.clock()

        def after_epoch(network: ConvNet | MLP, row: dict[str, float]) -> None:
            now, epoch = self.clock(), int(row["epoch"])
            if epoch == epochs or epoch % max(1, epochs // 10) == 0:
                self.say(
                    f"  epoch {epoch}/{epochs}: loss {row['loss']:.4f}, validation error "
                    f"{row['validation_error']:.2%}, {row['seconds']:.2f} s; "
                    f"{(self._deadline - now) / 60:.1f} min left"
                )
            rest = (epochs - epoch) * (now - began) / (epoch - done)
            if now > self._deadline and now + rest > self._deadline + GRACE * self.seconds:
                raise _OutOfTime

        def lay_down(snapshot: Snapshot) -> None:
            for branch in run.branches:
                if snapshot.values["epoch"] == branch.branch_of[1]:
                    making.branch(
                        *(self.work / branch.name, snapshot, branch.recipe, self.dataset),
                        seed=branch.seed,
                        device=self.device,
                        measured=len(self._images),
                    )

        kept = {self.kept_epoch, epochs // 2}
        made = self._make(
            run,
            path,
            resume=True,
            measured_epochs={*kept, epochs},
            kept_epochs=kept - {epochs},
            on_epoch_end=after_epoch,
            on_snapshot=lay_down,
        )
        publish(made, self.out / name)
        self._published.add(name)
        spent = self.clock() - began
        self.say(
            f"  test error {made.kept['test_error']:.2%} with the weights of epoch "
            f"{made.info['kept_epoch']}, {spent / 60:.1f} min: {self.out / name}"
        )
        if done <= epochs // 2:  # of the last few epochs little is learned
            self._costs.learn(run.kind, spent, epochs - done)
            self._costs.write()

    def _fail(self, name: str, error: Exception) -> None:
        self._failed[name] = str(error) or type(error).__name__
        print(f"{name} failed: {self._failed[name]}", file=sys.stderr, flush=True)

    def _pack(self, everything: list[Planned]) -> list[str]:
        # Published runs, then the weights of kept epochs; what has no room.
        if self.pack_into is None:
            return []
        names = [run.name for run in everything if run.name in self._published]
        items = [(name, sorted((self.out / name).iterdir())) for name in names]
        kept = [file for name in names for file in sorted((self.work / name).glob("epoch-*"))]
        items += [(f"{file.parent.name}/{file.name}", [file]) for file in kept]
        return shards.pack(items, self.pack_into)
