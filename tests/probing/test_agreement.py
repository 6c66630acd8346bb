"""How far two networks agree, against numpy's correlation of what they put out."""

import numpy as np
import pytest
import torch
from small_networks import each_kind, generator, make, same, snapshot

from bnn_geometry.errors import UserError
from bnn_geometry.networks.batch_norm import refit_batch_norm
from bnn_geometry.networks.conversion import binarize_network
from bnn_geometry.networks.inference import scale_images
from bnn_geometry.networks.layers import weight_layers
from bnn_geometry.networks.models import MLP
from bnn_geometry.probing import dot_products
from bnn_geometry.probing.agreement import layer_agreement


@each_kind
def test_agreement_is_a_correlation_per_filter(kind):
    network, images = make(kind, "hardtanh")
    other = refit_batch_norm(binarize_network(network), images)
    table = layer_agreement(network, other, images)
    assert list(table.index) == list(weight_layers(network))
    assert table["n"].tolist() == [z.fan_in for z in weight_layers(network).values()]
    # the first layer sees the same input: what the probe of one network measures there
    alone = dot_products.as_table(dot_products.probe_weights(network, images))
    first = table.index[0]
    for column in ("filter_r_25", "filter_r", "filter_r_75"):
        assert table.loc[first, column] == pytest.approx(alone.loc[first, column], abs=1e-5)
    # in the last one, numpy's correlation of what the networks put out
    last = table.index[-1]
    outputs = []
    for net in (network, other):
        handle = weight_layers(net)[last].register_forward_hook(
            lambda module, args, z: outputs.append(z.detach().double().numpy())
        )
        net(scale_images(images))
        handle.remove()
    r = [np.corrcoef(a, b)[0, 1] for a, b in zip(outputs[0].T, outputs[1].T, strict=True)]
    assert table.loc[last, "filter_r"] == pytest.approx(np.median(r), abs=1e-6)
    np.testing.assert_allclose(layer_agreement(network, network, images)["filter_r"], 1, atol=1e-9)


def test_filters_that_do_not_vary_are_left_out_and_networks_left_as_they_were():
    network, images = make("mlp")
    with torch.no_grad():
        network.fc1.weight[:, 0] = 0.3
        other = refit_batch_norm(network, images)
        other.fc4.binary = False
        other.fc4.weight[3] = 0.0
    before = snapshot(network.train())
    table = layer_agreement(network, other, images)
    assert same(snapshot(network), before)
    assert np.isfinite(table["filter_r"]).all()


def test_what_cannot_be_compared_is_a_sentence():
    network, images = make("mlp")
    with pytest.raises(UserError, match="do not have the same weight layers"):
        layer_agreement(network, MLP(generator(), width=1 / 64), images)
    with pytest.raises(UserError, match="no images"):
        layer_agreement(network, network, images[:0])
