"""Almost orthogonal vectors: against whole-number arithmetic, enumeration and simulation."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from scipy import integrate

from bnn_geometry.geometry import hyperdimensional
from bnn_geometry.geometry.pair_angle import binary_pair_law, pair_angle_density

SIGMAS = 4.5  # of a simulation's standard error: a good test fails once in 150,000 seeds


def rng(seed=0):
    return np.random.default_rng(seed)


def binomials(n):
    """The row of Pascal's triangle; math.comb for each of them would take seconds."""
    row = [1]
    for h in range(n):
        row.append(row[-1] * (n - h) // (h + 1))
    return row


def exact_tail(n, beyond):
    """P(H in the set) as a fraction of whole numbers."""
    return Fraction(sum(c for h, c in enumerate(binomials(n)) if beyond(h)), 2**n)


# --- tails -------------------------------------------------------------------------------------


def test_kanervas_tails_are_those_of_whole_numbers():
    for low, high in ((4800, 5200), (4500, 5500), (5000, 5000), (0, 10_000)):
        exact = float(exact_tail(10_000, lambda h, a=low, b=high: not a <= h <= b))
        found = hyperdimensional.hamming_tail(10_000, low, high)
        assert found == pytest.approx(exact, rel=1e-9, abs=0)
    assert hyperdimensional.hamming_sd(10_000) == 50  # his 5000 ± 50 places


def test_the_ends_of_the_range_are_included():
    for low, high in ((2, 5), (1.5, 5.5), (-1, 3), (3, 9), (0, 6), (3, 3)):
        exact = float(exact_tail(7, lambda h, a=low, b=high: h < a or h > b))
        found = hyperdimensional.hamming_tail(7, low, high)
        assert found == pytest.approx(exact, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("n", [1, 2, 7, 10, 30])
def test_the_tail_of_the_cosine_at_and_between_its_values(n):
    attained = np.arange(n % 2, n, 2) / n
    between = np.append(attained[:-1] + 1 / n, 0.999)
    for epsilon in (*attained, *between):
        exact = exact_tail(n, lambda h, e=epsilon: abs(n - 2 * h) > round(n * e, 6))
        assert np.exp(hyperdimensional.log_cosine_tail(n, epsilon)) == pytest.approx(
            float(exact), rel=1e-11
        )


@pytest.mark.parametrize("epsilon", [0.02, 0.1, 0.5, 0.9])
def test_the_tail_holds_where_no_double_does(epsilon):
    n = 10_000
    count = sum(c for h, c in enumerate(binomials(n)) if n - 2 * h > round(n * epsilon))
    exact = math.log(2 * count) - n * math.log(2)
    assert hyperdimensional.log_cosine_tail(n, epsilon) == pytest.approx(exact, rel=1e-11)


def test_the_tail_takes_arrays_and_agrees_with_the_law():
    cosine, probability = binary_pair_law(50)
    epsilon = np.array([0.0, 0.13, 0.37])
    expected = [probability[np.abs(cosine) > e].sum() for e in epsilon]
    np.testing.assert_allclose(
        np.exp(hyperdimensional.log_cosine_tail(50, epsilon)), expected, rtol=1e-9
    )


# --- how many fit ------------------------------------------------------------------------------


@pytest.mark.parametrize("failure", [1.0, 0.5, 1e-6])
def test_the_capacity_is_where_the_union_bound_fails(failure):
    for n, epsilon in ((100, 0.3), (1000, 0.1), (20, 0.0)):
        number = np.exp(hyperdimensional.log_random_capacity(n, epsilon, failure))
        pair = np.exp(hyperdimensional.log_cosine_tail(n, epsilon))
        assert number * (number - 1) / 2 * pair == pytest.approx(failure, rel=1e-8)
        looser = np.exp(hyperdimensional.log_hoeffding_capacity(n, epsilon, failure))
        assert looser * (looser - 1) * np.exp(-n * epsilon**2 / 2) == pytest.approx(
            failure, rel=1e-8
        )
        assert looser < number


def test_the_capacity_grows_as_fast_as_it_is_said_to():
    n = np.array([10_000, 20_000])
    rate = np.diff(hyperdimensional.log_hoeffding_capacity(n, 0.2)) / 10_000
    assert rate == pytest.approx(0.2**2 / 4, rel=1e-9)
    n = np.array([1, 100, 1000])
    assert np.all(
        hyperdimensional.log_hoeffding_capacity(n, 0.2, 0.5) > np.log(0.5) / 2 + n * 0.2**2 / 4
    )
    # numbers beyond any double
    assert hyperdimensional.log_random_capacity(100_000, 0.5) > 800


def test_that_many_random_vectors_do_fit():
    n, epsilon, failure = 100, 0.4, 0.3
    number = int(np.exp(hyperdimensional.log_random_capacity(n, epsilon, failure)))
    assert number > 50
    sets = 400
    failed = np.mean(
        [hyperdimensional.largest_cosines(n, number, g)[-1] > epsilon for g in rng(1).spawn(sets)]
    )
    error = np.sqrt(failure * (1 - failure) / sets)
    assert failed < failure + SIGMAS * error
    # the bound is nearly attained: bad pairs hardly ever come together
    assert failed > 1 - np.exp(-failure) - 8 * failure / number - SIGMAS * error


SIMPLEX = np.eye(5) - 1 / 5  # five vectors in the four dimensions of sum zero, cosines −1/4
GOLDEN = (1 + np.sqrt(5)) / 2
ICOSAHEDRON = np.array([[0, 1, GOLDEN], [0, -1, GOLDEN]])  # and turned: six lines
ICOSAHEDRON = np.concatenate([np.roll(ICOSAHEDRON, i, axis=1) for i in range(3)])


def largest_of(vectors):
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.abs(np.triu(unit @ unit.T, 1)).max()


def test_the_welch_bound_is_attained_where_it_is_known_to_be():
    assert largest_of(SIMPLEX) == pytest.approx(hyperdimensional.welch_bound(5, 4), rel=1e-12)
    for order in (1, 2):
        assert largest_of(ICOSAHEDRON) == pytest.approx(
            hyperdimensional.welch_bound(6, 3, order), rel=1e-12
        )
    for n in range(2, 60):
        assert hyperdimensional.welch_bound(n, n) == 0
    assert np.exp(hyperdimensional.log_welch_capacity(3, 1 / np.sqrt(5))) == pytest.approx(
        6, rel=1e-9
    )
    assert np.exp(hyperdimensional.log_welch_capacity(4, 1 / 4)) == pytest.approx(5, rel=1e-9)
    assert np.exp(hyperdimensional.log_welch_capacity(77, 0)) == pytest.approx(77)


@pytest.mark.parametrize("order", [1, 2, 3, 6])
def test_no_vectors_are_below_the_welch_bound(order):
    for generator in rng(2).spawn(200):
        n = int(generator.integers(2, 6))
        vectors = generator.standard_normal((int(generator.integers(2, 40)), n))
        assert largest_of(vectors) >= hyperdimensional.welch_bound(len(vectors), n, order) - 1e-12


@pytest.mark.parametrize("n", [3, 10])
@pytest.mark.parametrize("order", [1, 2, 5])
def test_its_constant_is_the_mean_power_over_the_sphere(n, order):
    mean, _ = integrate.quad(
        lambda t: np.cos(np.radians(t)) ** (2 * order) * pair_angle_density(t, n), 0, 180
    )
    count = 1e6
    expected = ((count * mean - 1) / (count - 1)) ** (1 / (2 * order))
    assert hyperdimensional.welch_bound(count, n, order) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize(
    ("n", "epsilon"),
    [(2, 0.5), (5, 0.3), (5, 0.9), (40, 0.05), (40, 0.3), (300, 0.7), (5, 0.96), (2, 0.98)],
)
def test_the_upper_bound_is_the_best_of_all_orders(n, epsilon):
    best = math.inf
    for k in range(1, 2000):
        # the mean power as a ratio of gamma functions
        power = math.lgamma(k + 1 / 2) - math.lgamma(1 / 2)
        power += math.lgamma(n / 2) - math.lgamma(n / 2 + k)
        high = 2 * k * math.log(epsilon)
        if power > high:
            bound = math.log1p(-math.exp(high)) - power - math.log1p(-math.exp(high - power))
            best = min(best, bound)
    assert hyperdimensional.log_welch_capacity(n, epsilon) == pytest.approx(best, rel=1e-9)


def test_the_upper_bound_is_above_the_lower_one():
    for n in (10, 100, 1000):
        for epsilon in (0.01, 0.1, 0.3, 0.7):
            assert hyperdimensional.log_welch_capacity(
                n, epsilon
            ) > hyperdimensional.log_random_capacity(n, epsilon, 1.0)


# --- simulation --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "count", "block"), [(5, 30, 7), (64, 21, 7), (64, 20, 512), (1, 2, 1)]
)
def test_the_largest_cosines_are_those_of_all_pairs(n, count, block, monkeypatch):
    monkeypatch.setattr(hyperdimensional, "BLOCK", block)
    found = hyperdimensional.largest_cosines(n, count, rng(3))
    vectors = 2.0 * rng(3).integers(0, 2, (count, n), dtype=np.int8) - 1
    expected = [
        max(abs(u @ v) / n for u, v in itertools.combinations(vectors[:N], 2))
        for N in range(2, count + 1)
    ]
    np.testing.assert_array_equal(found, expected)


def test_the_largest_cosine_follows_its_law():
    n, count, sets = 100, 150, 400
    largest = np.array(
        [hyperdimensional.largest_cosines(n, count, g)[-1] for g in rng(4).spawn(sets)]
    )
    for probability in (0.1, 0.5, 0.9):
        value = hyperdimensional.largest_cosine_quantile(n, count, probability)
        mean = count * (count - 1) / 2 * np.exp(hyperdimensional.log_cosine_tail(n, value))
        law = np.exp(-mean)
        assert law >= probability
        below = count * (count - 1) / 2 * np.exp(hyperdimensional.log_cosine_tail(n, value - 1 / n))
        assert np.exp(-below) < probability  # no smaller value will do
        error = np.sqrt(law * (1 - law) / sets)
        chen_stein = 8 * mean / count * (1 - law)
        assert abs(np.mean(largest <= value + 1e-9) - law) < SIGMAS * error + chen_stein


def test_two_vectors_have_the_median_of_one_pair():
    for n in (9, 10, 51):
        cosine, probability = binary_pair_law(n)
        value = hyperdimensional.largest_cosine_quantile(n, 2, 0.9)
        assert np.any(np.isclose(value, cosine))
        assert np.exp(-probability[np.abs(cosine) > value + 1e-9].sum()) >= 0.9
    assert hyperdimensional.largest_cosine_quantile(7, 2, 0.01) == pytest.approx(1 / 7)
    assert hyperdimensional.largest_cosine_quantile(8, 2, 0.01) == 0


# --- bundles -----------------------------------------------------------------------------------


@pytest.mark.parametrize("members", [1, 3, 5, 7])
def test_a_bundle_agrees_with_its_members_as_often_as_counted(members):
    votes = np.array(list(itertools.product((-1, 1), repeat=members)))
    mean = np.mean(votes[:, 0] * np.sign(votes.sum(axis=1)))
    assert hyperdimensional.bundle_cosine(members) == mean


def test_large_bundles_show_bussgangs_constant():
    m = 10_001
    assert hyperdimensional.bundle_cosine(m) * np.sqrt(m) == pytest.approx(
        np.sqrt(2 / np.pi), rel=1 / m
    )


# --- errors ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "bad", "words"),
    [
        (
            hyperdimensional.hamming_tail,
            [(0, 0, 0)],
            "n must be at least 1, not 0",
        ),
        (hyperdimensional.hamming_tail, [(10, 6, 4), (10, np.nan, 4)], "is empty"),
        (
            hyperdimensional.log_cosine_tail,
            [(10, [0.1, 1.0]), (10, -0.1), (10, np.nan)],
            "at least 0 and below 1",
        ),
        (
            hyperdimensional.log_random_capacity,
            [(10, 0.1, 0.0), (10, 0.1, 1.1)],
            "probability of failure",
        ),
        (hyperdimensional.log_hoeffding_capacity, [(10, 1.0), (0, 0.1)], "n ≥ 1.* below 1"),
        (hyperdimensional.log_welch_capacity, [(1, 0.1)], "n ≥ 2, not 1"),
        (hyperdimensional.log_welch_capacity, [(10, 1.0), (10, np.nan)], "below 1"),
        (hyperdimensional.log_welch_capacity, [(2, 1 - 1e-12)], "too near 1 in 2 dimensions"),
        (hyperdimensional.welch_bound, [(1, 3), (4, 3, 0)], "two vectors, and an order"),
        (
            hyperdimensional.largest_cosines,
            [(10, 1, rng()), (2**24 + 1, 2, rng())],
            "two vectors or more, of at most 2²⁴",
        ),
        (
            hyperdimensional.largest_cosine_quantile,
            [(10, 1), (10, 5, 1.0)],
            "two vectors, and a probability",
        ),
        (hyperdimensional.bundle_cosine, [(4,), (-1,)], "odd number"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(call, bad, words):
    for arguments in bad:
        with pytest.raises(ValueError, match=words):
            call(*arguments)
