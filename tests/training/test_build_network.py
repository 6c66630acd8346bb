"""The network before training is what the recipe says."""

import pytest
import torch
from tiny import TINY, each_network, same_state

from bnn_geometry.errors import UserError
from bnn_geometry.networks.layers import weight_layers
from bnn_geometry.training.build import build_network


def test_network_depends_on_the_seed_alone_and_passes_the_recipe_on():
    r = TINY["mlp"].with_(norm_epsilon=0.25, norm_momentum=0.5)
    network = build_network(r, 3)
    assert same_state(network, build_network(r, 3))
    assert not same_state(network, build_network(r, 4))
    assert (network.norm1.eps, network.norm1.momentum) == (0.25, 0.5)
    assert (network.dropout0.p, network.dropout1.p) == (0.2, 0.5)


def test_recipe_says_where_the_network_pools():
    names = {
        pool: list(dict(build_network(TINY["convnet"].with_(pool=pool), 0).named_children()))
        for pool in ("before-norm", "after-activation")
    }
    assert names["before-norm"][4:6] == ["pool2", "norm2"]
    assert names["after-activation"][4:7] == ["norm2", "act2", "pool2"]


@each_network
def test_recipe_says_where_the_network_normalizes(kind):
    for norm, order in (
        ("before-activation", ["norm1", "act1"]),
        ("after-activation", ["act1", "norm1"]),
    ):
        network = build_network(TINY[kind].with_(norm=norm), 0)
        assert [name for name, _ in network.named_children() if name in order] == order


@pytest.mark.parametrize("activation", ["binary", "hardtanh"])
def test_initial_scale_multiplies_the_initial_weights(activation):
    r = TINY["mlp"].with_(activation=activation)
    whole, half = build_network(r, 0), build_network(r.with_(init_scale=0.5), 0)
    for first, second in zip(
        weight_layers(whole).values(), weight_layers(half).values(), strict=True
    ):
        assert torch.equal(second.weight, first.weight / 2)


@each_network
def test_recipe_says_how_many_values_weights_have(kind):
    binary = build_network(TINY[kind], 0)
    for weights, share in (("ternary-twn", 0.7), ("ternary-absmean", 0.5)):
        network = build_network(TINY[kind].with_(weights=weights), 0)
        assert same_state(network, binary)  # the same latents
        for layer in weight_layers(network).values():
            w = layer.weight.detach()
            expected = w.sign() * (w.abs() > share * w.abs().mean())
            assert torch.equal(layer.forward_weight(torch.float32), expected)


def test_senseless_seed_is_refused():
    with pytest.raises(UserError, match="The seed must be between 0 and"):
        build_network(TINY["mlp"], -1)
