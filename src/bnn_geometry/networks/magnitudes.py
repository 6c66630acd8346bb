"""What the magnitudes of a continuous network's weights are worth (section 5.2 of the paper).

A weight vector has a length and a direction, and its direction is made of signs and of how the
magnitudes differ within it. Each function takes one of these away and returns a copy; batch norms
keep their statistics, see :func:`bnn_geometry.networks.batch_norm.refit_batch_norm`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bnn_geometry.errors import UserError
from bnn_geometry.networks.linear_layers import latent_weights, linear_layers, with_weights
from bnn_geometry.networks.straight_through import binarize

Network = TypeVar("Network", bound=nn.Module)


@torch.no_grad()
def _change(network: Network, change: Callable[[str, Tensor], Tensor]) -> Network:
    # A copy with other weights: `change` maps a layer's (filters, n) in float64.
    weights = latent_weights(network)
    for name, layer in linear_layers(network).items():
        if getattr(layer, "binary", False):
            raise UserError(f"Layer {name} computes with signs: its magnitudes are not used.")
    return with_weights(
        network,
        {name: change(name, w.double().flatten(1)).reshape(w.shape) for name, w in weights.items()},
    )


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
    others = {name: w.double().flatten(1) for name, w in latent_weights(other).items()}
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
        {name: w.shape for name, w in latent_weights(net).items()} for net in (network, other)
    )
    if shapes != others:
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
    theirs = latent_weights(other)
    for name, weight in latent_weights(network).items():
        a, b = (z.double().flatten(1) for z in (weight, theirs[name]))
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
        _transform_norms(network, lengths)
    return network


def _transform_norms(network: nn.Module, lengths: dict[str, Tensor]) -> None:
    # in the order of the modules, at each of their uses
    known = {layer: name for name, layer in linear_layers(network).items() if name in lengths}
    waiting: str | None = None
    normed: dict[nn.Module, str] = {}
    for name, module in network.named_modules(remove_duplicate=False):
        if module in known:
            if waiting is not None:
                break
            waiting = known[module]
        elif isinstance(module, _BatchNorm) and waiting is not None:
            if normed.setdefault(module, waiting) != waiting or module.running_mean is None:
                raise UserError(f"Batch norm {name} keeps no statistics or follows two layers.")
            waiting = None
    if waiting is not None:
        raise UserError(f"No batch norm follows layer {waiting}.")
    for module, name in normed.items():
        bias = linear_layers(network)[name].bias
        bias = 0.0 if bias is None else bias.detach()  # which keeps its length
        module.running_mean.sub_(bias).div_(lengths[name]).add_(bias)
        module.running_var.div_(lengths[name].square())
