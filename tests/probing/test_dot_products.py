"""Dot products of networks against plain loops in float64, and their tables."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from planted import by_loops
from small_networks import each_kind, generator, make, pixels, same, snapshot
from torch import nn

from bnn_geometry.errors import UserError
from bnn_geometry.networks.layers import BinaryActivation, BinaryLinear, weight_layers
from bnn_geometry.probing import dot_products


def probe_activations(network, images):
    comparison = dot_products.ACTIVATIONS
    return dot_products.probe(network, images, [comparison], batch_size=6)[comparison.name]


def close_to_zero(z):
    return np.abs(z) < 1e-4


# --- against plain loops ------------------------------------------------------------------------


@each_kind
def test_statistics_equal_plain_loops_in_double(kind):
    network, images = make(kind)
    expected = by_loops(network, images)
    found = dot_products.probe_weights(network, images, batch_size=5)
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


@each_kind
def test_batches_and_the_order_of_the_images_change_nothing_but_rounding(kind):
    network, images = make(kind)
    whole = dot_products.probe_weights(network, images)
    order = torch.randperm(len(images), generator=generator(3))
    for parts in (
        dot_products.probe_weights(network, images, batch_size=7),
        dot_products.probe_weights(network, images[order], batch_size=5),
    ):
        for s, t in zip(whole, parts, strict=True):
            assert (s.r, s.slope) == pytest.approx((t.r, t.slope), rel=1e-6)
            assert s.values == t.values == t.histogram.sum()
            assert s.limits == t.limits
            # rounding takes a value over an edge now and then: that at 0 has many beside it
            assert np.abs(s.histogram - t.histogram).sum() <= 0.01 * s.values
            np.testing.assert_allclose(s.filter_r, t.filter_r, atol=1e-6)


@each_kind
def test_activations_before_and_after_binarizing_against_a_plain_loop(kind):
    network, images = make(kind)
    found = {s.layer: s for s in probe_activations(network, images)}
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
    with pytest.warns(UserWarning, match="Layer 3 is left out of the comparison of activations"):
        assert probe_activations(network, pixels(0, 8, 1, 2, 2)) == []


def test_several_comparisons_take_one_run():
    network, images = make("convnet")
    runs = []
    network.register_forward_hook(lambda *args: runs.append(1))
    found = dot_products.probe(
        network, images, (dot_products.WEIGHTS, dot_products.ACTIVATIONS), batch_size=6
    )
    assert len(runs) == 2
    assert list(found) == ["weights", "activations"]
    alone = probe_activations(network, images)
    assert [s.r for s in found["activations"]] == [s.r for s in alone]


def test_comparison_of_ones_own():
    def doubled(at):
        z = at.dot(at.layer.weight)
        return z, 2 * z

    network, images = make("mlp")
    comparison = dot_products.Comparison("doubled", "z", "2z", doubled)
    for s in dot_products.probe(network, images, [comparison])["doubled"]:
        assert (s.r, s.slope) == pytest.approx((1, 2))


# --- the network afterwards, and mistakes ---------------------------------------------------------


def test_probe_runs_in_evaluation_mode_and_float32_and_leaves_the_network_as_it_was():
    network, images = make("mlp")  # with dropout and batch norm
    before, kept = snapshot(network.train()), images.clone()
    first = dot_products.probe_weights(network, images)
    with torch.autocast("cpu", torch.bfloat16):
        second = dot_products.probe_weights(network, images)
    assert [s.r for s in first] == [s.r for s in second]
    assert same(snapshot(network), before)
    assert torch.equal(images, kept)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_network_that_computes_no_numbers_is_refused(bad):
    network, images = make("mlp")
    network.norm1.bias.data[0] = bad
    with pytest.raises(UserError, match="What enters layer fc2 is not finite"):
        dot_products.probe_weights(network, images)


# --- vectors without a network --------------------------------------------------------------------


def test_arrays_of_any_kind_against_numpy_and_left_as_they_are():
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((50, 7)) + 0.3, rng.standard_normal((4, 7))
    a, b = np.where(w > 0, 1.0, -1.0) @ x.T, w @ x.T
    x.flags.writeable = False
    tensors = torch.tensor(x), torch.tensor(w, requires_grad=True)
    for arrays in ((x, w), tensors, (x.tolist(), w.tolist())):
        found = dot_products.probe_arrays(*arrays, name="mine", batch_size=8)
        assert (found.layer, found.fan_in, found.values) == ("mine", 7, 200)
        assert found.r == pytest.approx(np.corrcoef(a.ravel(), b.ravel())[0, 1], abs=1e-12)
        assert found.disagreement == np.mean((a > 0) != (b > 0))
        per_filter = [np.corrcoef(u, v)[0, 1] for u, v in zip(a, b, strict=True)]
        np.testing.assert_allclose(found.filter_r, per_filter, atol=1e-12)
    assert tensors[1].grad is None
    assert list(dot_products.as_table([found]).index) == ["mine"]


@pytest.mark.parametrize(
    ("x", "w", "match"),
    [
        (np.ones((3, 2)), np.ones((1, 4)), "the same n, not 2 and 4"),
        (np.ones(3), np.ones((1, 3)), r"x must be of shape \(vectors, n\), not \(3,\)"),
        (np.ones((3, 2)), np.ones((0, 2)), "w must be of shape"),
        (np.ones((3, 2)), np.full((1, 2), np.nan), "w has values that are not finite"),
        ([["a"]], np.ones((1, 1)), "x must be an array of numbers"),
        ([[1, 2], [3]], np.ones((1, 2)), "x must be an array of numbers"),
    ],
)
def test_arrays_that_make_no_dot_products_are_a_sentence(x, w, match):
    with pytest.raises(UserError, match=match):
        dot_products.probe_arrays(x, w)


# --- tables -------------------------------------------------------------------------------------


def test_table_has_a_row_per_layer():
    network, images = make("mlp")
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
        assert row["filter_r_75"] == np.quantile(finite, 0.75)


def test_error_of_the_median_is_that_of_gaussian_filters():
    network, images = make("mlp")
    (found, *_) = dot_products.probe_weights(network, images)
    generator = np.random.default_rng(0)
    drawn = [
        dataclasses.replace(found, filter_r=0.5 + 0.01 * generator.standard_normal(101))
        for _ in range(500)
    ]
    table = dot_products.as_table(drawn)
    # to four sampling errors of a standard deviation over 500 draws, 3.2 % each
    assert table["filter_r_se"].mean() == pytest.approx(table["filter_r"].std(), rel=0.13)
