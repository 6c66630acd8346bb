"""How a network is run to look at it."""

from __future__ import annotations

import torch
from torch import Tensor


def scale_images(images: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """uint8 images in 0…255 → 2x/255 − 1 in [−1, 1], same shape: the only preprocessing."""
    return images.to(torch.float32).mul_(2 / 255).sub_(1).to(dtype)
