"""Angles between vectors, and their Monte Carlo laws."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bnn_geometry.geometry.binarized_angle import angle_sd, mean_angle
from bnn_geometry.geometry.cosine_moments import cosine_sd, mean_cosine
from bnn_geometry.geometry.distributions import Distribution
from bnn_geometry.geometry.pair_angle import pair_angle_sd, pair_cosine_sd

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


def _spread(values: NDArray[np.float64]) -> tuple[float, float]:
    # Standard deviation, and its standard error from the fourth moment (no normality assumed).
    centred = values - values.mean()
    variance = np.mean(centred**2)
    if variance == 0:
        return 0.0, 0.0
    fourth = np.mean(centred**4)
    error = np.sqrt(max(fourth - variance**2, 0) / (4 * variance * len(values)))
    return float(np.sqrt(variance)), float(error)


def summarize(sample: AngleSample) -> dict[str, float]:
    """Moments of a sample beside what theory says they are.

    Four quantities: ``cosine`` and ``angle`` (degrees) between w and bin(w), ``pair`` (cosine) and
    ``pair_angle`` (degrees) between two random vectors.

    Returns
    -------
    dict
        ``n``. For each quantity q its mean ``q`` and standard deviation ``q_sd``, their standard
        errors ``q_se`` and ``q_sd_se`` (the latter from the fourth moment), their theory
        ``q_theory`` and ``q_sd_theory``, and the residuals ``q_z`` and ``q_sd_z``, simulation minus
        theory in units of the standard error.

    Raises
    ------
    ValueError
        If the sample has fewer than two pairs.
    """
    if len(sample.binarized) < 2:
        raise ValueError("One sample has no spread: draw at least 2.")
    law, n = sample.law, sample.n
    quantities = {
        "cosine": (sample.binarized, mean_cosine(law, n), cosine_sd(law, n)),
        "angle": (sample.binarized_angle, mean_angle(law, n), angle_sd(law, n)),
        "pair": (sample.pairs, 0.0, pair_cosine_sd(n)),
        "pair_angle": (sample.pair_angle, 90.0, pair_angle_sd(n, law)),
    }
    row: dict[str, float] = {"n": n}
    for name, (values, mean, sd) in quantities.items():
        spread, error = _spread(values)
        estimates = (
            (name, float(values.mean()), spread / np.sqrt(len(values)), mean),
            (f"{name}_sd", spread, error, sd),
        )
        for key, value, standard_error, expected in estimates:
            row |= {
                key: value,
                f"{key}_se": float(standard_error),
                f"{key}_theory": expected,
                f"{key}_z": _residual(value - expected, standard_error),
            }
    return row


def _residual(difference: float, error: float) -> float:
    # A quantity without spread, such as every angle at n = 1, differs by rounding at most.
    if error > 0:
        return float(difference / error)
    return 0.0 if abs(difference) < 1e-9 else float(np.copysign(np.inf, difference))


def log_slope(x: ArrayLike, y: ArrayLike) -> float:
    """Slope of log y against log x, by least squares; x and y positive, shape (points,).

    For points with known errors see :func:`fit_log_slope`.
    """
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def fit_log_slope(x: ArrayLike, y: ArrayLike, error: ArrayLike) -> tuple[float, float]:
    r"""Slope of log y against log x and its standard error.

    Weighted least squares with weights :math:`(y/\sigma_y)^2`, the inverse variances of log y. The
    standard error is that of points which lie on a line but for errors of the given size; it is
    not rescaled by the scatter seen.

    Parameters
    ----------
    x, y : array_like, shape (points,)
        Positive.
    error : array_like, shape (points,)
        Standard errors of y, positive.

    Returns
    -------
    slope, standard_error : float

    Raises
    ------
    ValueError
        If a number is not positive and finite, or fewer than two x differ.
    """
    x, y, error = (np.asarray(values, dtype=np.float64) for values in (x, y, error))
    if not (x.shape == y.shape == error.shape and x.ndim == 1):
        raise ValueError(f"x, y and error have shapes {x.shape}, {y.shape}, {error.shape}.")
    if not all(np.all(np.isfinite(values) & (values > 0)) for values in (x, y, error)):
        raise ValueError("A power law needs x, y and errors that are positive and finite.")
    if len(np.unique(x)) < 2:
        raise ValueError("A slope needs at least two different x.")
    weight = (y / error) ** 2
    log_x, log_y = np.log(x), np.log(y)
    centred = log_x - np.average(log_x, weights=weight)
    precision = np.sum(weight * centred**2)
    return float(np.sum(weight * centred * log_y) / precision), float(precision**-0.5)
