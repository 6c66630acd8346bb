"""The error of a network, against a naive loop."""

import copy
import math

import numpy as np
import pytest
import torch
from tiny import TINY, each_network, run, same_state, tiny_dataset

from bnn_geometry.data.datasets import Split
from bnn_geometry.errors import UserError
from bnn_geometry.networks import inference
from bnn_geometry.training.build import build_network
from bnn_geometry.training.evaluation import evaluate


def test_images_of_another_shape_are_refused():
    with pytest.raises(UserError, match=r"MLP takes .* \(1, 28, 28\).* those of Noise are \(3, 3"):
        run("mlp", dataset=tiny_dataset("convnet"))
    with pytest.raises(UserError, match=r"those of Noise are \(3, 16, 32\)"):
        run("convnet", dataset=tiny_dataset(shape=(3, 16, 32)))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_scores_are_in_the_format_asked_for(precision):
    dataset, seen = tiny_dataset("mlp"), []
    network = build_network(TINY["mlp"], 1)
    network.register_forward_hook(lambda module, inputs, scores: seen.append(scores.dtype))
    evaluate(network, dataset.test, precision=precision)
    assert set(seen) == {getattr(torch, precision)}


def test_more_than_ten_classes_are_refused():
    with pytest.raises(UserError, match="tells 10 classes apart; Noise has 11"):
        run("mlp", dataset=tiny_dataset(classes=11, train=44))


@each_network
def test_evaluation_equals_the_naive_loop(kind):
    network, split = build_network(TINY[kind], 0), tiny_dataset(kind).test
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
        error = evaluate(network, split, batch_size=batch_size)
        assert error == pytest.approx(np.mean(wrong), abs=1e-12)
    some = torch.tensor([3, 8, 8, 24])
    expected = np.mean([wrong[i] for i in some])
    assert evaluate(network, split, indices=some, batch_size=3) == pytest.approx(expected)


@pytest.mark.parametrize("mode", [True, False])
def test_evaluation_leaves_the_network_as_it_was(mode):
    network = build_network(TINY["mlp"], 0).train(mode)
    before = copy.deepcopy(network)
    evaluate(network, tiny_dataset().test)
    assert network.training is mode
    assert network.fc1.training is mode
    assert same_state(network, before)


def test_evaluation_restores_the_mode_after_an_error():
    network = build_network(TINY["mlp"], 0)
    with pytest.raises(UserError, match=r"cannot be run on an input of shape \(25, 3, 32, 32\)"):
        evaluate(network, tiny_dataset("convnet").test)
    assert network.training


def test_error_on_no_images_is_not_a_number():
    network = build_network(TINY["mlp"], 0)
    nothing = torch.zeros(0, dtype=torch.int64)
    assert math.isnan(evaluate(network, tiny_dataset().test, indices=nothing))


def test_images_of_floats_are_refused_and_left_alone():
    images = torch.rand(20, 1, 28, 28)
    before = images.clone()
    split = Split(images, torch.arange(20) % 10)
    with pytest.raises(UserError, match=r"Images must be uint8, .*, not torch\.float32"):
        evaluate(build_network(TINY["mlp"], 0), split)
    assert torch.equal(images, before)


def test_images_of_floats_are_taken_as_preprocess_says():
    split, network = tiny_dataset().test, build_network(TINY["mlp"], 0).eval()
    ready = Split(inference.scale_images(split.images), split.labels)
    before = ready.images.clone()
    expected = evaluate(network, split)
    assert evaluate(network, ready, preprocess=inference.as_given) == expected
    halved = Split(ready.images / 2, split.labels)
    assert evaluate(network, halved, preprocess=lambda x: x.mul_(2)) == expected
    assert torch.equal(halved.images * 2, before)
    with pytest.raises(UserError, match="does not give class scores"):
        evaluate(torch.nn.Identity(), split)
