"""Presets: they are found by name, and everything in them can be made."""

import pytest
import torch

from bnn_geometry import training
from bnn_geometry.book import presets
from bnn_geometry.errors import UserError
from bnn_geometry.training import hardware, losses, schedule
from bnn_geometry.training.recipes import ORIGINAL_CIFAR10, ORIGINAL_MNIST, Recipe

each_preset = pytest.mark.parametrize("preset", presets.PRESETS.values(), ids=presets.PRESETS)


def recipes(preset):
    return {"cifar10": preset.convnet, "mnist": preset.mlp}


def test_presets_are_found_by_name():
    assert list(presets.PRESETS) == ["smoke", "book", "paper"]
    for name, preset in presets.PRESETS.items():
        assert presets.preset(name) is preset
        assert preset.name == name


@pytest.mark.parametrize("name", ["Book", "", "quick"])
def test_unknown_preset_is_named_with_the_known_ones(name):
    with pytest.raises(UserError) as error:
        presets.preset(name)
    assert str(error.value) == f"Unknown preset {name!r}: use smoke, book, paper."


@pytest.mark.parametrize(
    ("value", "name"), [(None, "book"), ("", "book"), ("smoke", "smoke"), ("paper", "paper")]
)
def test_environment_chooses_the_preset(value, name, monkeypatch):
    monkeypatch.delenv("BNN_PRESET", raising=False)
    if value is not None:
        monkeypatch.setenv("BNN_PRESET", value)
    assert presets.from_environment() == name


def test_unknown_preset_in_the_environment_is_refused(monkeypatch):
    monkeypatch.setenv("BNN_PRESET", "large")
    with pytest.raises(UserError, match="Unknown preset 'large'"):
        presets.from_environment()


@each_preset
def test_every_recipe_makes_a_network_that_takes_its_images(preset):
    for dataset, recipe in recipes(preset).items():
        assert isinstance(recipe, Recipe)
        assert recipe.dataset == dataset
        assert recipe.with_() == recipe  # its values make sense
        network = training.build_network(recipe, 0).eval()
        with torch.no_grad():
            assert network(torch.zeros(1, *network.image_shape)).shape == (1, 10)
        assert recipe.loss in losses.LOSSES
        assert schedule.learning_rate(recipe, 0, 10) > 0
        hardware.resolve_precision(recipe.precision, torch.device("cpu"))


@each_preset
def test_every_recipe_finds_enough_images(preset):
    for dataset, recipe in recipes(preset).items():
        count = {"cifar10": 50_000, "mnist": 60_000}[dataset]
        indices, held = training.split_indices(torch.arange(count) % 10, recipe)
        wanted = recipe.train_images or count - recipe.validation_images
        assert (len(indices), len(held)) == (wanted, recipe.validation_images)


@each_preset
def test_sizes_make_sense(preset):
    for dimensions in (preset.angle_dimensions, preset.trend_dimensions):
        assert list(dimensions) == sorted(set(dimensions))
        assert dimensions[0] >= 2  # the angle is 0 on a line
    assert min(preset.angle_samples, preset.cosine_samples, preset.probe_images) >= 100


def test_paper_trains_as_the_original_code_did():
    assert presets.PAPER.convnet is ORIGINAL_CIFAR10
    assert presets.PAPER.mlp is ORIGINAL_MNIST


def test_smoke_computes_in_float32_so_that_machines_agree():
    assert {r.precision for r in recipes(presets.SMOKE).values()} == {"float32"}


@each_preset
def test_the_continuous_counterpart_has_the_budget_of_the_binary_network(preset):
    changed = preset.continuous.with_(activation="binary", lr=preset.convnet.lr)
    assert changed == preset.convnet
    assert preset.continuous.activation != "binary"


@each_preset
def test_fine_tuning_is_of_the_same_network_and_shorter(preset):
    short, whole = preset.fine_tuning, preset.convnet
    for field in ("model", "dataset", "width", "activation", "loss", "norm_epsilon"):
        assert getattr(short, field) == getattr(whole, field)
    assert short.activation == "binary"
    images = [r.epochs * (r.train_images or 50_000) for r in (short, whole)]
    assert images[0] <= images[1] / 4
