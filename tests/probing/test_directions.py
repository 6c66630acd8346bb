"""Informative directions and readouts: planted cases."""

import pytest
import torch
from planted import gaussian
from small_networks import generator

from bnn_geometry.errors import UserError
from bnn_geometry.geometry import angles
from bnn_geometry.networks.straight_through import binarize
from bnn_geometry.probing import directions
from bnn_geometry.probing.layer_inputs import LayerSample


def sample(x):
    return {"layer": LayerSample(x.float(), torch.arange(len(x)))}


def found(x, labels, **options):
    options = {"count": 3, "generator": generator()} | options
    return directions.informative_directions(sample(x), labels, **options)


def test_principal_directions_of_inputs_whose_covariance_is_known():
    # standard deviations 8, 4, 2, 1 along rotated axes; the first two are binary
    axes = torch.tensor(
        [[1.0, 1, 1, 1], [1, 1, -1, -1], [1, -1, 0, 0], [0, 0, 1, -1]], dtype=torch.float64
    )
    axes = axes / axes.norm(dim=1, keepdim=True)
    x = gaussian(20_000, 4) * torch.tensor([8.0, 4.0, 2.0, 1.0]) @ axes
    table = found(x, torch.arange(20_000) % 2)
    principal = table[table["kind"] == "principal"]
    assert principal["direction"].tolist() == [1, 2, 3]
    assert principal["n"].tolist() == [4] * 3
    assert principal["variance"].tolist() == pytest.approx([64 / 85, 16 / 85, 4 / 85], abs=0.02)
    assert principal["angle"][:2].tolist() == pytest.approx([0, 0], abs=3)
    assert principal["r"][:2].tolist() == pytest.approx([1, 1], abs=0.01)
    assert principal["angle"][2] == pytest.approx(45, abs=6)  # (1, −1, 0, 0): half is noise


def test_discriminant_is_the_direction_in_which_the_classes_differ():
    n, difference = 30, gaussian(30, seed=1)
    labels = torch.arange(4000) % 2
    x = 3 * gaussian(4000, n, seed=2) + labels[:, None] * difference
    x[:, 7] *= 1e-12  # a coordinate that does not vary is no obstacle
    table = found(x, labels)
    [row] = table[table["kind"] == "discriminant"].to_dict("records")  # two classes: one direction
    b = binarize(difference)
    assert row["angle"] == pytest.approx(float(angles.angle(difference, b)), abs=6)
    assert table["r"].between(-1, 1).all()
    assert (table["kind"] == "random").sum() == 3


def test_one_class_is_refused():
    with pytest.raises(UserError, match="All images are of one class"):
        found(gaussian(50, 3), torch.zeros(50, dtype=torch.int64))


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
