"""How often a random vector is as near to w as bin(w): exact laws, a bound, the best threshold.

All of it is for directions drawn uniformly from the sphere, that is for Gaussian entries.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize

from bnn_geometry.geometry.binarized_angle import binarized_angle_logsf, worst_binary_angle
from bnn_geometry.geometry.distributions import GAUSSIAN, Floats, check_dimension
from bnn_geometry.geometry.pair_angle import pair_angle_density, pair_angle_logcdf
from bnn_geometry.geometry.quantizers import limit_angle


@lru_cache(maxsize=256)
def closer_probability(n: int) -> float:
    r"""P(an independent direction is closer to w than bin(w) is), w uniform on the sphere.

    :math:`\int h(\theta)\,P(\angle(w,\mathrm{bin}(w))>\theta)\,d\theta` with the density h of
    the angle of a pair, by quadrature of the exact laws, see
    :func:`~bnn_geometry.geometry.binarized_angle.binarized_angle_logsf`. It falls like
    :math:`(e/2\pi)^{n/2}`, up to a power of n: beyond 45° the tail of the angle to bin(w) falls
    like :math:`(\sqrt{2e/\pi}\cos\theta)^n` and that of the pair like :math:`\sin^n\theta`, and
    the product is largest at 45°.

    Raises
    ------
    ValueError
        If n < 2.
    """
    check_dimension(n, least=2)
    top = worst_binary_angle(n)
    x, p = np.polynomial.legendre.leggauss(400)
    theta = top / 2 * (1 + x)
    values = pair_angle_density(theta, n) * np.exp(binarized_angle_logsf(theta, n))
    return float(top / 2 * p @ values)


def closer_bound(n: ArrayLike) -> Floats:
    r"""Upper bound :math:`2e^{-(n-1)/4\pi}` of :func:`closer_probability`, by concentration.

    :math:`w\mapsto\lVert w\rVert_1/\sqrt n` is 1-Lipschitz on the sphere and its mean is at least
    :math:`\sqrt{2/\pi}`, so that it falls below half of that with probability at most
    :math:`e^{-(n-1)/4\pi}` (Ledoux 2001); a cap of that cosine has at most the measure
    :math:`e^{-n/4\pi}` (Ball 1997).
    """
    return 2 * np.exp(-(np.asarray(n, dtype=np.float64) - 1) / (4 * np.pi))


@dataclass(frozen=True)
class Separation:
    """How well the angle tells bin(w) from a random vector; see :func:`separation_at`.

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
def separation_at(n: int) -> Separation:
    r"""Error rate of the best threshold between the two angles, and where it lies.

    Given w, uniform on the sphere, a vector is bin(w) or an independent one, with equal
    probability. Called bin(w) if its angle to w is below φ, it is misjudged with probability
    :math:`\frac12P(\angle(w,\mathrm{bin}(w))>\varphi)+\frac12P(\angle(w,v)<\varphi)`; the minimum
    over φ is the Bayes error rate and half the overlapping coefficient of the two densities
    (Inman and Bradley 1989), since they cross once. Both tails are exact, see
    :func:`~bnn_geometry.geometry.binarized_angle.binarized_angle_logsf` and
    :func:`~bnn_geometry.geometry.pair_angle.pair_angle_logcdf`.

    For large n the threshold tends to 52.8°, far above the mean of 37.07°: angles above 45° are
    those of vectors with one large entry, whose probability falls only like
    :math:`(\sqrt{2e/\pi}\cos\varphi)^n`, against :math:`\sin^n\varphi` for the pair.

    Raises
    ------
    ValueError
        If n < 2.
    """
    check_dimension(n, least=2)

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
