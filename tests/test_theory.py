"""Closed forms against each other, against independent quadrature and against known numbers."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, special

from bnn_geometry import angles, theory
from bnn_geometry.theory import GAUSSIAN, UNIFORM

LAWS = {"uniform": UNIFORM, "gaussian": GAUSSIAN}
# The same law under another identity: the shortcuts for the Gaussian do not recognize it.
GENERIC_GAUSSIAN = replace(GAUSSIAN, name="Gaussian without a shortcut")

both_laws = pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)


def density(law):
    """Density of |w| and the end of its support."""
    if law is UNIFORM:
        return (lambda w: 1.0), 1.0
    return (lambda w: np.sqrt(2 / np.pi) * np.exp(-(w**2) / 2)), np.inf


def mean_over_entries(law, f):
    weight, end = density(law)
    return integrate.quad(lambda w: f(w) * weight(w), 0, end, epsabs=0, epsrel=1e-11)[0]


def cube_mean(f, n):
    """E f(cos) for uniform entries, n = 2 or 3, without the theory's integral.

    The cosine depends on the direction alone, and w divided by its largest entry has the other
    entries uniform on [0, 1].
    """

    def on_face(*rest):
        w = np.array([1.0, *rest])
        return f(w.sum() / np.sqrt(n * (w @ w)))

    return integrate.nquad(on_face, [(0, 1)] * (n - 1), opts={"epsabs": 1e-11})[0]


def simulated_mean_angle(law, n, samples=100_000):
    """Mean angle and standard error; the exact moments of the cosine take most noise away."""
    sample = angles.sample_angles(n, samples, law, np.random.default_rng(n))
    cosine, angle = sample.binarized, sample.binarized_angle
    exact = [1.0, theory.mean_cosine(law, n), theory.mean_square_cosine(law, n)]
    powers = np.stack([np.ones_like(cosine), cosine, cosine**2], axis=1)
    fit, *_ = np.linalg.lstsq(powers, angle)
    residual = angle - powers @ fit
    return exact @ fit, residual.std() / np.sqrt(samples)


def random_covariance(rng, n):
    root = rng.standard_normal((n, n)) * np.exp(rng.standard_normal(n))
    return root @ root.T


# --- one entry ----------------------------------------------------------------------------------


@both_laws
@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_moments_are_those_of_the_density(law, k):
    moment = mean_over_entries(law, lambda w: w**k)
    assert getattr(law, f"m{k}") == pytest.approx(moment, rel=1e-10)


@both_laws
@pytest.mark.parametrize("t", [0.0, 1e-6, 0.99e-4, 1e-4, 1.01e-4, 0.3, 1.0, 40.0])
def test_laplace_transforms_are_those_of_the_density(law, t):
    expected = [mean_over_entries(law, lambda w, k=k: w**k * np.exp(-t * w * w)) for k in range(3)]
    assert law.laplace(t) == pytest.approx(expected, rel=1e-10)


# --- limits -------------------------------------------------------------------------------------


def test_limit_angles_are_30_and_37_degrees():
    assert theory.limit_angle(UNIFORM) == pytest.approx(30.0, abs=1e-12)
    assert theory.limit_angle(GAUSSIAN) == pytest.approx(37.0714, abs=5e-5)
    assert theory.limit_cosine(1 / np.sqrt(2), 1.0) == pytest.approx(np.cos(np.pi / 4))  # Laplace
    assert theory.limit_cosine(1.0, 1.0) == 1.0


@pytest.mark.parametrize(
    ("m1", "m2"), [(0, 1), (-0.5, 1), (0.5, 0), (1.0, 0.9), (np.nan, 1), (0.5, np.nan)]
)
def test_moments_of_no_law_are_refused(m1, m2):
    with pytest.raises(ValueError, match="moments of no law"):
        theory.limit_cosine(m1, m2)


# --- mean and mean square of the cosine ---------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 3, 10, 27, 1000, 10**6])
@pytest.mark.parametrize("moment", [theory.mean_cosine, theory.mean_square_cosine])
def test_gaussian_closed_form_equals_the_integral_for_any_law(moment, n):
    assert moment(GAUSSIAN, n) == pytest.approx(moment(GENERIC_GAUSSIAN, n), rel=1e-10)


@pytest.mark.parametrize("n", [1, 2, 3, 27])
def test_gaussian_mean_cosine_is_the_ratio_of_gammas(n):
    expected = np.sqrt(n / np.pi) * special.gamma(n / 2) / special.gamma((n + 1) / 2)
    assert theory.mean_cosine(GAUSSIAN, n) == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("n", [10**5, 10**8])
def test_gaussian_mean_cosine_keeps_its_digits_in_high_dimension(n):
    expected = np.sqrt(2 / np.pi) * (1 + 1 / (4 * n) + 1 / (32 * n**2))
    assert theory.mean_cosine(GAUSSIAN, n) == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.parametrize(
    ("moment", "power"), [(theory.mean_cosine, 1), (theory.mean_square_cosine, 2)]
)
def test_uniform_moments_equal_independent_quadrature(moment, power, n):
    assert moment(UNIFORM, n) == pytest.approx(cube_mean(lambda c: c**power, n), abs=1e-9)


def test_uniform_mean_cosine_follows_its_expansion():
    for n in (10**3, 10**4, 10**6):
        expansion = np.sqrt(3) / 2 * (1 + 1 / (20 * n))
        assert theory.mean_cosine(UNIFORM, n) == pytest.approx(expansion, abs=1 / n**2 + 1e-10)


@both_laws
def test_one_dimension_has_cosine_one(law):
    # not a bit above 1, of which arccos is NaN
    assert 1 - 1e-12 < theory.mean_cosine(law, 1) <= 1
    assert theory.mean_square_cosine(law, 1) == 1


@both_laws
@pytest.mark.parametrize("n", [2, 3, 10, 1000, 10**6])
def test_variance_of_the_cosine_is_positive(law, n):
    assert theory.mean_square_cosine(law, n) > theory.mean_cosine(law, n) ** 2


@both_laws
@pytest.mark.parametrize("n", [0, -1])
def test_dimension_below_one_is_refused(law, n):
    for moment in (theory.mean_cosine, theory.mean_square_cosine, theory.angle_sd):
        with pytest.raises(ValueError, match="at least 1"):
            moment(law, n)
    with pytest.raises(ValueError, match="at least 1"):
        theory.pair_cosine_sd(n)


# --- spread and mean of the angle ---------------------------------------------------------------


def test_variance_rate_is_a_fortieth_and_one_minus_three_over_pi():
    assert theory.cosine_variance_rate(UNIFORM) == pytest.approx(1 / 40, rel=1e-12)
    assert theory.cosine_variance_rate(GAUSSIAN) == pytest.approx(1 - 3 / np.pi, rel=1e-12)


@both_laws
@pytest.mark.parametrize("n", [100, 10_000])
def test_variance_rate_is_the_limit_of_the_exact_variance(law, n):
    variance = theory.mean_square_cosine(law, n) - theory.mean_cosine(law, n) ** 2
    assert n * variance == pytest.approx(theory.cosine_variance_rate(law), rel=4 / n + 1e-5)


@pytest.mark.parametrize(("law", "rate"), [(UNIFORM, 18.1), (GAUSSIAN, 20.2)])
@pytest.mark.parametrize("n", [1, 27, 10_000])
def test_angle_spread_falls_with_the_root_of_n(law, rate, n):
    assert theory.angle_sd(law, n) * np.sqrt(n) == pytest.approx(rate, abs=0.05)


def test_mean_angle_is_within_six_tenths_of_a_degree_in_three_dimensions():
    exact = cube_mean(lambda c: np.degrees(np.arccos(min(c, 1.0))), 3)
    assert exact == pytest.approx(24.49, abs=0.005)
    assert abs(theory.mean_angle(UNIFORM, 3) - exact) < 0.6
    simulated, error = simulated_mean_angle(UNIFORM, 3)
    assert abs(simulated - exact) < 4.5 * error  # the yardstick of the next test


@both_laws
@pytest.mark.parametrize("n", [10, 27, 100])
def test_mean_angle_is_within_a_twentieth_of_a_degree_from_ten_dimensions_on(law, n):
    simulated, error = simulated_mean_angle(law, n)
    assert error < 0.002
    assert abs(theory.mean_angle(law, n) - simulated) + 3 * error < 0.05
    # second order: what is missing falls off faster than 1/n
    assert abs(theory.mean_angle(law, n) - simulated) < 5 / n**2 + 4.5 * error


@both_laws
def test_mean_angle_needs_two_dimensions(law):
    with pytest.raises(ValueError, match="n ≥ 2"):
        theory.mean_angle(law, 1)


# --- two random directions ----------------------------------------------------------------------


def over_angles(f, n):
    peak = [90 - 400 / np.sqrt(n), 90, 90 + 400 / np.sqrt(n)] if n > 50 else [90]
    return integrate.quad(
        lambda t: f(t) * theory.pair_angle_density(t, n), 0, 180, points=peak, epsabs=1e-12
    )[0]


@pytest.mark.parametrize("n", [2, 3, 4, 10, 27, 100, 1000, 100_000])
def test_pair_density_integrates_to_one_with_variance_of_cosine_one_over_n(n):
    assert over_angles(lambda t: 1.0, n) == pytest.approx(1, abs=1e-8)
    variance = over_angles(lambda t: np.cos(np.radians(t)) ** 2, n)
    assert variance == pytest.approx(1 / n, rel=1e-7)
    assert np.sqrt(variance) == pytest.approx(theory.pair_cosine_sd(n), rel=1e-7)


def test_pair_density_in_the_plane_is_flat_to_its_ends():
    np.testing.assert_allclose(theory.pair_angle_density([0, 45, 90, 180], 2), 1 / 180)


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


@pytest.mark.parametrize("f", [theory.pair_angle_density, theory.pair_angle_cdf])
def test_no_law_of_directions_on_a_line(f):
    with pytest.raises(ValueError, match="n = 2 on"):
        f(30.0, 1)


# --- correlation from a covariance --------------------------------------------------------------


def test_white_inputs_correlate_by_the_cosine():
    rng = np.random.default_rng(0)
    w, b = rng.standard_normal((2, 5, 30))
    expected = np.cos(np.radians(angles.angle(w, b)))
    np.testing.assert_allclose(theory.predicted_correlation(w, b, np.eye(30)), expected)


def test_predicted_correlation_is_that_of_the_sample_itself():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((200, 6)) @ random_covariance(rng, 6)
    w, b = rng.standard_normal((2, 6))
    expected = np.corrcoef(x @ w, x @ b)[0, 1]
    assert theory.predicted_correlation(w, b, np.cov(x.T)) == pytest.approx(expected, abs=1e-12)


@settings(deadline=None, derandomize=True, max_examples=25)
@given(
    seed=st.integers(0, 1000),
    scales=st.tuples(*[st.floats(1e-90, 1e90)] * 3),
    signs=st.tuples(*[st.sampled_from([-1, 1])] * 2),
)
def test_predicted_correlation_depends_on_directions_alone(seed, scales, signs):
    rng = np.random.default_rng(seed)
    covariance = random_covariance(rng, 4)
    w, b = rng.standard_normal((2, 4))
    r = theory.predicted_correlation(w, b, covariance)
    scaled = theory.predicted_correlation(
        signs[0] * scales[0] * w, signs[1] * scales[1] * b, scales[2] * covariance
    )
    assert abs(r) <= 1 + 1e-12
    assert scaled == pytest.approx(signs[0] * signs[1] * r, abs=1e-12)


def test_filters_on_which_inputs_do_not_vary_are_nan():
    covariance = np.diag([0.0, 1.0])
    w = np.array([[1.0, 0.0], [1.0, 2.0], [0.0, 0.0]])
    r = theory.predicted_correlation(w, np.ones((3, 2)), covariance)
    np.testing.assert_array_equal(r, [np.nan, 1.0, np.nan])


def test_no_covariance_gives_no_correlation():
    assert np.isnan(theory.predicted_correlation([1.0, 0], [1.0, 1], -np.eye(2)))


def test_covariance_of_another_size_is_refused():
    with pytest.raises(ValueError, match="matmul"):
        theory.predicted_correlation(np.ones(3), np.ones(3), np.eye(4))


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


def test_a_sign_vector_is_its_own_binarization():
    assert theory.mean_cosine(theory.SIGNS, 7) == pytest.approx(1, rel=1e-9)
    assert theory.limit_angle(theory.SIGNS) == 0
