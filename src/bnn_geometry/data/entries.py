"""What is read of an image folder, or of a tar of one: its images in order, or a sentence.

No image is lost silently: whatever lies below ``train`` and ``test`` is read, left by another
program and passed over (:func:`is_ours`), counted, or refused by name.
"""

from __future__ import annotations

import errno
import lzma
import os
import stat
import tarfile
import unicodedata
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bnn_geometry.data.standards import STANDARDS
from bnn_geometry.errors import UserError

SPLITS = ("train", "test")
_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png")
_OTHER_SUFFIXES = (
    *(".apng", ".avif", ".bmp", ".dib", ".gif", ".heic", ".heif", ".ico", ".j2k", ".jp2", ".jxl"),
    *(".npy", ".npz", ".pbm", ".pcx", ".pgm", ".pnm", ".ppm", ".svg", ".tga"),
    *(".tif", ".tiff", ".webp"),
)
_MAX_BYTES = 1 << 20  # no image of this size is larger; keeps a wrong tar out of memory
_SERVICE = (
    *("@eadir", "@recycle", "@tmp", "#recycle", "#snapshot", "lost+found", "__macosx"),
    *("$recycle.bin", "thumbs.db", "desktop.ini"),
)


@dataclass(frozen=True)
class Entry:
    """A file or folder.

    Attributes
    ----------
    parts
        Its place within the image folder, such as train, bird, 0001.png.
    shown
        Its name in messages.
    kind
        ``"folder"``, ``"file"``, ``"link"`` (in a tar) or ``"other"``: a pipe, a device.
    state
        Size in bytes; of a file on the disk also the times at which it and its entry changed.
    content
        Gives the bytes of a file, or where they are.
    """

    parts: tuple[str, ...]
    shown: str
    kind: str
    state: tuple[int, ...]
    content: Callable[[], bytes | Path]


@dataclass(frozen=True)
class Images:
    """The images of one split, as torchvision's ``ImageFolder`` orders them.

    Attributes
    ----------
    classes
        Sorted.
    samples
        Name to show, label, and the bytes or where they are.
    """

    classes: list[str]
    samples: list[tuple[str, int, bytes | Path]]


def is_ours(name: str) -> bool:
    """Whether another program did not leave it: .ipynb_checkpoints, ._0001.jpg, @eaDir."""
    return not name.startswith(".") and name.lower() not in _SERVICE


def check_text(what: str, name: str) -> None:
    """Refuse a name that cannot be shown: bytes that are no UTF-8, control characters."""
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        raise UserError(f"{what} {name!a} is no text in UTF-8: rename it.")


def in_folder(path: Path) -> Iterator[Entry]:
    """Everything of ours below the splits of an image folder; links are followed.

    Raises
    ------
    UserError
        If a link leads nowhere, or to a folder that holds it.
    OSError
        If something cannot be read.
    """
    above = {(state.st_dev, state.st_ino) for state in map(os.stat, path.resolve().parents)}
    yield from _below(path, (), above)


def _below(folder: Path, parts: tuple[str, ...], above: set[tuple[int, int]]) -> Iterator[Entry]:
    state = folder.stat()
    above = above | {(state.st_dev, state.st_ino)}
    for name in sorted(os.listdir(folder)):
        if not is_ours(name) or not (parts or name in SPLITS):
            continue
        file, place = folder / name, (*parts, name)
        try:
            state = file.stat()
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ELOOP):
                raise
            raise UserError(f"{file} is a link that leads nowhere: delete it.") from error
        kind = {stat.S_IFDIR: "folder", stat.S_IFREG: "file"}.get(
            stat.S_IFMT(state.st_mode), "other"
        )
        if (state.st_dev, state.st_ino) in above:
            raise UserError(f"{file} is a link to a folder that holds it: delete it.")
        seen = (state.st_size, state.st_mtime_ns, state.st_ctime_ns)
        yield Entry(place, str(file), kind, seen, lambda file=file: file)
        if kind == "folder":
            yield from _below(file, place, above)


class _WholeTar(tarfile.TarInfo):
    """Members of a tar that is read to its end mark.

    tarfile takes a damaged header for the end, and so does it the end of a file that was cut
    between two members.
    """

    @classmethod
    def fromtarfile(cls, tar: tarfile.TarFile) -> tarfile.TarInfo:
        """The next member; EOFHeaderError at the end mark, ReadError where there is neither."""
        try:
            return super().fromtarfile(tar)
        except tarfile.EOFHeaderError:
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from error


def _in_tar(name: str, path: Path) -> Iterator[Entry]:
    # Everything of ours below the splits of the image folder ``name`` in a tar, which is read to
    # the end of the file: a compressed one has its checksum there.
    with tarfile.open(path, tarinfo=_WholeTar) as tar:
        for member in tar:
            parts = Path(member.name).parts
            if ".." in parts or Path(member.name).is_absolute():
                raise UserError(
                    f"{path} holds {member.name!a}, which leads out of the folder: pack it "
                    f"again beside the folder, `tar -cJf {name}.tar.xz {name}`."
                )
            if len(parts) < 2 or parts[0] != name or parts[1] not in SPLITS:
                continue
            if not all(map(is_ours, parts)):
                continue
            kind = "folder" if member.isdir() else "file" if member.isfile() else "other"
            if member.issym() or member.islnk():
                kind = "link"
            shown = f"{member.name} in {path}"
            yield Entry(
                parts[1:], shown, kind, (member.size,), lambda m=member: tar.extractfile(m).read()
            )
        while block := tar.fileobj.read(_MAX_BYTES):
            if block.strip(b"\0"):
                raise UserError(
                    f"{path} goes on after its end, as if it were two tars in one file: unpack "
                    f"both, and pack the folder {name} again."
                )


def _is_read(name: str, entry: Entry) -> bool:
    """Whether an entry is an image to read; False for a folder, and for what is to be counted.

    Raises
    ------
    UserError
        If it is an image, or something like one, that would be lost.
    """
    if entry.kind == "link":
        raise UserError(
            f"{entry.shown} is a link: pack the tar again with the options --dereference "
            f"--hard-dereference."
        )
    if entry.kind == "other":
        raise UserError(f"{entry.shown} is no ordinary file: delete it.")
    suffix = os.path.splitext(entry.parts[-1])[1].lower()
    if entry.kind == "folder" or suffix not in (*_SUFFIXES, *_OTHER_SUFFIXES):
        return False
    if suffix not in _SUFFIXES:
        raise UserError(f"{entry.shown} is no JPEG or PNG image: convert it, or delete it.")
    if len(entry.parts) < 3:
        raise UserError(f"{entry.shown} is in no class's folder: move it there, or delete it.")
    if entry.state[0] > _MAX_BYTES:
        raise not_an_image(entry.shown, name, f"has {entry.state[0]} bytes")
    return True


def read_folder(name: str, path: Path) -> tuple[dict[str, Images], list[str]]:
    """The images of a folder, by split, and the names of other files that are not read.

    Raises
    ------
    UserError
        If something would be lost, or as :func:`in_folder`.
    """
    return _read(name, in_folder(path))


def read_tar(name: str, path: Path) -> tuple[dict[str, Images], list[str]]:
    """The same of a tar, which is not unpacked: writing 60,000 small files would take longer.

    Raises
    ------
    UserError
        If something would be lost, or the tar is damaged. (A flipped bit within the pixels of a
        JPEG shows only where the tar is compressed.)
    """
    try:
        return _read(name, _in_tar(name, path))
    except (
        *(tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, OSError, ValueError),
    ) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(":")
        raise UserError(
            f"{path} is cut short or damaged ({reason}): copy it again, or delete it."
        ) from error


def _read(name: str, entries: Iterable[Entry]) -> tuple[dict[str, Images], list[str]]:
    # split -> class -> (folder within it, file name) -> name to show, content
    found: dict[str, dict[str, dict[tuple[str, str], tuple[str, bytes | Path]]]] = {}
    others = []
    for entry in entries:
        split, *within = entry.parts
        image = _is_read(name, entry)
        if entry.kind == "folder" or image:
            classes = found.setdefault(split, {})
            if within:
                classes.setdefault(within[0], {})
        if image:
            # of two with one name in a tar the later counts, as where it is unpacked
            key = ("/".join(within[1:-1]), within[-1])
            classes[within[0]][key] = (entry.shown, entry.content())
        elif entry.kind == "file":
            others.append(entry.shown)
    splits = {}
    for split, classes in found.items():
        splits[split] = images = Images(sorted(classes), [])
        for label, class_name in enumerate(images.classes):
            check_text(f"The name of the class {split}/", class_name)
            for _, (shown, content) in sorted(classes[class_name].items()):
                images.samples.append((shown, label, content))
    return splits, others


def not_an_image(shown: str, name: str, found: str) -> UserError:
    """The refusal of an image that ``found`` says how it differs from the data set's."""
    channels, height, width = STANDARDS[name].shape
    return UserError(
        f"{shown} {found}, but {STANDARDS[name].title} images are {height}×{width} with "
        f"{channels} channel{'s' if channels > 1 else ''} of 8 bits: convert it, or delete it."
    )
