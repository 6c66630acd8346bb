"""Latent weights beside binary ones: the angle of every filter."""

from __future__ import annotations

import pandas as pd
import torch
from torch import nn

from bnn_geometry.networks.layers import latent_angles
from bnn_geometry.networks.linear_layers import latent_weights, linear_layers, quantizer_of


@torch.no_grad()
def weight_angles(network: nn.Module) -> pd.DataFrame:
    """Angle between w^c and w^b of every filter, in every linear layer and convolution.

    Returns
    -------
    DataFrame
        Columns layer, n (fan-in), filter, angle (degrees), in the order of the layers.
    """
    frames, layers = [], linear_layers(network)
    for name, weight in latent_weights(network).items():
        angle = latent_angles(weight, quantizer_of(layers[name]))
        frames.append(
            pd.DataFrame(
                {
                    "layer": name,
                    "n": weight[0].numel(),
                    "filter": range(len(angle)),
                    "angle": angle.cpu().numpy(),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)
