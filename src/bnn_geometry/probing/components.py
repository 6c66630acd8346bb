r"""Principal components of a layer's inputs: how many matter, and what remains without them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from sklearn.utils.extmath import randomized_svd
from torch import Tensor

from bnn_geometry.probing.pair_correlation import PairCorrelation, covariance_correlation


@dataclass(frozen=True)
class Components:
    """Leading principal components of a sample.

    Attributes
    ----------
    mean : Tensor of float64, shape (n,)
        Of the sample.
    variances : Tensor of float64, shape (k,)
        Along each, the largest first.
    axes : Tensor of float64, shape (k, n)
        Of length 1.
    total : float
        Variance of all coordinates together.
    """

    mean: Tensor
    variances: Tensor
    axes: Tensor
    total: float


def leading_components(x: Tensor, count: int, *, seed: int = 0) -> Components:
    """The leading components of a sample, by a randomized decomposition.

    Parameters
    ----------
    x : Tensor, shape (samples, n)
    count : int
        All of them where there are fewer.
    seed : int
        Of the decomposition.
    """
    mean = x.mean(0, dtype=torch.float64)
    centred = x - mean.to(x.dtype)
    most = min(count, len(x) - 1, x.shape[1])
    _, size, axes = randomized_svd(centred.numpy(), most, random_state=seed)
    return Components(
        mean=mean,
        variances=torch.from_numpy(size).double().square() / len(x),
        axes=torch.from_numpy(axes.copy()).double(),
        total=float(centred.square().sum(dtype=torch.float64)) / len(x),
    )


def participation_ratio(x: Tensor, y: Tensor) -> float:
    r"""Effective number of dimensions, :math:`(\mathrm{tr}\,\Sigma)^2/\mathrm{tr}\,\Sigma^2`.

    Of n independent coordinates of equal variance it is n, of a single direction 1. One sample
    would put its noise into :math:`\mathrm{tr}\,\Sigma^2`; the product of the covariances of two
    has none on average.

    Parameters
    ----------
    x, y : Tensor, shape (samples, n) and (other samples, n)
        Independent samples, of different images.
    """
    first, second = (z - z.mean(0, dtype=torch.float64).float() for z in (x, y))
    traces = [z.square().sum(dtype=torch.float64) for z in (first, second)]
    products = (first @ second.T).square().sum(dtype=torch.float64)
    return float(traces[0] * traces[1] / products)


def without_components(
    z: Tensor, weights: Tensor, x: Tensor, components: Components, count: int
) -> Tensor:
    """Dot products x·w of inputs from which the leading components were taken away.

    Parameters
    ----------
    z : Tensor, shape (vectors, filters)
        x·w as it is.
    weights : Tensor, shape (filters, n)
    x : Tensor of float32, shape (vectors, n)
    components : Components
        Of other images.
    count : int
        How many to take away.
    """
    axes = components.axes[:count].float()
    along = x @ axes.T - (components.mean.float() @ axes.T)
    return z - along @ (weights.float() @ axes.T).T


def component_correlation(
    first: Tensor, second: Tensor, components: Components, count: int
) -> PairCorrelation:
    """The correlation that the leading components alone predict.

    Parameters
    ----------
    first, second : Tensor of float64, shape (filters, n)
    components : Components
    count : int
    """
    axes, sizes = components.axes[:count], components.variances[:count]
    return covariance_correlation(
        first @ axes.T,
        second @ axes.T,
        lambda v: v * sizes,
        float(sizes.sum()),
    )
