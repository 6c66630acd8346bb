"""Tables by layer: the same numbers as the functions that they put together."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bnn_geometry.geometry.distributions import empirical
from bnn_geometry.networks.layers import weight_layers
from bnn_geometry.networks.models import ConvNet
from bnn_geometry.probing import controls, dot_products, layer_tables
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


def test_predictions_stand_beside_what_was_measured(network, images, samples):
    measured = dot_products.probe_weights(network, images)
    table = layer_tables.predictions(network, samples, measured, seed=7)
    assert len(table[table["model"] == "diagonal"]) == sum(len(s.filter_r) for s in measured)
    own = table[(table["layer"] == "conv2") & (table["model"] == "diagonal")]
    r = controls.predicted_correlations(weight_layers(network)["conv2"], samples["conv2"].x)
    np.testing.assert_array_equal(own["predicted"], r["diagonal"])
    np.testing.assert_array_equal(own["measured"], measured[1].filter_r)
    np.testing.assert_allclose(own["off"], np.abs(own["predicted"] - own["measured"]))
    medians = layer_tables.medians_by_model(table, "off")
    assert list(medians.index) == [s.layer for s in measured]
    assert medians.loc["conv2", "diagonal"] == np.nanmedian(own["off"])
    assert medians["channel × space"].isna().tolist() == [False] * 6 + [True] * 3


def test_the_spread_of_angles_is_that_of_independent_entries(network):
    """The weights are fresh: independent and uniform."""
    table = layer_tables.angle_spread(network)
    assert list(table.index) == list(weight_layers(network))
    # χ² law of a variance: 4.5 standard errors, the narrowest layers apart
    filters = np.array([len(layer.weight) for layer in weight_layers(network).values()])
    off = (table["sd"] - table["uniform"]) / (table["uniform"] / np.sqrt(2 * (filters - 1)))
    assert (off.abs() < 4.5).all()
    np.testing.assert_allclose(table["sd_se"], table["sd"] / np.sqrt(2 * (filters - 1)))
    np.testing.assert_allclose(table["independent"], table["uniform"], rtol=0.3)
    np.testing.assert_allclose(table["off"], (table["median"] - table["limit"]).abs())
    law = empirical(weight_layers(network)["fc1"].weight.detach().flatten().numpy())
    assert np.cos(np.radians(table.loc["fc1", "limit"])) == pytest.approx(
        law.m1 / np.sqrt(law.m2), rel=1e-6
    )


def test_shares_along_principal_components():
    generator = torch.Generator().manual_seed(8)
    x = torch.randn(5000, 3, generator=generator, dtype=torch.float64) * torch.tensor([3.0, 2, 1])
    share = layer_tables.component_shares(x + 7, {"w": torch.eye(3)[:1], "both": torch.eye(3)[1:]})
    assert list(share.index) == [1, 2, 3]
    np.testing.assert_allclose(share.sum(), 1)
    # standard error of a variance from 5000 values: 2 %
    np.testing.assert_allclose(share["inputs"] * 14, [9, 4, 1], rtol=0.1)
    np.testing.assert_allclose(share["w"], [1, 0, 0], atol=0.02)
    np.testing.assert_allclose(share["both"], [0, 0.5, 0.5], atol=0.02)
