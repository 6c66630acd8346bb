"""A block of attention between the patches of an image: binary projections, real softmax."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (torch's own convention)

from bnn_geometry.networks.layers import BinaryActivation, BinaryLinear, initialize


class TokenNorm(nn.BatchNorm1d):
    """Batch norm of tokens, (batch, tokens, units), each unit over batch and tokens."""

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        return super().forward(x.flatten(0, 1)).view_as(x)


class PatchAttention(nn.Module):
    """Patches → tokens → attention → perceptron → mean over the tokens → readout.

    Both halves have a real shortcut. Binary are the six projections, the embedding and the
    readout, and what enters them, but for the pixels and the mean; queries, keys, values and
    softmax are real.

    Parameters
    ----------
    generator : torch.Generator
        Draws the initial weights.
    image : tuple of int
        Channels, height and width.
    patch : int
        Height and width of a patch; divides those of the image.
    units : int
        Of a token; a multiple of the number of heads.
    heads : int
    binary : bool
        False makes the continuous counterpart: real weights and hard tanh.

    Raises
    ------
    ValueError
        If patches or heads do not come out even.
    """

    def __init__(
        self,
        generator: torch.Generator,
        *,
        image: tuple[int, int, int] = (1, 28, 28),
        patch: int = 7,
        units: int = 64,
        heads: int = 4,
        binary: bool = True,
    ) -> None:
        super().__init__()
        channels, height, width = image
        if height % patch or width % patch or units % heads:
            raise ValueError(
                f"Patches of {patch} and {heads} heads do not divide an image of {height} × "
                f"{width} and {units} units."
            )
        self.image_shape, self.patch, self.heads = image, patch, heads
        tokens = height // patch * (width // patch)

        def layer(inputs: int, outputs: int) -> BinaryLinear:
            return BinaryLinear(inputs, outputs, binary=binary)

        def norm(size: int = units) -> TokenNorm:
            return TokenNorm(size, eps=1e-4)

        self.embed, self.embed_norm = layer(channels * patch**2, units), norm()
        self.position = nn.Parameter(torch.zeros(tokens, units))
        self.norm1 = norm()
        self.query, self.query_norm = layer(units, units), norm()
        self.key, self.key_norm = layer(units, units), norm()
        self.value, self.value_norm = layer(units, units), norm()
        self.mixed_norm = norm()
        self.out, self.out_norm = layer(units, units), norm()
        self.norm2 = norm()
        self.up, self.up_norm = layer(units, 2 * units), norm(2 * units)
        self.down, self.down_norm = layer(2 * units, units), norm()
        self.readout = layer(units, 10)
        self.last_norm = nn.BatchNorm1d(10, eps=1e-4)
        self.activation = BinaryActivation() if binary else nn.Hardtanh()
        initialize(self, generator)

    def _tokens(self, x: Tensor) -> Tensor:
        # (batch, channels, h, w) → (batch, tokens, channels · patch²)
        return F.unfold(x, self.patch, stride=self.patch).transpose(1, 2)

    def _attend(self, x: Tensor) -> Tensor:
        queries, keys, values = (
            norm(project(x)).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for project, norm in (
                (self.query, self.query_norm),
                (self.key, self.key_norm),
                (self.value, self.value_norm),
            )
        )
        weights = (queries @ keys.transpose(2, 3) / queries.shape[3] ** 0.5).softmax(3)
        return (weights @ values).transpose(1, 2).flatten(2)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, h, w) → class scores (batch, 10)."""
        bin_ = self.activation
        x = self.embed_norm(self.embed(self._tokens(x))) + self.position
        mixed = self._attend(bin_(self.norm1(x)))
        x = x + self.out_norm(self.out(bin_(self.mixed_norm(mixed))))
        up = bin_(self.up_norm(self.up(bin_(self.norm2(x)))))
        x = x + self.down_norm(self.down(up))
        return self.last_norm(self.readout(x.mean(1)))
