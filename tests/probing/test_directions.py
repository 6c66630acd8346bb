"""Readouts along the directions between classes: planted cases."""

import pytest
import torch
from planted import gaussian

from bnn_geometry.networks.straight_through import binarize
from bnn_geometry.probing import directions
from bnn_geometry.probing.layer_inputs import LayerSample


def sample(x):
    return {"layer": LayerSample(x.float(), torch.arange(len(x)))}


def blobs(n, *, seed, count=3000, classes=3):
    centres = binarize(gaussian(classes, n, seed=9))
    labels = torch.arange(count) % classes
    return sample(0.7 * centres[labels] + gaussian(count, n, seed=seed)), labels


def test_readout_of_binary_differences_loses_nothing():
    train, train_labels = blobs(20, seed=1)
    test, test_labels = blobs(20, seed=2)
    table = directions.readout_errors(train, train_labels, test, test_labels)
    row = table.loc["layer"]
    assert row["n"] == 20
    assert row["error"] < 0.05
    assert row["error"] <= row["binarized"] < 0.2
    assert row["guessing"] == pytest.approx(2 / 3, abs=0.01)
    # of what is lost and nothing gained, few of many
    lost = row["binarized"] - row["error"]
    assert row["loss_se"] == pytest.approx((lost * (1 - lost) / 3000) ** 0.5, rel=0.5)
    assert 0 < row["angle"] < 60


def test_readout_of_noise_is_guessing():
    labels = torch.arange(3000) % 3
    table = directions.readout_errors(
        sample(gaussian(3000, 10, seed=1)), labels, sample(gaussian(3000, 10, seed=2)), labels
    )
    assert table.loc["layer", ["error", "binarized"]].tolist() == pytest.approx(
        [2 / 3] * 2, abs=0.05
    )


def test_readout_of_two_classes():
    train, train_labels = blobs(20, seed=1, classes=2)
    test, test_labels = blobs(20, seed=2, classes=2)
    row = directions.readout_errors(train, train_labels, test, test_labels).loc["layer"]
    assert row["error"] < 0.05
    assert row["binarized"] < 0.2
