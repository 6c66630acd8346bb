"""The smallest networks and data that train: what many test files use."""

import pytest
import torch

from bnn_geometry.data.datasets import Dataset, Provenance, Split
from bnn_geometry.training.build import build_network
from bnn_geometry.training.loop import train
from bnn_geometry.training.recipes import FAST_CIFAR10, FAST_MNIST

SMALL = {
    **{"width": 1 / 32, "epochs": 2, "batch_size": 20, "precision": "float32"},
    **{"lr": 1e-3, "schedule": "one-cycle"},
}
TINY = {
    "convnet": FAST_CIFAR10.with_(**SMALL, crop_padding=4),
    "mlp": FAST_MNIST.with_(**SMALL, augment=False, input_dropout=0.2, hidden_dropout=0.5),
}
SHAPES = {"convnet": (3, 32, 32), "mlp": (1, 28, 28)}

each_network = pytest.mark.parametrize("kind", TINY)


def pixels(seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def tiny_dataset(kind="mlp", *, train=40, test=25, classes=10, seed=0, shape=None):
    """Noise of the right shape; a white column of pixels tells the label."""
    splits = []
    for i, count in enumerate((train, test)):
        images = pixels(2 * seed + i, count, *(shape or SHAPES[kind]))
        labels = torch.arange(count) % classes
        images[torch.arange(count), :, labels] = 255
        splits.append(Split(images, labels))
    provenance = Provenance(
        dataset="mnist" if kind == "mlp" else "cifar10",
        source="stand-in",
        title="Noise",
        detail="Random pixels.",
        path="/somewhere/private",
        fingerprint=f"{seed:064x}",
        train_images=train,
        test_images=test,
    )
    return Dataset("noise", tuple("abcdefghijkl"[:classes]), *splits, provenance)


def run(kind, *, seed=0, dataset=None, on_epoch_end=None, on_step=None, **changes):
    settings = TINY[kind].with_(**changes)
    return train(
        build_network(settings, seed),
        dataset or tiny_dataset(kind),
        settings,
        seed=seed,
        on_epoch_end=on_epoch_end,
        on_step=on_step,
    )


def same_state(first, second):
    first, second = first.state_dict(), second.state_dict()
    return all(torch.equal(first[name], second[name]) for name in first)
