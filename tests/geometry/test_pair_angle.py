"""The angle between two random vectors: densities, tails and spreads, each by another way."""

import numpy as np
import pytest
from scipy import integrate, optimize, special, stats

from bnn_geometry.geometry import angles
from bnn_geometry.geometry.distributions import GAUSSIAN, LAPLACE, SIGNS, UNIFORM, student_t
from bnn_geometry.geometry.pair_angle import (
    binary_pair_law,
    pair_angle_cdf,
    pair_angle_density,
    pair_angle_logcdf,
    pair_angle_sd,
)
from bnn_geometry.geometry.quantizers import limit_angle

STUDENT = student_t(5)
SIGMAS = 4.5  # 7e-6 of all seeds would fail; the seeds are fixed


def over_angles(f, n, law=GAUSSIAN):
    width = min(90.0, 1000 / np.sqrt(n))
    return integrate.quad(
        lambda t: f(t) * pair_angle_density(t, n, law),
        90 - width,
        90 + width,
        points=[90],
        epsabs=0,
        epsrel=1e-11,
        limit=200,
    )[0]


@pytest.mark.parametrize("law", [GAUSSIAN, UNIFORM], ids=["Gaussian", "uniform"])
def test_density_integrates_to_one_with_its_variances(law):
    for n in (2, 3, 27, 199, 200, 100_000, 10**6) if law is GAUSSIAN else (2,):
        assert over_angles(lambda t: 1.0, n, law) == pytest.approx(1, abs=1e-10)
        variance = over_angles(lambda t: np.cos(np.radians(t)) ** 2, n, law)
        assert variance == pytest.approx(1 / n, rel=1e-9)
        assert np.sqrt(variance) == pytest.approx(n**-0.5, rel=1e-9)
        spread = np.sqrt(over_angles(lambda t: (t - 90) ** 2, n, law))
        assert pair_angle_sd(n, law) == pytest.approx(spread, rel=1e-9)


def test_density_in_the_plane_is_flat_to_its_ends():
    np.testing.assert_allclose(pair_angle_density([0, 45, 90, 180], 2), 1 / 180)


def test_spread_in_one_two_and_three_dimensions():
    expected = [90, 180 / np.sqrt(12), np.degrees(np.sqrt(np.pi**2 / 4 - 2))]  # at n = 1: 0 or 180°
    np.testing.assert_allclose([pair_angle_sd(n) for n in (1, 2, 3)], expected)


def test_simulated_uniform_pairs_in_the_plane_follow_their_density():
    sample = angles.sample_angles(2, 20_000, UNIFORM, np.random.default_rng(5)).pair_angle
    grid = np.linspace(0, 180, 1001)
    cdf = integrate.cumulative_simpson(pair_angle_density(grid, 2, UNIFORM), x=grid, initial=0)
    assert stats.kstest(sample, lambda t: np.interp(t, grid, cdf)).pvalue > 1e-4


@pytest.mark.parametrize("n", [10**6, 10**9])
def test_density_near_the_right_angle_keeps_its_digits(n):
    # the sine is rounded to 1 there: n log sin would be off by 1e-7 at n = 10⁹
    x = 2 / np.sqrt(n)
    ratio = pair_angle_density(90 - np.degrees(x), n) / pair_angle_density(90, n)
    log_sine = -(x**2) / 2 - x**4 / 12
    assert np.log(ratio) == pytest.approx((n - 2) * log_sine, rel=1e-10)


@pytest.mark.parametrize("law", [UNIFORM, LAPLACE, STUDENT, SIGNS], ids=lambda law: law.name)
def test_spread_of_other_distributions_is_simulated(law):
    # theory has 0.3 % of the spread for distributions with a density, except for the uniform one
    slack = {UNIFORM: 0.001, LAPLACE: 0.002, STUDENT: 0.004, SIGNS: 0.0}[law]
    for n in (2, 4, 40):
        sample = angles.sample_angles(n, 100_000, law, np.random.default_rng(n))
        square, cosine = (sample.pair_angle - 90) ** 2, sample.pairs
        # less noise by the cosine's variance, which is known
        slope = np.cov(square, cosine**2)[0, 1] / np.var(cosine**2)
        values = square - slope * (cosine**2 - 1 / n)
        expected = pair_angle_sd(n, law) ** 2
        error = values.std() / np.sqrt(len(values))
        assert error < 0.002 * expected
        assert abs(values.mean() - expected) < SIGMAS * error + slack * expected + 1e-9


# --- tail ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 3, 27, 100])
def test_cdf_is_the_integral_of_the_density(n):
    theta = np.array([20.0, 60.0, 90.0, 90.5, 120.0, 180.0])
    integrals = [
        integrate.quad(pair_angle_density, 0, t, args=(n,), epsabs=1e-12)[0] for t in theta
    ]
    np.testing.assert_allclose(pair_angle_cdf(theta, n), integrals, atol=1e-9)


def test_cdf_in_space_is_that_of_a_cap():
    theta = np.linspace(0, 180, 37)
    cap = (1 - np.cos(np.radians(theta))) / 2
    np.testing.assert_allclose(pair_angle_cdf(theta, 3), cap, rtol=1e-12, atol=1e-15)


def test_tail_within_the_limits():
    for n, tails in (
        (10, (1.6e-3, 2.8e-4)),
        (27, (1.8e-7, 1.3e-9)),
        (100, (8.6e-24, 7.3e-32)),
    ):
        np.testing.assert_allclose(
            pair_angle_cdf([limit_angle(GAUSSIAN), 30.0], n), tails, rtol=0.04
        )


@pytest.mark.parametrize(
    ("n", "theta"),
    [(3, 1e-3), (100, 0.1), (100, 60), (10**4, 75), (10**6, 30), (10**6, 88.5), (50, 90)],
)
def test_log_of_the_tail_equals_independent_quadrature(n, theta):
    phi = np.radians(theta)

    def relative(t):
        return (np.sin(t) / np.sin(phi)) ** (n - 2)

    width = 60 / n * max(np.tan(phi), 1 / n) if theta < 89 else phi
    integral, _ = integrate.quad(relative, max(0.0, phi - width), phi, epsabs=0, limit=500)
    gammas = special.gammaln(n / 2) - special.gammaln((n - 1) / 2) - np.log(np.pi) / 2
    expected = gammas + (n - 2) * np.log(np.sin(phi)) + np.log(integral)
    assert pair_angle_logcdf(theta, n) == pytest.approx(expected, rel=1e-9, abs=1e-8)


@pytest.mark.parametrize("n", [200, 2000, 10**6])
def test_log_of_the_tail_has_no_step_where_the_method_changes(n):
    # on either side of 1e-200 the local slope is the same
    switch = -200 * np.log(10)
    theta = optimize.brentq(lambda t: pair_angle_logcdf(t, n) - switch, 1, 89.9)
    values = pair_angle_logcdf(theta + np.linspace(-0.5, 0.5, 41) * (90 - theta) / 1000, n)
    assert values[0] < switch < values[-1]
    second = np.diff(values, 2)
    np.testing.assert_allclose(second, second.mean(), rtol=0.1)


def test_log_of_the_tail_at_its_ends():
    values = pair_angle_logcdf([0.0, 90.0, 180.0], 10)
    np.testing.assert_allclose(values, [-np.inf, -np.log(2), 0.0], rtol=1e-12)
    # 1 − P(angle < 150°) = P(angle < 30°) is lost in the probability, not in its logarithm
    assert pair_angle_logcdf(150.0, 100) == pytest.approx(
        -pair_angle_cdf(30.0, 100), rel=1e-12, abs=0
    )


def test_no_law_of_directions_on_a_line():
    for f in (pair_angle_density, pair_angle_cdf, pair_angle_logcdf):
        with pytest.raises(ValueError, match="n = 2 on"):
            f(30.0, 1)


# --- vectors of signs ---------------------------------------------------------------------------


def test_the_law_of_two_sign_vectors_has_mean_zero_and_variance_one_over_n():
    for n in (1, 2, 10, 101, 10_000):
        cosine, probability = binary_pair_law(n)
        assert len(cosine) == n + 1
        assert np.all(np.diff(cosine) > 0)
        moments = [probability @ cosine**k for k in range(3)]
        np.testing.assert_allclose(moments, [1, 0, 1 / n], rtol=1e-9, atol=1e-10)


def test_the_law_of_two_sign_vectors_by_counting_all_of_them():
    n = 4
    signs = 2.0 * (np.arange(2**n)[:, None] >> np.arange(n) & 1) - 1
    values, counts = np.unique(signs @ signs.T / n, return_counts=True)
    cosine, probability = binary_pair_law(n)
    np.testing.assert_allclose(values, cosine)
    np.testing.assert_allclose(counts / 4**n, probability)
