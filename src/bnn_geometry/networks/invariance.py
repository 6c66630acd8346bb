"""A network's scores do not change when its forward weight vectors are scaled (section 5.1).

Scaling *latent* weights tests nothing, since bin(k·w) = bin(w) for k > 0. Here each unit's w^b is
multiplied by a factor before it meets the activations, and batch norm has to divide it out.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bnn_geometry.networks.batch_norm import batch_statistics
from bnn_geometry.networks.inference import inference
from bnn_geometry.networks.layers import weight_layers


def powers_of_two(
    network: nn.Module, largest: int, generator: torch.Generator
) -> dict[str, Tensor]:
    """Random factors 2^e for every unit, e uniform in −largest … largest.

    A product with a power of two is exact in floating point, and so is every sum of such products
    with one common factor: what changes the scores is then not rounding.

    Returns
    -------
    dict
        Weight layer → factors, shape (units,).
    """
    return {
        name: 2.0 ** torch.randint(-largest, largest + 1, (len(layer.weight),), generator=generator)
        for name, layer in weight_layers(network).items()
    }


def random_factors(
    network: nn.Module, largest: float, generator: torch.Generator
) -> dict[str, Tensor]:
    """Random factors 2^e for every unit, e uniform between −largest and largest: any numbers.

    Returns
    -------
    dict
        Weight layer → factors, shape (units,).
    """
    return {
        name: 2.0 ** ((torch.rand(len(layer.weight), generator=generator) * 2 - 1) * largest)
        for name, layer in weight_layers(network).items()
    }


def class_scores(
    network: nn.Module,
    x: Tensor,
    factors: Mapping[str, Tensor] | None = None,
    *,
    running: bool = False,
    subtract_mean: bool = True,
    epsilon: float | None = None,
) -> Tensor:
    """Scores of a network whose forward weight vectors are multiplied by factors.

    Batch norm divides by the statistics of ``x`` itself, or by the running ones, transformed as
    the scaled weights would have made them. The network is not changed, and dropout is off. It
    must apply its children in order, as :class:`~bnn_geometry.networks.models.ConvNet` and
    :class:`~bnn_geometry.networks.models.MLP` do.

    Parameters
    ----------
    network : nn.Module
    x : Tensor, shape (batch, channels, h, w)
        A batch.
    factors : mapping, optional
        Weight layer → one factor for each of its units, shape (units,).
    running : bool
        Use the running statistics: the mean times the unit's factor, the variance times its
        square.
    subtract_mean : bool
        False: x/√(var + ε), as section 5.1 of the paper assumes.
    epsilon : float, optional
        In place of the batch norms' own.

    Returns
    -------
    Tensor, shape (batch, classes)
    """
    layers = weight_layers(network)
    factor: Tensor | None = None  # of the units that the next batch norm normalizes
    with inference(network):
        for name, module in network.named_children():
            if name in layers:
                factor = None if factors is None else factors[name].to(x.dtype)
                weight = module.forward_weight(x.dtype)
                if factor is not None:
                    weight = weight * factor.view(-1, *[1] * (weight.dim() - 1))
                x = module.apply_weight(x, weight)
            elif isinstance(module, _BatchNorm):
                variance, mean = _running(module, factor) if running else batch_statistics(x)
                eps = module.eps if epsilon is None else epsilon
                x = _normalize(x, module, variance, mean if subtract_mean else None, eps)
            elif not isinstance(module, nn.Dropout):
                x = module(x)
    return x


def _running(norm: _BatchNorm, factor: Tensor | None) -> tuple[Tensor, Tensor]:
    if factor is None:
        return norm.running_var, norm.running_mean
    return norm.running_var * factor**2, norm.running_mean * factor


def _normalize(
    x: Tensor, norm: _BatchNorm, variance: Tensor, mean: Tensor | None, epsilon: float
) -> Tensor:
    shape = [1, -1, *[1] * (x.dim() - 2)]
    centred = x if mean is None else x - mean.view(shape)
    scaled = centred / torch.sqrt(variance + epsilon).view(shape)
    return scaled * norm.weight.view(shape) + norm.bias.view(shape)
