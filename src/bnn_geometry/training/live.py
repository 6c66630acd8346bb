"""The runs that a chapter reads: made by this build, or published."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from filelock import FileLock

from bnn_geometry import paths, storage
from bnn_geometry.errors import UserError
from bnn_geometry.networks.models import MLP, ConvNet
from bnn_geometry.training import runs
from bnn_geometry.training.build import build_network
from bnn_geometry.training.identity import identity_of
from bnn_geometry.training.loop import train
from bnn_geometry.training.recipes import Recipe
from bnn_geometry.training.runs import Run

if TYPE_CHECKING:
    from bnn_geometry.data.datasets import Dataset


def published_run(name: str) -> Run:
    """A published run by the name of its folder, verified.

    Raises
    ------
    UserError
        As :func:`bnn_geometry.training.runs.read` does.
    """
    return runs.read(paths.published(name))


def live_run(
    recipe: Recipe,
    dataset: Dataset,
    *,
    seed: int,
    on_epoch_end: Callable[[ConvNet | MLP, dict[str, float]], None] | None = None,
) -> Run:
    """The run of a recipe on this machine: trained now, or read where this very run was made.

    A chapter that builds on another one's network asks for it by what defines it. The run is
    found again only while recipe, seed, pixels, libraries, number of threads and the package's
    training code are all the same; anything else trains anew. Two callers at once train once.

    Raises
    ------
    UserError
        As :func:`bnn_geometry.training.loop.train` does, or the run cannot be written.
    """
    identity = identity_of(recipe, dataset, seed, torch.device("cpu"))
    key = storage.text_hash(json.dumps(identity, sort_keys=True))[:12]
    path = paths.live_root() / f"{runs.name(recipe, seed)}-{key}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{path}.lock").acquire()
    except OSError as error:
        raise UserError(
            f"Runs cannot be kept in {path.parent}: {error}. Set BNN_LIVE to another folder."
        ) from error
    with lock:
        if path.exists():
            try:
                return runs.read(path)
            except UserError:
                shutil.rmtree(path)  # damaged: never trusted, made again
        network = build_network(recipe, seed)
        trained = train(network, dataset, recipe, seed=seed, on_epoch_end=on_epoch_end)
        runs.write(path, trained, recipe, seed, dataset)
    return runs.read(path)
