"""A data root of its own for every test, and official files in small."""

import gzip
import pickle
import struct

import pytest
from made_files import md5, pack, pixels
from torchvision import datasets as vision

from bnn_geometry.data import cache
from bnn_geometry.data.decoding import decode
from bnn_geometry.data.standards import STANDARDS


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    """Give an empty data root, with the cache beside it."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("BNN_DATA", str(folder))
    monkeypatch.setenv("BNN_CACHE", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def decodings(monkeypatch):
    """Count how often something is decoded: the list grows by one each time."""
    calls = []

    def counting(*args):
        calls.append(args)
        return decode(*args)

    monkeypatch.setattr(cache, "decode", counting)
    return calls


@pytest.fixture
def cifar10_batches(tmp_path, monkeypatch):
    """Make cifar-10-batches-py with 2 images per batch, and torchvision expect just that."""
    folder = tmp_path / "made" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    for i, name in enumerate(names):
        batch = {"data": pixels(i, 2, 3072), "labels": [i, 9 - i]}
        (folder / name).write_bytes(pickle.dumps(batch))
    meta = pickle.dumps({"label_names": list(STANDARDS["cifar10"].classes)})
    (folder / "batches.meta").write_bytes(meta)
    sums = {file.name: md5(file.read_bytes()) for file in folder.iterdir()}
    monkeypatch.setattr(vision.CIFAR10, "train_list", [[x, sums[x]] for x in names[:5]])
    monkeypatch.setattr(vision.CIFAR10, "test_list", [["test_batch", sums["test_batch"]]])
    monkeypatch.setitem(vision.CIFAR10.meta, "md5", sums["batches.meta"])
    return folder


@pytest.fixture
def cifar10_archive(cifar10_batches, root, monkeypatch):
    path = pack(cifar10_batches, root / "cifar-10-python.tar.gz", "w:gz")
    monkeypatch.setattr(vision.CIFAR10, "tgz_md5", md5(path.read_bytes()))
    return path


@pytest.fixture
def mnist_raw(root, monkeypatch):
    """Write four idx files, 7 training and 4 test images, as torchvision is made to expect."""
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    resources = []
    for part, count in (("train", 7), ("t10k", 4)):
        images = struct.pack(">4I", 0x803, count, 28, 28) + pixels(count, count, 784).tobytes()
        labels = struct.pack(">2I", 0x801, count) + bytes(range(count))
        for kind, content in (("images-idx3", images), ("labels-idx1", labels)):
            file = raw / f"{part}-{kind}-ubyte.gz"
            file.write_bytes(gzip.compress(content))
            resources.append((file.name, md5(file.read_bytes())))
    monkeypatch.setattr(vision.MNIST, "resources", resources)
    return raw
