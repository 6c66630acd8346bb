"""What is measured on a network while it trains: r and the angle, layer by layer."""

from __future__ import annotations

import pandas as pd
from torch import Tensor, nn

from bnn_geometry.networks.inference import Preprocess, scale_images
from bnn_geometry.probing.correlation import quartiles
from bnn_geometry.probing.dot_products import as_table, probe_weights
from bnn_geometry.probing.weights import weight_angles

COLUMNS = [
    *("layer", "n", "r", "filter_r_25", "filter_r", "filter_r_75"),
    *("angle_25", "angle", "angle_75"),
]


def measure_layers(
    network: nn.Module, images: Tensor, *, preprocess: Preprocess = scale_images
) -> pd.DataFrame:
    r"""Correlation of x·w^b with x·w^c and angle between w^b and w^c, in every weight layer.

    Parameters
    ----------
    network : Module
    images, preprocess
        As for :func:`bnn_geometry.probing.dot_products.probe`.

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
    table = as_table(probe_weights(network, images, preprocess=preprocess))
    angles = weight_angles(network).groupby("layer", sort=False)["angle"]
    for i, column in enumerate(("angle_25", "angle", "angle_75")):
        table[column] = angles.agg(lambda z, i=i: quartiles(z)[i])
    return table.reset_index()[COLUMNS]
