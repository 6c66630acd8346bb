"""Train a network by a recipe, and measure its error."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from bnn_geometry.errors import UserError
from bnn_geometry.layers import BinaryLinear, clip_latents, weight_layers
from bnn_geometry.models import MLP, ConvNet, build_model
from bnn_geometry.recipes import Recipe

if TYPE_CHECKING:
    from bnn_geometry.data import Dataset, Split

SPLIT_SEED = 0
"""Which images are held out or left out is the same for every run, whatever its seed."""


@dataclass(frozen=True)
class Trained:
    """What :func:`train` returns.

    Attributes
    ----------
    network : ConvNet or MLP
        In evaluation mode, with the weights of the epoch that was kept.
    history : DataFrame
        A row per epoch: epoch (from 1), loss (mean over the epoch's batches), train_error,
        validation_error and test_error (fractions; NaN where not measured), lr (at the epoch's
        end), seconds (training alone).
    kept_epoch : int
        The best on the validation images, or the last where there are none.
    precision : str
        ``float32`` or ``bfloat16``: what the passes were computed in.
    seconds : float
        Wall-clock time, evaluation included.
    """

    network: ConvNet | MLP
    history: pd.DataFrame
    kept_epoch: int
    precision: str
    seconds: float


def start(recipe: Recipe, seed: int) -> ConvNet | MLP:
    """The recipe's network before training; the same seed gives the same weights."""
    options: dict[str, object] = {
        "width": recipe.width,
        "activation": recipe.activation,
        "epsilon": recipe.norm_epsilon,
        "momentum": recipe.norm_momentum,
    }
    if recipe.model == "mnist-mlp":
        options |= {
            "input_dropout": recipe.input_dropout,
            "hidden_dropout": recipe.hidden_dropout,
        }
    return build_model(recipe.model, torch.Generator().manual_seed(seed), **options)


def scale_images(images: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """uint8 images in 0…255 → 2x/255 − 1 in [−1, 1], same shape: the only preprocessing."""
    return images.to(torch.float32).mul_(2 / 255).sub_(1).to(dtype)


def native_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 matrices in hardware."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False
    # torch has no public name for this; a release without these falls back to float32
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(getattr(torch.cpu, probe, lambda: False)()) for probe in probes)


def resolve_precision(precision: str, device: torch.device) -> str:
    """``auto`` → ``bfloat16`` where the device has it, else ``float32``; others as they are.

    Raises
    ------
    UserError
        If the name is none of the three.
    """
    if precision == "auto":
        return "bfloat16" if native_bfloat16(device) else "float32"
    if precision not in ("float32", "bfloat16"):
        raise UserError(f"Unknown precision {precision!r}: use auto, float32 or bfloat16.")
    return precision


def layer_scale(layer: BinaryLinear) -> float:
    """Factor on a weight layer's update: 1/√(1.5/(fan-in + fan-out)) (original code)."""
    return 1 / math.sqrt(1.5 / (layer.fan_in + layer.fan_out))


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


def learning_rate(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """Learning rate of a step counted from 0 over the whole run, before any per-layer scale.

    ``exponential``: constant within an epoch, from ``lr`` in the first down to ``lr_end``, which
    is reached after the last.
    ``one-cycle``: linear rise over the first fifth of all steps, linear fall to ``lr_end``.
    """
    if recipe.schedule == "exponential":
        # the original divides by the number of epochs: the end is reached after the last one
        return recipe.lr * (recipe.lr_end / recipe.lr) ** (
            (step // steps_per_epoch) / recipe.epochs
        )
    if recipe.schedule == "one-cycle":
        total = recipe.epochs * steps_per_epoch
        rise = max(1, total // 5)
        if step < rise:
            return recipe.lr * (step + 1) / rise
        return recipe.lr_end + (recipe.lr - recipe.lr_end) * (total - step) / (total - rise)
    raise UserError(f"Unknown schedule {recipe.schedule!r}: use exponential or one-cycle.")


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


def augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """Pad by 4 pixels of 0, crop at a random place and flip left-right with probability ½.

    Parameters
    ----------
    images : Tensor of uint8, shape (batch, channels, h, w)
    generator : torch.Generator
        On the CPU: two machines with the same seed see the same crops.
    """
    batch, _, h, w = images.shape
    padded = F.pad(images, (4, 4, 4, 4))
    top = torch.randint(0, 9, (batch, 1), generator=generator)
    left = torch.randint(0, 9, (batch, 1), generator=generator)
    flip = torch.rand((batch, 1), generator=generator) < 0.5
    rows = top + torch.arange(h)
    columns = left + torch.arange(w)
    columns = torch.where(flip, columns.flip(1), columns)
    index = (rows[:, :, None] * (w + 8) + columns[:, None, :]).flatten(1).to(images.device)
    flat = padded.flatten(2)  # (batch, channels, (h + 8)(w + 8))
    return flat.gather(2, index[:, None, :].expand(-1, flat.shape[1], -1)).view_as(images)


def _batches(
    split: Split, indices: Tensor, recipe: Recipe, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    # A last batch that is not full is left out, as in the original code.
    order = indices[torch.randperm(len(indices), generator=generator)]
    for start_ in range(0, len(order) - recipe.batch_size + 1, recipe.batch_size):
        chosen = order[start_ : start_ + recipe.batch_size]
        images = split.images[chosen]
        yield (augment(images, generator) if recipe.augment else images), split.labels[chosen]


@torch.no_grad()
def evaluate(
    network: nn.Module,
    split: Split,
    *,
    indices: Tensor | None = None,
    precision: str = "float32",
    batch_size: int = 500,
) -> float:
    """Fraction of images that the network classifies wrongly, with running batch statistics.

    Parameters
    ----------
    network : Module
        Takes images in [−1, 1], gives class scores. Its mode is restored afterwards.
    split : Split
        Images and labels.
    indices : Tensor of int64, optional
        Evaluate on these images only.
    precision : str
        ``float32`` or ``bfloat16``.
    """
    device = next(network.parameters()).device
    images = split.images if indices is None else split.images[indices]
    labels = split.labels if indices is None else split.labels[indices]
    if len(labels) == 0:
        return math.nan
    was_training = network.training
    network.eval()
    wrong = torch.zeros((), dtype=torch.int64, device=device)
    try:
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            for start_ in range(0, len(labels), batch_size):
                x = scale_images(images[start_ : start_ + batch_size].to(device))
                if x.ndim == 4:
                    x = x.contiguous(memory_format=torch.channels_last)
                scores = network(x)
                wrong += (scores.argmax(1) != labels[start_ : start_ + batch_size].to(device)).sum()
    finally:
        network.train(was_training)
    return int(wrong) / len(labels)


def check_fit(network: ConvNet | MLP, dataset: Dataset) -> None:
    """Refuse images that the network cannot take.

    Raises
    ------
    UserError
        If their shape or the number of classes is another than the network's.
    """
    shape = tuple(dataset.train.images.shape[1:])
    if shape != network.image_shape:
        raise UserError(
            f"{type(network).__name__} takes images of shape {network.image_shape} (channels, "
            f"height, width); those of {dataset.provenance.title} are {shape}."
        )
    if len(dataset.classes) > 10:
        raise UserError(
            f"{type(network).__name__} tells 10 classes apart; {dataset.provenance.title} has "
            f"{len(dataset.classes)}."
        )


def train(
    network: ConvNet | MLP,
    dataset: Dataset,
    recipe: Recipe,
    *,
    seed: int,
    on_epoch_end: Callable[[ConvNet | MLP, dict[str, float]], None] | None = None,
) -> Trained:
    """Train a network in place.

    After every update the latent weights of binary layers are clipped to [−1, 1] (section 1 and
    the caption of Figure 2). Gradients reach them through :mod:`bnn_geometry.quantize`.

    Parameters
    ----------
    network : ConvNet or MLP
        Usually from :func:`start`; trained on the device it is on.
    dataset : Dataset
        Images of the shape that the network takes.
    recipe : Recipe
        Every constant.
    seed : int
        Order of the batches, augmentation and dropout. The same seed on the same machine gives
        the same bits.
    on_epoch_end : callable, optional
        Called as ``on_epoch_end(network, row)`` in evaluation mode with the epoch's row of the
        history.

    Raises
    ------
    UserError
        If the images do not fit the network or the recipe, or the loss stops being finite (with
        epoch, step and learning rate).
    """
    check_fit(network, dataset)
    device = next(network.parameters()).device
    precision = resolve_precision(recipe.precision, device)
    if recipe.loss not in LOSSES:
        raise UserError(f"Unknown loss {recipe.loss!r}: use {' or '.join(LOSSES)}.")
    loss_of = LOSSES[recipe.loss]
    indices, validation = split_indices(dataset.train.labels, recipe)
    if dataset.train.images.shape[1] == 3:
        network.to(memory_format=torch.channels_last)

    # Adam's step is proportional to its learning rate, so that scaling a layer's learning rate
    # is scaling its update, which is how the original code says it.
    layers = weight_layers(network)
    weights = {id(layer.weight): layer for layer in layers.values()}
    groups = [
        {
            "params": [parameter],
            "scale": layer_scale(weights[id(parameter)])
            if recipe.per_layer_scale and recipe.activation == "binary" and id(parameter) in weights
            else 1.0,
        }
        for parameter in network.parameters()
    ]
    optimizer = torch.optim.Adam(groups, lr=recipe.lr, fused=True)

    steps = len(indices) // recipe.batch_size
    generator = torch.Generator().manual_seed(seed)
    rows: list[dict[str, float]] = []
    best: tuple[float, int, dict[str, Tensor]] | None = None
    began = time.perf_counter()
    # Dropout draws from torch's global generator: seed it, and give it back as it was.
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        for epoch in range(1, recipe.epochs + 1):
            epoch_began = time.perf_counter()
            network.train()
            losses = torch.zeros(steps, device=device)
            wrong = torch.zeros((), dtype=torch.int64, device=device)
            batches = _batches(dataset.train, indices, recipe, generator)
            for i, (images, labels) in enumerate(batches):
                lr = learning_rate(recipe, (epoch - 1) * steps + i, steps)
                for group in optimizer.param_groups:
                    group["lr"] = lr * group["scale"]
                x = scale_images(images.to(device))
                if x.shape[1] == 3:
                    x = x.contiguous(memory_format=torch.channels_last)
                y = labels.to(device)
                with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
                    scores = network(x)
                scores = scores.float()
                loss = loss_of(scores, y)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                clip_latents(network)
                # kept on the device: reading a number back each step would make it wait
                losses[i] = loss.detach()
                wrong += (scores.detach().argmax(1) != y).sum()
            bad = torch.nonzero(~torch.isfinite(losses))
            if len(bad):
                step = int(bad[0])
                at = learning_rate(recipe, (epoch - 1) * steps + step, steps)
                raise UserError(
                    f"The loss stopped being finite in epoch {epoch}, step {step + 1} of {steps}, "
                    f"at learning rate {at:.2e}: train with a smaller one."
                )
            seconds = time.perf_counter() - epoch_began
            network.eval()
            row = {
                "epoch": epoch,
                "loss": float(losses.double().mean()),
                "train_error": int(wrong) / (steps * recipe.batch_size),
                "validation_error": evaluate(
                    network, dataset.train, indices=validation, precision=precision
                ),
                "test_error": evaluate(network, dataset.test, precision=precision),
                "lr": lr,
                "seconds": seconds,
            }
            if on_epoch_end is not None:
                on_epoch_end(network, row)
            rows.append(row)
            if len(validation) and (best is None or row["validation_error"] < best[0]):
                state = {k: v.detach().clone() for k, v in network.state_dict().items()}
                best = (row["validation_error"], epoch, state)
    if best is not None:
        network.load_state_dict(best[2])
    network.eval()
    kept = best[1] if best is not None else recipe.epochs
    return Trained(network, pd.DataFrame(rows), kept, precision, time.perf_counter() - began)
