"""How well bin(w) is told from a random vector: against the densities, and in the limit."""

import numpy as np
import pytest

from bnn_geometry.geometry.angles import sample_angles
from bnn_geometry.geometry.binarized_angle import binarized_angle_density, binarized_angle_logsf
from bnn_geometry.geometry.distributions import GAUSSIAN
from bnn_geometry.geometry.pair_angle import pair_angle_density, pair_angle_logcdf
from bnn_geometry.geometry.separation import closer_bound, closer_probability, separation_at


@pytest.mark.parametrize("n", [2, 3, 10, 27])
def test_overlap_is_the_integral_of_the_smaller_density(n):
    theta = np.linspace(0, 180, 90_001)
    both = binarized_angle_density(theta, GAUSSIAN, n), pair_angle_density(theta, n)
    overlap = np.trapezoid(np.minimum(*both), theta)
    found = separation_at(n)
    assert found.overlap == pytest.approx(overlap, rel=1e-4)
    if n > 2:  # where the densities cross
        f, g = (np.interp(found.threshold, theta, values) for values in both)
        assert f == pytest.approx(g, rel=1e-2)


def test_overlap_in_the_plane_is_a_quarter():
    found = separation_at(2)
    assert (found.threshold, found.overlap) == pytest.approx((45.0, 0.25))


def test_error_rate_falls_exponentially_and_the_threshold_tends_to_53_degrees():
    # Large deviations: beyond 45° P(angle to bin(w) > φ) falls like (√(2e/π) cos φ)ⁿ, with one
    # large entry and the others exponentially distributed; P(pair angle < φ) like sinⁿφ.
    limit = np.arctan(np.sqrt(2 * np.e / np.pi))
    assert np.degrees(limit) == pytest.approx(52.8, abs=0.05)
    found = [separation_at(n) for n in (40, 80, 120)]
    thresholds = [f.threshold for f in found]
    assert thresholds == sorted(thresholds)
    assert np.degrees(limit) - 1 < thresholds[-1] < np.degrees(limit)
    rate = (found[2].log_error - found[1].log_error) / 40
    assert rate == pytest.approx(np.log(np.sin(limit)), abs=2 / 100)  # a power of n is left


def test_closer_vectors_in_the_plane_and_by_simulation():
    assert closer_probability(2) == pytest.approx(1 / 8, rel=1e-9)
    for n in (3, 10):
        sample = sample_angles(n, 100_000, GAUSSIAN, np.random.default_rng(n))
        expected = closer_probability(n)
        error = np.sqrt(expected * (1 - expected) / 100_000)
        assert abs(np.mean(sample.pairs > sample.binarized) - expected) < 4.5 * error


def test_closer_vectors_become_rare_at_their_rate_and_below_the_bound():
    found = {n: closer_probability(n) for n in (2, 10, 27, 80, 100)}
    rate = np.log(found[100] / found[80]) / 20
    assert rate == pytest.approx(np.log(np.e / (2 * np.pi)) / 2, abs=0.01)
    assert all(probability < closer_bound(n) for n, probability in found.items())
    # the overlap counts stray binarizations as well
    assert all(found[n] < separation_at(n).overlap for n in (2, 10, 27))


def test_the_bound_is_the_sum_of_its_two_tails():
    # both exact tails at the cosine where the proof cuts, half of √(2/π)
    cut = np.degrees(np.arccos(np.sqrt(2 / np.pi) / 2))
    for n in (5, 27, 60):
        missed, taken = np.exp([binarized_angle_logsf(cut, n), pair_angle_logcdf(cut, n)])
        assert max(missed, taken) <= closer_bound(n) / 2


def test_a_line_is_refused():
    for f in (separation_at, closer_probability):
        with pytest.raises(ValueError, match="at least 2"):
            f(1)
