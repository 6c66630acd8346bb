r"""Informative directions fitted on some images and judged on others (section 4 of the paper).

A direction that was found on the vectors on which it is judged fits their noise as well: in a layer
of 8192 inputs a few thousand vectors do not fill the space.
"""

from __future__ import annotations

import pandas as pd
import torch
from sklearn.covariance import ledoit_wolf_shrinkage
from torch import Tensor

from bnn_geometry.networks.straight_through import binarize
from bnn_geometry.probing.components import Components
from bnn_geometry.probing.pair_correlation import blocks_of, pair_correlation


def discriminants(x: Tensor, labels: Tensor, count: int) -> Tensor:
    """Linear discriminants, the most informative first.

    Directions of largest variance between classes to variance within, the covariance within
    classes shrunk as Ledoit and Wolf (2004) do, in units of each coordinate's spread.

    Parameters
    ----------
    x : Tensor, shape (samples, n)
    labels : Tensor of int64, shape (samples,)
    count : int
        At most one fewer than there are classes.

    Returns
    -------
    Tensor of float64, shape (directions, n)
        0 at coordinates that do not vary within classes.
    """
    x = x.double()
    classes, place, sizes = labels.unique(return_inverse=True, return_counts=True)
    means = torch.zeros(len(classes), x.shape[1], dtype=x.dtype).index_add_(0, place, x)
    means /= sizes[:, None]
    within = x - means[place]
    spread = within.square().mean(0).sqrt()
    seen = spread > 1e-6
    within, spread = within[:, seen] / spread[seen], spread[seen]
    between = (means[:, seen] - x[:, seen].mean(0)) / spread
    between *= (sizes / len(x)).sqrt()[:, None]
    shrinkage = ledoit_wolf_shrinkage(within.numpy(), assume_centered=True)
    covariance = (1 - shrinkage) * (within.T @ within) / len(within)
    covariance.diagonal().add_(shrinkage)  # every variance is 1
    factor = torch.linalg.cholesky(covariance)
    half = torch.linalg.solve_triangular(factor, between.T, upper=False)
    # eigenvectors of a matrix of rank below that of the classes, by its small side
    _, _, turn = torch.linalg.svd(half, full_matrices=False)
    found = torch.zeros(min(count, len(classes) - 1), len(seen), dtype=x.dtype)
    best = torch.cholesky_solve(between.T @ turn[: len(found)].T, factor)
    found[:, seen] = (best / spread[:, None]).T
    return found


def judged_directions(
    directions: dict[str, Tensor], x: Tensor, image: Tensor, components: Components
) -> pd.DataFrame:
    r"""Correlation of x·v with x·bin(v) of given directions, on a sample that did not make them.

    Parameters
    ----------
    directions : dict of str to Tensor, shape (directions, n)
        By kind.
    x : Tensor of float32, shape (vectors, n)
    image : Tensor of int64, shape (vectors,)
        For the standard errors.
    components : Components
        Whose total variance says how much of it lies along a direction.

    Returns
    -------
    DataFrame
        Columns kind, direction (from 1), variance (part of the total along v), angle (between v
        and bin(v), degrees), r and r_se (over images).
    """
    block, energy = blocks_of(image), x.square().sum(dtype=torch.float64) / len(x)
    rows = []
    for kind, vectors in directions.items():
        for i, v in enumerate(vectors.double()):
            v = v / v.norm()
            b = binarize(v)
            first, second = (x @ u.float()[:, None] for u in (b, v))
            sizes = tuple(energy * u.square().sum()[None] for u in (b, v))
            found = pair_correlation(first, second, block, sizes)
            variance = float(second.var(correction=0)) / components.total
            angle = float(torch.rad2deg(torch.arccos((v @ b / b.norm()).clamp(-1, 1))))
            rows.append((kind, i + 1, variance, angle, found.r, found.standard_errors()[0]))
    return pd.DataFrame(rows, columns=["kind", "direction", "variance", "angle", "r", "r_se"])
