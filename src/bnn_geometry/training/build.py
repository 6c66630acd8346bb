"""The network that a recipe describes, before training."""

from __future__ import annotations

import torch

from bnn_geometry.networks.layers import weight_layers
from bnn_geometry.networks.models import MLP, ConvNet
from bnn_geometry.networks.ternary import RULES, with_ternary_weights
from bnn_geometry.training.recipes import Recipe, check_seed


def build_network(recipe: Recipe, seed: int) -> ConvNet | MLP:
    """The recipe's network before training; the same seed gives the same weights.

    Raises
    ------
    UserError
        If the seed is not one.
    """
    generator = torch.Generator().manual_seed(check_seed(seed))
    common = {
        "width": recipe.width,
        "activation": recipe.activation,
        "norm": recipe.norm,
        "epsilon": recipe.norm_epsilon,
        "momentum": recipe.norm_momentum,
    }
    network: ConvNet | MLP
    if recipe.model == "mnist-mlp":
        network = MLP(
            generator,
            **common,
            input_dropout=recipe.input_dropout,
            hidden_dropout=recipe.hidden_dropout,
        )
    else:
        network = ConvNet(generator, **common, pool=recipe.pool)
    with torch.no_grad():
        for layer in weight_layers(network).values():
            layer.weight.mul_(recipe.init_scale)
    if recipe.weights in RULES:
        network = with_ternary_weights(network, RULES[recipe.weights])
    return network
