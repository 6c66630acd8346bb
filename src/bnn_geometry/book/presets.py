"""Every size that a chapter uses, in one place: ``smoke``, ``book`` and ``paper``.

On two cores the whole book takes less than two minutes at ``smoke``, which the tests use, and less
than six at ``book``; ``benchmarks/build_time.py`` measures both. ``paper`` trains at the paper's
size and takes days on a CPU.
"""

from __future__ import annotations

from dataclasses import dataclass

from bnn_geometry import paths
from bnn_geometry.errors import UserError
from bnn_geometry.training.recipes import (
    FAST_CIFAR10,
    FAST_MNIST,
    ORIGINAL_CIFAR10,
    ORIGINAL_MNIST,
    Recipe,
)


@dataclass(frozen=True)
class Preset:
    """Sizes of everything that the chapters compute."""

    name: str
    angle_dimensions: tuple[int, ...]
    """Dimensions n of the histograms of Figure 2."""
    angle_samples: int
    """Pairs of random vectors for each dimension."""
    trend_dimensions: tuple[int, ...]
    """Dimensions at which mean and spread are measured."""
    cosine_samples: int
    """Pairs of random vectors that are shown beside the exact law of their cosine."""
    trend_values: int
    """Entries of the vectors drawn for one point of a trend: many vectors in low dimension, few in
    high."""
    explored_dimensions: tuple[int, ...]
    """Dimensions that the interactive Figure 2 offers; those of the histograms are among them."""
    separation_samples: int
    """Pairs in each dimension in which the overlap of the two angles is simulated."""
    convnet: Recipe
    """How the CIFAR-10 network is trained."""
    mlp: Recipe
    """How the MNIST network is trained."""
    continuous: Recipe
    """How the CIFAR-10 network's continuous counterpart is trained: with the same budget."""
    fine_tuning: Recipe
    """How the binary network is trained for a short time, from continuous weights and anew."""
    converted_images: int
    """Images that refit a binarized network's batch norm, and test images that measure it."""
    probe_images: int
    """Test images on which dot products are measured."""
    input_samples: int
    """Input vectors of each layer, at most, on which controls and predictions are computed."""
    flow_dimensions: tuple[int, ...]
    """Dimensions of the substituted-gradient flows."""
    large_flow_dimensions: tuple[int, ...]
    """Further ones, in which two flows take a fifth of the updates with five times the step."""
    flow_seeds: int
    """Independent flows in each dimension."""
    flow_steps: int
    """Updates of each flow."""
    law_samples: int
    """Inputs on which the laws of signs and of correlations are checked."""
    capacity_vectors: int
    """Random ±1 vectors whose largest cosine is followed."""
    capacity_runs: int
    """Independent sets of that many."""
    quantized_dimension: int
    """Entries of the vectors that ternary and k-level quantizers turn: large, for the limit."""
    quantized_samples: int
    """Such vectors for each quantizer."""
    rotated_dimensions: tuple[int, ...]
    """Dimensions of the vectors that are rotated before they are binarized."""
    rotations: int
    """Haar-random rotations in each dimension."""
    rotated_vectors: int
    """Vectors under each of them."""
    seconds: dict[str, float]
    """Time budget of each chapter on two cores, for the build's report."""


# Narrow networks and a few epochs call for a higher learning rate and less noise than the fast
# recipe has: of lr 1e-3, 3e-3 and 1e-2, with a rise over a fifth of the steps, these gave the
# lowest test errors after four epochs at width 1/8 (CIFAR-10, 20,000 images) and three (MNIST,
# 30,000), one seed each. float32: at these widths casting costs more time than bfloat16 saves.
SMALL = {"schedule": "one-cycle", "augment": False, "precision": "float32"}
SMALL_CIFAR10 = FAST_CIFAR10.with_(**SMALL, batch_size=50, lr=1e-2)
SMALL_MNIST = FAST_MNIST.with_(**SMALL, batch_size=100, lr=3e-3)
# The hard tanh is what the straight-through estimator differentiates in the place of bin. Of lr
# 1e-3, 3e-3, 1e-2 and 3e-2 the third gave the lowest test error after four epochs at width 1/8 on
# 4,000 images, one seed: the same as for the binary network.
CONTINUOUS_CIFAR10 = SMALL_CIFAR10.with_(activation="hardtanh")
# One epoch on a part of the images. Of lr 1e-3, 3e-3 and 1e-2 the first gave the lowest test error
# from pretrained weights, after 4,000 images at width 1/8, one seed: larger steps forget the signs.
# From random weights it is the worst of the three: there the whole training's serves.
FINE_TUNING_CIFAR10 = SMALL_CIFAR10.with_(epochs=1, schedule="linear", lr=1e-3)

SMOKE = Preset(
    name="smoke",
    angle_dimensions=(3, 10, 27, 100, 1000),
    angle_samples=2000,
    trend_dimensions=(2, 3, 10, 27, 100, 1000, 10_000),
    cosine_samples=1000,
    trend_values=1_000_000,
    explored_dimensions=(2, 3, 5, 10, 27, 50, 100, 300, 1000),
    separation_samples=20_000,
    convnet=SMALL_CIFAR10.with_(width=1 / 16, epochs=2, train_images=2000),
    mlp=SMALL_MNIST.with_(width=1 / 32, epochs=3, train_images=1000, batch_size=50),
    continuous=CONTINUOUS_CIFAR10.with_(width=1 / 16, epochs=2, train_images=2000),
    fine_tuning=FINE_TUNING_CIFAR10.with_(width=1 / 16, train_images=500),
    converted_images=1000,
    probe_images=100,
    input_samples=1500,
    flow_dimensions=(2, 3, 10, 27, 100, 1000),
    large_flow_dimensions=(10_000,),
    flow_seeds=6,
    flow_steps=2000,
    law_samples=20_000,
    capacity_vectors=300,
    capacity_runs=4,
    quantized_dimension=10_000,
    quantized_samples=50,
    rotated_dimensions=(10, 100, 500),
    rotations=20,
    rotated_vectors=25,
    seconds={
        "theory": 12,
        "random_vectors": 30,
        "training": 28,
        "dot_products": 36,
        "learning_dynamics": 20,
        "claims": 5,
        "reproducing": 8,
        "pretrained": 32,
        "beyond_one_bit": 15,
    },
)

BOOK = Preset(
    name="book",
    angle_dimensions=(3, 10, 27, 100, 1000),
    angle_samples=40_000,
    trend_dimensions=(2, 3, 5, 10, 27, 100, 300, 1000, 3000, 10_000, 100_000, 1_000_000),
    cosine_samples=2000,
    trend_values=10_000_000,
    explored_dimensions=(2, 3, 5, 10, 27, 50, 100, 300, 1000),
    separation_samples=400_000,
    convnet=SMALL_CIFAR10.with_(width=1 / 8, epochs=4, train_images=16_000),
    mlp=SMALL_MNIST.with_(width=1 / 8, epochs=3, train_images=30_000),
    continuous=CONTINUOUS_CIFAR10.with_(width=1 / 8, epochs=4, train_images=16_000),
    fine_tuning=FINE_TUNING_CIFAR10.with_(width=1 / 8, train_images=2000),
    converted_images=2000,
    probe_images=500,
    input_samples=4000,
    flow_dimensions=(2, 3, 10, 27, 100, 300, 1000, 3000),
    large_flow_dimensions=(10_000, 100_000),
    flow_seeds=12,
    flow_steps=3000,
    law_samples=100_000,
    capacity_vectors=1000,
    capacity_runs=6,
    quantized_dimension=10_000,
    quantized_samples=200,
    rotated_dimensions=(10, 100, 500),
    rotations=40,
    rotated_vectors=100,
    seconds={
        "theory": 12,
        "random_vectors": 110,
        "training": 145,
        "dot_products": 90,
        "learning_dynamics": 35,
        "claims": 5,
        "reproducing": 8,
        "pretrained": 125,
        "beyond_one_bit": 18,
    },
)

PAPER = Preset(
    name="paper",
    angle_dimensions=(3, 10, 27, 100, 1000),
    angle_samples=1_000_000,
    trend_dimensions=(2, 3, 5, 10, 27, 100, 300, 1000, 3000, 10_000, 100_000, 1_000_000),
    cosine_samples=10_000,
    trend_values=1_000_000_000,
    explored_dimensions=(2, 3, 5, 10, 27, 50, 100, 300, 1000),
    separation_samples=10_000_000,
    convnet=ORIGINAL_CIFAR10,
    mlp=ORIGINAL_MNIST,
    continuous=ORIGINAL_CIFAR10.with_(activation="hardtanh"),
    fine_tuning=ORIGINAL_CIFAR10.with_(epochs=10),
    converted_images=10_000,
    probe_images=500,
    input_samples=20_000,
    flow_dimensions=(2, 3, 10, 27, 100, 300, 1000, 3000, 10_000),
    large_flow_dimensions=(100_000,),
    flow_seeds=64,
    flow_steps=20_000,
    law_samples=1_000_000,
    capacity_vectors=4000,
    capacity_runs=20,
    quantized_dimension=100_000,
    quantized_samples=1000,
    rotated_dimensions=(10, 100, 500),
    rotations=200,
    rotated_vectors=200,
    seconds={},
)

PRESETS = {preset.name: preset for preset in (SMOKE, BOOK, PAPER)}


def preset(name: str) -> Preset:
    """Look a preset up by name.

    Raises
    ------
    UserError
        If there is none of that name.
    """
    if name not in PRESETS:
        raise UserError(f"Unknown preset {name!r}: use {', '.join(PRESETS)}.")
    return PRESETS[name]


def from_environment() -> str:
    """The preset that ``$BNN_PRESET`` names for a whole build; ``book`` where it is not set.

    Raises
    ------
    UserError
        If it names none.
    """
    return preset(paths.preset_name()).name
