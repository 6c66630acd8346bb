"""Layers with binary weights, against torch's own linear maps."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from bnn_geometry.networks.layers import (
    BinaryActivation,
    BinaryConv2d,
    BinaryLinear,
    clip_latents,
    initialize,
    weight_layers,
)
from bnn_geometry.networks.straight_through import binarize, binarize_activation


def seeded(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def filled(layer, seed=1):
    """The layer with latents of both signs, some of them beyond ±1."""
    with torch.no_grad():
        layer.weight.copy_(seeded(*layer.weight.shape, seed=seed))
    return layer


def make(kind, *, binary=True):
    """A layer, an input that fits it, and torch's function of the same map."""
    if kind == "linear":
        return filled(BinaryLinear(7, 5, binary=binary)), seeded(4, 7), F.linear
    size = {"conv3": 3, "conv5": 5}[kind]
    layer = filled(BinaryConv2d(2, 5, size, binary=binary))

    def reference(x, weight):
        return F.conv2d(F.pad(x, [size // 2] * 4), weight)

    return layer, seeded(4, 2, 6, 8), reference


each_kind = pytest.mark.parametrize("kind", ["linear", "conv3", "conv5"])


@each_kind
def test_forward_is_the_linear_map_with_binary_weights(kind):
    layer, x, reference = make(kind)
    by_hand = torch.where(layer.weight > 0, 1.0, -1.0)
    torch.testing.assert_close(layer(x), reference(x, by_hand))
    assert torch.equal(layer.binary_weight, by_hand)
    assert not layer.binary_weight.requires_grad


@each_kind
def test_continuous_counterpart_uses_its_weights_as_they_are(kind):
    layer, x, reference = make(kind, binary=False)
    torch.testing.assert_close(layer(x), reference(x, layer.weight))


@each_kind
def test_latent_receives_exactly_the_gradient_of_the_binary_weight(kind):
    layer, x, _ = make(kind)
    binary = layer.binary_weight.requires_grad_()
    upstream = seeded(*layer(x).shape, seed=2)
    layer(x).backward(upstream)
    layer.apply_weight(x, binary).backward(upstream)
    assert torch.equal(layer.weight.grad, binary.grad)
    assert layer.weight.grad.abs().min() > 0  # for latents beyond ±1 too
    assert (layer.weight.abs() > 1).any()


@each_kind
def test_input_receives_the_gradient_through_binary_weights(kind):
    layer, x, reference = make(kind)
    mine, other = x.clone().requires_grad_(), x.clone().requires_grad_()
    layer(mine).square().sum().backward()
    reference(other, layer.binary_weight).square().sum().backward()
    torch.testing.assert_close(mine.grad, other.grad)


@each_kind
def test_clipping_is_for_latent_weights_alone(kind):
    for binary in (True, False):
        layer, _, _ = make(kind, binary=binary)
        before = layer.weight.detach().clone()
        clip_latents(nn.Sequential(layer))
        assert before.abs().max() > 1
        assert torch.equal(layer.weight, before.clamp(-1, 1) if binary else before)


def test_clipped_latent_still_learns():
    layer = filled(BinaryLinear(7, 5))
    with torch.no_grad():
        layer.weight.mul_(100)
    layer.clip_latent()
    assert (layer.weight.abs() == 1).all()
    layer(seeded(4, 7)).square().sum().backward()
    assert (layer.weight.grad != 0).all()


def test_fans_of_both_layers():
    linear, conv = BinaryLinear(7, 5), BinaryConv2d(2, 5, 3)
    assert (linear.fan_in, linear.fan_out) == (7, 5)
    assert (conv.fan_in, conv.fan_out) == (2 * 9, 5 * 9)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_latent_too_small_for_the_type_keeps_its_sign(dtype):
    layer = BinaryLinear(2, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1e-42, -1e-42]]))
    assert layer.weight.detach().to(torch.float16).tolist() == [[0, 0]]  # what a cast would do
    weight = layer.forward_weight(dtype)
    assert weight.dtype == dtype
    assert weight.tolist() == [[1, -1]]


@each_kind
def test_autocast_keeps_signs_and_reaches_the_latents(kind):
    layer, x, _ = make(kind)
    with torch.no_grad():
        layer.weight.mul_(1e-30)
    x = torch.where(x > 0, 1.0, -1.0)  # sums of ±1 are exact in bfloat16
    exact = layer(x)
    with torch.autocast("cpu", torch.bfloat16):
        result = layer(x)
    assert result.dtype == torch.bfloat16
    assert torch.equal(result.float(), exact)
    result.backward(seeded(*result.shape, seed=2).bfloat16())
    assert layer.weight.grad.dtype == torch.float32
    assert layer.weight.grad.abs().max() > 0


@each_kind
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_layer_computes_in_the_type_of_its_input(kind, dtype):
    layer, x, _ = make(kind)
    result = layer(x.to(dtype))
    assert result.dtype == dtype
    torch.testing.assert_close(result.float(), layer(x.to(dtype).float()), atol=0.05, rtol=0.02)


def test_activation_layer_is_the_estimator():
    x = seeded(50) * 2
    mine, other = x.clone().requires_grad_(), x.clone().requires_grad_()
    assert torch.equal(BinaryActivation()(mine), binarize(x))
    BinaryActivation()(mine).sum().backward()
    binarize_activation(other).sum().backward()
    assert torch.equal(mine.grad, other.grad)


def test_weight_layers_stand_in_the_order_of_registration():
    network = nn.Sequential()
    network.add_module("z", BinaryConv2d(1, 2))
    network.add_module("norm", nn.BatchNorm2d(2))
    network.add_module("a", nn.Sequential(BinaryLinear(3, 4, binary=False), nn.Linear(4, 2)))
    assert list(weight_layers(network)) == ["z", "a.0"]
    assert weight_layers(network)["a.0"] is network[2][0]


@pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
@pytest.mark.parametrize("layer", [BinaryLinear, BinaryConv2d])
def test_layer_without_inputs_or_outputs_is_refused(layer, shape):
    with pytest.raises(ValueError, match="at least one input and one output"):
        layer(*shape)


@pytest.mark.parametrize("size", [0, 2])
def test_even_kernel_is_refused(size):
    with pytest.raises(ValueError, match="must be odd"):
        BinaryConv2d(1, 1, size)


def test_a_layer_does_not_compute_before_its_weights_are_drawn():
    layer = BinaryLinear(5, 3)
    assert torch.isnan(layer(torch.ones(2, 5))).all()
    network = torch.nn.Sequential(layer, BinaryConv2d(2, 4), BinaryLinear(6, 2, binary=False))
    initialize(network, torch.Generator().manual_seed(1))
    for drawn, bound in zip(network, (1, 1, (6 / 8) ** 0.5), strict=True):
        size = drawn.weight.abs().max().item()
        assert 0.5 * bound < size <= bound
    other = torch.nn.Sequential(BinaryLinear(5, 3))
    initialize(other, torch.Generator().manual_seed(1))
    assert torch.equal(other[0].weight, layer.weight)
