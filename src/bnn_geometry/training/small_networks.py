"""Train a small network of any shape on the CPU: one loop, nothing kept.

The networks of the paper are trained by :mod:`bnn_geometry.training.loop`, whose runs can be
resumed and published; here are those of a study of other architectures.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (torch's own convention)

from bnn_geometry.errors import UserError
from bnn_geometry.networks.inference import scale_images
from bnn_geometry.networks.layers import clip_latents, weight_layers
from bnn_geometry.training.schedule import layer_scale


@dataclass(frozen=True)
class Budget:
    """How long and on what a small network is trained.

    Attributes
    ----------
    epochs, batch_size, train_images : int
    """

    epochs: int
    batch_size: int
    train_images: int

    def as_dict(self) -> dict[str, Any]:
        """Fields as plain values."""
        return asdict(self)


def parameter_groups(network: nn.Module) -> list[dict[str, Any]]:
    """A group for each parameter, with the ``scale`` of its learning rate.

    That of binary and ternary layers is the original code's, see
    :func:`bnn_geometry.training.schedule.layer_scale`; of all else it is 1, also where a network
    has weights of both kinds.
    """
    layers = weight_layers(network).values()
    scales = {id(layer.weight): layer_scale(layer) for layer in layers if layer.binary}
    return [{"params": [p], "scale": scales.get(id(p), 1.0)} for p in network.parameters()]


def triangle(step: int, steps: int) -> float:
    """Factor on the learning rate: a linear rise over a fifth of the steps, then a linear fall."""
    rise = max(1, steps // 5)
    return (step + 1) / rise if step < rise else (steps - step) / (steps - rise)


def train_small(
    network: nn.Module, images: Tensor, labels: Tensor, budget: Budget, *, lr: float, seed: int
) -> float:
    """Train a network in place by Adam and cross-entropy; latents are clipped after every step.

    Parameters
    ----------
    network : Module
        Takes images in [−1, 1] and gives class scores. Left in evaluation mode.
    images : Tensor of uint8, shape (images, channels, h, w)
    labels : Tensor of int64, shape (images,)
    budget : Budget
        Its ``train_images`` are the first ones of ``images``.
    lr : float
        Learning rate at its peak.
    seed : int
        Of the order of the images.

    Returns
    -------
    float
        Fraction of images classified wrongly in the last epoch, while the network changed.

    Raises
    ------
    UserError
        If there are fewer images than a batch has, or the loss stops being finite.
    """
    images, labels = images[: budget.train_images], labels[: budget.train_images]
    batches = len(images) // budget.batch_size
    if not batches:
        raise UserError(f"{len(images)} images are too few for a batch of {budget.batch_size}.")
    groups = parameter_groups(network)
    optimizer = torch.optim.Adam(groups, lr=lr)
    generator = torch.Generator().manual_seed(seed)
    network.train()
    step, steps = 0, budget.epochs * batches
    for _ in range(budget.epochs):
        wrong = 0
        order = torch.randperm(len(images), generator=generator)
        for chosen in order.split(budget.batch_size)[:batches]:
            for group in optimizer.param_groups:
                group["lr"] = lr * triangle(step, steps) * group["scale"]
            scores = network(scale_images(images[chosen]))
            loss = F.cross_entropy(scores, labels[chosen])
            if not torch.isfinite(loss):
                raise UserError(f"The loss stopped being finite at step {step + 1} of {steps}.")
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            clip_latents(network)
            wrong += int((scores.detach().argmax(1) != labels[chosen]).sum())
            step += 1
    network.eval()
    return wrong / (batches * budget.batch_size)
