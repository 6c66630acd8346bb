"""The loop for small networks of any shape."""

import pytest
import torch
from torch import nn

from bnn_geometry.errors import UserError
from bnn_geometry.networks.layers import BinaryLinear
from bnn_geometry.networks.recurrent import RowReader
from bnn_geometry.training.schedule import layer_scale
from bnn_geometry.training.small_networks import (
    Budget,
    parameter_groups,
    train_small,
    triangle,
)


def split(count=120):
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 10, (count,), generator=generator)
    images = torch.randint(0, 60, (count, 1, 10, 6), generator=generator, dtype=torch.uint8)
    images[torch.arange(count), 0, labels] += 190  # the label is which row is bright
    return images, labels


def reader(**options):
    return RowReader(torch.Generator().manual_seed(1), hidden=16, image=(10, 6), **options)


def trained(lr=1e-2, seed=5, epochs=4, **options):
    network = reader(**options)
    error = train_small(network, *split(), Budget(epochs, 20, 120), lr=lr, seed=seed)
    return network, error


def test_a_network_learns_what_can_be_learned():
    _, first = trained(epochs=1, binary=False, recurrent="continuous")
    network, last = trained(epochs=12, binary=False, recurrent="continuous")
    assert last < first / 2
    assert not network.training


def test_the_same_seed_gives_the_same_bits():
    one, same, other = (trained(seed=seed)[0].state_dict() for seed in (5, 5, 6))
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert any(not torch.equal(one[key], other[key]) for key in one)


def test_latents_are_clipped_and_real_weights_are_not():
    network, _ = trained(lr=1.0, recurrent="continuous")
    assert network.input.weight.abs().max() == 1
    assert network.recurrent.weight.abs().max() > 1


def test_first_step_of_adam_is_the_rate_times_the_layers_scale():
    before, lr = reader(recurrent="continuous"), 1e-4
    images, labels = split(20)
    network = reader(recurrent="continuous")
    train_small(network, images, labels, Budget(1, 20, 20), lr=lr, seed=5)  # one step
    # Adam's first step has the size of its rate wherever there is a gradient
    for name, scale in (("input", layer_scale(network.input)), ("recurrent", 1.0)):
        moved = (getattr(network, name).weight - getattr(before, name).weight).abs()
        assert moved.max().item() == pytest.approx(lr * scale, rel=1e-3)


def test_only_quantized_layers_have_the_originals_scale():
    network = nn.Sequential(BinaryLinear(5, 7), BinaryLinear(7, 3, binary=False))
    scales = [group["scale"] for group in parameter_groups(network)]
    assert scales == [layer_scale(network[0]), 1.0]


def test_the_rate_rises_and_falls():
    rates = [triangle(step, 10) for step in range(10)]
    assert rates[:3] == [0.5, 1.0, 1.0]
    assert rates[3:] == sorted(rates[3:], reverse=True)
    assert rates[-1] == 1 / 8
    assert triangle(0, 1) == 1


def test_too_few_images_and_a_loss_beyond_numbers_are_sentences():
    with pytest.raises(UserError, match="3 images are too few"):
        train_small(reader(), *(z[:3] for z in split()), Budget(1, 20, 3), lr=1e-2, seed=0)
    network = reader()
    with torch.no_grad():
        network.last_norm.weight.fill_(torch.nan)
    with pytest.raises(UserError, match="stopped being finite at step 1 of 6"):
        train_small(network, *split(), Budget(1, 20, 120), lr=1e-2, seed=0)
