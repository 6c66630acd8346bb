"""Small networks, images for them, and what of a network must not change."""

import pytest
import torch
from torch import nn

from bnn_geometry.networks.models import MLP, ConvNet

KINDS = ("convnet", "mlp")
each_kind = pytest.mark.parametrize("kind", KINDS)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def pixels(seed, *shape):
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator(seed))


def norms(network):
    return [m for m in network.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]


def make(kind, activation="binary", **options):
    """A small network whose norms do something of their own, and a dozen images for it."""
    network_type, width = {"convnet": (ConvNet, 1 / 32), "mlp": (MLP, 1 / 128)}[kind]
    network = network_type(generator(), width=width, activation=activation, **options)
    images = pixels(1, 12, *network.image_shape)
    for norm in norms(network):
        nn.init.uniform_(norm.weight, 0.5, 1.5, generator=generator(2))
        nn.init.uniform_(norm.bias, -0.5, 0.5, generator=generator(3))
    with torch.no_grad():  # running statistics of use
        network(images.float() * 2 / 255 - 1)
    return network.eval(), images


def snapshot(network):
    """All that a function which returns a copy must leave as it is."""
    state = {k: v.clone() for k, v in network.state_dict().items()}
    modules = [
        (type(m), m.training, getattr(m, "momentum", None), getattr(m, "binary", None))
        for m in network.modules()
    ]
    hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in network.modules()]
    return state, modules, hooks


def same(a, b):
    return a[1:] == b[1:] and all(torch.equal(a[0][k], b[0][k]) for k in a[0])
