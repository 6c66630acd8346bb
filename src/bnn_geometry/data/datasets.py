"""CIFAR-10 and MNIST as uint8 tensors in memory, with where they came from.

``load`` takes the first it finds: the official archive, an image folder (or a tar of one), and
otherwise a stand-in made of images that are installed with scikit-image and scikit-learn. What was
decoded once is kept in a checked cache. The network is never used.

torch, torchvision and Pillow are imported inside the functions that decode: finding the data and
their fingerprint is all that a build with nothing to do needs, and must not cost their import.
"""

from __future__ import annotations

import os
import re
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from bnn_geometry.data import cache
from bnn_geometry.data.locations import locate
from bnn_geometry.paths import check_listed

if TYPE_CHECKING:
    from torch import Tensor


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


def plain(text: str) -> str:
    """A text from outside, such as a file's name, for pages and plots.

    What HTML, Markdown and TeX could read as more than text becomes a question mark, and white
    space a single blank.
    """
    return re.sub(r"[^\w ,.;:()%+=@'/–—-]", "?", " ".join(text.split()))


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

    def __post_init__(self) -> None:
        """Check every value, and make title and detail :func:`plain`: files say them."""
        for field in fields(self):
            value = getattr(self, field.name)
            kinds = {"int": int, "str": str}.get(str(field.type), str | None)
            if not isinstance(value, kinds) or isinstance(value, bool):
                raise TypeError(f"the {field.name} of images cannot be {value!r:.60}")
        for name in ("title", "detail"):
            object.__setattr__(self, name, plain(getattr(self, name)))

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
    check_listed("data", name)
    location = locate(name, source=source, root=root)
    decoded, digest = cache.read(location) or cache.fill(location)
    train, test = (
        Split(decoded.tensors[f"{part}_images"], decoded.tensors[f"{part}_labels"])
        for part in ("train", "test")
    )
    provenance = Provenance(
        dataset=name,
        source=location.source,
        title=decoded.title,
        detail=decoded.detail,
        path=None if location.path is None else str(location.path),
        fingerprint=digest,
        train_images=len(train.images),
        test_images=len(test.images),
    )
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
    header = cache.read_header(location)
    if header is not None:
        return header["fingerprint"]
    return load(name, source=source, root=root).provenance.fingerprint
