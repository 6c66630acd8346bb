"""Networks that are not ours: right numbers, against plain loops in float64, or one sentence."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_loops import entering, layers, products, vectors, weights
from small_networks import generator, pixels, same, snapshot
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.utils import parametrizations

from bnn_geometry.errors import UserError
from bnn_geometry.networks import batch_norm, conversion
from bnn_geometry.networks.inference import as_given, scale_images
from bnn_geometry.networks.layers import BinaryActivation, BinaryConv2d, BinaryLinear, initialize
from bnn_geometry.probing import dot_products, layer_tables, measurements
from bnn_geometry.probing import weights as weight_tables
from bnn_geometry.probing.layer_inputs import by_group, observe, sample_inputs

modest = settings(max_examples=25, deadline=None, derandomize=True)
BOTH = (dot_products.WEIGHTS, dot_products.ACTIVATIONS)


def drawn(module, seed=0):
    """The module, its parameters drawn."""
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(torch.randn(p.shape, generator=generator(seed)))
    return module.eval()


def normal(*shape, seed=1):
    return torch.randn(shape, generator=generator(seed))


def correlation(a, b):
    # of a spread that is more than rounding
    a, b = np.asarray(a), np.asarray(b)
    if min(np.std(a), np.std(b)) < 1e-9 * max(np.abs(a).max(), np.abs(b).max(), 1e-9):
        return np.nan
    return np.corrcoef(np.ravel(a), np.ravel(b))[0, 1]


def check(found, a, b):
    assert found.values == a.size
    assert found.r == pytest.approx(correlation(a, b), abs=1e-5, nan_ok=True)
    per_filter = [correlation(u, v) for u, v in zip(a, b, strict=True)]
    np.testing.assert_allclose(found.filter_r, per_filter, atol=1e-4)
    near = (np.abs(a) < 1e-4) | (np.abs(b) < 1e-4)  # rounding decides
    off = found.disagreement * a.size - np.sum((a > 0) != (b > 0))
    assert abs(off) <= near.sum() + 1e-6


# --- any layer ------------------------------------------------------------------------------------


@modest
@given(layers())
def test_a_layer_of_any_geometry_against_plain_loops(layer_and_shape):
    layer, shape = layer_and_shape
    x = normal(7, *shape)
    network = nn.Sequential(layer)
    kept = x.clone(), x._version
    [found] = dot_products.probe_weights(network, x, preprocess=as_given, batch_size=3)
    check(found, *(products(layer, x, w) for w in weights(layer)))

    sample = sample_inputs(
        network, x, samples=12, generator=generator(), preprocess=as_given, batch_size=3
    )["0"]
    per_image = vectors(layer, x)
    for v, image in zip(sample.x, sample.image, strict=True):
        rows = per_image[image].reshape(per_image.shape[1], -1).astype(np.float32)
        assert (rows == v.numpy()).all(1).any()
    groups = by_group(layer.weight, sample.x)
    assert len(groups) == per_image.shape[2]
    assert all(w[0].numel() == v.shape[1] for w, v in groups)
    assert torch.equal(x, kept[0])
    assert x._version == kept[1]


def test_controls_of_groups_are_those_of_each_group():
    network = drawn(nn.Sequential(nn.Conv2d(4, 6, 3, groups=2)))
    x = normal(30, 4, 6, 6)
    sample = sample_inputs(network, x, samples=200, generator=generator(), preprocess=as_given)
    w = network[0].weight.detach().double().flatten(1)
    expected = []
    for f in range(6):
        of_group = sample["0"].x.double()[:, 18 * (f // 3) : 18 * (f // 3 + 1)]
        signs = torch.where(w[f] > 0, 1.0, -1.0).double()
        expected.append(correlation(of_group @ w[f], of_group @ signs))
    controls = layer_tables.control_tables(network, sample, generator())
    assert controls["measured"].loc["0", "filters"] == 6
    assert controls["measured"].loc["0", "filter_r"] == pytest.approx(np.median(expected))


# --- any network ---------------------------------------------------------------------------------


class Strange(nn.Module):
    """Modules used twice, tied weights, in-place changes, tokens: ordinary modules of torch."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.block = nn.Conv2d(8, 8, 3, padding=1, groups=2, padding_mode="circular")
        self.norm, self.act = nn.BatchNorm2d(8), nn.ReLU(inplace=True)
        self.sequence = nn.Conv1d(8, 8, 3, dilation=2)
        self.mix, self.tied = nn.Linear(8, 8, bias=False), nn.Linear(8, 8)
        self.tied.weight = self.mix.weight
        self.register_module("mix_again", self.mix)
        self.head = parametrizations.weight_norm(nn.Linear(8, 5))

    def forward(self, x):
        x = self.act(self.norm(self.stem(x)))
        for _ in range(2):
            x = self.act(x + self.block(x))
        tokens = self.sequence(x.flatten(2)).transpose(1, 2)
        for _ in range(3):
            tokens = torch.tanh(self.mix(input=tokens)) + self.tied(tokens)
        return self.head(tokens.mean(1))


def strange():
    network = drawn(Strange())
    network.norm.running_mean.normal_(generator=generator(3))
    with torch.no_grad():
        for p in network.parameters():
            p.mul_(0.2)
    return network


def test_modules_used_several_times_and_in_any_way_against_plain_loops():
    network, images = strange(), pixels(0, 6, 3, 8, 8)
    x = scale_images(images)
    calls = {name: [] for name in ("stem", "block", "sequence", "mix", "tied", "head")}
    handles = [
        network.get_submodule(name).register_forward_pre_hook(
            lambda m, args, kwargs, name=name: calls[name].append(
                [*args, *kwargs.values()][0].detach().clone()
            ),
            with_kwargs=True,
        )
        for name in calls
    ]
    with torch.no_grad():
        network(x)
    for handle in handles:
        handle.remove()
    found = {s.layer: s for s in dot_products.probe_weights(network, images, batch_size=4)}
    assert list(found) == list(calls)
    assert [len(calls[name]) for name in calls] == [1, 2, 1, 3, 3, 1]
    for name, entered in calls.items():
        layer = network.get_submodule(name)
        a, b = (
            np.concatenate([products(layer, z, w) for z in entered], axis=1) for w in weights(layer)
        )
        check(found[name], a, b)

    samples = sample_inputs(network, images, samples=40, generator=generator(), batch_size=4)
    for name, sample in samples.items():
        layer = network.get_submodule(name)
        for v, image, call in zip(sample.x, sample.image, sample.call, strict=True):
            rows = vectors(layer, calls[name][call])[image]
            assert np.isclose(rows.reshape(len(rows), -1), v, atol=1e-5).all(1).any()
        assert sample.call.unique().tolist() == list(range(len(calls[name])))


class Recurrent(nn.Module):
    def __init__(self, *, time_first):
        super().__init__()
        self.cell, self.out = nn.Linear(3, 4), nn.Linear(4, 2)
        self.time_first = time_first

    def forward(self, x):  # (images, time, 3)
        x = x.transpose(0, 1) if self.time_first else x
        return self.out(self.cell(x).tanh().flatten(0, 1))


@pytest.mark.parametrize("time_first", [False, True])
def test_images_are_known_where_they_are_not_on_the_first_axis(time_first):
    """As many steps as images: the shape alone cannot tell the two apart."""
    network = drawn(Recurrent(time_first=time_first))
    x = normal(4, 4, 3)
    samples = sample_inputs(
        network, x, samples=50, generator=generator(), preprocess=as_given, batch_size=4
    )
    entering_out = network.cell(x).tanh().detach()
    for name, inputs in (("cell", x), ("out", entering_out)):
        assert len(samples[name].x) == 16
        for v, image in zip(samples[name].x, samples[name].image, strict=True):
            assert torch.isclose(inputs[image], v, atol=1e-6).all(1).any()


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_a_layer_called_more_often_on_some_images_cannot_be_sampled(order):
    class Halting(nn.Sequential):
        def forward(self, x):
            for _ in range(1 + int(x[0, 0] > 0)):
                y = self[0](x)
            return y

    network = drawn(Halting(nn.Linear(2, 2)))
    x = torch.tensor([[-1.0, 2.0], [1.0, 0.5]])[order]
    with pytest.raises(UserError, match="Layer 0 gets more to multiply on some images"):
        sample_inputs(
            network, x, samples=4, generator=generator(), preprocess=as_given, batch_size=1
        )
    table = dot_products.as_table(
        dot_products.probe_weights(network, x, preprocess=as_given, batch_size=1)
    )
    assert table.loc["0", "n"] == 2  # of all calls


# --- binary activations and what they came from ---------------------------------------------------

VIEWS = {
    "as it is": lambda z: z,
    "transposed": lambda z: z.transpose(1, 2),
    "reversed axes": lambda z: z.transpose(1, 2).unflatten(1, (2, 2)).flatten(1, 2),
    "one token": lambda z: z[:, 1],
    "every other": lambda z: z[:, ::2],
    "copied": lambda z: z.clone(),
}
CHANGED = {
    "negated": lambda z: z.neg_(),
    "rolled": lambda z: z.copy_(z.roll(1, 2)),
    "transposed and copied": lambda z: z.transpose(1, 2).contiguous(),
}


class Tokens(nn.Module):
    def __init__(self, change):
        super().__init__()
        self.act, self.layer, self.change = BinaryActivation(), BinaryLinear(4, 3), change
        initialize(self, generator())

    def forward(self, y):
        z = self.change(self.act(y))
        y.mul_(y.abs())  # a later change in place of what was binarized, not of its signs
        return self.layer(z)


def activations(network, x):
    return dot_products.probe(network, x, BOTH, preprocess=as_given, batch_size=4)["activations"]


@pytest.mark.parametrize("view", VIEWS)
def test_a_binary_input_is_paired_through_any_view(view):
    x = normal(10, 4, 4)
    network = Tokens(VIEWS[view])
    [found] = activations(network, x)
    binary, _ = weights(network.layer)
    before = VIEWS[view](x.clone())
    after = torch.where(before > 0, 1.0, -1.0)
    check(found, *(products(network.layer, z, binary) for z in (after, before)))


@pytest.mark.parametrize("change", CHANGED)
def test_what_cannot_be_paired_for_certain_is_left_out_with_a_word(change):
    with pytest.warns(UserWarning, match="Layer layer is left out of the comparison of activ"):
        assert activations(Tokens(CHANGED[change]), normal(10, 4, 4)) == []


def test_two_sources_of_the_same_signs_are_not_guessed():
    class Twice(nn.Sequential):
        def forward(self, x):
            one, _ = self[0](x), self[0](3 * x + x.sign())
            return self[1](one.clone())

    network = Twice(BinaryActivation(), BinaryLinear(4, 2))
    initialize(network, generator())
    with pytest.warns(UserWarning, match="left out of the comparison of activations"):
        assert activations(network, normal(10, 4)) == []


def test_tokens_of_a_convolution_are_paired():
    class Patches(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = BinaryConv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8)
            self.act, self.fc = BinaryActivation(), BinaryLinear(8, 5)
            initialize(self, generator())

        def forward(self, x):
            return self.fc(self.act(self.norm(self.conv(x))).flatten(2).transpose(1, 2))

    network, images = Patches().eval(), pixels(0, 6, 3, 8, 8)
    [found] = dot_products.probe(network, images, [dot_products.ACTIVATIONS])["activations"]
    with torch.no_grad():
        y = network.norm(network.conv(scale_images(images))).flatten(2).transpose(1, 2)
    binary, _ = weights(network.fc)
    check(found, *(products(network.fc, z, binary) for z in (torch.where(y > 0, 1.0, -1.0), y)))
    assert found.r > 0.5


# --- layers that do something else ----------------------------------------------------------------


class SignBoth(nn.Linear):
    def forward(self, x):
        return F.linear(torch.sign(x), torch.sign(self.weight))


class SignWeights(nn.Linear):
    def forward(self, x):
        scale = self.weight.abs().mean(1, keepdim=True)
        return F.linear(x, scale * torch.sign(self.weight), self.bias)


class Standardized(nn.Conv2d):
    def forward(self, x):
        w = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return self._conv_forward(x, w, self.bias)


def test_a_forward_of_its_own_is_tried_out():
    network = nn.Sequential(
        Standardized(1, 4, 3), nn.Flatten(), SignBoth(16, 6), SignWeights(6, 5), nn.Linear(5, 2)
    )
    images = pixels(0, 9, 1, 4, 4)
    drawn(network)
    with pytest.warns(UserWarning, match="is left out: its class") as warned:
        found = dot_products.probe_weights(network, images)
    assert [s.layer for s in found] == ["3", "4"]
    assert ["Layer 0 is left out" in str(warned[0].message), len(warned)] == [True, 2]
    entered = entering(network, scale_images(images))
    for s in found:
        layer = network[int(s.layer)]
        check(s, *(products(layer, entered[s.layer][0], w) for w in weights(layer)))
    alone = nn.Sequential(nn.Flatten(), SignBoth(16, 2))
    with pytest.raises(UserError, match="calls none of its layers"):
        dot_products.probe_weights(drawn(alone), images)


def test_attention_is_looked_at_where_it_calls_its_layers():
    network = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    drawn(network)
    x = normal(5, 3, 8)
    with pytest.warns(UserWarning, match=r"Layer self_attn\.out_proj is left out: it took no part"):
        found = dot_products.probe_weights(network, x, preprocess=as_given)
    assert [(s.layer, s.values) for s in found] == [("linear1", 240), ("linear2", 120)]


def test_compiled_parts_are_looked_at():
    network = drawn(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)))
    x = normal(9, 4)
    plain = dot_products.probe_weights(network, x, preprocess=as_given)
    inner = nn.Sequential(torch.compile(network, backend="eager"), nn.ReLU())
    with torch.no_grad():
        inner(x)  # compiled while it had no hooks
    for compiled in (torch.compile(network), inner):
        found = dot_products.probe_weights(compiled, x, preprocess=as_given)
        assert [s.r for s in found] == [s.r for s in plain]


# --- what is given, and stays as it was ----------------------------------------------------------


def test_float_images_are_refused_or_taken_as_is_said_and_never_written():
    network, images = strange(), torch.rand(6, 3, 8, 8, generator=generator())
    kept = images.clone()

    def standardize(x):
        return x.sub_(0.5).div_(0.25)  # in place, on what is given

    draw = {"samples": 5, "generator": generator()}
    entries = {
        "probe": lambda **o: dot_products.probe(network, images, **o),
        "probe_weights": lambda **o: dot_products.probe_weights(network, images, **o),
        "sample_inputs": lambda **o: sample_inputs(network, images, **draw, **o),
        "measure_layers": lambda **o: measurements.measure_layers(network, images, **o),
        "refit_batch_norm": lambda **o: batch_norm.refit_batch_norm(network, images, **o),
    }
    for take in entries.values():
        with pytest.raises(UserError, match=r"must be uint8, .* not torch\.float32: .*preprocess"):
            take()
        for preprocess in (as_given, standardize):
            take(preprocess=preprocess)
            assert torch.equal(images, kept)
            assert images._version == 0
    ready = (images - 0.5) / 0.25
    expected = dot_products.probe_weights(network, ready, preprocess=as_given)
    found = dot_products.probe_weights(network, images, preprocess=standardize)
    assert [s.r for s in found] == [s.r for s in expected]


def test_a_first_layer_that_works_in_place_does_not_reach_the_images():
    network = drawn(nn.Sequential(nn.ReLU(inplace=True), nn.Linear(4, 2)))
    x = normal(6, 4)
    kept = x.clone()
    dot_products.probe_weights(network, x, preprocess=as_given)
    assert torch.equal(x, kept)


def everything(network):
    """All that probing must leave: values, versions, modes, hooks, gradients."""
    tensors = [*network.parameters(), *network.buffers()]
    values = [(t.detach().clone(), t._version, t.requires_grad) for t in tensors]
    gradients = [None if p.grad is None else p.grad.clone() for p in network.parameters()]
    return snapshot(network), values, gradients


def unchanged(before, after):
    def equal(a, b):
        return (a is None and b is None) or torch.equal(a, b)

    return (
        same(before[0], after[0])
        and all(
            equal(a[0], b[0]) and a[1:] == b[1:] for a, b in zip(before[1], after[1], strict=True)
        )
        and all(equal(a, b) for a, b in zip(before[2], after[2], strict=True))
    )


class Noisy(nn.Module):
    """Draws in evaluation mode, counts its runs in a buffer, and may fail."""

    def __init__(self):
        super().__init__()
        self.register_buffer("runs", torch.zeros(()))
        self.fails = False

    def forward(self, x):
        self.runs += 1
        if self.fails:
            raise RuntimeError("a bug of its own")
        return x + torch.rand(x.shape)


@pytest.mark.parametrize("fails", [False, True])
def test_the_network_and_torch_are_left_as_they_were(fails):
    network = nn.Sequential(strange(), Noisy(), nn.Linear(5, 3)).train()
    network[0].norm.eval()  # frozen
    network[0].stem.requires_grad_(False)
    images = pixels(0, 6, 3, 8, 8)
    network(scale_images(images)).sum().backward()
    hooked = []
    network[0].block.register_forward_hook(lambda *args: hooked.append(1))
    network[1].fails = fails
    before, state = everything(network), torch.get_rng_state()
    actions = [
        lambda: dot_products.probe(network, images, BOTH),
        lambda: sample_inputs(network, images, samples=3, generator=generator()),
    ]
    for act in actions:
        if fails:
            with pytest.raises(
                UserError, match=r"cannot be run on .*\([16], 3, 8, 8\).*: a bug of"
            ):
                act()
        else:
            act()
        # a buffer that was written back counts one more version
        after = everything(network)
        assert unchanged((before[0], [], before[2]), (after[0], [], after[2]))
        assert torch.is_grad_enabled()
    parameters = len([*network.parameters()])
    assert unchanged(
        (before[0], before[1][:parameters], before[2]), (after[0], after[1][:parameters], after[2])
    )
    assert torch.equal(torch.get_rng_state(), state)
    assert hooked


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_networks_of_other_precision_under_another_default(dtype):
    network, images = strange(), pixels(0, 6, 3, 8, 8)
    plain = dot_products.as_table(dot_products.probe_weights(network, images))
    torch.set_default_dtype(dtype)
    try:
        other = copy.deepcopy(network).to(dtype)
        found = dot_products.as_table(dot_products.probe_weights(other, images))
        sample_inputs(other, images, samples=4, generator=generator())
        weight_tables.weight_angles(other)
        ours = dot_products.probe_weights(network, images)
        assert torch.get_default_dtype() == dtype
    finally:
        torch.set_default_dtype(torch.float32)
    assert [s.r for s in ours] == list(plain["r"])
    # to the rounding of what enters
    tolerance = {torch.float64: 1e-6, torch.bfloat16: 0.02, torch.float16: 5e-3}[dtype]
    np.testing.assert_allclose(found["r"], plain["r"], atol=tolerance)


def test_one_image_has_no_spread_and_no_sentence_hides_it():
    network = drawn(nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.Linear(3, 1)))
    one = normal(1, 1, 2, 2)
    table = dot_products.as_table(dot_products.probe_weights(network, one, preprocess=as_given))
    assert table["filter_r"].isna().all()
    sample_inputs(network, one, samples=3, generator=generator(), preprocess=as_given)
    width_one = drawn(nn.Sequential(nn.Linear(1, 2)))
    [found] = dot_products.probe_weights(width_one, normal(9, 1), preprocess=as_given)
    np.testing.assert_allclose(np.abs(found.filter_r), 1)


def test_what_is_not_images_is_a_sentence():
    network, images = drawn(nn.Sequential(nn.Linear(4, 3))), normal(5, 4)

    def refused(match, images, preprocess=as_given):
        with pytest.raises(UserError, match=match):
            dot_products.probe_weights(network, images, preprocess=preprocess)

    refused("no images", images[:0])
    refused("one tensor, .* not ndarray", images.numpy())
    refused("one tensor, .* not list", [images])
    refused("pixels that are not finite", torch.full((2, 4), torch.nan))
    refused("an entry for each image", images, lambda x: x[:1])
    refused(r"cannot be run on an input of shape \(5, 3\)", images, lambda x: x[:, :3])
    with pytest.raises(ZeroDivisionError):
        dot_products.probe_weights(network, images, preprocess=lambda x: 1 / 0)


def test_mistakes_of_a_look_are_not_the_networks():
    def see(at):
        raise ValueError("of the look")

    with pytest.raises(ValueError, match="of the look"):
        observe(drawn(nn.Sequential(nn.Linear(4, 3))), normal(5, 4), see, preprocess=as_given)


# --- conversions ----------------------------------------------------------------------------------


@modest
@given(st.lists(layers(), min_size=1, max_size=3), st.booleans())
def test_any_layers_compute_with_their_signs_after_conversion(drawn_layers, scaled):
    network = nn.ModuleList([layer for layer, _ in drawn_layers])
    changed = conversion.binarize_network(network, scaled=scaled)
    for old, new, (_, shape) in zip(network, changed, drawn_layers, strict=True):
        binary, w = weights(old)
        alpha = np.abs(w).reshape(len(w), -1).mean(1) if scaled else np.ones(len(w))
        x = normal(2, *shape)
        with torch.no_grad():
            z = new(x).movedim(-1 if isinstance(new, nn.Linear) else 1, 0).flatten(1).numpy()
        bias = 0 if old.bias is None else old.bias.detach().numpy()[:, None]
        np.testing.assert_allclose(z - bias, alpha[:, None] * products(old, x, binary), atol=1e-4)


def test_every_use_of_a_rectifier_of_torch_is_replaced():
    act = nn.ReLU(inplace=True)
    network = drawn(nn.Sequential(nn.Linear(4, 4), act, nn.Linear(4, 4), act, nn.Linear(4, 2)))
    changed = conversion.binarize_network(network, activations=True)
    x = normal(20, 4)
    for i, module in enumerate(network):
        if isinstance(module, nn.Linear):
            w = torch.where(module.weight > 0, 1.0, -1.0)
            x = x @ w.T + module.bias
        else:
            x = torch.where(x > 0, 1.0, -1.0)
        if i == 0:
            first = normal(20, 4)
    torch.testing.assert_close(changed(first), x)
