"""Training, against hand-written formulas, an Adam by hand and naive loops."""

import copy
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from bnn_geometry.data.datasets import Dataset, Provenance, Split
from bnn_geometry.errors import UserError
from bnn_geometry.networks import inference
from bnn_geometry.networks.layers import BinaryLinear, weight_layers
from bnn_geometry.networks.models import ConvNet
from bnn_geometry.training import loop as training
from bnn_geometry.training.hardware import can_compile
from bnn_geometry.training.recipes import FAST_CIFAR10, FAST_MNIST, ORIGINAL_CIFAR10

SMALL = {
    **{"width": 1 / 32, "epochs": 2, "batch_size": 20, "precision": "float32"},
    **{"lr": 1e-3, "schedule": "one-cycle"},
}
TINY = {
    "convnet": FAST_CIFAR10.with_(**SMALL, crop_padding=4),
    "mlp": FAST_MNIST.with_(**SMALL, augment=False, input_dropout=0.2, hidden_dropout=0.5),
}
SHAPES = {"convnet": (3, 32, 32), "mlp": (1, 28, 28)}

each_network = pytest.mark.parametrize("kind", TINY)


def pixels(seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def tiny_dataset(kind="mlp", *, train=40, test=25, classes=10, seed=0, shape=None):
    """Noise of the right shape; a white column of pixels tells the label."""
    splits = []
    for i, count in enumerate((train, test)):
        images = pixels(2 * seed + i, count, *(shape or SHAPES[kind]))
        labels = torch.arange(count) % classes
        images[torch.arange(count), :, labels] = 255
        splits.append(Split(images, labels))
    provenance = Provenance(
        dataset="mnist" if kind == "mlp" else "cifar10",
        source="stand-in",
        title="Noise",
        detail="Random pixels.",
        path="/somewhere/private",
        fingerprint=f"{seed:064x}",
        train_images=train,
        test_images=test,
    )
    return Dataset("noise", tuple("abcdefghijkl"[:classes]), *splits, provenance)


def run(kind, *, seed=0, dataset=None, on_epoch_end=None, on_step=None, **changes):
    settings = TINY[kind].with_(**changes)
    return training.train(
        training.start(settings, seed),
        dataset or tiny_dataset(kind),
        settings,
        seed=seed,
        on_epoch_end=on_epoch_end,
        on_step=on_step,
    )


def same_state(first, second):
    first, second = first.state_dict(), second.state_dict()
    return all(torch.equal(first[name], second[name]) for name in first)


def state(network):
    return copy.deepcopy(network)


# --- pieces -------------------------------------------------------------------------------------


def test_images_are_scaled_to_minus_one_and_one():
    images = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    scaled = inference.scale_images(images)
    assert (scaled.dtype, scaled.shape) == (torch.float32, images.shape)
    assert (scaled.min().item(), scaled.max().item()) == (-1, 1)
    expected = 2 * np.arange(256) / 255 - 1
    np.testing.assert_allclose(scaled.flatten().numpy(), expected, atol=2e-7)
    assert images.max() == 255  # not scaled in place
    assert inference.scale_images(images, torch.bfloat16).dtype == torch.bfloat16


def test_exponential_rate_falls_by_the_same_factor_each_epoch():
    r = ORIGINAL_CIFAR10.with_(epochs=4, lr=1e-2, lr_end=1e-6)
    rates = [training.learning_rate(r, step, 3) for step in range(12)]
    expected = np.repeat([1e-2, 1e-3, 1e-4, 1e-5], 3)
    np.testing.assert_allclose(rates, expected, rtol=1e-12)
    assert training.learning_rate(r, 12, 3) == pytest.approx(1e-6)  # after the last epoch


def test_one_cycle_rate_rises_for_a_fifth_and_falls_to_its_end():
    r = FAST_CIFAR10.with_(epochs=4, lr=1.0, lr_end=0.2, schedule="one-cycle")
    rates = [training.learning_rate(r, step, 5) for step in range(20)]  # 4 up, 16 down
    expected = [0.25, 0.5, 0.75, 1.0, *np.linspace(1.0, 0.2, 17)[:-1]]
    np.testing.assert_allclose(rates, expected, rtol=1e-12)
    assert training.learning_rate(r, 20, 5) == pytest.approx(0.2)


def test_linear_rate_falls_from_its_start_to_its_end():
    r = FAST_CIFAR10.with_(epochs=2, lr=1.0, lr_end=0.2, schedule="linear")
    rates = [training.learning_rate(r, step, 4) for step in range(9)]
    np.testing.assert_allclose(rates, np.linspace(1.0, 0.2, 9), rtol=1e-12)


def test_one_cycle_of_a_few_steps_begins_at_its_peak():
    r = FAST_CIFAR10.with_(epochs=1, lr=1.0, lr_end=0.2, schedule="one-cycle")
    assert [training.learning_rate(r, step, 3) for step in range(3)] == pytest.approx([1, 1, 0.6])


@pytest.mark.parametrize("schedule", ["one-cycle", "linear"])
@pytest.mark.parametrize("steps", [1, 2, 3, 7])
def test_rate_of_the_shortest_runs_is_positive_and_at_most_the_peak(steps, schedule):
    r = FAST_CIFAR10.with_(epochs=1, schedule=schedule)
    rates = [training.learning_rate(r, step, steps) for step in range(steps)]
    assert max(rates) == pytest.approx(r.lr, rel=1e-12)
    assert min(rates) > 0


def test_unknown_schedule_loss_and_precision_are_refused():
    with pytest.raises(UserError, match="Unknown schedule 'steps'"):
        training.learning_rate(replace(FAST_MNIST, schedule="steps"), 0, 1)
    with pytest.raises(UserError, match="Unknown loss 'l2': use squared-hinge or cross-entropy"):
        run("mlp", loss="l2")
    with pytest.raises(UserError, match="Unknown precision 'float16'"):
        run("mlp", precision="float16")


def test_squared_hinge_by_hand():
    scores = torch.tensor([[0.5, -2.0, 1.0], [3.0, 0.0, -0.5]])
    # targets + − −, then − + −
    by_hand = [0.5**2, 0, 2**2, 4**2, 1, 0.5**2]
    loss = training.squared_hinge(scores, torch.tensor([0, 1]))
    assert loss.item() == pytest.approx(sum(by_hand) / 6)


def test_squared_hinge_equals_the_double_loop():
    scores = torch.randn(7, 10, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(7)
    total = sum(
        max(0.0, 1 - (1 if j == labels[i] else -1) * scores[i, j].item()) ** 2
        for i in range(7)
        for j in range(10)
    )
    assert training.squared_hinge(scores, labels).item() == pytest.approx(total / 70, rel=1e-6)


def test_start_depends_on_the_seed_alone_and_passes_the_recipe_on():
    r = TINY["mlp"].with_(norm_epsilon=0.25, norm_momentum=0.5)
    network = training.start(r, 3)
    assert same_state(network, training.start(r, 3))
    assert not same_state(network, training.start(r, 4))
    assert (network.norm1.eps, network.norm1.momentum) == (0.25, 0.5)
    assert (network.dropout0.p, network.dropout1.p) == (0.2, 0.5)


# --- augmentation -------------------------------------------------------------------------------


def crop(image, top, left, flip):
    h, w = image.shape[1:]
    padded = np.zeros((image.shape[0], h + 8, w + 8), dtype=np.uint8)
    padded[:, 4 : 4 + h, 4 : 4 + w] = image
    cropped = padded[:, top : top + h, left : left + w]
    return cropped[:, :, ::-1] if flip else cropped


def test_augmentation_without_padding_or_flips_leaves_that_out():
    images = pixels(0, 40, 3, 8, 8)

    def augment(**options):
        return training.augment(images, torch.Generator().manual_seed(0), **options)

    assert torch.equal(augment(padding=0, flip=False), images)
    mirrored = augment(padding=0)
    same = (mirrored == images).flatten(1).all(1)
    assert 0 < same.sum() < 40
    assert torch.equal(mirrored[~same], images[~same].flip(3))
    for image, made in zip(images.numpy(), augment(padding=1, flip=False).numpy(), strict=True):
        padded = np.pad(image, ((0, 0), (1, 1), (1, 1)))
        places = [padded[:, i : i + 8, j : j + 8] for i in range(3) for j in range(3)]
        assert any(np.array_equal(place, made) for place in places)


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 6, 9)])
def test_every_augmented_image_is_a_crop_flipped_or_not(shape):
    images = pixels(0, 30, *shape)
    before = images.clone()
    result = training.augment(images, torch.Generator().manual_seed(5))
    assert torch.equal(images, before)
    assert (result.dtype, result.shape) == (torch.uint8, images.shape)
    moves = set()
    for image, made in zip(images.numpy(), result.numpy(), strict=True):
        found = [
            (top, left, flip)
            for top in range(9)
            for left in range(9)
            for flip in (False, True)
            if np.array_equal(crop(image, top, left, flip), made)
        ]
        assert len(found) == 1
        moves.update(found)
    assert len(moves) > 20  # each image has its own


def test_augmentation_draws_every_place_and_both_sides_alike():
    count = 20_000
    images = torch.zeros(count, 1, 9, 12, dtype=torch.uint8)
    images[:, 0, 4, 4] = 1  # stays within the crop
    result = training.augment(images, torch.Generator().manual_seed(0))
    _, _, rows, columns = torch.nonzero(result, as_tuple=True)
    assert len(rows) == count
    # row 4 + 4 − top; column 8 − left, or 11 minus that when flipped
    rate = count / 9
    assert (torch.bincount(rows, minlength=9) - rate).abs().max() < 4.5 * rate**0.5
    plain, flipped = torch.bincount(columns[columns < 3]), torch.bincount(columns[columns > 8])
    each = count / 18  # columns 0…2 come of an unflipped image alone, 9…11 of a flipped one
    assert (plain - each).abs().max() < 4.5 * each**0.5
    assert (flipped[9:] - each).abs().max() < 4.5 * each**0.5


def test_augmentation_depends_on_the_generator_alone():
    images = pixels(0, 20, 3, 8, 8)
    first, again, other = (
        training.augment(images, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


# --- which images -------------------------------------------------------------------------------


@pytest.mark.parametrize("train_images", [None, 60, 33])
@pytest.mark.parametrize("validation", [0, 20, 25])
def test_parts_are_disjoint_and_balanced(train_images, validation):
    labels = torch.arange(10).repeat_interleave(12)  # sorted by class, as folders are
    r = TINY["mlp"].with_(train_images=train_images, validation_images=validation)
    rest, held = training.split_indices(labels, r)
    expected = 120 - validation if train_images is None else min(train_images, 120 - validation)
    assert (len(rest), len(held)) == (expected, validation)
    assert len(set(rest.tolist()) | set(held.tolist())) == expected + validation
    for part in (rest, held):
        counts = torch.bincount(labels[part], minlength=10)
        assert counts.max() - counts.min() <= 1


def test_more_training_images_than_there_are_means_all():
    labels = torch.arange(40) % 10
    rest, _ = training.split_indices(labels, TINY["mlp"].with_(train_images=1000))
    assert sorted(rest.tolist()) == list(range(40))


def test_parts_depend_on_no_random_state_and_are_shuffled():
    labels = torch.arange(10).repeat_interleave(12)
    r = TINY["mlp"].with_(train_images=60, validation_images=20)
    parts = []
    for seed in (1, 2):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            parts.append(training.split_indices(labels, r))
    for first, second in zip(*parts, strict=True):
        assert torch.equal(first, second)
        assert first.tolist() != sorted(first.tolist())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"validation_images": 50}, "50 images with an equal share of each class need 5 of class"),
        ({"train_images": 37, "validation_images": 2}, "need 4 of class 0, and there are 3"),
        ({"validation_images": 30}, "After holding out 30 images 10 are left .* batch of 20"),
        ({"batch_size": 41}, "40 are left"),
    ],
)
def test_too_small_a_data_set_is_refused(changes, message):
    with pytest.raises(UserError, match=message):
        run("mlp", **changes)


def test_images_of_another_shape_are_refused():
    with pytest.raises(UserError, match=r"MLP takes .* \(1, 28, 28\).* those of Noise are \(3, 3"):
        run("mlp", dataset=tiny_dataset("convnet"))
    with pytest.raises(UserError, match=r"those of Noise are \(3, 16, 32\)"):
        run("convnet", dataset=tiny_dataset(shape=(3, 16, 32)))


def test_more_than_ten_classes_are_refused():
    with pytest.raises(UserError, match="tells 10 classes apart; Noise has 11"):
        run("mlp", dataset=tiny_dataset(classes=11, train=44))


# --- evaluation ---------------------------------------------------------------------------------


@each_network
def test_evaluation_equals_the_naive_loop(kind):
    network, split = training.start(TINY[kind], 0), tiny_dataset(kind).test
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # of dropout
        network(
            inference.scale_images(tiny_dataset(kind).train.images)
        )  # running statistics of use
    network.eval()
    wrong = []
    with torch.no_grad():
        for image, label in zip(split.images, split.labels, strict=True):
            scores = network((image.float() * 2 / 255 - 1)[None])[0]
            wrong.append(int(scores.argmax()) != int(label))
    assert 0 < np.mean(wrong) < 1
    for batch_size in (1, 7, 25, 500):
        error = training.evaluate(network, split, batch_size=batch_size)
        assert error == pytest.approx(np.mean(wrong), abs=1e-12)
    some = torch.tensor([3, 8, 8, 24])
    expected = np.mean([wrong[i] for i in some])
    assert training.evaluate(network, split, indices=some, batch_size=3) == pytest.approx(expected)


@pytest.mark.parametrize("mode", [True, False])
def test_evaluation_leaves_the_network_as_it_was(mode):
    network = training.start(TINY["mlp"], 0).train(mode)
    before = state(network)
    training.evaluate(network, tiny_dataset().test)
    assert network.training is mode
    assert network.fc1.training is mode
    assert same_state(network, before)


def test_evaluation_restores_the_mode_after_an_error():
    network = training.start(TINY["mlp"], 0)
    with pytest.raises(RuntimeError):
        training.evaluate(network, tiny_dataset("convnet").test)
    assert network.training


def test_error_on_no_images_is_not_a_number():
    network = training.start(TINY["mlp"], 0)
    nothing = torch.zeros(0, dtype=torch.int64)
    assert math.isnan(training.evaluate(network, tiny_dataset().test, indices=nothing))


# --- training -----------------------------------------------------------------------------------


def adam_by_hand(network, dataset, r, seed):
    """Full-batch epochs of Adam with the per-layer scale and clipping, parameter by parameter."""
    network.train().to(memory_format=torch.channels_last)
    layers = {id(layer.weight): layer for layer in weight_layers(network).values()}
    parameters = list(network.parameters())
    moments = [(torch.zeros_like(p), torch.zeros_like(p)) for p in parameters]
    generator = torch.Generator().manual_seed(seed)
    indices, _ = training.split_indices(dataset.train.labels, r)
    clipped = 0
    for t in range(1, r.epochs + 1):
        order = indices[torch.randperm(len(indices), generator=generator)]
        x = dataset.train.images[order].float() * (2 / 255) - 1
        scores = network(x.contiguous(memory_format=torch.channels_last))
        gradients = torch.autograd.grad(
            F.cross_entropy(scores, dataset.train.labels[order]), parameters
        )
        lr = r.lr * (r.lr_end / r.lr) ** ((t - 1) / r.epochs)
        with torch.no_grad():
            for p, g, (m, v) in zip(parameters, gradients, moments, strict=True):
                m.mul_(0.9).add_(0.1 * g)
                v.mul_(0.999).add_(0.001 * g * g)
                update = lr * (m / (1 - 0.9**t)) / ((v / (1 - 0.999**t)).sqrt() + 1e-8)
                if id(p) in layers:
                    layer = layers[id(p)]
                    if r.activation == "binary":
                        update *= math.sqrt((layer.fan_in + layer.fan_out) / 1.5)
                p.sub_(update)
                if id(p) in layers and r.activation == "binary":
                    clipped += int((p.abs() > 1).sum())
                    p.copy_(p.clip(-1, 1))
    return clipped


@each_network
@pytest.mark.parametrize("activation", ["binary", "hardtanh"])
def test_training_is_adam_with_scaled_updates_and_clipped_latents(kind, activation):
    dataset, seed = tiny_dataset(kind), 1
    r = TINY[kind].with_(
        activation=activation,
        batch_size=40,
        schedule="exponential",
        lr=1e-2,
        augment=False,
        input_dropout=0.0,
        hidden_dropout=0.0,
    )
    expected = training.start(r, seed)
    clipped = adam_by_hand(expected, dataset, r, seed)
    assert (clipped > 0) == (activation == "binary")
    trained = training.train(training.start(r, seed), dataset, r, seed=seed).network
    for name, value in trained.named_parameters():
        torch.testing.assert_close(value, dict(expected.named_parameters())[name], msg=name)


@each_network
def test_latents_stay_within_plus_or_minus_one(kind):
    network = run(kind, lr=1.0).network
    for layer in weight_layers(network).values():
        assert layer.weight.abs().max() == 1
        assert (layer.weight.abs() < 1).any() or layer.weight.shape[0] == 10


@each_network
def test_same_seed_gives_the_same_bits_and_another_other_ones(kind):
    first, other = (run(kind, seed=seed) for seed in (0, 1))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(99)  # dropout draws from the global generator
        again = run(kind, seed=0)
    assert same_state(first.network, again.network)
    numbers = [result.history.drop(columns="seconds") for result in (first, again, other)]
    assert numbers[0].equals(numbers[1])
    assert not numbers[0].equals(numbers[2])


@each_network
def test_seed_decides_order_augmentation_and_dropout_too(kind):
    r, dataset = TINY[kind], tiny_dataset(kind)
    results = [
        training.train(training.start(r, 0), dataset, r, seed=seed).network for seed in (0, 1)
    ]
    assert not same_state(*results)


@each_network
def test_global_generator_is_left_as_it_was(kind):
    before = torch.get_rng_state()
    run(kind)
    assert torch.equal(torch.get_rng_state(), before)

    def stop(network, row):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(kind, on_epoch_end=stop)
    assert torch.equal(torch.get_rng_state(), before)


def test_data_are_left_as_they_were():
    dataset = tiny_dataset("convnet")
    before = dataset.train.images.clone(), dataset.train.labels.clone()
    run("convnet", dataset=dataset)
    assert torch.equal(dataset.train.images, before[0])
    assert torch.equal(dataset.train.labels, before[1])


def test_history_has_a_row_per_epoch():
    seen = []

    def look(network, row):
        assert not network.training
        assert row["test_error"] == training.evaluate(network, dataset.test)
        seen.append(dict(row))

    dataset = tiny_dataset(train=50)  # two batches of 20, and ten images left out
    result = run("mlp", dataset=dataset, on_epoch_end=look, epochs=3)
    history = result.history
    assert list(history) == [
        *("epoch", "loss", "train_error", "validation_error", "test_error", "lr", "seconds"),
        *(f"flips_fc{i}" for i in (1, 2, 3, 4)),
        *(f"angle_fc{i}" for i in (1, 2, 3, 4)),
        *(f"ends_fc{i}" for i in (1, 2, 3, 4)),
    ]
    assert history["epoch"].tolist() == [1, 2, 3]
    pd.testing.assert_frame_equal(history, pd.DataFrame(seen))
    r = TINY["mlp"].with_(epochs=3)
    assert history["lr"].tolist() == [training.learning_rate(r, step, 2) for step in (1, 3, 5)]
    assert history["validation_error"].isna().all()
    assert np.isfinite(history.drop(columns="validation_error")).all(axis=None)
    counts = history["train_error"] * 40
    np.testing.assert_allclose(counts, counts.round(), atol=1e-9)
    assert (result.kept_epoch, result.precision) == (3, "float32")
    assert result.seconds >= history["seconds"].sum() > 0
    assert not result.network.training


def angle_by_hand(w):
    b = np.where(w > 0, 1.0, -1.0)
    cosine = (w * b).sum(1) / (np.linalg.norm(w, axis=1) * np.linalg.norm(b, axis=1))
    return np.degrees(np.arccos(cosine))


@each_network
def test_history_counts_flips_and_measures_angles(kind):
    weights = [
        {k: x.weight.detach().flatten(1).double().numpy() for k, x in weight_layers(n).items()}
        for n in [training.start(TINY[kind], 0)]
    ]
    result = run(
        kind,
        epochs=3,
        lr=1e-2,
        on_epoch_end=lambda network, row: weights.append(
            {
                k: x.weight.detach().flatten(1).double().numpy().copy()
                for k, x in weight_layers(network).items()
            }
        ),
    )
    flipped = 0
    for i, row in result.history.iterrows():
        for name, after in weights[i + 1].items():
            flips = ((weights[i][name] > 0) != (after > 0)).mean()
            assert row[f"flips_{name}"] == flips
            assert row[f"angle_{name}"] == pytest.approx(np.median(angle_by_hand(after)), rel=1e-12)
            assert row[f"ends_{name}"] == (np.abs(after) == 1).mean()
            flipped += flips
    assert flipped > 0
    assert result.history["ends_fc1"].iloc[-1] > 0
    table = training.layer_history(result.history)
    names = list(weights[0])
    assert table["layer"].tolist() == names * 3
    assert table["epoch"].tolist() == [e for e in (1, 2, 3) for _ in names]
    second = table[(table["epoch"] == 2) & (table["layer"] == names[1])].iloc[0]
    assert second["flips"] == result.history[f"flips_{names[1]}"][1]
    assert second["angle"] == result.history[f"angle_{names[1]}"][1]
    assert second["ends"] == result.history[f"ends_{names[1]}"][1]


def test_history_without_layers_has_none():
    assert training.layer_history(pd.DataFrame({"epoch": [1], "loss": [0.5]})).empty


def test_angle_of_a_filter_of_zeros_is_not_a_number():
    layer = BinaryLinear(3, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.0, 0.0, 0.0], [0.3, -0.3, 0.3]]))
    angles = layer.latent_angles()
    assert math.isnan(angles[0])
    assert angles[1] == pytest.approx(0, abs=1e-5)


@each_network
def test_steps_are_reported_with_their_losses(kind):
    seen = []
    result = run(kind, on_step=lambda step, steps, loss: seen.append((step, steps, float(loss))))
    assert [x[:2] for x in seen] == [(i, 4) for i in (1, 2, 3, 4)]
    losses = [np.mean([loss for _, _, loss in seen[i : i + 2]]) for i in (0, 2)]
    np.testing.assert_allclose(result.history["loss"], losses, rtol=1e-12)


def test_no_generator_but_that_of_the_device_is_seeded(monkeypatch):
    def fail(*args, **kwargs):
        raise AssertionError("other generators were touched")

    # what torch.manual_seed does to the generators of GPUs that happen to be in the machine
    monkeypatch.setattr(torch, "manual_seed", fail)
    monkeypatch.setattr(torch.random, "manual_seed", fail)
    monkeypatch.setattr(torch.cuda, "manual_seed_all", fail)
    monkeypatch.setattr(torch.cuda, "set_rng_state", fail)
    run("mlp")


def test_other_devices_are_refused():
    with (
        pytest.raises(UserError, match="on the CPU or a CUDA device, not on meta"),
        training._dropout_generator(torch.device("meta"), 0),
    ):
        pass


def test_loss_of_an_epoch_is_the_mean_over_its_batches(monkeypatch):
    values = iter([1.0, 2.0, 4.0, 8.0])
    monkeypatch.setitem(
        training.LOSSES, "cross-entropy", lambda scores, labels: scores.sum() * 0 + next(values)
    )
    assert run("mlp").history["loss"].tolist() == [1.5, 6.0]


def test_every_batch_is_full_and_no_image_comes_twice_in_an_epoch():
    dataset = tiny_dataset(train=50)
    pixels_and_labels = (dataset.train.images, dataset.train.labels)
    r = TINY["mlp"]
    indices = torch.arange(50)
    epochs = []
    generator = torch.Generator().manual_seed(0)
    for _ in range(2):
        batches = list(training._batches(*pixels_and_labels, indices, r, generator))
        assert [len(labels) for _, labels in batches] == [20, 20]
        images = torch.cat([images for images, _ in batches])
        assert len(images.flatten(1).unique(dim=0)) == 40
        for batch, labels in batches:  # the label's own row is white: pairs stay together
            assert (batch[torch.arange(20), 0, labels] == 255).all()
        epochs.append(images)
    assert not torch.equal(*epochs)


def test_best_epoch_on_the_validation_images_is_kept(monkeypatch):
    errors = iter([0.5, 0.25, 0.25, 0.4])
    held = []

    def fake(network, split, *, indices=None, precision):
        if indices is None:
            return 0.9
        held.append(indices)
        return next(errors)

    monkeypatch.setattr(training, "evaluate", fake)
    states = []
    result = run(
        "mlp",
        dataset=tiny_dataset(train=60),
        epochs=4,
        validation_images=20,
        on_epoch_end=lambda network, row: states.append(state(network)),
    )
    assert result.kept_epoch == 3  # of two that are equally good the later
    assert same_state(result.network, states[2])
    assert not same_state(result.network, states[1])
    assert not same_state(result.network, states[3])
    assert result.history["validation_error"].tolist() == [0.5, 0.25, 0.25, 0.4]
    assert all(len(indices) == 20 for indices in held)


def test_last_epoch_is_kept_without_validation_images():
    states = []
    result = run("mlp", on_epoch_end=lambda network, row: states.append(state(network)))
    assert result.kept_epoch == 2
    assert same_state(result.network, states[1])


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_loss_that_is_not_finite_stops_with_epoch_step_and_rate(bad, monkeypatch):
    losses = iter([0.0, 0.0, 0.0, bad])  # two steps an epoch
    monkeypatch.setitem(
        training.LOSSES, "cross-entropy", lambda scores, y: scores.sum() * 0 + next(losses)
    )
    rate = training.learning_rate(TINY["mlp"], 3, 2)
    with pytest.raises(UserError, match=f"epoch 2, step 2 of 2, at learning rate {rate:.2e}"):
        run("mlp")


def test_absurd_learning_rate_stops_the_continuous_network():
    with pytest.raises(UserError, match="stopped being finite in epoch"):
        run("mlp", activation="relu", lr=1e38, loss="squared-hinge")


@each_network
def test_bfloat16_trains_and_keeps_latents_in_float32(kind):
    result = run(kind, precision="bfloat16")
    assert result.precision == "bfloat16"
    assert {p.dtype for p in result.network.parameters()} == {torch.float32}
    assert np.isfinite(result.history["loss"]).all()


@each_network
def test_latent_weights_leave_the_interval_where_they_are_not_clipped(kind):
    largest = {
        clip: max(
            float(layer.weight.detach().abs().max())
            for layer in weight_layers(run(kind, lr=1e-2, clip=clip).network).values()
        )
        for clip in (True, False)
    }
    assert largest[True] <= 1 < largest[False]


def test_recipe_says_where_the_network_pools():
    names = {
        pool: list(dict(training.start(TINY["convnet"].with_(pool=pool), 0).named_children()))
        for pool in ("before-norm", "after-activation")
    }
    assert names["before-norm"][4:6] == ["pool2", "norm2"]
    assert names["after-activation"][4:7] == ["norm2", "act2", "pool2"]


@each_network
def test_recipe_says_where_the_network_normalizes(kind):
    for norm, order in (
        ("before-activation", ["norm1", "act1"]),
        ("after-activation", ["act1", "norm1"]),
    ):
        network = training.start(TINY[kind].with_(norm=norm), 0)
        assert [name for name, _ in network.named_children() if name in order] == order


@pytest.mark.parametrize("compiled", [True, False])
def test_every_step_runs_the_compiled_network_where_there_is_one(monkeypatch, compiled):
    steps = []

    def compile_(network):
        def passes(x):
            steps.append(len(x))
            return network(x)

        return passes

    monkeypatch.setattr(torch, "compile", compile_)
    monkeypatch.setattr(training, "resolve_compile", lambda *arguments: compiled)
    result = run("mlp")  # two epochs of two batches of 20
    assert steps == [20] * 4 * compiled
    assert result.compiled == compiled


@pytest.mark.slow
@pytest.mark.skipif(not can_compile(), reason="takes a C++ compiler and Python's headers")
def test_compiled_passes_train_the_same_network():
    plain, compiled = (run("convnet", compile=choice) for choice in ("never", "always"))
    assert compiled.compiled
    assert not plain.compiled
    losses = [result.history["loss"].to_numpy() for result in (plain, compiled)]
    np.testing.assert_allclose(*losses, rtol=1e-4)
    for name, value in plain.network.state_dict().items():
        torch.testing.assert_close(compiled.network.state_dict()[name], value, atol=1e-3, rtol=0)


@each_network
def test_a_few_epochs_learn_something(kind):
    dataset = tiny_dataset(kind, train=200, test=100, classes=2)
    for split in (dataset.train, dataset.test):
        split.images[split.labels == 1] //= 2  # the darker ones
    changes = {"augment": False, "input_dropout": 0.0, "hidden_dropout": 0.0}
    history = run(kind, dataset=dataset, epochs=4, lr=1e-2, norm_momentum=0.5, **changes).history
    assert history["test_error"].iloc[-1] < 0.1
    assert history["loss"].is_monotonic_decreasing


def test_convnet_takes_a_batch_of_any_layout():
    network = training.start(TINY["convnet"], 0).eval()
    assert isinstance(network, ConvNet)
    x = inference.scale_images(pixels(0, 4, 3, 32, 32))
    torch.testing.assert_close(network(x), network(x.contiguous(memory_format=torch.channels_last)))


def test_linear_layer_scale_by_hand():
    assert training.layer_scale(BinaryLinear(4, 2)) == pytest.approx(2.0)  # 1/√(1.5/6)
