"""What the magnitudes of weights are worth: each change by hand, and what it must leave alone."""

import copy

import numpy as np
import pytest
import torch
from small_networks import each_kind, generator, norms, same, snapshot
from small_networks import make as make_any
from torch import nn

from bnn_geometry.errors import UserError
from bnn_geometry.geometry.distributions import GAUSSIAN
from bnn_geometry.networks import batch_norm, conversion, inference, magnitudes, models
from bnn_geometry.networks.layers import BinaryLinear, weight_layers


def make(kind, activation="hardtanh"):
    return make_any(kind, activation)


def linear(*rows):
    """A layer with these weight vectors."""
    weight = torch.tensor(rows)
    layer = BinaryLinear(weight.shape[1], weight.shape[0], binary=False)
    with torch.no_grad():
        layer.weight.copy_(weight)
    return layer


def gaussian(n, filters=1, seed=0):
    return linear(*torch.randn(filters, n, generator=generator(seed)).tolist())


CHANGES = {
    "raised": lambda net: magnitudes.raise_magnitudes(net, 0.5),
    "magnitudes dealt anew": lambda net: magnitudes.shuffle_magnitudes(net, generator()),
    "signs dealt anew": lambda net: magnitudes.shuffle_signs(net, generator()),
    "turned": lambda net: magnitudes.rotate_like(
        net, conversion.binarize_network(net), generator()
    ),
    "length 1": lambda net: magnitudes.normalize_filters(net, transform=True),
}
each_change = pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)


# --- powers ---------------------------------------------------------------------------------------


def test_powers_by_hand():
    layer = linear([1.0, -4.0, 0.0])
    # bin(w)|w|^½ = (1, −2, −0): k = (1·1 + 4·2)/(1 + 4)
    half = magnitudes.raise_magnitudes(layer, 0.5).weight[0]
    assert half.tolist() == pytest.approx([1.8, -3.6, 0.0])
    # signs: a zero counts as negative, and α = 5/3
    signs = magnitudes.raise_magnitudes(layer, 0).weight[0]
    assert signs.tolist() == pytest.approx([5 / 3, -5 / 3, -5 / 3])
    # squares (1, −16, 0): k = (1 + 64)/(1 + 256)
    squares = magnitudes.raise_magnitudes(layer, 2).weight[0]
    assert squares.tolist() == pytest.approx([65 / 257, -16 * 65 / 257, 0.0])


@each_kind
def test_power_one_is_the_network_and_power_zero_its_scaled_signs(kind):
    network, _ = make(kind)
    same_again = magnitudes.raise_magnitudes(network, 1)
    signs = magnitudes.raise_magnitudes(network, 0)
    by_scale = conversion.binarize_network(network, scaled=True)
    for name, layer in weight_layers(network).items():
        torch.testing.assert_close(weight_layers(same_again)[name].weight, layer.weight)
        torch.testing.assert_close(
            weight_layers(signs)[name].weight, weight_layers(by_scale)[name].weight
        )


@pytest.mark.parametrize("power", [0.0, 0.5, 2.0])
def test_no_other_factor_brings_the_raised_vector_closer(power):
    layer = gaussian(50, filters=3)
    raised = magnitudes.raise_magnitudes(layer, power).weight
    left = (layer.weight - raised).square().sum(1)
    for factor in (0.99, 1.01):
        assert ((layer.weight - factor * raised).square().sum(1) > left).all()


def test_angles_of_powers_and_shuffles_are_ratios_of_moments():
    layer = gaussian(400_000)
    law = GAUSSIAN
    found = {
        "signs": magnitudes.raise_magnitudes(layer, 0),
        "squares": magnitudes.raise_magnitudes(layer, 2),
        "dealt": magnitudes.shuffle_magnitudes(layer, generator(1)),
    }
    cosines = {
        "signs": law.m1 / law.m2**0.5,
        "squares": law.m3 / (law.m2 * law.m4) ** 0.5,
        "dealt": law.m1**2 / law.m2,
    }
    for name, net in found.items():
        angle = float(magnitudes.rotation_angles(layer, net)["angle"].iloc[0])
        # √n × s.d. of such an angle is below 60°
        assert angle == pytest.approx(
            np.degrees(np.arccos(cosines[name])), abs=4 * 60 / 400_000**0.5
        )


def test_vectors_of_zeros_stay_zeros_and_large_powers_stay_finite():
    layer = linear([0.0, 0.0], [1e-30, -2e-30])
    raised = magnitudes.raise_magnitudes(layer, 3).weight
    assert raised[0].tolist() == [0, 0]
    # (1, −8) in units of 1e-30, times (1 + 16)/(1 + 64)
    assert (raised[1] * 1e30).tolist() == pytest.approx([17 / 65, -8 * 17 / 65], rel=1e-5)


# --- dealt anew -----------------------------------------------------------------------------------


def test_shuffles_keep_what_they_say():
    layer = gaussian(300, filters=4)
    w = layer.weight.detach()
    vectors = magnitudes.shuffled_magnitudes(w.double(), generator(1))
    assert torch.equal(vectors > 0, w > 0)
    # w·bin(w) and ‖w‖, and with them the angle, are sums of the same numbers
    torch.testing.assert_close(vectors.abs().sum(1), w.double().abs().sum(1))
    torch.testing.assert_close(vectors.norm(dim=1), w.double().norm(dim=1))
    dealt = magnitudes.shuffle_magnitudes(layer, generator(1)).weight
    signs = magnitudes.shuffle_signs(layer, generator(1)).weight
    assert torch.equal(dealt.sign(), w.sign())
    assert torch.equal(dealt.abs().sort(1).values, w.abs().sort(1).values)
    assert not torch.equal(dealt, w)
    assert torch.equal(signs.abs(), w.abs())
    assert torch.equal((signs > 0).sum(1), (w > 0).sum(1))
    assert not torch.equal(signs.sign(), w.sign())
    # each filter by itself: equal filters become different ones
    equal = linear(*[layer.weight[0].tolist()] * 3)
    for shuffle in (magnitudes.shuffle_magnitudes, magnitudes.shuffle_signs):
        assert len(shuffle(equal, generator(1)).weight.unique(dim=0)) == 3
    again = magnitudes.shuffle_magnitudes(layer, generator(1)).weight
    assert torch.equal(dealt, again)


def test_random_turn_has_the_angle_and_the_length_of_each_filter():
    layer = gaussian(2000, filters=3)
    with torch.no_grad():
        layer.weight[1] *= 7
    signs = conversion.binarize_network(layer)
    turned = magnitudes.rotate_like(layer, signs, generator(1))
    torch.testing.assert_close(turned.weight.norm(dim=1), layer.weight.norm(dim=1))
    wanted = magnitudes.rotation_angles(layer, signs)["angle"]
    np.testing.assert_allclose(
        magnitudes.rotation_angles(layer, turned)["angle"], wanted, atol=1e-3
    )
    # it is another direction: the two turns are at right angles but for the share they have in w
    c = np.cos(np.radians(wanted)) ** 2
    between = np.cos(np.radians(magnitudes.rotation_angles(signs, turned)["angle"]))
    np.testing.assert_allclose(between, c, atol=4 / 2000**0.5)


def test_angles_by_hand():
    layer, other = (
        linear([1.0, 0.0], [1.0, 1.0], [0.0, 0.0]),
        linear([0.0, 2.0], [3.0, 3.0], [1.0, 0]),
    )
    found = magnitudes.rotation_angles(layer, other)
    assert found["angle"].tolist()[:2] == pytest.approx([90, 0])
    assert np.isnan(found["angle"].iloc[2])
    np.testing.assert_allclose(
        magnitudes.rotation_angles(gaussian(100, 5), conversion.binarize_network(gaussian(100, 5)))[
            "angle"
        ],
        gaussian(100, 5).latent_angles(),
    )


# --- lengths --------------------------------------------------------------------------------------


def without_epsilon(network):
    network = copy.deepcopy(network)
    for norm in norms(network):
        norm.eps = 1e-12
    return network


@each_kind
def test_lengths_are_divided_out_by_batch_norm(kind):
    network, shown = make(kind)
    network = without_epsilon(network)
    with torch.no_grad():  # filters of very different lengths
        for layer in weight_layers(network).values():
            factors = torch.logspace(-1, 1, len(layer.weight))
            layer.weight.mul_(factors.reshape(-1, *[1] * (layer.weight.ndim - 1)))
        x = inference.scale_images(shown)
        divided = magnitudes.normalize_filters(network, transform=True)
        kept = magnitudes.normalize_filters(network, transform=False)
        torch.testing.assert_close(divided(x), network(x), rtol=1e-3, atol=1e-3)
        assert (kept(x) - network(x)).abs().max() > 0.1
        refitted, before = (batch_norm.refit_batch_norm(net, shown) for net in (kept, network))
        torch.testing.assert_close(refitted(x), before(x), rtol=1e-3, atol=1e-3)
    for layer in weight_layers(divided).values():
        torch.testing.assert_close(
            layer.weight.flatten(1).norm(dim=1), torch.ones(len(layer.weight))
        )


# --- all of them ----------------------------------------------------------------------------------


@each_change
def test_the_network_given_is_left_as_it_was_and_mistakes_are_named(change):
    network, _ = make("mlp")
    before = snapshot(network)
    change(network)
    assert same(snapshot(network), before)
    bnn, _ = make("mlp", "binary")
    with pytest.raises(UserError, match="Layer fc1 computes with signs: its magnitudes"):
        change(bnn)
    with pytest.raises(UserError, match="no linear layer or convolution"):
        change(nn.ReLU())
    with torch.no_grad():
        network.fc2.weight[0, 0] = float("inf")
    with pytest.raises(UserError, match="Layer fc2 has weights that are not finite"):
        change(network)


def test_further_mistakes_are_named():
    network, _ = make("mlp")
    with pytest.raises(ValueError, match="must not be negative, as -1 is"):
        magnitudes.raise_magnitudes(network, -1)
    other = models.MLP(generator(), width=1 / 64, activation="hardtanh")
    with pytest.raises(UserError, match="do not have the same weight layers"):
        magnitudes.rotate_like(network, other, generator())
    with pytest.raises(UserError, match="do not have the same weight layers"):
        magnitudes.rotation_angles(network, other)
    with pytest.raises(UserError, match="a filter of zeros, which has no direction"):
        magnitudes.normalize_filters(linear([0.0, 0.0]), transform=False)
    with pytest.raises(UserError, match="No batch norm follows layer"):
        magnitudes.normalize_filters(nn.Sequential(linear([1.0, 0.0])), transform=True)


def test_lengths_are_divided_out_of_torchs_layers_with_biases_and_shared_modules():
    layer, norm = nn.Linear(4, 4), nn.BatchNorm1d(4)
    network = nn.Sequential(layer, norm, nn.ReLU(), layer, norm)
    x = torch.randn(50, 4, generator=generator()) + 1
    network(x)
    network.eval()
    for n in (layer, norm):
        nn.init.normal_(n.bias, generator=generator(1))
    norm.eps = 0.0
    changed = magnitudes.normalize_filters(network, transform=True)
    torch.testing.assert_close(changed[0].weight.norm(dim=1), torch.ones(4))
    torch.testing.assert_close(changed(x), network(x))
    unclear = nn.Sequential(layer, norm, nn.Linear(4, 4), norm)
    with pytest.raises(UserError, match=r"Batch norm 3 keeps no statistics or follows two layers"):
        magnitudes.normalize_filters(unclear, transform=True)


def test_tied_weights_are_changed_once():
    network = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    network[1].weight = network[0].weight
    changed = magnitudes.raise_magnitudes(network, 0.5)
    alone = magnitudes.raise_magnitudes(nn.Sequential(network[0]), 0.5)
    assert torch.equal(changed[0].weight, alone[0].weight)
    assert changed[1].weight is changed[0].weight
