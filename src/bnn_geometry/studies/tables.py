"""Tables that a study publishes: a folder of CSV files and one manifest beside them.

A published study is a folder of plain files::

    study.json      its name, settings, data, versions, code and seconds; a hash of each file
    errors.csv      a table, and further ones, named after what they hold

Floats are written so that they come back bit for bit. A finished part of a study that is not
finished is such a folder, too (:mod:`bnn_geometry.studies.sweep`).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from bnn_geometry import paths, storage
from bnn_geometry.data.datasets import plain
from bnn_geometry.errors import UserError
from bnn_geometry.training.recipes import Recipe

FILE = "study.json"


@dataclass(frozen=True)
class Published:
    """What a study found, and what it was found with.

    Attributes
    ----------
    study : str
        Its name.
    tables : dict of str to DataFrame
        By the names of their files. Every study says of its own what their rows and columns are.
    settings : dict
        What decided the rows, besides the data and the code.
    data : dict
        Provenance of the images.
    versions : dict
        Of Python and the libraries.
    commit, code : str or None
        Commit of the package, and a hash over its files. None: not recorded.
    seconds : float or None
        That all parts took together, each where it ran. None: not recorded.
    earlier : tuple of dict
        Commit, code and seconds of the calls whose rows were there already.
    """

    study: str
    tables: dict[str, pd.DataFrame]
    settings: dict[str, Any]
    data: dict[str, Any]
    versions: dict[str, str]
    commit: str | None = None
    code: str | None = None
    seconds: float | None = None
    earlier: tuple[dict[str, Any], ...] = ()

    @cached_property
    def recipe(self) -> Recipe:
        """How the study's networks were trained, or those that its variants set out from."""
        return Recipe.from_dict(self.settings["recipe"])


def check_target(path: Path, study: str) -> None:
    """Refuse a folder that a study must not replace.

    Raises
    ------
    UserError
        If at ``path`` is anything else than the tables of that very study.
    """
    if not path.exists():
        return
    try:
        values = json.loads((path / FILE).read_text(encoding="utf-8"))
        known = values["study"] == study and {FILE, *values["sha256"]}
        its_own = known and all(entry.name in known for entry in path.iterdir())
    except (OSError, ValueError, LookupError, TypeError):
        its_own = False
    if not its_own:
        raise UserError(
            f"There is something else than the study {study} at {path}: choose another folder."
        )


def write(path: Path, found: Published) -> None:
    """Write a published study; what was at ``path`` gives way once the new folder is whole.

    Raises
    ------
    UserError
        If it cannot be written, and as :func:`check_target` does.
    """
    path = Path(path).resolve()
    check_target(path, found.study)
    values = {
        name: getattr(found, name)
        for name in ("study", "settings", "data", "versions", "commit", "code", "seconds")
    }
    if found.earlier:
        values["earlier"] = list(found.earlier)
    new = path.with_name(f".{path.name}.new")
    shutil.rmtree(new, ignore_errors=True)  # of a call that was killed
    with storage.new_folder(new) as folder:
        write_tables(folder, found.tables, values)
    try:
        shutil.rmtree(path, ignore_errors=True)
        new.rename(path)
    except OSError as error:
        raise UserError(
            f"{path} could not be written: {error}. The tables are in {new}."
        ) from error


def read(path: Path) -> Published:
    """Read a published study and verify every hash.

    Raises
    ------
    UserError
        If a file is missing or damaged.
    """
    path = Path(path)
    tables, values = read_tables(path, remedy="Restore the folder, or run the study again.")
    try:
        said = {k: plain(v) if isinstance(v, str) else v for k, v in values["data"].items()}
        values |= {"data": said, "earlier": tuple(values.get("earlier", ()))}
        return Published(tables=tables, **values)
    except (TypeError, LookupError, AttributeError) as error:
        raise UserError(f"{path / FILE} describes no published study.") from error


def published(study: str) -> Published:
    """The published study of a name, verified.

    Raises
    ------
    UserError
        As :func:`read` does.
    """
    return read(paths.published(study))


def write_tables(
    folder: Path, tables: Mapping[str, pd.DataFrame], values: Mapping[str, Any]
) -> None:
    """Write tables and their manifest into an existing folder, the manifest last.

    Raises
    ------
    OSError
        If something cannot be written.
    """
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    storage.write_manifest(folder, FILE, dict(values), [f"{name}.csv" for name in tables])


def read_tables(folder: Path, *, remedy: str) -> tuple[dict[str, pd.DataFrame], dict[str, Any]]:
    """The tables of a folder by name, in the order in which they were written, and the manifest.

    Raises
    ------
    UserError
        If a file is missing or damaged; ``remedy`` says what to do then.
    """
    with storage.reading(folder, "tables of a study", remedy=remedy):
        values = storage.read_manifest(folder, FILE, (), remedy=remedy)
        files = [Path(name) for name in values.pop("sha256") if name.endswith(".csv")]
        # nothing but an empty field is missing: "None" may be the name of a variant
        tables = {
            file.stem: pd.read_csv(folder / file, keep_default_na=False, na_values=[""])
            for file in files
        }
    return tables, values


def check_addable(
    kept: Published, *, settings: dict[str, Any], data: dict[str, Any], versions: dict[str, str]
) -> None:
    """Refuse to add to tables that were made with something else.

    Raises
    ------
    UserError
        If settings, images or versions differ.
    """

    def whole(values: dict[str, Any]) -> dict[str, Any]:
        # a recipe written before it had a field is as ever
        recipe = {}
        if "recipe" in values:
            recipe = {"recipe": Recipe.from_dict(values["recipe"]).as_dict()}
        return values | recipe

    if whole(kept.settings) != whole(settings):
        what = "with other settings"
    elif kept.versions != versions:
        what = "with other versions"
    elif kept.data["fingerprint"] != data["fingerprint"]:
        what = f"on other images: {kept.data['title']}"
    else:
        return
    raise UserError(f"The tables of {kept.study} were made {what}. Nothing can be added to them.")


def added(kept: Published, new: Published, keys: Mapping[str, Sequence[str]]) -> Published:
    """The new tables below the rows that are there already.

    Parameters
    ----------
    kept, new : Published
        Of the same study.
    keys : mapping of str to sequence of str
        The columns of each table that tell its parts: rows that were measured again give way.
    """
    tables = dict(kept.tables)
    for name, table in new.tables.items():
        columns = list(keys[name])
        if name in tables and len(tables[name]):
            old = tables[name]
            again = pd.MultiIndex.from_frame(table[columns])
            stay = old[~pd.MultiIndex.from_frame(old[columns]).isin(again)]
            table = pd.concat([stay, table], ignore_index=True)
        tables[name] = table
    before = {key: getattr(kept, key) for key in ("commit", "code", "seconds")}
    return replace(new, tables=tables, earlier=(*kept.earlier, before))
