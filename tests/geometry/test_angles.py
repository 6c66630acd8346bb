"""Monte Carlo against exact theory, within its own sampling error."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bnn_geometry.geometry import angles
from bnn_geometry.geometry.binarized_angle import angle_sd, mean_angle
from bnn_geometry.geometry.cosine_moments import cosine_moments, cosine_sd, mean_cosine
from bnn_geometry.geometry.distributions import (
    GAUSSIAN,
    LAPLACE,
    SIGNS,
    UNIFORM,
    empirical,
    sparse,
    student_t,
)
from bnn_geometry.geometry.pair_angle import pair_angle_cdf, pair_angle_sd

LAWS = {
    "uniform": UNIFORM,
    "gaussian": GAUSSIAN,
    "laplace": LAPLACE,
    "signs": SIGNS,
    "student": student_t(5),
    "sparse": sparse(0.4),
    "data": empirical([-3.0, -1.0, 0.5, 0.0, 2.5, 1.0]),
}
SAMPLES = 4000
SIGMAS = 4.5  # 7e-6 of all seeds would fail; the seeds are fixed

every_law = pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
both_laws = pytest.mark.parametrize("law", [UNIFORM, GAUSSIAN], ids=["uniform", "gaussian"])


def draw(law, n, *, samples=SAMPLES, seed=7, workers=None):
    return angles.sample_angles(n, samples, law, np.random.default_rng(seed), workers=workers)


# --- angle --------------------------------------------------------------------------------------


def test_angle_by_hand():
    expected = [0, 90, 180, 45, np.degrees(np.arccos(1 / np.sqrt(3)))]
    u = [[2, 0, 0], [1, 0, 0], [1, 0, 0], [3, 3, 0], [1, 1, 1]]
    v = [[5, 0, 0], [0, 0, 9], [-4, 0, 0], [1, 0, 0], [7, 0, 0]]
    np.testing.assert_allclose(angles.angle(u, v), expected, atol=1e-12)


def test_angle_broadcasts_over_all_axes_but_the_last():
    rng = np.random.default_rng(0)
    u, v = rng.standard_normal((4, 1, 6)), rng.standard_normal((3, 6))
    result = angles.angle(u, v)
    assert result.shape == (4, 3)
    by_hand = [
        [np.degrees(np.arccos(a @ b / np.sqrt((a @ a) * (b @ b)))) for b in v] for a in u[:, 0]
    ]
    np.testing.assert_allclose(result, by_hand, atol=1e-9)


def test_parallel_vectors_are_at_0_and_180_degrees():
    v = np.random.default_rng(0).standard_normal((1000, 27))
    np.testing.assert_array_equal(angles.angle(v, v), 0)
    np.testing.assert_array_equal(angles.angle(v, -v), 180)
    np.testing.assert_allclose(angles.angle(v, 3 * v), 0, atol=1e-13)


def test_tiny_angles_keep_their_digits():
    tangent = 2.0 ** -np.arange(1, 400, 7)  # of the angle to an axis
    v = np.stack([np.ones_like(tangent), np.zeros_like(tangent), tangent], axis=1)
    expected = np.degrees(np.arctan(tangent))
    np.testing.assert_allclose(angles.angle([5, 0, 0], v), expected, rtol=1e-14)
    np.testing.assert_allclose(angles.angle([-5, 0, 0], v), 180 - expected, rtol=1e-15)
    # of (1, …, 1) to itself with one entry changed: sin = √(n − 1) e/(√n ‖v‖)
    change = 2.0 ** -np.arange(1, 40)
    v = np.ones((len(change), 100))
    v[:, 0] += change
    sine = np.sqrt(99 / 100) * change / np.linalg.norm(v, axis=1)
    expected = np.degrees(np.arcsin(sine))
    np.testing.assert_allclose(angles.angle(np.ones(100), v), expected, atol=1e-13)


def test_angle_of_half_precision_is_computed_in_double():
    v = np.full(5000, 100.0, dtype=np.float16)  # its squared norm overflows float16
    assert angles.angle(v, v) == 0


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
@pytest.mark.parametrize("first", [True, False])
def test_vector_without_direction_is_refused(bad, first):
    pair = [np.full(3, bad), np.ones((2, 3))]
    with pytest.raises(ValueError, match="no direction"):
        angles.angle(*(pair if first else pair[::-1]))


def test_vectors_of_different_dimension_are_refused():
    for n in (1, 3):
        with pytest.raises(ValueError, match="differ in dimension"):
            angles.angle(np.ones(n), np.ones(4))


@pytest.mark.parametrize("n", [1, 2, 7])
def test_nearest_binary_vector_is_the_nearest_of_all(n):
    v = np.random.default_rng(n).standard_normal((20, n))
    v[0] = np.eye(n)[0]
    corners = 2.0 * (np.arange(2**n)[:, None] >> np.arange(n) & 1) - 1
    every = angles.angle(v[:, None], corners)
    np.testing.assert_allclose(angles.nearest_binary_angle(v), every.min(axis=1), atol=1e-6)


def test_vector_without_entries_or_direction_has_no_nearest():
    for empty in ([], np.ones((3, 0)), 1.0):
        with pytest.raises(ValueError, match="at least one entry"):
            angles.nearest_binary_angle(empty)
    for bad in ([0.0, 0.0], [1.0, np.nan], [1.0, -np.inf]):
        with pytest.raises(ValueError, match="no direction"):
            angles.nearest_binary_angle(bad)


# --- simulation against theory ------------------------------------------------------------------


@every_law
def test_cosines_have_their_exact_moments(law):
    for n in (2, 3, 10, 27, 300):
        sample = draw(law, n)
        exact = cosine_moments(law, n, 4)
        values = sample.binarized[:, None] ** np.arange(1, 5)
        error = values.std(axis=0) / np.sqrt(SAMPLES)
        assert np.all(np.abs(values.mean(axis=0) - exact[1:]) <= SIGMAS * error + 1e-12)
        if law is not LAWS["data"]:  # whose entries have a mean
            assert abs(sample.pairs.mean()) < SIGMAS / np.sqrt(n * SAMPLES)
            squares = sample.pairs**2
            error = squares.std() / np.sqrt(SAMPLES)
            assert abs(squares.mean() - 1 / n) <= SIGMAS * error + 1e-12


@settings(deadline=None, derandomize=True, max_examples=6)
@given(
    n=st.integers(2, 2000),
    law=st.one_of(
        st.sampled_from([UNIFORM, GAUSSIAN, LAPLACE]),
        st.floats(1.2, 30).map(student_t),
        st.floats(0.6, 1).map(sparse),
        st.lists(st.floats(0.1, 10), min_size=3, max_size=9).map(empirical),
    ),
)
def test_simulation_is_within_its_error_of_theory_for_any_law_and_dimension(n, law):
    cosine = draw(law, n, samples=1000).binarized
    error = cosine.std() / np.sqrt(1000)
    assert abs(cosine.mean() - mean_cosine(law, n)) <= 5 * error + 1e-12


@pytest.mark.parametrize("n", [2, 3, 27])
def test_angle_of_a_gaussian_pair_follows_its_law(n):
    sample = draw(GAUSSIAN, n)
    test = stats.kstest(sample.pair_angle, lambda t: pair_angle_cdf(t, n))
    assert test.pvalue > 1e-4


@both_laws
def test_one_dimension_has_two_directions(law):
    sample = draw(law, 1)
    np.testing.assert_array_equal(sample.binarized, 1)
    assert set(np.unique(sample.pairs)) == {-1, 1}
    assert set(np.unique(sample.pair_angle)) == {0, 180}


def test_cosines_are_those_of_the_vectors_drawn():
    (root,) = np.random.SeedSequence(7).spawn(1)
    rows = angles.BLOCK_VALUES // 600  # two full blocks and ten rows
    u, v = [], []
    for child, count in zip(root.spawn(3), (rows, rows, 10), strict=True):
        stream = np.random.Generator(np.random.SFC64(child))
        u.append(2 * stream.random((count, 600)) - 1)
        v.append(2 * stream.random((count, 600)) - 1)
    u, v = np.concatenate(u), np.concatenate(v)
    sample = draw(UNIFORM, 600, samples=len(u))
    np.testing.assert_allclose(sample.pair_angle, angles.angle(u, v), rtol=1e-9)
    np.testing.assert_allclose(sample.binarized_angle, angles.angle(u, np.sign(u)), rtol=1e-9)


def test_long_vectors_are_drawn_in_pieces_and_whole():
    n = 2 * angles.BLOCK_VALUES + 3
    (root,) = np.random.SeedSequence(7).spawn(1)
    stream = np.random.Generator(np.random.SFC64(root.spawn(1)[0]))
    pieces = [stream.standard_normal((2, width)) for width in (n // 2 - 1, n // 2 - 1, 3)]
    u, v = np.concatenate(pieces, axis=1)
    sample = draw(GAUSSIAN, n, samples=1)
    np.testing.assert_allclose(sample.pair_angle, angles.angle(u, v), rtol=1e-12)
    np.testing.assert_allclose(sample.binarized_angle, angles.nearest_binary_angle(u), rtol=1e-12)


def test_ten_million_dimensions_take_a_few_megabytes():
    tracemalloc.start()
    try:
        sample = draw(UNIFORM, 10**7, samples=1)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4e6
    sd = angle_sd(UNIFORM, 10**7)
    assert abs(sample.binarized_angle[0] - mean_angle(UNIFORM, 10**7)) < SIGMAS * sd
    assert abs(sample.pair_angle[0] - 90) < SIGMAS * pair_angle_sd(10**7)


def test_zero_vectors_are_drawn_again():
    law = sparse(0.2)
    sample = draw(law, 2)  # 64 % of the vectors are zero
    assert np.all(np.isfinite(sample.pairs) & (sample.binarized > 0))
    # an axis unless both entries differ from zero: 4 % of 36 %
    expected = 0.04 / 0.36
    on_axis = np.mean(np.isclose(sample.binarized, 0.5**0.5))
    error = np.sqrt(expected * (1 - expected) / SAMPLES)
    assert abs(1 - on_axis - expected) < SIGMAS * error


def test_a_law_of_zero_vectors_is_refused():
    with pytest.raises(ValueError, match="are zero and have no direction"):
        draw(sparse(0.01), 5)


# --- which bits ---------------------------------------------------------------------------------


@pytest.mark.parametrize("law", [LAWS["uniform"], LAWS["sparse"]], ids=lambda law: law.name)
def test_number_of_workers_changes_no_bit(law):
    # blocks of one row's piece, of some rows, of many; three blocks or so each
    for n, samples in ((70_000, 3), (2000, 70), (10, 3 * angles.BLOCK_VALUES // 10 + 7)):
        one, three = (draw(law, n, samples=samples, workers=k) for k in (1, 3))
        np.testing.assert_array_equal(one.binarized, three.binarized)
        np.testing.assert_array_equal(one.pairs, three.pairs)


def test_blocks_are_not_alike():
    rows = angles.BLOCK_VALUES // 10
    sample = draw(GAUSSIAN, 10, samples=2 * rows)
    assert not np.any(sample.pairs[:rows] == sample.pairs[rows:])


def test_fewer_samples_are_the_first_of_more_in_full_blocks():
    rows = angles.BLOCK_VALUES // 10
    few, many = draw(GAUSSIAN, 10, samples=rows), draw(GAUSSIAN, 10, samples=2 * rows)
    np.testing.assert_array_equal(few.pairs, many.pairs[:rows])


@both_laws
def test_same_seed_gives_the_same_bits_and_another_other_ones(law):
    first, again, other = (draw(law, 4, samples=20, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.pairs, again.pairs)
    np.testing.assert_array_equal(first.binarized, again.binarized)
    assert not np.any(first.pairs == other.pairs)


def test_one_generator_gives_new_vectors_at_each_call():
    generator = np.random.default_rng(0)
    first, second = (angles.sample_angles(4, 20, UNIFORM, generator) for _ in range(2))
    assert not np.any(first.pairs == second.pairs)


@pytest.mark.parametrize(("n", "samples"), [(0, 5), (-1, 5), (5, 0), (5, -1)])
def test_nothing_to_draw_is_refused(n, samples):
    with pytest.raises(ValueError, match="at least 1"):
        draw(UNIFORM, n, samples=samples)


def test_no_workers_are_refused():
    with pytest.raises(ValueError, match="at least 1 worker"):
        draw(UNIFORM, 3, workers=0)


# --- summaries ----------------------------------------------------------------------------------


def test_summary_stands_beside_the_sample_and_theory():
    sample = draw(UNIFORM, 10)
    row = angles.summarize(sample)
    root = np.sqrt(SAMPLES)
    assert row == pytest.approx(
        {
            "n": 10,
            "cosine": np.mean(sample.binarized),
            "cosine_se": cosine_sd(UNIFORM, 10) / root,
            "cosine_theory": mean_cosine(UNIFORM, 10),
            "angle": np.mean(sample.binarized_angle),
            "angle_se": angle_sd(UNIFORM, 10) / root,
            "angle_theory": mean_angle(UNIFORM, 10),
            "angle_sd": np.std(sample.binarized_angle),
            "angle_sd_se": row["angle_sd_se"],
            "angle_sd_theory": angle_sd(UNIFORM, 10),
        },
        rel=1e-12,
    )


@pytest.mark.parametrize("law", [UNIFORM, GAUSSIAN], ids=lambda law: law.name)
def test_standard_errors_are_those_of_chance(law):
    """Of few vectors, too: the mean square of (simulation − theory)/error is one."""
    off = []
    for n in (10, 100, 1000):
        whole = draw(law, n, samples=300 * 20)
        for part in np.split(whole.binarized, 300):
            row = angles.summarize(angles.AngleSample(n, law, part, part))
            names = ("cosine", "angle", "angle_sd")
            off.append([(row[q] - row[f"{q}_theory"]) / row[f"{q}_se"] for q in names])
    squares = np.mean(np.square(off), axis=0)
    # a spread of 20 values is lower than that of the law by 1/40 of itself on average
    assert squares == pytest.approx(1, abs=0.15)


def test_sample_of_one_has_no_spread():
    sample = angles.sample_angles(5, 1, UNIFORM, np.random.default_rng(0))
    with pytest.raises(ValueError, match="draw at least 2"):
        angles.summarize(sample)
