"""Streamed joint statistics: cases whose answer is known, and where there is none."""

import math

import numpy as np
import pytest
import torch
from planted import by_loops, single, uniform, white
from small_networks import make, pixels

from bnn_geometry.probing import dot_products, joint_statistics

# --- the histogram --------------------------------------------------------------------------------


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


def test_histogram_of_zeros_has_no_limits():
    histogram = joint_statistics.JointHistogram()
    histogram.add(torch.zeros(1, 3), torch.zeros(1, 3))
    assert histogram.limits == [0, 0]
    assert histogram.counts.sum() == 3
    histogram.add(torch.ones(1, 1), torch.zeros(1, 1))
    assert histogram.limits == [2, 0]
    middle = joint_statistics.BINS // 2
    assert histogram.counts[middle, middle] == 3


# --- moments --------------------------------------------------------------------------------------


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
    cosine = network.layer.latent_angles().deg2rad().cos().numpy()
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
@pytest.mark.parametrize(("filters", "alike"), [(1, True), (7, True), (7, False)])
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
