"""Networks changed in one thing.

Two that section 5.1 of the paper speaks of: batch norm that does not subtract the mean, the
condition that the paper names; and weights that meet independent noise in the place of
binarization, its noise model taken literally. And one that common code has by mistake: a sign of 0.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bnn_geometry.networks.layers import weight_layers


class _Dividing(_BatchNorm):
    # torch's batch norm, and the mean that it subtracted added again

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            axes = [axis for axis in range(x.dim()) if axis != 1]
            variance, mean = torch.var_mean(x, axes, correction=0)
        else:
            variance, mean = self.running_var, self.running_mean
        subtracted = self.weight * mean / torch.sqrt(variance + self.eps)
        return super().forward(x) + subtracted.view(1, -1, *[1] * (x.dim() - 2))


class DividingNorm1d(_Dividing, nn.BatchNorm1d):
    """Batch norm of (batch, units) without subtracting the mean: γ·x/√(var + ε) + β.

    Parameters and running statistics as in torch's.
    """


class DividingNorm2d(_Dividing, nn.BatchNorm2d):
    """Likewise of (batch, channels, h, w)."""


def without_mean_subtraction(network: nn.Module) -> nn.Module:
    """Replace all batch norms by ones that do not; the network is changed and returned.

    Raises
    ------
    ValueError
        If the network has no batch norm.
    """
    found = [
        (parent, name, child)
        for parent in network.modules()
        for name, child in parent.named_children()
        if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d)
    ]
    if not found:
        raise ValueError("The network has no batch norm.")
    for parent, name, norm in found:
        made = DividingNorm2d if isinstance(norm, nn.BatchNorm2d) else DividingNorm1d
        replacement = made(norm.num_features, eps=norm.eps, momentum=norm.momentum)
        replacement.load_state_dict(norm.state_dict())
        setattr(parent, name, replacement.train(norm.training))
    return network


def add_weight_noise(network: nn.Module, generator: torch.Generator) -> nn.Module:
    """Compute with w + ε in training, where ε is noise as large as what binarization does.

    For each filter Gaussian, independent of w, drawn anew for every pass, of the root mean square
    of bin(w) − w. In evaluation mode the layers compute with bin(w) as ever. The network is
    changed and returned; :func:`remove_weight_noise` undoes it.

    Raises
    ------
    ValueError
        If the network has no binary weight layer.
    """
    layers = [layer for layer in weight_layers(network).values() if layer.binary]
    if not layers:
        raise ValueError("The network has no binary weights to add noise to.")
    for layer in layers:
        usual = layer.forward_weight

        def noisy(dtype: torch.dtype, layer=layer, usual=usual) -> Tensor:
            if not layer.training:
                return usual(dtype)
            w = layer.weight
            with torch.no_grad():
                axes = list(range(1, w.dim()))
                size = (layer.binary_weight - w).square().mean(axes, keepdim=True).sqrt()
                noise = torch.empty_like(w).normal_(generator=generator) * size
            return (w + noise).to(dtype)

        layer.forward_weight = noisy
    return network


@torch.no_grad()
def signs_after_rounding(network: nn.Module, dtype: torch.dtype) -> nn.Module:
    """A copy that computes with sign(w) of rounded latent weights, where sign(0) = 0.

    What code does that casts first and takes the sign then: a latent weight which is rounded to 0
    is a third value in a network of two.

    Parameters
    ----------
    network : Module
    dtype : torch.dtype
        What latent weights are rounded to: a floating-point type, by its own rounding; or
        ``torch.int8``, in 127 steps from 0 to the largest weight of the layer.

    Returns
    -------
    Module
        Its binary layers hold −1, 0 and +1 as their weights, and no latent ones.

    Raises
    ------
    ValueError
        If the network has no binary weight layer.
    """
    network = copy.deepcopy(network)
    layers = [layer for layer in weight_layers(network).values() if layer.binary]
    if not layers:
        raise ValueError("The network has no binary weights to round.")
    for layer in layers:
        w = layer.weight
        if dtype == torch.int8:
            largest = w.abs().max().clamp(min=torch.finfo(w.dtype).tiny)
            w = (w / largest * 127).round()
        layer.weight.copy_(torch.sign(w.to(dtype)))
        layer.binary = False  # these are what it computes with
    return network


def remove_weight_noise(network: nn.Module) -> nn.Module:
    """Undo :func:`add_weight_noise`; the network is changed and returned."""
    for layer in weight_layers(network).values():
        vars(layer).pop("forward_weight", None)
    return network
