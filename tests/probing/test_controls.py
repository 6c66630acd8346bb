"""Controls and predictions of r against cases whose answer is known."""

import math

import numpy as np
import pytest
import torch
from planted import SAMPLES, correlated, gaussian
from small_networks import generator

from bnn_geometry.geometry.correlation import predicted_correlation
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
