"""The two networks: shapes, order of blocks, initial weights."""

import pytest
import torch
from torch import nn

from bnn_geometry.networks.layers import BinaryActivation, weight_layers
from bnn_geometry.networks.models import MLP, ConvNet

NETWORKS = {"cifar10-convnet": ConvNet, "mnist-mlp": MLP}
SMALL = 1 / 32

each_network = pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)


def make(network, *, seed=0, width=SMALL, **options):
    return network(torch.Generator().manual_seed(seed), width=width, **options)


def images(network, count=3):
    shape = (count, *network.image_shape)
    return torch.rand(shape, generator=torch.Generator().manual_seed(1)) * 2 - 1


def norms(network):
    return [m for m in network.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]


def watch_inputs(network, x):
    """What enters every weight layer when the network runs."""
    seen = {}
    for name, layer in weight_layers(network).items():
        layer.register_forward_pre_hook(
            lambda module, args, name=name: seen.__setitem__(name, args[0].detach().clone())
        )
    network(x)
    return seen


def test_convnet_of_the_paper_has_its_fan_ins_and_number_of_weights():
    with torch.device("meta"):  # shapes alone
        layers = weight_layers(make(ConvNet, width=1))
    assert [layer.fan_in for layer in layers.values()] == [
        *(27, 1152, 1152, 2304, 2304, 4608),
        *(8192, 1024, 1024),
    ]
    outputs = [layer.weight.shape[0] for layer in layers.values()]
    assert outputs == [128, 128, 256, 256, 512, 512, 1024, 1024, 10]
    assert sum(layer.weight.numel() for layer in layers.values()) == 14_022_016


def test_mlp_of_the_original_code_has_three_hidden_layers_of_4096():
    with torch.device("meta"):
        layers = weight_layers(make(MLP, width=1))
    shapes = [tuple(layer.weight.shape) for layer in layers.values()]
    assert shapes == [(4096, 784), (4096, 4096), (4096, 4096), (10, 4096)]


@each_network
def test_every_width_gives_ten_scores(network):
    for width in (0.03, 1e-6):
        net = make(network, width=width)
        assert net(images(net)).shape == (3, 10)


def test_convnet_pools_before_it_normalizes_and_ends_in_a_norm():
    conv, pool, norm, act = "BinaryConv2d", "MaxPool2d", "BatchNorm2d", "BinaryActivation"
    dense, norm1 = "BinaryLinear", "BatchNorm1d"
    kinds = [type(module).__name__ for module in make(ConvNet).children()]
    block = [conv, norm, act, conv, pool, norm, act]
    assert kinds == [*block * 3, "Flatten", *[dense, norm1, act] * 2, dense, norm1]


def test_convnet_can_pool_its_signs_instead():
    conv, pool, norm, act = "BinaryConv2d", "MaxPool2d", "BatchNorm2d", "BinaryActivation"
    net = make(ConvNet, pool="after-activation")
    kinds = [type(module).__name__ for module in net.children()]
    assert kinds[:7] == [conv, norm, act, conv, norm, act, pool]
    # the largest of four fair signs is -1 once in sixteen times
    seen = watch_inputs(net.train(), images(net, 20))["conv3"]
    assert (seen == -1).double().mean() < 0.2
    with pytest.raises(ValueError, match="Unknown place to pool: 'nowhere'"):
        make(ConvNet, pool="nowhere")


@each_network
def test_networks_can_normalize_after_their_signs_instead(network):
    net = make(network, norm="after-activation").train()
    usual = dict(make(network).named_children())
    assert {name: type(m) for name, m in net.named_children()} == {
        name: type(m) for name, m in usual.items()
    }
    names = list(dict(net.named_children()))
    assert names.index("act1") + 1 == names.index("norm1")
    assert [*usual].index("norm1") + 1 == [*usual].index("act1")
    assert names[-1] == [*usual][-1]  # the scores are normalized in both
    scores = net(images(net, 20))
    torch.testing.assert_close(scores.mean(0), torch.zeros(10), atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match="Unknown place to normalize: 'nowhere'"):
        make(network, norm="nowhere")


def test_mlp_ends_in_a_norm():
    kinds = [type(module).__name__ for module in make(MLP).children()]
    block = ["BinaryLinear", "BatchNorm1d", "BinaryActivation", "Dropout"]
    assert kinds == ["Flatten", "Dropout", *block * 3, *block[:2]]


@each_network
def test_first_input_is_real_and_all_others_are_binary(network):
    net = make(network).eval()
    x = images(net)
    first, *others = watch_inputs(net, x).values()
    assert torch.equal(first.flatten(), x.flatten())
    assert len(others) >= 3
    for seen in others:
        assert set(seen.unique().tolist()) == {-1, 1}


@each_network
def test_every_parameter_receives_a_gradient(network):
    net = make(network)
    net(images(net, 20)).square().sum().backward()
    for layer in weight_layers(net).values():
        assert layer.weight.grad.abs().max() > 0


@each_network
def test_epsilon_and_momentum_reach_every_norm(network):
    for options, expected in (({}, (1e-4, 0.1)), ({"epsilon": 0.5, "momentum": 0.25}, (0.5, 0.25))):
        found = [(norm.eps, norm.momentum) for norm in norms(make(network, **options))]
        assert found == [expected] * (9 if network is ConvNet else 4)


def test_dropout_reaches_input_and_hidden_layers():
    net = make(MLP, input_dropout=0.125, hidden_dropout=0.75)
    assert [m.p for m in net.modules() if isinstance(m, nn.Dropout)] == [0.125, *[0.75] * 3]


@each_network
def test_same_generator_seed_gives_the_same_weights_and_another_other_ones(network):
    first, again, other = (make(network, seed=seed).state_dict() for seed in (0, 0, 1))
    for name, value in first.items():
        assert torch.equal(value, again[name])
        if name.startswith(("fc", "conv")) and "norm" not in name:
            assert not torch.equal(value, other[name])


@each_network
def test_making_a_network_leaves_the_global_generator_alone(network):
    before = torch.get_rng_state()
    make(network)
    assert torch.equal(torch.get_rng_state(), before)


@each_network
def test_latents_begin_uniform_on_minus_one_to_one(network):
    for layer in weight_layers(make(network, width=1 / 8)).values():
        w = layer.weight.detach().double().flatten()
        error = len(w) ** -0.5
        assert w.abs().max() <= 1
        assert abs(w.mean()) < 4.5 * error / 3**0.5
        assert abs(w.square().mean() - 1 / 3) < 4.5 * error * (4 / 45) ** 0.5
        assert abs(w.abs().pow(4).mean() - 1 / 5) < 4.5 * error * (16 / 225) ** 0.5


@each_network
@pytest.mark.parametrize("activation", ["hardtanh", "relu"])
def test_continuous_counterpart_has_the_same_shape_and_nothing_binary(network, activation):
    net, binary = make(network, activation=activation), make(network)
    shapes = [{k: v.shape for k, v in n.state_dict().items()} for n in (net, binary)]
    assert shapes[0] == shapes[1]
    assert binary.binary
    assert not net.binary
    assert not any(isinstance(module, BinaryActivation) for module in net.modules())
    for layer in weight_layers(net).values():
        bound = (6 / (layer.fan_in + layer.fan_out)) ** 0.5
        assert not layer.binary
        assert 0.8 * bound < layer.weight.abs().max() <= bound
    kind = {"hardtanh": nn.Hardtanh, "relu": nn.ReLU}[activation]
    assert sum(isinstance(m, kind) for m in net.modules()) == len(weight_layers(net)) - 1


def test_unknown_activation_is_refused():
    with pytest.raises(ValueError, match="Unknown activation 'tanh'; known: binary, hardtanh"):
        MLP(torch.Generator(), activation="tanh")
