"""Controls and predictions of r against cases whose answer is known."""

import math

import numpy as np
import pytest
import torch
from planted import SAMPLES, correlated, gaussian, linear, random_covariance
from small_networks import generator

from bnn_geometry.geometry.correlation import predicted_correlation
from bnn_geometry.networks.layers import BinaryConv2d
from bnn_geometry.networks.magnitudes import shuffled_magnitudes
from bnn_geometry.networks.straight_through import binarize
from bnn_geometry.probing import controls
from bnn_geometry.probing.correlation import filter_correlations


def test_shuffled_inputs_keep_marginals_and_lose_covariance():
    x, _ = correlated(6)
    found = controls.shuffled(x, generator())
    assert torch.equal(found.sort(0).values, x.sort(0).values)
    r = np.corrcoef(found.numpy().T) - np.eye(6)
    assert np.abs(np.corrcoef(x.numpy().T) - np.eye(6)).max() > 0.1
    assert np.abs(r).max() < 5 / math.sqrt(SAMPLES)


def test_controls_of_correlated_inputs():
    x, covariance = correlated(40)
    w = gaussian(30, 40, seed=3)
    b = binarize(w)
    found = controls.control_correlations(w, x, generator(1))
    exact = predicted_correlation(w.numpy(), b.numpy(), covariance)
    diagonal = predicted_correlation(w.numpy(), b.numpy(), np.diag(covariance))
    white = predicted_correlation(w.numpy(), b.numpy())
    wrong = predicted_correlation(w.numpy(), b.roll(-1, 0).numpy(), covariance)
    tolerance = 5 / math.sqrt(SAMPLES)
    np.testing.assert_allclose(found["measured"], exact, atol=tolerance)
    np.testing.assert_allclose(found["permuted inputs"], diagonal, atol=tolerance)
    np.testing.assert_allclose(found["white inputs"], white, atol=1e-12)
    np.testing.assert_allclose(found["wrong pairing"], wrong, atol=tolerance)
    # these differ by more than that, or the test would say nothing
    assert np.abs(exact - white).max() > 3 * tolerance
    # dealt anew, the weights are another draw of the same law
    assert found["random weights"].median() == pytest.approx(np.median(exact), abs=0.06)
    assert not torch.allclose(found["random weights"], found["measured"], atol=0.01)


def test_binary_latents_agree_perfectly_and_a_single_filter_has_no_other():
    w = binarize(gaussian(1, 20))
    found = controls.control_correlations(w, gaussian(500, 20, seed=1), generator())
    assert found["measured"].item() == pytest.approx(1)
    assert found["white inputs"].item() == pytest.approx(1)
    assert math.isnan(found["wrong pairing"])


def test_prediction_from_other_inputs_of_the_same_covariance():
    x, covariance = correlated(40)
    layer = linear(gaussian(30, 40, seed=3))
    w, b = layer.weight.detach().double().numpy(), layer.binary_weight.double().numpy()
    found = controls.predicted_correlations(layer, x + 3.0, components=(1, 5, 40))
    assert list(found) == [
        *("covariance", "identity", "diagonal"),
        *("1 component", "5 components", "40 components"),
    ]
    exact = predicted_correlation(w, b, covariance)
    np.testing.assert_allclose(found["covariance"], exact, atol=5 / math.sqrt(SAMPLES))
    np.testing.assert_allclose(found["identity"], predicted_correlation(w, b), atol=1e-12)
    sample = np.cov(x.numpy().T)
    np.testing.assert_allclose(
        found["diagonal"], predicted_correlation(w, b, np.diag(sample)), atol=1e-6
    )
    # all of them are the covariance, one of them is a line
    np.testing.assert_allclose(found["40 components"], found["covariance"], atol=1e-6)
    np.testing.assert_allclose(found["1 component"].abs(), 1, atol=1e-9)
    values, vectors = np.linalg.eigh(sample)
    leading = (vectors[:, -5:] * values[-5:]) @ vectors[:, -5:].T
    by_hand = [
        u @ leading @ v / math.sqrt((u @ leading @ u) * (v @ leading @ v))
        for u, v in zip(w, b, strict=True)
    ]
    np.testing.assert_allclose(found["5 components"], by_hand, atol=1e-6)


def test_covariance_that_is_a_product_of_channels_and_space():
    channels, _ = correlated(4, seed=5)
    between_channels = np.cov(channels.numpy().T)
    between_pixels = random_covariance(9, 1.5, np.random.default_rng(6))
    covariance = np.kron(between_channels, between_pixels)
    x = gaussian(SAMPLES, 36, seed=7) @ torch.from_numpy(np.linalg.cholesky(covariance).T)
    layer = BinaryConv2d(4, 10)
    layer.load_state_dict({"weight": gaussian(10, 4, 3, 3, seed=8).float()})
    found = controls.predicted_correlations(layer, x, components=(3,))
    w = layer.weight.detach().flatten(1).double().numpy()
    b = layer.binary_weight.flatten(1).double().numpy()
    exact = predicted_correlation(w, b, covariance)
    np.testing.assert_allclose(found["channel × space"], exact, atol=0.01)
    # transposed, the product would be another matrix
    wrong = predicted_correlation(w, b, np.kron(between_pixels, between_channels))
    assert np.abs(exact - wrong).max() > 0.05
    assert "channel × space" not in controls.predicted_correlations(linear(gaussian(3, 36)), x)


def test_more_components_than_there_are():
    layer = linear(gaussian(3, 5))
    found = controls.predicted_correlations(layer, gaussian(100, 5, seed=1), components=(2, 100))
    assert not torch.allclose(found["2 components"], found["covariance"], atol=0.01)
    assert list(found)[-2:] == ["2 components", "100 components"]
    torch.testing.assert_close(found["100 components"], found["covariance"], atol=1e-6, rtol=0)


def test_shuffled_magnitudes_keep_signs_and_angles_and_draw_nothing_from_the_generator():
    x, _ = correlated(40)
    w = gaussian(30, 40, seed=3)
    mine, other = generator(1), generator(1)
    found = controls.control_correlations(w, x, mine)
    # the same numbers follow as if the null had never been drawn
    torch.randperm(w.numel(), generator=other)
    torch.rand(x.shape, generator=other)
    u = shuffled_magnitudes(w, generator(0).set_state(other.get_state()))
    assert torch.equal(torch.rand(3, generator=mine), torch.rand(3, generator=other))
    assert torch.equal(binarize(u), binarize(w))
    angles = [cosine.sort().values for cosine in (u.abs(), w.abs())]
    assert torch.equal(*angles)  # the same entries: the same sum and length
    expected = filter_correlations(u, binarize(w), x)
    assert torch.equal(found["shuffled magnitudes"], expected)
    assert (found["shuffled magnitudes"] - found["measured"]).abs().max() > 0.01
    # of white inputs they are as good as the trained ones
    white = controls.control_correlations(w, gaussian(SAMPLES, 40), generator(1))
    tolerance = 5 / math.sqrt(SAMPLES)
    np.testing.assert_allclose(white["shuffled magnitudes"], white["white inputs"], atol=tolerance)


def test_quartiles_leave_out_filters_without_a_correlation():
    found = controls.quartile_table(
        {
            "some": torch.tensor([0.0, 0.5, 1.0, math.nan], dtype=torch.float64),
            "none": torch.tensor([math.nan], dtype=torch.float64),
        }
    )
    assert found.loc["some"].tolist() == [0.25, 0.5, 0.75, 3]
    assert found.loc["none", "filters"] == 0
    assert found.loc["none"].isna().sum() == 3
