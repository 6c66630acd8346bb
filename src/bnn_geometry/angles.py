"""Angles between vectors, and their Monte Carlo laws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bnn_geometry import theory

CHUNK_VALUES = 1 << 21
"""Random numbers held at once: 16 MiB of float64, so memory does not grow with samples × n."""

_DRAW: dict[str, Callable[[np.random.Generator, tuple[int, int]], NDArray[np.float64]]] = {
    theory.UNIFORM.name: lambda g, shape: g.uniform(-1.0, 1.0, shape),
    theory.GAUSSIAN.name: lambda g, shape: g.standard_normal(shape),
    theory.SIGNS.name: lambda g, shape: 2.0 * g.integers(0, 2, shape, dtype=np.int8) - 1.0,
}


def angle(u: ArrayLike, v: ArrayLike) -> NDArray[np.float64]:
    """Angle in degrees between vectors along the last axis, computed in float64.

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
    norm = np.linalg.norm(u, axis=-1) * np.linalg.norm(v, axis=-1)
    if not np.all(np.isfinite(norm) & (norm > 0)):
        raise ValueError("A zero vector, or one with an infinite or NaN entry, has no direction.")
    cosine = np.sum(u * v, axis=-1) / norm
    return np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))


@dataclass(frozen=True)
class AngleSample:
    """Monte Carlo angles in one dimension.

    Attributes
    ----------
    n : int
        Dimension of the vectors.
    law : EntryLaw
        Law of one entry.
    binarized : ndarray, shape (samples,)
        Cosine between each vector u and bin(u).
    pairs : ndarray, shape (samples,)
        Cosine between u and an independent v of the same law.
    """

    n: int
    law: theory.EntryLaw
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


def sample_angles(
    n: int, samples: int, law: theory.EntryLaw, generator: np.random.Generator
) -> AngleSample:
    """Draw pairs of random vectors and measure both angles of the paper's Figure 2.

    The result depends on the generator's state alone, not on the chunk size: u and v come from
    two streams spawned from it, each read row by row.

    Parameters
    ----------
    n : int
        Dimension, at least 1.
    samples : int
        Number of pairs, at least 1.
    law : EntryLaw
        :data:`bnn_geometry.theory.UNIFORM` or :data:`bnn_geometry.theory.GAUSSIAN`.
    generator : numpy.random.Generator
        Source of all random numbers.

    Raises
    ------
    ValueError
        If n or samples is less than 1, or nothing is known of how to draw from the law.
    """
    if n < 1 or samples < 1:
        raise ValueError(f"n = {n} and samples = {samples} must both be at least 1.")
    if law.name not in _DRAW:
        raise ValueError(
            f"No sampler for entries that are {law.name}; there is one for {[*_DRAW]}."
        )
    draw = _DRAW[law.name]
    stream_u, stream_v = generator.spawn(2)
    binarized = np.empty(samples)
    pairs = np.empty(samples)
    rows = max(1, CHUNK_VALUES // n)
    for start in range(0, samples, rows):
        stop = min(samples, start + rows)
        u = draw(stream_u, (stop - start, n))
        v = draw(stream_v, (stop - start, n))
        norm_u = np.sqrt(np.einsum("ij,ij->i", u, u))
        norm_v = np.sqrt(np.einsum("ij,ij->i", v, v))
        pairs[start:stop] = np.einsum("ij,ij->i", u, v) / (norm_u * norm_v)
        # u·bin(u) = Σ|uᵢ| and ‖bin(u)‖ = √n
        binarized[start:stop] = np.abs(u).sum(axis=1) / (norm_u * np.sqrt(n))
    return AngleSample(n, law, np.clip(binarized, -1, 1), np.clip(pairs, -1, 1))


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

    Returns
    -------
    dict
        ``n``; ``cosine``, ``cosine_se``, ``cosine_exact``: mean cosine between w and bin(w), its
        standard error, and the exact value; ``angle`` (mean, degrees); ``angle_sd``,
        ``angle_sd_se``, ``angle_sd_theory``: spread of that angle, degrees, and the delta method;
        ``pair_sd``, ``pair_sd_se``, ``pair_sd_exact``: spread of the cosine of a random pair.
    """
    if len(sample.binarized) < 2:
        raise ValueError("One sample has no spread: draw at least 2.")
    cosine_sd, _ = _spread(sample.binarized)
    angle_sd, angle_sd_se = _spread(sample.binarized_angle)
    pair_sd, pair_sd_se = _spread(sample.pairs)
    return {
        "n": sample.n,
        "cosine": float(sample.binarized.mean()),
        "cosine_se": cosine_sd / np.sqrt(len(sample.binarized)),
        "cosine_exact": theory.mean_cosine(sample.law, sample.n),
        "angle": float(sample.binarized_angle.mean()),
        "angle_sd": angle_sd,
        "angle_sd_se": angle_sd_se,
        "angle_sd_theory": theory.angle_sd(sample.law, sample.n),
        "pair_sd": pair_sd,
        "pair_sd_se": pair_sd_se,
        "pair_sd_exact": theory.pair_cosine_sd(sample.n),
    }


def log_slope(x: ArrayLike, y: ArrayLike) -> float:
    """Slope of log y against log x, by least squares; x and y positive, shape (points,)."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])
