"""Files and folders that appear whole or not at all, and manifests with checksums.

A **manifest** is a JSON file beside other files that holds their hashes and its own: whoever reads
the folder sees whether a file was damaged or edited. This is no protection against someone who
computes the hashes anew.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from bnn_geometry.errors import UserError


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def text_hash(text: str) -> str:
    """SHA-256 of a text in UTF-8, as hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that decide a result's bits.

    Torchvision is left out where it is not installed: training does without.
    """
    found = {"python": platform.python_version()}
    for name in ("torch", "torchvision", "numpy"):
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def is_word(text: object) -> bool:
    """Whether a name of files or layers is one that is safe as a path and on a page."""
    return isinstance(text, str) and re.fullmatch(r"\w[\w.-]*", text) is not None


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


def write_file(path: Path, content: str | bytes) -> None:
    """Write a file, text in UTF-8; it appears whole and on the disk, or not at all.

    Raises
    ------
    OSError
        If it cannot be written: what was at ``path`` stays.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        sync(temporary)
        sync(path.parent)  # what was written beside it comes first
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync(path.parent)


def remove_unfinished(folder: Path) -> None:
    """Remove what a kill left of files that :func:`write_file` was writing into a folder."""
    for file in folder.glob(".*.tmp"):
        file.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to fill, which is at ``path`` once it is whole, or not at all.

    Raises
    ------
    UserError
        If it cannot be written (no space, no permission) or there is something at ``path``.
    """
    path = Path(path)
    if path.exists():
        raise UserError(f"There is something at {path} already: choose another folder.")
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
        yield temporary
        temporary.chmod(0o755)  # mkdtemp's 0700 would follow the folder to where it is published
        temporary.rename(path)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path} could not be written: {error}.") from error
    finally:
        if temporary is not None:  # there no more once it was renamed
            shutil.rmtree(temporary, ignore_errors=True)


def write_manifest(folder: Path, name: str, values: dict[str, Any], files: Iterable[str]) -> None:
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
        hashes[file] = file_hash(folder / file)
    values = values | {"sha256": hashes}
    values["sha256"] = hashes | {name: _own_hash(values, name)}
    write_file(folder / name, json.dumps(values, indent=2, ensure_ascii=False) + "\n")


def read_manifest(folder: Path, name: str, files: Iterable[str], *, remedy: str) -> dict[str, Any]:
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
    for file in hashes:
        if not is_word(file):
            raise ValueError(f"{name} names a file {file!r:.60}, which is none beside it")
    for file in dict.fromkeys([*files, *hashes]):
        if file not in found:
            found[file] = file_hash(folder / file)
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
    return text_hash(json.dumps(values | {"sha256": hashes}, sort_keys=True))
