"""A binary network that begins at a continuous one's weights (section 5.2 of the paper)."""

from __future__ import annotations

import torch
from torch import nn

from bnn_geometry.errors import UserError
from bnn_geometry.networks.conversion import optimal_scale
from bnn_geometry.networks.layers import clip_latents, weight_layers
from bnn_geometry.networks.models import MLP, ConvNet
from bnn_geometry.training.build import build_network
from bnn_geometry.training.recipes import Recipe


@torch.no_grad()
def as_latents(network: nn.Module, recipe: Recipe) -> ConvNet | MLP:
    """A binary network whose latent weights are a continuous network's: where fine-tuning starts.

    bin takes no notice of a filter's scale, but training does: a step of the optimizer moves a
    large latent less, relative to its size. Each filter is scaled to mean ``|w|`` = init_scale/2,
    that of the uniform weights from which a binary network is trained otherwise, and clipped to
    [−1, 1]. Batch norms are those of the continuous network.

    Parameters
    ----------
    network : Module
        With continuous weights.
    recipe : Recipe
        How the binary network is to be trained; it has the network's model and width.

    Returns
    -------
    ConvNet or MLP
        In evaluation mode.

    Raises
    ------
    UserError
        If the recipe is not one of a binary network, the network has other layers than the
        recipe's, or a weight is not finite.
    """
    if recipe.activation != "binary":
        raise UserError(
            f"Latent weights are for a binary network, not for one of {recipe.activation}."
        )
    binary = build_network(recipe, seed=0)
    try:
        binary.load_state_dict(network.state_dict())
    except RuntimeError as error:
        raise UserError("The network does not have the layers of the recipe's.") from error
    for layer in weight_layers(binary).values():
        scale = optimal_scale(layer.weight).alpha.to(layer.weight.dtype)
        factor = torch.where(scale > 0, 0.5 * recipe.init_scale / scale, 0.0)
        layer.weight.mul_(factor.reshape(-1, *[1] * (layer.weight.ndim - 1)))
    clip_latents(binary)
    return binary.eval()
