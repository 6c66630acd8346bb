"""Tables by layer: the same numbers as the functions that they put together."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bnn_geometry.networks.layers import weight_layers
from bnn_geometry.networks.models import ConvNet
from bnn_geometry.probing import controls, layer_tables
from bnn_geometry.probing.layer_inputs import sample_inputs


@pytest.fixture(scope="module")
def network():
    return ConvNet(torch.Generator().manual_seed(3), width=1 / 32).eval()


@pytest.fixture(scope="module")
def images():
    return torch.randint(0, 256, (30, 3, 32, 32), generator=torch.Generator().manual_seed(4)).to(
        torch.uint8
    )


@pytest.fixture(scope="module")
def samples(network, images):
    generator = torch.Generator().manual_seed(5)
    return sample_inputs(network, images, samples=60, generator=generator)


def test_controls_are_drawn_layer_by_layer(network, samples):
    tables = layer_tables.control_tables(network, samples, torch.Generator().manual_seed(6))
    generator = torch.Generator().manual_seed(6)
    layers = weight_layers(network)
    for name, layer in layers.items():
        expected = controls.quartile_table(
            controls.control_correlations(layer.weight, samples[name].x, generator)
        )
        assert list(tables) == list(expected.index)
        for control, row in expected.iterrows():
            np.testing.assert_array_equal(tables[control].loc[name, row.index], row)
    assert list(tables["measured"].index) == list(layers)
    assert list(tables["measured"]["n"]) == [layer.fan_in for layer in layers.values()]
