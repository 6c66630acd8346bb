"""Rotations: orthogonal and of the right law; exact means against quadrature and simulation."""

import numpy as np
import pytest
from scipy import integrate, linalg, stats

from bnn_geometry.geometry import angles, rotation
from bnn_geometry.geometry.cosine_moments import mean_cosine
from bnn_geometry.geometry.distributions import GAUSSIAN


def standard_error(values):
    return np.std(values, ddof=1) / np.sqrt(len(values))


def circle_mean(f):
    """Mean of f(x, y) over directions of two independent standard Gaussians, by quadrature."""
    value, _ = integrate.quad(
        lambda phi: f(np.cos(phi), np.sin(phi)), 0, np.pi, limit=500, points=[np.pi / 2]
    )
    return value / np.pi


# --- cosines ------------------------------------------------------------------------------------


def test_binarization_cosine_is_the_cosine_with_bin():
    x = np.random.default_rng(0).standard_normal((4, 3, 9))
    expected = angles.angle(x, np.where(x > 0, 1.0, -1.0))
    assert np.degrees(np.arccos(angles.binarization_cosine(x))) == pytest.approx(expected)


def test_rounding_makes_no_cosine_larger_than_one():
    for n in range(1, 200):  # norms round, for some n to less than they are
        assert angles.binarization_cosine(np.full(n, 0.3)) <= 1


@pytest.mark.parametrize("x", [np.zeros(3), [1.0, np.nan], [np.inf, 1.0]])
def test_vectors_without_direction_are_refused(x):
    with pytest.raises(ValueError, match="no direction"):
        angles.binarization_cosine(x)


# --- Haar ---------------------------------------------------------------------------------------


def haar(n, generator, count):
    return stats.ortho_group.rvs(n, count, random_state=generator)


@pytest.mark.parametrize("kind", ["axis", "ones"])
def test_after_a_haar_rotation_every_vector_has_the_mean_of_uniform_directions(kind):
    n = 8
    x = {"axis": np.eye(n)[0], "ones": np.ones(n)}[kind]
    q = haar(n, np.random.default_rng(5), 20_000)
    cosines = angles.binarization_cosine(q @ x)
    exact = mean_cosine(GAUSSIAN, n)
    assert abs(cosines.mean() - exact) < 4 * standard_error(cosines)


def test_rotated_back_the_angle_is_the_one_after_the_rotation():
    generator = np.random.default_rng(6)
    w = generator.standard_normal(12) * np.arange(12)
    q = stats.ortho_group.rvs(12, random_state=generator)
    back = q.T @ np.where(q @ w > 0, 1.0, -1.0)
    assert np.cos(np.radians(angles.angle(w, back))) == pytest.approx(
        angles.binarization_cosine(q @ w)
    )


# --- Hadamard -----------------------------------------------------------------------------------


def test_the_fast_transform_is_the_product_with_the_hadamard_matrix():
    for n in (1, 2, 4, 8, 64):
        x = np.random.default_rng(n).standard_normal((3, 2, n))
        expected = x @ linalg.hadamard(n) / np.sqrt(n)
        assert rotation.walsh_hadamard(x) == pytest.approx(expected, abs=1e-13)


def test_the_transform_is_its_own_inverse_and_leaves_its_argument_alone():
    x = np.random.default_rng(0).standard_normal((2, 16))
    before = x.copy()
    assert rotation.walsh_hadamard(rotation.walsh_hadamard(x)) == pytest.approx(x, abs=1e-13)
    assert np.array_equal(x, before)


def test_other_layouts_and_types_are_transformed_alike():
    x = np.arange(12.0).reshape(4, 3).T  # columns are not contiguous
    assert rotation.walsh_hadamard(x) == pytest.approx(rotation.walsh_hadamard(x.copy()))
    assert rotation.walsh_hadamard([3, 1]) == pytest.approx(np.array([4, 2]) / np.sqrt(2))


@pytest.mark.parametrize("n", [0, 3, 12])
def test_other_dimensions_are_refused(n):
    with pytest.raises(ValueError, match="not a power of two: append zeros"):
        rotation.walsh_hadamard(np.ones((2, n)))


def test_next_power_of_two():
    assert [rotation.next_power_of_two(n) for n in (1, 2, 3, 8, 9, 500)] == [1, 2, 4, 8, 16, 512]
    with pytest.raises(ValueError, match="at least 1"):
        rotation.next_power_of_two(0)


def test_randomized_hadamard_keeps_lengths_and_appends_zeros():
    x = np.random.default_rng(0).standard_normal((5, 10))
    y = rotation.randomized_hadamard(x, np.random.default_rng(1))
    assert y.shape == (5, 16)
    assert np.linalg.norm(y, axis=1) == pytest.approx(np.linalg.norm(x, axis=1))


def test_every_vector_has_signs_of_its_own():
    y = rotation.randomized_hadamard(np.ones((64, 8)), np.random.default_rng(1))
    signs = rotation.walsh_hadamard(y)
    assert np.abs(signs) == pytest.approx(1)
    assert abs(signs.mean()) < 4 / np.sqrt(signs.size)
    assert len(np.unique(signs.round(), axis=0)) > 32
    # without them the transform takes flat vectors to an axis
    assert rotation.walsh_hadamard(np.ones(8)) == pytest.approx(np.sqrt(8) * np.eye(8)[0])


def test_an_axis_becomes_binary_and_two_equal_entries_are_at_45_degrees():
    for k, cosine in ((1, 1.0), (2, np.sqrt(0.5))):
        x = np.tile((np.arange(32) < k).astype(float), (10, 1))
        y = rotation.randomized_hadamard(x, np.random.default_rng(k))
        assert angles.binarization_cosine(y) == pytest.approx(cosine)


# --- exact means --------------------------------------------------------------------------------


def test_exponential_scales():
    assert rotation.exponential_scales(4, 0.1) == pytest.approx(np.exp([-0.2, -0.1, 0, 0.1]))
    with pytest.raises(ValueError, match="at least 1"):
        rotation.exponential_scales(0, 0.1)


def test_equal_scales_give_the_mean_of_uniform_directions():
    for n in (1, 2, 10, 1000):
        expected = mean_cosine(GAUSSIAN, n)
        assert rotation.scaled_mean_cosine(np.full(n, 3.0)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("ratio", [1.0, 0.5, 0.1, 1e-3])
def test_two_scales_are_as_by_quadrature_over_the_circle(ratio):
    plain = circle_mean(lambda x, y: (abs(x) + abs(ratio * y)) / np.hypot(x, ratio * y))
    signed = circle_mean(lambda x, y: abs(x + ratio * y) / np.hypot(x, ratio * y))
    scales = [ratio, 1.0]
    assert rotation.scaled_mean_cosine(scales) == pytest.approx(plain / np.sqrt(2), rel=1e-6)
    assert rotation.hadamard_mean_cosine(scales) == pytest.approx(signed, rel=1e-6)


def test_entries_of_scale_zero():
    assert rotation.scaled_mean_cosine([0, 5.0]) == pytest.approx(np.sqrt(0.5))
    padded = [*rotation.exponential_scales(10, 0.1), *np.zeros(6)]
    assert rotation.scaled_mean_cosine(padded) == pytest.approx(
        rotation.scaled_mean_cosine(padded[:10]) * np.sqrt(10 / 16)
    )
    # appended zeros are no disadvantage to the transform
    assert rotation.hadamard_mean_cosine(padded) == pytest.approx(
        rotation.hadamard_mean_cosine(padded[:10])
    )


@pytest.mark.parametrize("mean", [rotation.scaled_mean_cosine, rotation.hadamard_mean_cosine])
def test_the_angle_knows_no_length(mean):
    scales = rotation.exponential_scales(100, 0.1)
    assert mean(scales * 1e-200) == pytest.approx(mean(scales), rel=1e-9)
    assert mean(scales[::-1] * 1e150) == pytest.approx(mean(scales), rel=1e-9)


def test_bad_scales_are_refused():
    for scales in ([], [0.0, 0.0], [1, -1], [1, np.nan], [[1, 1]], [np.inf]):
        for mean in (rotation.scaled_mean_cosine, rotation.hadamard_mean_cosine):
            with pytest.raises(ValueError, match="finite numbers"):
                mean(scales)


@pytest.mark.parametrize("n", [10, 100])
def test_exact_means_are_those_of_simulated_vectors(n):
    generator = np.random.default_rng(n)
    scales = rotation.exponential_scales(n, 0.1)
    x = generator.standard_normal((20_000, n)) * scales
    plain = angles.binarization_cosine(x)
    fast = angles.binarization_cosine(rotation.randomized_hadamard(x, generator))
    assert abs(plain.mean() - rotation.scaled_mean_cosine(scales)) < 4 * standard_error(plain)
    assert abs(fast.mean() - rotation.hadamard_mean_cosine(scales)) < 4 * standard_error(fast)


def test_many_scales_that_count_leave_the_product_of_two_cosines():
    scales = np.linspace(1, 3, 5000)
    product = np.sqrt(2 / np.pi) * angles.binarization_cosine(scales)
    assert rotation.scaled_mean_cosine(scales) == pytest.approx(product, rel=1e-3)


def test_equal_entries_are_as_by_counting_all_signs():
    for k in range(1, 11):
        walks = 2 * (np.arange(2**k)[:, None] >> np.arange(k) & 1) - 1
        counted = np.abs(walks.sum(axis=1)).mean() / np.sqrt(k)
        assert rotation.rademacher_mean_cosine(k) == pytest.approx(counted, rel=1e-12)


def test_two_equal_entries_are_the_worst_and_many_are_gaussian():
    cosines = [rotation.rademacher_mean_cosine(k) for k in range(1, 200)]
    assert np.argmin(cosines) == 1
    assert rotation.rademacher_mean_cosine(10**8) == pytest.approx(np.sqrt(2 / np.pi), rel=1e-7)
    with pytest.raises(ValueError, match="at least 1"):
        rotation.rademacher_mean_cosine(0)


# --- samples ------------------------------------------------------------------------------------


def test_each_rotation_takes_its_share():
    generator = np.random.default_rng(0)
    x = generator.standard_normal((6, 5))
    matrices = haar(5, generator, 3)
    sample = rotation.sample_rotations(x, matrices, np.random.default_rng(1))
    assert (sample.n, sample.haar.shape) == (5, (3, 2))
    assert sample.plain == pytest.approx(angles.binarization_cosine(x))
    for i, vector in enumerate(x):
        cosine = angles.binarization_cosine(matrices[i // 2] @ vector)
        assert sample.haar[i // 2, i % 2] == pytest.approx(cosine)
    transformed = rotation.randomized_hadamard(x, np.random.default_rng(1))
    assert sample.hadamard == pytest.approx(angles.binarization_cosine(transformed))


def test_rotation_helps_uneven_vectors_and_hurts_even_ones():
    generator = np.random.default_rng(3)
    matrices = haar(64, generator, 20)
    limit = np.sqrt(2 / np.pi)
    for x, helps in (
        (np.tile(np.eye(64)[0], (200, 1)), True),
        (generator.standard_normal((200, 64)) * rotation.exponential_scales(64, 0.1), True),
        (generator.uniform(-1, 1, (200, 64)), False),
        (2.0 * generator.integers(0, 2, (200, 64)) - 1, False),
    ):
        sample = rotation.sample_rotations(x, matrices, generator)
        assert (sample.haar.mean() > sample.plain.mean()) == helps
        assert (sample.plain.mean() < limit) == helps


@pytest.mark.parametrize(
    ("x", "matrices", "message"),
    [
        (np.ones((5, 4)), np.stack([np.eye(4)] * 2), "cannot share 5 vectors"),
        (np.ones((0, 4)), np.stack([np.eye(4)] * 2), "cannot share 0 vectors"),
        (np.ones((4, 4)), np.empty((0, 4, 4)), "0 rotations cannot share"),
        (np.ones((4, 3)), np.stack([np.eye(4)] * 2), "do not fit"),
        (np.ones(4), np.stack([np.eye(4)] * 2), "do not fit"),
        (np.ones((4, 4)), np.eye(4), "do not fit"),
    ],
)
def test_rotations_that_do_not_fit_are_refused(x, matrices, message):
    with pytest.raises(ValueError, match=message):
        rotation.sample_rotations(x, matrices, np.random.default_rng(0))
