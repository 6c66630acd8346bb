"""Scalar quantizers against quadrature, published tables, brute force and simulation."""

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from bnn_geometry.geometry import angles, theory
from bnn_geometry.geometry import distributions as laws
from bnn_geometry.geometry import quantizers as levels
from bnn_geometry.geometry.quantizers import (
    BINARY,
    GAUSSIAN,
    LAPLACE,
    UNIFORM,
    Quantizer,
    lloyd_max,
    ternary,
)
from bnn_geometry.networks import straight_through

LAWS = {"gaussian": GAUSSIAN, "uniform": UNIFORM, "laplace": LAPLACE}
SCIPY = {"gaussian": stats.norm(), "uniform": stats.uniform(-1, 2), "laplace": stats.laplace()}
STUDENT = levels.from_scipy(stats.t(5), "Student t, 5 degrees of freedom")
ARCSINE = levels.from_scipy(stats.arcsine(-1, 2), "arcsine")  # infinite density at ±1

each_law = pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
each_name = pytest.mark.parametrize("name", LAWS)
each_count = pytest.mark.parametrize("k", [2, 3, 4, 5, 8, 16])


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


# --- laws ---------------------------------------------------------------------------------------


@each_name
def test_tails_are_those_of_the_distribution(name):
    law, distribution = LAWS[name], SCIPY[name]
    t = np.array([0.0, 0.2, 0.9, 1.0, 2.5])
    assert law.tail(t) == pytest.approx(distribution.sf(t), rel=1e-12)
    means = [distribution.expect(lambda w: w, lb=s) for s in t[:3]]
    assert law.tail_mean(t)[:3] == pytest.approx(means, rel=1e-8)
    assert law.variance == pytest.approx(distribution.var())
    assert law.mean_abs == pytest.approx(distribution.expect(abs, lb=-np.inf), rel=1e-6)


@each_name
def test_a_law_from_scipy_is_the_one_written_by_hand(name):
    generic = levels.from_scipy(SCIPY[name], name)
    t = np.array([0.0, 0.3, 0.99, 1.5, 6.0])
    assert generic.tail_mean(t) == pytest.approx(LAWS[name].tail_mean(t), rel=1e-11, abs=1e-300)
    assert generic.mean_abs == pytest.approx(LAWS[name].mean_abs, rel=1e-11)


def test_means_of_other_laws():
    assert ARCSINE.mean_abs == pytest.approx(2 / np.pi, rel=1e-11)
    # E|t| for ν degrees of freedom: 2√ν/((ν − 1) B(ν/2, ½))
    assert STUDENT.mean_abs == pytest.approx(0.949016724556, rel=1e-10)
    assert levels.from_scipy(stats.t(2.5), "t").mean_abs == pytest.approx(
        stats.t(2.5).expect(abs, epsrel=1e-9), rel=1e-6
    )


@each_law
def test_the_drawn_entries_follow_the_law(law):
    w = law.draw(np.random.default_rng(1), (400, 500))
    assert w.shape == (400, 500)
    for values, expected in (
        (np.abs(w), law.mean_abs),
        (w**2, law.variance),
        (w > 0.7, float(law.tail(np.array(0.7)))),
    ):
        assert abs(values.mean() - expected) < 4 * values.std() / np.sqrt(w.size)


@pytest.mark.parametrize(
    ("distribution", "message"),
    [
        (stats.expon(), "not symmetric"),
        (stats.norm(0.1), "not symmetric"),
        (stats.cauchy(), "variance"),
        (stats.t(2), "variance"),
    ],
)
def test_other_distributions_are_refused(distribution, message):
    with pytest.raises(ValueError, match=message):
        levels.from_scipy(distribution, "this law")


# --- the limit ----------------------------------------------------------------------------------


def test_two_levels_give_the_limit_of_binarization():
    for law, entries in ((GAUSSIAN, laws.GAUSSIAN), (UNIFORM, laws.UNIFORM)):
        assert levels.limit_angle(law, BINARY) == pytest.approx(theory.limit_angle(entries))
    assert levels.limit_angle(LAPLACE, BINARY) == pytest.approx(45)


@pytest.mark.parametrize("t", [1e-3, 0.101, 0.111, 0.612, 1.0, 3.0, 8.0, 20.0])
def test_ternary_gaussian_closed_form(t):
    expected = 2 * stats.norm.pdf(t) / np.sqrt(2 * stats.norm.sf(t))
    assert levels.limit_cosine(GAUSSIAN, ternary(t)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("t", [0.0, 0.1, 1 / 3, 0.9, 0.999])
def test_ternary_uniform_closed_form(t):
    expected = np.sqrt(3) / 2 * (1 + t) * np.sqrt(1 - t)
    assert levels.limit_cosine(UNIFORM, ternary(t)) == pytest.approx(expected, rel=1e-12)


@each_name
def test_any_quantizer_is_as_by_quadrature(name):
    law, distribution = LAWS[name], SCIPY[name]
    for quantizer in (
        Quantizer((-0.7, 0.1, 0.4), (-1.5, -0.2, 0.3, 2.0)),  # not symmetric, not centroids
        Quantizer((0.2, 0.5), (0.0, 1.0, 3.0)),
        Quantizer((-0.6, -0.3), (-2.0, -0.4, 0.1)),
    ):
        cross, square = by_quadrature(distribution, quantizer)
        cosine = cross / np.sqrt(distribution.var() * square)
        assert levels.limit_cosine(law, quantizer) == pytest.approx(cosine, rel=1e-7)
        error = 1 + (square - 2 * cross) / distribution.var()
        assert levels.distortion(law, quantizer) == pytest.approx(error, rel=1e-7)


def test_the_authors_threshold():
    assert levels.limit_angle(GAUSSIAN, ternary(0.02 / 0.18)) == pytest.approx(33.843, abs=5e-4)
    # the limit drawn in their plots, 0.5956 radians, belongs to another threshold
    assert levels.limit_angle(GAUSSIAN, ternary(0.10096)) == pytest.approx(
        np.degrees(0.5956), abs=5e-4
    )


def test_ternary_of_zero_is_binary_and_negative_thresholds_are_refused():
    assert ternary(0) is BINARY
    for threshold in (-0.1, np.nan, np.inf):
        with pytest.raises(ValueError, match="at least 0 and finite"):
            ternary(threshold)


def test_vectors_without_direction_are_refused():
    with pytest.raises(ValueError, match="quantized to zero"):
        levels.limit_cosine(UNIFORM, ternary(1.0))
    with pytest.raises(ValueError, match="quantized to zero"):
        levels.limit_angle(GAUSSIAN, lloyd_max(GAUSSIAN, 1))


# --- the best threshold -------------------------------------------------------------------------


def test_best_ternary_thresholds_and_angles():
    for law, threshold, angle, zeros in (
        (GAUSSIAN, 0.612003, 25.8546, 0.459464),
        (UNIFORM, 1 / 3, np.degrees(np.arcsin(1 / 3)), 1 / 3),
        (LAPLACE, 1.0, np.degrees(np.arccos(np.sqrt(2 / np.e))), 1 - 1 / np.e),
    ):
        best = levels.best_ternary(law)
        assert best.levels == (-1, 0, 1)
        assert best.thresholds[1] == pytest.approx(threshold, rel=1e-6)
        assert levels.limit_angle(law, best) == pytest.approx(angle, rel=1e-5)
        assert levels.zero_fraction(law, best) == pytest.approx(zeros, rel=1e-5)


@pytest.mark.parametrize("law", [*LAWS.values(), STUDENT], ids=[*LAWS, "student"])
def test_no_other_threshold_is_better(law):
    best = levels.best_ternary(law)
    grid = np.linspace(0.01, 1.7, 170) * np.sqrt(law.variance)
    cosines = [levels.limit_cosine(law, ternary(t)) for t in grid]
    assert max(cosines) <= levels.limit_cosine(law, best)
    # half the mean size of the entries that pass
    t = np.array([best.thresholds[1]])
    assert law.tail_mean(t)[0] / law.tail(t)[0] / 2 == pytest.approx(t[0], rel=1e-10)


def test_the_rule_of_ternary_weight_networks():
    """The factors that its authors state for uniform and Gaussian entries."""
    factor = {n: levels.best_ternary(law).thresholds[1] / law.mean_abs for n, law in LAWS.items()}
    assert factor["uniform"] == pytest.approx(2 / 3)
    assert factor["gaussian"] == pytest.approx(0.75, abs=0.02)
    assert factor["laplace"] == pytest.approx(1)


# --- Lloyd–Max ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("k", "thresholds", "outputs", "error"),
    [  # Max (1960), table I
        (2, [0], [0.7980], 0.3634),
        (3, [0.6120], [0, 1.224], 0.1902),
        (4, [0, 0.9816], [0.4528, 1.510], 0.1175),
        (5, [0.3823, 1.244], [0, 0.7646, 1.724], 0.07994),
        (
            8,
            [0, 0.5006, 1.050, 1.748],
            [0.2451, 0.7560, 1.344, 2.152],
            0.03454,
        ),
    ],
)
def test_gaussian_quantizers_are_the_published_ones(k, thresholds, outputs, error):
    quantizer = lloyd_max(GAUSSIAN, k)
    upper = [t for t in quantizer.thresholds if t > -1e-9]
    assert upper == pytest.approx(thresholds, abs=6e-4)  # four digits, and Max's 0.7980 for 0.7979
    assert [y for y in quantizer.levels if y > -1e-9] == pytest.approx(outputs, abs=6e-4)
    assert levels.distortion(GAUSSIAN, quantizer) == pytest.approx(error, abs=6e-5)


@each_law
@each_count
def test_levels_are_centroids_and_thresholds_midpoints(law, k):
    quantizer = lloyd_max(law, k)
    values = np.array(quantizer.levels)
    assert np.all(np.diff(values) > 0)
    assert values == pytest.approx(-values[::-1], abs=1e-12)
    assert quantizer.thresholds == pytest.approx((values[1:] + values[:-1]) / 2, abs=1e-12)
    # the centroids once more, from draws: E[w | level] is the level
    w = law.draw(np.random.default_rng(k), (100_000,))
    q = quantizer(torch.from_numpy(w)).numpy()
    for level in values:
        cell = w[q == level]
        assert abs(cell.mean() - level) < 4.5 * cell.std() / np.sqrt(len(cell))


@each_law
@each_count
def test_angle_and_distortion_are_one_problem(law, k):
    quantizer = lloyd_max(law, k)
    cosine = levels.limit_cosine(law, quantizer)
    assert cosine**2 == pytest.approx(1 - levels.distortion(law, quantizer), abs=1e-13)
    moved = Quantizer(quantizer.thresholds, tuple(1.1 * y for y in quantizer.levels))
    assert levels.limit_cosine(law, moved) == pytest.approx(cosine)
    assert cosine**2 > 1 - levels.distortion(law, moved) + 1e-6


@each_law
def test_no_other_quantizer_of_as_many_levels_is_better(law):
    generator = np.random.default_rng(0)
    for k in (3, 4, 8):
        best = lloyd_max(law, k)
        cosine = levels.limit_cosine(law, best)
        for size in (1e-3, 0.1):
            for _ in range(20):
                thresholds = np.sort(best.thresholds + size * generator.standard_normal(k - 1))
                values = best.levels + size * generator.standard_normal(k)
                other = Quantizer(tuple(thresholds), tuple(values))
                assert levels.limit_cosine(law, other) < cosine


@each_count
def test_uniform_entries_are_best_quantized_in_equal_steps(k):
    quantizer = lloyd_max(UNIFORM, k)
    assert quantizer.thresholds == pytest.approx(np.linspace(-1, 1, k + 1)[1:-1], abs=1e-10)
    assert levels.limit_angle(UNIFORM, quantizer) == pytest.approx(np.degrees(np.arcsin(1 / k)))


def test_angles_of_gaussian_quantizers():
    table = {2: 37.07, 3: 25.85, 4: 20.04, 8: 10.71, 16: 5.59}
    measured = {k: levels.limit_angle(GAUSSIAN, lloyd_max(GAUSSIAN, k)) for k in table}
    assert measured == pytest.approx(table, abs=6e-3)


def test_bad_numbers_of_levels_are_refused():
    with pytest.raises(ValueError, match="at least 1 level"):
        lloyd_max(GAUSSIAN, 0)
    with pytest.raises(ArithmeticError, match="not converged"):
        lloyd_max(GAUSSIAN, 16, max_iterations=10)


def test_a_law_with_a_gap_has_no_use_for_a_level_in_it():
    ends = levels.EntryDensity(  # |w| uniform on [0.9, 1]
        "near ±1",
        (1 - 0.9**3) / 0.3,
        lambda t: np.clip((1 - t) / 0.2, 0, 0.5),
        lambda t: (1 - np.clip(t, 0.9, 1) ** 2) / 0.4,
        lambda g, shape: g.choice([-1.0, 1.0], shape) * g.uniform(0.9, 1, shape),
    )
    with pytest.raises(ValueError, match="fewer levels"):
        lloyd_max(ends, 3)
    assert lloyd_max(ends, 2).levels == pytest.approx([-0.95, 0.95])


# --- bits ---------------------------------------------------------------------------------------


def test_the_bound():
    angles_at = {1: 30.0, np.log2(3): 19.47, 2: 14.48, 3: 7.18, 4: 3.58, 0: 90.0}
    for bits, angle in angles_at.items():
        assert levels.rate_distortion_angle(bits) == pytest.approx(angle, abs=6e-3)
    for bits in (-1, np.nan):
        with pytest.raises(ValueError, match="at least 0"):
            levels.rate_distortion_angle(bits)


@pytest.mark.parametrize("bits", [0.5, 1, 2])
def test_the_bound_is_where_caps_cover_the_sphere(bits):
    """−log₂ of the share of a cap is nR up to O(log n), known from the tail of the beta law."""
    n = 400
    angle = levels.rate_distortion_angle(bits)
    needed = -np.log2(theory.pair_angle_cdf(angle, n))
    cosine = np.cos(np.radians(angle))
    assert needed == pytest.approx(
        (n - 1) * bits + np.log2(cosine * np.sqrt(2 * np.pi * n)), abs=0.02
    )


@each_count
def test_no_gaussian_quantizer_passes_the_bound(k):
    quantizer = lloyd_max(GAUSSIAN, k)
    angle = levels.limit_angle(GAUSSIAN, quantizer)
    entropy = levels.entropy(GAUSSIAN, quantizer)
    assert entropy <= np.log2(k) + 1e-12
    assert angle > levels.rate_distortion_angle(entropy) > levels.rate_distortion_angle(k)


def test_entropy():
    assert levels.entropy(GAUSSIAN, BINARY) == pytest.approx(1)
    assert levels.entropy(UNIFORM, lloyd_max(UNIFORM, 3)) == pytest.approx(np.log2(3))
    p = np.array([0.25, 0.5, 0.25])
    assert levels.entropy(UNIFORM, ternary(0.5)) == pytest.approx(-p @ np.log2(p))
    assert levels.entropy(UNIFORM, ternary(1.0)) == 0  # a level that never occurs


# --- simulation ---------------------------------------------------------------------------------


@pytest.mark.parametrize("law", [*LAWS.values(), STUDENT], ids=[*LAWS, "student"])
@pytest.mark.parametrize("quantizer", ["binary", "ternary", "four", "off"])
def test_simulated_cosines_are_at_the_limit(law, quantizer):
    chosen = {
        "binary": BINARY,
        "ternary": ternary(0.5),
        "four": lloyd_max(law, 4),
        "off": Quantizer((-0.3, 0.8), (-1.0, 0.2, 1.5)),
    }[quantizer]
    # so many entries that the bias, of order 1/n, is far below the sampling error
    cosines = levels.sample_cosines(law, chosen, 5000, 40, np.random.default_rng(3))
    error = cosines.std(ddof=1) / np.sqrt(len(cosines))
    assert abs(cosines.mean() - levels.limit_cosine(law, chosen)) < 4 * error
    assert error < 2e-3


def test_the_cosine_is_that_of_the_two_vectors():
    draws = []

    def recording(w):
        draws.append(w.clone())
        return straight_through.ternarize(w, straight_through.mean_threshold(w))

    cosines = levels.sample_cosines(GAUSSIAN, recording, 7, 5, np.random.default_rng(0))
    w = torch.cat(draws)
    q = straight_through.ternarize(w, straight_through.mean_threshold(w))
    assert np.degrees(np.arccos(cosines)) == pytest.approx(angles.angle(w.numpy(), q.numpy()))


def test_samples_depend_on_the_seed_and_not_on_the_chunks(monkeypatch):
    def draw(law):
        return levels.sample_cosines(law, ternary(0.4), 10, 23, np.random.default_rng(5))

    whole = {name: draw(law) for name, law in LAWS.items()}
    monkeypatch.setattr(levels, "CHUNK_VALUES", 40)
    for name, law in LAWS.items():
        assert np.array_equal(draw(law), whole[name])


def test_impossible_samples_are_refused():
    generator = np.random.default_rng(0)
    for n, samples in ((0, 5), (5, 0)):
        with pytest.raises(ValueError, match="at least 1"):
            levels.sample_cosines(GAUSSIAN, BINARY, n, samples, generator)
    with pytest.raises(ValueError, match="no direction"):
        levels.sample_cosines(GAUSSIAN, ternary(50), 5, 5, generator)


def test_angle_of_the_mean_and_its_error():
    cosines = np.array([0.5, 0.7, 0.6, 0.6])
    angle, error = levels.angle_of_mean(cosines)
    assert angle == pytest.approx(np.degrees(np.arccos(0.6)))
    assert error == pytest.approx(np.degrees(np.std(cosines, ddof=1) / 2 / 0.8))
    assert levels.angle_of_mean(np.ones(3)) == (0.0, 0.0)
    with pytest.raises(ValueError, match="at least 2"):
        levels.angle_of_mean(np.ones(1))


def test_the_error_of_the_angle_is_its_spread_over_seeds():
    angles_and_errors = np.array(
        [
            levels.angle_of_mean(
                levels.sample_cosines(UNIFORM, BINARY, 50, 50, np.random.default_rng(seed))
            )
            for seed in range(200)
        ]
    )
    spread = angles_and_errors[:, 0].std(ddof=1)
    # relative s.e. of a standard deviation from 200 values: 1/√400
    assert angles_and_errors[:, 1].mean() == pytest.approx(spread, rel=4 / np.sqrt(400))
