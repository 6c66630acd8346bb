"""How far two networks agree, layer by layer, on the same images."""

from __future__ import annotations

import pandas as pd
import torch
from torch import Tensor, nn

from bnn_geometry.errors import UserError
from bnn_geometry.networks.layers import weight_layers
from bnn_geometry.probing.correlation import above_rounding, pearson, quartiles
from bnn_geometry.probing.layer_inputs import LayerInput, observe


def _outputs(network: nn.Module, images: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    # What each weight layer puts out, (filters, values), and E‖x‖²·‖w‖² of its filters.
    found: dict[str, tuple[Tensor, Tensor]] = {}

    def see(at: LayerInput) -> None:
        weight = at.layer.forward_weight(torch.float32)
        energy = at.layer.fan_in * at.x.double().square().mean()
        size = energy * weight.double().flatten(1).square().sum(1)
        found[at.name] = at.dot(weight), size.cpu()

    observe(network, images, see, batch_size=max(len(images), 1))
    return found


def layer_agreement(network: nn.Module, other: nn.Module, images: Tensor) -> pd.DataFrame:
    """Correlation of two networks' dot products on the same images, in every weight layer.

    Each network runs on its own activations, so that what separates them adds up from layer to
    layer. Scale and shift of a filter do not matter.

    Parameters
    ----------
    network, other : Module
        With the same weight layers; modes are restored.
    images : Tensor of uint8, shape (images, channels, h, w)
        Run at once: about a hundred.

    Returns
    -------
    DataFrame
        Index layer; n (fan-in), filter_r (median over filters of the Pearson correlation over
        images and positions), filter_r_25 and filter_r_75 (quartiles).

    Raises
    ------
    UserError
        If the networks differ in their layers, or as
        :func:`bnn_geometry.probing.layer_inputs.observe`.
    """
    layers = weight_layers(network)
    shapes, others = (
        {name: layer.weight.shape for name, layer in weight_layers(z).items()}
        for z in (network, other)
    )
    if shapes != others or not shapes:
        raise UserError("The two networks do not have the same weight layers.")
    mine, theirs = _outputs(network, images), _outputs(other, images)
    rows = []
    for name, layer in layers.items():
        centred, variances = [], []
        for z, size in (mine[name], theirs[name]):
            z = z.double()
            z = z - z.mean(1, keepdim=True)
            centred.append(z)
            variances.append(above_rounding(z.square().mean(1), size))
        r = pearson((centred[0] * centred[1]).mean(1), *variances)
        rows.append([name, layer.fan_in, *quartiles(r)])
    columns = ["layer", "n", "filter_r_25", "filter_r", "filter_r_75"]
    return pd.DataFrame(rows, columns=columns).set_index("layer")
