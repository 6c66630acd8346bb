"""All that decides a run's bits: it is resumed, or found again, while that is the same."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from bnn_geometry.errors import UserError
from bnn_geometry.storage import versions
from bnn_geometry.training.code import code_hashes
from bnn_geometry.training.hardware import can_compile, device_name, resolve_precision
from bnn_geometry.training.recipes import Recipe

if TYPE_CHECKING:
    from bnn_geometry.data.datasets import Dataset


def identity_of(
    recipe: Recipe, dataset: Dataset, seed: int, device: torch.device
) -> dict[str, Any]:
    """Recipe, seed, data, libraries, machine and code, as values that JSON can hold."""
    return {
        "recipe": recipe.as_dict(),
        "seed": seed,
        "data": dataset.provenance.fingerprint,
        "versions": versions(),
        "machine": platform.machine(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "precision": resolve_precision(recipe.precision, device),
        "compiler": can_compile(),
        "code": code_hashes(),
    }


MACHINE = (*("versions", "machine", "instructions", "device", "threads", "precision", "compiler"),)
"""What another machine may have otherwise, where a run is continued on it."""


def machine_of(identity: dict[str, Any]) -> dict[str, Any]:
    """The part of an identity that is the machine's: processor, libraries, threads and format."""
    return {key: identity.get(key) for key in MACHINE}


def _flat(identity: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat = {}
    for key, value in identity.items():
        flat |= _flat(value, f"{key} ") if isinstance(value, dict) else {prefix + key: value}
    return flat


def check_identity(
    path: Path, begun: dict[str, Any], here: dict[str, Any], *, elsewhere: bool = False
) -> None:
    """Refuse to go on with another run than was begun.

    Parameters
    ----------
    path : Path
        The run's folder, for the message.
    begun, here : dict
        What :func:`identity_of` gave then and gives now.
    elsewhere : bool
        The machine may be another one.

    Raises
    ------
    UserError
        With the first value that is another.
    """
    if elsewhere:
        begun, here = ({k: v for k, v in x.items() if k not in MACHINE} for x in (begun, here))
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
    remedy = "it can be resumed only as it was begun"
    if all(name.split()[0] in MACHINE for name in other):
        remedy += ", or with --elsewhere, which says so in the run's record"
    raise UserError(f"The run in {path} was begun with {what}{more}: {remedy}.")
