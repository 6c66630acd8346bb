"""Every size that a chapter uses, read from ``presets.toml`` beside the chapters.

The file has a table for each chapter and preset (``smoke``, ``book``, ``paper``), and, once, the
recipes of networks that several chapters train.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from dataclasses import asdict, make_dataclass
from pathlib import Path
from typing import Any

from bnn_geometry import paths
from bnn_geometry.errors import UserError
from bnn_geometry.training import recipes

NAMES = ("smoke", "book", "paper")
FILE = "presets.toml"


def check(preset: str) -> str:
    """The name of a preset, if it is one.

    Raises
    ------
    UserError
        If there is none of that name.
    """
    if preset not in NAMES:
        raise UserError(f"Unknown preset {preset!r}: use {', '.join(NAMES)}.")
    return preset


def from_environment() -> str:
    """The preset that ``$BNN_PRESET`` names for a whole build; ``book`` where it is not set.

    Raises
    ------
    UserError
        If it names none.
    """
    return check(paths.preset_name())


def _tables(book: Path | None) -> dict[str, Any]:
    path = (book or paths.book_folder()) / FILE
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"There are no sizes of chapters: {path} is missing.") from error
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path} is no TOML: {error}.") from error


def _recipe(table: dict[str, Any], bases: dict[str, Any]) -> recipes.Recipe:
    changes = dict(table)
    like = changes.pop("like")
    origin = _recipe(bases[like], bases) if like in bases else recipes.recipe(*like.split())
    return origin.with_(**changes) if changes else origin


def _values(tables: dict[str, Any], chapter: str, preset: str) -> dict[str, Any]:
    table = tables["chapters"].get(chapter, {})
    values = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in table.get(preset, {}).items()
        if name != "seconds"
    }
    for name in table.get("networks", ()):
        values[name] = _recipe(tables["recipes"][name][preset], tables["bases"])
    return values


def sizes(chapter: str, preset: str, book: Path | None = None) -> Any:
    """The sizes of a chapter at a preset: a frozen object with a field for each.

    Parameters
    ----------
    chapter, preset : str
    book : Path, optional
        Folder of the chapters; :func:`bnn_geometry.paths.book_folder` if left out.

    Raises
    ------
    UserError
        If there is no such preset, or no table of the chapter.
    """
    values = _values(_tables(book), chapter, check(preset))
    if not values:
        raise UserError(f"There are no sizes of chapter {chapter!r} in {FILE}.")
    return make_dataclass("Sizes", list(values), frozen=True)(**values)


def fingerprint(chapter: str, preset: str, book: Path | None = None) -> str:
    """SHA-256 over what :func:`sizes` gives, also where that is nothing.

    Raises
    ------
    UserError
        If there is no such preset.
    """
    values = _values(_tables(book), chapter, check(preset))
    plain = {k: asdict(v) if isinstance(v, recipes.Recipe) else v for k, v in values.items()}
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def budgets(preset: str, book: Path | None = None) -> dict[str, float]:
    """Time budget of each chapter that has one, in seconds on two cores.

    Raises
    ------
    UserError
        If there is no such preset.
    """
    check(preset)
    found = {c: t.get(preset, {}).get("seconds") for c, t in _tables(book)["chapters"].items()}
    return {chapter: seconds for chapter, seconds in found.items() if seconds is not None}
