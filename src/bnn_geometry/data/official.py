"""From the official archives of CIFAR-10 and MNIST to uint8 tensors, by way of torchvision."""

from __future__ import annotations

import gzip
import shutil
import tarfile
from pathlib import Path

from bnn_geometry.data.download import md5_of
from bnn_geometry.data.standards import STANDARDS, Decoded, vision_datasets
from bnn_geometry.errors import UserError


def _check_md5(file: Path, md5: str, remedy: str) -> None:
    """Check before torchvision sees the file: it would otherwise unpickle or call it missing."""
    if not file.is_file():
        raise UserError(f"{file} is missing: {remedy}.")
    if md5_of(file) != md5:
        raise UserError(f"{file} is damaged or not the official file (its md5 differs): {remedy}.")


def decode_cifar10(path: Path, kind: str, scratch: Path) -> Decoded:
    """CIFAR-10 from its archive, unpacked into ``scratch``, or from the unpacked batches."""
    import torch

    cifar10 = vision_datasets().CIFAR10
    if kind == "archive":
        _check_md5(path, cifar10.tgz_md5, "`bnn-geometry fetch cifar10` downloads it again")
        with tarfile.open(path) as tar:
            # as an attribute: extractall has no such argument before Python 3.11.4
            tar.extraction_filter = getattr(tarfile, "data_filter", None)
            tar.extractall(scratch)
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


def decode_mnist(path: Path, scratch: Path) -> Decoded:
    """MNIST from the folder of its four files, unpacked into ``scratch``."""
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
