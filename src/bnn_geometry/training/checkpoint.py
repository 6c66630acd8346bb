"""Checkpoints: tensors and plain values on disk, whole or not at all, whatever interrupts.

A checkpoint is a folder of two files, neither of which can run code when it is read::

    checkpoint-0012/state.safetensors   the tensors
    checkpoint-0012/state.json          the values, and a hash of each file

It is written under another name, brought to the disk and renamed; only then is the one before it
removed. So there is a whole one at every moment from the first on.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from bnn_geometry import storage
from bnn_geometry.errors import UserError

_PREFIX = "checkpoint-"
_TENSORS, _VALUES = "state.safetensors", "state.json"


def save(folder: Path, number: int, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
    """Write a checkpoint, then remove all others.

    Parameters
    ----------
    folder : Path
        Must exist.
    number : int
        Of the epoch; larger than that of any other checkpoint there.
    tensors : dict of str to Tensor
        On any device.
    values : dict
        What JSON can hold.

    Raises
    ------
    UserError
        If it cannot be written: the one before it stays.
    """
    target = folder / f"{_PREFIX}{number:04d}"
    _remove(folder.glob(f".{_PREFIX}*"))  # what a kill left behind
    with storage.new_folder(target) as temporary:
        save_file(
            {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
            temporary / _TENSORS,
        )
        storage.write_manifest(temporary, _VALUES, {"values": values}, [_TENSORS])
    storage.sync(folder)
    _remove(other for other in _all(folder) if other != target)


def latest(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Tensors and values of the last checkpoint, verified; None where there is none.

    Raises
    ------
    UserError
        If a file of it is missing or damaged.
    """
    found = _all(folder)
    if not found:
        return None
    path = found[-1]
    remedy = (
        f"Delete {path.name} to go on from {found[-2].name}."
        if len(found) > 1
        else "Delete the run's folder and train again."
    )
    try:
        values = storage.read_manifest(path, _VALUES, [_TENSORS], remedy=remedy)["values"]
        return load_file(path / _TENSORS), values
    except FileNotFoundError as error:
        raise UserError(
            f"{path} is not a whole checkpoint: {error.filename} is missing. {remedy}"
        ) from error
    except (OSError, ValueError, LookupError, TypeError, AttributeError, SafetensorError) as error:
        raise UserError(f"The checkpoint {path} cannot be read: {error}. {remedy}") from error


def latest_number(folder: Path) -> int | None:
    """The number of the last checkpoint, unread; None where there is none."""
    found = _all(folder)
    return _number(found[-1]) if found else None


def remove(folder: Path) -> None:
    """Remove all checkpoints, and what a kill left of one."""
    # the last one last: there is a whole one until then
    _remove([*folder.glob(f".{_PREFIX}*"), *_all(folder)])


def _remove(folders: Iterable[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _number(path: Path) -> int:
    return int(path.name.removeprefix(_PREFIX))


def _all(folder: Path) -> list[Path]:
    found = []
    for path in folder.glob(f"{_PREFIX}*"):
        with suppress(ValueError):
            found.append((_number(path), path))
    return [path for _, path in sorted(found)]
