"""Where fine-tuning a binarized network starts."""

import pytest
import torch
from small_networks import each_kind, make

from bnn_geometry.errors import UserError
from bnn_geometry.networks import conversion, inference
from bnn_geometry.networks.layers import weight_layers
from bnn_geometry.training import fine_tuning, recipes


@each_kind
def test_latents_have_the_signs_and_directions_of_the_network(kind):
    network, images = make(kind, "hardtanh")
    model, width = {"convnet": ("cifar10-convnet", 1 / 32), "mlp": ("mnist-mlp", 1 / 128)}[kind]
    recipe = recipes.recipe(model, "fast").with_(width=width, norm_epsilon=1e-4)
    start = fine_tuning.as_latents(network, recipe)
    x = inference.scale_images(images)
    with torch.no_grad():  # what the binary network computes at once is what was binarized
        assert torch.equal(start(x), conversion.binarize_network(network, activations=True)(x))
    for name, layer in weight_layers(start).items():
        w = weight_layers(network)[name].weight.flatten(1)
        by_hand = w * (0.5 / w.abs().mean(1, keepdim=True))
        torch.testing.assert_close(layer.weight.flatten(1), by_hand.clamp(-1, 1))
        assert layer.binary
    with torch.no_grad():  # the scale of a filter is not taken over
        for layer in weight_layers(network).values():
            layer.weight.mul_(4)
    again = fine_tuning.as_latents(network, recipe)
    for name, layer in weight_layers(again).items():
        assert torch.equal(layer.weight, weight_layers(start)[name].weight)
    halved = fine_tuning.as_latents(network, recipe.with_(init_scale=0.5))
    for name, layer in weight_layers(halved).items():
        w = weight_layers(network)[name].weight.flatten(1)
        by_hand = w * (0.25 / w.abs().mean(1, keepdim=True))
        torch.testing.assert_close(layer.weight.flatten(1), by_hand.clamp(-1, 1))


def test_latents_of_another_network_are_refused():
    network, _ = make("mlp", "hardtanh")
    fast = recipes.recipe("mnist-mlp", "fast")
    with pytest.raises(UserError, match="does not have the layers of the recipe"):
        fine_tuning.as_latents(network, fast.with_(width=1 / 64))
    with pytest.raises(UserError, match="for a binary network, not for one of relu"):
        fine_tuning.as_latents(network, fast.with_(activation="relu"))
    with torch.no_grad():
        network.fc1.weight[0, 0] = float("nan")
    with pytest.raises(UserError, match="not finite"):
        fine_tuning.as_latents(network, fast.with_(width=1 / 128))
