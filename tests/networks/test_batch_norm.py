"""Batch norm: statistics measured again, and one that does not subtract the mean."""

import copy

import pytest
import torch
from small_networks import each_kind, generator, make, norms, same, snapshot
from torch import nn

from bnn_geometry.errors import UserError
from bnn_geometry.networks import batch_norm, inference
from bnn_geometry.networks.batch_norm import refit_batch_norm
from bnn_geometry.networks.conversion import binarize_network
from bnn_geometry.networks.layers import BinaryConv2d, BinaryLinear


@each_kind
def test_refitted_statistics_are_those_of_a_float64_computation(kind):
    network, images = make(kind, "relu")
    size = 4
    refitted = refit_batch_norm(network, images, batch_size=size)
    count = len(images) // size
    sums = {}
    for start in range(count):
        x = inference.scale_images(images[start::count]).double()
        for name, module in network.named_children():
            if isinstance(module, BinaryConv2d | BinaryLinear):
                x = module.apply_weight(x, module.weight.detach().double())
            elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                axes = [0, *range(2, x.ndim)]
                mean, var = x.mean(axes), x.var(axes, unbiased=True)
                total = sums.setdefault(name, [0, 0])
                total[0], total[1] = total[0] + mean, total[1] + var
                shape = [1, -1] + [1] * (x.ndim - 2)
                biased = x.var(axes, unbiased=False).reshape(shape)
                x = (x - mean.reshape(shape)) / (biased + module.eps).sqrt()
                x = x * module.weight.detach().reshape(shape) + module.bias.detach().reshape(shape)
            elif not isinstance(module, nn.Dropout):
                x = module(x)
    assert len(sums) == len(norms(network))
    for name, (mean, var) in sums.items():
        norm = getattr(refitted, name)
        torch.testing.assert_close(norm.running_mean.double(), mean / count, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(norm.running_var.double(), var / count, rtol=1e-3, atol=1e-6)


@each_kind
def test_refitting_changes_statistics_alone_and_those_of_a_copy(kind):
    network, images = make(kind)
    norms(network)[1].momentum = 0.25
    network.train()
    norms(network)[2].eval()
    before, refitted = snapshot(network), refit_batch_norm(network, images, batch_size=6)
    assert same(snapshot(network), before)
    after = snapshot(refitted)
    assert after[1:] == before[1:]
    for key, value in before[0].items():
        changed = key.rpartition(".")[2] in ("running_mean", "running_var", "num_batches_tracked")
        assert torch.equal(after[0][key], value) != changed, key
    assert all(norm.num_batches_tracked == 2 for norm in norms(refitted))
    # nothing of the state before is left in the result
    again = refit_batch_norm(refitted.eval(), images, batch_size=6)
    assert all(torch.equal(v, again.state_dict()[k]) for k, v in refitted.state_dict().items())


def test_batches_mix_sorted_images_and_leave_no_image_alone():
    seen = []

    class Look(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm2d(1)

        def forward(self, x):
            seen.append(((x[:, 0, 0, 0] + 1) * 127.5).round().int().tolist())
            return self.norm(x)

    ordered = torch.arange(7, dtype=torch.uint8).reshape(7, 1, 1, 1).expand(7, 1, 2, 2)
    refit_batch_norm(Look(), ordered, batch_size=3)
    assert seen == [[0, 3, 6], [1, 4], [2, 5]]
    seen.clear()
    refit_batch_norm(Look(), ordered[:3], batch_size=2)
    assert seen == [[0, 1, 2]]


@each_kind
def test_a_scale_is_divided_out_by_a_refitted_batch_norm_up_to_epsilon(kind):
    network, images = make(kind, "hardtanh")
    x = inference.scale_images(images)

    def apart(epsilon):
        net = copy.deepcopy(network)
        for norm in norms(net):
            norm.eps = epsilon
        plain, scaled = (binarize_network(net, scaled=s) for s in (False, True))
        with torch.no_grad():
            # without refitting the scale does matter
            assert (plain(x) - scaled(x)).abs().max() > 0.1
            refitted = [refit_batch_norm(z, images)(x) for z in (plain, scaled)]
        return float((refitted[0] - refitted[1]).abs().max())

    assert apart(1e-12) < 1e-3
    assert apart(1e-1) > 10 * apart(1e-12)


def test_what_cannot_be_refitted_is_a_sentence():
    network, images = make("mlp")
    with pytest.raises(UserError, match="no batch norm with running statistics"):
        refit_batch_norm(nn.Linear(2, 2), images)
    with pytest.raises(UserError, match="at least two images to be refitted, not 1"):
        refit_batch_norm(network, images[:1])
    with pytest.raises(ValueError, match="at least two images in a batch, not 1"):
        refit_batch_norm(network, images, batch_size=1)


# --- without the mean -----------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(20, 3), (6, 3, 4, 4)])
def test_dividing_norm_by_hand(shape):
    dense = len(shape) == 2
    usual = nn.BatchNorm1d(3) if dense else nn.BatchNorm2d(3)
    norm = batch_norm.DividingNorm1d(3) if dense else batch_norm.DividingNorm2d(3)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([1.0, 2.0, -0.5]))
        norm.bias.copy_(torch.tensor([0.0, 1.0, 3.0]))
    x = torch.randn(shape, generator=generator()) + 4
    columns = x.movedim(1, -1).reshape(-1, 3)

    def by_hand(variance):
        return columns / torch.sqrt(variance + 1e-5) * norm.weight + norm.bias

    def found():
        return norm(x).movedim(1, -1).reshape(-1, 3)

    torch.testing.assert_close(found(), by_hand(columns.var(0, correction=0)), atol=1e-4, rtol=1e-4)
    usual(x)  # the running statistics are torch's
    torch.testing.assert_close(norm.running_mean, usual.running_mean)
    torch.testing.assert_close(norm.running_var, usual.running_var)
    norm.eval()
    torch.testing.assert_close(found(), by_hand(norm.running_var), atol=1e-4, rtol=1e-4)


def test_gradient_of_dividing_norm_is_that_of_the_formula():
    x = (torch.randn(20, 3, generator=generator()) + 2).double().requires_grad_()
    upstream = torch.randn(20, 3, generator=generator(1)).double()
    (batch_norm.DividingNorm1d(3).double()(x) * upstream).sum().backward()
    y = x.detach().clone().requires_grad_()
    ((y / torch.sqrt(y.var(0, unbiased=False) + 1e-5)) * upstream).sum().backward()
    torch.testing.assert_close(x.grad, y.grad)


@each_kind
def test_every_batch_norm_of_a_copy_is_replaced_and_keeps_what_it_learned(kind):
    network, images = make(kind)
    network.train()
    before = snapshot(network)
    changed = batch_norm.without_mean_subtraction(network)
    assert same(snapshot(network), before)
    assert all(
        isinstance(m, batch_norm.DividingNorm1d | batch_norm.DividingNorm2d) for m in norms(changed)
    )
    assert len(norms(changed)) == len(norms(network))
    assert changed.norm1.eps == network.norm1.eps
    assert changed.norm1.training
    for name, value in changed.state_dict().items():
        assert torch.equal(value, before[0][name])
    x = inference.scale_images(images)
    assert not torch.allclose(changed.eval()(x), network.eval()(x))
    refit_batch_norm(changed, images)  # which knows them
    with pytest.raises(ValueError, match="no batch norm"):
        batch_norm.without_mean_subtraction(nn.Linear(2, 2))
    for norm in (
        nn.BatchNorm3d(2),
        nn.BatchNorm2d(2, affine=False),
        nn.BatchNorm1d(2, track_running_stats=False),
    ):
        with pytest.raises(UserError, match="Batch norm 1 is not a BatchNorm1d or"):
            batch_norm.without_mean_subtraction(nn.Sequential(nn.BatchNorm2d(2), norm))
