"""Replacing modules of a copy: at every use, once for each module."""

import pytest
import torch
from small_networks import make, same, snapshot
from torch import nn

from bnn_geometry.errors import UserError
from bnn_geometry.networks.replacement import copied, replace_modules


def is_relu(name, module):
    return isinstance(module, nn.ReLU)


def test_a_shared_module_is_replaced_at_every_use_and_stays_shared():
    shared = nn.ReLU()
    block = nn.Sequential(nn.Linear(2, 2), shared)
    network = nn.Sequential(block, shared, block, nn.Sequential(shared))
    changed = replace_modules(network, is_relu, lambda module: nn.Tanh())
    places = [changed[0][1], changed[1], changed[3][0]]
    assert all(type(place) is nn.Tanh for place in places)
    assert len(set(places)) == 1
    assert changed[0] is changed[2]  # and so do the blocks
    assert not any(isinstance(module, nn.ReLU) for module in changed.modules())
    assert network[1] is network[0][1] is shared


def test_names_choose_a_use():
    shared = nn.ReLU()
    network = nn.Sequential(shared, shared)
    changed = replace_modules(network, lambda name, _: name == "1", lambda module: nn.Tanh())
    assert [type(module) for module in changed] == [nn.ReLU, nn.Tanh]


def test_what_is_made_has_the_mode_and_may_have_the_parameters_of_what_it_replaces():
    network, _ = make("mlp")
    network.norm2.train()
    before = snapshot(network)
    made = []

    def make_identity(norm):
        made.append(norm)
        identity = nn.Identity()
        identity.weight = norm.weight
        return identity

    changed = replace_modules(network, lambda name, _: name.startswith("norm"), make_identity)
    assert [changed.norm1.training, changed.norm2.training] == [False, True]
    assert changed.norm1.weight is made[0].weight is not network.norm1.weight
    assert same(snapshot(network), before)
    assert torch.equal(changed.norm1.weight, network.norm1.weight)


def test_a_wrapper_is_not_copied_and_what_cannot_be_is_a_sentence():
    network = nn.Sequential(nn.Linear(2, 2))
    inner = copied(nn.DataParallel(torch.compile(network)))
    assert type(inner) is nn.Sequential
    assert inner is not network
    network[0].computed = network[0].weight * 2
    with pytest.raises(UserError, match="cannot be copied"):
        copied(network)
