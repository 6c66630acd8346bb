"""How well bin(w) is told from a random vector: against the densities, and in the limit."""

import numpy as np
import pytest

from bnn_geometry.geometry.binarized_angle import binarized_angle_density
from bnn_geometry.geometry.distributions import GAUSSIAN
from bnn_geometry.geometry.pair_angle import pair_angle_density
from bnn_geometry.geometry.separation import separation_at, separation_dimension


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


def test_separation_dimension_is_the_smallest():
    for error in (0.2, 1e-2, 1e-6):
        n = separation_dimension(error)
        assert separation_at(n).error < error
        assert n == 2 or separation_at(n - 1).error >= error


def test_what_no_threshold_can_do_is_refused():
    for error in (0.0, -1.0, 0.5, 1.0, np.nan):
        with pytest.raises(ValueError, match="between 0 and 1/2"):
            separation_dimension(error)
    with pytest.raises(ValueError, match="at least 2"):
        separation_at(1)
