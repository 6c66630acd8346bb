"""What a network loses when its weights are exchanged or turned: answers, image by image."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bnn_geometry.data.datasets import Split
from bnn_geometry.networks.batch_norm import refit_batch_norm
from bnn_geometry.networks.conversion import binarize_weights, compute_with_latents
from bnn_geometry.networks.inference import inference, scale_images
from bnn_geometry.networks.layers import weight_layers
from bnn_geometry.networks.magnitudes import rotate_like, shuffle_magnitudes

NONE, EXCHANGED, SHUFFLED, TURNED = "none", "exchanged", "shuffled magnitudes", "random turn"
ALL = "all"


def changes(network: nn.Module, *, shuffles: int, turns: int) -> list[dict[str, Any]]:
    """Every change that is measured: its name, its layer or ``all``, and its draw.

    ``none``; ``exchanged``: the network computes with w^c in the place of w^b, or, if it is a
    continuous one, with w^b in the place of w^c, in one layer or in all; ``shuffled magnitudes``:
    all layers compute with the signs that they have, each filter's magnitudes permuted; ``random
    turn``: each filter is turned by the angle between w^c and w^b in a random direction.
    """
    layers = [*weight_layers(network), ALL]
    return [
        {"change": NONE, "layer": ALL, "draw": 0},
        {"change": EXCHANGED, "layer": ALL, "draw": 0},
        *({"change": SHUFFLED, "layer": ALL, "draw": draw} for draw in range(shuffles)),
        *({"change": TURNED, "layer": ALL, "draw": draw} for draw in range(turns)),
        *({"change": EXCHANGED, "layer": layer, "draw": 0} for layer in layers[:-1]),
    ]


def changed(network: nn.Module, *, change: str, layer: str, draw: int) -> nn.Module:
    """A copy of a network with other weights: see :func:`changes`."""
    binary = next(iter(weight_layers(network).values())).binary
    chosen = [*weight_layers(network)] if layer == ALL else [layer]
    generator = torch.Generator().manual_seed(draw)
    if change == NONE:
        return network
    if change == EXCHANGED:
        exchange = compute_with_latents if binary else binarize_weights
        return exchange(network, layers=chosen)
    latent = compute_with_latents(network, weight_layers(network))
    if change == SHUFFLED:
        return shuffle_magnitudes(latent, generator)
    signs = binarize_weights(network)
    return rotate_like(*((signs, latent) if binary else (latent, signs)), generator)


def right(network: nn.Module, split: Split, batch_size: int = 100) -> NDArray[np.bool_]:
    """Whether each image is classified rightly."""
    parts = []
    with inference(network) as device:
        for some in split.images.split(batch_size):
            parts.append(network(scale_images(some.to(device))).argmax(1).cpu())
    return (torch.cat(parts) == split.labels).numpy()


def answers(network: nn.Module, refit: Tensor, test: Split, change: dict[str, Any]) -> str:
    """Whether a changed network, its batch norms refitted, is right on each image, as a text.

    Parameters
    ----------
    network : Module
    refit : Tensor of uint8, shape (images, channels, h, w)
        Training images.
    test : Split
    change : dict
        One of :func:`changes`.

    Returns
    -------
    str
        See :func:`unpacked`.
    """
    ready = refit_batch_norm(changed(network, **change), refit, batch_size=50)
    return packed(right(ready, test))


def packed(bits: NDArray[np.bool_]) -> str:
    """Bits as a short text, four to a letter; a word before them, or it could be a number."""
    return "bits " + np.packbits(bits).tobytes().hex()


def unpacked(text: str, count: int) -> NDArray[np.bool_]:
    """The bits of :func:`packed`."""
    return np.unpackbits(np.frombuffer(bytes.fromhex(text[5:]), np.uint8))[:count].astype(bool)
