"""A random sample of the vectors that enter each weight layer, for whatever needs them whole."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from bnn_geometry.networks.layers import BinaryConv2d, weight_layers
from bnn_geometry.probing.layer_inputs import LayerInput, observe


@dataclass(frozen=True)
class LayerSample:
    """Input vectors of one weight layer.

    Attributes
    ----------
    x : Tensor of float32, shape (samples, n)
        Vectors with which the weight vectors are multiplied: patches of a convolution (channel by
        channel, as weights are laid out, and 0 where it pads), whole activations of a dense layer.
    image : Tensor of int64, shape (samples,)
        The image from which each of them comes.
    """

    x: Tensor
    image: Tensor


def _patches(x: Tensor, layer: BinaryConv2d, image: Tensor, where: Tensor) -> Tensor:
    # The patches around some pixels, (patches, channels · k · k); all of them would be k² images.
    k, width = layer.weight.shape[-1], x.shape[-1]
    padded = F.pad(x, (layer.padding,) * 4)
    row = (where // width)[:, None, None] + torch.arange(k, device=x.device)[:, None]
    column = (where % width)[:, None, None] + torch.arange(k, device=x.device)
    return padded[image[:, None, None], :, row, column].permute(0, 3, 1, 2).flatten(1)


def sample_inputs(
    network: nn.Module,
    images: Tensor,
    *,
    samples: int,
    generator: torch.Generator,
    batch_size: int = 50,
) -> dict[str, LayerSample]:
    """Draw input vectors of every weight layer at random while the network runs.

    Every image gives the same number of vectors to a layer, but for one; where in the image is
    random. Of a dense layer, which mostly has one vector for each image, there are at most as many
    as images.

    Parameters
    ----------
    network, images, batch_size
        As for :func:`bnn_geometry.probing.layer_inputs.observe`; the sample does not depend on
        the batch size.
    samples : int
        Vectors for each layer.
    generator : torch.Generator

    Returns
    -------
    dict of str to LayerSample
        By layer, in their order.

    Raises
    ------
    UserError
        As :func:`bnn_geometry.probing.layer_inputs.observe`.
    ValueError
        If samples is below 1.
    """
    if samples < 1:
        raise ValueError(f"A sample has at least one vector, not {samples}.")
    layers = weight_layers(network)
    chosen = {}
    for name, layer in layers.items():
        count = samples if isinstance(layer, BinaryConv2d) else min(samples, len(images))
        order = torch.randperm(max(len(images), 1), generator=generator)
        image = order.repeat(-(-count // len(order)))[:count].sort().values
        chosen[name] = (image, torch.rand(count, generator=generator, dtype=torch.float64))
    parts: dict[str, list[Tensor]] = {name: [] for name in layers}
    first = 0  # image of the batch that is running

    def see(at: LayerInput) -> None:
        image, fraction = chosen[at.name]
        here = (image >= first) & (image < first + len(at.x))
        local = (image[here] - first).to(at.x.device)
        convolution = isinstance(at.layer, BinaryConv2d)
        x = at.x if convolution else at.x.reshape(len(at.x), -1, at.layer.fan_in)
        positions = x.shape[-2] * x.shape[-1] if convolution else x.shape[1]
        where = (fraction[here] * positions).long().to(x.device)
        found = _patches(x, at.layer, local, where) if convolution else x[local, where]
        parts[at.name].append(found.cpu())

    for first in range(0, max(len(images), 1), batch_size):
        observe(network, images[first : first + batch_size], see, batch_size=batch_size)
    return {name: LayerSample(torch.cat(x), chosen[name][0]) for name, x in parts.items()}
