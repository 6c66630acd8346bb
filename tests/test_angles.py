"""Monte Carlo against exact theory, within its own sampling error."""

import numpy as np
import pytest
from scipy import stats

from bnn_geometry import angles, theory
from bnn_geometry.theory import GAUSSIAN, UNIFORM

LAWS = {"uniform": UNIFORM, "gaussian": GAUSSIAN}
SAMPLES = 4000
SIGMAS = 4.5  # 7e-6 of all seeds would fail; the seeds are fixed

both_laws = pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)


def draw(law, n, *, samples=SAMPLES, seed=7):
    return angles.sample_angles(n, samples, law, np.random.default_rng(seed))


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


def test_parallel_vectors_give_no_nan():
    v = np.random.default_rng(0).standard_normal((1000, 27))
    np.testing.assert_allclose(angles.angle(v, 3 * v), 0, atol=1e-5)
    np.testing.assert_allclose(angles.angle(v, -v), 180, atol=1e-5)


def test_angle_of_half_precision_is_computed_in_double():
    v = np.full(5000, 100.0, dtype=np.float16)  # its squared norm overflows float16
    assert angles.angle(v, v) == pytest.approx(0, abs=1e-5)


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


# --- simulation against theory ------------------------------------------------------------------


@both_laws
@pytest.mark.parametrize("n", [2, 3, 10, 27, 300])
def test_cosine_to_the_binarization_has_its_exact_moments(law, n):
    cosine = draw(law, n).binarized
    for power, exact in ((1, theory.mean_cosine), (2, theory.mean_square_cosine)):
        values = cosine**power
        error = values.std() / np.sqrt(SAMPLES)
        assert abs(values.mean() - exact(law, n)) < SIGMAS * error


@both_laws
@pytest.mark.parametrize("n", [1, 2, 3, 10, 27, 300])
def test_cosine_of_a_pair_has_mean_zero_and_variance_one_over_n(law, n):
    pairs = draw(law, n).pairs
    assert abs(pairs.mean()) < SIGMAS / np.sqrt(n * SAMPLES)
    squares = pairs**2
    error = squares.std() / np.sqrt(SAMPLES)
    assert abs(squares.mean() - 1 / n) <= SIGMAS * error + 1e-12


@pytest.mark.parametrize("n", [2, 3, 27])
def test_angle_of_a_gaussian_pair_follows_its_law(n):
    sample = draw(GAUSSIAN, n)
    test = stats.kstest(sample.pair_angle, lambda t: theory.pair_angle_cdf(t, n))
    assert test.pvalue > 1e-4


@both_laws
@pytest.mark.parametrize("n", [300, 1000])
def test_spread_of_the_angle_follows_the_delta_method(law, n):
    row = angles.summarize(draw(law, n))
    assert abs(row["angle_sd"] - row["angle_sd_theory"]) < SIGMAS * row["angle_sd_se"]


@both_laws
def test_one_dimension_has_two_directions(law):
    sample = draw(law, 1)
    np.testing.assert_array_equal(sample.binarized, 1)
    assert set(np.unique(sample.pairs)) == {-1, 1}
    assert set(np.unique(sample.pair_angle)) == {0, 180}


def test_cosines_are_those_of_the_vectors_drawn():
    stream_u, stream_v = np.random.default_rng(7).spawn(2)
    u, v = stream_u.uniform(-1, 1, (50, 5)), stream_v.uniform(-1, 1, (50, 5))
    sample = draw(UNIFORM, 5, samples=50)
    np.testing.assert_allclose(sample.pair_angle, angles.angle(u, v), rtol=1e-9)
    np.testing.assert_allclose(sample.binarized_angle, angles.angle(u, np.sign(u)), rtol=1e-9)


# --- which bits ---------------------------------------------------------------------------------


@both_laws
@pytest.mark.parametrize("chunk", [1, 40, 1001])
def test_chunk_size_changes_no_bit(law, chunk, monkeypatch):
    whole = draw(law, 10, samples=130)
    monkeypatch.setattr(angles, "CHUNK_VALUES", chunk)
    parts = draw(law, 10, samples=130)
    np.testing.assert_array_equal(whole.binarized, parts.binarized)
    np.testing.assert_array_equal(whole.pairs, parts.pairs)


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


def test_law_without_sampler_is_refused():
    law = theory.EntryLaw("Cauchy", 1.0, 1.0, 1.0, 1.0, UNIFORM.laplace)
    with pytest.raises(ValueError, match="No sampler for entries that are Cauchy"):
        draw(law, 5)


# --- summaries ----------------------------------------------------------------------------------


def test_summary_stands_beside_the_sample_and_theory():
    sample = draw(UNIFORM, 10)
    row = angles.summarize(sample)
    root = np.sqrt(SAMPLES)
    expected = {
        "n": 10,
        "cosine": np.mean(sample.binarized),
        "cosine_se": np.std(sample.binarized) / root,
        "cosine_exact": theory.mean_cosine(UNIFORM, 10),
        "angle": np.mean(sample.binarized_angle),
        "angle_sd": np.std(sample.binarized_angle),
        "angle_sd_theory": theory.angle_sd(UNIFORM, 10),
        "pair_sd": np.std(sample.pairs),
        "pair_sd_exact": 10**-0.5,
    }
    assert {key: row[key] for key in expected} == pytest.approx(expected, rel=1e-12)


def test_standard_error_of_a_spread_is_the_spread_of_spreads():
    rows = [angles.summarize(draw(UNIFORM, 3, samples=400, seed=seed)) for seed in range(200)]
    for name in ("angle_sd", "pair_sd"):
        claimed = np.mean([row[f"{name}_se"] for row in rows])
        actual = np.std([row[name] for row in rows])
        assert actual == pytest.approx(claimed, rel=SIGMAS / np.sqrt(2 * 200))


def test_sample_of_one_has_no_spread():
    sample = angles.sample_angles(5, 1, theory.UNIFORM, np.random.default_rng(0))
    with pytest.raises(ValueError, match="draw at least 2"):
        angles.summarize(sample)


def test_log_slope_is_the_exponent():
    n = np.array([2, 10, 100, 1e5])
    assert angles.log_slope(n, 3 * n**-0.5) == pytest.approx(-0.5, abs=1e-12)
