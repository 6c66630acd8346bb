"""The error of a network, and whether it takes the images at all."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from bnn_geometry.errors import UserError
from bnn_geometry.networks.inference import (
    Preprocess,
    inference,
    network_input,
    run,
    scale_images,
)
from bnn_geometry.networks.models import MLP, ConvNet

if TYPE_CHECKING:
    from bnn_geometry.data.datasets import Dataset, Split


def evaluate(
    network: nn.Module,
    split: Split,
    *,
    indices: Tensor | None = None,
    precision: str = "float32",
    preprocess: Preprocess = scale_images,
    batch_size: int = 500,
) -> float:
    """Fraction of images that the network classifies wrongly; NaN of none.

    Parameters
    ----------
    network, split, indices, precision, preprocess, batch_size
        As for :func:`misclassified`.
    """
    options = {"indices": indices, "precision": precision, "batch_size": batch_size}
    wrong = misclassified(network, split, preprocess=preprocess, **options)
    return int(wrong.sum()) / len(wrong) if len(wrong) else math.nan


def misclassified(
    network: nn.Module,
    split: Split,
    *,
    indices: Tensor | None = None,
    precision: str = "float32",
    preprocess: Preprocess = scale_images,
    batch_size: int = 500,
) -> Tensor:
    """Which images the network classifies wrongly, with running batch statistics.

    Parameters
    ----------
    network : Module
        Gives class scores, (images, classes). Its mode is restored afterwards.
    split : Split
        Images, which are not changed, and labels.
    indices : Tensor of int64, optional
        Evaluate on these images only.
    precision : str
        ``float32`` or ``bfloat16``.
    preprocess : callable
        From a batch of images to what the network takes; by default uint8 to [−1, 1].
    batch_size : int
        Images at a time.

    Returns
    -------
    Tensor of bool, shape (images,)
        On the CPU.

    Raises
    ------
    UserError
        If the network cannot be run on the images, or gives no class scores for them.
    """
    images = split.images if indices is None else split.images[indices]
    labels = split.labels if indices is None else split.labels[indices]
    wrong = []
    with (
        inference(network) as device,
        torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"),
    ):
        for some, answers in zip(images.split(batch_size), labels.split(batch_size), strict=True):
            x = network_input(network, some, preprocess)
            if x.ndim == 4:
                x = x.contiguous(memory_format=torch.channels_last)
            if not len(x):
                continue
            scores = run(network, x)
            if not isinstance(scores, Tensor) or scores.dim() != 2 or len(scores) != len(some):
                raise UserError("The network does not give class scores, (images, classes).")
            wrong.append(scores.argmax(1) != answers.to(device))
    return torch.cat(wrong).cpu() if wrong else torch.zeros(0, dtype=torch.bool)


def check_fit(network: ConvNet | MLP, dataset: Dataset) -> None:
    """Refuse images that the network cannot take.

    Raises
    ------
    UserError
        If their shape or the number of classes is another than the network's.
    """
    shape = tuple(dataset.train.images.shape[1:])
    if shape != network.image_shape:
        raise UserError(
            f"{type(network).__name__} takes images of shape {network.image_shape} (channels, "
            f"height, width); those of {dataset.provenance.title} are {shape}."
        )
    if len(dataset.classes) > 10:
        raise UserError(
            f"{type(network).__name__} tells 10 classes apart; {dataset.provenance.title} has "
            f"{len(dataset.classes)}."
        )
