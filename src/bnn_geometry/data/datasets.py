"""CIFAR-10 and MNIST as uint8 tensors in memory, with where they came from.

``load`` takes the first it finds: the official archive, an image folder (or a tar of one), and
otherwise a stand-in made of images that are installed with scikit-image and scikit-learn. What was
decoded once is kept in a checked cache. Nothing here but ``fetch`` uses the network.

torch, torchvision and Pillow are imported inside the functions that decode: finding the data and
their fingerprint is all that a build with nothing to do needs, and must not cost their import.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import struct
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnn_geometry.data.decoding import (
    STAND_IN_TITLES,
    STANDARDS,
    Decoded,
    decode,
    stand_in_files,
    vision_datasets,
)
from bnn_geometry.data.download import download
from bnn_geometry.errors import UserError
from bnn_geometry.paths import cache_root, data_root, data_root_is_given

if TYPE_CHECKING:
    from torch import Tensor

DATASETS = ("cifar10", "mnist")
SOURCES = ("auto", "official", "folder", "stand-in")


_BATCHES = "cifar-10-batches-py"  # the CIFAR-10 archive, unpacked
_FORMAT = "1"  # of the cache; raise it when decoding or a stand-in changes
_TENSORS = ("train_images", "train_labels", "test_images", "test_labels")


@dataclass(frozen=True, eq=False)
class Split:
    """Images and their labels.

    Attributes
    ----------
    images
        uint8, (N, C, H, W).
    labels
        int64, (N,), each an index into ``Dataset.classes``.
    """

    images: Tensor
    labels: Tensor

    def sample(self, count: int, seed: int) -> Split:
        """Some of them, drawn at random: the files of some copies are sorted by class.

        Parameters
        ----------
        count
            How many; all of them, in random order, if there are no more.
        seed
            The same seed draws the same images, and with a larger ``count`` further ones.

        Raises
        ------
        ValueError
            If ``count`` is less than 1.
        """
        import torch

        if count < 1:
            raise ValueError(f"At least 1 image must be drawn, not {count}.")
        order = torch.randperm(len(self.images), generator=torch.Generator().manual_seed(seed))
        return Split(self.images[order[:count]], self.labels[order[:count]])


@dataclass(frozen=True)
class Provenance:
    """Where images came from; goes into figure titles, run folders and ledger rows.

    Attributes
    ----------
    dataset
        One of ``DATASETS``.
    source
        ``"official"``, ``"folder"`` or ``"stand-in"``.
    title
        For figures; a stand-in's never names the data set it stands in for.
    detail
        One sentence.
    path
        The file or folder they were read from, None for a stand-in.
    fingerprint
        SHA-256 of pixels, labels and class names, 64 hex digits.
    train_images
        How many.
    test_images
        How many.
    """

    dataset: str
    source: str
    title: str
    detail: str
    path: str | None
    fingerprint: str
    train_images: int
    test_images: int

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as a dictionary that JSON can hold."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set in memory.

    An image folder and the CIFAR-10 stand-in are sorted by class: shuffle to train, and draw at
    random, not from the front, to take a few images.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    test: Split
    provenance: Provenance


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
        SHA-256 over path, names, sizes and times of change, 64 hex digits.
    """

    dataset: str
    source: str
    path: Path | None
    kind: str
    signature: str


# --- finding ------------------------------------------------------------------------------------


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
    _check_choice("data set", name, DATASETS)
    _check_choice("source", source, SOURCES)
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


def _check_choice(what: str, value: str, valid: tuple[str, ...]) -> None:
    if value not in valid:
        raise UserError(f"Unknown {what} {value!r}: choose one of {', '.join(valid)}.")


def _places(name: str, source: str) -> tuple[str, ...]:
    if source == "folder":
        return (f"{name}/", f"{name}*.tar.xz")
    return (STANDARDS[name].files[0], f"{_BATCHES}/") if name == "cifar10" else ("MNIST/raw/*.gz",)


def _locate_official(name: str, root: Path, entries: list[str]) -> Location | None:
    files = [root / file for file in STANDARDS[name].files]
    if all(file.is_file() for file in files):
        if name == "mnist":
            return _location(name, "official", files[0].parent, "raw", files)
        return _location(name, "official", files[0], "archive", files)
    if name == "cifar10" and _BATCHES in entries:
        path = root / _BATCHES
        return _location(name, "official", path, "batches", _walk(path))
    return None


def _locate_folder(name: str, root: Path, entries: list[str]) -> Location | None:
    if name in entries and (root / name).is_dir():
        return _location(name, "folder", root / name, "folder", _walk(root / name))
    # cifar10.tar, cifar10-jpeg.tar.xz, but not cifar100.tar
    tars = [x for x in entries if re.fullmatch(rf"{name}(?!\d).*\.tar(\.xz|\.gz)?", x)]
    if len(tars) > 1:
        raise UserError(f"{root} holds {' and '.join(tars)}: keep the one that is meant.")
    if not tars:
        return None
    return _location(name, "folder", root / tars[0], "tar", [root / tars[0]])


def _locate_stand_in(name: str) -> Location:
    # Not the path or the times: the same release of scikit-image has the same photographs.
    digest = hashlib.sha256(f"{name} stand-in {_FORMAT}".encode())
    for file in stand_in_files(name):
        try:
            digest.update(file.read_bytes())
        except OSError as error:
            raise UserError(
                f"{file} cannot be read ({error.strerror}): reinstall the package that ships it, "
                f"`pip install --force-reinstall scikit-image scikit-learn`."
            ) from error
    return Location(name, "stand-in", None, "stand-in", digest.hexdigest())


def _location(name: str, source: str, path: Path, kind: str, files: Iterable[Any]) -> Location:
    """Make a location; ``files`` are paths or directory entries, both have ``stat``."""
    digest = hashlib.sha256(f"{name} {source} {kind} {path}\n".encode("utf-8", "surrogateescape"))
    for file in files:
        state = file.stat()
        line = f"{os.fspath(file)}\0{state.st_size}\0{state.st_mtime_ns}\n"
        digest.update(line.encode("utf-8", "surrogateescape"))
    return Location(name, source, path, kind, digest.hexdigest())


def _walk(folder: Path | str) -> Iterator[os.DirEntry[str]]:
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        yield entry  # the folders too: an empty class folder is part of what was found
        if entry.is_dir():
            yield from _walk(entry.path)


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


# --- loading ------------------------------------------------------------------------------------


def load(name: str, *, source: str = "auto", root: str | os.PathLike[str] | None = None) -> Dataset:
    """Load a data set into memory, from the cache where that is still true to the files.

    Parameters
    ----------
    name
        One of ``DATASETS``.
    source
        One of ``SOURCES``; ``"auto"`` takes the official data if they are there, else an
        image folder or a tar of one, else the stand-in.
    root
        See :func:`bnn_geometry.paths.data_root`.

    Returns
    -------
    Both splits as uint8 images (N, 3, 32, 32) or (N, 1, 28, 28) and int64 labels (N,), with
    their class names and provenance. Official data keep their order; image folders are
    sorted by class and file name.

    Raises
    ------
    UserError
        As ``locate``, or the data are damaged or not what they should be.
    """
    location = locate(name, source=source, root=root)
    decoded, digest = _read_cache(location) or _fill_cache(location)
    train_images, train_labels, test_images, test_labels = (decoded.tensors[x] for x in _TENSORS)
    provenance = Provenance(
        dataset=name,
        source=location.source,
        title=decoded.title,
        detail=decoded.detail,
        path=None if location.path is None else str(location.path),
        fingerprint=digest,
        train_images=len(train_images),
        test_images=len(test_images),
    )
    train, test = Split(train_images, train_labels), Split(test_images, test_labels)
    return Dataset(name, decoded.classes, train, test, provenance)


def fingerprint(
    name: str, *, source: str = "auto", root: str | os.PathLike[str] | None = None
) -> str:
    """Return the fingerprint of what ``load`` returns: 64 hex digits.

    It depends on pixels, labels and class names alone. Where the cache is present and belongs to
    the files found, its header is read and nothing else; otherwise the data are decoded, once.

    Raises
    ------
    UserError
        As ``load``.
    """
    location = locate(name, source=source, root=root)
    header = _read_header(location)
    if header is not None:
        return header["fingerprint"]
    return load(name, source=source, root=root).provenance.fingerprint


def fetch(
    names: Iterable[str], *, root: str | os.PathLike[str] | None = None, progress: bool = True
) -> list[Path]:
    """Download the official archives, resuming what was interrupted; check them by MD5.

    Addresses and MD5 sums are torchvision's. Files that are there and right are left alone.

    Parameters
    ----------
    names
        Of ``DATASETS``.
    root
        See :func:`bnn_geometry.paths.data_root`; created if it does not exist.
    progress
        Show a bar on standard error when that is a terminal, else a line per file.

    Returns
    -------
    The files, one for CIFAR-10 and four for MNIST.

    Raises
    ------
    UserError
        Unknown name, no connection, wrong file, or no room; the sentence says what
        stays and how to go on.
    """
    names = [names] if isinstance(names, str) else list(names)
    for name in names:
        _check_choice("data set", name, DATASETS)
    vision = vision_datasets()
    wanted = []  # (file, addresses, md5)
    for name in names:
        if name == "cifar10":
            cifar10 = vision.CIFAR10
            wanted.append((cifar10.filename, [cifar10.url], cifar10.tgz_md5))
        else:
            for file, md5 in vision.MNIST.resources:
                mirrors = [mirror + file for mirror in vision.MNIST.mirrors]
                wanted.append((f"MNIST/raw/{file}", mirrors, md5))
    folder = data_root(root)
    return [download(urls, folder / file, md5, progress=progress) for file, urls, md5 in wanted]


# --- the cache ----------------------------------------------------------------------------------


def _cache_file(location: Location) -> Path:
    return cache_root() / "decoded" / f"{location.dataset}-{location.source}.safetensors"


def _checksum(metadata: dict[str, str]) -> str:
    rest = {key: value for key, value in metadata.items() if key != "checksum"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _read_header(location: Location) -> dict[str, str] | None:
    """Return the cache's metadata, or None unless it is whole and belongs to ``location``.

    A safetensors file begins with the length of its header, 8 bytes, and the header, JSON. Read
    by hand: that takes no import, and the length of the file shows whether it was cut.
    """
    try:
        with open(_cache_file(location), "rb") as file:
            size = os.fstat(file.fileno()).st_size
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(min(length, size)))
        metadata = header.pop("__metadata__")
        whole = size == 8 + length + max(entry["data_offsets"][1] for entry in header.values())
        valid = (
            whole
            and metadata["format"] == _FORMAT
            and metadata["signature"] == location.signature
            and metadata["checksum"] == _checksum(metadata)
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError, struct.error):
        return None
    return metadata if valid else None


def _read_cache(location: Location) -> tuple[Decoded, str] | None:
    """Return the cached data and their fingerprint, or None unless every byte is right."""
    metadata = _read_header(location)
    if metadata is None:
        return None
    import safetensors
    import safetensors.torch

    try:
        # Into memory, not mapped: what was verified is then what is used, whatever happens to
        # the file afterwards.
        tensors = safetensors.torch.load(_cache_file(location).read_bytes())
        classes = tuple(json.loads(metadata["classes"]))
        decoded = Decoded(classes, tensors, metadata["title"], metadata["detail"])
        digest = _fingerprint(decoded)
    except (OSError, safetensors.SafetensorError, LookupError):
        return None
    return (decoded, digest) if digest == metadata["fingerprint"] else None


def _fill_cache(location: Location) -> tuple[Decoded, str]:
    """Decode and write the cache; a cache that cannot be written costs time, not the data."""
    import filelock

    path = _cache_file(location)
    lock = filelock.FileLock(path.with_suffix(".lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except (OSError, NotImplementedError) as error:
        _report_unwritable(path, error)
        decoded = decode(location.dataset, location.kind, location.path)
        return decoded, _fingerprint(decoded)
    try:
        # Another process may have written it while this one waited.
        return _read_cache(location) or _decode_and_write(location)
    finally:
        lock.release()


def _decode_and_write(location: Location) -> tuple[Decoded, str]:
    import safetensors.torch

    decoded = decode(location.dataset, location.kind, location.path)
    digest = _fingerprint(decoded)
    metadata = {
        "format": _FORMAT,
        "signature": location.signature,
        "fingerprint": digest,
        "classes": json.dumps(decoded.classes),
        "title": decoded.title,
        "detail": decoded.detail,
    }
    metadata["checksum"] = _checksum(metadata)
    path = _cache_file(location)
    beside = path.with_suffix(".part")  # one name: what a killed process left is overwritten
    try:
        beside.write_bytes(safetensors.torch.save(decoded.tensors, metadata))
        os.replace(beside, path)
    except OSError as error:
        _report_unwritable(path, error)
    finally:
        beside.unlink(missing_ok=True)
    return decoded, digest


def _report_unwritable(path: Path, error: Exception) -> None:
    print(
        f"the decoded images cannot be kept in {path.parent} "
        f"({getattr(error, 'strerror', None) or error}): they are decoded again each time; set "
        f"BNN_CACHE to a folder with room",
        file=sys.stderr,
    )


def _fingerprint(decoded: Decoded) -> str:
    """SHA-256 over class names, and type, shape and bytes of the four tensors."""
    tensors = decoded.tensors
    layout = [[key, str(tensors[key].dtype), list(tensors[key].shape)] for key in _TENSORS]
    digest = hashlib.sha256(json.dumps([list(decoded.classes), layout]).encode())
    for key in _TENSORS:
        digest.update(tensors[key].contiguous().numpy())
    return digest.hexdigest()
