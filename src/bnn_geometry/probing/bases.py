r"""Binarizing in another basis: what a rotation or whitening of the inputs does to the dot product.

A dot product is the same in every basis, :math:`x\cdot w = (A x)\cdot(A^{-T} w)`; its binarization
is not. Where a layer's inputs vary along a few directions, as the pixels of a patch do, the
coordinate axes are a poor basis to take signs in.
"""

from __future__ import annotations

import torch
from scipy import stats
from torch import Tensor

from bnn_geometry.networks.straight_through import binarize
from bnn_geometry.probing.correlation import filter_correlations

RIDGE = 1e-6
"""Added to the variance of every component, as a part of the largest: whitening divides by them."""


def basis_correlations(weight: Tensor, x: Tensor, *, seed: int = 0) -> dict[str, Tensor]:
    r"""Correlation of x·w with its binarization in several bases.

    Parameters
    ----------
    weight : Tensor, shape (filters, ...)
        Latent weights of a layer.
    x : Tensor, shape (samples, n)
        Its inputs, from which the bases are found as well.
    seed : int
        Of the random rotation.

    Returns
    -------
    dict of str to Tensor of float64, shape (filters,)
        ``as it is``; ``random rotation``: uniform over all orthogonal
        matrices; ``principal axes``: rotated
        to the components of the inputs; ``whitened``: those, each divided by its standard
        deviation, so that the weights are multiplied by it; ``whitened, unrotated``: the same and
        rotated back (ZCA), which changes the inputs least. NaN where a dot product does not vary.
    """
    w = weight.detach().flatten(1).double().cpu()
    x = x.double()
    centred = x - x.mean(0)
    n = x.shape[1]
    values, axes = torch.linalg.eigh(centred.T @ centred / len(x))
    sd = (values.clamp(min=0) + RIDGE * values.max().clamp(min=0)).sqrt()
    sd = torch.where(sd > 0, sd, torch.ones_like(sd))
    rotation = torch.from_numpy(stats.ortho_group.rvs(n, random_state=seed))
    # inputs times the first, weights times the second
    bases = {
        "as it is": (None, None),
        "random rotation": (rotation, rotation),
        "principal axes": (axes, axes),
        "whitened": (axes / sd, axes * sd),
        "whitened, unrotated": ((axes / sd) @ axes.T, (axes * sd) @ axes.T),
    }
    found = {}
    for name, (of_inputs, of_weights) in bases.items():
        if of_inputs is None:
            found[name] = filter_correlations(w, binarize(w), centred)
        else:
            u = w @ of_weights
            found[name] = filter_correlations(u, binarize(u), centred @ of_inputs)
    return found
