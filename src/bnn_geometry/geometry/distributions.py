r"""Distributions of one entry of a random vector: moments, tails, and how entries are drawn.

Moments :math:`m_k = E|w|^k` are those of one entry; entries are independent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

Floats = NDArray[np.float64]


def check_dimension(n: int, least: int = 1) -> None:
    """Raise ValueError where a dimension is less than it may be."""
    if n < least:
        raise ValueError(f"The dimension n must be at least {least}, not {n}.")


@dataclass(frozen=True, eq=False)
class Distribution:
    r"""The distribution of one entry of a random vector; entries are independent.

    Those named here are symmetric about zero. What is said of a vector and its binarization
    depends on \|w\| alone and holds without the symmetry; what is said of two vectors does not.

    Attributes
    ----------
    name : str
        As it is written in titles.
    m1, m2, m3, m4 : float
        Absolute moments :math:`E|w|^k`; infinite where the tail is too heavy.
    magnitudes, weights : ndarray, shape (nodes,)
        Values of \|w\| > 0 and their probabilities: :math:`Ef(|w|) = f(0)P(w=0) + \sum_i p_i
        f(|w_i|)`. For a continuous one they are the nodes of a quadrature, to rounding exact for
        the f that :meth:`laplace` needs.
    fill : callable
        ``fill(generator, out)`` fills a float64 array with independent entries.
    zero : float
        P(w = 0). A zero vector has no direction: where the probability is positive, everything
        here is conditional on a vector that is not zero.
    tail, tail_mean : callable, optional
        P(w > t) and E[w; w > t], the expectation of w where w > t and of 0 elsewhere, for an array
        of t ≥ 0: what :mod:`bnn_geometry.geometry.quantizers` needs of a distribution with a
        density that is symmetric about zero.
    sampler : callable, optional
        ``sampler(generator, shape)`` returns entries for :meth:`draw`; by default ``fill`` does.
    """

    name: str
    m1: float
    m2: float
    m3: float
    m4: float
    magnitudes: Floats = field(repr=False)
    weights: Floats = field(repr=False)
    fill: Callable[[np.random.Generator, Floats], None] = field(repr=False)
    zero: float = 0.0
    tail: Callable[[Floats], Floats] | None = field(default=None, repr=False)
    tail_mean: Callable[[Floats], Floats] | None = field(default=None, repr=False)
    sampler: Callable[[np.random.Generator, tuple[int, ...]], Floats] | None = field(
        default=None, repr=False
    )

    @property
    def constant(self) -> bool:
        """Whether all entries have the same magnitude: the vector is its own binarization."""
        return self.zero == 0 and len(self.magnitudes) == 1

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...]) -> Floats:
        """Independent entries in a new array of the given shape."""
        if self.sampler is not None:
            return self.sampler(generator, shape)
        out = np.empty(shape)
        self.fill(generator, out)
        return out

    def laplace(self, t: ArrayLike, order: int = 2) -> tuple[Floats, Floats]:
        r"""Transforms of the distribution from which all moments of the cosine follow.

        Parameters
        ----------
        t : array_like, shape (points,)
            Positive; from far below to far above :math:`1/E w^2`.
        order : int
            Highest k.

        Returns
        -------
        log_b : ndarray, shape (points,)
            :math:`\log E e^{-tw^2}`, with all its digits also where it is next to zero, since it
            will be multiplied by the dimension.
        tilted : ndarray, shape (order, points)
            :math:`E|w|^k e^{-tw^2}/E e^{-tw^2}` for k = 1 … order.
        """
        exponent = np.multiply.outer(np.asarray(t, dtype=np.float64), self.magnitudes**2)
        lost = -np.expm1(-exponent) @ self.weights  # 1 − E exp(−t w²)
        # Relative to the largest term, which for huge t would underflow with the others.
        least = np.zeros(len(exponent)) if self.zero else exponent.min(axis=1)
        decay = np.exp(least[:, None] - exponent)
        total = self.zero + decay @ self.weights
        log_b = np.where(lost < 0.5, np.log1p(-np.minimum(lost, 0.5)), np.log(total) - least)
        powers = self.magnitudes ** np.arange(1, order + 1)[:, None] * self.weights
        return log_b, powers @ decay.T / total


def _quadrature(
    density: Callable[[Floats], Floats], top: int, octaves: int = 64
) -> tuple[Floats, Floats]:
    # Gauss–Legendre on (2^(top−1), 2^top), the octave below, …, and the last one down to 0: an
    # integrand with the factor exp(−t w²) is resolved on whatever scale t puts it.
    x, p = np.polynomial.legendre.leggauss(16)
    high = 2.0 ** (top - np.arange(octaves))[:, None]
    low = np.where(np.arange(octaves)[:, None] < octaves - 1, high / 2, 0.0)
    nodes = (high + low) / 2 + (high - low) / 2 * x
    weights = (high - low) / 2 * p * density(nodes)
    seen = weights > 0
    return nodes[seen], weights[seen]


def _fill_uniform(generator: np.random.Generator, out: Floats) -> None:
    generator.random(out=out)
    out *= 2
    out -= 1


def _fill_gaussian(generator: np.random.Generator, out: Floats) -> None:
    generator.standard_normal(out=out)


def _fill_signs(generator: np.random.Generator, out: Floats) -> None:
    bits = np.frombuffer(generator.bytes(-(-out.size // 8)), dtype=np.uint8)
    np.multiply(np.unpackbits(bits, count=out.size).reshape(out.shape), 2.0, out=out)
    out -= 1


def _fill_laplace(generator: np.random.Generator, out: Floats) -> None:
    generator.standard_exponential(out=out)
    out -= generator.standard_exponential(out.shape)


UNIFORM = Distribution(
    "uniform on [−1, 1]",
    1 / 2,
    1 / 3,
    1 / 4,
    1 / 5,
    *_quadrature(np.ones_like, 0),
    _fill_uniform,
    tail=lambda t: np.maximum(1 - t, 0) / 2,
    tail_mean=lambda t: np.maximum(1 - t * t, 0) / 4,
)
"""Entries uniform on [−1, 1], those of the paper's Figure 2 (clipped latent weights)."""

_GAUSSIAN_NODES = _quadrature(lambda w: np.sqrt(2 / np.pi) * np.exp(-w * w / 2), 4)

GAUSSIAN = Distribution(
    "standard Gaussian",
    float(np.sqrt(2 / np.pi)),
    1.0,
    float(2 * np.sqrt(2 / np.pi)),
    3.0,
    *_GAUSSIAN_NODES,
    _fill_gaussian,
    tail=lambda t: special.ndtr(-t),
    tail_mean=lambda t: np.exp(-t * t / 2) / np.sqrt(2 * np.pi),
)
"""Standard Gaussian entries; the direction of the vector is uniform on the sphere."""

LAPLACE = Distribution(
    "Laplace",
    1.0,
    2.0,
    6.0,
    24.0,
    *_quadrature(lambda w: np.exp(-w), 6),
    _fill_laplace,
    tail=lambda t: np.exp(-t) / 2,
    tail_mean=lambda t: (1 + t) * np.exp(-t) / 2,
    # other bits than those of fill: numbers on pages have been drawn in both ways
    sampler=lambda generator, shape: generator.laplace(size=shape),
)
"""Entries with density exp(−\\|w\\|)/2, more small and more large ones than a Gaussian vector has:
a limit of exactly 45°."""

SIGNS = Distribution("±1", 1.0, 1.0, 1.0, 1.0, np.ones(1), np.ones(1), _fill_signs)
"""Entries +1 or −1 with equal probability, the vectors of hyperdimensional computing."""


@lru_cache(maxsize=64)
def student_t(df: float) -> Distribution:
    r"""Entries with Student's t distribution.

    :math:`m_k = \nu^{k/2}\,\Gamma(\frac{k+1}2)\Gamma(\frac{\nu-k}2)/(\sqrt\pi\,\Gamma(\frac\nu2))`
    for k < ν and infinite otherwise. With ν ≤ 2 the limit of the cosine is 0, of the angle 90°.

    Parameters
    ----------
    df : float
        Degrees of freedom ν, more than 1: below, \|w\| has no mean.
    """
    if not (1 < df < np.inf):
        raise ValueError(
            f"Student's t needs more than 1 and finitely many degrees of freedom: {df}."
        )

    def moment(k: int) -> float:
        if k >= df:
            return np.inf
        log_ratio = special.gammaln((df - k) / 2) - special.gammaln(df / 2)
        return float(
            np.exp(k / 2 * np.log(df) + log_ratio) * special.gamma((k + 1) / 2) / np.sqrt(np.pi)
        )

    def fill(generator: np.random.Generator, out: Floats) -> None:
        out[...] = generator.standard_t(df, out.shape)

    nodes = _quadrature(lambda w: 2 * stats.t.pdf(w, df), 80, 144)
    return Distribution(
        f"Student t, {df:g} degrees of freedom", *map(moment, range(1, 5)), *nodes, fill
    )


@lru_cache(maxsize=64)
def sparse(density: float) -> Distribution:
    """Entries standard Gaussian with the given probability, otherwise zero.

    The limit of the cosine is √(2·density/π): the angle tends to 90° as the density tends to 0.
    Vectors that are zero are left out.

    Parameters
    ----------
    density : float
        Probability that an entry is not zero, in (0, 1].
    """
    if not (0 < density <= 1):
        raise ValueError(f"The density of a sparse vector must lie in (0, 1], not {density}.")

    def fill(generator: np.random.Generator, out: Floats) -> None:
        generator.standard_normal(out=out)
        out *= generator.random(out.shape) < density

    nodes, weights = _GAUSSIAN_NODES
    moments = (density * m for m in (GAUSSIAN.m1, GAUSSIAN.m2, GAUSSIAN.m3, GAUSSIAN.m4))
    name = f"Gaussian, {100 * density:g} % not zero"
    return Distribution(name, *moments, nodes, density * weights, fill, zero=1 - density)


def empirical(values: ArrayLike, name: str = "drawn from data") -> Distribution:
    r"""The distribution of an entry drawn at random, with replacement, from given values.

    ``limit_angle(empirical(w))`` is the limit that the weights w themselves suggest:
    :math:`\arccos(\mathrm{mean}|w|/\sqrt{\mathrm{mean}\,w^2})`, which is also the angle between the
    one vector w and its binarization. The time of the exact moments grows with the number of
    different magnitudes: about two seconds for a million and one dimension.

    Parameters
    ----------
    values : array_like, shape (entries,)
        For instance the trained weights of a layer, flattened.
    name : str
        As it is written in titles.

    Raises
    ------
    ValueError
        If there are no values, one is not finite, all are zero, or they are not one-dimensional.
    """
    values = np.array(values, dtype=np.float64)
    if values.ndim != 1 or values.size == 0:
        raise ValueError(
            f"A distribution needs a one-dimensional array of values, not {values.shape}."
        )
    if not np.all(np.isfinite(values)):
        raise ValueError("Values must be finite: one is infinite or NaN.")
    magnitudes, counts = np.unique(np.abs(values), return_counts=True)
    if magnitudes[-1] == 0:
        raise ValueError("All values are zero: a zero vector has no direction.")
    if not (1e-20 < magnitudes[-1] < 1e20):  # high powers of it would leave the range of floats
        raise ValueError(
            f"The largest magnitude is {magnitudes[-1]:g}: scale the values to near 1."
        )
    weights = counts / values.size
    moments = (float(weights @ magnitudes**k) for k in range(1, 5))

    def fill(generator: np.random.Generator, out: Floats) -> None:
        np.take(values, generator.integers(0, values.size, out.shape), out=out)

    zero = float(weights[0]) if magnitudes[0] == 0 else 0.0
    first = int(zero > 0)
    return Distribution(name, *moments, magnitudes[first:], weights[first:], fill, zero)
