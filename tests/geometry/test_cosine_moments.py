"""Moments of the cosine: closed forms, expansions and quadrature over the cube."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, special, stats

from bnn_geometry.geometry.binarized_angle import angle_sd, mean_angle
from bnn_geometry.geometry.cosine_moments import (
    cosine_kurtosis,
    cosine_moments,
    cosine_sd,
    cosine_variance_rate,
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
from bnn_geometry.geometry.quantizers import limit_cosine

STUDENT, SPARSE = student_t(5), sparse(0.3)
LAWS = [UNIFORM, GAUSSIAN, LAPLACE, STUDENT, SPARSE]

every_law = pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)


def test_gaussian_moments_equal_their_closed_forms():
    n = np.array([2, 3, 10, 27, 100])
    mean = np.sqrt(n / np.pi) * special.gamma(n / 2) / special.gamma((n + 1) / 2)
    np.testing.assert_allclose([mean_cosine(GAUSSIAN, k) for k in n], mean, rtol=1e-13)
    square = 2 / np.pi + (1 - 2 / np.pi) / n
    np.testing.assert_allclose([mean_square_cosine(GAUSSIAN, k) for k in n], square, rtol=1e-13)


def test_gaussian_mean_keeps_its_digits_in_high_dimension():
    for n in (10**4, 10**6, 10**7, 10**9):
        expected = np.sqrt(2 / np.pi) * (1 + 1 / (4 * n) + 1 / (32 * n**2))
        assert mean_cosine(GAUSSIAN, n) == pytest.approx(expected, rel=2e-14 + 1 / n**3)


@every_law
def test_mean_approaches_its_limit_like_the_delta_method(law):
    # 1/(20n) for uniform entries
    second = 3 / 8 * (law.m4 / law.m2**2 - 1) - (law.m3 / (law.m1 * law.m2) - 1) / 2
    if law is UNIFORM:
        assert second == pytest.approx(1 / 20)
    power = 1.5 if law is STUDENT else 2  # no sixth moment to speak of
    for n in (10**4, 10**6, 10**7, 10**9):
        expected = limit_cosine(law) * (1 + second / n)
        assert mean_cosine(law, n) == pytest.approx(expected, rel=20 / n**power + 2e-14)


@pytest.mark.parametrize("n", [2, 3])
def test_uniform_moments_equal_independent_quadrature(n):
    # the cosine depends on the direction alone, and w divided by its largest entry has the other
    # entries uniform on [0, 1]
    def on_face(*rest, k):
        w = np.array([1.0, *rest])
        return (w.sum() / np.sqrt(n * (w @ w))) ** k

    expected = [
        integrate.nquad(lambda *w, k=k: on_face(*w, k=k), [(0, 1)] * (n - 1), opts={"epsabs": 1e-9})
        for k in range(4)
    ]
    expected = [value for value, _ in expected]
    np.testing.assert_allclose(cosine_moments(UNIFORM, n, 3), expected, atol=1e-9)


def test_laplace_moments_in_the_plane():
    # the angle from an axis has density 1/(1 + sin 2φ)
    assert mean_cosine(LAPLACE, 2) == pytest.approx(np.log(1 + np.sqrt(2)), rel=1e-13)
    assert mean_square_cosine(LAPLACE, 2) == pytest.approx(np.pi / 4, rel=1e-13)


@pytest.mark.parametrize("n", [2, 5, 20])
def test_a_sparse_vector_is_a_gaussian_one_in_fewer_dimensions(n):
    k = np.arange(1, n + 1)
    probability = stats.binom.pmf(k, n, 0.3) / (1 - 0.7**n)
    fewer = np.array([cosine_moments(GAUSSIAN, i, 2) for i in k])
    scale = np.sqrt(k / n)[:, None] ** np.arange(3)
    expected = probability @ (scale * fewer)
    np.testing.assert_allclose(cosine_moments(SPARSE, n, 2), expected, rtol=1e-12)


@settings(deadline=None, derandomize=True, max_examples=10)
@given(n=st.integers(2, 10**7), df=st.floats(1.1, 50), scale=st.floats(1e-10, 1e10))
def test_moments_of_any_distribution_are_ordered_and_know_no_scale(n, df, scale):
    mean, square, cube = cosine_moments(student_t(df), n, 3)[1:]
    assert n**-0.5 <= mean * (1 + 1e-13)
    assert mean**2 < square * (1 + 1e-13)
    assert square < mean
    assert square**2 <= mean * cube * (1 + 1e-12)
    values = np.array([1.0, 2.0, 7.0])
    scaled, plain = (cosine_moments(empirical(s * values), n, 2) for s in (scale, 1.0))
    np.testing.assert_allclose(scaled, plain, rtol=1e-12)


def test_a_vector_that_is_its_own_binarization_has_angle_zero():
    for law, n in [(law, 1) for law in (*LAWS, SIGNS)] + [(SIGNS, n) for n in (2, 7, 10**6)]:
        assert mean_cosine(law, n) == mean_square_cosine(law, n) == 1
        assert cosine_sd(law, n) == mean_angle(law, n) == angle_sd(law, n) == 0


# --- spread -------------------------------------------------------------------------------------


def test_variance_rate_is_a_fortieth_and_one_minus_three_over_pi():
    assert cosine_variance_rate(UNIFORM) == pytest.approx(1 / 40, rel=1e-12)
    assert cosine_variance_rate(GAUSSIAN) == pytest.approx(1 - 3 / np.pi, rel=1e-12)
    assert cosine_variance_rate(student_t(2.5)) == np.inf


def test_gaussian_spread_follows_its_expansion():
    for n in (100, 3000, 10**4, 10**4 + 1, 10**6, 10**9):
        variance = (1 - 3 / np.pi) / n - 1 / (4 * np.pi * n**2) + 1 / (8 * np.pi * n**3)
        assert cosine_sd(GAUSSIAN, n) ** 2 == pytest.approx(variance, rel=30 / n**3 + 1e-8)


@every_law
def test_spread_is_that_of_the_moments(law):
    for n in (2, 10, 100, 5000):
        variance = mean_square_cosine(law, n) - mean_cosine(law, n) ** 2
        assert cosine_sd(law, n) ** 2 == pytest.approx(variance, rel=1e-9)


@pytest.mark.parametrize("law", [UNIFORM, GAUSSIAN, LAPLACE, SPARSE], ids=lambda law: law.name)
def test_spread_has_its_rate_and_no_step_where_the_method_changes(law):
    rate = cosine_variance_rate(law)
    scaled = [n * cosine_sd(law, n) ** 2 / rate - 1 for n in (10**4, 10**4 + 1, 10**8)]
    assert abs(scaled[0]) < 20e-4
    assert scaled[1] == pytest.approx(scaled[0], abs=2e-3 / 10**4)
    assert abs(scaled[2]) < 1e-6


def test_heavy_tails_are_not_extrapolated():
    law = student_t(3)  # no fourth moment: n Var grows
    n = 10**6
    variance = mean_square_cosine(law, n) - mean_cosine(law, n) ** 2
    assert cosine_sd(law, n) ** 2 == pytest.approx(variance, rel=1e-6)
    assert n * variance > 1.5 * 10**4 * cosine_sd(law, 10**4) ** 2


def test_kurtosis_in_the_plane_and_in_high_dimension():
    # cos(π/4 − φ) with φ uniform on [0, π/4], by quadrature
    c = np.cos(np.pi / 4 * (np.arange(20_000) + 0.5) / 20_000)
    assert cosine_kurtosis(GAUSSIAN, 2) == pytest.approx(stats.kurtosis(c, fisher=False), rel=1e-5)
    for law in (UNIFORM, GAUSSIAN, LAPLACE):
        assert cosine_kurtosis(law, 300) == pytest.approx(3, abs=0.25)
        assert cosine_kurtosis(law, 301) == 3
    assert cosine_kurtosis(SIGNS, 5) == 1
