"""Finding the data without reading them: the official archive, an image folder, or the stand-in."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from bnn_geometry.data.entries import check_text, in_folder
from bnn_geometry.data.stand_ins import STAND_IN_TITLES, stand_in_files
from bnn_geometry.data.standards import DATASETS, FORMAT, STANDARDS, check_choice
from bnn_geometry.errors import UserError
from bnn_geometry.paths import data_root, data_root_is_given

SOURCES = ("auto", "official", "folder", "stand-in")

_TARS = r"tar|tar\.(?:xz|gz|bz2)|tgz|txz|tbz2?"
_PACKED = r"zip|7z|rar|tar\.(?:zst|lz4?|lzma|lzo|Z)"
_BATCHES = "cifar-10-batches-py"  # the CIFAR-10 archive, unpacked


@dataclass(frozen=True)
class Location:
    """Data that were found but not read.

    Attributes
    ----------
    dataset
        One of ``DATASETS``.
    source
        ``"official"``, ``"folder"`` or ``"stand-in"``.
    path
        File or folder, None for a stand-in.
    kind
        ``"archive"`` (CIFAR-10), ``"batches"`` (the same, unpacked), ``"raw"`` (MNIST),
        ``"folder"``, ``"tar"`` or ``"stand-in"``.
    signature
        From :func:`signature`.
    """

    dataset: str
    source: str
    path: Path | None
    kind: str
    signature: str


def locate(
    name: str, *, source: str = "auto", root: str | os.PathLike[str] | None = None
) -> Location:
    """Find a data set without reading it.

    Parameters
    ----------
    name
        One of ``DATASETS``.
    source
        One of ``SOURCES``; ``"auto"`` takes the first of the others that is there.
    root
        See :func:`bnn_geometry.paths.data_root`.

    Raises
    ------
    UserError
        Unknown name or source, no such folder, or a source asked for that is not there.
    """
    check_choice("data set", name, DATASETS)
    check_choice("source", source, SOURCES)
    folder = data_root(root)
    explicit = data_root_is_given(root)
    if explicit and not folder.is_dir():
        raise UserError(
            f"The data folder {folder} does not exist or is not a folder: create it, or correct "
            f"BNN_DATA (or the folder given)."
        )
    try:
        # Names as listed: on a disk that ignores case, mnist/ would otherwise match MNIST/.
        entries = sorted(os.listdir(folder)) if folder.is_dir() else []
        location = None
        if source in ("auto", "official"):
            location = _locate_official(name, folder, entries)
        if location is None and source in ("auto", "folder"):
            location = _locate_folder(name, folder, entries)
    except OSError as error:
        raise UserError(
            f"{folder} cannot be read ({error.strerror}): see its permissions."
        ) from error
    if location is None and source in ("auto", "stand-in"):
        location = _locate_stand_in(name)
    if location is None:
        looked = " or ".join(str(folder / place) for place in _places(name, source))
        raise UserError(
            f"The {'official' if source == 'official' else 'image folder of'} "
            f"{STANDARDS[name].title} was not found as {looked}: "
            + (
                f"`bnn-geometry fetch {name}` downloads it."
                if source == "official"
                else "put it there, or choose another source."
            )
        )
    return location


def _places(name: str, source: str) -> tuple[str, ...]:
    if source == "folder":
        return (f"{name}/", f"{name}*.tar.xz")
    return (STANDARDS[name].files[0], f"{_BATCHES}/") if name == "cifar10" else ("MNIST/raw/*.gz",)


def _locate_official(name: str, root: Path, entries: list[str]) -> Location | None:
    files = _official_files(name, root)
    if all(file.is_file() for file in files):
        if name == "mnist":
            return _location(name, "official", files[0].parent, "raw")
        return _location(name, "official", files[0], "archive")
    if name == "cifar10" and _BATCHES in entries:
        return _location(name, "official", root / _BATCHES, "batches")
    return None


def _official_files(name: str, root: Path) -> list[Path]:
    return [root / file for file in STANDARDS[name].files]


def _locate_folder(name: str, root: Path, entries: list[str]) -> Location | None:
    if name in entries and (root / name).is_dir():
        return _location(name, "folder", root / name, "folder")
    # cifar10.tar, cifar10-jpeg.tar.xz, but not cifar100.tar
    packed = {x: re.fullmatch(rf"{name}(?!\d).*?\.((?i:{_TARS}|{_PACKED}))", x) for x in entries}
    packed = {x: match for x, match in packed.items() if match}
    tars = [x for x, match in packed.items() if re.fullmatch(_TARS, match[1], re.I)] or list(packed)
    if len(tars) > 1:
        raise UserError(f"{root} holds {' and '.join(tars)}: keep the one that is meant.")
    if not tars:
        return None
    path = root / tars[0]
    if not re.fullmatch(_TARS, packed[tars[0]][1], re.I):
        raise UserError(f"{path} is not read packed in this way: unpack it to {root / name}.")
    if not path.is_file():
        raise UserError(f"{path} is no ordinary file: delete it, or rename it.")
    return _location(name, "folder", path, "tar")


def _locate_stand_in(name: str) -> Location:
    # Not the path or the times: the same release of scikit-image has the same photographs.
    digest = hashlib.sha256(f"{name} stand-in {FORMAT}".encode())
    for file in stand_in_files(name):
        try:
            digest.update(file.read_bytes())
        except OSError as error:
            raise UserError(
                f"{file} cannot be read ({error.strerror}): reinstall the package that ships it, "
                f"`pip install --force-reinstall scikit-image scikit-learn`."
            ) from error
    return Location(name, "stand-in", None, "stand-in", digest.hexdigest())


def _location(name: str, source: str, path: Path, kind: str) -> Location:
    check_text("The path of the data,", str(path))
    return Location(name, source, path, kind, signature(name, source, path, kind))


def signature(name: str, source: str, path: Path, kind: str) -> str:
    """SHA-256 over path, names, sizes and times of change of what would be read, 64 hex digits.

    The time of the last change of a file's entry is among them, which nobody can set back.

    Raises
    ------
    UserError, OSError
        If something cannot be read.
    """
    digest = hashlib.sha256(f"{name} {source} {kind} {path}\n".encode())
    if kind == "folder":
        for entry in in_folder(path):  # an empty class folder is part of what was found
            state = () if entry.kind == "folder" else entry.state
            digest.update(f"{entry.parts} {entry.kind} {state}\n".encode())
    else:
        files = {"tar": [path], "raw": _official_files(name, path.parents[1]), "archive": [path]}
        for file in files[kind] if kind in files else sorted(path.iterdir()):
            state = file.stat()
            seen = (state.st_size, state.st_mtime_ns, state.st_ctime_ns)
            digest.update(f"{(file.name,)} {seen}\n".encode())
    return digest.hexdigest()


def describe(name: str, *, source: str = "auto", root: str | os.PathLike[str] | None = None) -> str:
    """Say in one line which data ``load`` would take, without reading them.

    Raises
    ------
    UserError
        As ``locate``.
    """
    location = locate(name, source=source, root=root)
    if location.source == "official":
        return f"{name}: official {STANDARDS[name].title}, {location.path}"
    if location.source == "folder":
        return f"{name}: image folder {location.path}"
    missing = "" if source == "stand-in" else f"nothing better in {data_root(root)}; "
    return (
        f"{name}: {STAND_IN_TITLES[name]} "
        f"({missing}`bnn-geometry fetch {name}` gets the real images)"
    )
