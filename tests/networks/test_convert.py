"""Binarizing a trained network, against numerical minimization and float64 sums."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from torch import nn

from bnn_geometry.book import presets
from bnn_geometry.errors import UserError
from bnn_geometry.networks import batch_norm, conversion, inference, layers, models
from bnn_geometry.networks.layers import BinaryActivation, BinaryConv2d, BinaryLinear, weight_layers
from bnn_geometry.probing import agreement, dot_products, weights
from bnn_geometry.training import fine_tuning, recipes


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def images(count, channels=3, size=32, seed=0):
    shape = (count, channels, size, size)
    return torch.randint(0, 256, shape, generator=generator(seed), dtype=torch.uint8)


def make(kind, activation="hardtanh"):
    """A small network with norms that are not at their initial values, and images for it."""
    if kind == "convnet":
        net, shown = models.ConvNet(generator(), width=1 / 32, activation=activation), images(12)
    else:
        net = models.MLP(generator(), width=1 / 128, activation=activation)
        shown = images(12, channels=1, size=28)
    for norm in norms(net):
        norm.running_mean.normal_(generator=generator(1))
        norm.running_var.uniform_(0.5, 2, generator=generator(2))
    return net.eval(), shown


def norms(network):
    return [m for m in network.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]


def snapshot(network):
    state = {k: v.clone() for k, v in network.state_dict().items()}
    modules = [
        (type(m).__name__, m.training, getattr(m, "momentum", None), getattr(m, "binary", None))
        for m in network.modules()
    ]
    return state, modules


def same(a, b):
    return a[1] == b[1] and all(torch.equal(a[0][k], b[0][k]) for k in a[0])


each_kind = pytest.mark.parametrize("kind", ["convnet", "mlp"])


# --- the best scale -------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 40))
def test_no_other_scale_or_binary_vector_is_closer(seed, n):
    w = torch.randn(3, n, generator=generator(seed), dtype=torch.float64)
    found = conversion.optimal_scale(w)
    rng = np.random.default_rng(seed)
    for i, row in enumerate(w.numpy()):
        b = np.where(row > 0, 1.0, -1.0)
        numeric = minimize_scalar(lambda a: np.square(row - a * b).sum(), tol=1e-12)  # noqa: B023
        assert float(found.alpha[i]) == pytest.approx(numeric.x, rel=1e-6)
        least = float(found.residual[i]) * np.square(row).sum()
        assert least == pytest.approx(numeric.fun, abs=1e-9)
        for other in rng.choice([-1.0, 1.0], size=(10, n)):  # each with its own best scale
            rest = np.square(row - (other @ row / n) * other).sum()
            assert rest >= least - 1e-9


@each_kind
def test_residual_is_the_squared_sine_of_the_angle(kind):
    network, _ = make(kind)
    angles = np.radians(weights.weight_angles(network)["angle"])
    residual = np.concatenate(
        [conversion.optimal_scale(z.weight).residual for z in weight_layers(network).values()]
    )
    np.testing.assert_allclose(residual, np.sin(angles) ** 2, atol=1e-12)
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
@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("activation", ["hardtanh", "binary"])
def test_the_copy_computes_with_signs_or_scaled_signs(kind, scaled, activation):
    network, _ = make(kind, activation)
    binary = conversion.binarize_weights(network, scaled=scaled)
    for name, layer in weight_layers(binary).items():
        w = weight_layers(network)[name].weight.detach()
        by_hand = torch.where(w > 0, 1.0, -1.0)
        if scaled:
            by_hand *= w.abs().flatten(1).mean(1).reshape(-1, *[1] * (w.ndim - 1))
        torch.testing.assert_close(layer.forward_weight(torch.float32), by_hand)
        assert isinstance(layer, BinaryConv2d | BinaryLinear)


@each_kind
def test_binarizing_binary_weights_changes_nothing(kind):
    network, _ = make(kind)
    plain = conversion.binarize_weights(network)
    again = conversion.binarize_weights(plain)
    scaled = conversion.binarize_weights(plain, scaled=True)
    for name, layer in weight_layers(plain).items():
        assert torch.equal(weight_layers(again)[name].weight, layer.weight)
        assert torch.equal(weight_layers(scaled)[name].weight, layer.weight)  # α = 1


@each_kind
def test_binarizing_a_binary_network_leaves_what_it_computes(kind):
    network, shown = make(kind, "binary")
    x = inference.scale_images(shown)
    with torch.no_grad():
        assert torch.equal(conversion.binarize_network(network, activations=True)(x), network(x))


@each_kind
@pytest.mark.parametrize("activation", ["hardtanh", "relu"])
def test_binary_activations_and_weights_make_the_binary_network(kind, activation):
    network, shown = make(kind, activation)
    bnn, _ = make(kind, "binary")
    bnn.load_state_dict(network.state_dict())
    x = inference.scale_images(shown)
    with torch.no_grad():
        converted = conversion.binarize_network(network, activations=True)
        assert torch.equal(converted(x), bnn(x))
        assert not torch.equal(conversion.binarize_network(network)(x), bnn(x))
        only = conversion.binarize_network(network, weights=False, activations=True)
        assert not torch.equal(only(x), bnn(x))
    assert converted.activation == "binary"
    replaced = sum(isinstance(m, BinaryActivation) for m in only.modules())
    assert replaced == len(norms(network)) - 1  # all but the class scores
    for name, layer in weight_layers(only).items():
        assert torch.equal(layer.weight, weight_layers(network)[name].weight)


@each_kind
def test_the_network_given_is_left_as_it_was(kind):
    network, shown = make(kind)
    before = snapshot(network)
    conversion.binarize_network(network, activations=True, scaled=True)
    conversion.binarize_activations(network)
    batch_norm.refit_batch_norm(network, shown)
    agreement.layer_agreement(network, conversion.binarize_network(network), shown)
    assert same(snapshot(network), before)


# --- batch norm -----------------------------------------------------------------------------------


@each_kind
def test_refitted_statistics_are_those_of_a_float64_computation(kind):
    network, shown = make(kind, "relu")
    count, size = len(shown), 4
    refitted = batch_norm.refit_batch_norm(network, shown, batch_size=size)
    batches = [shown[start :: count // size] for start in range(count // size)]
    sums = {}
    for batch in batches:
        x = inference.scale_images(batch).double()
        for name, module in network.named_children():
            if isinstance(module, layers.BinaryConv2d | layers.BinaryLinear):
                x = module.apply_weight(x, module.weight.detach().double())
            elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                axes = [0, *range(2, x.ndim)]
                mean, var = x.mean(axes), x.var(axes, unbiased=True)
                total = sums.setdefault(name, [0, 0])
                total[0], total[1] = total[0] + mean, total[1] + var
                shape = [1, -1] + [1] * (x.ndim - 2)
                biased = x.var(axes, unbiased=False).reshape(shape)
                x = (x - mean.reshape(shape)) / (biased + module.eps).sqrt()
            elif not isinstance(module, nn.Dropout):
                x = module(x)
    assert len(sums) == len(norms(network))
    for name, (mean, var) in sums.items():
        norm = getattr(refitted, name)
        torch.testing.assert_close(
            norm.running_mean.double(), mean / len(batches), rtol=1e-4, atol=1e-4
        )
        torch.testing.assert_close(norm.running_var.double(), var / len(batches), rtol=1e-3, atol=0)


@each_kind
def test_refitting_changes_statistics_alone_and_restores_modes(kind):
    network, shown = make(kind)
    norms(network)[1].momentum = 0.25
    network.train()
    norms(network)[2].eval()
    before, refitted = snapshot(network), batch_norm.refit_batch_norm(network, shown, batch_size=6)
    after = snapshot(refitted)
    assert after[1] == before[1]
    for key, value in before[0].items():
        changed = key.rpartition(".")[2] in ("running_mean", "running_var", "num_batches_tracked")
        assert torch.equal(after[0][key], value) != changed, key
    assert all(norm.num_batches_tracked == 2 for norm in norms(refitted))


@each_kind
def test_refitting_is_repeatable_and_ignores_the_state_before(kind):
    network, shown = make(kind)
    once = batch_norm.refit_batch_norm(network, shown)
    network.train()
    twice = batch_norm.refit_batch_norm(once, shown)
    assert all(torch.equal(v, twice.state_dict()[k]) for k, v in once.state_dict().items())


def test_batches_mix_sorted_images_and_leave_no_image_alone():
    seen = []

    class Look(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm2d(1)

        def forward(self, x):
            seen.append(((x[:, 0, 0, 0] + 1) * 127.5).round().int().tolist())
            return self.norm(x)

    ordered = torch.arange(7, dtype=torch.uint8).reshape(7, 1, 1, 1).expand(7, 1, 2, 2)
    batch_norm.refit_batch_norm(Look(), ordered, batch_size=3)
    assert seen == [[0, 3, 6], [1, 4], [2, 5]]
    seen.clear()
    batch_norm.refit_batch_norm(Look(), ordered[:3], batch_size=2)
    assert seen == [[0, 1, 2]]


@each_kind
def test_a_scale_is_divided_out_by_a_refitted_batch_norm_up_to_epsilon(kind):
    network, shown = make(kind)
    x = inference.scale_images(shown)

    def apart(epsilon):
        net = copy.deepcopy(network)
        for norm in norms(net):
            norm.eps = epsilon
        with torch.no_grad():
            plain, scaled = (
                batch_norm.refit_batch_norm(conversion.binarize_network(net, scaled=s), shown)(x)
                for s in (False, True)
            )
            kept = conversion.binarize_network(net)(x) - conversion.binarize_network(
                net, scaled=True
            )(x)
        assert kept.abs().max() > 0.1  # without refitting the scale does matter
        return float((plain - scaled).abs().max())

    assert apart(1e-12) < 1e-3
    assert apart(1e-1) > 10 * apart(1e-12)


# --- two networks beside each other ---------------------------------------------------------------


@each_kind
def test_agreement_is_a_correlation_per_filter(kind):
    network, shown = make(kind)
    other = batch_norm.refit_batch_norm(conversion.binarize_network(network), shown)
    table = agreement.layer_agreement(network, other, shown)
    assert list(table.index) == list(weight_layers(network))
    assert table["n"].tolist() == [z.fan_in for z in weight_layers(network).values()]
    # the first layer sees the same input: what the probe of one network measures there
    alone = dot_products.as_table(dot_products.probe_weights(network, shown))
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
        net(inference.scale_images(shown))
        handle.remove()
    r = [np.corrcoef(a, b)[0, 1] for a, b in zip(outputs[0].T, outputs[1].T, strict=True)]
    assert table.loc[last, "filter_r"] == pytest.approx(np.median(r), abs=1e-6)
    np.testing.assert_allclose(
        agreement.layer_agreement(network, network, shown)["filter_r"], 1, atol=1e-9
    )


# --- mistakes -------------------------------------------------------------------------------------


def test_mistakes_are_named():
    network, shown = make("mlp")
    plain = nn.Sequential(nn.Flatten(), nn.Linear(784, 3))
    with pytest.raises(ValueError, match="Say what to binarize"):
        conversion.binarize_network(network, weights=False)
    with pytest.raises(ValueError, match="Only binary weights can be scaled"):
        conversion.binarize_network(network, weights=False, activations=True, scaled=True)
    with pytest.raises(UserError, match="no weight layer to binarize"):
        conversion.binarize_network(plain)
    with pytest.raises(UserError, match="no batch norm with running statistics"):
        batch_norm.refit_batch_norm(plain, shown)
    with pytest.raises(UserError, match="at least two images to be refitted, not 1"):
        batch_norm.refit_batch_norm(network, shown[:1])
    with pytest.raises(ValueError, match="at least two images in a batch, not 1"):
        batch_norm.refit_batch_norm(network, shown, batch_size=1)
    with pytest.raises(UserError, match="do not have the same weight layers"):
        agreement.layer_agreement(network, models.MLP(generator(), width=1 / 64), shown)
    with pytest.raises(UserError, match="no images"):
        agreement.layer_agreement(network, network, shown[:0])
    with torch.no_grad():
        network.fc2.weight[0, 0] = float("nan")
    with pytest.raises(UserError, match="Layer fc2 has weights that are not finite"):
        conversion.binarize_network(network)
    with pytest.raises(UserError, match="not finite: they have no best scale"):
        conversion.optimal_scale(network.fc2.weight)


@pytest.mark.parametrize("preset", presets.NAMES)
def test_the_continuous_counterpart_has_the_budget_of_the_binary_network(preset):
    sizes = presets.sizes("pretrained", preset)
    changed = sizes.continuous.with_(activation="binary", lr=sizes.convnet.lr)
    assert changed == sizes.convnet
    assert sizes.continuous.activation != "binary"


# --- some layers ----------------------------------------------------------------------------------


@each_kind
def test_layers_named_become_binary_with_what_enters_them_and_no_other(kind):
    network, _ = make(kind)
    names = list(weight_layers(network))
    third = conversion.binarize_network(network, activations=True, layers=[names[2]])
    for name, layer in weight_layers(third).items():
        w = weight_layers(network)[name].weight
        expected = torch.where(w > 0, 1.0, -1.0) if name == names[2] else w
        assert torch.equal(layer.weight, expected)
    order = [
        type(m).__name__
        for m in third.modules()
        if isinstance(m, BinaryActivation | nn.Hardtanh | BinaryConv2d | BinaryLinear)
    ]
    # activation 1 enters layer 2, activation 2 layer 3
    acts = [n for n in order if n in ("BinaryActivation", "Hardtanh")]
    assert acts == ["Hardtanh", "BinaryActivation"] + ["Hardtanh"] * (len(names) - 3)
    assert third.activation == "hardtanh"


@each_kind
def test_layer_after_layer_ends_in_the_binary_network(kind):
    network, shown = make(kind)
    x = inference.scale_images(shown)
    step = network
    for name in weight_layers(network):
        step = conversion.binarize_network(step, activations=True, layers=[name])
    whole = conversion.binarize_network(network, activations=True)
    with torch.no_grad():
        assert torch.equal(step(x), whole(x))
    assert step.activation == "binary"
    nothing = conversion.binarize_network(network, activations=True, layers=[])
    with torch.no_grad():
        assert torch.equal(nothing(x), network(x))


def test_nothing_binary_enters_the_first_layer():
    network, _ = make("convnet")
    first = conversion.binarize_activations(network, layers=["conv1"])
    assert not any(isinstance(m, BinaryActivation) for m in first.modules())
    with pytest.raises(UserError, match="no layer 'conv9': it has conv1, conv2"):
        conversion.binarize_network(network, layers=["conv9"])


# --- where fine-tuning starts ---------------------------------------------------------------------


@each_kind
def test_latents_have_the_signs_and_directions_of_the_network(kind):
    network, shown = make(kind)
    model = "cifar10-convnet" if kind == "convnet" else "mnist-mlp"
    width = 1 / 32 if kind == "convnet" else 1 / 128
    recipe = recipes.recipe(model, "fast").with_(width=width, norm_epsilon=1e-4)
    start = fine_tuning.as_latents(network, recipe)
    x = inference.scale_images(shown)
    with torch.no_grad():  # what the binary network computes at once is what was binarized
        assert torch.equal(start(x), conversion.binarize_network(network, activations=True)(x))
    for name, layer in weight_layers(start).items():
        w = weight_layers(network)[name].weight.flatten(1)
        by_hand = w * (0.5 / w.abs().mean(1, keepdim=True))
        torch.testing.assert_close(layer.weight.flatten(1), by_hand.clamp(-1, 1))
        assert layer.binary
    with torch.no_grad():  # the scale of a filter is not taken over
        for layer in weight_layers(network).values():
            layer.weight.mul_(4)
    again = fine_tuning.as_latents(network, recipe)
    for name, layer in weight_layers(again).items():
        assert torch.equal(layer.weight, weight_layers(start)[name].weight)


def test_latents_of_another_network_are_refused():
    network, _ = make("mlp")
    fast = recipes.recipe("mnist-mlp", "fast")
    with pytest.raises(UserError, match="does not have the layers of the recipe"):
        fine_tuning.as_latents(network, fast.with_(width=1 / 64))
    with pytest.raises(UserError, match="for a binary network, not for one of relu"):
        fine_tuning.as_latents(network, fast.with_(activation="relu"))
    with torch.no_grad():
        network.fc1.weight[0, 0] = float("nan")
    with pytest.raises(UserError, match="not finite"):
        fine_tuning.as_latents(network, fast.with_(width=1 / 128))


@pytest.mark.parametrize("preset", presets.NAMES)
def test_fine_tuning_is_of_the_same_network_and_shorter(preset):
    sizes = presets.sizes("pretrained", preset)
    short, whole = sizes.fine_tuning, sizes.convnet
    for field in ("model", "dataset", "width", "activation", "loss", "norm_epsilon"):
        assert getattr(short, field) == getattr(whole, field)
    assert short.activation == "binary"
    images = [r.epochs * (r.train_images or 50_000) for r in (short, whole)]
    assert images[0] <= images[1] / 4


# --- latents at test time -------------------------------------------------------------------------


def test_layers_that_compute_with_their_latents():
    network = models.ConvNet(generator(), width=1 / 32).eval()
    images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8, generator=generator())
    before = {name: value.clone() for name, value in network.state_dict().items()}
    changed = conversion.compute_with_latents(network, ["conv2", "fc1"])
    layers = weight_layers(changed)
    assert [name for name, layer in layers.items() if not layer.binary] == ["conv2", "fc1"]
    assert all(layer.binary for layer in weight_layers(network).values())
    for name, value in changed.state_dict().items():
        assert torch.equal(value, before[name])
    x = torch.randint(0, 2, (3, layers["fc1"].fan_in), generator=generator()) * 2.0 - 1
    torch.testing.assert_close(layers["fc1"](x), x @ layers["fc1"].weight.T)
    assert layers["fc2"](x[:, :32]).frac().abs().max() == 0
    assert not torch.equal(changed(images / 255.0), network(images / 255.0))
    with pytest.raises(UserError, match="no layer 'conv9': it has conv1, conv2"):
        conversion.compute_with_latents(network, ["conv9"])
