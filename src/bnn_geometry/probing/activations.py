"""What an activation was before it was binarized: found by memory or by value, never guessed."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bnn_geometry.networks.straight_through import binarize


def _viewed(continuous: Tensor, output: Tensor, x: Tensor) -> Tensor | None:
    # the view of `continuous` that x is of `output`, whose memory x looks into
    if x.dtype != output.dtype:
        return None
    laid_out = torch.empty_strided(
        output.size(), output.stride(), dtype=continuous.dtype, device=continuous.device
    ).copy_(continuous)
    offset = x.storage_offset() - output.storage_offset()
    try:
        return laid_out.as_strided(x.size(), x.stride(), offset)
    except RuntimeError:  # it reaches beyond the output
        return None


class Activations:
    """Inputs and outputs of the binary activations that ran in a batch."""

    def __init__(self) -> None:
        self._seen: list[tuple[Tensor, Tensor]] = []

    def clear(self) -> None:
        """Forget the batch."""
        self._seen.clear()

    def __bool__(self) -> bool:
        """Whether any ran."""
        return bool(self._seen)

    def saw(self, module: nn.Module, args: tuple, kwargs: dict, output: Tensor) -> None:
        """A forward hook of a binary activation."""
        x = [*args, *kwargs.values()][0]
        self._seen.append((x.detach().clone(), output))  # it may be changed in place later

    def before(self, x: Tensor) -> Tensor | None:
        """What x was before an activation made it, same shape; None where that is not certain.

        By the memory that x shares with an output, through any view; or, where it was copied since,
        by the one input that has its signs in its order. Either way x is the binarization of what
        is returned, element by element.
        """
        copies: list[Tensor] = []
        for continuous, output in reversed(self._seen):
            if output.untyped_storage().data_ptr() == x.untyped_storage().data_ptr():
                viewed = _viewed(continuous, output, x)
                return viewed if viewed is not None and _equal(binarize(viewed), x) else None
            if output.numel() == x.numel():
                reshaped = continuous.reshape(x.shape)
                if _equal(binarize(reshaped), x):
                    copies.append(reshaped)
        # two that have the same signs cannot be told apart by them
        certain = copies and all(torch.equal(copies[0], other) for other in copies[1:])
        return copies[0] if certain else None


def _equal(signs: Tensor, x: Tensor) -> bool:
    return torch.equal(signs.to(x.dtype), x)
