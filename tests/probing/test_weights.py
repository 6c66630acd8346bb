"""Latent weights beside binary ones: by hand and against theory."""

import numpy as np
import pytest
import torch
from planted import Single, uniform
from small_networks import each_kind, generator, make, pixels, same, snapshot
from torch.nn import functional as F  # noqa: N812

from bnn_geometry.errors import UserError
from bnn_geometry.geometry import angles
from bnn_geometry.networks.inference import scale_images
from bnn_geometry.networks.layers import weight_layers
from bnn_geometry.networks.models import MLP
from bnn_geometry.probing.weights import (
    cosine,
    latent_histograms,
    weight_angles,
    weight_noise,
    weight_noise_statistics,
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


# --- the paper's noise ----------------------------------------------------------------------------


def made(width=1 / 16):
    network = MLP(generator(), width=width, input_dropout=0.0, hidden_dropout=0.0).eval()
    return network, pixels(1, 40, 1, 28, 28), torch.arange(40) % 10


def test_differences_by_hand():
    network, _, _ = made(1 / 1024)
    layer = weight_layers(network)["fc2"]
    with torch.no_grad():
        layer.weight[0, :4] = torch.tensor([0.25, -0.5, 0.0, 1.0])
    found = weight_noise(network)
    assert list(found) == ["fc1", "fc2", "fc3", "fc4"]
    assert found["fc2"][0, :4].tolist() == [0.75, -0.5, -1, 0]


def test_cosine_by_hand():
    a, b = torch.tensor([[3.0, 4.0]]), torch.tensor([[4.0, 3.0]])
    assert cosine(a, b) == pytest.approx(0.96)
    assert cosine(a, -a) == pytest.approx(-1)
    assert np.isnan(cosine(a, 0 * a))


def test_uniform_latents_give_what_theory_says():
    table = weight_noise_statistics(*made()).set_index("layer")
    assert table["weights"].tolist() == [784 * 256, 256 * 256, 256 * 256, 2560]
    for row in table.iloc[:3].itertuples():
        # E(1 − |w|)² = 1/3; E(|w| − w²) = 1/6 over 1/3; ε is uniform on [−1, 1] itself
        error = 4 / np.sqrt(row.weights)
        assert row.size == pytest.approx(1 / np.sqrt(3), abs=error)
        assert row.cosine_latent == pytest.approx(0.5, abs=error)
        assert row.skewness == pytest.approx(0, abs=3 * error)
        assert row.kurtosis == pytest.approx(-1.2, abs=3 * error)
        # sup |F_uniform − Φ| for equal mean and variance
        assert row.distance == pytest.approx(0.0577, abs=error)


def test_gradient_is_that_of_the_binary_weights_and_nothing_is_changed():
    network, images, labels = made(1 / 64)
    before = snapshot(network)
    table = weight_noise_statistics(network, images, labels).set_index("layer")
    assert same(snapshot(network), before)
    assert all(p.grad is None for p in network.parameters())
    network.train()
    F.cross_entropy(network(scale_images(images)), labels).backward()
    for name, layer in weight_layers(network).items():
        epsilon = (layer.binary_weight - layer.weight.detach()).flatten()
        expected = F.cosine_similarity(epsilon, layer.weight.grad.flatten(), dim=0)
        assert table.loc[name, "cosine_gradient"] == pytest.approx(float(expected), abs=1e-5)


def test_binary_latents_differ_by_nothing():
    network, images, labels = made(1 / 64)
    with torch.no_grad():
        for layer in weight_layers(network).values():
            layer.weight.copy_(layer.binary_weight)
    table = weight_noise_statistics(network, images, labels)
    assert (table["size"] == 0).all()
    assert table["cosine_latent"].isna().all()


def test_what_cannot_be_measured_is_a_sentence():
    network, images, labels = made(1 / 64)
    with pytest.raises(UserError, match="no images"):
        weight_noise_statistics(network, images[:0], labels[:0])
    with torch.no_grad():
        weight_layers(network)["fc1"].weight[0, 0] = torch.nan
    with pytest.raises(UserError, match="not finite"):
        weight_noise_statistics(network, images, labels)
