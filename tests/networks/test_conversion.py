"""Binarizing a trained network, against numerical minimization and by hand."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from small_networks import each_kind, generator, make, norms, same, snapshot
from torch import nn

from bnn_geometry.errors import UserError
from bnn_geometry.networks import conversion, inference
from bnn_geometry.networks.conversion import binarize_network
from bnn_geometry.networks.layers import BinaryActivation, BinaryLinear, weight_layers

# --- the best scale -------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 7, 40])
def test_no_other_scale_or_binary_vector_is_closer(n):
    w = torch.randn(3, n, generator=generator(n), dtype=torch.float64)
    found = conversion.optimal_scale(w)
    others = np.random.default_rng(n).choice([-1.0, 1.0], size=(100, n))
    for row, alpha, residual in zip(w.numpy(), *found, strict=True):
        b = np.where(row > 0, 1.0, -1.0)
        numeric = minimize_scalar(lambda a: np.square(row - a * b).sum(), tol=1e-12)  # noqa: B023
        assert float(alpha) == pytest.approx(numeric.x, rel=1e-6)
        least = float(residual) * np.square(row).sum()
        assert least == pytest.approx(numeric.fun, abs=1e-9)
        # each with its own best scale
        rest = np.square(row - (others @ row / n)[:, None] * others).sum(1)
        assert (rest >= least - 1e-9).all()


def test_residual_is_the_squared_sine_of_the_angle():
    layer = make("convnet")[0].conv4
    residual = conversion.optimal_scale(layer.weight).residual
    angles = torch.deg2rad(layer.latent_angles())
    torch.testing.assert_close(residual, angles.sin().square(), atol=1e-12, rtol=0)
    assert residual.min() > 0.05


def test_scale_of_vectors_without_magnitudes_or_without_direction():
    w = torch.tensor([[0.5, -0.5, 0.5], [0.0, 0.0, 0.0], [0.0, 3.0, 0.0]])
    scale = conversion.optimal_scale(w)
    assert scale.alpha.tolist() == [0.5, 0.0, 1.0]
    assert scale.residual[0] == 0
    assert scale.residual[1].isnan()
    assert scale.residual[2] == pytest.approx(2 / 3)  # an axis: the worst direction there is


@pytest.mark.parametrize("shape", [(3,), (2, 0), (0, 2)])
def test_weights_without_vectors_have_no_scale(shape):
    with pytest.raises(ValueError, match="hold no vector"):
        conversion.optimal_scale(torch.zeros(shape))


# --- binarizing -----------------------------------------------------------------------------------


@each_kind
@pytest.mark.parametrize("activation", ["hardtanh", "binary"])
def test_the_copy_computes_with_signs_or_scaled_signs(kind, activation):
    network, _ = make(kind, activation)
    plain, scaled = (conversion.binarize_weights(network, scaled=s) for s in (False, True))
    again, no_scale = (conversion.binarize_weights(plain, scaled=s) for s in (False, True))
    for name, layer in weight_layers(network).items():
        w = layer.weight.detach()
        signs = torch.where(w > 0, 1.0, -1.0)
        alpha = w.abs().flatten(1).mean(1).reshape(-1, *[1] * (w.ndim - 1))
        for net, by_hand in ((plain, signs), (scaled, alpha * signs)):
            found = weight_layers(net)[name].forward_weight(torch.float32)
            torch.testing.assert_close(found, by_hand)
        for net in (again, no_scale):  # of binary weights α = 1
            assert torch.equal(weight_layers(net)[name].weight, signs)


@each_kind
@pytest.mark.parametrize("activation", ["hardtanh", "relu"])
def test_binary_activations_and_weights_make_the_binary_network(kind, activation):
    network, images = make(kind, activation)
    bnn, _ = make(kind)
    bnn.load_state_dict(network.state_dict())
    x = inference.scale_images(images)
    before = snapshot(network)
    converted = binarize_network(network, activations=True)
    only = binarize_network(network, weights=False, activations=True)
    assert same(snapshot(network), before)
    with torch.no_grad():
        scores = bnn(x)
        assert torch.equal(converted(x), scores)
        assert torch.equal(binarize_network(bnn, activations=True)(x), scores)
        assert not torch.equal(binarize_network(network)(x), scores)
        assert not torch.equal(only(x), scores)
    assert converted.activation == "binary"
    replaced = sum(isinstance(m, BinaryActivation) for m in only.modules())
    assert replaced == len(norms(network)) - 1  # all but the class scores
    for name, layer in weight_layers(only).items():
        assert torch.equal(layer.weight, weight_layers(network)[name].weight)


def test_a_shared_rectifier_is_replaced_at_every_use():
    act = nn.ReLU()
    network = nn.Sequential(BinaryLinear(3, 3), act, BinaryLinear(3, 3), act, BinaryLinear(3, 3))
    changed = conversion.binarize_activations(network)
    assert [type(changed[i]) for i in (1, 3)] == [BinaryActivation] * 2
    third = conversion.binarize_activations(network, layers=["4"])
    assert [type(third[i]) for i in (1, 3)] == [nn.ReLU, BinaryActivation]


# --- some layers ----------------------------------------------------------------------------------


@each_kind
def test_layers_named_become_binary_with_what_enters_them_and_no_other(kind):
    network, _ = make(kind, "hardtanh")
    names = list(weight_layers(network))
    third = binarize_network(network, activations=True, layers=[names[2]])
    for name, layer in weight_layers(third).items():
        w = weight_layers(network)[name].weight
        expected = torch.where(w > 0, 1.0, -1.0) if name == names[2] else w
        assert torch.equal(layer.weight, expected)
    # activation 1 enters layer 2, activation 2 layer 3
    acts = [type(m) for m in third.modules() if isinstance(m, BinaryActivation | nn.Hardtanh)]
    assert acts == [nn.Hardtanh, BinaryActivation] + [nn.Hardtanh] * (len(names) - 3)
    assert third.activation == "hardtanh"


def test_layer_after_layer_ends_in_the_binary_network():
    network, images = make("mlp", "hardtanh")
    x = inference.scale_images(images)
    step = network
    for name in weight_layers(network):
        step = binarize_network(step, activations=True, layers=[name])
    nothing = binarize_network(network, activations=True, layers=[])
    with torch.no_grad():
        assert torch.equal(step(x), binarize_network(network, activations=True)(x))
        assert torch.equal(nothing(x), network(x))
    assert step.activation == "binary"


def test_nothing_binary_enters_the_first_layer():
    network, _ = make("convnet", "hardtanh")
    first = conversion.binarize_activations(network, layers=["conv1"])
    assert not any(isinstance(m, BinaryActivation) for m in first.modules())


# --- latents at test time -------------------------------------------------------------------------


def test_layers_that_compute_with_their_latents():
    network, images = make("convnet")
    before = snapshot(network)
    changed = conversion.compute_with_latents(network, ["conv2", "fc1"])
    assert same(snapshot(network), before)
    layers = weight_layers(changed)
    assert [name for name, layer in layers.items() if not layer.binary] == ["conv2", "fc1"]
    for name, value in changed.state_dict().items():
        assert torch.equal(value, before[0][name])
    x = torch.randint(0, 2, (3, layers["fc1"].fan_in), generator=generator()) * 2.0 - 1
    torch.testing.assert_close(layers["fc1"](x), x @ layers["fc1"].weight.T)
    assert layers["fc2"](x[:, :32]).frac().abs().max() == 0
    x = inference.scale_images(images)
    assert not torch.equal(changed(x), network(x))


# --- mistakes -------------------------------------------------------------------------------------


def test_mistakes_are_named():
    network, _ = make("mlp")
    with pytest.raises(ValueError, match="Say what to binarize"):
        binarize_network(network, weights=False)
    with pytest.raises(ValueError, match="Only binary weights can be scaled"):
        binarize_network(network, weights=False, activations=True, scaled=True)
    with pytest.raises(UserError, match="no linear layer or convolution"):
        binarize_network(nn.ReLU())
    with pytest.raises(UserError, match=r"no module nn\.Hardtanh or nn\.ReLU to replace"):
        binarize_network(nn.Sequential(nn.Linear(3, 3), nn.GELU()), activations=True)
    with pytest.raises(UserError, match="no layer 'fc9': it has fc1, fc2"):
        conversion.compute_with_latents(network, ["fc9"])
    with torch.no_grad():
        network.fc2.weight[0, 0] = float("nan")
    with pytest.raises(UserError, match="Layer fc2 has weights that are not finite"):
        binarize_network(network)
    with pytest.raises(UserError, match="not finite: they have no best scale"):
        conversion.optimal_scale(network.fc2.weight)
