"""Recipes: each constant of the original against a value or a step written by hand."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import torch
from tiny import TINY, pixels, run, tiny_dataset
from torch import nn
from torch.nn import functional as F  # noqa: N812

from bnn_geometry.data.datasets import Dataset
from bnn_geometry.errors import UserError
from bnn_geometry.networks import inference, models
from bnn_geometry.networks.layers import weight_layers
from bnn_geometry.training.batches import split_indices
from bnn_geometry.training.build import build_network
from bnn_geometry.training.loop import train
from bnn_geometry.training.losses import LOSSES
from bnn_geometry.training.recipes import (
    CHOICES,
    FAST_MNIST,
    ORIGINAL_CIFAR10,
    ORIGINAL_MNIST,
    RECIPES,
    Recipe,
    check_seed,
    recipe,
)

# small enough for a test, and nothing but the size changed
CIFAR10 = ORIGINAL_CIFAR10.with_(width=1 / 32, epochs=2, validation_images=0, precision="float32")
MNIST = ORIGINAL_MNIST.with_(width=1 / 256, epochs=2, validation_images=0, precision="float32")

each_original = pytest.mark.parametrize(
    ("r", "kind"), [(CIFAR10, "convnet"), (MNIST, "mlp")], ids=["cifar10", "mnist"]
)


@dataclass
class Watched:
    """One training by an original recipe: two epochs of two batches, and seven images too many."""

    recipe: Recipe
    dataset: Dataset
    network: torch.nn.Module
    history: pd.DataFrame
    inputs: list[torch.Tensor]  # what enters the network, batch by batch
    norm_inputs: list[torch.Tensor]  # what enters its first batch norm
    outputs: list[torch.Tensor]

    def order(self, epoch):
        """Indices of the images of an epoch, drawn as training does without augmentation."""
        indices, _ = split_indices(self.dataset.train.labels, self.recipe)
        generator = torch.Generator().manual_seed(0)
        for _ in range(epoch):
            drawn = torch.randperm(len(indices), generator=generator)
        return indices[drawn]


@pytest.fixture(
    scope="module", params=[(CIFAR10, "convnet"), (MNIST, "mlp")], ids=["cifar10", "mnist"]
)
def watched(request):
    r, kind = request.param
    network, dataset = build_network(r, 0), tiny_dataset(kind, train=2 * r.batch_size + 7)
    entered, before_norm, left = [], [], []

    def keep(into):
        return lambda module, args, out=None: (
            into.append((args[0] if out is None else out).detach().clone())
            if module.training
            else None
        )

    network.register_forward_pre_hook(keep(entered))
    network.norm1.register_forward_pre_hook(keep(before_norm))
    network.register_forward_hook(keep(left))
    history = train(network, dataset, r, seed=0).history
    return Watched(r, dataset, network, history, entered, before_norm, left)


# --- the original, constant by constant -----------------------------------------------------------


def test_each_epoch_has_its_own_order_and_leaves_out_what_fills_no_batch(watched):
    size = watched.recipe.batch_size
    assert [len(x) for x in watched.inputs] == [size] * 4
    epochs = [torch.cat(watched.inputs[i : i + 2]).flatten(1) for i in (0, 2)]
    for epoch in epochs:
        assert len(epoch.unique(dim=0)) == 2 * size
    assert not torch.equal(*epochs)


def test_inputs_are_scaled_to_plus_minus_one_and_not_augmented(watched):
    chosen = watched.order(1)[: watched.recipe.batch_size]
    expected = 2 * watched.dataset.train.images[chosen].double() / 255 - 1
    # float32, near 1
    torch.testing.assert_close(watched.inputs[0].double(), expected, rtol=0, atol=2e-7)


@each_original
def test_latent_weights_begin_uniformly_on_plus_minus_one(r, kind):
    for layer in weight_layers(build_network(r, 0)).values():
        w = layer.weight.detach().double()
        assert w.abs().max() <= 1
        # E w² = 1/3, Var w² = 4/45; E w = 0
        assert abs(w.square().mean() - 1 / 3) < 4 * (4 / 45 / w.numel()) ** 0.5
        assert abs(w.mean()) < 4 * (1 / 3 / w.numel()) ** 0.5


def test_all_layers_are_binary_and_the_inputs_real():
    for r in (CIFAR10, MNIST):
        network = build_network(r, 0)
        assert all(layer.binary for layer in weight_layers(network).values())
        activations = [m for m in network.modules() if isinstance(m, models.BinaryActivation)]
        assert len(activations) == len(weight_layers(network)) - 1


def test_batch_norm_comes_after_pooling_and_before_binarization():
    network = build_network(CIFAR10, 0).train()
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
        m for m in build_network(r, 0).modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)
    ]
    assert len(norms) == (9 if kind == "convnet" else 4)
    for norm in norms:
        c = norm.num_features
        x = torch.tensor([[-0.01], [0.01]]).repeat(1, c)  # variance 1e-4: as much as epsilon
        x = x[:, :, None, None] if isinstance(norm, nn.BatchNorm2d) else x
        out = norm.train()(x).flatten(1)[1, 0]
        assert out.item() == pytest.approx(0.01 / math.sqrt(1e-4 + 1e-4), rel=1e-5)


def test_running_averages_take_a_tenth_of_each_batch(watched):
    mean, variance = 0.0, 1.0
    for z in watched.norm_inputs:
        axes = (0, 2, 3) if z.ndim == 4 else (0,)
        mean = 0.9 * mean + 0.1 * z.double().mean(axes)
        variance = 0.9 * variance + 0.1 * z.double().var(axes, correction=1)
    assert len(watched.norm_inputs) == 4
    norm = watched.network.norm1
    torch.testing.assert_close(norm.running_mean.double(), mean, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(norm.running_var.double(), variance, rtol=1e-5, atol=1e-5)


def test_loss_is_the_squared_hinge(watched):
    size = watched.recipe.batch_size
    labels = watched.dataset.train.labels[watched.order(1)[: 2 * size]]
    targets = np.where(np.arange(10) == labels.numpy()[:, None], 1, -1)
    scores = torch.cat(watched.outputs[:2]).double().numpy()
    by_hand = (np.maximum(0, 1 - targets * scores) ** 2).mean()
    assert watched.history["loss"][0] == pytest.approx(by_hand, rel=1e-6)


def test_dropout_of_the_perceptron_alone():
    network = build_network(MNIST.with_(width=1 / 64), 0).train()
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
    network = build_network(CIFAR10, 0)
    assert not any(isinstance(m, nn.Dropout) for m in network.modules())


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
    r = MNIST.with_(input_dropout=0.0, hidden_dropout=0.0, batch_size=40, epochs=1)
    r = r.with_(lr_width_power=0.0)
    dataset = tiny_dataset(train=40)
    network = build_network(r, 0)
    weights = [layer.weight.detach().double().numpy() for layer in weight_layers(network).values()]
    latents, gradients, shifts = step_by_hand(
        weights, dataset.train.images.numpy(), dataset.train.labels.numpy(), 3e-3
    )
    train(network, dataset, r, seed=0)
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


# --- the named recipes ----------------------------------------------------------------------------


def test_recipes_are_found_by_network_and_name():
    for (model, name), value in RECIPES.items():
        assert recipe(model, name) is value
        assert (value.model, value.name) == (model, name)
    assert len(RECIPES) == 5
    with pytest.raises(UserError, match="no recipe 'slow' for 'mnist-mlp'; there is cifar10-conv"):
        recipe("mnist-mlp", "slow")


SENSELESS = [
    *[(field, bad) for field in ("epochs", "width", "lr", "lr_end") for bad in (0, -1)],
    *[("width", 1e6), ("width", math.nan), ("lr", math.nan), ("lr", math.inf), ("lr", 10**400)],
    *[("batch_size", 0), ("batch_size", 1), ("norm_epsilon", 0), ("crop_padding", -1)],
    *[("validation_images", -1), ("train_images", -1), ("label_smoothing", 1.5)],
    *[("input_dropout", 1), ("hidden_dropout", -0.1), ("warmup_epochs", FAST_MNIST.epochs)],
    *[("norm_momentum", 0), ("norm_momentum", 1.1), ("init_scale", 0), ("init_scale", 2)],
    *[("layer_scale_power", math.nan), ("lr_width_power", math.inf), ("warmup_epochs", -1)],
    *[("layer_scale_power", 11), ("lr_width_power", -1e308), ("crop_padding", 33)],
    # of another kind
    *[("epochs", 2.5), ("epochs", True), ("epochs", None), ("width", "1"), ("flip", 1)],
    *[("name", None), ("train_images", 2.0), ("lr", True)],
    # folders are named after a recipe
    *[("name", "../../x"), ("name", ""), ("name", "a b"), ("name", "fast\n")],
]


@pytest.mark.parametrize(
    "make",
    [
        FAST_MNIST.with_,
        lambda **bad: Recipe.from_dict(FAST_MNIST.as_dict() | bad),
        lambda **bad: Recipe(**FAST_MNIST.as_dict() | bad),
    ],
    ids=["with_", "from_dict", "the class itself"],
)
def test_senseless_recipe_is_refused_however_it_is_made(make):
    for field, value in SENSELESS:
        with pytest.raises(UserError, match=f"A recipe's {field} "):
            make(**{field: value})


def test_unknown_name_is_refused_with_the_known_ones():
    for field, known in CHOICES.items():
        with pytest.raises(UserError, match=f"Unknown {field} 'x': use .* or {known[-1]}"):
            FAST_MNIST.with_(**{field: "x"})


def test_fields_that_do_not_go_together_are_refused():
    for origin, changes, message in (
        (ORIGINAL_MNIST, {"label_smoothing": 0.1}, "not with squared-hinge"),
        (FAST_MNIST, {"pool": "after-activation"}, "mnist-mlp has none"),
        (ORIGINAL_MNIST, {"warmup_epochs": 1}, "linear and cosine, not with exponential"),
        (FAST_MNIST, {"weights": "ternary-twn", "activation": "relu"}, "of relu, computes with"),
    ):
        with pytest.raises(UserError, match=message):
            origin.with_(**changes)


def test_unknown_and_missing_fields_are_named():
    fields = FAST_MNIST.as_dict()
    with pytest.raises(UserError, match="A recipe has no 'speed': it has name, model"):
        Recipe.from_dict(fields | {"speed": 9})
    with pytest.raises(UserError, match="A recipe has no 'speed'"):
        FAST_MNIST.with_(speed=9)
    del fields["lr"]
    with pytest.raises(UserError, match="This recipe has no lr"):
        Recipe.from_dict(fields)
    with pytest.raises(UserError, match="A recipe is a table of fields, not None"):
        Recipe.from_dict(None)


@pytest.mark.parametrize("seed", [-1, 2**63, 1.0, True, "1", None])
def test_senseless_seed_is_refused(seed):
    with pytest.raises(UserError, match="The seed must be between 0 and 2⁶³ − 1"):
        check_seed(seed)
    assert check_seed(2**63 - 1) == 2**63 - 1


def test_names_are_those_that_the_package_knows():
    assert set(CHOICES["activation"]) == set(models.ACTIVATIONS)
    assert set(CHOICES["loss"]) == set(LOSSES)


def test_changed_recipe_leaves_the_named_one_alone():
    assert FAST_MNIST.with_(width=0.5).width == 0.5
    assert FAST_MNIST.width == 1
    assert FAST_MNIST.with_() == FAST_MNIST
    assert type(FAST_MNIST.with_(width=1).width) is float  # as it is written to JSON, always


def test_recipe_written_before_there_were_ablations_is_read_as_it_was():
    fields = ORIGINAL_MNIST.as_dict()
    for name in ("crop_padding", "flip", "label_smoothing", "init_scale", "layer_scale_power"):
        del fields[name]
    del fields["pool"], fields["norm"], fields["weights"]
    assert Recipe.from_dict(fields) == ORIGINAL_MNIST


# --- what ablations vary --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", TINY)
def test_continuous_counterparts_train_with_the_same_budget(kind):
    shapes = set()
    for activation in CHOICES["activation"]:
        result = run(kind, activation=activation, epochs=1)
        assert np.isfinite(result.history["loss"]).all()
        layers = list(weight_layers(result.network).values())
        assert {layer.binary for layer in layers} == {activation == "binary"}
        shapes.add(tuple(layer.weight.shape for layer in layers))
    assert len(shapes) == 1
