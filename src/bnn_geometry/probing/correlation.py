"""Pearson correlations of dot products, not defined where what varies is rounding alone."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

ROUNDING = 4 * torch.finfo(torch.float32).eps
"""A dot product in float32 is off by a few units in the last place of ‖x‖‖w‖, differently in
batches of different sizes: a standard deviation below this part of ‖x‖‖w‖ is no spread."""


def above_rounding(variance: Tensor, size: Tensor | float) -> Tensor:
    """The variance of a dot product x·w, or 0 where it is rounding alone.

    Parameters
    ----------
    variance : Tensor
    size : Tensor or float
        E‖x‖²·‖w‖², broadcast.
    """
    return torch.where(variance > ROUNDING**2 * size, variance, 0.0)


def pearson(covariance: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Correlation from a covariance and two variances; NaN where one of these is 0."""
    r = covariance / (first.sqrt() * second.sqrt())
    return torch.where((first > 0) & (second > 0), r.clamp(-1, 1), torch.nan)


def filter_correlations(first: Tensor, second: Tensor, x: Tensor) -> Tensor:
    """Pearson correlation of x·v with x·u over a sample of x, for each pair of vectors.

    Parameters
    ----------
    first, second : Tensor, shape (filters, n)
        v and u, in pairs.
    x : Tensor, shape (samples, n)

    Returns
    -------
    Tensor of float64, shape (filters,)
        NaN where one of the two does not vary.
    """
    x = x.double()
    energy = x.square().sum(1).mean()
    centred, variances = [], []
    for vectors in (first.double(), second.double()):
        z = x @ vectors.T
        z = z - z.mean(0)
        centred.append(z)
        size = energy * vectors.square().sum(1)
        variances.append(above_rounding(z.square().mean(0), size))
    return pearson((centred[0] * centred[1]).mean(0), *variances)


def quartiles(values: ArrayLike) -> NDArray[np.float64]:
    """Lower quartile, median and upper quartile of the values that are finite; NaN without any."""
    values = np.asarray(values, dtype=np.float64)
    finite = values[np.isfinite(values)]
    return np.percentile(finite, [25, 50, 75]) if len(finite) else np.full(3, np.nan)
