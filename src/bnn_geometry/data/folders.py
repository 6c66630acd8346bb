"""From image folders, and tars of them, to uint8 tensors."""

from __future__ import annotations

import io
import lzma
import os
import stat
import sys
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bnn_geometry.data.standards import STANDARDS, Decoded
from bnn_geometry.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

_SUFFIXES = (".jpg", ".jpeg", ".png")
_OTHER_SUFFIXES = (".bmp", ".gif", ".pgm", ".ppm", ".tif", ".tiff", ".webp")
_MAX_BYTES = 1 << 20  # no image of this size is larger; keeps a wrong tar out of memory


@dataclass(frozen=True)
class _Folder:
    """One split of an image folder, as torchvision's ``ImageFolder`` orders it."""

    classes: list[str]
    samples: list[tuple[str, int, Path | bytes]]  # name to show, label, where the bytes are


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


def _is_ours(name: str) -> bool:
    # not what other programs leave: .ipynb_checkpoints, macOS' ._0001.jpg, a disk station's @eaDir
    return not name.startswith((".", "@", "__MACOSX"))


def _is_image(shown: str) -> bool:
    """Whether a file is one to read; an image of another format must not be lost silently."""
    name = os.path.basename(shown).lower()
    if not _is_ours(name):
        return False
    if name.endswith(_OTHER_SUFFIXES):
        raise UserError(f"{shown} is no JPEG or PNG image: convert it, or delete it.")
    return name.endswith(_SUFFIXES)


def _subfolders(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir())


def _read_folder(path: Path) -> dict[str, _Folder]:
    """The files of an image folder, in the order that torchvision's ``ImageFolder`` has."""
    splits = {}
    for part in ("train", "test"):
        if not (path / part).is_dir():
            continue
        classes = [x for x in _subfolders(path / part) if _is_ours(x)]
        splits[part] = folder = _Folder(classes, [])
        for label, class_name in enumerate(classes):
            found = []
            for root, inner, files in os.walk(path / part / class_name, followlinks=True):
                inner[:] = filter(_is_ours, inner)
                found.append((root, [os.path.join(root, x) for x in files]))
            for _, files in sorted(found):
                samples = [(x, label, Path(x)) for x in sorted(files) if _is_image(x)]
                folder.samples.extend(samples)
    return splits


def _content(name: str, shown: str, file: Path) -> bytes:
    """The bytes of a file that may be an image: no pipe, device or giant is read."""
    state = file.stat()
    if not stat.S_ISREG(state.st_mode):
        raise UserError(f"{shown} is no ordinary file: delete it.")
    if state.st_size > _MAX_BYTES:
        raise _not_an_image(shown, name, f"has {state.st_size} bytes")
    return file.read_bytes()


def _read_tar(name: str, path: Path) -> dict[str, _Folder]:
    """Read the files in a tar of an image folder, in the order that ``ImageFolder`` would have.

    Not unpacked: writing 60,000 small files would take longer than decoding them. Members that
    are no images, or lie elsewhere, are passed over.
    """
    # split -> class -> (folder within it, file name) -> content
    found: dict[str, dict[str, dict[tuple[str, str], bytes]]] = {}
    try:
        with tarfile.open(path, tarinfo=_WholeTar) as tar:
            for member in tar:
                parts = Path(member.name).parts
                if len(parts) < 2 or parts[0] != name or parts[1] not in ("train", "test"):
                    continue
                if not all(map(_is_ours, parts[2:])):
                    continue
                classes = found.setdefault(parts[1], {})
                if member.isdir():
                    if len(parts) > 2:
                        classes.setdefault(parts[2], {})
                    continue
                shown = f"{member.name} in {path}"
                if len(parts) < 4 or not _is_image(member.name):
                    continue
                if not member.isfile():
                    raise UserError(
                        f"{shown} is a link: pack the tar again with the options --dereference "
                        f"--hard-dereference."
                    )
                if member.size > _MAX_BYTES:
                    raise _not_an_image(shown, name, f"has {member.size} bytes")
                key = ("/".join(parts[3:-1]), parts[-1])
                classes.setdefault(parts[2], {})[key] = tar.extractfile(member).read()
    except (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, OSError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(":")
        raise UserError(
            f"{path} is cut short or damaged ({reason}): copy it again, or delete it."
        ) from error
    splits = {}
    for split, classes in found.items():
        splits[split] = folder = _Folder(sorted(classes), [])
        for label, class_name in enumerate(folder.classes):
            for (within, file), content in sorted(classes[class_name].items()):
                inside = "/".join(filter(None, (name, split, class_name, within, file)))
                folder.samples.append((f"{inside} in {path}", label, content))
    return splits


def _check_layout(name: str, path: Path, splits: dict[str, _Folder]) -> None:
    layout = f"images belong in {name}/train/<class>/ and {name}/test/<class>/"
    for part in ("train", "test"):
        if part not in splits:
            raise UserError(f"{path} has no folder {name}/{part}: {layout}.")
    train, test = splits["train"], splits["test"]
    for class_name in sorted({*train.classes} ^ {*test.classes}):
        has, lacks = ("train", "test") if class_name in train.classes else ("test", "train")
        raise UserError(
            f"{path} has a class {class_name} in {has} but not in {lacks}: add the folder to "
            f"{lacks}, or remove it from {has}."
        )
    if len(train.classes) < 2:
        raise UserError(f"{path} has fewer than 2 class folders in train: {layout}.")
    for part, folder in splits.items():
        filled = {label for _, label, _ in folder.samples}
        for label, class_name in enumerate(folder.classes):
            if label not in filled:
                raise UserError(
                    f"{name}/{part}/{class_name} in {path} holds no {', '.join(_SUFFIXES)} file: "
                    f"add its images, or remove the class from train and test."
                )


def decode_folder(name: str, path: Path) -> Decoded:
    """An image folder, ``train/<class>/`` and ``test/<class>/`` in it."""
    return _decode(name, path, _read_folder(path))


def decode_tar(name: str, path: Path) -> Decoded:
    """A tar of an image folder; the same data as from the folder itself."""
    return _decode(name, path, _read_tar(name, path))


def _decode(name: str, path: Path, splits: dict[str, _Folder]) -> Decoded:
    import torch

    _check_layout(name, path, splits)
    tensors = {}
    samples = [sample for part in ("train", "test") for sample in splits[part].samples]
    images, formats = _decode_images(name, path, samples)
    start = 0
    for part in ("train", "test"):
        labels = torch.tensor([label for _, label, _ in splits[part].samples], dtype=torch.int64)
        # (N, H, W, C) -> (N, C, H, W)
        chosen = torch.from_numpy(images[start : start + len(labels)]).permute(0, 3, 1, 2)
        tensors[f"{part}_images"] = chosen.contiguous()
        tensors[f"{part}_labels"] = labels
        start += len(labels)
    classes = tuple(splits["train"].classes)
    title, detail = _folder_title(name, path, classes, tensors, jpeg="JPEG" in formats)
    return Decoded(classes, tensors, title, detail)


def _decode_images(
    name: str, path: Path, samples: list[tuple[str, int, Path | bytes]]
) -> tuple[np.ndarray, set[str]]:
    """Decode the samples to uint8 (N, H, W, C), and say which formats there were.

    In one thread: Pillow holds the interpreter's lock for most of the time that so small an image
    takes, and two threads were slower than one.
    """
    from tqdm import tqdm

    channels, height, width = STANDARDS[name].shape
    images = np.empty((len(samples), height, width, channels), dtype=np.uint8)
    formats = set()
    terminal = sys.stderr.isatty()
    if not terminal:
        print(f"decoding {len(samples):,} images from {path}", file=sys.stderr)
    bar = tqdm(samples, desc=f"decoding {path.name}", unit=" images", disable=not terminal)
    for index, (shown, _, content) in enumerate(bar):
        data = content if isinstance(content, bytes) else _content(name, shown, content)
        images[index], image_format = _decode_image(name, shown, data)
        formats.add(image_format)
    return images, formats


def _decode_image(name: str, shown: str, data: bytes) -> tuple[np.ndarray, str]:
    """Return one image as uint8 (H, W, C), and ``"JPEG"`` or ``"PNG"``."""
    from PIL import Image

    channels, height, width = STANDARDS[name].shape
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as image:
            size, mode, image_format = image.size, image.mode, str(image.format)
            # The size first: a huge image is not worth decoding.
            if size == (width, height) and mode in ("1", "L", "P", "RGB"):
                # Grey and palette images become RGB, as torchvision's own loader has it.
                wanted = "RGB" if channels == 3 else "L"
                data = (image if mode == wanted else image.convert(wanted)).tobytes()
                pixels = np.frombuffer(data, dtype=np.uint8)
                return pixels.reshape(height, width, channels), image_format
    except Exception as error:  # Pillow raises a dozen kinds for damaged files
        raise UserError(
            f"{shown} is damaged, or no JPEG or PNG image: replace it, or delete it."
        ) from error
    raise _not_an_image(shown, name, f"is {size[0]}×{size[1]} in mode {mode}")


def _not_an_image(shown: str, name: str, found: str) -> UserError:
    channels, height, width = STANDARDS[name].shape
    return UserError(
        f"{shown} {found}, but {STANDARDS[name].title} images are {height}×{width} with "
        f"{channels} channel{'s' if channels > 1 else ''} of 8 bits: convert it, or delete it."
    )


def _folder_title(
    name: str, path: Path, classes: tuple[str, ...], tensors: dict[str, Tensor], *, jpeg: bool
) -> tuple[str, str]:
    """Return title and detail, which claim no more than can be seen: names, counts, format."""
    standard = STANDARDS[name]
    file_format = "JPEG" if jpeg else "PNG"
    if classes != standard.classes:
        detail = f"A user's own images from {path.name}, not the classes of {standard.title}."
        return f"{path.name}, {file_format} image folder", detail
    title = f"{standard.title}, {'JPEG re-encoding' if jpeg else 'PNG image folder'}"
    counts = (len(tensors["train_images"]), len(tensors["test_images"]))
    if counts != standard.images:
        title += " (subset)"
    pixels = "not the official pixels" if jpeg else "pixels not checked against the official ones"
    detail = (
        f"{standard.title} as {file_format} files ({path.name}), {counts[0]:,} training and "
        f"{counts[1]:,} test images, {pixels}."
    )
    return title, detail
