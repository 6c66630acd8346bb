"""What the magnitudes of a continuous network's weights are worth (section 5.2 of the paper).

A weight vector has a length and a direction, and its direction is made of signs and of how the
magnitudes differ within it. Each function takes one of these away and returns a copy; batch norms
keep their statistics, see :func:`bnn_geometry.networks.batch_norm.refit_batch_norm`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bnn_geometry.errors import UserError
from bnn_geometry.networks.layers import weight_layers
from bnn_geometry.networks.straight_through import binarize

Network = TypeVar("Network", bound=nn.Module)


@torch.no_grad()
def _change(network: Network, change: Callable[[str, Tensor], Tensor]) -> Network:
    # A copy with other weights: `change` maps a layer's (filters, n) in float64.
    layers = weight_layers(network)
    if not layers:
        raise UserError("The network has no weight layer to change.")
    for name, layer in layers.items():
        if layer.binary:
            raise UserError(f"Layer {name} computes with signs: its magnitudes are not used.")
        if not torch.isfinite(layer.weight).all():
            raise UserError(f"Layer {name} has weights that are not finite.")
    network = copy.deepcopy(network)
    for name, layer in weight_layers(network).items():
        w = layer.weight.double().flatten(1)
        layer.weight.copy_(change(name, w).reshape(layer.weight.shape))
    return network


def raise_magnitudes(network: Network, power: float) -> Network:
    r"""A copy with every weight w replaced by k·bin(w)·``|w|^p``: its sign is kept.

    p = 1 leaves the network as it is and p = 0 makes it α·bin(w); between the two the magnitudes
    within a filter are made more even, beyond 1 less. The filter's k brings the new vector closest
    to w: k = ``Σ|w|^(1+p)`` / ``Σ|w|^(2p)``, which for p = 0 is α.

    Parameters
    ----------
    network : Module
        With continuous weights.
    power : float
        p, at least 0.

    Raises
    ------
    ValueError
        If p is negative.
    UserError
        If a layer is binary already or has weights that are not finite, or there is none.
    """
    if not power >= 0:
        raise ValueError(f"The power must not be negative, as {power} is.")

    def change(name: str, w: Tensor) -> Tensor:
        size = w.abs()
        mean = size.mean(1, keepdim=True)
        # in units of the mean: no power of it overflows
        raised = torch.where(mean > 0, size / mean, 0.0) ** power
        k = (size * raised).sum(1, keepdim=True) / raised.square().sum(1, keepdim=True)
        return binarize(w) * raised * k.nan_to_num()

    return _change(network, change)


def _permutation(w: Tensor, generator: torch.Generator) -> Tensor:
    # of each row by itself
    return torch.rand(w.shape, generator=generator).argsort(1).to(w.device)


def shuffled_magnitudes(w: Tensor, generator: torch.Generator) -> Tensor:
    """Weight vectors that keep their signs and have their magnitudes shuffled among them.

    Parameters
    ----------
    w : Tensor, shape (filters, n)
    generator : torch.Generator

    Returns
    -------
    Tensor, shape (filters, n)
        bin(w) times a permutation of ``|w|``, in each filter by itself: bin of it is bin(w), but
        where a magnitude is 0, and its angle to bin(w) is that of w.
    """
    return binarize(w) * w.abs().gather(1, _permutation(w, generator))


def shuffle_magnitudes(network: Network, generator: torch.Generator) -> Network:
    """A copy in which every filter keeps its signs and has its magnitudes shuffled.

    Of the magnitudes' distribution nothing is lost, of their places everything.

    Raises
    ------
    UserError
        As :func:`raise_magnitudes`.
    """
    return _change(network, lambda name, w: shuffled_magnitudes(w, generator))


def shuffle_signs(network: Network, generator: torch.Generator) -> Network:
    """A copy in which every filter keeps its magnitudes and has its signs shuffled.

    Raises
    ------
    UserError
        As :func:`raise_magnitudes`.
    """

    def change(name: str, w: Tensor) -> Tensor:
        return w.abs() * binarize(w).gather(1, _permutation(w, generator))

    return _change(network, change)


@torch.no_grad()
def rotate_like(network: Network, other: nn.Module, generator: torch.Generator) -> Network:
    """A copy with each filter turned as far as another network's is, in a random direction.

    The control for everything that turns weight vectors: what remains of a difference between the
    two is owed to the direction of the turn, not to its angle. Lengths stay.

    Parameters
    ----------
    network : Module
    other : Module
        With the same weight layers; the angle of a filter is that between both networks' weights.
    generator : torch.Generator
        On the CPU.

    Raises
    ------
    UserError
        As :func:`raise_magnitudes`, or if the networks do not have the same layers.
    """
    others = {
        name: layer.weight.double().flatten(1) for name, layer in weight_layers(other).items()
    }
    _check_same(network, other)

    def change(name: str, w: Tensor) -> Tensor:
        length = torch.linalg.vector_norm(w, dim=1, keepdim=True)
        unit = w / length
        noise = torch.randn(w.shape, dtype=w.dtype, generator=generator).to(w.device)
        noise -= (noise * unit).sum(1, keepdim=True) * unit
        noise /= torch.linalg.vector_norm(noise, dim=1, keepdim=True)
        v = others[name]
        cosine = (v * unit).sum(1, keepdim=True) / torch.linalg.vector_norm(v, dim=1, keepdim=True)
        cosine = cosine.clamp(-1, 1)
        return length * (cosine * unit + (1 - cosine.square()).sqrt() * noise)

    return _change(network, change)


def _check_same(network: nn.Module, other: nn.Module) -> None:
    shapes, others = (
        {name: layer.weight.shape for name, layer in weight_layers(net).items()}
        for net in (network, other)
    )
    if shapes != others or not shapes:
        raise UserError("The two networks do not have the same weight layers.")


@torch.no_grad()
def rotation_angles(network: nn.Module, other: nn.Module) -> pd.DataFrame:
    """Angle between the weights of two networks, filter by filter.

    Returns
    -------
    DataFrame
        Columns layer, filter, angle (degrees; NaN where a vector is zero).

    Raises
    ------
    UserError
        If the networks do not have the same weight layers.
    """
    _check_same(network, other)
    rows = []
    theirs = weight_layers(other)
    for name, layer in weight_layers(network).items():
        a, b = (z.weight.double().flatten(1) for z in (layer, theirs[name]))
        a, b = (z / torch.linalg.vector_norm(z, dim=1, keepdim=True) for z in (a, b))
        # from chord and sum: the arccosine has no digits left at small angles
        half = torch.atan2(
            torch.linalg.vector_norm(a - b, dim=1), torch.linalg.vector_norm(a + b, dim=1)
        )
        angles = torch.rad2deg(2 * half).cpu().numpy()
        rows.append(
            pd.DataFrame({"layer": name, "filter": np.arange(len(angles)), "angle": angles})
        )
    return pd.concat(rows, ignore_index=True)


@torch.no_grad()
def normalize_filters(network: Network, *, transform: bool) -> Network:
    r"""A copy whose weight vectors all have length 1.

    Parameters
    ----------
    network : Module
        Every weight layer followed by a batch norm (a max pool may stand between them).
    transform : bool
        Divide the running mean of the following batch norm by the filter's length k, and its
        variance by k²: then nothing is left of the change but ε, which becomes εk².

    Raises
    ------
    UserError
        As :func:`raise_magnitudes`; if a filter is zero; or, to transform, if no batch norm
        follows a layer.
    """
    lengths: dict[str, Tensor] = {}

    def change(name: str, w: Tensor) -> Tensor:
        lengths[name] = torch.linalg.vector_norm(w, dim=1)
        if not (lengths[name] > 0).all():
            raise UserError(f"Layer {name} has a filter of zeros, which has no direction.")
        return w / lengths[name][:, None]

    network = _change(network, change)
    if transform:
        waiting: str | None = None
        for name, module in network.named_modules():
            if name in lengths:
                waiting = name
            elif isinstance(module, _BatchNorm) and waiting is not None:
                k = lengths.pop(waiting)
                module.running_mean.div_(k)
                module.running_var.div_(k.square())
                waiting = None
        if lengths:
            raise UserError(f"No batch norm follows layer {next(iter(lengths))}.")
    return network
