"""Training, against an Adam by hand; the same seed, the same bits."""

import copy
import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import torch
from tiny import TINY, each_network, pixels, run, same_state, tiny_dataset
from torch.nn import functional as F  # noqa: N812

from bnn_geometry.data.datasets import Dataset
from bnn_geometry.errors import UserError
from bnn_geometry.networks import inference
from bnn_geometry.networks.layers import weight_layers
from bnn_geometry.networks.models import ConvNet
from bnn_geometry.training import batches, evaluation, loop, schedule
from bnn_geometry.training.build import build_network
from bnn_geometry.training.hardware import can_compile
from bnn_geometry.training.losses import LOSSES


def adam_by_hand(network, dataset, r, seed):
    """Full-batch epochs of Adam with the per-layer scale and clipping, parameter by parameter."""
    network.train().to(memory_format=torch.channels_last)
    layers = {id(layer.weight): layer for layer in weight_layers(network).values()}
    parameters = list(network.parameters())
    moments = [(torch.zeros_like(p), torch.zeros_like(p)) for p in parameters]
    generator = torch.Generator().manual_seed(seed)
    indices, _ = batches.split_indices(dataset.train.labels, r)
    clipped, wrong = 0, []
    for t in range(1, r.epochs + 1):
        order = indices[torch.randperm(len(indices), generator=generator)]
        x = dataset.train.images[order].float() * (2 / 255) - 1
        scores = network(x.contiguous(memory_format=torch.channels_last))
        gradients = torch.autograd.grad(
            F.cross_entropy(scores, dataset.train.labels[order]), parameters
        )
        wrong.append(float((scores.argmax(1) != dataset.train.labels[order]).double().mean()))
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
    return clipped, wrong


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
    expected = build_network(r, seed)
    clipped, wrong = adam_by_hand(expected, dataset, r, seed)
    assert (clipped > 0) == (activation == "binary")
    trained = loop.train(build_network(r, seed), dataset, r, seed=seed)
    assert trained.history["train_error"][0] == wrong[0]
    for name, value in trained.network.named_parameters():
        torch.testing.assert_close(value, dict(expected.named_parameters())[name], msg=name)


def largest_latent(network):
    return max(
        float(layer.weight.detach().abs().max()) for layer in weight_layers(network).values()
    )


@each_network
def test_latent_weights_leave_the_interval_where_they_are_not_clipped(kind):
    clipped, free = (run(kind, lr=1e-2, clip=clip, epochs=1).network for clip in (True, False))
    assert largest_latent(clipped) == 1 < largest_latent(free)


@dataclass
class Watched:
    """One training of a tiny network, and all that was seen of it."""

    kind: str
    result: loop.Trained
    dataset: Dataset
    states: list[torch.nn.Module]
    steps: list[tuple[int, int, float]]
    generator: tuple[torch.Tensor, torch.Tensor]  # torch's own, before and after


@pytest.fixture(scope="module", params=TINY)
def watched(request):
    kind, dataset = request.param, tiny_dataset(request.param)
    states, steps = [], []
    before = torch.get_rng_state()
    result = run(
        kind,
        dataset=dataset,
        on_epoch_end=lambda network, row: states.append(copy.deepcopy(network)),
        on_step=lambda step, of, loss: steps.append((step, of, float(loss))),
    )
    return Watched(kind, result, dataset, states, steps, (before, torch.get_rng_state()))


def test_same_seed_gives_the_same_bits_and_another_other_ones(watched):
    r, first = TINY[watched.kind], watched.result
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(99)  # dropout draws from the global generator
        again = run(watched.kind)
    assert same_state(first.network, again.network)
    histories = [result.history.drop(columns="seconds") for result in (first, again)]
    assert histories[0].equals(histories[1])
    # the order of the batches, augmentation and dropout too
    other = loop.train(build_network(r, 0), watched.dataset, r, seed=1)
    assert not same_state(first.network, other.network)


def test_global_generator_and_data_are_left_as_they_were(watched):
    assert torch.equal(*watched.generator)
    fresh = tiny_dataset(watched.kind)
    assert torch.equal(watched.dataset.train.images, fresh.train.images)
    assert torch.equal(watched.dataset.train.labels, fresh.train.labels)


def test_global_generator_is_given_back_after_an_interruption():
    before = torch.get_rng_state()

    def stop(network, row):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run("mlp", on_epoch_end=stop)
    assert torch.equal(torch.get_rng_state(), before)


def test_steps_are_reported_with_their_losses(watched):
    assert [x[:2] for x in watched.steps] == [(i, 4) for i in (1, 2, 3, 4)]
    losses = [np.mean([loss for *_, loss in watched.steps[i : i + 2]]) for i in (0, 2)]
    np.testing.assert_allclose(watched.result.history["loss"], losses, rtol=1e-12)


def test_last_epoch_is_kept_without_validation_images(watched):
    assert watched.result.kept_epoch == 2
    assert same_state(watched.result.network, watched.states[1])
    assert not same_state(watched.result.network, watched.states[0])


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
        loop._dropout_generator(torch.device("meta"), 0),
    ):
        pass


def test_history_has_a_row_per_epoch():
    seen = []

    def look(network, row):
        assert not network.training
        assert row["test_error"] == evaluation.evaluate(network, dataset.test)
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
    assert history["lr"].tolist() == [schedule.learning_rate(r, step, 2) for step in (1, 3, 5)]
    assert history["validation_error"].isna().all()
    assert np.isfinite(history.drop(columns="validation_error")).all(axis=None)
    counts = history["train_error"] * 40
    np.testing.assert_allclose(counts, counts.round(), atol=1e-9)
    assert (result.kept_epoch, result.precision) == (3, "float32")
    assert result.seconds >= history["seconds"].sum() > 0
    assert not result.network.training


def test_loss_of_an_epoch_is_the_mean_over_its_batches(monkeypatch):
    values = iter([1.0, 2.0, 4.0, 8.0])
    monkeypatch.setitem(
        LOSSES, "cross-entropy", lambda scores, labels: scores.sum() * 0 + next(values)
    )
    assert run("mlp").history["loss"].tolist() == [1.5, 6.0]


def test_best_epoch_on_the_validation_images_is_kept(monkeypatch):
    errors = iter([0.5, 0.25, 0.25, 0.4])
    held = []

    def fake(network, split, *, indices=None, precision):
        if indices is None:
            return 0.9
        held.append(indices)
        return next(errors)

    monkeypatch.setattr(loop, "evaluate", fake)
    states = []
    result = run(
        "mlp",
        dataset=tiny_dataset(train=60),
        epochs=4,
        validation_images=20,
        on_epoch_end=lambda network, row: states.append(copy.deepcopy(network)),
    )
    assert result.kept_epoch == 3  # of two that are equally good the later
    assert same_state(result.network, states[2])
    assert not same_state(result.network, states[1])
    assert not same_state(result.network, states[3])
    assert result.history["validation_error"].tolist() == [0.5, 0.25, 0.25, 0.4]
    assert all(len(indices) == 20 for indices in held)


def test_test_images_are_looked_at_once_where_others_are_held_out(monkeypatch):
    looks = []
    evaluate = evaluation.evaluate
    monkeypatch.setattr(
        loop,
        "evaluate",
        lambda network, split, **options: (
            looks.append(split) or evaluate(network, split, **options)
        ),
    )
    dataset = tiny_dataset(train=60)
    r = TINY["mlp"].with_(epochs=3, validation_images=20)
    trained = loop.train(build_network(r, 0), dataset, r, seed=0)
    assert sum(split is dataset.test for split in looks) == 1
    measured = trained.history["test_error"].notna()
    assert trained.history["epoch"][measured].tolist() == [trained.kept_epoch]
    kept = trained.history["test_error"][measured].item()
    assert kept == evaluate(trained.network, dataset.test)


def test_loss_that_is_not_finite_stops_with_epoch_step_and_rate(monkeypatch):
    losses = iter([0.0, 0.0, 0.0, math.inf])  # two steps an epoch
    monkeypatch.setitem(LOSSES, "cross-entropy", lambda scores, y: scores.sum() * 0 + next(losses))
    rate = schedule.learning_rate(TINY["mlp"], 3, 2)
    with pytest.raises(UserError, match=f"epoch 2, step 2 of 2, at learning rate {rate:.2e}"):
        run("mlp")


def test_absurd_learning_rate_stops_the_continuous_network():
    with pytest.raises(UserError, match="stopped being finite in epoch"):
        run("mlp", activation="relu", lr=1e38, loss="squared-hinge")


def test_bfloat16_trains_and_keeps_latents_in_float32():
    result = run("convnet", epochs=1, precision="bfloat16")
    assert result.precision == "bfloat16"
    assert {p.dtype for p in result.network.parameters()} == {torch.float32}
    assert np.isfinite(result.history["loss"]).all()


@pytest.mark.parametrize("compiled", [True, False])
def test_every_step_runs_the_compiled_network_where_there_is_one(monkeypatch, compiled):
    steps = []

    def compile_(network):
        def passes(x):
            steps.append(len(x))
            return network(x)

        return passes

    monkeypatch.setattr(torch, "compile", compile_)
    monkeypatch.setattr(loop, "resolve_compile", lambda *arguments: compiled)
    result = run("mlp")  # two epochs of two batches of 20
    assert steps == [20] * 4 * compiled
    assert result.compiled == compiled


@pytest.mark.slow
@pytest.mark.skipif(not can_compile(), reason="takes a C++ compiler and Python's headers")
def test_compiled_passes_train_the_same_network():
    # compiled dropout draws other numbers
    changes = {"width": 1 / 256, "epochs": 1, "input_dropout": 0.0, "hidden_dropout": 0.0}
    plain, compiled = (run("mlp", **changes, compile=choice) for choice in ("never", "always"))
    assert compiled.compiled
    assert not plain.compiled
    losses = [result.history["loss"].to_numpy() for result in (plain, compiled)]
    np.testing.assert_allclose(*losses, rtol=1e-4)
    for name, value in plain.network.state_dict().items():
        torch.testing.assert_close(compiled.network.state_dict()[name], value, atol=1e-3, rtol=0)


def test_a_few_epochs_learn_something():
    dataset = tiny_dataset("mlp", train=200, test=100, classes=2)
    for split in (dataset.train, dataset.test):
        split.images[split.labels == 1] //= 2  # the darker ones
    changes = {"input_dropout": 0.0, "hidden_dropout": 0.0}
    history = run("mlp", dataset=dataset, epochs=4, lr=1e-2, norm_momentum=0.5, **changes).history
    assert history["test_error"].iloc[-1] < 0.1
    assert history["loss"].is_monotonic_decreasing


def test_convnet_takes_a_batch_of_any_layout():
    network = build_network(TINY["convnet"], 0).eval()
    assert isinstance(network, ConvNet)
    x = inference.scale_images(pixels(0, 4, 3, 32, 32))
    torch.testing.assert_close(network(x), network(x.contiguous(memory_format=torch.channels_last)))
