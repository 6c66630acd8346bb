"""Scalar quantizers against quadrature, published tables, brute force and simulation."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import integrate, stats

from bnn_geometry.geometry import angles, quantizers
from bnn_geometry.geometry.distributions import (
    GAUSSIAN,
    LAPLACE,
    SIGNS,
    UNIFORM,
    empirical,
    sparse,
    student_t,
)
from bnn_geometry.geometry.pair_angle import pair_angle_cdf
from bnn_geometry.geometry.quantizers import (
    BINARY,
    Quantizer,
    angle_of_mean,
    best_ternary,
    distortion,
    entropy,
    limit_angle,
    limit_cosine,
    lloyd_max,
    rate_distortion_angle,
    sample_cosines,
    ternary,
    zero_fraction,
)

SCIPY = {GAUSSIAN: stats.norm(), UNIFORM: stats.uniform(-1, 2), LAPLACE: stats.laplace()}
LAWS = list(SCIPY)
COUNTS = (2, 3, 4, 5, 8, 16)

each_law = pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)


def by_quadrature(distribution, quantizer):
    """E[w q(w)] and E q(w)², cell by cell from the density."""
    edges = [-np.inf, *quantizer.thresholds, np.inf]
    low, high = distribution.support()
    cross = square = 0.0
    for level, a, b in zip(quantizer.levels, edges[:-1], edges[1:], strict=True):
        a, b = np.clip([a, b], max(low, -60), min(high, 60))
        for c, d in ((a, min(b, 0)), (max(a, 0), b)):  # Laplace has a kink at 0
            if c < d:
                cross += level * integrate.quad(lambda w: w * distribution.pdf(w), c, d)[0]
                square += level**2 * integrate.quad(distribution.pdf, c, d)[0]
    return cross, square


# --- quantizing ---------------------------------------------------------------------------------


def test_every_entry_gets_its_level():
    quantizer = Quantizer((-1.0, 0.0, 2.5), (-3.0, -0.5, 0.25, 7.0))
    x = np.array([[-np.inf, -1.5, -1.0, -0.9], [-0.0, 1e-300, 2.5, 2.6]])  # a threshold is below
    assert quantizer(x).tolist() == [[-3, -3, -3, -0.5], [-0.5, 0.25, 0.25, 7]]
    assert BINARY(np.array([-1.0, -0.0, 0.0, 1e-300])).tolist() == [-1, -1, -1, 1]
    assert quantizer(x.T).tolist() == quantizer(x).T.tolist()


@pytest.mark.parametrize(
    ("thresholds", "levels", "words"),
    [
        ((0.0,), (1.0,), "1 levels need 0 thresholds, not 1"),
        ((1.0, 0.5), (-1.0, 0.0, 1.0), "must increase"),
        ((0.0, 0.0), (-1.0, 0.0, 1.0), "must increase"),
        ((np.nan,), (-1.0, 1.0), "must increase"),
    ],
)
def test_what_is_no_quantizer_is_refused(thresholds, levels, words):
    with pytest.raises(ValueError, match=words):
        Quantizer(thresholds, levels)


def test_ternary_of_zero_is_binary_and_negative_thresholds_are_refused():
    assert ternary(0) is BINARY
    for threshold in (-0.1, np.nan, np.inf):
        with pytest.raises(ValueError, match="at least 0 and finite"):
            ternary(threshold)


# --- the limit ----------------------------------------------------------------------------------


def test_binarization_tends_to_30_and_37_and_45_degrees():
    known = {UNIFORM: 30, GAUSSIAN: np.degrees(np.arccos(np.sqrt(2 / np.pi))), LAPLACE: 45}
    for law, angle in known.items():
        assert limit_angle(law) == pytest.approx(angle, abs=1e-12)
        assert limit_angle(law, BINARY) == limit_angle(law)
        scaled = Quantizer((0.0,), (-0.3, 0.3))  # by its cells, not by its moments
        assert limit_angle(law, scaled) == pytest.approx(angle, abs=1e-12)
    assert limit_angle(SIGNS) == 0
    assert limit_cosine(sparse(0.3)) == pytest.approx(np.sqrt(2 * 0.3 / np.pi), rel=1e-15)
    assert limit_angle(student_t(1.5)) == 90  # no second moment


def test_ternary_closed_forms():
    t = np.array([1e-3, 0.101, 0.612, 1.0, 3.0, 8.0, 20.0])
    expected = 2 * stats.norm.pdf(t) / np.sqrt(2 * stats.norm.sf(t))
    np.testing.assert_allclose(
        [limit_cosine(GAUSSIAN, ternary(s)) for s in t], expected, rtol=1e-12
    )
    t = np.array([0.0, 0.1, 1 / 3, 0.9, 0.999])
    expected = np.sqrt(3) / 2 * (1 + t) * np.sqrt(1 - t)
    np.testing.assert_allclose([limit_cosine(UNIFORM, ternary(s)) for s in t], expected, rtol=1e-12)


@each_law
def test_any_quantizer_is_as_by_quadrature(law):
    variance = SCIPY[law].var()
    for quantizer in (
        Quantizer((-0.7, 0.1, 0.4), (-1.5, -0.2, 0.3, 2.0)),  # not symmetric, not centroids
        Quantizer((0.2, 0.5), (0.0, 1.0, 3.0)),
        Quantizer((-0.6, -0.3), (-2.0, -0.4, 0.1)),
    ):
        cross, square = by_quadrature(SCIPY[law], quantizer)
        cosine = cross / np.sqrt(variance * square)
        assert limit_cosine(law, quantizer) == pytest.approx(cosine, rel=1e-7)
        error = 1 + (square - 2 * cross) / variance
        assert distortion(law, quantizer) == pytest.approx(error, rel=1e-7)


def test_the_authors_threshold():
    assert limit_angle(GAUSSIAN, ternary(0.02 / 0.18)) == pytest.approx(33.843, abs=5e-4)
    # the limit drawn in their plots, 0.5956 radians, belongs to another threshold
    assert limit_angle(GAUSSIAN, ternary(0.10096)) == pytest.approx(np.degrees(0.5956), abs=5e-4)


def test_what_has_no_limit_is_refused():
    with pytest.raises(ValueError, match="quantized to zero"):
        limit_cosine(UNIFORM, ternary(1.0))
    with pytest.raises(ValueError, match="no tails"):
        limit_cosine(empirical([1.0, -2.0]), ternary(1.0))


# --- the best threshold -------------------------------------------------------------------------


def test_best_ternary_thresholds_and_angles():
    for law, threshold, angle, zeros in (
        (GAUSSIAN, 0.612003, 25.8546, 0.459464),
        (UNIFORM, 1 / 3, np.degrees(np.arcsin(1 / 3)), 1 / 3),
        (LAPLACE, 1.0, np.degrees(np.arccos(np.sqrt(2 / np.e))), 1 - 1 / np.e),
    ):
        best = best_ternary(law)
        assert best.levels == (-1, 0, 1)
        assert best.thresholds[1] == pytest.approx(threshold, rel=1e-6)
        assert limit_angle(law, best) == pytest.approx(angle, rel=1e-5)
        assert zero_fraction(law, best) == pytest.approx(zeros, rel=1e-5)


@each_law
def test_no_other_threshold_is_better(law):
    best = best_ternary(law)
    grid = np.linspace(0.01, 1.7, 170) * np.sqrt(law.m2)
    assert max(limit_cosine(law, ternary(t)) for t in grid) <= limit_cosine(law, best)
    # half the mean size of the entries that pass
    t = best.thresholds[1]
    assert law.tail_mean(t) / law.tail(t) / 2 == pytest.approx(t, rel=1e-10)


def test_the_rule_of_ternary_weight_networks():
    """The factors that its authors state for uniform and Gaussian entries."""
    factors = [best_ternary(law).thresholds[1] / law.m1 for law in (UNIFORM, GAUSSIAN, LAPLACE)]
    np.testing.assert_allclose(factors, [2 / 3, 0.75, 1], atol=0.02)


# --- Lloyd–Max ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("k", "thresholds", "outputs", "error"),
    [  # Max (1960), table I
        (2, [0], [0.7980], 0.3634),
        (3, [0.6120], [0, 1.224], 0.1902),
        (4, [0, 0.9816], [0.4528, 1.510], 0.1175),
        (5, [0.3823, 1.244], [0, 0.7646, 1.724], 0.07994),
        (8, [0, 0.5006, 1.050, 1.748], [0.2451, 0.7560, 1.344, 2.152], 0.03454),
    ],
)
def test_gaussian_quantizers_are_the_published_ones(k, thresholds, outputs, error):
    quantizer = lloyd_max(GAUSSIAN, k)
    upper = [t for t in quantizer.thresholds if t > -1e-9]
    assert upper == pytest.approx(thresholds, abs=6e-4)  # four digits, and Max's 0.7980 for 0.7979
    assert [y for y in quantizer.levels if y > -1e-9] == pytest.approx(outputs, abs=6e-4)
    assert distortion(GAUSSIAN, quantizer) == pytest.approx(error, abs=6e-5)


@each_law
def test_levels_are_centroids_and_thresholds_midpoints(law):
    w = law.draw(np.random.default_rng(3), (100_000,))
    for k in COUNTS:
        quantizer = lloyd_max(law, k)
        values = np.array(quantizer.levels)
        assert np.all(np.diff(values) > 0)
        assert values == pytest.approx(-values[::-1], abs=1e-12)
        assert quantizer.thresholds == pytest.approx((values[1:] + values[:-1]) / 2, abs=1e-12)
        # the centroids once more, from draws: E[w | level] is the level
        q = quantizer(w)
        for level in values:
            cell = w[q == level]
            assert abs(cell.mean() - level) < 4.5 * cell.std() / np.sqrt(len(cell))


@each_law
def test_angle_and_distortion_are_one_problem(law):
    for k in COUNTS:
        quantizer = lloyd_max(law, k)
        cosine = limit_cosine(law, quantizer)
        assert cosine**2 == pytest.approx(1 - distortion(law, quantizer), abs=1e-13)
        moved = Quantizer(quantizer.thresholds, tuple(1.1 * y for y in quantizer.levels))
        assert limit_cosine(law, moved) == pytest.approx(cosine)
        assert cosine**2 > 1 - distortion(law, moved) + 1e-6


@each_law
def test_no_other_quantizer_of_as_many_levels_is_better(law):
    generator = np.random.default_rng(0)
    for k in (3, 4, 8):
        best = lloyd_max(law, k)
        cosine = limit_cosine(law, best)
        for size in (1e-3, 0.05):
            for _ in range(20):
                thresholds = np.sort(best.thresholds + size * generator.standard_normal(k - 1))
                values = best.levels + size * generator.standard_normal(k)
                other = Quantizer(tuple(thresholds), tuple(values))
                assert limit_cosine(law, other) < cosine


def test_uniform_entries_are_best_quantized_in_equal_steps():
    for k in COUNTS:
        quantizer = lloyd_max(UNIFORM, k)
        assert quantizer.thresholds == pytest.approx(np.linspace(-1, 1, k + 1)[1:-1], abs=1e-10)
        assert limit_angle(UNIFORM, quantizer) == pytest.approx(np.degrees(np.arcsin(1 / k)))


def test_quantizers_that_there_are_not():
    with pytest.raises(ValueError, match="at least 1 level"):
        lloyd_max(GAUSSIAN, 0)
    with pytest.raises(ArithmeticError, match="not converged"):
        lloyd_max(GAUSSIAN, 16, max_iterations=10)
    with pytest.raises(ValueError, match="quantized to zero"):
        limit_angle(GAUSSIAN, lloyd_max(GAUSSIAN, 1))


def test_a_distribution_with_a_gap_has_no_use_for_a_level_in_it():
    ends = replace(  # |w| uniform on [0.9, 1]
        UNIFORM,
        m1=0.95,
        m2=(1 - 0.9**3) / 0.3,
        tail=lambda t: np.clip((1 - t) / 0.2, 0, 0.5),
        tail_mean=lambda t: (1 - np.clip(t, 0.9, 1) ** 2) / 0.4,
    )
    with pytest.raises(ValueError, match="fewer levels"):
        lloyd_max(ends, 3)
    assert lloyd_max(ends, 2).levels == pytest.approx([-0.95, 0.95])


# --- bits ---------------------------------------------------------------------------------------


def test_the_bound():
    known = {1: 30.0, np.log2(3): 19.47, 2: 14.48, 3: 7.18, 4: 3.58, 0: 90.0}
    assert [rate_distortion_angle(b) for b in known] == pytest.approx([*known.values()], abs=6e-3)
    for bits in (-1, np.nan):
        with pytest.raises(ValueError, match="at least 0"):
            rate_distortion_angle(bits)


@pytest.mark.parametrize("bits", [0.5, 1, 2])
def test_the_bound_is_where_caps_cover_the_sphere(bits):
    """−log₂ of the share of a cap is nR up to O(log n), known from the tail of the beta law."""
    n = 400
    angle = rate_distortion_angle(bits)
    needed = -np.log2(pair_angle_cdf(angle, n))
    cosine = np.cos(np.radians(angle))
    expected = (n - 1) * bits + np.log2(cosine * np.sqrt(2 * np.pi * n))
    assert needed == pytest.approx(expected, abs=0.02)


def test_gaussian_quantizers_approach_the_bound_from_above():
    known = {2: 37.07, 3: 25.85, 4: 20.04, 8: 10.71, 16: 5.59}
    for k, angle in known.items():
        quantizer = lloyd_max(GAUSSIAN, k)
        assert limit_angle(GAUSSIAN, quantizer) == pytest.approx(angle, abs=6e-3)
        bits = entropy(GAUSSIAN, quantizer)
        assert bits <= np.log2(k) + 1e-12
        assert angle > rate_distortion_angle(bits) > rate_distortion_angle(k)


def test_entropy():
    assert entropy(GAUSSIAN, BINARY) == pytest.approx(1)
    assert entropy(UNIFORM, lloyd_max(UNIFORM, 3)) == pytest.approx(np.log2(3))
    p = np.array([0.25, 0.5, 0.25])
    assert entropy(UNIFORM, ternary(0.5)) == pytest.approx(-p @ np.log2(p))
    assert entropy(UNIFORM, ternary(1.0)) == 0  # a level that never occurs


# --- simulation ---------------------------------------------------------------------------------


@each_law
def test_simulated_cosines_are_at_the_limit(law):
    four, off = lloyd_max(law, 4), Quantizer((-0.3, 0.8), (-1.0, 0.2, 1.5))
    for quantizer in (BINARY, ternary(0.5), four, off):
        # so many entries that the bias, of order 1/n, is far below the sampling error
        cosines = sample_cosines(law, quantizer, 5000, 40, np.random.default_rng(3))
        error = cosines.std(ddof=1) / np.sqrt(len(cosines))
        assert abs(cosines.mean() - limit_cosine(law, quantizer)) < 4 * error
        assert error < 2e-3


def test_the_cosine_is_that_of_the_two_vectors():
    draws = []

    def recording(w):  # each vector with a threshold of its own
        draws.append(w.copy())
        return np.where(np.abs(w) > np.abs(w).mean(axis=-1, keepdims=True), np.sign(w), 0.0)

    cosines = sample_cosines(GAUSSIAN, recording, 7, 5, np.random.default_rng(0))
    w = np.concatenate(draws)
    assert np.degrees(np.arccos(cosines)) == pytest.approx(angles.angle(w, recording(w)))


def test_samples_depend_on_the_seed_and_not_on_the_chunks(monkeypatch):
    def draw(law):
        return sample_cosines(law, ternary(0.4), 10, 23, np.random.default_rng(5))

    whole = [draw(law) for law in LAWS]
    monkeypatch.setattr(quantizers, "CHUNK_VALUES", 40)
    np.testing.assert_array_equal([draw(law) for law in LAWS], whole)


def test_impossible_samples_are_refused():
    generator = np.random.default_rng(0)
    for n, samples in ((0, 5), (5, 0)):
        with pytest.raises(ValueError, match="at least 1"):
            sample_cosines(GAUSSIAN, BINARY, n, samples, generator)
    with pytest.raises(ValueError, match="no direction"):
        sample_cosines(GAUSSIAN, ternary(50), 5, 5, generator)


def test_angle_of_the_mean_and_its_error():
    cosines = np.array([0.5, 0.7, 0.6, 0.6])
    error = np.degrees(np.std(cosines, ddof=1) / 2 / 0.8)
    assert angle_of_mean(cosines) == pytest.approx((np.degrees(np.arccos(0.6)), error))
    assert angle_of_mean(np.ones(3)) == (0.0, 0.0)
    with pytest.raises(ValueError, match="at least 2"):
        angle_of_mean(np.ones(1))


def test_the_error_of_the_angle_is_its_spread_over_seeds():
    cosines = sample_cosines(UNIFORM, BINARY, 50, 200 * 50, np.random.default_rng(0))
    found, errors = np.transpose([angle_of_mean(part) for part in np.split(cosines, 200)])
    # relative s.e. of a standard deviation from 200 values: 1/√400
    assert errors.mean() == pytest.approx(found.std(ddof=1), rel=4 / np.sqrt(400))
