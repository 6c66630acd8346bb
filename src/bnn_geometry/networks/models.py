"""The two networks of the paper, at any width, and their continuous counterparts.

Every block is weights → (max pool) → batch norm → activation, the order of the original code
(Courbariaux et al. 2016): pooling real numbers, not signs, and normalizing what the next layer
binarizes. The last layer ends in batch norm; its outputs are the class scores.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from bnn_geometry.networks.layers import BinaryActivation, BinaryConv2d, BinaryLinear, initialize

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "binary": BinaryActivation,
    "hardtanh": nn.Hardtanh,
    "relu": nn.ReLU,
}
"""What follows a batch norm: ``binary`` in the BNN, the others in its continuous counterparts."""


def _scaled(units: int, width: float) -> int:
    return max(1, round(units * width))


class _Network(nn.Module):
    """Weights drawn from an explicit generator; what the two networks share."""

    def __init__(self, activation: str, norm: str, epsilon: float, momentum: float) -> None:
        super().__init__()
        if norm not in ("before-activation", "after-activation"):
            raise ValueError(f"Unknown place to normalize: {norm!r}.")
        if activation not in ACTIVATIONS:
            raise ValueError(f"Unknown activation {activation!r}; known: {', '.join(ACTIVATIONS)}.")
        self.activation = activation
        self.binary = activation == "binary"
        self._norm = {"eps": epsilon, "momentum": momentum}
        # the step through [batch norm, activation]: -1 puts the activation first
        self._turn = -1 if norm == "after-activation" else 1


class ConvNet(_Network):
    """The CIFAR-10 network: 128C3-128C3-MP2-256C3-256C3-MP2-512C3-512C3-MP2-1024FC-1024FC-10FC.

    Section 3 of the paper. Inputs stay real; all nine weight layers and all hidden activations
    are binary. At width 1 the fan-ins are 27, 1152, 1152, 2304, 2304, 4608, 8192, 1024, 1024 and
    there are 14,022,016 weights.

    Parameters
    ----------
    generator : torch.Generator
        Draws the initial weights.
    width : float
        Scales every hidden layer; the numbers of units are rounded.
    activation : str
        ``binary``, or ``hardtanh`` / ``relu`` for a continuous counterpart of the same shape.
    pool : str
        ``before-norm``, or ``after-activation`` to show what that costs.
    norm : str
        ``before-activation``, or ``after-activation`` likewise.
    epsilon, momentum : float
        Of every batch norm.
    """

    image_shape = (3, 32, 32)

    def __init__(
        self,
        generator: torch.Generator,
        *,
        width: float = 1.0,
        activation: str = "binary",
        pool: str = "before-norm",
        norm: str = "before-activation",
        epsilon: float = 1e-4,
        momentum: float = 0.1,
    ) -> None:
        super().__init__(activation, norm, epsilon, momentum)
        if pool not in ("before-norm", "after-activation"):
            raise ValueError(f"Unknown place to pool: {pool!r}.")
        self.width = width
        channels = 3
        stages: list[tuple[str, nn.Module]] = []
        for i, (units, pooled) in enumerate(
            [(128, False), (128, True), (256, False), (256, True), (512, False), (512, True)], 1
        ):
            out = _scaled(units, width)
            stages.append((f"conv{i}", BinaryConv2d(channels, out, binary=self.binary)))
            pooling = [(f"pool{i}", nn.MaxPool2d(2))] if pooled else []
            stages += pooling if pool == "before-norm" else []
            block: list[tuple[str, nn.Module]] = [
                (f"norm{i}", nn.BatchNorm2d(out, **self._norm)),
                (f"act{i}", ACTIVATIONS[activation]()),
            ]
            stages += block[:: self._turn]
            stages += pooling if pool == "after-activation" else []
            channels = out
        stages.append(("flatten", nn.Flatten()))
        features = channels * 4 * 4  # three poolings take 32 × 32 to 4 × 4
        for i in (1, 2, 3):
            out = 10 if i == 3 else _scaled(1024, width)
            stages.append((f"fc{i}", BinaryLinear(features, out, binary=self.binary)))
            block = [(f"fcnorm{i}", nn.BatchNorm1d(out, **self._norm))]
            if i < 3:
                block.append((f"fcact{i}", ACTIVATIONS[activation]()))
            stages += block[:: self._turn]
            features = out
        for name, module in stages:
            self.add_module(name, module)
        initialize(self, generator)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, 3, 32, 32) in [−1, 1] → class scores (batch, 10)."""
        for module in self.children():
            x = module(x)
        return x


class MLP(_Network):
    """The MNIST network: three hidden layers of 4096 binary units (Courbariaux et al. 2016).

    The paper trains "a MLP on MNIST" without stating its size; this is that of the original code.

    Parameters
    ----------
    generator : torch.Generator
        Draws the initial weights.
    width : float
        Scales the hidden layers of 4096 units.
    activation : str
        ``binary``, ``hardtanh`` or ``relu``.
    norm : str
        As for :class:`ConvNet`.
    input_dropout, hidden_dropout : float
        Probabilities of setting a unit to 0 in training.
    epsilon, momentum : float
        Of every batch norm.
    """

    image_shape = (1, 28, 28)

    def __init__(
        self,
        generator: torch.Generator,
        *,
        width: float = 1.0,
        activation: str = "binary",
        input_dropout: float = 0.2,
        hidden_dropout: float = 0.5,
        norm: str = "before-activation",
        epsilon: float = 1e-4,
        momentum: float = 0.1,
    ) -> None:
        super().__init__(activation, norm, epsilon, momentum)
        self.width = width
        self.flatten = nn.Flatten()
        self.dropout0 = nn.Dropout(input_dropout)
        features = 28 * 28
        for i in (1, 2, 3, 4):
            out = 10 if i == 4 else _scaled(4096, width)
            self.add_module(f"fc{i}", BinaryLinear(features, out, binary=self.binary))
            block: list[tuple[str, nn.Module]] = [(f"norm{i}", nn.BatchNorm1d(out, **self._norm))]
            if i < 4:
                block.append((f"act{i}", ACTIVATIONS[activation]()))
            for name, module in block[:: self._turn]:
                self.add_module(name, module)
            if i < 4:
                self.add_module(f"dropout{i}", nn.Dropout(hidden_dropout))
            features = out
        initialize(self, generator)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, 1, 28, 28) in [−1, 1] → class scores (batch, 10)."""
        for module in self.children():
            x = module(x)
        return x
