r"""Closed forms for the angles of random vectors and of their binarizations.

Everything here is exact (to rounding, or to the error its docstring states) or names its
approximation; nothing is simulated. Angles are in degrees. Moments :math:`m_k = E|w|^k` are those
of one entry of a vector with independent entries; their laws are in
:mod:`bnn_geometry.geometry.distributions`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import interpolate, optimize, special, stats

from bnn_geometry.geometry.distributions import GAUSSIAN, LAPLACE, UNIFORM, EntryLaw

Floats = NDArray[np.float64]


def limit_cosine(m1: float, m2: float) -> float:
    r"""Cosine between a vector and its binarization as n → ∞: :math:`m_1/\sqrt{m_2}`.

    By the law of large numbers,
    :math:`\cos\angle(w, \mathrm{bin}(w)) = \|w\|_1/(\sqrt n\,\|w\|_2) \to E|w|/\sqrt{E w^2}`.
    It is 0 where :math:`m_2` is infinite.

    Raises
    ------
    ValueError
        If a moment is not positive, the first is not finite or :math:`m_1^2 > m_2` (no law has
        such moments).
    """
    if not (0 < m1 < np.inf and m2 > 0 and m1 * m1 <= m2 * (1 + 1e-12)):
        raise ValueError(
            f"E|w| = {m1} and E[w²] = {m2} are the moments of no law: need 0 < E|w|² ≤ E[w²]."
        )
    return float(min(1.0, m1 / np.sqrt(m2)))


def limit_angle(law: EntryLaw) -> float:
    """Angle in degrees between a vector and its binarization as n → ∞.

    30° for uniform entries, 37.07° for Gaussian ones, 45° for the Laplace distribution.
    """
    return float(np.degrees(np.arccos(limit_cosine(law.m1, law.m2))))


def worst_binary_angle(n: int) -> float:
    r"""Angle in degrees from a direction to the nearest binary vector, at its largest.

    :math:`\cos = \|v\|_1/(\sqrt n\,\|v\|_2) \ge n^{-1/2}`, with equality for an axis.
    """
    _check_dimension(n)
    return float(np.degrees(np.arctan(np.sqrt(n - 1))))  # arccos n^(−1/2), exact at n = 1


def typical_binary_angle(n: int) -> float:
    """Mean angle in degrees from a direction to the nearest binary vector.

    The direction is uniform on the sphere: :func:`mean_angle` of :data:`GAUSSIAN`.
    """
    return mean_angle(GAUSSIAN, n)


def _check_dimension(n: int, least: int = 1) -> None:
    if n < least:
        raise ValueError(f"The dimension n must be at least {least}, not {n}.")


# --- moments of the cosine between w and bin(w) -------------------------------------------------


def _transform_scale(law: EntryLaw, n: int) -> float:
    # log t at which n(1 − E exp(−tw²)) is about 1: where the integrands live. By bisection, since
    # a law without second moment puts it elsewhere than at 1/(n m₂).
    target = min(1.0, n * (1 - law.zero) / 2) / n
    low = -2 * np.log(law.magnitudes.max()) - 2 * np.log(n) - 50
    high = -2 * np.log(law.magnitudes.min()) + 5
    while high - low > 0.25:
        middle = (low + high) / 2
        lost = -np.expm1(-np.exp(middle) * law.magnitudes**2) @ law.weights
        low, high = (middle, high) if lost < target else (low, middle)
    return low


def _half_line_integral(
    law: EntryLaw, n: int, order: int, f: Callable[[Floats, Floats, Floats], Floats]
) -> Floats:
    # ∫₀^∞ f dt by the double exponential rule t = t₀ exp(y − e^(−y)) of Takahasi and Mori (1974):
    # equal steps in y, doubly exponential decay to the left. To the right the integrand falls as a
    # power of t or faster; steps are taken until they add nothing. Step 1/8 is converged to
    # rounding: half of it changes no digit that rounding leaves.
    log_t0 = _transform_scale(law, n)
    total: Floats | float = 0.0
    step = 1 / 8
    block = int(np.clip((1 << 21) // len(law.magnitudes), 1, 64))
    for start in range(-36, 641, block):
        y = step * np.arange(start, min(start + block, 641))
        t = np.exp(log_t0 + y - np.exp(-y))
        part = np.sum(f(t, *law.laplace(t, order)) * t * (1 + np.exp(-y)) * step, axis=-1)
        total = total + part
        if y[0] > 3 and np.all(np.abs(part) <= 1e-18 * np.abs(total)):
            break
    return np.asarray(total) / -np.expm1(n * np.log(law.zero) if law.zero else -np.inf)


def cosine_moments(law: EntryLaw, n: int, order: int) -> Floats:
    r"""Exact moments :math:`E\cos^k\angle(w, \mathrm{bin}(w))` in dimension n, for k = 0 … order.

    With :math:`S_1 = \sum|w_i|`, :math:`S_2 = \sum w_i^2` and
    :math:`S_2^{-k/2} = \Gamma(\frac k2)^{-1}\int_0^\infty t^{k/2-1} e^{-tS_2}\,dt`,

    .. math:: E\cos^k = \frac{n^{-k/2}}{\Gamma(k/2)}\int_0^\infty t^{k/2-1}\,
       E\bigl[S_1^k e^{-tS_2}\bigr]\,dt, \qquad
       E\bigl[S_1^k e^{-tS_2}\bigr] = k!\,[z^k]\Bigl(\sum_j E|w|^j e^{-tw^2}\frac{z^j}{j!}\Bigr)^n,

    one-dimensional integrals for any law with independent entries. Their relative error is about
    1e-14 for every n from 1 to 1e9 and beyond.

    Returns
    -------
    ndarray, shape (order + 1,)

    Raises
    ------
    ValueError
        If n < 1.
    """
    _check_dimension(n)
    if n == 1 or law.constant:
        return np.ones(order + 1)
    k = np.arange(1, order + 1)
    log_scale = special.gammaln(k + 1) - special.gammaln(k / 2) - k / 2 * np.log(n)

    def integrand(t: Floats, log_b: Floats, tilted: Floats) -> Floats:
        factorial = special.factorial(k)[:, None]
        b = np.concatenate([np.ones((1, len(t))), tilted / factorial])
        c = np.ones_like(b)  # coefficients of (Σ bⱼ zʲ)ⁿ, by Miller's recurrence
        for i in k:
            j = np.arange(1, i + 1)[:, None]
            c[i] = np.sum((j * (n + 1) - i) * b[1 : i + 1] * c[i - 1 :: -1][:i], axis=0) / i
        with np.errstate(divide="ignore"):  # a coefficient that has underflowed
            exponent = np.log(c[1:]) + n * log_b + (k / 2 - 1)[:, None] * np.log(t)
        return np.exp(exponent + log_scale[:, None])

    return np.concatenate([[1.0], _half_line_integral(law, n, order, integrand)])


def mean_cosine(law: EntryLaw, n: int) -> float:
    r"""Exact mean of :math:`\cos\angle(w, \mathrm{bin}(w))` in dimension n.

    .. math:: E\cos = \sqrt{\frac n\pi}\int_0^\infty t^{-1/2}\,A(t)\,B(t)^{n-1}\,dt,
       \qquad A = E|w|e^{-tw^2},\quad B = Ee^{-tw^2},

    the first of the :func:`cosine_moments`. For Gaussian entries it equals
    :math:`\sqrt{n/\pi}\;\Gamma(n/2)/\Gamma((n+1)/2)`; for uniform ones it is
    :math:`\frac{\sqrt3}2(1 + \frac1{20n} + O(n^{-2}))`.

    Raises
    ------
    ValueError
        If n < 1.
    """
    return min(1.0, float(cosine_moments(law, n, 1)[1]))


def mean_square_cosine(law: EntryLaw, n: int) -> float:
    r"""Exact mean of :math:`\cos^2\angle(w, \mathrm{bin}(w))` in dimension n.

    :math:`E\cos^2 = \int_0^\infty [C B^{n-1} + (n-1) A^2 B^{n-2}]\,dt` with
    :math:`C = E w^2 e^{-tw^2}`, the second of the :func:`cosine_moments`. For Gaussian entries it
    equals :math:`2/\pi + (1-2/\pi)/n`.
    """
    return min(1.0, float(cosine_moments(law, n, 2)[2]))


def cosine_variance_rate(law: EntryLaw) -> float:
    r"""Limit of :math:`n\,\mathrm{Var}\cos\angle(w, \mathrm{bin}(w))` as n → ∞ (delta method).

    .. math:: \frac{m_1^2}{m_2}\left[\frac{m_2-m_1^2}{m_1^2} + \frac{m_4-m_2^2}{4m_2^2}
       - \frac{m_3-m_1m_2}{m_1m_2}\right]

    1/40 for uniform entries, 1 − 3/π for Gaussian ones; infinite where :math:`m_4` is, since the
    variance then falls more slowly than 1/n.
    """
    m1, m2, m3, m4 = law.m1, law.m2, law.m3, law.m4
    if not np.isfinite(m4):
        return np.inf
    return (
        m1**2
        / m2
        * ((m2 - m1**2) / m1**2 + (m4 - m2**2) / (4 * m2**2) - (m3 - m1 * m2) / (m1 * m2))
    )


_DIRECT = 10_000
"""Dimension up to which a variance is the difference of two moments."""


@lru_cache(maxsize=256)
def cosine_sd(law: EntryLaw, n: int) -> float:
    r"""Standard deviation of :math:`\cos\angle(w, \mathrm{bin}(w))` in dimension n.

    Up to n = 10⁴ it is :math:`E\cos^2 - (E\cos)^2` with the exact moments, of which the
    cancellation leaves nine digits or more. Beyond, :math:`n\,\mathrm{Var} = r + c/n` with the
    rate r of :func:`cosine_variance_rate` and c from n = 10⁴: an error of order n⁻². Where the
    difference at 10⁴ shows no such law (heavy tails, very sparse vectors), the difference of
    moments is kept: its relative error is about 1e-14·n.

    Raises
    ------
    ValueError
        If n < 1.
    """
    _check_dimension(n)
    if n == 1 or law.constant:
        return 0.0

    def difference(n: int) -> float:
        _, mean, square = cosine_moments(law, n, 2)
        return max(0.0, square - mean * mean)

    if n > _DIRECT:
        rate = cosine_variance_rate(law)
        gap = _DIRECT * difference(_DIRECT) / rate - 1 if rate > 0 else np.inf
        if abs(gap) < 100 / _DIRECT:
            return float(np.sqrt(rate / n * (1 + gap * _DIRECT / n)))
    return float(np.sqrt(difference(n)))


# --- the angle between w and bin(w) -------------------------------------------------------------


def _standardized(law: EntryLaw, n: int, sd: float, order: int) -> tuple[float, Floats]:
    # Mean of the cosine and E((cos − mean)/sd)^k, k = 0 … order, from the raw moments.
    moments = cosine_moments(law, n, order)
    k = np.arange(order + 1)
    shift = (-moments[1]) ** np.maximum(k[:, None] - k, 0)
    return float(moments[1]), (special.binom(k[:, None], k) * shift) @ moments / sd**k


def _by_polynomial(law: EntryLaw, n: int, sd: float, order: int) -> tuple[float, float]:
    # Mean and s.d. of the angle from polynomials in the cosine that fit the angle and its square:
    # their expectations are exact, and what they miss is small where the cosine is likely. The
    # fit is over a beta density with the cosine's mean and 1.5 times its s.d.: the law itself
    # has more weight in its tails than the beta with its own s.d.
    mean, standardized = _standardized(law, n, sd, order)
    size = mean * (1 - mean) / min((1.5 * sd) ** 2, mean * (1 - mean) / 2) - 1
    cosine = stats.beta.ppf((np.arange(2001) + 0.5) / 2001, mean * size, (1 - mean) * size)
    angle = np.arccos(cosine)
    powers = np.vander((cosine - mean) / sd, order + 1, increasing=True)
    fit, *_ = np.linalg.lstsq(powers, np.stack([angle, angle**2], axis=1))
    first, second = standardized @ fit
    return float(first), float(np.sqrt(second - first**2))


def _by_gauss_rule(law: EntryLaw, n: int, sd: float, points: int) -> tuple[float, float]:
    # Mean and s.d. of the angle from the Gauss rule of the cosine's law (Golub and Welsch 1969):
    # Cholesky factor of the Hankel matrix of its moments, eigenvalues of the Jacobi matrix.
    mean, standardized = _standardized(law, n, sd, 2 * points)
    index = np.arange(points + 1)
    root = np.linalg.cholesky(standardized[index[:, None] + index]).T
    above = np.diag(root, 1) / np.diag(root)[:-1]
    beside = np.diag(root)[1:-1] / np.diag(root)[:-2]
    diagonal = np.diff(above, prepend=0.0)
    nodes, vectors = np.linalg.eigh(np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1))
    angle = np.arccos(np.clip(mean + sd * nodes, -1, 1))
    weights = vectors[0] ** 2
    first = float(weights @ angle)
    return first, float(np.sqrt(weights @ (angle - first) ** 2))


@lru_cache(maxsize=256)
def _angle_moments(law: EntryLaw, n: int) -> tuple[float, float]:
    # Mean and standard deviation of the angle, radians: see mean_angle.
    _check_dimension(n)
    if n == 1 or law.constant:
        return 0.0, 0.0
    if (exact := _exact_density(law, n)) is not None:
        total = [0.0, 0.0, 0.0]
        for low, high in zip((0.0, *exact.kinks), (*exact.kinks, exact.top), strict=True):
            # sin v spreads the nodes so that a square root at either end does no harm
            x, p = np.polynomial.legendre.leggauss(64)
            theta = (low + high) / 2 + (high - low) / 2 * np.sin(np.pi / 2 * x)
            weight = (high - low) / 2 * np.pi / 2 * np.cos(np.pi / 2 * x) * p * exact(theta)
            for k in range(3):
                total[k] += float(weight @ theta**k)
        return total[1], float(np.sqrt(total[2] - total[1] ** 2))
    sd = cosine_sd(law, n)
    if sd == 0:  # magnitudes that differ by rounding
        return float(np.arccos(mean_cosine(law, n))), 0.0
    # Up to which power a central moment is above the rounding errors of the raw ones.
    order = int(np.clip(-12 / np.log10(sd), 3, 12))
    if n <= 30:
        return _by_polynomial(law, n, sd, order)
    for points in range(order // 2, 1, -1):
        # few different cosines, or rounding after all: fewer points
        with contextlib.suppress(np.linalg.LinAlgError):
            return _by_gauss_rule(law, n, sd, points)
    mu = mean_cosine(law, n)
    sine = np.sqrt(1 - mu * mu)
    return float(np.arccos(mu) - mu * sd**2 / (2 * sine**3)), float(sd / sine)


def mean_angle(law: EntryLaw, n: int) -> float:
    r"""Mean of the angle between w and bin(w), in degrees.

    - n = 1, or entries of one magnitude: 0, exact.
    - n = 2 and 3 for uniform and Gaussian entries, n = 2 for Laplace ones: by quadrature of the
      exact density, see :func:`binarized_angle_density`.
    - otherwise up to n = 30: polynomials of degree up to twelve in the cosine, fitted to the
      angle and to its square, with the exact :func:`cosine_moments`.
    - beyond: :math:`\sum_i p_i\arccos c_i` with the Gauss rule of six to two points that has
      these moments (Golub and Welsch 1969).
    - where the spread of the cosine is below 10⁻³ (n > 40,000): delta method to second order,
      :math:`\arccos\mu - \frac{\mu}{2(1-\mu^2)^{3/2}}\mathrm{Var}\cos`.

    For the laws named here the error is below 0.01° from n = 3 on; at n = 2, where the density is
    not one of the above, below 0.1°.

    Raises
    ------
    ValueError
        If n < 1.
    """
    return float(np.degrees(_angle_moments(law, n)[0]))


def angle_sd(law: EntryLaw, n: int) -> float:
    """Standard deviation of the angle between w and bin(w), in degrees.

    Computed as :func:`mean_angle` is; where that uses the delta method, to first order. For the
    laws named here the relative error is below 0.2 % from n = 3 on, 0.1 % from n = 4 on; at n = 2,
    where the density is not a known one, about 1 %.

    Raises
    ------
    ValueError
        If n < 1.
    """
    return float(np.degrees(_angle_moments(law, n)[1]))


def angle_sd_rate(law: EntryLaw) -> float:
    """Limit of √n times the standard deviation of the angle between w and bin(w), in degrees.

    Delta method: 18.1° for uniform entries, 20.2° for Gaussian ones.
    """
    if len(law.magnitudes) == 1 and law.zero == 0:
        return 0.0
    sine = np.sqrt(1 - law.m1**2 / law.m2)
    return float(np.degrees(np.sqrt(cosine_variance_rate(law)) / sine))


@dataclass(frozen=True)
class _ExactDensity:
    # Density, per radian, of the angle between w and bin(w): 0 beyond top, smooth between kinks.
    density: Callable[[Floats], Floats]
    top: float
    kinks: tuple[float, ...] = ()

    def __call__(self, theta: Floats) -> Floats:
        inside = (theta >= 0) & (theta <= self.top)
        return np.where(inside, self.density(np.clip(theta, 0, self.top)), 0.0)


def _excluded(theta: Floats) -> Floats:
    # On the cone of angle θ about (1, 1, 1) each coordinate is negative along an arc of this
    # half-width: x ∝ cos θ/√3 + sin θ √(2/3) cos φ < 0.
    return np.arccos(np.minimum(1.0, 1 / (np.sqrt(2) * np.tan(np.maximum(theta, 1e-9)))))


def _uniform_space(theta: Floats) -> Floats:
    # A direction x of the first octant has density 1/(3 max(x)³) per solid angle: integrated over
    # the third of the cone on which one coordinate is the largest, less the excluded arcs.
    x, p = np.polynomial.legendre.leggauss(48)
    half = np.pi / 3 - _excluded(theta)
    largest = np.cos(theta)[..., None] / np.sqrt(3) + np.sin(theta)[..., None] * np.sqrt(2 / 3) * (
        np.cos(half[..., None] * x)
    )
    return np.sin(theta) * half * (largest**-3.0 @ p)


_KINK = float(np.arctan(np.sqrt(0.5)))  # the cone about (1, 1, 1) that touches the axis planes
_SPACE_TOP = float(np.arctan(np.sqrt(2)))

_EXACT_DENSITY = {
    (UNIFORM, 2): _ExactDensity(lambda t: 2 / (1 + np.sin(2 * t)), np.pi / 4),
    (GAUSSIAN, 2): _ExactDensity(lambda t: np.full_like(t, 4 / np.pi), np.pi / 4),
    (LAPLACE, 2): _ExactDensity(lambda t: 1 / np.cos(t) ** 2, np.pi / 4),
    (UNIFORM, 3): _ExactDensity(_uniform_space, _SPACE_TOP, (_KINK,)),
    (GAUSSIAN, 3): _ExactDensity(
        lambda t: 4 * np.sin(t) * (1 - 3 / np.pi * _excluded(t)), _SPACE_TOP, (_KINK,)
    ),
}


def _exact_density(law: EntryLaw, n: int) -> _ExactDensity | None:
    return _EXACT_DENSITY.get((law, n))


def binarized_angle_density(theta: ArrayLike, law: EntryLaw, n: int) -> Floats:
    r"""Density, per degree, of the angle between w and bin(w) in dimension n.

    Exact in the plane: :math:`4/\pi` per radian for Gaussian entries, :math:`2/(1+\sin2\theta)`
    for uniform and :math:`1/\cos^2\theta` for Laplace ones, θ ≤ 45°. Exact for n = 3: Gaussian
    entries, :math:`4\sin\theta\,(1-\frac3\pi\arccos\min(1,\frac{\cot\theta}{\sqrt2}))`, and
    uniform ones (one quadrature). For Gaussian entries up to n = 300 the derivative of
    :func:`binarized_angle_logsf`, which is exact but for an interpolation error of less than
    2e-3 of the peak (n = 4) or 2e-4 (beyond). Everything else is the normal density with the
    mean and the standard deviation of :func:`mean_angle` and :func:`angle_sd`: asymptotic, for
    angles near the mean.

    Parameters
    ----------
    theta : array_like
        Angles in degrees.
    law : EntryLaw
    n : int
        Dimension, at least 2.

    Raises
    ------
    ValueError
        If n < 2, or all entries have the same magnitude: the angle is 0 and has no density.
    """
    _check_dimension(n, least=2)
    if law.constant:
        raise ValueError(f"With entries {law.name} the angle is always 0: it has no density.")
    theta = np.asarray(theta, dtype=np.float64)
    if (exact := _exact_density(law, n)) is not None:
        return exact(np.radians(theta)) * np.pi / 180
    if law is GAUSSIAN and n <= 300:
        return _spherical_tail(n).density(np.radians(theta)) * np.pi / 180
    return stats.norm.pdf(theta, mean_angle(law, n), angle_sd(law, n))


# --- two random vectors -------------------------------------------------------------------------


def pair_cosine_sd(n: int) -> float:
    r"""Standard deviation of the cosine between two independent random vectors: n^(−1/2).

    Exact in every dimension for entries drawn independently from one law, symmetric about zero
    and without mass there. Given the magnitudes of all entries the signs are independent coin
    tosses, so that the products :math:`u_iv_i` are uncorrelated; and since all entries are alike,
    :math:`E[u_i^2/\|u\|^2] = 1/n`. Hence
    :math:`E\cos^2 = \sum_i E[u_i^2/\|u\|^2]\,E[v_i^2/\|v\|^2] = n \cdot n^{-2}`.
    """
    _check_dimension(n)
    return float(n**-0.5)


@lru_cache(maxsize=256)
def pair_angle_sd(n: int, law: EntryLaw = GAUSSIAN) -> float:
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
    law : EntryLaw

    Raises
    ------
    ValueError
        If n < 1.
    """
    _check_dimension(n)
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


def _pair_excess(law: EntryLaw, n: int) -> float:
    # What the fourth and sixth moments of the pair's cosine, beyond those of directions uniform on
    # the sphere, add to the variance of its angle. Signs are independent of magnitudes, so odd
    # powers drop out; with q(a, b, …) = E[w₁^a w₂^b …]/S₂^((a+b+…)/2) and all squares summing to
    # one, q(4) and q(6) give the others.
    def integrand(t: Floats, log_b: Floats, tilted: Floats) -> Floats:
        return np.stack([t * tilted[3], t**2 * tilted[5] / 2]) * np.exp(n * log_b)

    q4, q6 = _half_line_integral(law, n, 6, integrand)
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


def pair_angle_density(theta: ArrayLike, n: int, law: EntryLaw = GAUSSIAN) -> Floats:
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
    law : EntryLaw

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
    return np.exp(_log_pair_constant(n) + power) * np.pi / 180


def _log_pair_constant(n: int) -> float:
    # log Γ(n/2)/(√π Γ((n−1)/2)). The difference of two gammaln loses digits for large n; there
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
    return np.where(deep, _log_pair_constant(n) + (n - 1) * _log_sine(angle) + rest, central)


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


# --- how well the two angles are told apart -----------------------------------------------------


class _SphericalTail:
    """P(angle between w and bin(w) > θ), w uniform on the sphere, built from dimension n − 1.

    With u the first entry's magnitude, w = (u, √(1−u²) w') and w' uniform on the sphere below, so
    that ‖w‖₁ = u + √(1−u²) ‖w'‖₁ and P(‖w‖₁ < a) = ∫ h(u) P(‖w'‖₁ < (a−u)/√(1−u²)) du. In the
    logarithm, with the factor (1 − θ/top)^(n−1) that it has at its end taken out, it is smooth
    enough for a spline.
    """

    def __init__(self, n: int, below: _SphericalTail | None) -> None:
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
            log_h = np.log(2) + _log_pair_constant(n) + (n - 3) / 2 * np.log(rest)
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


_TAILS = [_SphericalTail(2, None)]


def _spherical_tail(n: int) -> _SphericalTail:
    while len(_TAILS) < n - 1:
        _TAILS.append(_SphericalTail(len(_TAILS) + 2, _TAILS[-1]))
    return _TAILS[n - 2]


def binarized_angle_logsf(theta: ArrayLike, n: int) -> Floats:
    r"""Natural logarithm of P(angle between w and bin(w) > θ), w uniform on the sphere.

    Exact for n = 2; each dimension follows from the one below by one integration over the first
    entry, with a relative error that stays below 1e-4 up to n = 300. It takes some milliseconds
    per dimension, once.

    Parameters
    ----------
    theta : array_like
        Angles in degrees.
    n : int
        Dimension, at least 2.

    Returns
    -------
    ndarray
        −∞ beyond the largest angle, :func:`worst_binary_angle`.
    """
    _check_dimension(n, least=2)
    return _spherical_tail(n).logsf(np.radians(np.asarray(theta, dtype=np.float64)))


@dataclass(frozen=True)
class Separation:
    """How well the angle tells bin(w) from a random vector; see :func:`separation`.

    Attributes
    ----------
    n : int
        Dimension.
    threshold : float
        The best threshold, degrees.
    log_error : float
        Natural logarithm of its error rate.
    """

    n: int
    threshold: float
    log_error: float

    @property
    def error(self) -> float:
        """Error rate of the best threshold: the Bayes error rate for equal priors."""
        return float(np.exp(self.log_error))

    @property
    def overlap(self) -> float:
        """Overlapping coefficient ∫ min(f, g) of the two densities: twice the error rate."""
        return 2 * self.error


@lru_cache(maxsize=256)
def separation(n: int) -> Separation:
    r"""Error rate of the best threshold between the two angles, and where it lies.

    Given w, uniform on the sphere, a vector is bin(w) or an independent one, with equal
    probability. Called bin(w) if its angle to w is below φ, it is misjudged with probability
    :math:`\frac12P(\angle(w,\mathrm{bin}(w))>\varphi)+\frac12P(\angle(w,v)<\varphi)`; the minimum
    over φ is the Bayes error rate and half the overlapping coefficient of the two densities
    (Inman and Bradley 1989), since they cross once. Both tails are exact, see
    :func:`binarized_angle_logsf` and :func:`pair_angle_logcdf`.

    For large n the threshold tends to 52.8°, far above the mean of 37.07°: angles above 45° are
    those of vectors with one large entry, whose probability falls only like
    :math:`(\sqrt{2e/\pi}\cos\varphi)^n`, against :math:`\sin^n\varphi` for the pair.

    Raises
    ------
    ValueError
        If n < 2.
    """
    _check_dimension(n, least=2)

    def log_error(phi: float) -> float:
        missed, taken = binarized_angle_logsf(phi, n), pair_angle_logcdf(phi, n)
        return float(np.logaddexp(missed, taken)) - np.log(2)

    low, high = limit_angle(GAUSSIAN), min(worst_binary_angle(n), 90.0)
    best = optimize.minimize_scalar(
        log_error, bounds=(low, high), method="bounded", options={"xatol": 1e-9}
    )
    if n == 2:  # the minimum lies at the end of the interval, which the search only approaches
        return Separation(n, 45.0, log_error(45.0))
    return Separation(n, float(best.x), float(best.fun))


def separation_dimension(error: float) -> int:
    """Smallest dimension in which :func:`separation` has an error rate below the given one.

    Parameters
    ----------
    error : float
        In (0, 1/2). The time grows with the dimension found: 1e-12 needs a hundred dimensions.

    Raises
    ------
    ValueError
        If the error rate is not between 0 and 1/2, that of guessing.
    """
    if not (0 < error < 0.5):
        raise ValueError(f"An error rate lies between 0 and 1/2, that of guessing: not {error}.")
    high = 2
    while separation(high).log_error >= np.log(error):
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (
            (middle, high) if separation(middle).log_error >= np.log(error) else (low, middle)
        )
    return high


def binary_pair_law(n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Exact law of the cosine between two random ±1 vectors.

    The vectors differ in H ~ Binomial(n, ½) places (their Hamming distance), and the cosine is
    1 − 2H/n (Kanerva 2009).

    Returns
    -------
    cosine, probability : ndarray, shape (n + 1,)
        Possible values, increasing, and their probabilities.
    """
    _check_dimension(n)
    distance = np.arange(n, -1, -1)
    return 1 - 2 * distance / n, stats.binom.pmf(distance, n, 0.5)


def hamming_sd(n: int) -> float:
    """Standard deviation of the Hamming distance of two random ±1 vectors: √n/2, exact."""
    _check_dimension(n)
    return float(np.sqrt(n) / 2)
