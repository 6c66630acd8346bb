"""Weights of three values: thresholds by hand, gradients, and in networks."""

import numpy as np
import pytest
import torch
from small_networks import generator, make, same, snapshot
from torch.nn import functional as F  # noqa: N812

from bnn_geometry.networks.layers import BinaryLinear, weight_layers
from bnn_geometry.networks.ternary import ABSMEAN, RULES, TWN, with_ternary_weights
from bnn_geometry.probing.layer_inputs import observe
from bnn_geometry.probing.weights import weight_angles

each_rule = pytest.mark.parametrize("rule", RULES.values(), ids=str)


def test_thresholds_are_those_of_the_two_papers():
    w = torch.tensor([[0.1, -0.3], [0.34, 0.86]])  # mean size 0.4: 0.28 and 0.2
    assert TWN.threshold(w).item() == pytest.approx(0.28)
    assert ABSMEAN.threshold(w).item() == pytest.approx(0.2)
    assert TWN.values(w).tolist() == [[0, -1], [1, 1]]
    assert ABSMEAN.values(torch.tensor([0.25, -0.75])).tolist() == [0, -1]  # Δ itself is 0


def test_absmean_rounds_the_weights_over_their_mean_size():
    w = torch.rand(50, 40, generator=generator()) * 2 - 1
    by_hand = np.clip(np.round(w.numpy() / np.abs(w.numpy()).mean()), -1, 1)
    np.testing.assert_array_equal(ABSMEAN.values(w), by_hand)


@each_rule
def test_gradient_passes_unchanged_and_what_is_not_finite_stays_so(rule):
    w = torch.linspace(-1, 1, 21).requires_grad_()
    value = rule(w)
    assert torch.equal(value, rule.values(w))
    upstream = torch.arange(21.0)
    value.backward(upstream)
    assert torch.equal(w.grad, upstream)
    assert torch.isnan(rule(torch.tensor([1.0, torch.nan]))[1])


@each_rule
def test_network_computes_with_three_values_of_its_latents(rule):
    network, images = make("mlp")
    before = snapshot(network)
    ternary = with_ternary_weights(network, rule)
    assert same(before, snapshot(network))
    x = images.float() * 2 / 255 - 1
    assert not torch.equal(ternary(x), network(x))
    for layer in weight_layers(ternary).values():
        w = layer.weight.detach()
        assert torch.equal(layer.binary_weight, rule.values(w))
        y = torch.randn(3, layer.fan_in, generator=generator())
        assert torch.equal(layer(y), F.linear(y, rule.values(w)))
        cosine = F.cosine_similarity(w.double(), rule.values(w).double())
        np.testing.assert_allclose(layer.latent_angles(), cosine.arccos().rad2deg(), rtol=1e-6)


@each_rule
def test_probes_look_at_the_three_values(rule):
    network, images = make("mlp")
    network = with_ternary_weights(network, rule)
    seen = []
    observe(network, images, lambda at: seen.append((at.binary_weight, at.forward_weight)))
    assert len(seen) == 4
    assert all(torch.equal(*pair) for pair in seen)
    angles = weight_angles(network).groupby("layer", sort=False)["angle"].apply(list)
    for name, layer in weight_layers(network).items():
        assert angles[name] == layer.latent_angles().tolist()


def test_filter_without_a_value_has_no_angle():
    layer = BinaryLinear(2, 2)
    layer.weight.data = torch.tensor([[0.1, 0.1], [1.0, 1.0]])
    layer.quantizer = TWN.values
    assert layer.latent_angles().isnan().tolist() == [True, False]


def test_continuous_network_has_no_weights_to_make_ternary():
    with pytest.raises(ValueError, match="no binary weights"):
        with_ternary_weights(make("mlp", "relu")[0], TWN)
