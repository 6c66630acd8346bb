r"""Straight-through estimators: what may stand in the place of bin in the backward pass.

Forward always bin; backward the derivative of another function g. The networks of this book use
the identity for weights and the hard tanh for activations
(:mod:`bnn_geometry.networks.straight_through`); others have used others. :func:`in_activations` and
:func:`in_weights` put any of them into a copy of a network.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from bnn_geometry.networks.layers import BinaryActivation, binary_layers
from bnn_geometry.networks.replacement import copied, replace_modules
from bnn_geometry.networks.straight_through import binarize, hard_tanh_carrier

Network = TypeVar("Network", bound=nn.Module)

SWISH_BETA = 5.0
"""β of the swish-like estimator."""


@dataclass(frozen=True)
class Estimator:
    """A function g whose derivative is used backward in the place of that of bin.

    Attributes
    ----------
    name : str
    g : callable
        Tensor → Tensor of the same shape, made of operations that torch differentiates.
    """

    name: str
    g: Callable[[Tensor], Tensor]

    def __call__(self, x: Tensor) -> Tensor:
        """bin(x) forward, g backward."""
        carrier = self.g(x)
        # the difference is exactly 0, so that the value is exactly ±1
        return binarize(x) + (carrier - carrier.detach())

    def slope(self, x: Tensor) -> Tensor:
        """g'(x), as automatic differentiation finds it; same shape, no gradient."""
        with torch.enable_grad():
            leaf = x.detach().clone().requires_grad_()
            value = self.g(leaf).sum()
            if not value.requires_grad:  # g does not depend on x
                return torch.zeros_like(x)
            return torch.autograd.grad(value, leaf)[0]


def _polynomial(x: Tensor) -> Tensor:
    return (2 * x - x * x.abs()) * (x.abs() <= 1)


def _swish(x: Tensor) -> Tensor:
    gate = torch.sigmoid(SWISH_BETA * x)
    return 2 * gate * (1 + SWISH_BETA * x * (1 - gate)) - 1


IDENTITY = Estimator("identity", lambda x: x)
HARD_TANH = Estimator("hard tanh", hard_tanh_carrier)
TANH = Estimator("tanh", torch.tanh)
POLYNOMIAL = Estimator("polynomial", _polynomial)
"""ApproxSign of Bi-Real Net (Liu et al. 2018)."""
SWISH = Estimator("swish-like", _swish)
"""SignSwish of BNN+ (Darabi et al. 2018): 2σ(βx)(1 + βx(1 − σ(βx))) − 1. Its derivative is negative
where |βx| is larger than about 2.4."""
OUTSIDE = Estimator("outside alone", lambda x: x * (x.abs() > 1))
"""Wrong on purpose: passes just what the hard tanh cancels."""
NOTHING = Estimator("nothing", lambda x: x.detach())
"""The true derivative of bin, almost everywhere: in activations, only the last layer learns."""

ESTIMATORS = {e.name: e for e in (IDENTITY, HARD_TANH, TANH, POLYNOMIAL, SWISH, OUTSIDE, NOTHING)}


class EstimatorActivation(BinaryActivation):
    """bin(x) forward, the derivative of an estimator's g backward."""

    def __init__(self, estimator: Estimator) -> None:
        super().__init__()
        self.estimator = estimator

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return self.estimator(x)


def in_activations(network: Network, estimator: Estimator) -> Network:
    """A copy of a network with an estimator in all its binary activations.

    Raises
    ------
    ValueError
        If the network has no binary activation.
    """

    def binary(name: str, module: nn.Module) -> bool:
        return isinstance(module, BinaryActivation)

    if not any(binary(name, module) for name, module in network.named_modules()):
        raise ValueError("The network has no binary activation to use an estimator in.")
    return replace_modules(network, binary, lambda module: EstimatorActivation(estimator))


def in_weights(network: Network, estimator: Estimator) -> Network:
    """A copy of a network with an estimator in all its binary weights.

    The layers' own is the identity, ∂C/∂w = ∂C/∂bin(w); what it gives is multiplied by g'(w).

    Raises
    ------
    ValueError
        If the network has no binary weight layer.
    """
    network = copied(network)
    for layer in binary_layers(network, "use an estimator in"):
        layer.binarizer = estimator
    return network
