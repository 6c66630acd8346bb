"""A training run on disk: make, resume, write, read, verify; and runs made live by a build.

A run is a folder of plain files, none of which can run code when it is read::

    recipe.json           the recipe and the seed
    run.json              data, versions, device, precision, seconds, errors, a hash of each file
    history.csv           a row per epoch
    weights.safetensors   parameters and batch-norm statistics
    measurements.csv      a row per epoch and layer, where it was asked for

While it is made the folder holds checkpoints (:mod:`bnn_geometry.training.checkpoint`) and no
run.json. A
published run (:mod:`bnn_geometry.studies.publish`) holds its latent weights in eight bits, or no
weights.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from bnn_geometry import paths, storage
from bnn_geometry.errors import UserError
from bnn_geometry.networks.layers import weight_layers
from bnn_geometry.networks.models import MLP, ConvNet
from bnn_geometry.probing.measurements import measure_layers
from bnn_geometry.training import checkpoint
from bnn_geometry.training import int8 as latents
from bnn_geometry.training.code import code_hash, code_hashes, commit
from bnn_geometry.training.hardware import can_compile, resolve_precision
from bnn_geometry.training.loop import (
    Snapshot,
    Trained,
    check_fit,
    split_indices,
    start,
    train,
)
from bnn_geometry.training.recipes import Recipe

if TYPE_CHECKING:
    from bnn_geometry.data.datasets import Dataset

FILES = ("recipe.json", "history.csv")
"""What every run has; the weights and the measurements are there where run.json has their hash."""

LIBRARIES = ("torch", "torchvision", "numpy")

CHECKPOINT_SHARE = 0.05
"""An epoch's end writes no checkpoint where that would take more than this part of the time."""

MEASURED_SEED = 0
"""Which test images are measured is the same for every run, whatever its seed."""

_LOCK = ".lock"


@dataclass(frozen=True)
class Run:
    """A finished training run.

    Attributes
    ----------
    recipe : Recipe
    seed : int
    data : dict
        The data set's provenance: title, source, fingerprint, numbers of images.
    info : dict
        Versions, device, threads, precision, seconds, kept_epoch; of a published run also
        published: see :func:`bnn_geometry.studies.publish.publish`.
    history : DataFrame
        See :class:`bnn_geometry.training.loop.Trained`.
    measurements : DataFrame or None
        Columns epoch and those of :func:`bnn_geometry.probing.measurements.measure_layers`.
    weights : dict of str to Tensor
        State dict of the network; latent weights that were published in eight bits as float32.
        Empty where the run was published without its weights.
    path : Path
        The folder it was read from.
    """

    recipe: Recipe
    seed: int
    data: dict[str, Any]
    info: dict[str, Any]
    history: pd.DataFrame
    measurements: pd.DataFrame | None
    weights: dict[str, Tensor]
    path: Path

    @cached_property
    def kept(self) -> pd.Series:
        """The row of the history whose weights these are."""
        return self.history.set_index("epoch").loc[self.info["kept_epoch"]]

    def network(self) -> ConvNet | MLP:
        """A new network with this run's weights, in evaluation mode.

        Raises
        ------
        UserError
            If the run was published without its weights.
        """
        if not self.weights:
            raise UserError(
                f"The run in {self.path} was published without its weights: there is its history."
            )
        network = start(self.recipe, self.seed)
        network.load_state_dict(self.weights)
        return network.eval()

    def untrained(self) -> ConvNet | MLP:
        """The network as it was before the first step, in evaluation mode."""
        return start(self.recipe, self.seed).eval()


def name(recipe: Recipe, seed: int) -> str:
    """What a run's folder is called: model, recipe, width and seed.

    A continuous counterpart has its activation after the recipe's name.
    """
    kind = "" if recipe.activation == "binary" else f"-{recipe.activation}"
    return f"{recipe.model}-{recipe.name}{kind}-w{recipe.width:g}-s{seed}"


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that decide a run's bits."""
    return {"python": platform.python_version()} | {
        name: importlib.metadata.version(name) for name in LIBRARIES
    }


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def _identity(recipe: Recipe, dataset: Dataset, seed: int, device: torch.device) -> dict[str, Any]:
    # Everything that decides a run's bits.
    return {
        "recipe": recipe.as_dict(),
        "seed": seed,
        "data": dataset.provenance.fingerprint,
        "versions": versions(),
        "machine": platform.machine(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "device": _device_name(device),
        "threads": torch.get_num_threads(),
        "precision": resolve_precision(recipe.precision, device),
        "compiler": can_compile(),
        "code": code_hashes(),
    }


def _flat(identity: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat = {}
    for key, value in identity.items():
        flat |= _flat(value, f"{key} ") if isinstance(value, dict) else {prefix + key: value}
    return flat


def _check_identity(path: Path, begun: dict[str, Any], here: dict[str, Any]) -> None:
    # Refuse to go on with another run than was begun.
    begun, here = _flat(begun), _flat(here)
    other = [key for key in here if begun.get(key) != here[key]]
    other += [key for key in begun if key not in here]
    if not other:
        return
    key = other[0]
    more = f" (and {len(other) - 1} more)" if len(other) > 1 else ""
    if key == "data" or key.startswith("code "):
        what = f"other {key}"
    else:
        what = f"{key} {begun.get(key)}, here {here.get(key)}"
    raise UserError(
        f"The run in {path} was begun with {what}{more}: it can be resumed only as it was begun."
    )


def _info(trained: Trained, dataset: Dataset) -> dict[str, Any]:
    device = next(trained.network.parameters()).device
    return {
        # where it lay is nobody's affair
        "data": dataset.provenance.as_dict() | {"path": None},
        "commit": commit(),
        "code": code_hash(),
        "versions": versions(),
        "machine": platform.machine(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "device": _device_name(device),
        "threads": torch.get_num_threads(),
        "precision": trained.precision,
        "compiled": trained.compiled,
        "seconds": round(trained.seconds, 2),
        "kept_epoch": trained.kept_epoch,
    }


def fill(
    folder: Path,
    *,
    recipe: Recipe,
    seed: int,
    info: dict[str, Any],
    history: pd.DataFrame,
    measurements: pd.DataFrame | None,
    weights: dict[str, Tensor],
) -> None:
    """Write the files of a run into an existing folder, run.json last.

    Parameters
    ----------
    folder : Path
    recipe, seed, history, measurements
        See :class:`Run`.
    info : dict
        With the data's provenance under ``data``.
    weights : dict of str to Tensor
        Empty: no file of weights.

    Raises
    ------
    OSError or SafetensorError
        If it cannot be written.
    """
    files = list(FILES)
    _write_json(folder / "recipe.json", {"recipe": recipe.as_dict(), "seed": seed})
    history.to_csv(folder / "history.csv", index=False)
    if measurements is not None:
        measurements.to_csv(folder / "measurements.csv", index=False)
        files.append("measurements.csv")
    if weights:
        state = {k: v.detach().cpu().contiguous() for k, v in weights.items()}
        save_file(state, folder / "weights.safetensors")
        (folder / "weights.safetensors").chmod(0o644)  # as the other files: it is made for one user
        files.append("weights.safetensors")
    files += sorted(file.name for file in folder.glob("epoch-*.safetensors"))
    storage.write_manifest(folder, "run.json", info, files)


def write(path: Path, trained: Trained, recipe: Recipe, seed: int, dataset: Dataset) -> None:
    """Write a run's folder: whole, or not at all.

    Raises
    ------
    UserError
        If it cannot be written (no space, no permission) or there is something at ``path``.
    """
    with storage.new_folder(path) as folder:
        fill(
            folder,
            recipe=recipe,
            seed=seed,
            info=_info(trained, dataset),
            history=trained.history,
            measurements=None,
            weights=trained.network.state_dict(),
        )


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read(path: Path) -> Run:
    """Read a run's folder and verify every file's hash.

    Raises
    ------
    UserError
        If a file is missing, damaged, or not what run.json says it is.
    """
    path = Path(path)
    remedy = "Restore the folder, or train the run again."
    try:
        if not (path / "run.json").exists() and checkpoint.latest_number(path) is not None:
            raise UserError(f"The run in {path} is not finished: `--resume` goes on with it.")
        info = storage.read_manifest(path, "run.json", FILES, remedy=remedy)
        hashes = info["sha256"]
        settings = json.loads((path / "recipe.json").read_text(encoding="utf-8"))
        return Run(
            recipe=Recipe(**settings["recipe"]),
            seed=settings["seed"],
            data=info.pop("data"),
            info=info,
            history=pd.read_csv(path / "history.csv"),
            measurements=(
                pd.read_csv(path / "measurements.csv") if "measurements.csv" in hashes else None
            ),
            weights=(
                latents.unpack(load_file(path / "weights.safetensors"))
                if "weights.safetensors" in hashes
                else {}
            ),
            path=path,
        )
    except FileNotFoundError as error:
        raise UserError(f"{path} is not a whole run: {error.filename} is missing.") from error
    except (OSError, ValueError, LookupError, TypeError, AttributeError, SafetensorError) as error:
        raise UserError(f"The run in {path} cannot be read: {error}.") from error


def epochs_done(path: Path) -> int | None:
    """Epochs after which an unfinished run would go on; None where there is no checkpoint."""
    return checkpoint.latest_number(Path(path))


def is_finished(path: Path) -> bool:
    """Whether a folder holds a finished run; :func:`read` says whether it is undamaged."""
    return (Path(path) / "run.json").exists()


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


def make(
    path: Path,
    recipe: Recipe,
    dataset: Dataset,
    *,
    seed: int,
    device: torch.device | str = "cpu",
    resume: bool = False,
    measured: int = 0,
    kept_epochs: Collection[int] = (),
    on_epoch_end: Callable[[ConvNet | MLP, dict[str, float]], None] | None = None,
    on_step: Callable[[int, int, Tensor], None] | None = None,
) -> Run:
    """Train a run into its folder, so that it can be killed at any moment and resumed.

    Checkpoints are written before the first epoch, after the last and in between as often as
    ``CHECKPOINT_SHARE`` of the time allows. A resumed run ends with the same bits as an
    undisturbed one, but for its seconds.

    Parameters
    ----------
    path : Path
        The folder.
    recipe, dataset, seed, on_epoch_end, on_step
        As for :func:`bnn_geometry.training.loop.train`.
    device : device
        Where to train.
    resume : bool
        Go on with what is in the folder, if anything is; a finished run is read.
    measured : int
        Test images on which :func:`bnn_geometry.probing.measurements.measure_layers` looks at the
        network after
        every epoch; the same ones for every run. 0: none.
    kept_epochs : collection of int
        Epochs after which the weights are kept as well, the latent ones in eight bits, in
        ``epoch-NNNN.safetensors``: see :func:`network_after`.

    Raises
    ------
    UserError
        If there is something at ``path`` (without ``resume``), or something else than this very
        run (with it); if a checkpoint is damaged or cannot be written; and as
        :func:`bnn_geometry.training.loop.train` does.
    """
    path = Path(path)
    device = torch.device(device)
    identity = _identity(recipe, dataset, seed, device) | {"measured images": measured}
    if resume and is_finished(path):
        return _finished(path, identity)
    if path.exists() and not resume:
        unfinished = epochs_done(path) is not None
        raise UserError(
            f"There is something at {path} already: choose another folder"
            f"{', or go on with the run there with --resume' if unfinished else ''}."
        )
    if path.exists() and not path.is_dir():
        raise UserError(f"{path} is a file, and no run to resume.")
    network = start(recipe, seed)
    check_fit(network, dataset)
    split_indices(dataset.train.labels, recipe)
    with _claimed(path):
        snapshot, rows = _resumable(path, identity)
        written = time.monotonic()
        cost = 0.0

        def look(network: ConvNet | MLP, row: dict[str, float]) -> None:
            if measured:
                table = measure_layers(network, images)
                table.insert(0, "epoch", row["epoch"])
                rows.extend(table.to_dict("records"))
            if row["epoch"] in kept_epochs:
                _keep_epoch(path, network, int(row["epoch"]))
            if on_epoch_end is not None:
                on_epoch_end(network, row)

        def keep(snapshot: Snapshot) -> None:
            nonlocal written, cost
            epoch = snapshot.values["epoch"]
            began = time.monotonic()
            due = cost <= CHECKPOINT_SHARE * (began - written)
            if not due and epoch < recipe.epochs:
                return
            values = snapshot.values | {"identity": identity, "measurements": rows}
            try:
                checkpoint.save(path, epoch, snapshot.tensors, values)
            except (OSError, SafetensorError) as error:
                raise UserError(
                    f"No checkpoint could be written to {path} after epoch {epoch}: {error}. "
                    "Make room, and resume the run."
                ) from error
            written = time.monotonic()
            cost = written - began

        images = dataset.test.sample(measured, MEASURED_SEED).images if measured else None
        trained = train(
            network.to(device),
            dataset,
            recipe,
            seed=seed,
            on_epoch_end=look,
            on_step=on_step,
            on_snapshot=keep,
            resume=snapshot,
        )
        try:
            fill(
                path,
                recipe=recipe,
                seed=seed,
                info=_info(trained, dataset) | {"measured_images": measured},
                history=trained.history,
                measurements=pd.DataFrame(rows) if measured else None,
                weights=trained.network.state_dict(),
            )
        except (OSError, SafetensorError) as error:
            raise UserError(
                f"The run could not be written to {path}: {error}. Make room, and resume it."
            ) from error
        checkpoint.remove(path)
    return read(path)


def _keep_epoch(path: Path, network: ConvNet | MLP, epoch: int) -> None:
    names = [f"{name}.weight" for name in weight_layers(network)]
    state = {k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
    temporary = path / f".epoch-{epoch:04d}"
    save_file(latents.pack(state, names), temporary)
    temporary.chmod(0o644)
    temporary.replace(path / f"epoch-{epoch:04d}.safetensors")


def network_after(path: Path, run: Run, epoch: int) -> ConvNet | MLP:
    """The network as it was after an epoch whose weights were kept; 0: before the first.

    Raises
    ------
    UserError
        If they were not kept.
    """
    if epoch == 0:
        return run.untrained()
    file = Path(path) / f"epoch-{epoch:04d}.safetensors"
    if not file.is_file():
        raise UserError(f"The weights after epoch {epoch} of the run in {path} were not kept.")
    network = start(run.recipe, run.seed)
    network.load_state_dict(latents.unpack(load_file(file)))
    return network.eval()


def _finished(path: Path, identity: dict[str, Any]) -> Run:
    # A finished run, if it is the one that was asked for. How it was made matters no more.
    run = read(path)
    begun = {
        "recipe": run.recipe.as_dict(),
        "seed": run.seed,
        "data": run.data["fingerprint"],
        "measured images": run.info.get("measured_images", 0),
    }
    _check_identity(path, begun, {key: identity[key] for key in begun})
    checkpoint.remove(path)  # a kill between the last two steps leaves them
    with suppress(OSError):
        (path / _LOCK).unlink()
    return run


def _resumable(
    path: Path, identity: dict[str, Any]
) -> tuple[Snapshot | None, list[dict[str, Any]]]:
    # What the folder's checkpoint holds: the state of training, and the measurements so far.
    found = checkpoint.latest(path)
    if found is None:
        # a kill before the first checkpoint was whole leaves hidden names alone
        if any(not entry.name.startswith(".") for entry in path.iterdir()):
            raise UserError(f"{path} holds no run to resume: choose another folder.")
        return None, []
    tensors, values = found
    _check_identity(path, values.pop("identity"), identity)
    return Snapshot(tensors, values), values.pop("measurements")


def published(name: str) -> Run:
    """A published run by the name of its folder, verified.

    Raises
    ------
    UserError
        As :func:`read` does.
    """
    return read(paths.runs_root() / name)


def live(
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
    identity = _identity(recipe, dataset, seed, torch.device("cpu"))
    key = storage.text_hash(json.dumps(identity, sort_keys=True))[:12]
    path = paths.live_root() / f"{name(recipe, seed)}-{key}"
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
                return read(path)
            except UserError:
                shutil.rmtree(path)  # damaged: never trusted, made again
        trained = train(start(recipe, seed), dataset, recipe, seed=seed, on_epoch_end=on_epoch_end)
        write(path, trained, recipe, seed, dataset)
    return read(path)
