"""Packed networks give the bits of the float32 network's class scores, whatever their shape."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from small_networks import each_kind, make
from torch import nn

from bnn_geometry import training
from bnn_geometry.errors import UserError
from bnn_geometry.networks import bits, packed, packing
from bnn_geometry.networks.inference import inference
from bnn_geometry.networks.layers import (
    BinaryActivation,
    BinaryConv2d,
    BinaryLinear,
    initialize,
    weight_layers,
)
from bnn_geometry.networks.ternary import TWN, with_ternary_weights

SCALE = st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.37, -1e-3, 2.5])
MODEST = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],  # a busy machine draws slowly
)


def expected(network, x):
    with inference(network):
        return network(x)


def agree(network, x):
    assert torch.equal(packing.pack(network)(x), expected(network, x))


def norm(draw, kind, units):
    """A batch norm with negative scales and zeros, and means that dot products meet exactly."""
    made = kind(units)
    values = [draw(st.lists(SCALE, min_size=units, max_size=units)) for _ in range(2)]
    made.weight.data, made.bias.data = (torch.tensor(v) for v in values)
    means = draw(st.lists(st.integers(-9, 9), min_size=units, max_size=units))
    made.running_mean = torch.tensor(means).float()
    made.running_var = made.running_mean.square() * 0.3 + draw(st.sampled_from([0.0, 0.2, 7.0]))
    return made


@st.composite
def perceptrons(draw):
    widths = draw(st.lists(st.integers(1, 140), min_size=3, max_size=4))
    modules = []
    for n, units in pairwise(widths):
        modules += [BinaryLinear(n, units), norm(draw, nn.BatchNorm1d, units), BinaryActivation()]
    return nn.Sequential(*modules[:-1]), (widths[0],)


@st.composite
def convolutions(draw):
    channels = draw(st.lists(st.integers(1, 70), min_size=3, max_size=3))
    size = draw(st.integers(5, 9))
    modules = []
    for n, units in pairwise(channels):
        kernel, padding = draw(st.sampled_from([(1, 0), (2, 1), (3, 0), (3, 1), (3, 2)]))
        modules.append(BinaryConv2d(n, units, kernel, draw(st.integers(1, 2)), padding))
        modules += [nn.MaxPool2d(2)] if draw(st.booleans()) else []
        modules += [norm(draw, nn.BatchNorm2d, units), BinaryActivation()]
    body = nn.Sequential(*modules, nn.Flatten())
    initialize(body, torch.Generator().manual_seed(0))
    shape = (channels[0], size, size)
    try:
        features = body(torch.zeros(2, *shape)).shape[1]
    except (RuntimeError, ValueError):  # an image that is too small for so many steps
        features = 0
    if features == 0:
        return draw(convolutions())
    return nn.Sequential(*body, BinaryLinear(features, 3), norm(draw, nn.BatchNorm1d, 3)), shape


@MODEST
@given(st.one_of(perceptrons(), convolutions()), st.integers(1, 20), st.integers(0, 2**30))
def test_scores_are_those_of_the_float32_network_to_the_last_bit(case, images, seed):
    network, shape = case
    generator = torch.Generator().manual_seed(seed)
    initialize(network, generator)
    agree(network, torch.randn(images, *shape, generator=generator))


@each_kind
def test_the_papers_networks(kind):
    network, images = make(kind)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.weight.data[::3] *= -1
            module.weight.data[1] = 0
    agree(network, images.float() * 2 / 255 - 1)


@pytest.mark.parametrize("run", ["mnist-mlp-fast-w0.5-s1", "cifar10-convnet-long-w0.125-s1"])
def test_published_networks(run):
    network = training.published_run(run).network()
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(20, *network.image_shape, generator=generator) * 2 - 1
    agree(network, x)


def test_a_threshold_is_where_the_norm_itself_turns():
    # scales, biases and means: rising, falling, on, off, a tie at 3, and never reached
    table = [(1, 0.5, 0), (-1, 0.5, 0), (0, 1, 5), (0, 0, 5), (1, 0, 3), (1e-3, -9, 0)]
    scale, bias, mean = (torch.tensor(x).float() for x in zip(*table, strict=True))
    last = packed.LastNorm(scale, bias, mean, torch.ones(6), 0.0)
    threshold, falling = packing.fold(last, 7)
    z = np.arange(-7, 8)
    on = (z[:, None] >= threshold) ^ falling
    by_hand = [z >= 0, z <= 0, z >= -7, z > 7, z > 3, z > 7]
    np.testing.assert_array_equal(on.T, by_hand)
    assert threshold.dtype == np.int32


def test_real_thresholds_part_neighbouring_floats():
    scale = torch.tensor([0.3, -0.3, 0.0])
    last = packed.LastNorm(scale, torch.tensor([0.1, 0.1, 1.0]), scale, torch.ones(3), 1e-4)
    threshold, falling = packing.fold(last, np.inf)
    for z in (threshold, np.nextafter(threshold, np.float32(-1e38))):
        on = (z >= threshold) ^ falling
        turns = last(torch.from_numpy(z)[None])[0] > 0
        assert on[:2].tolist() == turns[:2].tolist()
    assert abs(threshold[:2]).max() < 1
    assert threshold[2] < -3e38  # always reached, and on
    assert not falling[2]


@pytest.mark.parametrize("n", [1, 63, 64, 65, 2000])
def test_mismatches_are_counted(n):
    generator = np.random.default_rng(0)
    x, w = generator.random((300, n)) < 0.5, generator.random((130, n)) < 0.5
    found = bits.mismatches(bits.to_words(x), bits.to_words(w))
    np.testing.assert_array_equal(found, (x[:, None] != w).sum(-1))


def test_counts_beyond_sixteen_bits():
    x = np.ones((1, 1100), np.uint64) * np.uint64(2**64 - 1)
    assert bits.mismatches(x, ~x) == 64 * 1100


@each_kind
def test_file_holds_an_eighth_of_a_byte_for_each_weight(kind, tmp_path):
    network, images = make(kind)
    x = images.float() * 2 / 255 - 1
    made = packing.pack(network)
    packed.save(made, tmp_path / "packed.safetensors")
    again = packed.load(tmp_path / "packed.safetensors")
    assert torch.equal(again(x), expected(network, x))
    weights = [x.weight.numel() for x in weight_layers(network).values()]
    assert made.weight_bytes == sum(math.ceil(n / 8) for n in weights)
    held = load_file(tmp_path / "packed.safetensors")
    weights = [x for name, x in held.items() if name.endswith("bits")]
    assert {x.dtype for x in weights} == {torch.uint8}
    assert sum(x.numel() for x in weights) == made.weight_bytes
    packed.save(again, tmp_path / "again.safetensors")
    first, second = (tmp_path / f"{name}.safetensors" for name in ("packed", "again"))
    assert first.read_bytes() == second.read_bytes()


def test_full_width_network_takes_a_thirty_second_on_the_disk(tmp_path):
    network = training.published_run("mnist-mlp-fast-w0.5-s1").network()
    packed.save(packing.pack(network), tmp_path / "packed.safetensors")
    floats = 4 * sum(x.weight.numel() for x in weight_layers(network).values())
    assert floats / 33 < (tmp_path / "packed.safetensors").stat().st_size < floats / 29


def refused(network, message):
    with pytest.raises(UserError, match=message):
        packing.pack(network)


def test_what_cannot_be_packed_is_refused():
    convnet, _ = make("convnet")
    refused(make("mlp", "hardtanh")[0], "fc1 computes with something else than the signs")
    refused(with_ternary_weights(convnet, TWN), "continuous or ternary network cannot be packed")
    refused(make("mlp", norm="after-activation")[0], "After layer fc1 comes act1 and no batch norm")
    refused(make("convnet", pool="after-activation")[0], "pool2 is a MaxPool2d where a layer of")
    refused(nn.Linear(3, 3), "Only a ConvNet, an MLP or a Sequential can be packed, not Linear")
    refused(nn.Sequential(nn.Linear(3, 3)), "0 is a Linear where a layer of binary weights")
    refused(nn.Sequential(), "at least two weight layers")
    refused(make("mlp")[0].double(), "computes in torch.float64")
    grouped = nn.Sequential(BinaryConv2d(4, 4, groups=2), nn.BatchNorm2d(4))
    initialize(grouped, torch.Generator().manual_seed(0))
    refused(grouped, "groups, dilation or a padding other")
    plain = nn.Sequential(BinaryConv2d(4, 4), nn.MaxPool2d(3, 2), nn.BatchNorm2d(4))
    initialize(plain, torch.Generator().manual_seed(0))
    refused(plain, "1 pools over squares that overlap")
    refused(plain[:1], "After layer 0 comes nothing and no batch norm")
    refused(nn.Sequential(plain[0], nn.BatchNorm2d(4, affine=False)), "with statistics and scales")


def test_input_that_does_not_fit_is_a_sentence():
    network, _ = make("convnet")
    made = packing.pack(network)
    with pytest.raises(UserError, match="takes float32 on the CPU, not"):
        made(torch.zeros(1, 3, 32, 32).double())
    with pytest.raises(UserError, match=r"cannot be run on an input of shape \(1, 4, 32, 32\)"):
        made(torch.zeros(1, 4, 32, 32))
    with pytest.raises(UserError, match="What enters layer fc1 has"):
        made(torch.zeros(1, 3, 48, 48))
    with pytest.raises(UserError, match="conv3 is 0x0 pixels, fewer than its filters"):
        made(torch.zeros(1, 3, 1, 1))
    with pytest.raises(UserError, match="no images"):
        made(torch.zeros(0, 3, 32, 32))


def test_file_of_another_kind_is_a_sentence(tmp_path):
    file = tmp_path / "packed.safetensors"
    with pytest.raises(UserError, match="cannot be read as a packed network"):
        packed.load(file)
    save_file({"a": torch.zeros(1)}, file)
    with pytest.raises(UserError, match="is no packed network"):
        packed.load(file)
    packed.save(packing.pack(make("mlp")[0]), file)
    whole = file.read_bytes()
    file.write_bytes(whole[:-9])
    with pytest.raises(UserError, match="cannot be read as a packed network"):
        packed.load(file)
    with pytest.raises(UserError, match="could not be written"):
        packed.save(packing.pack(make("mlp")[0]), tmp_path / "none" / "file")
