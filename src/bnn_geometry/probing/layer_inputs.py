"""What enters every weight layer while a network runs: all of it, or a random sample."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (torch's own convention)
from tqdm import tqdm

from bnn_geometry.errors import UserError
from bnn_geometry.networks.inference import inference, scale_images
from bnn_geometry.networks.layers import BinaryActivation, BinaryConv2d, BinaryLinear, weight_layers
from bnn_geometry.networks.straight_through import binarize


@dataclass(frozen=True)
class LayerInput:
    """One batch at the entrance of one weight layer.

    Attributes
    ----------
    name : str
        Of the layer.
    layer : BinaryLinear or BinaryConv2d
    x : Tensor
        What enters it, float32: (batch, channels, h, w) of a convolution, (..., n) of a dense
        layer.
    continuous : Tensor or None
        Same shape: what x was before the :class:`BinaryActivation` that made it. None where x was
        not made by one.
    """

    name: str
    layer: BinaryLinear | BinaryConv2d
    x: Tensor
    continuous: Tensor | None

    def dot(self, weight: Tensor, x: Tensor | None = None) -> Tensor:
        """Dot products of the layer's input vectors with other weights of its shape.

        Parameters
        ----------
        weight : Tensor
            Of the shape of the layer's latent weight.
        x : Tensor, optional
            In the place of the layer's input.

        Returns
        -------
        Tensor, shape (filters, values)
            A value for each image and position, on the CPU.
        """
        z = self.layer.apply_weight(self.x if x is None else x, weight.float())
        return z.movedim(1 if isinstance(self.layer, BinaryConv2d) else -1, 0).flatten(1).cpu()


class _Activations:
    """Inputs of the activations that ran in this batch, found again by what they put out."""

    def __init__(self) -> None:
        self._seen: list[tuple[Tensor, Tensor]] = []

    def clear(self) -> None:
        self._seen.clear()

    def saw(self, module: nn.Module, args: tuple[Tensor], output: Tensor) -> None:
        self._seen.append((args[0], output))

    def before(self, x: Tensor) -> Tensor | None:
        # The same memory where nothing was copied, which tells a network's branches apart;
        # flattening a channels-last tensor copies it, and then the latest that fits is meant.
        for continuous, output in reversed(self._seen):
            same = output.untyped_storage().data_ptr() == x.untyped_storage().data_ptr()
            if same and output.numel() == x.numel():
                return continuous.reshape(x.shape).float()
        for continuous, output in reversed(self._seen):
            if output.numel() == x.numel():
                reshaped = continuous.reshape(x.shape).float()
                if torch.equal(binarize(reshaped), x.float()):
                    return reshaped
        return None


def observe(
    network: nn.Module,
    images: Tensor,
    see: Callable[[LayerInput], None],
    *,
    batch_size: int = 50,
    progress: bool = False,
) -> None:
    """Run a network on images, in evaluation mode and in float32, and show each layer's input.

    Parameters
    ----------
    network : Module
        Any network with :class:`BinaryLinear` or :class:`BinaryConv2d` in it.
    images : Tensor of uint8, shape (images, channels, h, w)
    see : callable
        Called for every batch and every weight layer, in the order in which they run.
    batch_size : int
        Images at a time.
    progress : bool
        Show a bar with images/s and time left on standard error, where that is a terminal.

    Raises
    ------
    UserError
        If there are no images, no weight layers, a weight that is not finite, or a layer that the
        network does not use.
    """
    layers = weight_layers(network)
    if not layers:
        raise UserError("The network has no binary layer to probe.")
    if len(images) == 0:
        raise UserError("There are no images to probe the network with.")
    if batch_size < 1:
        raise UserError(f"A batch has at least one image, not {batch_size}.")
    for name, layer in layers.items():
        if not torch.isfinite(layer.weight).all():
            raise UserError(f"Layer {name} has weights that are not finite: it cannot be probed.")
    activations = _Activations()
    used: set[str] = set()

    def before_layer(name: str, layer: nn.Module, x: Tensor) -> None:
        used.add(name)
        see(LayerInput(name, layer, x.float(), activations.before(x)))

    handles = [
        layer.register_forward_pre_hook(
            lambda module, args, name=name: before_layer(name, module, args[0])
        )
        for name, layer in layers.items()
    ] + [
        module.register_forward_hook(activations.saw)
        for module in network.modules()
        if isinstance(module, BinaryActivation)
    ]
    try:
        with (
            inference(network) as device,
            # disable=None: no bar where standard error is no terminal
            tqdm(total=len(images), unit=" images", disable=None if progress else True) as bar,
        ):
            for start in range(0, len(images), batch_size):
                activations.clear()
                batch = images[start : start + batch_size]
                network(scale_images(batch.to(device)))
                bar.update(len(batch))
    finally:
        for handle in handles:
            handle.remove()
    for name in layers:
        if name not in used:
            raise UserError(f"Layer {name} took no part when the network ran: it cannot be probed.")


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
        As for :func:`observe`; the sample does not depend on the batch size.
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
        As :func:`observe`.
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
