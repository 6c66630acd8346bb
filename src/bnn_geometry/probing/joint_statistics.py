"""Joint statistics of two dot products of a layer, streamed: moments and a histogram."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bnn_geometry.probing.correlation import above_rounding, pearson

BINS = 256
"""Bins of a histogram along each axis; a plot shows the part that is not empty, more coarsely."""


class JointHistogram:
    """Counts of pairs in square cells over [−limit, limit)², on any scale.

    The limits are powers of two, doubled by merging cells two by two when a value lies outside: the
    result depends on the values alone, not on their order nor on how they were cut into batches.
    """

    def __init__(self) -> None:
        self.counts = torch.zeros(BINS, BINS, dtype=torch.int64)
        self.limits: list[float] = [0.0, 0.0]

    def add(self, a: Tensor, b: Tensor) -> None:
        """a, b: of the same shape, any."""
        cells = []
        for axis, z in enumerate((a, b)):
            largest = float(z.abs().max())
            limit = self.limits[axis]
            if limit == 0 and largest > 0:
                # every value before this was 0, in the cell to the right of the middle
                limit = float(2.0 ** np.floor(np.log2(largest)))
            while limit and largest >= limit:
                if self.limits[axis]:
                    self._merge(axis)
                limit *= 2
                self.limits[axis] = limit
            self.limits[axis] = limit
            if limit == 0:
                cells.append(torch.full(z.shape, BINS // 2, dtype=torch.int64))
            else:
                cells.append((z * (BINS / (2 * limit))).floor().long() + BINS // 2)
        flat = (cells[0] * BINS + cells[1]).flatten()
        self.counts += torch.bincount(flat, minlength=BINS * BINS).reshape(BINS, BINS)

    def _merge(self, axis: int) -> None:
        counts = self.counts if axis == 0 else self.counts.T
        merged = torch.zeros_like(counts)
        merged[BINS // 4 : -BINS // 4] = counts[0::2] + counts[1::2]
        self.counts = (merged if axis == 0 else merged.T).contiguous()


@dataclass(frozen=True)
class LayerStatistics:
    """Joint statistics of two dot products in one layer, over filters, positions and images.

    Attributes
    ----------
    layer : str
        Name of the layer.
    fan_in : int
        n, the dimension of the weight vectors.
    values : int
        Number of pairs of dot products.
    r : float
        Pearson correlation, all filters pooled. NaN if one of the two does not vary.
    centred_r : float
        The same after each filter's two means are subtracted: what differs between the filters'
        means does not count.
    slope, intercept : float
        Least squares, second dot product on the first, all filters pooled.
    disagreement : float
        Fraction of pairs with different signs.
    filter_r : ndarray, shape (filters,)
        Pearson correlation within each filter. NaN for one whose dot products do not vary.
    histogram : ndarray of int64, shape (256, 256)
        Counts of all pairs; the first axis is the first dot product.
    limits : tuple of two floats
        The histogram covers [−limit, limit) along each axis; powers of two, the least that hold
        all values, or 0 where all values are 0.
    """

    layer: str
    fan_in: int
    values: int
    r: float
    centred_r: float
    slope: float
    intercept: float
    disagreement: float
    filter_r: NDArray[np.float64] = field(repr=False)
    histogram: NDArray[np.int64] = field(repr=False)
    limits: tuple[float, float]


class JointMoments:
    """Streaming joint statistics of two dot products a and b, per filter, in float64.

    Sums are taken about the first batch's means: the plain sums of squares of two nearly equal
    large numbers would cancel.
    """

    def __init__(self) -> None:
        self.count = 0
        self.shift: Tensor | None = None  # (2, filters)
        self.sums: Tensor | None = None  # (5, filters): Σa, Σb, Σa², Σb², Σab about the shift
        self.disagree = 0
        self.histogram = JointHistogram()
        self.inputs = 0
        self.energy = 0.0  # Σx² over the layer's inputs

    def add(self, x: Tensor, a: Tensor, b: Tensor) -> None:
        """a, b: (filters, values); x: the input they were made from, any shape.

        Raises
        ------
        FloatingPointError
            If a dot product is not finite.
        """
        self.inputs += x.numel()
        self.energy += float(x.square().sum(dtype=torch.float64))
        a, b = a.double(), b.double()
        if not (torch.isfinite(a).all() and torch.isfinite(b).all()):
            raise FloatingPointError
        if self.shift is None:
            self.shift = torch.stack([a.mean(1), b.mean(1)])
            self.sums = torch.zeros(5, len(a), dtype=torch.float64)
        self.count += a.shape[1]
        self.disagree += int(((a > 0) != (b > 0)).sum())
        self.histogram.add(a, b)
        a = a - self.shift[0][:, None]
        b = b - self.shift[1][:, None]
        self.sums += torch.stack(
            [a.sum(1), b.sum(1), (a * a).sum(1), (b * b).sum(1), (a * b).sum(1)]
        )

    def finish(self, name: str, weight: Tensor) -> LayerStatistics:
        """The statistics of all that was added, as those of x·w^b and x·w^c of latent weights."""
        fan_in = weight[0].numel()
        energy = fan_in * self.energy / self.inputs  # E‖x‖²
        size_a = torch.tensor(energy * fan_in, dtype=torch.float64)
        size_b = energy * weight.double().flatten(1).square().sum(1).cpu()
        a, b, aa, bb, ab = self.sums / self.count
        var_a = above_rounding(aa - a**2, size_a)
        var_b = above_rounding(bb - b**2, size_b)
        cov = ab - a * b
        mean_a, mean_b = self.shift[0] + a, self.shift[1] + b
        # law of total covariance: within filters and between their means
        pooled_a = above_rounding(var_a.mean() + mean_a.var(correction=0), size_a)
        pooled_b = above_rounding(var_b.mean() + mean_b.var(correction=0), size_b.mean())
        pooled = cov.mean() + ((mean_a - mean_a.mean()) * (mean_b - mean_b.mean())).mean()
        slope = pooled / pooled_a if pooled_a > 0 else torch.tensor(torch.nan)
        values = self.count * len(a)
        return LayerStatistics(
            layer=name,
            fan_in=fan_in,
            values=values,
            r=float(pearson(pooled, pooled_a, pooled_b)),
            centred_r=float(pearson(cov.mean(), var_a.mean(), var_b.mean())),
            slope=float(slope),
            intercept=float(mean_b.mean() - slope * mean_a.mean()),
            disagreement=self.disagree / values,
            filter_r=pearson(cov, var_a, var_b).numpy(),
            histogram=self.histogram.counts.numpy(),
            limits=tuple(self.histogram.limits),
        )
