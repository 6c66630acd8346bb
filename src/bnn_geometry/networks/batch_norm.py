"""Batch norm: its statistics measured again, and one that does not subtract the mean."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bnn_geometry.errors import UserError
from bnn_geometry.networks.inference import (
    Preprocess,
    check_images,
    inference,
    network_input,
    run,
    scale_images,
)
from bnn_geometry.networks.replacement import copied, replace_modules

Network = TypeVar("Network", bound=nn.Module)


def refit_batch_norm(
    network: Network,
    images: Tensor,
    *,
    preprocess: Preprocess = scale_images,
    batch_size: int = 500,
) -> Network:
    """A copy whose batch norms have measured mean and variance of their inputs again.

    No weight changes. The statistics are the averages, over batches, of the batch's mean and
    (unbiased) variance; each batch is normalized by its own, as in training. Dropout is off.

    Parameters
    ----------
    network : Module
    images : Tensor of uint8, shape (images, channels, h, w)
        Training images. A batch takes every k-th of them, so that each is a mix of classes also
        where the images are sorted by class.
    preprocess : callable
        From a batch of images to what the network takes; needed for images that are not uint8.
    batch_size : int
        At most this many images in a batch (one more where one would be left over); the batches
        differ by one image at most.

    Raises
    ------
    UserError
        If there are fewer than two images, or no batch norm that keeps statistics.
    ValueError
        If the batch size is below two.
    """
    if batch_size < 2:
        raise ValueError(f"Batch norm needs at least two images in a batch, not {batch_size}.")
    check_images(images)
    if len(images) < 2:
        raise UserError(f"Batch norm needs at least two images to be refitted, not {len(images)}.")
    network = copied(network)
    norms = [m for m in network.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    if not norms:
        raise UserError("The network has no batch norm with running statistics to refit.")
    momenta = [norm.momentum for norm in norms]
    # never a batch of a single image, which has no variance
    batches = min(-(-len(images) // batch_size), len(images) // 2)
    with inference(network):
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the average of all batches, equally
            norm.train()
        for start in range(batches):
            run(network, network_input(network, images[start::batches], preprocess))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return network


def batch_statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Variance (without Bessel's correction) and mean over all axes but the second.

    Parameters
    ----------
    x : Tensor, shape (batch, channels, ...)

    Returns
    -------
    variance, mean : Tensor, shape (channels,)
    """
    return torch.var_mean(x, [axis for axis in range(x.dim()) if axis != 1], correction=0)


class _Dividing(_BatchNorm):
    # torch's batch norm, and the mean that it subtracted added again

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            variance, mean = batch_statistics(x)
        else:
            variance, mean = self.running_var, self.running_mean
        subtracted = self.weight * mean / torch.sqrt(variance + self.eps)
        return super().forward(x) + subtracted.view(1, -1, *[1] * (x.dim() - 2))


class DividingNorm1d(_Dividing, nn.BatchNorm1d):
    """Batch norm of (batch, units) without subtracting the mean: γ·x/√(var + ε) + β.

    Parameters and running statistics as in torch's.
    """


class DividingNorm2d(_Dividing, nn.BatchNorm2d):
    """Likewise of (batch, channels, h, w)."""


def _is_norm(name: str, module: nn.Module) -> bool:
    return isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)


def _dividing(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> _Dividing:
    made = DividingNorm2d if isinstance(norm, nn.BatchNorm2d) else DividingNorm1d
    replacement = made(norm.num_features, eps=norm.eps, momentum=norm.momentum)
    replacement.load_state_dict(norm.state_dict())
    return replacement.to(norm.weight.device)


def without_mean_subtraction(network: Network) -> Network:
    """A copy with batch norms that divide by the standard deviation and subtract no mean.

    The condition that section 5.1 of the paper names.

    Raises
    ------
    ValueError
        If the network has no batch norm.
    UserError
        If one is not a BatchNorm1d or BatchNorm2d with running statistics, weights and biases.
    """
    for name, module in network.named_modules():
        usual = type(module) in (nn.BatchNorm1d, nn.BatchNorm2d) or isinstance(module, _Dividing)
        whole = usual and module.affine and module.track_running_stats
        if isinstance(module, _BatchNorm) and not whole:
            raise UserError(
                f"Batch norm {name} is not a BatchNorm1d or BatchNorm2d that keeps statistics and "
                "scales: it cannot do without the mean."
            )
    if not any(_is_norm(name, module) for name, module in network.named_modules()):
        raise ValueError("The network has no batch norm.")
    return replace_modules(network, _is_norm, _dividing)
