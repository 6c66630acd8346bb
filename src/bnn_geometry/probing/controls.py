"""What the correlation of x·w^b with x·w^c is compared with.

A correlation says little by itself. Beside it stands what chance gives: inputs without covariance,
weights without training, another filter's weights, magnitudes in another order.
"""

from __future__ import annotations

import pandas as pd
import torch
from torch import Tensor

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
        "white inputs": _cosine(w, b),
    }
    # a generator in the same state: how many numbers are drawn of the other one stays as it was
    own = torch.Generator().set_state(generator.get_state())
    u = shuffled_magnitudes(w, own)
    return found | {"shuffled magnitudes": filter_correlations(u, b, x)}


def _cosine(w: Tensor, b: Tensor) -> Tensor:
    lengths = (above_rounding(s, w.shape[1] * s) for s in (w.square().sum(1), b.square().sum(1)))
    return pearson((w * b).sum(1), *lengths)


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
