"""Streaming statistics against plain loops in float64, and cases whose answer is known."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from bnn_geometry.errors import UserError
from bnn_geometry.geometry import angles
from bnn_geometry.networks.layers import BinaryActivation, BinaryConv2d, BinaryLinear, weight_layers
from bnn_geometry.networks.models import MLP, ConvNet
from bnn_geometry.probing import dot_products, joint_statistics, weights

NETWORKS = {"convnet": ConvNet, "mlp": MLP}

each_network = pytest.mark.parametrize("kind", NETWORKS)


def pixels(seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def make(kind):
    """A small network with running statistics of use, and images it takes."""
    width = {"convnet": 1 / 32, "mlp": 1 / 256}[kind]
    network = NETWORKS[kind](torch.Generator().manual_seed(0), width=width)
    images = pixels(1, 12, *network.image_shape)
    with torch.no_grad():
        network(images.float() * 2 / 255 - 1)
    return network, images


class Single(nn.Module):
    """One layer, given its weights."""

    def __init__(self, weight, *, conv=False):
        super().__init__()
        outputs, inputs, *size = weight.shape
        self.layer = (
            BinaryConv2d(inputs, outputs, size[0]) if conv else BinaryLinear(inputs, outputs)
        )
        with torch.no_grad():
            self.layer.weight.copy_(weight)

    def forward(self, x):
        return self.layer(x if isinstance(self.layer, BinaryConv2d) else x.flatten(1))


class Table(Single):
    """The image's first pixel says which vectors of a table enter the layer, several at a time."""

    def __init__(self, weight, table):
        super().__init__(weight)
        self.table = table  # (256, vectors, n)

    def forward(self, x):
        row = ((x.flatten(1)[:, 0] + 1) * 127.5).round().long()
        return self.layer(self.table[row])


def single(weight, images, **options):
    [result] = dot_products.probe_weights(Single(weight, **options), images)
    return result


def white(weight, *, seed=0):
    """A layer whose inputs are independent standard Gaussian, 5120 of them, and the images."""
    generator = torch.Generator().manual_seed(seed)
    table = torch.randn(256, 20, weight.shape[1], generator=generator)
    return Table(weight, table), torch.arange(256, dtype=torch.uint8).reshape(256, 1, 1, 1)


def uniform(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def by_loops(network, images):
    """x·w^b and x·w^c of each layer in float64: arrays (filters, values), from explicit patches."""
    seen = {}
    layers = weight_layers(network)
    handles = [
        layer.register_forward_pre_hook(
            lambda module, args, name=name: seen.__setitem__(name, args[0])
        )
        for name, layer in layers.items()
    ]
    was_training = network.training
    with torch.no_grad():
        network.eval()(images.float() * (2 / 255) - 1)
    network.train(was_training)
    for handle in handles:
        handle.remove()
    result = {}
    for name, layer in layers.items():
        x = seen[name].double()
        if x.ndim == 4:
            x = F.unfold(x, layer.weight.shape[-1], padding=layer.weight.shape[-1] // 2)
            x = x.transpose(1, 2).flatten(0, 1)
        w = layer.weight.detach().double().flatten(1).numpy()
        b = np.where(w > 0, 1.0, -1.0)
        result[name] = (b @ x.numpy().T, w @ x.numpy().T)
    return result


def close_to_zero(z):
    return np.abs(z) < 1e-4


# --- against plain loops ------------------------------------------------------------------------


@each_network
@pytest.mark.parametrize("batch_size", [12, 5])
def test_statistics_equal_plain_loops_in_double(kind, batch_size):
    network, images = make(kind)
    expected = by_loops(network, images)
    found = dot_products.probe_weights(network, images, batch_size=batch_size)
    layers = weight_layers(network)
    assert [s.layer for s in found] == list(layers)
    for s in found:
        a, b = expected[s.layer]
        assert s.fan_in == layers[s.layer].fan_in
        assert s.values == a.size
        assert s.r == pytest.approx(np.corrcoef(a.ravel(), b.ravel())[0, 1], abs=1e-6)
        slope, intercept = np.polyfit(a.ravel(), b.ravel(), 1)
        assert s.slope == pytest.approx(slope, rel=1e-6)
        assert s.intercept == pytest.approx(intercept, abs=1e-6 * np.abs(b).max())
        per_filter = [
            np.corrcoef(u, v)[0, 1] if u.std() * v.std() > 0 else math.nan
            for u, v in zip(a, b, strict=True)
        ]
        np.testing.assert_allclose(s.filter_r, per_filter, atol=1e-6)
        # rounding decides the sign of what is 0 but for rounding
        open_cases = np.sum(close_to_zero(b) | (close_to_zero(a) & (a != 0)))
        if s.layer == found[0].layer:
            open_cases += np.sum(a == 0)  # real pixels
        disagreements = np.sum((a > 0) != (b > 0))
        assert abs(s.disagreement * a.size - disagreements) <= open_cases + 1e-6
        assert open_cases < 0.01 * a.size
        assert 0 < disagreements < a.size


@each_network
def test_batch_size_changes_nothing_but_rounding(kind):
    network, images = make(kind)
    whole = dot_products.probe_weights(network, images)
    for batch_size in (1, 7):
        parts = dot_products.probe_weights(network, images, batch_size=batch_size)
        for s, t in zip(whole, parts, strict=True):
            assert (s.r, s.slope) == pytest.approx((t.r, t.slope), rel=1e-6)
            assert s.values == t.values == t.histogram.sum()
            assert s.limits == t.limits
            # rounding takes a value over an edge now and then: that at 0 has many beside it
            assert np.abs(s.histogram - t.histogram).sum() <= 0.01 * s.values
            np.testing.assert_allclose(s.filter_r, t.filter_r, atol=1e-6)


@each_network
def test_order_of_the_images_changes_nothing_but_rounding(kind):
    network, images = make(kind)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(3))
    both = (dot_products.probe_weights(network, z, batch_size=5) for z in (images, images[order]))
    for s, t in zip(*both, strict=True):
        assert (s.r, s.slope) == pytest.approx((t.r, t.slope), rel=1e-6)
        assert s.limits == t.limits
        np.testing.assert_allclose(s.filter_r, t.filter_r, atol=1e-6)


def test_number_of_threads_changes_nothing_but_rounding():
    network, images = make("convnet")
    threads = torch.get_num_threads()
    found = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            found.append(dot_products.probe_weights(network, images))
    finally:
        torch.set_num_threads(threads)
    for s, t in zip(*found, strict=True):
        assert (s.r, s.slope) == pytest.approx((t.r, t.slope), rel=1e-6)


@pytest.mark.parametrize("batch_size", [256, 100])
def test_histogram_is_that_of_the_dot_products(batch_size):
    network, images = white(uniform(3, 20))
    [s] = dot_products.probe_weights(network, images, batch_size=batch_size)
    x = network.table.flatten(0, 1).double().numpy()
    w = network.layer.weight.detach().double().numpy()
    a, b = (x @ np.where(w > 0, 1.0, -1.0).T).ravel(), (x @ w.T).ravel()
    # the least powers of two that hold all values
    assert s.limits == tuple(2.0 ** (1 + np.floor(np.log2(np.abs(z).max()))) for z in (a, b))
    ranges = [(-limit, limit) for limit in s.limits]
    counts, _, _ = np.histogram2d(a, b, bins=joint_statistics.BINS, range=ranges)
    # rounding takes a value or two over an edge
    assert np.abs(counts - s.histogram).sum() <= 10 < s.values / 1000


def test_histogram_grows_with_what_comes_later_and_does_not_depend_on_the_order():
    values = torch.tensor([[0.0, 0.0, 0.3, -0.3, 0.99, 1.0, -1.0, 5.0, -17.0]], dtype=torch.float64)
    histograms = []
    for order in (range(9), reversed(range(9)), (4, 0, 8, 1, 7, 2, 6, 3, 5)):
        histogram = joint_statistics.JointHistogram()
        for i in order:
            histogram.add(values[:, i : i + 1], 10 * values[:, i : i + 1])
        histograms.append(histogram)
    at_once = joint_statistics.JointHistogram()
    at_once.add(values, 10 * values)
    for histogram in histograms:
        assert histogram.limits == at_once.limits == [32.0, 256.0]
        assert torch.equal(histogram.counts, at_once.counts)
    expected, _, _ = np.histogram2d(
        values[0], 10 * values[0], bins=joint_statistics.BINS, range=[(-32, 32), (-256, 256)]
    )
    np.testing.assert_array_equal(at_once.counts, expected)


@each_network
@pytest.mark.parametrize("half", [8, 32, 1000])
def test_visible_cells_hold_every_pair_in_a_frame_that_is_not_empty(kind, half):
    network, images = make(kind)
    for s in dot_products.probe_weights(network, images):
        counts, first, second = s.visible_cells(half)
        assert counts.shape == (len(first) - 1, len(second) - 1)
        assert counts.sum() == s.values
        a, b = by_loops(network, images)[s.layer]
        for axis, (edges, z) in enumerate(((first, a), (second, b))):
            assert edges[0] == -edges[-1]
            assert np.abs(z).max() <= edges[-1] * (1 + 1e-6)
            assert len(edges) <= 2 * half + 1
            filled = np.flatnonzero(counts.sum(1 - axis))
            assert filled[0] == 0 or filled[-1] == len(edges) - 2
            sums, _ = np.histogram(z, edges)
            # rounding takes a value over an edge now and then, at 0 above all
            assert np.abs(sums - counts.sum(1 - axis)).sum() <= 0.02 * s.values


def test_visible_cells_of_zeros_are_two_by_two():
    weight = torch.tensor([[1.0, -1.0]])
    s = single(weight, torch.zeros(3, 1, 1, 2, dtype=torch.uint8))
    counts, first, second = s.visible_cells()
    assert counts.tolist() == [[0, 0], [0, 3]]
    assert first.tolist() == second.tolist() == [-1 / 128, 0, 1 / 128]


def test_histogram_of_zeros_has_no_limits():
    histogram = joint_statistics.JointHistogram()
    histogram.add(torch.zeros(1, 3), torch.zeros(1, 3))
    assert histogram.limits == [0, 0]
    assert histogram.counts.sum() == 3
    histogram.add(torch.ones(1, 1), torch.zeros(1, 1))
    assert histogram.limits == [2, 0]
    middle = joint_statistics.BINS // 2
    assert histogram.counts[middle, middle] == 3


def test_pooled_and_centred_correlations_differ_by_the_filters_means():
    network, images = make("mlp")
    for s in dot_products.probe_weights(network, images):
        a, b = by_loops(network, images)[s.layer]
        a, b = (z - z.mean(1, keepdims=True) for z in (a, b))
        expected = np.corrcoef(a.ravel(), b.ravel())[0, 1]
        assert s.centred_r == pytest.approx(expected, abs=1e-6)


def test_mean_far_from_zero_does_not_cancel():
    """Spread a thousandth of the mean: plain float32 sums of squares would lose it."""
    images = pixels(0, 200, 1, 1, 10)
    bright = torch.cat([torch.full((200, 1, 1, 990), 255, dtype=torch.uint8), images], dim=3)
    weight = torch.cat([torch.full((1, 990), 0.5), uniform(1, 10)], dim=1)
    s = single(weight, bright)
    x = bright.flatten(1).double().numpy() * 2 / 255 - 1
    w = weight[0].double().numpy()
    a, b = x @ np.where(w > 0, 1.0, -1.0), x @ w
    assert a.std() < 0.01 * a.mean()
    assert s.r == pytest.approx(np.corrcoef(a, b)[0, 1], abs=1e-5)


# --- planted ------------------------------------------------------------------------------------


@pytest.mark.parametrize("conv", [False, True])
def test_latents_of_plus_and_minus_one_agree_perfectly(conv):
    weight = torch.where(uniform(6, 3, 3, 3) > 0, 1.0, -1.0)
    s = single(weight if conv else weight.flatten(1), pixels(0, 20, 3, 3, 3), conv=conv)
    assert (s.r, s.slope) == pytest.approx((1, 1), abs=1e-12)
    assert s.intercept == pytest.approx(0, abs=1e-12)
    assert s.disagreement == 0
    np.testing.assert_allclose(s.filter_r, 1, atol=1e-12)


def test_disagreement_by_hand():
    """x = (±1, 1), w = (0.1, −0.9): x·b is 0 or −2, bin of it −1; x·w is −0.8 or −1."""
    images = torch.tensor([[255, 255], [0, 255], [0, 0], [255, 0]], dtype=torch.uint8)
    s = single(torch.tensor([[0.1, -0.9]]), images.reshape(4, 1, 1, 2))
    # dot products: (0, −0.8), (−2, −1.0), (0, 0.8), (2, 1.0): 0 counts as negative
    assert s.disagreement == 1 / 4
    assert s.slope == pytest.approx(0.5)  # Σab/Σa² = 4/8
    assert s.r == pytest.approx(4 / math.sqrt(8 * 3.28))
    assert s.intercept == pytest.approx(0, abs=1e-7)


def test_slope_is_that_of_the_second_on_the_first():
    weight = 0.25 * torch.where(uniform(4, 9) > 0, 1.0, -1.0)
    s = single(weight, pixels(0, 20, 1, 3, 3))
    assert (s.r, s.slope) == pytest.approx((1, 0.25))


@pytest.mark.parametrize("gaussian", [False, True])
def test_white_inputs_correlate_by_the_cosine_of_the_angle(gaussian):
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn(8, 200, generator=generator) if gaussian else uniform(8, 200)
    network, images = white(weight)
    [s] = dot_products.probe_weights(network, images)
    assert s.values == 8 * 256 * 20
    cosine = np.cos(np.radians(weights.weight_angles(network)["angle"]))
    error = (1 - cosine**2) / math.sqrt(256 * 20)
    assert (np.abs(s.filter_r - cosine) < 4.5 * error).all()
    limit = math.sqrt(2 / math.pi) if gaussian else math.sqrt(3) / 2
    assert s.r == pytest.approx(limit, abs=0.03)


def test_pooled_correlation_mixes_in_what_varies_between_filters():
    """Two filters that vary against their binarization, with means that vary with it."""
    images = pixels(0, 50, 1, 1, 2)
    images[:, :, :, 0] = 255  # a constant input carries the means
    weight = torch.tensor([[1.0, 1e-3], [-1.0, -1e-3]])
    s = single(weight, images)
    np.testing.assert_allclose(s.filter_r, 1, atol=1e-3)
    assert 0.8 < s.r < 1


# --- nothing to measure -------------------------------------------------------------------------


@pytest.mark.parametrize("value", [3, 77, 200])
@pytest.mark.parametrize("filters", [1, 3, 7])
@pytest.mark.parametrize("alike", [True, False])
def test_constant_input_gives_no_correlation_but_nan(value, filters, alike):
    # batches of 50 and of 1 round differently
    images = torch.full((101, 1, 28, 28), value, dtype=torch.uint8)
    weight = uniform(1, 784).expand(filters, 784) if alike else uniform(filters, 784)
    s = single(weight, images)
    assert np.isnan(s.filter_r).all()
    if alike or filters == 1:
        assert math.isnan(s.r)
        assert math.isnan(s.slope)
        assert math.isnan(s.intercept)
    else:  # the filters differ from each other
        assert -1 <= s.r <= 1


def test_zero_latent_gives_nan_for_its_filter_alone():
    weight = torch.stack([torch.zeros(9), uniform(9)])
    s = single(weight, pixels(0, 20, 1, 3, 3))
    assert np.isnan(s.filter_r).tolist() == [True, False]
    table = dot_products.as_table([s])
    assert table.loc["layer", "filter_r"] == s.filter_r[1]


def test_one_image_that_differs_by_one_grey_level_is_a_spread():
    images = torch.full((100, 1, 28, 28), 100, dtype=torch.uint8)
    images[50:, 0, 3, 3] = 101
    s = single(torch.full((1, 784), 0.5), images)
    assert s.r == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_weights_that_are_not_finite_are_refused(bad):
    weight = uniform(2, 9)
    weight[1, 4] = bad
    with pytest.raises(UserError, match="Layer layer has weights that are not finite"):
        single(weight, pixels(0, 2, 1, 3, 3))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_network_that_computes_no_numbers_is_refused(bad):
    network, images = make("mlp")
    network.norm1.bias.data[0] = bad
    with pytest.raises(UserError, match="Layer fc2 has dot products that are not finite"):
        dot_products.probe_weights(network, images)


def test_no_images_and_no_layers_are_refused():
    with pytest.raises(UserError, match="no images to probe"):
        single(uniform(2, 9), pixels(0, 0, 1, 3, 3))
    with pytest.raises(UserError, match="no binary layer to probe"):
        dot_products.probe_weights(nn.Linear(3, 3), pixels(0, 2, 1, 1, 3))


def test_layer_that_the_network_does_not_use_is_named():
    network = Single(uniform(2, 9))
    network.spare = BinaryLinear(2, 2)
    nn.init.zeros_(network.spare.weight)
    with pytest.raises(UserError, match="Layer spare took no part"):
        dot_products.probe_weights(network, pixels(0, 2, 1, 3, 3))


# --- the network afterwards ---------------------------------------------------------------------


class Failing(Single):
    """Fails at the second batch."""

    calls = 0

    def forward(self, x):
        self.calls += 1
        if self.calls == 2:
            raise ZeroDivisionError
        return super().forward(x)


@pytest.mark.parametrize("mode", [True, False])
@pytest.mark.parametrize("kind", [Single, Failing])
def test_network_is_left_as_it_was(kind, mode):
    network = kind(uniform(2, 9)).train(mode)
    before = network.layer.weight.detach().clone()
    images = pixels(0, 4, 1, 3, 3)
    kept = images.clone()
    if kind is Failing:
        with pytest.raises(ZeroDivisionError):
            dot_products.probe_weights(network, images, batch_size=2)
    else:
        dot_products.probe_weights(network, images, batch_size=2)
    assert not network.layer._forward_pre_hooks
    assert network.training is network.layer.training is mode
    assert torch.equal(network.layer.weight, before)
    assert network.layer.weight.grad is None
    assert torch.equal(images, kept)


def test_probe_runs_in_evaluation_mode_and_float32():
    network, images = make("mlp")  # with dropout and batch norm
    before = {name: value.clone() for name, value in network.state_dict().items()}
    first = dot_products.probe_weights(network, images)
    with torch.autocast("cpu", torch.bfloat16):
        second = dot_products.probe_weights(network, images)
    assert [s.r for s in first] == [s.r for s in second]
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])


# --- tables -------------------------------------------------------------------------------------


@each_network
def test_weight_angles_are_those_of_every_filter(kind):
    network, _ = make(kind)
    table = weights.weight_angles(network)
    layers = weight_layers(network)
    assert table["layer"].drop_duplicates().tolist() == list(layers)
    for name, layer in layers.items():
        rows = table[table["layer"] == name]
        w = layer.weight.detach().flatten(1).numpy()
        np.testing.assert_allclose(rows["angle"], angles.angle(w, np.where(w > 0, 1, -1)))
        assert rows["filter"].tolist() == list(range(len(w)))
        assert set(rows["n"]) == {layer.fan_in}


def test_weight_angles_of_binary_weights_are_zero():
    angle = weights.weight_angles(Single(torch.where(uniform(5, 100) > 0, 1.0, -1.0)))["angle"]
    np.testing.assert_allclose(angle, 0, atol=1e-5)


def test_table_has_a_row_per_layer():
    network, images = make("convnet")
    found = dot_products.probe_weights(network, images)
    table = dot_products.as_table(found)
    assert list(table) == [
        "n",
        "r",
        "centred_r",
        "filter_r_25",
        "filter_r",
        "filter_r_75",
        "filter_r_se",
        "slope",
        "disagreement",
    ]
    for s in found:
        row = table.loc[s.layer]
        finite = s.filter_r[np.isfinite(s.filter_r)]
        assert (row["n"], row["r"], row["slope"]) == (s.fan_in, s.r, s.slope)
        assert row["disagreement"] == s.disagreement
        assert row["filter_r"] == np.median(finite)
        assert row["filter_r_25"] <= row["filter_r"] <= row["filter_r_75"]
        assert row["filter_r_25"] == np.quantile(finite, 0.25)


def test_error_of_the_median_is_that_of_gaussian_filters():
    network, images = make("mlp")
    (found, *_) = dot_products.probe_weights(network, images)
    generator = np.random.default_rng(0)
    drawn = [
        dataclasses.replace(found, filter_r=0.5 + 0.01 * generator.standard_normal(101))
        for _ in range(2000)
    ]
    table = dot_products.as_table(drawn)
    # to four sampling errors of a standard deviation over 2,000 draws, 1.6 % each
    assert table["filter_r_se"].mean() == pytest.approx(table["filter_r"].std(), rel=0.06)


# --- activations and directions -------------------------------------------------------------------


@each_network
def test_activations_before_and_after_binarizing_against_a_plain_loop(kind):
    network, images = make(kind)
    network.eval()
    found = {s.layer: s for s in dot_products.probe_activations(network, images, batch_size=5)}
    names = list(weight_layers(network))
    assert list(found) == names[1:]  # what enters the first is not binarized

    x = images.float() * 2 / 255 - 1
    continuous = None
    with torch.no_grad():
        for name, module in network.named_children():
            if name in found:
                weight = module.binary_weight.double()
                before = module.apply_weight(continuous.reshape(x.shape).double(), weight)
                after = module.apply_weight(x.double(), weight)
                r = np.corrcoef(after.flatten(), before.flatten())[0, 1]
                assert found[name].r == pytest.approx(r, abs=1e-5)
            if name.startswith(("act", "fcact")):
                continuous = x
            x = module(x)


def test_layers_whose_inputs_were_changed_after_they_were_binarized_are_left_out():
    network = nn.Sequential(nn.Flatten(), BinaryActivation(), nn.BatchNorm1d(4), BinaryLinear(4, 2))
    with torch.no_grad():
        network[3].weight.uniform_(-1, 1)
    assert dot_products.probe_activations(network, pixels(0, 8, 1, 2, 2)) == []


def test_several_comparisons_take_one_run():
    network, images = make("convnet")
    runs = []
    network.register_forward_hook(lambda *args: runs.append(1))
    found = dot_products.probe(
        network, images, (dot_products.WEIGHTS, dot_products.ACTIVATIONS), batch_size=6
    )
    assert len(runs) == 2
    assert list(found) == ["weights", "activations"]
    alone = dot_products.probe_activations(network, images, batch_size=6)
    assert [s.r for s in found["activations"]] == [s.r for s in alone]


def test_comparison_of_ones_own():
    def doubled(at):
        z = at.dot(at.layer.weight)
        return z, 2 * z

    network, images = make("mlp")
    comparison = dot_products.Comparison("doubled", "z", "2z", doubled)
    for s in dot_products.probe(network, images, [comparison])["doubled"]:
        assert (s.r, s.slope) == pytest.approx((1, 2))


def test_histograms_of_latent_weights_are_those_of_numpy():
    weight = torch.tensor([[-1.0, -0.75, 0.0], [0.25, 1.0, 2.0]])
    table = weights.latent_histograms(Single(weight), bins=4)
    assert table["left"].tolist() == [-1, -0.5, 0, 0.5]
    assert table["right"].tolist() == [-0.5, 0, 0.5, 1]
    # two, none, two and one of six weights, in bins half a unit wide; one lies beyond
    assert table["density"].tolist() == pytest.approx([2 / 3, 0, 2 / 3, 1 / 3])


@each_network
def test_histograms_of_clipped_weights_integrate_to_one(kind):
    network, _ = make(kind)
    table = weights.latent_histograms(network)
    area = (table["density"] * (table["right"] - table["left"])).groupby(table["layer"]).sum()
    assert area.tolist() == pytest.approx([1.0] * len(weight_layers(network)))
    assert table["layer"].unique().tolist() == list(weight_layers(network))
