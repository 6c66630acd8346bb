"""How far two networks agree, layer by layer, on the same images."""

from __future__ import annotations

import pandas as pd
import torch
from torch import Tensor, nn

from bnn_geometry.errors import UserError
from bnn_geometry.networks.inference import Preprocess, scale_images
from bnn_geometry.networks.linear_layers import latent_weights
from bnn_geometry.probing.correlation import above_rounding, pearson, quartiles
from bnn_geometry.probing.layer_inputs import LayerInput, observe


def _outputs(
    network: nn.Module, images: Tensor, preprocess: Preprocess
) -> dict[str, tuple[Tensor, Tensor]]:
    # What each weight layer puts out, (filters, values), and E‖x‖²·‖w‖² of its filters.
    found: dict[str, list[tuple[Tensor, Tensor]]] = {}

    def see(at: LayerInput) -> None:
        energy = at.weight[0].numel() * at.x.double().square().mean()
        size = energy * at.forward_weight.double().flatten(1).square().sum(1)
        found.setdefault(at.name, []).append((at.dot(at.forward_weight), size.cpu()))

    left_out = observe(network, images, see, preprocess=preprocess, batch_size=max(len(images), 1))
    return {
        name: (torch.cat([z for z, _ in calls], dim=1), torch.stack([s for _, s in calls]).mean(0))
        for name, calls in found.items()
        if name not in left_out
    }


def layer_agreement(
    network: nn.Module,
    other: nn.Module,
    images: Tensor,
    *,
    preprocess: Preprocess = scale_images,
) -> pd.DataFrame:
    """Correlation of two networks' dot products on the same images, in every weight layer.

    Each network runs on its own activations, so that what separates them adds up from layer to
    layer. Scale and shift of a filter do not matter.

    Parameters
    ----------
    network, other : Module
        Any, with the same weight layers; modes are restored.
    images : Tensor of uint8, shape (images, channels, h, w), or as ``preprocess`` takes them
        Run at once: about a hundred.
    preprocess : callable
        As of :func:`bnn_geometry.probing.layer_inputs.observe`.

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
    weights, others = latent_weights(network), latent_weights(other)
    if {k: w.shape for k, w in weights.items()} != {k: w.shape for k, w in others.items()}:
        raise UserError("The two networks do not have the same weight layers.")
    mine, theirs = (_outputs(z, images, preprocess) for z in (network, other))
    rows = []
    for name in (name for name in weights if name in mine and name in theirs):
        if mine[name][0].shape != theirs[name][0].shape:
            raise UserError(f"Layer {name} puts out more in one network than in the other.")
        centred, variances = [], []
        for z, size in (mine[name], theirs[name]):
            z = z.double()
            z = z - z.mean(1, keepdim=True)
            centred.append(z)
            variances.append(above_rounding(z.square().mean(1), size))
        r = pearson((centred[0] * centred[1]).mean(1), *variances)
        rows.append([name, weights[name][0].numel(), *quartiles(r)])
    columns = ["layer", "n", "filter_r_25", "filter_r", "filter_r_75"]
    return pd.DataFrame(rows, columns=columns).set_index("layer")
