"""What a training history says of single layers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from bnn_geometry.networks.layers import weight_layers


def binary_weights(network: nn.Module) -> dict[str, Tensor]:
    """The binary weights, or ternary ones, of each weight layer in a byte each."""
    return {k: x.binary_weight.to(torch.int8) for k, x in weight_layers(network).items()}


def layer_columns(network: nn.Module, before: dict[str, Tensor]) -> dict[str, float]:
    """The columns of an epoch's row that speak of single layers.

    Parameters
    ----------
    network : Module
    before : dict of str to Tensor
        The :func:`binary_weights` of an epoch before.

    Returns
    -------
    dict
        ``flips_LAYER``, ``angle_LAYER`` and ``ends_LAYER``: see :func:`layer_history`.
    """
    layers = weight_layers(network)
    now = binary_weights(network)
    flips = {f"flips_{k}": float((before[k] != now[k]).double().mean()) for k in layers}
    angles = {k: layer.latent_angles().cpu().numpy() for k, layer in layers.items()}
    clipped = {
        f"ends_{k}": float((layer.weight.detach().abs() >= 1).double().mean())
        for k, layer in layers.items()
    }
    return flips | {f"angle_{k}": float(np.median(a)) for k, a in angles.items()} | clipped


def layer_history(history: pd.DataFrame) -> pd.DataFrame:
    """What a history says of single layers, as one row per epoch and layer.

    Parameters
    ----------
    history : DataFrame
        See :class:`bnn_geometry.training.loop.Trained`.

    Returns
    -------
    DataFrame
        Columns epoch, layer, flips (fraction of the layer's weights w^b that changed in
        this epoch), angle (between w^c and w^b, median over filters, degrees) and clipped_fraction
        (of latent weights, those at ±1 or beyond).
    """
    names = [c.removeprefix("flips_") for c in history.columns if c.startswith("flips_")]
    parts = [
        pd.DataFrame(
            {
                "epoch": history["epoch"],
                "layer": name,
                "flips": history[f"flips_{name}"],
                "angle": history[f"angle_{name}"],
                "clipped_fraction": history[f"ends_{name}"],
            }
        )
        for name in names
    ]
    columns = ["epoch", "layer", "flips", "angle", "clipped_fraction"]
    table = pd.concat(parts) if parts else pd.DataFrame(columns=columns)
    # stable: the layers stay in their order
    return table.sort_values("epoch", kind="stable", ignore_index=True)
