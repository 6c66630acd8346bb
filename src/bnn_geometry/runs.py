"""A training run on disk: write, read, verify; and runs made live by a build.

A run is a folder of plain files, none of which can run code when it is read::

    recipe.json           the recipe and the seed
    run.json              data, versions, device, precision, seconds, errors, a hash of each file
    history.csv           a row per epoch
    weights.safetensors   parameters and batch-norm statistics
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from filelock import FileLock
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from bnn_geometry import sources
from bnn_geometry.data import cache_root
from bnn_geometry.errors import UserError
from bnn_geometry.models import MLP, ConvNet
from bnn_geometry.recipes import Recipe
from bnn_geometry.training import Trained, resolve_precision, start, train

if TYPE_CHECKING:
    from bnn_geometry.data import Dataset

FILES = ("recipe.json", "history.csv", "weights.safetensors")
LIBRARIES = ("torch", "torchvision", "numpy")


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
        Versions, device, threads, precision, seconds, kept_epoch.
    history : DataFrame
        See :class:`bnn_geometry.training.Trained`.
    weights : dict of str to Tensor
        State dict of the network.
    path : Path
        The folder it was read from.
    """

    recipe: Recipe
    seed: int
    data: dict[str, Any]
    info: dict[str, Any]
    history: pd.DataFrame
    weights: dict[str, Tensor]
    path: Path

    @cached_property
    def kept(self) -> pd.Series:
        """The row of the history whose weights these are."""
        return self.history.set_index("epoch").loc[self.info["kept_epoch"]]

    def network(self) -> ConvNet | MLP:
        """A new network with this run's weights, in evaluation mode."""
        network = start(self.recipe, self.seed)
        network.load_state_dict(self.weights)
        return network.eval()

    def untrained(self) -> ConvNet | MLP:
        """The network as it was before the first step, in evaluation mode."""
        return start(self.recipe, self.seed).eval()


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that decide a run's bits."""
    return {"python": platform.python_version()} | {
        name: importlib.metadata.version(name) for name in LIBRARIES
    }


def write(path: Path, trained: Trained, recipe: Recipe, seed: int, dataset: Dataset) -> None:
    """Write a run's folder: whole, or not at all.

    Raises
    ------
    UserError
        If it cannot be written (no space, no permission) or there is something at ``path``.
    """
    path = Path(path)
    if path.exists():
        raise UserError(f"There is something at {path} already: choose another folder.")
    device = next(trained.network.parameters()).device
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
        _write_json(temporary / "recipe.json", {"recipe": recipe.as_dict(), "seed": seed})
        trained.history.to_csv(temporary / "history.csv", index=False)
        state = {k: v.detach().cpu().contiguous() for k, v in trained.network.state_dict().items()}
        save_file(state, temporary / "weights.safetensors")
        info = {
            "data": dataset.provenance.as_dict()
            | {"path": None},  # where it lay is nobody's affair
            "versions": versions(),
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
            "threads": torch.get_num_threads(),
            "precision": trained.precision,
            "seconds": round(trained.seconds, 2),
            "kept_epoch": trained.kept_epoch,
            "sha256": {name: sources.file_hash(temporary / name) for name in FILES},
        }
        info["sha256"]["run.json"] = _own_hash(info)
        _write_json(temporary / "run.json", info)
        temporary.chmod(0o755)  # mkdtemp's 0700 would follow the folder to where it is published
        temporary.rename(path)
    except (OSError, SafetensorError) as error:
        raise UserError(f"The run could not be written to {path}: {error}.") from error
    finally:
        if temporary is not None:  # there no more once it was renamed
            shutil.rmtree(temporary, ignore_errors=True)


def _own_hash(info: dict[str, Any]) -> str:
    # Of what run.json says, this hash itself left out.
    hashes = {name: value for name, value in info["sha256"].items() if name != "run.json"}
    return sources.text_hash(json.dumps(info | {"sha256": hashes}, sort_keys=True))


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
    try:
        info = json.loads((path / "run.json").read_text(encoding="utf-8"))
        found = {name: sources.file_hash(path / name) for name in FILES}
        found["run.json"] = _own_hash(info)
        for name, value in found.items():
            if value != info["sha256"][name]:
                raise UserError(
                    f"{path / name} is not the file that run.json describes: it was damaged or "
                    "edited. Restore the folder, or train the run again."
                )
        settings = json.loads((path / "recipe.json").read_text(encoding="utf-8"))
        return Run(
            recipe=Recipe(**settings["recipe"]),
            seed=settings["seed"],
            data=info.pop("data"),
            info=info,
            history=pd.read_csv(path / "history.csv"),
            weights=load_file(path / "weights.safetensors"),
            path=path,
        )
    except FileNotFoundError as error:
        raise UserError(f"{path} is not a whole run: {error.filename} is missing.") from error
    except (OSError, ValueError, LookupError, TypeError, AttributeError, SafetensorError) as error:
        raise UserError(f"The run in {path} cannot be read: {error}.") from error


def live_root() -> Path:
    """Where runs made by a build are kept: ``$BNN_LIVE``, else a folder in the cache."""
    return Path(os.environ.get("BNN_LIVE") or cache_root() / "live")


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
        As :func:`bnn_geometry.training.train` does, or the run cannot be written.
    """
    code = "from bnn_geometry import training"
    identity = {
        "recipe": recipe.as_dict(),
        "seed": seed,
        "data": dataset.provenance.fingerprint,
        "versions": versions(),
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "precision": resolve_precision(recipe.precision, torch.device("cpu")),
        "code": sources.code_hash(code, ["bnn_geometry"]),
    }
    key = sources.text_hash(json.dumps(identity, sort_keys=True))[:12]
    path = live_root() / f"{recipe.model}-{recipe.name}-w{recipe.width:g}-s{seed}-{key}"
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
