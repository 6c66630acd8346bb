"""Tail of the angle between w and bin(w) for directions uniform on the sphere.

One dimension follows from the one below; :mod:`bnn_geometry.geometry.binarized_angle` makes
densities and tails in degrees of it.
"""

from __future__ import annotations

import numpy as np
from scipy import interpolate, special

from bnn_geometry.geometry.distributions import Floats
from bnn_geometry.geometry.pair_angle import log_pair_constant, pair_angle_logcdf


class SphericalTail:
    """P(angle between w and bin(w) > θ), w uniform on the sphere, built from dimension n − 1.

    With u the first entry's magnitude, w = (u, √(1−u²) w') and w' uniform on the sphere below, so
    that ‖w‖₁ = u + √(1−u²) ‖w'‖₁ and P(‖w‖₁ < a) = ∫ h(u) P(‖w'‖₁ < (a−u)/√(1−u²)) du. In the
    logarithm, with the factor (1 − θ/top)^(n−1) that it has at its end taken out, it is smooth
    enough for a spline.
    """

    def __init__(self, n: int, below: SphericalTail | None) -> None:
        self.n, self.top = n, float(np.arctan(np.sqrt(n - 1)))
        if below is None:  # n = 2: 1 − θ/45°
            self._spline = interpolate.CubicSpline([0.0, self.top], [0.0, 0.0])
            self._slope = self._spline.derivative()
            return
        points = 385
        theta = self.top * (np.arange(points) + 0.5) / points
        a = np.sqrt(n) * np.cos(theta)
        # Between these two values of u the inner probability is neither 0 nor 1 by geometry …
        root = np.sqrt((n - 1) * np.maximum(n - a * a, 0.0))
        low, high = np.maximum((a - root) / n, 0.0), np.minimum((a + root) / n, 1.0)
        # … but for a gap in the middle if a < √2, where the inner norm would be below 1.
        gap = np.sqrt(np.maximum(2 - a * a, 0.0))
        # The density has kinks while n is small.
        x, p = np.polynomial.legendre.leggauss(512 if n < 8 else 64)
        sine, cosine = np.sin(np.pi / 2 * x), np.cos(np.pi / 2 * x)  # tames square roots at ends
        with np.errstate(divide="ignore"):  # P(first entry < low), which is 0 where low is
            below_low = np.log(special.betainc(0.5, (n - 1) / 2, low**2))
        terms = [_log_cap(high, n)[:, None], below_low[:, None]]
        for start, stop in (
            (low, np.clip((a - gap) / 2, low, high)),
            (np.clip((a + gap) / 2, low, high), high),
        ):
            half = np.maximum(stop - start, 1e-300)[:, None] / 2
            u = (start + stop)[:, None] / 2 + half * sine
            rest = 1 - u * u
            inner = np.arccos(np.clip((a[:, None] - u) / np.sqrt((n - 1) * rest), 0.0, 1.0))
            log_h = np.log(2) + log_pair_constant(n) + (n - 3) / 2 * np.log(rest)
            weight = np.log(half * np.pi / 2 * cosine * p)
            terms.append(weight + log_h + below.logsf(inner))
        value = special.logsumexp(np.concatenate(terms, axis=1), axis=1)
        self._spline = interpolate.CubicSpline(theta, value - (n - 1) * np.log1p(-theta / self.top))
        self._slope = self._spline.derivative()

    def logsf(self, theta: Floats) -> Floats:
        """Natural logarithm of P(angle > θ); θ in radians."""
        theta = np.maximum(theta, 0.0)
        with np.errstate(divide="ignore"):
            end = (self.n - 1) * np.log1p(-np.minimum(theta / self.top, 1.0))
        return np.minimum(self._spline(np.minimum(theta, self.top)) + end, 0.0)

    def density(self, theta: Floats) -> Floats:
        """Density per radian."""
        inside = (theta > 0) & (theta < self.top)
        theta = np.where(inside, theta, self.top / 2)
        slope = (self.n - 1) / (self.top - theta) - self._slope(theta)
        return np.where(inside, np.maximum(np.exp(self.logsf(theta)) * slope, 0.0), 0.0)


def _log_cap(u: Floats, n: int) -> Floats:
    # log P(|first entry| > u) of a direction uniform on the sphere
    return np.log(2) + pair_angle_logcdf(np.degrees(np.arccos(np.clip(u, 0.0, 1.0))), n)


_TAILS = [SphericalTail(2, None)]


def spherical_tail(n: int) -> SphericalTail:
    """The tail in dimension n ≥ 2, with those below it built once and kept."""
    while len(_TAILS) < n - 1:
        _TAILS.append(SphericalTail(len(_TAILS) + 2, _TAILS[-1]))
    return _TAILS[n - 2]
