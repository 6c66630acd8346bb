"""What is measured on a network while it trains: r and the angle, layer by layer."""

from __future__ import annotations

from contextlib import nullcontext

import pandas as pd
import torch
from torch import Tensor, nn

from bnn_geometry.probing import dot_products as probes

COLUMNS = [
    *("layer", "n", "r", "filter_r_25", "filter_r", "filter_r_75"),
    *("angle_25", "angle", "angle_75"),
]


def measure(network: nn.Module, images: Tensor) -> pd.DataFrame:
    r"""Correlation of x·w^b with x·w^c and angle between w^b and w^c, in every weight layer.

    In float32 on every device.

    Parameters
    ----------
    network : Module
        Its mode is restored.
    images : Tensor of uint8, shape (images, channels, h, w)

    Returns
    -------
    DataFrame
        A row per layer: layer, n (fan-in), r (Pearson, all filters pooled), filter_r (median of
        the correlations within filters) with its quartiles filter_r_25 and filter_r_75, angle
        (median over filters, degrees) with angle_25 and angle_75.

    Raises
    ------
    UserError
        As :func:`bnn_geometry.probing.dot_products.probe_weights`.
    """
    on_gpu = next(network.parameters()).device.type == "cuda"
    # cuDNN would round the factors of a float32 convolution to 10 bits
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False) if on_gpu else nullcontext():
        table = probes.as_table(probes.probe_weights(network, images))
    angles = probes.weight_angles(network).groupby("layer", sort=False)["angle"]
    for part, column in ((0.25, "angle_25"), (0.5, "angle"), (0.75, "angle_75")):
        table[column] = angles.quantile(part)
    return table.reset_index()[COLUMNS]
