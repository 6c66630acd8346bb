"""Samples of what enters a layer: the right vectors, however the images are cut into batches."""

import pytest
import torch
from test_probes import each_network, make
from torch.nn import functional as F  # noqa: N812

from bnn_geometry.networks.layers import BinaryConv2d, weight_layers
from bnn_geometry.probing.layer_inputs import observe, sample_inputs


def draw(network, images, samples, *, seed=0, **options):
    generator = torch.Generator().manual_seed(seed)
    return sample_inputs(network, images, samples=samples, generator=generator, **options)


@each_network
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


@each_network
@pytest.mark.parametrize("batch_size", [1, 5])
def test_sample_does_not_depend_on_the_batch_size(kind, batch_size):
    network, images = make(kind)
    whole = draw(network, images, 30)
    parts = draw(network, images, 30, batch_size=batch_size)
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
