"""Observing a network: every layer's input, what it was before it was binarized, and errors."""

import pytest
import torch
from test_probes import each_network, make, pixels
from torch import nn
from torchvision.models.vgg import VGG, make_layers

from bnn_geometry.errors import UserError
from bnn_geometry.networks import layers
from bnn_geometry.networks.layers import BinaryActivation, BinaryConv2d, BinaryLinear, weight_layers
from bnn_geometry.probing import dot_products
from bnn_geometry.probing.layer_inputs import observe


def seen(network, images, **options):
    found = []
    observe(network, images, found.append, **options)
    return found


@each_network
def test_every_layer_is_seen_once_for_each_batch(kind):
    network, images = make(kind)
    network.train()
    found = seen(network, images, batch_size=5)
    names = list(weight_layers(network))
    assert [at.name for at in found] == names * 3
    assert [len(at.x) for at in found[:: len(names)]] == [5, 5, 2]
    assert network.training
    x = images[:5].float() * 2 / 255 - 1
    torch.testing.assert_close(found[0].x.reshape(x.shape), x)
    for at in found:
        if at.name == names[0]:
            assert at.continuous is None
        else:
            assert torch.equal(torch.where(at.continuous > 0, 1.0, -1.0), at.x)


@each_network
def test_dot_products_are_those_of_the_layer(kind):
    network, images = make(kind)
    network.eval()
    for at in seen(network, images):
        with torch.no_grad():
            expected = at.layer(at.x).movedim(1, 0).flatten(1)
        torch.testing.assert_close(at.dot(at.layer.binary_weight), expected)


class Branches(nn.Module):
    """Two layers share an activation, and a second activation ran between it and one of them."""

    def __init__(self):
        super().__init__()
        self.first, self.second = BinaryActivation(), BinaryActivation()
        self.a, self.b = BinaryLinear(12, 3), BinaryLinear(12, 3)
        self.c = BinaryLinear(12, 3)
        layers.initialize(self, torch.Generator().manual_seed(0))

    def forward(self, x):
        x = x.flatten(1)
        one, two = self.first(x), self.second(-2 * x)
        return self.a(one) + self.b(two) + self.c(one)


def test_branches_are_told_apart():
    images = pixels(0, 6, 3, 2, 2)
    x = images.flatten(1).float() * 2 / 255 - 1
    found = {at.name: at for at in seen(Branches(), images)}
    torch.testing.assert_close(found["a"].continuous, x)
    torch.testing.assert_close(found["b"].continuous, -2 * x)
    torch.testing.assert_close(found["c"].continuous, x)


def binary_vgg():
    """A VGG of torchvision, narrow, with this package's layers in the place of its own."""
    plan = [8, "M", 16, "M", 16, 16, "M"]
    network = VGG(make_layers(plan, batch_norm=True), num_classes=10, init_weights=False)
    network.avgpool = nn.Identity()
    network.classifier = nn.Sequential(
        nn.Linear(16 * 4 * 4, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(), nn.Linear(32, 10)
    )
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Conv2d):
                setattr(parent, name, BinaryConv2d(child.in_channels, child.out_channels))
            elif isinstance(child, nn.Linear):
                setattr(parent, name, BinaryLinear(child.in_features, child.out_features))
            elif isinstance(child, nn.ReLU):
                setattr(parent, name, BinaryActivation())
    layers.initialize(network, torch.Generator().manual_seed(0))
    return network


def test_network_of_torchvision_built_from_binary_layers_can_be_probed():
    network, images = binary_vgg(), pixels(0, 20, 3, 32, 32)
    found = dot_products.probe(network, images, (dot_products.WEIGHTS, dot_products.ACTIVATIONS))
    names = list(weight_layers(network))
    assert [s.layer for s in found["weights"]] == names
    assert len(names) == 6
    # behind a pooling layer the inputs are the largest of four signs, not a binarization
    assert {s.layer for s in found["activations"]} < set(names[1:])
    for s in found["weights"]:
        assert 0.5 < s.r < 1


def test_what_cannot_be_observed_is_a_sentence():
    network, images = make("mlp")
    with pytest.raises(UserError, match="no images"):
        seen(network, images[:0])
    with pytest.raises(UserError, match="at least one image, not 0"):
        seen(network, images, batch_size=0)
    with pytest.raises(UserError, match="no binary layer"):
        seen(nn.Linear(2, 2), images)

    class Unused(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = BinaryLinear(784, 3), BinaryLinear(784, 3)
            layers.initialize(self, torch.Generator().manual_seed(0))

        def forward(self, x):
            return self.used(x.flatten(1))

    with pytest.raises(UserError, match="Layer unused took no part"):
        seen(Unused(), images)
    with torch.no_grad():
        network.fc2.weight[0, 0] = torch.nan
    with pytest.raises(UserError, match="Layer fc2 has weights that are not finite"):
        seen(network, images)


def test_failure_leaves_the_network_as_it_was():
    network, images = make("mlp")
    network.train()

    def fail(at):
        raise RuntimeError

    with pytest.raises(RuntimeError):
        observe(network, images, fail)
    assert network.training
    assert not any(m._forward_pre_hooks or m._forward_hooks for m in network.modules())
