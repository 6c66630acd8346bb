"""From image folders, and tars of them, to uint8 tensors."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bnn_geometry.data.entries import SPLITS, Images, not_an_image, read_folder, read_tar
from bnn_geometry.data.standards import STANDARDS, Decoded
from bnn_geometry.errors import UserError

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

_ORIENTATION = 0x0112


def _check_layout(name: str, path: Path, splits: dict[str, Images]) -> None:
    layout = f"images belong in {name}/train/<class>/ and {name}/test/<class>/"
    for part in SPLITS:
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
                    f"{name}/{part}/{class_name} in {path} holds no JPEG or PNG image: "
                    f"add its images, or remove the class from train and test."
                )


def decode_folder(name: str, path: Path) -> Decoded:
    """An image folder, ``train/<class>/`` and ``test/<class>/`` in it."""
    return _decode(name, path, *read_folder(name, path))


def decode_tar(name: str, path: Path) -> Decoded:
    """A tar of an image folder; the same data as from the folder itself."""
    return _decode(name, path, *read_tar(name, path))


def _decode(name: str, path: Path, splits: dict[str, Images], others: list[str]) -> Decoded:
    import torch

    _check_layout(name, path, splits)
    passed = ""
    if others:
        one = len(others) == 1
        passed = f"{len(others):,} other file{' was' if one else 's were'} passed over"
        print(f"{passed}: {others[0]}{'' if one else ' for one'}", file=sys.stderr)
    tensors = {}
    samples = [sample for part in SPLITS for sample in splits[part].samples]
    images, formats = _decode_images(name, path, samples)
    start = 0
    for part in SPLITS:
        labels = torch.tensor([label for _, label, _ in splits[part].samples], dtype=torch.int64)
        # (N, H, W, C) -> (N, C, H, W)
        chosen = torch.from_numpy(images[start : start + len(labels)]).permute(0, 3, 1, 2)
        tensors[f"{part}_images"] = chosen.contiguous()
        tensors[f"{part}_labels"] = labels
        start += len(labels)
    classes = tuple(splits["train"].classes)
    title, detail = _folder_title(name, path, classes, tensors, jpeg=formats != {"PNG"})
    detail += f" {passed}." if passed else ""
    return Decoded(classes, tensors, title, detail)


def _decode_images(
    name: str, path: Path, samples: list[tuple[str, int, bytes | Path]]
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
        data = content if isinstance(content, bytes) else content.read_bytes()
        images[index], image_format = _decode_image(name, shown, data)
        formats.add(image_format)
    return images, formats


def _decode_image(name: str, shown: str, data: bytes) -> tuple[np.ndarray, str]:
    """Return one image as uint8 (H, W, C), and ``"JPEG"``, ``"PNG"`` or a relative of the first."""
    from PIL import Image

    channels, height, width = STANDARDS[name].shape
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as image:
            found = _difference(image, (width, height))
            if found is None:
                # Grey and palette images become RGB, as torchvision's own loader has it.
                wanted = "RGB" if channels == 3 else "L"
                pixels = (image if image.mode == wanted else image.convert(wanted)).tobytes()
                image_format = str(image.format)
                if image_format == "PNG":  # decoding does not look at its checksums
                    with Image.open(io.BytesIO(data), formats=("PNG",)) as again:
                        again.verify()
                array = np.frombuffer(pixels, dtype=np.uint8)
                return array.reshape(height, width, channels), image_format
    except Exception as error:  # Pillow raises a dozen kinds for damaged files
        raise UserError(
            f"{shown} is damaged, or no JPEG or PNG image: replace it, or delete it."
        ) from error
    raise not_an_image(shown, name, found)


def _difference(image: Image.Image, size: tuple[int, int]) -> str | None:
    """What would be lost if an image were taken as it is; looked for before it is decoded."""
    if image.size != size or image.mode not in ("1", "L", "P", "RGB"):
        return f"is {image.size[0]}×{image.size[1]} in mode {image.mode}"
    if any("16" in str(tile[3]) for tile in image.tile):  # Pillow keeps the upper byte
        return "has 16 bits a channel"
    if "transparency" in image.info:
        return "has transparent pixels"
    if getattr(image, "n_frames", 1) > 1:
        return "has more than one frame"
    if image.getexif().get(_ORIENTATION, 1) != 1:
        return "is turned by its EXIF orientation"
    return None


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
