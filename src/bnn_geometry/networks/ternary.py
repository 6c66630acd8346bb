r"""Weights of three values, −1, 0 and +1, in the place of a network's binary ones.

A weight is 0 where its latent is at most :math:`\Delta` in size, and a sign elsewhere. Both rules
take :math:`\Delta` from the mean size of the layer's latents: 0.7 of it in ternary weight networks
(Li et al. 2016), half of it in BitNet b1.58 (Ma et al. 2024, "absmean", which rounds w/mean|w|).

Both multiply the result by a scale for the whole layer. Here there is none: the batch norm that
follows every layer divides it out again, but for its ε.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor, nn

from bnn_geometry.networks.layers import binary_layers
from bnn_geometry.networks.replacement import copied

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class TernaryRule:
    """Three values by a threshold of ``share`` times the mean size of the layer's latents."""

    name: str
    share: float

    def threshold(self, weight: Tensor) -> Tensor:
        """Δ of a layer, a number in a tensor."""
        return self.share * weight.detach().abs().mean()

    def values(self, weight: Tensor) -> Tensor:
        """−1, 0 and +1 in the shape and dtype of the latents. No gradient flows back."""
        weight = weight.detach()
        return weight.sign() * (weight.abs() > self.threshold(weight))

    def __call__(self, weight: Tensor) -> Tensor:
        """:meth:`values` forward; backward the gradient passes unchanged, as for bin.

        The threshold is taken as a constant. An infinite or NaN latent becomes NaN.
        """
        return self.values(weight) + (weight - weight.detach())


TWN = TernaryRule("ternary-twn", 0.7)
ABSMEAN = TernaryRule("ternary-absmean", 0.5)

RULES = {rule.name: rule for rule in (TWN, ABSMEAN)}
"""The rules by name."""


def with_ternary_weights(network: Network, rule: TernaryRule) -> Network:
    """A copy of a network whose binary weight layers compute with three values.

    The latents, and how they are drawn, updated and clipped, are those of binary layers.

    Parameters
    ----------
    network : Module
    rule : TernaryRule

    Raises
    ------
    ValueError
        If the network has no binary weight layer.
    """
    network = copied(network)
    for layer in binary_layers(network, "make ternary"):
        layer.binarizer, layer.quantizer = rule, rule.values
    return network
