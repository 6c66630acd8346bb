"""Input vectors of every weight layer, with what they were before they were binarized."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bnn_geometry.networks.layers import BinaryConv2d, weight_layers
from bnn_geometry.networks.linear_layers import count_vectors, input_vectors
from bnn_geometry.probing.layer_inputs import LayerInput, LayerSample, observe

SHORT = 256
"""Inputs below which a vector counts for less: pixels vary so much between the places of an image
that, of the first layer's patches, ten thousand leave an error in r twice that of the images."""


@dataclass(frozen=True)
class LayerVectors:
    """Input vectors of one weight layer.

    Attributes
    ----------
    x : Tensor of float32, shape (vectors, n)
        As in :class:`bnn_geometry.probing.layer_inputs.LayerSample`.
    continuous : Tensor of float32, shape (vectors, n), or None
        The same vectors before the activation that binarized them; None where none did.
    image : Tensor of int64, shape (vectors,)
        The image from which each comes, ascending.
    """

    x: Tensor
    continuous: Tensor | None
    image: Tensor

    def first(self, images: int) -> LayerSample:
        """One vector of each of the first images."""
        place = torch.searchsorted(self.image, torch.arange(min(images, int(self.image[-1]) + 1)))
        return LayerSample(self.x[place], self.image[place])


def draw_vectors(
    network: nn.Module,
    images: Tensor,
    *,
    vectors: int,
    generator: torch.Generator,
    continuous: bool = False,
    batch_size: int = 50,
) -> dict[str, LayerVectors]:
    """Draw input vectors of every weight layer at random, in one run of the network.

    Every image gives the same number of them: the least that makes ``vectors`` at the places of a
    convolution (:data:`SHORT` / n times as many where they are short), one to a dense layer.
    Nothing is computed from them here: all that is asked of a layer afterwards, of any weights, is
    asked of the same vectors.

    Parameters
    ----------
    network, images, batch_size
        As for :func:`bnn_geometry.probing.layer_inputs.observe`.
    vectors : int
        For each convolution, at least.
    generator : torch.Generator
    continuous : bool
        Keep what they were before the activation, too.

    Returns
    -------
    dict of str to LayerVectors
        By layer, in their order.

    Raises
    ------
    UserError
        As :func:`bnn_geometry.probing.layer_inputs.observe`.
    """
    layers, count = weight_layers(network), len(images)
    each = {
        name: -(-vectors * max(1, SHORT // layer.fan_in) // max(count, 1))
        if isinstance(layer, BinaryConv2d)
        else 1
        for name, layer in layers.items()
    }
    places = {name: torch.rand(count, k, generator=generator) for name, k in each.items()}
    found: dict[str, list[tuple[Tensor, Tensor | None]]] = {name: [] for name in layers}
    done = dict.fromkeys(layers, 0)

    def see(at: LayerInput) -> None:
        x, start, k = at.x, done[at.name], each[at.name]
        done[at.name] += len(x)
        before = at.continuous if continuous else None
        if isinstance(at.layer, BinaryConv2d):
            pixels = count_vectors(at.layer, x)
            place = (places[at.name][start : start + len(x)] * pixels).long().clamp(max=pixels - 1)
            where = place.flatten().to(x.device)
            image = torch.arange(len(x), device=x.device).repeat_interleave(k)
            x = input_vectors(at.layer, x, image, where)
            before = None if before is None else input_vectors(at.layer, before, image, where)
        found[at.name].append((x.cpu(), None if before is None else before.cpu()))

    observe(network, images, see, batch_size=batch_size)
    made = {}
    for name in layers:
        parts = found.pop(name)
        whole = torch.cat([x for x, _ in parts])
        before = None if parts[0][1] is None else torch.cat([z for _, z in parts])
        image = torch.arange(count).repeat_interleave(each[name])
        made[name] = LayerVectors(whole, before, image)
    return made
