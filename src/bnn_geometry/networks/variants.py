"""Networks changed in one thing, as copies.

Weights that meet independent noise in the place of binarization, the noise model of section 5.1 of
the paper taken literally. And a mistake that common code has: a sign of 0.
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn

from bnn_geometry.networks.layers import binary_layers
from bnn_geometry.networks.replacement import copied
from bnn_geometry.networks.straight_through import binarize, binarize_weight

Network = TypeVar("Network", bound=nn.Module)


class WeightNoise(nn.Module):
    """w^c → w^c + ε in training, bin(w^c) in evaluation; ε as large as bin(w^c) − w^c.

    For each filter Gaussian, independent of w, drawn anew for every pass, of the root mean square
    of bin(w) − w.

    Parameters
    ----------
    generator : torch.Generator
        Of the noise; a copy of the network has a copy of it.
    """

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, w: Tensor) -> Tensor:
        """w of shape (filters, ...)."""
        if not self.training:
            return binarize_weight(w)
        with torch.no_grad():
            axes = list(range(1, w.dim()))
            size = (binarize(w) - w).square().mean(axes, keepdim=True).sqrt()
            noise = torch.empty_like(w).normal_(generator=self.generator) * size
        return w + noise


def add_weight_noise(network: Network, generator: torch.Generator) -> Network:
    """A copy that computes with w + ε in training: see :class:`WeightNoise`.

    In evaluation mode its layers compute with bin(w) as ever.

    Raises
    ------
    ValueError
        If the network has no binary weight layer.
    """
    network = copied(network)
    noise = WeightNoise(generator)
    for layer in binary_layers(network, "add noise to"):
        layer.binarizer = noise.train(layer.training)
    return network


@torch.no_grad()
def signs_after_rounding(network: Network, dtype: torch.dtype) -> Network:
    """A copy that computes with sign(w) of rounded latent weights, where sign(0) = 0.

    What code does that casts first and takes the sign then: a latent weight which is rounded to 0
    is a third value in a network of two.

    Parameters
    ----------
    network : Module
    dtype : torch.dtype
        What latent weights are rounded to: a floating-point type, by its own rounding; or
        ``torch.int8``, in 127 steps from 0 to the largest weight of the layer.

    Returns
    -------
    Module
        Its binary layers hold −1, 0 and +1 as their weights, and no latent ones.

    Raises
    ------
    ValueError
        If the network has no binary weight layer.
    """
    network = copied(network)
    for layer in binary_layers(network, "round"):
        w = layer.weight
        if dtype == torch.int8:
            largest = w.abs().max().clamp(min=torch.finfo(w.dtype).tiny)
            w = (w / largest * 127).round()
        layer.weight.copy_(torch.sign(w.to(dtype)))
        layer.binary = False  # these are what it computes with
    return network
