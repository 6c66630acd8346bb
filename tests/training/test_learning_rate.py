"""The learning rate and the layers' scales, against formulas written by hand."""

import itertools

import numpy as np
import pytest
import torch
from tiny import TINY

from bnn_geometry.networks.layers import BinaryLinear, weight_layers
from bnn_geometry.training.build import build_network
from bnn_geometry.training.recipes import (
    FAST_CIFAR10,
    LONG_CIFAR10,
    ORIGINAL_CIFAR10,
    ORIGINAL_MNIST,
)
from bnn_geometry.training.schedule import (
    largest_step,
    layer_scale,
    learning_rate,
    parameter_groups,
)


@pytest.mark.parametrize(
    ("r", "first", "epochs", "steps"),
    [(ORIGINAL_CIFAR10, 1e-3, 500, 900), (ORIGINAL_MNIST, 3e-3, 1000, 500)],
    ids=["cifar10", "mnist"],
)
def test_learning_rate_falls_exponentially_by_epoch(r, first, epochs, steps):
    assert r.epochs == epochs
    rate = first  # as the original code has it: multiplied after each epoch
    decay = (3e-7 / first) ** (1 / epochs)
    for epoch in range(epochs):
        for step in (0, steps - 1):
            assert learning_rate(r, epoch * steps + step, steps) == pytest.approx(rate)
        rate *= decay
    assert rate == pytest.approx(3e-7)


def test_one_cycle_rate_rises_for_a_fifth_and_falls_to_its_end():
    r = FAST_CIFAR10.with_(epochs=4, lr=1.0, lr_end=0.2, schedule="one-cycle")
    rates = [learning_rate(r, step, 5) for step in range(20)]  # 4 up, 16 down
    expected = [0.25, 0.5, 0.75, 1.0, *np.linspace(1.0, 0.2, 17)[:-1]]
    np.testing.assert_allclose(rates, expected, rtol=1e-12)
    assert learning_rate(r, 20, 5) == pytest.approx(0.2)


def test_linear_rate_falls_from_its_start_to_its_end():
    r = FAST_CIFAR10.with_(epochs=2, lr=1.0, lr_end=0.2, schedule="linear")
    rates = [learning_rate(r, step, 4) for step in range(9)]
    np.testing.assert_allclose(rates, np.linspace(1.0, 0.2, 9), rtol=1e-12)


def test_rate_warms_up_and_falls_along_half_a_cosine():
    r = LONG_CIFAR10.with_(
        epochs=4, warmup_epochs=1, lr=1.0, lr_end=0.2, width=0.5, lr_width_power=1.0
    )
    rates = [learning_rate(r, step, 2) for step in range(9)]
    fall = 0.2 + 0.8 * (1 + np.cos(np.pi * np.arange(7) / 6)) / 2
    np.testing.assert_allclose(rates, 2 * np.array([0.5, 1.0, *fall]), rtol=1e-12)


def test_one_cycle_of_a_few_steps_begins_at_its_peak():
    r = FAST_CIFAR10.with_(epochs=1, lr=1.0, lr_end=0.2, schedule="one-cycle")
    assert [learning_rate(r, step, 3) for step in range(3)] == pytest.approx([1, 1, 0.6])


def test_rate_of_the_shortest_runs_is_positive_and_at_most_the_peak():
    for schedule, steps in itertools.product(("one-cycle", "linear", "cosine"), (1, 2, 3, 7)):
        r = FAST_CIFAR10.with_(epochs=1, schedule=schedule)
        rates = [learning_rate(r, step, steps) for step in range(steps)]
        assert max(rates) == pytest.approx(r.lr, rel=1e-12)
        assert min(rates) > 0


def test_linear_layer_scale_by_hand():
    assert layer_scale(BinaryLinear(4, 2)) == pytest.approx(2.0)  # 1/√(1.5/6)


def test_layer_scales_of_the_paper_network():
    with torch.device("meta"):  # shapes alone
        network = build_network(ORIGINAL_CIFAR10, 0)
    scales = [layer_scale(layer) for layer in weight_layers(network).values()]
    expected = [28.0, 39.2, 48.0, 55.4, 67.9, 78.4, 78.4, 37.0, 26.3]
    np.testing.assert_allclose(scales, expected, atol=0.05)


def on_paper(r):
    with torch.device("meta"):  # shapes alone
        return build_network(r, 0)


def steps_by_layer(r):
    """Adam's step is at most about its learning rate: that of each layer's latents."""
    peak = max(learning_rate(r, step, 10) for step in range(10 * r.epochs))
    layers = weight_layers(on_paper(r)).values()
    return np.array([peak * layer_scale(layer) for layer in layers])


@pytest.mark.parametrize("recipe", [ORIGINAL_CIFAR10, LONG_CIFAR10], ids=lambda r: r.name)
def test_step_is_the_originals_at_every_width(recipe):
    original = steps_by_layer(ORIGINAL_CIFAR10)
    assert original.max() == pytest.approx(0.078, abs=1e-3)
    for width in (1, 1 / 4, 1 / 8):
        r = recipe.with_(width=width)
        # of the layers between hidden ones alone fan-in and fan-out both scale with the width
        np.testing.assert_allclose(steps_by_layer(r)[1:-1], original[1:-1], rtol=1e-9)
        assert largest_step(on_paper(r), r) == pytest.approx(original.max())
    np.testing.assert_allclose(steps_by_layer(recipe), original, rtol=1e-9)


@pytest.mark.parametrize("changes", [{"activation": "hardtanh"}, {"per_layer_scale": False}])
def test_largest_step_without_a_scale_is_the_rate(changes):
    r = LONG_CIFAR10.with_(width=1 / 4, **changes)
    assert largest_step(on_paper(r), r) == pytest.approx(2e-3)


def test_each_parameter_has_its_own_scale():
    network = build_network(TINY["mlp"], 0)
    of_weights = [layer_scale(layer) ** 0.5 for layer in weight_layers(network).values()]
    for changes, expected in (
        ({"layer_scale_power": 0.5}, of_weights),
        ({"per_layer_scale": False}, [1.0] * 4),
        ({"activation": "hardtanh"}, [1.0] * 4),
    ):
        groups = parameter_groups(network, TINY["mlp"].with_(**changes))
        scales = {id(p): group["scale"] for group in groups for p in group["params"]}
        found = [scales[id(p)] for p in network.parameters()]
        assert found[::3] == expected  # weight, batch norm's two
        assert {scale for i, scale in enumerate(found) if i % 3} == {1.0}
        assert len(groups) == len(set(found))
