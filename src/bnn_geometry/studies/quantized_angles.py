r"""Angles between vectors and their quantizations: simulated, beside exact laws, as tables.

Angles are in degrees. A simulated angle is that of the mean cosine, which can be compared with an
exact mean; ``angle_se`` is its standard error and ``off`` its distance from the exact angle in
standard errors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bnn_geometry.geometry import quantizers, rotation
from bnn_geometry.geometry.cosine_moments import mean_cosine
from bnn_geometry.geometry.distributions import GAUSSIAN, LAPLACE, UNIFORM, Distribution

RULE = 0.7
"""Threshold of ternary weight networks (Li et al. 2016), in mean sizes of a vector's entries."""

WAYS = ("not rotated", "Haar", "Hadamard")
"""Ways to binarize: as it is, after a Haar-random rotation, after random signs and Hadamard."""


class Simulation:
    """Draws vectors of n entries and measures the angle to their quantization.

    Parameters
    ----------
    n : int
    samples : int
        Vectors for each angle, at least 2.
    generator : numpy.random.Generator
    """

    def __init__(self, n: int, samples: int, generator: np.random.Generator) -> None:
        self.n, self.samples, self.generator = n, samples, generator

    def __call__(
        self, law: Distribution, quantizer: Callable[[NDArray], NDArray]
    ) -> tuple[float, float]:
        """Angle of the mean cosine and its standard error."""
        cosines = quantizers.sample_cosines(law, quantizer, self.n, self.samples, self.generator)
        return quantizers.angle_of_mean(cosines)

    def table(self, law: Distribution, by_label: dict[float, quantizers.Quantizer]) -> pd.DataFrame:
        """Several quantizers of one law: columns exact, angle, angle_se and off, by their labels.

        The exact angle is that for n → ∞.
        """
        rows = {
            label: (quantizers.limit_angle(law, quantizer), *self(law, quantizer))
            for label, quantizer in by_label.items()
        }
        return _off(pd.DataFrame(rows, index=["exact", "angle", "angle_se"]).T)


def _off(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(off=(table["angle"] - table["exact"]) / table["angle_se"])


def ternary(law: Distribution, thresholds: Iterable[float]) -> dict[float, quantizers.Quantizer]:
    """Ternary quantizers by their thresholds, which are in units of E|w|."""
    return {t: quantizers.ternary(t * law.m1) for t in thresholds}


def limits(law: Distribution, by_label: dict[float, quantizers.Quantizer]) -> pd.Series:
    """Angle for n → ∞ of several quantizers of one law, by their labels."""
    return pd.Series({t: quantizers.limit_angle(law, q) for t, q in by_label.items()})


def best_ternary(laws: dict[str, Distribution]) -> pd.DataFrame:
    """The best threshold of each law beside binarization and the rule of ternary weight networks.

    Returns
    -------
    DataFrame
        Index: names of the laws. binary, sigmas and means (the best threshold in standard
        deviations and in E|w|), zeros (per cent), ternary, loss (of the rule against the best).
        Angles for n → ∞.
    """
    rows = {}
    for name, law in laws.items():
        best = quantizers.best_ternary(law)
        angle = quantizers.limit_angle(law, best)
        rule = quantizers.limit_angle(law, quantizers.ternary(RULE * law.m1))
        rows[name] = {
            "binary": quantizers.limit_angle(law, quantizers.BINARY),
            "sigmas": best.thresholds[1] / np.sqrt(law.m2),
            "means": best.thresholds[1] / law.m1,
            "zeros": 100 * quantizers.zero_fraction(law, best),
            "ternary": angle,
            "loss": rule - angle,
        }
    return pd.DataFrame(rows).T


def lloyd_max(law: Distribution, counts: Iterable[int], simulate: Simulation) -> pd.DataFrame:
    """The best quantizers of 2 to as many levels as the largest count; simulated at the counts.

    Returns
    -------
    DataFrame
        Index k, the number of levels. bits (log₂ k), entropy (bits that an ideal code of the levels
        takes), bound and entropy_bound (the smallest angle that any code reaches with so many),
        exact (n → ∞), angle, angle_se and off (NaN where it was not simulated).
    """
    counts = list(counts)
    best = {k: quantizers.lloyd_max(law, k) for k in range(2, max(counts) + 1)}
    found = simulate.table(law, {k: best[k] for k in counts})
    bits = pd.DataFrame(
        {k: (np.log2(k), quantizers.entropy(law, q)) for k, q in best.items()},
        index=["bits", "entropy"],
    ).T.rename_axis("k")
    return bits.assign(
        bound=bits["bits"].map(quantizers.rate_distortion_angle),
        entropy_bound=bits["entropy"].map(quantizers.rate_distortion_angle),
        exact=limits(law, best),
    ).join(found.drop(columns="exact"))


def rotated(
    sample: rotation.RotationSample, *, plain: float | None, hadamard: float | None
) -> pd.DataFrame:
    """Angle of vectors to their binarization, as they are and after rotations.

    Parameters
    ----------
    sample : RotationSample
    plain, hadamard : float or None
        Exact mean cosines as they are and after random signs and Hadamard, where they are known.

    Returns
    -------
    DataFrame
        Index: ``WAYS``. angle, angle_se, exact and off.
    """
    haar = mean_cosine(GAUSSIAN, sample.n)
    # vectors under one rotation share it: their mean is one observation
    cosines = (sample.plain, sample.haar.mean(axis=1), sample.hadamard)
    table = pd.DataFrame(
        [quantizers.angle_of_mean(c) for c in cosines], list(WAYS), ["angle", "angle_se"]
    )
    exact = np.array([plain, haar, hadamard], dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        return _off(table.assign(exact=np.degrees(np.arccos(exact))))


def rotated_histograms(sample: rotation.RotationSample) -> dict[str, NDArray]:
    """The angle of every vector to its binarization, by the ways of ``WAYS``."""
    cosines = (sample.plain, sample.haar.ravel(), sample.hadamard)
    return dict(zip(WAYS, np.degrees(np.arccos(cosines)), strict=True))


def kinds_of_vectors(
    n: int, count: int, rate: float, generator: np.random.Generator
) -> dict[str, tuple[NDArray, float | None, float | None]]:
    """Vectors from the most uneven, an axis, to the evenest, with the exact cosines of each.

    Parameters
    ----------
    n : int
        Dimension, a power of two.
    count : int
        Vectors of each kind.
    rate : float
        Of the exponential scales.
    generator : numpy.random.Generator

    Returns
    -------
    dict
        Name → vectors, shape (count, n), and their exact mean cosines with the binarization as they
        are and after random signs and Hadamard, None where no formula is known.
    """

    def equal(k: int) -> tuple[NDArray, float, float]:
        entries = (np.arange(n) < k).astype(float)
        cosine = rotation.rademacher_mean_cosine(k)
        return np.tile(entries, (count, 1)), (k / n) ** 0.5, cosine

    signs = 2.0 * generator.integers(0, 2, (count, n)) - 1
    flat = generator.uniform(-1, 1, (count, n))
    clipped = np.where(generator.random((count, n)) < 0.5, signs, flat)
    normal = generator.standard_normal((count, n))
    laplace = LAPLACE.draw(generator, (count, n))
    scales = rotation.exponential_scales(n, rate)

    def gaussian(scales: NDArray) -> tuple[NDArray, float, float]:
        exact = rotation.scaled_mean_cosine(scales), rotation.hadamard_mean_cosine(scales)
        return normal * scales, *exact

    return {
        "an axis": equal(1),
        "two equal entries": equal(2),
        "exponential scales": gaussian(scales),
        "a tenth of the entries": equal(n // 10),
        "Laplace": (laplace, None, None),
        "Gaussian": gaussian(np.ones(n)),
        "uniform": (flat, mean_cosine(UNIFORM, n), None),
        "half clipped": (clipped, None, None),
        "±1": (signs, 1.0, rotation.rademacher_mean_cosine(n)),
    }
