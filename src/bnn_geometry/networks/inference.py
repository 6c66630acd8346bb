"""How a network is run to look at it: on a copy of the images, and left as it was.

Everything that measures a network on images passes here: :func:`inference` around it, and for each
batch :func:`network_input` and :func:`run`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from bnn_geometry.errors import UserError

Preprocess = Callable[[Tensor], Tensor]
"""From a batch of images as they are given to what the network takes; it may write into the batch,
which is a copy.

:meta hide-value:
"""


def scale_images(images: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """uint8 images in 0…255 → 2x/255 − 1 in [−1, 1], same shape: what this package trains with.

    Raises
    ------
    UserError
        If the images are not uint8: nobody knows what range others have.
    """
    if images.dtype != torch.uint8:
        raise UserError(
            f"Images must be uint8, pixels from 0 to 255, not {images.dtype}: of others say by "
            "preprocess=… how they enter the network, such as inference.as_given."
        )
    return images.to(torch.float32).mul_(2 / 255).sub_(1).to(dtype)


def as_given(images: Tensor) -> Tensor:
    """The images as they are: a ``preprocess`` where they are what the network takes already."""
    return images


def check_images(images: Tensor) -> None:
    """Refuse what is not a tensor with an axis of images."""
    if not isinstance(images, Tensor) or images.dim() < 1:
        raise UserError(
            f"Images must be one tensor, (images, ...), not {type(images).__name__}: "
            "torch.stack or torch.from_numpy make one."
        )


def network_input(network: nn.Module, images: Tensor, preprocess: Preprocess) -> Tensor:
    """A batch as the network takes it, made from a copy: on its device, and in its dtype.

    Raises
    ------
    UserError
        If what ``preprocess`` returns is not a tensor with as many images, or is not finite.
    """
    check_images(images)
    x = preprocess(images.to(device_of(network), copy=True))
    if not isinstance(x, Tensor) or x.dim() < 1 or len(x) != len(images):
        raise UserError(f"preprocess must return a tensor with an entry for each image, not {x}.")
    if not x.is_floating_point():
        return x
    if not torch.isfinite(x).all():
        raise UserError("There are images with pixels that are not finite.")
    own = next((p.dtype for p in network.parameters() if p.is_floating_point()), x.dtype)
    return x.to(own)


def run(network: nn.Module, x: Tensor) -> Tensor:
    """What the network puts out.

    Raises
    ------
    UserError
        If it fails on such an input.
    """
    try:
        return network(x)
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        what = f"{tuple(x.shape)}, {x.dtype}"
        raise UserError(
            f"The network cannot be run on an input of shape {what}: {error}"
        ) from error


def device_of(network: nn.Module) -> torch.device:
    """Where a network's parameters are; the CPU if it has none."""
    return next((p.device for p in network.parameters()), torch.device("cpu"))


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Compute float32 products in float32: no autocast, and on CUDA no TF32.

    By default cuDNN rounds the factors of a float32 convolution to 10 bits of mantissa.
    """
    with ExitStack() as stack:
        stack.enter_context(torch.autocast(device.type, enabled=False))
        if device.type == "cuda":
            cudnn = torch.backends.cudnn
            stack.enter_context(
                cudnn.flags(
                    enabled=cudnn.enabled,
                    benchmark=cudnn.benchmark,
                    deterministic=cudnn.deterministic,
                    allow_tf32=False,
                )
            )
            precision = torch.get_float32_matmul_precision()
            torch.set_float32_matmul_precision("highest")
            stack.callback(torch.set_float32_matmul_precision, precision)
        yield


@contextmanager
def inference(network: nn.Module) -> Iterator[torch.device]:
    """Look at a network: evaluation mode, no gradient, full precision; gives its device.

    Everything that measures a network passes here. Afterwards every module has the mode that it
    had, also one that was in another mode than the rest, such as a frozen batch norm, and torch's
    generators the state that they had; also after an error.

    Parameters
    ----------
    network : Module

    Raises
    ------
    UserError
        If it has a layer that takes its shape from the first input, which has not come yet, or
        weights without values.
    """
    if any(
        is_lazy(value) or value.is_meta for value in [*network.parameters(), *network.buffers()]
    ):
        raise UserError(
            "The network has weights without a shape or values: run it once, or load them."
        )
    modes = [(module, module.training) for module in network.modules()]
    device = device_of(network)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        try:
            network.eval()
            with torch.no_grad(), full_precision(device):
                yield device
        finally:
            for module, training in modes:
                module.training = training


@contextmanager
def eager(network: nn.Module) -> Iterator[None]:
    """Without ``torch.compile``, also of parts of the network: what is compiled has no hooks."""
    compiled = any(
        hasattr(m, "_orig_mod") or getattr(m, "_compiled_call_impl", None) is not None
        for m in network.modules()
    )
    with torch.compiler.set_stance("force_eager") if compiled else ExitStack():
        yield


@contextmanager
def same_buffers(network: nn.Module) -> Iterator[None]:
    """Afterwards buffers are as they were, also those of a norm that ignores evaluation mode."""
    kept = [(buffer, buffer.clone()) for buffer in network.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, before in kept:
                if not torch.equal(buffer, before):
                    buffer.copy_(before)
