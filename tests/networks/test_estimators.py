"""Straight-through estimators: their slopes by hand, and in networks."""

import copy

import numpy as np
import pytest
import torch

from bnn_geometry.networks import estimators
from bnn_geometry.networks.estimators import ESTIMATORS, SWISH_BETA
from bnn_geometry.networks.layers import BinaryActivation, weight_layers
from bnn_geometry.networks.models import MLP

X = torch.tensor([-3.0, -1.0, -0.6, -1e-3, 0.0, 0.2, 0.9, 1.0, 1.5], dtype=torch.float64)


def swish_slope(x):
    b = SWISH_BETA * x
    return SWISH_BETA * (2 - b * np.tanh(b / 2)) / (1 + np.cosh(b))


BY_HAND = {
    "identity": np.ones_like,
    "hard tanh": lambda x: (np.abs(x) <= 1) * 1.0,
    "tanh": lambda x: 1 / np.cosh(x) ** 2,
    "polynomial": lambda x: np.maximum(0, 2 - 2 * np.abs(x)),
    "swish-like": swish_slope,
    "outside alone": lambda x: (np.abs(x) > 1) * 1.0,
    "nothing": np.zeros_like,
}


def test_there_is_a_slope_by_hand_for_every_estimator():
    assert set(BY_HAND) == set(ESTIMATORS)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_forward_is_bin_and_backward_the_slope_of_g(name):
    estimator = ESTIMATORS[name]
    np.testing.assert_allclose(estimator.slope(X), BY_HAND[name](X.numpy()), rtol=1e-12, atol=1e-15)
    leaf = X.clone().requires_grad_()
    value = estimator(leaf)
    assert value.tolist() == [-1, -1, -1, -1, -1, 1, 1, 1, 1]
    if name == "nothing":
        assert not value.requires_grad
        return
    upstream = torch.arange(1.0, 10.0, dtype=torch.float64)
    value.backward(upstream)
    torch.testing.assert_close(leaf.grad, upstream * estimator.slope(X))


def test_swish_like_slope_changes_its_sign_where_the_docstring_says():
    root = 2.3994 / SWISH_BETA
    low, high = estimators.SWISH.slope(torch.tensor([root - 1e-3, root + 1e-3]).double())
    assert low > 0 > high
    assert estimators.SWISH.slope(torch.zeros(1)).item() == SWISH_BETA


def network(seed=0):
    generator = torch.Generator().manual_seed(seed)
    made = MLP(generator, width=1 / 256, input_dropout=0.0, hidden_dropout=0.0)
    return made, torch.rand(8, 1, 28, 28, generator=generator) * 2 - 1


def gradients(made, x):
    made.zero_grad()
    made(x).square().sum().backward()
    return {name: layer.weight.grad for name, layer in weight_layers(made).items()}


def test_hard_tanh_in_activations_is_what_networks_have():
    made, x = network()
    before = gradients(made, x)
    after = gradients(estimators.in_activations(made, estimators.HARD_TANH), x)
    for name in before:
        assert torch.equal(after[name], before[name])


def test_another_estimator_changes_gradients_and_no_score():
    made, x = network()
    scores, before = made(x), gradients(made, x)
    changed = estimators.in_activations(made, estimators.POLYNOMIAL)
    assert sum(isinstance(m, estimators.EstimatorActivation) for m in changed.modules()) == 3
    assert all(type(made.get_submodule(f"act{i}")) is BinaryActivation for i in (1, 2, 3))
    assert torch.equal(changed(x), scores)
    after = gradients(changed, x)
    assert torch.equal(after["fc4"], before["fc4"])  # behind the last activation
    assert not torch.allclose(after["fc1"], before["fc1"])


def test_where_activations_pass_nothing_only_the_last_layer_learns():
    made, x = network()
    found = gradients(estimators.in_activations(made, estimators.NOTHING), x)
    assert [name for name, g in found.items() if g is not None] == ["fc4"]


def test_an_estimator_in_the_weights_multiplies_their_gradient():
    made, x = network()
    before = gradients(made, x)
    # a copy of what was changed is changed too
    after = gradients(copy.deepcopy(estimators.in_weights(made, estimators.POLYNOMIAL)), x)
    again = gradients(made, x)
    for name, layer in weight_layers(made).items():
        slope = 2 - 2 * layer.weight.detach().abs()
        torch.testing.assert_close(after[name], before[name] * slope)
        assert torch.equal(again[name], before[name])  # the network given is as it was


def test_a_network_without_binary_parts_is_refused():
    made = MLP(torch.Generator().manual_seed(0), width=1 / 256, activation="relu")
    with pytest.raises(ValueError, match="no binary activation"):
        estimators.in_activations(made, estimators.TANH)
    with pytest.raises(ValueError, match="no binary weights"):
        estimators.in_weights(made, estimators.TANH)
