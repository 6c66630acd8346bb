r"""Binarize a network that was trained with continuous weights (section 5.2 of the paper).

Two ways to put bin(w) in the place of w: as it is, or times the scale α that brings it closest
to w (Rastegari et al. 2016, XNOR-Net); in all layers or in some. What a batch norm has remembered
of its inputs no longer fits after either;
:func:`~bnn_geometry.networks.batch_norm.refit_batch_norm` measures it again. Every function leaves
the network it is given as it was and returns a copy.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from bnn_geometry.errors import UserError
from bnn_geometry.networks.layers import BinaryActivation, weight_layers
from bnn_geometry.networks.linear_layers import latent_weights, linear_layers, with_weights
from bnn_geometry.networks.models import MLP, ConvNet
from bnn_geometry.networks.replacement import copied, replace_modules, unwrapped
from bnn_geometry.networks.straight_through import binarize

Network = TypeVar("Network", bound=nn.Module)

CONTINUOUS_ACTIVATIONS = (nn.Hardtanh, nn.ReLU)
"""What :func:`binarize_activations` replaces by :class:`BinaryActivation`."""


class Scale(NamedTuple):
    """The best approximation of weight vectors by α·bin(w); float64, shape (filters,)."""

    alpha: Tensor
    """α = mean|w|, in the units of w."""
    residual: Tensor
    """‖w − α·bin(w)‖²/‖w‖² = sin²∠(w, bin(w)). NaN for a vector of zeros."""


def optimal_scale(weight: Tensor) -> Scale:
    r"""The scale α that minimizes ‖w − αb‖² over α and all b in {−1, +1}ⁿ, for each filter.

    b = bin(w) and α = ‖w‖₁/n (Rastegari et al. 2016, section 3.1), and what is left is
    ‖w‖₂² − nα² = ‖w‖₂² sin²∠(w, bin(w)).

    Parameters
    ----------
    weight : Tensor, shape (filters, ...)
        All but the first axis are one weight vector.

    Returns
    -------
    Scale

    Raises
    ------
    UserError
        If a weight is not finite.
    ValueError
        If there is no axis of filters or no weight.
    """
    if weight.ndim < 2 or weight.numel() == 0:
        raise ValueError(f"Weights of shape {tuple(weight.shape)} hold no vector for each filter.")
    if not torch.isfinite(weight).all():
        raise UserError("There are weights that are not finite: they have no best scale.")
    magnitude = weight.detach().double().flatten(1).abs()
    alpha = magnitude.mean(1, keepdim=True)
    # not 1 − cos²: that would leave rounding where all magnitudes are the same
    residual = (magnitude - alpha).square().sum(1) / magnitude.square().sum(1)
    return Scale(alpha.squeeze(1), residual)


def _chosen(known: Iterable[str], layers: Iterable[str] | None) -> set[str]:
    # Names of layers; all of them where none are named.
    known = [*known]
    chosen = set(known if layers is None else layers)
    for name in sorted(chosen - set(known)):
        raise UserError(f"The network has no layer {name!r}: it has {', '.join(known)}.")
    return chosen


def binarize_weights(
    network: Network, *, scaled: bool = False, layers: Iterable[str] | None = None
) -> Network:
    """A copy whose weight layers compute with bin(w), or with α·bin(w).

    The copy holds these values as its weights, and no latent ones: to binarize it again changes
    nothing but rounding. Batch norms keep their statistics: see
    :mod:`~bnn_geometry.networks.batch_norm`.

    Parameters
    ----------
    network : Module
        Any: its linear layers and convolutions are binarized, torch's own and this package's; a
        bias stays as it is.
    scaled : bool
        Multiply by α = mean|w| of the filter.
    layers : iterable of str, optional
        Names of weight layers; all of them if left out.

    Raises
    ------
    UserError
        If the network has no such layer or none of a name, a layer a weight that is not finite, or
        as :func:`~bnn_geometry.networks.linear_layers.with_weights`.
    """
    weights = latent_weights(network)
    chosen = _chosen(weights, layers)
    binary = {}
    for name, weight in weights.items():
        if name in chosen:
            binary[name] = binarize(weight)
            if scaled:
                alpha = optimal_scale(weight).alpha.to(weight.dtype)
                binary[name] *= alpha.reshape(-1, *[1] * (weight.ndim - 1))
    return with_weights(network, binary)


def compute_with_latents(network: Network, layers: Iterable[str]) -> Network:
    """A copy of a binary network in which some layers compute with their latent weights.

    w^c takes the place of w^b at test time; the latent weights themselves do not change. Batch
    norms keep their statistics, which no longer fit: see
    :mod:`~bnn_geometry.networks.batch_norm`.

    Parameters
    ----------
    network : Module
    layers : iterable of str
        Names of weight layers; those that are not binary stay as they are.

    Raises
    ------
    UserError
        If there is no weight layer of a name.
    """
    network = copied(network)
    known = weight_layers(network)
    for name in _chosen(known, layers):
        known[name].binary = False
    return network


def _entered_layers(network: nn.Module) -> dict[str, str | None]:
    # Activation → the weight layer that it enters: the next in the order of the network's modules.
    entered: dict[str, str | None] = {}
    waiting: list[str] = []
    known = {layer: name for name, layer in linear_layers(network).items()}
    for name, module in network.named_modules(remove_duplicate=False):
        if isinstance(module, CONTINUOUS_ACTIVATIONS):
            waiting.append(name)
        elif module in known:
            entered |= dict.fromkeys(waiting, known[module])
            waiting = []
    return entered | dict.fromkeys(waiting)


def binarize_activations(network: Network, *, layers: Iterable[str] | None = None) -> Network:
    """A copy with bin in the place of every hard tanh and rectifier.

    Parameters
    ----------
    network : Module
        With modules of torch for these: what it calls as functions is not seen.
    layers : iterable of str, optional
        Replace only what enters these weight layers, whose children the network must apply in
        their order; all if left out. Nothing that could be replaced enters the first layer.

    Raises
    ------
    UserError
        If there is no weight layer of a name, or no such activation, and no binary one either.
    """
    network = unwrapped(network)
    chosen, entered = _chosen(linear_layers(network), layers), _entered_layers(network)
    if not entered and not any(isinstance(m, BinaryActivation) for m in network.modules()):
        raise UserError(
            "The network has no module nn.Hardtanh or nn.ReLU to replace: activations of other "
            "kinds, or called as functions, are not."
        )
    network = replace_modules(
        network,
        lambda name, module: name in entered and (layers is None or entered[name] in chosen),
        lambda module: BinaryActivation(),
    )
    if isinstance(network, ConvNet | MLP) and not _entered_layers(network):
        network.activation = "binary"
    return network


def binarize_network(
    network: Network,
    *,
    weights: bool = True,
    activations: bool = False,
    scaled: bool = False,
    layers: Iterable[str] | None = None,
) -> Network:
    """A copy of a network with binary weights, binary activations or both.

    Parameters
    ----------
    network : Module
    weights, activations : bool
        What to binarize: see :func:`binarize_weights` and :func:`binarize_activations`.
    scaled : bool
        Scale the binary weights of each filter by their α.
    layers : iterable of str, optional
        The weight layers whose weights, and whose input, become binary; all of them if left out.

    Raises
    ------
    ValueError
        If nothing is to be binarized, or weights are to be scaled but not binarized.
    UserError
        As :func:`binarize_weights`.
    """
    if not (weights or activations):
        raise ValueError("Say what to binarize: weights, activations or both.")
    if scaled and not weights:
        raise ValueError("Only binary weights can be scaled: binarize the weights too.")
    layers = None if layers is None else list(layers)
    if activations:
        network = binarize_activations(network, layers=layers)
    return binarize_weights(network, scaled=scaled, layers=layers) if weights else network
