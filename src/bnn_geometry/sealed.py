"""A folder of files and one JSON file that holds their hashes and its own.

Whoever reads the folder sees whether a file was damaged or edited. This is no protection against
someone who computes the hashes anew.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from bnn_geometry import sources
from bnn_geometry.errors import UserError


def sync(path: Path) -> None:
    """Wait until a file, or a folder's list of files, is on the disk."""
    folder = path.is_dir()
    if folder and os.name == "nt":  # cannot open one
        return
    descriptor = os.open(path, os.O_RDONLY if folder else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write(folder: Path, name: str, values: dict[str, Any], files: Iterable[str]) -> None:
    """Write ``name`` into a folder: the values and SHA-256 of each file and of itself.

    It appears whole or not at all, and when all the files are on the disk.

    Parameters
    ----------
    folder : Path
    name : str
        Of the JSON file.
    values : dict
        What JSON can hold; the key ``sha256`` is added.
    files : iterable of str
        Names of files in the folder.

    Raises
    ------
    OSError
        If something cannot be read or written.
    """
    hashes = {}
    for file in files:
        sync(folder / file)
        hashes[file] = sources.file_hash(folder / file)
    values = values | {"sha256": hashes}
    values["sha256"] = hashes | {name: _own_hash(values, name)}
    temporary = folder / f".{name}"
    temporary.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    sync(temporary)
    sync(folder)
    temporary.replace(folder / name)
    sync(folder)


def read(folder: Path, name: str, files: Iterable[str], *, remedy: str) -> dict[str, Any]:
    """Read ``name`` and verify every hash in it.

    Parameters
    ----------
    folder : Path
    name : str
    files : iterable of str
        Names that must be among those with a hash.
    remedy : str
        What to do about a damaged file: the end of the message.

    Returns
    -------
    dict
        The values that were written, and ``sha256``.

    Raises
    ------
    UserError
        If a file is not the one that was sealed.
    OSError, ValueError, LookupError, TypeError, AttributeError
        If a file is missing, or the JSON file holds something else.
    """
    values = json.loads((folder / name).read_text(encoding="utf-8"))
    hashes = values["sha256"]
    found = {name: _own_hash(values, name)}
    for file in dict.fromkeys([*files, *hashes]):
        if file not in found:
            found[file] = sources.file_hash(folder / file)
        if found[file] != hashes[file]:
            raise UserError(
                f"{folder / file} is not the file that {name} describes: it was damaged or "
                f"edited. {remedy}"
            )
    return values


@contextmanager
def reading(folder: Path, what: str, *, remedy: str) -> Iterator[None]:
    """Whatever goes wrong inside while a folder is read becomes one sentence.

    Parameters
    ----------
    folder : Path
    what : str
        What it holds, in the plural: the subject of the message.
    remedy : str
        What to do about it: the end of the message.

    Raises
    ------
    UserError
        If a file is missing, damaged, or holds something else.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise UserError(f"There are no {what} in {folder}.") from error
    except (
        *(OSError, SafetensorError, ValueError, LookupError, TypeError, AttributeError),
    ) as error:
        raise UserError(f"The {what} in {folder} cannot be read: {error}. {remedy}") from error


def _own_hash(values: dict[str, Any], name: str) -> str:
    # Of what the file says, this hash itself left out.
    hashes = {file: value for file, value in values["sha256"].items() if file != name}
    return sources.text_hash(json.dumps(values | {"sha256": hashes}, sort_keys=True))
