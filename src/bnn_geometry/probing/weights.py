"""Latent weights beside binary ones: angles and distributions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from torch import nn

from bnn_geometry.networks.layers import weight_layers


@torch.no_grad()
def weight_angles(network: nn.Module) -> pd.DataFrame:
    """Angle between w^c and w^b of every filter.

    Returns
    -------
    DataFrame
        Columns layer, n (fan-in), filter, angle (degrees), in the order of the layers.
    """
    frames = []
    for name, layer in weight_layers(network).items():
        angle = layer.latent_angles()
        frames.append(
            pd.DataFrame(
                {
                    "layer": name,
                    "n": layer.fan_in,
                    "filter": range(len(angle)),
                    "angle": angle.cpu().numpy(),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


@torch.no_grad()
def latent_histograms(network: nn.Module, bins: int = 40) -> pd.DataFrame:
    """How the latent weights of every layer are distributed on [−1, 1].

    Parameters
    ----------
    network : Module
    bins : int
        Of equal width; the last one holds +1.

    Returns
    -------
    DataFrame
        Columns layer, left, right (edges of a bin) and density; each layer's density integrates to
        the part of its weights that lie in [−1, 1], all of them where they are clipped.
    """
    edges = np.linspace(-1, 1, bins + 1)
    frames = []
    for name, layer in weight_layers(network).items():
        w = layer.weight.double().flatten().cpu().numpy()
        counts, _ = np.histogram(w, edges)
        frames.append(
            pd.DataFrame(
                {
                    "layer": name,
                    "left": edges[:-1],
                    "right": edges[1:],
                    "density": counts / (len(w) * np.diff(edges)),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)
