r"""What the correlation of x·w^b with x·w^c is compared with: controls and predictions.

A correlation says little by itself. Beside it stand what chance gives (inputs without covariance,
weights without training, another filter's weights) and what the covariance of the inputs predicts:
:math:`r = w^T\Sigma b/\sqrt{w^T\Sigma w\;b^T\Sigma b}` (section 2 of the paper, with the constant
it leaves open). With :math:`\Sigma` from the same inputs that is an identity; it becomes a
prediction when it comes from other images, and an explanation when parts of it suffice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd
import torch
from sklearn.utils.extmath import randomized_svd
from torch import Tensor, nn

from bnn_geometry.networks.magnitudes import shuffled_magnitudes
from bnn_geometry.networks.straight_through import binarize
from bnn_geometry.probing.correlation import (
    above_rounding,
    filter_correlations,
    pearson,
    quartiles,
)


def shuffled(x: Tensor, generator: torch.Generator) -> Tensor:
    """The sample with every coordinate shuffled by itself: its marginals, and no covariance.

    Parameters
    ----------
    x : Tensor, shape (samples, n)
    generator : torch.Generator
    """
    order = torch.rand(x.shape, generator=generator).argsort(0)
    return x.gather(0, order)


def control_correlations(
    weight: Tensor, x: Tensor, generator: torch.Generator
) -> dict[str, Tensor]:
    """The correlation of x·w^b with x·w^c of each filter, and five controls.

    Parameters
    ----------
    weight : Tensor, shape (filters, ...)
        Latent weights of a layer.
    x : Tensor, shape (samples, n)
        Its inputs.
    generator : torch.Generator

    Returns
    -------
    dict of str to Tensor of float64, shape (filters,)
        ``measured``; ``permuted inputs``: every coordinate permuted across images and positions;
        ``random weights``: the layer's latent weights dealt anew among its filters and coordinates;
        ``wrong pairing``: each filter's latent weights with the binary weights of the next one;
        ``white inputs``: the cosine of the angle between w^c and w^b;
        ``shuffled magnitudes``: each filter keeps its signs, and its magnitudes are shuffled among
        its coordinates, so that w^b and the angle stay. NaN where a dot product does not vary, and
        for the wrong pairing of a single filter.
    """
    w = weight.detach().flatten(1).double().cpu()
    b = binarize(w)
    dealt = w.flatten()[torch.randperm(w.numel(), generator=generator)].reshape(w.shape)
    alone = torch.full((len(w),), torch.nan, dtype=torch.float64)
    found = {
        "measured": filter_correlations(w, b, x),
        "permuted inputs": filter_correlations(w, b, shuffled(x, generator)),
        "random weights": filter_correlations(dealt, binarize(dealt), x),
        "wrong pairing": filter_correlations(w, b.roll(-1, 0), x) if len(w) > 1 else alone,
        "white inputs": _bilinear(w, b, lambda v: v, w.shape[1]),
    }
    # a generator in the same state: how many numbers are drawn of the other one stays as it was
    own = torch.Generator().set_state(generator.get_state())
    u = shuffled_magnitudes(w, own)
    return found | {"shuffled magnitudes": filter_correlations(u, b, x)}


def _bilinear(
    w: Tensor, b: Tensor, apply: Callable[[Tensor], Tensor], trace: Tensor | float
) -> Tensor:
    # wᵀΣb/√(wᵀΣw·bᵀΣb) of a Σ that is given as v → Σv, with its trace E‖x‖²
    variances = (above_rounding((v * apply(v)).sum(1), trace * v.square().sum(1)) for v in (w, b))
    return pearson((w * apply(b)).sum(1), *variances)


def predicted_correlations(
    layer: nn.Module | Tensor,
    x: Tensor,
    *,
    components: Sequence[int] = (1, 10, 100),
    seed: int = 0,
) -> dict[str, Tensor]:
    r"""The correlation that the inputs' covariance predicts for each filter, and parts of it.

    Parameters
    ----------
    layer : Module or Tensor
        A linear layer or convolution, or its latent weights, (filters, ...).
    x : Tensor, shape (samples, n)
        Inputs of other images than those on which the correlation was measured.
    components : sequence of int
        How many leading principal components to keep; where there are fewer, all of them.
    seed : int
        Of the randomized decomposition.

    Returns
    -------
    dict of str to Tensor of float64, shape (filters,)
        ``covariance``: all of Σ; ``identity``; ``diagonal``: the variances alone; for a convolution
        ``channel × space``: the product of a covariance between channels and one between the
        pixels of a patch; ``k components``: the leading ones alone. NaN where a dot product does
        not vary.
    """
    weight = layer if isinstance(layer, Tensor) else layer.weight
    w = weight.detach().flatten(1).double().cpu()
    b = binarize(w)
    x = x.double()
    x = x - x.mean(0)
    variances = x.square().mean(0)
    found = {
        "covariance": filter_correlations(w, b, x),
        "identity": _bilinear(w, b, lambda v: v, w.shape[1]),
        "diagonal": _bilinear(w, b, lambda v: v * variances, variances.sum()),
    }
    if weight.dim() > 2:
        channels, pixels = weight.shape[1], weight[0, 0].numel()
        patches = x.reshape(len(x), channels, pixels)
        between_channels = torch.einsum("scp,sdp->cd", patches, patches)
        between_pixels = torch.einsum("scp,scq->pq", patches, patches)

        def product(v: Tensor) -> Tensor:
            v = v.reshape(-1, channels, pixels)
            return torch.einsum("cd,fdq,qp->fcp", between_channels, v, between_pixels).flatten(1)

        trace = between_channels.trace() * between_pixels.trace()
        found["channel × space"] = _bilinear(w, b, product, trace)
    most = min(max(components), *x.shape)
    _, size, axes = randomized_svd(x.numpy(), most, random_state=seed)
    along_w, along_b = (v @ torch.from_numpy(axes.T.copy()) for v in (w, b))
    size = torch.from_numpy(size)
    for k in components:
        name = f"{k} component" + "s" * (k > 1)
        strongest = size[:k].square()
        found[name] = _bilinear(
            along_w[:, :k], along_b[:, :k], lambda v, s=strongest: v * s, strongest.sum()
        )
    return found


def quartile_table(correlations: dict[str, Tensor]) -> pd.DataFrame:
    """Median and quartiles over filters of several correlations, filters without one left out.

    Returns
    -------
    DataFrame
        Index: their names. Columns filter_r_25, filter_r, filter_r_75 and filters, how many have
        one.
    """
    rows = {name: [*quartiles(r), int(torch.isfinite(r).sum())] for name, r in correlations.items()}
    columns = ["filter_r_25", "filter_r", "filter_r_75", "filters"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).astype({"filters": int})
