r"""How many directions are almost orthogonal (Kanerva 2009).

Two random ±1 vectors with n entries differ in H ~ Binomial(n, ½) places, their Hamming distance,
and the cosine between them is 1 − 2H/n. From this law follow how seldom two of them are far from
orthogonal, how many fit before some two are, and how far from orthogonal N vectors of any kind must
be. Such probabilities and numbers leave the range of a double, so logarithms are natural and
named so.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from bnn_geometry.geometry.distributions import check_dimension

BLOCK = 512
"""Vectors whose dot products are taken at once: 1 MiB of them, in float32."""

EXACT_SUM = 1 << 24
"""Whole numbers up to here are exact in float32, and so is a dot product of that many signs."""

MAX_ORDERS = 1 << 20
"""Orders of the Welch bound that are tried at most."""


def hamming_sd(n: int) -> float:
    """Standard deviation of the Hamming distance of two random ±1 vectors: √n/2, exact."""
    check_dimension(n)
    return float(np.sqrt(n) / 2)


def hamming_tail(n: int, low: float, high: float) -> float:
    """P(H < low or H > high) for the Hamming distance H of two random ±1 vectors. Exact.

    Parameters
    ----------
    n : int
        Number of entries.
    low, high : float
        The range that does not count, ends included.

    Raises
    ------
    ValueError
        If n < 1 or low > high.
    """
    check_dimension(n)
    if not low <= high:
        raise ValueError(f"The range from {low} to {high} is empty.")
    law = stats.binom(n, 0.5)
    return float(law.cdf(np.ceil(low) - 1) + law.sf(np.floor(high)))


def _log_tails(n: int) -> NDArray[np.float64]:
    # ln P(|cos| ≥ 1 − 2H/n) for H = 0, 1, … below n/2; the mirror image of H is n − H
    distance = np.arange((n + 1) // 2)
    return np.log(2) + np.logaddexp.accumulate(stats.binom.logpmf(distance, n, 0.5))


def log_cosine_tail(n: int, epsilon: ArrayLike) -> NDArray[np.float64]:
    r"""Natural logarithm of :math:`P(|\cos\angle(u, v)| > \epsilon)` for random ±1 vectors. Exact.

    A cosine that equals ε does not count. The binomial probabilities are summed by their
    logarithms, so that the result holds where the probability itself is no double: at n = 10,000
    and ε = ½ it is about :math:`10^{-570}`.

    Parameters
    ----------
    n : int
    epsilon : array_like
        In [0, 1).

    Returns
    -------
    ndarray, shape of ``epsilon``

    Raises
    ------
    ValueError
        If n < 1 or an ε is outside [0, 1).
    """
    check_dimension(n)
    epsilon = np.asarray(epsilon, dtype=np.float64)
    if not np.all((epsilon >= 0) & (epsilon < 1)):  # nor is NaN
        raise ValueError("The cosine that may not be exceeded must be at least 0 and below 1.")
    # the largest H with n − 2H > εn; what equals it but for rounding is not beyond it
    last = np.ceil((n - epsilon * n) / 2 - 1e-9 * n).astype(np.int64) - 1
    return np.where(last >= 0, _log_tails(n)[np.maximum(last, 0)], -np.inf)


def _log_count(log_pair: NDArray[np.float64], failure: float) -> NDArray[np.float64]:
    # ln of the N that solves N(N − 1)/2 · p = failure
    if not 0 < failure <= 1:
        raise ValueError(f"The probability of failure must be above 0, at most 1, not {failure}.")
    root = 0.5 * np.logaddexp(0.0, np.log(8 * failure) - log_pair)
    return np.logaddexp(0.0, root) - np.log(2)


def log_random_capacity(n: int, epsilon: ArrayLike, failure: float = 0.5) -> NDArray[np.float64]:
    r"""How many random ±1 vectors fit: ln N, from the union bound with the exact tail.

    N vectors have N(N − 1)/2 pairs, and some pair has :math:`|\cos| > \epsilon` with a probability
    of at most :math:`\frac{N(N-1)}2 P(|\cos| > \epsilon)`. N is the number at which this bound
    equals ``failure``; rounded down, that many random vectors are pairwise within ε of orthogonal
    with probability at least 1 − ``failure``.

    Parameters
    ----------
    n : int
    epsilon : array_like
        Largest cosine allowed, in [0, 1).
    failure : float
        In (0, 1].

    Returns
    -------
    ndarray, shape of ``epsilon``
        Natural logarithm of N.

    Raises
    ------
    ValueError
        If n < 1, or an argument is out of its range.
    """
    return _log_count(log_cosine_tail(n, epsilon), failure)


def log_hoeffding_capacity(
    n: ArrayLike, epsilon: ArrayLike, failure: float = 0.5
) -> NDArray[np.float64]:
    r"""The same with Hoeffding's inequality for the tail: ln N, about :math:`n\epsilon^2/4`.

    :math:`P(|\cos| > \epsilon) \le 2e^{-n\epsilon^2/2}` (Hoeffding 1963), so N is at least
    :math:`\sqrt{\mathrm{failure}}\,e^{n\epsilon^2/4}`: exponential in n, with less than
    :func:`log_random_capacity`.

    Parameters
    ----------
    n : array_like
    epsilon : array_like
        In [0, 1).
    failure : float
        In (0, 1].
    """
    n, epsilon = np.asarray(n, dtype=np.float64), np.asarray(epsilon, dtype=np.float64)
    if not (np.all(n >= 1) and np.all((epsilon >= 0) & (epsilon < 1))):
        raise ValueError("Need n ≥ 1, and a largest cosine that is at least 0 and below 1.")
    return _log_count(np.log(2) - n * epsilon**2 / 2, failure)


def _log_mean_power(n: int, orders: int) -> NDArray[np.float64]:
    # ln E(x·u)^2k for a unit vector x and u uniform on the sphere, k = 1 … orders:
    # the product of (2i − 1)/(n + 2i − 2) over i = 1 … k
    i = np.arange(1, orders + 1)
    return np.cumsum(np.log(2 * i - 1) - np.log(n + 2 * i - 2))


def welch_bound(count: ArrayLike, n: int, order: int = 1) -> NDArray[np.float64]:
    r"""No N unit vectors have all :math:`|\cos|` below this (Welch 1974; here for real vectors).

    With :math:`c_k = E(x\cdot u)^{2k} = \frac{1\cdot3\cdots(2k-1)}{n(n+2)\cdots(n+2k-2)}` over u
    uniform on the sphere, any N unit vectors satisfy :math:`\sum_{ij}(x_i\cdot x_j)^{2k} \ge
    N^2c_k`. For let :math:`T = \frac1N\sum_i x_i^{\otimes2k}` and :math:`M = E u^{\otimes2k}`: then
    :math:`T\cdot M = M\cdot M = c_k`, and Cauchy and Schwarz give :math:`T\cdot T \ge c_k`. N terms
    of the sum are 1, so the largest of the others is at least

    .. math:: \max_{i\ne j}|x_i\cdot x_j| \ge \left(\frac{Nc_k - 1}{N - 1}\right)^{1/2k} ,

    for k = 1 :math:`\sqrt{(N-n)/(n(N-1))}`.

    Parameters
    ----------
    count : array_like
        N, at least 2.
    n : int
        Dimension, at least 1.
    order : int
        k, at least 1.

    Returns
    -------
    ndarray, shape of ``count``
        0 where the bound says nothing.

    Raises
    ------
    ValueError
        If an argument is too small.
    """
    check_dimension(n)
    count = np.asarray(count, dtype=np.float64)
    if not (np.all(count >= 2) and order >= 1):
        raise ValueError("Need at least two vectors, and an order of at least 1.")
    i = np.arange(1, order + 1)
    inverse = np.prod((n + 2 * i - 2) / (2 * i - 1))  # 1/c_k, and for k = 1 exactly n
    excess = np.maximum(count - inverse, 0.0) / (inverse * (count - 1))
    return excess ** (1 / (2 * order))


def log_welch_capacity(n: int, epsilon: float) -> float:
    r"""How many unit vectors of any kind can be within ε of orthogonal: ln of a bound on N.

    Of the bounds :math:`N \le (1 - \epsilon^{2k})/(c_k - \epsilon^{2k})`, which are those of
    :func:`welch_bound` solved for N, the smallest over all orders k for which it is positive. For ε
    = 0 it is n.

    Parameters
    ----------
    n : int
        At least 2.
    epsilon : float
        Largest cosine allowed, in [0, 1).

    Raises
    ------
    ValueError
        If n < 2, or ε is outside [0, 1) or so near 1 that the best order is in the millions.
    """
    if n < 2:
        raise ValueError(f"On a line any number of vectors is at 0°: need n ≥ 2, not {n}.")
    if not 0 <= epsilon < 1:
        raise ValueError(f"The largest cosine allowed must be at least 0 and below 1: {epsilon}.")
    if epsilon == 0:
        return float(np.log(n))
    orders, best = 64, -1
    while not 0 <= best < orders // 2:  # so far out that larger orders are seen to be worse
        orders *= 2
        if orders > MAX_ORDERS:
            raise ValueError(f"A cosine of {epsilon} is too near 1 in {n} dimensions for a bound.")
        mean = _log_mean_power(n, orders)
        largest = 2 * np.arange(1, orders + 1) * np.log(epsilon)
        positive = mean > largest
        gap = np.where(positive, largest - mean, -1.0)
        bounds = np.log(-np.expm1(largest)) - mean - np.log(-np.expm1(gap))
        bounds = np.where(positive, bounds, np.inf)
        best = int(np.argmin(bounds)) if positive.any() else -1
    return float(bounds[best])


def largest_cosines(n: int, count: int, generator: np.random.Generator) -> NDArray[np.float64]:
    r"""Largest :math:`|\cos|` among the first N of ``count`` random ±1 vectors, for every N.

    Dot products of signs are whole numbers and are summed exactly, so that the result is the same
    on every machine.

    Parameters
    ----------
    n : int
        Number of entries, at most 2²⁴.
    count : int
        Number of vectors, at least 2.
    generator : numpy.random.Generator
        Source of the vectors, which are held as ``count`` × n bytes.

    Returns
    -------
    ndarray, shape (count − 1,)
        For N = 2, 3, …, ``count``; it never falls.

    Raises
    ------
    ValueError
        If n or count is out of its range.
    """
    check_dimension(n)
    if count < 2 or n > EXACT_SUM:
        raise ValueError(f"Need two vectors or more, of at most 2²⁴ entries; not {count} of {n}.")
    vectors = 2 * generator.integers(0, 2, (count, n), dtype=np.int8) - 1
    largest = np.zeros(count, dtype=np.float32)  # of each vector with those before it
    for start in range(0, count, BLOCK):
        rows = vectors[start : start + BLOCK].astype(np.float32)
        for other in range(0, start + 1, BLOCK):
            columns = rows if other == start else vectors[other : other + BLOCK].astype(np.float32)
            products = np.abs(rows @ columns.T)
            if other == start:
                products = np.tril(products, -1)
            here = largest[start : start + BLOCK]
            np.maximum(here, products.max(axis=1), out=here)
    return np.maximum.accumulate(largest[1:].astype(np.float64)) / n


def largest_cosine_quantile(
    n: int, count: ArrayLike, probability: float = 0.5
) -> NDArray[np.float64]:
    r"""Quantile of the largest :math:`|\cos|` among N random ±1 vectors: Poisson approximation.

    The number of pairs with :math:`|\cos| > c` has mean :math:`\lambda = \frac{N(N-1)}2P(|\cos| >
    c)`, and :math:`P(\text{largest} \le c) \approx e^{-\lambda}`. Any two different pairs are
    independent, even where they share a vector; the Chen–Stein bound (Arratia, Goldstein and Gordon
    1989) therefore says that the approximation is off by less than :math:`8\lambda/N`.

    Parameters
    ----------
    n : int
    count : array_like
        N, at least 2.
    probability : float
        Of the quantile, in (0, 1).

    Returns
    -------
    ndarray, shape of ``count``
        A value that the cosine can take.

    Raises
    ------
    ValueError
        If an argument is out of its range.
    """
    check_dimension(n)
    count = np.asarray(count, dtype=np.float64)
    if not np.all(count >= 2) or not 0 < probability < 1:
        raise ValueError("Need at least two vectors, and a probability between 0 and 1.")
    log_pair = np.log(-np.log(probability)) - np.log(count * (count - 1) / 2)
    distance = np.searchsorted(_log_tails(n), log_pair, side="right")
    return 1 - 2 * np.minimum(distance, n // 2) / n


def bundle_cosine(members: int) -> float:
    r"""Mean cosine between a ±1 vector and the majority of an odd number m of them. Exact.

    A bundle of random vectors, entry by entry the sign of their sum, is how hyperdimensional
    computing stores a set (Kanerva 2009). Its cosine with each member has mean
    :math:`\binom{m-1}{(m-1)/2}2^{-(m-1)}`, about :math:`\sqrt{2/(\pi m)}`: an entry of the member
    decides where the other m − 1 are divided equally, and elsewhere agrees by chance.

    Raises
    ------
    ValueError
        If m is not odd and positive: an even number of votes can be a tie.
    """
    if members < 1 or members % 2 == 0:
        raise ValueError(f"A majority needs an odd number of vectors, not {members}.")
    return math.comb(members - 1, (members - 1) // 2) / 2 ** (members - 1)
