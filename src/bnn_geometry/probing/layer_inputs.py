"""What enters every weight layer while a network runs: all of it, or a random sample.

The network may be anybody's. Its linear layers and convolutions are looked at, each time they are
called; how they take their input apart is known to :mod:`bnn_geometry.networks.linear_layers`.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from tqdm import tqdm

from bnn_geometry.errors import UserError
from bnn_geometry.networks import linear_layers
from bnn_geometry.networks.inference import (
    Preprocess,
    check_images,
    eager,
    inference,
    network_input,
    run,
    same_buffers,
    scale_images,
)
from bnn_geometry.networks.layers import BinaryActivation
from bnn_geometry.networks.replacement import unwrapped
from bnn_geometry.probing.activations import Activations


@dataclass(frozen=True)
class LayerInput:
    """One batch at the entrance of one weight layer, at one of its calls.

    Attributes
    ----------
    name : str
        Of the layer.
    layer : Linear, Conv1d, Conv2d or Conv3d
        Of torch, or its binary counterpart of this package.
    weight : Tensor, shape (filters, ...)
        The layer's latent weights, float32 (float64 in a network of float64).
    forward_weight : Tensor
        Same shape: what it multiplied x by.
    x : Tensor
        What enters it, of the same dtype: (batch, channels, ...) of a convolution, (batch, ..., n)
        of a linear layer.
    continuous : Tensor or None
        Same shape: what x was before the :class:`BinaryActivation` that made it. None where x is
        not certainly what one put out.
    call : int
        How many times the layer was called before in this batch.
    images : range
        Numbers of the batch's images.
    mixed : bool
        Whether x is binary and yet ``continuous`` is None: what made it is not known.
    """

    name: str
    layer: nn.Module
    weight: Tensor
    forward_weight: Tensor
    x: Tensor
    continuous: Tensor | None
    call: int
    images: range
    mixed: bool

    @property
    def binary_weight(self) -> Tensor:
        """w^b, bin(w) unless the layer is ternary, of the shape of ``weight``."""
        return linear_layers.quantizer_of(self.layer)(self.weight)

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
            A value for each image and position, on the CPU, without the layer's bias. A filter of a
            convolution with groups meets the channels of its group.
        """
        x = self.x if x is None else x
        z = linear_layers.apply_weight(self.layer, x, weight.to(x.dtype))
        return linear_layers.filters_first(self.layer, z).cpu()


def _binary(x: Tensor) -> bool:
    size = x.abs()
    return bool(((size == size.flatten()[0]) & (size > 0)).all())


_UNEVEN = (
    "Layer {} gets more to multiply on some images than on others: its inputs cannot be sampled "
    "evenly."
)
_UNUSED = "it took no part when the network ran"
_ODD = (
    "its class has a forward of its own, which does not multiply what enters by the weights or by "
    "their signs: give the vectors that it multiplies to probe_arrays"
)


class _LookError(Exception):
    """Carries what a look raised past :func:`run`, which answers for the network's errors alone."""


def _look(
    network: nn.Module,
    images: Tensor,
    see: Callable[[LayerInput], None],
    preprocess: Preprocess,
    batch_size: int,
    *,
    progress: bool = False,
) -> dict[str, str]:
    # Runs the network; returns the layers that cannot be judged, and why.
    check_images(images)
    if len(images) == 0:
        raise UserError("There are no images to probe the network with.")
    if batch_size < 1:
        raise UserError(f"A batch has at least one image, not {batch_size}.")
    network = unwrapped(network)
    layers = linear_layers.linear_layers(network)
    weights = linear_layers.latent_weights(network)
    unused, odd = set(layers), set()
    activations, calls = Activations(), Counter()
    batch = range(0)

    def look(name: str, args: tuple, kwargs: dict, output: object) -> None:
        layer = layers[name]
        x = linear_layers.batched(layer, [*args, *kwargs.values()][0])
        unused.discard(name)
        if x.numel() == 0 or name in odd:
            return
        multiplied = linear_layers.forward_weight(layer, x, output)
        if multiplied is None:
            odd.add(name)
            return
        if not torch.isfinite(x).all():
            raise UserError(f"What enters layer {name} is not finite: see the network.")
        continuous = activations.before(x)
        mixed = continuous is None and bool(activations) and _binary(x)
        x, multiplied = (linear_layers.at_least_single(z) for z in (x, multiplied))
        if continuous is not None:
            continuous = continuous.to(x.dtype)
        call = calls[name]
        calls[name] += 1
        see(LayerInput(name, layer, weights[name], multiplied, x, continuous, call, batch, mixed))

    def hook(name: str) -> Callable:
        def called(module: nn.Module, args: tuple, kwargs: dict, output: object) -> None:
            try:
                look(name, args, kwargs, output)
            except Exception as error:
                raise _LookError from error

        return called

    with ExitStack() as stack:
        stack.enter_context(inference(network))
        stack.enter_context(eager(network))
        stack.enter_context(same_buffers(network))
        for name, layer in layers.items():
            handle = layer.register_forward_hook(hook(name), with_kwargs=True)
            stack.callback(handle.remove)
        for module in network.modules():
            if isinstance(module, BinaryActivation):
                handle = module.register_forward_hook(activations.saw, with_kwargs=True)
                stack.callback(handle.remove)
        # disable=None: no bar where standard error is no terminal
        hidden = None if progress else True
        bar = stack.enter_context(tqdm(total=len(images), unit=" images", disable=hidden))
        for start in range(0, len(images), batch_size):
            activations.clear()
            calls.clear()
            batch = range(start, min(start + batch_size, len(images)))
            try:
                run(network, network_input(network, images[start : batch.stop], preprocess))
            except _LookError as error:
                raise error.__cause__ from error.__cause__.__cause__
            bar.update(len(batch))
    if not set(layers) - unused - odd:
        raise UserError("The network calls none of its layers as a module that multiplies by them.")
    return {name: _UNUSED if name in unused else _ODD for name in layers if name in unused | odd}


def observe(
    network: nn.Module,
    images: Tensor,
    see: Callable[[LayerInput], None],
    *,
    preprocess: Preprocess = scale_images,
    batch_size: int = 50,
    progress: bool = False,
) -> set[str]:
    """Run a network on images and show what enters each layer.

    It runs in evaluation mode and without gradient. The network and the images are left as they
    were: its modes, hooks, buffers and gradients, and torch's generators.

    Parameters
    ----------
    network : Module
        With linear layers or convolutions in it, torch's own or this package's. A wrapper of
        ``torch.compile`` or data parallelism is taken off. It runs in its own precision.
    images : Tensor, shape (images, ...)
        uint8 of shape (images, channels, h, w) unless ``preprocess`` is given.
    see : callable
        Called for every batch and every call of a weight layer, in the order in which they run.
        What it keeps it must copy: a network may change its tensors in place.
    preprocess : callable
        From a batch of the images to what the network takes. The default takes pixels to [−1, 1];
        :func:`~bnn_geometry.networks.inference.as_given` leaves them as they are.
    batch_size : int
        Images at a time.
    progress : bool
        Show a bar with images/s and time left on standard error, where that is a terminal.

    Returns
    -------
    set of str
        The layers that are left out, each with a warning: those that took no part, or that do
        something else with their weights than to multiply by them. What ``see`` was shown of them,
        if anything, does not count.

    Raises
    ------
    UserError
        If there are no images or no layers, the network cannot be run on the images, or weights or
        what enters a layer are not finite.
    """
    left_out = _look(network, images, see, preprocess, batch_size, progress=progress)
    for name, why in left_out.items():
        warnings.warn(f"Layer {name} is left out: {why}.", stacklevel=2)
    return set(left_out)


@dataclass(frozen=True)
class LayerSample:
    """Input vectors of one weight layer.

    Attributes
    ----------
    x : Tensor of float32, shape (samples, n)
        Vectors with which the weight vectors are multiplied: patches of a convolution (channel by
        channel, as weights are laid out, and padded as it pads), whole activations of a linear
        layer. Of a convolution with groups, those of all groups side by side, (samples, groups ·
        n): see :func:`by_group`. float64 in a network of float64.
    image : Tensor of int64, shape (samples,)
        The image from which each of them comes.
    call : Tensor of int64, shape (samples,), or None
        At which call of the layer, from 0; 0 everywhere in a layer that is called once.
    """

    x: Tensor
    image: Tensor
    call: Tensor | None = None


def by_group(weight: Tensor, x: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Weights and sampled inputs of each group of a convolution; of other layers the two as given.

    Parameters
    ----------
    weight : Tensor, shape (filters, ...)
    x : Tensor, shape (samples, groups · n)
        From :func:`sample_inputs`.

    Returns
    -------
    list of tuple
        For each group its weights, (filters/groups, ...), and inputs, (samples, n).
    """
    groups = x.shape[1] // weight[0].numel()
    return [*zip(weight.chunk(groups), x.chunk(groups, dim=1), strict=True)]


def _calls(
    network: nn.Module, images: Tensor, preprocess: Preprocess
) -> tuple[dict[str, list[int]], bool]:
    # How many vectors one image gives each layer, call by call; whether the first axis of what
    # enters a layer is always that of images.
    vectors: dict[str, list[int]] = {}
    by_image = True

    def see(at: LayerInput) -> None:
        nonlocal by_image
        by_image = by_image and len(at.x) == 1
        count = len(at.x) * linear_layers.count_vectors(at.layer, at.x)
        vectors.setdefault(at.name, []).append(count)

    left_out = _look(network, images[:1], see, preprocess, 1)
    return {name: vectors[name] for name in vectors if name not in left_out}, by_image


def sample_inputs(
    network: nn.Module,
    images: Tensor,
    *,
    samples: int,
    generator: torch.Generator,
    preprocess: Preprocess = scale_images,
    batch_size: int = 50,
) -> dict[str, LayerSample]:
    """Draw input vectors of every weight layer at random while the network runs.

    Every image gives the same number of vectors to a layer, but for one; where in the image, and at
    which call of the layer, is random. Of a linear layer there are at most as many as enter it:
    mostly one for each image. Which image a vector comes from is known also where a network puts
    other things than images on the first axis: it is then run image by image.

    Parameters
    ----------
    network, images, preprocess, batch_size
        As for :func:`observe`; the sample does not depend on the batch size.
    samples : int
        Vectors for each layer.
    generator : torch.Generator

    Returns
    -------
    dict of str to LayerSample
        By layer, in their order, without those that are left out with a warning.

    Raises
    ------
    UserError
        As :func:`observe`, or if a layer is called more often on some images than on others, or
        gets more to multiply.
    ValueError
        If samples is below 1.
    """
    if samples < 1:
        raise ValueError(f"A sample has at least one vector, not {samples}.")
    check_images(images)
    vectors, by_image = _calls(network, images, preprocess)
    layers = linear_layers.linear_layers(network)
    chosen, found, came = {}, {}, Counter()
    for name, layer in layers.items():
        counts = torch.tensor(vectors.get(name, [1]))
        total = int(counts.sum())
        most = len(images) * total if isinstance(layer, nn.Linear) else samples
        count = min(samples, most)
        order = torch.randperm(len(images), generator=generator)
        image = order.repeat(-(-count // len(order)))[:count].sort().values
        fraction = torch.rand(count, generator=generator, dtype=torch.float64)
        where = (fraction * total).long()
        call = torch.searchsorted(counts.cumsum(0), where, right=True)
        chosen[name] = (image, call, where - (counts.cumsum(0) - counts)[call])

    def see(at: LayerInput) -> None:
        entries, each = len(at.x), linear_layers.count_vectors(at.layer, at.x)
        expected = vectors.get(at.name, [])
        # of a batch that holds another number of entries than images, nothing could be said
        as_before = at.call < len(expected) and entries * each == len(at.images) * expected[at.call]
        if not as_before or (by_image and entries != len(at.images)):
            raise UserError(_UNEVEN.format(at.name))
        image, call, where = chosen[at.name]
        here = (image >= at.images.start) & (image < at.images.stop) & (call == at.call)
        entry = (image[here] - at.images.start) * (entries // len(at.images)) + where[here] // each
        drawn = linear_layers.input_vectors(
            at.layer, at.x, entry.to(at.x.device), (where[here] % each).to(at.x.device)
        )
        x = found.setdefault(at.name, torch.empty(len(image), drawn.shape[1], dtype=at.x.dtype))
        x[here] = drawn.cpu()
        came[at.name] += 1

    size = batch_size if by_image else 1
    left_out = observe(network, images, see, preprocess=preprocess, batch_size=size)
    for name in found.keys() - left_out:
        if came[name] != len(vectors[name]) * -(-len(images) // size):
            raise UserError(_UNEVEN.format(name))
    return {
        name: LayerSample(found[name], *chosen[name][:2])
        for name in layers
        if name in found and name not in left_out
    }
