r"""Rotation before binarization: bin(Rw), rotated back, as an approximation of w.

A rotation changes no angle, so that the angle between w and :math:`R^T\mathrm{bin}(Rw)` is the one
between Rw and bin(Rw). What R can change is how evenly the vector spreads over its entries.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import integrate, special

from bnn_geometry.geometry.angles import binarization_cosine
from bnn_geometry.geometry.distributions import Floats, check_dimension


def next_power_of_two(n: int) -> int:
    """The smallest power of two that is at least n."""
    check_dimension(n)
    return 1 << (n - 1).bit_length()


def walsh_hadamard(x: ArrayLike) -> Floats:
    r"""Walsh–Hadamard transform of the last axis: orthogonal, symmetric, its own inverse.

    :math:`Hx/\sqrt n` with the entries ±1 of the matrix that Sylvester's construction builds from
    blocks, :math:`H_{2m} = [[H_m, H_m], [H_m, -H_m]]`; n log₂ n additions instead of n²
    multiplications.

    Parameters
    ----------
    x : array_like, shape (..., n)
        n a power of two.

    Raises
    ------
    ValueError
        If n is not a power of two.
    """
    x = np.array(x, dtype=np.float64)  # a copy, which is transformed in place
    n = x.shape[-1]
    if n < 1 or n & (n - 1):
        raise ValueError(f"n = {n} is not a power of two: append zeros to the vectors.")
    half = 1
    while half < n:
        pairs = x.reshape(*x.shape[:-1], n // (2 * half), 2, half)
        first, second = pairs[..., 0, :].copy(), pairs[..., 1, :]
        pairs[..., 0, :] += second
        pairs[..., 1, :] = first - second
        half *= 2
    return x / np.sqrt(n)


def randomized_hadamard(x: ArrayLike, generator: np.random.Generator) -> Floats:
    r"""Random signs, then the Walsh–Hadamard transform (Ailon and Chazelle 2009).

    Every vector gets signs of its own. Vectors whose dimension is no power of two are continued by
    zeros up to the next one, m; bin of the result has m entries. The signs matter: the transform
    alone takes vectors as flat as :math:`(1, \dots, 1)` to an axis.

    Parameters
    ----------
    x : array_like, shape (..., n)
    generator : numpy.random.Generator

    Returns
    -------
    ndarray, shape (..., m)
    """
    x = np.asarray(x, dtype=np.float64)
    m = next_power_of_two(x.shape[-1])
    padded = np.zeros((*x.shape[:-1], m))
    padded[..., : x.shape[-1]] = x
    return walsh_hadamard(padded * (2.0 * generator.integers(0, 2, padded.shape) - 1.0))


def exponential_scales(n: int, rate: float) -> Floats:
    """Standard deviations exp(rate (i − n/2)), i = 0 … n − 1, of the authors' code, shape (n,)."""
    check_dimension(n)
    return np.exp(rate * (np.arange(n) - n / 2))


def _check_scales(scales: ArrayLike) -> Floats:
    s = np.asarray(scales, dtype=np.float64)
    if s.ndim != 1 or not (np.all(np.isfinite(s)) and np.all(s >= 0) and np.any(s > 0)):
        raise ValueError("The scales must be a row of finite numbers, at least 0, not all 0.")
    return s / np.max(s)  # the angle knows no length


def _inverse_norm_mean(s: Floats, weight: Callable[[Floats], float]) -> float:
    # E[f(x)/‖x‖] for x_i = s_i z_i, from 1/‖x‖ = π^(−1/2) ∫ t^(−1/2) exp(−t‖x‖²) dt. Under the
    # factor exp(−t‖x‖²) the x_i are Gaussian again, of variance s_i²/(1 + 2 t s_i²), of which
    # weight is to give E f; their total mass is Π (1 + 2 t s_i²)^(−1/2).
    s = s / np.linalg.norm(s)

    def integrand(log_t: float) -> float:
        t = np.exp(log_t)
        growth = 1 + 2 * t * s * s
        return np.sqrt(t) * weight(s / np.sqrt(growth)) * np.exp(-0.5 * np.sum(np.log(growth)))

    # in log t it rises like t^(1/2) up to t ~ 1 and falls at least like t^(−1/2) from there
    value, _ = integrate.quad(
        integrand, -80, 80, points=[-8, 0, 8], epsabs=0, epsrel=1e-10, limit=500
    )
    return float(value / np.sqrt(np.pi))


def scaled_mean_cosine(scales: ArrayLike) -> float:
    r"""Exact mean of :math:`\cos\angle(x, \mathrm{bin}(x))` for Gaussian entries of unequal scale.

    For independent entries :math:`x_i = s_i z_i`, as in
    :func:`bnn_geometry.geometry.cosine_moments.mean_cosine`,

    .. math:: E\cos = \frac{\sqrt2}{\pi\sqrt n}\int_0^\infty t^{-1/2} \sum_i
       \frac{s_i}{\sqrt{1 + 2ts_i^2}}\; \prod_j \frac{1}{\sqrt{1 + 2ts_j^2}}\,dt .

    With n equal scales it is the mean cosine of a direction drawn uniformly, which is also the
    exact mean for *any* one vector after a Haar-random rotation. When many scales count it is
    close to :math:`\sqrt{2/\pi}\,\|s\|_1/(\sqrt n\,\|s\|_2)`.

    Parameters
    ----------
    scales : array_like, shape (n,)
        Standard deviations, none negative, not all zero.

    Raises
    ------
    ValueError
        If the scales are not such.
    """
    s = _check_scales(scales)
    mean = _inverse_norm_mean(s, lambda deviations: np.sqrt(2 / np.pi) * deviations.sum())
    return min(1.0, mean / np.sqrt(len(s)))


def hadamard_mean_cosine(scales: ArrayLike) -> float:
    r"""The same mean after random signs and a Hadamard transform; exact.

    Every entry of the transform is :math:`\sum_i \pm x_i/\sqrt m`, so that
    :math:`E\cos = E\,|\sum_i x_i| \,/\, \|x\|_2` for symmetric entries, in every dimension m of the
    transform (zeros appended or not):

    .. math:: E\cos = \frac{\sqrt2}{\pi}\int_0^\infty t^{-1/2}
       \Bigl(\sum_i \frac{s_i^2}{1 + 2ts_i^2}\Bigr)^{1/2}
       \prod_j \frac{1}{\sqrt{1 + 2ts_j^2}}\,dt .

    Parameters and exceptions as for :func:`scaled_mean_cosine`.
    """
    s = _check_scales(scales)
    mean = _inverse_norm_mean(s, lambda deviations: np.sqrt(2 / np.pi * np.sum(deviations**2)))
    return min(1.0, mean)


def rademacher_mean_cosine(k: int) -> float:
    r"""Exact mean cosine with bin after random signs and a Hadamard transform: k equal entries.

    Every entry of the transform is then a sum of k random signs over :math:`\sqrt n`, so that
    :math:`E\cos = E|\epsilon_1 + \dots + \epsilon_k|/\sqrt k`, whatever n is: 1 for one entry,
    :math:`1/\sqrt2` for two, the least that any vector can have (Szarek 1976), and
    :math:`\sqrt{2/\pi}` as k → ∞.

    Raises
    ------
    ValueError
        If k < 1.
    """
    if k < 1:
        raise ValueError(f"The number of entries must be at least 1, not {k}.")
    # E|S_{2m}| = E|S_{2m−1}| = 2 Γ(m + ½)/(√π Γ(m))
    return float(2 * special.poch((k + 1) // 2, 0.5) / np.sqrt(np.pi * k))


@dataclass(frozen=True)
class RotationSample:
    """Cosines between vectors and their binarizations, with and without rotation.

    Attributes
    ----------
    n : int
        Dimension of the vectors.
    plain : ndarray, shape (vectors,)
        Not rotated: cos∠(x, bin(x)).
    haar : ndarray, shape (rotations, vectors / rotations)
        Each row under one of the rotations.
    hadamard : ndarray, shape (vectors,)
        Each under random signs of its own and a Hadamard transform.
    """

    n: int
    plain: Floats
    haar: Floats
    hadamard: Floats


def sample_rotations(
    x: ArrayLike, rotations: ArrayLike, generator: np.random.Generator
) -> RotationSample:
    """Binarize vectors as they are, under given rotations, and after randomized Hadamard.

    Parameters
    ----------
    x : array_like, shape (vectors, n)
        The number of rotations divides that of the vectors.
    rotations : array_like, shape (rotations, n, n)
        Orthogonal matrices, such as Haar-random ones from ``scipy.stats.ortho_group``; each rotates
        an equal share of the vectors, the first one the first share.
    generator : numpy.random.Generator
        Of the random signs.

    Raises
    ------
    ValueError
        If the shapes do not fit or the vectors cannot be shared out equally.
    """
    x = np.asarray(x, dtype=np.float64)
    rotations = np.asarray(rotations, dtype=np.float64)
    if x.ndim != 2 or rotations.ndim != 3 or rotations.shape[1:] != (x.shape[-1],) * 2:
        raise ValueError(
            f"Vectors of shape {x.shape} and rotations of shape {rotations.shape} do not fit: "
            "pass (vectors, n) and (rotations, n, n)."
        )
    if not len(rotations) or not len(x) or len(x) % len(rotations):
        raise ValueError(f"{len(rotations)} rotations cannot share {len(x)} vectors equally.")
    shares = x.reshape(len(rotations), -1, x.shape[1])
    return RotationSample(
        x.shape[1],
        binarization_cosine(x),
        binarization_cosine(shares @ rotations.transpose(0, 2, 1)),
        binarization_cosine(randomized_hadamard(x, generator)),
    )
