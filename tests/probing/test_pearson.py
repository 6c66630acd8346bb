"""Correlations of dot products, and where there is none."""

import math

import numpy as np
import pytest
import torch
from planted import correlated, gaussian

from bnn_geometry.probing.correlation import filter_correlations, pearson, quartiles


def test_filter_correlations_are_those_of_numpy():
    x, _ = correlated(12)
    v, u = gaussian(5, 12, seed=1), gaussian(5, 12, seed=2)
    found = filter_correlations(v, u, x)
    for i in range(5):
        assert found[i] == pytest.approx(np.corrcoef(x @ v[i], x @ u[i])[0, 1], abs=1e-12)


def test_what_does_not_vary_has_no_correlation():
    x = gaussian(100, 3)
    x[:, 2] = 7.0
    v = torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 1.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
    found = filter_correlations(v, torch.ones(3, 3), x)
    assert math.isnan(found[0])
    assert 0 < found[1] < 1
    assert math.isnan(found[2])


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_no_scale_of_inputs_or_weights_is_taken_for_rounding(scale):
    x, v, u = gaussian(500, 8), gaussian(3, 8, seed=1), gaussian(3, 8, seed=2)
    expected = filter_correlations(v, u, x)
    torch.testing.assert_close(filter_correlations(scale * v, u, x), expected)
    torch.testing.assert_close(filter_correlations(v, u, scale * x), expected)


def test_rounding_of_what_cancels_is_no_spread():
    x = torch.full((200, 6), 0.1, dtype=torch.float64)
    x += 1e-16 * gaussian(200, 6)
    v = torch.tensor([[1.0, -1, 1, -1, 1, -1]])  # x·v is 0, but for rounding
    assert filter_correlations(v, gaussian(1, 6), x).isnan().all()


def test_a_variance_of_zero_has_no_correlation_and_none_is_beyond_one():
    r = pearson(*torch.tensor([[1.0, 0.0, 1.1], [1.0, 0.0, 1.0], [1.0, 4.0, 1.0]]))
    assert r[[0, 2]].tolist() == [1, 1]
    assert r[1].isnan()


def test_quartiles_of_what_is_finite():
    values = [0.0, math.nan, 0.5, 1.0, math.inf]
    assert quartiles(values).tolist() == [0.25, 0.5, 0.75]
    assert quartiles(torch.tensor(values)).tolist() == [0.25, 0.5, 0.75]
    assert np.isnan(quartiles([math.nan])).tolist() == [True] * 3
