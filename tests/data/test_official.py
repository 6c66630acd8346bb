"""The official archives, in small: their pixels and labels, or a sentence."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from made_files import damage, pixels, sentence
from torchvision import datasets as vision

from bnn_geometry import data
from bnn_geometry.errors import UserError


def test_official_cifar10_has_the_pixels_and_labels_of_its_batches(cifar10_archive):
    dataset = data.load("cifar10")
    expected = np.concatenate([pixels(i, 2, 3072).reshape(2, 3, 32, 32) for i in range(5)])
    assert torch.equal(dataset.train.images, torch.from_numpy(expected))
    assert dataset.train.labels.tolist() == [0, 9, 1, 8, 2, 7, 3, 6, 4, 5]
    assert torch.equal(
        dataset.test.images, torch.from_numpy(pixels(5, 2, 3072).reshape(2, 3, 32, 32))
    )
    assert dataset.test.labels.tolist() == [5, 4]
    assert dataset.train.images.dtype == torch.uint8
    assert dataset.train.labels.dtype == torch.int64
    assert dataset.train.images.is_contiguous()
    assert dataset.classes[:2] == ("airplane", "automobile")
    assert dataset.provenance.title == "CIFAR-10"
    assert dataset.provenance.source == "official"
    assert (dataset.provenance.train_images, dataset.provenance.test_images) == (10, 2)
    assert not (cifar10_archive.parent / "cifar-10-batches-py").exists()


def test_batches_and_archive_have_one_fingerprint(cifar10_archive, cifar10_batches, root):
    archive = data.load("cifar10").provenance
    cifar10_archive.unlink()
    shutil.copytree(cifar10_batches, root / "cifar-10-batches-py")
    batches = data.load("cifar10").provenance
    assert data.locate("cifar10").kind == "batches"
    assert batches.fingerprint == archive.fingerprint
    assert batches.path != archive.path


def test_official_mnist_has_the_pixels_and_labels_of_its_files(mnist_raw):
    before = sorted(mnist_raw.iterdir())
    dataset = data.load("mnist")
    expected = torch.from_numpy(pixels(7, 7, 784).reshape(7, 1, 28, 28))
    assert torch.equal(dataset.train.images, expected)
    assert dataset.train.labels.tolist() == list(range(7))
    assert dataset.test.labels.tolist() == list(range(4))
    assert dataset.train.labels.dtype == torch.int64
    assert dataset.classes == tuple("0123456789")
    assert dataset.provenance.title == "MNIST"
    assert sorted(mnist_raw.iterdir()) == before  # the data root may be read-only


def test_damaged_archive_is_an_error_and_not_the_stand_in(cifar10_archive):
    damage(cifar10_archive)
    with pytest.raises(UserError) as error:
        data.load("cifar10")
    assert str(cifar10_archive) in sentence(error)
    assert "`bnn-geometry fetch cifar10`" in sentence(error)


@pytest.mark.parametrize("name", ["data_batch_3", "test_batch", "batches.meta"])
def test_damaged_or_missing_batch_is_named(cifar10_batches, root, name):
    file = Path(shutil.copytree(cifar10_batches, root / "cifar-10-batches-py")) / name
    damage(file)
    with pytest.raises(UserError, match="damaged") as error:
        data.load("cifar10")
    assert str(file) in sentence(error)
    file.unlink()
    with pytest.raises(UserError, match="is missing") as error:
        data.load("cifar10")
    assert str(file) in sentence(error)


def test_damaged_mnist_file_is_named(mnist_raw):
    file = mnist_raw / "t10k-labels-idx1-ubyte.gz"
    damage(file)
    with pytest.raises(UserError, match="`bnn-geometry fetch mnist`") as error:
        data.load("mnist")
    assert str(file) in sentence(error)


def test_torchvision_is_never_let_to_download(cifar10_archive, mnist_raw, monkeypatch):
    def fail(*args, **kwargs):
        raise AssertionError("torchvision tried to download")

    monkeypatch.setattr(vision.cifar, "download_and_extract_archive", fail)
    monkeypatch.setattr(vision.mnist, "download_and_extract_archive", fail)
    data.load("cifar10")
    data.load("mnist")
