"""How a network is trained: every constant in one frozen dataclass, and the named recipes."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import MISSING, asdict, dataclass, fields
from types import NoneType
from typing import Any

from bnn_geometry.data.standards import DATASETS
from bnn_geometry.errors import UserError

MAX_WIDTH = 4
"""The paper's network at four times its width has 224 million weights: a typing error beyond."""

CHOICES = {
    "model": ("cifar10-convnet", "mnist-mlp"),
    "dataset": DATASETS,
    "activation": ("binary", "hardtanh", "relu"),
    "weights": ("binary", "ternary-twn", "ternary-absmean"),
    "loss": ("squared-hinge", "cross-entropy"),
    "schedule": ("exponential", "one-cycle", "linear", "cosine"),
    "precision": ("auto", "float32", "bfloat16"),
    "compile": ("auto", "always", "never"),
    "pool": ("before-norm", "after-activation"),
    "norm": ("before-activation", "after-activation"),
}
"""What a recipe's fields that name something can name."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a training run besides its data and its seed."""

    name: str
    """``original``, ``fast`` or ``long``; a changed copy keeps the name of its origin."""
    model: str
    """``cifar10-convnet`` or ``mnist-mlp``."""
    dataset: str
    """``cifar10`` or ``mnist``."""
    width: float
    """Scale of every hidden layer; 1 is the paper's network."""
    activation: str
    """``binary``; ``hardtanh`` or ``relu`` make the continuous counterpart."""
    epochs: int
    batch_size: int
    train_images: int | None
    """Train on at most this many images, an equal share of each class; None takes all."""
    validation_images: int
    """Held out from the training images; the epoch that is best on them is kept. 0: the last."""
    loss: str
    """``squared-hinge`` on ±1 targets, or ``cross-entropy``."""
    schedule: str
    """``exponential`` (per epoch, from lr to lr_end), ``one-cycle`` (per step, peak lr),
    ``linear`` or ``cosine`` (per step, from lr to lr_end; after ``warmup_epochs``)."""
    lr: float
    """Adam's learning rate at its start (exponential), peak (one-cycle) or after the warm-up, at
    width 1: see ``lr_width_power``."""
    lr_end: float
    per_layer_scale: bool
    """Multiply each weight layer's update by 1/√(1.5/(fan-in + fan-out)), as the original does."""
    augment: bool
    """Random crop of the padded image, and random left-right flip."""
    input_dropout: float
    hidden_dropout: float
    norm_epsilon: float
    """Added to the variance of a batch under the root."""
    norm_momentum: float
    """Weight of the last batch in the running averages; 1 minus it is that of what was there."""
    precision: str
    """``float32``, ``bfloat16`` or ``auto`` (bfloat16 where it is quicker)."""
    # What ablations vary; the values here are those of the named recipes.
    crop_padding: int = 4
    """With ``augment``: pixels of 0 on each side before the crop. 0: no crop."""
    flip: bool = True
    """With ``augment``: flip left-right with probability ½."""
    label_smoothing: float = 0.0
    """Part of each target that is spread evenly over all classes (cross-entropy alone)."""
    init_scale: float = 1.0
    """Factor on the initial weights of every layer; binary layers begin on ±init_scale."""
    layer_scale_power: float = 1.0
    """Exponent of the per-layer scale: 1 as in the original, 0 as without it."""
    clip: bool = True
    """Clip binary layers' latent weights to [−1, 1] after each update."""
    pool: str = "before-norm"
    """Where the convolutional network pools: ``before-norm`` as the original, or
    ``after-activation``, where the largest of four signs is nearly always +1."""
    norm: str = "before-activation"
    """Where batch norm stands: ``before-activation`` as in the original, or
    ``after-activation``, where dot products as large as the fan-in are binarized and their
    gradient is cancelled almost everywhere."""
    warmup_epochs: int = 0
    """The rate of ``linear`` and ``cosine`` rises evenly over so many epochs before it falls."""
    lr_width_power: float = 0.0
    """The rate is lr · width^(−lr_width_power). The per-layer scale grows as √width: with a power
    of ½ the step on a hidden layer's latents is the same at every width. Without that scale, as in
    continuous networks, hidden layers ask for 1 under Adam (Yang et al. 2022, Tensor Programs
    V)."""
    compile: str = "auto"
    """``never``, ``always`` or ``auto`` (where it can be done and the run is long)."""
    weights: str = "binary"
    """What latents become in the forward pass of a binary network: signs, or three values by a
    rule of :mod:`bnn_geometry.networks.ternary`, ``ternary-twn`` (threshold 0.7 mean sizes) or
    ``ternary-absmean`` (0.5)."""

    @property
    def rate_by_width(self) -> float:
        """width^(−lr_width_power): what every rate is multiplied by."""
        return self.width**-self.lr_width_power

    def as_dict(self) -> dict[str, Any]:
        """Fields as plain values, as they are written to JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Recipe:
        """The recipe that :meth:`as_dict` gave; a field that was added later may be missing.

        Raises
        ------
        UserError
            If a field is unknown or missing, or a value makes no sense.
        """
        if not isinstance(values, dict):
            raise UserError(f"A recipe is a table of fields, not {values!r}.")
        known = {field.name: field.default for field in fields(cls)}
        for name in values:
            if name not in known:
                raise UserError(f"A recipe has no {name!r}: it has {', '.join(known)}.")
        for name, default in known.items():
            if default is MISSING and name not in values:
                raise UserError(f"This recipe has no {name}.")
        return cls(**values)

    def with_(self, **changes: Any) -> Recipe:
        """A copy with some fields changed.

        Raises
        ------
        UserError
            If a field is unknown, or a value makes no sense.
        """
        return self.from_dict(self.as_dict() | changes)

    def __post_init__(self) -> None:
        """Check every value; whole numbers are taken for those with a point."""
        for field in fields(self):
            value = _of_kind(field.name, str(field.type), getattr(self, field.name))
            object.__setattr__(self, field.name, value)
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", self.name):  # folders are called so
            raise UserError(
                f"A recipe's name must be a word of letters, digits and -, not {self.name!r}."
            )
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise UserError(
                    f"Unknown {name} {getattr(self, name)!r}: use {', '.join(known[:-1])} or "
                    f"{known[-1]}."
                )
        for names, holds, rule in _RANGES:
            for name in names:
                value = getattr(self, name)
                if value is not None and not holds(value):
                    raise UserError(f"A recipe's {name} must be {rule}, not {value}.")
        if self.warmup_epochs >= self.epochs:
            raise UserError(
                f"A recipe's warmup_epochs must be fewer than its {self.epochs} epochs, not "
                f"{self.warmup_epochs}."
            )
        if self.warmup_epochs and self.schedule not in ("linear", "cosine"):
            raise UserError(
                "A recipe's warmup_epochs go with the schedules linear and cosine, not with "
                f"{self.schedule}."
            )
        if self.weights != "binary" and self.activation != "binary":
            raise UserError(
                f"A recipe's weights {self.weights} go with binary activations: the continuous "
                f"counterpart, of {self.activation}, computes with its weights as they are."
            )
        if self.model == "mnist-mlp" and self.pool != "before-norm":
            raise UserError("A recipe's pool is for the convolutional network: mnist-mlp has none.")
        if self.label_smoothing and self.loss != "cross-entropy":
            raise UserError(
                f"A recipe's label_smoothing goes with cross-entropy, not with {self.loss}."
            )


_RANGES: list[tuple[tuple[str, ...], Callable[[Any], bool], str]] = [
    (("epochs", "lr", "lr_end", "norm_epsilon"), lambda x: x > 0, "positive"),
    (("width",), lambda x: 0 < x <= MAX_WIDTH, f"positive and at most {MAX_WIDTH}"),
    (("batch_size",), lambda x: x >= 2, "at least 2 (batch norm needs a batch)"),
    (
        ("validation_images", "train_images", "warmup_epochs"),
        lambda x: x >= 0,
        "at least 0",
    ),
    (("crop_padding",), lambda x: 0 <= x <= 32, "at least 0 and at most 32"),
    (("layer_scale_power", "lr_width_power"), lambda x: abs(x) <= 10, "between -10 and 10"),
    (
        ("input_dropout", "hidden_dropout", "label_smoothing"),
        lambda x: 0 <= x < 1,
        "at least 0 and below 1",
    ),
    (("norm_momentum", "init_scale"), lambda x: 0 < x <= 1, "above 0 and at most 1"),
]
"""Fields, what must hold of their values, and how to say it."""

_KINDS = {"int": int, "float": float, "str": str, "bool": bool, "None": NoneType}


def _of_kind(name: str, annotation: str, value: Any) -> Any:
    kinds = annotation.split(" | ")
    if kinds == ["float"] and type(value) is int and abs(value) < 2**53:
        value = float(value)
    # a bool is an int to Python
    if not isinstance(value, tuple(_KINDS[kind] for kind in kinds)) or (
        isinstance(value, bool) and kinds != ["bool"]
    ):
        raise UserError(f"A recipe's {name} is {' or '.join(kinds)}, and {value!r:.60} is not.")
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"A recipe's {name} must be finite, not {value}.")
    return value


def check_seed(seed: Any) -> int:
    """The seed, where it is one.

    Raises
    ------
    UserError
        If it is no int from 0 to 2⁶³ − 1.
    """
    if type(seed) is not int or not 0 <= seed < 2**63:
        raise UserError(f"The seed must be between 0 and 2⁶³ − 1, a whole number, not {seed!r}.")
    return seed


# Courbariaux et al. (2016), the authors' published code: 45,000/5,000 split, Adam from 1e-3 to
# 3e-7 over 500 epochs, squared hinge, batch 50, no augmentation, batch norm with ε = 1e-4 and a
# running-average factor of 0.1. Every image order is random and new in each epoch, a batch that is
# not full is left out, and of equally good validation epochs the last is kept. What is not as
# there: the images held out are an equal share of each class, not the last ones of the files
# (copies of the data come in other orders); batch norm averages the unbiased variance, that code
# one over the standard deviation; Adam's ε of 1e-8 is added after the bias correction, that
# code's before; bin(0) is −1, there +1. That code has one width; where there is another here, the
# steps on its latents stay.
ORIGINAL_CIFAR10 = Recipe(
    name="original",
    model="cifar10-convnet",
    dataset="cifar10",
    width=1.0,
    activation="binary",
    epochs=500,
    batch_size=50,
    train_images=None,
    validation_images=5000,
    loss="squared-hinge",
    schedule="exponential",
    lr=1e-3,
    lr_end=3e-7,
    per_layer_scale=True,
    augment=False,
    input_dropout=0.0,
    hidden_dropout=0.0,
    norm_epsilon=1e-4,
    norm_momentum=0.1,
    precision="auto",
    lr_width_power=0.5,
)

# The same authors' MLP: dropout .2/.5, batch 100, 1000 epochs, .003 → 3e-7, 50,000/10,000 split.
ORIGINAL_MNIST = ORIGINAL_CIFAR10.with_(
    model="mnist-mlp",
    dataset="mnist",
    epochs=1000,
    batch_size=100,
    validation_images=10000,
    lr=3e-3,
    input_dropout=0.2,
    hidden_dropout=0.5,
)

# Short runs: the learning rate comes down within the epochs there are. Schedule, augmentation, loss
# and smoothing are those that the study ``ablations`` found best; the learning rate lies between
# what is best for narrow networks, 1e-2, and that of the original, since the per-layer scale grows
# with the width. The scale stays: without it Adam moves a latent of size 1 by lr a step, too little
# for a short run. Crops cost more than they gain before an image has been seen many times.
FAST_CIFAR10 = ORIGINAL_CIFAR10.with_(
    name="fast",
    epochs=8,
    batch_size=100,
    validation_images=0,
    loss="cross-entropy",
    schedule="linear",
    lr=5e-3,
    lr_end=1e-6,
    augment=True,
    crop_padding=0,
    lr_width_power=0.0,
)

# Long runs: at every width the largest step is the original's at full width, 0.08 on latents in
# [−1, 1]. The rate falls over all the epochs there are. Crops and flips, since an image is seen
# many times.
LONG_CIFAR10 = FAST_CIFAR10.with_(
    name="long",
    epochs=36,
    validation_images=5000,
    schedule="cosine",
    warmup_epochs=2,
    lr=1e-3,
    lr_width_power=0.5,
    crop_padding=4,
)

# Digits are not flipped, and a shift of two pixels does what dropout does for less. With wide
# layers a step's time goes into the weights, whatever the batch: it is larger.
FAST_MNIST = ORIGINAL_MNIST.with_(
    name="fast",
    epochs=20,
    batch_size=500,
    validation_images=0,
    loss="cross-entropy",
    schedule="linear",
    lr=3e-3,
    lr_end=1e-6,
    augment=True,
    crop_padding=2,
    flip=False,
    input_dropout=0.0,
    hidden_dropout=0.0,
    lr_width_power=0.0,
)

RECIPES: dict[tuple[str, str], Recipe] = {
    (recipe.model, recipe.name): recipe
    for recipe in (ORIGINAL_CIFAR10, ORIGINAL_MNIST, FAST_CIFAR10, FAST_MNIST, LONG_CIFAR10)
}


def recipe(model: str, name: str) -> Recipe:
    """Look a recipe up by network and name.

    Raises
    ------
    UserError
        If there is none.
    """
    if (model, name) not in RECIPES:
        known = ", ".join(f"{m} with {n}" for m, n in RECIPES)
        raise UserError(f"There is no recipe {name!r} for {model!r}; there is {known}.")
    return RECIPES[model, name]
