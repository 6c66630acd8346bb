"""Everything that the book wants trained, in order of worth, within a budget of minutes.

``bnn-geometry study paper --minutes 25`` is for the day when there is a GPU for half an hour. It
imports torch, numpy, pandas, scipy, safetensors, filelock, tqdm and lazy_loader, and Pillow or
torchvision only where the images are not decoded yet.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bnn_geometry.data.datasets import Dataset
from bnn_geometry.errors import UserError
from bnn_geometry.studies.session import Planned, Session
from bnn_geometry.training import runs
from bnn_geometry.training.batches import split_indices
from bnn_geometry.training.recipes import LONG_CIFAR10, ORIGINAL_CIFAR10, Recipe
from bnn_geometry.training.schedule import learning_rate

VARIANTS = ("original", "long", "original-narrow", "widths", "branch", "continuous")
"""What can be chosen, in order of worth."""

HARDTANH = {"activation": "hardtanh", "lr": 0.03, "lr_width_power": 0.0}
"""The continuous network has a rate of its own and no per-layer scale. On held-out images after six
epochs of 20,000 images this rate is the best of five at an eighth of the width (.001 … .06) and of
four at a quarter (.0075 … .06), and at half as good as the best of three (.015 … .06): it does not
fall with the width."""


@dataclass(frozen=True)
class Sizes:
    """How large everything is."""

    width: float = 1.0
    """Of what is called full width."""
    original_epochs: int = 500
    epochs: int = 100
    """Of ``long``, ``widths`` and ``continuous`` alike."""
    least_epochs: int = 30
    """Where all of them do not fit ``long`` gets fewer, and the others as many; not fewer than
    these."""
    branch_epochs: int = 10
    kept_epoch: int = 8
    """Weights are kept, and r measured, after this epoch and after half of them; r also after the
    last."""
    train_images: int | None = None
    validation_images: int = 5000
    measured_images: int = 500
    timed_steps: int = 20
    """Of each kind of run, before it is planned; on a GPU ten times as many."""

    @property
    def images(self) -> dict[str, Any]:
        """What every recipe has of it."""
        return {
            "train_images": self.train_images,
            "validation_images": self.validation_images,
        }


PAPER = Sizes()

REHEARSAL = Sizes(
    width=1 / 32,
    original_epochs=4,
    epochs=4,
    least_epochs=3,
    branch_epochs=2,
    kept_epoch=1,
    train_images=200,
    validation_images=100,
    measured_images=10,
    timed_steps=1,
)
"""The same from end to end, for a few minutes on a CPU; the networks are of no use."""


def paper_runs(
    sizes: Sizes, variants: Sequence[str], steps: int, epochs: int | None = None
) -> list[Planned]:
    """The chosen runs, in order of worth.

    Parameters
    ----------
    sizes : Sizes
    variants : sequence of str
        Some of :data:`VARIANTS`.
    steps : int
        In an epoch of ``long``: by them the branch knows its rate.
    epochs : int, optional
        With which the shared runs were begun; open, and those of ``sizes`` if they fit.
    """
    original = ORIGINAL_CIFAR10.with_(epochs=sizes.original_epochs, **sizes.images)
    long = LONG_CIFAR10.with_(epochs=epochs or sizes.epochs, **sizes.images)

    def planned(recipe: Recipe, width: float, seed: int = 1, **options: Any) -> Planned:
        recipe = recipe.with_(width=width * sizes.width)
        return Planned(runs.name(recipe, seed), recipe, seed, **options)

    wide, middle = long.with_(width=sizes.width), long.epochs // 2
    rate = learning_rate(wide, middle * steps, steps)
    constant = wide.with_(
        epochs=sizes.branch_epochs,
        schedule="linear",
        warmup_epochs=0,
        lr=rate,
        lr_end=rate,
        lr_width_power=0.0,
    )
    name = runs.name(wide, 1)
    branch = Planned(f"{name}-branch", constant, branch_of=(name, middle))
    least = sizes.least_epochs if epochs is None else None
    main = planned(long, 1, shared=True, least=least, branches=(branch,))
    by_variant = {
        "original": [planned(original, 1)],
        "long": [main],
        "original-narrow": [planned(original, 1 / 8)],
        "widths": [
            planned(recipe, width, seed, shared=True)
            for seed in (1, 2, 3)
            for width in (1 / 8, 1 / 4, 1 / 2)
            for recipe in (long, long.with_(**HARDTANH))
        ],
        "branch": [branch],
        "continuous": [planned(long.with_(**HARDTANH), 1, shared=True)],
    }
    return [run for x in VARIANTS if x in variants for run in by_variant[x]]


def check(minutes: float, variants: Sequence[str]) -> None:
    """Refuse a budget that is none, and variants that there are not.

    Raises
    ------
    UserError
        With what is wrong.
    """
    if not (math.isfinite(minutes) and minutes > 0):
        raise UserError(f"--minutes must be a positive number, not {minutes:g}.")
    for name in variants:
        if name not in VARIANTS:
            raise UserError(f"There is no variant {name!r}; there is {', '.join(VARIANTS)}.")


def run_paper(
    work: Path,
    out: Path,
    dataset: Dataset,
    *,
    minutes: float,
    began: float | None = None,
    variants: Sequence[str] = VARIANTS,
    sizes: Sizes = PAPER,
    device: torch.device | str = "cpu",
    pack_into: Path | None = None,
    clock: Callable[[], float] = time.perf_counter,
    say: Callable[[str], None] = print,
) -> list[str]:
    """Train and publish what fits into a budget of time; a second call goes on.

    Parameters
    ----------
    work, out, dataset, device, clock, say
        See :class:`bnn_geometry.studies.session.Session`.
    minutes : float
        The budget.
    began : float, optional
        What the clock said when it began; now.
    variants : sequence of str
        Some of :data:`VARIANTS`.
    sizes : Sizes
    pack_into : Path, optional
        Before every run, and at the end, pack what is finished into shards there: the published
        runs, and then the weights of kept epochs, as far as there is room.

    Returns
    -------
    list of str
        The names of the chosen runs that are finished.

    Raises
    ------
    UserError
        If the budget is too small for the first run (nothing is begun), the images are a
        stand-in, or runs failed: the others are trained all the same.
    """
    check(minutes, variants)
    if dataset.provenance.source == "stand-in" and sizes == PAPER:
        raise UserError(
            "There is no CIFAR-10 here, and the paper's runs are not for a stand-in: name its "
            "folder with --data."
        )
    indices, _ = split_indices(dataset.train.labels, LONG_CIFAR10.with_(**sizes.images))
    steps = len(indices) // LONG_CIFAR10.batch_size
    return Session(
        lambda epochs: paper_runs(sizes, variants, steps, epochs),
        work=Path(work),
        out=Path(out),
        dataset=dataset,
        seconds=60 * minutes,
        began=clock() if began is None else began,
        device=torch.device(device),
        kept_epoch=sizes.kept_epoch,
        measured_images=sizes.measured_images,
        timed_steps=sizes.timed_steps,
        pack_into=pack_into,
        clock=clock,
        say=say,
    ).run()
