"""What training makes small."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from bnn_geometry.training.recipes import Recipe


def squared_hinge(scores: Tensor, labels: Tensor) -> Tensor:
    """Mean over batch and classes of max(0, 1 − t·score)², targets t = +1 for the label, else −1.

    Parameters
    ----------
    scores : Tensor, shape (batch, classes)
    labels : Tensor of int64, shape (batch,)
    """
    targets = 2.0 * F.one_hot(labels, scores.shape[1]) - 1.0
    return F.relu(1.0 - targets * scores).square().mean()


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "squared-hinge": squared_hinge,
    "cross-entropy": F.cross_entropy,
}


def loss_of(recipe: Recipe) -> Callable[[Tensor, Tensor], Tensor]:
    """The recipe's loss: scores (batch, classes) and labels (batch,) → mean over the batch."""
    loss = LOSSES[recipe.loss]
    if recipe.label_smoothing:
        return partial(loss, label_smoothing=recipe.label_smoothing)
    return loss
