"""Layers of any geometry, against explicit patches in float64."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from plain_loops import layers, products, vectors, weights
from small_networks import generator, same, snapshot
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune

from bnn_geometry.errors import UserError
from bnn_geometry.networks import linear_layers
from bnn_geometry.networks.layers import BinaryConv2d, BinaryLinear, initialize

modest = settings(max_examples=25, deadline=None, derandomize=True)


@modest
@given(layers())
def test_outputs_and_vectors_are_those_of_explicit_patches(drawn):
    layer, shape = drawn
    x = torch.randn(3, *shape, generator=generator())
    binary, latent = weights(layer)
    used = binary if isinstance(layer, BinaryLinear) or hasattr(layer, "binary") else latent
    with torch.no_grad():
        output = layer(x)
        bias = 0 if layer.bias is None else layer.bias[:, None]
        found = linear_layers.filters_first(layer, output) - bias
    np.testing.assert_allclose(found, products(layer, x, used), atol=1e-4)

    expected = vectors(layer, x)
    assert linear_layers.count_vectors(layer, x) == expected.shape[1]
    entry, where = (z.flatten() for z in torch.meshgrid(
        torch.arange(3), torch.arange(expected.shape[1]), indexing="ij"))  # fmt: skip
    patches = linear_layers.input_vectors(layer, x, entry, where)
    np.testing.assert_array_equal(patches, expected.reshape(len(entry), -1).astype(np.float32))


def test_fan_out_counts_the_filters_of_one_group():
    layer = BinaryConv2d(4, 6, 3, groups=2)
    assert (layer.fan_in, layer.fan_out) == (2 * 9, 3 * 9)


def test_a_residual_block_can_be_written():
    down, shortcut = BinaryConv2d(4, 8, 3, stride=2), BinaryConv2d(4, 8, 1, 2)
    same_size = BinaryConv2d(8, 8, 3, dilation=2)
    network = nn.ModuleList([down, shortcut, same_size])
    initialize(network, generator())
    x = torch.randn(2, 4, 9, 9, generator=generator())
    assert (down(x) + shortcut(x) + same_size(down(x))).shape == (2, 8, 5, 5)
    assert BinaryConv2d(1, 1, 2, padding=0).kernel_size == (2, 2)


# --- whose weights they are ----------------------------------------------------------------------


def test_every_layer_is_found_once_and_wrappers_are_taken_off():
    shared = nn.Linear(2, 2)
    network = nn.Sequential(nn.Conv2d(1, 2, 1), shared, nn.ReLU(), shared, nn.Embedding(3, 2))
    wrapped = nn.DataParallel(torch.compile(network))
    for net in (network, wrapped):
        assert list(linear_layers.linear_layers(net)) == ["0", "1"]


def spectral():
    network = nn.Sequential(parametrizations.spectral_norm(nn.Linear(5, 4)), nn.BatchNorm1d(4))
    return network.train()


def test_parametrized_weights_are_those_of_evaluation_and_looking_changes_nothing():
    network = spectral()
    before = snapshot(network)
    found = linear_layers.latent_weights(network)["0"]
    assert same(snapshot(network), before)  # in training each look would be a power iteration
    network.eval()
    assert torch.equal(found, network[0].weight)
    # the largest singular value, by an estimate
    assert 0.9 < float(torch.linalg.matrix_norm(found, 2)) < 1.2


def test_what_has_no_weights_of_its_own_is_a_sentence():
    def refused(network, match):
        with pytest.raises(UserError, match=match):
            linear_layers.latent_weights(network)

    refused(nn.ReLU(), "no linear layer or convolution")
    refused(nn.Sequential(nn.LazyLinear(3)), "weights without a shape or values")
    refused(nn.Sequential(nn.Linear(2, 2), nn.LazyBatchNorm1d()), "weights without a shape")
    pruned = nn.Sequential(prune.l1_unstructured(nn.Linear(4, 2), "weight", amount=2))
    refused(pruned, "A hook makes the weights of layer 0")
    refused(nn.Sequential(nn.Linear(2, 2, device="meta")), "weights without a shape or values")
    refused(nn.Sequential(nn.Conv1d(2, 2, 1, dtype=torch.complex64)), "complex64 weights")
    unfinished = nn.Sequential(nn.Linear(2, 2))
    unfinished[0].weight.data[0, 0] = torch.inf
    refused(unfinished, "Layer 0 has weights that are not finite")


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_quantized_layers_are_a_sentence():
    network = nn.Sequential(nn.Linear(4, 2), nn.ReLU())
    try:
        quantized = torch.ao.quantization.quantize_dynamic(network, {nn.Linear})
    except (AttributeError, RuntimeError) as error:
        pytest.skip(f"this torch quantizes nothing here: {error}")
    with pytest.raises(UserError, match="Layer 0 is quantized"):
        linear_layers.latent_weights(quantized)


# --- other weights in a copy ---------------------------------------------------------------------


def test_a_parametrization_gives_way_to_the_new_weights():
    network, w = spectral(), torch.ones(4, 5)
    before = snapshot(network)
    changed = linear_layers.with_weights(network, {"0": w})
    assert same(snapshot(network), before)
    assert torch.equal(changed[0].weight, w)
    assert not parametrize.is_parametrized(changed[0])


def test_weights_that_others_share_are_changed_with_them_or_not_at_all():
    network = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), nn.Embedding(3, 3), nn.Linear(3, 3))
    network[1].weight = network[0].weight
    network[3].weight = network[2].weight
    w = {name: torch.zeros(3, 3) for name in "01"}
    changed = linear_layers.with_weights(network, w)
    assert changed[0].weight is changed[1].weight
    assert not changed[0].weight.any()
    for names, other in (("0", "1"), ("013", "2")):
        with pytest.raises(UserError, match=f"shares its weights with {other}"):
            linear_layers.with_weights(network, {name: torch.zeros(3, 3) for name in names})


def test_a_forward_of_its_own_may_do_anything_with_weights():
    class Own(nn.Linear):
        def forward(self, x):
            return x @ (self.weight - self.weight.mean(1, keepdim=True)).T

    with pytest.raises(UserError, match="its class Own has a forward of its own"):
        linear_layers.with_weights(nn.Sequential(Own(2, 2)), {"0": torch.ones(2, 2)})
