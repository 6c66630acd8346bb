"""The stand-ins: the same bytes each time, and never taken for what they stand in for."""

import json

import numpy as np
import pytest
import torch

from bnn_geometry import data
from bnn_geometry.data import stand_ins
from bnn_geometry.errors import UserError


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BNN_DATA", str(tmp_path_factory.mktemp("data")))
        patch.setenv("BNN_CACHE", str(tmp_path_factory.mktemp("cache")))
        return {name: data.load(name) for name in data.DATASETS}


def test_photograph_stand_in_is_balanced_and_the_same_each_time(loaded):
    dataset = loaded["cifar10"]
    assert dataset.train.images.shape == (5000, 3, 32, 32)
    assert dataset.test.images.shape == (1000, 3, 32, 32)
    assert dataset.train.labels.bincount().tolist() == [500] * 10
    assert dataset.test.labels.bincount().tolist() == [100] * 10
    assert len(dataset.classes) == 10
    # The published outputs of the test notebooks rest on these very bytes.
    assert dataset.provenance.fingerprint.startswith("f914ac3d783df20d")


def test_training_and_test_patches_share_no_pixel():
    height, width = 300, 451  # no multiple of four
    # A photograph in which every pixel has a colour of its own, so that a patch tells its place.
    index = np.arange(height * width).reshape(height, width)
    colours = np.stack([index >> 16, index >> 8 & 255, index & 255], axis=-1).astype(np.uint8)
    places = []
    for patches in stand_ins._patches(colours, np.random.default_rng(0)):
        red, green, blue = np.moveaxis(patches.astype(np.int64), -1, 0)
        place = (red << 16) + (green << 8) + blue
        places.append(np.unique(place))
        # Each patch is a true cut-out, and no two are the same.
        assert (np.diff(place, axis=2) == 1).all()
        assert (np.diff(place, axis=1) == width).all()
        assert len(np.unique(place[:, 0, 0])) == len(patches)
    assert not np.intersect1d(*places).size
    # Both cover all quarters of the photograph, none is a corner of it.
    for place in places:
        rows, columns = np.divmod(place, width)
        for values, length in ((rows, height), (columns, width)):
            assert set(values * 4 // length) == {0, 1, 2, 3}


def test_digit_stand_in_is_scikit_learns(loaded):
    (file,) = stand_ins.stand_in_files("mnist")
    digits = np.loadtxt(file, delimiter=",")  # (1797, 64 pixels of 0…16 and the label)
    dataset = loaded["mnist"]
    assert dataset.train.images.shape == (1500, 1, 28, 28)
    assert dataset.test.images.shape == (297, 1, 28, 28)
    labels = torch.cat([dataset.train.labels, dataset.test.labels])
    assert labels.tolist() == digits[:, -1].tolist()
    images = torch.cat([dataset.train.images, dataset.test.images]).float()
    # Independent of Pillow: torch's bilinear interpolation, to within rounding.
    small = torch.from_numpy(digits[:, :-1]).float().reshape(-1, 1, 8, 8) * 255 / 16
    expected = torch.nn.functional.interpolate(small, size=(28, 28), mode="bilinear")
    assert (images - expected).abs().max() <= 1.5
    assert images.max() == 255
    assert (images == 0).float().mean() > 0.3
    assert dataset.provenance.fingerprint.startswith("c7c390bb7f61660e")


@pytest.mark.parametrize("name", data.DATASETS)
def test_stand_in_cannot_be_mistaken(loaded, name):
    dataset = loaded[name]
    assert dataset.name == name
    assert dataset.provenance.source == "stand-in"
    assert dataset.provenance.path is None
    assert dataset.provenance.title.startswith("stand-in: ")
    assert "CIFAR" not in dataset.provenance.title.upper()
    assert "MNIST" not in dataset.provenance.title.upper()
    assert json.loads(json.dumps(dataset.provenance.as_dict()))["source"] == "stand-in"


def test_missing_photograph_is_a_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr(stand_ins, "PHOTOGRAPHS", ("nobody",))
    with pytest.raises(UserError, match=r"nobody\.png cannot be read"):
        data.locate("cifar10")
