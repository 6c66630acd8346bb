"""The layers of any network that multiply their input by weights: torch's own and this package's.

Their weights are taken as latent, with w^b = bin(w). What is known of their geometry (strides,
groups, padding) is known here, for one, two and three dimensions at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (torch's own convention)
from torch.nn.utils import parametrize

from bnn_geometry.errors import UserError
from bnn_geometry.networks.inference import inference
from bnn_geometry.networks.layers import BinaryConv2d, BinaryLinear
from bnn_geometry.networks.replacement import copied, unwrapped
from bnn_geometry.networks.straight_through import binarize

Network = TypeVar("Network", bound=nn.Module)

LINEAR = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
"""What is looked at: these, their subclasses, and so all of :mod:`bnn_geometry.networks.layers`."""

_FORWARDS = {kind.forward for kind in (*LINEAR, BinaryLinear, BinaryConv2d)}
_CONVOLUTIONS = {kind._conv_forward for kind in LINEAR[1:]} | {None}


def linear_layers(network: nn.Module) -> dict[str, nn.Module]:
    """The network's linear layers and convolutions by name, each once, as they were registered.

    Raises
    ------
    UserError
        If there is none, or one whose weights are quantized or come from a hook.
    """
    layers = {}
    for name, module in unwrapped(network).named_modules():
        if ".quantized" in type(module).__module__:
            raise UserError(f"Layer {name} is quantized: take the network before it was.")
        if isinstance(module, LINEAR):
            own = "weight" in module._parameters or parametrize.is_parametrized(module, "weight")
            if not own:
                raise UserError(
                    f"A hook makes the weights of layer {name}: take it off (remove_weight_norm, "
                    "prune.remove), or use torch.nn.utils.parametrizations."
                )
            layers[name] = module
    if not layers:
        raise UserError("The network has no linear layer or convolution.")
    return layers


def latent_weights(network: nn.Module) -> dict[str, Tensor]:
    """The weights of every layer of :func:`linear_layers`, without gradient, at least in float32.

    Of a parametrization they are what it gives in evaluation mode.

    Raises
    ------
    UserError
        As :func:`linear_layers`, or if there are weights that are not finite real numbers.
    """
    layers = linear_layers(network)
    with inference(network):
        weights = {name: layer.weight.detach() for name, layer in layers.items()}
    for name, weight in weights.items():
        if weight.numel() == 0 or not weight.is_floating_point():
            what = weight.dtype if weight.numel() else "no"
            raise UserError(f"Layer {name} has {what} weights: it takes real ones to binarize.")
        if not torch.isfinite(weight).all():
            raise UserError(f"Layer {name} has weights that are not finite.")
    return {name: at_least_single(weight) for name, weight in weights.items()}


def quantizer_of(layer: nn.Module) -> Callable[[Tensor], Tensor]:
    """w^c → w^b of a layer: bin, unless it is one of this package's with another."""
    return getattr(layer, "quantizer", binarize)


def at_least_single(x: Tensor) -> Tensor:
    """float32 where x has fewer bits."""
    return x if x.dtype == torch.float64 else x.float()


@torch.no_grad()
def with_weights(network: Network, weights: Mapping[str, Tensor]) -> Network:
    """A copy in which some layers compute with other weights, and have no latent ones.

    Parameters
    ----------
    network : Module
    weights : mapping of str to Tensor
        Name of the layer → its weights, of the same shape. A bias stays.

    Raises
    ------
    UserError
        If a layer's class has a forward of its own, which may do anything with its weights, or a
        layer shares them with a module that is to keep its own.
    """
    network = copied(network)
    layers = linear_layers(network)
    changing = {layers[name] for name in weights}
    for layer in changing:
        if parametrize.is_parametrized(layer, "weight"):
            parametrize.remove_parametrizations(layer, "weight")
    kept = {
        id(value): name
        for name, module in network.named_modules()
        if module not in changing
        for value in module.parameters(recurse=False)
    }
    for name, values in weights.items():
        layer = layers[name]
        if not _as_usual(layer):
            raise UserError(
                f"Layer {name} cannot be given weights: its class {type(layer).__name__} has a "
                "forward of its own."
            )
        if id(layer.weight) in kept:
            raise UserError(
                f"Layer {name} shares its weights with {kept[id(layer.weight)]}, which is to keep "
                "them: take them apart first."
            )
        layer.weight.copy_(values)
        if hasattr(layer, "binary"):
            layer.binary = False  # the weights are what it computes with
    return network


def apply_weight(layer: nn.Module, x: Tensor, weight: Tensor) -> Tensor:
    """What a linear layer or convolution of torch computes with another weight, without its bias.

    Parameters
    ----------
    layer : Linear, Conv1d, Conv2d or Conv3d
    x : Tensor
        What enters it.
    weight : Tensor
        Of the shape of the layer's own.
    """
    if isinstance(layer, nn.Linear):
        return F.linear(x, weight)
    torchs = next(kind for kind in (nn.Conv1d, nn.Conv2d, nn.Conv3d) if isinstance(layer, kind))
    return torchs._conv_forward(layer, x, weight, None)


def batched(layer: nn.Module, x: Tensor) -> Tensor:
    """A layer's input with an axis of images, also where one was given without."""
    alone = x.dim() == (1 if isinstance(layer, nn.Linear) else layer.weight.dim() - 1)
    return x[None] if alone else x


def filters_first(layer: nn.Module, z: Tensor) -> Tensor:
    """A layer's output (batch, ...) → (filters, values)."""
    return z.movedim(-1 if isinstance(layer, nn.Linear) else 1, 0).flatten(1)


def _as_usual(layer: nn.Module) -> bool:
    known = getattr(layer.forward, "__func__", None) in _FORWARDS
    return known and getattr(type(layer), "_conv_forward", None) in _CONVOLUTIONS


def forward_weight(layer: nn.Module, x: Tensor, output: object) -> Tensor | None:
    """What a layer multiplied its input by: w, w^b or α·w^b, with α the mean ``|w|`` of the filter.

    Known of torch's layers and this package's. A class with a forward of its own may change input
    or weights before it multiplies them: with each of the three it is tried out.

    Parameters
    ----------
    layer : Module
    x : Tensor
        What entered, see :func:`batched`.
    output : Tensor
        What came out; anything else was not made by multiplying.

    Returns
    -------
    Tensor or None
        None if it was none of these.
    """
    if _as_usual(layer):
        own = getattr(layer, "forward_weight", None)
        return layer.weight if own is None else own(layer.weight.dtype)
    w = layer.weight
    spread = [-1, *[1] * (w.dim() - 1)]
    scale = w.flatten(1).abs().mean(1).reshape(spread)
    for weight in (w, binarize(w), scale * binarize(w)):
        z = apply_weight(layer, x.to(w.dtype), weight)
        if layer.bias is not None:
            z = z + (
                layer.bias if isinstance(layer, nn.Linear) else layer.bias.reshape(spread[:-1])
            )
        shaped = isinstance(output, Tensor) and output.shape in (z.shape, z.shape[1:])
        limit = 100 * torch.finfo(w.dtype).eps * z.abs().max()
        if shaped and (output.reshape(z.shape) - z).abs().max() <= limit:
            return weight
    return None


def _padded(layer: nn.Module, x: Tensor) -> Tensor:
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    return F.pad(x, layer._reversed_padding_repeated_twice, mode=mode)


def _positions(layer: nn.Module, padded: Tensor) -> list[int]:
    # outputs along each axis of space
    axes = zip(padded.shape[2:], layer.kernel_size, layer.dilation, layer.stride, strict=True)
    return [(size - d * (k - 1) - 1) // s + 1 for size, k, d, s in axes]


def count_vectors(layer: nn.Module, x: Tensor) -> int:
    """How many vectors each entry of a batch x gives the layer to multiply."""
    if isinstance(layer, nn.Linear):
        return x[0].numel() // x.shape[-1]
    return math.prod(_positions(layer, _padded(layer, x[:1])))


def input_vectors(layer: nn.Module, x: Tensor, entry: Tensor, where: Tensor) -> Tensor:
    """Vectors that a layer multiplies by its weights.

    Parameters
    ----------
    layer : Linear, Conv1d, Conv2d or Conv3d
    x : Tensor
        What enters it: (batch, ..., n), or (batch, channels, ...) of a convolution.
    entry, where : Tensor of int64, shape (vectors,)
        Entry of the batch, and which of its :func:`count_vectors`.

    Returns
    -------
    Tensor, shape (vectors, groups · n)
        A convolution's patches as its weights are laid out, channel by channel, padded as the layer
        does; each group's channels in turn.
    """
    if isinstance(layer, nn.Linear):
        return x.reshape(len(x), -1, x.shape[-1])[entry, where]
    padded = _padded(layer, x)
    axes = len(layer.kernel_size)
    places = torch.unravel_index(where, _positions(layer, padded))
    at = [entry.reshape(-1, *[1] * axes), slice(None)]
    geometry = zip(places, layer.stride, layer.dilation, layer.kernel_size, strict=True)
    for axis, (place, stride, dilation, size) in enumerate(geometry):
        offset = torch.arange(size, device=x.device) * dilation
        offset = offset.reshape(size, *[1] * (axes - 1 - axis))
        at.append(place.reshape(-1, *[1] * axes) * stride + offset)
    return padded[tuple(at)].movedim(-1, 1).flatten(1)
