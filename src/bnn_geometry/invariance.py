"""A network's scores do not change when its forward weight vectors are scaled (section 5.1).

Scaling *latent* weights tests nothing, since bin(k·w) = bin(w) for k > 0. Here each unit's w^b is
multiplied by a factor before it meets the activations, and batch norm has to divide it out.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bnn_geometry.layers import weight_layers


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


@torch.no_grad()
def class_scores(
    network: nn.Module,
    x: Tensor,
    factors: Mapping[str, Tensor] | None = None,
    *,
    subtract_mean: bool = True,
    epsilon: float | None = None,
) -> Tensor:
    """Scores of a network whose forward weight vectors are multiplied by factors.

    Batch norm divides by the statistics of ``x`` itself; running statistics are neither used nor
    changed, and dropout is off. The network must apply its children in order, as
    :class:`~bnn_geometry.models.ConvNet` and :class:`~bnn_geometry.models.MLP` do.

    Parameters
    ----------
    network : nn.Module
    x : Tensor, shape (batch, channels, h, w)
        A batch.
    factors : mapping, optional
        Weight layer → one factor for each of its units, shape (units,).
    subtract_mean : bool
        False: x/√(var + ε), as section 5.1 of the paper assumes.
    epsilon : float, optional
        In place of the batch norms' own.

    Returns
    -------
    Tensor, shape (batch, classes)
    """
    layers = weight_layers(network)
    for name, module in network.named_children():
        if name in layers:
            weight = module.forward_weight(x.dtype)
            if factors is not None:
                weight = weight * factors[name].view(-1, *[1] * (weight.dim() - 1))
            x = module.apply_weight(x, weight)
        elif isinstance(module, _BatchNorm):
            x = _normalize(x, module, subtract_mean, module.eps if epsilon is None else epsilon)
        elif not isinstance(module, nn.Dropout):
            x = module(x)
    return x


def _normalize(x: Tensor, norm: _BatchNorm, subtract_mean: bool, epsilon: float) -> Tensor:
    axes = [axis for axis in range(x.dim()) if axis != 1]
    variance, mean = torch.var_mean(x, axes, correction=0, keepdim=True)
    shape = mean.shape
    centred = x - mean if subtract_mean else x
    scaled = centred / torch.sqrt(variance + epsilon)
    return scaled * norm.weight.view(shape) + norm.bias.view(shape)
