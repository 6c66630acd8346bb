"""Train a run into its folder, so that it can be killed at any moment and resumed.

While it is made the folder holds checkpoints (:mod:`bnn_geometry.training.checkpoint`) and the
weights of epochs that are to be kept; then the files of a finished run
(:mod:`bnn_geometry.training.runs`), and no checkpoint.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError
from torch import Tensor, nn

from bnn_geometry import storage
from bnn_geometry.errors import UserError
from bnn_geometry.networks.layers import weight_layers
from bnn_geometry.networks.models import MLP, ConvNet
from bnn_geometry.training import checkpoint, int8, runs
from bnn_geometry.training.batches import split_indices
from bnn_geometry.training.build import build_network
from bnn_geometry.training.evaluation import check_fit
from bnn_geometry.training.identity import check_identity, identity_of, machine_of
from bnn_geometry.training.loop import Snapshot, train
from bnn_geometry.training.recipes import Recipe
from bnn_geometry.training.runs import Run

if TYPE_CHECKING:
    from bnn_geometry.data.datasets import Dataset

CHECKPOINT_SHARE = 0.05
"""An epoch's end writes no checkpoint where that would take more than this part of the time."""

_LOCK = ".lock"


def make(
    path: Path,
    recipe: Recipe,
    dataset: Dataset,
    *,
    seed: int,
    device: torch.device | str = "cpu",
    resume: bool = False,
    elsewhere: bool = False,
    measure: Callable[[nn.Module], pd.DataFrame] | None = None,
    measured: int = 0,
    measured_epochs: Collection[int] | None = None,
    kept_epochs: Collection[int] = (),
    info: dict[str, Any] | None = None,
    on_epoch_end: Callable[[ConvNet | MLP, dict[str, float]], None] | None = None,
    on_step: Callable[[int, int, Tensor], None] | None = None,
    on_snapshot: Callable[[Snapshot], None] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Run:
    """Train a run into its folder, so that it can be killed at any moment and resumed.

    Checkpoints are written before the first epoch, after the last and in between as often as
    ``CHECKPOINT_SHARE`` of the time allows. A resumed run ends with the same bits as an
    undisturbed one, but for its seconds.

    Parameters
    ----------
    path : Path
        The folder.
    recipe, dataset, seed, on_epoch_end, on_step, clock
        As for :func:`bnn_geometry.training.loop.train`.
    device : device
        Where to train.
    resume : bool
        Go on with what is in the folder, if anything is; a finished run is read.
    elsewhere : bool
        Go on also where processor, libraries, threads or number format are others than those that
        the run was begun with. Its bits are no longer those of an undisturbed run, and it says so:
        see ``stretches`` in :class:`bnn_geometry.training.runs.Run`.
    measure : callable, optional
        Called with the network after every epoch; its table, a row per layer, goes with the run.
    measured : int
        Images that ``measure`` looks at; a run is resumed with as many as it was begun with.
    measured_epochs : collection of int, optional
        Measure after these epochs alone; every epoch.
    kept_epochs : collection of int
        Epochs after which the weights are kept as well, the latent ones in eight bits, in
        ``epoch-NNNN.safetensors``: see :func:`network_after`.
    info : dict, optional
        What run.json is to say besides; plain values.
    on_snapshot : callable, optional
        As for :func:`bnn_geometry.training.loop.train`; called before a checkpoint is written.

    Raises
    ------
    UserError
        If there is something at ``path`` (without ``resume``), or something else than this very
        run (with it); if an epoch of ``kept_epochs`` does not come; if a checkpoint is damaged or
        cannot be written; and as :func:`bnn_geometry.training.loop.train` does.
    """
    path = Path(path)
    device = torch.device(device)
    identity = identity_of(recipe, dataset, seed, device) | {"measured images": measured}
    if resume and runs.is_finished(path):
        return _finished(path, identity)
    if path.exists() and not resume:
        unfinished = runs.epochs_done(path) is not None
        raise UserError(
            f"There is something at {path} already: choose another folder"
            f"{', or go on with the run there with --resume' if unfinished else ''}."
        )
    if path.exists() and not path.is_dir():
        raise UserError(f"{path} is a file, and no run to resume.")
    for epoch in kept_epochs:
        if not 0 <= epoch <= recipe.epochs:
            raise UserError(
                f"No weights can be kept after epoch {epoch}: there are {recipe.epochs} epochs."
            )
    network = build_network(recipe, seed)
    check_fit(network, dataset)
    split_indices(dataset.train.labels, recipe)
    with _claimed(path):
        storage.remove_unfinished(path)
        snapshot, rows, stretches = _resumable(path, identity, elsewhere)
        written = clock()
        cost = 0.0

        def look(network: ConvNet | MLP, row: dict[str, float]) -> None:
            if measure is not None and (measured_epochs is None or row["epoch"] in measured_epochs):
                table = measure(network)
                table.insert(0, "epoch", row["epoch"])
                rows.extend(table.to_dict("records"))
            if row["epoch"] in kept_epochs:
                _keep_epoch(path, network, int(row["epoch"]))
            if on_epoch_end is not None:
                on_epoch_end(network, row)

        def keep(snapshot: Snapshot) -> None:
            nonlocal written, cost
            if on_snapshot is not None:
                on_snapshot(snapshot)
            epoch = snapshot.values["epoch"]
            began = clock()
            due = cost <= CHECKPOINT_SHARE * (began - written)
            if not due and epoch < recipe.epochs:
                return
            values = snapshot.values | {
                "identity": identity,
                "measurements": rows,
                "stretches": stretches,
            }
            try:
                checkpoint.save(path, epoch, snapshot.tensors, values)
            except (OSError, UserError) as error:
                raise UserError(
                    f"No checkpoint could be written to {path} after epoch {epoch}: {error} Make "
                    "room, and resume the run."
                ) from error
            written = clock()
            cost = written - began

        trained = train(
            network.to(device),
            dataset,
            recipe,
            seed=seed,
            on_epoch_end=look,
            on_step=on_step,
            on_snapshot=keep,
            resume=snapshot,
            clock=clock,
        )
        said = runs.describe(trained, dataset) | {"measured_images": measured} | (info or {})
        if stretches:
            said["stretches"] = [*stretches, _stretch(identity, recipe.epochs)]
        try:
            runs.fill(
                path,
                recipe=recipe,
                seed=seed,
                info=said,
                history=trained.history,
                measurements=pd.DataFrame(rows) if measure is not None else None,
                weights=trained.network.state_dict(),
            )
        except (OSError, SafetensorError) as error:
            raise UserError(
                f"The run could not be written to {path}: {error}. Make room, and resume it."
            ) from error
        checkpoint.remove(path)
    return runs.read(path)


def branch(
    path: Path,
    snapshot: Snapshot,
    recipe: Recipe,
    dataset: Dataset,
    *,
    seed: int,
    device: torch.device | str = "cpu",
    measured: int = 0,
) -> None:
    """Lay down the state of another run, from which :func:`make` with ``resume`` begins.

    Weights, batch-norm statistics, Adam's moments and the random numbers are those of the other
    run. What is at ``path`` gives way.

    Parameters
    ----------
    path : Path
        The folder of the new run.
    snapshot : Snapshot
        Of the other run; the same network.
    recipe, dataset, seed, device, measured
        As :func:`make` will have them.

    Raises
    ------
    UserError
        If it cannot be written.
    """
    identity = identity_of(recipe, dataset, seed, torch.device(device))
    values = {
        "epoch": 0,
        "history": [],
        "best": None,
        "seconds": 0.0,
        "identity": identity | {"measured images": measured},
        "measurements": [],
    }
    tensors = {k: v for k, v in snapshot.tensors.items() if not k.startswith("best/")}
    shutil.rmtree(path, ignore_errors=True)
    try:
        path.mkdir(parents=True)
        checkpoint.save(path, 0, tensors, values)
    except OSError as error:
        raise UserError(f"No run can be written to {path}: {error.strerror}.") from error


@contextmanager
def _claimed(path: Path) -> Iterator[None]:
    # The folder of a run in the making, which no other process may use meanwhile. The lock goes
    # with the process, however it ends.
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path / _LOCK).acquire(timeout=0)
    except Timeout as error:
        raise UserError(f"Another process is training the run in {path}.") from error
    except OSError as error:
        raise UserError(f"No run can be written to {path}: {error.strerror}.") from error
    try:
        yield
    finally:
        with suppress(OSError):
            (path / _LOCK).unlink()
        lock.lock.release()
        with suppress(OSError):
            path.rmdir()  # where nothing came of it


def _keep_epoch(path: Path, network: ConvNet | MLP, epoch: int) -> None:
    names = [f"{name}.weight" for name in weight_layers(network)]
    packed = int8.pack({k: v.cpu() for k, v in network.state_dict().items()}, names)
    runs.write_state(path / _kept(epoch), packed)


def _kept(epoch: int) -> str:
    return f"epoch-{epoch:04d}.safetensors"


def network_after(path: Path, run: Run, epoch: int) -> ConvNet | MLP:
    """The network as it was after an epoch whose weights were kept; 0: before the first.

    Raises
    ------
    UserError
        If they were not kept.
    """
    if epoch == 0:
        return run.untrained()
    file = Path(path) / _kept(epoch)
    if not file.is_file():
        raise UserError(f"The weights after epoch {epoch} of the run in {path} were not kept.")
    network = build_network(run.recipe, run.seed)
    network.load_state_dict(runs.read_state(file, run.recipe))
    return network.eval()


def _finished(path: Path, identity: dict[str, Any]) -> Run:
    # A finished run, if it is the one that was asked for. How it was made matters no more.
    run = runs.read(path)
    begun = {
        "recipe": run.recipe.as_dict(),
        "seed": run.seed,
        "data": run.data["fingerprint"],
        "measured images": run.info.get("measured_images", 0),
    }
    check_identity(path, begun, {key: identity[key] for key in begun})
    checkpoint.remove(path)  # a kill between the last two steps leaves them
    with suppress(OSError):
        (path / _LOCK).unlink()
    return run


def _stretch(identity: dict[str, Any], epoch: int) -> dict[str, Any]:
    # Epochs of a run that one machine trained: the last of them, and the machine.
    return {"until_epoch": epoch} | machine_of(identity)


def _resumable(
    path: Path, identity: dict[str, Any], elsewhere: bool
) -> tuple[Snapshot | None, list[dict[str, Any]], list[dict[str, Any]]]:
    # What the folder's checkpoint holds: the state of training, the measurements so far, and the
    # stretches that other machines trained.
    found = checkpoint.latest(path)
    if found is None:
        # a kill before the first checkpoint was whole leaves hidden names alone
        if any(not entry.name.startswith(".") for entry in path.iterdir()):
            raise UserError(f"{path} holds no run to resume: choose another folder.")
        return None, [], []
    tensors, values = found
    begun = values.pop("identity")
    check_identity(path, begun, identity, elsewhere=elsewhere)
    rows, stretches = values.pop("measurements"), values.pop("stretches", [])
    if machine_of(begun) != machine_of(identity):
        stretches.append(_stretch(begun, values["epoch"]))
    return Snapshot(tensors, values), rows, stretches
