"""How a network is run to look at it: in evaluation mode, in float32, and then as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from bnn_geometry.errors import UserError


def scale_images(images: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """uint8 images in 0…255 → 2x/255 − 1 in [−1, 1], same shape: the only preprocessing.

    Raises
    ------
    UserError
        If the images are not uint8: nobody knows what range others have.
    """
    if images.dtype != torch.uint8:
        raise UserError(f"Images must be uint8, pixels from 0 to 255, not {images.dtype}.")
    return images.to(torch.float32).mul_(2 / 255).sub_(1).to(dtype)


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
    had, also one that was in another mode than the rest, such as a frozen batch norm, and also
    after an error.

    Parameters
    ----------
    network : Module
    """
    modes = [(module, module.training) for module in network.modules()]
    device = device_of(network)
    network.eval()
    try:
        with torch.no_grad(), full_precision(device):
            yield device
    finally:
        for module, training in modes:
            module.training = training
