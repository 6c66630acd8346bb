"""Recipes: each constant of the original against a value or a step written by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from test_training import TINY, pixels, run, same_state, tiny_dataset
from torch import nn
from torch.nn import functional as F  # noqa: N812

from bnn_geometry.errors import UserError
from bnn_geometry.networks import inference, models
from bnn_geometry.networks.layers import weight_layers
from bnn_geometry.training import loop as training
from bnn_geometry.training.recipes import (
    CHOICES,
    FAST_MNIST,
    LONG_CIFAR10,
    ORIGINAL_CIFAR10,
    ORIGINAL_MNIST,
    RECIPES,
    Recipe,
    recipe,
)

# small enough for a test, and nothing but the size changed
CIFAR10 = ORIGINAL_CIFAR10.with_(width=1 / 32, epochs=1, validation_images=0, precision="float32")
MNIST = ORIGINAL_MNIST.with_(width=1 / 256, epochs=1, validation_images=0, precision="float32")

each_original = pytest.mark.parametrize(
    ("r", "kind"), [(CIFAR10, "convnet"), (MNIST, "mlp")], ids=["cifar10", "mnist"]
)


def train(r, kind, *, images, seed=0, **callbacks):
    dataset = tiny_dataset(kind, train=images)
    return training.train(training.start(r, seed), dataset, r, seed=seed, **callbacks)


def first_inputs(r, kind, images):
    """What enters the network in training, batch by batch."""
    network = training.start(r, 0)
    seen = []
    network.register_forward_pre_hook(
        lambda module, args: seen.append(args[0].detach().clone()) if module.training else None
    )
    dataset = tiny_dataset(kind, train=images)
    training.train(network, dataset, r, seed=0)
    return seen, dataset.train.images


# --- the original, constant by constant -----------------------------------------------------------


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
            assert training.learning_rate(r, epoch * steps + step, steps) == pytest.approx(rate)
        rate *= decay
    assert rate == pytest.approx(3e-7)


@pytest.mark.parametrize(
    ("r", "images", "trained", "held", "batch", "steps"),
    [
        (ORIGINAL_CIFAR10, 50_000, 45_000, 5_000, 50, 900),
        (ORIGINAL_MNIST, 60_000, 50_000, 10_000, 100, 500),
    ],
    ids=["cifar10", "mnist"],
)
def test_split_and_batches(r, images, trained, held, batch, steps):
    labels = torch.arange(images) % 10
    rest, validation = training.split_indices(labels, r)
    assert (len(rest), len(validation)) == (trained, held)
    assert len(set(rest.tolist()) | set(validation.tolist())) == images
    assert r.batch_size == batch
    assert len(rest) // r.batch_size == steps


@each_original
def test_each_epoch_has_its_own_order_and_leaves_out_what_fills_no_batch(r, kind):
    count = r.batch_size * 2 + 7
    seen, _ = first_inputs(r.with_(epochs=2), kind, count)
    assert [len(x) for x in seen] == [r.batch_size] * 4
    epochs = [torch.cat(seen[i : i + 2]).flatten(1) for i in (0, 2)]
    for epoch in epochs:
        assert len(epoch.unique(dim=0)) == 2 * r.batch_size
    assert not torch.equal(*epochs)


@each_original
def test_inputs_are_scaled_to_plus_minus_one_and_not_augmented(r, kind):
    seen, images = first_inputs(r, kind, r.batch_size)
    indices, _ = training.split_indices(torch.arange(r.batch_size) % 10, r)
    order = indices[torch.randperm(r.batch_size, generator=torch.Generator().manual_seed(0))]
    expected = 2 * images[order].double() / 255 - 1
    assert len(seen) == 1
    # float32, near 1
    torch.testing.assert_close(seen[0].double(), expected, rtol=0, atol=2e-7)


@each_original
def test_latent_weights_begin_uniformly_on_plus_minus_one(r, kind):
    for layer in weight_layers(training.start(r, 0)).values():
        w = layer.weight.detach().double()
        assert w.abs().max() <= 1
        # E w² = 1/3, Var w² = 4/45; E w = 0
        assert abs(w.square().mean() - 1 / 3) < 4 * (4 / 45 / w.numel()) ** 0.5
        assert abs(w.mean()) < 4 * (1 / 3 / w.numel()) ** 0.5


def test_all_layers_are_binary_and_the_inputs_real():
    for r in (CIFAR10, MNIST):
        network = training.start(r, 0)
        assert all(layer.binary for layer in weight_layers(network).values())
        activations = [m for m in network.modules() if isinstance(m, models.BinaryActivation)]
        assert len(activations) == len(weight_layers(network)) - 1


def test_batch_norm_comes_after_pooling_and_before_binarization():
    network = training.start(CIFAR10, 0).train()
    seen = {}
    for name, module in network.named_children():
        module.register_forward_hook(
            lambda module, args, out, name=name: seen.update({name: out.detach().double()})
        )
    x = inference.scale_images(pixels(0, 6, 3, 32, 32))
    scores = network(x).detach()
    # Block by block from what entered it: a sum that rounding takes across 0 stays in its block.
    stages = list(network.named_children())
    names = [name for name, _ in stages]
    entered = x.double()
    for name, layer in weight_layers(network).items():
        b = torch.where(layer.weight.detach() > 0, 1.0, -1.0).double()
        if name.startswith("conv"):
            z = F.conv2d(entered, b, padding=1)
            if name in ("conv2", "conv4", "conv6"):
                z = F.max_pool2d(z, 2)
            axes, shape, norm = (0, 2, 3), (1, -1, 1, 1), name.replace("conv", "norm")
        else:
            z = entered.flatten(1) @ b.T
            axes, shape, norm = (0,), (1, -1), name.replace("fc", "fcnorm")
        mean = z.mean(axes).reshape(shape)
        variance = z.var(axes, correction=0).reshape(shape)
        normal = (z - mean) / (variance + 1e-4).sqrt()
        # values of order 1 from sums of up to a few hundred terms in float32
        torch.testing.assert_close(seen[norm], normal, rtol=1e-4, atol=1e-4)
        if norm == names[-1]:
            torch.testing.assert_close(scores.double(), seen[norm])
            break
        activation = names[names.index(norm) + 1]
        assert torch.equal(seen[activation], torch.where(seen[norm] > 0, 1.0, -1.0).double())
        entered = seen[activation]


@each_original
def test_batch_norm_epsilon(r, kind):
    norms = [
        m for m in training.start(r, 0).modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)
    ]
    assert len(norms) == (9 if kind == "convnet" else 4)
    for norm in norms:
        c = norm.num_features
        x = torch.tensor([[-0.01], [0.01]]).repeat(1, c)  # variance 1e-4: as much as epsilon
        x = x[:, :, None, None] if isinstance(norm, nn.BatchNorm2d) else x
        out = norm.train()(x).flatten(1)[1, 0]
        assert out.item() == pytest.approx(0.01 / math.sqrt(1e-4 + 1e-4), rel=1e-5)


@each_original
def test_running_averages_take_a_tenth_of_each_batch(r, kind):
    network = training.start(r, 0)
    inputs = []
    norm = network.norm1
    norm.register_forward_pre_hook(
        lambda module, args: inputs.append(args[0].detach().double()) if module.training else None
    )
    dataset = tiny_dataset(kind, train=r.batch_size * 2)
    training.train(network, dataset, r, seed=0)
    mean, variance = 0.0, 1.0
    for z in inputs:
        axes = (0, 2, 3) if z.ndim == 4 else (0,)
        mean = 0.9 * mean + 0.1 * z.mean(axes)
        variance = 0.9 * variance + 0.1 * z.var(axes, correction=1)
    assert len(inputs) == 2
    torch.testing.assert_close(norm.running_mean.double(), mean, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(norm.running_var.double(), variance, rtol=1e-5, atol=1e-5)


@each_original
def test_loss_is_the_squared_hinge(r, kind):
    network = training.start(r, 0)
    seen = []
    network.register_forward_hook(
        lambda module, args, out: seen.append(out.detach().double()) if module.training else None
    )
    dataset = tiny_dataset(kind, train=r.batch_size)
    order = torch.randperm(r.batch_size, generator=torch.Generator().manual_seed(0))
    indices, _ = training.split_indices(dataset.train.labels, r)
    labels = dataset.train.labels[indices[order]]
    history = training.train(network, dataset, r, seed=0).history
    targets = np.where(np.arange(10) == labels.numpy()[:, None], 1, -1)
    by_hand = (np.maximum(0, 1 - targets * seen[0].numpy()) ** 2).mean()
    assert history["loss"][0] == pytest.approx(by_hand, rel=1e-6)


def test_dropout_of_the_perceptron_alone():
    network = training.start(MNIST.with_(width=1 / 64), 0).train()
    seen = {}
    for name, module in network.named_children():
        if name.startswith("dropout"):
            module.register_forward_hook(
                lambda module, args, out, name=name: seen.update({name: (args[0], out)})
            )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network(torch.ones(2000, 1, 28, 28))
    assert list(seen) == ["dropout0", "dropout1", "dropout2", "dropout3"]
    for name, (entered, left) in seen.items():
        p = 0.2 if name == "dropout0" else 0.5
        dropped = (left == 0).double().mean().item()
        assert abs(dropped - p) < 4 * (p * (1 - p) / left.numel()) ** 0.5
        kept = left != 0
        torch.testing.assert_close(left[kept], (entered / (1 - p))[kept])
    network = training.start(CIFAR10, 0)
    assert not any(isinstance(m, nn.Dropout) for m in network.modules())


def test_layer_scales_of_the_paper_network():
    network = training.start(ORIGINAL_CIFAR10, 0)
    scales = [training.layer_scale(layer) for layer in weight_layers(network).values()]
    expected = [28.0, 39.2, 48.0, 55.4, 67.9, 78.4, 78.4, 37.0, 26.3]
    np.testing.assert_allclose(scales, expected, atol=0.05)


def largest_steps(r):
    """Adam's step is at most about its learning rate: that of each layer's latents, and fan-ins."""
    layers = weight_layers(training.start(r, 0)).values()
    peak = max(training.learning_rate(r, step, 10) for step in range(10 * r.epochs))
    steps = [peak * training.layer_scale(layer) ** r.layer_scale_power for layer in layers]
    return np.array(steps), np.array([layer.fan_in for layer in layers])


def test_step_of_long_runs_is_the_originals_at_full_width_and_falls_as_fan_in_grows():
    original, _ = largest_steps(ORIGINAL_CIFAR10)
    assert original.max() == pytest.approx(0.078, abs=1e-3)
    found, wide = largest_steps(LONG_CIFAR10)
    np.testing.assert_allclose(found, original, rtol=1e-9)
    narrow, fan_in = largest_steps(LONG_CIFAR10.with_(width=1 / 4))
    # of the layers between hidden ones alone fan-in and fan-out both scale with the width
    np.testing.assert_allclose(
        narrow[1:-1] / found[1:-1], np.sqrt(wide[1:-1] / fan_in[1:-1]), rtol=1e-9
    )


def test_rate_warms_up_and_falls_along_half_a_cosine():
    r = LONG_CIFAR10.with_(epochs=4, warmup_epochs=1, lr=1.0, lr_end=0.2, width=0.5)
    rates = [training.learning_rate(r, step, 2) for step in range(9)]
    fall = 0.2 + 0.8 * (1 + np.cos(np.pi * np.arange(7) / 6)) / 2
    np.testing.assert_allclose(rates, 2 * np.array([0.5, 1.0, *fall]), rtol=1e-12)


def test_test_images_are_looked_at_once_where_others_are_held_out(monkeypatch):
    looks = []
    evaluate = training.evaluate
    monkeypatch.setattr(
        training,
        "evaluate",
        lambda network, split, **options: (
            looks.append(split) or evaluate(network, split, **options)
        ),
    )
    dataset = tiny_dataset(train=60)
    r = MNIST.with_(epochs=3, validation_images=20, batch_size=20)
    trained = training.train(training.start(r, 0), dataset, r, seed=0)
    assert sum(split is dataset.test for split in looks) == 1
    measured = trained.history["test_error"].notna()
    assert trained.history["epoch"][measured].tolist() == [trained.kept_epoch]
    kept = trained.history["test_error"][measured].item()
    assert kept == evaluate(trained.network, dataset.test)


def step_by_hand(weights, images, labels, lr):
    """One step of the perceptron in float64: new latents, and the gradients of the binary ones."""
    x = 2 * images.reshape(len(images), -1).astype(np.float64) / 255 - 1
    entered, normal, deviation = [], [], []
    for i, w in enumerate(weights):
        entered.append(x)
        z = x @ np.where(w > 0, 1.0, -1.0).T
        deviation.append(np.sqrt(z.var(0) + 1e-4))
        y = (z - z.mean(0)) / deviation[-1]
        normal.append(y)
        x = y if i == len(weights) - 1 else np.where(y > 0, 1.0, -1.0)
    targets = np.where(np.arange(10) == labels[:, None], 1.0, -1.0)
    gradient = -2 * targets * np.maximum(0, 1 - targets * x) / x.size
    gradients, latents, shifts = [], [], []
    for i in reversed(range(len(weights))):
        y, w = normal[i], weights[i]
        if i < len(weights) - 1:
            gradient = gradient * (np.abs(y) <= 1)  # through bin as through the hard tanh
        shifts.insert(0, gradient.sum(0))  # of batch norm's shift
        through = gradient - gradient.mean(0) - y * (gradient * y).mean(0)
        through /= deviation[i]
        of_binary = through.T @ entered[i]
        gradient = through @ np.where(w > 0, 1.0, -1.0)
        # the first step of Adam: both moments, corrected, are the gradient and its square
        update = lr * of_binary / (np.abs(of_binary) + 1e-8)
        update /= math.sqrt(1.5 / sum(w.shape))
        gradients.insert(0, of_binary)
        latents.insert(0, np.clip(w - update, -1, 1))
    return latents, gradients, shifts


def test_one_step_is_the_one_written_by_hand():
    # a wider spread of latents at ±1 than a single step would make: clipping is at work
    r = MNIST.with_(input_dropout=0.0, hidden_dropout=0.0, batch_size=40)
    dataset = tiny_dataset(train=40)
    network = training.start(r, 0)
    weights = [layer.weight.detach().double().numpy() for layer in weight_layers(network).values()]
    latents, gradients, shifts = step_by_hand(
        weights, dataset.train.images.numpy(), dataset.train.labels.numpy(), 3e-3
    )
    training.train(network, dataset, r, seed=0)
    compared = clipped = 0
    for i, layer in enumerate(weight_layers(network).values()):
        # Adam makes ±lr of the smallest gradient: leave out those that rounding may turn
        sure = np.abs(gradients[i]) > 1e-4 * np.abs(gradients[i]).max()
        found = layer.weight.detach().double().numpy()
        np.testing.assert_allclose(found[sure], latents[i][sure], atol=1e-5)
        compared += sure.mean() / len(weights)
        clipped += (np.abs(latents[i]) == 1).sum()
    assert compared > 0.95
    assert clipped > 100
    # batch norm moves by the learning rate itself: the scale is the weights' alone
    for i, shift in enumerate(shifts, 1):
        sure = np.abs(shift) > 1e-4 * np.abs(shift).max()
        bias = getattr(network, f"norm{i}").bias.detach().double().numpy()
        np.testing.assert_allclose(bias[sure], -3e-3 * np.sign(shift[sure]), rtol=1e-3)


def test_best_validation_epoch_is_kept_and_the_last_of_equals(monkeypatch):
    errors = iter([0.3, 0.2, 0.2, 0.25])
    monkeypatch.setattr(
        training,
        "evaluate",
        lambda network, split, *, indices=None, precision: 0.5 if indices is None else next(errors),
    )
    r = MNIST.with_(epochs=4, validation_images=20, batch_size=20)
    assert train(r, "mlp", images=60).kept_epoch == 3


# --- the named recipes ----------------------------------------------------------------------------


def test_recipes_are_found_by_network_and_name():
    for (model, name), value in RECIPES.items():
        assert recipe(model, name) is value
        assert (value.model, value.name) == (model, name)
    assert len(RECIPES) == 5
    with pytest.raises(UserError, match="no recipe 'slow' for 'mnist-mlp'; there is cifar10-conv"):
        recipe("mnist-mlp", "slow")


def test_named_recipes_make_sense():
    for value in RECIPES.values():
        assert value.with_() == value


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[(field, bad) for field in ("epochs", "width", "lr", "lr_end") for bad in (0, -1)],
        *[("lr", math.nan), ("batch_size", 0), ("batch_size", 1), ("norm_epsilon", 0)],
        *[("validation_images", -1), ("train_images", -1), ("crop_padding", -1)],
        *[("input_dropout", 1), ("hidden_dropout", -0.1), ("label_smoothing", 1.5)],
        *[("norm_momentum", 0), ("norm_momentum", 1.1), ("init_scale", 0), ("init_scale", 2)],
        *[("layer_scale_power", math.nan), ("lr_width_power", math.inf)],
        *[("warmup_epochs", -1), ("warmup_epochs", FAST_MNIST.epochs)],
    ],
)
def test_senseless_recipe_is_refused(field, value):
    with pytest.raises(UserError, match=f"recipe's.*{'images' if 'images' in field else field}"):
        FAST_MNIST.with_(**{field: value})


@pytest.mark.parametrize("field", CHOICES)
def test_unknown_name_is_refused_with_the_known_ones(field):
    with pytest.raises(UserError, match=f"Unknown {field} 'x': use .* or {CHOICES[field][-1]}"):
        FAST_MNIST.with_(**{field: "x"})


def test_names_are_those_that_the_package_knows():
    assert set(CHOICES["activation"]) == set(models.ACTIVATIONS)
    assert set(CHOICES["loss"]) == set(training.LOSSES)


def test_label_smoothing_goes_with_cross_entropy():
    with pytest.raises(UserError, match="not with squared-hinge"):
        ORIGINAL_MNIST.with_(label_smoothing=0.1)


def test_perceptron_has_no_pool_to_move():
    with pytest.raises(UserError, match="mnist-mlp has none"):
        FAST_MNIST.with_(pool="after-activation")


def test_changed_recipe_leaves_the_named_one_alone():
    assert FAST_MNIST.with_(width=0.5).width == 0.5
    assert FAST_MNIST.width == 1


def test_recipe_written_before_there_were_ablations_is_read_as_it_was():
    fields = ORIGINAL_MNIST.as_dict()
    for name in ("crop_padding", "flip", "label_smoothing", "init_scale", "layer_scale_power"):
        del fields[name]
    del fields["pool"], fields["norm"]
    assert Recipe(**fields) == ORIGINAL_MNIST


# --- what ablations vary --------------------------------------------------------------------------


@pytest.mark.parametrize("activation", CHOICES["activation"])
@pytest.mark.parametrize("kind", TINY)
def test_continuous_counterparts_train_with_the_same_budget(kind, activation):
    result = run(kind, activation=activation, epochs=1)
    assert np.isfinite(result.history["loss"]).all()
    shapes = [layer.weight.shape for layer in weight_layers(result.network).values()]
    binary = training.start(TINY[kind], 0)
    assert shapes == [layer.weight.shape for layer in weight_layers(binary).values()]
    assert {layer.binary for layer in weight_layers(result.network).values()} == {
        activation == "binary"
    }


@pytest.mark.parametrize("activation", ["binary", "hardtanh"])
def test_initial_scale_multiplies_the_initial_weights(activation):
    r = TINY["mlp"].with_(activation=activation)
    whole, half = training.start(r, 0), training.start(r.with_(init_scale=0.5), 0)
    for first, second in zip(
        weight_layers(whole).values(), weight_layers(half).values(), strict=True
    ):
        assert torch.equal(second.weight, first.weight / 2)


def test_label_smoothing_is_cross_entropy_with_smoothed_targets(monkeypatch):
    scores = []
    monkeypatch.setitem(
        training.LOSSES,
        "cross-entropy",
        lambda s, y, **options: (
            scores.append((s.detach().double(), y)) or F.cross_entropy(s, y, **options)
        ),
    )
    history = run("mlp", label_smoothing=0.1, batch_size=40, epochs=1).history
    s, y = scores[0]
    targets = 0.9 * F.one_hot(y, 10).double() + 0.1 / 10
    by_hand = -(targets * s.log_softmax(1)).sum(1).mean()
    assert history["loss"][0] == pytest.approx(float(by_hand), rel=1e-6)


def test_power_of_the_layer_scale():
    def update(**changes):
        r = replace(TINY["mlp"], **changes).with_(
            epochs=1, batch_size=40, lr=1e-4, activation="binary", schedule="linear"
        )
        before = training.start(r, 0).fc2.weight.detach().clone()
        after = training.train(training.start(r, 0), tiny_dataset(), r, seed=0).network
        return (after.fc2.weight.detach() - before).double(), after

    whole, scaled = update(layer_scale_power=1.0)
    root, _ = update(layer_scale_power=0.5)
    none, unscaled = update(layer_scale_power=0.0)
    assert same_state(unscaled, update(per_layer_scale=False)[1])
    scale = training.layer_scale(scaled.fc2)
    inside = scaled.fc2.weight.detach().abs() < 1
    for found, power in ((whole, 1), (root, 0.5), (none, 0)):
        ratio = found[inside].abs().median() / 1e-4
        # latents of size 1 in float32: an update of 1e-4 is exact to 6e-8
        assert ratio.item() == pytest.approx(scale**power, rel=2e-3)


def test_recipes_crop_and_flip_reach_the_images(monkeypatch):
    seen = []
    augment = training.augment
    monkeypatch.setattr(
        training,
        "augment",
        lambda images, generator, **options: (
            seen.append(options) or augment(images, generator, **options)
        ),
    )
    run("convnet", epochs=1, crop_padding=2, flip=False)
    assert seen == [{"padding": 2, "flip": False}] * 2
