"""Where flows end: by hand, and against flows that have been followed there."""

import numpy as np
import pytest

from bnn_geometry.geometry.angles import angle
from bnn_geometry.geometry.flows import SIGN, flow, stochastic_bin, with_noise
from bnn_geometry.geometry.losses import COSINE, LOGISTIC, SQUARED
from bnn_geometry.geometry.steady_state import last_cosine, latent_with_noise, settled


def uniform(*shape, seed=0, bound=1.0):
    return np.random.default_rng(seed).uniform(-bound, bound, shape)


def follow(loss, target, start, steps, eta, **options):
    return flow(loss, target, start, np.full(steps, eta), **options)


def test_settled_cosine_of_uniform_entries_by_hand():
    grid = (np.arange(200_000) + 0.5) / 200_000
    assert settled(grid).cosine.item() == pytest.approx(3 * (2 - np.sqrt(3)), abs=1e-6)


def test_settled_state_is_consistent():
    target = uniform(6, 40)
    expected = settled(target)
    cosine, mean, latent = expected.cosine, expected.mean_output, expected.latent
    z = target / np.sqrt(np.mean(target**2, axis=1, keepdims=True))
    # c is the mean of z·f(u); where the mean of f(u) is within ±1, the mean step z − c f is zero
    np.testing.assert_allclose(np.mean(z * mean, axis=1, keepdims=True), cosine, rtol=1e-12)
    moving = np.abs(mean) < 1
    np.testing.assert_allclose(z[moving], (cosine * mean)[moving], rtol=1e-12)
    assert np.array_equal(latent == 0, moving)
    assert settled(np.array([[2.0, -2.0]])).cosine.item() == pytest.approx(1)


def test_settled_state_of_the_squared_distance_by_hand():
    expected = settled([[0.5, -0.25, 0.0, 2.0]], SQUARED)
    assert expected.threshold.tolist() == [[1]]
    assert expected.mean_output.tolist() == [[0.5, -0.25, 0, 1]]
    assert expected.latent.tolist() == [[0, 0, 0, 1]]
    length = np.sqrt(0.25 + 0.0625 + 4)
    assert expected.cosine.item() == pytest.approx((0.25 + 0.0625 + 2) / (2 * length))


def test_threshold_of_the_logistic_loss_for_a_binary_target_is_its_size():
    # both ±1: κ is the same on both sides, and v* = f(u) is the minimum itself
    assert settled([[1.0, -1.0]], LOGISTIC).threshold.item() == pytest.approx(1)
    weak, strong = settled([[0.1, 0.1], [3.0, 3.0]], LOGISTIC).threshold[:, 0]
    assert weak < 1 < strong


@pytest.mark.parametrize("loss", [SQUARED, LOGISTIC, COSINE], ids=lambda loss: loss.name)
@pytest.mark.parametrize("clip", [1.0, None])
def test_flow_of_each_loss_ends_where_expected(loss, clip):
    target = uniform(2, 600) * 1.5
    found = follow(loss, target, uniform(2, 600, seed=1), 2500, 0.02, log_every=11, clip=clip)
    expected = settled(target, loss)
    output = np.degrees(np.arccos(expected.cosine[:, 0]))
    np.testing.assert_allclose(found.late_mean("output_angle"), output, atol=0.5)
    average = angle(expected.mean_output, target)
    np.testing.assert_allclose(angle(found.mean_output, target), average, atol=0.5)
    if clip:
        held = angle(expected.latent, target)  # for vanishing step size
        np.testing.assert_allclose(found.late_mean("latent_angle"), held, atol=3)


def test_an_entry_that_is_not_held_keeps_within_its_two_steps():
    target, eta = 0.9 * uniform(1, 600), 0.02
    path = follow(SQUARED, target, uniform(1, 600, seed=1), 2000, eta, keep_path=True).path[:, 0]
    late = path[1800:]
    assert (late <= eta * (1 + target) + 1e-12).all()
    assert (late >= -eta * (1 - target) - 1e-12).all()
    # so that the average of signs over T updates is off by at most 2/T
    mean = SIGN.value(late[:-1]).mean(axis=0)
    assert np.abs(mean - target).max() <= 2 / (len(late) - 1) + 1e-12


def test_last_output_of_a_constant_step_is_any_other():
    target = uniform(3, 500)
    for loss in (SQUARED, LOGISTIC, COSINE):
        expected = settled(target, loss).cosine
        np.testing.assert_allclose(last_cosine(target, 0, loss), expected, atol=2e-3)


@pytest.mark.parametrize("loss", [SQUARED, COSINE], ids=lambda loss: loss.name)
@pytest.mark.parametrize("power", [1, 2])
def test_last_output_of_a_step_that_falls_to_zero(loss, power):
    target, updates = uniform(12, 600), 2000
    steps = 0.04 * (1 - np.arange(updates) / updates) ** power
    found = flow(loss, target, uniform(12, 600, seed=1), steps, log_every=updates)
    ends = found.output_angle[-1]
    expected = np.degrees(np.arccos(last_cosine(target, power, loss)[:, 0]))
    off = (ends - expected).mean()
    assert abs(off) < 4 * ends.std(ddof=1) / np.sqrt(12) + 0.2  # the cosine is no constant
    assert ends.mean() < np.degrees(np.arccos(settled(target, loss).cosine)).mean() - 2


def test_latent_with_noise_of_uniform_entries_by_hand():
    grid = (np.arange(200_000) + 0.5) / 200_000
    ends = latent_with_noise(grid, lambda u: np.mean((1 - u) ** 2))
    np.testing.assert_allclose(ends[0], np.clip((1 + np.sqrt(2 / 3)) * grid, 0, 1), atol=1e-5)
    np.testing.assert_allclose(latent_with_noise(5 * grid, lambda u: np.mean((1 - u) ** 2)), ends)


def test_flow_with_noise_ends_where_expected():
    target = uniform(4, 600)
    for make, variance in (
        (lambda g: with_noise(g), lambda u: np.mean((1 - np.abs(u)) ** 2, 1, keepdims=True)),
        (lambda g: with_noise(g, 0.7), lambda u: 0.49),
        (stochastic_bin, lambda u: np.mean(1 - u**2, axis=1, keepdims=True)),
    ):
        forward = make(np.random.default_rng(5))
        start = uniform(4, 600, seed=1)
        found = follow(COSINE, target, start, 2000, 0.02, log_every=11, forward=forward)
        expected = angle(latent_with_noise(target, variance), target)
        np.testing.assert_allclose(found.late_mean("latent_angle"), expected, atol=1)
