"""Latent weights beside binary ones: by hand and against theory."""

import numpy as np
import torch
from planted import Single, uniform
from small_networks import each_kind, make

from bnn_geometry.geometry import angles
from bnn_geometry.networks.layers import weight_layers
from bnn_geometry.probing.weights import weight_angles


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
