"""Observing a network: every layer's input, what it was before it was binarized, and errors."""

import pytest
import torch
from small_networks import each_kind, generator, make, norms, pixels, same, snapshot
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torchvision.models.vgg import VGG, make_layers

from bnn_geometry.errors import UserError
from bnn_geometry.networks import layers
from bnn_geometry.networks.layers import BinaryActivation, BinaryConv2d, BinaryLinear, weight_layers
from bnn_geometry.networks.replacement import replace_modules
from bnn_geometry.probing import dot_products
from bnn_geometry.probing.layer_inputs import observe, sample_inputs


def seen(network, images, **options):
    found = []
    observe(network, images, found.append, **options)
    return found


@each_kind
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


@each_kind
def test_dot_products_are_those_of_the_layer(kind):
    network, images = make(kind)
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
        layers.initialize(self, generator())

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
    made = {
        nn.Conv2d: lambda old: BinaryConv2d(old.in_channels, old.out_channels),
        nn.Linear: lambda old: BinaryLinear(old.in_features, old.out_features),
        nn.ReLU: lambda old: BinaryActivation(),
    }
    network = replace_modules(
        network, lambda name, module: type(module) in made, lambda old: made[type(old)](old)
    )
    layers.initialize(network, generator())
    return network


def test_network_of_torchvision_built_from_binary_layers_can_be_probed():
    network, images = binary_vgg(), pixels(0, 4, 3, 32, 32)
    with pytest.warns(UserWarning, match="left out of the comparison of activations"):
        found = dot_products.probe(
            network, images, (dot_products.WEIGHTS, dot_products.ACTIVATIONS)
        )
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
    with pytest.raises(UserError, match="no linear layer or convolution"):
        seen(nn.ReLU(), images)

    class Unused(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = BinaryLinear(784, 3), BinaryLinear(784, 3)
            layers.initialize(self, generator())

        def forward(self, x):
            return self.used(x.flatten(1))

    with pytest.warns(UserWarning, match="Layer unused is left out: it took no part"):
        assert {at.name for at in seen(Unused(), images)} == {"used"}
    with torch.no_grad():
        network.fc2.weight[0, 0] = torch.nan
    with pytest.raises(UserError, match="Layer fc2 has weights that are not finite"):
        seen(network, images)


def test_the_network_is_left_as_it_was_also_after_a_failure():
    network, images = make("mlp")
    norms(network.train())[0].eval()  # a frozen batch norm
    before = snapshot(network)
    seen(network, images)
    assert same(snapshot(network), before)

    def fail(at):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        observe(network, images, fail)
    assert same(snapshot(network), before)


# --- samples --------------------------------------------------------------------------------------


def draw(network, images, samples, *, seed=0, **options):
    return sample_inputs(network, images, samples=samples, generator=generator(seed), **options)


@each_kind
def test_vectors_are_inputs_of_the_layer_from_the_image_that_is_named(kind):
    network, images = make(kind)
    found = draw(network, images, 30)
    inputs = {}
    observe(network, images, lambda at: inputs.setdefault(at.name, at))
    assert list(found) == list(weight_layers(network))
    for name, sample in found.items():
        layer, x = inputs[name].layer, inputs[name].x
        count = 30 if isinstance(layer, BinaryConv2d) else 12
        assert sample.x.shape == (count, layer.fan_in)
        vectors = x[:, None]
        if isinstance(layer, BinaryConv2d):
            vectors = F.unfold(x, 3, padding=1).transpose(1, 2)
        for v, image in zip(sample.x, sample.image, strict=True):
            assert (vectors[image] == v).all(1).any()


@each_kind
def test_sample_does_not_depend_on_the_batch_size(kind):
    network, images = make(kind)
    whole = draw(network, images, 30)
    parts = draw(network, images, 30, batch_size=5)
    for name in whole:
        assert torch.equal(whole[name].image, parts[name].image)
        torch.testing.assert_close(whole[name].x, parts[name].x)


def test_every_image_gives_as_many_vectors_from_everywhere():
    network, images = make("convnet")
    sample = draw(network, images, 12 * 500)["conv1"]
    assert torch.bincount(sample.image).tolist() == [500] * 12
    # a corner pads five of nine pixels, an edge three: in how many patches the first one is padding
    padded = (sample.x[:, [0, 9, 18]] == 0).all(1).double().mean()
    assert padded == pytest.approx((2 * 32 - 1) / 32**2, abs=0.01)


def test_seed_decides_and_nothing_else():
    network, images = make("convnet")
    first, again, other = (draw(network, images, 20, seed=s)["conv3"].x for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_no_sample_is_refused():
    network, images = make("mlp")
    with pytest.raises(ValueError, match="at least one vector, not 0"):
        draw(network, images, 0)
