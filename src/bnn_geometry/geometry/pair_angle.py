r"""Laws of the angle between two random vectors.

Entries are independent. Angles are in degrees. Everything here is exact (to rounding, or to the
error its docstring states) or names its approximation; nothing is simulated.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats

from bnn_geometry.geometry.cosine_moments import half_line_integral
from bnn_geometry.geometry.distributions import (
    GAUSSIAN,
    UNIFORM,
    Distribution,
    Floats,
    check_dimension,
)


def binary_pair_law(n: int) -> tuple[Floats, Floats]:
    """Exact law of the cosine between two random ±1 vectors.

    The vectors differ in H ~ Binomial(n, ½) places (their Hamming distance), and the cosine is
    1 − 2H/n (Kanerva 2009).

    Returns
    -------
    cosine, probability : ndarray, shape (n + 1,)
        Possible values, increasing, and their probabilities.
    """
    check_dimension(n)
    distance = np.arange(n, -1, -1)
    return 1 - 2 * distance / n, stats.binom.pmf(distance, n, 0.5)


@lru_cache(maxsize=256)
def pair_angle_sd(n: int, law: Distribution = GAUSSIAN) -> float:
    r"""Standard deviation, in degrees, of the angle between two random vectors; the mean is 90°.

    For directions uniform on the sphere, :math:`\sqrt{\psi'(n/2)/2}` radians, exact in every
    dimension (ψ' is the trigamma function): the angle's deviation from 90° has the density
    :math:`\propto\cos^{n-2}` and so the characteristic function
    :math:`\Gamma(\frac n2)^2/(\Gamma(\frac{n+a}2)\Gamma(\frac{n-a}2))`. For ±1 entries exact by
    summation up to n = 10⁴, for uniform ones by quadrature at n = 2. For other symmetric laws the
    difference from the spherical variance is taken from those of the fourth and sixth moments of
    the cosine, which are exact (the second is the same): it holds to 0.3 % for continuous laws,
    and for sparse vectors where few entries are expected to differ from zero to several per cent.

    Parameters
    ----------
    n : int
        Dimension.
    law : Distribution

    Raises
    ------
    ValueError
        If n < 1.
    """
    check_dimension(n)
    variance = special.polygamma(1, n / 2) / 2
    if law.constant and n <= 10_000:
        cosine, probability = binary_pair_law(n)
        variance = probability @ np.arcsin(cosine) ** 2
    elif law is UNIFORM and n == 2:
        x, p = np.polynomial.legendre.leggauss(64)
        half = np.pi / 4  # symmetric about 90°, with a kink there
        variance = 2 * half * (p @ (_uniform_plane_pair(half * (x + 1)) * (half * (x - 1)) ** 2))
    elif law is not GAUSSIAN and n > 1:
        variance += _pair_excess(law, n)
    return float(np.degrees(np.sqrt(variance)))


def _pair_excess(law: Distribution, n: int) -> float:
    # What the fourth and sixth moments of the pair's cosine, beyond those of directions uniform on
    # the sphere, add to the variance of its angle. Signs are independent of magnitudes, so odd
    # powers drop out; with q(a, b, …) = E[w₁^a w₂^b …]/S₂^((a+b+…)/2) and all squares summing to
    # one, q(4) and q(6) give the others.
    def integrand(t: Floats, log_b: Floats, tilted: Floats) -> Floats:
        return np.stack([t * tilted[3], t**2 * tilted[5] / 2]) * np.exp(n * log_b)

    q4, q6 = half_line_integral(law, n, 6, integrand)
    q22, q42 = (1 / n - q4) / (n - 1), (q4 - q6) / (n - 1)
    q222 = (q22 - 2 * q42) / (n - 2) if n > 2 else 0.0
    pairs, triples = n * (n - 1), n * (n - 1) * (n - 2)
    fourth = n * q4**2 + 3 * pairs * q22**2
    sixth = n * q6**2 + 15 * pairs * q42**2 + 15 * triples * q222**2
    excess = np.array([fourth - 3 / (n * (n + 2)), sixth - 15 / (n * (n + 2) * (n + 4))])
    # arcsin²c ≈ Σ aₖ c^(2k), fitted over the spherical density of the deviation x from 90°
    x = np.linspace(-0.5, 0.5, 2001) * min(np.pi, 20 / np.sqrt(n))
    weight = np.cos(x) ** (n / 2 - 1)
    scale = np.sqrt(n) * np.sin(x)
    powers = scale[:, None] ** np.array([0, 2, 4, 6])
    fit, *_ = np.linalg.lstsq(powers * weight[:, None], x**2 * weight)
    return float(fit[2:] @ (excess * np.array([n**2, n**3])))


def _uniform_plane_pair(theta: Floats) -> Floats:
    # Per radian. Directions φ of vectors uniform in the square have density sec²φ/8 for |φ| ≤ 45°,
    # and so on with period 90°; the density of the angle is 2 ∫ p(φ) p(φ + θ) dφ.
    turn = np.mod(theta, np.pi / 2)[..., None]
    x, p = np.polynomial.legendre.leggauss(48)
    total = np.zeros(theta.shape)
    corner = np.pi / 4
    for low, high, period in ((-corner, corner - turn, 0.0), (corner - turn, corner, np.pi / 2)):
        phi = (low + high) / 2 + (high - low) / 2 * x
        both = (np.cos(phi) * np.cos(phi + turn - period)) ** -2.0
        total += (high - low)[..., 0] / 2 * (both @ p)
    return total / 8


def pair_angle_density(theta: ArrayLike, n: int, law: Distribution = GAUSSIAN) -> Floats:
    r"""Density, per degree, of the angle between two random vectors in dimension n.

    :math:`h(\theta) = \frac{\Gamma(n/2)}{\sqrt\pi\,\Gamma((n-1)/2)} \sin^{n-2}\theta` (Cai, Fan and
    Jiang 2013), exact for directions uniform on the sphere, that is for Gaussian entries, with
    ten digits up to n = 10⁶. Exact also for uniform entries at n = 2 (one quadrature). For other
    independent entries the spherical density is given: it holds near 90° when n is large, not in
    the far tail.

    Parameters
    ----------
    theta : array_like
        Angles in degrees, in [0, 180].
    n : int
        Dimension, at least 2.
    law : Distribution

    Raises
    ------
    ValueError
        If n < 2: on a line the angle is 0 or 180°.
    """
    if n < 2:
        raise ValueError(f"The angle between directions has a density from n = 2 on, not n = {n}.")
    theta = np.radians(np.asarray(theta, dtype=np.float64))
    if law is UNIFORM and n == 2:
        return _uniform_plane_pair(theta) * np.pi / 180
    power = 0.0 if n == 2 else (n - 2) * _log_sine(theta)  # 0·log 0 = 0
    return np.exp(log_pair_constant(n) + power) * np.pi / 180


def log_pair_constant(n: int) -> float:
    """Logarithm of Γ(n/2)/(√π Γ((n−1)/2)), the height of the density at 90° per radian."""
    # The difference of two gammaln loses digits for large n; there
    # Γ(a + ½)/Γ(a) = √a (1 − 1/(8a) + 1/(128a²) + 5/(1024a³) − 21/(32768a⁴) + …).
    a = (n - 1) / 2
    if n < 200:
        return float(special.gammaln(a + 0.5) - special.gammaln(a) - np.log(np.pi) / 2)
    x = 1 / a
    series = x * (-1 / 8 + x * (1 / 128 + x * (5 / 1024 - x * 21 / 32768)))
    return float(np.log(a / np.pi) / 2 + np.log1p(series))


def _log_sine(theta: Floats) -> Floats:
    # Near 90° the sine is rounded to 1 and its logarithm would lose all digits.
    cosine = np.cos(theta)
    with np.errstate(divide="ignore"):
        return np.where(
            np.abs(cosine) < 0.5,
            np.log1p(-np.minimum(cosine**2, 0.5)) / 2,
            np.log(np.maximum(np.sin(theta), 0.0)),
        )


def pair_angle_logcdf(theta: ArrayLike, n: int) -> Floats:
    r"""Natural logarithm of P(angle < θ) for two random directions in dimension n.

    The logarithm of :func:`pair_angle_cdf` where that is above 1e-200. Below, substituting
    :math:`\sin t = \sin\theta\,e^{-y/(n-1)}` in :math:`\int_0^\theta h`,

    .. math:: P = \frac{\Gamma(n/2)}{\sqrt\pi\,\Gamma(\frac{n-1}2)}\,
       \frac{\sin^{n-1}\theta}{n-1} \int_0^\infty
       \frac{e^{-y}\,dy}{\sqrt{1-\sin^2\theta\,e^{-2y/(n-1)}}}

    by Gauss–Laguerre quadrature: no number here underflows, at whatever n.

    Parameters
    ----------
    theta : array_like
        Angles in degrees, in [0, 180].
    n : int
        Dimension, at least 2.
    """
    cdf = pair_angle_cdf(theta, n)
    theta = np.asarray(theta, dtype=np.float64)
    with np.errstate(divide="ignore"):
        # above 90° from the other tail, whose digits 1 − cdf would lose
        central = np.where(theta <= 90, np.log(cdf), np.log1p(-pair_angle_cdf(180 - theta, n)))
    deep = cdf < 1e-200
    if not np.any(deep):
        return central
    angle = np.radians(np.where(deep, theta, 1.0))
    y, p = special.roots_laguerre(64)
    squared = np.cos(angle) ** 2, np.sin(angle) ** 2
    root = np.sqrt(squared[0][..., None] - squared[1][..., None] * np.expm1(-2 * y / (n - 1)))
    rest = np.log((1 / root) @ p / (n - 1))
    return np.where(deep, log_pair_constant(n) + (n - 1) * _log_sine(angle) + rest, central)


def pair_angle_cdf(theta: ArrayLike, n: int) -> Floats:
    r"""P(angle < θ) for two random directions in dimension n.

    :math:`\frac12 I_{\sin^2\theta}(\frac{n-1}2,\frac12)` for θ ≤ 90°; above, by symmetry. Relative
    accuracy is kept in the tail, down to the smallest double; for what lies below see
    :func:`pair_angle_logcdf`. ``theta`` is in degrees, in [0, 180].
    """
    if n < 2:
        raise ValueError(f"The angle between directions has a law from n = 2 on, not n = {n}.")
    theta = np.asarray(theta, dtype=np.float64)
    angle = np.radians(theta)
    # the same function of the smaller of the two squares, which has the digits
    half = 0.5 * np.where(
        np.abs(np.cos(angle)) > 0.5,
        special.betainc((n - 1) / 2, 0.5, np.sin(angle) ** 2),
        special.betaincc(0.5, (n - 1) / 2, np.cos(angle) ** 2),
    )
    return np.where(theta <= 90, half, 1 - half)
