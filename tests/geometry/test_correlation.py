"""Correlations of dot products and of signs: against quadrature, simulation and plain formulas."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from bnn_geometry.geometry import angles, correlation

SIGMAS = 4.5  # of a simulation's standard error: a good test fails once in 150,000 seeds
N = 12


def rng(seed=0):
    return np.random.default_rng(seed)


def covariance_of(generator):
    root = generator.standard_normal((N, N))
    return root @ root.T / N


def simulated(u, v):
    """Correlation of each column, with its standard error by the delta method."""
    a, b = ((z - z.mean(axis=0)) / z.std(axis=0) for z in (u, v))
    r = np.mean(a * b, axis=0)
    return r, np.std(a * b - r * (a * a + b * b) / 2, axis=0) / np.sqrt(len(u))


def weights_of(generator, filters=7):
    w = generator.standard_normal((filters, N))
    return w, np.where(w > 0, 1.0, -1.0)


# --- dot products ------------------------------------------------------------------------------


def test_white_inputs_give_the_cosine_of_the_angle():
    w, b = weights_of(rng())
    cosine = np.cos(np.radians(angles.angle(w, b)))
    for covariance in (None, np.ones(N), np.eye(N), 3.7 * np.eye(N)):
        np.testing.assert_allclose(
            correlation.predicted_correlation(w, b, covariance), cosine, rtol=1e-12
        )


@pytest.mark.parametrize("filters", [1, 7])
def test_with_the_covariance_of_a_sample_it_is_the_correlation_of_that_sample(filters):
    generator = rng(1)
    w, b = weights_of(generator, filters)
    x = generator.exponential(size=(50, N)) @ generator.standard_normal((N, N))
    r = correlation.predicted_correlation(w, b, np.cov(x.T))
    for i in range(filters):
        assert r[i] == pytest.approx(np.corrcoef(x @ w[i], x @ b[i])[0, 1], abs=1e-12)


def test_a_diagonal_covariance_may_be_given_as_its_diagonal():
    w, b = weights_of(rng(2))
    variances = rng(3).uniform(0.1, 5, N)
    found = correlation.predicted_correlation(w, b, variances)
    np.testing.assert_allclose(found, correlation.predicted_correlation(w, b, np.diag(variances)))


def test_one_pair_of_vectors_gives_a_number():
    w, b = weights_of(rng(4))
    covariance = covariance_of(rng(5))
    one = correlation.predicted_correlation(w[0], b[0], covariance)
    assert one.shape == ()
    assert one == pytest.approx(correlation.predicted_correlation(w, b, covariance)[0], rel=1e-12)


def test_vectors_with_tiny_variances_have_a_correlation():
    w, b = weights_of(rng(19))  # the product of the two variances is no double
    np.testing.assert_allclose(
        correlation.predicted_correlation(1e-100 * w, 1e-100 * b),
        correlation.predicted_correlation(w, b),
    )


@settings(deadline=None, max_examples=20)
@given(scale=st.floats(1e-100, 1e100), other=st.floats(1e-3, 1e3), seed=st.integers(0, 99))
def test_correlation_depends_on_directions_alone(scale, other, seed):
    w, b = weights_of(rng(seed))
    covariance = covariance_of(rng(seed + 1))
    r = correlation.predicted_correlation(w, b, covariance)
    np.testing.assert_allclose(
        correlation.predicted_correlation(scale * w, other * b, other * covariance), r, rtol=1e-9
    )
    np.testing.assert_allclose(correlation.predicted_correlation(-w, b, covariance), -r, rtol=1e-12)
    assert np.all(np.abs(r) <= 1)


def test_the_result_is_computed_in_float64():
    w, b = weights_of(rng(7))
    covariance = covariance_of(rng(8))
    low = [z.astype(np.float32) for z in (w, b, covariance)]
    exact = correlation.predicted_correlation(*(z.astype(np.float64) for z in low))
    found = correlation.predicted_correlation(*low)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, exact)


def test_no_gaussian_inputs_are_needed():
    generator = rng(9)
    w, b = weights_of(generator)
    covariance = covariance_of(generator)
    skewed = generator.exponential(size=(20_000, N)) - 1  # variance one
    x = skewed @ np.linalg.cholesky(covariance).T
    r, error = simulated(x @ w.T, x @ b.T)
    predicted = correlation.predicted_correlation(w, b, covariance)
    assert np.all(np.abs(r - predicted) < SIGMAS * error)
    assert np.any(np.abs(r - correlation.predicted_correlation(w, b)) > 20 * error)  # not white


def test_a_covariance_of_low_rank_is_one():
    factor = rng(10).standard_normal((N, 3))
    w, b = weights_of(rng(11))
    expected = [np.cos(np.radians(angles.angle(f, g))) for f, g in zip(w @ factor, b @ factor)]  # noqa: B905
    found = correlation.predicted_correlation(w, b, factor @ factor.T)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


ONES = np.ones((2, 3))
CONSTANT = np.diag([1.0, 1.0, 0.0])


@pytest.mark.parametrize(
    ("w", "b", "covariance", "words"),
    [
        (ONES, np.ones((2, 4)), None, r"one shape.*\(2, 3\) and \(2, 4\)"),
        (ONES, np.ones(3), None, "one shape"),
        (1.0, 1.0, None, "one shape"),
        (np.ones((0, 3)), np.ones((0, 3)), None, "one shape"),
        (np.ones((2, 1, 3)), np.ones((2, 1, 3)), None, "one shape"),
        (ONES, ONES, np.eye(4), r"shape \(3, 3\).*not \(4, 4\)"),
        (ONES, ONES, np.ones(2), r"diagonal of shape \(3,\), not \(2,\)"),
        (ONES * np.nan, ONES, None, "weights must be finite"),
        (ONES, ONES * np.inf, None, "binary weights must be finite"),
        (ONES, ONES, np.full((3, 3), np.nan), "covariance must be finite"),
        (ONES * 0, ONES, None, "row 0 of the weights"),
        (np.array([[1.0, 0, 0], [0, 0, 0]]), ONES, None, "row 1 of the weights"),
        (np.zeros(3), np.ones(3), None, "along the weights"),
        ([0, 0, 1.0], [1.0, 1, 1], CONSTANT, "do not vary along the weights"),
        ([1.0, 1, 1], [0, 0, 1.0], CONSTANT, "do not vary along the binary weights"),
        (ONES, ONES, -np.ones(3), "no negative entry on its diagonal"),
        ([1.0, -1, 0], [1.0, 1, 1], [[1, 2, 0], [2, 1, 0], [0, 0, 1.0]], "negative variance"),
        # b and w each have a variance, and the direction between them a negative one
        ([1.0, 0, 0], [0, 1.0, 0], [[1, 2, 0], [2, 1, 0], [0, 0, 1.0]], "negative variance"),
        ([1.0, 0, 0], [1.0, 1, 1], [[1, 0.5, 0], [0, 1, 0], [0, 0, 1.0]], "symmetric"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(w, b, covariance, words):
    with pytest.raises(ValueError, match=words):
        correlation.predicted_correlation(w, b, covariance)


# --- signs -------------------------------------------------------------------------------------


@pytest.mark.parametrize("rho", [-0.95, -0.3, 0.0, 0.5, 0.8])
def test_the_arcsine_law_is_the_integral(rho):
    # given x, sign y has mean 2Φ(ρx/√(1 − ρ²)) − 1
    integral, _ = integrate.quad(
        lambda x: (
            np.sign(x) * (2 * stats.norm.cdf(rho * x / np.sqrt(1 - rho**2)) - 1) * stats.norm.pdf(x)
        ),
        -10,
        10,
        points=[0],
    )
    assert correlation.sign_correlation(rho) == pytest.approx(integral, abs=1e-9)


def test_the_arcsine_law_at_its_ends():
    np.testing.assert_allclose(
        correlation.sign_correlation([-1, 0, 0.5, 1]), [-1, 0, 1 / 3, 1], atol=1e-15
    )


@pytest.mark.parametrize("rho", [1.0000001, -2, np.nan])
def test_no_correlation_is_beyond_one(rho):
    with pytest.raises(ValueError, match="between −1 and 1"):
        correlation.sign_correlation([0.0, rho])


def test_activations_against_simulation():
    generator = rng(14)
    w, _ = weights_of(generator)
    scale = generator.uniform(0.2, 3, N)  # variances that differ, which sign(x) does not see
    covariance = covariance_of(generator) * np.outer(scale, scale)
    x = generator.standard_normal((40_000, N)) @ np.linalg.cholesky(covariance).T
    r, error = simulated(x @ w.T, np.sign(x) @ w.T)
    predicted = correlation.activation_correlation(w, covariance)
    assert np.all(np.abs(r - predicted) < SIGMAS * error)
    assert correlation.activation_correlation(w[0], covariance) == pytest.approx(predicted[0])


def test_activations_that_are_uncorrelated():
    w, _ = weights_of(rng(15))
    np.testing.assert_allclose(correlation.activation_correlation(w), np.sqrt(2 / np.pi))
    variances = rng(16).uniform(0.1, 4, N)
    expected = np.sqrt(2 / np.pi) * (w**2 @ np.sqrt(variances))
    expected /= np.sqrt((w**2 @ variances) * (w**2).sum(axis=1))
    np.testing.assert_allclose(correlation.activation_correlation(w, variances), expected)
    np.testing.assert_allclose(correlation.activation_correlation(w, np.diag(variances)), expected)


def test_activations_that_are_all_equal_lose_nothing_but_their_size():
    """With correlation one, w·sign(x) is ±Σw and w·x a Gaussian: corr(x, sign x)."""
    assert correlation.activation_correlation(np.ones(5), np.ones((5, 5))) == pytest.approx(
        np.sqrt(2 / np.pi)
    )


@pytest.mark.parametrize(
    ("w", "covariance", "words"),
    [
        (1.0, None, r"shape \(n,\) or \(filters, n\)"),
        ([np.nan, 1], None, "must be finite"),
        ([1.0, 1], np.eye(3), "shape"),
        ([1.0, 1], [1.0, 0], "does not vary"),
        ([0.0, 0], None, "do not vary along the weights"),
    ],
)
def test_activations_that_make_no_sense_are_refused(w, covariance, words):
    with pytest.raises(ValueError, match=words):
        correlation.activation_correlation(w, covariance)


# --- inputs of few directions --------------------------------------------------------------------


def test_mean_over_units_against_simulation_at_every_number_of_directions():
    generator, units = rng(20), 40_000
    directions = np.array([1, 2, 3, 10, 30])
    for rho in (-0.6, np.sqrt(2 / np.pi)):
        u, z = generator.standard_normal((2, units, directions[-1]))
        v = rho * u + np.sqrt(1 - rho**2) * z
        for k in directions:
            r = np.cos(np.radians(angles.angle(u[:, :k], v[:, :k])))
            error = r.std() / np.sqrt(units)
            assert abs(r.mean() - correlation.mean_correlation(rho, k)) < SIGMAS * error


def test_mean_over_units_at_its_ends():
    rho = np.array([-1, -0.3, 0, 0.8, 1])
    np.testing.assert_allclose(
        correlation.mean_correlation(rho, 1), correlation.sign_correlation(rho), atol=1e-14
    )
    np.testing.assert_allclose(correlation.mean_correlation(rho, 1e5), rho, rtol=1e-5)


@pytest.mark.parametrize(
    ("rho", "directions", "words"), [(1.1, 2, "between"), (0.5, 0, "at least")]
)
def test_directions_that_make_no_sense_are_refused(rho, directions, words):
    with pytest.raises(ValueError, match=words):
        correlation.mean_correlation(rho, directions)
