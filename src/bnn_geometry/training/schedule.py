"""How far a step goes: the learning rate over the run, and the scale of each layer."""

from __future__ import annotations

import math
from typing import Any

from torch import nn

from bnn_geometry.networks.layers import BinaryLinear, weight_layers
from bnn_geometry.training.recipes import Recipe


def learning_rate(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """Learning rate of a step counted from 0 over the whole run, before any per-layer scale.

    ``exponential``: constant within an epoch, from ``lr`` in the first down to ``lr_end``, which
    is reached after the last.
    ``one-cycle``: linear rise over the first fifth of all steps, linear fall to ``lr_end``.
    ``linear`` and ``cosine``: linear rise over ``warmup_epochs``, then a fall to ``lr_end`` along
    a line or half a cosine.
    All of it times width^(−``lr_width_power``).
    """
    lr, end = (rate * recipe.rate_by_width for rate in (recipe.lr, recipe.lr_end))
    if recipe.schedule == "exponential":
        # the original divides by the number of epochs: the end is reached after the last one
        return lr * (end / lr) ** ((step // steps_per_epoch) / recipe.epochs)
    total = recipe.epochs * steps_per_epoch
    if recipe.schedule == "one-cycle":
        rise = max(1, total // 5)
    else:
        rise = recipe.warmup_epochs * steps_per_epoch
    if step < rise:
        return lr * (step + 1) / rise
    if recipe.schedule == "cosine":
        return end + (lr - end) * (1 - math.cos(math.pi * (total - step) / (total - rise))) / 2
    return end + (lr - end) * (total - step) / (total - rise)


def layer_scale(layer: BinaryLinear) -> float:
    """Factor on a weight layer's update: 1/√(1.5/(fan-in + fan-out)) (original code)."""
    return 1 / math.sqrt(1.5 / (layer.fan_in + layer.fan_out))


def parameter_groups(network: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """The parameters as groups for an optimizer, by the ``scale`` of their learning rate.

    Adam's step is proportional to its learning rate, so that scaling a layer's learning rate is
    scaling its update, which is how the original code says it.
    """
    scales: dict[int, float] = {}
    if recipe.per_layer_scale and recipe.activation == "binary":
        scales = {
            id(layer.weight): layer_scale(layer) ** recipe.layer_scale_power
            for layer in weight_layers(network).values()
        }
    groups: dict[float, list[nn.Parameter]] = {}
    for parameter in network.parameters():
        groups.setdefault(scales.get(id(parameter), 1.0), []).append(parameter)
    return [{"params": parameters, "scale": scale} for scale, parameters in groups.items()]


def largest_step(network: nn.Module, recipe: Recipe) -> float:
    """How far an update moves a weight at most, in its own units: latents lie in [−1, 1].

    Adam's step is at most about its learning rate (Kingma & Ba 2015, section 2.1): the highest of
    the run, times the largest scale of :func:`parameter_groups`.
    """
    scale = max(group["scale"] for group in parameter_groups(network, recipe))
    return recipe.lr * recipe.rate_by_width * scale
