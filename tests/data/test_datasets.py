"""A few images drawn, and the real files where there are some."""

import os

import pytest
import torch

from bnn_geometry import data
from bnn_geometry.data.standards import STANDARDS

# BNN_DATA itself is set anew for every test.


REAL_DATA = os.environ.get("BNN_TEST_DATA")


def test_a_sample_is_drawn_from_everywhere_and_does_not_change():
    images = torch.arange(100, dtype=torch.uint8).reshape(100, 1, 1, 1).expand(100, 1, 2, 2)
    split = data.Split(images, torch.arange(100))
    first = split.sample(20, seed=3)
    assert torch.equal(first.images[:, 0, 0, 0].long(), first.labels)  # still each its own label
    assert len(set(first.labels.tolist())) == 20
    assert first.labels.max() > 50  # not from the front
    assert torch.equal(split.sample(20, seed=3).labels, first.labels)
    assert not torch.equal(split.sample(20, seed=4).labels, first.labels)
    assert torch.equal(split.sample(30, seed=3).labels[:20], first.labels)
    assert sorted(split.sample(1000, seed=3).labels.tolist()) == list(range(100))
    with pytest.raises(ValueError, match="At least 1 image must be drawn, not 0"):
        split.sample(0, seed=3)


real = pytest.mark.skipif(
    REAL_DATA is None, reason="BNN_TEST_DATA does not name a folder with the real data"
)


@real
def test_real_mnist():
    if data.locate("mnist", root=REAL_DATA).source != "official":
        pytest.skip("no official MNIST in BNN_TEST_DATA")
    dataset = data.load("mnist", root=REAL_DATA)
    assert dataset.train.images.shape == (60_000, 1, 28, 28)
    histograms = [split.labels.bincount().tolist() for split in (dataset.train, dataset.test)]
    assert histograms == [
        [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
        [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
    ]
    mean = dataset.train.images.double().mean().item() / 255
    assert mean == pytest.approx(0.1307, abs=5e-5)  # as everyone normalizes it


@real
@pytest.mark.slow
def test_real_cifar10():
    if data.locate("cifar10", root=REAL_DATA).source == "stand-in":
        pytest.skip("no CIFAR-10 in BNN_TEST_DATA")
    dataset = data.load("cifar10", root=REAL_DATA)
    assert dataset.train.images.shape == (50_000, 3, 32, 32)
    assert dataset.train.labels.bincount().tolist() == [5000] * 10
    assert dataset.test.labels.bincount().tolist() == [1000] * 10
    assert dataset.classes == STANDARDS["cifar10"].classes
    assert dataset.provenance.title in (
        "CIFAR-10", "CIFAR-10, JPEG re-encoding", "CIFAR-10, PNG image folder",
    )  # fmt: skip
    # The published channel means; JPEG at quality 75 moves them by far less than this.
    means = dataset.train.images.double().mean(dim=(0, 2, 3)) / 255
    assert means.tolist() == pytest.approx([0.4914, 0.4822, 0.4465], abs=2e-3)
    assert data.fingerprint("cifar10", root=REAL_DATA) == dataset.provenance.fingerprint
