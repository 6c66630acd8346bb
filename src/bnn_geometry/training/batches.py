"""Which images are trained on, in which order, and how they are moved about."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from bnn_geometry.errors import UserError
from bnn_geometry.training.recipes import Recipe

SPLIT_SEED = 0
"""Which images are held out or left out is the same for every run, whatever its seed."""


def _balanced(labels: Tensor, count: int, order: Tensor) -> tuple[Tensor, Tensor]:
    # The first `count` of `order` with an equal share of each class, and the rest.
    classes = int(labels.max()) + 1
    shares = [count // classes + (c < count % classes) for c in range(classes)]
    taken = torch.zeros(len(labels), dtype=torch.bool)
    for c, share in enumerate(shares):
        of_class = order[labels[order] == c]
        if len(of_class) < share:
            raise UserError(
                f"{count} images with an equal share of each class need {share} of class {c}, "
                f"and there are {len(of_class)}: ask for fewer."
            )
        taken[of_class[:share]] = True
    return order[taken[order]], order[~taken[order]]


def split_indices(labels: Tensor, recipe: Recipe) -> tuple[Tensor, Tensor]:
    """Indices of the images to train on and of those held out for validation.

    The same for every seed. With ``train_images`` set, at most that many are trained on; a part
    that is smaller than the whole holds an equal share of each class.

    Raises
    ------
    UserError
        If the data set is too small for the recipe.
    """
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(SPLIT_SEED))
    validation, rest = _balanced(labels, recipe.validation_images, order)
    if recipe.train_images is not None and recipe.train_images < len(rest):
        rest, _ = _balanced(labels, recipe.train_images, rest)
    if len(rest) < recipe.batch_size:
        raise UserError(
            f"After holding out {recipe.validation_images} images {len(rest)} are left to train "
            f"on: too few for one batch of {recipe.batch_size}."
        )
    return rest, validation


def draw_moves(
    batch: int, generator: torch.Generator, *, padding: int = 4, flip: bool = True
) -> Tensor:
    """Where each image of a batch is cropped, and whether it is flipped.

    Parameters
    ----------
    batch : int
        Number of images.
    generator : torch.Generator
        On the CPU: two machines with the same seed see the same crops.
    padding : int
        Pixels on each side; 0 leaves nothing to crop.
    flip : bool
        False: no image is flipped.

    Returns
    -------
    Tensor of int64, shape (batch, 3)
        Top and left of the crop in the padded image, 0 … 2 · padding, and 1 for a flip, with
        probability ½.
    """
    top = torch.randint(0, 2 * padding + 1, (batch, 1), generator=generator)
    left = torch.randint(0, 2 * padding + 1, (batch, 1), generator=generator)
    flipped = torch.rand((batch, 1), generator=generator) < (0.5 if flip else 0.0)
    return torch.cat([top, left, flipped.long()], 1)


def moved(images: Tensor, moves: Tensor, *, padding: int = 4) -> Tensor:
    """Pad by pixels of 0, crop and flip left-right.

    Parameters
    ----------
    images : Tensor of uint8, shape (batch, channels, h, w)
    moves : Tensor of int64, shape (batch, 3)
        From :func:`draw_moves` with the same padding, on the device of the images.
    padding : int
    """
    _, _, h, w = images.shape
    padded = F.pad(images, (padding, padding, padding, padding))
    top, left, flipped = moves.split(1, 1)
    rows = top + torch.arange(h, device=images.device)
    columns = left + torch.arange(w, device=images.device)
    columns = torch.where(flipped > 0, columns.flip(1), columns)
    stride = w + 2 * padding
    index = (rows[:, :, None] * stride + columns[:, None, :]).flatten(1)
    flat = padded.flatten(2)  # (batch, channels, padded h · padded w)
    return flat.gather(2, index[:, None, :].expand(-1, flat.shape[1], -1)).view_as(images)


def batches(
    images: Tensor,
    labels: Tensor,
    indices: Tensor,
    recipe: Recipe,
    generator: torch.Generator,
) -> Iterator[tuple[Tensor, Tensor]]:
    """An epoch's batches of images and labels, in random order and augmented by the recipe.

    A last batch that is not full is left out, as in the original code. Random numbers are drawn on
    the CPU, all of an epoch at its beginning: three numbers an image go to the device of the
    images, in one piece, and the images stay where they are.

    Parameters
    ----------
    images : Tensor of uint8, shape (N, channels, h, w)
    labels : Tensor of int64, shape (N,)
    indices : Tensor of int64
        The images to take, see :func:`split_indices`.
    recipe : Recipe
    generator : torch.Generator
        On the CPU.
    """
    order = indices[torch.randperm(len(indices), generator=generator)].to(images.device)
    steps = len(order) // recipe.batch_size
    if recipe.augment:
        options = {"padding": recipe.crop_padding, "flip": recipe.flip}
        drawn = [draw_moves(recipe.batch_size, generator, **options) for _ in range(steps)]
        moves = torch.stack(drawn).to(images.device)
    for i in range(steps):
        chosen = order[i * recipe.batch_size : (i + 1) * recipe.batch_size]
        batch = images[chosen]
        if recipe.augment:
            batch = moved(batch, moves[i], padding=recipe.crop_padding)
        yield batch, labels[chosen]
