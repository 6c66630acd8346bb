r"""Scalar quantization: every entry of a vector is replaced by one of k levels.

How far that turns the vector follows from three expectations over one entry. With q(w) the level
of w, the law of large numbers gives for a vector of independent entries, as n → ∞,

.. math:: \cos\angle(w, q(w)) \to \frac{E[w\,q(w)]}{\sqrt{E w^2\;E q(w)^2}} .

Binarization is the case of two levels. Angles are in degrees.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import special

from bnn_geometry.geometry.distributions import Distribution, Floats

CHUNK_VALUES = 1 << 20
"""Random numbers held at once: 8 MiB of float64, so memory does not grow with samples × n."""


@dataclass(frozen=True)
class Quantizer:
    """k levels and the k − 1 thresholds between them; called with an array it quantizes it.

    Attributes
    ----------
    thresholds : tuple of k − 1 floats
        Increasing.
    levels : tuple of k floats
        ``levels[i]`` stands for x where ``thresholds[i-1] < x <= thresholds[i]``.

    Raises
    ------
    ValueError
        If the numbers of thresholds and levels do not fit or the thresholds do not increase.
    """

    thresholds: tuple[float, ...]
    levels: tuple[float, ...]

    def __post_init__(self) -> None:
        """Check that thresholds and levels fit."""
        if len(self.levels) != len(self.thresholds) + 1:
            raise ValueError(
                f"{len(self.levels)} levels need {len(self.levels) - 1} thresholds, not "
                f"{len(self.thresholds)}."
            )
        if not all(a < b for a, b in pairwise([-np.inf, *self.thresholds])):  # nor does NaN
            raise ValueError(f"The thresholds must increase: {list(self.thresholds)}.")

    def __call__(self, x: Floats) -> Floats:
        """The level of every entry of x, any shape."""
        return np.asarray(self.levels)[np.searchsorted(self.thresholds, x)]


BINARY = Quantizer((0.0,), (-1.0, 1.0))
"""bin(x), +1 where x > 0 and −1 elsewhere."""


def ternary(threshold: float) -> Quantizer:
    """Levels −1, 0, +1; 0 where ``abs(x)`` is at most the threshold. Threshold 0 is ``BINARY``.

    Raises
    ------
    ValueError
        If the threshold is negative or infinite.
    """
    if not 0 <= threshold < np.inf:
        raise ValueError(f"The threshold must be at least 0 and finite, not {threshold}.")
    if threshold == 0:
        return BINARY
    return Quantizer((-float(threshold), float(threshold)), (-1.0, 0.0, 1.0))


def _cells(law: Distribution, thresholds: tuple[float, ...]) -> tuple[Floats, Floats]:
    # P(w in cell) and E[w; w in cell] for the k cells between the thresholds.
    if law.tail is None or law.tail_mean is None:
        raise ValueError(f"Entries {law.name} have no tails written down, which this needs.")
    t = np.asarray(thresholds, dtype=np.float64)
    tail, tail_mean = law.tail(np.abs(t)), law.tail_mean(np.abs(t))
    below = np.concatenate([[0.0], np.where(t < 0, tail, 1 - tail), [1.0]])
    above = np.concatenate([[1.0], np.where(t < 0, 1 - tail, tail), [0.0]])
    positive = np.concatenate([[-np.inf], t]) >= 0
    # each side from its own end, where 1 − tail would lose the digits of a small tail
    probability = np.where(positive, -np.diff(above), np.diff(below))
    # E[w; w ≤ t] = −E[w; w > |t|] on either side of zero, since the mean is zero
    return probability, -np.diff(tail_mean, prepend=0.0, append=0.0)


def limit_cosine(law: Distribution, quantizer: Quantizer = BINARY) -> float:
    r"""Cosine between a vector and its quantization, by default its binarization, as n → ∞.

    :math:`E[w\,q(w)]/\sqrt{E w^2\,E q(w)^2}`. With bin it is :math:`E|w|/\sqrt{E w^2}` for any
    distribution, and 0 where the second moment is infinite. For Gaussian entries and ternary levels
    it is :math:`2\varphi(t)/\sqrt{2Q(t)}` with the Gaussian density and upper tail at
    t = threshold/σ.

    Raises
    ------
    ValueError
        If every entry is quantized to zero: that vector has no direction. If the quantizer is not
        bin, and the distribution has no tails.
    """
    if quantizer == BINARY:
        return float(min(1.0, law.m1 / np.sqrt(law.m2)))
    probability, mean = _cells(law, quantizer.thresholds)
    levels = np.asarray(quantizer.levels)
    square = probability @ levels**2
    if not square > 0:
        raise ValueError("Every entry is quantized to zero: lower the threshold.")
    return float(np.clip(mean @ levels / np.sqrt(law.m2 * square), -1.0, 1.0))


def limit_angle(law: Distribution, quantizer: Quantizer = BINARY) -> float:
    """Angle in degrees between a vector and its quantization as n → ∞; see limit_cosine.

    With bin it is 30° for uniform entries, 37.07° for Gaussian ones, 45° for the Laplace
    distribution.
    """
    return float(np.degrees(np.arccos(limit_cosine(law, quantizer))))


def distortion(law: Distribution, quantizer: Quantizer) -> float:
    """Mean squared error E(w − q(w))², as a fraction of E w²: D.

    For a quantizer whose levels are the centroids of their cells cos² = 1 − D, since then
    E[w q(w)] = E q(w)². For every other one cos² > 1 − D: the best factor on the levels is not 1.
    """
    probability, mean = _cells(law, quantizer.thresholds)
    levels = np.asarray(quantizer.levels)
    return float(1 + (probability @ levels**2 - 2 * mean @ levels) / law.m2)


def entropy(law: Distribution, quantizer: Quantizer) -> float:
    """Entropy of the level of an entry, in bits: what an ideal code of the levels needs."""
    probability, _ = _cells(law, quantizer.thresholds)
    return float(special.entr(probability).sum() / np.log(2))


def zero_fraction(law: Distribution, quantizer: Quantizer) -> float:
    """Probability that an entry is quantized to zero."""
    probability, _ = _cells(law, quantizer.thresholds)
    return float(probability[np.asarray(quantizer.levels) == 0].sum())


def lloyd_max(law: Distribution, k: int, *, max_iterations: int = 100_000) -> Quantizer:
    """The k-level quantizer of least mean squared error (Lloyd 1982, Max 1960).

    Alternates the two conditions that it must satisfy, with exact conditional means: every level
    is the centroid of its cell, every threshold the midpoint of its two levels. The solution is
    unique and optimal for a density whose logarithm is concave (Kieffer 1983), such as the uniform,
    the Gaussian and the Laplace one; for others it is a stationary point. Least error is least
    angle too, for a quantizer with scaled levels: cos² = 1 − D, see :func:`distortion`.

    Parameters
    ----------
    law : Distribution
    k : int
        Number of levels, at least 1.
    max_iterations : int

    Raises
    ------
    ValueError
        If k < 1, or a cell is empty because the law has a gap where it lies.
    ArithmeticError
        If the levels still move after the last iteration.
    """
    if k < 1:
        raise ValueError(f"A quantizer needs at least 1 level, not {k}.")
    scale = np.sqrt(law.m2)
    # thresholds inside ±σ, which no symmetric law's support lies within: no cell starts empty
    levels = scale * (k - 1) / k * np.linspace(-1, 1, k) if k > 1 else np.zeros(1)
    for _ in range(max_iterations):
        thresholds = tuple((levels[1:] + levels[:-1]) / 2)
        probability, mean = _cells(law, thresholds)
        if not np.all(probability > 0):
            raise ValueError(f"One of {k} cells is empty: entries {law.name} need fewer levels.")
        centroids = mean / probability
        centroids = (centroids - centroids[::-1]) / 2  # symmetric, as the law is
        moved = np.max(np.abs(centroids - levels))
        levels = centroids
        if moved <= 1e-13 * scale:
            thresholds = tuple(((levels[1:] + levels[:-1]) / 2).tolist())
            return Quantizer(thresholds, tuple(levels.tolist()))
    raise ArithmeticError(f"{k} levels have not converged after {max_iterations} iterations.")


def best_ternary(law: Distribution) -> Quantizer:
    """The ternary quantizer with the smallest angle.

    Where the derivative of the angle vanishes, the threshold is half the mean of the entries that
    pass it: the condition of the three-level Lloyd–Max quantizer, whose thresholds these are.
    """
    return ternary(lloyd_max(law, 3).thresholds[1])


def rate_distortion_angle(bits: float) -> float:
    """Smallest angle in degrees that any code reaches with so many bits per entry, n → ∞.

    For Gaussian entries the distortion is at least D = 2^(−2R) at R bits (Cover and Thomas 2006,
    section 10.3), so that the angle is at least arcsin 2^(−R). The same follows from
    geometry: caps of that angle about 2^(nR) directions are the smallest that can cover the sphere.

    Raises
    ------
    ValueError
        If the number of bits is negative.
    """
    if not bits >= 0:
        raise ValueError(f"The number of bits must be at least 0, not {bits}.")
    return float(np.degrees(np.arcsin(2.0**-bits)))


def sample_cosines(
    law: Distribution,
    quantizer: Callable[[Floats], Floats],
    n: int,
    samples: int,
    generator: np.random.Generator,
) -> Floats:
    """Draw random vectors and measure the cosine between each and its quantization.

    The result depends on the generator's state alone, not on the chunk size.

    Parameters
    ----------
    law : Distribution
    quantizer : callable
        A :class:`Quantizer`, or any function of an array of shape (vectors, n) that returns one.
    n : int
        Dimension, at least 1.
    samples : int
        Number of vectors, at least 1.
    generator : numpy.random.Generator
        Source of all random numbers.

    Returns
    -------
    ndarray, shape (samples,)

    Raises
    ------
    ValueError
        If n or samples is less than 1, or a vector is quantized to zero and has no direction.
    """
    if n < 1 or samples < 1:
        raise ValueError(f"n = {n} and samples = {samples} must both be at least 1.")
    cosine = np.empty(samples)
    rows = max(1, CHUNK_VALUES // n)
    for start in range(0, samples, rows):
        stop = min(samples, start + rows)
        w = law.draw(generator, (stop - start, n))
        q = quantizer(w)
        norm = np.sqrt(np.einsum("ij,ij->i", w, w) * np.einsum("ij,ij->i", q, q))
        if not np.all(norm > 0):
            raise ValueError(f"A vector of {n} entries is quantized to zero: it has no direction.")
        cosine[start:stop] = np.einsum("ij,ij->i", w, q) / norm
    return np.clip(cosine, -1.0, 1.0)


def angle_of_mean(cosines: Floats) -> tuple[float, float]:
    """Angle of the mean of independent cosines and its standard error, both in degrees.

    Unlike the mean angle it can be compared with an exact mean cosine. The error is that of the
    mean divided by the sine (delta method).

    Parameters
    ----------
    cosines : ndarray, shape (samples,)

    Raises
    ------
    ValueError
        If there are fewer than two: one value has no spread.
    """
    if len(cosines) < 2:
        raise ValueError("One sample has no spread: draw at least 2.")
    mean = min(1.0, max(-1.0, float(np.mean(cosines))))
    error = float(np.std(cosines, ddof=1) / np.sqrt(len(cosines)))
    sine = np.sqrt(1 - mean * mean)
    return float(np.degrees(np.arccos(mean))), float(np.degrees(error / sine)) if error else 0.0
