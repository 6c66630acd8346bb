r"""From a binary network to its packed form: what can be packed, and thresholds for batch norms.

A hidden unit needs of its batch norm only where it changes its sign, one threshold. The batch norm
itself is asked, at one value after another, so that also its rounding errors are those of the
float32 network.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from bnn_geometry.errors import UserError
from bnn_geometry.networks.layers import BinaryActivation, BinaryConv2d, BinaryLinear
from bnn_geometry.networks.models import MLP, ConvNet
from bnn_geometry.networks.packed import LastNorm, PackedLayer, PackedNetwork
from bnn_geometry.networks.straight_through import binarize


def pack(network: nn.Module) -> PackedNetwork:
    """Pack a binary network.

    Parameters
    ----------
    network : ConvNet, MLP or Sequential
        In float32. Weight layers, each followed by a batch norm, before it perhaps a max pool, and
        after it (but for the last) a binary activation; anywhere Flatten and Dropout, which does
        nothing.

    Raises
    ------
    UserError
        If it is another kind of network, its weights or activations are not signs, or there is
        something else between them.
    """
    if not isinstance(network, ConvNet | MLP | nn.Sequential):
        raise UserError(
            f"Only a ConvNet, an MLP or a Sequential can be packed, not {type(network).__name__}: "
            "of others it is not known what they do between their layers."
        )
    modules = [
        (name, module)
        for name, module in network.named_children()
        if not isinstance(module, nn.Flatten | nn.Dropout)
    ]
    layers: list[PackedLayer] = []
    norm: LastNorm | None = None
    while modules:
        if norm is not None:
            raise UserError(f"After a batch norm without binary activation comes {modules[0][0]}.")
        layer = _packed_layer(*modules.pop(0))
        if modules and isinstance(modules[0][1], nn.MaxPool2d) and len(layer.shape) == 4:
            layer = replace(layer, pool=_side(*modules.pop(0)))
        if not modules or not isinstance(modules[0][1], nn.BatchNorm1d | nn.BatchNorm2d):
            raise UserError(
                f"After layer {layer.name} comes {modules[0][0] if modules else 'nothing'} and no "
                "batch norm: this network cannot be packed."
            )
        last = _last_norm(*modules.pop(0), layer)
        if modules and isinstance(modules[0][1], BinaryActivation):
            modules.pop(0)
            real = not layers
            threshold, falling = fold(last, np.inf if real else layer.fan_in)
            layers.append(replace(layer, threshold=threshold, falling=falling))
        else:
            layers.append(layer)
            norm = last
    if norm is None or len(layers) < 2 or len(layers[-1].shape) != 2:
        raise UserError(
            "A network to be packed has at least two weight layers, and ends in a linear one with "
            "a batch norm."
        )
    return PackedNetwork(tuple(layers), norm)


def _packed_layer(name: str, module: nn.Module) -> PackedLayer:
    if type(module) not in (BinaryLinear, BinaryConv2d):
        raise UserError(
            f"{name} is a {type(module).__name__} where a layer of binary weights should stand: "
            "this network cannot be packed."
        )
    weight = module.weight.detach()
    if weight.dtype != torch.float32:
        raise UserError(f"Layer {name} computes in {weight.dtype}: only float32 can be packed.")
    signs = binarize(weight)
    if not torch.equal(module.forward_weight(weight.dtype).detach(), signs):
        raise UserError(
            f"Layer {name} computes with something else than the signs of its weights: a "
            "continuous or ternary network cannot be packed."
        )
    stride, padding = (1, 1), (0, 0)
    if isinstance(module, BinaryConv2d):
        stride, padding = module.stride, module.padding
        plain = module.groups == 1 and module.dilation == (1, 1) and module.padding_mode == "zeros"
        if not plain or isinstance(padding, str):
            raise UserError(
                f"Layer {name} has groups, dilation or a padding other than a number of zeros: it "
                "cannot be packed."
            )
    bits = np.packbits(signs.movedim(1, -1).numpy(force=True) > 0)
    return PackedLayer(name, tuple(weight.shape), stride, padding, 1, bits)


def _side(name: str, pool: nn.MaxPool2d) -> int:
    sides = {*_pair(pool.kernel_size), *_pair(pool.stride)}
    if len(sides) > 1 or pool.ceil_mode or {*_pair(pool.padding), *_pair(pool.dilation)} != {0, 1}:
        raise UserError(f"{name} pools over squares that overlap or do not fit: not packed.")
    return sides.pop()


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)


def _last_norm(name: str, module: nn.BatchNorm1d | nn.BatchNorm2d, layer: PackedLayer) -> LastNorm:
    usual = type(module) in (nn.BatchNorm1d, nn.BatchNorm2d)
    if not (usual and module.affine and module.track_running_stats):
        raise UserError(f"{name} is not a batch norm with statistics and scales: not packed.")
    tensors = (module.weight, module.bias, module.running_mean, module.running_var)
    values = [x.detach().cpu().clone() for x in tensors]
    if not all(torch.isfinite(x).all() for x in values):
        raise UserError(f"Batch norm {name} has values that are not finite.")
    if len(values[0]) != layer.shape[0]:
        raise UserError(f"Batch norm {name} has not as many units as layer {layer.name}.")
    return LastNorm(*values, epsilon=module.eps)


@torch.no_grad()
def fold(norm: Callable[[Tensor], Tensor], largest: float) -> tuple[np.ndarray, np.ndarray]:
    """The threshold of each unit where its batch norm changes its sign.

    A batch norm is monotone, also in floating point. So the values at which it is positive are all
    below a number, all from it on, or all or none there are; it is found by halving, and nothing is
    assumed of how the norm rounds, of ties or of scales that are 0.

    Parameters
    ----------
    norm : LastNorm
    largest : float
        Dot products are integers from −n to n, this being n; infinite: any float32.

    Returns
    -------
    threshold : ndarray of int32, or float32 if ``largest`` is infinite; shape (units,)
    falling : ndarray of bool
        A unit is +1 where z reaches the threshold, and where ``falling`` where it does not.
    """
    real = np.isinf(largest)

    def value(key: np.ndarray) -> np.ndarray:
        return _float_of(key) if real else key.astype(np.float32)

    def on(key: np.ndarray) -> np.ndarray:
        return (norm(torch.from_numpy(value(key))[None])[0] > 0).numpy()

    units = len(norm.weight)
    end = _MAX_KEY if real else int(largest)
    low, high = np.full(units, -end, np.int64), np.full(units, end, np.int64)
    above = on(high)
    high[on(low) == above] = -end  # the same everywhere: the least value reaches it
    while (low < high).any():
        middle = (low + high) // 2
        reached = on(middle) == above
        low, high = (
            np.where(reached, low, np.minimum(middle + 1, high)),
            np.where(reached, middle, high),
        )
    found = value(high) if real else high.astype(np.int32)
    return found, ~above


_MAX_KEY = int(np.array(np.finfo(np.float32).max).view(np.int32))


def _float_of(key: np.ndarray) -> np.ndarray:
    # float32 numbers counted in their order: 0 is 0, 1 the least above, −1 the greatest below
    size = np.abs(key).astype(np.int32).view(np.float32)
    return np.where(key < 0, -size, size)
