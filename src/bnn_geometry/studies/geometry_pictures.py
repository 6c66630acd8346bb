"""What figures draw of a network: clouds of dot products, and its first layer with its patches."""

from __future__ import annotations

import numpy as np
import pandas as pd
from torch import Tensor

from bnn_geometry.networks.layers import BinaryConv2d, BinaryLinear
from bnn_geometry.probing.joint_statistics import JointHistogram
from bnn_geometry.probing.layer_inputs import LayerSample

CELLS = ["comparison", "layer", "first", "second", "count"]
AXES = ["comparison", "layer", "first_width", "second_width"]


def cloud(
    comparison: str, name: str, first: Tensor, second: Tensor
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Counts of pairs of dot products in the cells of a grid, and the cells' widths.

    Parameters
    ----------
    comparison, name : str
        Of the layer.
    first, second : Tensor, of one shape

    Returns
    -------
    cells, axes : DataFrame
        Rows of ``clouds`` and of ``cloud_axes``; 64 cells from edge to edge at most.
    """
    histogram = JointHistogram()
    histogram.add(first.flatten(), second.flatten())
    counts, half = histogram.counts.numpy(), len(histogram.counts) // 2
    filled = np.nonzero(counts)
    cells, widths = [], []
    for places, limit in zip(filled, histogram.limits, strict=True):
        reach = int(max(half - places.min(), places.max() + 1 - half))
        merged = -(-reach // 32)
        cells.append((places - half) // merged)
        widths.append(merged * (limit or 1.0) / half)
    table = pd.DataFrame({"first": cells[0], "second": cells[1], "count": counts[filled]})
    table = table.groupby(["first", "second"], as_index=False)["count"].sum()
    axes = pd.DataFrame([(comparison, name, *widths)], columns=AXES)
    return table.assign(comparison=comparison, layer=name)[CELLS], axes


def first_layer(layer: BinaryLinear | BinaryConv2d, sample: LayerSample) -> dict[str, pd.DataFrame]:
    """A first layer's weights, and pixels that enter it: clouds of any of its filters.

    Parameters
    ----------
    layer : BinaryLinear or BinaryConv2d
        That pixels enter.
    sample : LayerSample
        Of its inputs.

    Returns
    -------
    dict of str to DataFrame
        ``patches``: image (number in the sample) and the pixels p0, p1, … of each, 0…255, and −1
        where the convolution pads; x = 2p/255 − 1, and 0 there. ``first_layer``: filter, and its
        latent weights w0, w1, … Nothing where the layer has more than 100 inputs.
    """
    if layer.fan_in > 100:
        return {}
    pixels = ((sample.x.double() + 1) * 127.5).round().long()
    padded = (sample.x == 0).numpy()  # no pixel is: 2p = 255 has no solution
    table = pd.DataFrame(pixels.numpy()).add_prefix("p").mask(padded, -1)
    table.insert(0, "image", sample.image.numpy())
    weights = pd.DataFrame(layer.weight.detach().flatten(1).double().cpu().numpy()).add_prefix("w")
    weights.insert(0, "filter", range(len(weights)))
    return {"patches": table, "first_layer": weights}
