"""How well the angle to w tells bin(w) from a random vector, and in which dimension it does."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import optimize

from bnn_geometry.geometry.binarized_angle import binarized_angle_logsf, worst_binary_angle
from bnn_geometry.geometry.distributions import GAUSSIAN, check_dimension
from bnn_geometry.geometry.pair_angle import pair_angle_logcdf
from bnn_geometry.geometry.quantizers import limit_angle


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


def separation_dimension(error: float) -> int:
    """Smallest dimension in which :func:`separation_at` has an error rate below the given one.

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
    while separation_at(high).log_error >= np.log(error):
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (
            (middle, high) if separation_at(middle).log_error >= np.log(error) else (low, middle)
        )
    return high
