"""Losses of the flows: gradients against differences, the logistic loss against its integral."""

import numpy as np
import pytest
from scipy import integrate, stats

from bnn_geometry.geometry.losses import COSINE, LOGISTIC, SQUARED


def uniform(*shape, seed=0, bound=1.0):
    return np.random.default_rng(seed).uniform(-bound, bound, shape)


@pytest.mark.parametrize("loss", [SQUARED, LOGISTIC, COSINE], ids=lambda loss: loss.name)
def test_gradient_of_a_loss_is_its_slope(loss):
    v, target = uniform(4, 5), uniform(4, 5, seed=1)
    slope = np.empty_like(v)
    for i in range(5):
        h = np.zeros(5)
        h[i] = 1e-6
        slope[:, i] = (loss.value(v + h, target) - loss.value(v - h, target)) / 2e-6
    np.testing.assert_allclose(loss.gradient(v, target), slope, atol=1e-8)
    assert (loss.value(v, target) > loss.value(target, target)).all()
    np.testing.assert_allclose(loss.gradient(target, target), 0, atol=1e-14)


@pytest.mark.parametrize(("v", "target"), [(1.0, 0.5), (-1.0, 2.0), (0.3, 0.3)])
def test_logistic_loss_of_one_weight_is_the_mean_over_inputs_and_labels(v, target):
    def at(x):  # both labels, with their probabilities
        plus = 1 / (1 + np.exp(-x * target))
        loss = plus * np.logaddexp(0, -x * v) + (1 - plus) * np.logaddexp(0, x * v)
        return loss * stats.norm.pdf(x)

    by_hand, _ = integrate.quad(at, -12, 12)
    found = LOGISTIC.value(np.array([[v]]), np.array([[target]]))
    assert found.item() == pytest.approx(by_hand, rel=1e-9)


def test_a_gradient_is_written_where_it_is_asked_for():
    v, target = uniform(3, 4), uniform(3, 4, seed=1)
    for loss in (SQUARED, LOGISTIC, COSINE):
        place = np.empty_like(v)
        assert loss.gradient(v, target, out=place) is place
        assert np.array_equal(place, loss.gradient(v, target))
