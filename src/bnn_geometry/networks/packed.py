r"""A binary network with one bit for each weight, and dot products that count bits.

For two vectors of n signs, written as bits, :math:`x\cdot w = n - 2\,\mathrm{popcount}(x\oplus w)`
(Courbariaux et al. 2016). Zeros that pad a convolution are no signs: their bits are 0,
what they add to the count is the number of ones of the weights that lie outside, and it is taken
off again.

Of a hidden layer's batch norm one threshold for each unit is left
(:mod:`bnn_geometry.networks.packing`). The images are real numbers: the first layer is torch's own,
with weights that are unpacked for it. The last batch norm is torch's own too. So the class scores
are those of the float32 network, to the last bit, as long as torch adds up integers exactly, below
2²⁴, and computes the first layer of the same batch in the same way.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (torch's own convention)

from bnn_geometry import storage
from bnn_geometry.errors import UserError
from bnn_geometry.networks.bits import mismatches, patches, pooled, to_words
from bnn_geometry.networks.inference import full_precision

IMAGES = 16
"""Images that go through the hidden layers at once: what bounds the memory."""

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
        margin = ((0, 0), (top, top), (left, left), (0, 0))
        padded = np.pad(to_words(x), margin)
        if min(np.subtract(padded.shape[1:3], kernel)) < 0:
            raise UserError(
                f"What enters layer {self.name} is {x.shape[1]}x{x.shape[2]} pixels, fewer than "
                "its filters: the images are too small for this network."
            )
        windows = patches(padded, kernel, (down, right))
        rows, columns = windows.shape[1:3]
        image = np.pad(np.ones((1, *x.shape[1:3], 1), bool), margin)
        inside = patches(image, kernel, (down, right)).reshape(rows * columns, -1)
        # n and the count of the part of each filter that lies within the image
        signs = channels * inside.sum(1)[:, None]
        outside = (~inside).astype(np.int64) @ self._ones
        counted = mismatches(windows.reshape(len(x) * rows * columns, -1), self.words)
        z = (signs + 2 * outside).astype(np.int32) - 2 * counted.reshape(len(x), -1, units)
        return z.reshape(len(x), rows, columns, units)


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
    """A binary network whose weights take a bit each; made by
    :func:`~bnn_geometry.networks.packing.pack` or :func:`load`.

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
                z = pooled(layer.dot(some), layer.pool)
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
