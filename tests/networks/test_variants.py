"""Networks changed in one thing: batch norm without the mean, noise for binarization, sign(0)."""

import copy

import pytest
import torch
from torch import nn

from bnn_geometry.networks import batch_norm, variants
from bnn_geometry.networks.layers import weight_layers
from bnn_geometry.networks.models import MLP, ConvNet


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def made(kind="mlp"):
    if kind == "mlp":
        network = MLP(generator(), width=1 / 128, input_dropout=0.0, hidden_dropout=0.0)
    else:
        network = ConvNet(generator(), width=1 / 64)
    return network, torch.rand(12, *network.image_shape, generator=generator(1)) * 2 - 1


@pytest.mark.parametrize("shape", [(20, 3), (6, 3, 4, 4)])
def test_dividing_norm_by_hand(shape):
    kind = batch_norm.DividingNorm1d if len(shape) == 2 else batch_norm.DividingNorm2d
    usual = nn.BatchNorm1d(3) if len(shape) == 2 else nn.BatchNorm2d(3)
    norm = kind(3)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([1.0, 2.0, -0.5]))
        norm.bias.copy_(torch.tensor([0.0, 1.0, 3.0]))
    x = torch.randn(shape, generator=generator()) + 4
    columns = x.movedim(1, -1).reshape(-1, 3)
    spread = columns.var(0, unbiased=False)
    by_hand = columns / torch.sqrt(spread + 1e-5) * norm.weight + norm.bias
    found = norm(x).movedim(1, -1).reshape(-1, 3)
    torch.testing.assert_close(found, by_hand, atol=1e-4, rtol=1e-4)
    usual(x)  # the running statistics are torch's
    torch.testing.assert_close(norm.running_mean, usual.running_mean)
    torch.testing.assert_close(norm.running_var, usual.running_var)
    norm.eval()
    by_hand = columns / torch.sqrt(norm.running_var + 1e-5) * norm.weight + norm.bias
    found = norm(x).movedim(1, -1).reshape(-1, 3)
    torch.testing.assert_close(found, by_hand, atol=1e-4, rtol=1e-4)


def test_gradient_of_dividing_norm_is_that_of_the_formula():
    x = (torch.randn(20, 3, generator=generator()) + 2).double().requires_grad_()
    weights = torch.randn(20, 3, generator=generator(1)).double()
    (batch_norm.DividingNorm1d(3).double()(x) * weights).sum().backward()
    y = x.detach().clone().requires_grad_()
    ((y / torch.sqrt(y.var(0, unbiased=False) + 1e-5)) * weights).sum().backward()
    torch.testing.assert_close(x.grad, y.grad)


@pytest.mark.parametrize("kind", ["mlp", "convnet"])
def test_every_batch_norm_is_replaced_and_keeps_what_it_learned(kind):
    network, x = made(kind)
    for name, parameter in network.named_parameters():
        if "norm" in name:
            nn.init.constant_(parameter, 0.7)
    before, network = network, batch_norm.without_mean_subtraction(network)
    replaced = [
        m
        for m in network.modules()
        if isinstance(m, batch_norm.DividingNorm1d | batch_norm.DividingNorm2d)
    ]
    assert len(replaced) == sum(
        isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d) for m in before.modules()
    )
    for (name, old), (other, new) in zip(
        before.state_dict().items(), network.state_dict().items(), strict=True
    ):
        assert name == other
        assert torch.equal(old, new)
    assert not torch.allclose(network(x), before(x))
    batch_norm.refit_batch_norm(network, (x * 127 + 128).byte())  # which knows them
    assert replaced[0].eps == before.get_submodule("norm1").eps


def test_noise_has_the_size_of_the_difference_and_is_drawn_anew():
    network, _ = made()
    layer = weight_layers(network)["fc1"]
    with torch.no_grad():
        layer.weight[0] *= 0.1  # nearer to zero: a larger difference
    layer = weight_layers(variants.add_weight_noise(network, generator(3)))["fc1"]
    w = layer.weight.detach()
    noise = [layer.forward_weight(torch.float32).detach() - w for _ in range(2)]
    wanted = (layer.binary_weight - w).square().mean(1).sqrt()
    assert wanted[0] > 1.3 * wanted[1:].max()
    for e in noise:
        torch.testing.assert_close(e.square().mean(1).sqrt(), wanted, rtol=0.1, atol=0)
        assert abs(torch.corrcoef(torch.stack([e.flatten(), w.flatten()]))[0, 1]) < 0.03
    assert abs(torch.corrcoef(torch.stack([e.flatten() for e in noise]))[0, 1]) < 0.03


def test_noise_passes_the_gradient_and_is_gone_in_evaluation():
    before, x = made()
    # a copy of the noisy network is as noisy
    network = copy.deepcopy(variants.add_weight_noise(before, generator(3)))
    assert not torch.allclose(network(x), before(x))
    network(x).sum().backward()
    assert all(layer.weight.grad is not None for layer in weight_layers(network).values())
    layer = weight_layers(network)["fc2"]
    assert torch.equal(layer.eval().forward_weight(torch.float32), layer.binary_weight)


def test_networks_with_nothing_to_change_are_refused():
    continuous = MLP(generator(), width=1 / 256, activation="relu")
    with pytest.raises(ValueError, match="no binary weights"):
        variants.add_weight_noise(continuous, generator())
    with pytest.raises(ValueError, match="no batch norm"):
        batch_norm.without_mean_subtraction(nn.Linear(2, 2))


@pytest.mark.parametrize(
    ("dtype", "kept"),
    # the smallest float16 is 6e-8 and half of it is rounded to 0; one of 127 steps is 0.0079
    [(torch.float32, 1e-40), (torch.bfloat16, 1e-38), (torch.float16, 6e-8), (torch.int8, 0.004)],
)
def test_latents_that_are_rounded_to_zero_have_no_sign(dtype, kept):
    network, x = made()
    layer = weight_layers(network)["fc2"]
    with torch.no_grad():
        layer.weight[0, :4] = torch.tensor([kept, -kept, 0.0, 1.0])
    before = copy.deepcopy(network.state_dict())
    changed = variants.signs_after_rounding(network, dtype)
    found = weight_layers(changed)["fc2"].forward_weight(torch.float32)
    assert found[0, :4].tolist() == [1.0, -1.0, 0.0, 1.0]
    assert set(found.unique().tolist()) == {-1.0, 0.0, 1.0}
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])  # the network itself is left alone
    if dtype == torch.float32:  # the only latent that is 0 counts as −1 in the binary network
        with torch.no_grad():
            weight_layers(changed)["fc2"].weight[0, 2] = -1
        assert torch.equal(changed.eval()(x), network.eval()(x))


@pytest.mark.parametrize(
    ("dtype", "lost"),
    [(torch.float16, 1e-8), (torch.int8, 0.0039)],
)
def test_latents_below_half_a_step_are_zero(dtype, lost):
    network, _ = made()
    layer = weight_layers(network)["fc2"]
    with torch.no_grad():
        layer.weight[0, :3] = torch.tensor([lost, -lost, 1.0])
    found = weight_layers(variants.signs_after_rounding(network, dtype))["fc2"]
    assert found.weight[0, :3].tolist() == [0.0, 0.0, 1.0]


def test_layer_of_zeros_stays_one_and_continuous_networks_are_refused():
    network, _ = made()
    with torch.no_grad():
        weight_layers(network)["fc2"].weight.zero_()
    changed = variants.signs_after_rounding(network, torch.int8)
    assert (weight_layers(changed)["fc2"].weight == 0).all()
    with pytest.raises(ValueError, match="no binary weights to round"):
        variants.signs_after_rounding(
            MLP(generator(), width=1 / 128, activation="relu"), torch.int8
        )
