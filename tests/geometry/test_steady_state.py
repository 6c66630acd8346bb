"""Where flows end: by hand, and against flows that have been followed there."""

import numpy as np
import pytest

from bnn_geometry.geometry.angles import angle
from bnn_geometry.geometry.flows import flow
from bnn_geometry.geometry.losses import COSINE, LOGISTIC, SQUARED
from bnn_geometry.geometry.steady_state import oscillation, settled


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
    assert expected.free.tolist() == [[0, 0, 0, 1]]
    np.testing.assert_allclose(expected.period, [[4, 8 / 3, 2, np.inf]])
    assert expected.drift.tolist() == [[0.5, -0.25, 0, 2]]
    assert expected.reach.tolist() == [[1]]
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
    if clip is None:
        latent = angle(expected.free, target)
    else:
        latent = angle(expected.draw(0.02, np.random.default_rng(2)), target)
        held = angle(expected.latent, target)  # for vanishing step size
        np.testing.assert_allclose(found.late_mean("latent_angle"), held, atol=3)
    np.testing.assert_allclose(found.late_mean("latent_angle"), latent, atol=2)


def test_drawn_latents_are_held_or_within_reach():
    target = uniform(2, 2000)
    expected = settled(target)
    drawn = expected.draw(0.01, np.random.default_rng(5))
    held = expected.latent != 0
    assert np.array_equal(drawn[held], expected.latent[held])
    phase = ((drawn / 0.01 - expected.drift) / expected.reach)[~held]
    assert np.abs(phase).max() <= 1 + 1e-9
    assert abs(phase.mean()) < 4 * np.sqrt(1 / 3 / phase.size)
    assert np.std(phase) == pytest.approx(1 / np.sqrt(3), rel=0.05)


def test_oscillation_by_hand():
    # v* = 1/2, η = 1/4: three steps down of 1/8, one up of 3/8
    found = follow(SQUARED, [[0.5]], [[0.375]], 12, 0.25, keep_path=True)
    found = oscillation(found.path[:-1, 0])
    assert found.period.tolist() == [4]
    assert found.duty.tolist() == [0.75]
    assert (found.low.item(), found.high.item()) == (0, 0.375)
    expected = settled([[0.5]], SQUARED)
    assert expected.period.item() == 4
    assert 0.25 * (expected.drift + expected.reach).item() == 0.375  # closed above, where bin is +1
    assert 0.25 * (expected.drift - expected.reach).item() == -0.125


def test_period_counts_from_the_first_rise_to_the_last():
    path = np.array(
        [[-1, 1, -1, -1, 1, -1, 1.0], [1, 1, 1, -1, -1, -1, -1], [-1, -1, 1, 1, 1, 1, 1]]
    ).T
    found = oscillation(path)
    assert found.period.tolist() == [2.5, np.inf, np.inf]  # rises at 1, 4 and 6; none; one
    np.testing.assert_allclose(found.duty, [3 / 7, 3 / 7, 5 / 7])


def test_every_entry_oscillates_as_expected():
    target = uniform(1, 2000)
    eta = 0.02
    late = follow(COSINE, target, uniform(1, 2000, seed=1), 4000, eta, log_every=4000)
    path = follow(COSINE, target, late.u, 1000, eta, keep_path=True).path[:, 0]
    found, expected = oscillation(path), settled(target)
    size = np.abs(target[0]) / expected.threshold[0, 0]
    inner = size < 0.95
    np.testing.assert_allclose(found.period[inner], expected.period[0][inner], rtol=0.1)
    np.testing.assert_allclose(
        found.duty[inner], (1 + expected.mean_output[0][inner]) / 2, atol=0.02
    )
    reach = 2 * expected.reach.item()
    np.testing.assert_allclose(np.median((found.high - found.low)[inner]) / eta, reach, rtol=0.03)
    assert ((found.high - found.low)[inner] / eta < 1.1 * reach).all()
    assert np.isinf(found.period[size > 1.05]).all()


@pytest.mark.parametrize("shape", [(1, 3), (5,), (5, 1, 3)])
def test_oscillation_needs_a_path(shape):
    with pytest.raises(ValueError, match="at least two updates"):
        oscillation(np.ones(shape))
