"""Angles between vectors, and their Monte Carlo laws."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bnn_geometry.geometry.binarized_angle import angle_sd, mean_angle
from bnn_geometry.geometry.cosine_moments import cosine_kurtosis, cosine_sd, mean_cosine
from bnn_geometry.geometry.distributions import Distribution

BLOCK_VALUES = 1 << 16
"""Random numbers of one block of rows: a vector's worth of 512 KiB stays in the cache.

Each block has a stream of its own, so this number is part of what a seed means.
"""


def angle(u: ArrayLike, v: ArrayLike) -> NDArray[np.float64]:
    r"""Angle in degrees between vectors along the last axis, computed in float64.

    From the chord of the unit vectors, :math:`\tan\frac\theta2 = \|u - v\|/\|u + v\|` (Kahan 2006,
    “Mangled Angles”): the error is of the order of 1e-14 degrees, next to 0 and 180 as elsewhere.

    Parameters
    ----------
    u, v : array_like, shape (..., n)
        Broadcast against each other.

    Returns
    -------
    ndarray, shape (...)
        In [0, 180].

    Raises
    ------
    ValueError
        If a vector is zero or not finite: it has no direction. If the dimensions differ.
    """
    u = np.asarray(u, dtype=np.float64)
    v = np.asarray(v, dtype=np.float64)
    if u.shape[-1:] != v.shape[-1:]:  # one of 1 would broadcast
        raise ValueError(f"Vectors of shapes {u.shape} and {v.shape} differ in dimension.")
    u, v = (_unit(w) for w in (u, v))
    # the arccosine of a cosine next to ±1 would have lost half of the digits
    chord, opposite = (np.linalg.norm(w, axis=-1) for w in (u - v, u + v))
    return np.degrees(2 * np.arctan2(chord, opposite))


def _unit(v: NDArray[np.float64]) -> NDArray[np.float64]:
    norm = np.linalg.norm(v, axis=-1, keepdims=True)
    if not np.all(np.isfinite(norm) & (norm > 0)):
        raise ValueError("A zero vector, or one with an infinite or NaN entry, has no direction.")
    return v / norm


def binarization_cosine(x: ArrayLike) -> NDArray[np.float64]:
    r"""Cosine between x and bin(x): :math:`\|x\|_1/(\sqrt n\,\|x\|_2)`.

    Parameters
    ----------
    x : array_like, shape (..., n)

    Returns
    -------
    ndarray, shape (...)

    Raises
    ------
    ValueError
        If a vector has no entries, or is zero or not finite: it has no direction.
    """
    x = np.asarray(x, dtype=np.float64)
    if x.ndim == 0 or x.shape[-1] == 0:
        raise ValueError("A vector needs at least one entry.")
    norm = np.linalg.norm(x, axis=-1)
    if not np.all(np.isfinite(norm) & (norm > 0)):
        raise ValueError("A zero vector, or one with an infinite or NaN entry, has no direction.")
    return np.minimum(np.abs(x).sum(axis=-1) / (np.sqrt(x.shape[-1]) * norm), 1.0)


def nearest_binary_angle(v: ArrayLike) -> NDArray[np.float64]:
    r"""Angle in degrees between each vector and the nearest of the 2ⁿ binary ones.

    :math:`\cos = \|v\|_1/(\sqrt n\,\|v\|_2)`: none is nearer than bin(v), which makes every
    term of the dot product positive. A zero entry may have either sign. For the largest and the
    typical value see :func:`~bnn_geometry.geometry.binarized_angle.worst_binary_angle` and, for
    Gaussian entries, :func:`~bnn_geometry.geometry.binarized_angle.mean_angle`.

    Parameters
    ----------
    v : array_like, shape (..., n)

    Returns
    -------
    ndarray, shape (...)

    Raises
    ------
    ValueError
        If a vector has no entries, is zero or not finite.
    """
    return np.degrees(np.arccos(binarization_cosine(v)))


@dataclass(frozen=True)
class AngleSample:
    """Monte Carlo angles in one dimension.

    Attributes
    ----------
    n : int
        Dimension of the vectors.
    law : Distribution
        Law of one entry.
    binarized : ndarray, shape (samples,)
        Cosine between each vector u and bin(u).
    pairs : ndarray, shape (samples,)
        Cosine between u and an independent v of the same law.
    """

    n: int
    law: Distribution
    binarized: NDArray[np.float64]
    pairs: NDArray[np.float64]

    @property
    def binarized_angle(self) -> NDArray[np.float64]:
        """Angle between u and bin(u), degrees, shape (samples,)."""
        return np.degrees(np.arccos(self.binarized))

    @property
    def pair_angle(self) -> NDArray[np.float64]:
        """Angle between u and v, degrees, shape (samples,)."""
        return np.degrees(np.arccos(self.pairs))


def available_cores() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def sample_angles(
    n: int,
    samples: int,
    law: Distribution,
    generator: np.random.Generator,
    *,
    workers: int | None = None,
) -> AngleSample:
    """Draw pairs of random vectors and measure both angles of the paper's Figure 2.

    Every number of every vector is drawn, in float64. The result depends on the generator's seed
    sequence and on how often it has been spawned from, on nothing else: the rows form blocks of
    fixed size, each with a stream of its own (SFC64) spawned from the generator, and threads share
    the blocks. Memory is a megabyte per thread, whatever the dimension, besides the result.

    Parameters
    ----------
    n : int
        Dimension, at least 1.
    samples : int
        Number of pairs, at least 1.
    law : Distribution
        Any law of :mod:`bnn_geometry.geometry.distributions`. Vectors that happen to be zero are
        drawn again.
    generator : numpy.random.Generator
        Source of all random numbers.
    workers : int, optional
        Number of threads; all available cores by default.

    Raises
    ------
    ValueError
        If n, samples or workers is less than 1, or more than nine vectors in ten are zero.
    """
    if n < 1 or samples < 1:
        raise ValueError(f"n = {n} and samples = {samples} must both be at least 1.")
    if workers is not None and workers < 1:
        raise ValueError(f"There must be at least 1 worker, not {workers}.")
    if law.zero**n > 0.9:
        raise ValueError(
            f"{100 * law.zero**n:.3g} % of the vectors of {n} entries ({law.name}) are zero and "
            "have no direction: choose a larger n or a denser law."
        )
    (root,) = generator.bit_generator.seed_seq.spawn(1)
    rows = max(1, BLOCK_VALUES // n)
    blocks = -(-samples // rows)
    workers = min(workers or available_cores(), blocks)
    binarized = np.empty(samples)
    pairs = np.empty(samples)

    def work(first: int) -> None:
        buffers = np.empty((2, min(rows * n, BLOCK_VALUES)))
        for block in range(first, blocks, workers):
            # what root.spawn would give, without holding all of them
            seed = np.random.SeedSequence(root.entropy, spawn_key=(*root.spawn_key, block))
            stream = np.random.Generator(np.random.SFC64(seed))
            part = slice(block * rows, min(samples, (block + 1) * rows))
            sums = _sums(law, n, part.stop - part.start, stream, buffers)
            while np.any(again := (sums[0] == 0) | (sums[1] == 0)):
                sums[:, again] = _sums(law, n, int(again.sum()), stream, buffers)
            uu, vv, uv, absolute = sums
            # u·bin(u) = Σ|uᵢ| and ‖bin(u)‖ = √n
            binarized[part] = absolute / np.sqrt(uu * n)
            pairs[part] = uv / (np.sqrt(uu) * np.sqrt(vv))

    with ThreadPoolExecutor(workers) as pool:  # NumPy draws and multiplies without the GIL
        list(pool.map(work, range(workers)))
    return AngleSample(n, law, np.clip(binarized, -1, 1), np.clip(pairs, -1, 1))


def _sums(
    law: Distribution,
    n: int,
    rows: int,
    generator: np.random.Generator,
    buffers: NDArray[np.float64],
) -> NDArray[np.float64]:
    # Σu², Σv², Σuv and Σ|u| of new pairs, shape (4, rows). Long vectors pass through the buffers
    # in pieces. einsum, not BLAS: its sums do not depend on the number of BLAS threads.
    sums = np.zeros((4, rows))
    columns = min(n, buffers.shape[1])
    for start in range(0, n, columns):
        width = min(columns, n - start)
        u, v = (buffer[: rows * width].reshape(rows, width) for buffer in buffers)
        law.fill(generator, u)
        law.fill(generator, v)
        sums[0] += np.einsum("ij,ij->i", u, u)
        sums[1] += np.einsum("ij,ij->i", v, v)
        sums[2] += np.einsum("ij,ij->i", u, v)
        sums[3] += np.einsum("ij->i", np.abs(u, out=u))
    return sums


def summarize(sample: AngleSample) -> dict[str, float]:
    """The angle between w and bin(w) in a sample, beside what theory says of it.

    Standard errors are those of the theory, not estimates from the sample: few vectors are drawn in
    high dimension, and their own fourth moment is too rough an estimate of the error of a spread.

    Returns
    -------
    dict
        ``n``; the means ``cosine`` and ``angle`` (degrees) and the standard deviation ``angle_sd``,
        and for each of these its standard error ``_se`` and its theory ``_theory``. The error of
        ``angle_sd`` takes the kurtosis of the angle for that of the cosine, which holds from n = 10
        on.

    Raises
    ------
    ValueError
        If the sample has fewer than two pairs.
    """
    size = len(sample.binarized)
    if size < 2:
        raise ValueError("One sample has no spread: draw at least 2.")
    law, n = sample.law, sample.n
    sd = angle_sd(law, n)
    angle = sample.binarized_angle
    rows = {
        "cosine": (sample.binarized.mean(), cosine_sd(law, n) / np.sqrt(size), mean_cosine(law, n)),
        "angle": (angle.mean(), sd / np.sqrt(size), mean_angle(law, n)),
        "angle_sd": (angle.std(), sd * np.sqrt((cosine_kurtosis(law, n) - 1) / (4 * size)), sd),
    }
    table = {"n": n}
    for name, values in rows.items():
        table |= dict(zip((name, f"{name}_se", f"{name}_theory"), map(float, values), strict=True))
    return table
