r"""A binary network with one bit for each weight, and dot products that count bits.

For two vectors of n signs, written as bits, :math:`x\cdot w = n - 2\,\mathrm{popcount}(x\oplus w)`
(Courbariaux et al. 2016, section 1). Zeros that pad a convolution are no signs: their bits are 0,
what they add to the count is the number of ones of the weights that lie outside, and it is taken
off again.

A hidden unit needs of its batch norm only where it changes its sign, one threshold. The batch norm
itself is asked, at one value after another, so that also its rounding errors are those of the
float32 network. The images are real numbers: the first layer is torch's own, with weights that are
unpacked for it. The last batch norm is torch's own too. So the class scores are those of the
float32 network, to the last bit, as long as torch adds up integers exactly, below 2²⁴, and computes
the first layer of the same batch in the same way.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (torch's own convention)

from bnn_geometry import storage
from bnn_geometry.errors import UserError
from bnn_geometry.networks.inference import full_precision
from bnn_geometry.networks.layers import BinaryActivation, BinaryConv2d, BinaryLinear
from bnn_geometry.networks.models import MLP, ConvNet
from bnn_geometry.networks.straight_through import binarize

IMAGES = 16
"""Images that go through the hidden layers at once: what bounds the memory."""

CELLS = 1 << 15
"""Words compared at once: with their counts they stay in a processor's cache."""

_FORMAT = "bnn-geometry packed 1"


@dataclass(frozen=True)
class PackedLayer:
    """Weights, pooling and threshold of one block.

    Attributes
    ----------
    name : str
        Of the weight layer.
    shape : tuple of int
        Of its weight as torch has it: (units, n) or (units, channels, height, width).
    stride, padding : tuple of two int
        Of a convolution.
    pool : int
        Side of the square over which the maximum is taken; 1 without pooling.
    bits : ndarray of uint8
        Whether a weight is +1, eight to a byte, unit by unit; a convolution's channels last.
    threshold : ndarray of int32, shape (units,), or float32 in the first layer; None in the last
        A unit is on where its dot product reaches it ...
    falling : ndarray of bool, shape (units,), or None
        ... or, of these units, where it does not: their batch norm has a negative scale.
    """

    name: str
    shape: tuple[int, ...]
    stride: tuple[int, int]
    padding: tuple[int, int]
    pool: int
    bits: np.ndarray
    threshold: np.ndarray | None = None
    falling: np.ndarray | None = None

    @property
    def fan_in(self) -> int:
        """n."""
        return int(np.prod(self.shape[1:]))

    @property
    def _layout(self) -> tuple[int, ...]:
        units, *others = self.shape
        return (units, *others[1:], others[0])

    def _signs(self) -> np.ndarray:
        flat = np.unpackbits(self.bits, count=int(np.prod(self.shape)))
        return flat.reshape(self._layout).astype(bool)

    def weight(self) -> Tensor:
        """±1 in float32, as torch has it."""
        signs = np.ascontiguousarray(np.moveaxis(self._signs(), -1, 1))
        return torch.from_numpy(np.where(signs, np.float32(1), np.float32(-1)))

    @cached_property
    def words(self) -> np.ndarray:
        """The bits in words of uint64, shape (units, words); each tap begins with a new one."""
        return to_words(self._signs()).reshape(self.shape[0], -1)

    @cached_property
    def _ones(self) -> np.ndarray:
        # ones of each tap of a convolution: (height·width, units)
        return self._signs().sum(-1).reshape(self.shape[0], -1).T

    def binarized(self, z: np.ndarray) -> np.ndarray:
        """Dot products (..., units) → whether the activation is +1, same shape."""
        return (z >= self.threshold) ^ self.falling

    def dot(self, x: np.ndarray) -> np.ndarray:
        """Bits (batch, n) or (batch, height, width, channels) → dot products, units last."""
        if len(self.shape) == 2:
            return self.fan_in - 2 * mismatches(to_words(x), self.words)
        units, channels, *kernel = self.shape
        (top, left), (down, right) = self.padding, self.stride
        padded = np.pad(to_words(x), ((0, 0), (top, top), (left, left), (0, 0)))
        patches = _patches(padded, kernel, (down, right))
        rows, columns = patches.shape[1:3]
        inside = np.pad(
            np.ones((1, *x.shape[1:3], 1), bool), ((0, 0), (top, top), (left, left), (0, 0))
        )
        inside = _patches(inside, kernel, (down, right)).reshape(rows * columns, -1)
        # n and the count of the part of each filter that lies within the image
        signs = channels * inside.sum(1)[:, None]
        outside = (~inside).astype(np.int64) @ self._ones
        counted = mismatches(patches.reshape(len(x) * rows * columns, -1), self.words)
        z = (signs + 2 * outside).astype(np.int32) - 2 * counted.reshape(len(x), -1, units)
        return z.reshape(len(x), rows, columns, units)


def to_words(bits: np.ndarray) -> np.ndarray:
    """Bits of shape (..., n) → (..., ⌈n/64⌉) of uint64; what is appended is 0."""
    packed = np.packbits(bits, axis=-1)
    missing = -packed.shape[-1] % 8
    if missing:
        packed = np.pad(packed, [(0, 0)] * (packed.ndim - 1) + [(0, missing)])
    return np.ascontiguousarray(packed).view(np.uint64)


def mismatches(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """popcount(x ⊕ w): in how many bits each row of x differs from each of w.

    Parameters
    ----------
    x : ndarray of uint64, shape (rows, words)
    w : ndarray of uint64, shape (units, words)

    Returns
    -------
    ndarray of int32, shape (rows, units)
    """
    found = np.empty((len(x), len(w)), np.int32)
    columns = np.ascontiguousarray(w.T)
    step = max(1, CELLS // len(w))
    for start in range(0, len(x), step):
        block = x[start : start + step]
        differing = np.empty((len(block), len(w)), np.uint64)
        count = np.empty(differing.shape, np.uint8)
        total = np.zeros(differing.shape, np.uint16 if 64 * len(columns) < 1 << 16 else np.uint32)
        for word, column in zip(block.T, columns, strict=True):
            np.bitwise_xor(word[:, None], column, out=differing)
            np.bitwise_count(differing, out=count)
            total += count
        found[start : start + step] = total
    return found


def _patches(x: np.ndarray, kernel: list[int], stride: tuple[int, int]) -> np.ndarray:
    # (batch, height, width, k) → (batch, rows, columns, kernel height, kernel width, k)
    windows = np.lib.stride_tricks.sliding_window_view(x, kernel, axis=(1, 2))
    return np.moveaxis(windows[:, :: stride[0], :: stride[1]], 3, -1)


def _pooled(z: np.ndarray, side: int) -> np.ndarray:
    # largest in each square; what is left over at the edge takes no part, as in torch
    if side == 1:
        return z
    batch, height, width, units = z.shape
    height, width = height // side, width // side
    z = z[:, : height * side, : width * side]
    return z.reshape(batch, height, side, width, side, units).max((2, 4))


@dataclass(frozen=True)
class LastNorm:
    """The batch norm after the last layer: its values are the class scores."""

    weight: Tensor
    bias: Tensor
    mean: Tensor
    variance: Tensor
    epsilon: float

    def __call__(self, z: Tensor) -> Tensor:
        """(batch, classes) → the same."""
        return F.batch_norm(
            z, self.mean, self.variance, self.weight, self.bias, False, 0.0, self.epsilon
        )


@dataclass(frozen=True)
class PackedNetwork:
    """A binary network whose weights take a bit each; made by :func:`pack` or :func:`load`.

    Attributes
    ----------
    layers : tuple of PackedLayer
    norm : LastNorm
    """

    layers: tuple[PackedLayer, ...]
    norm: LastNorm

    @property
    def weight_bytes(self) -> int:
        """Of all weights."""
        return sum(layer.bits.nbytes for layer in self.layers)

    @torch.no_grad()
    def __call__(self, x: Tensor) -> Tensor:
        """Class scores (batch, classes) in float32, those of the float32 network.

        Parameters
        ----------
        x : Tensor of float32, shape (batch, ...)
            What the network takes, such as :func:`~bnn_geometry.networks.inference.scale_images`
            makes; on the CPU.

        Raises
        ------
        UserError
            If the input is not float32, or not of a shape that fits.
        """
        bits = self._first(x)
        scores = []
        for start in range(0, len(bits), IMAGES):
            some = bits[start : start + IMAGES]
            for layer in self.layers[1:]:
                if len(layer.shape) == 2 and some.ndim == 4:
                    some = np.moveaxis(some, -1, 1).reshape(len(some), -1)  # as torch flattens
                if some.shape[-1] != layer.shape[1]:
                    raise UserError(
                        f"What enters layer {layer.name} has {some.shape[-1]} entries and not "
                        f"{layer.shape[1]}: the images are of another size than the network's."
                    )
                z = _pooled(layer.dot(some), layer.pool)
                some = z if layer.threshold is None else layer.binarized(z)
            scores.append(some)
        z = np.concatenate(scores).astype(np.float32)
        return self.norm(torch.from_numpy(z))

    def _first(self, x: Tensor) -> np.ndarray:
        # the layer of real inputs, as torch computes it, in bits
        layer = self.layers[0]
        if x.dtype != torch.float32 or x.device.type != "cpu":
            raise UserError(
                f"A packed network takes float32 on the CPU, not {x.dtype} on {x.device}."
            )
        if len(x) == 0:
            raise UserError("There are no images to run a packed network on.")
        try:
            with full_precision(x.device):
                if len(layer.shape) == 2:
                    z = F.linear(x.flatten(1), layer.weight())
                else:
                    z = F.conv2d(x, layer.weight(), None, layer.stride, layer.padding)
                    z = F.max_pool2d(z, layer.pool) if layer.pool > 1 else z
        except RuntimeError as error:
            raise UserError(
                f"A packed network whose first layer has weights of shape {layer.shape} cannot be "
                f"run on an input of shape {tuple(x.shape)}."
            ) from error
        z = z.numpy()
        return layer.binarized(z if z.ndim == 2 else np.moveaxis(z, 1, -1))


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


def save(packed: PackedNetwork, path: Path) -> None:
    """Write a packed network to a safetensors file, which appears whole or not at all.

    Raises
    ------
    UserError
        If it cannot be written.
    """
    tensors = {f"norm.{k}": getattr(packed.norm, k) for k in _NORM}
    said = []
    for i, layer in enumerate(packed.layers):
        said.append({k: v for k, v in asdict(layer).items() if k in _SAID})
        tensors[f"{i}.bits"] = torch.from_numpy(layer.bits)
        if layer.threshold is not None:
            tensors[f"{i}.threshold"] = torch.from_numpy(layer.threshold)
            tensors[f"{i}.falling"] = torch.from_numpy(np.packbits(layer.falling))
    # one entry: of several, safetensors writes another one first each time
    metadata = {_FORMAT: json.dumps({"layers": said, "epsilon": packed.norm.epsilon})}
    try:
        storage.write_file(Path(path), to_bytes(tensors, metadata))
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path} could not be written: {error}.") from error


_SAID = ("name", "shape", "stride", "padding", "pool")
_NORM = ("weight", "bias", "mean", "variance")


def load(path: Path) -> PackedNetwork:
    """Read what :func:`save` wrote.

    Raises
    ------
    UserError
        If the file is missing, damaged or holds something else.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if _FORMAT not in metadata:
            raise UserError(f"{path} is no packed network: it does not say {_FORMAT}.")
        said = json.loads(metadata[_FORMAT])
        layers = [_layer(i, values, tensors) for i, values in enumerate(said["layers"])]
        norm = LastNorm(*(tensors[f"norm.{k}"] for k in _NORM), said["epsilon"])
    except (OSError, SafetensorError, LookupError, TypeError, ValueError) as error:
        raise UserError(f"{path} cannot be read as a packed network: {error}.") from error
    return PackedNetwork(tuple(layers), norm)


def _layer(i: int, said: dict[str, Any], tensors: dict[str, Tensor]) -> PackedLayer:
    found = {k: tuple(v) if isinstance(v, list) else v for k, v in said.items()}
    layer = PackedLayer(**found, bits=tensors[f"{i}.bits"].numpy())
    if layer.bits.dtype != np.uint8 or len(layer.bits) != -(-int(np.prod(layer.shape)) // 8):
        raise ValueError(f"layer {layer.name} has not the bits of its weights")
    if f"{i}.threshold" not in tensors:
        return layer
    falling = np.unpackbits(tensors[f"{i}.falling"].numpy(), count=layer.shape[0]).astype(bool)
    return replace(layer, threshold=tensors[f"{i}.threshold"].numpy(), falling=falling)
