"""Layers with binary weights and their continuous latent weights.

The parameter named ``weight`` is the **latent** weight w^c that the optimizer moves; the layer
computes with the **binary** weight w^b = bin(w^c) (Figure 1a of the paper). Each is torch's own
layer in all else, such as strides and groups. No layer has a bias: the batch norm that follows
would subtract it. A new layer holds NaN: :func:`initialize` draws its weights.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (torch's own convention)

from bnn_geometry.networks.straight_through import binarize, binarize_activation, binarize_weight


class _WeightLayer(nn.Module):
    """What the linear layer and the convolutions share; torch's own layer comes after it."""

    weight: nn.Parameter

    def __init__(self, inputs: int, outputs: int, *shape: object, binary: bool, **options) -> None:
        if min(inputs, outputs) < 1:
            raise ValueError(
                f"A layer needs at least one input and one output, not {inputs} and {outputs}."
            )
        super().__init__(inputs, outputs, *shape, bias=False, **options)
        self.binary = binary
        """Whether the layer computes with bin(weight); otherwise it is an ordinary layer."""
        self.binarizer: Callable[[Tensor], Tensor] = binarize_weight
        """w^c → w^b with its gradient; another estimator, or noise, may take its place."""
        self.quantizer: Callable[[Tensor], Tensor] = binarize
        """w^c → w^b without gradient: bin, or three values (:mod:`~bnn_geometry.networks.ternary`).
        """

    def reset_parameters(self) -> None:
        """NaN until drawn: a layer forgotten by whoever draws must not compute."""
        nn.init.constant_(self.weight, torch.nan)

    @property
    def fan_in(self) -> int:
        """Number n of weights that enter one output: the dimension of the paper's vectors."""
        return self.weight[0].numel()

    @property
    def fan_out(self) -> int:
        """Number of outputs that one input reaches: filters of its group × kernel size."""
        return self.weight.numel() // (self.weight.shape[1] * getattr(self, "groups", 1))

    @property
    def binary_weight(self) -> Tensor:
        """w^b, bin(w^c) unless the layer is ternary; shape of ``weight``, without gradient."""
        return self.quantizer(self.weight.detach())

    def forward_weight(self, dtype: torch.dtype) -> Tensor:
        """The weight of the forward pass, in the dtype of the input.

        Binarized before it is cast: a float32 latent too small for a 16-bit type would become 0
        and lose its sign.
        """
        weight = self.binarizer(self.weight) if self.binary else self.weight
        return weight.to(dtype)

    def latent_angles(self) -> Tensor:
        """Angle between w^c and w^b of each filter: see :func:`latent_angles`."""
        return latent_angles(self.weight, self.quantizer)

    @torch.no_grad()
    def clip_latent(self) -> None:
        """Clip the latent weights of a binary layer to [−1, 1], as after every update."""
        if self.binary:
            self.weight.clamp_(-1.0, 1.0)

    def apply_weight(self, x: Tensor, weight: Tensor) -> Tensor:
        """The layer's linear map with another weight of the same shape."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer."""
        return self.apply_weight(x, self.forward_weight(x.dtype))


class BinaryLinear(_WeightLayer, nn.Linear):
    """x·w^b for dense layers: x of shape (..., in_features) → (..., out_features).

    Parameters
    ----------
    in_features, out_features : int
        The latent weight has shape (out_features, in_features).
    binary : bool
        False makes the continuous counterpart: same shape, weights used as they are.
    """

    def __init__(self, in_features: int, out_features: int, *, binary: bool = True) -> None:
        super().__init__(in_features, out_features, binary=binary)

    def apply_weight(self, x: Tensor, weight: Tensor) -> Tensor:
        """x of shape (..., in_features) → (..., out_features)."""
        return F.linear(x, weight)


class _BinaryConvolution(_WeightLayer):
    _axes: int  # of space

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, ...] = 3,
        stride: int | tuple[int, ...] = 1,
        padding: int | tuple[int, ...] | str | None = None,
        dilation: int | tuple[int, ...] = 1,
        groups: int = 1,
        *,
        padding_mode: str = "zeros",
        binary: bool = True,
    ) -> None:
        if padding is None:
            sizes, steps = (
                (z,) * self._axes if isinstance(z, int) else tuple(z)
                for z in (kernel_size, dilation)
            )
            if any(size % 2 == 0 for size in sizes):
                raise ValueError(
                    f"The kernel size must be odd for 'same' padding, not {kernel_size}: "
                    "give the padding."
                )
            padding = tuple(d * (k // 2) for k, d in zip(sizes, steps, strict=True))
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            binary=binary,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
            padding_mode=padding_mode,
        )

    def apply_weight(self, x: Tensor, weight: Tensor) -> Tensor:
        """x of shape (batch, in_channels, ...) → (batch, out_channels, ...)."""
        return self._conv_forward(x, weight, None)


class BinaryConv2d(_BinaryConvolution, nn.Conv2d):
    """x·w^b for every patch: x of shape (batch, in_channels, h, w).

    Parameters
    ----------
    in_channels, out_channels, kernel_size, stride, padding, dilation, groups, padding_mode
        As of :class:`torch.nn.Conv2d`, but for the padding if left out: half the kernel, which must
        be odd, so that a stride of 1 keeps the size. The latent weight has shape (out_channels,
        in_channels/groups, kernel height, kernel width).
    binary : bool
        False makes the continuous counterpart.
    """

    _axes = 2


class BinaryConv1d(_BinaryConvolution, nn.Conv1d):
    """As :class:`BinaryConv2d`, of sequences: x of shape (batch, in_channels, length)."""

    _axes = 1


class BinaryActivation(nn.Module):
    """bin(x) forward, the derivative of the hard tanh backward; see ``binarize_activation``."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return binarize_activation(x)


@torch.no_grad()
def latent_angles(weight: Tensor, quantizer: Callable[[Tensor], Tensor] = binarize) -> Tensor:
    """Angle between w and bin(w) of each filter, in degrees: cos = ‖w‖₁/(√n‖w‖₂).

    Parameters
    ----------
    weight : Tensor, shape (filters, ...)
    quantizer : callable
        Takes the place of bin, with values −1, 0 and 1.

    Returns
    -------
    Tensor of float64, shape (filters,)
        On the weight's device. NaN for a vector of zeros, which has no direction, and where the
        quantizer makes one of it.
    """
    w = weight.flatten(1)
    length = torch.linalg.vector_norm(w, dim=1, dtype=torch.float64)
    size, entries = w.abs(), w.shape[1]
    if quantizer is not binarize:
        kept = quantizer(weight).flatten(1) != 0
        size, entries = size * kept, kept.sum(1)
    cosine = size.sum(1, dtype=torch.float64) / (length * entries**0.5)
    return torch.rad2deg(torch.arccos(cosine.clamp(max=1)))


def weight_layers(network: nn.Module) -> dict[str, BinaryLinear | BinaryConv2d | BinaryConv1d]:
    """The network's layers of this module by name, in the order in which they were registered."""
    return {
        name: module for name, module in network.named_modules() if isinstance(module, _WeightLayer)
    }


def binary_layers(
    network: nn.Module, purpose: str
) -> list[BinaryLinear | BinaryConv2d | BinaryConv1d]:
    """Those of the weight layers that are binary.

    Parameters
    ----------
    network : Module
    purpose : str
        What they are wanted for, as in "make ternary".

    Raises
    ------
    ValueError
        If there is none.
    """
    layers = [layer for layer in weight_layers(network).values() if layer.binary]
    if not layers:
        raise ValueError(f"The network has no binary weights to {purpose}.")
    return layers


@torch.no_grad()
def initialize(network: nn.Module, generator: torch.Generator) -> None:
    """Draw the weights of all weight layers, in their order.

    Latent weights are uniform on [−1, 1], as in the code of Courbariaux et al. (2016); those of a
    layer that is not binary on ±√(6/(fan-in + fan-out)) (Glorot and Bengio 2010).
    """
    for layer in weight_layers(network).values():
        bound = 1.0 if layer.binary else (6 / (layer.fan_in + layer.fan_out)) ** 0.5
        layer.weight.uniform_(-bound, bound, generator=generator)


def clip_latents(network: nn.Module) -> None:
    """Clip the latent weights of every binary layer to [−1, 1]."""
    for layer in weight_layers(network).values():
        layer.clip_latent()
