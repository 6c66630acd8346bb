r"""Binarize a network that was trained with continuous weights (section 5.2 of the paper).

Two ways to put bin(w) in the place of w: as it is, or times the scale α that brings it closest
to w (Rastegari et al. 2016, XNOR-Net); in all layers or in some. What a batch norm has remembered
of its inputs no longer
fits after either; :func:`refit_batch_norm` measures it again. Every function leaves the network it
is given as it was and returns a copy.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from bnn_geometry.errors import UserError
from bnn_geometry.networks.inference import scale_images
from bnn_geometry.networks.layers import BinaryActivation, weight_layers
from bnn_geometry.networks.models import MLP, ConvNet
from bnn_geometry.networks.straight_through import binarize as bin_

Network = TypeVar("Network", bound=nn.Module)

CONTINUOUS_ACTIVATIONS = (nn.Hardtanh, nn.ReLU)
"""What :func:`binarize` replaces by :class:`BinaryActivation`."""


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


def _chosen(network: nn.Module, layers: Iterable[str] | None) -> set[str]:
    # Names of weight layers; all of them where none are named.
    known = weight_layers(network)
    if layers is None:
        return set(known)
    chosen = set(layers)
    for name in sorted(chosen - set(known)):
        raise UserError(f"The network has no layer {name!r}: it has {', '.join(known)}.")
    return chosen


@torch.no_grad()
def binarize_weights(
    network: Network, *, scaled: bool = False, layers: Iterable[str] | None = None
) -> Network:
    """A copy whose weight layers compute with bin(w), or with α·bin(w).

    The copy holds these values as its weights, and no latent ones: to binarize it again changes
    nothing but rounding. Batch norms keep their statistics, see :func:`refit_batch_norm`.

    Parameters
    ----------
    network : Module
        Any network made of :class:`BinaryLinear` and :class:`BinaryConv2d`.
    scaled : bool
        Multiply by α = mean|w| of the filter.
    layers : iterable of str, optional
        Names of weight layers; all of them if left out.

    Raises
    ------
    UserError
        If the network has no weight layer or none of a name, or a layer a weight that is not
        finite.
    """
    network = copy.deepcopy(network)
    known = weight_layers(network)
    if not known:
        raise UserError("The network has no weight layer to binarize.")
    chosen = _chosen(network, layers)
    for name, layer in known.items():
        if name not in chosen:
            continue
        if not torch.isfinite(layer.weight).all():
            raise UserError(f"Layer {name} has weights that are not finite: they have no sign.")
        values = bin_(layer.weight)
        if scaled:
            alpha = optimal_scale(layer.weight).alpha.to(values.dtype)
            values *= alpha.reshape(-1, *[1] * (values.ndim - 1))
        layer.weight.copy_(values)
        layer.binary = False  # the weights are what it computes with
    return network


def compute_with_latents(network: Network, layers: Iterable[str]) -> Network:
    """A copy of a binary network in which some layers compute with their latent weights.

    w^c takes the place of w^b at test time; the latent weights themselves do not change. Batch
    norms keep their statistics, which no longer fit: see :func:`refit_batch_norm`.

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
    network = copy.deepcopy(network)
    known = weight_layers(network)
    for name in _chosen(network, layers):
        known[name].binary = False
    return network


def _entered_layers(network: nn.Module) -> dict[str, str | None]:
    # Activation → the weight layer that it enters: the next in the order of the network's modules.
    entered: dict[str, str | None] = {}
    waiting: list[str] = []
    known = weight_layers(network)
    for name, module in network.named_modules():
        if isinstance(module, CONTINUOUS_ACTIVATIONS):
            waiting.append(name)
        elif name in known:
            entered |= dict.fromkeys(waiting, name)
            waiting = []
    return entered | dict.fromkeys(waiting)


def binarize_activations(network: Network, *, layers: Iterable[str] | None = None) -> Network:
    """A copy with bin in the place of every hard tanh and rectifier.

    A network without either has nothing to replace: its copy computes what it does.

    Parameters
    ----------
    network : Module
    layers : iterable of str, optional
        Replace only what enters these weight layers, whose children the network must apply in
        their order; all if left out. Nothing that could be replaced enters the first layer.

    Raises
    ------
    UserError
        If there is no weight layer of a name.
    """
    network = copy.deepcopy(network)
    chosen = _chosen(network, layers)
    entered = _entered_layers(network)
    for name, layer in entered.items():
        if layers is None or layer in chosen:
            parent, _, child = name.rpartition(".")
            old = network.get_submodule(name)
            setattr(network.get_submodule(parent), child, BinaryActivation().train(old.training))
    if isinstance(network, ConvNet | MLP) and not _entered_layers(network):
        network.activation = "binary"
    return network


def binarize(
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


@torch.no_grad()
def refit_batch_norm(network: Network, images: Tensor, *, batch_size: int = 500) -> Network:
    """A copy whose batch norms have measured mean and variance of their inputs again.

    No weight changes. The statistics are the averages, over batches, of the batch's mean and
    (unbiased) variance; each batch is normalized by its own, as in training. Dropout is off.

    Parameters
    ----------
    network : Module
    images : Tensor of uint8, shape (images, channels, h, w)
        Training images. A batch takes every k-th of them, so that each is a mix of classes also
        where the images are sorted by class.
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
    if len(images) < 2:
        raise UserError(f"Batch norm needs at least two images to be refitted, not {len(images)}.")
    network = copy.deepcopy(network)
    modes = {module: module.training for module in network.modules()}
    norms = [
        module
        for module in network.modules()
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and module.track_running_stats
    ]
    if not norms:
        raise UserError("The network has no batch norm with running statistics to refit.")
    momenta = [norm.momentum for norm in norms]
    network.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the average of all batches, equally
        norm.train()
    device = next(network.parameters()).device
    # never a batch of a single image, which has no variance
    batches = min(-(-len(images) // batch_size), len(images) // 2)
    with torch.autocast(device.type, enabled=False):
        for start in range(batches):
            network(scale_images(images[start::batches].to(device)))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    for module, training in modes.items():
        module.training = training
    return network
