"""Scores of networks whose forward weight vectors were scaled."""

import pytest
import torch
from small_networks import each_kind, generator, make, norms, same, snapshot

from bnn_geometry.networks.inference import scale_images
from bnn_geometry.networks.invariance import class_scores, powers_of_two, random_factors
from bnn_geometry.networks.layers import weight_layers


def made(kind):
    """A network with norms of its own, and a batch that it takes."""
    network, images = make(kind)
    return network, scale_images(images)


@each_kind
def test_scores_are_those_of_torch_with_batch_statistics(kind):
    network, x = made(kind)
    before = snapshot(network)
    scores = class_scores(network, x)
    assert same(snapshot(network), before)
    for norm in norms(network):
        norm.train()
    with torch.no_grad():
        torch.testing.assert_close(scores, network(x), atol=1e-4, rtol=1e-4)


@each_kind
def test_scores_are_those_of_torch_with_running_statistics(kind):
    network, x = made(kind)
    with torch.no_grad():
        torch.testing.assert_close(
            class_scores(network, x, running=True), network(x), atol=1e-4, rtol=1e-4
        )
    assert not torch.allclose(class_scores(network, x, running=True), class_scores(network, x))


@pytest.mark.parametrize(
    ("kind", "running", "subtract_mean"),
    [
        ("mlp", True, True),
        ("mlp", False, False),
        ("convnet", True, False),
        ("convnet", False, True),
    ],
)
def test_scaled_weights_leave_the_scores_as_they_are(kind, subtract_mean, running):
    network, x = made(kind)
    factors = powers_of_two(network, 6, generator(2))
    options = {"subtract_mean": subtract_mean, "epsilon": 1e-30, "running": running}
    scores = class_scores(network, x, **options)
    assert torch.equal(class_scores(network, x, factors, **options), scores)
    # an ε that is not negligible shows that the factors arrive
    options["epsilon"] = 10.0
    changed = class_scores(network, x, factors, **options)
    assert not torch.allclose(changed, class_scores(network, x, **options), rtol=0.1)


def test_subtracting_the_mean_matters_to_the_scores():
    network, x = made("mlp")
    assert not torch.allclose(
        class_scores(network, x), class_scores(network, x, subtract_mean=False)
    )


def test_negative_factor_is_no_scale():
    network, x = made("mlp")
    factors = {name: torch.ones(len(w.weight)) for name, w in weight_layers(network).items()}
    torch.testing.assert_close(class_scores(network, x, factors), class_scores(network, x))
    factors["fc2"] = -factors["fc2"]
    assert not torch.allclose(class_scores(network, x, factors), class_scores(network, x))


def test_factors_are_powers_of_two_for_every_unit():
    network, _ = made("convnet")
    factors = powers_of_two(network, 2, generator())
    layers = weight_layers(network)
    assert list(factors) == list(layers)
    assert [len(f) for f in factors.values()] == [len(w.weight) for w in layers.values()]
    assert torch.cat([*factors.values()]).unique().tolist() == [0.25, 0.5, 1, 2, 4]
    again = powers_of_two(network, 2, generator())
    assert all(torch.equal(factors[name], again[name]) for name in factors)


def test_any_factors_leave_the_scores_as_they_are_up_to_rounding():
    network, x = made("mlp")
    network = network.double()  # where rounding turns no sign
    factors = random_factors(network, 4, generator(3))
    drawn = torch.cat([*factors.values()])
    assert drawn.min() >= 1 / 16
    assert drawn.max() <= 16
    assert not torch.equal(drawn, 2 ** drawn.log2().round())
    for running in (True, False):
        scores = class_scores(network, x.double(), running=running, epsilon=1e-30)
        scaled = class_scores(network, x.double(), factors, running=running, epsilon=1e-30)
        torch.testing.assert_close(scaled, scores, atol=1e-9, rtol=1e-9)


def test_mode_of_the_network_does_not_matter():
    network, x = made("mlp")
    scores = class_scores(network, x)
    assert torch.equal(class_scores(network.train(), x), scores)  # no dropout, no running means
    assert network.training
