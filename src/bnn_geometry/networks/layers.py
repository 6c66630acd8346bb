"""Layers with binary weights and their continuous latent weights.

The parameter named ``weight`` is the **latent** weight w^c that the optimizer moves; the layer
computes with the **binary** weight w^b = bin(w^c) (Figure 1a of the paper). No layer has a bias:
the batch norm that follows would subtract it. A new layer holds NaN: :func:`initialize` draws its
weights.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (torch's own convention)

from bnn_geometry.networks.straight_through import binarize, binarize_activation, binarize_weight


class _WeightLayer(nn.Module):
    """What the linear and the convolutional layer share."""

    weight: nn.Parameter

    def __init__(self, shape: tuple[int, ...], binary: bool) -> None:
        super().__init__()
        if min(shape) < 1:
            raise ValueError(f"A layer needs at least one input and one output, not shape {shape}.")
        self.binary = binary
        """Whether the layer computes with bin(weight); otherwise it is an ordinary layer."""
        self.binarizer: Callable[[Tensor], Tensor] = binarize_weight
        """w^c → w^b with its gradient; another estimator, or noise, may take its place."""
        # NaN until drawn: a layer forgotten by whoever draws must not compute
        self.weight = nn.Parameter(torch.full(shape, torch.nan))

    @property
    def fan_in(self) -> int:
        """Number n of weights that enter one output: the dimension of the paper's vectors."""
        return self.weight[0].numel()

    @property
    def fan_out(self) -> int:
        """Number of outputs that one input reaches: filters × kernel size."""
        return self.weight.numel() // self.weight.shape[1]

    @property
    def binary_weight(self) -> Tensor:
        """w^b = bin(w^c), same shape as ``weight``, without gradient."""
        return binarize(self.weight.detach())

    def forward_weight(self, dtype: torch.dtype) -> Tensor:
        """The weight of the forward pass, in the dtype of the input.

        Binarized before it is cast: a float32 latent too small for a 16-bit type would become 0
        and lose its sign.
        """
        weight = self.binarizer(self.weight) if self.binary else self.weight
        return weight.to(dtype)

    @torch.no_grad()
    def latent_angles(self) -> Tensor:
        """Angle between w^c and bin(w^c) of each filter, in degrees: cos = ‖w‖₁/(√n‖w‖₂).

        Returns
        -------
        Tensor of float64, shape (filters,)
            On the weight's device. NaN for a vector of zeros, which has no direction.
        """
        w = self.weight.flatten(1)
        length = torch.linalg.vector_norm(w, dim=1, dtype=torch.float64)
        cosine = w.abs().sum(1, dtype=torch.float64) / (length * w.shape[1] ** 0.5)
        return torch.rad2deg(torch.arccos(cosine.clamp(max=1)))

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


class BinaryLinear(_WeightLayer):
    """x·w^b for dense layers.

    Parameters
    ----------
    in_features, out_features : int
        The latent weight has shape (out_features, in_features).
    binary : bool
        False makes the continuous counterpart: same shape, weights used as they are.
    """

    def __init__(self, in_features: int, out_features: int, *, binary: bool = True) -> None:
        super().__init__((out_features, in_features), binary)

    def apply_weight(self, x: Tensor, weight: Tensor) -> Tensor:
        """x of shape (batch, in_features) → (batch, out_features)."""
        return F.linear(x, weight)


class BinaryConv2d(_WeightLayer):
    """x·w^b for every patch: a convolution with odd square kernel and 'same' padding by zeros.

    Parameters
    ----------
    in_channels, out_channels, kernel_size : int
        The latent weight has shape (out_channels, in_channels, kernel_size, kernel_size).
    binary : bool
        False makes the continuous counterpart.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int = 3, *, binary: bool = True
    ) -> None:
        if kernel_size % 2 == 0:
            raise ValueError(f"The kernel size must be odd for 'same' padding, not {kernel_size}.")
        super().__init__((out_channels, in_channels, kernel_size, kernel_size), binary)
        self.padding = kernel_size // 2

    def apply_weight(self, x: Tensor, weight: Tensor) -> Tensor:
        """x of shape (batch, in_channels, h, w) → (batch, out_channels, h, w)."""
        return F.conv2d(x, weight, padding=self.padding)


class BinaryActivation(nn.Module):
    """bin(x) forward, the derivative of the hard tanh backward; see ``binarize_activation``."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return binarize_activation(x)


def weight_layers(network: nn.Module) -> dict[str, BinaryLinear | BinaryConv2d]:
    """The network's weight layers by name, in the order in which they were registered."""
    return {
        name: module for name, module in network.named_modules() if isinstance(module, _WeightLayer)
    }


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
