"""What the data sets are: names, shapes, classes, official files, and their form in memory."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING

from bnn_geometry.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

DATASETS = ("cifar10", "mnist")

FORMAT = "2"
"""Of the cache; raise it when decoding or a stand-in changes."""


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


def check_choice(what: str, value: str, valid: tuple[str, ...]) -> None:
    """Refuse a name that is none of those there are."""
    if value not in valid:
        raise UserError(f"Unknown {what} {value!r}: choose one of {', '.join(valid)}.")
