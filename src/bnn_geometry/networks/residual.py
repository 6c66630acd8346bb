"""A residual network of binary convolutions with real shortcuts (Liu et al. 2018, Bi-Real Net)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (torch's own convention)

from bnn_geometry.networks.layers import BinaryActivation, BinaryConv2d, BinaryLinear, initialize


class ResidualBlock(nn.Module):
    """x → x + batch norm(conv(φ(x))): the shortcut carries what the sign takes from x.

    Where the convolution has a stride of 2 the shortcut is averaged over 2 × 2 pixels and given
    twice, side by side: it has no weights.

    Parameters
    ----------
    channels : int
    down : bool
        Halve the image and double the channels.
    binary : bool
        Binary weights and activations; otherwise real weights and a hard tanh.
    shortcut : bool
        False: a plain convolutional layer.
    """

    def __init__(self, channels: int, *, down: bool, binary: bool, shortcut: bool) -> None:
        super().__init__()
        out = 2 * channels if down else channels
        self.down, self.shortcut = down, shortcut
        self.activation = BinaryActivation() if binary else nn.Hardtanh()
        self.conv = BinaryConv2d(channels, out, stride=2 if down else 1, binary=binary)
        self.norm = nn.BatchNorm2d(out, eps=1e-4)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, h, w), or half as large with twice the channels."""
        y = self.norm(self.conv(self.activation(x)))
        if not self.shortcut:
            return y
        if self.down:
            x = F.avg_pool2d(x, 2).repeat(1, 2, 1, 1)
        return x + y


class ResidualNet(nn.Module):
    """Convolution of stride 2, four residual blocks, mean over the image, readout.

    Parameters
    ----------
    generator : torch.Generator
        Draws the initial weights.
    channels : int
        Of the first two blocks; the third doubles them.
    binary : bool
        False makes the continuous counterpart.
    shortcut : bool
        False leaves the shortcuts out.
    """

    image_shape = (3, 32, 32)

    def __init__(
        self,
        generator: torch.Generator,
        *,
        channels: int = 16,
        binary: bool = True,
        shortcut: bool = True,
    ) -> None:
        super().__init__()
        self.stem = BinaryConv2d(3, channels, stride=2, binary=binary)
        self.stem_norm = nn.BatchNorm2d(channels, eps=1e-4)
        for i in (1, 2, 3, 4):
            block = ResidualBlock(channels, down=i == 3, binary=binary, shortcut=shortcut)
            self.add_module(f"block{i}", block)
            channels *= 2 if i == 3 else 1
        self.readout = BinaryLinear(channels, 10, binary=binary)
        self.last_norm = nn.BatchNorm1d(10, eps=1e-4)
        initialize(self, generator)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, 3, 32, 32) → class scores (batch, 10)."""
        x = self.stem_norm(self.stem(x))
        for i in (1, 2, 3, 4):
            x = self.get_submodule(f"block{i}")(x)
        return self.last_norm(self.readout(x.mean((2, 3))))
