"""The angle between w and bin(w): against quadrature, its own tail and simulation."""

import numpy as np
import pytest
from scipy import integrate, stats

from bnn_geometry.geometry import angles
from bnn_geometry.geometry.binarized_angle import (
    angle_sd,
    angle_sd_rate,
    binarized_angle_density,
    binarized_angle_logsf,
    mean_angle,
    worst_binary_angle,
)
from bnn_geometry.geometry.cosine_moments import (
    cosine_moments,
    cosine_sd,
    mean_cosine,
    mean_square_cosine,
)
from bnn_geometry.geometry.distributions import (
    GAUSSIAN,
    LAPLACE,
    SIGNS,
    UNIFORM,
    empirical,
    sparse,
    student_t,
)
from bnn_geometry.geometry.pair_angle import pair_angle_sd

SPARSE = sparse(0.3)
SIGMAS = 4.5  # 7e-6 of all seeds would fail; the seeds are fixed
KINK = np.degrees(np.arctan(np.sqrt(0.5)))  # of the densities for n = 3


def simulated_angle(law, n):
    """Mean and s.d. of the angle with standard errors; exact moments take most noise away."""
    samples = 40_000 if n < 30 else 12_000
    sample = angles.sample_angles(n, samples, law, np.random.default_rng(n))
    cosine, angle = sample.binarized, sample.binarized_angle
    powers = cosine[:, None] ** np.arange(5)
    centre = angle.mean()
    targets = np.stack([angle - centre, (angle - centre) ** 2], axis=1)
    fit, *_ = np.linalg.lstsq(powers, targets)
    errors = (targets - powers @ fit).std(axis=0) / np.sqrt(samples)
    first, second = cosine_moments(law, n, 4) @ fit
    sd = np.sqrt(second - first**2)
    return centre + first, errors[0], sd, errors[1] / (2 * sd)


def nodes(law, n):
    """Angles and weights of a quadrature over the density, which has square roots at its ends."""
    top = worst_binary_angle(n)
    x, p = np.polynomial.legendre.leggauss(300)
    sine, slope = np.sin(np.pi / 2 * x), np.pi / 2 * np.cos(np.pi / 2 * x) * p
    middle = min(KINK, top)
    theta = np.concatenate(
        [middle / 2 * (1 + sine), (top + middle) / 2 + (top - middle) / 2 * sine]
    )
    weight = np.concatenate([middle / 2 * slope, (top - middle) / 2 * slope])
    return theta, weight * binarized_angle_density(theta, law, n)


def test_the_worst_direction_is_an_axis():
    for n in (1, 2, 10, 1000):
        axis = float(angles.nearest_binary_angle(np.eye(n)[0]))
        assert worst_binary_angle(n) == pytest.approx(axis)
        assert worst_binary_angle(n) >= mean_angle(GAUSSIAN, n)


def test_spread_falls_with_the_root_of_n():
    for law, rate in ((UNIFORM, 18.1185), (GAUSSIAN, 20.1784)):
        assert angle_sd_rate(law) == pytest.approx(rate, abs=1e-4)
        for n in (1000, 10**4, 10**5, 10**7):
            scaled = angle_sd(law, n) * np.sqrt(n)
            assert scaled == pytest.approx(rate, rel=1 / n + 3e-6 * rate)
    assert angle_sd_rate(SIGNS) == 0


@pytest.mark.parametrize("n", [2, 3])
def test_uniform_angle_in_low_dimension_equals_independent_quadrature(n):
    # w divided by its largest entry has the other entries uniform on [0, 1]
    def on_face(*rest, k):
        w = np.array([1.0, *rest])
        return np.degrees(np.arccos(min(w.sum() / np.sqrt(n * (w @ w)), 1.0))) ** k

    first, second = (
        integrate.nquad(
            lambda *w, k=k: on_face(*w, k=k), [(0, 1)] * (n - 1), opts={"epsrel": 1e-9}
        )[0]
        for k in (1, 2)
    )
    assert mean_angle(UNIFORM, n) == pytest.approx(first, abs=1e-6)
    assert angle_sd(UNIFORM, n) == pytest.approx(np.sqrt(second - first**2), abs=1e-6)


def test_gaussian_angle_in_the_plane_is_uniform():
    assert mean_angle(GAUSSIAN, 2) == pytest.approx(22.5, abs=1e-10)
    assert angle_sd(GAUSSIAN, 2) == pytest.approx(45 / np.sqrt(12), abs=1e-10)


@pytest.mark.parametrize(
    "law", [UNIFORM, GAUSSIAN, LAPLACE, student_t(5), SPARSE], ids=lambda law: law.name
)
def test_mean_and_spread_within_a_hundredth_and_a_thousandth(law):
    for n in (3, 4, 30, 31, 100):
        mean, mean_error, sd, sd_error = simulated_angle(law, n)
        assert mean_error < 0.005
        assert sd_error < 0.002 * sd
        slack = 5 if law is SPARSE and n == 3 else 1  # one vector in five lies on an axis
        assert abs(mean_angle(law, n) - mean) < slack * 0.01 + SIGMAS * mean_error
        assert abs(angle_sd(law, n) / sd - 1) < slack * 0.001 + SIGMAS * sd_error / sd


@pytest.mark.parametrize("n", [4, 27])
def test_mean_and_spread_of_the_gaussian_angle_follow_from_its_tail(n):
    theta = np.linspace(0, worst_binary_angle(n), 4001)
    tail = np.exp(binarized_angle_logsf(theta, n))
    mean = np.trapezoid(tail, theta)
    sd = np.sqrt(2 * np.trapezoid(theta * tail, theta) - mean**2)
    assert mean_angle(GAUSSIAN, n) == pytest.approx(mean, abs=0.001)
    assert angle_sd(GAUSSIAN, n) == pytest.approx(sd, rel=2e-4)


def test_nearly_equal_magnitudes_give_a_small_angle():
    law = empirical([1.0, 1.0 + 1e-9])
    assert mean_angle(law, 100) < 1e-5
    assert angle_sd(law, 100) < 1e-5


# --- density and tail ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("law", "dimensions"),
    [(UNIFORM, (2, 3)), (LAPLACE, (2,)), (GAUSSIAN, (2, 3, 4, 10, 27, 60))],
    ids=["uniform", "Laplace", "Gaussian"],
)
def test_exact_density_integrates_to_one_with_the_moments_of_the_cosine(law, dimensions):
    for n in dimensions:
        theta, weight = nodes(law, n)
        values = [weight @ np.cos(np.radians(theta)) ** k for k in range(3)]
        expected = [1.0, mean_cosine(law, n), mean_square_cosine(law, n)]
        np.testing.assert_allclose(values, expected, atol=1e-6)
        outside = binarized_angle_density([-1.0, worst_binary_angle(n) + 1e-6], law, n)
        np.testing.assert_array_equal(outside, [0, 0])


def test_asymptotic_density_is_normal_with_the_mean_and_spread_of_the_angle():
    for law, n in ((UNIFORM, 10), (LAPLACE, 27), (GAUSSIAN, 10**6)):
        mean, sd = mean_angle(law, n), angle_sd(law, n)
        theta = mean + sd * np.linspace(-5, 5, 11)
        values = binarized_angle_density(theta, law, n)
        np.testing.assert_allclose(values, stats.norm.pdf(theta, mean, sd), rtol=1e-12)


@pytest.mark.parametrize(("law", "n"), [(UNIFORM, 2), (LAPLACE, 2), (UNIFORM, 3), (GAUSSIAN, 10)])
def test_simulated_angles_follow_the_exact_density(law, n):
    sample = angles.sample_angles(n, 20_000, law, np.random.default_rng(3)).binarized_angle
    grid = np.linspace(0, worst_binary_angle(n), 4001)
    middle = (grid[1:] + grid[:-1]) / 2
    steps = binarized_angle_density(middle, law, n) * np.diff(grid)
    cdf = np.concatenate([[0.0], np.cumsum(steps)])
    assert stats.kstest(sample, lambda t: np.interp(t, grid, cdf)).pvalue > 1e-4


def test_tail_in_space_is_the_integral_of_the_density():
    theta = np.array([5.0, 20.0, 35.0, 37.0, 50.0, 54.0])
    top = worst_binary_angle(3)
    expected = [
        integrate.quad(
            binarized_angle_density, t, top, args=(GAUSSIAN, 3), points=[KINK], epsabs=1e-12
        )[0]
        for t in theta
    ]
    np.testing.assert_allclose(np.exp(binarized_angle_logsf(theta, 3)), expected, rtol=5e-6)


@pytest.mark.parametrize("n", [4, 27])
def test_tail_is_simulated(n):
    angle = angles.sample_angles(n, 100_000, GAUSSIAN, np.random.default_rng(n)).binarized_angle
    theta = np.array([20.0, 37.0, 45.0, 50.0])
    expected = np.exp(binarized_angle_logsf(theta, n))
    error = np.sqrt(expected * (1 - expected) / len(angle))
    assert np.all(np.abs(np.mean(angle[:, None] > theta, axis=0) - expected) < SIGMAS * error)


def test_tail_at_its_ends():
    for n in (2, 3, 10):
        values = binarized_angle_logsf([-1.0, 0.0, worst_binary_angle(n) + 1e-9], n)
        np.testing.assert_allclose(values, [0.0, 0.0, -np.inf], atol=1e-8)


def test_what_has_no_angle_or_no_density_is_refused():
    with pytest.raises(ValueError, match="always 0"):
        binarized_angle_density(10.0, SIGNS, 5)
    for call in (
        lambda: binarized_angle_density(10.0, UNIFORM, 1),
        lambda: binarized_angle_logsf(10.0, 1),
    ):
        with pytest.raises(ValueError, match="at least 2"):
            call()
    for n in (0, -1):
        for f in (mean_cosine, mean_square_cosine, cosine_sd, mean_angle, angle_sd):
            with pytest.raises(ValueError, match="at least 1"):
                f(GAUSSIAN, n)
        for f in (pair_angle_sd, worst_binary_angle):
            with pytest.raises(ValueError, match="at least 1"):
                f(n)
