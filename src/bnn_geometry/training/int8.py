"""Latent weights in eight bits: how the published runs hold them.

Every filter has a step s, and a latent w becomes the integer k in ±1 … ±127 that stands for
(k − sign(k)/2)·s, the middle of a step. There is no level at 0: bin of what is read back is bin of
what was written, always, and no latent is off by more than half a step. With s = max|w|/126.5 the
outermost level is max|w| itself: a latent that was clipped to ±1 comes back as ±1.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bnn_geometry.errors import UserError

LEVELS = 127
"""Levels of each sign."""

_SMALLEST = 1e-30
"""The least step: a filter of zeros has one too, and no level rounds to 0 in float32."""

_SCALE = ":scale"


@torch.no_grad()
def to_int8(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Round latent weights to eight bits; the sign is exact and a latent 0 counts as negative.

    Parameters
    ----------
    weight : Tensor of float32, shape (filters, ...)

    Returns
    -------
    levels : Tensor of int8, same shape
        k in ±1 … ±127, never 0.
    scale : Tensor of float32, shape (filters,)
        The step s of each filter, in the units of the weight; never 0.

    Raises
    ------
    UserError
        If a weight is not finite.
    """
    if not torch.isfinite(weight).all():
        raise UserError("There are latent weights that are not finite: they have no sign.")
    largest = weight.abs().flatten(1).amax(1)
    half = LEVELS - 0.5
    scale = (largest.double() / half).float()
    # rounded down: the outermost level must not lie outside [−1, 1]
    scale = torch.where(half * scale > largest, scale.nextafter(torch.zeros(())), scale)
    scale = scale.clamp(min=_SMALLEST)
    step = scale.double().reshape(-1, *[1] * (weight.ndim - 1))
    size = (weight.double().abs() / step).ceil().clamp(1, LEVELS)
    return torch.where(weight > 0, size, -size).to(torch.int8), scale


def from_int8(levels: Tensor, scale: Tensor) -> Tensor:
    """The latent weights for which levels stand: (k − sign(k)/2)·s, in float32.

    Parameters
    ----------
    levels : Tensor of int8, shape (filters, ...)
    scale : Tensor of float32, shape (filters,)

    Raises
    ------
    UserError
        If a level is 0 or a scale is not a positive number.
    """
    if (levels == 0).any() or not ((scale > 0) & torch.isfinite(scale)).all():
        raise UserError("These are no latent weights in eight bits: a level or a scale is 0.")
    k = levels.float()
    return (k - 0.5 * k.sign()) * scale.reshape(-1, *[1] * (levels.ndim - 1))


def pack(state: dict[str, Tensor], latents: list[str]) -> dict[str, Tensor]:
    """A state dict with the named tensors in eight bits, each with its scales beside it."""
    packed = dict(state)
    for name in latents:
        packed[name], packed[name + _SCALE] = to_int8(state[name])
    return packed


def unpack(packed: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state dict that was packed, with latents as they come back from eight bits."""
    return {
        name: from_int8(value, packed[name + _SCALE]) if name + _SCALE in packed else value
        for name, value in packed.items()
        if not name.endswith(_SCALE)
    }
