"""A finished training run on disk: write, read, verify.

A run is a folder of plain files, none of which can run code when it is read::

    recipe.json           the recipe and the seed
    run.json              data, versions, device, precision, seconds, errors, a hash of each file
    history.csv           a row per epoch
    weights.safetensors   parameters and batch-norm statistics
    measurements.csv      a row per epoch and layer, where it was asked for

While it is made (:mod:`bnn_geometry.training.making`) the folder holds checkpoints and no run.json.
A published run (:mod:`bnn_geometry.studies.publish`) holds its latent weights in eight bits, or no
weights.
"""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from bnn_geometry import storage
from bnn_geometry.data.datasets import Provenance
from bnn_geometry.errors import UserError
from bnn_geometry.networks.models import MLP, ConvNet
from bnn_geometry.training import checkpoint, int8
from bnn_geometry.training.build import build_network
from bnn_geometry.training.code import code_hash, commit
from bnn_geometry.training.hardware import device_name
from bnn_geometry.training.loop import Trained
from bnn_geometry.training.recipes import Recipe, check_seed

if TYPE_CHECKING:
    from bnn_geometry.data.datasets import Dataset

FILES = ("recipe.json", "history.csv")
"""What every run has; the weights and the measurements are there where run.json has their hash."""

HISTORY = ("epoch", "loss", "train_error", "test_error")
"""Columns of every history."""

_NUMBER, _TEXT = (int, float), (str,)
_SAID = {"kept_epoch": (int,), "threads": (int,), "seconds": _NUMBER, "precision": _TEXT}

MEASURED_SEED = 0
"""Which test images are measured is the same for every run, whatever its seed."""


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
        Commit and hash of the training code, versions, device, threads, precision, seconds,
        kept_epoch; of a published run also published: see
        :func:`bnn_geometry.studies.publish.publish`. Of a run that was continued on another machine
        also stretches: for each machine in turn until_epoch (the last that it trained), machine,
        instructions, device, threads, precision, compiler and versions.
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

    @property
    def computed_in(self) -> str:
        """The number format; of a run in stretches each one's epochs, machine and format."""
        stretches = self.info.get("stretches")
        if not stretches:
            return self.info["precision"]
        words, first = [], 1
        for stretch in stretches:
            last = stretch["until_epoch"]
            threads = stretch["threads"]
            words.append(
                f"epochs {first} to {last}: {stretch['precision']} on {stretch['device']} "
                f"({stretch['machine']}, {stretch['instructions']}, {threads} "
                f"thread{'s' * (threads != 1)}, torch {stretch['versions']['torch']})"
            )
            first = last + 1
        return "; ".join(words)

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
        network = build_network(self.recipe, self.seed)
        network.load_state_dict(self.weights)
        return network.eval()

    def untrained(self) -> ConvNet | MLP:
        """The network as it was before the first step, in evaluation mode."""
        return build_network(self.recipe, self.seed).eval()


def name(recipe: Recipe, seed: int) -> str:
    """What a run's folder is called: model, recipe, width and seed.

    A continuous counterpart has its activation after the recipe's name, a network of ternary
    weights their rule.
    """
    said = (recipe.activation, recipe.weights)
    kind = "".join(f"-{word}" for word in said if word != "binary")
    return f"{recipe.model}-{recipe.name}{kind}-w{recipe.width:g}-s{seed}"


def describe(trained: Trained, dataset: Dataset) -> dict[str, Any]:
    """What run.json says of a training that has just ended: data, code, versions, machine."""
    device = next(trained.network.parameters()).device
    return {
        # where it lay is nobody's affair
        "data": dataset.provenance.as_dict() | {"path": None},
        "commit": commit(),
        "code": code_hash(),
        "versions": storage.versions(),
        "machine": platform.machine(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "precision": trained.precision,
        "compiled": trained.compiled,
        "recorded": trained.recorded,
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
    settings = json.dumps({"recipe": recipe.as_dict(), "seed": seed}, indent=2)
    storage.write_file(folder / "recipe.json", settings + "\n")
    history.to_csv(folder / "history.csv", index=False)
    if measurements is not None:
        measurements.to_csv(folder / "measurements.csv", index=False)
        files.append("measurements.csv")
    if weights:
        write_state(folder / "weights.safetensors", weights)
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
            info=describe(trained, dataset),
            history=trained.history,
            measurements=None,
            weights=trained.network.state_dict(),
        )


def read(path: Path) -> Run:
    """Read a run's folder and verify every file's hash, the recipe and the weights.

    Raises
    ------
    UserError
        If a file is missing, damaged, or not what run.json says it is; or it says something that
        makes no sense.
    """
    path = Path(path)
    remedy = "Restore the folder, or train the run again."
    try:
        if not is_finished(path) and epochs_done(path) is not None:
            raise UserError(f"The run in {path} is not finished: `--resume` goes on with it.")
        info = storage.read_manifest(path, "run.json", FILES, remedy=remedy)
        files = info["sha256"]
        recipe, seed = _settings(path / "recipe.json")
        run = Run(
            recipe=recipe,
            seed=seed,
            data=Provenance(**info.pop("data")).as_dict(),
            info=_said(info),
            history=_numbers(path / "history.csv", HISTORY),
            measurements=(
                _numbers(path / "measurements.csv", ("epoch", "n", "r"), text="layer")
                if "measurements.csv" in files
                else None
            ),
            weights=(
                read_state(path / "weights.safetensors", recipe)
                if "weights.safetensors" in files
                else {}
            ),
            path=path,
        )
        run.kept  # noqa: B018  (that there is one is told here)
    except FileNotFoundError as error:
        raise UserError(f"{path} is not a whole run: {error.filename} is missing.") from error
    except (OSError, ValueError, LookupError, TypeError, AttributeError, SafetensorError) as error:
        raise UserError(f"The run in {path} cannot be read: {error}.") from error
    return run


def _said(info: dict[str, Any]) -> dict[str, Any]:
    # what run.json must say for the tables that list runs
    for name, kinds in _SAID.items():
        value = info[name]
        if type(value) not in kinds or (kinds is not _TEXT and not 0 <= value < math.inf):
            raise ValueError(f"its {name} cannot be {value!r:.60}")
    return info


def _numbers(file: Path, needed: Iterable[str], *, text: str = "") -> pd.DataFrame:
    # a table of numbers by epoch, and one column of names, which are printed as they are
    table = pd.read_csv(file)
    for name in (*needed, *filter(None, [text])):
        if name not in table:
            raise ValueError(f"{file.name} has no column {name}")
    for name, column in table.items():
        words = [str(name), *(map(str, column.unique()) if name == text else ())]
        if not all(map(storage.is_word, words)):
            raise ValueError(f"{file.name} has names that are no words in column {name!r:.60}")
        if name != text and not (column.dtype.kind in "if" or column.isna().all()):
            raise ValueError(f"{file.name} has something else than numbers in column {name}")
    epochs = table["epoch"]
    if epochs.dtype.kind != "i" or not epochs.is_monotonic_increasing or (epochs < 0).any():
        raise ValueError(f"{file.name} does not go through the epochs")
    if not text and not epochs.is_unique:
        raise ValueError(f"{file.name} has an epoch twice")
    return table


def _settings(file: Path) -> tuple[Recipe, int]:
    settings = json.loads(file.read_text(encoding="utf-8"))
    try:
        return Recipe.from_dict(settings["recipe"]), check_seed(settings["seed"])
    except UserError as error:
        raise UserError(f"{file} cannot be read: {error}") from error


def write_state(file: Path, state: dict[str, Tensor]) -> None:
    """Write tensors to a safetensors file, which appears whole or not at all.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    storage.write_file(file, save({k: v.detach().cpu().contiguous() for k, v in state.items()}))


def read_state(file: Path, recipe: Recipe) -> dict[str, Tensor]:
    """The weights in a file; latents that it holds in eight bits as float32.

    Raises
    ------
    UserError
        If they are not those of the recipe's network, or not finite.
    OSError or SafetensorError
        If it cannot be read.
    """
    packed = load_file(file)
    try:
        state = int8.unpack(packed)
    except (UserError, RuntimeError, LookupError) as error:
        raise UserError(f"{file} cannot be read: {error}") from error
    with torch.device("meta"):  # shapes alone: nothing is drawn
        expected = build_network(recipe, 0).state_dict()
    for name in [*expected, *state]:
        if name not in state or name not in expected:
            what = "has no" if name in expected else "has a tensor"
            raise UserError(f"{file} {what} {name}: it does not hold the recipe's network.")
        found, wanted = (f"shape {(*x[name].shape,)} in {x[name].dtype}" for x in (state, expected))
        if found != wanted:
            raise UserError(
                f"{file} has a {name} of {found}, and the recipe's network one of {wanted}."
            )
        if not torch.isfinite(state[name]).all():
            raise UserError(f"{file} has a {name} that is not finite.")
    return state


def epochs_done(path: Path) -> int | None:
    """Epochs after which an unfinished run would go on; None where there is no checkpoint."""
    return checkpoint.latest_number(Path(path))


def is_finished(path: Path) -> bool:
    """Whether a folder holds a finished run; :func:`read` says whether it is undamaged."""
    return (Path(path) / "run.json").exists()
