r"""Latent weights beside binary ones: angles, distributions, and the paper's noise.

Section 5.1 reads the training of binary weights as :math:`-\delta u = \nabla L(u + \varepsilon)`
"where ε is noise that models the fact that f(u) corrupts u". Here u are the latent weights, and
:math:`\varepsilon = \mathrm{bin}(w) - w`.
"""

from __future__ import annotations

import copy

import numpy as np
import pandas as pd
import torch
from scipy import stats
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (torch's own convention)

from bnn_geometry.errors import UserError
from bnn_geometry.networks.inference import (
    Preprocess,
    device_of,
    full_precision,
    network_input,
    run,
    scale_images,
)
from bnn_geometry.networks.layers import latent_angles, weight_layers
from bnn_geometry.networks.linear_layers import latent_weights

NOISE_COLUMNS = [
    *("layer", "weights", "size", "cosine_latent", "cosine_gradient"),
    *("skewness", "kurtosis", "distance"),
]


@torch.no_grad()
def weight_angles(network: nn.Module) -> pd.DataFrame:
    """Angle between w^c and w^b of every filter, in every linear layer and convolution.

    Returns
    -------
    DataFrame
        Columns layer, n (fan-in), filter, angle (degrees), in the order of the layers.
    """
    frames = []
    for name, weight in latent_weights(network).items():
        angle = latent_angles(weight)
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
    for name, weight in latent_weights(network).items():
        w = weight.double().flatten().cpu().numpy()
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


def weight_noise(network: nn.Module) -> dict[str, Tensor]:
    """ε = bin(w) − w of each weight layer: new tensors of the shape of its weights."""
    return {
        name: layer.binary_weight - layer.weight.detach()
        for name, layer in weight_layers(network).items()
    }


def cosine(a: Tensor, b: Tensor) -> float:
    """Cosine of two tensors taken as vectors, in float64; NaN where one is zero."""
    a, b = a.detach().double().flatten(), b.detach().double().flatten()
    return float(a @ b / (a.norm() * b.norm()))


def weight_noise_statistics(
    network: nn.Module, images: Tensor, labels: Tensor, *, preprocess: Preprocess = scale_images
) -> pd.DataFrame:
    """Size of ε in each layer, its cosines with w and with the gradient, and how Gaussian it is.

    The gradient is that of the cross-entropy on these images with respect to the binary weights,
    which is what moves the latent ones, in training mode (batch statistics, no change to the
    network).

    Parameters
    ----------
    network : Module
        With layers of :mod:`bnn_geometry.networks.layers`: the others have no binary weights.
    images, preprocess
        As for :func:`bnn_geometry.probing.dot_products.probe`.
    labels : Tensor of int64, shape (images,)

    Returns
    -------
    DataFrame
        A row per layer: layer, weights (number), size (root mean square of ε), cosine_latent and
        cosine_gradient (of ε with w and with the gradient; NaN where the gradient is zero),
        skewness and excess kurtosis of its entries (0 for a Gaussian), and distance
        (Kolmogorov-Smirnov) from the Gaussian of the same mean and variance.

    Raises
    ------
    UserError
        If there are no images or no such layers, or a weight is not finite.
    """
    if len(images) == 0:
        raise UserError("There are no images to take a gradient on.")
    if not weight_layers(network):
        raise UserError("The network has no binary layer whose weights meet noise.")
    copied = copy.deepcopy(network).train()
    for layer in weight_layers(copied).values():
        if not torch.isfinite(layer.weight).all():
            raise UserError("There are weights that are not finite: they differ by no number.")
    device = device_of(copied)
    generators = [device] if device.type == "cuda" else []
    with torch.enable_grad(), full_precision(device), torch.random.fork_rng(generators):
        scores = run(copied, network_input(copied, images, preprocess))
        loss = F.cross_entropy(scores, labels.to(device))
        weights = {name: layer.weight for name, layer in weight_layers(copied).items()}
        gradients = torch.autograd.grad(loss, [*weights.values()], allow_unused=True)
    rows = []
    for (name, epsilon), gradient in zip(weight_noise(copied).items(), gradients, strict=True):
        entries = epsilon.double().flatten().cpu().numpy()
        spread = entries.std()
        standard = (entries - entries.mean()) / spread if spread else entries
        rows.append(
            (
                name,
                len(entries),
                float(np.sqrt(np.mean(entries**2))),
                cosine(epsilon, weights[name]),
                np.nan if gradient is None else cosine(epsilon, gradient),
                float(stats.skew(entries)),
                float(stats.kurtosis(entries)),
                float(stats.kstest(standard, "norm").statistic),
            )
        )
    return pd.DataFrame(rows, columns=NOISE_COLUMNS)
