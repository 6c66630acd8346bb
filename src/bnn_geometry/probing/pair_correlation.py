r"""Correlation of two dot products with its standard error over images, all filters or each.

A standard error over values would take the positions of one image for independent, and those of one
input's filters too. Here the images are dealt into blocks, and the statistic is computed without
each block in turn (the jackknife).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from bnn_geometry.probing.correlation import above_rounding, pearson

BLOCKS = 20
"""Of images, for standard errors: a relative error of a sixth, that of 19 degrees of freedom."""

_CHUNK = 1000  # vectors at a time: five products of each with 1024 filters are 40 MB


@dataclass(frozen=True, eq=False)
class PairCorrelation:
    """Correlation of two dot products of a layer.

    Attributes
    ----------
    r : float
        Pearson correlation, all filters pooled.
    centred_r : float
        The same after each filter's two means are subtracted.
    median : float
        Median over filters of the correlation within each.
    filter_r : Tensor of float64, shape (filters,)
        That within each; NaN where a dot product does not vary.
    disagreement : Tensor of float64, shape (filters,) or None
        Fraction of values with different signs; None where it was not counted.
    without : Tensor of float64, shape (3, blocks), or None
        r, the median and the layer's disagreement without each block of images. None where they
        do not come from a sample of images.
    """

    r: float
    centred_r: float
    median: float
    filter_r: Tensor
    disagreement: Tensor | None = None
    without: Tensor | None = None

    def standard_errors(self, other: PairCorrelation | None = None) -> tuple[float, float, float]:
        """Standard errors over images of r, the median and the disagreement.

        Parameters
        ----------
        other : PairCorrelation, optional
            Those of the difference from this one; of the same images, or without images, that is
            as if it were exact.
        """
        if self.without is None:
            return (torch.nan,) * 3
        values = self.without
        if other is not None and other.without is not None:
            values = values - other.without
        blocks = values.shape[1]
        spread = (values - values.mean(1, keepdim=True)).square().sum(1)
        return tuple(float(s) for s in ((blocks - 1) / blocks * spread).sqrt())


def blocks_of(image: Tensor, blocks: int = BLOCKS) -> Tensor:
    """Which block the image of each vector is in: as many blocks, of as many images each."""
    images = int(image.max()) + 1
    return image * min(blocks, images) // images


def pooled(cov: Tensor, first: Tensor, second: Tensor, means: tuple[Tensor, Tensor]) -> Tensor:
    """Correlation of all filters' values, from each filter's moments (..., filters)."""
    a, b = (mean - mean.mean(-1, keepdim=True) for mean in means)
    return pearson(
        cov.mean(-1) + (a * b).mean(-1),
        first.mean(-1) + a.square().mean(-1),
        second.mean(-1) + b.square().mean(-1),
    )


def pair_correlation(
    first: Tensor, second: Tensor, block: Tensor, sizes: tuple[Tensor, Tensor]
) -> PairCorrelation:
    """Correlation of two dot products over a sample of vectors.

    Parameters
    ----------
    first, second : Tensor of float32, shape (vectors, filters)
    block : Tensor of int64, shape (vectors,)
        From 0.
    sizes : two Tensors, shape (filters,)
        E‖x‖²‖w‖² of each: a variance that is rounding alone is none.
    """
    blocks, filters = int(block.max()) + 1, first.shape[1]
    shift = [z.mean(0, dtype=torch.float64) for z in (first, second)]
    sums = torch.zeros(blocks, 6, filters, dtype=torch.float64)
    for start in range(0, len(first), _CHUNK):
        some = slice(start, start + _CHUNK)
        a, b = first[some].double(), second[some].double()
        differ = ((a > 0) != (b > 0)).double()
        a, b = a - shift[0], b - shift[1]
        moments = torch.stack([a, b, a * a, b * b, a * b, differ], 1)
        sums.index_add_(0, block[some], moments)
    counts = torch.bincount(block, minlength=blocks).double()
    whole = sums.sum(0, keepdim=True)
    # of all first, then without each block
    total = torch.cat([whole, whole - sums]) if blocks > 1 else whole
    number = torch.cat([counts.sum()[None], counts.sum() - counts]) if blocks > 1 else counts
    a, b, aa, bb, ab, differ = (total / number[:, None, None]).unbind(1)
    variances = [
        above_rounding(square - mean.square(), size.double())
        for square, mean, size in ((aa, a, sizes[0]), (bb, b, sizes[1]))
    ]
    cov = ab - a * b
    filter_r = pearson(cov, *variances)
    r = pooled(cov, *variances, (a + shift[0], b + shift[1]))
    median = filter_r.nanquantile(0.5, dim=1)
    return PairCorrelation(
        r=float(r[0]),
        centred_r=float(pearson(*(z[0].mean() for z in (cov, *variances)))),
        median=float(median[0]),
        filter_r=filter_r[0],
        disagreement=differ[0],
        without=torch.stack([r, median, differ.mean(1)])[:, 1:] if blocks > 1 else None,
    )


def covariance_correlation(
    first: Tensor,
    second: Tensor,
    apply: Callable[[Tensor], Tensor],
    trace: float,
    mean: Tensor | None = None,
) -> PairCorrelation:
    r"""What a covariance Σ says: :math:`w^T\Sigma b/\sqrt{w^T\Sigma w\;b^T\Sigma b}`, exactly.

    Parameters
    ----------
    first, second : Tensor of float64, shape (filters, n)
    apply : callable
        v → Σv, for rows v.
    trace : float
        Of Σ.
    mean : Tensor of float64, shape (n,), optional
        Of the inputs; left out, 0.
    """
    variances = [
        above_rounding((v * apply(v)).sum(1), trace * v.square().sum(1)) for v in (first, second)
    ]
    cov = (first * apply(second)).sum(1)
    means = tuple(v.new_zeros(len(v)) if mean is None else v @ mean for v in (first, second))
    filter_r = pearson(cov, *variances)
    return PairCorrelation(
        r=float(pooled(cov, *variances, means)),
        centred_r=float(pearson(*(z.mean() for z in (cov, *variances)))),
        median=float(filter_r.nanquantile(0.5)),
        filter_r=filter_r,
    )
