"""Closed forms against each other, against independent quadrature and against known numbers."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, optimize, special, stats

from bnn_geometry.geometry import angles, theory
from bnn_geometry.geometry import distributions as laws
from bnn_geometry.geometry.distributions import GAUSSIAN, LAPLACE, SIGNS, UNIFORM

STUDENT = laws.student_t(5)
SPARSE = laws.sparse(0.3)
LAWS = {
    "uniform": UNIFORM,
    "gaussian": GAUSSIAN,
    "laplace": LAPLACE,
    "student": STUDENT,
    "sparse": SPARSE,
}
SIGMAS = 4.5  # 7e-6 of all seeds would fail; the seeds are fixed

every_law = pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
both_laws = pytest.mark.parametrize("law", [UNIFORM, GAUSSIAN], ids=["uniform", "gaussian"])


def density(law):
    """Density of |w| apart from a mass at zero, and the end of its support."""
    return {
        UNIFORM: (lambda w: 1.0, 1.0),
        GAUSSIAN: (lambda w: np.sqrt(2 / np.pi) * np.exp(-(w**2) / 2), np.inf),
        LAPLACE: (lambda w: np.exp(-w), np.inf),
        STUDENT: (lambda w: 16 / (3 * np.pi * np.sqrt(5)) / (1 + w**2 / 5) ** 3, np.inf),
        SPARSE: (lambda w: 0.3 * np.sqrt(2 / np.pi) * np.exp(-(w**2) / 2), np.inf),
    }[law]


def mean_over_entries(law, f):
    weight, end = density(law)
    return integrate.quad(lambda w: f(w) * weight(w), 0, end, epsabs=0, epsrel=1e-11, limit=200)[0]


def cube_mean(f, n):
    """E f(cos) for uniform entries, n = 2 or 3, without the theory's integral.

    The cosine depends on the direction alone, and w divided by its largest entry has the other
    entries uniform on [0, 1].
    """

    def on_face(*rest):
        w = np.array([1.0, *rest])
        return f(w.sum() / np.sqrt(n * (w @ w)))

    return integrate.nquad(on_face, [(0, 1)] * (n - 1), opts={"epsabs": 1e-11})[0]


@cache
def simulated_angle(law, n, samples=60_000):
    """Mean and s.d. of the angle with standard errors; exact moments take most noise away."""
    samples = min(samples, 3_000_000 // n)
    sample = angles.sample_angles(n, samples, law, np.random.default_rng(n))
    cosine, angle = sample.binarized, sample.binarized_angle
    powers = cosine[:, None] ** np.arange(5)
    exact = theory.cosine_moments(law, n, 4)
    centre = angle.mean()
    targets = np.stack([angle - centre, (angle - centre) ** 2], axis=1)
    fit, *_ = np.linalg.lstsq(powers, targets)
    errors = (targets - powers @ fit).std(axis=0) / np.sqrt(samples)
    first, second = exact @ fit
    sd = np.sqrt(second - first**2)
    return centre + first, errors[0], sd, errors[1] / (2 * sd)


# --- one entry ----------------------------------------------------------------------------------


@every_law
@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_moments_are_those_of_the_density(law, k):
    moment = mean_over_entries(law, lambda w: w**k)
    assert getattr(law, f"m{k}") == pytest.approx(moment, rel=1e-9)


@every_law
@pytest.mark.parametrize("t", [1e-6, 1e-4, 0.3, 1.0, 40.0])
def test_laplace_transforms_are_those_of_the_density(law, t):
    log_b, tilted = law.laplace([t], 5)
    expected = [mean_over_entries(law, lambda w, k=k: w**k * np.exp(-t * w * w)) for k in range(6)]
    assert np.exp(log_b[0]) == pytest.approx(expected[0] + law.zero, rel=1e-10)
    np.testing.assert_allclose(tilted[:, 0] * np.exp(log_b), expected[1:], rtol=1e-10)


@every_law
def test_laplace_transform_keeps_its_digits_at_tiny_and_huge_arguments(law):
    # E(1 − exp(−tw²)) = m₂t − m₄t²/2 + …; far out the density at 0 decides
    log_b, tilted = law.laplace([1e-18, 1e24])
    assert log_b[0] == pytest.approx(-1e-18 * law.m2, rel=1e-9)
    np.testing.assert_allclose(tilted[:, 0], [law.m1, law.m2], rtol=1e-9)
    flat = density(law)[0](0.0)
    expected = np.log(law.zero + flat * np.sqrt(np.pi / 1e24) / 2)
    assert log_b[1] == pytest.approx(expected, abs=1e-11)
    assert tilted[0, 1] * np.exp(log_b[1]) == pytest.approx(flat / 2e24, rel=1e-9)


def test_heavy_tails_have_infinite_moments():
    law = laws.student_t(2.5)
    assert (law.m3, law.m4) == (np.inf, np.inf)
    assert law.m2 == pytest.approx(5.0)
    assert theory.cosine_variance_rate(law) == np.inf
    assert theory.limit_angle(laws.student_t(1.5)) == 90


@pytest.mark.parametrize("df", [1.0, 0.5, -2.0, np.inf, np.nan])
def test_student_t_without_a_mean_is_refused(df):
    with pytest.raises(ValueError, match="degrees of freedom"):
        laws.student_t(df)


@pytest.mark.parametrize("p", [0.0, -0.1, 1.1, np.nan])
def test_density_outside_its_range_is_refused(p):
    with pytest.raises(ValueError, match=r"\(0, 1\]"):
        laws.sparse(p)


def test_a_law_of_data_has_the_moments_of_the_data():
    values = np.array([3.0, -4.0, 0.0, 4.0])
    law = laws.empirical(values)
    assert (law.m1, law.m2, law.m3, law.m4) == pytest.approx(
        tuple(np.mean(np.abs(values) ** k) for k in range(1, 5))
    )
    assert law.zero == 0.25
    assert theory.limit_angle(law) == pytest.approx(float(angles.nearest_binary_angle(values)))
    for n in (2, 3):  # every vector of such entries, but for the zero one
        w = np.stack(np.meshgrid(*[values] * n), axis=-1).reshape(-1, n)[:, :]
        w = w[np.any(w != 0, axis=1)]
        cosine = np.cos(np.radians(angles.nearest_binary_angle(w)))
        assert theory.mean_cosine(law, n) == pytest.approx(cosine.mean(), rel=1e-12)
        assert theory.cosine_sd(law, n) == pytest.approx(cosine.std(), rel=1e-9)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "one-dimensional"),
        ([[1.0, 2.0]], "one-dimensional"),
        ([1.0, np.nan], "finite"),
        ([1.0, np.inf], "finite"),
        ([0.0, 0.0], "zero"),
        ([1e-30, 1e-31], "scale"),
    ],
)
def test_data_without_a_law_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        laws.empirical(values)


# --- limits -------------------------------------------------------------------------------------


def test_limit_angles_are_30_and_37_and_45_degrees():
    assert theory.limit_angle(UNIFORM) == pytest.approx(30.0, abs=1e-12)
    assert theory.limit_angle(GAUSSIAN) == pytest.approx(37.0714, abs=5e-5)
    assert theory.limit_angle(LAPLACE) == pytest.approx(45.0, abs=1e-12)
    assert theory.limit_angle(SIGNS) == 0
    sparse = np.degrees(np.arccos(np.sqrt(2 * 0.3 / np.pi)))
    assert theory.limit_angle(SPARSE) == pytest.approx(sparse, abs=1e-12)
    assert theory.limit_cosine(1.0, 1.0) == 1.0


@pytest.mark.parametrize(
    ("m1", "m2"),
    [(0, 1), (-0.5, 1), (0.5, 0), (1.0, 0.9), (np.nan, 1), (0.5, np.nan), (np.inf, np.inf)],
)
def test_moments_of_no_law_are_refused(m1, m2):
    with pytest.raises(ValueError, match="moments of no law"):
        theory.limit_cosine(m1, m2)


@pytest.mark.parametrize("n", [1, 2, 10, 1000])
def test_worst_direction_is_an_axis_and_the_typical_one_a_gaussian(n):
    axis = np.eye(n)[0]
    assert theory.worst_binary_angle(n) == pytest.approx(float(angles.nearest_binary_angle(axis)))
    assert theory.worst_binary_angle(n) >= theory.typical_binary_angle(n)
    assert theory.typical_binary_angle(n) == theory.mean_angle(GAUSSIAN, n)


# --- moments of the cosine ----------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 3, 10, 27, 100])
def test_gaussian_moments_of_the_cosine_equal_their_closed_forms(n):
    mean = np.sqrt(n / np.pi) * special.gamma(n / 2) / special.gamma((n + 1) / 2)
    assert theory.mean_cosine(GAUSSIAN, n) == pytest.approx(mean, rel=1e-13)
    square = 2 / np.pi + (1 - 2 / np.pi) / n
    assert theory.mean_square_cosine(GAUSSIAN, n) == pytest.approx(square, rel=1e-13)


@pytest.mark.parametrize("n", [10**4, 10**6, 10**7, 10**9])
def test_gaussian_mean_cosine_keeps_its_digits_in_high_dimension(n):
    expected = np.sqrt(2 / np.pi) * (1 + 1 / (4 * n) + 1 / (32 * n**2))
    assert theory.mean_cosine(GAUSSIAN, n) == pytest.approx(expected, rel=2e-14 + 1 / n**3)


@every_law
@pytest.mark.parametrize("n", [10**4, 10**6, 10**7, 10**9])
def test_mean_cosine_approaches_its_limit_like_the_delta_method(law, n):
    # 1/(20n) for uniform entries
    second = 3 / 8 * (law.m4 / law.m2**2 - 1) - (law.m3 / (law.m1 * law.m2) - 1) / 2
    if law is UNIFORM:
        assert second == pytest.approx(1 / 20)
    limit = theory.limit_cosine(law.m1, law.m2)
    power = 1.5 if law is STUDENT else 2  # no sixth moment to speak of
    expected = pytest.approx(limit * (1 + second / n), rel=20 / n**power + 2e-14)
    assert theory.mean_cosine(law, n) == expected


@pytest.mark.parametrize("n", [2, 3])
def test_uniform_moments_equal_independent_quadrature(n):
    expected = [cube_mean(lambda c, k=k: c**k, n) for k in range(4)]
    np.testing.assert_allclose(theory.cosine_moments(UNIFORM, n, 3), expected, atol=1e-9)


def test_laplace_moments_in_the_plane():
    # the angle from an axis has density 1/(1 + sin 2φ)
    assert theory.mean_cosine(LAPLACE, 2) == pytest.approx(np.log(1 + np.sqrt(2)), rel=1e-13)
    assert theory.mean_square_cosine(LAPLACE, 2) == pytest.approx(np.pi / 4, rel=1e-13)


@pytest.mark.parametrize("n", [2, 5, 40])
def test_a_sparse_vector_is_a_gaussian_one_in_fewer_dimensions(n):
    k = np.arange(1, n + 1)
    probability = stats.binom.pmf(k, n, 0.3) / (1 - 0.7**n)
    mean = [np.sqrt(i / n) * theory.mean_cosine(GAUSSIAN, i) for i in k]
    assert theory.mean_cosine(SPARSE, n) == pytest.approx(probability @ mean, rel=1e-12)
    square = [i / n * theory.mean_square_cosine(GAUSSIAN, i) for i in k]
    assert theory.mean_square_cosine(SPARSE, n) == pytest.approx(probability @ square, rel=1e-12)


@settings(deadline=None, derandomize=True, max_examples=10)
@given(n=st.integers(2, 10**7), df=st.floats(1.1, 50), scale=st.floats(1e-10, 1e10))
def test_moments_of_any_law_are_ordered_and_know_no_scale(n, df, scale):
    law = laws.student_t(df)
    mean, square, cube = theory.cosine_moments(law, n, 3)[1:]
    assert n**-0.5 <= mean * (1 + 1e-13)
    assert mean**2 < square * (1 + 1e-13)
    assert square < mean
    assert square**2 <= mean * cube * (1 + 1e-12)
    values = np.array([1.0, 2.0, 7.0])
    scaled = theory.cosine_moments(laws.empirical(scale * values), n, 2)
    np.testing.assert_allclose(
        scaled, theory.cosine_moments(laws.empirical(values), n, 2), rtol=1e-12
    )


@pytest.mark.parametrize("law", [*LAWS.values(), SIGNS], ids=[*LAWS, "signs"])
def test_one_dimension_has_angle_zero(law):
    assert theory.mean_cosine(law, 1) == 1
    assert theory.mean_square_cosine(law, 1) == 1
    for f in (theory.cosine_sd, theory.mean_angle, theory.angle_sd):
        assert f(law, 1) == 0


@pytest.mark.parametrize("n", [2, 7, 10**6])
def test_a_sign_vector_is_its_own_binarization(n):
    assert theory.mean_cosine(SIGNS, n) == 1
    for f in (theory.cosine_sd, theory.mean_angle, theory.angle_sd):
        assert f(SIGNS, n) == 0
    assert theory.angle_sd_rate(SIGNS) == 0


@both_laws
@pytest.mark.parametrize("n", [0, -1])
def test_dimension_below_one_is_refused(law, n):
    for f in (
        theory.mean_cosine,
        theory.mean_square_cosine,
        theory.cosine_sd,
        theory.mean_angle,
        theory.angle_sd,
    ):
        with pytest.raises(ValueError, match="at least 1"):
            f(law, n)
    for f in (theory.pair_cosine_sd, theory.pair_angle_sd, theory.worst_binary_angle):
        with pytest.raises(ValueError, match="at least 1"):
            f(n)


# --- spread and mean of the angle ---------------------------------------------------------------


def test_variance_rate_is_a_fortieth_and_one_minus_three_over_pi():
    assert theory.cosine_variance_rate(UNIFORM) == pytest.approx(1 / 40, rel=1e-12)
    assert theory.cosine_variance_rate(GAUSSIAN) == pytest.approx(1 - 3 / np.pi, rel=1e-12)


@pytest.mark.parametrize("n", [100, 3000, 10**4, 10**4 + 1, 10**6, 10**9])
def test_gaussian_spread_of_the_cosine_follows_its_expansion(n):
    variance = (1 - 3 / np.pi) / n - 1 / (4 * np.pi * n**2) + 1 / (8 * np.pi * n**3)
    assert theory.cosine_sd(GAUSSIAN, n) ** 2 == pytest.approx(variance, rel=30 / n**3 + 1e-8)


@every_law
@pytest.mark.parametrize("n", [2, 10, 100, 5000])
def test_spread_of_the_cosine_is_that_of_its_moments(law, n):
    variance = theory.mean_square_cosine(law, n) - theory.mean_cosine(law, n) ** 2
    assert theory.cosine_sd(law, n) ** 2 == pytest.approx(variance, rel=1e-9)


@pytest.mark.parametrize("law", [UNIFORM, GAUSSIAN, LAPLACE, SPARSE])
def test_spread_of_the_cosine_has_its_rate_and_no_step_where_the_method_changes(law):
    rate = theory.cosine_variance_rate(law)
    scaled = [n * theory.cosine_sd(law, n) ** 2 / rate - 1 for n in (10**4, 10**4 + 1, 10**8)]
    assert abs(scaled[0]) < 20e-4
    assert scaled[1] == pytest.approx(scaled[0], abs=2e-3 / 10**4)
    assert abs(scaled[2]) < 1e-6


def test_heavy_tails_are_not_extrapolated():
    law = laws.student_t(3)  # no fourth moment: n Var grows
    n = 10**6
    variance = theory.mean_square_cosine(law, n) - theory.mean_cosine(law, n) ** 2
    assert theory.cosine_sd(law, n) ** 2 == pytest.approx(variance, rel=1e-6)
    assert n * variance > 1.5 * 10**4 * theory.cosine_sd(law, 10**4) ** 2


@both_laws
@pytest.mark.parametrize("n", [1000, 10**4, 10**5, 10**7])
def test_angle_spread_falls_with_the_root_of_n(law, n):
    rate = {UNIFORM: 18.1185, GAUSSIAN: 20.1784}[law]
    assert theory.angle_sd_rate(law) == pytest.approx(rate, abs=1e-4)
    assert theory.angle_sd(law, n) * np.sqrt(n) == pytest.approx(rate, rel=1 / n + 3e-6 * rate)


@pytest.mark.parametrize("n", [2, 3])
def test_uniform_angle_in_low_dimension_equals_independent_quadrature(n):
    first, second = (
        cube_mean(lambda c, k=k: np.degrees(np.arccos(min(c, 1.0))) ** k, n) for k in (1, 2)
    )
    assert theory.mean_angle(UNIFORM, n) == pytest.approx(first, abs=1e-6)
    assert theory.angle_sd(UNIFORM, n) == pytest.approx(np.sqrt(second - first**2), abs=1e-6)


def test_gaussian_angle_in_the_plane_is_uniform():
    assert theory.mean_angle(GAUSSIAN, 2) == pytest.approx(22.5, abs=1e-10)
    assert theory.angle_sd(GAUSSIAN, 2) == pytest.approx(45 / np.sqrt(12), abs=1e-10)


@every_law
@pytest.mark.parametrize("n", [3, 4, 7, 30, 31, 200])
def test_mean_and_spread_of_the_angle_within_a_hundredth_and_a_thousandth(law, n):
    mean, mean_error, sd, sd_error = simulated_angle(law, n)
    assert mean_error < 0.005
    assert sd_error < 0.002 * sd
    slack = 5 if law is SPARSE and n == 3 else 1  # one vector in five lies on an axis
    assert abs(theory.mean_angle(law, n) - mean) < slack * 0.01 + SIGMAS * mean_error
    assert abs(theory.angle_sd(law, n) / sd - 1) < slack * 0.001 + SIGMAS * sd_error / sd


@pytest.mark.parametrize("n", [4, 10, 27, 100])
def test_mean_and_spread_of_the_gaussian_angle_follow_from_its_tail(n):
    theta = np.linspace(0, theory.worst_binary_angle(n), 20_001)
    tail = np.exp(theory.binarized_angle_logsf(theta, n))
    mean = np.trapezoid(tail, theta)
    sd = np.sqrt(2 * np.trapezoid(theta * tail, theta) - mean**2)
    assert theory.mean_angle(GAUSSIAN, n) == pytest.approx(mean, abs=0.001)
    assert theory.angle_sd(GAUSSIAN, n) == pytest.approx(sd, rel=2e-4)


def test_nearly_equal_magnitudes_give_a_small_angle():
    law = laws.empirical([1.0, 1.0 + 1e-9])
    assert theory.mean_angle(law, 100) < 1e-5
    assert theory.angle_sd(law, 100) < 1e-5


# --- density of the angle between w and bin(w) --------------------------------------------------


def over_binarized(f, law, n):
    top = theory.worst_binary_angle(n)
    kink = np.degrees(np.arctan(np.sqrt(0.5)))  # of the density for n = 3
    x, p = np.polynomial.legendre.leggauss(300)
    total = 0.0
    for low, high in ((0.0, min(kink, top)), (min(kink, top), top)):
        # sin: a square root at an end does no harm
        theta = (low + high) / 2 + (high - low) / 2 * np.sin(np.pi / 2 * x)
        weight = (high - low) / 2 * np.pi / 2 * np.cos(np.pi / 2 * x) * p
        total += weight @ (f(np.radians(theta)) * theory.binarized_angle_density(theta, law, n))
    return total


@pytest.mark.parametrize(
    ("law", "n"),
    [(UNIFORM, 2), (GAUSSIAN, 2), (LAPLACE, 2), (UNIFORM, 3)]
    + [(GAUSSIAN, n) for n in (3, 4, 10, 27, 60)],
)
def test_exact_density_integrates_to_one_with_the_moments_of_the_cosine(law, n):
    expected = [1.0, theory.mean_cosine(law, n), theory.mean_square_cosine(law, n)]
    values = [over_binarized(lambda t, k=k: np.cos(t) ** k, law, n) for k in range(3)]
    np.testing.assert_allclose(values, expected, atol=1e-6)


@pytest.mark.parametrize(("law", "n"), [(UNIFORM, 10), (LAPLACE, 27), (GAUSSIAN, 10**6)])
def test_asymptotic_density_is_normal_with_the_mean_and_spread_of_the_angle(law, n):
    mean, sd = theory.mean_angle(law, n), theory.angle_sd(law, n)
    theta = mean + sd * np.linspace(-9, 9, 2001)
    values = theory.binarized_angle_density(theta, law, n)
    assert np.trapezoid(values, theta) == pytest.approx(1, abs=1e-9)
    assert np.trapezoid(values * theta, theta) == pytest.approx(mean, rel=1e-9)
    assert np.trapezoid(values * (theta - mean) ** 2, theta) == pytest.approx(sd**2, rel=1e-9)


@pytest.mark.parametrize(("law", "n"), [(UNIFORM, 2), (LAPLACE, 2), (UNIFORM, 3), (GAUSSIAN, 10)])
def test_simulated_angles_follow_the_exact_density(law, n):
    sample = angles.sample_angles(n, 20_000, law, np.random.default_rng(3)).binarized_angle
    grid = np.linspace(0, theory.worst_binary_angle(n), 4001)
    middle = (grid[1:] + grid[:-1]) / 2
    steps = theory.binarized_angle_density(middle, law, n) * np.diff(grid)
    cdf = np.concatenate([[0.0], np.cumsum(steps)])
    assert stats.kstest(sample, lambda t: np.interp(t, grid, cdf)).pvalue > 1e-4


def test_density_outside_the_range_of_the_angle_is_zero():
    for law, n in ((UNIFORM, 2), (UNIFORM, 3), (GAUSSIAN, 3), (GAUSSIAN, 10)):
        top = theory.worst_binary_angle(n)
        np.testing.assert_array_equal(
            theory.binarized_angle_density([-1.0, top + 1e-6], law, n), [0, 0]
        )


def test_an_angle_that_is_always_zero_has_no_density():
    with pytest.raises(ValueError, match="always 0"):
        theory.binarized_angle_density(10.0, SIGNS, 5)
    with pytest.raises(ValueError, match="at least 2"):
        theory.binarized_angle_density(10.0, UNIFORM, 1)


# --- two random directions ----------------------------------------------------------------------


def over_angles(f, n, law=GAUSSIAN):
    width = min(90.0, 1000 / np.sqrt(n))
    return integrate.quad(
        lambda t: f(t) * theory.pair_angle_density(t, n, law),
        90 - width,
        90 + width,
        points=[90],
        epsabs=0,
        epsrel=1e-11,
        limit=200,
    )[0]


@pytest.mark.parametrize("n", [2, 3, 4, 10, 27, 199, 200, 1000, 100_000, 10**6])
def test_pair_density_integrates_to_one_with_its_variances(n):
    assert over_angles(lambda t: 1.0, n) == pytest.approx(1, abs=1e-10)
    variance = over_angles(lambda t: np.cos(np.radians(t)) ** 2, n)
    assert variance == pytest.approx(1 / n, rel=1e-9)
    assert np.sqrt(variance) == pytest.approx(theory.pair_cosine_sd(n), rel=1e-9)
    spread = np.sqrt(over_angles(lambda t: (t - 90) ** 2, n))
    assert theory.pair_angle_sd(n) == pytest.approx(spread, rel=1e-9)


def test_pair_density_in_the_plane_is_flat_to_its_ends():
    np.testing.assert_allclose(theory.pair_angle_density([0, 45, 90, 180], 2), 1 / 180)


def test_pair_angle_spread_in_one_two_and_three_dimensions():
    assert theory.pair_angle_sd(1) == pytest.approx(90)  # 0 or 180°
    assert theory.pair_angle_sd(2) == pytest.approx(180 / np.sqrt(12))
    assert theory.pair_angle_sd(3) == pytest.approx(np.degrees(np.sqrt(np.pi**2 / 4 - 2)))


def test_uniform_pair_density_in_the_plane():
    assert over_angles(lambda t: 1.0, 2, UNIFORM) == pytest.approx(1, abs=1e-10)
    variance = over_angles(lambda t: np.cos(np.radians(t)) ** 2, 2, UNIFORM)
    assert variance == pytest.approx(1 / 2, rel=1e-10)
    spread = np.sqrt(over_angles(lambda t: (t - 90) ** 2, 2, UNIFORM))
    assert theory.pair_angle_sd(2, UNIFORM) == pytest.approx(spread, rel=1e-10)
    sample = angles.sample_angles(2, 20_000, UNIFORM, np.random.default_rng(5)).pair_angle
    grid = np.linspace(0, 180, 1001)
    density = theory.pair_angle_density(grid, 2, UNIFORM)
    cdf = integrate.cumulative_simpson(density, x=grid, initial=0)
    assert stats.kstest(sample, lambda t: np.interp(t, grid, cdf)).pvalue > 1e-4


@pytest.mark.parametrize("n", [10**6, 10**9])
def test_pair_density_near_the_right_angle_keeps_its_digits(n):
    # the sine is rounded to 1 there: n log sin would be off by 1e-7 at n = 10⁹
    x = 2 / np.sqrt(n)
    ratio = theory.pair_angle_density(90 - np.degrees(x), n) / theory.pair_angle_density(90, n)
    log_sine = -(x**2) / 2 - x**4 / 12
    assert np.log(ratio) == pytest.approx((n - 2) * log_sine, rel=1e-10)


@pytest.mark.parametrize("law", [UNIFORM, LAPLACE, STUDENT, SIGNS])
@pytest.mark.parametrize("n", [2, 3, 4, 10, 40])
def test_pair_angle_spread_of_other_laws_is_simulated(law, n):
    sample = angles.sample_angles(n, 100_000, law, np.random.default_rng(n))
    square, cosine = (sample.pair_angle - 90) ** 2, sample.pairs
    # less noise by the cosine's variance, which is known
    slope = np.cov(square, cosine**2)[0, 1] / np.var(cosine**2)
    values = square - slope * (cosine**2 - 1 / n)
    expected = theory.pair_angle_sd(n, law) ** 2
    # theory has 0.3 % of the spread for laws with a density, except for the uniform one
    slack = {UNIFORM: 0.001, LAPLACE: 0.002, STUDENT: 0.004, SIGNS: 0.0}[law] * expected
    error = values.std() / np.sqrt(len(values))
    assert error < 0.002 * expected
    assert abs(values.mean() - expected) < SIGMAS * error + slack + 1e-9


@pytest.mark.parametrize("n", [2, 3, 10, 27, 100])
@pytest.mark.parametrize("theta", [20.0, 60.0, 90.0, 90.5, 120.0, 180.0])
def test_pair_cdf_is_the_integral_of_the_density(n, theta):
    integral, _ = integrate.quad(theory.pair_angle_density, 0, theta, args=(n,), epsabs=1e-12)
    assert theory.pair_angle_cdf(theta, n) == pytest.approx(integral, abs=1e-9)


def test_pair_cdf_in_space_is_that_of_a_cap():
    theta = np.linspace(0, 180, 37)
    cap = (1 - np.cos(np.radians(theta))) / 2
    np.testing.assert_allclose(theory.pair_angle_cdf(theta, 3), cap, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    ("n", "below_37", "below_30"),
    [(10, 1.6e-3, 2.8e-4), (27, 1.8e-7, 1.3e-9), (100, 8.6e-24, 7.3e-32)],
)
def test_tail_of_the_pair_angle(n, below_37, below_30):
    for angle, tail in ((theory.limit_angle(GAUSSIAN), below_37), (30.0, below_30)):
        assert theory.pair_angle_cdf(angle, n) == pytest.approx(tail, rel=0.04)


@pytest.mark.parametrize(
    ("n", "theta"),
    [
        (3, 1e-3),
        (100, 0.1),
        (100, 60),
        (1000, 30),
        (10**4, 75),
        (10**6, 30),
        (10**6, 88.5),
        (50, 90),
    ],
)
def test_log_of_the_tail_equals_independent_quadrature(n, theta):
    phi = np.radians(theta)

    def relative(t):
        return (np.sin(t) / np.sin(phi)) ** (n - 2)

    width = 60 / n * max(np.tan(phi), 1 / n) if theta < 89 else phi
    integral, _ = integrate.quad(relative, max(0.0, phi - width), phi, epsabs=0, limit=500)
    gammas = special.gammaln(n / 2) - special.gammaln((n - 1) / 2) - np.log(np.pi) / 2
    expected = gammas + (n - 2) * np.log(np.sin(phi)) + np.log(integral)
    assert theory.pair_angle_logcdf(theta, n) == pytest.approx(expected, rel=1e-9, abs=1e-8)


@pytest.mark.parametrize("n", [200, 2000, 10**6])
def test_log_of_the_tail_has_no_step_where_the_method_changes(n):
    # on either side of 1e-200 the local slope is the same
    switch = -200 * np.log(10)
    theta = optimize.brentq(lambda t: theory.pair_angle_logcdf(t, n) - switch, 1, 89.9)
    grid = theta + np.linspace(-0.5, 0.5, 41) * (90 - theta) / 1000
    values = theory.pair_angle_logcdf(grid, n)
    assert values[0] < switch < values[-1]
    second = np.diff(values, 2)
    np.testing.assert_allclose(second, second.mean(), rtol=0.1)


def test_log_of_the_tail_at_its_ends():
    values = theory.pair_angle_logcdf([0.0, 90.0, 180.0], 10)
    np.testing.assert_allclose(values, [-np.inf, -np.log(2), 0.0], rtol=1e-12)
    # 1 − P(angle < 150°) = P(angle < 30°) is lost in the probability, not in its logarithm
    assert theory.pair_angle_logcdf(150.0, 100) == pytest.approx(
        -theory.pair_angle_cdf(30.0, 100), rel=1e-12, abs=0
    )


@pytest.mark.parametrize(
    "f", [theory.pair_angle_density, theory.pair_angle_cdf, theory.pair_angle_logcdf]
)
def test_no_law_of_directions_on_a_line(f):
    with pytest.raises(ValueError, match="n = 2 on"):
        f(30.0, 1)


# --- how well the two angles are told apart -----------------------------------------------------


def test_tail_of_the_binarized_angle_in_space_is_the_integral_of_its_density():
    theta = np.array([5.0, 20.0, 35.0, 37.0, 50.0, 54.0])
    density = (theory.binarized_angle_density, (GAUSSIAN, 3))
    top = theory.worst_binary_angle(3)
    kink = [np.degrees(np.arctan(np.sqrt(0.5)))]
    expected = [
        integrate.quad(density[0], t, top, args=density[1], points=kink, epsabs=1e-12)[0]
        for t in theta
    ]
    np.testing.assert_allclose(np.exp(theory.binarized_angle_logsf(theta, 3)), expected, rtol=5e-6)


@pytest.mark.parametrize("n", [4, 10, 27])
def test_tail_of_the_binarized_angle_is_simulated(n):
    angle = angles.sample_angles(n, 200_000, GAUSSIAN, np.random.default_rng(n)).binarized_angle
    for theta in (20.0, 37.0, 45.0, 50.0):
        expected = np.exp(theory.binarized_angle_logsf(theta, n))
        error = np.sqrt(expected * (1 - expected) / len(angle))
        assert abs(np.mean(angle > theta) - expected) < SIGMAS * error


def test_tail_of_the_binarized_angle_at_its_ends():
    for n in (2, 3, 10):
        values = theory.binarized_angle_logsf([-1.0, 0.0, theory.worst_binary_angle(n) + 1e-9], n)
        np.testing.assert_allclose(values, [0.0, 0.0, -np.inf], atol=1e-8)
    with pytest.raises(ValueError, match="at least 2"):
        theory.binarized_angle_logsf(10.0, 1)


@pytest.mark.parametrize("n", [2, 3, 10, 27])
def test_overlap_is_the_integral_of_the_smaller_density(n):
    theta = np.linspace(0, 180, 180_001)
    both = (
        theory.binarized_angle_density(theta, GAUSSIAN, n),
        theory.pair_angle_density(theta, n),
    )
    overlap = np.trapezoid(np.minimum(*both), theta)
    assert theory.separation(n).overlap == pytest.approx(overlap, rel=1e-4)
    if n > 2:  # where the densities cross
        threshold = theory.separation(n).threshold
        f, g = (np.interp(threshold, theta, values) for values in both)
        assert f == pytest.approx(g, rel=1e-2)


def test_overlap_in_the_plane_is_a_quarter():
    result = theory.separation(2)
    assert (result.threshold, result.overlap) == pytest.approx((45.0, 0.25))


def test_error_rate_falls_exponentially_and_the_threshold_tends_to_53_degrees():
    # Large deviations: beyond 45° P(angle to bin(w) > φ) falls like (√(2e/π) cos φ)ⁿ, with one
    # large entry and the others exponentially distributed; P(pair angle < φ) like sinⁿφ.
    limit = np.arctan(np.sqrt(2 * np.e / np.pi))
    assert np.degrees(limit) == pytest.approx(52.8, abs=0.05)
    results = [theory.separation(n) for n in (50, 100, 150)]
    thresholds = [r.threshold for r in results]
    assert thresholds == sorted(thresholds)
    assert np.degrees(limit) - 1 < thresholds[-1] < np.degrees(limit)
    rate = (results[2].log_error - results[1].log_error) / 50
    assert rate == pytest.approx(np.log(np.sin(limit)), abs=2 / 100)  # a power of n is left


@pytest.mark.parametrize("error", [0.2, 1e-2, 1e-6])
def test_separation_dimension_is_the_smallest(error):
    n = theory.separation_dimension(error)
    assert theory.separation(n).error < error
    assert n == 2 or theory.separation(n - 1).error >= error


@pytest.mark.parametrize("error", [0.0, -1.0, 0.5, 1.0, np.nan])
def test_error_rates_that_no_threshold_has_are_refused(error):
    with pytest.raises(ValueError, match="between 0 and 1/2"):
        theory.separation_dimension(error)


# --- vectors of signs ---------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 10, 101, 10_000])
def test_the_law_of_two_sign_vectors_has_mean_zero_and_variance_one_over_n(n):
    cosine, probability = theory.binary_pair_law(n)
    assert len(cosine) == n + 1
    assert np.all(np.diff(cosine) > 0)
    assert probability.sum() == pytest.approx(1, abs=1e-10)
    assert probability @ cosine == pytest.approx(0, abs=1e-10)
    assert probability @ cosine**2 == pytest.approx(theory.pair_cosine_sd(n) ** 2, rel=1e-9)


def test_the_law_of_two_sign_vectors_by_counting_all_of_them():
    n = 4
    signs = 2.0 * (np.arange(2**n)[:, None] >> np.arange(n) & 1) - 1
    values, counts = np.unique(signs @ signs.T / n, return_counts=True)
    cosine, probability = theory.binary_pair_law(n)
    np.testing.assert_allclose(values, cosine)
    np.testing.assert_allclose(counts / 4**n, probability)


def test_kanervas_example():
    # 5000 ± 50 places of 10,000
    assert theory.hamming_sd(10_000) == 50
