"""Pairs of weight vectors whose dot products are compared: a layer's own, and its controls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from bnn_geometry.networks.magnitudes import shuffled_magnitudes
from bnn_geometry.networks.straight_through import binarize

MEASURED, SHUFFLED, TURNED = "measured", "shuffled magnitudes", "random turn"
DEALT, GAUSSIAN, UNIFORM = "weights dealt anew", "Gaussian directions", "uniform directions"


class WeightPair(NamedTuple):
    """Binary and continuous weight vectors, each of shape (filters, n), float64."""

    control: str
    draw: int
    binary: Tensor
    continuous: Tensor


def turned(b: Tensor, w: Tensor, generator: torch.Generator) -> Tensor:
    """Vectors as far from b as w is, each in a random direction; of the length of b.

    Parameters
    ----------
    b, w : Tensor of float64, shape (filters, n)
    generator : torch.Generator
    """
    length = b.norm(dim=1, keepdim=True)
    unit = b / length
    cosine = (unit * w).sum(1, keepdim=True) / w.norm(dim=1, keepdim=True)
    noise = torch.randn(b.shape, dtype=b.dtype, generator=generator)
    noise -= (noise * unit).sum(1, keepdim=True) * unit
    noise /= noise.norm(dim=1, keepdim=True)
    cosine = cosine.clamp(-1, 1)
    return length * (cosine * unit + (1 - cosine.square()).sqrt() * noise)


def weight_pairs(weight: Tensor, generator: torch.Generator, *, draws: int) -> Iterator[WeightPair]:
    """A layer's weights with their signs, and the pairs that stand beside them.

    Parameters
    ----------
    weight : Tensor, shape (filters, ...)
        Latent weights of a layer.
    generator : torch.Generator
    draws : int
        Of the shuffled magnitudes and of the random turn.

    Yields
    ------
    WeightPair
        ``measured``; ``shuffled magnitudes``: the same signs, each filter's magnitudes permuted;
        ``random turn``: the same signs with a vector at the same angle in a random direction;
        ``weights dealt anew``: all of the layer's weights dealt among its filters and coordinates;
        ``Gaussian directions`` and ``uniform directions``: as many vectors of such entries.
    """
    w = weight.detach().flatten(1).double().cpu()
    b = binarize(w)
    yield WeightPair(MEASURED, 0, b, w)
    for draw in range(draws):
        yield WeightPair(SHUFFLED, draw, b, shuffled_magnitudes(w, generator))
    for draw in range(draws):
        yield WeightPair(TURNED, draw, b, turned(b, w, generator))
    dealt = w.flatten()[torch.randperm(w.numel(), generator=generator)].reshape(w.shape)
    yield WeightPair(DEALT, 0, binarize(dealt), dealt)
    normal = torch.randn(w.shape, dtype=w.dtype, generator=generator)
    yield WeightPair(GAUSSIAN, 0, binarize(normal), normal)
    flat = 2 * torch.rand(w.shape, dtype=w.dtype, generator=generator) - 1
    yield WeightPair(UNIFORM, 0, binarize(flat), flat)
