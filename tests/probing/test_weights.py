"""Latent weights beside binary ones: by hand and against theory."""

import numpy as np
import pytest
import torch
from planted import Single, uniform
from small_networks import each_kind, make

from bnn_geometry.geometry import angles
from bnn_geometry.networks.layers import weight_layers
from bnn_geometry.probing.weights import (
    latent_histograms,
    weight_angles,
)

# --- angles and distributions ---------------------------------------------------------------------


@each_kind
def test_weight_angles_are_those_of_every_filter(kind):
    network, _ = make(kind)
    table = weight_angles(network)
    layers = weight_layers(network)
    assert table["layer"].drop_duplicates().tolist() == list(layers)
    for name, layer in layers.items():
        rows = table[table["layer"] == name]
        w = layer.weight.detach().flatten(1).numpy()
        np.testing.assert_allclose(rows["angle"], angles.angle(w, np.where(w > 0, 1, -1)))
        assert rows["filter"].tolist() == list(range(len(w)))
        assert set(rows["n"]) == {layer.fan_in}


def test_weight_angles_of_binary_weights_are_zero():
    angle = weight_angles(Single(torch.where(uniform(5, 100) > 0, 1.0, -1.0)))["angle"]
    np.testing.assert_allclose(angle, 0, atol=1e-5)


def test_histograms_of_latent_weights_are_those_of_numpy():
    weight = torch.tensor([[-1.0, -0.75, 0.0], [0.25, 1.0, 2.0]])
    table = latent_histograms(Single(weight), bins=4)
    assert table["left"].tolist() == [-1, -0.5, 0, 0.5]
    assert table["right"].tolist() == [-0.5, 0, 0.5, 1]
    # two, none, two and one of six weights, in bins half a unit wide; one lies beyond
    assert table["density"].tolist() == pytest.approx([2 / 3, 0, 2 / 3, 1 / 3])


@each_kind
def test_histograms_of_clipped_weights_integrate_to_one(kind):
    network, _ = make(kind)
    table = latent_histograms(network)
    area = (table["density"] * (table["right"] - table["left"])).groupby(table["layer"]).sum()
    assert area.tolist() == pytest.approx([1.0] * len(weight_layers(network)))
    assert table["layer"].unique().tolist() == list(weight_layers(network))
