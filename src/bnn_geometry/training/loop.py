"""Train a network by a recipe, and measure its error."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from bnn_geometry.errors import UserError
from bnn_geometry.networks.inference import scale_images
from bnn_geometry.networks.layers import BinaryLinear, clip_latents, weight_layers
from bnn_geometry.networks.models import MLP, ConvNet, build_model
from bnn_geometry.training.hardware import resolve_compile, resolve_precision
from bnn_geometry.training.recipes import Recipe

if TYPE_CHECKING:
    from bnn_geometry.data.datasets import Dataset, Split

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
        validation_error and test_error (fractions; NaN where not measured: with images held out
        the test images are looked at once, with the network that is kept), lr (at the epoch's
        end), seconds (training alone). For each weight layer flips_LAYER, the fraction of its
        binary weights that changed sign since the epoch before (in the first: since the start),
        angle_LAYER, the median over filters of the angle between w^c and w^b in degrees, and
        ends_LAYER, the fraction of latent weights at ±1 or beyond. See :func:`layer_history`.
    kept_epoch : int
        The best on the validation images (the last of equally good ones), or the last where there
        are none.
    precision : str
        ``float32`` or ``bfloat16``: what the passes were computed in.
    compiled : bool
        Whether the passes were compiled.
    seconds : float
        Wall-clock time, evaluation included; of a resumed run that of its parts.
    """

    network: ConvNet | MLP
    history: pd.DataFrame
    kept_epoch: int
    precision: str
    compiled: bool
    seconds: float


@dataclass(frozen=True)
class Snapshot:
    """Between two epochs, all that the rest of a training run depends on.

    Attributes
    ----------
    tensors : dict of str to Tensor
        Parameters and batch-norm statistics (``network/…``), Adam's moments and step counts
        (``adam/…``), the network that is best so far (``best/…``) and the states of the random
        number generators (``generator/…``). They are the live ones, not copies: training changes
        them as it goes on.
    values : dict
        Plain values that JSON can hold: epoch, history (a list of rows), best (validation error
        and epoch, or None) and seconds.
    """

    tensors: dict[str, Tensor]
    values: dict[str, Any]


def start(recipe: Recipe, seed: int) -> ConvNet | MLP:
    """The recipe's network before training; the same seed gives the same weights."""
    options: dict[str, object] = {
        "width": recipe.width,
        "activation": recipe.activation,
        "norm": recipe.norm,
        "epsilon": recipe.norm_epsilon,
        "momentum": recipe.norm_momentum,
    }
    if recipe.model == "mnist-mlp":
        options |= {
            "input_dropout": recipe.input_dropout,
            "hidden_dropout": recipe.hidden_dropout,
        }
    else:
        options["pool"] = recipe.pool
    network = build_model(recipe.model, torch.Generator().manual_seed(seed), **options)
    with torch.no_grad():
        for layer in weight_layers(network).values():
            layer.weight.mul_(recipe.init_scale)
    return network


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
    ``linear`` and ``cosine``: linear rise over ``warmup_epochs``, then a fall to ``lr_end`` along
    a line or half a cosine.
    All of it times width^(−``lr_width_power``).
    """
    by_width = recipe.width**-recipe.lr_width_power
    lr, end = recipe.lr * by_width, recipe.lr_end * by_width
    if recipe.schedule == "exponential":
        # the original divides by the number of epochs: the end is reached after the last one
        return lr * (end / lr) ** ((step // steps_per_epoch) / recipe.epochs)
    total = recipe.epochs * steps_per_epoch
    if recipe.schedule == "one-cycle":
        rise = max(1, total // 5)
    elif recipe.schedule in ("linear", "cosine"):
        rise = recipe.warmup_epochs * steps_per_epoch
    else:
        raise UserError(
            f"Unknown schedule {recipe.schedule!r}: use exponential, one-cycle, linear or cosine."
        )
    if step < rise:
        return lr * (step + 1) / rise
    if recipe.schedule == "cosine":
        return end + (lr - end) * (1 - math.cos(math.pi * (total - step) / (total - rise))) / 2
    return end + (lr - end) * (total - step) / (total - rise)


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


def augment(
    images: Tensor, generator: torch.Generator, *, padding: int = 4, flip: bool = True
) -> Tensor:
    """Pad by pixels of 0, crop at a random place and flip left-right with probability ½.

    Parameters
    ----------
    images : Tensor of uint8, shape (batch, channels, h, w)
    generator : torch.Generator
        On the CPU: two machines with the same seed see the same crops.
    padding : int
        Pixels on each side; 0 leaves nothing to crop.
    flip : bool
        False: no image is flipped.
    """
    batch, _, h, w = images.shape
    padded = F.pad(images, (padding, padding, padding, padding))
    top = torch.randint(0, 2 * padding + 1, (batch, 1), generator=generator)
    left = torch.randint(0, 2 * padding + 1, (batch, 1), generator=generator)
    flipped = torch.rand((batch, 1), generator=generator) < (0.5 if flip else 0.0)
    # three numbers an image go to its device; where its pixels come from is worked out there
    top, left, flipped = (drawn.to(images.device) for drawn in (top, left, flipped))
    rows = top + torch.arange(h, device=images.device)
    columns = left + torch.arange(w, device=images.device)
    columns = torch.where(flipped, columns.flip(1), columns)
    stride = w + 2 * padding
    index = (rows[:, :, None] * stride + columns[:, None, :]).flatten(1)
    flat = padded.flatten(2)  # (batch, channels, padded h · padded w)
    return flat.gather(2, index[:, None, :].expand(-1, flat.shape[1], -1)).view_as(images)


def _batches(
    images: Tensor,
    labels: Tensor,
    indices: Tensor,
    recipe: Recipe,
    generator: torch.Generator,
) -> Iterator[tuple[Tensor, Tensor]]:
    # A last batch that is not full is left out, as in the original code. Random numbers are drawn
    # on the CPU; the images stay where they are.
    order = indices[torch.randperm(len(indices), generator=generator)].to(images.device)
    for start_ in range(0, len(order) - recipe.batch_size + 1, recipe.batch_size):
        chosen = order[start_ : start_ + recipe.batch_size]
        batch = images[chosen]
        if recipe.augment:
            batch = augment(batch, generator, padding=recipe.crop_padding, flip=recipe.flip)
        yield batch, labels[chosen]


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


def layer_history(history: pd.DataFrame) -> pd.DataFrame:
    """What a history says of single layers, as one row per epoch and layer.

    Parameters
    ----------
    history : DataFrame
        See :class:`Trained`.

    Returns
    -------
    DataFrame
        Columns epoch, layer, flips (fraction of the layer's binary weights that changed sign in
        this epoch), angle (median over filters, degrees) and ends (fraction of latent weights at
        ±1 or beyond).
    """
    names = [c.removeprefix("flips_") for c in history.columns if c.startswith("flips_")]
    parts = [
        pd.DataFrame(
            {
                "epoch": history["epoch"],
                "layer": name,
                "flips": history[f"flips_{name}"],
                "angle": history[f"angle_{name}"],
                "ends": history[f"ends_{name}"],
            }
        )
        for name in names
    ]
    columns = ["epoch", "layer", "flips", "angle", "ends"]
    table = pd.concat(parts) if parts else pd.DataFrame(columns=columns)
    # stable: the layers stay in their order
    return table.sort_values("epoch", kind="stable", ignore_index=True)


@contextmanager
def _dropout_generator(device: torch.device, seed: int) -> Iterator[torch.Generator]:
    # Dropout draws from torch's own generator of the device: seed that one (torch.manual_seed
    # would seed those of all devices), and give it back as it was.
    if device.type == "cpu":
        generator = torch.default_generator
    elif device.type == "cuda":
        generator = torch.cuda.default_generators[device.index]
    else:
        raise UserError(f"Networks are trained on the CPU or a CUDA device, not on {device}.")
    before = generator.get_state()
    generator.manual_seed(seed)
    try:
        yield generator
    finally:
        generator.set_state(before)


class _Loop:
    """What changes from epoch to epoch: taken down in a snapshot, and set from one."""

    def __init__(
        self,
        network: ConvNet | MLP,
        optimizer: torch.optim.Adam,
        generators: dict[str, torch.Generator],
    ) -> None:
        self.network = network
        self.optimizer = optimizer
        self.generators = generators
        self.epoch = 0
        self.rows: list[dict[str, float]] = []
        self.best: tuple[float, int, dict[str, Tensor]] | None = None
        self.before = 0.0  # seconds of the parts of the run that ended with a snapshot
        self.began = time.perf_counter()
        self.signs = self._signs()

    @property
    def seconds(self) -> float:
        return self.before + time.perf_counter() - self.began

    def _signs(self) -> dict[str, Tensor]:
        return {k: layer.weight.detach() > 0 for k, layer in weight_layers(self.network).items()}

    def layer_columns(self) -> dict[str, float]:
        """Flips since the last call (or the start, or the snapshot), and where the latents are."""
        last, self.signs = self.signs, self._signs()
        layers = weight_layers(self.network)
        flips = {f"flips_{k}": float((last[k] != self.signs[k]).double().mean()) for k in layers}
        angles = {k: layer.latent_angles().cpu().numpy() for k, layer in layers.items()}
        ends = {
            f"ends_{k}": float((layer.weight.detach().abs() >= 1).double().mean())
            for k, layer in layers.items()
        }
        return flips | {f"angle_{k}": float(np.median(a)) for k, a in angles.items()} | ends

    def snapshot(self) -> Snapshot:
        tensors = {f"network/{k}": v.detach() for k, v in self.network.state_dict().items()}
        for name, parameter in self.network.named_parameters():
            for key, value in self.optimizer.state[parameter].items():
                tensors[f"adam/{name}/{key}"] = value
        for name, generator in self.generators.items():
            tensors[f"generator/{name}"] = generator.get_state()
        best = None
        if self.best is not None:
            best = {"validation_error": self.best[0], "epoch": self.best[1]}
            tensors |= {f"best/{k}": v for k, v in self.best[2].items()}
        values = {
            "epoch": self.epoch,
            "history": self.rows,
            "best": best,
            "seconds": self.seconds,
        }
        return Snapshot(tensors, values)

    @torch.no_grad()
    def restore(self, snapshot: Snapshot) -> None:
        def part(prefix: str) -> dict[str, Tensor]:
            return {
                name.removeprefix(prefix): value
                for name, value in snapshot.tensors.items()
                if name.startswith(prefix)
            }

        self.network.load_state_dict(part("network/"))
        for name, parameter in self.network.named_parameters():
            state = part(f"adam/{name}/")
            for key in state:
                if state[key].shape == parameter.shape:
                    # in the parameter's own layout, as Adam would have made it
                    state[key] = torch.empty_like(parameter).copy_(state[key])
                else:
                    state[key] = state[key].to(parameter.device)
            if state:
                self.optimizer.state[parameter] = state
        for name, generator in self.generators.items():
            generator.set_state(snapshot.tensors[f"generator/{name}"])
        self.epoch = snapshot.values["epoch"]
        self.rows = [dict(row) for row in snapshot.values["history"]]
        self.before = snapshot.values["seconds"]
        best = snapshot.values["best"]
        if best is not None:
            self.best = (best["validation_error"], best["epoch"], part("best/"))
        self.signs = self._signs()


def train(
    network: ConvNet | MLP,
    dataset: Dataset,
    recipe: Recipe,
    *,
    seed: int,
    on_epoch_end: Callable[[ConvNet | MLP, dict[str, float]], None] | None = None,
    on_step: Callable[[int, int, Tensor], None] | None = None,
    on_snapshot: Callable[[Snapshot], None] | None = None,
    resume: Snapshot | None = None,
) -> Trained:
    """Train a network in place.

    After every update the latent weights of binary layers are clipped to [−1, 1] (section 1 and
    the caption of Figure 2). Gradients reach them through
    :mod:`bnn_geometry.networks.straight_through`.

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
    on_step : callable, optional
        Called after every step as ``on_step(step, steps, loss)``, counted from 1 over the whole
        run, with the batch's loss on the network's device: to read it there makes the device wait.
    on_snapshot : callable, optional
        Called with a :class:`Snapshot` before the first epoch and after each, once ``on_epoch_end``
        has returned. What it keeps of it, it has to copy.
    resume : Snapshot, optional
        Go on from here: with the same recipe, data, seed and machine the run ends with the bits
        that it would have had.

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
    if recipe.label_smoothing:
        loss_of = partial(loss_of, label_smoothing=recipe.label_smoothing)
    indices, validation = split_indices(dataset.train.labels, recipe)
    pixels, labels = dataset.train.images.to(device), dataset.train.labels.to(device)
    if pixels.shape[1] == 3:
        network.to(memory_format=torch.channels_last)
    steps = len(indices) // recipe.batch_size
    compiled = resolve_compile(recipe.compile, network, recipe.epochs * steps * recipe.batch_size)
    # The parameters stay those of the network; what is compiled are its passes.
    forward = torch.compile(network) if compiled else network

    # Adam's step is proportional to its learning rate, so that scaling a layer's learning rate
    # is scaling its update, which is how the original code says it.
    layers = weight_layers(network)
    weights = {id(layer.weight): layer for layer in layers.values()}
    groups = [
        {
            "params": [parameter],
            "scale": layer_scale(weights[id(parameter)]) ** recipe.layer_scale_power
            if recipe.per_layer_scale and recipe.activation == "binary" and id(parameter) in weights
            else 1.0,
        }
        for parameter in network.parameters()
    ]
    optimizer = torch.optim.Adam(groups, lr=recipe.lr, fused=True)

    generator = torch.Generator().manual_seed(seed)
    with _dropout_generator(device, seed) as dropout:
        loop = _Loop(network, optimizer, {"batches": generator, "dropout": dropout})
        if resume is not None:
            loop.restore(resume)
        elif on_snapshot is not None:
            on_snapshot(loop.snapshot())
        for epoch in range(loop.epoch + 1, recipe.epochs + 1):
            epoch_began = time.perf_counter()
            network.train()
            losses = torch.zeros(steps, device=device)
            wrong = torch.zeros((), dtype=torch.int64, device=device)
            batches = _batches(pixels, labels, indices, recipe, generator)
            for i, (images, y) in enumerate(batches):
                done = (epoch - 1) * steps + i
                lr = learning_rate(recipe, done, steps)
                for group in optimizer.param_groups:
                    group["lr"] = lr * group["scale"]
                x = scale_images(images)
                if x.shape[1] == 3:
                    x = x.contiguous(memory_format=torch.channels_last)
                with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
                    scores = forward(x)
                scores = scores.float()
                loss = loss_of(scores, y)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                if recipe.clip:
                    clip_latents(network)
                # kept on the device: reading a number back each step would make it wait
                losses[i] = loss.detach()
                wrong += (scores.detach().argmax(1) != y).sum()
                if on_step is not None:
                    on_step(done + 1, recipe.epochs * steps, losses[i])
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
                "test_error": math.nan
                if len(validation)
                else evaluate(network, dataset.test, precision=precision),
                "lr": lr,
                "seconds": seconds,
            } | loop.layer_columns()
            if on_epoch_end is not None:
                on_epoch_end(network, row)
            loop.epoch = epoch
            loop.rows.append(row)
            # of equally good epochs the last, as in the original code
            if len(validation) and (loop.best is None or row["validation_error"] <= loop.best[0]):
                state = {k: v.detach().clone() for k, v in network.state_dict().items()}
                loop.best = (row["validation_error"], epoch, state)
            if on_snapshot is not None:
                on_snapshot(loop.snapshot())
        seconds = loop.seconds
    if loop.best is not None:
        network.load_state_dict(loop.best[2])
    network.eval()
    kept = loop.best[1] if loop.best is not None else recipe.epochs
    history = pd.DataFrame(loop.rows)
    if len(validation):
        once = evaluate(network, dataset.test, precision=precision)
        history.loc[history["epoch"] == kept, "test_error"] = once
    return Trained(network, history, kept, precision, compiled, seconds)
