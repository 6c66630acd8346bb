"""Substituted-gradient flows: by hand in one and two dimensions, and against autograd."""

import numpy as np
import pytest
import torch

from bnn_geometry.errors import UserError
from bnn_geometry.geometry.angles import angle
from bnn_geometry.geometry.flows import (
    HARD_TANH,
    IDENTITY,
    SIGN,
    TANH,
    Pointwise,
    flow,
    stochastic_bin,
    substituted_gradient,
    with_noise,
)
from bnn_geometry.geometry.losses import COSINE, SQUARED
from bnn_geometry.networks.layers import BinaryActivation
from bnn_geometry.networks.straight_through import binarize_weight


def uniform(*shape, seed=0, bound=1.0):
    return np.random.default_rng(seed).uniform(-bound, bound, shape)


def follow(loss, target, start, steps, eta, **options):
    return flow(loss, target, start, np.full(steps, eta), **options)


@pytest.mark.parametrize("g", [IDENTITY, TANH, HARD_TANH, SIGN], ids=lambda g: g.name)
def test_a_value_is_written_where_it_is_asked_for(g):
    u = uniform(3, 4, bound=2)
    place, before = np.empty_like(u), u.copy()
    assert g.value(u, out=place) is place
    assert np.array_equal(place, g.value(u))
    assert np.array_equal(u, before)


@pytest.mark.parametrize("g", [IDENTITY, TANH, HARD_TANH], ids=lambda g: g.name)
def test_derivative_is_the_slope(g):
    u = uniform(50, bound=2)
    slope = (g.value(u + 1e-6) - g.value(u - 1e-6)) / 2e-6
    np.testing.assert_allclose(g.derivative(u), slope, atol=1e-8)


def test_hard_tanh_passes_at_its_edge_as_the_activations_do():
    u = np.array([-1.5, -1.0, 0.0, 1.0, 1.5])
    leaf = torch.tensor(u, requires_grad=True)
    BinaryActivation()(leaf).sum().backward()
    assert HARD_TANH.derivative(u).tolist() == leaf.grad.tolist() == [0, 1, 1, 1, 0]


@pytest.mark.parametrize("g", [IDENTITY, HARD_TANH], ids=lambda g: g.name)
def test_formula_is_what_autograd_computes_bit_for_bit(g):
    u, target = uniform(4, 9, bound=2), uniform(4, 9, seed=1)
    leaf = torch.tensor(u, requires_grad=True)
    binary = {IDENTITY: binarize_weight, HARD_TANH: BinaryActivation()}[g](leaf)
    ((binary - torch.tensor(target)) ** 2).sum().div(2).backward()
    formula = substituted_gradient(
        u, lambda v: SQUARED.gradient(v, target), SIGN.value, g.pull_back
    )
    assert np.array_equal(formula, leaf.grad.numpy())
    assert (np.abs(u) > 1).any()


def test_formula_sums_over_the_outputs_of_g():
    matrix = np.array([[1.0, 2.0], [0.0, -1.0]])  # g(u) = matrix·u
    gradient = substituted_gradient(
        np.array([[0.5, -0.5]]),
        lambda v: v * [3.0, 5.0],
        SIGN.value,
        lambda u, upstream: upstream @ matrix,
    )
    assert gradient.tolist() == [[3.0, 2 * 3.0 - 1 * -5.0]]


def test_another_g_than_the_one_used_is_seen():
    u, target = uniform(4, 9, bound=2), uniform(4, 9, seed=1)
    leaf = torch.tensor(u, requires_grad=True)
    ((BinaryActivation()(leaf) - torch.tensor(target)) ** 2).sum().div(2).backward()
    for g, same in ((HARD_TANH, True), (IDENTITY, False), (TANH, False)):
        formula = substituted_gradient(
            u, lambda v: SQUARED.gradient(v, target), SIGN.value, g.pull_back
        )
        assert np.allclose(formula, leaf.grad.numpy()) == same


def test_step_function_passes_no_gradient():
    u = uniform(3, 4)
    assert not np.any(substituted_gradient(u, lambda v: v - 7, SIGN.value, SIGN.pull_back))


def test_bin_is_never_zero():
    assert SIGN.value(np.array([0.0, -0.0, 1e-300, -1e-300])).tolist() == [-1, -1, 1, -1]


def test_one_dimension_by_hand():
    # v* = 1/2, η = 1/4: where f(u) = −1, u rises by 3/8; where +1, it falls by 1/8
    found = follow(SQUARED, [[0.5]], [[-0.5]], 6, 0.25, keep_path=True)
    assert found.path[:, 0, 0].tolist() == [-0.5, -0.125, 0.25, 0.125, 0.0, 0.375, 0.25]
    assert found.steps.tolist() == list(range(7))
    assert found.output_angle[:, 0].tolist() == [180, 180, 0, 0, 180, 0, 0]  # bin(0) = −1
    assert found.mean_output.tolist() == [[1 / 3]]  # of f(0.125), f(0), f(0.375)
    assert found.error_size[0, 0] == 0.5


def test_scale_invariant_loss_is_flat_in_one_dimension():
    found = follow(COSINE, [[1.0]], [[-0.5]], 5, 0.1)
    assert found.u.tolist() == [[-0.5]]  # cos is −1 on the whole half-line


def test_two_dimensions_by_hand():
    # v* = (3, 1): z = (3, 1)/√5, c = 2/√5 at (1, 1) and 1/√5 at (1, −1), so that the second entry
    # falls by η/√5 twice for each time it rises by 2η/√5
    found = follow(COSINE, [[3.0, 1.0]], [[1.0, 0.013]], 300, 0.01, keep_path=True)
    late = found.path[150:, 0]
    np.testing.assert_allclose(late[3:], late[:-3], atol=1e-12)
    assert (late[:, 0] == 1).all()
    np.testing.assert_allclose(found.mean_output, [[1, 1 / 3]], atol=1e-12)
    low, high = np.degrees(np.arctan2([1, 2], [2, 1]))  # of (1, ±1) with (3, 1)
    np.testing.assert_allclose(np.unique(found.output_angle[150:].round(9)), [low, high])


def test_clip_holds_and_is_optional():
    clipped = follow(SQUARED, [[5.0]], [[0.5]], 20, 0.1)
    free = follow(SQUARED, [[5.0]], [[0.5]], 20, 0.1, clip=None)
    assert clipped.u.tolist() == [[1.0]]
    np.testing.assert_allclose(free.u, [[0.5 + 20 * 0.1 * 4]])


def test_same_function_both_ways_is_gradient_descent():
    target, u = uniform(3, 6), uniform(3, 6, seed=1)
    found = follow(SQUARED, target, u, 40, 0.1, forward=TANH, backward=TANH, clip=None)
    leaf = torch.tensor(u, requires_grad=True)
    for _ in range(40):
        loss = ((torch.tanh(leaf) - torch.tensor(target)) ** 2).sum() / 2
        (slope,) = torch.autograd.grad(loss, leaf)
        leaf = (leaf - 0.1 * slope).detach().requires_grad_()
    np.testing.assert_allclose(found.u, leaf.detach().numpy(), rtol=1e-12)


def test_without_binarization_the_minimum_is_reached():
    for loss in (SQUARED, COSINE):
        found = follow(
            loss, uniform(3, 6), uniform(3, 6, seed=1), 500, 0.1, forward=IDENTITY, clip=None
        )
        assert found.output_angle[-1].max() < 1e-4
        assert found.error_size.max() == 0


def test_average_output_of_the_squared_distance_is_exact():
    target, start = uniform(5, 20), uniform(5, 20, seed=1)
    steps, eta = 200, 0.05
    half = follow(SQUARED, target, start, steps // 2, eta, clip=None)
    found = follow(SQUARED, target, start, steps, eta, clip=None)
    exact = target - (found.u - half.u) / (eta * steps / 2)
    np.testing.assert_allclose(found.mean_output, exact, atol=1e-12)


def test_cosine_flow_knows_the_direction_of_its_target_alone():
    target, start = uniform(3, 10), uniform(3, 10, seed=1)
    one = follow(COSINE, target, start, 100, 0.05)
    other = follow(COSINE, 4 * target, start, 100, 0.05)  # exact in floating point
    assert np.array_equal(one.u, other.u)
    squared = follow(SQUARED, 4 * target, start, 100, 0.05)
    assert not np.array_equal(squared.u, follow(SQUARED, target, start, 100, 0.05).u)


def test_flow_commutes_with_signs_and_permutations():
    target, start = uniform(3, 10), uniform(3, 10, seed=1)
    order = np.random.default_rng(2).permutation(10)
    found = follow(SQUARED, target, start, 100, 0.05)
    assert np.array_equal(
        follow(SQUARED, -target[:, order], -start[:, order], 100, 0.05).u, -found.u[:, order]
    )


def test_rows_are_independent():
    target, start = uniform(3, 10), uniform(3, 10, seed=1)
    found = follow(COSINE, target, start, 100, 0.05)
    alone = follow(COSINE, target[1], start[1], 100, 0.05)
    np.testing.assert_allclose(alone.u[0], found.u[1], atol=1e-12)


@pytest.mark.parametrize("n", [2, 3, 5, 30])
def test_no_output_is_nearer_than_the_nearest_binary_vector(n):
    target = uniform(20, n, seed=n)
    found = follow(COSINE, target, uniform(20, n, seed=n + 1), 300, 0.05)
    excess = found.output_angle - angle(SIGN.value(target), target)
    assert excess.min() > -1e-6
    assert excess.min() < 1e-6 or n > 5  # and in few dimensions it does get there


def test_binary_target_is_a_steady_state():
    target = np.where(uniform(4, 8) > 0, 3.0, -3.0)
    found = follow(COSINE, target, uniform(4, 8, seed=1), 500, 0.05)
    assert found.output_angle[-200:].max() < 1e-5
    assert np.array_equal(found.mean_output, target / 3)


def test_logging_keeps_the_first_and_the_last_state():
    target, start = uniform(2, 4), uniform(2, 4, seed=1)
    every = follow(COSINE, target, start, 10, 0.1)
    some = follow(COSINE, target, start, 10, 0.1, log_every=4)
    assert some.steps.tolist() == [0, 4, 8, 10]
    assert np.array_equal(some.latent_angle, every.latent_angle[some.steps])
    np.testing.assert_allclose(some.latent_angle[-1], angle(some.u, target))
    np.testing.assert_allclose(some.late_mean("turn"), some.turn[2:].mean(axis=0))
    assert some.path is None


def test_noise_has_its_size_and_knows_nothing_of_u():
    u = uniform(2, 50_000)
    u[1] *= 0.1
    own = np.sqrt(np.mean((SIGN.value(u) - u) ** 2, axis=1))
    for size, expected in ((None, own), (0.7, 0.7)):
        forward = with_noise(np.random.default_rng(0), size)
        one, two = forward.value(u) - u, forward.value(u) - u
        np.testing.assert_allclose(np.sqrt(np.mean(one**2, axis=1)), expected, rtol=0.02)
        for a, b in ((one[0], u[0]), (one[1], u[1]), (one[0], two[0]), (one[0], one[1])):
            assert abs(np.corrcoef(a, b)[0, 1]) < 4 / np.sqrt(50_000)


def test_stochastic_rounding_is_binary_and_right_on_average():
    u = np.repeat([[-1.0, -0.5, 0.0, 0.8, 1.0]], 40_000, axis=0)
    v = stochastic_bin(np.random.default_rng(0)).value(u)
    assert set(np.unique(v)) == {-1, 1}
    np.testing.assert_allclose(v.mean(axis=0), u[0], atol=4 / np.sqrt(40_000))
    assert (v[:, [0, 4]] == [-1, 1]).all()


def test_same_seed_same_bits():
    target, start = uniform(3, 10), uniform(3, 10, seed=1)
    for make in (with_noise, stochastic_bin):
        one, two, three = (
            follow(COSINE, target, start, 50, 0.05, forward=make(np.random.default_rng(seed)))
            for seed in (1, 1, 2)
        )
        assert np.array_equal(one.latent_angle, two.latent_angle)
        assert np.array_equal(one.u, two.u)
        assert not np.array_equal(one.u, three.u)


def test_divergence_is_told_with_its_update():
    grow = Pointwise("square", np.square, np.ones_like)
    with pytest.raises(UserError) as error:
        follow(SQUARED, [[0.0]], [[-2.0]], 100, 1e10, forward=grow, clip=None)
    assert str(error.value) == (
        "The flow diverged at update 5 of 100: take a step size below 1e+10."
    )
    with pytest.raises(UserError, match="at update 1 of"):  # the clip does not hide it
        follow(SQUARED, [[0.0]], [[-1e200]], 100, 1.0, forward=grow)


def test_start_is_not_changed():
    start = uniform(2, 3)
    before = start.copy()
    follow(SQUARED, uniform(2, 3, seed=1), start, 5, 0.1)
    assert np.array_equal(start, before)


@pytest.mark.parametrize(
    ("target", "start", "steps", "log_every"),
    [
        ((2, 3), (2, 4), 3, 1),
        ((2, 3), (1, 3), 3, 1),
        ((2, 3), (2, 3), 0, 1),
        ((2, 3), (2, 3), 3, 0),
    ],
)
def test_what_does_not_fit_is_refused(target, start, steps, log_every):
    with pytest.raises(ValueError, match="must have one shape"):
        follow(SQUARED, np.ones(target), np.ones(start), steps, 0.1, log_every=log_every)
