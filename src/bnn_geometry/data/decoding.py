"""From files to uint8 tensors: official archives, image folders, tars of them, and stand-ins.

``data.py`` finds the files and keeps what is decoded here; nothing here looks for anything.
torch, torchvision and Pillow are imported inside the functions that decode, because ``data.py``
has to tell what it found without paying for their import.
"""

from __future__ import annotations

import gzip
import importlib.util
import io
import lzma
import os
import shutil
import sys
import tarfile
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from bnn_geometry.data.download import md5_of
from bnn_geometry.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Standard:
    """What the official data set is: a folder of images is held against it."""

    title: str
    shape: tuple[int, int, int]  # (channel, height, width)
    classes: tuple[str, ...]
    images: tuple[int, int]  # train, test
    files: tuple[str, ...]  # the official archives, relative to the data root


STANDARDS = {
    "cifar10": Standard(
        title="CIFAR-10",
        shape=(3, 32, 32),
        classes=(
            "airplane",
            "automobile",
            "bird",
            "cat",
            "deer",
            "dog",
            "frog",
            "horse",
            "ship",
            "truck",
        ),
        images=(50_000, 10_000),
        files=("cifar-10-python.tar.gz",),
    ),
    "mnist": Standard(
        title="MNIST",
        shape=(1, 28, 28),
        classes=tuple("0123456789"),
        images=(60_000, 10_000),
        files=(
            "MNIST/raw/train-images-idx3-ubyte.gz",
            "MNIST/raw/train-labels-idx1-ubyte.gz",
            "MNIST/raw/t10k-images-idx3-ubyte.gz",
            "MNIST/raw/t10k-labels-idx1-ubyte.gz",
        ),
    ),
}
STAND_IN_TITLES = {
    "cifar10": "stand-in: patches of ten photographs",
    "mnist": "stand-in: scikit-learn digits",
}
# Ten photographs in scikit-image's wheel; PNG alone, because its decoding never varies by a bit.
PHOTOGRAPHS = (
    "astronaut",
    "brick",
    "camera",
    "chelsea",
    "coffee",
    "coins",
    "grass",
    "gravel",
    "ihc",
    "motorcycle_left",
)
PATCHES = (500, 100)  # per photograph: train, test
DIGITS = 1500  # of the 1,797 digits, in their order, the ones to train on

_SUFFIXES = (".jpg", ".jpeg", ".png")
_MAX_BYTES = 1 << 20  # no image of this size is larger; keeps a wrong tar out of memory


@dataclass(frozen=True)
class Decoded:
    """Images in memory.

    Attributes
    ----------
    classes
        One name per label.
    tensors
        ``train_images`` and ``test_images``, uint8 (N, C, H, W); ``train_labels`` and
        ``test_labels``, int64 (N,).
    title
        For figures.
    detail
        One sentence on where they came from.
    """

    classes: tuple[str, ...]
    tensors: dict[str, Tensor]
    title: str
    detail: str


@dataclass(frozen=True)
class _Folder:
    """One split of an image folder, as torchvision's ``ImageFolder`` orders it."""

    classes: list[str]
    samples: list[tuple[str, int, Path | bytes]]  # name to show, label, where the bytes are


def decode(name: str, kind: str, path: Path | None) -> Decoded:
    """Decode one data set.

    Parameters
    ----------
    name
        ``"cifar10"`` or ``"mnist"``.
    kind
        ``"archive"``, ``"batches"``, ``"raw"``, ``"folder"``, ``"tar"`` or ``"stand-in"``.
    path
        The file or folder; None for a stand-in.

    Raises
    ------
    UserError
        The files are damaged, cannot be read, or are not what they should be.
    """
    if path is None:
        return _decode_photographs() if name == "cifar10" else _decode_digits()
    try:
        if kind == "folder":
            return _decode_folder(name, path, _read_folder(path))
        if kind == "tar":
            return _decode_folder(name, path, _read_tar(name, path))
        # Unpacked in a temporary folder, because the data root may be read-only.
        with tempfile.TemporaryDirectory(prefix="bnn-geometry-") as scratch:
            if name == "mnist":
                return _decode_mnist(path, Path(scratch))
            return _decode_cifar10(path, kind, Path(scratch))
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error}): see that it is readable and that "
            f"{tempfile.gettempdir()} has room."
        ) from error


def vision_datasets() -> ModuleType:
    """Import and return ``torchvision.datasets``.

    Raises
    ------
    UserError
        Torchvision is not installed, or was built for another torch.
    """
    try:
        from torchvision import datasets
    except (ImportError, RuntimeError) as error:
        raise UserError(
            f"The package torchvision cannot be imported ({' '.join(str(error).split())}): install "
            f"the pair of torch and torchvision that requirements.lock names."
        ) from error
    return datasets


# --- official archives --------------------------------------------------------------------------


def _check_md5(file: Path, md5: str, remedy: str) -> None:
    """Check before torchvision sees the file: it would otherwise unpickle or call it missing."""
    if not file.is_file():
        raise UserError(f"{file} is missing: {remedy}.")
    if md5_of(file) != md5:
        raise UserError(f"{file} is damaged or not the official file (its md5 differs): {remedy}.")


def _decode_cifar10(path: Path, kind: str, scratch: Path) -> Decoded:
    import torch

    cifar10 = vision_datasets().CIFAR10
    if kind == "archive":
        _check_md5(path, cifar10.tgz_md5, "`bnn-geometry fetch cifar10` downloads it again")
        with tarfile.open(path) as tar:
            tar.extractall(scratch, filter="data")
        root = scratch
    else:
        remedy = f"delete {path}, and `bnn-geometry fetch cifar10` downloads the archive"
        for file, md5 in [*cifar10.train_list, *cifar10.test_list]:
            _check_md5(path / file, md5, remedy)
        _check_md5(path / cifar10.meta["filename"], cifar10.meta["md5"], remedy)
        root = path.parent
    splits = [cifar10(root, train=train, download=False) for train in (True, False)]
    tensors = {}
    for part, split in zip(("train", "test"), splits, strict=True):
        # torchvision turns the stored (N, C, H, W) into (N, H, W, C)
        tensors[f"{part}_images"] = torch.from_numpy(split.data).permute(0, 3, 1, 2).contiguous()
        tensors[f"{part}_labels"] = torch.tensor(split.targets, dtype=torch.int64)
    detail = f"The official CIFAR-10 images ({path.name}), checked by md5."
    return Decoded(tuple(splits[0].classes), tensors, "CIFAR-10", detail)


def _decode_mnist(path: Path, scratch: Path) -> Decoded:
    mnist = vision_datasets().MNIST
    raw = scratch / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for file, md5 in mnist.resources:
        _check_md5(path / file, md5, "`bnn-geometry fetch mnist` downloads it again")
        with gzip.open(path / file) as packed, open(raw / Path(file).stem, "wb") as unpacked:
            shutil.copyfileobj(packed, unpacked)
    tensors = {}
    for part in ("train", "test"):
        split = mnist(scratch, train=part == "train", download=False)
        tensors[f"{part}_images"] = split.data.unsqueeze(1).contiguous()  # (N, 1, 28, 28)
        tensors[f"{part}_labels"] = split.targets.long()
    detail = "The four official MNIST archives, checked by md5."
    return Decoded(STANDARDS["mnist"].classes, tensors, "MNIST", detail)


# --- image folders ------------------------------------------------------------------------------


def _is_image(file: str) -> bool:
    # A leading dot: macOS puts ._0001.jpg, which is no image, beside 0001.jpg.
    base = os.path.basename(file)
    return base.lower().endswith(_SUFFIXES) and not base.startswith(".")


def _read_folder(path: Path) -> dict[str, _Folder]:
    image_folder = vision_datasets().ImageFolder
    splits = {}
    for part in ("train", "test"):
        if not (path / part).is_dir():
            continue
        try:
            found = image_folder(path / part, is_valid_file=_is_image, allow_empty=True)
        except FileNotFoundError:  # torchvision's answer to a folder without class folders
            splits[part] = _Folder([], [])
            continue
        samples = [(file, label, Path(file)) for file, label in found.samples]
        splits[part] = _Folder(found.classes, samples)
    return splits


def _read_tar(name: str, path: Path) -> dict[str, _Folder]:
    """Read the files in a tar of an image folder, in the order that ``ImageFolder`` would have.

    Not unpacked: writing 60,000 small files would take longer than decoding them. Members that
    are no images, or lie elsewhere, are passed over.
    """
    # split -> class -> (folder within it, file name) -> content
    found: dict[str, dict[str, dict[tuple[str, str], bytes]]] = {}
    try:
        with tarfile.open(path) as tar:
            for member in tar:
                parts = Path(member.name).parts
                if len(parts) < 2 or parts[0] != name or parts[1] not in ("train", "test"):
                    continue
                classes = found.setdefault(parts[1], {})
                if member.isdir():
                    if len(parts) > 2:
                        classes.setdefault(parts[2], {})
                    continue
                if len(parts) < 4 or not _is_image(parts[-1]):
                    continue
                shown = f"{member.name} in {path}"
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


def _decode_folder(name: str, path: Path, splits: dict[str, _Folder]) -> Decoded:
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
        data = content if isinstance(content, bytes) else content.read_bytes()
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


# --- stand-ins ----------------------------------------------------------------------------------


def stand_in_files(name: str) -> list[Path]:
    """Return the installed files that a stand-in is made from, without importing their package.

    Raises
    ------
    UserError
        The package is not installed.
    """
    package = "skimage" if name == "cifar10" else "sklearn"
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise UserError(
            f"{package}, which ships the stand-in for {name}, is not installed: "
            f"`pip install scikit-image scikit-learn`."
        )
    folder = Path(spec.origin).parent
    if name == "mnist":
        return [folder / "datasets" / "data" / "digits.csv.gz"]
    return [folder / "data" / f"{photograph}.png" for photograph in PHOTOGRAPHS]


def _decode_photographs() -> Decoded:
    """Cut ten photographs into patches; the class of a patch is its photograph."""
    import torch
    from PIL import Image

    generator = np.random.default_rng(20170519)
    parts: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for file in stand_in_files("cifar10"):
        with Image.open(file) as image:
            photograph = np.asarray(image.convert("RGB"))
        for part, patches in zip(parts, _patches(photograph, generator), strict=True):
            part.append(patches)
    tensors = {}
    for part, patches, count in zip(("train", "test"), parts, PATCHES, strict=True):
        images = torch.from_numpy(np.concatenate(patches))
        tensors[f"{part}_images"] = images.permute(0, 3, 1, 2).contiguous()
        tensors[f"{part}_labels"] = torch.arange(len(PHOTOGRAPHS)).repeat_interleave(count)
    detail = (
        "Not CIFAR-10: 32×32 patches of ten photographs that ship with scikit-image, training "
        "and test patches from disjoint regions, the photograph as the class."
    )
    return Decoded(PHOTOGRAPHS, tensors, STAND_IN_TITLES["cifar10"], detail)


def _patches(
    photograph: np.ndarray, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw training and test patches from disjoint regions of a photograph.

    The photograph is divided into 4 × 4 tiles; the four marked T below, one in every row and
    column, are for testing. A patch lies wholly inside one tile, so no pixel is in both sets.

        T . . .
        . . T .
        . . . T
        . T . .

    Parameters
    ----------
    photograph
        Uint8, (height, width, 3), at least 128 pixels each way.
    generator
        Draws the corners, without replacement.

    Returns
    -------
    uint8, (500, 32, 32, 3) for training and (100, 32, 32, 3) for testing.
    """
    size, tiles, test_column = 32, 4, (0, 2, 3, 1)
    height, width, _ = photograph.shape
    rows = [height * i // tiles for i in range(tiles + 1)]
    columns = [width * i // tiles for i in range(tiles + 1)]
    allowed = np.zeros((2, height, width), dtype=bool)  # upper left corners: train, test
    for i in range(tiles):
        for j in range(tiles):
            is_test = int(test_column[i] == j)
            inside = (
                slice(rows[i], rows[i + 1] - size + 1),
                slice(columns[j], columns[j + 1] - size + 1),
            )
            allowed[is_test][inside] = True
    drawn = []
    for corners, count in zip(allowed, PATCHES, strict=True):
        chosen = generator.choice(np.flatnonzero(corners), size=count, replace=False)
        tops, lefts = np.divmod(chosen, width)
        drawn.append(
            np.stack(
                [photograph[y : y + size, x : x + size] for y, x in zip(tops, lefts, strict=True)]
            )
        )
    return drawn[0], drawn[1]


def _decode_digits() -> Decoded:
    """Enlarge scikit-learn's 8×8 digits to 28×28; a pixel that is 0 there stays background."""
    import torch
    from PIL import Image

    (file,) = stand_in_files("mnist")
    table = np.loadtxt(file, delimiter=",", dtype=np.int64)  # (1797, 64 pixels of 0..16 and label)
    digits = np.rint(table[:, :64] * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8)
    # Pillow's bilinear filter works in integers: the same bytes on every machine.
    bilinear = Image.Resampling.BILINEAR
    enlarged = [np.asarray(Image.fromarray(x).resize((28, 28), bilinear)) for x in digits]
    images = torch.from_numpy(np.stack(enlarged)).unsqueeze(1)  # (1797, 1, 28, 28)
    labels = torch.from_numpy(table[:, 64].copy())
    tensors = {
        "train_images": images[:DIGITS].contiguous(),
        "train_labels": labels[:DIGITS].contiguous(),
        "test_images": images[DIGITS:].contiguous(),
        "test_labels": labels[DIGITS:].contiguous(),
    }
    detail = (
        "Not MNIST: the 1,797 digits of 8×8 that ship with scikit-learn, enlarged to 28×28; the "
        "first 1,500 are for training."
    )
    return Decoded(STANDARDS["mnist"].classes, tensors, STAND_IN_TITLES["mnist"], detail)
